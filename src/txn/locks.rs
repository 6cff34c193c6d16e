//! The lock manager: locks on tables, rows and keys, held until the end of a transaction.
//!
//! A lock that conflicts waits in a fair queue; before it waits, the wait-for graph is searched,
//! so a deadlock is found at once and by the transaction that closes the cycle.
//!
//! ```text
//!            conflict-free and no one ahead
//!   request ───────────────────────────────► held ── end of transaction ──► gone
//!      │ conflict                              ▲              │ grants the head of the queue
//!      ├─► cycle? → 40P01                      │              ▼
//!      └─► queued ── Notify, granted by the releaser ─────────┘
//! ```

use std::collections::VecDeque;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::base::sync::{AtomicBool, Mutex, Ordering};
use crate::base::{Error, Oid, Result, RowId, SqlState, TreeId, TxnId};

/// What can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockTarget {
    Table(Oid),
    Row(TreeId, RowId),
    /// A key of a unique index by the hash of its bytes: two keys that share a hash only wait for
    /// each other.
    Key(TreeId, u64),
    /// A name that DDL is about to make, by its hash.
    Name(u64),
}

impl LockTarget {
    pub fn key(tree: TreeId, key: &[u8]) -> LockTarget {
        LockTarget::Key(tree, FxBuildHasher.hash_one(key))
    }

    pub fn name(schema: &str, name: &str) -> LockTarget {
        LockTarget::Name(FxBuildHasher.hash_one((schema, name)))
    }
}

/// PostgreSQL's four strengths of row locks, which serve tables and keys too: `KeyShare` for a
/// statement that uses a table, `Update` for DDL and for a key to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

impl LockMode {
    /// PostgreSQL's documentation, table 13.3.
    fn conflicts(self, other: LockMode) -> bool {
        use LockMode::{KeyShare, NoKeyUpdate, Share, Update};
        match self {
            KeyShare => other == Update,
            Share => matches!(other, NoKeyUpdate | Update),
            NoKeyUpdate => other != KeyShare,
            Update => true,
        }
    }
}

/// What to do about a lock that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Wait,
    Nowait,
    SkipLocked,
}

const SHARDS: usize = 64;

/// All locks of a database.
pub(super) struct Locks {
    shards: Box<[Mutex<FxHashMap<LockTarget, Entry>>]>,
    /// What each waiting transaction waits for. Taken before a shard, never after.
    waits: Mutex<FxHashMap<TxnId, (LockTarget, LockMode)>>,
}

#[derive(Default)]
struct Entry {
    holders: SmallVec<[(TxnId, LockMode); 1]>,
    queue: VecDeque<Arc<Waiter>>,
}

struct Waiter {
    txn: TxnId,
    mode: LockMode,
    granted: AtomicBool,
    wake: Notify,
}

/// How a request that need not wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TryLock {
    /// The transaction did not hold the target before: it must release it.
    Granted,
    /// The transaction held it already, perhaps in a weaker mode.
    Held,
    Conflict,
}

impl Default for Locks {
    fn default() -> Locks {
        Locks {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            waits: Mutex::default(),
        }
    }
}

impl Locks {
    fn shard(&self, target: LockTarget) -> &Mutex<FxHashMap<LockTarget, Entry>> {
        let hash = FxBuildHasher.hash_one(target);
        // The high bits: the map inside the shard uses the others.
        &self.shards[(hash >> 58) as usize % SHARDS]
    }

    /// Takes the lock if nobody is in the way.
    pub(super) fn try_lock(&self, txn: TxnId, target: LockTarget, mode: LockMode) -> TryLock {
        let mut shard = self.shard(target).lock();
        let entry = shard.entry(target).or_default();
        let outcome = entry.try_lock(txn, mode);
        if entry.is_unused() {
            shard.remove(&target);
        }
        outcome
    }

    /// Takes the lock, waiting in the queue while others are in the way. `true`: newly held.
    /// Dropping the future leaves the queue.
    ///
    /// # Errors
    /// 40P01 when waiting would close a cycle.
    pub(super) async fn lock(
        &self,
        txn: TxnId,
        target: LockTarget,
        mode: LockMode,
    ) -> Result<bool> {
        let (waiter, newly) = {
            let mut shard = self.shard(target).lock();
            let entry = shard.entry(target).or_default();
            match entry.try_lock(txn, mode) {
                TryLock::Granted => return Ok(true),
                TryLock::Held => return Ok(false),
                TryLock::Conflict => entry.enqueue(txn, mode),
            }
        };
        let mut queued = Queued {
            locks: self,
            target,
            waiter,
            done: false,
        };
        self.refuse_cycle(txn, target, mode)?;
        // Acquire: pairs with the Release in `grant`.
        while !queued.waiter.granted.load(Ordering::Acquire) {
            queued.waiter.wake.notified().await;
        }
        queued.done = true;
        Ok(newly)
    }

    /// Gives up the lock and grants it to those who can have it now.
    pub(super) fn release(&self, txn: TxnId, target: LockTarget) {
        let mut shard = self.shard(target).lock();
        if let MapEntry::Occupied(mut slot) = shard.entry(target) {
            let entry = slot.get_mut();
            entry.holders.retain(|h| h.0 != txn);
            entry.grant();
            if entry.is_unused() {
                slot.remove();
            }
        }
    }

