//! `walnut check` and `walnut_check()`: silent about a sound database, and every damaged byte of
//! the data file that matters is found.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::process::{Command, Output};

use common::{Server, text};

const PAGE: u64 = 8192;

fn check(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walnut"));
    command.arg("check").arg("--data").arg(server.data());
    command.args(arguments).output().unwrap()
}

/// A stopped server whose tables have some hundred pages.
async fn filled() -> Server {
    let mut server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE t (id integer PRIMARY KEY, pad text);
             INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 2000) AS i;
             CREATE INDEX ON t (pad);
             DELETE FROM t WHERE id % 10 = 0",
        )
        .await
        .unwrap();
    let row = client.query_one("SELECT walnut_check()", &[]).await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 1800);
    client.batch_execute("CHECKPOINT").await.unwrap();
    let row = client.query_one("SELECT walnut_check()", &[]).await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 1800);
    drop(client);
    assert_eq!(server.stop(), Some(0));
    server
}

#[tokio::test]
async fn a_sound_database_is_reported_as_such_and_one_in_use_is_not_touched() {
    let mut server = filled().await;
    let out = check(&server, &[]);
    assert!(out.status.success(), "{}", text(&out));
    assert!(text(&out).contains("1800 rows"), "{}", text(&out));
    assert!(text(&out).contains("no damage"), "{}", text(&out));
    let out = check(&server, &["--json"]);
    let json = String::from_utf8(out.stdout).unwrap();
    assert!(json.contains("\"rows\":1800,\"damage\":[]"), "{json}");
    server.restart();
    let out = check(&server, &[]);
    assert!(!out.status.success());
    assert!(text(&out).contains("another server"), "{}", text(&out));
}

#[tokio::test]
async fn damaged_and_swapped_pages_are_found_and_never_served() {
    let mut server = filled().await;
    let path = server.data().join("data");
    let sound = fs::read(&path).unwrap();
    let slots = sound.len() as u64 / PAGE;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut found = 0;
    for slot in 2..slots {
        let at = slot * PAGE + slot * 37 % PAGE;
        let byte = sound[usize::try_from(at).unwrap()];
        file.write_all_at(&[byte ^ 1], at).unwrap();
        if slot % 16 == 2 {
            let out = check(&server, &[]);
            let all = text(&out);
            found += u32::from(out.status.code() == Some(1) && all.contains("wrong checksum"));
            // A free slot may hold anything.
            assert!(out.status.success() == all.contains("no damage"), "{all}");
        }
        file.write_all_at(&[byte], at).unwrap();
    }
    assert!(found > 10, "{found} of {slots}");
    // Two pages that each are whole.
    let page = |slot: u64| &sound[usize::try_from(slot * PAGE).unwrap()..][..8192];
    let (a, b) = (slots / 2, slots / 2 + 1);
    file.write_all_at(page(b), a * PAGE).unwrap();
    file.write_all_at(page(a), b * PAGE).unwrap();
    let out = check(&server, &["--json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    // The server starts, and answers with what is sound.
    server.restart();
    let client = server.connect().await;
    let all = client.query("SELECT sum(length(pad)) FROM t", &[]).await;
    let sum = client
        .query("SELECT count(*) FROM t WHERE pad > ''", &[])
        .await;
    let refused = [all.err(), sum.err()].into_iter().flatten();
    let codes: Vec<String> = refused
        .map(|error| error.code().unwrap().code().to_owned())
        .collect();
    assert!(
        !codes.is_empty() && codes.iter().all(|code| code == "XX001"),
        "{codes:?}"
    );
}

#[tokio::test]
async fn one_damaged_superblock_is_survived_and_two_are_refused() {
    let mut server = filled().await;
    let path = server.data().join("data");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for copy in 0..2 {
        file.write_all_at(&[0xFF; 64], copy * PAGE).unwrap();
        let out = check(&server, &[]);
        assert_eq!(out.status.code(), Some(1), "{}", text(&out));
        assert!(text(&out).contains(&format!("copy {copy} of the superblock")));
        assert!(text(&out).contains("1800 rows"), "the trees, too");
        // The start that this took has written it anew.
        let out = check(&server, &[]);
        assert!(out.status.success(), "{}", text(&out));
    }
    for copy in 0..2 {
        file.write_all_at(&[0xFF; 64], copy * PAGE).unwrap();
    }
    let out = check(&server, &[]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    let refused = server.try_run().err().unwrap();
    assert!(
        refused.output.contains("superblock is damaged"),
        "{}",
        refused.output
    );
    // A file that is gone is not made anew over old data.
    fs::remove_file(&path).unwrap();
    let refused = server.try_run().err().unwrap();
    assert!(refused.output.contains("data"), "{}", refused.output);
    assert!(!path.exists());
}
