//! Positions, and segments that are used again with what is in them.

use std::sync::Arc;

use super::disk::{Fault, TestDisk};
use super::{DATABASE, Opened, blob, commit, dir, options, segment_path, try_open_with};
use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;
use crate::wal::{Log, LogReader, Options, Position, read, segment};

const BLOCK: usize = 4096;
const SEGMENT_BLOCKS: usize = 8;

type Commit = (Lsn, TxnId);

fn lockstep() -> Options {
    Options {
        lockstep: true,
        ..options()
    }
}

fn create(disk: &TestDisk) -> Arc<Log> {
    Log::create(Arc::new(disk.clone()), dir(), DATABASE, lockstep()).unwrap()
}

/// The segment and the block in it.
fn place(position: &Position) -> (u64, usize) {
    let offset = usize::try_from(position.offset).unwrap();
    (position.segment, offset / BLOCK)
}

/// Commits until `done` says so of the position, and notes each in `known`.
fn commit_until(
    log: &Log,
    known: &mut Vec<Commit>,
    edit_bytes: usize,
    done: impl Fn(&Position) -> bool,
) -> Position {
    loop {
        let position = log.position().unwrap();
        if done(&position) {
            return position;
        }
        let txn = known.len() as u64 + 1;
        known.push((commit(log, blob(txn, edit_bytes)), TxnId(txn)));
    }
}

fn numbers(disk: &TestDisk) -> Vec<u64> {
    segment::list(disk, dir()).unwrap()
}

fn try_open_from(disk: &TestDisk, from: &Position) -> Result<Opened> {
    try_open_with(Arc::new(disk.clone()), dir(), DATABASE, lockstep(), from)
}

fn open_from(disk: &TestDisk, from: &Position) -> Opened {
    try_open_from(disk, from).unwrap()
}

#[track_caller]
fn refused(result: Result<Opened>) -> (std::path::PathBuf, u64, String) {
    match result.map(|o| o.recovered) {
        Err(Error::Corrupt { file, offset, what }) => (file, offset, what),
        other => panic!("not refused: {other:?}"),
    }
}

/// What is there, and that two commits more are there after the next starts.
fn goes_on_from(disk: &TestDisk, from: &Position, expected: &[Commit], torn_bytes: u64) {
    let mut expected = expected.to_vec();
    let mut torn_bytes = torn_bytes;
    for (txn, edit_bytes) in [(201, 20), (202, 9000)] {
        let opened = open_from(disk, from);
        assert_eq!(opened.replayed, expected);
        assert_eq!(opened.recovered.truncated_bytes, torn_bytes);
        torn_bytes = 0;
        let end = commit(&opened.log, blob(txn, edit_bytes));
        expected.push((end, TxnId(txn)));
    }
    assert_eq!(open_from(&disk.copy(true), from).replayed, expected);
}

/// A group of three blocks behind the end of the log, each block of it once left as it was.
fn tear_a_group(disk: &TestDisk, from: &Position, expected: &[Commit]) {
    let log = open_from(disk, from).log;
    let before = disk.copy(false);
    let (segment, block) = place(&log.position().unwrap());
    commit(&log, blob(250, 9000));
    drop(log);
    for torn in 0..3 {
        let at = block + torn;
        let number = segment + (at / SEGMENT_BLOCKS) as u64;
        let range = at % SEGMENT_BLOCKS * BLOCK..(at % SEGMENT_BLOCKS + 1) * BLOCK;
        let path = segment_path(number);
        let old = before.edit(&path, |bytes| bytes[range.clone()].to_vec());
        let image = disk.copy(false);
        image.edit(&path, |bytes| bytes[range].copy_from_slice(&old));
        let torn_bytes = if torn == 0 { 0 } else { 3 * BLOCK as u64 };
        goes_on_from(&image, from, expected, torn_bytes);
    }
}

#[test]
fn stale_bytes_never_come_back_wherever_the_log_ends_in_a_recycled_segment() {
    // Groups of one block, two and three: at each end there is a stale header in some case.
    for stale_edit_bytes in [20, 5000, 9000] {
        let disk = TestDisk::default();
        let log = create(&disk);
        let mut known = Vec::new();
        let from = commit_until(&log, &mut known, stale_edit_bytes, |at| at.segment == 4);
        log.recycle(from.segment);
        let old = known.len();
        for end in SEGMENT_BLOCKS..=2 * SEGMENT_BLOCKS {
            let at = (
                5 + u64::from(end > SEGMENT_BLOCKS),
                (end - 1) % SEGMENT_BLOCKS + 1,
            );
            commit_until(&log, &mut known, 20, |position| place(position) == at);
            goes_on_from(&disk.copy(false), &from, &known[old..], 0);
            tear_a_group(&disk.copy(false), &from, &known[old..]);
        }
        assert!(!disk.exists(&segment_path(1)).unwrap(), "it is segment 6");
    }
}

