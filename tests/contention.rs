//! Many sessions, few rows: deadlocks end by themselves, queues are drained around what others
//! hold, nothing hangs, and the sums are exact.
//!
//! `WALNUT_CONTENTION_SEED` repeats a run's choices, `WALNUT_CONTENTION_SECONDS` makes it longer.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::{Engine, Server};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio_postgres::{Client, Error};

const SESSIONS: u64 = 8;
const ROWS: i32 = 5;
/// Nothing here takes a fraction of that, unless it hangs.
const WATCHDOG: Duration = Duration::from_secs(20);
const PRODUCERS: i32 = 2;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    let seed = setting("WALNUT_CONTENTION_SEED").unwrap_or_else(rand::random);
    eprintln!("WALNUT_CONTENTION_SEED={seed}");
    seed
}

fn end() -> Instant {
    Instant::now() + Duration::from_secs(setting("WALNUT_CONTENTION_SECONDS").unwrap_or(3))
}

async fn watched<T>(what: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(WATCHDOG, what).await;
    result.expect("it hangs")
}

/// PostgreSQL looks for deadlocks after a second.
async fn be_quick(server: &Server, client: &Client) {
    if server.engine == Engine::Postgres {
        client
            .batch_execute("SET deadlock_timeout = '5ms'")
            .await
            .unwrap();
    }
}

/// What a session's committed transactions have added to each row.
#[derive(Default)]
struct Sums {
    by_row: BTreeMap<i32, i64>,
}

/// Adds to some rows in random order, locked in random strengths, so that the whole is zero.
async fn transfer(client: &Client, rng: &mut StdRng, sums: &mut Sums) -> Result<(), Error> {
    let mut rows: Vec<i32> = (1..=ROWS).collect();
    rows.shuffle(rng);
    rows.truncate(rng.random_range(2..=4));
    client.batch_execute("BEGIN").await?;
    let mut rest = 0;
    let mut added = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let is_last = at + 1 == rows.len();
        let amount = if is_last {
            -rest
        } else {
            rng.random_range(-50..50)
        };
        rest += amount;
        let lock = [None, Some("UPDATE"), Some("SHARE"), Some("KEY SHARE")];
        if let Some(lock) = lock[rng.random_range(0..lock.len())] {
            let sql = format!("SELECT balance FROM accounts WHERE id = {row} FOR {lock}");
            client.simple_query(&sql).await?;
        }
        let sql = format!("UPDATE accounts SET balance = balance + {amount} WHERE id = {row}");
        client.batch_execute(&sql).await?;
        added.push((*row, i64::from(amount)));
    }
    if rng.random_range(0..8) == 0 {
        return client.batch_execute("ROLLBACK").await;
    }
    client.batch_execute("COMMIT").await?;
    for (row, amount) in added {
        *sums.by_row.entry(row).or_default() += amount;
    }
    Ok(())
}

/// What all sessions together have met.
#[derive(Default)]
struct Met {
    committed: AtomicU32,
    deadlocks: AtomicU32,
}

impl Met {
    /// Less would hardly be a test: a slow machine takes longer.
    fn is_enough(&self) -> bool {
        let (committed, deadlocks) = (&self.committed, &self.deadlocks);
        committed.load(Ordering::Relaxed) > 50 && deadlocks.load(Ordering::Relaxed) > 5
    }
}

async fn transfers(client: Client, mut rng: StdRng, end: Instant, met: Arc<Met>) -> Sums {
    let mut sums = Sums::default();
    while Instant::now() < end || !met.is_enough() {
        let Err(error) = watched(transfer(&client, &mut rng, &mut sums)).await else {
            met.committed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        assert_eq!(error.code().map(|c| c.code()), Some("40P01"), "{error}");
        met.deadlocks.fetch_add(1, Ordering::Relaxed);
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocks_end_and_the_sums_are_exact() {
    let server = Server::start();
    let seed = seed();
    let client = server.connect().await;
    let schema = format!(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
         INSERT INTO accounts SELECT i, 0 FROM generate_series(1, {ROWS}) AS i"
    );
    client.batch_execute(&schema).await.unwrap();
    let end = end();
    let met = Arc::new(Met::default());
    let mut tasks = Vec::new();
    for number in 0..SESSIONS {
        let client = server.connect().await;
        be_quick(&server, &client).await;
        tasks.push(tokio::spawn(transfers(
            client,
            StdRng::seed_from_u64(seed ^ number),
            end,
            met.clone(),
        )));
    }
    let mut by_row = BTreeMap::new();
    for task in tasks {
        let sums = task.await.unwrap();
        sums.by_row
            .iter()
            .for_each(|(row, sum)| *by_row.entry(*row).or_insert(0) += sum);
    }
    let (committed, deadlocks) = (&met.committed, &met.deadlocks);
    eprintln!("{committed:?} committed, {deadlocks:?} deadlocks");
    let rows = client
        .query("SELECT id, balance FROM accounts", &[])
        .await
        .unwrap();
    let found: BTreeMap<i32, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, by_row);
    let locks = "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid()";
    let left: i64 = client.query_one(locks, &[]).await.unwrap().get(0);
    assert_eq!(left, 0, "locks are left");
}

/// What producers have done so far.
struct Queue {
    next: AtomicI32,
    is_closed: AtomicBool,
}

async fn produce(client: Client, mut rng: StdRng, queue: Arc<Queue>, end: Instant) {
    while Instant::now() < end || queue.next.load(Ordering::SeqCst) <= 50 {
        let count = rng.random_range(1..10);
        let first = queue.next.fetch_add(count, Ordering::SeqCst);
        let last = first + count - 1;
        let sql =
            format!("INSERT INTO jobs SELECT i, 'new' FROM generate_series({first}, {last}) AS i");
        watched(client.batch_execute(&sql)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..4))).await;
    }
}

