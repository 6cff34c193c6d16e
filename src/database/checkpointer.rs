//! Who takes checkpoints, and when: on request, when the log behind the last one is long, when
//! much of the cache is dirty, when the data file would grow by much, when time is up.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::base::sync::{Condvar, Mutex};
use crate::base::{Error, Result};
use crate::pages::{Checkpointed, PAGE_SIZE, Pages};
use crate::txn::TxnIds;
use crate::wal::{Log, Position};

/// How often the reasons are looked at.
const TICK: Duration = Duration::from_millis(200);

/// How often a checkpoint that is ahead looks whether it is so still.
const PACE_TICK: Duration = Duration::from_millis(20);

/// A checkpoint is spread over so many thousandths of the way to the next one: what PostgreSQL
/// calls `checkpoint_completion_target`, and its default.
const COMPLETION_TARGET: u64 = 900;

/// A checkpoint writes pages to new places before it gives up their old ones, so the data file is
/// larger than its content by what changes between two of them: by this share of it at most, or by
/// what is not worth a checkpoint.
const GROWTH_SHARE: u64 = 5;
const GROWTH_MIN_BYTES: u64 = 128 << 20;

/// How many bytes of log, in whole segments' worth, a checkpoint may leave behind it.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// `max_wal_size`; a checkpoint begins at half of it.
    pub(super) wal_bytes: u64,
    pub(super) segment_bytes: u64,
    /// `checkpoint_timeout`.
    pub(super) timeout: Duration,
    /// No other reason than a request counts, so that operations have one order.
    #[cfg(test)]
    pub(super) lockstep: bool,
}

/// What checkpoints have done since the process started.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointStats {
    /// Begun because of time, log or dirty pages.
    pub timed: u64,
    pub requested: u64,
    pub pages: u64,
    pub write_time: Duration,
    pub sync_time: Duration,
    pub since: SystemTime,
}

pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    pages: Arc<Pages>,
    log: Arc<Log>,
    ids: Arc<TxnIds>,
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// How many requests there have been, and how many of them are answered.
    requested: u64,
    answered: u64,
    /// How the last checkpoint ended.
    last: Result<()>,
    is_stopped: bool,
    stats: CheckpointStats,
}

/// What has come since a checkpoint began.
struct Since {
    time: Duration,
    log_bytes: u64,
    dirty_pages: usize,
    /// What the data file held then.
    used_bytes: u64,
}

impl Limits {
    /// How much of what may come between two checkpoints that is, in thousandths, by reason.
    fn parts(&self, since: &Since, capacity: usize) -> [(Reason, u64); 4] {
        let part = |some: u128, of: u128| {
            let thousandths = some * 1000 / of.max(1);
            u64::try_from(thousandths).unwrap_or(u64::MAX)
        };
        let (dirty, capacity) = (since.dirty_pages as u128, capacity as u128);
        let growth = (since.used_bytes / GROWTH_SHARE).max(GROWTH_MIN_BYTES) / PAGE_SIZE as u64;
        let log = part(since.log_bytes.into(), (self.wal_bytes / 2).into());
        let time = part(since.time.as_millis(), self.timeout.as_millis());
        [
            (Reason::Log, log),
            (Reason::Dirty, part(dirty, capacity / 2)),
            (Reason::Growth, part(dirty, growth.into())),
            (Reason::Time, time),
        ]
    }

    /// Whether a checkpoint that has stored so many of its pages may pause: at this rate it is done
    /// well before the next one is due.
    fn is_ahead(&self, stored: usize, of: usize, since: &Since, capacity: usize) -> bool {
        let stored = stored as u64 * COMPLETION_TARGET / (of as u64).max(1);
        let mut parts = self.parts(since, capacity).into_iter();
        parts.all(|(_, part)| stored > part)
    }
}

/// Where a checkpoint began.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    position: Position,
    annex_bytes: u64,
    /// What the data file held, as far as it is known.
    used_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Request,
    Time,
    Log,
    Dirty,
    Growth,
}

