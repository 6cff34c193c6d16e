//! Savepoints: how a transaction goes back to where it was.
//!
//! While a savepoint is open, every change of the write set notes what it replaces, so that the
//! notes, taken backward, restore any earlier state. A tree whose changes move to a run
//! ([`crate::txn::runs`]) is noted whole: runs never change, so that costs what is in memory, once
//! for each savepoint, and the tree's later changes need no notes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::TreeId;
use crate::txn::Transaction;
use crate::txn::lock_mode::Modes;
use crate::txn::locks::{Level, LockTarget};
use crate::txn::write_set::{Key, TreeWrites, change_bytes};

/// What has been noted since the first savepoint, and where each savepoint begins.
#[derive(Default)]
pub(super) struct Savepoints {
    undo: Vec<Undo>,
    /// What the notes take in memory, about.
    bytes: u64,
    open: Vec<Savepoint>,
}

struct Savepoint {
    undo: usize,
    bytes: u64,
    held: usize,
    /// Trees that have been noted whole since.
    whole: SmallVec<[TreeId; 2]>,
}

enum Undo {
    /// A key's own value before a change; the outer `None`: it had none.
    Change(TreeId, Key, Option<Option<Vec<u8>>>),
    Writes(TreeId, Option<Arc<TreeWrites>>),
    Created(TreeId),
    /// A tree of this transaction's own.
    Uncreated(TreeId),
    Dropped(TreeId),
}

impl Savepoints {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn notes(&self, tree: TreeId) -> bool {
        let newest = self.open.last();
        newest.is_some_and(|savepoint| !savepoint.whole.contains(&tree))
    }
}

impl Transaction {
    /// Opens a savepoint within those that are open; its number is how many those are.
    pub fn savepoint(&mut self) {
        self.savepoints.open.push(Savepoint {
            undo: self.savepoints.undo.len(),
            bytes: self.savepoints.bytes,
            held: self.held.len(),
            whole: SmallVec::new(),
        });
    }

    /// Forgets a savepoint and those within it: what was done since belongs to the one around it.
    pub fn release_savepoint(&mut self, number: usize) {
        let savepoints = &mut self.savepoints;
        let released: Vec<_> = savepoints.open.drain(number..).collect();
        match savepoints.open.last_mut() {
            None => *savepoints = Savepoints::default(),
            Some(outer) => {
                let whole = released.into_iter().flat_map(|savepoint| savepoint.whole);
                outer.whole.extend(whole);
            }
        }
    }

    /// Undoes all that was done since a savepoint, which stays open, and releases the locks that
    /// were taken since.
    pub fn roll_back_to_savepoint(&mut self, number: usize) {
        self.savepoints.open.truncate(number + 1);
        let Some(savepoint) = self.savepoints.open.last_mut() else {
            return;
        };
        savepoint.whole.clear();
        let (undo, held) = (savepoint.undo, savepoint.held);
        self.savepoints.bytes = savepoint.bytes;
        for undo in self.savepoints.undo.split_off(undo).into_iter().rev() {
            self.undo(undo);
        }
        // What was written to a tree that is gone again, or that had no writes then.
        self.writes.retain(|_, writes| !writes.is_empty());
        self.release_locks_since(held);
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Change(tree, key, before) => self.writes(tree).restore(key, before),
            Undo::Writes(tree, before) => {
                // The newest run may have entries that are undone: it is not to grow any more.
                self.loads.remove(&tree);
                match before {
                    Some(before) => {
                        self.has_closed_runs |= !before.runs().is_empty();
                        self.writes.insert(tree, before);
                    }
                    None => drop(self.writes.remove(&tree)),
                }
            }
            Undo::Created(tree) => self.created.retain(|&t| t != tree),
            Undo::Uncreated(tree) => self.created.push(tree),
            Undo::Dropped(tree) => self.dropped.retain(|&t| t != tree),
        }
    }

    fn release_locks_since(&mut self, held: usize) {
        self.release_since(held);
        self.tables.clear();
        for &(target, mode) in &self.held {
            if let LockTarget::Table(oid) = target {
                Modes::note(&mut self.tables, oid, mode);
            }
        }
    }

    /// How many locks are held, for [`Self::release_since`].
    pub fn locks_held(&self) -> usize {
        self.held.len()
    }

    /// Releases what has been locked since, none of which is a table: nothing has been done under
    /// these locks.
    pub fn release_since(&mut self, held: usize) {
        for (target, mode) in self.held.drain(held..) {
            let locks = &self.shared.locks;
            locks.release(self.owner, target, mode, Level::Transaction);
        }
    }

    pub(super) fn note_change(&mut self, tree: TreeId, key: Key, before: Option<Option<Vec<u8>>>) {
        let old = before.as_ref().and_then(|old| old.as_deref());
        self.savepoints.bytes += change_bytes(&key, old);
        let undo = Undo::Change(tree, key, before);
        self.savepoints.undo.push(undo);
    }

    /// Whether a change of a tree must be noted.
    pub(super) fn notes(&self, tree: TreeId) -> bool {
        self.savepoints.notes(tree)
    }

    /// Before a tree's writes change otherwise than key by key.
    pub(super) fn note_writes(&mut self, tree: TreeId) {
        if !self.savepoints.notes(tree) {
            return;
        }
        let before = self.writes.get(&tree).cloned();
        self.savepoints.bytes += before.as_ref().map_or(0, |writes| writes.bytes());
        self.savepoints.undo.push(Undo::Writes(tree, before));
        if let Some(newest) = self.savepoints.open.last_mut() {
            newest.whole.push(tree);
        }
    }

    pub(super) fn note_created(&mut self, tree: TreeId) {
        if !self.savepoints.open.is_empty() {
            self.savepoints.undo.push(Undo::Created(tree));
        }
    }

    /// Before a tree is dropped; `own`: one that this transaction made.
    pub(super) fn note_dropped(&mut self, tree: TreeId, own: bool) {
        if self.savepoints.open.is_empty() {
            return;
        }
        self.note_writes(tree);
        let undo = match own {
            true => Undo::Uncreated(tree),
            false => Undo::Dropped(tree),
        };
        self.savepoints.undo.push(undo);
    }
}
