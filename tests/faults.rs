//! Faults from outside the process, injected by strace: the server is killed at each write, sync
//! and rename in turn, each sync fails once, each write fails once. After a restart without the
//! fault every acknowledged transaction is there, what is there is a prefix, and it goes on.
//!
//! strace counts the calls of each thread for itself, so "the n-th write" is that of the thread
//! that comes to its n-th first. The server runs on one core, where one thread serves all clients
//! and leads all commits, and each sweep is made twice: on a new directory, which is made by
//! another thread, and on one that is there.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Server, skip, tool};
use rustix::process::Signal;
use tokio_postgres::Client;

/// Enough for a few groups, a large one across segments, and a roll to the next segment.
const TRANSACTIONS: i32 = 8;
const LARGE: i32 = 4;
/// The second one replaces what the first one stored.
const CHECKPOINT_EVERY: i32 = 3;
const LARGE_BYTES: usize = 1_300_000;

/// After so many places without an effect there are no more.
const IDLE_PLACES: u32 = 3;

fn strace() -> Option<PathBuf> {
    let found = tool("strace");
    if found.is_none() {
        skip("strace is not installed");
    }
    found
}

/// Walnut in a new directory, as a child of ours that strace watches from aside.
fn prepare(strace: &Path, inject: &str) -> Server {
    let program = strace.to_str().unwrap();
    let trace = inject.split(':').next().unwrap();
    let trace = format!("trace={trace}");
    let inject = format!("inject={inject}");
    let wrapper = [
        "taskset",
        "-c",
        "0",
        program,
        "-D",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
        "--",
    ];
    Server::prepare(&wrapper, &["-c", "wal_segment_size=1MB"])
}

/// How far the clients came.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// CREATE TABLE was acknowledged.
    created: bool,
    acknowledged: i32,
    finished: bool,
}

async fn work(server: &Server, progress: &mut Progress) -> Result<(), tokio_postgres::Error> {
    let client = server.try_connect().await?;
    client
        .batch_execute(
            "CREATE TABLE t (n integer PRIMARY KEY, pad bytea);
             CREATE TABLE total (id integer PRIMARY KEY, n integer);
             INSERT INTO total VALUES (1, 0)",
        )
        .await?;
    progress.created = true;
    for n in 1..=TRANSACTIONS {
        let pad = match n {
            LARGE => noise(LARGE_BYTES),
            _ => vec![7; 50],
        };
        transaction(&client, n, &pad).await?;
        progress.acknowledged = n;
        if n % CHECKPOINT_EVERY == 0 {
            // One that fails loses nothing; whether the server lives is seen next.
            let _ = client.batch_execute("CHECKPOINT").await;
        }
    }
    progress.finished = true;
    Ok(())
}

/// Bytes in which no run can be left out.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0] | 1
    };
    (0..len).map(|_| next()).collect()
}

async fn transaction(client: &Client, n: i32, pad: &[u8]) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    client
        .execute("INSERT INTO t VALUES ($1, $2)", &[&n, &pad])
        .await?;
    client
        .execute("UPDATE total SET n = $1 WHERE id = 1", &[&n])
        .await?;
    client.batch_execute("COMMIT").await
}

/// Whether what a restart found is what it may be; gives how many transactions there are.
async fn check(server: &Server, progress: Progress) -> i32 {
    let client = server.connect().await;
    let there = client
        .query_one(
            "SELECT count(*) FROM pg_class WHERE relname IN ('t', 'total')",
            &[],
        )
        .await
        .unwrap()
        .get::<_, i64>(0);
    assert!(
        there == 2 || (there == 0 && !progress.created),
        "{there} of 2 tables, {progress:?}"
    );
    if there == 0 {
        return 0;
    }
    let row = client
        .query_one(
            "SELECT count(*), coalesce(max(n), 0), coalesce(min(n), 1),
                    (SELECT n FROM total WHERE id = 1), count(*) FILTER (WHERE n = $1)
             FROM t",
            &[&LARGE],
        )
        .await
        .unwrap();
    let count = i32::try_from(row.get::<_, i64>(0)).unwrap();
    let (highest, lowest): (i32, i32) = (row.get(1), row.get(2));
    let total: i32 = row.get(3);
    assert_eq!(
        (highest, lowest, total),
        (count, 1, count),
        "a prefix, whole"
    );
    let acknowledged = progress.acknowledged;
    assert!(
        count == acknowledged || count == acknowledged + 1,
        "{count} transactions, {progress:?}"
    );
    for n in 1..=count {
        let found = client
            .query_one("SELECT pad FROM t WHERE n = $1", &[&n])
            .await
            .unwrap();
        let wanted = if n == LARGE {
            noise(LARGE_BYTES)
        } else {
            vec![7; 50]
        };
        assert!(
            found.get::<_, Vec<u8>>(0) == wanted,
            "transaction {n} by the index"
        );
    }
    count
}

