//! Isolation above READ COMMITTED.
//!
//! A REPEATABLE READ transaction reads at one snapshot, and changes or locks only rows that are
//! still as that shows them: the callers compare, and give 40001 otherwise.
//!
//! A SERIALIZABLE one notes as well what it has read. Its commit goes through only if all of that
//! is the same in the newest state, which is latched then: so it might have run in that one moment.
//! One that writes nothing might have run in the moment of its snapshot, and never fails. Commits
//! of any level count as changes, so nothing need be known of other transactions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, PageId, Result, SqlState, TreeId};
use crate::btree;
use crate::pages::Pages;
use crate::txn::{Key, bound_bytes};

/// PostgreSQL's levels; its READ UNCOMMITTED is READ COMMITTED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// From so many notes on, a whole tree counts as read.
const NOTES_MAX: usize = 10_000;

/// What a SERIALIZABLE transaction has read of the committed trees.
#[derive(Default)]
pub(super) struct Reads {
    trees: Mutex<BTreeMap<TreeId, TreeReads>>,
}

pub(super) type Range = (Bound<Key>, Bound<Key>);

#[derive(Clone, Default)]
struct TreeReads {
    keys: FxHashSet<Key>,
    ranges: Vec<Range>,
    all: bool,
}

/// Notes what is read of one tree.
#[derive(Clone)]
pub(super) struct Noter {
    reads: Arc<Reads>,
    tree: TreeId,
}

impl Noter {
    pub(super) fn new(reads: &Arc<Reads>, tree: TreeId) -> Noter {
        Noter {
            reads: reads.clone(),
            tree,
        }
    }

    /// A key was looked up, whether it was there or not.
    pub(super) fn key(&self, key: &[u8]) {
        self.note(|reads| {
            reads.keys.insert(Key::from_slice(key));
        });
    }

    /// A range was walked from end to end.
    pub(super) fn range(&self, range: Range) {
        self.note(|reads| reads.ranges.push(range));
    }

    fn note(&self, note: impl FnOnce(&mut TreeReads)) {
        let mut trees = self.reads.trees.lock();
        let reads = trees.entry(self.tree).or_default();
        if reads.all {
            return;
        }
        note(reads);
        if reads.keys.len() + reads.ranges.len() >= NOTES_MAX {
            *reads = TreeReads {
                all: true,
                ..TreeReads::default()
            };
        }
    }
}

impl Reads {
    /// The trees read.
    pub(super) fn trees(&self) -> Vec<TreeId> {
        self.trees.lock().keys().copied().collect()
    }

    /// Whether looking at it again may take long.
    pub(super) fn are_large(&self) -> bool {
        let trees = self.trees.lock();
        let notes = |reads: &TreeReads| reads.keys.len() > 100 || !reads.ranges.is_empty();
        trees.values().any(|reads| reads.all || notes(reads))
    }

    /// Checks that a tree holds in its newest state, latched by the caller, what was read of it at
    /// a snapshot, which the caller keeps.
    ///
    /// # Errors
    /// 40001 if it does not.
    pub(super) fn check(
        &self,
        pages: &Arc<Pages>,
        tree: TreeId,
        root: PageId,
        snapshot: Lsn,
    ) -> Result<()> {
        let Some(reads) = self.trees.lock().get(&tree).cloned() else {
            return Ok(());
        };
        let check = |lower, upper| match btree::unchanged(pages, root, snapshot, lower, upper)? {
            true => Ok(()),
            false => Err(read_write_conflict()),
        };
        if reads.all {
            return check(Bound::Unbounded, Bound::Unbounded);
        }
        for key in &reads.keys {
            check(Bound::Included(key), Bound::Included(key))?;
        }
        for (lower, upper) in &reads.ranges {
            check(bound_bytes(lower), bound_bytes(upper))?;
        }
        Ok(())
    }
}

/// 40001 of a SERIALIZABLE transaction that did not see what others have committed.
pub fn read_write_conflict() -> Error {
    could_not_serialize("read/write dependencies among transactions")
        .with_detail("Rows it has read, or looked for, have been changed by others since.")
        .with_hint("The transaction might succeed if retried.")
}

/// 40001, in PostgreSQL's words: "could not serialize access due to …".
pub fn could_not_serialize(due_to: &str) -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        format!("could not serialize access due to {due_to}"),
    )
}
