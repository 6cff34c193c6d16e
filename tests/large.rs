//! Transactions larger than the memory they may have.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use common::Server;
use futures_util::SinkExt;
use tokio_postgres::{Client, Error};

/// What a transaction may have: less than a load of `ROWS` and its locks would take in memory.
const MEMORY: &str = "max_transaction_memory=40MB";
const ROWS: i64 = 100_000;

fn server(memory: &str) -> Server {
    let mut server = Server::prepare(&[], &["-c", memory, "-c", "shared_buffers=16MB"]);
    server.try_run().map_err(|refused| refused.output).unwrap();
    server
}

/// Rows `first..first + ROWS`, the keys in a scattered order.
async fn copy(client: &Client, first: i64) -> Result<u64, Error> {
    let sink = client
        .copy_in::<_, bytes::Bytes>("COPY t FROM STDIN")
        .await?;
    tokio::pin!(sink);
    let mut lines = String::new();
    for i in 0..ROWS {
        // 7919 is a prime that does not divide ROWS.
        let id = first + i * 7919 % ROWS;
        lines.push_str(&format!("{id}\t{}\trow number {id}\n", id % 1000));
        if lines.len() > 60_000 {
            sink.send(std::mem::take(&mut lines).into()).await?;
        }
    }
    sink.send(lines.into()).await?;
    sink.finish().await
}

async fn numbers(client: &Client, sql: &str) -> Vec<i64> {
    let row = client.query_one(sql, &[]).await.unwrap();
    (0..row.len()).map(|i| row.get(i)).collect()
}

const CREATE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, v bigint, pad text);
                      CREATE INDEX t_v ON t (v)";
const LOOK: &str =
    "SELECT count(*), coalesce(sum(id), 0)::bigint, count(DISTINCT v), walnut_check() FROM t";
/// What `LOOK` gives after one load from 0.
const LOADED: [i64; 4] = [ROWS, ROWS * (ROWS - 1) / 2, 1000, ROWS];

