//! The write-ahead log: one endless stream of record bytes, made durable in groups.
//!
//! A transaction is one blob, Begin…Commit. It is built privately, gets its place in the stream
//! by one `fetch_add`, and is published to a queue; whoever leads writes all contiguous blobs as
//! one group and syncs once. The log knows nothing of what is on a page.
//!
//! # Formats
//! All integers are little-endian; the constants in `record.rs` and `group.rs` are the truth.
//!
//! | record | bytes | |
//! |---|---|---|
//! | length | u32 | of the whole record |
//! | checksum | u32 | CRC-32 of all but itself |
//! | type | u8 | 1 begin, 2 page write, 3 commit |
//! | body | | begin: transaction u64; page write: space u32, number u32, base lsn u64, edits; commit: transaction u64, microseconds since 1970 i64 |
//!
//! | group | bytes | |
//! |---|---|---|
//! | magic | u64 | `WALNUT01` |
//! | database id | u64 | a group of another database is not ours |
//! | incarnation | u64 | one more at every start |
//! | group number | u64 | one more with every group, through all incarnations |
//! | start lsn | u64 | where the payload lies in the stream |
//! | payload length | u64 | |
//! | previous CRC | u32 | the header CRC of the group before |
//! | payload CRC | u32 | |
//! | zero | u32 | |
//! | header CRC | u32 | of the bytes before it |
//! | payload | | whole blobs, or nothing |
//! | padding | | up to a multiple of 4 KiB, not looked at |
//!
//! A segment is a file `<number, 16 hex digits>.wal` of any multiple of 4 KiB. The segments, one
//! behind the other, are a run of groups followed by zeros; a group may cross from one segment
//! into the next ones. Segments have no header. They are filled with zeros, synced and then named.
//!
//! # Invariants
//! - W1: the stream has no gaps and no overlaps: each lsn is reserved once and written once.
//! - W2: an lsn is acknowledged only after all bytes below it are synced.
//! - W3: one group is in flight at a time: group n+1 is written only after n was synced. A block
//!   that holds synced bytes is never written again.
//! - W4: a failed write or sync is final. The log is poisoned, everybody who waits gets the error,
//!   nothing is tried again, `durable_lsn` stays where it is.
//! - W5 (the tail rule): at the first group that is not whole, if a group of this database with
//!   that number or a higher one stands anywhere behind it, durable data was damaged (W3) and the
//!   log is refused. Otherwise the tail is torn, was never acknowledged, and is cleared and synced.
//! - W6: whenever a blob is published and somebody waits, the writer thread is called or a leader
//!   is still going to drain the queue. No timer stands in for a lost call.
//! - W7: a segment gets its name only when it is whole and synced, the first one with its first
//!   group. So a log whose first group is bad is damaged, never unfinished.
//! - W8: recovered bytes are synced, and a group of a new incarnation is synced behind them,
//!   before the log is handed out.
//!
//! What no log can tell: damage to the very last group after a crash looks like a torn write. A
//! start and a shutdown each write an empty group, so everything before them is proven durable.
//!
//! # The leader role
//! ```text
//!                 first poll of a commit that is alone: try_lock
//!    nobody ────────────────────────────────────────────────► inline: one group
//!     │  ▲                                                     │ unlock; call the thread
//!     │  └─────────────────────────────────────────────────────┘ if the queue is not empty
//!     │ publish while somebody waits, or a wait that registers: call the writer thread
//!     ▼
//!    writer thread: lock, groups until nothing contiguous is left ──► nobody, looks again if
//!                                                                     called in the meantime
//! ```
//! The thread waits for the leader's mutex and does not try it, so a call that comes while
//! somebody leads inline is answered as soon as that group is done.
//! Leading inline saves a lone client two switches of threads; it happens only if no other wait
//! is in flight, nothing was reserved later and the last group was a lone commit too.
//!
//! # Entry points
//! [`Log::create`], [`Log::open`]; [`Blob`], [`Log::reserve`], [`Log::commit_at_least`];
//! [`Log::wait_room`] before a reservation; [`Log::wait_poisoned`] for the process to stop.

mod coordinator;
mod group;
mod reader;
mod record;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;