#[test]
fn a_log_opens_from_any_position_without_anything_that_lies_before() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut known = Vec::new();
    let mut positions = vec![(0, Position::START), (0, log.position().unwrap())];
    // A few blocks, many segments, and every end in a segment.
    let edit_bytes = [20, 5000, 100_000].into_iter().chain([20; SEGMENT_BLOCKS]);
    for edit_bytes in edit_bytes {
        let groups = positions.last().unwrap().1.group + 1;
        commit_until(&log, &mut known, edit_bytes, |at| at.group == groups);
        let position = log.position().unwrap();
        assert_eq!(position.lsn, log.durable_lsn());
        positions.push((known.len(), position));
    }
    assert!(
        positions
            .iter()
            .any(|(_, at)| place(at).1 == SEGMENT_BLOCKS)
    );
    log.shutdown().unwrap();
    positions.push((known.len(), log.position().unwrap()));
    for (before, from) in positions {
        let disk = disk.copy(false);
        for number in 1..from.segment {
            disk.remove(&segment_path(number)).unwrap();
        }
        let offset = usize::try_from(from.offset).unwrap();
        disk.edit(&segment_path(from.segment), |bytes| {
            bytes[..offset].fill(0xAA)
        });
        goes_on_from(&disk, &from, &known[before..], 0);
    }
}

#[test]
fn a_position_waits_for_no_sync_and_is_in_front_of_what_is_not_synced() {
    let disk = TestDisk::default();
    let log = create(&disk);
    commit(&log, blob(1, 20));
    let before = log.position().unwrap();
    disk.close_gate();
    let end = log.reserve_and_enqueue(blob(2, 20));
    let meanwhile = std::thread::scope(|scope| {
        scope.spawn(|| log.wait_commit_at_least(end).unwrap());
        disk.wait_for_sync_at_gate();
        let meanwhile = log.position();
        disk.open_gate();
        meanwhile
    });
    assert_eq!(meanwhile.unwrap(), before);
    assert_eq!(log.position().unwrap().lsn, end);
}

#[test]
fn no_position_is_given_after_a_failure() {
    let disk = TestDisk::default();
    let log = create(&disk);
    commit(&log, blob(1, 20));
    disk.fail_next_sync(Fault::Io);
    let lost = log.reserve_and_enqueue(blob(2, 20));
    assert!(log.wait_commit_at_least(lost).is_err());
    assert!(matches!(log.position(), Err(Error::Poisoned(_))));
}

/// The start from an old superblock, or with another database's log.
#[test]
fn a_position_that_is_not_in_the_log_is_refused_by_name() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut known = Vec::new();
    let from = commit_until(&log, &mut known, 20, |at| place(at) == (4, 4));
    log.recycle(from.segment);
    commit_until(&log, &mut known, 20, |at| at.segment == 6);
    drop(log);
    // Segment 1 is segment 7 now.
    assert!(!numbers(&disk).contains(&1));
    let (file, _, what) = refused(try_open_from(&disk.copy(false), &Position::START));
    assert_eq!((file, &*what), (segment_path(1), "a segment is missing"));

    for missing in [4, 5] {
        let disk = disk.copy(false);
        disk.remove(&segment_path(missing)).unwrap();
        let (file, _, what) = refused(try_open_from(&disk, &from));
        assert_eq!(
            (file, &*what),
            (segment_path(missing), "a segment is missing")
        );
    }
    let beyond = Position {
        segment: 90,
        ..from
    };
    let (file, _, what) = refused(try_open_from(&disk.copy(false), &beyond));
    assert_eq!((file, &*what), (segment_path(90), "a segment is missing"));

    let cut = disk.copy(false);
    cut.edit(&segment_path(4), |bytes| bytes.truncate(3 * BLOCK));
    let (file, _, what) = refused(try_open_from(&cut, &from));
    assert_eq!(file, segment_path(4));
    assert!(what.contains("offset 16384"), "{what}");

    let elsewhere = try_open_with(
        Arc::new(disk.copy(false)),
        dir(),
        DATABASE + 1,
        lockstep(),
        &from,
    );
    let (file, offset, what) = refused(elsewhere);
    assert_eq!((file, offset), (segment_path(4), from.offset));
    assert!(what.contains("belongs to database"), "{what}");

    // A position with a chain that is not the log's.
    for wrong in [
        Position {
            group: from.group - 1,
            ..from
        },
        Position {
            previous_crc: from.previous_crc + 1,
            ..from
        },
        Position {
            lsn: Lsn(from.lsn.0 + 1),
            ..from
        },
        Position {
            incarnation: from.incarnation + 1,
            ..from
        },
    ] {
        let (file, offset, what) = refused(try_open_from(&disk.copy(false), &wrong));
        assert_eq!((file, offset), (segment_path(4), from.offset));
        assert!(what.contains("is damaged, yet group"), "{what}");
    }
}

