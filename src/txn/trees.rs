//! Where the root of each tree of a space is: the directory, itself a tree whose root is the first
//! page of the space.

use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::sync::{AtomicU32, Ordering, RwLock};
use crate::base::{Error, Lsn, PageId, Result, TreeId};
use crate::btree::{self, Cursor};
use crate::pages::{Batch, Pages};
use crate::txn::internal;
use crate::txn::write_set::TreeWrites;

/// The directory's root: the first page the allocator gives, its own being number 0.
const DIRECTORY: u32 = 1;
/// Trees from here on are given out by `next_id`; those below are fixed by the layers above.
const FIRST_ID: u32 = 16;

/// Where a tree begins.
#[derive(Clone, Copy)]
pub(super) struct Root {
    pub page: PageId,
    /// The lsn of the commit that made the tree, which must not be read before; zero if it was
    /// there at the start.
    pub since: Lsn,
}

pub(super) struct Trees {
    space: u32,
    roots: RwLock<FxHashMap<TreeId, Root>>,
    next: AtomicU32,
}

impl Trees {
    /// Makes the directory of a new space, and in it one tree with a content.
    pub(super) fn create(
        batch: &mut Batch<'_>,
        space: u32,
        tree: TreeId,
        content: &Arc<TreeWrites>,
    ) -> Result<()> {
        let trees = Trees {
            space,
            roots: RwLock::default(),
            next: AtomicU32::new(FIRST_ID),
        };
        let directory = btree::create(batch, space)?;
        if directory != trees.directory() {
            return Err(internal(format!(
                "the directory's root came to be page {directory}"
            )));
        }
        trees.build(batch, tree, Some(content))?;
        Ok(())
    }

    pub(super) fn load(pages: &Arc<Pages>, space: u32) -> Result<Trees> {
        let roots = read_directory(pages, space, Lsn::NEWEST)?;
        let last = roots.keys().map(|tree| tree.0).max().unwrap_or(0);
        let next = AtomicU32::new(FIRST_ID.max(last + 1));
        let since = Lsn::ZERO;
        let roots = roots
            .into_iter()
            .map(|(tree, page)| (tree, Root { page, since }));
        Ok(Trees {
            space,
            roots: RwLock::new(roots.collect()),
            next,
        })
    }

    pub(super) fn space(&self) -> u32 {
        self.space
    }

    pub(super) fn directory(&self) -> PageId {
        directory(self.space)
    }

    pub(super) fn next_id(&self) -> TreeId {
        // Relaxed: ids need only differ.
        TreeId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn root(&self, tree: TreeId) -> Option<Root> {
        self.roots.read().get(&tree).copied()
    }

    /// Builds a new tree from its content that is in memory, or an empty one, and enters it into
    /// the directory.
    pub(super) fn build(
        &self,
        batch: &mut Batch<'_>,
        tree: TreeId,
        content: Option<&Arc<TreeWrites>>,
    ) -> Result<PageId> {
        let root = match content {
            Some(writes) => btree::bulk_build(batch, self.space, writes.entries().map(Ok))?,
            None => btree::create(batch, self.space)?,
        };
        btree::put(
            batch,
            self.directory(),
            &tree.0.to_be_bytes(),
            &root.number.to_be_bytes(),
        )?;
        Ok(root)
    }

    /// Frees the pages of a tree and strikes it from the directory. Nobody else uses the tree: its
    /// table is locked exclusively.
    pub(super) fn destroy(&self, batch: &mut Batch<'_>, tree: TreeId) -> Result<()> {
        let root = self
            .root(tree)
            .ok_or_else(|| internal("a dropped tree has no root"))?;
        btree::destroy(batch, root.page)?;
        btree::delete(batch, self.directory(), &tree.0.to_be_bytes())?;
        Ok(())
    }

    pub(super) fn installed(&self, made: &[(TreeId, PageId)], lsn: Lsn) {
        if !made.is_empty() {
            let made = made
                .iter()
                .map(|&(tree, page)| (tree, Root { page, since: lsn }));
            self.roots.write().extend(made);
        }
    }
}

fn directory(space: u32) -> PageId {
    PageId {
        space,
        number: DIRECTORY,
    }
}

fn read_directory(
    pages: &Arc<Pages>,
    space: u32,
    snapshot: Lsn,
) -> Result<FxHashMap<TreeId, PageId>> {
    let (low, high) = (Bound::Unbounded, Bound::Unbounded);
    let mut cursor = Cursor::new(pages.clone(), directory(space), snapshot, low, high);
    let mut roots = FxHashMap::default();
    while let Some((key, value)) = cursor.next()? {
        let tree = TreeId(u32_be(key)?);
        let number = u32_be(&value.bytes()?)?;
        roots.insert(tree, PageId { space, number });
    }
    Ok(roots)
}

/// Checks every tree of a space, and that each page of it is used once: by one tree, the allocator
/// or the free list.
pub(super) fn verify(pages: &Arc<Pages>, space: u32, snapshot: Lsn) -> Result<()> {
    let mut used = FxHashSet::default();
    let roots = read_directory(pages, space, snapshot)?.into_values();
    for root in roots.chain([directory(space)]) {
        for page in btree::verify(pages, root, snapshot)?.pages {
            if !used.insert(page) {
                return Err(used_twice(page));
            }
        }
    }
    let free = pages.free_list(space, snapshot)?;
    for number in free.free {
        let page = PageId { space, number };
        if !used.insert(page) {
            return Err(used_twice(page));
        }
    }
    for extent in pages.pending_extents(space, snapshot)? {
        used.extend((0..extent.count).map(|at| extent.page(at)));
    }
    let allocated = free.high_water as usize;
    if used.len() + 1 != allocated {
        let what = format!("{} of {allocated} pages are in use or free", used.len() + 1);
        return Err(corrupt(what));
    }
    Ok(())
}

fn used_twice(page: PageId) -> Error {
    corrupt(format!("page {page} is used twice"))
}

fn corrupt(what: String) -> Error {
    Error::Corrupt {
        file: "page cache".into(),
        offset: 0,
        what,
    }
}

fn u32_be(bytes: &[u8]) -> Result<u32> {
    let bytes = <[u8; 4]>::try_from(bytes);
    bytes
        .map(u32::from_be_bytes)
        .map_err(|_| corrupt("a bad entry in the directory".into()))
}
