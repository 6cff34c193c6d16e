//! Transactions: snapshots, private write sets, locks, and the commit.
//!
//! A [`Transaction`] reads committed data at its snapshot (an lsn), overlaid with its own write
//! set; it changes nothing shared until it commits. [`Transaction::install`] is the commit:
//!
//! 1. everything that can fail was done before: constraints by the callers, runs by
//!    [`Transaction::prepare`], room in the log's queue by [`Transaction::wait_room`];
//! 2. the trees written are latched, in tree order, and at SERIALIZABLE those read (`isolation`);
//!    what was read is checked then;
//! 3. the write set is applied to private copies of their pages, which records the edits; a large
//!    one takes new pages from extents of its own and writes its edits to an annex of the log, so
//!    that who commits to other trees waits for none of this;
//! 4. the blob's place in the log is reserved, the pages are stamped with its end and installed:
//!    from the reservation on nothing can fail, and nothing may take long;
//! 5. the latches are released, before anything is synced;
//! 6. the blob is published: `durable_lsn` cannot pass it before, so nobody sees half of it; then
//!    the locks are released;
//! 7. the caller waits for durability and only then acknowledges.
//!
//! # Invariants
//! - **T1** Uncommitted data is in write sets and nowhere else: rolling back is dropping one, or
//!   taking back what it was given since a savepoint (`savepoints`). What
//!   a write set does not hold in memory is in stored pages that nothing committed names (`runs.rs`).
//! - **T2** Nothing that depends on data not yet durable is shown: `depends_on` is the highest lsn
//!   seen beyond the snapshot, and [`Transaction::wait_shown`] waits for it.
//! - **T3** A transaction never looks back behind what it has seen: a new snapshot is taken only
//!   when `durable_lsn` has reached `depends_on`.
//! - **T4** A row or key is changed only under its lock, or under its table's exclusive lock.
//! - **T5** The newest state is read only under the tree's latch, so that half an installation is
//!   never seen.

mod alone;
mod commit;
mod deadlock;
mod export;
mod isolation;
mod loads;
mod lock_list;
mod lock_mode;
mod locks;
mod runs;
mod savepoints;
mod scan;
mod session_locks;
mod trees;
mod write_set;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

pub use export::{Export, Exported, Exports};
pub use isolation::{Isolation, could_not_serialize, read_write_conflict};
pub use lock_list::{ListedLock, LockSubject};
pub use lock_mode::LockMode;
pub use locks::{Level, LockTarget, LockWait, Owner};
pub use scan::{Reader, Scan};
pub use session_locks::SessionLocks;
pub use write_set::{Key, bound_bytes};

use smallvec::SmallVec;

use crate::base::sync::{AtomicU64, Ordering};
use crate::base::{CancelFlag, Error, Lsn, Oid, PageId, Result, SqlState, TreeId, TxnId};
use crate::btree::{self, Value};
use crate::pages::{Batch, Extent, Pages, Snapshot, SpaceChange};
use crate::wal::Log;
use commit::make_blob;
use isolation::{Noter, Reads};
use lock_mode::Modes;
use locks::{Locks, TryLock, Who};
use runs::{FinishedRun, Load};
use rustc_hash::FxHashMap;
use savepoints::Savepoints;
use trees::{Root, Trees};
use write_set::TreeWrites;

/// For so many keys of a tree the pages are touched before a commit: more would evict each other.
const TOUCHES_MAX: usize = 1000;

/// What a lock takes in memory, about.
const LOCK_BYTES: u64 = 150;

/// What the transactions of one database share.
pub struct Transactions {
    pages: Arc<Pages>,
    log: Arc<Log>,
    locks: Locks,
    trees: Trees,
    ids: Arc<TxnIds>,
    /// What a transaction may hold in memory until it commits.
    bytes_max: u64,
}

/// The ids of the transactions of all databases.
pub struct TxnIds {
    next: AtomicU64,
}

