//! The locks on numbers (advisory locks) that a session takes, for itself or for the transaction
//! it is in.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::base::sync::{AtomicU64, Mutex, Ordering};
use crate::base::{CancelFlag, Error, Lsn, Oid, Result, SqlState, TxnId};
use crate::txn::lock_list::ListedLock;
use crate::txn::lock_mode::LockMode;
use crate::txn::locks::{Level, LockTarget, Owner, TryLock, Who};
use crate::txn::{Transaction, Transactions};

/// What a session holds beside its transaction. Dropping it releases everything.
pub struct SessionLocks {
    shared: Arc<Transactions>,
    owner: Owner,
    /// The transaction it is in; 0 if there is none.
    txn: AtomicU64,
    cancel: Arc<CancelFlag>,
    held: Mutex<Held>,
    /// Its transactions depend on what the log holds up to here.
    shown: Arc<AtomicU64>,
}

type Lock = (LockTarget, LockMode);

#[derive(Default)]
struct Held {
    /// How often each has been taken for the session.
    session: FxHashMap<Lock, u32>,
    /// Those of the transaction, in the order they were taken.
    transaction: Vec<Lock>,
    /// The sequences whose values the transaction has asked for.
    sequences: Vec<Oid>,
}

impl SessionLocks {
    /// `cancel` stops its waits.
    pub(crate) fn new(
        shared: Arc<Transactions>,
        database: Oid,
        owner: Owner,
        cancel: Arc<CancelFlag>,
    ) -> Self {
        // Relaxed: all sessions say the same.
        shared.locks.database.store(database.0, Ordering::Relaxed);
        SessionLocks {
            shared,
            owner,
            txn: AtomicU64::new(0),
            cancel,
            held: Mutex::default(),
            shown: Arc::default(),
        }
    }

    /// The session's transaction, begun now.
    pub(crate) fn begin(&self) -> Transaction {
        let mut transaction = self.shared.begin_for(Some(self.owner));
        transaction.session_shown = Some(self.shown.clone());
        // Relaxed: the same session reads it.
        self.txn.store(transaction.id().0, Ordering::Relaxed);
        transaction
    }

    fn who(&self) -> Who {
        Who {
            owner: self.owner,
            txn: TxnId(self.txn.load(Ordering::Relaxed)),
        }
    }

    /// Takes a lock, waiting for it. The thread waits: expressions are computed without `async`.
    ///
    /// # Errors
    /// 40P01 on a deadlock, 55P03 after `lock_timeout`, 57014 and 57P01.
    pub fn lock(&self, target: LockTarget, mode: LockMode, level: Level) -> Result<()> {
        let newly = self.take(target, mode, level)?;
        self.note((target, mode), level, newly);
        Ok(())
    }

    /// Whether it was not held before.
    fn take(&self, target: LockTarget, mode: LockMode, level: Level) -> Result<bool> {
        match self.shared.locks.try_lock(self.who(), target, mode, level) {
            TryLock::Conflict => {}
            outcome => return Ok(outcome == TryLock::Granted),
        }
        let handle = Handle::try_current().ok();
        let Some(handle) = handle.filter(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread)
        else {
            let message = "a lock cannot be waited for on this thread";
            return Err(Error::new(SqlState::INTERNAL_ERROR, message));
        };
        let locks = &self.shared.locks;
        let wait = locks.wait(self.who(), target, mode, level, &self.cancel);
        tokio::task::block_in_place(|| handle.block_on(wait))?;
        Ok(true)
    }

