//! `walnut wal` over the directory of a real server: running, killed, damaged.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Engine, Server, run, text};
use tokio_postgres::Client;
use walnut::disk::RealDisk;
use walnut::wal::{Log, Options};

const LIMIT: Duration = Duration::from_secs(60);
/// The bytes of a group before its payload, and of a begin record.
const GROUP_HEADER: u64 = 64;
const BEGIN_RECORD: u64 = 17;

/// The fields of one line of JSON, strings without their quotes.
type Line = BTreeMap<String, String>;

fn wal(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walnut"));
    command.arg("wal").arg("--data").arg(data).args(args);
    command
}

fn output(data: &Path, args: &[&str]) -> Output {
    run(&mut wal(data, args), "", LIMIT)
}

fn stdout(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

/// The lines of a log that must be good.
fn lines(data: &Path, args: &[&str]) -> Vec<Line> {
    let out = output(data, &[&["--json"], args].concat());
    assert!(out.status.success(), "{}", text(&out));
    stdout(&out).lines().map(parse).collect()
}

fn of_kind<'a>(lines: &'a [Line], kind: &str) -> Vec<&'a Line> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// Parses an object of strings, numbers and booleans; fails for anything else.
fn parse(line: &str) -> Line {
    let mut rest = line.strip_prefix('{').unwrap_or_else(|| panic!("{line}"));
    let mut fields = Line::new();
    loop {
        let (name, after) = parse_string(rest).unwrap_or_else(|| panic!("{line}"));
        let after = after.strip_prefix(':').unwrap_or_else(|| panic!("{line}"));
        let (value, after) = parse_string(after).unwrap_or_else(|| {
            let end = after.find([',', '}']).unwrap_or_else(|| panic!("{line}"));
            let bare = &after[..end];
            assert!(
                bare.parse::<i64>().is_ok() || bare == "true" || bare == "false",
                "{line}"
            );
            (bare.to_owned(), &after[end..])
        });
        assert!(fields.insert(name, value).is_none(), "{line}");
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                assert_eq!(after, "}", "{line}");
                return fields;
            }
        }
    }
}

fn parse_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c if c < ' ' => return None,
            c => value.push(c),
        }
    }
}

fn number(line: &Line, field: &str) -> u64 {
    line[field].parse().unwrap()
}

fn lsn(line: &Line) -> u64 {
    line["lsn"].parse::<walnut::base::Lsn>().unwrap().0
}

/// A server with a table, or none when the tests run against PostgreSQL.
async fn start() -> Option<(Server, Client)> {
    let server = Server::start();
    if server.engine == Engine::Postgres {
        return None;
    }
    let client = server.connect().await;
    let create = "CREATE TABLE t (n integer, note text)";
    client.batch_execute(create).await.unwrap();
    Some((server, client))
}

