//! Damage, cuts, stale bytes, restarts.

use std::path::Path;
use std::sync::Arc;

use super::disk::{Fault, TestDisk};
use super::{
    DATABASE, blob, commit, create, dir, open, options, segment_path, try_open, try_open_in,
};
use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::{Disk, RealDisk};
use crate::wal::group::{Chain, GROUP_HEADER, Header};
use crate::wal::{Log, Position, Replayed, segment};

const BLOCK: usize = 4096;

/// Three commits, a group each, blocks 1 to 3; block 0 is the group of the creation.
fn three_commits(log: &Log) -> Vec<(Lsn, TxnId)> {
    (1..=3)
        .map(|txn| (commit(log, blob(txn, 20)), TxnId(txn)))
        .collect()
}

/// The bytes of a block that may matter: header, payload and a sample of the padding; all of the
/// padding with `WALNUT_EVERY_BYTE=1`.
fn telling_bytes(blocks: usize) -> impl Iterator<Item = usize> {
    let used = GROUP_HEADER + three_commits_payload() + 3;
    let every = std::env::var("WALNUT_EVERY_BYTE").is_ok_and(|v| v == "1");
    (0..blocks * BLOCK).filter(move |at| every || at % BLOCK < used || at % 97 == 0)
}

fn three_commits_payload() -> usize {
    blob(1, 20).len()
}

#[track_caller]
fn refused(result: Result<super::Opened>) -> (std::path::PathBuf, u64, String) {
    match result.map(|o| o.recovered) {
        Err(Error::Corrupt { file, offset, what }) => (file, offset, what),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn commits_come_back_in_order_after_a_crash_and_after_a_shutdown() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut expected = three_commits(&log);
    drop(log);
    for restart in 2..6 {
        let opened = open(&disk);
        assert_eq!(opened.replayed, expected);
        assert_eq!(opened.recovered.incarnation, restart);
        assert_eq!(opened.recovered.truncated_bytes, 0);
        assert_eq!(opened.recovered.last_txn, Some(TxnId(restart + 1)));
        let txn = restart + 2;
        expected.push((commit(&opened.log, blob(txn, 100)), TxnId(txn)));
        if restart % 2 == 0 {
            opened.log.shutdown().unwrap();
            opened.log.shutdown().unwrap();
        }
    }
}

#[test]
fn a_directory_without_a_log_and_a_log_of_another_database_are_refused() {
    let disk = TestDisk::default();
    let (file, _, what) = refused(try_open(&disk));
    assert_eq!((file.as_path(), &*what), (dir(), "a log without segments"));
    drop(create(&disk));
    let (file, offset, what) = refused(try_open_in(Arc::new(disk.clone()), dir(), DATABASE + 1));
    assert_eq!((file, offset), (segment_path(1), 0));
    assert!(what.contains("belongs to database"), "{what}");
    let again = Log::create(Arc::new(disk), dir(), DATABASE, options());
    assert!(again.is_err_and(|e| matches!(e, Error::Io { .. })));
}

#[test]
fn a_log_cut_at_any_byte_opens_with_a_prefix_and_accepts_commits_that_stay() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let all = three_commits(&log);
    drop(log);
    for cut in telling_bytes(5) {
        let disk = disk.copy(false);
        disk.edit(&segment_path(1), |bytes| bytes.truncate(cut));
        if cut < GROUP_HEADER {
            refused(try_open(&disk));
            continue;
        }
        let opened = open(&disk);
        let kept = opened.replayed.len();
        let whole = (1..=3)
            .filter(|block| block * BLOCK + GROUP_HEADER + three_commits_payload() <= cut)
            .count();
        assert_eq!(opened.replayed, all[..whole], "cut at {cut}");
        disk.edit(&segment_path(1), |bytes| assert_eq!(bytes.len() % BLOCK, 0));
        commit(&opened.log, blob(70, 9000));
        drop(opened);
        let opened = open(&disk);
        assert_eq!(opened.replayed.len(), kept + 1, "cut at {cut}");
        assert_eq!(opened.replayed[kept].1, TxnId(70));
        commit(&opened.log, blob(71, 1));
        drop(opened);
        let opened = open(&disk);
        assert_eq!(opened.replayed[kept + 1..].len(), 1);
        assert_eq!(opened.replayed[kept + 1].1, TxnId(71));
    }
}