/// Goes through the places of a fault until it has no effect any more.
async fn sweep(kind: &str, fault: &str) {
    let Some(strace) = strace() else { return };
    for is_new in [true, false] {
        let effects = sweep_one(&strace, kind, fault, is_new).await;
        println!("{kind}:{fault}: felt at {effects} places, new directory: {is_new}");
        assert!(effects > 0 || !is_new, "{kind}:{fault} was never felt");
    }
}

async fn sweep_one(strace: &Path, kind: &str, fault: &str, is_new: bool) -> u32 {
    let (mut place, mut effects, mut idle) = (1, 0, 0);
    while idle < IDLE_PLACES {
        let inject = format!("{kind}:{fault}:when={place}");
        let mut server = prepare(strace, &inject);
        if !is_new {
            let wrapper = std::mem::take(&mut server.wrapper);
            server.restart();
            server.stop();
            server.wrapper = wrapper;
        }
        let mut progress = Progress::default();
        if server.try_run().is_ok() {
            let _ = work(&server, &mut progress).await;
            if progress.finished && server.is_running() {
                idle += 1;
            }
            server.kill();
        }
        if !progress.finished {
            (effects, idle) = (effects + 1, 0);
        }
        server.wrapper.clear();
        server.restart();
        let count = check(&server, progress).await;
        // It goes on, and what is committed now survives the next crash.
        let client = server.connect().await;
        if count == 0 && !progress.created {
            let again = work(&server, &mut Progress::default()).await;
            assert!(again.is_ok() || client.query_one("SELECT 1 FROM total", &[]).await.is_ok());
        }
        client
            .batch_execute("CREATE TABLE after (n integer); INSERT INTO after VALUES (1)")
            .await
            .unwrap();
        server.kill();
        server.restart();
        let client = server.connect().await;
        let row = client.query_one("SELECT n FROM after", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1, "{inject}");
        place += 1;
    }
    effects
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_write_it_comes_back() {
    sweep("pwrite64", "signal=KILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_sync_it_comes_back() {
    sweep("fdatasync", "signal=KILL").await;
    sweep("fsync", "signal=KILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_rename_it_comes_back() {
    sweep("rename", "signal=KILL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_once_is_never_retried_and_nothing_is_acknowledged_after_it() {
    sweep("fdatasync", "error=EIO").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_once_loses_nothing_that_was_acknowledged() {
    sweep("pwrite64", "error=EIO").await;
}

/// strace beside a running server, until dropped.
struct Injection {
    strace: Child,
    trace: PathBuf,
}

impl Injection {
    /// `options`: what is traced beyond the call that is named by `inject`.
    fn start(strace: &Path, server: &Server, inject: &str, options: &[&str]) -> Injection {
        let pid = server.pid().to_string();
        let inject = format!("inject={inject}");
        let [trace, said] = ["strace.trace", "strace.said"].map(|name| server.scratch().join(name));
        let mut command = Command::new(strace);
        command.args([
            "-f",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            &inject,
            "-p",
            &pid,
        ]);
        command.args(options).stderr(File::create(&said).unwrap());
        let strace = command.spawn().unwrap();
        let mut injection = Injection { strace, trace };
        // Said when every thread is to stop before its next call.
        injection.wait_for(&said, &format!("Process {pid} attached"));
        injection
    }

    /// Waits until a call has begun.
    fn wait_called(&mut self, call: &str) {
        self.wait_for(&self.trace.clone(), &format!("{call}("));
    }

    fn wait_for(&mut self, file: &Path, what: &str) {
        while !std::fs::read_to_string(file)
            .unwrap_or_default()
            .contains(what)
        {
            let ended = self.strace.try_wait().unwrap();
            assert!(ended.is_none(), "strace has ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// A server with a table of one row, a session with this `synchronous_commit`, and a fault in the
/// writes of the log that come now. The thread that fills the next segment is left alone.
async fn with_faulty_log(strace: &Path, mode: &str, fault: &str) -> (Server, Client, Injection) {
    let server = Server::start();
    let client = server.connect().await;
    let create = "CREATE TABLE t (n integer); INSERT INTO t VALUES (1)";
    client.batch_execute(create).await.unwrap();
    let set = format!("SET synchronous_commit = {mode}");
    client.batch_execute(&set).await.unwrap();
    let files = std::fs::read_dir(server.data().join("wal")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "wal"));
    let written = segments.min().unwrap();
    let only = ["-P", written.to_str().unwrap()];
    let injection = Injection::start(strace, &server, &format!("pwrite64:{fault}"), &only);
    (server, client, injection)
}

async fn count(client: &Client) -> Result<i64, tokio_postgres::Error> {
    let row = client.query_one("SELECT count(*) FROM t", &[]).await?;
    Ok(row.get(0))
}

const INSERT: &str = "INSERT INTO t VALUES (2)";

/// The write does not end before the process does.
#[tokio::test(flavor = "multi_thread")]
async fn without_synchronous_commit_a_commit_is_acknowledged_before_its_write_and_may_be_lost() {
    let Some(strace) = strace() else { return };
    for (mode, is_acknowledged) in [("off", true), ("on", false)] {
        let held = "delay_enter=1000000000";
        let (mut server, client, mut injection) = with_faulty_log(&strace, mode, held).await;
        if is_acknowledged {
            client.batch_execute(INSERT).await.unwrap();
        }
        let waiting = tokio::spawn(async move {
            match is_acknowledged {
                // Not even its own session sees it before it is durable.
                true => count(&client).await.is_err(),
                false => client.batch_execute(INSERT).await.is_err(),
            }
        });
        injection.wait_called("pwrite64");
        // Time for an answer that must not come.
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.signal(Signal::KILL);
        // It goes no further without strace, which has to let go of it first.
        drop(injection);
        assert_eq!(server.wait_exit(), None, "{mode}");
        assert!(waiting.await.unwrap(), "{mode}");
        server.restart();
        assert_eq!(count(&server.connect().await).await.unwrap(), 1, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_log_that_fails_ends_the_server_and_nobody_sees_what_it_held() {
    let Some(strace) = strace() else { return };
    for mode in ["off", "on"] {
        let (mut server, client, injection) = with_faulty_log(&strace, mode, "error=EIO").await;
        let insert = client.batch_execute(INSERT).await;
        // Without, the answer may come before the end, or too late.
        assert!(insert.is_err() || mode == "off", "{mode}");
        assert!(count(&client).await.is_err(), "{mode}");
        assert_eq!(server.wait_exit(), Some(1), "{mode}");
        drop(injection);
        server.restart();
        assert_eq!(count(&server.connect().await).await.unwrap(), 1, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_syncs_and_a_stopped_process_lose_no_commit_and_no_wake_up() {
    let Some(strace) = strace() else { return };
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (n integer)")
        .await
        .unwrap();
    let injection = Injection::start(&strace, &server, "fdatasync:delay_enter=200000", &[]);
    let mut clients = Vec::new();
    for n in 0..16 {
        let client = server.connect().await;
        clients.push(tokio::spawn(async move {
            for i in 0..3 {
                client
                    .execute("INSERT INTO t VALUES ($1)", &[&(n * 10 + i)])
                    .await
                    .unwrap();
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal(Signal::CONT);
    for client in clients {
        client.await.unwrap();
    }
    drop(injection);
    let row = client.query_one("SELECT count(*), count(DISTINCT n) FROM t", &[]);
    let row = row.await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (48, 48));
}

/// A file system of its own in memory, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        let dir = tempfile::TempDir::with_prefix("walnut-small-").unwrap();
        let disk = SmallDisk(dir);
        disk.run("mount", &["-t", "tmpfs", "-o", &size(megabytes), "tmpfs"])
            .then_some(disk)
    }

    fn grow(&self, megabytes: u32) {
        let size = format!("remount,{}", size(megabytes));
        assert!(self.run("mount", &["-o", &size]));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.0.path());
        command.stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.run("umount", &["-l"]);
    }
}

fn size(megabytes: u32) -> String {
    format!("size={megabytes}m")
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing_and_more_space_heals_it() {
    let Some(disk) = SmallDisk::mount(16) else {
        // Not a tool that is missing, so no reason to fail where tools are required.
        eprintln!("skipped: no right to mount a file system");
        return;
    };
    let mut server = Server::start_small_in(disk.0.path());
    let client = server.connect().await;
    let create = "CREATE TABLE t (id integer PRIMARY KEY, pad text)";
    client.batch_execute(create).await.unwrap();
    let insert =
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series($1::int, $1 + 499) AS i";
    let (mut rows, mut refused) = (0, 0);
    for first in (1..).step_by(500) {
        match client.execute(insert, &[&first]).await {
            Ok(n) => rows += i64::try_from(n).unwrap(),
            Err(error) => {
                assert_eq!(error.code().unwrap().code(), "53100", "{error:?}");
                refused += 1;
            }
        }
        let found = client.query_one("SELECT count(*) FROM t", &[]).await;
        assert_eq!(found.unwrap().get::<_, i64>(0), rows, "reads go on");
        if refused == 3 {
            break;
        }
        assert!(first < 100_000, "it never fills");
    }
    let checkpoint = client.batch_execute("CHECKPOINT").await.unwrap_err();
    assert_eq!(checkpoint.code().unwrap().code(), "53100");
    drop(client);
    server.kill();
    // A start needs a little space, too.
    disk.grow(64);
    server.restart();
    let client = server.connect().await;
    let found = client
        .query_one("SELECT count(*), walnut_check() FROM t", &[])
        .await
        .unwrap();
    assert_eq!((found.get(0), found.get(1)), (rows, rows));
    rows += i64::try_from(client.execute(insert, &[&1_000_000]).await.unwrap()).unwrap();
    client.batch_execute("CHECKPOINT").await.unwrap();
    server.kill();
    server.restart();
    let found = server
        .connect()
        .await
        .query_one("SELECT count(*) FROM t", &[])
        .await;
    assert_eq!(found.unwrap().get::<_, i64>(0), rows);
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_transaction_too_large_for_memory_is_refused_and_nothing_is_lost() {
    let mut server = Server::prepare(&[], &["-c", "max_transaction_memory=1MB"]);
    server.try_run().map_err(|refused| refused.output).unwrap();
    let client = server.connect().await;
    let create = "CREATE TABLE t (id integer PRIMARY KEY, pad text);
                  INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 1000) AS i";
    client.batch_execute(create).await.unwrap();
    let too_large = [
        "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(2000, 9000) AS i",
        "UPDATE t SET pad = repeat('z', 2000)",
    ];
    for sql in too_large {
        let error = client.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "53200", "{error}");
        assert!(error.detail().unwrap().contains("1024 kB"), "{error:?}");
    }
    // One row again and again takes no more than once.
    client.batch_execute("BEGIN").await.unwrap();
    for _ in 0..50 {
        let update = "UPDATE t SET pad = repeat('y', 50000) WHERE id = 1";
        client.batch_execute(update).await.unwrap();
    }
    client.batch_execute("COMMIT").await.unwrap();
    let found = client
        .query_one("SELECT count(*), walnut_check() FROM t", &[])
        .await
        .unwrap();
    assert_eq!(
        (found.get::<_, i64>(0), found.get::<_, i64>(1)),
        (1000, 1000)
    );
    assert_eq!(server.stop(), Some(0));
}

/// One read of the data file fails, each in turn: while it starts the server refuses to, later the
/// statement fails and the next one does not.
#[tokio::test]
async fn a_page_that_cannot_be_read_fails_its_statement_and_a_start_only() {
    let Some(strace) = strace() else { return };
    let mut server = Server::start_small();
    let client = server.connect().await;
    let fill = "CREATE TABLE t (id integer PRIMARY KEY, pad text);
                INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 3000) AS i";
    client.batch_execute(fill).await.unwrap();
    drop(client);
    assert_eq!(server.stop(), Some(0));
    let data = server.data().join("data");
    let (mut refused_starts, mut failed_statements) = (0, 0);
    for place in 1..40 {
        let inject = format!("inject=pread64:error=EIO:when={place}");
        server.wrap(&[
            strace.to_str().unwrap(),
            "-D",
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-P",
            data.to_str().unwrap(),
            "-e",
            "trace=pread64",
            "-e",
            &inject,
            "--",
        ]);
        if let Err(refused) = server.try_run() {
            let named = refused.output.contains(data.to_str().unwrap());
            assert!(
                named && refused.output.contains("Input/output error"),
                "{}",
                refused.output
            );
            refused_starts += 1;
            continue;
        }
        let Ok(client) = server.try_connect().await else {
            // It has to read the catalog to greet.
            server.stop();
            continue;
        };
        for _ in 0..6 {
            match client
                .query_one("SELECT count(*), sum(length(pad)) FROM t", &[])
                .await
            {
                Ok(row) => assert_eq!((row.get(0), row.get(1)), (3000_i64, 1_500_000_i64)),
                Err(error) => {
                    assert_eq!(error.code().unwrap().code(), "58030", "{error:?}");
                    failed_statements += 1;
                }
            }
        }
        let insert = format!("INSERT INTO t VALUES (-{place}, ''); DELETE FROM t WHERE id < 0");
        while let Err(error) = client.batch_execute(&insert).await {
            assert_eq!(error.code().unwrap().code(), "58030", "{error:?}");
            failed_statements += 1;
        }
        drop(client);
        server.stop();
    }
    server.wrap(&[]);
    println!("{refused_starts} refused starts, {failed_statements} failed statements");
    assert!(refused_starts > 0 && failed_statements > 10);
    server.restart();
    let check = server
        .connect()
        .await
        .query_one("SELECT walnut_check()", &[])
        .await;
    assert_eq!(check.unwrap().get::<_, i64>(0), 3000);
}
