//! Taking over a whole tree that was built elsewhere: a few pages change, whatever its size.

use super::node::{Builder, Node, inner_cell, separator};
use super::put::insert;
use super::search::descend_right;
use crate::base::{PageId, Result};
use crate::pages::Batch;

/// What became of a tree that another was to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// All but its root's page belong to the other tree now.
    AllButRoot,
    /// All its pages do.
    Whole,
    /// Nothing was done: its keys do not lie above those of the other tree.
    No,
}

/// Has a tree take over all entries of another, the lowest key of which is `first`, if they lie
/// behind its own.
pub fn adopt(batch: &mut Batch<'_>, root: PageId, other: PageId, first: &[u8]) -> Result<Adopted> {
    let (_, id, page) = descend_right(batch, root, 0)?;
    let leaf = Node::open(id, &page)?;
    let Some(last) = leaf.count().checked_sub(1) else {
        drop(page);
        let content = batch.read(other)?;
        batch.edit(root)?.replace(&content);
        return Ok(Adopted::AllButRoot);
    };
    let last = leaf.entry(last)?.0;
    if last >= first {
        return Ok(Adopted::No);
    }
    let cell = inner_cell(separator(last, first), other);
    drop(page);
    let level = Node::open(other, &*batch.read(other)?)?.level() + 1;
    raise(batch, root, level)?;
    let (path, id, page) = descend_right(batch, root, level)?;
    let count = Node::open(id, &page)?.count();
    drop(page);
    insert(batch, path, id, count, &cell)?;
    Ok(Adopted::Whole)
}

/// Makes a tree so high that its root has at least this level: the root's content moves down below
/// nodes with one child each.
fn raise(batch: &mut Batch<'_>, root: PageId, level: u8) -> Result<()> {
    let content = batch.read(root)?;
    let lowest = Node::open(root, &content)?.level();
    if lowest >= level {
        return Ok(());
    }
    let mut child = batch.allocate(root.space)?;
    batch.edit(child)?.replace(&content);
    drop(content);
    for level in lowest + 1..level {
        let id = batch.allocate(root.space)?;
        batch
            .edit(id)?
            .replace(Builder::inner(level, child.number).finish());
        child = id;
    }
    batch
        .edit(root)?
        .replace(Builder::inner(level, child.number).finish());
    Ok(())
}
