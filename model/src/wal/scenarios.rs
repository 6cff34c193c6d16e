//! Sessions over the coordinator. Each scenario runs under either checker: with loom two sessions
//! and the writer thread, with shuttle more of them and more commits.
//!
//! What they are known to catch: each of these was put into `coordinator.rs` by hand.
//!
//! | planted bug | loom | shuttle |
//! |---|---|---|
//! | `durable` stored before the sync | W2, in all but dropped waits | likewise |
//! | `durable` stored Relaxed | W2 | cannot: sequentially consistent |
//! | `reserve` by a load and a store | W1, in all with two commits | likewise |
//! | `drain` takes blobs behind a hole | W1, in all with two commits | likewise |
//! | no call in `register` | hangs, in all with two commits | likewise |
//! | no call in `publish` | hangs, in room | likewise |
//! | no call by a dropped unpolled wait | hangs, in dropped waits | likewise |
//! | outcome looked at before the mutex in `register` | hangs, in most | likewise |
//! | no fence in `publish`, or none in `start` | hangs, in room | cannot |
//! | writer thread only tries the leader's mutex | hangs, in dropped waits | missed |
//! | `Signal::call` without the mutex in between | hangs, in most | likewise |
//! | `wake_covered` leaves out the lsn that is durable | hangs, in most | likewise |
//! | a leader goes on after a failure | W4, in failed write and sync | likewise |
//! | a failure wakes nobody, or wakes before the state is stored | hangs, in faults | likewise |
//! | `outcome` looks at `durable` before the state | W4, in shutdown | W4, in faults and shutdown |
//! | the position stored before the sync | not asked | W2, in four |
//! | the position stored later than `durable` | not asked | out of date, in most |
//! | a panic does not poison | not run: no panics there | W4, in panics |
//!
//! Not caught, and no bug: no call after leading inline. Whoever publishes meanwhile counts the
//! leader in `in_flight` and calls by itself.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::base::sync::thread::{JoinHandle, spawn};
use crate::base::sync::{AtomicU64, Ordering, explore};
use crate::base::{Error, Lsn, Result};

use super::coordinator::{Coordinator, block_on, wait_poisoned};
use super::group::{Fault, GroupWriter, Medium, PLANNED_PANIC};
use super::record::Blob;

const SESSIONS: usize = if cfg!(feature = "loom") { 2 } else { 5 };
const COMMITS: usize = if cfg!(feature = "loom") { 1 } else { 3 };

struct Log {
    coordinator: Coordinator,
    medium: Arc<Medium>,
    /// Invisible to the checker.
    seen: std::sync::Mutex<Seen>,
    /// The page that each commit installs, by its name. Relaxed: the log orders them.
    pages: Vec<AtomicU64>,
}

#[derive(Default)]
struct Seen {
    /// Start, end and name of what was reserved.
    places: Vec<(u64, u64, usize)>,
    refused: Vec<Lsn>,
}