use coordinator::Coordinator;
use group::{BLOCK, Chain, GroupWriter};
use reader::Tail;
use segment::{Preparer, Segments};

pub use coordinator::{Reservation, Wait};
pub use record::{Blob, Record, records};

/// The number of the first segment of a log.
const FIRST_SEGMENT: u64 = 1;

#[derive(Clone, Debug)]
pub struct Options {
    /// The size of new segments; rounded up to whole blocks.
    pub segment_bytes: u64,
    /// How far reservations may be ahead of what is durable before [`Log::wait_room`] waits. One
    /// blob may be larger.
    pub queued_bytes_max: usize,
    /// The next segment is made while nobody writes, so that operations have one order.
    #[cfg(test)]
    pub(crate) lockstep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 16 << 20,
            queued_bytes_max: 64 << 20,
            #[cfg(test)]
            lockstep: false,
        }
    }
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The end of the stream: the lsn of the last commit.
    pub end: Lsn,
    pub blobs: u64,
    pub groups: u64,
    /// Bytes of blobs.
    pub bytes: u64,
    /// Bytes of a torn tail, in whole blocks.
    pub truncated_bytes: u64,
    /// The incarnation that has begun with this start.
    pub incarnation: u64,
    /// The highest transaction id seen; new ones start above it.
    pub last_txn: Option<TxnId>,
}

/// What the log has done since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub blobs: u64,
    pub records: u64,
    /// Each was written and synced once.
    pub groups: u64,
    /// Bytes of blobs.
    pub bytes: u64,
    pub write_time: Duration,
    pub sync_time: Duration,
}

/// An open log. Dropping it without [`Log::shutdown`] is like a crash.
pub struct Log {
    coordinator: Arc<Coordinator>,
    preparer: Preparer,
    writer: Mutex<Option<JoinHandle<()>>>,
    queued_bytes_max: u64,
}

