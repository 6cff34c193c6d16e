//! Sessions beside each other: visibility, waiting, deadlocks, clients that vanish.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error};

use crate::common::Server;
use crate::common::raw::Raw;

const A_WAIT: Duration = Duration::from_millis(250);

async fn number(client: &Client, sql: &str) -> Option<i64> {
    client
        .query_opt(sql, &[])
        .await
        .unwrap()
        .map(|row| row.get::<_, i64>(0))
}

fn code(result: Result<u64, Error>) -> String {
    match result {
        Ok(n) => format!("{n} rows"),
        Err(error) => error
            .code()
            .map_or(format!("{error:?}"), |c| c.code().to_string()),
    }
}

/// Runs a statement that should wait, and gives the client back with the outcome.
fn in_background(client: Client, sql: &str) -> JoinHandle<(Client, String)> {
    let sql = sql.to_string();
    tokio::spawn(async move {
        let outcome = code(client.execute(&sql, &[]).await);
        (client, outcome)
    })
}

async fn assert_waits<T>(task: &JoinHandle<T>) {
    tokio::time::sleep(A_WAIT).await;
    assert!(!task.is_finished(), "it should wait");
}

async fn two(schema: &str) -> (Server, Client, Client) {
    let server = Server::start();
    let (a, b) = (server.connect().await, server.connect().await);
    a.batch_execute(schema).await.unwrap();
    (server, a, b)
}

