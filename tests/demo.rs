//! `sql/demo.sql` through psql, as the README tells: the output is the same to the byte from
//! Walnut and from PostgreSQL 15.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Server, run, skip, text, tool};

/// Everything psql prints for the file, errors in their places; `None` without psql.
fn output(server: &Server) -> Option<String> {
    let Some(psql) = tool("psql") else {
        skip("psql is not installed");
        return None;
    };
    // Standard error goes where standard output goes, in order, as on a terminal.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" -X -f sql/demo.sql 2>&1"]);
    shell.arg(&psql).current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, value) in server.libpq(&psql).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let out = run(&mut shell, "", Duration::from_secs(60));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    Some(text(&out))
}

#[test]
fn the_demo_prints_what_it_should() {
    let Some(printed) = output(&Server::start()) else {
        return;
    };
    assert_eq!(printed, EXPECTED);
}

#[test]
fn postgresql_prints_the_same() {
    let Some(server) = Server::start_postgres() else {
        return skip("PostgreSQL 15 is not installed");
    };
    let Some(printed) = output(&server) else {
        return;
    };
    assert_eq!(printed, EXPECTED);
}

const EXPECTED: &str = r#"CREATE TABLE
 id | owner 
----+-------
  1 | Ada
  2 | Grace
(2 rows)

INSERT 0 2
BEGIN
UPDATE 1
 id | owner | balance 
----+-------+---------
  2 | Grace |  280.50
(1 row)

UPDATE 1
COMMIT
 owner | balance | share 
-------+---------+-------
 Grace |  280.50 | 0.800
 Ada   |   70.00 | 0.200
(2 rows)

BEGIN
DELETE 2
ROLLBACK
 count 
-------
     2
(1 row)

psql:sql/demo.sql:15: ERROR:  duplicate key value violates unique constraint "account_pkey"
DETAIL:  Key (id)=(1) already exists.
psql:sql/demo.sql:16: ERROR:  column "balanc" does not exist
LINE 1: SELECT owner FROM account WHERE balanc > 0;
                                        ^
HINT:  Perhaps you meant to reference the column "account.balance".
"#;
