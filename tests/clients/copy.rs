//! COPY through tokio-postgres, small and large.

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use tokio_postgres::Client;

use crate::common::Server;

async fn copy_in(
    client: &Client,
    sql: &str,
    pieces: Vec<Vec<u8>>,
) -> Result<u64, tokio_postgres::Error> {
    let sink = client.copy_in(sql).await?;
    pin_mut!(sink);
    for piece in pieces {
        sink.send(Bytes::from(piece)).await?;
    }
    sink.finish().await
}

async fn copy_out(client: &Client, sql: &str) -> Vec<u8> {
    let stream = client.copy_out(sql).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_copy_goes_in_and_comes_out_the_same() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (id integer PRIMARY KEY, v text, n numeric)")
        .await
        .unwrap();
    let mut text = Vec::new();
    for id in 0..100_000 {
        text.extend_from_slice(format!("{id}\tvalue {id} \\\\ x\t{}.50\n", id / 3).as_bytes());
    }
    // Pieces that end anywhere but at a line's end.
    let pieces = text.chunks(8191).map(<[u8]>::to_vec).collect();
    assert_eq!(
        copy_in(&client, "COPY t FROM STDIN", pieces).await.unwrap(),
        100_000
    );
    let row = client
        .query_one("SELECT count(*), sum(id) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)),
        (100_000, 4_999_950_000)
    );
    assert_eq!(
        copy_out(&client, "COPY (SELECT * FROM t ORDER BY id) TO STDOUT").await,
        text
    );
    let one = client
        .query_one("SELECT v FROM t WHERE id = 77777", &[])
        .await
        .unwrap();
    assert_eq!(one.get::<_, &str>(0), "value 77777 \\ x");

    let csv = copy_out(
        &client,
        "COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT csv)",
    )
    .await;
    client
        .batch_execute("CREATE TABLE u (id integer, v text, n numeric)")
        .await
        .unwrap();
    let pieces = csv.chunks(1 << 20).map(<[u8]>::to_vec).collect();
    let count = copy_in(&client, "COPY u FROM STDIN WITH (FORMAT csv)", pieces)
        .await
        .unwrap();
    assert_eq!(count, 100_000);
    let differ = client
        .query_one(
            "SELECT count(*) FROM t JOIN u ON t.id = u.id WHERE t.v <> u.v OR t.n <> u.n",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(differ.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_megabytes_is_copied_whole() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (id integer, v text)")
        .await
        .unwrap();
    let line = format!("1\t{}\n", "walnut ".repeat(700_000));
    let pieces = line.as_bytes().chunks(65_000).map(<[u8]>::to_vec).collect();
    assert_eq!(
        copy_in(&client, "COPY t FROM STDIN", pieces).await.unwrap(),
        1
    );
    let row = client
        .query_one("SELECT length(v) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 4_900_000);
    assert_eq!(copy_out(&client, "COPY t TO STDOUT").await, line.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_copy_leaves_no_row_and_the_session_lives() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (id integer PRIMARY KEY)")
        .await
        .unwrap();
    let mut text = String::new();
    for id in 0..5000 {
        text += &format!("{id}\n");
    }
    text += "77\n";
    let failed = copy_in(&client, "COPY t FROM STDIN", vec![text.into_bytes()]).await;
    let error = failed.unwrap_err();
    let db = error.as_db_error().unwrap();
    assert_eq!(db.code().code(), "23505");
    assert_eq!(db.where_(), Some("COPY t, line 5001"));
    let row = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    // Given up by the client: CopyFail.
    let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
    {
        pin_mut!(sink);
        sink.send(Bytes::from_static(b"1\n2\n")).await.unwrap();
    }
    let row = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    // In a block, a COPY is part of the transaction.
    client.batch_execute("BEGIN").await.unwrap();
    copy_in(&client, "COPY t FROM STDIN", vec![b"1\n2\n".to_vec()])
        .await
        .unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    let row = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    copy_in(&client, "COPY t FROM STDIN", vec![b"1\n2\n\\.\n".to_vec()])
        .await
        .unwrap();
    let row = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
}
