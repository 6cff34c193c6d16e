//! Inserting and replacing, and the splits this takes.

use super::node::{
    Builder, CAPACITY, Cell, Node, Room, Shape, Stored, check_key, footprint, inline_cell,
    inner_cell, inner_cell_parts, insert_cell, is_inline, leaf_cell_key, overflow_cell,
    remove_cell, replace_cell, separator,
};
use super::overflow;
use super::search::{Path, descend};
use super::sink::{InBatch, Sink};
use crate::base::{PageId, Result};
use crate::pages::{Batch, PageRef, corrupt};

/// A new empty tree.
pub fn create(batch: &mut Batch<'_>, space: u32) -> Result<PageId> {
    let root = batch.allocate(space)?;
    batch.edit(root)?.replace(Builder::leaf().finish());
    Ok(root)
}

/// Inserts a key or replaces its value.
pub fn put(batch: &mut Batch<'_>, root: PageId, key: &[u8], value: &[u8]) -> Result<()> {
    let (path, id, page) = descend(batch, root, key)?;
    if put_in_leaf(batch, id, page, key, value)? {
        return Ok(());
    }
    let mut sink = InBatch {
        space: root.space,
        batch,
    };
    let cell = make_cell(&mut sink, key, value)?;
    let page = batch.read(id)?;
    let node = Node::open(id, &page)?;
    let index = match node.search(key)? {
        Err(index) => index,
        Ok(index) => {
            let old = node.cell_range(index)?;
            let stored = node.stored(index)?;
            let shape = Shape::of(&node);
            drop(page);
            if let Stored::Overflow { len, first } = stored {
                overflow::free(
                    batch,
                    PageId {
                        number: first,
                        ..id
                    },
                    len,
                )?;
            }
            let mut editor = batch.edit(id)?;
            if replace_cell(&mut editor, shape, index, old.clone(), &cell).is_some() {
                return Ok(());
            }
            remove_cell(&mut editor, shape, index, old);
            index
        }
    };
    insert(batch, path, id, index, &cell)
}

/// Inserts a key into its leaf, or replaces its value, if nothing but the leaf has to change for
/// that; whether it is done.
pub(super) fn put_in_leaf(
    batch: &mut Batch<'_>,
    id: PageId,
    page: PageRef,
    key: &[u8],
    value: &[u8],
) -> Result<bool> {
    check_key(key)?;
    if !is_inline(value)? {
        return Ok(false);
    }
    let cell = inline_cell(key, value);
    let node = Node::open(id, &page)?;
    let shape = Shape::of(&node);
    match node.search(key)? {
        Err(index) => {
            if !matches!(node.room_for(cell.len()), Room::Ready) {
                return Ok(false);
            }
            drop(page);
            insert_cell(&mut batch.edit(id)?, shape, index, &cell);
            Ok(true)
        }
        Ok(index) => {
            if matches!(node.stored(index)?, Stored::Overflow { .. }) {
                return Ok(false);
            }
            let old = node.cell_range(index)?;
            drop(page);
            Ok(replace_cell(&mut batch.edit(id)?, shape, index, old, &cell).is_some())
        }
    }
}

/// The cell of a leaf. A long value goes to pages of its own.
pub(super) fn make_cell(sink: &mut impl Sink, key: &[u8], value: &[u8]) -> Result<Cell> {
    if is_inline(value)? {
        return Ok(inline_cell(key, value));
    }
    let len = u32::try_from(value.len()).expect("a length that was checked");
    Ok(overflow_cell(key, len, overflow::write(sink, value)?))
}

/// Inserts a cell into a node, at the end of the path, and splits upwards as far as need be.
pub(super) fn insert(
    batch: &mut Batch<'_>,
    mut path: Path,
    mut id: PageId,
    mut index: usize,
    cell: &[u8],
) -> Result<()> {
    let Some(mut parents_cell) = insert_here(batch, &path, id, index, cell)? else {
        return Ok(());
    };
    // A new child's cell stands right after the one of the child it was split from.
    while let Some((parent, place)) = path.pop() {
        (id, index) = (parent, place);
        match insert_here(batch, &path, id, index, &parents_cell)? {
            Some(cell) => parents_cell = cell,
            None => return Ok(()),
        }
    }
    Err(corrupt(id, "a root was split in two"))
}