impl TxnIds {
    /// Ids from this one on have not been given out.
    pub fn from(next: u64) -> TxnIds {
        TxnIds {
            next: AtomicU64::new(next),
        }
    }

    /// Above all ids given out so far.
    pub fn next(&self) -> u64 {
        // Relaxed: ids need only differ.
        self.next.load(Ordering::Relaxed)
    }

    fn give(&self) -> TxnId {
        TxnId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// A space to be made: its number, and the one tree it begins with.
pub struct NewSpace {
    pub space: u32,
    pub tree: TreeId,
    pub content: Vec<(Key, Vec<u8>)>,
}

/// Makes the first spaces of a new data directory, ascending, durably and all at once.
pub fn create_spaces(pages: &Pages, log: &Log, spaces: Vec<NewSpace>) -> Result<()> {
    let mut batch = Batch::new(pages);
    for new in spaces {
        let mut content = TreeWrites::default();
        let entries = new.content.into_iter();
        entries.for_each(|(key, value)| drop(content.set(key, Some(value))));
        Trees::create(&mut batch, new.space, new.tree, &Arc::new(content))?;
    }
    let lsn = commit_alone(log, batch)?;
    log.wait_commit_at_least(lsn)
}

impl Transactions {
    /// Takes over a space of a data directory whose log has been replayed into `pages`.
    /// `bytes_max`: what a transaction may hold in memory.
    pub fn open(
        pages: Arc<Pages>,
        log: Arc<Log>,
        space: u32,
        ids: Arc<TxnIds>,
        bytes_max: u64,
    ) -> Result<Arc<Self>> {
        let shared = Arc::new(Transactions {
            trees: Trees::load(&pages, space)?,
            pages,
            log,
            locks: Locks::default(),
            ids,
            bytes_max,
        });
        // Of transactions that a crash has ended.
        let pending = shared.pages.pending_extents(space, Lsn::NEWEST)?;
        shared.free_extents(pending)?;
        Ok(shared)
    }

    /// Sets pages aside for a transaction, in a blob of its own.
    fn reserve_extent(&self, count: u32) -> Result<Extent> {
        self.log.check_room()?;
        let mut batch = Batch::new(&self.pages);
        let extent = batch.reserve_extent(self.trees.space(), count)?;
        commit_alone(&self.log, batch)?;
        Ok(extent)
    }

    /// Gives back extents whose pages nobody reads any more.
    fn free_extents(&self, mut extents: Vec<Extent>) -> Result<()> {
        if extents.is_empty() {
            return Ok(());
        }
        self.log.check_room()?;
        extents
            .iter()
            .try_for_each(|extent| self.pages.drop_stored(*extent))?;
        // The last one first: where it ends the space, the space shrinks.
        extents.sort_unstable_by_key(|extent| std::cmp::Reverse(extent.first));
        let mut batch = Batch::new(&self.pages);
        extents
            .into_iter()
            .try_for_each(|extent| batch.free_extent(extent))?;
        commit_alone(&self.log, batch).map(drop)
    }

    pub fn begin(self: &Arc<Self>) -> Transaction {
        self.begin_for(None)
    }

    /// A transaction of a session: it shares its locks.
    fn begin_for(self: &Arc<Self>, session: Option<Owner>) -> Transaction {
        let id = self.ids.give();
        Transaction {
            shared: self.clone(),
            id,
            owner: session.unwrap_or(Owner::transaction(id)),
            isolation: Isolation::default(),
            snapshot: None,
            fixed: None,
            reads: None,
            writes: BTreeMap::new(),
            loads: FxHashMap::default(),
            has_closed_runs: false,
            kept_in_memory: Vec::new(),
            finished_runs: FxHashMap::default(),
            created: Vec::new(),
            dropped: Vec::new(),
            space_change: None,
            held: Vec::new(),
            tables: SmallVec::new(),
            savepoints: Savepoints::default(),
            depends_on: Lsn::ZERO,
            session_shown: None,
        }
    }

    /// A transaction that reads what recovery found, all of which is durable.
    pub fn begin_recovered(self: &Arc<Self>) -> Transaction {
        let mut transaction = self.begin();
        let log = &self.log;
        let snapshot = self.pages.snapshots().register(|| log.durable_lsn());
        transaction.snapshot = Some(Arc::new(snapshot));
        transaction
    }

    /// Has the pages on the way to keys come into the cache, so that nobody waits for the disk with
    /// a latch held. Pointless, and not done, while all pages are in memory; only a hint, so what
    /// fails is met again later.
    fn touch<'k>(&self, root: PageId, keys: impl IntoIterator<Item = &'k [u8]>) {
        if !self.pages.is_full() {
            return;
        }
        let snapshot = self.pages.snapshots().register(|| self.log.durable_lsn());
        for key in keys.into_iter().take(TOUCHES_MAX) {
            let _ = btree::get(&self.pages, root, snapshot.lsn(), key);
        }
    }

    /// Checks every tree of the newest state and that no page is used twice.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the first damage found.
    pub fn verify(&self) -> Result<()> {
        let snapshot = self.pages.snapshots().register(|| self.log.durable_lsn());
        trees::verify(&self.pages, self.trees.space(), snapshot.lsn())
    }
}

/// One transaction. Dropping it rolls back.
pub struct Transaction {
    shared: Arc<Transactions>,
    id: TxnId,
    /// Whose locks its own are.
    owner: Owner,
    isolation: Isolation,
    snapshot: Option<Arc<Snapshot>>,
    /// The one that all statements above READ COMMITTED read at, from the first on.
    fixed: Option<Arc<Snapshot>>,
    /// At SERIALIZABLE.
    reads: Option<Arc<Reads>>,
    writes: BTreeMap<TreeId, Arc<TreeWrites>>,
    /// The newest run of each tree that has any, if it may grow.
    loads: FxHashMap<TreeId, Load>,
    /// Some runs may not: a savepoint was rolled back to.
    has_closed_runs: bool,
    /// Large ones whose keys mingle with those of others.
    kept_in_memory: Vec<TreeId>,
    /// The only one, after [`Transaction::prepare`].
    finished_runs: FxHashMap<TreeId, FinishedRun>,
    created: Vec<TreeId>,
    dropped: Vec<TreeId>,
    space_change: Option<SpaceChange>,
    /// In the order they were taken.
    held: Vec<(LockTarget, LockMode)>,
    /// The tables among them.
    tables: SmallVec<[(Oid, Modes); 4]>,
    savepoints: Savepoints,
    depends_on: Lsn,
    /// The end of what functions of its session have shown ([`SessionLocks::show`]).
    session_shown: Option<Arc<AtomicU64>>,
}

impl Transaction {
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// Takes a new snapshot, when all that was seen is durable (T3).
    pub async fn take_snapshot(&mut self) -> Result<()> {
        self.wait_until(self.depends_on).await?;
        let log = &self.shared.log;
        let snapshot = self.shared.pages.snapshots().register(|| log.durable_lsn());
        self.snapshot = Some(Arc::new(snapshot));
        Ok(())
    }

