//! The lock manager: locks on tables, rows, keys and numbers, held by sessions until the end of
//! a transaction, or of the session.
//!
//! A lock that conflicts waits in a fair queue; before it waits, the wait-for graph is searched,
//! so a deadlock is found at once and by the session that closes the cycle (see `deadlock`).
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
use std::future::pending;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::SystemTime;

use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::base::sync::{AtomicBool, AtomicU32, Mutex, Ordering};
use crate::base::{CancelFlag, Error, Oid, Result, RowId, SqlState, TreeId, TxnId};
use crate::txn::lock_mode::{LockMode, Modes};

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
    /// A table's definition: CREATE INDEX changes it beside others that read the table.
    Definition(Oid),
    /// A number that means something to the clients.
    Advisory(i64),
    AdvisoryPair(i32, i32),
}

impl LockTarget {
    pub fn key(tree: TreeId, key: &[u8]) -> LockTarget {
        LockTarget::Key(tree, FxBuildHasher.hash_one(key))
    }

    pub fn name(schema: &str, name: &str) -> LockTarget {
        LockTarget::Name(FxBuildHasher.hash_one((schema, name)))
    }

    /// Each of its modes is remembered: others can look at them. Of the rest, a stronger mode
    /// covers the weaker ones.
    pub(super) fn has_modes(self) -> bool {
        use LockTarget::{Advisory, AdvisoryPair, Table};
        matches!(self, Table(_) | Advisory(_) | AdvisoryPair(..))
    }
}

/// What to do about a lock that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    Wait,
    Nowait,
    SkipLocked,
}

/// Who holds locks and waits for them: a session, or a transaction that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(u64);

impl Owner {
    const NO_SESSION: u64 = 1 << 63;

    /// The session with that process number.
    pub fn session(pid: i32) -> Owner {
        Owner(pid.unsigned_abs().into())
    }

    pub(super) fn transaction(txn: TxnId) -> Owner {
        Owner(txn.0 | Owner::NO_SESSION)
    }

    /// The session's process number; 0 if there is none.
    pub fn pid(self) -> i32 {
        i32::try_from(self.0).unwrap_or(0)
    }
}

/// An owner, and the transaction it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub owner: Owner,
    pub txn: TxnId,
}

/// How long a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Transaction,
    Session,
}

const SHARDS: usize = 64;

/// All locks of a database.
pub(super) struct Locks {
    /// The OID of the database, for messages.
    pub(super) database: AtomicU32,
    pub(super) shards: Box<[Mutex<FxHashMap<LockTarget, Entry>>]>,
    /// What each waiting owner waits for. Taken before a shard, never after.
    pub(super) waits: Mutex<FxHashMap<Owner, Wait>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub target: LockTarget,
    pub mode: LockMode,
}

#[derive(Default)]
pub(super) struct Entry {
    pub holders: SmallVec<[Holder; 1]>,
    pub queue: VecDeque<Arc<Waiter>>,
}

pub(super) struct Holder {
    pub who: Who,
    /// By [`Level`].
    held: [Modes; 2],
}

pub(super) struct Waiter {
    pub who: Who,
    pub mode: LockMode,
    level: Level,
    pub since: SystemTime,
    granted: AtomicBool,
    wake: Notify,
}

/// How a request that need not wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TryLock {
    /// It was not held before in this mode and at this level: it must be released.
    Granted,
    Held,
    Conflict,
}

impl Default for Locks {
    fn default() -> Locks {
        Locks {
            database: AtomicU32::new(0),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            waits: Mutex::default(),
        }
    }
}