#[test]
fn as_many_segments_are_kept_as_were_taken_since_the_last_time_and_only_of_the_right_size() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut known = Vec::new();
    // Behind the one that is written is the one that is prepared.
    let at = commit_until(&log, &mut known, 20, |at| at.segment == 10);
    assert_eq!(numbers(&disk), (1..=11).collect::<Vec<_>>());
    log.recycle(at.segment);
    assert_eq!(numbers(&disk), (1..=11).collect::<Vec<_>>());
    let at = commit_until(&log, &mut known, 20, |at| at.segment == 14);
    assert_eq!(numbers(&disk), (5..=15).collect::<Vec<_>>());
    // Four were taken, so of the nine that are retired four are kept.
    log.recycle(at.segment);
    assert_eq!(numbers(&disk), (10..=15).collect::<Vec<_>>());
    // A position says nothing about the group behind it.
    log.recycle(90);
    log.recycle(at.segment);
    assert_eq!(numbers(&disk), (12..=15).collect::<Vec<_>>());
    drop(log);

    let options = Options {
        segment_bytes: 3 * BLOCK as u64,
        ..lockstep()
    };
    let disk_again = Arc::new(disk.clone());
    let opened = try_open_with(disk_again, dir(), DATABASE, options, &at).unwrap();
    let from = known.partition_point(|(end, _)| *end <= at.lsn);
    assert_eq!(opened.replayed, known[from..]);
    commit_until(&opened.log, &mut known, 20, |at| at.segment == 15);
    drop(opened);
    assert_eq!(numbers(&disk), [14, 15, 16]);
    let sizes = [14, 15, 16].map(|n| disk.edit(&segment_path(n), |bytes| bytes.len() / BLOCK));
    assert_eq!(sizes, [8, 3, 3]);
    assert_eq!(open_from(&disk, &at).replayed, known[from..]);
}

fn read_all(reader: &mut LogReader) -> Result<Vec<Commit>> {
    let mut commits = Vec::new();
    while let Some(group) = reader.next_group()? {
        let blobs = reader.blobs(&group)?;
        commits.extend(blobs.iter().map(|blob| (blob.end, blob.txn)));
    }
    assert_eq!(reader.check_tail()?, None);
    Ok(commits)
}

#[test]
fn a_reader_begins_with_the_first_group_that_is_left_and_stops_before_stale_ones() {
    for edit_bytes in [20, 5000, 9000, 100_000] {
        let disk = TestDisk::default();
        let log = create(&disk);
        let mut known = Vec::new();
        commit_until(&log, &mut known, edit_bytes, |at| at.segment >= 4);
        for _ in 0..40 {
            let at = log.position().unwrap();
            log.recycle(at.segment);
            let mut reader = read(Arc::new(disk.clone()), dir(), DATABASE).unwrap();
            let found = read_all(&mut reader).unwrap();
            assert!(!found.is_empty());
            assert_eq!(found, known[known.len() - found.len()..]);
            commit_until(&log, &mut known, edit_bytes, |next| next.group > at.group);
        }
        assert!(!numbers(&disk).contains(&5));
    }
}

#[test]
fn a_reader_whose_segment_is_recycled_says_so_and_does_not_call_it_damage() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut known = Vec::new();
    commit_until(&log, &mut known, 20, |at| at.segment == 3);
    let mut reader = read(Arc::new(disk.clone()), dir(), DATABASE).unwrap();
    assert_eq!(reader.next_group().unwrap().unwrap().number, 0);
    while numbers(&disk)[0] < 3 {
        log.recycle(log.position().unwrap().segment);
        let group = log.position().unwrap().group;
        commit_until(&log, &mut known, 20, |at| at.group > group);
    }
    let at = log.position().unwrap();
    commit_until(&log, &mut known, 20, |to| to.segment == at.segment + 4);
    let told = |error: Error| {
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(error.to_string().contains("recycled"), "{error}");
    };
    told(read_all(&mut reader).unwrap_err());
    told(reader.check_tail().unwrap_err());
    let mut reader = read(Arc::new(disk), dir(), DATABASE).unwrap();
    assert_eq!(read_all(&mut reader).unwrap().last(), known.last());
}