    /// Before the first statement.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        self.isolation = isolation;
        self.reads = (isolation == Isolation::Serializable).then(Arc::default);
    }

    /// Whether a row that was changed since the snapshot must not be touched.
    pub fn has_fixed_snapshot(&self) -> bool {
        self.fixed.is_some()
    }

    pub fn is_serializable(&self) -> bool {
        self.isolation == Isolation::Serializable
    }

    /// Gives a statement its snapshot: a new one, or above READ COMMITTED that of the first.
    pub async fn begin_statement(&mut self) -> Result<()> {
        if let Some(fixed) = &self.fixed {
            self.snapshot = Some(fixed.clone());
            return Ok(());
        }
        self.take_snapshot().await?;
        if self.isolation != Isolation::ReadCommitted {
            self.fixed = self.snapshot.clone();
        }
        Ok(())
    }

    /// A statement that at READ COMMITTED reads the newest state only, so that it needs no snapshot
    /// and waits for nothing.
    pub async fn begin_point_statement(&mut self) -> Result<()> {
        if self.isolation != Isolation::ReadCommitted {
            return self.begin_statement().await;
        }
        self.snapshot = None;
        Ok(())
    }

    /// Whether [`Self::begin_again`] may be called after the next statement has failed.
    pub fn is_untouched(&self) -> bool {
        self.fixed.is_none() && self.is_read_only() && self.held.is_empty()
    }

