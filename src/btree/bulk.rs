//! Building a tree bottom-up from sorted entries.

use super::node::{Builder, CAPACITY, Cell, check_key, footprint, inner_cell, separator};
use super::put::make_cell;
use super::sink::{InBatch, Sink};
use crate::base::{Error, PageId, Result, SqlState};
use crate::pages::Batch;
use smallvec::SmallVec;

/// Leaves are left with a little room, so that the first inserts after do not split every one.
const LEAF_FILL_BYTES: usize = CAPACITY / 10 * 9;

/// Makes a tree of entries whose keys strictly rise; its root.
pub fn bulk_build<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    batch: &mut Batch<'_>,
    space: u32,
    entries: impl IntoIterator<Item = Result<(K, V)>>,
) -> Result<PageId> {
    let mut sink = InBatch { batch, space };
    let mut builder = TreeBuilder::new();
    for entry in entries {
        let (key, value) = entry?;
        builder.add(&mut sink, key.as_ref(), value.as_ref())?;
    }
    builder.finish(&mut sink)
}

/// A tree that is being built: the nodes that are not full yet, one on each level. A clone that is
/// finished gives the tree of the entries so far, which stays as it is while more are added here.
#[derive(Clone)]
pub struct TreeBuilder {
    /// Leaves first.
    levels: Vec<Level>,
    last_key: Option<SmallVec<[u8; 32]>>,
}

#[derive(Clone)]
struct Level {
    node: Builder,
    /// The separator on the node's left; empty for the leftmost node.
    low: Cell,
}

impl TreeBuilder {
    #[expect(clippy::new_without_default, reason = "nobody wants a default one")]
    pub fn new() -> TreeBuilder {
        let leaf = Level {
            node: Builder::leaf(),
            low: Cell::new(),
        };
        TreeBuilder {
            levels: vec![leaf],
            last_key: None,
        }
    }

    /// The key added last.
    pub fn last_key(&self) -> Option<&[u8]> {
        self.last_key.as_deref()
    }

    /// Adds an entry, whose key is above all others.
    pub fn add(&mut self, sink: &mut impl Sink, key: &[u8], value: &[u8]) -> Result<()> {
        if self.last_key().is_some_and(|last| last >= key) {
            let what = "entries to build a tree of are not sorted";
            return Err(Error::new(SqlState::INTERNAL_ERROR, what));
        }
        check_key(key)?;
        let cell = make_cell(sink, key, value)?;
        let leaf = &mut self.levels[0].node;
        let fills = leaf.used() + footprint(&cell) > LEAF_FILL_BYTES;
        if (fills && leaf.used() > 0) || !leaf.push(&cell) {
            let low = Cell::from_slice(separator(self.last_key().unwrap_or_default(), key));
            let mut node = Builder::leaf();
            assert!(node.push(&cell), "a cell fits an empty leaf");
            self.flush(sink, 0, Level { node, low })?;
        }
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(())
    }

    /// Writes out the full node of a level; `next` takes its place.
    fn flush(&mut self, sink: &mut impl Sink, level: usize, next: Level) -> Result<()> {
        let full = std::mem::replace(&mut self.levels[level], next);
        let id = write(sink, full.node)?;
        self.add_child(sink, level + 1, full.low, id)
    }

    fn add_child(
        &mut self,
        sink: &mut impl Sink,
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
            self.flush(sink, level, fresh(low))?;
        }
        Ok(())
    }

    /// Writes out the last node of each level, from the leaves to the root, which it gives.
    pub fn finish(mut self, sink: &mut impl Sink) -> Result<PageId> {
        let mut level = 0;
        loop {
            let empty = Level {
                node: Builder::leaf(),
                low: Cell::new(),
            };
            let last = std::mem::replace(&mut self.levels[level], empty);
            let id = write(sink, last.node)?;
            level += 1;
            if level == self.levels.len() {
                return Ok(id);
            }
            self.add_child(sink, level, last.low, id)?;
        }
    }
}

fn write(sink: &mut impl Sink, mut node: Builder) -> Result<PageId> {
    let id = sink.allocate()?;
    sink.write(id, node.finish())?;
    Ok(id)
}
