//! What the cache counts, and that it stays small whatever sessions do.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::Server;
use tokio_postgres::Client;

/// Reads that found their page in memory, and those that had to load it.
async fn reads(client: &Client) -> (i64, i64) {
    let sql = "SELECT blks_hit, blks_read, buffers_alloc FROM pg_stat_database, pg_stat_bgwriter
               WHERE datname = current_database()";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(1), row.get::<_, i64>(2));
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn reads_from_memory_and_from_the_data_file_are_counted() {
    let mut server = Server::start();
    let client = server.connect().await;
    let fill = "CREATE TABLE t (id integer PRIMARY KEY, pad text);
                INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) AS i";
    client.batch_execute(fill).await.unwrap();
    drop(client);
    assert_eq!(server.stop(), Some(0));
    server.restart();
    let client = server.connect().await;
    let all = "SELECT sum(length(pad)) FROM t";
    let before = reads(&client).await;
    client.batch_execute(all).await.unwrap();
    let cold = reads(&client).await;
    client.batch_execute(all).await.unwrap();
    let warm = reads(&client).await;
    // 2.5 MB of rows are 300 pages and a few more.
    let loaded = cold.1 - before.1;
    assert!((300..450).contains(&loaded), "{loaded}");
    assert_eq!(warm.1, cold.1, "all of it is in memory by now");
    assert!(warm.0 - cold.0 >= loaded, "{warm:?} after {cold:?}");
}

const ROWS: i32 = 600;

/// Rows in 300 pages or more, and a cursor that has read one of them.
async fn hold_a_snapshot(server: &Server) -> Client {
    let client = server.connect().await;
    let fill = "CREATE TABLE t (id integer PRIMARY KEY, n integer, pad text);
                INSERT INTO t SELECT i, 0, repeat('x', 3800) FROM generate_series(1, 600) AS i";
    client.batch_execute(fill).await.unwrap();
    let declare = "BEGIN; DECLARE c CURSOR FOR SELECT id, n FROM t; FETCH 1 FROM c";
    client.batch_execute(declare).await.unwrap();
    client
}

const WARNING: &str = "old versions of pages take much more memory than shared_buffers: ";

/// How many pages the server said were in memory after each of its last checkpoints.
fn warnings(server: &Server) -> Vec<u64> {
    let log = fs::read_to_string(server.scratch().join("server.log")).unwrap();
    let after = log.split(WARNING).skip(1);
    after
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect()
}

async fn update(client: &Client, times: u32) {
    for _ in 0..times {
        let sql = "UPDATE t SET n = n + 1";
        client.batch_execute(sql).await.unwrap();
    }
    client.batch_execute("CHECKPOINT").await.unwrap();
}

/// What a snapshot needs cannot leave memory, though the cache should hold a fraction of that. It
/// is one version of each page, not all since; nobody waits for room that never comes; and it goes
/// away with the snapshot.
#[tokio::test]
async fn a_snapshot_held_for_long_keeps_one_version_of_each_page_and_stops_nobody() {
    let mut server = Server::start_small();
    let holder = hold_a_snapshot(&server).await;
    let client = server.connect().await;
    update(&client, 5).await;
    let after_few = *warnings(&server).last().expect("a warning");
    update(&client, 300).await;
    let after_many = *warnings(&server).last().expect("a warning");
    // The pages have one or two versions more than the snapshot's, depending on the moment.
    assert!(after_many < 3 * after_few, "{after_few}, then {after_many}");
    assert!(after_many < 3000, "{after_many}");

    // What the cursor still has to read is as it was when it was opened.
    let rest = holder.query("FETCH ALL FROM c", &[]).await.unwrap();
    assert_eq!(rest.len(), usize::try_from(ROWS - 1).unwrap());
    assert!(rest.iter().all(|row| row.get::<_, i32>(1) == 0));
    holder.batch_execute("COMMIT").await.unwrap();

    update(&client, 2).await;
    let so_far = warnings(&server).len();
    update(&client, 1).await;
    assert_eq!(warnings(&server).len(), so_far, "{}", server.log_tail());
    let row = client.query_one("SELECT sum(n), walnut_check() FROM t", &[]);
    let row = row.await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 308 * i64::from(ROWS));
    assert_eq!(row.get::<_, i64>(1), i64::from(ROWS));
    assert_eq!(server.stop(), Some(0));
}
