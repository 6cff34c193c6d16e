//! Whether a range of a tree has changed since a snapshot.

use std::ops::Bound;
use std::sync::Arc;

use super::Cursor;
use super::node::Node;
use super::search::open_child;
use crate::base::{Lsn, PageId, Result};
use crate::pages::{PageRef, Pages};

type Bytes<'k> = Bound<&'k [u8]>;

/// Whether a range holds the same entries at `now` as at an older snapshot, which is kept alive:
/// at another one that is, or in the newest state, whose tree is latched.
///
/// Nodes that are not newer than the snapshot, below others that are not, need no closer look;
/// what lies below a newer one is compared entry by entry. `kept` takes the nodes, as many as it has
/// room for: they stay in the cache as long.
pub fn unchanged(
    pages: &Arc<Pages>,
    root: PageId,
    snapshot: Lsn,
    now: Lsn,
    lower: Bytes<'_>,
    upper: Bytes<'_>,
    kept: &mut Vec<PageRef>,
) -> Result<bool> {
    let mut look = Look {
        pages,
        root,
        snapshot,
        now,
        kept,
    };
    look.is_same(root, None, lower, upper)
}

struct Look<'a> {
    pages: &'a Arc<Pages>,
    root: PageId,
    snapshot: Lsn,
    now: Lsn,
    kept: &'a mut Vec<PageRef>,
}

impl Look<'_> {
    /// `above`: the level of the node's parent.
    fn is_same(
        &mut self,
        id: PageId,
        above: Option<u8>,
        lower: Bytes<'_>,
        upper: Bytes<'_>,
    ) -> Result<bool> {
        let page = self.pages.read(id, self.now)?;
        if self.kept.len() < self.kept.capacity() {
            self.kept.push(page.clone());
        }
        if page.lsn() > self.snapshot {
            return self.has_same_entries(lower, upper);
        }
        let node = match above {
            Some(level) => open_child(id, &page, level)?,
            None => Node::open(id, &page)?,
        };
        if node.is_leaf() {
            return Ok(true);
        }
        let place = |bound, unbounded| match bound {
            Bound::Included(key) | Bound::Excluded(key) => node.place_of(key),
            Bound::Unbounded => Ok(unbounded),
        };
        let (first, last) = (place(lower, 0)?, place(upper, node.count())?);
        for at in first..=last {
            let low = match at > first {
                true => Bound::Included(node.key(at - 1)?),
                false => lower,
            };
            let high = match at < last {
                true => Bound::Excluded(node.key(at)?),
                false => upper,
            };
            if !self.is_same(node.child(at)?, Some(node.level()), low, high)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_same_entries(&self, lower: Bytes<'_>, upper: Bytes<'_>) -> Result<bool> {
        let cursor = |lsn| Cursor::new(self.pages.clone(), self.root, lsn, lower, upper);
        let (mut then, mut now) = (cursor(self.snapshot), cursor(self.now));
        loop {
            match (then.next()?, now.next()?) {
                (None, None) => return Ok(true),
                (Some((a, old)), Some((b, new))) if a == b => {
                    if old.bytes()? != new.bytes()? {
                        return Ok(false);
                    }
                }
                _ => return Ok(false),
            }
        }
    }
}
