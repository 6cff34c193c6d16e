//! Whole spaces: made as clones of others, and dropped.
//!
//! A clone takes no pages along, only a pointer to the page map of its template as the last
//! checkpoint stored it ([`super::map`]). So that is possible only if all that was ever installed
//! in the template is stored, and nobody writes there meanwhile; and recovery, which replays the
//! log from that checkpoint or a later one, comes upon the template in the same state (P14).
//!
//! A dropped space stays in the map until the next checkpoint: the one that runs may have chosen
//! its lsn before. Its number is not used again before a superblock without it is durable.

use super::cache::Pages;
use super::checkpoint::Store;
use super::map::SPACES;
use crate::base::sync::{MutexGuard, Ordering};
use crate::base::{Error, Lsn, Result, SqlState};

/// What the log says of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceChange {
    /// Makes `to` hold what `from` holds.
    Clone {
        from: u32,
        to: u32,
    },
    Drop {
        space: u32,
    },
}

/// Spaces whose drop is durable, and which the superblock in the file may still hold.
#[derive(Default)]
pub(super) struct DroppedSpaces {
    pub(super) numbers: Vec<u32>,
}

impl DroppedSpaces {
    pub(super) fn forget(&mut self, numbers: &[u32]) {
        self.numbers.retain(|space| !numbers.contains(space));
    }
}

/// A change that can be made. No checkpoint chooses its lsn before it is dropped: each has the
/// change either durable in front of it and in its map, or behind it in the log.
pub struct PreparedSpaceChange<'a> {
    pages: &'a Pages,
    store: &'a Store,
    dropped: MutexGuard<'a, DroppedSpaces>,
    change: SpaceChange,
}

impl Pages {
    /// The end of the newest blob that has changed a space.
    pub fn newest_lsn(&self, space: u32) -> Lsn {
        let space = self.spaces.get(space).and_then(|space| space.get());
        // Acquire: pairs with the Release in `note_newest`.
        space.map_or(Lsn::ZERO, |s| Lsn(s.newest.load(Ordering::Acquire)))
    }

    /// Whether a durable checkpoint holds everything that was ever installed in a space, so that
    /// it can be cloned. Stays so while nobody writes there.
    pub fn is_clean(&self, space: u32) -> Result<bool> {
        let store = self.store()?;
        // Acquire: pairs with the Release of a checkpoint.
        if self.newest_lsn(space).0 > store.stored_lsn.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut map = store.map.write();
        map.load_space(&store.file, space)?;
        Ok(map.is_space_stored(space))
    }

    /// The lowest number for a new space, but for those that are used.
    pub fn unused_space(&self, is_used: impl Fn(u32) -> bool) -> Result<u32> {
        let dropped = self.store()?.spaces.lock();
        let number = (1..SPACES).find(|n| !is_used(*n) && !dropped.numbers.contains(n));
        number.ok_or_else(|| {
            let message = "there are as many databases as there can be";
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
        })
    }

    /// Does all that can fail of a change which the caller then logs and, when the log is durable,
    /// applies. Nobody uses the space to be dropped, and nobody writes to the template.
    ///
    /// # Errors
    /// When the template is not clean, too.
    pub fn prepare_space_change(&self, change: SpaceChange) -> Result<PreparedSpaceChange<'_>> {
        let store = self.store()?;
        let dropped = store.spaces.lock();
        if let SpaceChange::Clone { from, to } = change {
            if !self.is_clean(from)? {
                return Err(internal(format!("space {from} is not clean")));
            }
            let mut map = store.map.write();
            map.load_space(&store.file, to)?;
            if map.holds_space(to) {
                return Err(internal(format!("space {to} exists")));
            }
        }
        Ok(PreparedSpaceChange {
            pages: self,
            store,
            dropped,
            change,
        })
    }

    /// Recovery: makes a change that the log carries.
    pub fn recover_space_change(&self, change: SpaceChange) -> Result<()> {
        let store = self.store()?;
        match change {
            SpaceChange::Clone { from, to } => {
                let mut map = store.map.write();
                map.load_space(&store.file, from)?;
                map.load_space(&store.file, to)?;
                // A checkpoint in front of it in the log may have it already (P14).
                if map.holds_space(to) {
                    return Ok(());
                }
                if !map.is_space_stored(from) {
                    let what = format!("the log has a clone of space {from}, which is not stored");
                    return Err(store.file.corrupt(0, what));
                }
                map.share_space(from, to, &mut store.slots.lock());
            }
            SpaceChange::Drop { space } => {
                self.forget_space(space);
                store.spaces.lock().numbers.push(space);
            }
        }
        Ok(())
    }

    /// For a checkpoint: strikes dropped spaces from the map and from memory.
    pub(super) fn drop_spaces(&self, store: &Store, dropped: &[u32]) -> Result<()> {
        for &space in dropped {
            store.make_slots()?;
            {
                let mut map = store.map.write();
                map.drop_space(&store.file, space, &mut store.slots.lock())?;
            }
            self.forget_space(space);
        }
        Ok(())
    }

    fn store(&self) -> Result<&Store> {
        let missing = || internal("spaces are made and dropped in a data file only".to_owned());
        self.store.as_ref().ok_or_else(missing)
    }
}

impl PreparedSpaceChange<'_> {
    /// The change is durable in the log.
    pub fn apply(mut self) {
        match self.change {
            SpaceChange::Clone { from, to } => {
                let mut map = self.store.map.write();
                map.share_space(from, to, &mut self.store.slots.lock());
            }
            SpaceChange::Drop { space } => {
                // A checkpoint that runs may have to store the space as it was.
                if let Some(_checkpoint) = self.store.checkpoint.try_lock() {
                    self.pages.forget_space(space);
                }
                self.dropped.numbers.push(space);
            }
        }
    }
}

fn internal(what: String) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, what)
}
