//! Reading a log without opening it: agrees with recovery, and runs beside the writers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk::TestDisk;
use super::{DATABASE, blob, commit, create, dir, open, options, segment_path, try_open};
use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::{Disk, RealDisk};
use crate::wal::group::GROUP_HEADER;
use crate::wal::{Log, LogReader, TornTail, read};

const BLOCK: usize = 4096;

type Blobs = Vec<(Lsn, TxnId)>;

/// The blobs that can be read from now on, and what is behind them.
fn read_rest(reader: &mut LogReader) -> Result<(Blobs, Option<TornTail>)> {
    let mut blobs = Blobs::new();
    while let Some(group) = reader.next_group()? {
        let found = reader.blobs(&group)?;
        blobs.extend(found.iter().map(|blob| (blob.end, blob.txn)));
    }
    Ok((blobs, reader.check_tail()?))
}

fn read_all(disk: &TestDisk) -> Result<(Blobs, Option<TornTail>)> {
    read_rest(&mut read(Arc::new(disk.clone()), dir(), DATABASE)?)
}

/// What recovery and a reader say of the same log; the reader comes first and changes nothing.
#[track_caller]
fn both_agree(disk: &TestDisk, context: &str) -> bool {
    let before = disk.edit(&segment_path(1), |bytes| bytes.clone());
    let read = read_all(disk);
    assert_eq!(disk.edit(&segment_path(1), |bytes| bytes.clone()), before);
    match (read, try_open(disk)) {
        (Ok((blobs, tail)), Ok(opened)) => {
            assert_eq!(blobs, opened.replayed, "{context}");
            let torn = tail.map_or(0, |tail| tail.bytes);
            assert_eq!(torn, opened.recovered.truncated_bytes, "{context}");
            true
        }
        (Err(read), Err(opened)) => {
            assert!(matches!(read, Error::Corrupt { .. }), "{context}: {read}");
            assert_eq!(read.to_string(), opened.to_string(), "{context}");
            false
        }
        (read, opened) => panic!("{context}: {read:?}, but {:?}", opened.map(|o| o.recovered)),
    }
}

/// A crash, a start and a shutdown: blocks 0 and 4 hold empty groups, the others one commit each.
fn short_log() -> TestDisk {
    let disk = TestDisk::default();
    let log = create(&disk);
    for txn in 1..=3 {
        commit(&log, blob(txn, 20));
    }
    drop(log);
    let log = open(&disk).log;
    commit(&log, blob(7, 20));
    log.shutdown().unwrap();
    disk
}

fn telling_bytes() -> impl Iterator<Item = usize> {
    let used = GROUP_HEADER + blob(1, 20).len() + 3;
    (0..8 * BLOCK).filter(move |at| at % BLOCK < used || at % 97 == 0)
}

#[test]
fn a_reader_finds_what_recovery_finds_wherever_a_byte_is_flipped() {
    let disk = short_log();
    let (mut good, mut bad) = (0, 0);
    for at in telling_bytes() {
        let disk = disk.copy(false);
        disk.edit(&segment_path(1), |bytes| bytes[at] ^= 0x10);
        match both_agree(&disk, &format!("byte {at}")) {
            true => good += 1,
            false => bad += 1,
        }
    }
    assert!(good > 100 && bad > 100, "{good} and {bad}");
}

#[test]
fn a_reader_finds_what_recovery_finds_wherever_a_log_is_cut() {
    let disk = short_log();
    for cut in telling_bytes() {
        let disk = disk.copy(false);
        disk.edit(&segment_path(1), |bytes| bytes.truncate(cut));
        both_agree(&disk, &format!("cut at {cut}"));
    }
}

#[test]
fn a_torn_group_is_told_with_its_place_and_the_wrong_record_of_a_damaged_one_too() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let first = commit(&log, blob(1, 20));
    commit(&log, blob(2, 20));
    drop(log);
    // The second record of the blob, behind the begin.
    let record = GROUP_HEADER + 17;
    let torn = disk.copy(false);
    torn.edit(&segment_path(1), |bytes| {
        bytes[2 * BLOCK + record + 12] ^= 1
    });
    let (blobs, tail) = read_all(&torn).unwrap();
    assert_eq!(blobs, [(first, TxnId(1))]);
    let tail = tail.unwrap();
    assert_eq!((tail.group, tail.offset), (2, 2 * BLOCK as u64));
    assert_eq!((tail.file, tail.bytes), (segment_path(1), BLOCK as u64));
    let place = format!("in {} at offset ", segment_path(1).display());
    assert!(
        tail.what
            .ends_with(&format!("{place}{}", 2 * BLOCK + record)),
        "{}",
        tail.what
    );

    disk.edit(&segment_path(1), |bytes| bytes[BLOCK + record + 12] ^= 1);
    match read_all(&disk) {
        Err(Error::Corrupt { file, offset, what }) => {
            assert_eq!((file, offset), (segment_path(1), BLOCK as u64));
            assert!(
                what.starts_with("group 1 is damaged, yet group 2 follows"),
                "{what}"
            );
            assert!(
                what.ends_with(&format!("{place}{}", BLOCK + record)),
                "{what}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_is_written_on_is_read_to_its_end_and_never_called_damaged() {
    const COMMITS: u64 = 400;
    let temp = tempfile::tempdir().unwrap();
    let dir: &Path = temp.path();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
    let log = Log::create(disk.clone(), dir, DATABASE, options()).unwrap();
    let done = AtomicBool::new(false);
    let mut reader = read(disk, dir, DATABASE).unwrap();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Up to three blocks each, in segments of eight.
            for txn in 0..COMMITS {
                let len = usize::try_from(txn % 12_000 * 29 % 9000).unwrap();
                commit(&log, blob(txn, len));
            }
            done.store(true, Ordering::Release);
        });
        loop {
            // Acquire: pairs with the Release after the last commit.
            let is_last = done.load(Ordering::Acquire);
            let (blobs, _) = read_rest(&mut reader).unwrap();
            seen.extend(blobs.into_iter().map(|(_, txn)| txn.0));
            if is_last {
                break;
            }
        }
    });
    assert_eq!(seen, (0..COMMITS).collect::<Vec<_>>());
    assert_eq!(reader.check_tail().unwrap(), None);
}

#[test]
fn groups_written_between_any_two_reads_of_a_tail_are_no_damage() {
    let mut told = 0;
    for read_until_then in 1..=6 {
        let disk = TestDisk::default();
        let log = create(&disk);
        commit(&log, blob(1, 20));
        let mut reader = read(Arc::new(disk.clone()), dir(), DATABASE).unwrap();
        // With the segment that is prepared there are two to look through.
        while !disk.exists(&segment_path(2)).unwrap() {
            std::thread::yield_now();
        }
        while reader.next_group().unwrap().is_some() {}
        let (writer, done) = (Arc::clone(&log), Arc::new(AtomicBool::new(false)));
        let written = Arc::clone(&done);
        disk.after_read(read_until_then, move || {
            for txn in 2..=5 {
                commit(&writer, blob(txn, 2 * BLOCK));
            }
            written.store(true, Ordering::Release);
        });
        let tail = reader.check_tail().unwrap();
        assert_eq!(tail, None, "after read {read_until_then}");
        if done.load(Ordering::Acquire) {
            told += 1;
            let (blobs, _) = read_rest(&mut reader).unwrap();
            assert_eq!(blobs.last().unwrap().1, TxnId(5));
        }
    }
    assert!(told >= 3, "{told}");
}
