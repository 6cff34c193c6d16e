//! Walking a range of keys in either direction.

use super::node::Node;
use super::search::{Source, View, open_child};
use super::value::ValueRef;
use crate::base::{Lsn, PageId, Result};
use crate::pages::{PageRef, Pages};
use smallvec::SmallVec;
use std::ops::Bound;
use std::sync::Arc;

/// A key kept by a cursor; short ones take no allocation.
type Key = SmallVec<[u8; 32]>;

/// A position between two entries of a range of a tree, at a snapshot. It starts before the first
/// entry for [`Cursor::next`] and behind the last for [`Cursor::prev`]. After an error it is to be
/// dropped.
pub struct Cursor {
    pages: Arc<Pages>,
    snapshot: Lsn,
    root: PageId,
    lower: Bound<Key>,
    upper: Bound<Key>,
    /// The inner nodes above the leaf, each with the place of the child taken.
    path: SmallVec<[Step; 4]>,
    leaf: Option<Leaf>,
    lsn: Lsn,
}

struct Step {
    id: PageId,
    page: PageRef,
    place: usize,
}

struct Leaf {
    id: PageId,
    page: PageRef,
    /// The cells within the range.
    start: usize,
    end: usize,
    /// The cell after the position, from `start` to `end`.
    at: usize,
    /// The range ends within this leaf.
    is_last: bool,
    /// The range starts within this leaf.
    is_first: bool,
}

/// Where to go down to.
#[derive(Clone, Copy)]
enum Goal<'k> {
    First,
    Last,
    /// Where this key is or would be.
    Key(&'k [u8]),
}

impl Cursor {
    /// A cursor over the keys within the bounds. Nothing is read yet.
    pub fn new(
        pages: Arc<Pages>,
        root: PageId,
        snapshot: Lsn,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Cursor {
        Cursor {
            pages,
            snapshot,
            root,
            lower: lower.map(Key::from_slice),
            upper: upper.map(Key::from_slice),
            path: SmallVec::new(),
            leaf: None,
            lsn: Lsn::ZERO,
        }
    }

    fn view(&self) -> View<'_> {
        View {
            pages: &self.pages,
            snapshot: self.snapshot,
        }
    }

