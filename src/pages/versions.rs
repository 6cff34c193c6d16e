//! The versions of one page, and which of them nobody can ask for any more.

use super::page::PageRef;
use super::policy::Verdict;
use super::snapshots::Horizon;
use crate::base::sync::{AtomicBool, Ordering, RwLock};
use crate::base::{Lsn, Result};
use smallvec::SmallVec;
use std::sync::Arc;

/// How many versions a page may have before installation looks for some to drop: the new one and
/// the newest durable one always stay.
pub(super) const FEW: usize = 2;

/// A page: its versions newest first, and the latch of the tree whose root it is.
#[derive(Default)]
pub(super) struct Chain {
    state: RwLock<State>,
    pub(super) latch: RwLock<()>,
    /// Read since the eviction policy last asked.
    visited: AtomicBool,
}

/// ```text
///            load                install
///   empty ─────────► clean ◄────────────────► dirty
///     ▲                │      a checkpoint      ▲
///     └──── evict ─────┘                        │ install, of a page that is not stored
///     └─────────────────────────────────────────┘
/// ```
#[derive(Default)]
struct State {
    /// Empty: all that anybody may ask for is what the data file holds, if it holds the page.
    versions: SmallVec<[Version; 1]>,
    /// The newest version is not what the data file holds.
    dirty: bool,
}

/// The lsn is repeated here so that choosing a version touches no page.
struct Version {
    lsn: Lsn,
    page: PageRef,
}

impl From<PageRef> for Version {
    fn from(page: PageRef) -> Version {
        let lsn = page.lsn();
        Version { lsn, page }
    }
}

/// What a chain has at a snapshot.
pub(super) enum Found {
    Version(PageRef),
    /// The page came later.
    NoVersion,
    /// Nothing in memory.
    Empty,
}

/// What an installation did.
pub(super) struct Installed {
    /// How many there are now.
    pub(super) versions: usize,
    pub(super) made_dirty: bool,
}

/// What a step of recovery did.
pub(super) struct Recovered {
    pub(super) is_new: bool,
    pub(super) made_dirty: bool,
}

impl State {
    fn at(&self, snapshot: Lsn) -> Option<PageRef> {
        let version = self.versions.iter().find(|v| v.lsn <= snapshot)?;
        Some(version.page.clone())
    }

    /// Says how many it dropped.
    fn collect(&mut self, horizon: &Horizon) -> usize {
        let before = self.versions.len();
        // The oldest but one tells whether there is anything to drop: all versions above the
        // floor stay, and so does the one just below them.
        let oldest_but_one = before.checked_sub(2).map(|i| self.versions[i].lsn);
        if oldest_but_one.is_none_or(|lsn| lsn > horizon.floor) {
            return 0;
        }
        let mut next = Lsn::NEWEST;
        for version in std::mem::take(&mut self.versions) {
            let lsn = version.lsn;
            if horizon.needs(lsn, next) {
                self.versions.push(version);
            }
            next = lsn;
        }
        before - self.versions.len()
    }
}

impl Chain {
    /// The newest version at or below the snapshot.
    pub(super) fn read(&self, snapshot: Lsn) -> Found {
        let state = self.state.read();
        match state.at(snapshot) {
            Some(page) => {
                // Relaxed, and stored only when it changes: a hint that many readers share.
                if !self.visited.load(Ordering::Relaxed) {
                    self.visited.store(true, Ordering::Relaxed);
                }
                Found::Version(page)
            }
            None if state.versions.is_empty() => Found::Empty,
            None => Found::NoVersion,
        }
    }

    /// Takes in what is stored, unless something is in memory by now; gives what there is at the
    /// snapshot, and whether it was loaded. While `load` runs nothing can be installed, so the
    /// place it reads from stays this page's (P9).
    pub(super) fn load(
        &self,
        snapshot: Lsn,
        load: impl FnOnce() -> Result<PageRef>,
    ) -> Result<(Option<PageRef>, bool)> {
        let mut state = self.state.write();
        let is_new = state.versions.is_empty();
        if is_new {
            let version = Version::from(load()?);
            state.versions.push(version);
        }
        Ok((state.at(snapshot), is_new))
    }

