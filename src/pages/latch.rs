//! The latch of a tree.

use crate::base::blocking;
use crate::base::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// How long a worker thread waits before it leaves its other tasks to another thread. Most latches
/// are held for microseconds, that of a tree which a large commit changes for seconds.
const PATIENCE: Duration = Duration::from_millis(1);

/// Exclusive from a commit's first copy until it has installed, shared by readers of the newest
/// state (P2, P3).
#[derive(Default)]
pub struct Latch(RwLock<()>);

impl Latch {
    pub fn read(&self) -> RwLockReadGuard<'_, ()> {
        let soon = self.0.try_read_for(PATIENCE);
        soon.unwrap_or_else(|| blocking(true, || self.0.read()))
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, ()> {
        let soon = self.0.try_write_for(PATIENCE);
        soon.unwrap_or_else(|| blocking(true, || self.0.write()))
    }

    /// Whether somebody waits for it, who wants it exclusively, or has it so.
    #[cfg(test)]
    pub(crate) fn is_wanted_exclusively(&self) -> bool {
        self.0.try_read().is_none()
    }
}