/// Inserts a cell into a node. If the node was split, the cell that its parent must take.
fn insert_here(
    batch: &mut Batch<'_>,
    path: &Path,
    id: PageId,
    index: usize,
    cell: &[u8],
) -> Result<Option<Cell>> {
    let page = batch.read(id)?;
    let node = Node::open(id, &page)?;
    match node.room_for(cell.len()) {
        Room::Ready => {
            let shape = Shape::of(&node);
            drop(page);
            insert_cell(&mut batch.edit(id)?, shape, index, cell);
            Ok(None)
        }
        Room::AfterCompaction => {
            let mut compacted = like(&node)?;
            compacted.extend(id, &node.cells_with(index, cell)?)?;
            drop(page);
            batch.edit(id)?.replace(compacted.finish());
            Ok(None)
        }
        Room::None => {
            let halves = split(&node, index, cell)?;
            if path.is_empty() {
                drop(page);
                split_root(batch, id, halves)?;
                return Ok(None);
            }
            drop(page);
            split_node(batch, id, halves).map(Some)
        }
    }
}

/// An empty node of the same level, with the same first child.
fn like(node: &Node<'_>) -> Result<Builder> {
    Ok(match node.level() {
        0 => Builder::leaf(),
        level => Builder::inner(level, node.child(0)?.number),
    })
}

/// Two nodes made of one.
struct Halves {
    level: u8,
    left: Builder,
    /// The left half is what the node holds already.
    is_left_unchanged: bool,
    separator: Cell,
    right: Builder,
}

fn split(node: &Node<'_>, index: usize, cell: &[u8]) -> Result<Halves> {
    let cells = node.cells_with(index, cell)?;
    let is_at_end = index == node.count();
    let id = node.id();
    let mut left = like(node)?;
    if node.is_leaf() {
        let at = split_point(&cells, is_at_end, false)
            .ok_or_else(|| corrupt(id, "a node cannot be split"))?;
        left.extend(id, &cells[..at])?;
        let mut right = Builder::leaf();
        right.extend(id, &cells[at..])?;
        let between = separator(leaf_cell_key(cells[at - 1]), leaf_cell_key(cells[at]));
        return Ok(Halves {
            level: 0,
            left,
            is_left_unchanged: is_at_end && at == node.count(),
            separator: Cell::from_slice(between),
            right,
        });
    }
    // The separator in the middle moves up, and its child becomes the right half's first.
    let at = split_point(&cells, is_at_end, true)
        .ok_or_else(|| corrupt(id, "a node cannot be split"))?;
    left.extend(id, &cells[..at])?;
    let (between, child) = inner_cell_parts(cells[at]);
    let mut right = Builder::inner(node.level(), child);
    right.extend(id, &cells[at + 1..])?;
    Ok(Halves {
        level: node.level(),
        left,
        is_left_unchanged: false,
        separator: Cell::from_slice(between),
        right,
    })
}

/// How many cells stay on the left. Keys that come in ascending order leave full nodes behind;
/// otherwise the halves are made as even as can be. `None` if nothing fits, which only damage
/// explains.
fn split_point(cells: &[&[u8]], is_at_end: bool, moves_up: bool) -> Option<usize> {
    let moved_up = usize::from(moves_up);
    if is_at_end {
        return cells.len().checked_sub(1 + moved_up).filter(|&at| at > 0);
    }
    let total: usize = cells.iter().map(|c| footprint(c)).sum();
    let mut left = 0;
    let mut best = None;
    for at in 1..cells.len().saturating_sub(moved_up) {
        left += footprint(cells[at - 1]);
        let up = if moves_up { footprint(cells[at]) } else { 0 };
        let larger = left.max(total - left - up);
        if best.is_none_or(|(size, _)| larger < size) {
            best = Some((larger, at));
        }
    }
    best.filter(|&(size, _)| size <= CAPACITY).map(|(_, at)| at)
}

/// The node keeps the left half; the cell its parent must take leads to the right one.
fn split_node(batch: &mut Batch<'_>, id: PageId, mut halves: Halves) -> Result<Cell> {
    let right = batch.allocate(id.space)?;
    batch.edit(right)?.replace(halves.right.finish());
    if !halves.is_left_unchanged {
        batch.edit(id)?.replace(halves.left.finish());
    }
    Ok(inner_cell(&halves.separator, right))
}

/// Both halves move down, since a root stays where it is.
fn split_root(batch: &mut Batch<'_>, root: PageId, mut halves: Halves) -> Result<()> {
    let level = halves
        .level
        .checked_add(1)
        .ok_or_else(|| corrupt(root, "a tree too high"))?;
    let left = batch.allocate(root.space)?;
    let right = batch.allocate(root.space)?;
    batch.edit(left)?.replace(halves.left.finish());
    batch.edit(right)?.replace(halves.right.finish());
    let mut top = Builder::inner(level, left.number);
    top.extend(root, &[&inner_cell(&halves.separator, right)])?;
    batch.edit(root)?.replace(top.finish());
    Ok(())
}
