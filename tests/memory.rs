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
    // The list of databases is read, too.
    assert!(row.get::<_, i64>(1) <= row.get::<_, i64>(2));
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

const ROWS: i32 = 12_000;
const PARTS: i32 = 30;

/// Rows in 3,000 pages, twice what the cache holds, and a cursor that has read one of them.
async fn hold_a_snapshot(server: &Server) -> Client {
    let client = server.connect().await;
    let fill = format!(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, pad text);
         INSERT INTO t SELECT i, 0, repeat('x', 1800) FROM generate_series(1, {ROWS}) AS i"
    );
    client.batch_execute(&fill).await.unwrap();
    let declare = "BEGIN; DECLARE c CURSOR FOR SELECT id, n FROM t; FETCH 1 FROM c";
    client.batch_execute(declare).await.unwrap();
    client
}

/// How often the server has said that old versions fill its memory.
fn warnings(server: &Server) -> usize {
    let log = fs::read_to_string(server.scratch().join("server.log")).unwrap();
    log.matches("old versions of pages take much more memory than shared_buffers")
        .count()
}

/// The bytes of the file, without a name, where the server puts old versions.
fn spilled_bytes(server: &Server) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let spilled = open.filter_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).ok()?;
        let is_spill = target.to_string_lossy().ends_with("data.old (deleted)");
        is_spill.then(|| fs::metadata(&path).unwrap().len())
    });
    spilled.sum()
}

/// Updates all rows, a part of them in each transaction.
async fn update(client: &Client, times: u32) {
    for _ in 0..times {
        for part in 0..PARTS {
            let sql = format!("UPDATE t SET n = n + 1 WHERE id % {PARTS} = {part}");
            client.batch_execute(&sql).await.unwrap();
        }
        client.batch_execute("CHECKPOINT").await.unwrap();
    }
}

/// What a snapshot needs stays, though the cache holds a fraction of that: one version of each page
/// goes to a file, not all since, and the file goes away with the snapshot.
#[tokio::test]
async fn a_snapshot_held_for_long_keeps_one_version_of_each_page_and_no_memory() {
    let mut server = Server::start_with(&["shared_buffers=40MB"]);
    let holder = hold_a_snapshot(&server).await;
    let client = server.connect().await;
    update(&client, 1).await;
    let after_one = spilled_bytes(&server);
    update(&client, 5).await;
    let after_many = spilled_bytes(&server);
    // A few pages beside those of the rows, and some whose versions are still in memory.
    let all = 8192 * 3_000;
    assert!(after_one > all / 2, "{after_one}");
    assert!(after_many < all / 10 * 11, "{after_one}, then {after_many}");
    assert_eq!(warnings(&server), 0, "{}", server.log_tail());

    // What the cursor still has to read is as it was when it was opened.
    let rest = holder.query("FETCH ALL FROM c", &[]).await.unwrap();
    assert_eq!(rest.len(), usize::try_from(ROWS - 1).unwrap());
    assert!(rest.iter().all(|row| row.get::<_, i32>(1) == 0));
    holder.batch_execute("COMMIT").await.unwrap();

    update(&client, 1).await;
    assert_eq!(spilled_bytes(&server), 0);
    // The table does not fit: its pages left memory and came back.
    let io = "SELECT evictions, reads FROM pg_stat_io WHERE backend_type = 'client backend'";
    let row = client.query_one(io, &[]).await.unwrap();
    let (evictions, reads): (i64, i64) = (row.get(0), row.get(1));
    assert!(evictions > 3_000 && reads > 3_000, "{evictions}, {reads}");
    let row = client.query_one("SELECT sum(n), walnut_check() FROM t", &[]);
    let row = row.await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 7 * i64::from(ROWS));
    assert_eq!(row.get::<_, i64>(1), i64::from(ROWS));
    assert_eq!(server.stop(), Some(0));
}
