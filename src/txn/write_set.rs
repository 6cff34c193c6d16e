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
}

impl TreeWrites {
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    pub(super) fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.changes.insert(key, value);
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