    /// Forgets all but its locks: the only statement so far found a row changed since its snapshot,
    /// and runs anew at another one.
    pub fn begin_again(&mut self) {
        self.snapshot = None;
        self.fixed = None;
        self.set_isolation(self.isolation);
        self.writes.clear();
        self.loads.clear();
        self.kept_in_memory.clear();
        self.has_closed_runs = false;
    }

    /// Waits until everything this transaction has seen is durable (T2).
    pub async fn wait_shown(&self) -> Result<()> {
        self.wait_until(self.depends_on()).await
    }

    async fn wait_until(&self, lsn: Lsn) -> Result<()> {
        if lsn > self.shared.log.durable_lsn() {
            self.shared.log.commit_at_least(lsn).await?;
        }
        Ok(())
    }

    /// Depends on everything installed so far: the next snapshot sees all that those wrote who
    /// gave up a lock this transaction has taken.
    pub fn depend_on_installed(&mut self) {
        // A reservation comes before its installation, and that before the release of its locks.
        self.depend_on(self.shared.log.next_lsn());
    }

    /// Depends on what is installed below an lsn: whatever reads or shows waits for it.
    pub fn depend_on(&mut self, lsn: Lsn) {
        self.depends_on = self.depends_on.max(lsn);
    }

    fn snapshot(&self) -> Result<&Arc<Snapshot>> {
        self.snapshot
            .as_ref()
            .ok_or_else(|| internal("a read without a snapshot"))
    }

    /// The value of a key: this transaction's own, or the one at the snapshot.
    pub fn get(&self, tree: TreeId, key: &[u8]) -> Result<Option<Value>> {
        if let Some(own) = self.own(tree, key)? {
            return Ok(own);
        }
        let Some(root) = self.root_at_snapshot(tree)? else {
            return Ok(None);
        };
        if let Some(noter) = self.noter(tree)? {
            noter.key(key);
        }
        Ok(btree::get(&self.shared.pages, root, self.snapshot()?.lsn(), key)?.value)
    }

    /// The value of a key: this transaction's own, or the newest installed (T5). What it shows may
    /// not be durable yet; the transaction depends on it.
    pub fn get_newest(&mut self, tree: TreeId, key: &[u8]) -> Result<Option<Value>> {
        let (value, lsn) = self.find_newest(tree, key)?;
        self.depend_on(lsn);
        Ok(value)
    }

    /// The same, with the lsn that it may not be durable below. Who shows nothing of it that the
    /// snapshot does not show as well need not depend on it.
    pub fn find_newest(&self, tree: TreeId, key: &[u8]) -> Result<(Option<Value>, Lsn)> {
        if let Some(own) = self.own(tree, key)? {
            return Ok((own, Lsn::ZERO));
        }
        let Some(root) = self.root(tree)? else {
            return Ok((None, Lsn::ZERO));
        };
        self.shared.touch(root, [key]);
        let _latch = self.shared.pages.latch(root).read();
        let found = btree::get(&self.shared.pages, root, Lsn::NEWEST, key)?;
        Ok((found.value, found.lsn))
    }

    /// Whether this transaction has put or deleted a key.
    pub fn has_written(&self, tree: TreeId, key: &[u8]) -> bool {
        matches!(self.own(tree, key), Ok(Some(_)))
    }