async fn insert(client: &Client, n: i32) {
    let sql = format!("INSERT INTO t VALUES ({n}, 'a row')");
    client.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_commit_appears_while_the_server_runs_and_stays_after_kill_9() {
    let Some((mut server, client)) = start().await else {
        return;
    };
    let data = server.data();
    let mut end = of_kind(&lines(&data, &[]), "blob").last().unwrap()["end"].clone();
    for n in 0..5 {
        insert(&client, n).await;
        let new = lines(&data, &["--from", &end]);
        let blobs = of_kind(&new, "blob");
        assert_eq!(blobs.len(), 1, "{new:?}");
        assert_eq!(blobs[0]["start"], end);
        assert!(blobs[0]["committed"].ends_with('Z'), "{new:?}");
        let records = of_kind(&new, "record");
        assert_eq!(records.len() as u64, number(blobs[0], "records"));
        let bytes: u64 = records.iter().map(|record| number(record, "bytes")).sum();
        assert_eq!(bytes, number(blobs[0], "bytes"));
        for pair in records.windows(2) {
            assert_eq!(lsn(pair[1]), lsn(pair[0]) + number(pair[0], "bytes"));
        }
        assert_eq!(records[0]["lsn"], blobs[0]["start"]);
        assert_eq!(records[0]["type"], "begin");
        assert_eq!(records[1]["type"], "page write");
        assert_eq!(records.last().unwrap()["type"], "commit");
        assert!(!of_kind(&new, "edit").is_empty());
        assert!(
            of_kind(&new, "group")
                .iter()
                .all(|group| group["crc_ok"] == "true")
        );
        end = blobs[0]["end"].clone();
    }
    let running = lines(&data, &[]);
    server.kill();
    assert_eq!(lines(&data, &[]), running);

    let people = stdout(&output(&data, &["--from", &end]));
    assert_eq!(people, "", "nothing is behind the last commit");
    let people = stdout(&output(&data, &[]));
    let of = |start: &str| people.lines().filter(|l| l.starts_with(start)).count();
    assert_eq!(of("group "), of_kind(&running, "group").len());
    assert_eq!(of("  transaction "), of_kind(&running, "blob").len());
    assert!(people.contains(&format!("to {end}, ")), "{people}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_tells_the_same_positions_and_counts_as_the_log_itself() {
    let Some((server, client)) = start().await else {
        return;
    };
    const SQL: &str = "SELECT pg_current_wal_flush_lsn()::text, pg_current_wal_lsn()::text,
            pg_current_wal_insert_lsn()::text, wal_records, wal_bytes::bigint, wal_write, wal_sync,
            wal_write_time, wal_sync_time, wal_fpi + wal_buffers_full,
            stats_reset > '2020-01-01' AND stats_reset <= now()
        FROM pg_stat_wal";
    let before = client.query_one(SQL, &[]).await.unwrap();
    insert(&client, 1).await;
    let after = client.query_one(SQL, &[]).await.unwrap();
    let new = lines(&server.data(), &["--from", before.get(0)]);
    let blobs = of_kind(&new, "blob");
    assert_eq!(blobs.len(), 1, "{new:?}");
    for position in 0..3 {
        assert_eq!(before.get::<_, String>(position), blobs[0]["start"]);
        assert_eq!(after.get::<_, String>(position), blobs[0]["end"]);
    }
    let grown = |column: usize| {
        let (before, after): (i64, i64) = (before.get(column), after.get(column));
        u64::try_from(after - before).unwrap()
    };
    assert_eq!(grown(3), number(blobs[0], "records"));
    assert_eq!(grown(4), number(blobs[0], "bytes"));
    assert_eq!((grown(5), grown(6)), (1, 1));
    for time in [7, 8] {
        assert!(after.get::<_, f64>(time) > before.get::<_, f64>(time));
    }
    assert_eq!(after.get::<_, i64>(9), 0);
    assert!(
        after.get::<_, bool>(10),
        "stats_reset is the start of the server"
    );

    let sql = "SELECT pg_wal_lsn_diff($1::text::pg_lsn, $2::text::pg_lsn)::bigint";
    let ends = [after.get::<_, String>(0), before.get(0)];
    let row = client.query_one(sql, &[&ends[0], &ends[1]]).await.unwrap();
    assert_eq!(
        row.get::<_, i64>(0),
        after.get::<_, i64>(4) - before.get::<_, i64>(4)
    );
    // The binary form, which tokio-postgres reads as this.
    let sql = "SELECT $1::pg_lsn + 1";
    let lsn = tokio_postgres::types::PgLsn::from(u64::MAX - 1);
    let row = client.query_one(sql, &[&lsn]).await.unwrap();
    assert_eq!(
        u64::from(row.get::<_, tokio_postgres::types::PgLsn>(0)),
        u64::MAX
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn from_and_to_choose_transactions_and_stats_count_what_would_be_printed() {
    let Some((server, client)) = start().await else {
        return;
    };
    for n in 0..6 {
        insert(&client, n).await;
    }
    let data = server.data();
    let all = lines(&data, &[]);
    let blobs = of_kind(&all, "blob");
    let (from, to) = (&blobs[2]["start"], &blobs[4]["end"]);
    for args in [vec![], vec!["--from", from, "--to", to]] {
        let chosen = lines(&data, &args);
        let ends: Vec<_> = of_kind(&chosen, "blob").iter().map(|b| &b["end"]).collect();
        let expected = if args.is_empty() {
            &blobs[..]
        } else {
            &blobs[2..=4]
        };
        assert_eq!(ends, expected.iter().map(|b| &b["end"]).collect::<Vec<_>>());
        let totals = lines(&data, &[&["--stats"], &args[..]].concat());
        let [totals] = &totals[..] else {
            panic!("{totals:?}");
        };
        let count = |kind: &str, ty: &str| {
            let is_counted = |line: &&&Line| ty.is_empty() || line["type"] == ty;
            of_kind(&chosen, kind).iter().filter(is_counted).count() as u64
        };
        let sum = |kind: &str, field: &str| -> u64 {
            of_kind(&chosen, kind)
                .iter()
                .map(|line| number(line, field))
                .sum()
        };
        for (total, expected) in [
            ("groups", count("group", "")),
            ("blobs", count("blob", "")),
            ("begin_records", count("record", "begin")),
            ("page_write_records", count("record", "page write")),
            ("page_reference_records", count("record", "page references")),
            ("commit_records", count("record", "commit")),
            ("write_edits", count("edit", "write")),
            ("shift_edits", count("edit", "shift")),
            ("image_edits", count("edit", "image")),
            ("blob_bytes", sum("blob", "bytes")),
            ("disk_bytes", sum("group", "disk_bytes")),
        ] {
            assert_eq!(number(totals, total), expected, "{total}: {totals:?}");
        }
        let padding = sum("group", "disk_bytes") - sum("group", "bytes");
        let headers = GROUP_HEADER * count("group", "");
        assert_eq!(number(totals, "padding_bytes"), padding - headers);
    }
    let refused = output(&data, &["--from", "0/123456789"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_of_a_durable_group_is_named_and_of_the_last_one_is_a_torn_tail() {
    let Some((mut server, client)) = start().await else {
        return;
    };
    for n in 0..4 {
        insert(&client, n).await;
    }
    let data = server.data();
    server.kill();
    let good = lines(&data, &[]);
    let full = |line: &&&Line| number(line, "bytes") > 0;
    let groups: Vec<_> = of_kind(&good, "group")
        .into_iter()
        .filter(|g| full(&g))
        .collect();
    let flip = |group: &Line| {
        let mut bytes = fs::read(&group["file"]).unwrap();
        let at = number(group, "offset") + GROUP_HEADER + BEGIN_RECORD + 10;
        bytes[usize::try_from(at).unwrap()] ^= 1;
        fs::write(&group["file"], bytes).unwrap();
    };

    let last = groups[groups.len() - 1];
    flip(last);
    let torn = lines(&data, &[]);
    let tail = of_kind(&torn, "torn tail")[0];
    for field in ["file", "offset"] {
        assert_eq!(tail[field], last[field]);
    }
    assert_eq!(tail["group"], last["number"]);
    assert_eq!(tail["bytes"], last["disk_bytes"]);
    let blobs = of_kind(&torn, "blob").len();
    assert_eq!(blobs, of_kind(&good, "blob").len() - 1);
    let people = output(&data, &[]);
    assert!(people.status.success());
    let place = format!("in {} at offset {}", last["file"], last["offset"]);
    let told = stdout(&people);
    let told = told.lines().last().unwrap();
    assert!(
        told.starts_with("torn tail: ") && told.contains(&place),
        "{told}"
    );
    flip(last);

    let durable = groups[groups.len() - 2];
    flip(durable);
    let out = output(&data, &["--json"]);
    assert_eq!(out.status.code(), Some(1), "{}", text(&out));
    let damage = parse(stdout(&out).lines().last().unwrap());
    assert_eq!(damage["kind"], "damage");
    for field in ["file", "offset"] {
        assert_eq!(damage[field], durable[field]);
    }
    let out = output(&data, &[]);
    assert_eq!(out.status.code(), Some(1));
    let complaint = String::from_utf8(out.stderr).unwrap();
    let place = format!("in {} at offset {}", durable["file"], durable["offset"]);
    assert!(complaint.contains(&place), "{complaint}");
    // And the record in it.
    let record = number(durable, "offset") + GROUP_HEADER + BEGIN_RECORD;
    assert!(
        complaint
            .trim_end()
            .ends_with(&format!("at offset {record}")),
        "{complaint}"
    );
    flip(durable);
    assert_eq!(lines(&data, &[]), good);
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_prints_commits_as_they_come() {
    let Some((server, client)) = start().await else {
        return;
    };
    let mut command = wal(&server.data(), &["--follow", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let (send, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(out).lines();
        lines
            .map_while(|line| send.send(parse(&line.ok()?)).ok())
            .count()
    });
    let next_blob = |limit: Duration| {
        let start = Instant::now();
        while let Ok(line) = lines.recv_timeout(limit.saturating_sub(start.elapsed())) {
            if line["kind"] == "blob" {
                return Some(line["end"].clone());
            }
        }
        None
    };
    // What was there before; the table's is the last.
    assert!(next_blob(LIMIT).is_some());
    while next_blob(Duration::from_secs(2)).is_some() {}
    for n in 0..3 {
        insert(&client, n).await;
        assert!(next_blob(LIMIT).is_some());
    }
    assert!(
        child.try_wait().unwrap().is_none(),
        "it goes on until interrupted"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_path_is_escaped_and_a_directory_without_a_database_is_an_error() {
    let Some((server, _client)) = start().await else {
        return;
    };
    let odd = server.scratch().join("a \"strange\" \\ path");
    std::os::unix::fs::symlink(server.data(), &odd).unwrap();
    let all = lines(&odd, &[]);
    assert!(all[0]["file"].starts_with(odd.to_str().unwrap()), "{all:?}");
    let none = output(&server.scratch().join("none"), &[]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none));
    assert!(text(&none).contains("control"), "{}", text(&none));
}

const ABORT_IN: &str = "WALNUT_TEST_ABORT_IN";

/// Runs itself again in a process of its own, which the abort ends. Not among the tests of the
/// library: until it has become another program, a child of theirs keeps the lock of a directory
/// that one of them closes and opens again.
#[test]
fn dropping_an_unfilled_reservation_ends_the_process() {
    if let Some(dir) = std::env::var_os(ABORT_IN) {
        let disk = Arc::new(RealDisk::default());
        let log = Log::create(disk, Path::new(&dir), 1, Options::default()).unwrap();
        drop(log.reserve(10));
        println!("still here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "dropping_an_unfilled_reservation_ends_the_process";
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let out = run(command.env(ABORT_IN, dir.path()), "", LIMIT);
    assert!(stdout(&out).contains("running 1 test"), "{}", text(&out));
    assert!(!stdout(&out).contains("still here"), "{}", text(&out));
    let abort_signal = 6;
    assert_eq!(out.status.signal(), Some(abort_signal));
}
