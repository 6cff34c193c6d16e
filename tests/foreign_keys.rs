//! Foreign keys under load: whatever several sessions do at once, no snapshot ever shows a row that
//! refers to nothing.
//!
//! `WALNUT_FOREIGN_KEYS_SECONDS` makes the run longer, `SEED` repeats one.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{LEVELS, Server};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::Client;

const SESSIONS: u64 = 8;
const KEYS: i32 = 8;

const TABLES: &str = "
    CREATE TABLE p (id int PRIMARY KEY, v int);
    CREATE TABLE plain (id int PRIMARY KEY, p int REFERENCES p);
    CREATE TABLE cascading (id int PRIMARY KEY,
        p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE INDEX ON cascading (p);
    CREATE TABLE nulled (id int PRIMARY KEY,
        p int REFERENCES p ON DELETE SET NULL ON UPDATE RESTRICT);
    CREATE TABLE defaulted (id int PRIMARY KEY,
        p int DEFAULT 1 REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
    CREATE TABLE deferred (id int PRIMARY KEY,
        p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
    CREATE INDEX ON deferred (p);
    CREATE TABLE below (id int PRIMARY KEY, p int REFERENCES cascading ON DELETE CASCADE);
    CREATE TABLE tree (id int PRIMARY KEY, p int REFERENCES tree ON DELETE CASCADE);
";

/// Each with the table it refers to.
const REFERRING: [(&str, &str); 7] = [
    ("plain", "p"),
    ("cascading", "p"),
    ("nulled", "p"),
    ("defaulted", "p"),
    ("deferred", "p"),
    ("below", "cascading"),
    ("tree", "tree"),
];

/// What concurrent transactions may run into.
const EXPECTED: [&str; 5] = ["23503", "23505", "40001", "40P01", "25P02"];

fn statement(rng: &mut StdRng) -> String {
    let key = rng.random_range(1..=KEYS);
    let other = rng.random_range(1..=KEYS);
    let (referring, _) = REFERRING[rng.random_range(0..REFERRING.len())];
    match rng.random_range(0..10) {
        0 | 1 => format!("INSERT INTO p VALUES ({key}, 0) "),
        2 => format!("DELETE FROM p WHERE id = {key}"),
        3 => format!("UPDATE p SET id = {other} WHERE id = {key}"),
        4 => format!("UPDATE p SET id = id, v = v + 1 WHERE id = {key}"),
        5 => format!("DELETE FROM {referring} WHERE id = {key}"),
        6 => format!("UPDATE {referring} SET p = {other} WHERE id = {key}"),
        7 => format!("DELETE FROM {referring} WHERE p = {key}"),
        _ => format!("INSERT INTO {referring} VALUES ({key}, {other})"),
    }
}

/// Runs transactions of a few statements until `end`; counts those that committed.
async fn work(client: Client, mut rng: StdRng, end: Instant, committed: Arc<AtomicU64>) {
    while Instant::now() < end {
        let level = LEVELS[rng.random_range(0..LEVELS.len())];
        let begin = format!("BEGIN ISOLATION LEVEL {level}");
        client.batch_execute(&begin).await.unwrap();
        for _ in 0..rng.random_range(1..4) {
            client.batch_execute("SAVEPOINT s").await.unwrap();
            if rng.random_range(0..8) == 0 {
                attempt(&client, "SET CONSTRAINTS ALL IMMEDIATE").await;
            }
            if !attempt(&client, &statement(&mut rng)).await || rng.random_range(0..8) == 0 {
                client.batch_execute("ROLLBACK TO s").await.unwrap();
            }
        }
        if attempt(&client, "COMMIT").await {
            committed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn attempt(client: &Client, sql: &str) -> bool {
    let succeeded = common::attempt(client, sql, &EXPECTED).await;
    succeeded.unwrap_or_else(|| panic!("{sql}: the server is gone"))
}

/// The rows that refer to nothing, at one snapshot.
async fn orphans(client: &Client) -> i64 {
    let count = |(referring, referenced): &(&str, &str)| {
        format!(
            "(SELECT count(*) FROM {referring} AS r WHERE p IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM {referenced} AS k WHERE k.id = r.p))"
        )
    };
    let counts: Vec<String> = REFERRING.iter().map(count).collect();
    let sql = format!("SELECT {}", counts.join(" + "));
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_snapshot_shows_a_reference_to_nothing() {
    let seed = std::env::var("SEED").ok();
    let seed: u64 = seed.map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let seconds = std::env::var("WALNUT_FOREIGN_KEYS_SECONDS").ok();
    let seconds = seconds.map_or(3, |seconds| seconds.parse().unwrap());
    let server = Server::start();
    let client = server.connect().await;
    client.batch_execute(TABLES).await.unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let committed = Arc::new(AtomicU64::new(0));
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let rng = StdRng::seed_from_u64(seed.wrapping_add(number));
        let work = work(server.connect().await, rng, end, committed.clone());
        sessions.push(tokio::spawn(work));
    }
    while Instant::now() < end {
        assert_eq!(orphans(&client).await, 0);
    }
    for session in sessions {
        session.await.unwrap();
    }
    assert!(committed.load(Ordering::Relaxed) > 100);
    assert_eq!(orphans(&client).await, 0);
    client
        .query_one("SELECT walnut_check()", &[])
        .await
        .unwrap();

    // What would be seen if one were there.
    let planted =
        "ALTER TABLE plain DROP CONSTRAINT plain_p_fkey; INSERT INTO plain VALUES (99, 99)";
    client.batch_execute(planted).await.unwrap();
    assert_eq!(orphans(&client).await, 1);
}
