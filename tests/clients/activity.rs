//! pg_stat_activity: what sessions do, in each other's eyes.

use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::common::Server;

/// The columns of a session, as text; nulls are `-`.
async fn seen(observer: &Client, name: &str, columns: &str) -> Vec<String> {
    let sql = format!("SELECT {columns} FROM pg_stat_activity WHERE application_name = '{name}'");
    let messages = observer.simple_query(&sql).await.unwrap();
    let mut rows = messages.iter().filter_map(|m| match m {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = rows.next().unwrap_or_else(|| panic!("no session {name}"));
    assert!(rows.next().is_none());
    let values = (0..row.len()).map(|i| row.get(i).unwrap_or("-").to_owned());
    values.collect()
}

/// Waits until a session is seen so.
async fn expect(observer: &Client, name: &str, columns: &str, expected: &[&str]) {
    for _ in 0..2000 {
        if seen(observer, name, columns).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen(observer, name, columns).await, expected);
}

async fn session(server: &Server, name: &str) -> Client {
    let client = server.connect().await;
    let set = format!("SET application_name = '{name}'");
    client.batch_execute(&set).await.unwrap();
    client
}

const STATE: &str = "state, wait_event_type, wait_event, query";
const TIMES: &str = "backend_start <= query_start, query_start <= state_change, \
                     xact_start <= query_start, xact_start IS NULL";

#[tokio::test]
async fn sessions_see_what_the_others_do_and_wait_for() {
    let server = Server::start();
    let observer = session(&server, "observer").await;
    let (holder, waiter) = (
        session(&server, "holder").await,
        session(&server, "waiter").await,
    );
    let idle = ["idle", "Client", "ClientRead"];
    let set = "SET application_name = 'waiter'";
    expect(&observer, "waiter", STATE, &[&idle[..], &[set]].concat()).await;
    expect(&observer, "waiter", TIMES, &["t", "t", "-", "t"]).await;

    let make = "CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 0)";
    holder.batch_execute(make).await.unwrap();
    expect(
        &observer,
        "holder",
        "query, query_start < now()",
        &[make, "t"],
    )
    .await;

    holder.batch_execute("BEGIN").await.unwrap();
    let update = "UPDATE t SET n = n + $1 WHERE id = 1";
    holder.execute(update, &[&1]).await.unwrap();
    let in_block = ["idle in transaction", "Client", "ClientRead", update];
    expect(&observer, "holder", STATE, &in_block).await;
    expect(&observer, "holder", TIMES, &["t", "t", "t", "f"]).await;

    let waits = tokio::spawn(async move {
        waiter.execute(update, &[&1]).await.unwrap();
        waiter
    });
    let active = ["active", "Lock", "transactionid", update];
    expect(&observer, "waiter", STATE, &active).await;
    let blocked = "pg_blocking_pids(pid) = (SELECT array_agg(pid) FROM pg_stat_activity \
                   WHERE application_name = 'holder')";
    expect(&observer, "waiter", blocked, &["t"]).await;
    let table = "CREATE INDEX ON t (n)";
    let third = session(&server, "third").await;
    let third = tokio::spawn(async move { third.batch_execute(table).await.unwrap() });
    expect(
        &observer,
        "third",
        STATE,
        &["active", "Lock", "relation", table],
    )
    .await;

    holder.batch_execute("COMMIT").await.unwrap();
    let waiter = waits.await.unwrap();
    third.await.unwrap();
    expect(&observer, "holder", TIMES, &["t", "t", "-", "t"]).await;
    let idle_again = [&idle[..], &[update]].concat();
    expect(&observer, "waiter", STATE, &idle_again).await;

    waiter.batch_execute("BEGIN").await.unwrap();
    waiter.batch_execute("SELECT 1 / 0").await.unwrap_err();
    let failed = "idle in transaction (aborted)";
    expect(&observer, "waiter", "state", &[failed]).await;
}

#[tokio::test]
async fn a_session_sees_itself_and_goes_when_it_ends() {
    let server = Server::start();
    let observer = session(&server, "observer").await;
    let itself = "datname, usename, state, backend_type, pid = pg_backend_pid(), \
                  datid = (SELECT oid FROM pg_database WHERE datname = current_database()), \
                  usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user), \
                  client_addr, client_port > 0, xact_start = now(), xact_start = query_start";
    let expected = [
        "postgres",
        "postgres",
        "active",
        "client backend",
        "t",
        "t",
        "t",
        "127.0.0.1",
        "t",
        "t",
        "t",
    ];
    assert_eq!(seen(&observer, "observer", itself).await, expected);

    // A harness throws out whoever is connected to its database.
    observer
        .batch_execute("CREATE DATABASE other")
        .await
        .unwrap();
    let mut config = server.config();
    config.dbname("other").application_name("guest");
    let (guest, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    guest.batch_execute("SELECT 'é'").await.unwrap();
    expect(
        &observer,
        "guest",
        "datname, query",
        &["other", "SELECT 'é'"],
    )
    .await;
    let count = "SELECT numbackends FROM pg_stat_database WHERE datname = 'other'";
    assert_eq!(
        observer
            .query_one(count, &[])
            .await
            .unwrap()
            .get::<_, i32>(0),
        1
    );
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'other'";
    observer.batch_execute(end).await.unwrap();
    assert!(connection.await.unwrap().is_err());
    observer.batch_execute("DROP DATABASE other").await.unwrap();
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'guest'";
    assert_eq!(
        observer
            .query_one(gone, &[])
            .await
            .unwrap()
            .get::<_, i64>(0),
        0
    );
}
