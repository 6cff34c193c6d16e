//! What `pg_locks` tells of the locks of a database.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::base::{Oid, TxnId};
use crate::txn::deadlock::advisory_parts;
use crate::txn::lock_mode::LockMode;
use crate::txn::locks::{Entry, LockTarget, Locks, Who};

/// A lock that is held or waited for.
#[derive(Clone, Debug)]
pub struct ListedLock {
    pub subject: LockSubject,
    /// Of the session; 0 if there is none.
    pub pid: i32,
    /// 0 outside a transaction.
    pub txn: TxnId,
    pub mode: LockMode,
    /// `None`: held.
    pub waiting_since: Option<SystemTime>,
}

/// What is locked, in PostgreSQL's terms: who holds rows or keys holds a lock on its own
/// transaction, and who waits for them waits for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockSubject {
    Relation(Oid),
    Transaction(TxnId),
    /// classid, objid and objsubid.
    Advisory(u32, u32, i16),
}

impl Locks {
    /// One shard after the other: locks that come and go meanwhile may be there or not.
    pub(super) fn list(&self) -> Vec<ListedLock> {
        let mut listed = Vec::new();
        let mut transactions = BTreeSet::new();
        for shard in &self.shards {
            for (target, entry) in &*shard.lock() {
                match subject(*target) {
                    Some(subject) => list_modes(&mut listed, subject, entry),
                    None => {
                        list_waits(&mut listed, entry);
                        let holders = entry.holders.iter().map(|h| (h.who.owner, h.who.txn));
                        transactions.extend(holders);
                    }
                }
            }
        }
        listed.extend(transactions.into_iter().map(|(owner, txn)| {
            let subject = LockSubject::Transaction(txn);
            line(Who { owner, txn }, subject, LockMode::Exclusive, None)
        }));
        listed
    }
}

fn subject(target: LockTarget) -> Option<LockSubject> {
    match target {
        LockTarget::Table(table) => Some(LockSubject::Relation(table)),
        LockTarget::Advisory(_) | LockTarget::AdvisoryPair(..) => {
            let (class, object, sub) = advisory_parts(target);
            Some(LockSubject::Advisory(class, object, sub))
        }
        _ => None,
    }
}

fn list_modes(listed: &mut Vec<ListedLock>, subject: LockSubject, entry: &Entry) {
    for holder in &entry.holders {
        let modes = holder.modes().iter();
        listed.extend(modes.map(|mode| line(holder.who, subject, mode, None)));
    }
    let queue = entry.queue.iter();
    listed.extend(queue.map(|w| line(w.who, subject, w.mode, Some(w.since))));
}

fn list_waits(listed: &mut Vec<ListedLock>, entry: &Entry) {
    for waiter in &entry.queue {
        if let Some(holder) = entry.opponents(waiter.who.owner, waiter.mode).next() {
            let subject = LockSubject::Transaction(holder.txn);
            let since = Some(waiter.since);
            listed.push(line(waiter.who, subject, LockMode::Share, since));
        }
    }
}

fn line(
    who: Who,
    subject: LockSubject,
    mode: LockMode,
    waiting_since: Option<SystemTime>,
) -> ListedLock {
    ListedLock {
        subject,
        pid: who.owner.pid(),
        txn: who.txn,
        mode,
        waiting_since,
    }
}
