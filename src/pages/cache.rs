//! The cache: page → versions, loaded from the data file when they are first wanted and evicted
//! when there are too many.

use super::checkpoint::Store;
use super::counter::Counter;
use super::edits;
use super::growing::Growing;
use super::latch::Latch;
use super::page::{PAGE_MEMORY, Page, PageRef, corrupt};
use super::policy::{PROPOSALS_MAX, Policy, Verdict};
use super::snapshots::Snapshots;
use super::versions::{Chain, FEW, Found};
use crate::base::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, SegQueue};
use crate::base::{Error, Lsn, PageId, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

/// All pages of all spaces.
pub struct Pages {
    pub(super) spaces: Growing<OnceLock<Box<Space>>>,
    durable: Arc<dyn Fn() -> Lsn + Send + Sync>,
    snapshots: Arc<Snapshots>,
    /// Where pages are stored; without it all stay in memory.
    pub(super) store: Option<Store>,
    /// The pages marked dirty.
    pub(super) dirty: SegQueue<PageId>,
    pub(super) dirty_count: AtomicUsize,
    /// Bytes that the cache should take at most, and those of its tables that never shrink.
    memory: u64,
    tables: AtomicU64,
    /// Versions in memory.
    pub(super) cached: AtomicUsize,
    policy: Mutex<Policy>,
    /// Pages that are free since an lsn and whose content is not forgotten yet.
    pub(super) freed: Mutex<FxHashMap<PageId, Lsn>>,
    /// Pages of which old versions are not in memory.
    spilled: Mutex<FxHashSet<PageId>>,
    pub(super) room: Mutex<Room>,
    half_dirty: OnceLock<Box<dyn Fn() + Send + Sync>>,
    loads: AtomicU64,
    evictions: AtomicU64,
}

/// The pages of a space.
#[derive(Default)]
pub(super) struct Space {
    chains: Growing<Chain>,
    /// The end of the newest blob that has changed one of them.
    pub(super) newest: AtomicU64,
    hits: Counter,
    loads: AtomicU64,
}

/// Who waits for pages to become clean.
#[derive(Default)]
pub(super) struct Room {
    waiting: Vec<Waker>,
    /// Of the last checkpoint.
    failure: Option<Error>,
}

/// What the cache holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Versions of pages in memory.
    pub cached: usize,
    /// How many there should be at most.
    pub capacity: usize,
    /// Pages changed since they were last stored.
    pub dirty: usize,
    /// Reads from the data file.
    pub loads: u64,
    pub evictions: u64,
}

/// Reads of a space's pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceReads {
    pub hits: u64,
    /// Pages read from the data file.
    pub loads: u64,
}

impl Pages {
    /// An empty cache that stores nothing. `durable` says how far the log is synced and never
    /// falls; the collector takes it as its floor.
    pub fn new(durable: Arc<dyn Fn() -> Lsn + Send + Sync>) -> Pages {
        Pages::over(None, u64::MAX, durable)
    }

