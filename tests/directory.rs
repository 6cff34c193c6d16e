//! The data directory: who may use it, what refuses it, and how a server leaves it when asked to.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Server, skip, tool};
use rustix::process::Signal;
use tokio_postgres::Client;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// All below a directory, it itself first.
fn tree(path: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        entries.for_each(|entry| all.extend(tree(&entry.unwrap().path())));
    }
    all
}

#[tokio::test]
async fn all_that_a_server_makes_is_for_its_user_alone() {
    let mut server = Server::prepare(&[], &["-c", "wal_segment_size=1MB"]);
    // An empty directory that is there already becomes private, as initdb makes it.
    fs::create_dir(server.data()).unwrap();
    set_mode(&server.data(), 0o755);
    server.restart();
    let client = server.connect().await;
    let fill = "CREATE TABLE t (n integer, pad text);
                INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) AS i;
                CHECKPOINT";
    client.batch_execute(fill).await.unwrap();
    let files: Vec<_> = tree(&server.data())
        .into_iter()
        .filter(|path| !path.to_str().unwrap().contains(".s.PGSQL"))
        .collect();
    assert!(files.len() > 6, "{files:?}");
    for path in files {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[tokio::test]
async fn a_directory_that_others_may_read_or_write_is_refused() {
    let mut server = Server::start();
    assert_eq!(server.stop(), Some(0));
    for open in [0o755, 0o770, 0o701] {
        set_mode(&server.data(), open);
        let refused = server.try_run().err().unwrap();
        assert_eq!(refused.code, Some(1));
        assert!(refused.output.contains("chmod 0700"), "{}", refused.output);
    }
    // As in PostgreSQL the group may look.
    set_mode(&server.data(), 0o750);
    server.restart();
}

/// A server of a user without rights of its own.
#[tokio::test]
async fn a_directory_in_which_the_server_may_not_write_is_refused_with_what_to_do() {
    let (Some(setpriv), true) = (tool("setpriv"), rustix::process::getuid().is_root()) else {
        return skip("setpriv is not installed, or no right to use it");
    };
    let mut server = Server::start();
    assert_eq!(server.stop(), Some(0));
    set_mode(server.scratch(), 0o755);
    let setpriv = setpriv.to_str().unwrap().to_owned();
    server.wrap(&[&setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]);
    let refused = server.try_run().err().unwrap();
    assert_eq!(refused.code, Some(1));
    for part in ["Permission denied", "owner of the data directory", "data\""] {
        assert!(refused.output.contains(part), "{}", refused.output);
    }
    server.wrap(&[]);
    server.restart();
}

#[tokio::test]
async fn a_read_only_file_system_is_refused_with_what_to_do() {
    let mut server = Server::start();
    assert_eq!(server.stop(), Some(0));
    let data = server.data();
    let mount = |arguments: &[&str]| {
        let mut command = Command::new("mount");
        command.args(arguments).arg(&data);
        command.status().is_ok_and(|status| status.success())
    };
    if !mount(&["--bind", data.to_str().unwrap()]) {
        eprintln!("skipped: no right to mount a file system");
        return;
    }
    assert!(mount(&["-o", "remount,ro,bind"]));
    let refused = server.try_run().err();
    let unmounted = Command::new("umount").arg(&data).status().unwrap();
    assert!(unmounted.success());
    let refused = refused.unwrap();
    assert_eq!(refused.code, Some(1));
    for part in ["Read-only file system", "mount the file system for writing"] {
        assert!(refused.output.contains(part), "{}", refused.output);
    }
    server.restart();
}

#[tokio::test]
async fn a_newer_format_is_refused_with_what_to_do() {
    let mut server = Server::start();
    assert_eq!(server.stop(), Some(0));
    let control = server.data().join("control");
    let sound = fs::read(&control).unwrap();
    let mut newer = sound.clone();
    newer[8] += 1;
    fs::write(&control, newer).unwrap();
    let refused = server.try_run().err().unwrap();
    assert_eq!(refused.code, Some(1));
    for part in ["says format", "Use the version of Walnut that wrote"] {
        assert!(refused.output.contains(part), "{}", refused.output);
    }
    fs::write(&control, sound).unwrap();
    server.restart();
}

#[tokio::test]
async fn a_data_file_of_an_older_checkpoint_is_refused_when_the_log_behind_it_is_gone() {
    let settings = ["-c", "wal_segment_size=1MB", "-c", "max_wal_size=2MB"];
    let mut server = Server::prepare(&[], &settings);
    server.restart();
    let client = server.connect().await;
    let fill = "CREATE TABLE t (n integer, pad text)";
    client.batch_execute(fill).await.unwrap();
    drop(client);
    assert_eq!(server.stop(), Some(0));
    let data = server.data().join("data");
    let older = fs::read(&data).unwrap();
    server.restart();
    let client = server.connect().await;
    for _ in 0..4 {
        let insert = "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 5000) AS i;
                      CHECKPOINT";
        client.batch_execute(insert).await.unwrap();
    }
    drop(client);
    assert_eq!(server.stop(), Some(0));
    let newest = fs::read(&data).unwrap();
    fs::write(&data, older).unwrap();
    let refused = server.try_run().err().unwrap();
    assert_eq!(refused.code, Some(1));
    let names_the_gap = refused.output.contains("a segment is missing");
    assert!(names_the_gap, "{}", refused.output);
    fs::write(&data, newest).unwrap();
    server.restart();
    let found = server.connect().await;
    let found = found.query_one("SELECT count(*) FROM t", &[]).await;
    assert_eq!(found.unwrap().get::<_, i64>(0), 20_000);
}

/// Inserts until the server goes; gives the last number that was acknowledged, how it ended.
async fn insert(client: Client, from: i32, all: Arc<AtomicU32>) -> (i32, Option<String>) {
    let mut n = from;
    loop {
        match client
            .execute("INSERT INTO t VALUES ($1)", &[&(n + 1)])
            .await
        {
            Ok(_) => {
                n += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return (n, error.code().map(|code| code.code().to_owned())),
        }
    }
}

/// SIGTERM and SIGINT do the same: PostgreSQL's fast shutdown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_under_load_the_server_leaves_nothing_to_replay() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let client = server.connect().await;
        let create = "CREATE TABLE t (n integer PRIMARY KEY)";
        client.batch_execute(create).await.unwrap();
        let mut clients = Vec::new();
        let inserted = Arc::new(AtomicU32::new(0));
        for from in (0..8).map(|n| n * 1_000_000) {
            let client = server.connect().await;
            let insert = insert(client, from, inserted.clone());
            clients.push((from, tokio::spawn(insert)));
        }
        // An idle session and one in a transaction are no reason to stay.
        let in_transaction = server.connect().await;
        let begin = "BEGIN; INSERT INTO t VALUES (-1)";
        in_transaction.batch_execute(begin).await.unwrap();
        while inserted.load(Ordering::Relaxed) < 500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server.signal(signal);
        assert_eq!(server.wait_exit(), Some(0));
        let mut acknowledged = Vec::new();
        for (from, client) in clients {
            let (last, code) = client.await.unwrap();
            assert!(matches!(code.as_deref(), None | Some("57P01")), "{code:?}");
            acknowledged.push((from, last));
        }
        server.restart();
        let log = server.log_tail();
        let recovered = log
            .lines()
            .rfind(|line| line.contains("recovered"))
            .unwrap();
        assert!(recovered.contains(" 0 transactions"), "{recovered}");
        let client = server.connect().await;
        for (from, last) in acknowledged {
            let sql = "SELECT count(*) FROM t WHERE n > $1 AND n <= $2";
            let row = client.query_one(sql, &[&from, &last]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), i64::from(last - from));
        }
        let found = client.query_one("SELECT count(*) FROM t WHERE n < 0", &[]);
        assert_eq!(found.await.unwrap().get::<_, i64>(0), 0);
    }
}
