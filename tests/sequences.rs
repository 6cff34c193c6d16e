//! Sequences under load, kills, restarts and clones: gaps yes, repeats never.
//!
//! `WALNUT_CRASH_SEED` repeats a run's choices; `WALNUT_CRASH_ROUNDS` sets the number of kills.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use common::{Server, text};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::{Client, Config, NoTls};

const SCHEMA: &str = "
    CREATE TABLE t (id bigserial PRIMARY KEY, v text);
    CREATE TABLE i (id bigint GENERATED ALWAYS AS IDENTITY (CACHE 3), v text);
    CREATE SEQUENCE s;";

/// What each session runs over and over: every value returned is a value of the sequence.
const STATEMENTS: [(Sequence, &str); 6] = [
    (
        Sequence::Serial,
        "INSERT INTO t (v) VALUES ('a') RETURNING id",
    ),
    (
        Sequence::Serial,
        "INSERT INTO t (v) SELECT 'b' FROM generate_series(1, 100) RETURNING id",
    ),
    (Sequence::Serial, "SELECT nextval('t_id_seq')"),
    (
        Sequence::Identity,
        "INSERT INTO i (v) VALUES ('a'), ('b') RETURNING id",
    ),
    (Sequence::Alone, "SELECT nextval('s')"),
    (
        Sequence::Alone,
        "SELECT nextval('s') FROM generate_series(1, 50)",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sequence {
    Serial,
    Identity,
    Alone,
}

/// The values that clients have seen.
type Shown = Vec<(Sequence, i64)>;

/// Notes values and names those that were there before.
fn check(seen: &mut BTreeSet<(Sequence, i64)>, shown: &Shown) -> Vec<String> {
    let repeated = shown.iter().filter(|value| !seen.insert(**value));
    repeated
        .map(|value| format!("{value:?} came again"))
        .collect()
}

/// Runs one of the statements until the server is gone, every third time in a transaction that is
/// rolled back.
async fn load(config: Config, number: usize) -> Shown {
    let mut shown = Shown::new();
    let (sequence, sql) = STATEMENTS[number % STATEMENTS.len()];
    let Ok((client, connection)) = config.connect(NoTls).await else {
        return shown;
    };
    tokio::spawn(connection);
    for turn in 0.. {
        let rolls_back = turn % 3 == 2;
        if rolls_back && client.batch_execute("BEGIN").await.is_err() {
            break;
        }
        let Ok(rows) = client.query(sql, &[]).await else {
            break;
        };
        shown.extend(rows.iter().map(|row| (sequence, row.get(0))));
        if rolls_back && client.batch_execute("ROLLBACK").await.is_err() {
            break;
        }
    }
    shown
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_that_was_shown_comes_again_after_a_kill() {
    let seed = setting("WALNUT_CRASH_SEED", rand::rng().random());
    let rounds = setting("WALNUT_CRASH_ROUNDS", 12);
    eprintln!("WALNUT_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Server::start_small();
    server.connect().await.batch_execute(SCHEMA).await.unwrap();
    let mut seen = BTreeSet::new();
    for round in 1..=rounds {
        let loads: Vec<_> = (0..2 * STATEMENTS.len())
            .map(|number| tokio::spawn(load(server.config(), number)))
            .collect();
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..500))).await;
        server.kill();
        let mut count = 0;
        for load in loads {
            let shown = load.await.unwrap();
            count += shown.len();
            let wrong = check(&mut seen, &shown);
            assert!(wrong.is_empty(), "round {round}, seed {seed}: {wrong:?}");
        }
        server.restart();
        eprintln!("round {round}: {count} values");
    }
    assert!(seen.len() > 1000, "only {}: hardly a load", seen.len());
    // What was committed without being shown is not given again either: the key would say so.
    let client = server.connect().await;
    client
        .batch_execute("INSERT INTO t DEFAULT VALUES")
        .await
        .unwrap();
}

#[test]
fn the_checker_finds_a_value_that_comes_again() {
    let mut seen = BTreeSet::new();
    assert!(
        check(
            &mut seen,
            &vec![(Sequence::Alone, 1), (Sequence::Serial, 1)]
        )
        .is_empty()
    );
    assert_eq!(
        check(&mut seen, &vec![(Sequence::Alone, 2), (Sequence::Alone, 1)]).len(),
        1
    );
}

async fn value(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_sessions_get_each_value_once_and_leave_no_gap() {
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute("CREATE SEQUENCE s").await.unwrap();
    let take = |config: Config| async move {
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        let mut values = Vec::new();
        for _ in 0..100 {
            values.push(value(&client, "SELECT nextval('s')").await);
        }
        values
    };
    let sessions: Vec<_> = (0..8)
        .map(|_| tokio::spawn(take(server.config())))
        .collect();
    let mut all = BTreeSet::new();
    for session in sessions {
        let values = session.await.unwrap();
        assert!(values.is_sorted(), "{values:?}");
        all.extend(values);
    }
    assert!(all.into_iter().eq(1..=800));
}

/// As in PostgreSQL, only a crash loses what is set aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_clone_go_on_without_a_gap() {
    let mut server = Server::start();
    let client = server.connect().await;
    client.batch_execute(SCHEMA).await.unwrap();
    assert_eq!(value(&client, "SELECT nextval('s')").await, 1);
    assert_eq!(
        value(&client, "INSERT INTO t DEFAULT VALUES RETURNING id").await,
        1
    );
    let name = client
        .query_one("SELECT current_database()", &[])
        .await
        .unwrap();
    let name: &str = name.get(0);
    let sql = format!("CREATE DATABASE copy TEMPLATE \"{name}\"");
    client.batch_execute(&sql).await.unwrap();
    let mut config = server.config();
    config.dbname("copy");
    let (copy, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(value(&copy, "SELECT nextval('s')").await, 2);
    assert_eq!(
        value(&copy, "INSERT INTO t DEFAULT VALUES RETURNING id").await,
        2
    );
    assert_eq!(value(&client, "SELECT nextval('s')").await, 2);
    drop((client, copy));
    assert_eq!(server.stop(), Some(0));
    let mut check = Command::new(env!("CARGO_BIN_EXE_walnut"));
    let out = check.arg("check").arg("--data").arg(server.data()).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", text(&out));
    server.restart();
    let client = server.connect().await;
    assert_eq!(value(&client, "SELECT nextval('s')").await, 3);
    assert_eq!(
        value(&client, "INSERT INTO t DEFAULT VALUES RETURNING id").await,
        2
    );
}
