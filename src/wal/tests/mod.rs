//! What went wrong in logs and coordinators of this shape elsewhere, and the promises of the
//! layer. `recovery` and `recycle` look at bytes, `commit` at threads, `power` at crashes.

mod annex;
mod commit;
mod disk;
mod power;
mod read;
mod recovery;
mod recycle;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::group::{GROUP_HEADER, Header, group_bytes};
use super::{Blob, Log, Options, Position, Record, Recovered, Replayed, records, segment};
use crate::base::{Lsn, PageId, Result, TxnId};
use crate::disk::Disk;
use disk::TestDisk;

const DATABASE: u64 = 0xDA7A;

fn dir() -> &'static Path {
    Path::new("/log")
}

fn segment_path(number: u64) -> PathBuf {
    segment::path(dir(), number)
}

/// Eight blocks to a segment.
fn options() -> Options {
    Options {
        segment_bytes: 8 * 4096,
        ..Options::default()
    }
}

/// A blob whose edits can be told from any other's.
fn blob(txn: u64, edit_bytes: usize) -> Blob {
    let mut blob = Blob::begin(TxnId(txn), 0);
    let page = PageId {
        space: 1,
        number: 1,
    };
    blob.page_write(page, Lsn::ZERO, &vec![txn.to_le_bytes()[0] | 1; edit_bytes]);
    blob.commit(-1);
    blob
}

fn create(disk: &TestDisk) -> Arc<Log> {
    Log::create(Arc::new(disk.clone()), dir(), DATABASE, options()).unwrap()
}

/// A log opened again, with the end lsn and transaction of each blob replayed.
struct Opened {
    log: Arc<Log>,
    recovered: Recovered,
    replayed: Vec<(Lsn, TxnId)>,
}

fn try_open_in(disk: Arc<dyn Disk>, dir: &Path, database_id: u64) -> Result<Opened> {
    try_open_with(disk, dir, database_id, options(), &Position::START)
}

fn try_open_with(
    disk: Arc<dyn Disk>,
    dir: &Path,
    database_id: u64,
    options: Options,
    from: &Position,
) -> Result<Opened> {
    let mut replayed = Vec::new();
    let replay = &mut |told: Replayed<'_>| {
        let Replayed::Blob { end, bytes } = told else {
            return Ok(());
        };
        let records = records(bytes).collect::<Result<Vec<_>>>()?;
        assert_eq!(records.len(), 3);
        let (Record::Begin { txn }, Record::PageWrite { edits, .. }) = (records[0], records[1])
        else {
            panic!("{records:?}");
        };
        let expected = [0, txn.0.to_le_bytes()[0] | 1];
        assert!(edits.iter().all(|edit| expected.contains(edit)));
        replayed.push((end, txn));
        Ok(())
    };
    let (log, recovered) = Log::open(disk, dir, database_id, options, from, replay)?;
    assert_eq!(log.durable_lsn(), recovered.end);
    assert_eq!(log.next_lsn(), recovered.end);
    assert_eq!(replayed.last().map_or(from.lsn, |r| r.0), recovered.end);
    assert_eq!(recovered.blobs, replayed.len() as u64);
    Ok(Opened {
        log,
        recovered,
        replayed,
    })
}

fn try_open(disk: &TestDisk) -> Result<Opened> {
    try_open_in(Arc::new(disk.clone()), dir(), DATABASE)
}

fn open(disk: &TestDisk) -> Opened {
    try_open(disk).unwrap()
}

fn commit(log: &Log, blob: Blob) -> Lsn {
    let end = log.reserve_and_enqueue(blob);
    log.wait_commit_at_least(end).unwrap();
    end
}

/// The stream from the payloads of the groups behind a position, given the bytes of its segment
/// and of all later ones. What follows may be stale.
fn stream(segments: &[u8], from: &Position) -> Vec<u8> {
    let (mut stream, mut at) = (Vec::new(), usize::try_from(from.offset).unwrap());
    let mut number = from.group;
    while let Some((header, _)) = segments.get(at..).and_then(Header::decode)
        && header.number == number
    {
        assert_eq!(header.start.0, from.lsn.0 + stream.len() as u64, "W1");
        let length = usize::try_from(header.length).unwrap();
        stream.extend_from_slice(&segments[at + GROUP_HEADER..][..length]);
        at += usize::try_from(group_bytes(header.length).unwrap()).unwrap();
        number += 1;
    }
    for (header, _) in segments[at..].chunks(4096).filter_map(Header::decode) {
        assert!(header.number < number, "a group behind the last one");
    }
    stream
}

/// Runs something that must not hang.
fn within_seconds<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || done.send(run()).unwrap());
    match wait.recv_timeout(Duration::from_secs(30)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}