    /// What kind of lock the session waits for now, as PostgreSQL names the event.
    pub fn waits_for(&self) -> Option<&'static str> {
        let target = self.shared.locks.waits.lock().get(&self.owner)?.target;
        Some(match target {
            LockTarget::Table(_) => "relation",
            LockTarget::Definition(_) => "object",
            LockTarget::Advisory(_) | LockTarget::AdvisoryPair(..) => "advisory",
            LockTarget::Row(..) | LockTarget::Key(..) | LockTarget::Name(_) => "transactionid",
        })
    }

    /// Keeps a sequence from being changed or dropped by others until the transaction ends.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn lock_sequence(&self, sequence: Oid) -> Result<()> {
        if self.held.lock().sequences.contains(&sequence) {
            return Ok(());
        }
        let (target, mode) = (LockTarget::Table(sequence), LockMode::RowExclusive);
        if self.take(target, mode, Level::Transaction)? {
            self.held.lock().sequences.push(sequence);
        }
        Ok(())
    }

    /// What the session shows from here on depends on what the log holds below an lsn: its
    /// transactions wait for it as for what they depend on themselves.
    pub fn show(&self, lsn: Lsn) {
        // Relaxed: the same session reads it.
        self.shown.fetch_max(lsn.0, Ordering::Relaxed);
    }

    /// Takes a lock if it is free.
    pub fn try_lock(&self, target: LockTarget, mode: LockMode, level: Level) -> bool {
        match self.shared.locks.try_lock(self.who(), target, mode, level) {
            TryLock::Conflict => return false,
            outcome => self.note((target, mode), level, outcome == TryLock::Granted),
        }
        true
    }

    fn note(&self, lock: Lock, level: Level, newly: bool) {
        let mut held = self.held.lock();
        match level {
            Level::Session => *held.session.entry(lock).or_default() += 1,
            Level::Transaction if newly => held.transaction.push(lock),
            Level::Transaction => {}
        }
    }

    /// Gives a lock of the session back once; `false`: it is not held.
    pub fn unlock(&self, target: LockTarget, mode: LockMode) -> bool {
        let mut held = self.held.lock();
        let Some(count) = held.session.get_mut(&(target, mode)) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            held.session.remove(&(target, mode));
            let locks = &self.shared.locks;
            locks.release(self.owner, target, mode, Level::Session);
        }
        true
    }

    /// Gives all locks of the session back.
    pub fn unlock_all(&self) {
        let locks = &self.shared.locks;
        for ((target, mode), _) in self.held.lock().session.drain() {
            locks.release(self.owner, target, mode, Level::Session);
        }
    }

    pub fn holds_any(&self) -> bool {
        let held = self.held.lock();
        !held.session.is_empty() || !held.transaction.is_empty()
    }

    /// How many locks the transaction has taken so far, for [`Self::release_from`].
    pub fn mark(&self) -> usize {
        self.held.lock().transaction.len()
    }

    /// At the end of the transaction: releases all its locks.
    pub fn end_transaction(&self) {
        self.release_from(0);
        for sequence in self.held.lock().sequences.drain(..) {
            let (target, mode) = (LockTarget::Table(sequence), LockMode::RowExclusive);
            let locks = &self.shared.locks;
            locks.release(self.owner, target, mode, Level::Transaction);
        }
    }

    /// Releases the locks that the transaction has taken since a mark, but for sequences.
    pub fn release_from(&self, mark: usize) {
        let mut held = self.held.lock();
        if held.transaction.len() <= mark {
            return;
        }
        for (target, mode) in held.transaction.drain(mark..) {
            let locks = &self.shared.locks;
            locks.release(self.owner, target, mode, Level::Transaction);
        }
    }

    /// # Errors
    /// Why a wait of the session must end.
    pub fn check_cancel(&self) -> Result<()> {
        self.cancel.check()
    }

    /// All locks of the database.
    pub fn list(&self) -> Vec<ListedLock> {
        self.shared.locks.list()
    }

    /// The process numbers of those that a session waits for.
    pub fn blocking(&self, pid: i32) -> Vec<i32> {
        let owners = self.shared.locks.blocking(Owner::session(pid));
        owners.into_iter().map(Owner::pid).collect()
    }
}

impl Drop for SessionLocks {
    fn drop(&mut self) {
        self.end_transaction();
        self.unlock_all();
    }
}

impl fmt::Debug for SessionLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionLocks({:?})", self.owner)
    }
}
