//! psycopg 3, by the script `check_psycopg.py`.

use std::path::Path;
use std::time::Duration;

use crate::common::{Server, python_with_psycopg, run, skip, text};

#[test]
fn psycopg_connects_prepares_passes_binary_parameters_and_sees_errors() {
    let Some(python) = python_with_psycopg() else {
        return skip("no Python with psycopg 3 (`.ci/run` makes one)");
    };
    let server = Server::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/check_psycopg.py");
    let mut command = server.libpq(&python);
    command.arg(script).arg(server.conninfo());
    let out = run(&mut command, "", Duration::from_secs(120));
    assert!(out.status.success(), "{}", text(&out));
    assert!(text(&out).contains("all checks passed"), "{}", text(&out));
}