    fn own(&self, tree: TreeId, key: &[u8]) -> Result<Option<Option<Value>>> {
        match self.writes.get(&tree) {
            Some(writes) => writes.get(&self.shared.pages, key),
            None => Ok(None),
        }
    }

    /// `None` for a tree that this transaction made: all of it is in the write set.
    fn root(&self, tree: TreeId) -> Result<Option<PageId>> {
        Ok(self.find_root(tree)?.map(|root| root.page))
    }

    fn find_root(&self, tree: TreeId) -> Result<Option<Root>> {
        if self.created.contains(&tree) {
            return Ok(None);
        }
        let root = self.shared.trees.root(tree);
        root.map(Some)
            .ok_or_else(|| internal(format!("tree {} does not exist", tree.0)))
    }

    /// The root of a tree that is read at the snapshot.
    ///
    /// # Errors
    /// 40001 for one made since, by a TRUNCATE or CREATE INDEX.
    fn root_at_snapshot(&self, tree: TreeId) -> Result<Option<PageId>> {
        match self.find_root(tree)? {
            Some(root) if root.since > self.snapshot()?.lsn() => {
                Err(could_not_serialize("concurrent change of a definition"))
            }
            root => Ok(root.map(|root| root.page)),
        }
    }

    /// What notes reads of a tree that count for SERIALIZABLE: not those at another snapshot, which
    /// only a change of a definition takes, under locks of its own.
    fn noter(&self, tree: TreeId) -> Result<Option<Noter>> {
        let (Some(reads), Some(fixed)) = (&self.reads, &self.fixed) else {
            return Ok(None);
        };
        let is_fixed = Arc::ptr_eq(fixed, self.snapshot()?);
        Ok((is_fixed && !self.created(tree)).then(|| Noter::new(reads, tree)))
    }

    /// The root of a tree that is committed.
    fn root_of(&self, tree: TreeId) -> Result<PageId> {
        let root = self.root(tree)?;
        root.ok_or_else(|| internal("a tree without a root"))
    }

    /// The entries of a range at the snapshot, own writes included. The scan stands alone: later
    /// writes of this transaction do not show in it.
    pub fn scan(
        &self,
        tree: TreeId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        backward: bool,
    ) -> Result<Scan> {
        let pages = self.shared.pages.clone();
        let own = self.writes.get(&tree).cloned();
        let snapshot = self.snapshot()?.clone();
        let scan = Scan::new(
            pages,
            self.root_at_snapshot(tree)?,
            Some(snapshot),
            own,
            lower,
            upper,
            backward,
        );
        Ok(scan.noted_by(self.noter(tree)?, lower, upper))
    }

    /// The first entries of a range, `max` at most, in the newest state and the own writes together
    /// (T5). What they show may not be durable yet; the transaction depends on it.
    pub fn newest_entries(
        &mut self,
        tree: TreeId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        max: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let (shared, root) = (self.shared.clone(), self.root(tree)?);
        let own = self.writes.get(&tree).cloned();
        let has_runs = own.as_ref().is_some_and(|own| !own.runs().is_empty());
        if let (Some(root), Bound::Included(key) | Bound::Excluded(key)) = (root, lower) {
            shared.touch(root, [key]);
        }
        let mut found = Vec::new();
        let lsn = {
            let latch = root.map(|root| shared.pages.latch(root));
            let _latch = latch.as_ref().map(|latch| latch.read());
            let pages = shared.pages.clone();
            let mut scan = Scan::new(pages, root, None, own, lower, upper, false);
            while found.len() < max
                && let Some((key, value)) = scan.next()?
            {
                found.push((Key::from_slice(key), value.to_vec()));
            }
            scan.lsn()
        };
        match has_runs {
            true => self.depend_on_installed(),
            false => self.depend_on(lsn),
        }
        Ok(found)
    }