impl Locks {
    pub(super) fn shard(&self, target: LockTarget) -> &Mutex<FxHashMap<LockTarget, Entry>> {
        let hash = FxBuildHasher.hash_one(target);
        // Bits in the middle: the map inside the shard takes the lowest for the place and the seven
        // highest to tell its entries apart.
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// Takes the lock if nobody is in the way.
    pub(super) fn try_lock(
        &self,
        who: Who,
        target: LockTarget,
        mode: LockMode,
        level: Level,
    ) -> TryLock {
        let mut shard = self.shard(target).lock();
        let entry = shard.entry(target).or_default();
        let outcome = entry.try_lock(who, mode, level, target);
        if entry.is_unused() {
            shard.remove(&target);
        }
        outcome
    }

    /// Takes a lock that [`Self::try_lock`] did not get, when it comes free.
    ///
    /// # Errors
    /// 40P01 on a deadlock, 55P03 after `lock_timeout`, and what [`CancelFlag::check`] says.
    pub(super) async fn wait(
        &self,
        who: Who,
        target: LockTarget,
        mode: LockMode,
        level: Level,
        cancel: &CancelFlag,
    ) -> Result<()> {
        let too_long = async {
            match cancel.lock_timeout() {
                Some(limit) => tokio::time::sleep(limit).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // First: who was stopped takes no lock that another, stopped as well, has just left.
            biased;
            () = cancel.cancelled() => {
                cancel.check()?;
                Err(Error::new(SqlState::INTERNAL_ERROR, "cancelled without a reason"))
            }
            granted = self.lock(who, target, mode, level) => granted,
            () = too_long => Err(Error::new(
                SqlState::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            )),
        }
    }

    /// Takes the lock, waiting in the queue while others are in the way. Dropping the future
    /// leaves the queue.
    async fn lock(&self, who: Who, target: LockTarget, mode: LockMode, level: Level) -> Result<()> {
        let waiter = {
            let mut shard = self.shard(target).lock();
            let entry = shard.entry(target).or_default();
            match entry.try_lock(who, mode, level, target) {
                TryLock::Granted | TryLock::Held => return Ok(()),
                TryLock::Conflict => entry.enqueue(who, mode, level),
            }
        };
        let mut queued = Queued {
            locks: self,
            target,
            waiter,
            done: false,
        };
        self.refuse_cycle(who, Wait { target, mode })?;
        // Acquire: pairs with the Release in `grant`.
        while !queued.waiter.granted.load(Ordering::Acquire) {
            queued.waiter.wake.notified().await;
        }
        queued.done = true;
        Ok(())
    }

    /// Gives up one mode of a lock.
    pub(super) fn release(&self, owner: Owner, target: LockTarget, mode: LockMode, level: Level) {
        self.release_by(target, |entry| entry.unhold(owner, mode, level));
    }

    /// Gives up all modes of a lock that are held at a level.
    pub(super) fn release_all(&self, owner: Owner, target: LockTarget, level: Level) {
        self.release_by(target, |entry| {
            entry.change(owner, |held| held[level as usize] = Modes::default());
        });
    }

    /// Changes who holds a lock, and grants it to those who can have it now.
    fn release_by(&self, target: LockTarget, change: impl FnOnce(&mut Entry)) {
        let mut shard = self.shard(target).lock();
        if let MapEntry::Occupied(mut slot) = shard.entry(target) {
            let entry = slot.get_mut();
            change(entry);
            entry.grant();
            if entry.is_unused() {
                slot.remove();
            }
        }
    }
}

impl Holder {
    pub(super) fn modes(&self) -> Modes {
        self.held[0].union(self.held[1])
    }
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    /// The holders that exclude a request.
    pub(super) fn opponents(&self, owner: Owner, mode: LockMode) -> impl Iterator<Item = Who> {
        let conflicts = mode.conflicts();
        let holders = self.holders.iter();
        let in_the_way = holders.filter(move |h| h.who.owner != owner);
        in_the_way
            .filter(move |h| conflicts.intersects(h.modes()))
            .map(|h| h.who)
    }

    fn try_lock(&mut self, who: Who, mode: LockMode, level: Level, target: LockTarget) -> TryLock {
        let covers = |modes: Modes| match target.has_modes() {
            true => modes.contains(mode),
            false => modes.reaches(mode),
        };
        let own = self.holders.iter().find(|h| h.who.owner == who.owner);
        if own.is_some_and(|h| covers(h.held[level as usize])) {
            return TryLock::Held;
        }
        // A holder that wants more goes before the queue: those in it may wait for itself.
        let ahead = own.is_none() && self.queue.iter().any(|w| mode.conflicts_with(w.mode));
        let has_it = own.is_some_and(|h| covers(h.modes()));
        if !has_it && (ahead || self.opponents(who.owner, mode).next().is_some()) {
            return TryLock::Conflict;
        }
        self.hold(who, mode, level);
        TryLock::Granted
    }

    fn hold(&mut self, who: Who, mode: LockMode, level: Level) {
        let own = self
            .holders
            .iter()
            .position(|h| h.who.owner == who.owner)
            .unwrap_or_else(|| {
                let held = [Modes::default(); 2];
                self.holders.push(Holder { who, held });
                self.holders.len() - 1
            });
        self.holders[own].held[level as usize].insert(mode);
    }

    fn unhold(&mut self, owner: Owner, mode: LockMode, level: Level) {
        self.change(owner, |held| held[level as usize].remove(mode));
    }

    fn change(&mut self, owner: Owner, change: impl FnOnce(&mut [Modes; 2])) {
        if let Some(own) = self.holders.iter().position(|h| h.who.owner == owner) {
            change(&mut self.holders[own].held);
            if self.holders[own].modes().is_empty() {
                self.holders.remove(own);
            }
        }
    }

    fn enqueue(&mut self, who: Who, mode: LockMode, level: Level) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            who,
            mode,
            level,
            since: SystemTime::now(),
            granted: AtomicBool::new(false),
            wake: Notify::new(),
        });
        match self.holders.iter().any(|h| h.who.owner == who.owner) {
            false => self.queue.push_back(waiter.clone()),
            true => self.queue.push_front(waiter.clone()),
        }
        waiter
    }

    /// Grants what nothing conflicts with any more: no holder, and nobody before it in the queue.
    fn grant(&mut self) {
        let mut place = 0;
        while let Some(waiter) = self.queue.get(place) {
            let (who, mode, level) = (waiter.who, waiter.mode, waiter.level);
            let mut ahead = self.queue.iter().take(place);
            if ahead.any(|w| mode.conflicts_with(w.mode))
                || self.opponents(who.owner, mode).next().is_some()
            {
                place += 1;
                continue;
            }
            let Some(waiter) = self.queue.remove(place) else {
                return;
            };
            self.hold(who, mode, level);
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
        let owner = self.waiter.who.owner;
        self.locks.waits.lock().remove(&owner);
        if self.done {
            return;
        }
        self.locks.release_by(self.target, |entry| {
            let mut queue = entry.queue.iter();
            match queue.position(|w| Arc::ptr_eq(w, &self.waiter)) {
                Some(place) => drop(entry.queue.remove(place)),
                None => entry.unhold(owner, self.waiter.mode, self.waiter.level),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_granted(lock: Pin<&mut impl Future>) -> bool {
        lock.poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    /// Found by `tests/contention.rs`: locks were granted from the head of the queue only, so this
    /// one stayed behind another that it had no conflict with. The search for deadlocks sees no
    /// such wait, and sessions hung.
    #[test]
    fn a_lock_is_granted_past_those_it_does_not_conflict_with_when_one_before_it_leaves() {
        let locks = Locks::default();
        let row = LockTarget::Row(TreeId(1), RowId(1));
        let who = |n: i32| Who {
            owner: Owner::session(n),
            txn: TxnId(n.unsigned_abs().into()),
        };
        let lock = |n, mode| Box::pin(locks.lock(who(n), row, mode, Level::Transaction));

        assert!(is_granted(lock(1, LockMode::ROW_NO_KEY_UPDATE).as_mut()));
        let mut second = lock(2, LockMode::ROW_NO_KEY_UPDATE);
        assert!(!is_granted(second.as_mut()));
        let mut third = lock(3, LockMode::ROW_UPDATE);
        assert!(!is_granted(third.as_mut()));
        let mut fourth = lock(4, LockMode::ROW_KEY_SHARE);
        assert!(!is_granted(fourth.as_mut()));
        drop(third);
        assert!(is_granted(fourth.as_mut()) && !is_granted(second.as_mut()));
        locks.release_all(who(1).owner, row, Level::Transaction);
        assert!(is_granted(second.as_mut()));
    }
}
