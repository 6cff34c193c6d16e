//! The versions of one page, and which of them nobody can ask for any more.

use super::latch::Latch;
use super::page::{PageRef, corrupt};
use super::policy::Verdict;
use super::snapshots::Horizon;
use super::spill::{Spill, Spilled};
use crate::base::sync::{AtomicBool, Ordering, RwLock};
use crate::base::{Lsn, PageId, Result};
use smallvec::SmallVec;
use std::sync::Arc;

/// How many versions a page may have before installation looks for some to drop: the new one and
/// the newest durable one always stay.
pub(super) const FEW: usize = 2;

/// A page: its versions newest first, and the latch of the tree whose root it is.
#[derive(Default)]
pub(super) struct Chain {
    state: RwLock<State>,
    pub(super) latch: Latch,
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
/// A page of which older versions are needed stays what it is when it is evicted, and so do its
/// versions, but none of them is in memory then.
#[derive(Default)]
struct State {
    /// Empty: all that anybody may ask for is what the data file holds, if it holds the page.
    /// Otherwise all that anybody may ask for (P9).
    versions: SmallVec<[Version; 1]>,
    /// The newest version is not what the data file holds.
    dirty: bool,
}

/// The lsn is repeated here so that choosing a version touches no page.
struct Version {
    lsn: Lsn,
    page: Held,
}

/// Where a version is.
enum Held {
    Memory(PageRef),
    /// An older one.
    Spilled(Box<Spilled>),
    /// In the data file, as the newest one of a clean page.
    Stored,
}

impl Version {
    fn in_memory(&self) -> Option<&PageRef> {
        match &self.page {
            Held::Memory(page) => Some(page),
            Held::Spilled(_) | Held::Stored => None,
        }
    }

    /// In memory, and held by nobody who reads or changes it.
    fn is_idle(&self) -> bool {
        self.in_memory()
            .is_some_and(|page| Arc::strong_count(page) == 1)
    }
}

impl From<PageRef> for Version {
    fn from(page: PageRef) -> Version {
        let lsn = page.lsn();
        Version {
            lsn,
            page: Held::Memory(page),
        }
    }
}

/// What a chain has at a snapshot.
pub(super) enum Found {
    Version(PageRef),
    /// The page came later.
    NoVersion,
    /// Not in memory.
    Absent,
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
    fn at(&self, snapshot: Lsn) -> Option<&Version> {
        self.versions.iter().find(|v| v.lsn <= snapshot)
    }

    /// How many versions are in memory.
    fn in_memory(&self) -> usize {
        self.versions.iter().filter_map(Version::in_memory).count()
    }

    /// Drops what is not needed; says how many of it were in memory.
    fn collect(&mut self, horizon: &Horizon) -> usize {
        // The oldest but one tells whether there is anything to drop: all versions above the
        // floor stay, and so does the one just below them.
        let oldest_but_one = self.versions.len().checked_sub(2);
        let oldest_but_one = oldest_but_one.map(|i| self.versions[i].lsn);
        if oldest_but_one.is_none_or(|lsn| lsn > horizon.floor) {
            return 0;
        }
        let before = self.in_memory();
        let mut next = Lsn::NEWEST;
        for version in std::mem::take(&mut self.versions) {
            let lsn = version.lsn;
            if horizon.needs(lsn, next) {
                self.versions.push(version);
            }
            next = lsn;
        }
        before - self.in_memory()
    }

    /// Has the versions of a clean page that nobody uses leave memory: the newest can be read from
    /// the data file again, and older ones go to the spill file. Says how many went.
    fn spill(&mut self, spill: &Arc<Spill>) -> usize {
        let mut went = 0;
        for version in &mut self.versions[1..] {
            if version.is_idle()
                && let Some(page) = version.in_memory()
                // There is no room: it stays.
                && let Ok(spilled) = spill.write(page)
            {
                version.page = Held::Spilled(spilled);
                went += 1;
            }
        }
        let newest = &mut self.versions[0];
        if newest.is_idle() {
            newest.page = Held::Stored;
            went += 1;
        }
        went
    }
}

impl Chain {
    /// The newest version at or below the snapshot.
    pub(super) fn read(&self, snapshot: Lsn) -> Found {
        let state = self.state.read();
        let Some(version) = state.at(snapshot) else {
            return match state.versions.is_empty() {
                true => Found::Absent,
                false => Found::NoVersion,
            };
        };
        match version.in_memory() {
            Some(page) => {
                // Relaxed, and stored only when it changes: a hint that many readers share.
                if !self.visited.load(Ordering::Relaxed) {
                    self.visited.store(true, Ordering::Relaxed);
                }
                Found::Version(page.clone())
            }
            None => Found::Absent,
        }
    }

    /// Takes the version at the snapshot into memory, unless it is there by now: that of the data
    /// file, which `load` reads, or a spilled one. Gives it, and whether it was loaded. While
    /// `load` runs nothing can be installed, so the place it reads from stays this page's (P9).
    pub(super) fn load(
        &self,
        id: PageId,
        snapshot: Lsn,
        load: impl FnOnce() -> Result<PageRef>,
    ) -> Result<(Option<PageRef>, bool)> {
        let mut state = self.state.write();
        if state.versions.is_empty() {
            let version = Version::from(load()?);
            state.versions.push(version);
            let found = state.at(snapshot).and_then(Version::in_memory);
            return Ok((found.cloned(), true));
        }
        let mut versions = state.versions.iter_mut();
        let Some(version) = versions.find(|v| v.lsn <= snapshot) else {
            return Ok((None, false));
        };
        let page = match &version.page {
            Held::Memory(page) => return Ok((Some(page.clone()), false)),
            Held::Spilled(spilled) => spilled.read(id)?,
            Held::Stored => load()?,
        };
        version.page = Held::Memory(page.clone());
        Ok((Some(page), true))
    }