    /// For looking up many keys of a tree as [`Self::scan`] would give them.
    pub fn reader(&self, tree: TreeId) -> Result<Reader> {
        let pages = self.shared.pages.clone();
        let own = self.writes.get(&tree).cloned();
        Ok(Reader::new(
            pages,
            self.root_at_snapshot(tree)?,
            self.snapshot()?.clone(),
            own,
            self.noter(tree)?,
        ))
    }

    /// The entry with the highest key in the newest state and the own writes together.
    pub fn last_key(&mut self, tree: TreeId) -> Result<Option<Key>> {
        let own = self.writes.get(&tree).and_then(|w| w.last_key());
        let committed = self.last_committed_key(tree)?;
        Ok(own.max(committed))
    }

    fn last_committed_key(&self, tree: TreeId) -> Result<Option<Key>> {
        let Some(root) = self.root(tree)? else {
            return Ok(None);
        };
        let _latch = self.shared.pages.latch(root).read();
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let pages = self.shared.pages.clone();
        let mut cursor = btree::Cursor::new(pages, root, Lsn::NEWEST, low, high);
        Ok(cursor.prev()?.map(|(key, _)| Key::from_slice(key)))
    }

    fn writes(&mut self, tree: TreeId) -> &mut TreeWrites {
        // Scans keep the map they started with: the first write after one copies it.
        Arc::make_mut(self.writes.entry(tree).or_default())
    }