    /// Adds the newest version.
    pub(super) fn install(&self, page: PageRef) -> Installed {
        let version = Version::from(page);
        let mut state = self.state.write();
        let last = state.versions.first();
        assert!(last.is_none_or(|last| last.lsn < version.lsn), "P1");
        state.versions.insert(0, version);
        Installed {
            versions: state.versions.len(),
            made_dirty: !std::mem::replace(&mut state.dirty, true),
        }
    }

    /// Changes the only version in place, for recovery, when there are no readers. The page given
    /// to `change` is the newest version or none.
    pub(super) fn recover(
        &self,
        change: impl FnOnce(Option<PageRef>) -> Result<PageRef>,
    ) -> Result<Recovered> {
        let mut state = self.state.write();
        let newest = state.versions.drain(..).next().map(|v| v.page);
        let is_new = newest.is_none();
        let version = Version::from(change(newest)?);
        state.versions.push(version);
        let made_dirty = !std::mem::replace(&mut state.dirty, true);
        Ok(Recovered { is_new, made_dirty })
    }

    /// Drops the versions that no snapshot, live or to come, can read (P5); says how many.
    pub(super) fn collect(&self, horizon: &Horizon) -> usize {
        self.state.write().collect(horizon)
    }

    /// Forgets the page: how many versions of it there were, and whether it was dirty.
    pub(super) fn clear(&self) -> (usize, bool) {
        let mut state = self.state.write();
        let State { versions, dirty } = std::mem::take(&mut *state);
        (versions.len(), dirty)
    }

    /// The version that a checkpoint at `at` has to store, if the page was there.
    pub(super) fn at(&self, at: Lsn) -> Option<PageRef> {
        self.state.read().at(at)
    }

    /// The version `lsn` is stored: whether the page is clean by that.
    pub(super) fn stored(&self, lsn: Lsn) -> bool {
        let mut state = self.state.write();
        let is_clean = state.versions.first().is_some_and(|v| v.lsn == lsn);
        state.dirty = !is_clean;
        is_clean
    }

    /// Empties the chain if it is clean and nobody needs what the data file does not hold; says
    /// how many versions were dropped, too.
    pub(super) fn evict(&self, horizon: impl FnOnce() -> Arc<Horizon>) -> (Verdict, usize) {
        if self.visited.swap(false, Ordering::Relaxed) {
            return (Verdict::Visited, 0);
        }
        // Who holds it reads or changes the page.
        let Some(mut state) = self.state.try_write() else {
            return (Verdict::Pinned, 0);
        };
        if state.versions.is_empty() {
            return (Verdict::Gone, 0);
        }
        let mut dropped = 0;
        if state.versions.len() > 1 {
            dropped = state.collect(&horizon());
        }
        // A page that somebody holds would not free its memory; a batch holds those it is to
        // install a version of, so that the older ones are there then (P9).
        let is_idle = |v: &Version| Arc::strong_count(&v.page) == 1;
        if state.dirty || state.versions.len() > 1 || !state.versions.iter().all(is_idle) {
            return (Verdict::Pinned, dropped);
        }
        state.versions.clear();
        (Verdict::Evicted, dropped + 1)
    }

    /// Whether the newest version is not what the data file holds.
    pub(super) fn is_dirty(&self) -> bool {
        self.state.read().dirty
    }

    /// Whether nothing is in memory.
    pub(super) fn is_empty(&self) -> bool {
        self.state.read().versions.is_empty()
    }

    /// Empties the chain of a page that is free since an lsn and needed by nobody; says how many
    /// versions were dropped, and whether it was dirty. `None`: it was used again.
    pub(super) fn blank(&self, since: Lsn) -> Option<(usize, bool)> {
        let mut state = self.state.write();
        let newest = state.versions.first();
        if newest.is_some_and(|version| version.lsn > since) {
            return None;
        }
        let dropped = state.versions.len();
        state.versions.clear();
        Some((dropped, std::mem::take(&mut state.dirty)))
    }

    /// Empties the chain of a clean page, whoever needs it; says how many versions were dropped.
    /// `None`: it is not clean.
    pub(super) fn forget(&self) -> Option<usize> {
        let mut state = self.state.write();
        let dropped = state.versions.len();
        (!state.dirty).then(|| {
            state.versions.clear();
            dropped
        })
    }

    #[cfg(test)]
    pub(super) fn lsns(&self) -> Vec<Lsn> {
        self.state.read().versions.iter().map(|v| v.lsn).collect()
    }
}