    /// A cache of so many bytes over a data file.
    pub(super) fn over(
        store: Option<Store>,
        memory: u64,
        durable: Arc<dyn Fn() -> Lsn + Send + Sync>,
    ) -> Pages {
        Pages {
            spaces: Growing::default(),
            durable,
            snapshots: Arc::default(),
            store,
            dirty: SegQueue::new(),
            dirty_count: AtomicUsize::new(0),
            memory,
            tables: AtomicU64::new(0),
            cached: AtomicUsize::new(0),
            policy: Mutex::new(Policy::new(pages_in(memory))),
            freed: Mutex::default(),
            spilled: Mutex::default(),
            room: Mutex::default(),
            half_dirty: OnceLock::new(),
            loads: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// The registry of the snapshots that read here.
    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// Counters, each as of some moment.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            cached: self.cached.load(Ordering::Relaxed),
            capacity: self.capacity(),
            dirty: self.dirty_count.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// How often pages of a space were found in memory, and how often they were not.
    pub fn space_reads(&self, space: u32) -> SpaceReads {
        let space = self.spaces.get(space).and_then(|space| space.get());
        space.map_or_else(SpaceReads::default, |space| SpaceReads {
            hits: space.hits.sum(),
            loads: space.loads.load(Ordering::Relaxed),
        })
    }

    /// Whether pages are evicted to load others, or will be soon.
    pub fn is_full(&self) -> bool {
        self.cached.load(Ordering::Relaxed) >= self.capacity() / 8 * 7
    }

    /// How many versions there should be at most: those for which the tables that find them, in
    /// memory and in the data file, leave room; but a quarter of the memory is always theirs.
    fn capacity(&self) -> usize {
        let tables = self.tables.load(Ordering::Relaxed);
        let tables = tables + self.store.as_ref().map_or(0, Store::map_memory);
        pages_in(self.memory.saturating_sub(tables).max(self.memory / 4))
    }

    /// Waits while so much of the cache is dirty that there is no room for more.
    ///
    /// # Errors
    /// Why the last checkpoint failed, if it did: there will be no room before one succeeds.
    pub async fn wait_room(&self) -> Result<()> {
        let is_crowded = || self.dirty_count.load(Ordering::Relaxed) > self.capacity() / 4 * 3;
        if !is_crowded() {
            return Ok(());
        }
        std::future::poll_fn(|context| {
            let mut room = self.room.lock();
            match (&room.failure, is_crowded()) {
                (_, false) => Poll::Ready(Ok(())),
                (Some(error), true) => Poll::Ready(Err(error.clone())),
                (None, true) => {
                    room.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Pages were stored, or could not be: whoever waits for room looks again.
    pub(super) fn wake_room(&self, failure: Option<&Error>) {
        let mut room = self.room.lock();
        room.failure = failure.cloned();
        room.waiting.drain(..).for_each(Waker::wake);
    }

    /// The newest version at or below a registered snapshot, or at [`Lsn::NEWEST`] the newest
    /// installed one (for which the caller holds the tree's latch).
    pub fn read(&self, page: PageId, snapshot: Lsn) -> Result<PageRef> {
        self.try_read(page, snapshot)?
            .ok_or_else(|| missing(page, snapshot))
    }

    /// The same, or `None` if the page has no such version.
    pub(super) fn try_read(&self, page: PageId, snapshot: Lsn) -> Result<Option<PageRef>> {
        let space = self.spaces.get(page.space).and_then(|space| space.get());
        let chain = space.and_then(|space| Some((space, space.chains.get(page.number)?)));
        match chain.map(|(space, chain)| (space, chain.read(snapshot))) {
            Some((space, Found::Version(version))) => {
                space.hits.add_one();
                Ok(Some(version))
            }
            Some((_, Found::NoVersion)) => Ok(None),
            Some((_, Found::Absent)) | None => self.load(page, snapshot),
        }
    }

    /// Loads a version that is not in memory (P9).
    fn load(&self, page: PageId, snapshot: Lsn) -> Result<Option<PageRef>> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        // The table of chains grows only for pages that exist.
        let is_known = self
            .known_chain(page)
            .is_some_and(|chain| !chain.is_empty());
        if !is_known && !store.holds(page)? {
            return Ok(None);
        }
        let (found, is_new) = self.chain(page).load(page, snapshot, || store.read(page))?;
        if is_new {
            self.loads.fetch_add(1, Ordering::Relaxed);
            let space = self
                .spaces
                .get_or_grow(page.space)
                .get_or_init(Box::default);
            space.loads.fetch_add(1, Ordering::Relaxed);
            self.admit(page);
            self.evict_surplus();
        }
        Ok(found)
    }

    /// A page has come into the cache: another may have to go ([`Pages::evict_surplus`]).
    fn admit(&self, page: PageId) {
        self.cached.fetch_add(1, Ordering::Relaxed);
        if self.store.is_some() {
            self.policy.lock().admit(page);
        }
    }

    /// Evicts while there are too many, unless somebody else does, or nothing can go. After an
    /// installation whoever installed calls it, when nobody waits for that any more.
    pub fn evict_surplus(&self) {
        let mut horizon = None;
        while self.store.is_some()
            && self.cached.load(Ordering::Relaxed) > self.capacity()
            && let Some(mut policy) = self.policy.try_lock()
        {
            let went = policy.evict(|page| {
                self.known_chain(page).map_or(Verdict::Gone, |chain| {
                    let horizon = || {
                        let now = || self.snapshots.new_horizon((self.durable)());
                        Arc::clone(horizon.get_or_insert_with(now))
                    };
                    let spill = self.store.as_ref().and_then(|store| store.spill.as_ref());
                    let (verdict, dropped) = chain.evict(horizon, spill);
                    if verdict == Verdict::Spilled {
                        self.spilled.lock().insert(page);
                    }
                    self.cached.fetch_sub(dropped, Ordering::Relaxed);
                    verdict
                })
            });
            if !went {
                return;
            }
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After a checkpoint: evicts all that there is no room for, since pages are clean that could
    /// not go before, and forgets the spilled versions that no snapshot needs any more.
    pub(super) fn settle(&self) {
        // Twice each page: the first time only its mark may go.
        let rounds = 2 * self.cached.load(Ordering::Relaxed) / PROPOSALS_MAX + 1;
        (0..rounds).for_each(|_| self.evict_surplus());
        self.tidy_spilled();
    }

    fn tidy_spilled(&self) {
        let mut spilled = self.spilled.lock();
        if spilled.is_empty() {
            return;
        }
        let horizon = self.snapshots.new_horizon((self.durable)());
        spilled.retain(|page| {
            let Some(chain) = self.known_chain(*page) else {
                return false;
            };
            let (is_done, dropped) = chain.tidy(&horizon);
            self.cached.fetch_sub(dropped, Ordering::Relaxed);
            !is_done
        });
    }

    /// The latch of the tree with this root page. Snapshot readers take none.
    pub fn latch(&self, root: PageId) -> &Latch {
        &self.chain(root).latch
    }

    /// The chain of a page, if it was ever made.
    pub(super) fn known_chain(&self, page: PageId) -> Option<&Chain> {
        self.spaces.get(page.space)?.get()?.chains.get(page.number)
    }

    pub(super) fn chain(&self, page: PageId) -> &Chain {
        let grown = |bytes| {
            self.tables.fetch_add(bytes as u64, Ordering::Relaxed);
        };
        let space = self.spaces.get_or_grow_counting(page.space, grown);
        let space = space.get_or_init(Box::default);
        space.chains.get_or_grow_counting(page.number, grown)
    }

    /// A blob that ends at `lsn` has changed a space, or is about to.
    pub(super) fn note_newest(&self, space: u32, lsn: Lsn) {
        let space = self.spaces.get_or_grow(space).get_or_init(Box::default);
        // Release: pairs with the Acquire in `newest_lsn`.
        space.newest.fetch_max(lsn.0, Ordering::Release);
    }

    /// Empties all chains of a space that nobody uses.
    pub(super) fn forget_space(&self, space: u32) {
        // Its number may become another space's.
        self.freed.lock().retain(|page, _| page.space != space);
        let space = self.spaces.get(space).and_then(|space| space.get());
        for chain in space.into_iter().flat_map(|space| space.chains.iter()) {
            self.clear(chain);
        }
    }

    /// Empties a chain that nobody reads.
    pub(super) fn clear(&self, chain: &Chain) {
        let (versions, was_dirty) = chain.clear();
        self.cached.fetch_sub(versions, Ordering::Relaxed);
        self.dirty_count
            .fetch_sub(usize::from(was_dirty), Ordering::Relaxed);
    }

    /// Adds a stamped version, and drops those nobody needs if they have become many.
    pub(super) fn install(&self, page: PageId, version: PageRef) {
        let chain = self.chain(page);
        let installed = chain.install(version);
        if installed.made_dirty {
            self.mark_dirty(page);
        }
        if installed.versions == 1 {
            return self.admit(page);
        }
        self.cached.fetch_add(1, Ordering::Relaxed);
        if installed.versions > FEW {
            let dropped = chain.collect(&self.snapshots.horizon((self.durable)()));
            self.cached.fetch_sub(dropped, Ordering::Relaxed);
        }
    }

    fn mark_dirty(&self, page: PageId) {
        self.dirty.push(page);
        let before = self.dirty_count.fetch_add(1, Ordering::Relaxed);
        if before == self.capacity() / 2
            && let Some(call) = self.half_dirty.get()
        {
            call();
        }
    }

    /// Has something called, once, whenever half of the cache has become dirty.
    pub fn on_half_dirty(&self, call: impl Fn() + Send + Sync + 'static) {
        // The first one stays.
        let _ = self.half_dirty.set(Box::new(call));
    }

    /// Recovery: makes the version `lsn` of a page from the version `base` and the edits the log
    /// carries, in its place. Nobody reads yet.
    pub fn apply(&self, page: PageId, base: Lsn, edits: &[u8], lsn: Lsn) -> Result<()> {
        // A base of zero means that what the page held does not matter.
        let stored = match &self.store {
            Some(store) if base != Lsn::ZERO => Some(store),
            _ => None,
        };
        let recovered = self.chain(page).recover(|newest| {
            let newest = match (newest, stored) {
                (None, Some(store)) if store.holds(page)? => Some(store.read(page)?),
                (newest, _) => newest,
            };
            let found = newest.as_ref().map_or(Lsn::ZERO, |p| p.lsn());
            if found >= lsn || (base != Lsn::ZERO && found != base) {
                let what = format!("edits from {base} to {lsn} meet the version {found}");
                return Err(corrupt(page, what));
            }
            let mut copy = match newest {
                Some(newest) if base != Lsn::ZERO => newest,
                _ => Arc::new(Page::zeroed()),
            };
            let changed = Arc::make_mut(&mut copy);
            edits::apply(changed, edits)
                .ok_or_else(|| corrupt(page, format!("bad edits at {lsn}")))?;
            changed.set_lsn(lsn);
            Ok(copy)
        })?;
        self.note_newest(page.space, lsn);
        if recovered.made_dirty {
            self.mark_dirty(page);
        }
        if recovered.is_new {
            self.admit(page);
            self.evict_surplus();
        }
        Ok(())
    }
}

fn pages_in(bytes: u64) -> usize {
    usize::try_from(bytes / PAGE_MEMORY).map_or(usize::MAX, |pages| pages.max(1))
}

#[cold]
fn missing(page: PageId, snapshot: Lsn) -> Error {
    match snapshot {
        Lsn::NEWEST => corrupt(page, "there is no such page"),
        _ => corrupt(page, format!("there is no version at {snapshot}")),
    }
}
