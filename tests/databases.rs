//! Databases over real connections: clones that go their own ways, kills in between, and the
//! programs that come with PostgreSQL.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Server, run, run_ok, skip, text, tool};
use rand::RngExt;
use tokio_postgres::{Client, Error, NoTls};

async fn try_connect(server: &Server, database: &str) -> Result<Client, Error> {
    let mut config = server.config();
    let (client, connection) = config.dbname(database).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn connect(server: &Server, database: &str) -> Client {
    try_connect(server, database).await.unwrap()
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// SQLSTATE and message, or "done".
fn outcome(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(error) => match error.as_db_error() {
            Some(e) => {
                let detail = e.detail().map(|d| format!(" ({d})")).unwrap_or_default();
                format!("{}: {}{detail}", e.code().code(), e.message())
            }
            None => error.to_string(),
        },
    }
}

async fn run_sql(client: &Client, sql: &str) -> String {
    outcome(client.batch_execute(sql).await)
}

fn check_directory(data: &Path) {
    let mut check = Command::new(env!("CARGO_BIN_EXE_walnut"));
    check.arg("check").arg("--data").arg(data);
    let out = run(&mut check, "", Duration::from_secs(120));
    assert!(out.status.success(), "{}", text(&out));
}

const TEMPLATE_ROWS: i64 = 5000;

async fn make_template(server: &Server) {
    let postgres = server.connect().await;
    postgres
        .batch_execute("CREATE DATABASE base")
        .await
        .unwrap();
    let base = connect(server, "base").await;
    base.batch_execute(&format!(
        "CREATE TABLE t (id bigint PRIMARY KEY, v text);
         INSERT INTO t SELECT n, 'from the template ' || n FROM generate_series(1, {TEMPLATE_ROWS}) n"
    ))
    .await
    .unwrap();
}

/// What clone `n` does beyond its template.
async fn diverge(server: &Server, n: i64) {
    let clone = connect(server, &format!("clone_{n}")).await;
    let insert = format!("INSERT INTO own SELECT g, {n} FROM generate_series(1, {n}) g");
    let delete = format!("DELETE FROM t WHERE id % 100 = {}", n % 100);
    let statements = [
        "CREATE TABLE own (id bigint PRIMARY KEY, n bigint)",
        &insert,
        &delete,
    ];
    for statement in statements {
        clone.batch_execute(statement).await.unwrap();
    }
}

async fn check_clone(server: &Server, n: i64) {
    let clone = connect(server, &format!("clone_{n}")).await;
    let own = number(&clone, &format!("SELECT count(*) FROM own WHERE n = {n}")).await;
    assert_eq!(own, n, "clone {n}");
    let left = TEMPLATE_ROWS - TEMPLATE_ROWS / 100;
    assert_eq!(number(&clone, "SELECT count(*) FROM t").await, left);
    let gone = format!("SELECT count(*) FROM t WHERE id % 100 = {}", n % 100);
    assert_eq!(number(&clone, &gone).await, 0);
}

/// With less memory than they need and checkpoints all the time, and two kills.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clones_go_their_own_ways_through_kills() {
    const CLONES: i64 = 100;
    let mut server = Server::start_small();
    make_template(&server).await;
    let kills = [
        rand::rng().random_range(1..CLONES / 2),
        rand::rng().random_range(CLONES / 2..CLONES),
    ];
    println!("killed after {kills:?}");
    let mut postgres = server.connect().await;
    for n in 1..=CLONES {
        postgres
            .batch_execute(&format!("CREATE DATABASE clone_{n} TEMPLATE base"))
            .await
            .unwrap();
        diverge(&server, n).await;
        if kills.contains(&n) {
            server.kill();
            server.restart();
            postgres = server.connect().await;
        }
    }
    server.kill();
    server.restart();
    for n in 1..=CLONES {
        check_clone(&server, n).await;
    }
    let base = connect(&server, "base").await;
    assert_eq!(number(&base, "SELECT count(*) FROM t").await, TEMPLATE_ROWS);
    drop(base);
    let postgres = server.connect().await;
    let rows = CLONES * (CLONES + 1) / 2 + (CLONES * 99 / 100 + 1) * TEMPLATE_ROWS;
    assert_eq!(number(&postgres, "SELECT walnut_check()").await, rows);
    for n in (1..=CLONES).filter(|n| n % 2 == 0) {
        let drop = format!("DROP DATABASE clone_{n}");
        postgres.batch_execute(&drop).await.unwrap();
    }
    postgres.batch_execute("CHECKPOINT").await.unwrap();
    check_clone(&server, 1).await;
    check_clone(&server, CLONES - 1).await;
    server.stop();
    check_directory(&server.data());
}

