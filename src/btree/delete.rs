//! Removing keys and whole trees.

use super::node::{Builder, Node, Shape, Stored, remove_cell, write_first_child};
use super::overflow;
use super::search::{Path, Source, descend, open_child};
use crate::base::{PageId, Result};
use crate::pages::{Batch, PageRef, corrupt};

/// Removes a key; whether it was there.
pub fn delete(batch: &mut Batch<'_>, root: PageId, key: &[u8]) -> Result<bool> {
    let (path, id, page) = descend(batch, root, key)?;
    if let Some(found) = delete_in_leaf(batch, id, page, key)? {
        return Ok(found);
    }
    let page = batch.read(id)?;
    let node = Node::open(id, &page)?;
    let Ok(index) = node.search(key)? else {
        return Ok(false);
    };
    let cell = node.cell_range(index)?;
    let stored = node.stored(index)?;
    let shape = Shape::of(&node);
    let becomes_empty = node.count() == 1;
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
    if becomes_empty {
        remove_node(batch, root, path, id)?;
    } else {
        remove_cell(&mut batch.edit(id)?, shape, index, cell);
    }
    Ok(true)
}

/// Removes a key from its leaf, if nothing but the leaf has to change for that; whether it was
/// there. `None`: nothing is done.
pub(super) fn delete_in_leaf(
    batch: &mut Batch<'_>,
    id: PageId,
    page: PageRef,
    key: &[u8],
) -> Result<Option<bool>> {
    let node = Node::open(id, &page)?;
    let Ok(index) = node.search(key)? else {
        return Ok(Some(false));
    };
    if node.count() == 1 || matches!(node.stored(index)?, Stored::Overflow { .. }) {
        return Ok(None);
    }
    let shape = Shape::of(&node);
    let cell = node.cell_range(index)?;
    drop(page);
    remove_cell(&mut batch.edit(id)?, shape, index, cell);
    Ok(Some(true))
}

/// Takes an empty node, at the end of the path, out of the tree, with all ancestors that become
/// empty by it.
fn remove_node(batch: &mut Batch<'_>, root: PageId, mut path: Path, empty: PageId) -> Result<()> {
    let mut id = empty;
    while let Some((parent, place)) = path.pop() {
        batch.free(id)?;
        if remove_child(batch, parent, place)? {
            return collapse_root(batch, root);
        }
        id = parent;
    }
    batch.edit(root)?.replace(Builder::leaf().finish());
    Ok(())
}

/// Removes the child at a place, unless it is the only one.
fn remove_child(batch: &mut Batch<'_>, parent: PageId, place: usize) -> Result<bool> {
    let page = batch.read(parent)?;
    let node = Node::open(parent, &page)?;
    if node.count() == 0 {
        return Ok(false);
    }
    // The first child has no cell: the next one takes its place and gives up its own.
    let index = place.saturating_sub(1);
    let first_child = if place == 0 {
        Some(node.child(1)?)
    } else {
        None
    };
    let cell = node.cell_range(index)?;
    let shape = Shape::of(&node);
    drop(page);
    let mut editor = batch.edit(parent)?;
    if let Some(child) = first_child {
        write_first_child(&mut editor, child);
    }
    remove_cell(&mut editor, shape, index, cell);
    Ok(true)
}

/// While the root has a single child, the child's content moves up into it.
fn collapse_root(batch: &mut Batch<'_>, root: PageId) -> Result<()> {
    loop {
        let page = batch.read(root)?;
        let node = Node::open(root, &page)?;
        if node.is_leaf() || node.count() > 0 {
            return Ok(());
        }
        let only = node.child(0)?;
        let child = batch.read(only)?;
        open_child(only, &child, node.level())?;
        drop(page);
        batch.edit(root)?.replace(&child);
        drop(child);
        batch.free(only)?;
    }
}

/// Frees all pages of a tree, its root too.
pub fn destroy(batch: &mut Batch<'_>, root: PageId) -> Result<()> {
    let level = Node::open(root, &*batch.read(root)?)?.level();
    let mut pages = Vec::new();
    collect(batch, root, level, &mut pages)?;
    pages.into_iter().try_for_each(|page| batch.free(page))
}

fn collect(source: &impl Source, id: PageId, level: u8, pages: &mut Vec<PageId>) -> Result<()> {
    let page = source.page(id)?;
    let node = Node::open(id, &page)?;
    if node.level() != level {
        return Err(corrupt(
            id,
            format!("level {} instead of {level}", node.level()),
        ));
    }
    pages.push(id);
    if !node.is_leaf() {
        for place in 0..=node.count() {
            collect(source, node.child(place)?, level - 1, pages)?;
        }
        return Ok(());
    }
    for index in 0..node.count() {
        if let Stored::Overflow { len, first } = node.stored(index)? {
            overflow::walk(
                source,
                PageId {
                    number: first,
                    ..id
                },
                len,
                |link, _| {
                    pages.push(link);
                    Ok(())
                },
            )?;
        }
    }
    Ok(())
}