impl Log {
    /// A new, empty log in an existing directory that holds none. Making the directory's own
    /// name durable is the caller's part.
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        database_id: u64,
        options: Options,
    ) -> Result<Arc<Log>> {
        if !segment::list(&*disk, dir)?.is_empty() {
            let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(Error::io(
                format!("create a log in {}", dir.display()),
                exists,
            ));
        }
        let (first, chain) = first_group(database_id);
        let segment = segment::make(&*disk, dir, FIRST_SEGMENT, options.segment_bytes, &first)?;
        let preparer = Preparer::start(disk, dir, &options, FIRST_SEGMENT + 1)?;
        let segments = Segments::new(&preparer, VecDeque::from([segment]), BLOCK);
        Log::start(preparer, GroupWriter::new(segments, chain), &options)
    }

    /// Replays every blob from the start, as `replay(end lsn, blob)`; then clears a torn tail,
    /// syncs, and begins the next incarnation.
    ///
    /// # Errors
    /// `Corrupt`, naming file and offset, for a directory without segments, a log of another
    /// database, and a log with damaged durable bytes. An error of `replay` ends it.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        database_id: u64,
        options: Options,
        replay: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>,
    ) -> Result<(Arc<Log>, Recovered)> {
        segment::remove_prepared(&*disk, dir)?;
        // A segment may have been named just before a crash that the name has yet to survive.
        disk.sync_dir(dir)?;
        let Tail {
            mut chain,
            mut open,
            offset,
            last_segment,
            mut recovered,
        } = reader::recover(&*disk, dir, database_id, replay)?;
        chain.incarnation += 1;
        recovered.incarnation = chain.incarnation;
        for segment in &mut open {
            segment.file = disk.open_direct(&segment::path(dir, segment.number))?;
        }
        let preparer = Preparer::start(disk, dir, &options, last_segment + 1)?;
        let mut writer = GroupWriter::new(Segments::new(&preparer, open, offset), chain);
        writer.write(&[])?;
        writer.sync()?;
        Ok((Log::start(preparer, writer, &options)?, recovered))
    }

    fn start(preparer: Preparer, writer: GroupWriter, options: &Options) -> Result<Arc<Log>> {
        let coordinator = Arc::new(Coordinator::new(writer));
        let run = Arc::clone(&coordinator);
        let thread = std::thread::Builder::new()
            .name("wal-writer".to_owned())
            .spawn(move || run.run_writer())
            .map_err(|source| Error::io("start the log writer thread", source))?;
        Ok(Arc::new(Log {
            coordinator,
            preparer,
            writer: Mutex::new(Some(thread)),
            queued_bytes_max: options.queued_bytes_max as u64,
        }))
    }

    /// Takes the next `len` bytes of the stream: one `fetch_add`. Between this and
    /// [`Reservation::publish`] nothing may fail, block or await.
    pub fn reserve(&self, len: usize) -> Reservation<'_> {
        self.coordinator.reserve(len)
    }

    /// Reserves and publishes; gives the commit's lsn.
    pub fn reserve_and_enqueue(&self, blob: Blob) -> Lsn {
        let reservation = self.reserve(blob.len());
        let end = reservation.end();
        reservation.publish(blob);
        end
    }

    /// Has what is published written although nobody waits for it.
    pub fn write_soon(&self) {
        self.coordinator.signal.call();
    }

    /// Back-pressure, before a reservation: waits while too much is reserved and not durable.
    /// The usual case is a few atomic loads.
    ///
    /// # Errors
    /// `Poisoned` when the log has failed or is shut down; `Io` (a full disk above all) while no
    /// further segment can be made, which each call tries again.
    pub async fn wait_room(&self) -> Result<()> {
        if let Some(error) = self.coordinator.end() {
            return Err(error);
        }
        if self.preparer.is_failing() {
            self.preparer.wait_retry()?;
        }
        let next = self.next_lsn().0;
        match next.checked_sub(self.queued_bytes_max) {
            Some(enough) if enough > self.durable_lsn().0 => {
                self.coordinator.wait(Lsn(enough)).await
            }
            _ => Ok(()),
        }
    }

    /// Waits until `durable_lsn ≥ lsn`. May lead, that is write and sync, on the first poll.
    ///
    /// # Errors
    /// `Poisoned` when the log failed first: whether the commit survives is then unknown.
    pub fn commit_at_least(&self, lsn: Lsn) -> Wait<'_> {
        self.coordinator.wait(lsn)
    }

    /// [`Log::commit_at_least`] for a thread that may block.
    pub fn wait_commit_at_least(&self, lsn: Lsn) -> Result<()> {
        coordinator::block_on(self.commit_at_least(lsn))
    }

    /// All bytes below it are synced. The newest snapshot.
    pub fn durable_lsn(&self) -> Lsn {
        self.coordinator.durable()
    }

    /// All bytes below it are written, synced or not.
    pub fn written_lsn(&self) -> Lsn {
        self.coordinator.written()
    }

    pub fn stats(&self) -> Stats {
        self.coordinator.stats()
    }

    /// The end of what is reserved.
    pub fn next_lsn(&self) -> Lsn {
        self.coordinator.next()
    }

    /// The failure that ended the log, if one did. A shutdown is none.
    pub fn poisoned(&self) -> Option<Error> {
        self.coordinator.poisoned()
    }

    /// Waits until the log has failed; the process must stop then.
    pub async fn wait_poisoned(&self) -> Error {
        coordinator::wait_poisoned(&self.coordinator).await
    }

    /// Writes and syncs everything reserved so far and stops the threads. Blocks. Whoever waits
    /// for more, or asks for room, gets `Poisoned`.
    pub fn shutdown(&self) -> Result<()> {
        let closed = self.coordinator.shutdown();
        self.stop();
        closed
    }

    fn stop(&self) {
        self.coordinator.signal.stop();
        if let Some(thread) = self.writer.lock().take() {
            // A panic there has poisoned the log already.
            let _ = thread.join();
        }
        self.preparer.stop();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The bytes of the first group of a log, an empty one, and what comes after it.
fn first_group(database_id: u64) -> ([u8; group::GROUP_HEADER], Chain) {
    let chain = Chain::new(database_id);
    let header = chain.header(0, crc32fast::hash(&[]));
    let bytes = header.encode();
    let (_, crc) = group::Header::decode(&bytes).expect("the header just encoded");
    let after = chain.after(&header, crc).expect("the first group");
    (bytes, after)
}