/// As parallel tests do: a database each, used and dropped, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn databases_that_come_and_go_side_by_side_leave_nothing_behind() {
    let mut server = Server::start_small();
    make_template(&server).await;
    let mut bytes = Vec::new();
    for round in 0..4 {
        let workers = (0..4).map(|worker| work(&server, worker, round));
        futures_join(workers).await;
        let postgres = server.connect().await;
        postgres.batch_execute("CHECKPOINT").await.unwrap();
        let count = "SELECT count(*) FROM pg_database";
        assert_eq!(number(&postgres, count).await, 4);
        bytes.push(std::fs::metadata(server.data().join("data")).unwrap().len());
    }
    // It may hold what changes between two checkpoints twice: the first round need not have seen
    // the most of it.
    assert!(
        bytes[3] <= bytes[1] + bytes[1] / 4,
        "the file grows: {bytes:?}"
    );
    server.stop();
    check_directory(&server.data());
}

/// Runs futures on this task, all of them until each is done.
async fn futures_join<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        match futures.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

async fn work(server: &Server, worker: i64, round: i64) {
    let postgres = server.connect().await;
    for n in 0..8 {
        let name = format!("test_{worker}_{round}_{n}");
        let create = format!("CREATE DATABASE {name} TEMPLATE base");
        assert_eq!(run_sql(&postgres, &create).await, "done");
        let own = connect(server, &name).await;
        let update = "UPDATE t SET v = v || '!' WHERE id % 50 = 0";
        assert_eq!(own.execute(update, &[]).await.unwrap(), 100);
        assert_eq!(number(&own, "SELECT count(*) FROM t").await, TEMPLATE_ROWS);
        drop(own);
        // The session just left may take a moment to go.
        let drop = format!("DROP DATABASE {name}");
        assert_eq!(run_sql(&postgres, &drop).await, "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_connected_keeps_a_database_unless_forced_out() {
    let server = Server::start();
    let postgres = server.connect().await;
    for sql in ["CREATE DATABASE one", "CREATE DATABASE two TEMPLATE one"] {
        assert_eq!(run_sql(&postgres, sql).await, "done");
    }
    let one = connect(&server, "one").await;
    let also_one = connect(&server, "one").await;
    for (sql, expected) in [
        (
            "CREATE DATABASE three TEMPLATE one",
            "55006: source database \"one\" is being accessed by other users \
             (There are 2 other sessions using the database.)",
        ),
        (
            "DROP DATABASE one",
            "55006: database \"one\" is being accessed by other users \
             (There are 2 other sessions using the database.)",
        ),
        (
            "DROP DATABASE postgres",
            "55006: cannot drop the currently open database",
        ),
        (
            "DROP DATABASE template1",
            "42809: cannot drop a template database",
        ),
        (
            "CREATE DATABASE two",
            "42P04: database \"two\" already exists",
        ),
        (
            "DROP DATABASE three",
            "3D000: database \"three\" does not exist",
        ),
        (
            "BEGIN; CREATE DATABASE three",
            "25001: CREATE DATABASE cannot run inside a transaction block",
        ),
    ] {
        assert_eq!(run_sql(&postgres, sql).await, expected);
        postgres.batch_execute("ROLLBACK").await.unwrap();
    }
    // One's own connection does not count.
    drop(also_one);
    assert_eq!(
        run_sql(&one, "CREATE DATABASE three TEMPLATE one").await,
        "done"
    );

    // One is idle in a transaction, one waits for its lock.
    let rows = "CREATE TABLE t (a integer PRIMARY KEY); INSERT INTO t VALUES (1)";
    assert_eq!(run_sql(&one, rows).await, "done");
    assert_eq!(run_sql(&one, "BEGIN; DELETE FROM t").await, "done");
    let waiting = connect(&server, "one").await;
    let waiting = tokio::spawn(async move { run_sql(&waiting, "DELETE FROM t").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    assert_eq!(
        run_sql(&postgres, "DROP DATABASE one WITH (FORCE)").await,
        "done"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        waiting.await.unwrap(),
        "57P01: terminating connection due to administrator command"
    );
    assert!(one.batch_execute("SELECT 1").await.is_err());
    for (name, expected) in [
        ("one", "3D000: database \"one\" does not exist"),
        (
            "template0",
            "55000: database \"template0\" is not currently accepting connections",
        ),
    ] {
        let error = try_connect(&server, name).await.err().unwrap();
        assert_eq!(outcome(Err(error)), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogs_name_the_database_one_is_in() {
    let server = Server::start();
    let postgres = server.connect().await;
    postgres
        .batch_execute("CREATE DATABASE \"Mine\" CONNECTION LIMIT 7")
        .await
        .unwrap();
    let mine = connect(&server, "Mine").await;
    mine.batch_execute("CREATE TABLE t (a integer)")
        .await
        .unwrap();
    for sql in [
        "SELECT current_database()::text",
        "SELECT table_catalog::text FROM information_schema.tables WHERE table_name = 't'",
        "SELECT datname::text FROM pg_database WHERE datconnlimit = 7",
    ] {
        let row = mine.query_one(sql, &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "Mine", "{sql}");
    }
    let there = "SELECT count(*) FROM pg_class WHERE relname = 't'";
    assert_eq!(number(&mine, there).await, 1);
    assert_eq!(number(&postgres, there).await, 0);
    drop(mine);
    let rename = "ALTER DATABASE \"Mine\" RENAME TO yours";
    assert_eq!(run_sql(&postgres, rename).await, "done");
    let yours = connect(&server, "yours").await;
    assert_eq!(number(&yours, there).await, 1);
}

#[test]
fn createdb_dropdb_and_psql_find_their_databases() {
    let (Some(createdb), Some(dropdb), Some(psql)) =
        (tool("createdb"), tool("dropdb"), tool("psql"))
    else {
        return skip("createdb, dropdb or psql is not installed");
    };
    let server = Server::start();
    let mut create = server.libpq(&createdb);
    create.args(["-E", "UTF8", "-l", "C.UTF-8", "-T", "template0", "shop"]);
    run_ok(&mut create, "");
    let mut create = server.libpq(&createdb);
    run_ok(create.args(["-T", "shop", "shop two"]), "");
    let script = "\\c \"shop two\"\nSELECT current_database();\n\\c shop\n\
                  SELECT current_database();\n\\l\n";
    let mut session = server.libpq(&psql);
    let shown = run_ok(session.args(["-X", "-A", "-t", "postgres"]), script);
    for line in ["shop two", "shop"] {
        assert!(shown.lines().any(|l| l == line), "{shown}");
    }
    for name in [
        "postgres|",
        "shop|",
        "shop two|",
        "template0|",
        "template1|",
    ] {
        assert!(
            shown.lines().any(|l| l.starts_with(name)),
            "{name} in {shown}"
        );
    }
    run_ok(server.libpq(&dropdb).arg("shop two"), "");
    run_ok(server.libpq(&dropdb).args(["--force", "shop"]), "");
    run_ok(server.libpq(&dropdb).args(["--if-exists", "shop"]), "");
}