impl Log {
    fn new(medium: Medium) -> Arc<Log> {
        let medium = Arc::new(medium);
        Arc::new(Log {
            coordinator: Coordinator::new(GroupWriter::new(Arc::clone(&medium))),
            medium,
            seen: std::sync::Mutex::default(),
            pages: (0..SESSIONS * (COMMITS + 1))
                .map(|_| AtomicU64::new(0))
                .collect(),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves, installs and publishes, as a transaction does.
    fn publish(&self, name: usize) -> Lsn {
        let bytes = vec![u8::try_from(name).unwrap(); 1 + name % 3];
        let reservation = self.coordinator.reserve(bytes.len());
        let end = reservation.end();
        let start = end.0 - bytes.len() as u64;
        self.seen().places.push((start, end.0, name));
        self.pages[name].store(1, Ordering::Relaxed);
        reservation.publish(Blob(bytes));
        end
    }

    fn wait(&self, lsn: Lsn) -> Result<()> {
        let outcome = block_on(self.coordinator.wait(lsn));
        self.check(lsn, &outcome);
        outcome
    }

    fn wait_without_leading(&self, lsn: Lsn) -> Result<()> {
        let outcome = block_on(self.coordinator.wait(lsn).without_leading());
        self.check(lsn, &outcome);
        outcome
    }

    /// What holds when a wait ends.
    fn check(&self, lsn: Lsn, outcome: &Result<()>) {
        let Err(error) = outcome else {
            assert!(self.medium.synced() >= lsn, "W2: acknowledged, not synced");
            self.check_position(lsn);
            self.check_visible(lsn);
            return;
        };
        assert!(matches!(error, Error::Poisoned(_)), "{error}");
        assert!(self.coordinator.end().is_some(), "refused by an open log");
        self.seen().refused.push(lsn);
    }

    /// A position is behind what is acknowledged, and nothing behind it is unsynced. loom has
    /// enough to try without.
    fn check_position(&self, acknowledged: Lsn) {
        if cfg!(feature = "shuttle")
            && let Ok(position) = self.coordinator.position()
        {
            assert!(
                position.lsn >= acknowledged,
                "a position that is out of date"
            );
            assert!(position.lsn <= self.medium.synced(), "W2: not synced");
        }
    }

    /// Who knows that an lsn is durable sees all that was installed up to it.
    fn check_visible(&self, lsn: Lsn) {
        let places = self.seen().places.clone();
        for (_, end, name) in places {
            let installed = self.pages[name].load(Ordering::Relaxed) == 1;
            assert!(end > lsn.0 || installed, "durable, not visible");
        }
    }

    /// Stops the writer thread and looks at what is left.
    fn stop(&self, writer: JoinHandle<()>) {
        self.coordinator.signal.stop();
        writer.join().unwrap();
        let (mut places, refused) = {
            let seen = self.seen();
            (seen.places.clone(), seen.refused.clone())
        };
        places.sort_unstable();
        let stream = self.medium.stream();
        let durable = self.coordinator.durable();
        let (mut next, mut blobs) = (0, 0);
        for (start, end, name) in places {
            assert_eq!(start, next, "W1: no gap, no overlap");
            next = end;
            blobs += u64::from(end <= durable.0);
            let written = stream.iter().take(end as usize).skip(start as usize);
            assert!({ written }.all(|byte| usize::from(*byte) == name), "W1");
        }
        assert_eq!(self.coordinator.next(), Lsn(next), "W1");
        let stats = self.coordinator.stats();
        assert_eq!((stats.blobs, stats.bytes), (blobs, durable.0), "counted");
        assert_eq!(durable, self.medium.synced(), "what is synced is durable");
        for lsn in refused {
            assert!(lsn > durable, "W4: refused, but durable");
        }
        let poisoned = self.coordinator.poisoned().is_some();
        assert_eq!(poisoned, self.medium.has_failed(), "W4");
        assert!(poisoned || self.coordinator.written() == durable, "W3");
    }
}

/// Runs what may end by the planned panic, and only by that.
fn surviving_the_planned_panic(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run))
        && payload.downcast_ref() != Some(&PLANNED_PANIC)
    {
        resume_unwind(payload);
    }
}

/// The writer thread and the sessions, the last of them on this thread, each with its number.
fn run(medium: Medium, session: impl Fn(&Log, usize) + Send + Sync + 'static) -> Arc<Log> {
    let log = Log::new(medium);
    let writer = start_writer(&log);
    let session = Arc::new(session);
    let others: Vec<_> = (1..SESSIONS)
        .map(|number| {
            let (log, session) = (Arc::clone(&log), Arc::clone(&session));
            spawn(move || surviving_the_planned_panic(|| session(&log, number)))
        })
        .collect();
    surviving_the_planned_panic(|| session(&log, 0));
    others.into_iter().for_each(|other| other.join().unwrap());
    log.stop(writer);
    log
}

fn start_writer(log: &Arc<Log>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    spawn(move || surviving_the_planned_panic(|| log.coordinator.run_writer()))
}

/// The names of a session's commits.
fn names(session: usize) -> impl Iterator<Item = usize> {
    (0..COMMITS).map(move |commit| session * COMMITS + commit)
}

#[test]
fn every_commit_is_acknowledged_once_it_is_synced() {
    explore("commits", 2, || {
        run(Medium::new(None), |log, session| {
            for name in names(session) {
                let lsn = log.publish(name);
                log.wait(lsn).unwrap();
            }
        });
    });
}

#[test]
fn who_may_not_lead_is_served_beside_who_may() {
    explore("commits without leading", 2, || {
        run(Medium::new(None), |log, session| {
            for name in names(session) {
                let lsn = log.publish(name);
                if session % 2 == 0 {
                    log.wait(lsn).unwrap();
                } else {
                    log.wait_without_leading(lsn).unwrap();
                }
            }
        });
    });
}

#[test]
fn who_waits_for_what_another_publishes_later_is_served() {
    explore("a wait before the publication", 2, || {
        run(Medium::new(None), |log, session| {
            for name in names(session) {
                log.publish(name);
                let all = log.coordinator.next();
                log.wait(all).unwrap();
            }
        });
    });
}

#[test]
fn the_commit_of_a_wait_dropped_half_way_becomes_durable() {
    explore("dropped waits", 2, || {
        run(Medium::watched(), |log, session| {
            let mut last = Lsn::ZERO;
            for name in names(session) {
                last = log.publish(name);
                let mut wait = log.coordinator.wait(last);
                if session % 2 == 1 {
                    let mut context = Context::from_waker(Waker::noop());
                    let _ = Pin::new(&mut wait).poll(&mut context);
                }
                drop(wait);
            }
            // Nobody calls from here on.
            log.medium.wait_synced(last);
        });
    });
}

/// Commits until the fault and beyond it.
fn commits_with(fault: Fault) {
    let log = run(Medium::new(Some(fault)), |log, session| {
        for name in names(session) {
            let lsn = log.publish(name);
            let _ = log.wait(lsn);
        }
    });
    if log.medium.has_failed() {
        assert!(!log.seen().refused.is_empty(), "somebody waited for it");
        let late = log.coordinator.next();
        assert!(block_on(log.coordinator.wait(late)).is_err(), "W4");
        assert!(log.coordinator.shutdown().is_err(), "W4");
    }
}

#[test]
fn a_failed_write_reaches_everybody_and_nothing_is_tried_again() {
    for group in 0..2 {
        let name = format!("failed write of group {group}");
        explore(&name, 2, move || commits_with(Fault::FailedWrite(group)));
    }
}

#[test]
fn a_failed_sync_reaches_everybody_and_nothing_is_tried_again() {
    for group in 0..2 {
        let name = format!("failed sync of group {group}");
        explore(&name, 2, move || commits_with(Fault::FailedSync(group)));
    }
}

#[test]
#[cfg(feature = "shuttle")]
fn a_panic_of_a_leader_reaches_everybody() {
    for fault in [
        Fault::PanicInWrite(0),
        Fault::PanicInWrite(1),
        Fault::PanicInSync(0),
        Fault::PanicInSync(1),
    ] {
        explore(&format!("{fault:?}"), 0, move || {
            run(Medium::new(Some(fault)), |log, session| {
                for name in names(session) {
                    let lsn = log.publish(name);
                    let _ = log.wait(lsn);
                }
            });
        });
    }
}

#[test]
fn who_waits_for_the_failure_hears_of_it() {
    explore("waits for the failure", 5, || {
        let fault = Fault::FailedSync(0);
        run(Medium::new(Some(fault)), |log, session| {
            if session == 0 {
                let lsn = log.publish(0);
                assert!(log.wait(lsn).is_err(), "W4");
            } else {
                block_on(wait_poisoned(&log.coordinator));
            }
        });
    });
}

/// Commits that nobody waits for, each as soon as there is room.
fn asynchronous_commits(log: &Log, session: usize) {
    for commit in 0..=COMMITS {
        // Less room than any commit takes.
        match block_on(log.coordinator.wait_room(0)) {
            Ok(()) => log.publish(session * (COMMITS + 1) + commit),
            Err(error) => {
                assert!(matches!(error, Error::Poisoned(_)), "{error}");
                return;
            }
        };
    }
}

#[test]
fn who_waits_for_room_gets_it() {
    explore("room", 2, || {
        let log = run(Medium::new(None), asynchronous_commits);
        assert_eq!(log.seen().places.len(), SESSIONS * (COMMITS + 1));
    });
}

#[test]
fn who_waits_for_room_in_a_failing_log_is_refused() {
    explore("room in a failing log", 2, || {
        run(
            Medium::new(Some(Fault::FailedSync(1))),
            asynchronous_commits,
        );
    });
}

#[test]
fn a_shutdown_races_with_commits() {
    explore("shutdown", 3, || {
        run(Medium::new(None), |log, session| {
            if session == 0 {
                log.coordinator.shutdown().unwrap();
                assert!(log.coordinator.end().is_some(), "closed");
                return;
            }
            for name in names(session) {
                let lsn = log.publish(name);
                let _ = log.wait(lsn);
            }
        });
    });
}