#[test]
fn a_flipped_byte_is_refused_with_its_place_or_changes_nothing() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let all = three_commits(&log);
    log.shutdown().unwrap();
    let (mut same, mut refusals) = (0, 0);
    for at in telling_bytes(8) {
        for flip in [0x01, 0x80] {
            let disk = disk.copy(false);
            disk.edit(&segment_path(1), |bytes| bytes[at] ^= flip);
            match try_open(&disk) {
                Ok(opened) => {
                    assert_eq!(opened.replayed, all, "byte {at}");
                    same += 1;
                }
                Err(Error::Corrupt { file, offset, .. }) => {
                    assert_eq!(file, segment_path(1));
                    assert_eq!(offset, (at - at % BLOCK) as u64, "byte {at}");
                    refusals += 1;
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
    assert_eq!(
        refusals,
        2 * (4 * GROUP_HEADER + 3 * three_commits_payload())
    );
    assert!(same > 500, "{same}");
}

#[test]
fn a_commit_larger_than_many_segments_comes_back() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut expected = Vec::new();
    for (txn, len) in [(1, 10), (2, 300_000), (3, 8 * 4096), (4, 2_500_000), (5, 1)] {
        expected.push((commit(&log, blob(txn, len)), TxnId(txn)));
    }
    drop(log);
    let opened = open(&disk.copy(true));
    assert_eq!(opened.replayed, expected);
    commit(&opened.log, blob(6, 100_000));
    assert!(segment::list(&disk, dir()).unwrap().len() > 80);
}

/// The group n+1 exists only if n was synced: a bad n in front of it was durable once.
#[test]
fn damage_in_front_of_a_later_group_is_refused_wherever_the_later_group_stands() {
    let disk = TestDisk::default();
    let log = create(&disk);
    commit(&log, blob(1, 10));
    commit(&log, blob(2, 200_000));
    commit(&log, blob(3, 10));
    drop(log);
    let damages = [
        (1, BLOCK + 70, 1),
        (1, 2 * BLOCK, 2),
        (3, 5000, 2),
        (6, 77, 2),
    ];
    for (number, at, group) in damages {
        let disk = disk.copy(false);
        disk.edit(&segment_path(number), |bytes| bytes[at] ^= 4);
        let (file, offset, what) = refused(try_open(&disk));
        assert_eq!((file, offset), (segment_path(1), group * BLOCK as u64));
        let other = format!("group {group} is damaged, yet group");
        assert!(what.starts_with(&other), "{what}");
    }
}

#[test]
fn a_torn_group_across_segments_stays_away_whatever_is_written_over_it() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let first = commit(&log, blob(1, 10));
    commit(&log, blob(2, 100_000));
    drop(log);
    // Without its header it cannot be told from stale bytes; with it, it has a length.
    for (number, block, torn_blocks) in [(1, 2, 0), (2, 3, 25), (4, 1, 25)] {
        let disk = disk.copy(false);
        disk.edit(&segment_path(number), |bytes| {
            bytes[block * BLOCK..][..BLOCK].fill(0);
        });
        let opened = open(&disk);
        assert_eq!(opened.replayed, [(first, TxnId(1))]);
        let torn_bytes = (torn_blocks * BLOCK) as u64;
        assert_eq!(opened.recovered.truncated_bytes, torn_bytes);
        let mut expected = vec![(first, TxnId(1))];
        drop(opened);
        // Its bytes are passed at each distance, and written over in the end.
        for (txn, edit_bytes) in [(3, 10), (4, 5000), (5, 20_000), (6, 100_000)] {
            let opened = open(&disk);
            assert_eq!(opened.replayed, expected);
            assert_eq!(opened.recovered.truncated_bytes, 0);
            let end = commit(&opened.log, blob(txn, edit_bytes));
            expected.push((end, TxnId(txn)));
        }
        assert_eq!(open(&disk).replayed, expected);
    }
}

#[test]
fn stale_groups_and_groups_of_other_databases_behind_the_tail_are_no_part_of_the_log() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let all = three_commits(&log);
    drop(log);
    let mut foreign = Chain::at(&Position::START, DATABASE + 1);
    foreign.number = 900;
    disk.edit(&segment_path(1), |bytes| {
        let old = bytes[BLOCK..2 * BLOCK].to_vec();
        bytes[4 * BLOCK..5 * BLOCK].copy_from_slice(&old);
        bytes[6 * BLOCK..][..GROUP_HEADER].copy_from_slice(&foreign.header(0, 0).encode());
    });
    let opened = open(&disk.copy(false));
    assert_eq!(opened.replayed, all);
    assert_eq!(opened.recovered.truncated_bytes, 0);
    // The same place with a later group of this database is a refusal.
    disk.edit(&segment_path(1), |bytes| {
        let (mut header, _) = Header::decode(&bytes[3 * BLOCK..]).unwrap();
        header.number += 2;
        bytes[7 * BLOCK..][..GROUP_HEADER].copy_from_slice(&header.encode());
    });
    let (file, offset, _) = refused(try_open(&disk));
    assert_eq!((file, offset), (segment_path(1), 4 * BLOCK as u64));
}