    /// # Errors
    /// 53200 when the transaction has become too large. It can only roll back then.
    pub fn put(&mut self, tree: TreeId, key: Key, value: Vec<u8>) -> Result<()> {
        self.change(tree, key, Some(value))
    }

    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, tree: TreeId, key: Key) -> Result<()> {
        self.change(tree, key, None)
    }

    fn change(&mut self, tree: TreeId, key: Key, value: Option<Vec<u8>>) -> Result<()> {
        let noted = self.notes(tree).then(|| key.clone());
        let writes = self.writes(tree);
        let before = writes.set(key, value);
        let (put_bytes, look_at_bytes) = (writes.put_bytes(), writes.look_at_bytes);
        if let Some(key) = noted {
            self.note_change(tree, key, before);
        }
        if put_bytes >= look_at_bytes.max(self.append_bytes()) {
            self.spill_if_large(tree)?;
        }
        let writes: u64 = self.writes.values().map(|writes| writes.bytes()).sum();
        let locks = self.held.len() as u64 * LOCK_BYTES;
        match writes + self.savepoints.bytes() + locks > self.shared.bytes_max {
            true => Err(too_large(self.shared.bytes_max)),
            false => Ok(()),
        }
    }

    /// A new tree, which comes to be when the transaction commits.
    pub fn create_tree(&mut self) -> TreeId {
        let tree = self.shared.trees.next_id();
        self.created.push(tree);
        self.note_created(tree);
        tree
    }

    /// Drops a tree when the transaction commits. The caller holds its table's exclusive lock.
    pub fn drop_tree(&mut self, tree: TreeId) {
        self.note_dropped(tree, self.created.contains(&tree));
        self.writes.remove(&tree);
        self.loads.remove(&tree);
        match self.created.iter().position(|&t| t == tree) {
            Some(own) => drop(self.created.remove(own)),
            None => self.dropped.push(tree),
        }
    }

    /// Makes or drops a space with the commit of this transaction, which writes to another one.
    /// [`Pages::prepare_space_change`] comes before the installation.
    pub fn change_space(&mut self, change: SpaceChange) {
        self.space_change = Some(change);
    }

    /// Whether this transaction made the tree, so that nobody else can know of it.
    pub fn created(&self, tree: TreeId) -> bool {
        self.created.contains(&tree)
    }

    /// Takes a lock and keeps it until the end of the transaction. `false`: it was not to be had
    /// and `wait` says to skip.
    ///
    /// # Errors
    /// 40P01 on a deadlock, 55P03 with [`LockWait::Nowait`], 57014 when cancelled.
    pub async fn lock(
        &mut self,
        target: LockTarget,
        mode: LockMode,
        wait: LockWait,
        cancel: &CancelFlag,
    ) -> Result<bool> {
        if self.holds_table(target, mode) {
            return Ok(true);
        }
        let (locks, level) = (&self.shared.locks, Level::Transaction);
        let who = Who {
            owner: self.owner,
            txn: self.id,
        };
        match locks.try_lock(who, target, mode, level) {
            TryLock::Granted => {}
            TryLock::Held => return Ok(true),
            TryLock::Conflict => match wait {
                LockWait::SkipLocked => return Ok(false),
                LockWait::Nowait => return Err(lock_not_available()),
                LockWait::Wait => locks.wait(who, target, mode, level, cancel).await?,
            },
        }
        self.note_lock(target, mode);
        Ok(true)
    }

    /// A statement asks for the locks of its tables anew: those at hand are found here, and so is a
    /// stronger one, as of a table that has been changed and is read now.
    fn holds_table(&self, target: LockTarget, mode: LockMode) -> bool {
        let LockTarget::Table(oid) = target else {
            return false;
        };
        let own = self.tables.iter().find(|(table, _)| *table == oid);
        own.is_some_and(|(_, modes)| modes.cover(mode))
    }

    fn note_lock(&mut self, target: LockTarget, mode: LockMode) {
        self.held.push((target, mode));
        if let LockTarget::Table(oid) = target {
            Modes::note(&mut self.tables, oid, mode);
        }
    }

    /// A lock under which others may rely on seeing all that was done before they got theirs: it
    /// is kept until that is durable.
    pub fn holds_table_strongly(&self) -> bool {
        self.tables
            .iter()
            .any(|(_, modes)| modes.iter().any(LockMode::excludes_writers))
    }

    /// Nothing to commit: no write, no tree made or dropped.
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty() && self.created.is_empty() && self.dropped.is_empty()
    }

    /// The highest lsn seen beyond the snapshot, or shown by functions of the session.
    pub fn depends_on(&self) -> Lsn {
        // Relaxed: the same session stores it.
        let shown = |shown: &Arc<AtomicU64>| Lsn(shown.load(Ordering::Relaxed));
        let shown = self.session_shown.as_ref().map_or(Lsn::ZERO, shown);
        self.depends_on.max(shown)
    }

    /// Gives all locks to those who wait for them.
    pub fn release_locks(&mut self) {
        for (target, _) in self.held.drain(..) {
            let level = Level::Transaction;
            self.shared.locks.release_all(self.owner, target, level);
        }
        self.tables.clear();
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.release_locks();
    }
}

/// Commits what needs no transaction and shows nothing; gives its lsn.
fn commit_alone(log: &Log, batch: Batch<'_>) -> Result<Lsn> {
    commit_under(log, batch, ())
}

/// The same with what keeps others from the pages until they are installed.
fn commit_under(log: &Log, batch: Batch<'_>, latch: impl Sized) -> Result<Lsn> {
    let pages = batch.pages();
    let mut finished = batch.finish()?;
    let blob = make_blob(TxnId(0), [], None, None, &mut finished);
    let reservation = log.reserve(blob.len());
    let lsn = reservation.end();
    finished.install(lsn);
    drop(latch);
    reservation.publish(blob);
    pages.evict_surplus();
    Ok(lsn)
}

#[cold]
fn too_large(bytes_max: u64) -> Error {
    Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
        .with_detail(format!(
            "The transaction has changed more than fits into {} kB (max_transaction_memory).",
            bytes_max / 1024
        ))
        .with_hint("Commit more often, or start the server with a larger value.")
}

fn lock_not_available() -> Error {
    Error::new(SqlState::LOCK_NOT_AVAILABLE, "could not obtain lock on row")
}

fn internal(what: impl Into<String>) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, what)
}
