//! Descending a tree to the leaf of a key.

use super::node::Node;
use super::value::Value;
use crate::base::{Lsn, PageId, Result};
use crate::pages::{Batch, PageRef, Pages, corrupt};
use smallvec::SmallVec;

/// Where nodes are read: at a snapshot, or in a batch that is being edited.
pub trait Source {
    fn page(&self, id: PageId) -> Result<PageRef>;
}

/// The pages at a snapshot.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub pages: &'a Pages,
    pub snapshot: Lsn,
}

impl Source for View<'_> {
    fn page(&self, id: PageId) -> Result<PageRef> {
        self.pages.read(id, self.snapshot)
    }
}

impl Source for Batch<'_> {
    fn page(&self, id: PageId) -> Result<PageRef> {
        self.read(id)
    }
}

/// What a key was found to hold.
pub struct Lookup {
    pub value: Option<Value>,
    /// The highest lsn among the nodes that say so (B6).
    pub lsn: Lsn,
}

/// Looks a key up at a snapshot (at [`Lsn::NEWEST`] under the tree's latch).
pub fn get(pages: &Pages, root: PageId, snapshot: Lsn, key: &[u8]) -> Result<Lookup> {
    get_from(&View { pages, snapshot }, root, key)
}

/// Looks a key up at a snapshot or in a batch.
pub fn get_from(source: &impl Source, root: PageId, key: &[u8]) -> Result<Lookup> {
    let mut id = root;
    let mut page = source.page(id)?;
    let mut lsn = page.lsn();
    let mut node = Node::open(id, &page)?;
    while !node.is_leaf() {
        let level = node.level();
        id = node.child(node.place_of(key)?)?;
        page = source.page(id)?;
        lsn = lsn.max(page.lsn());
        node = open_child(id, &page, level)?;
    }
    let value = value_of(source, &node, &page, key)?;
    Ok(Lookup { value, lsn })
}

/// Lookups at one snapshot, for keys that often lie near each other: the last leaf is kept.
#[derive(Default)]
pub struct Near {
    leaf: Option<(PageId, PageRef)>,
}

impl Near {
    /// As [`get`], always of the same tree and at the same snapshot.
    pub fn get(
        &mut self,
        pages: &Pages,
        root: PageId,
        snapshot: Lsn,
        key: &[u8],
    ) -> Result<Option<Value>> {
        let view = View { pages, snapshot };
        if let Some((id, page)) = &self.leaf {
            let node = Node::open(*id, page)?;
            // A key that is not there may be in another leaf.
            if node.spans(key)?
                && let Some(value) = value_of(&view, &node, page, key)?
            {
                return Ok(Some(value));
            }
        }
        let (_, id, page) = descend(&view, root, key)?;
        let (id, page) = self.leaf.insert((id, page));
        value_of(&view, &Node::open(*id, page)?, page, key)
    }
}

/// What a leaf, on that page, has for a key.
fn value_of(
    source: &impl Source,
    leaf: &Node<'_>,
    page: &PageRef,
    key: &[u8],
) -> Result<Option<Value>> {
    match leaf.search(key)? {
        Ok(index) => Value::load(source, leaf.id(), page, leaf.stored(index)?).map(Some),
        Err(_) => Ok(None),
    }
}

/// Opens a child of a node at `level` (B2). So a descent ends even in a damaged tree.
pub(super) fn open_child(id: PageId, page: &PageRef, level: u8) -> Result<Node<'_>> {
    let node = Node::open(id, page)?;
    if node.level() + 1 != level {
        return Err(corrupt(
            id,
            format!("level {} below level {level}", node.level()),
        ));
    }
    Ok(node)
}

/// The inner nodes from the root down, each with the place of the child taken.
pub(super) type Path = SmallVec<[(PageId, usize); 6]>;

/// The path to the leaf of a key, and the leaf.
pub(super) fn descend(
    source: &impl Source,
    root: PageId,
    key: &[u8],
) -> Result<(Path, PageId, PageRef)> {
    let mut path = Path::new();
    let mut id = root;
    let mut page = source.page(id)?;
    let mut node = Node::open(id, &page)?;
    while !node.is_leaf() {
        let level = node.level();
        let place = node.place_of(key)?;
        path.push((id, place));
        id = node.child(place)?;
        page = source.page(id)?;
        node = open_child(id, &page, level)?;
    }
    Ok((path, id, page))
}

/// The path to the last node of a level, and that node; to the root if the tree is lower.
pub(super) fn descend_right(
    source: &impl Source,
    root: PageId,
    level: u8,
) -> Result<(Path, PageId, PageRef)> {
    let mut path = Path::new();
    let mut id = root;
    let mut page = source.page(id)?;
    let mut node = Node::open(id, &page)?;
    while node.level() > level {
        let above = node.level();
        path.push((id, node.count()));
        id = node.child(node.count())?;
        page = source.page(id)?;
        node = open_child(id, &page, above)?;
    }
    Ok((path, id, page))
}
