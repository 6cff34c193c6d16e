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
//! | type | u8 | 1 begin, 2 page write, 3 commit, 4 page references, 5 space clone, 6 space drop, 7 annex |
//! | body | | begin: transaction u64; page write: space u32, number u32, base lsn u64, edits; page references: space u32, first number u32, places; commit: transaction u64, microseconds since 1970 i64; space clone: from u32, to u32; space drop: space u32; annex: number u64, bytes u64, CRC-32 u32 |
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
//! behind the other, are a run of groups; a group may cross from one segment into the next ones.
//! Segments have no header. A new one is filled with zeros, synced and then named.
//!
//! A log is opened from a [`Position`], the end of a synced group. Segments in front of it are
//! needed no more: they are retired ([`Log::recycle`]), and get the numbers of the next ones by a
//! rename, with their bytes. So what stands behind the last group is zeros or stale: pieces of a
//! group that was never whole, and groups with lower numbers.
//!
//! An annex is a file `<number, 16 hex digits>.annex` of page writes, one behind the other, without
//! a header: those of a large transaction, whose blob names it (`annex.rs`).
//!
//! # Invariants
//! With the tests that attack them. In each of `model/src/wal/scenarios.rs`, which run the
//! coordinator under loom and shuttle, a medium watches W1 to W4, and a lost call (W6) hangs.
//! - W1: the stream has no gaps and no overlaps: each lsn is reserved once and written once.
//!   `concurrent_commits_are_all_durable_and_lie_in_the_order_of_their_lsns`,
//!   `a_hole_holds_back_what_is_behind_it_and_wakes_nobody_too_early`.
//! - W2: an lsn is acknowledged only after all bytes below it are synced.
//!   `nothing_is_acknowledged_or_visible_before_its_sync_returns`,
//!   `an_acknowledged_commit_survives_a_power_cut_at_any_time`;
//!   model: `every_commit_is_acknowledged_once_it_is_synced`.
//! - W3: one group is in flight at a time: group n+1 is written only after n was synced. A block
//!   that holds synced bytes is never written again before its segment is retired.
//!   `an_acknowledged_commit_survives_a_power_cut_at_any_time`; model: all.
//! - W4: a failed write or sync is final. The log is poisoned, everybody who waits gets the error,
//!   nothing is tried again, `durable_lsn` stays where it is.
//!   `a_failed_sync_of_the_writer_thread_reaches_everybody_and_is_never_retried` and its
//!   neighbours; model: `a_failed_write_…`, `a_failed_sync_…`, `a_panic_of_a_leader_…`.
//! - W5 (the tail rule): at the first group that is not whole, if a group of this database with
//!   that number or a higher one stands anywhere behind it, durable data was damaged (W3) and the
//!   log is refused. Otherwise the log ends there: what follows was never acknowledged, or is
//!   stale. A header with the next number can only stand exactly there, where the next group is
//!   written over it (W8), and everything else has a lower number or none, so nothing in it ever
//!   continues the log and it need not be cleared. It is called torn if there is such a header.
//!   `a_log_cut_at_any_byte_opens_with_a_prefix_and_accepts_commits_that_stay`,
//!   `damage_in_front_of_a_later_group_is_refused_wherever_the_later_group_stands`,
//!   `stale_bytes_never_come_back_wherever_the_log_ends_in_a_recycled_segment`.
//! - W6: whenever a blob is published and somebody waits, the writer thread is called or a leader
//!   is still going to drain the queue. No timer stands in for a lost call.
//!   `a_follower_that_loses_the_election_is_served_next`; model:
//!   `who_may_not_lead_is_served_beside_who_may`, `who_waits_for_room_gets_it`,
//!   `the_commit_of_a_wait_dropped_half_way_becomes_durable`, `a_shutdown_races_with_commits`.
//! - W7: a segment gets its name only when it is whole and synced, the first one with its first
//!   group, and its name is synced before a group is written to it. So the segments have no gap,
//!   and a log whose first group is bad is damaged, never unfinished.
//!   `a_missing_segment_is_refused_and_a_half_made_one_is_thrown_away`.
//! - W8: recovered bytes are synced, and a group of a new incarnation is synced behind them,
//!   where a torn one may have begun, before the log is handed out.
//!   `a_torn_group_across_segments_stays_away_whatever_is_written_over_it`,
//!   `a_restart_after_a_failed_sync_shows_only_what_the_medium_holds`.
//! - W9: a segment is retired only when it lies in front of a position that its caller made
//!   durable, and in front of the last synced group. No file serves as two segments, and names go
//!   from the lowest number up, so the numbers in the directory have no gap either.
//!   `every_power_cut_around_checkpoints_and_in_recycled_segments_keeps_what_was_acknowledged`.
//! - W10: an annex is whole and durable before the blob that names it has a place in the stream, and
//!   stays until a position behind that blob is durable.
//!   `an_annex_is_replayed_where_its_blob_names_it_and_goes_with_it`, and the power cuts of
//!   `database/tests/power.rs`.
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
//! is in flight, nothing was reserved later, the last group was a lone commit too and the caller
//! does not rule it out ([`Wait::without_leading`]).
//!
//! # Entry points
//! [`Log::create`], [`Log::open`]; [`Blob`], [`Log::reserve`], [`Log::commit_at_least`];
//! [`Log::begin_annex`] for a large one;
//! [`Log::wait_room`] before a reservation; [`Log::position`] and [`Log::recycle`] for a
//! checkpoint; [`Log::wait_poisoned`] for the process to stop; [`read`] to look at a log that another process may be writing.

