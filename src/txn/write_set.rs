//! What a transaction has written to one tree and not yet committed (T1).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::{Lsn, PageId, Result};
use crate::btree::{self, Value};
use crate::pages::{Batch, Pages};
use crate::txn::runs::Run;

/// A key; row ids and small index keys take no allocation.
pub type Key = SmallVec<[u8; 24]>;

/// A bound as trees take it.
pub fn bound_bytes(bound: &Bound<Key>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Keys with their new values; `None` is a deletion.
#[derive(Clone, Default)]
pub(super) struct TreeWrites {
    /// Newer than all runs.
    changes: BTreeMap<Key, Option<Vec<u8>>>,
    /// What the changes take in memory, about.
    bytes: u64,
    /// No key that was put and is in memory is lower.
    lowest_put: Option<Key>,
    /// When to look again whether a part should move to a run.
    pub(super) look_at_bytes: u64,
    /// Oldest first. No deletions are in them.
    runs: Vec<Arc<Run>>,
}

/// Of a change without key and value: its place in the map and the allocation of its value.
const CHANGE_BYTES: usize = 80;

/// What a change takes in memory, about.
pub(super) fn change_bytes(key: &[u8], value: Option<&[u8]>) -> u64 {
    (key.len() + CHANGE_BYTES + value.map_or(0, <[u8]>::len)) as u64
}

impl TreeWrites {
    pub(super) fn get(&self, pages: &Pages, key: &[u8]) -> Result<Option<Option<Value>>> {
        if let Some(change) = self.changes.get(key) {
            return Ok(Some(change.clone().map(Value::Owned)));
        }
        for run in self.runs.iter().rev().filter(|run| run.spans(key)) {
            let found = btree::get(pages, run.root, Lsn::NEWEST, key)?.value;
            if found.is_some() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Gives what was set for the key before and is in memory.
    pub(super) fn set(&mut self, key: Key, value: Option<Vec<u8>>) -> Option<Option<Vec<u8>>> {
        self.bytes += change_bytes(&key, value.as_deref());
        if value.is_some() && self.lowest_put.as_ref().is_none_or(|lowest| key < *lowest) {
            self.lowest_put = Some(key.clone());
        }
        let key_len = key.len();
        let old = self.changes.insert(key, value);
        if let Some(old) = &old {
            self.bytes -= (key_len + CHANGE_BYTES + old.as_ref().map_or(0, Vec::len)) as u64;
        }
        old
    }

    /// Goes back to what [`Self::set`] gave.
    pub(super) fn restore(&mut self, key: Key, before: Option<Option<Vec<u8>>>) {
        match before {
            Some(value) => drop(self.set(key, value)),
            None => {
                if let Some(old) = self.changes.remove(&key) {
                    self.bytes -= change_bytes(&key, old.as_deref());
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.runs.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    pub(super) fn set_runs(&mut self, runs: Vec<Arc<Run>>) {
        self.runs = runs;
    }

    /// Takes the changes out that are no deletions, in key order, for a run.
    pub(super) fn take_puts(&mut self) -> Vec<(Key, Vec<u8>)> {
        let mut puts = Vec::with_capacity(self.changes.len());
        for (key, value) in std::mem::take(&mut self.changes) {
            match value {
                Some(value) => puts.push((key, value)),
                None => drop(self.changes.insert(key, None)),
            }
        }
        let left = self.changes.keys();
        self.lowest_put = None;
        self.look_at_bytes = 0;
        self.bytes = left.map(|key| change_bytes(key, None)).sum();
        puts
    }

    /// A key that is not above any that was put and is in memory; `None` if there is none.
    pub(super) fn lowest_put(&self) -> Option<&Key> {
        self.lowest_put.as_ref()
    }

    pub(super) fn last_key(&self) -> Option<Key> {
        let last = self.changes.keys().next_back();
        let runs = self.runs.iter().map(|run| run.high());
        runs.chain(last).max().cloned()
    }

    /// The keys that are in memory.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.changes.keys().map(|key| key.as_slice())
    }

    /// The first change in a range that is in memory, or the last when going backward.
    pub(super) fn first_in(
        &self,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        backward: bool,
    ) -> Option<(&Key, Option<&[u8]>)> {
        let mut range = self.changes.range::<[u8], _>((lower, upper));
        let entry = if backward {
            range.next_back()
        } else {
            range.next()
        };
        entry.map(|(key, value)| (key, value.as_deref()))
    }

    /// The entries of a tree that has no others and no runs.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let changes = self.changes.iter();
        changes.filter_map(|(key, value)| Some((key.as_slice(), value.as_deref()?)))
    }

    /// Applies the changes that are in memory.
    pub(super) fn apply(&self, batch: &mut Batch<'_>, root: PageId) -> Result<()> {
        let changes = self.changes.iter();
        let changes = changes.map(|(key, value)| (key.as_slice(), value.as_deref()));
        btree::apply(batch, root, changes)
    }
}
