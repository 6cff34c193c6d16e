//! The process: signals, one server per directory, ports.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::{Engine, Server, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_sigint_end_it_with_code_0_and_nothing_is_lost() {
    let mut server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (n integer)")
        .await
        .unwrap();
    for (n, signal) in [(1, Signal::TERM), (2, Signal::INT)] {
        let client = server.connect().await;
        client
            .execute(&format!("INSERT INTO t VALUES ({n})"), &[])
            .await
            .unwrap();
        // A session in the middle of a transaction does not keep it from stopping.
        if server.engine == Engine::Walnut {
            client
                .batch_execute("BEGIN; INSERT INTO t VALUES (99)")
                .await
                .unwrap();
        }
        let start = Instant::now();
        if server.engine == Engine::Postgres {
            drop(client);
            server.signal(Signal::INT);
        } else {
            server.signal(signal);
        }
        assert_eq!(server.wait_exit(), Some(0));
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        server.restart();
        let client = server.connect().await;
        let row = client
            .query_one("SELECT count(*), max(n) FROM t", &[])
            .await
            .unwrap();
        assert_eq!(
            (row.get::<_, i64>(0), row.get::<_, i32>(1)),
            (i64::from(n), n)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_directory_is_refused() {
    let mut server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (n integer)")
        .await
        .unwrap();
    let refused = server.start_refused(&server.data(), free_port());
    assert_ne!(refused.code, Some(0), "{}", refused.output);
    if server.engine == Engine::Walnut {
        assert_eq!(
            refused.code,
            Some(1),
            "an error, not a panic: {}",
            refused.output
        );
        let data = server.data();
        assert!(
            refused.output.contains(data.to_str().unwrap()),
            "{}",
            refused.output
        );
    }
    assert!(server.is_running());
    client
        .execute("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap();
    // After kill -9 nothing stale is in the way.
    server.kill();
    server.restart();
    let row = server
        .connect()
        .await
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let server = Server::start();
    if server.engine == Engine::Postgres {
        return;
    }
    let port = free_port();
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let other = server.scratch().join("other");
    let refused = server.start_refused(&other, port);
    assert_eq!(
        refused.code,
        Some(1),
        "an error, not a panic: {}",
        refused.output
    );
    assert!(
        refused.output.contains(&port.to_string()),
        "{}",
        refused.output
    );
    assert!(
        refused.output.to_lowercase().contains("in use"),
        "{}",
        refused.output
    );
}

#[test]
fn it_says_how_to_connect_and_what_recovery_found() {
    let mut server = Server::start();
    if server.engine == Engine::Postgres {
        return;
    }
    let log = server.log_tail();
    assert!(log.contains(&server.port.to_string()), "{log}");
    assert!(log.contains("psql"), "{log}");
    server.kill();
    server.restart();
    let log = server.log_tail().to_lowercase();
    assert!(log.contains("recover"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_command_line_hold_for_all_sessions() {
    let given = ["fsync=off", "wal_segment_size=2MB", "statement_timeout=7s"];
    let arguments: Vec<&str> = given.iter().flat_map(|g| ["-c", g]).collect();
    let mut server = Server::prepare(&[], &arguments);
    server.restart();
    let client = server.connect().await;
    let show = async |name: &str| {
        let row = client.query_one(&format!("SHOW {name}"), &[]).await;
        row.unwrap().get::<_, String>(0)
    };
    assert_eq!(show("fsync").await, "off");
    assert_eq!(show("wal_segment_size").await, "2MB");
    assert_eq!(show("statement_timeout").await, "7s");
    assert!(server.log_tail().contains("fsync is off"));
    let segments = std::fs::read_dir(server.data().join("wal")).unwrap();
    let sizes = segments.map(|s| s.unwrap().metadata().unwrap().len());
    assert!(sizes.max() == Some(2 << 20));
    for (change, why) in [
        ("SET fsync = on", "cannot be changed now"),
        ("SET wal_segment_size = '1MB'", "cannot be changed"),
    ] {
        let refused = client.batch_execute(change).await.unwrap_err();
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.code().code(), "55P02");
        assert!(refused.message().contains(why), "{}", refused.message());
    }
    for setting in ["nope=1", "fsync=perhaps", "port=1", "server_version=9"] {
        server.arguments = vec!["-c".to_owned(), setting.to_owned()];
        let refused = server.start_refused(&server.data(), free_port());
        assert_eq!(refused.code, Some(1), "{setting}: {}", refused.output);
    }
}
