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

/// A checkpoint writes pages to new places before it gives up their old ones, so the data file is
/// larger than its content by what changes between two of them: by this share of it at most, or by
/// what is not worth a checkpoint.
const GROWTH_SHARE: usize = 5;
const GROWTH_MIN_BYTES: usize = 128 << 20;

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
    fn run(&self, mut position: Position) {
        let _guard = AbortOnPanic;
        let mut begun = Instant::now();
        let mut used_bytes = 0;
        let mut state = self.state.lock();
        while !state.is_stopped {
            let requests = state.requested;
            let is_requested = requests > state.answered;
            drop(state);
            let reason = match is_requested {
                true => Some(Reason::Request),
                false => self.reason(&position, used_bytes, begun.elapsed()),
            };
            let done = reason.map(|reason| {
                begun = Instant::now();
                let done = self.checkpoint(reason);
                if let Ok(Some(done)) = &done {
                    position = done.position;
                    let used = done.used_bytes.and_then(|used| usize::try_from(used).ok());
                    used_bytes = used.unwrap_or(used_bytes);
                }
                if let Some(error) = self.pages.failure() {
                    // As for the log's own syncs.
                    self.log.fail(&error.to_string());
                }
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

    /// Why a checkpoint should be taken now, if it should.
    fn reason(&self, last: &Position, used_bytes: usize, since: Duration) -> Option<Reason> {
        #[cfg(test)]
        if self.limits.lockstep {
            return None;
        }
        let now = self.log.position().ok()?;
        if now == *last {
            return None;
        }
        let segments = now.segment.saturating_sub(last.segment);
        let wal_bytes =
            (segments * self.limits.segment_bytes + now.offset).saturating_sub(last.offset);
        let pages = self.pages.stats();
        if wal_bytes >= self.limits.wal_bytes / 2 {
            Some(Reason::Log)
        } else if pages.dirty >= pages.capacity / 2 {
            Some(Reason::Dirty)
        } else if pages.dirty >= (used_bytes / GROWTH_SHARE).max(GROWTH_MIN_BYTES) / PAGE_SIZE {
            Some(Reason::Growth)
        } else if since >= self.limits.timeout {
            Some(Reason::Time)
        } else {
            None
        }
    }

    fn checkpoint(&self, reason: Reason) -> Result<Option<Checkpointed>> {
        let started = Instant::now();
        let done =
            self.pages
                .checkpoint(&|| self.log.position(), &|| self.ids.next(), &|took| {
                    self.pause(reason, took)
                })?;
        if let Some(done) = &done {
            self.log.recycle(done.position.segment);
            self.warn_of_old_versions();
            tracing::info!(
                reason = ?reason,
                pages = done.pages,
                nodes = done.nodes,
                bytes = done.used_bytes,
                ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "checkpoint at {}",
                done.position.lsn
            );
        }
        Ok(done)
    }

    /// What old snapshots may read cannot leave memory, however much it is.
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

    /// Leaves the disk to others for as long as a batch took, unless somebody waits for the end.
    fn pause(&self, reason: Reason, took: Duration) {
        let pages = self.pages.stats();
        let is_urgent = reason == Reason::Request || pages.dirty >= pages.capacity / 2;
        let mut state = self.state.lock();
        if !is_urgent && state.requested == state.answered && !state.is_stopped {
            self.changed.wait_for(&mut state, took);
        }
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
