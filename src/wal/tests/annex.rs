//! Annexes: replayed with their blobs, gone with them, and refused when damaged.

use std::sync::Arc;

use super::{DATABASE, TestDisk, commit, create, dir, options};
use crate::base::{Error, Lsn, PageId, Result, TxnId};
use crate::disk::Disk;
use crate::wal::{Annex, Blob, Log, Position, Record, Replayed, records};

/// More than are written at once.
const PAGES: u32 = 500;

fn page(number: u32) -> PageId {
    PageId { space: 1, number }
}

fn annex(log: &Log) -> Annex<'_> {
    let mut annex = log.begin_annex().unwrap();
    for number in 1..=PAGES {
        let edits = vec![number.to_le_bytes()[0]; 3000];
        annex.page_write(page(number), Lsn(5), &edits).unwrap();
    }
    annex.finish().unwrap()
}

/// Commits a blob with an annex between other records.
fn commit_with_annex(log: &Log, txn: u64) -> Lsn {
    let annex = annex(log);
    let mut blob = Blob::begin(TxnId(txn), 0);
    blob.page_refs(page(0), b"places");
    blob.annex(&annex);
    blob.page_write(page(0), Lsn::ZERO, b"edits");
    blob.commit(-1);
    let end = commit(log, blob);
    annex.keep(end);
    end
}

type Told = Vec<(Lsn, PageId)>;

/// Opens the log: it, and what was told of pages, with the ends of the blobs.
fn open(disk: &TestDisk) -> Result<(Arc<Log>, Told)> {
    let mut told = Told::new();
    let replay = &mut |replayed: Replayed<'_>| {
        let Replayed::Blob { end, bytes } = replayed else {
            return Ok(());
        };
        for record in records(bytes) {
            match record? {
                Record::PageWrite { page, .. } => told.push((end, page)),
                Record::PageRefs { first, .. } => told.push((end, first)),
                _ => {}
            }
        }
        Ok(())
    };
    let disk = Arc::new(disk.clone());
    let (log, _) = Log::open(disk, dir(), DATABASE, options(), &Position::START, replay)?;
    Ok((log, told))
}

fn names(disk: &TestDisk) -> Vec<String> {
    let mut names = disk.list(dir()).unwrap();
    names.retain(|name| name.ends_with(".annex"));
    names.sort();
    names
}

#[test]
fn an_annex_is_replayed_where_its_blob_names_it_and_goes_with_it() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let ends = [1, 2].map(|txn| commit_with_annex(&log, txn));
    assert!(log.annex_bytes() > 2 * u64::from(PAGES) * 3000);
    drop(log);

    let (log, told) = open(&disk).unwrap();
    let of_blob = [0].into_iter().chain(1..=PAGES).chain([0]);
    let expected = ends.map(|end| of_blob.clone().map(move |number| (end, page(number))));
    assert_eq!(told, expected.into_iter().flatten().collect::<Vec<_>>());
    let both = names(&disk);
    log.remove_annexes(Lsn(ends[0].0 - 1));
    assert_eq!(names(&disk), both);
    log.remove_annexes(ends[0]);
    assert_eq!(names(&disk), both[1..]);
    log.remove_annexes(ends[1]);
    assert_eq!((both.len(), names(&disk)), (2, vec![]));
}

#[test]
fn an_annex_that_no_blob_names_is_removed() {
    let disk = TestDisk::default();
    let log = create(&disk);
    let mut begun = log.begin_annex().unwrap();
    begun.page_write(page(1), Lsn(5), b"edits").unwrap();
    let finished = annex(&log);
    assert_eq!(names(&disk).len(), 2);
    drop((begun, finished));
    assert_eq!(names(&disk).len(), 0);
    // The process ends before the blob is published.
    std::mem::forget(annex(&log));
    assert_eq!(names(&disk).len(), 1);
    drop(log);
    let (log, told) = open(&disk).unwrap();
    assert_eq!((told.len(), names(&disk)), (0, vec![]));
    commit_with_annex(&log, 1);
}

#[test]
fn a_damaged_or_missing_annex_is_refused_by_name() {
    let disk = TestDisk::default();
    let log = create(&disk);
    commit_with_annex(&log, 1);
    drop(log);
    let path = dir().join(&names(&disk)[0]);
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[0] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 128,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.push(0),
    ];
    for damage in damages {
        let disk = disk.copy(false);
        disk.edit(&path, damage);
        let Err(Error::Corrupt { file, .. }) = open(&disk).map(|_| ()) else {
            panic!("not refused");
        };
        assert_eq!(file, path);
    }
    disk.remove(&path).unwrap();
    let error = open(&disk).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("it is missing"), "{error}");
}