    /// The highest lsn among the nodes read so far (B6).
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Moves before the first entry whose key is at least `key`, within the range.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.is_below_range(key) {
            return self.seek_start();
        }
        if self.is_above_range(key) {
            return self.seek_end();
        }
        self.descend_from_root(Goal::Key(key))?;
        if let Some(leaf) = &mut self.leaf {
            let at = match Node::open(leaf.id, &leaf.page)?.search(key)? {
                Ok(index) | Err(index) => index,
            };
            leaf.at = at.clamp(leaf.start, leaf.end);
        }
        Ok(())
    }

    /// The entry after the position, which moves behind it.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the cursor"
    )]
    pub fn next(&mut self) -> Result<Option<(&[u8], ValueRef<'_>)>> {
        if self.leaf.is_none() {
            self.seek_start()?;
        }
        loop {
            let Some(leaf) = &mut self.leaf else {
                return Ok(None);
            };
            if leaf.at < leaf.end {
                let index = leaf.at;
                leaf.at += 1;
                return self.entry(index);
            }
            if leaf.is_last || !self.step(true)? {
                return Ok(None);
            }
        }
    }

    /// The entry before the position, which moves before it.
    pub fn prev(&mut self) -> Result<Option<(&[u8], ValueRef<'_>)>> {
        if self.leaf.is_none() {
            self.seek_end()?;
        }
        loop {
            let Some(leaf) = &mut self.leaf else {
                return Ok(None);
            };
            if leaf.at > leaf.start {
                leaf.at -= 1;
                let index = leaf.at;
                return self.entry(index);
            }
            if leaf.is_first || !self.step(false)? {
                return Ok(None);
            }
        }
    }

    /// The entry that [`Cursor::next`] or, if `backward`, [`Cursor::prev`] gave last.
    pub fn current(&self, backward: bool) -> Result<Option<(&[u8], ValueRef<'_>)>> {
        let at = self.leaf.as_ref().map(|leaf| leaf.at);
        let index = at.and_then(|at| at.checked_sub(usize::from(!backward)));
        index.map_or(Ok(None), |index| self.entry(index))
    }

    fn entry(&self, index: usize) -> Result<Option<(&[u8], ValueRef<'_>)>> {
        let Some(leaf) = &self.leaf else {
            return Ok(None);
        };
        let (key, stored) = Node::open(leaf.id, &leaf.page)?.entry(index)?;
        let value = ValueRef {
            view: self.view(),
            id: leaf.id,
            leaf: &leaf.page,
            stored,
        };
        Ok(Some((key, value)))
    }

    fn is_below_range(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Included(lower) | Bound::Excluded(lower) => key <= lower.as_slice(),
            Bound::Unbounded => false,
        }
    }

    fn is_above_range(&self, key: &[u8]) -> bool {
        match &self.upper {
            Bound::Included(upper) | Bound::Excluded(upper) => key > upper.as_slice(),
            Bound::Unbounded => false,
        }
    }

    /// Moves before the first entry of the range.
    pub fn seek_start(&mut self) -> Result<()> {
        let lower = self.lower.clone();
        self.descend_from_root(match &lower {
            Bound::Included(key) | Bound::Excluded(key) => Goal::Key(key),
            Bound::Unbounded => Goal::First,
        })?;
        if let Some(leaf) = &mut self.leaf {
            leaf.at = leaf.start;
        }
        Ok(())
    }

    /// Moves behind the last entry of the range.
    pub fn seek_end(&mut self) -> Result<()> {
        let upper = self.upper.clone();
        self.descend_from_root(match &upper {
            Bound::Included(key) | Bound::Excluded(key) => Goal::Key(key),
            Bound::Unbounded => Goal::Last,
        })?;
        if let Some(leaf) = &mut self.leaf {
            leaf.at = leaf.end;
        }
        Ok(())
    }

    /// Moves to the next or the previous leaf; `false`, without a move, if there is none.
    fn step(&mut self, forward: bool) -> Result<bool> {
        let turn = self.path.iter().rposition(|step| match forward {
            true => Node::open(step.id, &step.page).is_ok_and(|n| step.place < n.count()),
            false => step.place > 0,
        });
        let Some(turn) = turn else { return Ok(false) };
        self.path.truncate(turn + 1);
        let step = &mut self.path[turn];
        step.place = if forward {
            step.place + 1
        } else {
            step.place - 1
        };
        let node = Node::open(step.id, &step.page)?;
        let (child, level) = (node.child(step.place)?, node.level());
        let goal = if forward { Goal::First } else { Goal::Last };
        self.descend(child, Some(level), goal)?;
        if let Some(leaf) = &mut self.leaf {
            leaf.at = if forward { leaf.start } else { leaf.end };
        }
        Ok(true)
    }

    fn descend_from_root(&mut self, goal: Goal<'_>) -> Result<()> {
        self.path.clear();
        self.descend(self.root, None, goal)
    }

    /// Goes down from a node, whose parent's level is given, to a leaf.
    fn descend(&mut self, mut id: PageId, mut above: Option<u8>, goal: Goal<'_>) -> Result<()> {
        loop {
            let page = self.view().page(id)?;
            self.lsn = self.lsn.max(page.lsn());
            let node = match above {
                Some(level) => open_child(id, &page, level)?,
                None => Node::open(id, &page)?,
            };
            if node.is_leaf() {
                let (start, end) = self.clip(&node)?;
                self.leaf = Some(Leaf {
                    id,
                    start,
                    end: end.max(start),
                    at: start,
                    is_last: end < node.count(),
                    is_first: start > 0,
                    page,
                });
                return Ok(());
            }
            let place = match goal {
                Goal::First => 0,
                Goal::Last => node.count(),
                Goal::Key(key) => node.place_of(key)?,
            };
            let child = node.child(place)?;
            above = Some(node.level());
            self.path.push(Step { id, page, place });
            id = child;
        }
    }

    /// The cells of a leaf that the range takes in. If the range is empty or lies elsewhere, the
    /// end may be below the start.
    fn clip(&self, leaf: &Node<'_>) -> Result<(usize, usize)> {
        let place = |key: &Key, behind: bool| {
            leaf.search(key).map(|found| match found {
                Ok(index) => index + usize::from(behind),
                Err(index) => index,
            })
        };
        let start = match &self.lower {
            Bound::Included(key) => place(key, false)?,
            Bound::Excluded(key) => place(key, true)?,
            Bound::Unbounded => 0,
        };
        let end = match &self.upper {
            Bound::Included(key) => place(key, true)?,
            Bound::Excluded(key) => place(key, false)?,
            Bound::Unbounded => leaf.count(),
        };
        Ok((start, end))
    }
}