mod annex;
mod coordinator;
mod group;
mod read;
mod reader;
mod record;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;

use annex::Annexes;
use coordinator::Coordinator;
use group::{BLOCK, Chain, GroupWriter};
use reader::Tail;
use segment::{Preparer, Segments};

pub use annex::{Annex, AnnexWriter};
#[cfg(test)]
pub(crate) use coordinator::block_on;
pub use coordinator::{Reservation, Wait};
pub use read::{Group, GroupBlob, LogReader, TornTail, read};
pub use reader::Replayed;
pub use record::{AnnexRef, Blob, Record, records};

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

/// Where reading can begin without anything that lies before: the end of a synced group, where the
/// next one is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The end of the synced stream.
    pub lsn: Lsn,
    /// The number of the segment in which the last group ends. It exists.
    pub segment: u64,
    /// The offset in it: a multiple of 4 KiB. If it is the segment's size, the next group starts
    /// with the next segment.
    pub offset: u64,
    /// The number of the next group.
    pub group: u64,
    /// Of the last group.
    pub incarnation: u64,
    /// The CRC of the last group's header.
    pub previous_crc: u32,
}

impl Position {
    /// Of a log just created, before its first group.
    pub const START: Position = Position {
        lsn: Lsn::ZERO,
        segment: FIRST_SEGMENT,
        offset: 0,
        group: 0,
        incarnation: 1,
        previous_crc: 0,
    };
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
    /// What a torn group at the tail takes on disk, in whole blocks.
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
    annexes: Annexes,
    writer: Mutex<Option<JoinHandle<()>>>,
    queued_bytes_max: u64,
    started_at: SystemTime,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log up to {}", self.durable_lsn())
    }
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
        let annexes = Annexes::open(Arc::clone(&disk), dir, Vec::new())?;
        let preparer = Preparer::start(disk, dir, &options, FIRST_SEGMENT + 1, FIRST_SEGMENT)?;
        let segments = Segments::new(&preparer, VecDeque::from([segment]), BLOCK);
        Log::start(
            preparer,
            annexes,
            GroupWriter::new(segments, chain),
            &options,
        )
    }

    /// Tells `replay` of every blob behind `from`, syncs, and begins the next incarnation. Segments in front of `from` are retired.
    ///
    /// # Errors
    /// `Corrupt`, naming file and offset, for a directory without segments, a segment that is
    /// missing behind `from`, a log of another database, and a log with damaged durable bytes. An
    /// error of `replay` ends it.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        database_id: u64,
        options: Options,
        from: &Position,
        replay: &mut dyn FnMut(Replayed<'_>) -> Result<()>,
    ) -> Result<(Arc<Log>, Recovered)> {
        segment::remove_prepared(&*disk, dir)?;
        // A segment may have been named just before a crash that the name has yet to survive.
        disk.sync_dir(dir)?;
        let mut tail = reader::recover(&*disk, dir, database_id, from, replay)?;
        tail.remove_unused_segment(&*disk, dir, from)?;
        let Tail {
            mut chain,
            mut open,
            offset,
            last_segment,
            annexes,
            mut recovered,
        } = tail;
        chain.incarnation += 1;
        recovered.incarnation = chain.incarnation;
        for segment in &mut open {
            segment.file = disk.open_direct(&segment::path(dir, segment.number))?;
        }
        let annexes = Annexes::open(Arc::clone(&disk), dir, annexes)?;
        let preparer = Preparer::start(disk, dir, &options, last_segment + 1, from.segment)?;
        let mut writer = GroupWriter::new(Segments::new(&preparer, open, offset), chain);
        writer.write(&[])?;
        writer.sync()?;
        Ok((Log::start(preparer, annexes, writer, &options)?, recovered))
    }

    fn start(
        preparer: Preparer,
        annexes: Annexes,
        writer: GroupWriter,
        options: &Options,
    ) -> Result<Arc<Log>> {
        let coordinator = Arc::new(Coordinator::new(writer));
        let run = Arc::clone(&coordinator);
        let thread = std::thread::Builder::new()
            .name("wal-writer".to_owned())
            .spawn(move || run.run_writer())
            .map_err(|source| Error::io("start the log writer thread", source))?;
        Ok(Arc::new(Log {
            coordinator,
            preparer,
            annexes,
            writer: Mutex::new(Some(thread)),
            queued_bytes_max: options.queued_bytes_max as u64,
            started_at: SystemTime::now(),
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
        self.check_room()?;
        self.coordinator.wait_room(self.queued_bytes_max).await
    }

    /// The same for a small blob that comes beside a large transaction: without the wait for what
    /// is queued. Blocks while a further segment is tried.
    ///
    /// # Errors
    /// As [`Log::wait_room`].
    pub fn check_room(&self) -> Result<()> {
        if let Some(error) = self.coordinator.end() {
            return Err(error);
        }
        match self.preparer.is_failing() {
            true => self.preparer.wait_retry(),
            false => Ok(()),
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

    /// Behind the last synced group: its lsn is [`Log::durable_lsn`]. It waits for nothing.
    ///
    /// # Errors
    /// `Poisoned` when the log has failed.
    pub fn position(&self) -> Result<Position> {
        self.coordinator.position()
    }

    /// After a [`Position`] in `segment` was made durable: segments numbered below are needed no
    /// more. Some stay until a later call. What fails is logged and harmless.
    pub fn recycle(&self, segment: u64) {
        self.preparer.recycle(segment);
    }

    /// Begins an annex for the page writes of a large transaction.
    pub fn begin_annex(&self) -> Result<AnnexWriter<'_>> {
        self.annexes.begin(self.next_lsn())
    }

    /// Bytes of the annexes that came to be since the start.
    pub fn annex_bytes(&self) -> u64 {
        self.annexes.bytes()
    }

    /// After a [`Position`] at `lsn` was made durable: the annexes of blobs in front of it are
    /// needed no more. What fails is logged and harmless.
    pub fn remove_annexes(&self, lsn: Lsn) {
        self.annexes.remove_before(lsn);
    }

    /// All bytes below it are written, synced or not.
    pub fn written_lsn(&self) -> Lsn {
        self.coordinator.written()
    }

    /// When the counting of [`Log::stats`] began.
    pub fn started_at(&self) -> SystemTime {
        self.started_at
    }

    pub fn stats(&self) -> Stats {
        self.coordinator.stats()
    }

    /// The end of what is reserved.
    pub fn next_lsn(&self) -> Lsn {
        self.coordinator.next()
    }

    /// Ends the log because something else has failed that the process cannot go on without.
    pub fn fail(&self, why: &str) {
        self.coordinator.poison(why);
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
    let chain = Chain::at(&Position::START, database_id);
    let header = chain.header(0, crc32fast::hash(&[]));
    let bytes = header.encode();
    let (_, crc) = group::Header::decode(&bytes).expect("the header just encoded");
    let after = chain.after(&header, crc).expect("the first group");
    (bytes, after)
}
