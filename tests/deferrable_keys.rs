//! Deferrable keys under load: whatever several sessions do at once, and if the server dies under
//! them, no snapshot ever shows two rows with one key.
//!
//! `WALNUT_DEFERRABLE_KEYS_SECONDS` makes the run longer, `SEED` repeats one.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{LEVELS, Server, text};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::Client;

const SESSIONS: u64 = 8;
const KEYS: i32 = 8;

const TABLE: &str = "CREATE TABLE t (
    id int PRIMARY KEY DEFERRABLE,
    u int UNIQUE DEFERRABLE INITIALLY DEFERRED)";

/// What concurrent transactions may run into.
const EXPECTED: [&str; 4] = ["23505", "40001", "40P01", "25P02"];

fn statement(rng: &mut StdRng) -> String {
    let mut key = || rng.random_range(1..=KEYS);
    let (a, b) = (key(), key());
    let column = ["id", "u"][rng.random_range(0..2)];
    match rng.random_range(0..9) {
        0..3 => format!("INSERT INTO t VALUES ({a}, {b})"),
        3 => format!("INSERT INTO t VALUES ({a}, NULL)"),
        4 => format!("UPDATE t SET {column} = {a} WHERE {column} = {b}"),
        5 => format!("UPDATE t SET {column} = {a} + {b} - {column} WHERE {column} IN ({a}, {b})"),
        6 => format!("UPDATE t SET {column} = 1 + {column} % {KEYS}"),
        7 => format!("UPDATE t SET u = {b} WHERE id = {a}"),
        _ => format!("DELETE FROM t WHERE {column} = {a}"),
    }
}

/// Runs transactions of a few statements until the server is gone; counts those that committed.
async fn work(client: Client, mut rng: StdRng, committed: Arc<AtomicU64>) -> Option<()> {
    loop {
        let level = LEVELS[rng.random_range(0..LEVELS.len())];
        attempt(&client, &format!("BEGIN ISOLATION LEVEL {level}")).await?;
        for _ in 0..rng.random_range(1..4) {
            attempt(&client, "SAVEPOINT s").await?;
            match rng.random_range(0..8) {
                0 => attempt(&client, "SET CONSTRAINTS ALL IMMEDIATE").await?,
                1 => attempt(&client, "SET CONSTRAINTS ALL DEFERRED").await?,
                _ => true,
            };
            if !attempt(&client, &statement(&mut rng)).await? || rng.random_range(0..8) == 0 {
                attempt(&client, "ROLLBACK TO s").await?;
            }
        }
        if attempt(&client, "COMMIT").await? {
            committed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether it succeeded; `None` when the server is gone.
async fn attempt(client: &Client, sql: &str) -> Option<bool> {
    common::attempt(client, sql, &EXPECTED).await
}

/// How many rows there are too many, at one snapshot.
async fn surplus(client: &Client) -> i64 {
    let sql = "SELECT count(id) - count(DISTINCT id) + count(u) - count(DISTINCT u) FROM t";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_snapshot_shows_a_key_twice() {
    let seed = std::env::var("SEED").ok();
    let seed: u64 = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let seconds = std::env::var("WALNUT_DEFERRABLE_KEYS_SECONDS").ok();
    let seconds = seconds.map_or(3, |seconds| seconds.parse().unwrap());
    let mut server = Server::start();
    let client = server.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let committed = Arc::new(AtomicU64::new(0));
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(number));
        let work = work(server.connect().await, rng, committed.clone());
        sessions.push(tokio::spawn(work));
    }
    while Instant::now() < end {
        assert_eq!(surplus(&client).await, 0);
    }
    client
        .query_one("SELECT walnut_check()", &[])
        .await
        .unwrap();
    server.kill();
    for session in sessions {
        session.await.unwrap();
    }
    assert!(committed.load(Ordering::Relaxed) > 20);

    server.restart();
    let client = server.connect().await;
    assert_eq!(surplus(&client).await, 0);
    let twice = "TRUNCATE t; INSERT INTO t VALUES (1, 1), (2, 1)";
    assert_eq!(attempt(&client, twice).await, Some(false));
    // What would be seen if one were there.
    let planted = "ALTER TABLE t DROP CONSTRAINT t_u_key;
        UPDATE t SET u = 1;
        INSERT INTO t VALUES (100, 1), (101, 1)";
    client.batch_execute(planted).await.unwrap();
    assert!(surplus(&client).await > 0);
    drop(client);
    assert_eq!(server.stop(), Some(0));
    let mut check = Command::new(env!("CARGO_BIN_EXE_walnut"));
    let out = check.arg("check").arg("--data").arg(server.data()).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", text(&out));
}