    /// Adds the newest version.
    pub(super) fn install(&self, page: PageRef) -> Installed {
        let version = Version::from(page);
        let mut state = self.state.write();
        let last = state.versions.first();
        assert!(last.is_none_or(|last| last.lsn < version.lsn), "P1");
        assert!(last.is_none_or(|last| last.in_memory().is_some()), "P9");
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
        let newest = state.versions.drain(..).next();
        let newest = newest.and_then(|v| v.in_memory().cloned());
        let is_new = newest.is_none();
        let version = Version::from(change(newest)?);
        state.versions.push(version);
        let made_dirty = !std::mem::replace(&mut state.dirty, true);
        Ok(Recovered { is_new, made_dirty })
    }

    /// Drops the versions that no snapshot, live or to come, can read (P5); says how many of them
    /// were in memory.
    pub(super) fn collect(&self, horizon: &Horizon) -> usize {
        self.state.write().collect(horizon)
    }

    /// Forgets the page: how many versions of it were in memory, and whether it was dirty.
    pub(super) fn clear(&self) -> (usize, bool) {
        let mut state = self.state.write();
        let state = std::mem::take(&mut *state);
        (state.in_memory(), state.dirty)
    }

    /// The version of a dirty page that a checkpoint at `at` has to store, if the page was there.
    pub(super) fn at(&self, id: PageId, at: Lsn) -> Result<Option<PageRef>> {
        let state = self.state.read();
        let Some(version) = state.at(at) else {
            return Ok(None);
        };
        match &version.page {
            Held::Memory(page) => Ok(Some(page.clone())),
            Held::Spilled(spilled) => spilled.read(id).map(Some),
            Held::Stored => Err(corrupt(id, "a dirty page is taken for a clean one")),
        }
    }

    /// The version `lsn` is stored: whether the page is clean by that.
    pub(super) fn stored(&self, lsn: Lsn) -> bool {
        let mut state = self.state.write();
        let is_clean = state.versions.first().is_some_and(|v| v.lsn == lsn);
        state.dirty = !is_clean;
        is_clean
    }

    /// Has a page leave memory, if nobody uses it and it is clean: the chain is empty then unless
    /// older versions are needed, which are spilled. Says how many versions went, too.
    pub(super) fn evict(
        &self,
        horizon: impl FnOnce() -> Arc<Horizon>,
        spill: Option<&Arc<Spill>>,
    ) -> (Verdict, usize) {
        if self.visited.swap(false, Ordering::Relaxed) {
            return (Verdict::Visited, 0);
        }
        // Who holds it reads or changes the page.
        let Some(mut state) = self.state.try_write() else {
            return (Verdict::Pinned, 0);
        };
        if state.in_memory() == 0 {
            return (Verdict::Gone, 0);
        }
        let mut went = 0;
        if state.versions.len() > 1 {
            let horizon = horizon();
            went = state.collect(&horizon);
            // Else some of them may be needed for a moment only, by a checkpoint for example.
            let is_settled = !state.dirty && state.versions[0].lsn <= horizon.floor;
            if let Some(spill) = spill
                && state.versions.len() > 1
                && is_settled
            {
                went += state.spill(spill);
                return match state.in_memory() {
                    0 => (Verdict::Spilled, went),
                    _ => (Verdict::Pinned, went),
                };
            }
        }
        // A page that somebody holds would not free its memory; a batch holds those it is to
        // install a version of, so that the older ones are there then (P9).
        if state.dirty || state.versions.len() > 1 || !state.versions[0].is_idle() {
            return (Verdict::Pinned, went);
        }
        state.versions.clear();
        (Verdict::Evicted, went + 1)
    }

    /// Drops the spilled versions that nobody needs any more; `true`: there are none left, and the
    /// page is as any other. Says how many versions left memory by that.
    pub(super) fn tidy(&self, horizon: &Horizon) -> (bool, usize) {
        let mut state = self.state.write();
        let dropped = state.collect(horizon);
        if let [only] = &state.versions[..]
            && matches!(only.page, Held::Stored)
        {
            state.versions.clear();
        }
        let is_spilled = |v: &Version| matches!(v.page, Held::Spilled(_));
        (!state.versions.iter().any(is_spilled), dropped)
    }

    /// Whether the newest version is not what the data file holds.
    pub(super) fn is_dirty(&self) -> bool {
        self.state.read().dirty
    }

    /// Whether there is nothing but what the data file holds.
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
        let dropped = state.in_memory();
        state.versions.clear();
        Some((dropped, std::mem::take(&mut state.dirty)))
    }

    /// Empties the chain of a clean page, whoever needs it; says how many versions were dropped.
    /// `None`: it is not clean.
    pub(super) fn forget(&self) -> Option<usize> {
        let mut state = self.state.write();
        let dropped = state.in_memory();
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