/// After a sync that failed, the operating system's cache still shows the group, and syncs it no
/// more. A restart that believed the cache would show a commit that the next power cut takes back.
#[test]
fn a_restart_after_a_failed_sync_shows_only_what_the_medium_holds() {
    for edit_bytes in [10, 70_000] {
        let disk = TestDisk::default();
        let log = create(&disk);
        let good = commit(&log, blob(1, 10));
        disk.fail_next_sync(Fault::Io);
        let lost = log.reserve_and_enqueue(blob(2, edit_bytes));
        assert!(log.wait_commit_at_least(lost).is_err());
        drop(log);
        let opened = open(&disk);
        assert_eq!(opened.replayed, [(good, TxnId(1))]);
        let next = commit(&opened.log, blob(3, 10));
        let expected = [(good, TxnId(1)), (next, TxnId(3))];
        assert_eq!(open(&disk.copy(true)).replayed, expected);
        drop(opened);
        assert_eq!(open(&disk).replayed, expected);
    }
}

#[test]
fn a_missing_segment_is_refused_and_a_half_made_one_is_thrown_away() {
    let disk = TestDisk::default();
    let log = create(&disk);
    commit(&log, blob(1, 200_000));
    drop(log);
    let half_made = disk.copy(false);
    half_made
        .create(&dir().join("prepared.tmp"))
        .unwrap()
        .write_all_at(b"x", 0)
        .unwrap();
    assert_eq!(open(&half_made).replayed.len(), 1);
    for missing in [1, 3] {
        let disk = disk.copy(false);
        disk.remove(&segment_path(missing)).unwrap();
        let (file, _, what) = refused(try_open(&disk));
        assert_eq!(
            (file, &*what),
            (segment_path(missing), "a segment is missing")
        );
    }
}

/// A length that a header makes up must not be allocated before it is compared with the files.
#[test]
fn a_header_that_promises_more_than_the_files_hold_is_a_torn_tail() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let all = three_commits(&log);
    drop(log);
    for length in [u64::MAX, u64::MAX - 64, 1 << 62, 100 * BLOCK as u64] {
        let disk = disk.copy(false);
        disk.edit(&segment_path(1), |bytes| {
            let (mut header, _) = Header::decode(&bytes[3 * BLOCK..]).unwrap();
            header.length = length;
            bytes[3 * BLOCK..][..GROUP_HEADER].copy_from_slice(&header.encode());
        });
        assert_eq!(open(&disk).replayed, all[..2]);
    }
}

#[test]
fn an_error_of_the_replay_stops_the_start_and_damage_in_a_blob_names_its_place() {
    let disk = TestDisk::default();
    let log = create(&disk);
    three_commits(&log);
    drop(log);
    let replay = &mut |told: Replayed<'_>| match told {
        Replayed::Blob { bytes, .. } => {
            crate::wal::records(&bytes[1..]).try_for_each(|r| r.map(drop))
        }
        _ => Ok(()),
    };
    let result = Log::open(
        Arc::new(disk),
        dir(),
        DATABASE,
        options(),
        &Position::START,
        replay,
    );
    let Err(Error::Corrupt { file, offset, .. }) = result.map(|r| r.1) else {
        panic!("not refused");
    };
    assert_eq!(file, segment_path(1));
    assert_eq!(offset, (BLOCK + GROUP_HEADER) as u64);
}

#[test]
fn a_log_on_a_real_disk_comes_back_after_a_crash_and_a_cut() {
    let temp = tempfile::tempdir().unwrap();
    let log = Log::create(
        Arc::new(RealDisk::default()),
        temp.path(),
        DATABASE,
        options(),
    )
    .unwrap();
    let mut expected = three_commits(&log);
    expected.push((commit(&log, blob(9, 100_000)), TxnId(9)));
    drop(log);
    let reopen = |dir: &Path| try_open_in(Arc::new(RealDisk::default()), dir, DATABASE).unwrap();
    let opened = reopen(temp.path());
    assert_eq!(opened.replayed, expected);
    commit(&opened.log, blob(10, 10));
    drop(opened);
    let last = segment::path(temp.path(), 4);
    let file = RealDisk::default().open(&last).unwrap();
    file.set_size(2 * BLOCK as u64 + 100).unwrap();
    let opened = reopen(temp.path());
    assert_eq!(opened.replayed[..3], expected[..3]);
    let kept = opened.replayed.len();
    assert!(kept < 5, "{kept}");
    commit(&opened.log, blob(11, 10));
    opened.log.shutdown().unwrap();
    assert_eq!(reopen(temp.path()).replayed.len(), kept + 1);
}