impl Checkpointer {
    /// `position`: of the checkpoint that recovery began with.
    pub(super) fn start(
        pages: Arc<Pages>,
        log: Arc<Log>,
        ids: Arc<TxnIds>,
        limits: Limits,
        position: Position,
    ) -> Result<Checkpointer> {
        let shared = Arc::new(Shared {
            pages,
            log,
            ids,
            limits,
            state: Mutex::new(State {
                requested: 0,
                answered: 0,
                last: Ok(()),
                is_stopped: false,
                stats: CheckpointStats {
                    timed: 0,
                    requested: 0,
                    pages: 0,
                    write_time: Duration::ZERO,
                    sync_time: Duration::ZERO,
                    since: SystemTime::now(),
                },
            }),
            changed: Condvar::new(),
        });
        let called = Arc::downgrade(&shared);
        shared.pages.on_half_dirty(move || {
            if let Some(shared) = called.upgrade() {
                // A call that comes just before it waits is made up for by the next tick.
                shared.changed.notify_all();
            }
        });
        let run = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("checkpointer".to_owned())
            .spawn(move || run.run(position))
            .map_err(|source| Error::io("start the checkpointer thread", source))?;
        Ok(Checkpointer {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Asks for a checkpoint that begins from now on, and waits for its end.
    pub(super) fn request(&self) -> Result<()> {
        let mut state = self.shared.state.lock();
        state.requested += 1;
        let mine = state.requested;
        self.shared.changed.notify_all();
        while state.answered < mine && !state.is_stopped {
            self.shared.changed.wait(&mut state);
        }
        match state.answered < mine {
            true => Err(Error::Poisoned("the checkpointer has stopped".into())),
            false => state.last.clone(),
        }
    }

    /// Takes a checkpoint on this thread, while the other one takes none; calls `step` after its
    /// position was taken, and after each batch of pages.
    #[cfg(test)]
    pub(super) fn checkpoint_here(&self, step: &dyn Fn()) -> Result<Option<Checkpointed>> {
        let shared = &self.shared;
        let next_txn = || {
            let next = shared.ids.next();
            step();
            next
        };
        shared.store(&next_txn, &|_, _| step())
    }

    pub(super) fn stats(&self) -> CheckpointStats {
        self.shared.state.lock().stats
    }

    /// Ends the thread, after the checkpoint it is taking.
    pub(super) fn stop(&self) {
        self.shared.state.lock().is_stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has ended the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A checkpoint that panics may have left the page map half changed.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the checkpointer panicked");
            std::process::abort();
        }
    }
}

impl Shared {
    fn run(&self, position: Position) {
        let _guard = AbortOnPanic;
        let mut last = self.mark(position, 0);
        let mut state = self.state.lock();
        while !state.is_stopped {
            let requests = state.requested;
            let is_requested = requests > state.answered;
            drop(state);
            let reason = match is_requested {
                true => Some(Reason::Request),
                false => self.reason(&last),
            };
            let done = reason.map(|reason| {
                let done = self.checkpoint(reason, &mut last);
                done.inspect_err(|error| tracing::warn!("checkpoint failed: {error}"))
            });
            state = self.state.lock();
            if let Some(done) = done {
                state.count(is_requested, &done);
                state.last = done.map(|_| ());
                state.answered = requests;
                self.changed.notify_all();
            }
            if !state.is_stopped && state.requested == state.answered {
                self.changed.wait_for(&mut state, TICK);
            }
        }
    }

    fn mark(&self, position: Position, used_bytes: u64) -> Mark {
        Mark {
            at: Instant::now(),
            position,
            annex_bytes: self.log.annex_bytes(),
            used_bytes,
        }
    }

    fn since(&self, mark: &Mark, dirty_pages: usize) -> Result<Since> {
        let (now, then) = (self.log.position()?, &mark.position);
        let segments = now.segment.saturating_sub(then.segment);
        let bytes = segments * self.limits.segment_bytes + now.offset;
        let annexes = self.log.annex_bytes() - mark.annex_bytes;
        Ok(Since {
            time: mark.at.elapsed(),
            log_bytes: bytes.saturating_sub(then.offset) + annexes,
            dirty_pages,
            used_bytes: mark.used_bytes,
        })
    }

    /// Why a checkpoint should be taken now, if it should.
    fn reason(&self, last: &Mark) -> Option<Reason> {
        #[cfg(test)]
        if self.limits.lockstep {
            return None;
        }
        if self.log.position().ok()? == last.position {
            return None;
        }
        let pages = self.pages.stats();
        let since = self.since(last, pages.dirty).ok()?;
        let mut parts = self.limits.parts(&since, pages.capacity).into_iter();
        parts.find_map(|(reason, part)| (part >= 1000).then_some(reason))
    }

    /// Takes a checkpoint; `last` is where the one before began, and then this one.
    fn checkpoint(&self, reason: Reason, last: &mut Mark) -> Result<Option<Checkpointed>> {
        let begun = self.mark(self.log.position()?, last.used_bytes);
        last.at = begun.at;
        let pause = |stored, of| self.pause(reason, &begun, stored, of);
        let done = self.store(&|| self.ids.next(), &pause)?;
        if let Some(done) = &done {
            *last = Mark {
                position: done.position,
                used_bytes: done.used_bytes.unwrap_or(begun.used_bytes),
                ..begun
            };
            self.warn_of_old_versions();
            tracing::info!(
                reason = ?reason,
                pages = done.pages,
                nodes = done.nodes,
                bytes = done.used_bytes,
                ms = u64::try_from(begun.at.elapsed().as_millis()).unwrap_or(u64::MAX),
                "checkpoint at {}",
                done.position.lsn
            );
        }
        Ok(done)
    }

    /// Stores what is durable; then the log in front of it is needed no more.
    fn store(
        &self,
        next_txn: &dyn Fn() -> u64,
        pause: &dyn Fn(usize, usize),
    ) -> Result<Option<Checkpointed>> {
        let position = || self.log.position();
        let done = self.pages.checkpoint(&position, next_txn, pause);
        if let Some(error) = self.pages.failure() {
            // As for the log's own syncs.
            self.log.fail(&error.to_string());
        }
        if let Ok(Some(done)) = &done {
            self.log.recycle(done.position.segment);
            self.log.remove_annexes(done.position.lsn);
        }
        done
    }

    /// What old snapshots may read stays in memory if its file cannot be written, however much it is.
    fn warn_of_old_versions(&self) {
        let pages = self.pages.stats();
        if pages.cached > pages.capacity.saturating_mul(2) && pages.dirty < pages.cached / 2 {
            tracing::warn!(
                "old versions of pages take much more memory than shared_buffers: {} pages are \
                 in memory, {} should be; a session keeps an old snapshot open",
                pages.cached,
                pages.capacity
            );
        }
    }

    /// Leaves the disk to others while the checkpoint is ahead, unless somebody waits for its end.
    fn pause(&self, reason: Reason, begun: &Mark, stored: usize, of: usize) {
        let mut state = self.state.lock();
        let is_awaited = |state: &State| {
            let is_requested = reason == Reason::Request || state.requested > state.answered;
            is_requested || state.is_stopped || self.pages.is_checkpoint_awaited()
        };
        while stored < of && !is_awaited(&state) && self.is_ahead(begun, stored, of) {
            self.changed.wait_for(&mut state, PACE_TICK);
        }
    }

    fn is_ahead(&self, begun: &Mark, stored: usize, of: usize) -> bool {
        let pages = self.pages.stats();
        let dirtied = pages.dirty.saturating_sub(of - stored);
        // Beyond three quarters commits wait.
        let is_crowded = pages.dirty > pages.capacity / 8 * 5;
        let since = self.since(begun, dirtied);
        !is_crowded
            && since.is_ok_and(|since| self.limits.is_ahead(stored, of, &since, pages.capacity))
    }
}

impl State {
    fn count(&mut self, is_requested: bool, done: &Result<Option<Checkpointed>>) {
        match is_requested {
            true => self.stats.requested += 1,
            false => self.stats.timed += 1,
        }
        if let Ok(Some(done)) = done {
            self.stats.pages += done.pages;
            self.stats.write_time += done.write_time;
            self.stats.sync_time += done.sync_time;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Reason, Since};
    use std::time::Duration;

    const CAPACITY: usize = 1000;
    const PAGES: usize = 400;

    fn limits() -> Limits {
        Limits {
            wal_bytes: 2000,
            segment_bytes: 16,
            timeout: Duration::from_secs(100),
            lockstep: false,
        }
    }

    fn since(seconds: u64, log_bytes: u64, dirty_pages: usize) -> Since {
        Since {
            time: Duration::from_secs(seconds),
            log_bytes,
            dirty_pages,
            used_bytes: 0,
        }
    }

    /// How many of the pages are stored when it pauses.
    fn stored(from: usize, since: &Since) -> usize {
        let goes_on = |stored: &usize| limits().is_ahead(*stored, PAGES, since, CAPACITY);
        (from..PAGES).find(goes_on).unwrap_or(PAGES)
    }

    #[test]
    fn half_the_log_half_a_dirty_cache_or_the_time_is_a_reason() {
        let reason = |since: &Since| {
            let parts = limits().parts(since, CAPACITY);
            parts.into_iter().find(|(_, part)| *part >= 1000)
        };
        for (since, expected) in [
            (since(99, 999, 499), None),
            (since(100, 999, 499), Some((Reason::Time, 1000))),
            (since(99, 1100, 499), Some((Reason::Log, 1100))),
            (since(99, 999, 1000), Some((Reason::Dirty, 2000))),
        ] {
            assert_eq!(reason(&since), expected);
        }
    }

    #[test]
    fn a_checkpoint_is_spread_over_nine_tenths_of_the_way_to_the_next() {
        let mut at = 0;
        for (tenth, part) in (0..10).zip(0_usize..) {
            for since in [
                since(10 * tenth, 0, 0),
                since(0, 100 * tenth, 0),
                since(1, 1, 50 * part),
            ] {
                at = stored(at, &since);
                let even = PAGES * part / 9;
                assert!(at.abs_diff(even) <= 5, "{at} at {tenth} tenths, not {even}");
            }
        }
        assert_eq!(at, PAGES);
    }

    #[test]
    fn what_is_behind_schedule_is_made_up_for_at_once() {
        assert_eq!(stored(0, &since(5, 0, 0)), 23);
        // A burst in the log.
        assert_eq!(stored(23, &since(6, 450, 0)), 201);
        // Nothing more comes: the time decides in the end.
        assert_eq!(stored(201, &since(45, 450, 0)), 201);
        assert_eq!(stored(201, &since(90, 450, 0)), PAGES);
    }
}