const ROWS: &str = "CREATE TABLE t (id integer PRIMARY KEY, v bigint); \
                    INSERT INTO t VALUES (1, 10), (2, 20)";

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_not_committed() {
    let (_server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = 11 WHERE id = 1; INSERT INTO t VALUES (3, 30); DELETE FROM t WHERE id = 2")
        .await
        .unwrap();
    assert_eq!(number(&b, "SELECT sum(v)::bigint FROM t").await, Some(30));
    assert_eq!(number(&a, "SELECT sum(v)::bigint FROM t").await, Some(41));
    assert_eq!(number(&b, "SELECT v FROM t WHERE id = 3").await, None);
    a.batch_execute("COMMIT").await.unwrap();
    assert_eq!(number(&b, "SELECT sum(v)::bigint FROM t").await, Some(41));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_of_read_committed_sees_what_is_committed_by_then() {
    let (_server, a, b) = two(ROWS).await;
    b.batch_execute("BEGIN").await.unwrap();
    assert_eq!(number(&b, "SELECT v FROM t WHERE id = 1").await, Some(10));
    a.batch_execute("UPDATE t SET v = 99 WHERE id = 1")
        .await
        .unwrap();
    assert_eq!(number(&b, "SELECT v FROM t WHERE id = 1").await, Some(99));
    b.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_writer_of_a_row_waits_and_builds_on_the_first() {
    let (_server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = v + 1 WHERE id = 1")
        .await
        .unwrap();
    let waiting = in_background(b, "UPDATE t SET v = v * 2 WHERE id = 1");
    assert_waits(&waiting).await;
    a.batch_execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().1, "1 rows");
    assert_eq!(number(&a, "SELECT v FROM t WHERE id = 1").await, Some(22));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_writer_goes_on_from_the_old_row_after_a_rollback() {
    let (_server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = v + 1 WHERE id = 1")
        .await
        .unwrap();
    let waiting = in_background(b, "UPDATE t SET v = v * 2 WHERE id = 1");
    assert_waits(&waiting).await;
    a.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(waiting.await.unwrap().1, "1 rows");
    assert_eq!(number(&a, "SELECT v FROM t WHERE id = 1").await, Some(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_condition_is_checked_again_on_the_newest_row() {
    for (first, second, outcome, sum) in [
        // The row no longer matches: left alone.
        (
            "UPDATE t SET v = 0 WHERE id = 1",
            "UPDATE t SET v = 100 WHERE v = 10",
            "0 rows",
            20,
        ),
        (
            "UPDATE t SET v = 0 WHERE id = 1",
            "DELETE FROM t WHERE v = 10",
            "0 rows",
            20,
        ),
        // It is gone.
        (
            "DELETE FROM t WHERE id = 1",
            "UPDATE t SET v = 100 WHERE id = 1",
            "0 rows",
            20,
        ),
        // Its key moved away.
        (
            "UPDATE t SET id = 7 WHERE id = 1",
            "UPDATE t SET v = 100 WHERE id = 1",
            "0 rows",
            30,
        ),
        // It still matches.
        (
            "UPDATE t SET v = 12 WHERE id = 1",
            "UPDATE t SET v = v + 1 WHERE v < 15",
            "1 rows",
            33,
        ),
        (
            "UPDATE t SET v = 12 WHERE id = 1",
            "DELETE FROM t WHERE id = 1",
            "1 rows",
            20,
        ),
        // All rows, one of them changed meanwhile.
        (
            "UPDATE t SET v = 12 WHERE id = 1",
            "UPDATE t SET v = v + 1",
            "2 rows",
            34,
        ),
    ] {
        let (_server, a, b) = two(ROWS).await;
        a.batch_execute(&format!("BEGIN; {first}")).await.unwrap();
        let waiting = in_background(b, second);
        assert_waits(&waiting).await;
        a.batch_execute("COMMIT").await.unwrap();
        assert_eq!(waiting.await.unwrap().1, outcome, "{first}; {second}");
        let total = number(&a, "SELECT sum(v)::bigint FROM t").await;
        assert_eq!(total, Some(sum), "{first}; {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_wait_for_writers_nor_writers_of_other_rows() {
    let (_server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = 0 WHERE id = 1")
        .await
        .unwrap();
    let quick = tokio::time::timeout(Duration::from_secs(5), async {
        assert_eq!(number(&b, "SELECT v FROM t WHERE id = 1").await, Some(10));
        b.execute("UPDATE t SET v = 21 WHERE id = 2", &[])
            .await
            .unwrap();
        b.execute("INSERT INTO t VALUES (5, 50)", &[])
            .await
            .unwrap();
    });
    quick.await.expect("no wait");
    a.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_broken_at_once_and_a_retry_succeeds() {
    let (server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = v + 1 WHERE id = 1")
        .await
        .unwrap();
    b.batch_execute("BEGIN; UPDATE t SET v = v + 1 WHERE id = 2")
        .await
        .unwrap();
    let waiting = in_background(b, "UPDATE t SET v = v + 1 WHERE id = 1");
    assert_waits(&waiting).await;
    let start = Instant::now();
    let mine = code(a.execute("UPDATE t SET v = v + 1 WHERE id = 2", &[]).await);
    let (b, theirs) = if mine == "40P01" {
        a.batch_execute("ROLLBACK").await.unwrap();
        waiting.await.unwrap()
    } else {
        let (b, theirs) = waiting.await.unwrap();
        a.batch_execute("COMMIT").await.unwrap();
        (b, theirs)
    };
    let mut outcomes = [mine.as_str(), theirs.as_str()];
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["1 rows", "40P01"]);
    if server.engine == crate::common::Engine::Walnut {
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
    }
    b.batch_execute(if theirs == "40P01" {
        "ROLLBACK"
    } else {
        "COMMIT"
    })
    .await
    .unwrap();
    a.batch_execute(
        "BEGIN; UPDATE t SET v = v + 1 WHERE id = 1; UPDATE t SET v = v + 1 WHERE id = 2; COMMIT",
    )
    .await
    .unwrap();
    assert_eq!(number(&a, "SELECT sum(v)::bigint FROM t").await, Some(34));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_a_key_waits_for_the_first_ones_outcome() {
    for (end, outcome) in [("COMMIT", "23505"), ("ROLLBACK", "1 rows")] {
        let (_server, a, b) = two(ROWS).await;
        a.batch_execute("BEGIN; INSERT INTO t VALUES (3, 1)")
            .await
            .unwrap();
        let waiting = in_background(b, "INSERT INTO t VALUES (3, 2)");
        assert_waits(&waiting).await;
        a.batch_execute(end).await.unwrap();
        assert_eq!(waiting.await.unwrap().1, outcome, "after {end}");
    }
    // A key being deleted is free only when that is committed.
    for (end, outcome) in [("COMMIT", "1 rows"), ("ROLLBACK", "23505")] {
        let (_server, a, b) = two(ROWS).await;
        a.batch_execute("BEGIN; DELETE FROM t WHERE id = 1")
            .await
            .unwrap();
        let waiting = in_background(b, "INSERT INTO t VALUES (1, 2)");
        assert_waits(&waiting).await;
        a.batch_execute(end).await.unwrap();
        assert_eq!(waiting.await.unwrap().1, outcome, "after {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_waits_for_the_transactions_that_use_its_table() {
    let (_server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; INSERT INTO t VALUES (3, 30)")
        .await
        .unwrap();
    let waiting = in_background(b, "ALTER TABLE t ADD COLUMN w bigint DEFAULT 5");
    assert_waits(&waiting).await;
    a.batch_execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().1, "0 rows");
    assert_eq!(number(&a, "SELECT sum(w)::bigint FROM t").await, Some(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_no_row_and_no_lock() {
    let (server, a, _b) = two(ROWS).await;
    for reset in [false, true] {
        let mut gone = Raw::session(server.port);
        gone.query("BEGIN; UPDATE t SET v = 1000 WHERE id = 1; INSERT INTO t VALUES (9, 9)")
            .unwrap();
        if reset {
            // Cut off in the middle of a message.
            gone.send(b"Q\0\0\0\x30UPDATE t SET").unwrap();
        }
        drop(gone);
        let quick = tokio::time::timeout(
            Duration::from_secs(10),
            a.execute("UPDATE t SET v = v + 1 WHERE id = 1", &[]),
        );
        assert_eq!(quick.await.expect("the lock is free").unwrap(), 1);
        a.execute("INSERT INTO t VALUES (9, 1)", &[]).await.unwrap();
        a.execute("DELETE FROM t WHERE id = 9", &[]).await.unwrap();
    }
    assert_eq!(number(&a, "SELECT v FROM t WHERE id = 1").await, Some(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_while_it_waits_leaves_no_lock() {
    let (server, a, b) = two(ROWS).await;
    a.batch_execute("BEGIN; UPDATE t SET v = 11 WHERE id = 1")
        .await
        .unwrap();
    let mut gone = Raw::session(server.port);
    gone.send_message(b'Q', b"BEGIN; UPDATE t SET v = 1000 WHERE id = 1\0")
        .unwrap();
    tokio::time::sleep(A_WAIT).await;
    drop(gone);
    tokio::time::sleep(A_WAIT).await;
    a.batch_execute("COMMIT").await.unwrap();
    let quick = tokio::time::timeout(
        Duration::from_secs(10),
        b.execute("UPDATE t SET v = v + 1 WHERE id = 1", &[]),
    );
    assert_eq!(quick.await.expect("the lock is free").unwrap(), 1);
    assert_eq!(number(&a, "SELECT v FROM t WHERE id = 1").await, Some(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_row_counts_every_increment() {
    let (server, a, _b) = two(ROWS).await;
    let server = std::sync::Arc::new(server);
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move {
                let client = server.connect().await;
                let update = client
                    .prepare("UPDATE t SET v = v + 1 WHERE id = 2")
                    .await
                    .unwrap();
                for _ in 0..50 {
                    assert_eq!(client.execute(&update, &[]).await.unwrap(), 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(number(&a, "SELECT v FROM t WHERE id = 2").await, Some(820));
}

/// Eight connections insert and count up three keys in transactions of two upserts each, in the
/// order of the keys, while others delete them: nobody fails, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn upserts_beside_deletions_neither_fail_nor_lose_a_count() {
    const ROUNDS: i64 = 60;
    let server = Server::start();
    let first = server.connect().await;
    let schema = "CREATE TABLE hot (id integer PRIMARY KEY, other integer UNIQUE, n bigint)";
    first.batch_execute(schema).await.unwrap();
    let mut tasks = Vec::new();
    for worker in 0..8_i64 {
        let client = server.connect().await;
        tasks.push(tokio::spawn(async move {
            let upsert = "INSERT INTO hot VALUES ($1, $1, 1) ON CONFLICT (id) \
                          DO UPDATE SET n = hot.n + excluded.n RETURNING n";
            let upsert = client.prepare(upsert).await.unwrap();
            let mut deleted = 0;
            for round in 0..ROUNDS {
                let low = i32::try_from((worker + round) % 2).unwrap();
                client.batch_execute("BEGIN").await.unwrap();
                for id in [low, low + 1] {
                    let row = client.query_one(&upsert, &[&id]).await.unwrap();
                    assert!(row.get::<_, i64>(0) > 0);
                }
                client.batch_execute("COMMIT").await.unwrap();
                if round % 4 == 0 {
                    let delete = "DELETE FROM hot WHERE id = $1 RETURNING n";
                    let gone = client.query(delete, &[&low]).await.unwrap();
                    deleted += gone.iter().map(|row| row.get::<_, i64>(0)).sum::<i64>();
                }
            }
            deleted
        }));
    }
    let mut counted = 0;
    for task in tasks {
        counted += task.await.unwrap();
    }
    let left = number(&first, "SELECT coalesce(sum(n), 0)::bigint FROM hot").await;
    assert_eq!(counted + left.unwrap(), 8 * ROUNDS * 2);
}
