//! Many changes in key order: each leaf is looked for once.

use super::delete::{delete, delete_in_leaf};
use super::node::Node;
use super::put::{put, put_in_leaf};
use super::search::{Source, open_child};
use crate::base::{PageId, Result};
use crate::pages::Batch;
use smallvec::SmallVec;

/// What a key is to become: another value, or gone.
type Change<'c> = (&'c [u8], Option<&'c [u8]>);

/// Makes changes whose keys rise, as [`put`] and [`delete`] would one by one.
pub fn apply<'c>(
    batch: &mut Batch<'_>,
    root: PageId,
    changes: impl IntoIterator<Item = Change<'c>>,
) -> Result<()> {
    let mut last: Option<Leaf> = None;
    for change in changes {
        let leaf = match last.take().filter(|leaf| leaf.is_for(change.0)) {
            Some(leaf) => leaf,
            None => Leaf::find(batch, root, change.0)?,
        };
        if leaf.change(batch, change)? {
            last = Some(leaf);
            continue;
        }
        // The tree changes around the leaf.
        match change {
            (key, Some(value)) => put(batch, root, key, value)?,
            (key, None) => drop(delete(batch, root, key)?),
        }
    }
    Ok(())
}

/// A leaf of a tree that has not changed around it since.
struct Leaf {
    id: PageId,
    /// Keys from here on belong to others.
    end: Option<SmallVec<[u8; 24]>>,
}

impl Leaf {
    fn find(batch: &Batch<'_>, root: PageId, key: &[u8]) -> Result<Leaf> {
        let mut leaf = Leaf {
            id: root,
            end: None,
        };
        let mut page = batch.page(root)?;
        let mut node = Node::open(root, &page)?;
        while !node.is_leaf() {
            let level = node.level();
            let place = node.place_of(key)?;
            if place < node.count() {
                leaf.end = Some(SmallVec::from_slice(node.key(place)?));
            }
            leaf.id = node.child(place)?;
            page = batch.page(leaf.id)?;
            node = open_child(leaf.id, &page, level)?;
        }
        Ok(leaf)
    }

    /// Whether a key belongs here that is not less than the one it was found for.
    fn is_for(&self, key: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| key < &end[..])
    }

    /// Whether the change was one of the leaf alone, and has been made.
    fn change(&self, batch: &mut Batch<'_>, (key, value): Change<'_>) -> Result<bool> {
        let page = batch.read(self.id)?;
        match value {
            Some(value) => put_in_leaf(batch, self.id, page, key, value),
            None => Ok(delete_in_leaf(batch, self.id, page, key)?.is_some()),
        }
    }
}
