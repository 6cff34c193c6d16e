//! Checks a whole tree against the invariants.

use super::node::{INLINE_BYTES_MAX, KEY_BYTES_MAX, Node, Stored, VALUE_BYTES_MAX};
use super::overflow;
use super::search::{Source, View};
use crate::base::{Lsn, PageId, Result};
use crate::pages::{PAGE_SIZE, Pages, corrupt};
use rustc_hash::FxHashSet;

/// What a tree is made of.
#[derive(Debug, Default)]
pub struct Stats {
    /// All its pages, each once, the root first.
    pub pages: Vec<PageId>,
    /// Levels, 1 for a single leaf.
    pub height: usize,
    pub leaves: usize,
    pub inner_nodes: usize,
    pub overflow_pages: usize,
    pub entries: u64,
    /// Bytes of the leaves' cells.
    pub leaf_bytes: u64,
}

/// Reads the whole tree at a snapshot and checks B1 to B5.
pub fn verify(pages: &Pages, root: PageId, snapshot: Lsn) -> Result<Stats> {
    verify_from(&View { pages, snapshot }, root)
}

pub(super) fn verify_from(source: &impl Source, root: PageId) -> Result<Stats> {
    let mut check = Check {
        source,
        root,
        seen: FxHashSet::default(),
        stats: Stats::default(),
    };
    check.stats.height = 1 + usize::from(Node::open(root, &*source.page(root)?)?.level());
    check.node(root, check.stats.height - 1, None, None)?;
    Ok(check.stats)
}

struct Check<'s, S> {
    source: &'s S,
    root: PageId,
    seen: FxHashSet<PageId>,
    stats: Stats,
}

impl<S: Source> Check<'_, S> {
    /// Checks a node and all below it, whose keys must be at least `low` and less than `high`.
    fn node(
        &mut self,
        id: PageId,
        level: usize,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
    ) -> Result<()> {
        self.count_page(id)?;
        let page = self.source.page(id)?;
        let node = Node::open(id, &page)?;
        if usize::from(node.level()) != level {
            return Err(corrupt(
                id,
                format!("level {} instead of {level} (B2)", node.level()),
            ));
        }
        if (node.count() == 0) && node.is_leaf() != (id == self.root) {
            return Err(corrupt(id, "a node is empty (B3)"));
        }
        check_keys(&node, low, high)?;
        check_cells(&node)?;
        if node.is_leaf() {
            return self.leaf(&node);
        }
        self.stats.inner_nodes += 1;
        for place in 0..=node.count() {
            let low = if place == 0 {
                low
            } else {
                Some(node.key(place - 1)?)
            };
            let high = if place == node.count() {
                high
            } else {
                Some(node.key(place)?)
            };
            self.node(node.child(place)?, level - 1, low, high)?;
        }
        Ok(())
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result<()> {
        self.stats.leaves += 1;
        self.stats.entries += node.count() as u64;
        self.stats.leaf_bytes += (PAGE_SIZE - node.cells_start() - node.garbage()) as u64;
        for index in 0..node.count() {
            let Stored::Overflow { len, first } = node.stored(index)? else {
                continue;
            };
            if !(INLINE_BYTES_MAX + 1..=VALUE_BYTES_MAX).contains(&(len as usize)) {
                return Err(corrupt(
                    node.id(),
                    format!("a value of {len} bytes in overflow pages"),
                ));
            }
            let first = PageId {
                number: first,
                ..node.id()
            };
            overflow::walk(self.source, first, len, |link, _| {
                self.stats.overflow_pages += 1;
                count_page(&mut self.seen, &mut self.stats, link)
            })?;
        }
        Ok(())
    }

    fn count_page(&mut self, id: PageId) -> Result<()> {
        count_page(&mut self.seen, &mut self.stats, id)
    }
}

fn count_page(seen: &mut FxHashSet<PageId>, stats: &mut Stats, id: PageId) -> Result<()> {
    if !seen.insert(id) {
        return Err(corrupt(id, "a page is used twice (B5)"));
    }
    stats.pages.push(id);
    Ok(())
}

fn check_keys(node: &Node<'_>, low: Option<&[u8]>, high: Option<&[u8]>) -> Result<()> {
    for index in 0..node.count() {
        let key = node.key(index)?;
        let is_above = match index.checked_sub(1) {
            Some(before) => node.key(before)? < key,
            // A separator equal to the bound would leave nothing for the first child.
            None => low.is_none_or(|low| low < key || (low == key && node.is_leaf())),
        };
        if !is_above || high.is_some_and(|high| key >= high) || key.len() > KEY_BYTES_MAX {
            return Err(corrupt(
                node.id(),
                format!("key {index} is out of order (B1)"),
            ));
        }
    }
    Ok(())
}

fn check_cells(node: &Node<'_>) -> Result<()> {
    let ranges: Result<Vec<_>> = (0..node.count())
        .map(|index| node.cell_range(index))
        .collect();
    let mut ranges = ranges?;
    ranges.sort_unstable_by_key(|range| range.start);
    let overlap = ranges.windows(2).any(|pair| pair[0].end > pair[1].start);
    let used: usize = ranges.iter().map(|range| range.len()).sum();
    if overlap || used + node.garbage() != PAGE_SIZE - node.cells_start() {
        return Err(corrupt(node.id(), "cells do not fill their place (B4)"));
    }
    Ok(())
}