/// Takes jobs until there are no more. Each is finished by deleting it or by marking it.
async fn consume(client: Client, mut rng: StdRng, queue: Arc<Queue>) {
    loop {
        // Before it looks: what it does not find then is with others.
        let is_closed = queue.is_closed.load(Ordering::SeqCst);
        let count = watched(take(&client, &mut rng)).await.unwrap();
        if count == 0 && is_closed {
            return;
        }
    }
}

/// Takes some jobs in one transaction. Nobody waits for anybody, so there is no error to allow.
async fn take(client: &Client, rng: &mut StdRng) -> Result<usize, Error> {
    client.batch_execute("BEGIN").await?;
    let sql = format!(
        "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT {} FOR UPDATE SKIP LOCKED",
        rng.random_range(1..=3)
    );
    let rows = client.query(&sql, &[]).await?;
    for id in rows.iter().map(|row| row.get::<_, i32>(0)) {
        let finish = match rng.random_range(0..2) {
            0 => format!("DELETE FROM jobs WHERE id = {id}"),
            _ => format!("UPDATE jobs SET state = 'done' WHERE id = {id}"),
        };
        let count = client.execute(&finish, &[]).await?;
        assert_eq!(count, 1, "job {id} was locked, and is gone");
        // A job taken twice is a duplicate key.
        client
            .batch_execute(&format!("INSERT INTO results VALUES ({id})"))
            .await?;
    }
    match rng.random_range(0..8) {
        0 => client.batch_execute("ROLLBACK").await?,
        _ => client.batch_execute("COMMIT").await?,
    }
    Ok(rows.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_of_a_queue_is_taken_once_around_one_that_is_held() {
    let server = Server::start();
    let seed = seed();
    let client = server.connect().await;
    let schema = "CREATE TABLE jobs (id int PRIMARY KEY, state text NOT NULL);
                  CREATE INDEX jobs_state ON jobs (state, id);
                  CREATE TABLE results (id int PRIMARY KEY);
                  INSERT INTO jobs VALUES (0, 'new')";
    client.batch_execute(schema).await.unwrap();
    let holder = server.connect().await;
    let hold = "BEGIN; SELECT id FROM jobs WHERE id = 0 FOR UPDATE";
    holder.batch_execute(hold).await.unwrap();

    let queue = Arc::new(Queue {
        next: AtomicI32::new(1),
        is_closed: AtomicBool::new(false),
    });
    let end = end();
    let (mut producers, mut consumers) = (Vec::new(), Vec::new());
    for number in 0..SESSIONS {
        let (client, rng) = (server.connect().await, StdRng::seed_from_u64(seed ^ number));
        let queue = Arc::clone(&queue);
        if number < PRODUCERS.unsigned_abs().into() {
            producers.push(tokio::spawn(produce(client, rng, queue, end)));
        } else {
            consumers.push(tokio::spawn(consume(client, rng, queue)));
        }
    }
    for producer in producers {
        producer.await.unwrap();
    }
    queue.is_closed.store(true, Ordering::SeqCst);
    for consumer in consumers {
        consumer.await.unwrap();
    }
    // What was given back after the others had looked.
    let mut rng = StdRng::seed_from_u64(seed);
    while watched(take(&client, &mut rng)).await.unwrap() > 0 {}

    let rows = client
        .query("SELECT id FROM results ORDER BY id", &[])
        .await
        .unwrap();
    let taken: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let all = queue.next.load(Ordering::SeqCst);
    eprintln!("{} jobs", all - 1);
    assert!(
        taken == (1..all).collect::<Vec<i32>>(),
        "of {all} jobs: {taken:?}"
    );
    let sql = "SELECT id FROM jobs WHERE state = 'new'";
    let left: Vec<i32> = client
        .query(sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(left, [0], "only the one that is held is left");
}
