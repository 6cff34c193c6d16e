//! Schedules: what sessions beside each other see, who waits for whom, and how it ends. The same
//! files run on PostgreSQL 15, which is what they were made from, and on Walnut.
//!
//! # The files
//!
//! ```text
//! # A comment.
//! setup: CREATE TABLE t (id int PRIMARY KEY, v int)        must succeed; before the first
//! schedule the second writer waits                         schedule it is for all of them
//! s1: BEGIN; UPDATE t SET v = 1                            a step: session, statements
//!     BEGIN                                                what came of it: rows, tags,
//!     UPDATE 1                                             notices, errors
//! s2: UPDATE t SET v = 2
//!     waits for s1
//! s1: COMMIT
//!     COMMIT
//!     s2: UPDATE 1                                         it ended after this step
//! ```
//!
//! `s1 (ends s2): …` is a step that is over only when s2's statement is, or s2's session: for what
//! a time-out or a signal ends. `{s2}` in a statement is the process number of s2, `{snapshot}` the
//! snapshot exported last.
//!
//! A session waits if it says so itself (`pg_blocking_pids`) and those it waits for do, in the end,
//! nothing: no time is ever measured.
//!
//! # Where Walnut differs
//!
//! ```text
//!     walnut: …                                            this instead of the lines above,
//!     because: …                                           and why
//!     walnut stops: ERROR 0A000: … not supported yet       the schedule ends here on Walnut
//! ```
//!
//! A mark that no longer holds is a failure. `WALNUT_SCHEDULES_UPDATE=1 cargo test --test schedules`
//! rewrites the outcomes from PostgreSQL and sets or removes the marks of what is not supported;
//! nothing else is ever taken from Walnut. `WALNUT_SCHEDULES` names the files meant, by a part of
//! the name.

// A test fails by its `unwrap`; this is no library.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod format;
mod run;
mod session;

use std::path::{Path, PathBuf};

use common::Server;
use format::File;
use run::{Stage, run};

#[test]
fn the_schedules_hold_on_postgres() {
    let Some(server) = Server::start_postgres() else {
        return common::skip("PostgreSQL 15 is not installed");
    };
    if !is_update() {
        check_all(&server);
    }
}

#[test]
fn the_schedules_hold_on_walnut() {
    if is_update() {
        // PostgreSQL has its say first: the marks depend on it.
        check_all(&Server::start_postgres().expect("PostgreSQL 15 is installed"));
    }
    check_all(&Server::start());
}

fn is_update() -> bool {
    std::env::var_os("WALNUT_SCHEDULES_UPDATE").is_some()
}

#[test]
fn what_differs_from_its_file_is_a_failure() {
    let planted = "\
schedule planted
setup: CREATE TABLE t (id int PRIMARY KEY, v int)
setup: INSERT INTO t VALUES (1, 10)
s1: BEGIN; UPDATE t SET v = 11
    BEGIN
    UPDATE 2
s2: UPDATE t SET v = 12
    UPDATE 1
s1: COMMIT
    COMMIT
s1: SELECT v FROM t
    12
    SELECT 1
s1: SELECT v FROM t
    12
    SELECT 1
    walnut: 13
    because: planted
s1: SELECT v FROM t
    12
    SELECT 1
    walnut stops: ERROR 0A000: SELECT is not supported yet
";
    let server = Server::start();
    let mut file = File::parse(Path::new("planted"), planted);
    let failures = run(
        &mut Stage::new(&server),
        &mut file.head,
        &mut file.schedules[0],
        false,
    );
    let at: Vec<_> = failures.iter().map(|failure| failure.number).collect();
    assert_eq!(at, [4, 7, 9, 14, 19]);
    for (failure, what) in failures.iter().zip([
        "UPDATE 1",
        "waits for s1",
        "s2: UPDATE 1",
        "found\n      12",
        "stale",
    ]) {
        assert!(failure.what.contains(what), "{}", failure.what);
    }
}

fn files() -> Vec<PathBuf> {
    let wanted = std::env::var("WALNUT_SCHEDULES").unwrap_or_default();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schedules");
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "schedule"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    files
}

/// Runs every schedule and goes on after a failure, so that one run shows them all.
fn check_all(server: &Server) {
    let record = is_update();
    let mut stage = Stage::new(server);
    let mut failures = Vec::new();
    let mut count = 0;
    for path in files() {
        let mut file = File::read(&path);
        count += file.schedules.len();
        failures.extend(check(&mut stage, &mut file, record));
        if record {
            file.write();
        }
    }
    eprintln!(
        "{:?}: {count} schedules, {} failures",
        server.engine,
        failures.len()
    );
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(stage: &mut Stage, file: &mut File, record: bool) -> Vec<String> {
    let mut failures = Vec::new();
    for schedule in &mut file.schedules {
        for failure in run(stage, &mut file.head, schedule, record) {
            let place = format!("{}:{}", file.path.display(), failure.number);
            failures.push(format!("{place}: {}\n  {}", schedule.name, failure.what));
        }
    }
    failures
}
