//! What a transaction has written to one tree and not yet committed (T1).

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;

use crate::base::{PageId, Result};
use crate::btree;
use crate::pages::Batch;

/// A key; row ids and small index keys take no allocation.
pub type Key = SmallVec<[u8; 24]>;

/// Keys with their new values; `None` is a deletion.
#[derive(Clone, Default)]
pub(super) struct TreeWrites {
    changes: BTreeMap<Key, Option<Vec<u8>>>,
    /// What the changes take in memory, about.
    bytes: u64,
}

/// Of a change without key and value: its place in the map and the allocation of its value.
const CHANGE_BYTES: usize = 80;

fn value_bytes(value: Option<&Vec<u8>>) -> u64 {
    value.map_or(0, Vec::len) as u64
}

impl TreeWrites {
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    pub(super) fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.bytes += value_bytes(value.as_ref());
        let key_bytes = (key.len() + CHANGE_BYTES) as u64;
        match self.changes.insert(key, value) {
            Some(old) => self.bytes -= value_bytes(old.as_ref()),
            None => self.bytes += key_bytes,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn last_key(&self) -> Option<Key> {
        self.changes.keys().next_back().cloned()
    }

    /// The first change in a range, or the last when going backward.
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

    /// The entries of a tree that has no others.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let changes = self.changes.iter();
        changes.filter_map(|(key, value)| Some((key.as_slice(), value.as_deref()?)))
    }

    pub(super) fn apply(&self, batch: &mut Batch<'_>, root: PageId) -> Result<()> {
        for (key, value) in &self.changes {
            match value {
                Some(value) => btree::put(batch, root, key, value)?,
                None => drop(btree::delete(batch, root, key)?),
            }
        }
        Ok(())
    }
}