    /// Enters the wait into the graph, unless that closes a cycle.
    ///
    /// Edges only ever come into being here, under one mutex, so the last of the transactions of a
    /// cycle to enter finds it.
    fn refuse_cycle(&self, txn: TxnId, target: LockTarget, mode: LockMode) -> Result<()> {
        let mut waits = self.waits.lock();
        waits.insert(txn, (target, mode));
        let mut path = vec![txn];
        let mut seen = FxHashSet::default();
        if !self.reaches(txn, txn, &waits, &mut seen, &mut path) {
            return Ok(());
        }
        waits.remove(&txn);
        let detail: Vec<String> = path
            .iter()
            .zip(path.iter().skip(1).chain([&txn]))
            .map(|(a, b)| format!("Transaction {} waits for transaction {}.", a.0, b.0))
            .collect();
        Err(Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .with_detail(detail.join("\n"))
            .with_hint("See server log for query details."))
    }

    /// Whether `goal` is among those that `from` waits for, directly or through others.
    fn reaches(
        &self,
        from: TxnId,
        goal: TxnId,
        waits: &FxHashMap<TxnId, (LockTarget, LockMode)>,
        seen: &mut FxHashSet<TxnId>,
        path: &mut Vec<TxnId>,
    ) -> bool {
        let Some(&(target, mode)) = waits.get(&from) else {
            return false;
        };
        for blocker in self.blockers(from, target, mode) {
            if blocker == goal {
                return true;
            }
            if seen.insert(blocker) {
                path.push(blocker);
                if self.reaches(blocker, goal, waits, seen, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }

    fn blockers(&self, txn: TxnId, target: LockTarget, mode: LockMode) -> Vec<TxnId> {
        let shard = self.shard(target).lock();
        let Some(entry) = shard.get(&target) else {
            return Vec::new();
        };
        // Granted already, if not in the queue: its owner has yet to wake up.
        let Some(place) = entry.queue.iter().position(|w| w.txn == txn) else {
            return Vec::new();
        };
        let holders = entry.holders.iter().copied();
        let ahead = entry.queue.iter().take(place).map(|w| (w.txn, w.mode));
        let in_the_way = holders
            .chain(ahead)
            .filter(|h| h.0 != txn && mode.conflicts(h.1));
        in_the_way.map(|h| h.0).collect()
    }
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    fn free_of_holders(&self, txn: TxnId, mode: LockMode) -> bool {
        !self
            .holders
            .iter()
            .any(|h| h.0 != txn && mode.conflicts(h.1))
    }

    fn try_lock(&mut self, txn: TxnId, mode: LockMode) -> TryLock {
        let own = self.holders.iter().position(|h| h.0 == txn);
        if own.is_some_and(|i| self.holders[i].1 >= mode) {
            return TryLock::Held;
        }
        // A holder that wants more goes before the queue: those in it may wait for itself.
        let ahead = own.is_none() && self.queue.iter().any(|w| mode.conflicts(w.mode));
        if ahead || !self.free_of_holders(txn, mode) {
            return TryLock::Conflict;
        }
        self.hold(txn, mode)
    }

    fn hold(&mut self, txn: TxnId, mode: LockMode) -> TryLock {
        match self.holders.iter_mut().find(|h| h.0 == txn) {
            Some(own) => {
                own.1 = own.1.max(mode);
                TryLock::Held
            }
            None => {
                self.holders.push((txn, mode));
                TryLock::Granted
            }
        }
    }

    /// The place in the queue, and whether the transaction does not hold the target yet.
    fn enqueue(&mut self, txn: TxnId, mode: LockMode) -> (Arc<Waiter>, bool) {
        let waiter = Arc::new(Waiter {
            txn,
            mode,
            granted: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let newly = !self.holders.iter().any(|h| h.0 == txn);
        match newly {
            true => self.queue.push_back(waiter.clone()),
            false => self.queue.push_front(waiter.clone()),
        }
        (waiter, newly)
    }

    /// Grants from the head of the queue for as long as nothing conflicts.
    fn grant(&mut self) {
        while let Some(waiter) = self.queue.front() {
            if !self.free_of_holders(waiter.txn, waiter.mode) {
                return;
            }
            let Some(waiter) = self.queue.pop_front() else {
                return;
            };
            self.hold(waiter.txn, waiter.mode);
            // Release: pairs with the Acquire in `lock`.
            waiter.granted.store(true, Ordering::Release);
            waiter.wake.notify_one();
        }
    }
}

/// A place in a queue; dropping it leaves the queue, or gives back a lock that was granted to
/// nobody any more.
struct Queued<'a> {
    locks: &'a Locks,
    target: LockTarget,
    waiter: Arc<Waiter>,
    /// The lock was granted and its owner knows.
    done: bool,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.locks.waits.lock().remove(&self.waiter.txn);
        if self.done {
            return;
        }
        let mut shard = self.locks.shard(self.target).lock();
        let Some(entry) = shard.get_mut(&self.target) else {
            return;
        };
        let queued = entry
            .queue
            .iter()
            .position(|w| Arc::ptr_eq(w, &self.waiter));
        match queued {
            Some(place) => drop(entry.queue.remove(place)),
            None => entry.holders.retain(|h| h.0 != self.waiter.txn),
        }
        entry.grant();
        if entry.is_unused() {
            shard.remove(&self.target);
        }
    }
}