#[tokio::test]
async fn a_load_larger_than_its_memory_is_there_after_a_kill_and_can_be_changed() {
    let mut server = server(MEMORY);
    let client = server.connect().await;
    client.batch_execute(CREATE).await.unwrap();
    assert_eq!(copy(&client, 0).await.unwrap(), ROWS.cast_unsigned());
    assert_eq!(numbers(&client, LOOK).await, LOADED);
    drop(client);
    server.kill();
    server.restart();
    let client = server.connect().await;
    assert_eq!(numbers(&client, LOOK).await, LOADED);
    let found = "SELECT count(*), min(id), max(id) FROM t WHERE v = 77";
    assert_eq!(numbers(&client, found).await, [ROWS / 1000, 77, ROWS - 923]);
    // Pages that were stored before their commit change like all others, across a checkpoint.
    for sql in [
        "UPDATE t SET v = -1 WHERE v = 5",
        "CHECKPOINT",
        "DELETE FROM t WHERE v = 6",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    drop(client);
    server.kill();
    server.restart();
    let client = server.connect().await;
    let changed = "SELECT count(*), sum(v)::bigint, walnut_check() FROM t WHERE v IN (-1, 5, 6)";
    let left = ROWS - ROWS / 1000;
    assert_eq!(
        numbers(&client, changed).await,
        [ROWS / 1000, -ROWS / 1000, left]
    );
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_load_sees_its_own_rows_and_a_later_one_goes_behind_them() {
    let mut server = server(MEMORY);
    let client = server.connect().await;
    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute(CREATE).await.unwrap();
    copy(&client, 0).await.unwrap();
    assert_eq!(
        numbers(&client, "SELECT count(*), sum(id)::bigint FROM t").await,
        LOADED[..2]
    );
    let by_key = "SELECT id, v FROM t WHERE id IN (0, 98765, 99999, 100000) ORDER BY id DESC";
    let rows = client.query(by_key, &[]).await.unwrap();
    let rows: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(99_999, 999), (98_765, 765), (0, 0)]);
    client.batch_execute("ROLLBACK").await.unwrap();

    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute(CREATE).await.unwrap();
    copy(&client, 0).await.unwrap();
    client
        .batch_execute("UPDATE t SET v = 5000 WHERE id < 100")
        .await
        .unwrap();
    client
        .batch_execute("DELETE FROM t WHERE id >= 99900")
        .await
        .unwrap();
    let changed = "SELECT count(*), max(v), max(id) FROM t";
    assert_eq!(numbers(&client, changed).await, [ROWS - 100, 5000, 99_899]);
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(numbers(&client, changed).await, [ROWS - 100, 5000, 99_899]);

    // Behind what is there: the row ids are, and so are the keys of one index.
    copy(&client, ROWS).await.unwrap();
    let both = "SELECT count(*), max(id), walnut_check() FROM t";
    let rows = 2 * ROWS - 100;
    assert_eq!(numbers(&client, both).await, [rows, 2 * ROWS - 1, rows]);
    let error = copy(&client, ROWS).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "23505", "{error}");
    assert_eq!(numbers(&client, both).await, [rows, 2 * ROWS - 1, rows]);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn of_two_loads_side_by_side_the_later_one_mingles_its_rows_with_the_others() {
    let mut server = server(MEMORY);
    let (one, two) = (server.connect().await, server.connect().await);
    one.batch_execute("CREATE TABLE t (id bigint)")
        .await
        .unwrap();
    let insert = |first: i64| {
        let last = first + 19_999;
        format!("INSERT INTO t SELECT generate_series({first}, {last})")
    };
    for client in [&one, &two] {
        client.batch_execute("BEGIN").await.unwrap();
    }
    for part in 0..3 {
        one.batch_execute(&insert(part * 40_000)).await.unwrap();
        two.batch_execute(&insert(part * 40_000 + 20_000))
            .await
            .unwrap();
    }
    for client in [&one, &two] {
        client.batch_execute("COMMIT").await.unwrap();
    }
    let found = "SELECT count(*), count(DISTINCT id), max(id), walnut_check() FROM t";
    assert_eq!(
        numbers(&one, found).await,
        [120_000, 120_000, 119_999, 120_000]
    );
    drop((one, two));
    server.kill();
    server.restart();
    let client = server.connect().await;
    assert_eq!(
        numbers(&client, found).await,
        [120_000, 120_000, 119_999, 120_000]
    );
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_load_that_is_rolled_back_or_killed_leaves_nothing_and_gives_its_space_back() {
    let mut server = server(MEMORY);
    let client = server.connect().await;
    client.batch_execute(CREATE).await.unwrap();
    let file_bytes = |server: &Server| {
        let data = server.data().join("data");
        std::fs::metadata(data).unwrap().len()
    };
    for round in 0..4 {
        client.batch_execute("BEGIN").await.unwrap();
        copy(&client, 0).await.unwrap();
        client.batch_execute("ROLLBACK").await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        if round == 0 {
            assert_eq!(numbers(&client, LOOK).await, [0; 4]);
        }
    }
    let after = file_bytes(&server);
    client.batch_execute("BEGIN").await.unwrap();
    copy(&client, 0).await.unwrap();
    server.kill();
    server.restart();
    let client = server.connect().await;
    assert_eq!(
        numbers(&client, "SELECT count(*), walnut_check() FROM t").await,
        [0, 0]
    );
    // Loads that take the place of others take their space, in the file and among page numbers.
    let mut sizes = Vec::new();
    for _ in 0..6 {
        client.batch_execute("TRUNCATE t").await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        copy(&client, 0).await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        let pages = numbers(&client, "SELECT pg_database_size(current_database())").await[0];
        sizes.push((file_bytes(&server), pages));
    }
    let limit = (sizes[1].0 * 11 / 10, sizes[1].1 * 11 / 10);
    let is_within = |size: &&(u64, i64)| size.0 <= limit.0 && size.1 <= limit.1;
    assert!(
        sizes.last().is_some_and(|size| is_within(&size)),
        "{sizes:?}"
    );
    assert!(file_bytes(&server) <= 4 * after, "{sizes:?} after {after}");
    assert_eq!(numbers(&client, LOOK).await, LOADED);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn an_index_larger_than_memory_is_built_of_runs_and_finds_duplicates_between_them() {
    let mut server = server("max_transaction_memory=2MB");
    let client = server.connect().await;
    let create = "CREATE TABLE t (id bigint, v bigint, pad text)";
    client.batch_execute(create).await.unwrap();
    copy(&client, 0).await.unwrap();
    for sql in [
        "CREATE INDEX t_v ON t (v)",
        "CREATE UNIQUE INDEX t_pad ON t (pad DESC)",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    assert_eq!(numbers(&client, LOOK).await, LOADED);
    // The last row has the key of the first.
    let again = "INSERT INTO t SELECT 100000, v, pad FROM t WHERE id = 0";
    client.batch_execute("DROP INDEX t_pad").await.unwrap();
    client.batch_execute(again).await.unwrap();
    let unique = "CREATE UNIQUE INDEX t_pad ON t (pad)";
    let error = client.batch_execute(unique).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "23505");
    assert_eq!(error.message(), "could not create unique index \"t_pad\"");
    assert_eq!(
        error.detail(),
        Some("Key (pad)=(row number 0) is duplicated.")
    );
    assert_eq!(numbers(&client, "SELECT walnut_check()").await, [ROWS + 1]);
    assert_eq!(server.stop(), Some(0));
}
