//! A medium in place of segments. It fails on demand, and asserts what a leader owes it.

use std::sync::{Arc, MutexGuard, PoisonError};

use crate::base::sync::{AtomicU64, Condvar, Mutex, Ordering};
use crate::base::{Error, Lsn, Result};

use super::Position;

pub(super) const PLANNED_PANIC: &str = "a planned panic";

/// What happens to the group of this number, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    FailedWrite(u64),
    FailedSync(u64),
    /// loom's mutex does not outlive the panic of a holder.
    #[cfg(feature = "shuttle")]
    PanicInWrite(u64),
    #[cfg(feature = "shuttle")]
    PanicInSync(u64),
}

pub(super) struct Medium {
    fault: Option<Fault>,
    /// Relaxed throughout: that an acknowledged session sees it is the coordinator's part.
    synced: AtomicU64,
    /// Invisible to the checker, as a disk is.
    disk: std::sync::Mutex<Disk>,
    /// A copy of `synced` to wait for without calling anybody, if a scenario does.
    watched: Option<(Mutex<u64>, Condvar)>,
}

#[derive(Default)]
struct Disk {
    stream: Vec<u8>,
    groups: u64,
    /// Written and not synced.
    in_flight: bool,
    failed: bool,
}

impl Medium {
    pub(super) fn new(fault: Option<Fault>) -> Medium {
        Medium {
            fault,
            synced: AtomicU64::new(0),
            disk: std::sync::Mutex::default(),
            watched: None,
        }
    }

    pub(super) fn watched() -> Medium {
        Medium {
            watched: Some(Default::default()),
            ..Medium::new(None)
        }
    }

    pub(super) fn synced(&self) -> Lsn {
        Lsn(self.synced.load(Ordering::Relaxed))
    }

    pub(super) fn stream(&self) -> Vec<u8> {
        self.disk().stream.clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        self.disk().failed
    }

    /// Waits until the bytes below `lsn` are synced, whoever has seen to that.
    pub(super) fn wait_synced(&self, lsn: Lsn) {
        let (synced, changed) = self.watched.as_ref().expect("a watched medium");
        let mut synced = synced.lock();
        while *synced < lsn.0 {
            changed.wait(&mut synced);
        }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct GroupWriter {
    medium: Arc<Medium>,
    end: u64,
}

impl GroupWriter {
    pub(super) fn new(medium: Arc<Medium>) -> GroupWriter {
        GroupWriter { medium, end: 0 }
    }

    pub(super) fn end(&self) -> Lsn {
        Lsn(self.end)
    }

    pub(super) fn position(&self) -> Position {
        Position { lsn: self.end() }
    }

    pub(super) fn wait_space(&mut self, _length: u64) -> Result<()> {
        assert!(!self.medium.has_failed(), "W4: nothing is tried again");
        Ok(())
    }

    pub(super) fn write(&mut self, blobs: &[Vec<u8>]) -> Result<()> {
        let mut disk = self.medium.disk();
        assert!(!disk.failed, "W4: nothing is tried again");
        assert!(!disk.in_flight, "W3: one group is in flight at a time");
        disk.in_flight = true;
        let number = disk.groups;
        disk.groups += 1;
        let fault = self.medium.fault;
        disk.failed = match fault {
            Some(Fault::FailedWrite(at)) => at == number,
            #[cfg(feature = "shuttle")]
            Some(Fault::PanicInWrite(at)) => at == number,
            _ => false,
        };
        if disk.failed {
            drop(disk);
            return fail(fault, "write");
        }
        blobs.iter().for_each(|blob| disk.stream.extend(blob));
        self.end = disk.stream.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        let mut disk = self.medium.disk();
        assert!(!disk.failed, "W4: nothing is tried again");
        assert!(disk.in_flight, "a group is written before it is synced");
        let number = disk.groups - 1;
        let fault = self.medium.fault;
        disk.failed = match fault {
            Some(Fault::FailedSync(at)) => at == number,
            #[cfg(feature = "shuttle")]
            Some(Fault::PanicInSync(at)) => at == number,
            _ => false,
        };
        if disk.failed {
            drop(disk);
            return fail(fault, "sync");
        }
        disk.in_flight = false;
        drop(disk);
        self.medium.synced.store(self.end, Ordering::Relaxed);
        if let Some((synced, changed)) = &self.medium.watched {
            *synced.lock() = self.end;
            changed.notify_all();
        }
        Ok(())
    }
}

fn fail(fault: Option<Fault>, what: &str) -> Result<()> {
    #[cfg(feature = "shuttle")]
    if let Some(Fault::PanicInWrite(_) | Fault::PanicInSync(_)) = fault {
        // Not `panic!`: the hook would print thousands.
        std::panic::resume_unwind(Box::new(PLANNED_PANIC));
    }
    let _ = fault;
    Err(Error::io(what, std::io::Error::other("a planned failure")))
}
