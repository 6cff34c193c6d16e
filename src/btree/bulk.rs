//! Building a tree bottom-up from sorted entries.

use super::node::{Builder, CAPACITY, Cell, footprint, inner_cell, separator};
use super::put::leaf_cell;
use crate::base::{Error, PageId, Result, SqlState};
use crate::pages::Batch;

/// Leaves are left with a little room, so that the first inserts after do not split every one.
const LEAF_FILL_BYTES: usize = CAPACITY / 10 * 9;

/// Makes a tree of entries whose keys strictly rise; its root.
pub fn bulk_build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    batch: &mut Batch<'_>,
    space: u32,
    entries: impl IntoIterator<Item = Result<(K, V)>>,
) -> Result<PageId> {
    let leaf = Level {
        node: Builder::leaf(),
        low: Cell::new(),
    };
    let mut bulk = Bulk {
        space,
        levels: vec![leaf],
    };
    let mut last: Option<K> = None;
    for entry in entries {
        let (key, value) = entry?;
        bulk.add(
            batch,
            last.as_ref().map(AsRef::as_ref),
            key.as_ref(),
            value.as_ref(),
        )?;
        last = Some(key);
    }
    bulk.finish(batch)
}

/// The nodes being filled, one on each level, leaves first.
struct Bulk {
    space: u32,
    levels: Vec<Level>,
}

struct Level {
    node: Builder,
    /// The separator on the node's left; empty for the leftmost node.
    low: Cell,
}

impl Bulk {
    fn add(
        &mut self,
        batch: &mut Batch<'_>,
        last: Option<&[u8]>,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if last.is_some_and(|last| last >= key) {
            let what = "entries to build a tree of are not sorted";
            return Err(Error::new(SqlState::INTERNAL_ERROR, what));
        }
        let cell = leaf_cell(batch, self.space, key, value)?;
        let leaf = &mut self.levels[0].node;
        let fills = leaf.used() + footprint(&cell) > LEAF_FILL_BYTES;
        if (!fills || leaf.used() == 0) && leaf.push(&cell) {
            return Ok(());
        }
        let low = Cell::from_slice(separator(last.unwrap_or_default(), key));
        let mut node = Builder::leaf();
        assert!(node.push(&cell), "a cell fits an empty leaf");
        self.flush(batch, 0, Level { node, low })
    }

    /// Writes out the full node of a level; `next` takes its place.
    fn flush(&mut self, batch: &mut Batch<'_>, level: usize, next: Level) -> Result<()> {
        let full = std::mem::replace(&mut self.levels[level], next);
        let id = write(batch, self.space, full.node)?;
        self.add_child(batch, level + 1, full.low, id)
    }

    fn add_child(
        &mut self,
        batch: &mut Batch<'_>,
        level: usize,
        low: Cell,
        child: PageId,
    ) -> Result<()> {
        let height = u8::try_from(level).expect("a tree of 2^32 pages is lower than this");
        let fresh = |low| Level {
            node: Builder::inner(height, child.number),
            low,
        };
        let Some(parent) = self.levels.get_mut(level) else {
            self.levels.push(fresh(low));
            return Ok(());
        };
        if !parent.node.push(&inner_cell(&low, child)) {
            self.flush(batch, level, fresh(low))?;
        }
        Ok(())
    }

    /// Writes out the last node of each level, from the leaves to the root.
    fn finish(mut self, batch: &mut Batch<'_>) -> Result<PageId> {
        let mut level = 0;
        loop {
            let empty = Level {
                node: Builder::leaf(),
                low: Cell::new(),
            };
            let last = std::mem::replace(&mut self.levels[level], empty);
            let id = write(batch, self.space, last.node)?;
            level += 1;
            if level == self.levels.len() {
                return Ok(id);
            }
            self.add_child(batch, level, last.low, id)?;
        }
    }
}

fn write(batch: &mut Batch<'_>, space: u32, mut node: Builder) -> Result<PageId> {
    let id = batch.allocate(space)?;
    batch.edit(id)?.replace(node.finish());
    Ok(id)
}
