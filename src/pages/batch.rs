//! The page editor of one transaction: private copies and the record of what was done to them.

use super::cache::Pages;
use super::edits::Edits;
use super::page::{PAGE_CONTENT, PAGE_SIZE, Page, PageRef};
use crate::base::sync::RwLockWriteGuard;
use crate::base::{Error, Lsn, PageId, Result, SqlState};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// The latches of the allocators used, by space, ascending.
pub(super) type AllocatorLatches<'a> = SmallVec<[(u32, RwLockWriteGuard<'a, ()>); 1]>;

/// The changes of one transaction to pages, made under the latches of their trees (P2). After an
/// error the batch is half done and must be dropped, which undoes it.
pub struct Batch<'a> {
    pub(super) pages: &'a Pages,
    touched: Vec<Touched>,
    /// Page → its place in `touched`.
    index: FxHashMap<PageId, usize>,
    pub(super) allocators: AllocatorLatches<'a>,
    /// Where new pages come from, if not from their space's allocator.
    pub(super) source: Option<Source<'a>>,
    /// Not used any more, and listed as free when the batch is finished.
    pub(super) freed: Vec<PageId>,
}

/// Gives out pages of extents that were set aside.
type Source<'a> = Box<dyn FnMut() -> Result<PageId> + 'a>;

struct Touched {
    page: PageId,
    base: Lsn,
    /// The newest version so far, held so that it stays in the cache (P9).
    before: Option<PageRef>,
    /// Shared with nobody but passing readers of this batch.
    copy: PageRef,
    edits: Edits,
}

impl<'a> Batch<'a> {
    pub fn new(pages: &'a Pages) -> Batch<'a> {
        Batch {
            pages,
            touched: Vec::new(),
            index: FxHashMap::default(),
            allocators: SmallVec::new(),
            source: None,
            freed: Vec::new(),
        }
    }

    /// Has all new pages come from extents. So the allocator's latch, for which others wait, is not
    /// taken before the end: [`Batch::keep_extent`] then tells it which were used.
    pub fn allocate_from(&mut self, source: impl FnMut() -> Result<PageId> + 'a) {
        self.source = Some(Box::new(source));
    }

    pub fn pages(&self) -> &'a Pages {
        self.pages
    }

    /// The page as this batch sees it: its own copy, else the newest version. To be dropped before
    /// the page is edited, or the editor must copy it again.
    pub fn read(&self, page: PageId) -> Result<PageRef> {
        match self.index.get(&page) {
            Some(&at) => Ok(self.touched[at].copy.clone()),
            None => self.pages.read(page, Lsn::NEWEST),
        }
    }

    /// The editor of a page, which copies the newest version on first touch.
    pub fn edit(&mut self, page: PageId) -> Result<PageEditor<'_>> {
        let at = match self.index.get(&page) {
            Some(&at) if self.touched[at].edits.is_taken() => return Err(taken(page)),
            Some(&at) => at,
            None => {
                let newest = self.pages.read(page, Lsn::NEWEST)?;
                let copy = Arc::new(Page::clone(&newest));
                self.touch(
                    page,
                    newest.lsn(),
                    Some(newest),
                    copy,
                    Edits::Listed(Vec::new()),
                )
            }
        };
        Ok(self.touched[at].editor())
    }

    /// The editor of a page that starts as zeroes, whatever it held before.
    pub(super) fn edit_fresh(&mut self, page: PageId) -> Result<PageEditor<'_>> {
        // An older snapshot may read what it held.
        let before = self.pages.try_read(page, Lsn::NEWEST)?;
        // Grows the page table now, since installation must not have to.
        self.pages.chain(page);
        let copy = Arc::new(Page::zeroed());
        let at = self.touch(page, Lsn::ZERO, before, copy, Edits::Image);
        Ok(self.touched[at].editor())
    }

    fn touch(
        &mut self,
        page: PageId,
        base: Lsn,
        before: Option<PageRef>,
        copy: PageRef,
        edits: Edits,
    ) -> usize {
        let touched = Touched {
            page,
            base,
            before,
            copy,
            edits,
        };
        let at = *self.index.entry(page).or_insert(self.touched.len());
        match self.touched.get_mut(at) {
            Some(again) => *again = touched,
            None => self.touched.push(touched),
        }
        at
    }

    /// Whether this batch has a copy of the page.
    pub(super) fn is_touched(&self, page: PageId) -> bool {
        self.index.contains_key(&page)
    }

    /// Forgets what was done to a page, because it is free now. Its memory goes at once: of many
    /// pages that takes long, which nobody should wait for at the end.
    pub(super) fn forget(&mut self, page: PageId) {
        let Some(at) = self.index.remove(&page) else {
            return;
        };
        self.touched.swap_remove(at);
        if let Some(moved) = self.touched.get(at) {
            self.index.insert(moved.page, at);
        }
    }

    /// At least the bytes of edits so far.
    pub fn edits_bytes_max(&self) -> usize {
        self.touched.iter().map(|t| t.edits.bytes_max()).sum()
    }

    /// Gives out the edits so far, as [`Finished::take_edits`] does with those that come after.
    /// These pages cannot be edited any more, only others, and none of them may be freed.
    pub fn take_edits(
        &mut self,
        mut log: impl FnMut(PageId, Lsn, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for touched in &mut self.touched {
            if !touched.edits.is_empty()
                && let Some(edits) = touched.edits.take(&touched.copy)
            {
                log(touched.page, touched.base, &edits)?;
            }
        }
        Ok(())
    }

    /// Ends the editing: what the log must carry, ready to be installed.
    pub fn finish(mut self) -> Result<Finished<'a>> {
        self.list_freed()?;
        let index = self.index;
        let writes = self.touched.into_iter().map(|t| PageWrite {
            page: t.page,
            base: t.base,
            _before: t.before,
            edits: t.edits,
            copy: t.copy,
        });
        Ok(Finished {
            pages: self.pages,
            writes: writes.filter(|w| !w.edits.is_empty()).collect(),
            allocators: self.allocators,
            // Some list the others.
            freed: { self.freed }
                .into_iter()
                .filter(|page| !index.contains_key(page))
                .collect(),
        })
    }
}

#[cold]
fn taken(page: PageId) -> Error {
    let what = format!("page {page} is edited after its edits were written");
    Error::new(SqlState::INTERNAL_ERROR, what)
}

impl Touched {
    fn editor(&mut self) -> PageEditor<'_> {
        PageEditor {
            page: Arc::make_mut(&mut self.copy),
            edits: &mut self.edits,
        }
    }
}

/// Changes one page and records how. Offsets are from the start of the page, and at least
/// [`PAGE_CONTENT`].
///
/// # Panics
/// If bytes outside the content are named: callers check what they compute from page bytes.
pub struct PageEditor<'b> {
    page: &'b mut Page,
    edits: &'b mut Edits,
}

impl PageEditor<'_> {
    /// The page as edited so far.
    pub fn page(&self) -> &Page {
        self.page
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset >= PAGE_CONTENT, "P4");
        self.page.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.edits.write(offset, bytes);
    }

    pub fn write_u16(&mut self, offset: usize, value: u16) {
        self.write(offset, &value.to_le_bytes());
    }

    pub fn write_u32(&mut self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }

    /// Moves `len` bytes; the two ranges may overlap.
    pub fn shift(&mut self, from: usize, to: usize, len: usize) {
        assert!(from >= PAGE_CONTENT && to >= PAGE_CONTENT, "P4");
        if len > 0 && from != to {
            self.page.bytes_mut().copy_within(from..from + len, to);
            self.edits.shift(from, to, len);
        }
    }

    /// Takes over the content of another page. The log carries it whole, without its zeroes.
    pub fn replace(&mut self, content: &Page) {
        const _: () = assert!(PAGE_CONTENT < PAGE_SIZE);
        self.page.bytes_mut()[PAGE_CONTENT..].copy_from_slice(&content.bytes()[PAGE_CONTENT..]);
        *self.edits = Edits::Image;
    }
}

/// A finished batch. Dropping it undoes it, as long as its lsn is not reserved.
#[must_use = "a finished batch does nothing until it is installed"]
pub struct Finished<'a> {
    pages: &'a Pages,
    writes: Vec<PageWrite>,
    allocators: AllocatorLatches<'a>,
    freed: Vec<PageId>,
}

struct PageWrite {
    page: PageId,
    base: Lsn,
    _before: Option<PageRef>,
    edits: Edits,
    copy: PageRef,
}

impl Finished<'_> {
    /// Nothing was changed: there is nothing to log and nothing to install.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// At least the bytes of edits that [`Self::take_edits`] will give.
    pub fn edits_bytes_max(&self) -> usize {
        self.writes.iter().map(|w| w.edits.bytes_max()).sum()
    }

    /// Gives out, for each page changed: the page, the lsn of the version the edits start from, the
    /// edits as the log carries them (at most a little more than a page). Once: they are freed as
    /// they go, and those that [`Batch::take_edits`] gave are not among them.
    pub fn take_edits(&mut self, mut log: impl FnMut(PageId, Lsn, &[u8])) {
        for write in &mut self.writes {
            if let Some(edits) = write.edits.take(&write.copy) {
                log(write.page, write.base, &edits);
            }
        }
    }

    /// Stamps the versions with the end lsn of their blob and installs them; then the allocators'
    /// latches drop. The caller still holds the trees' latches and drops them after.
    pub fn install(self, lsn: Lsn) {
        let mut noted = None;
        let fresh = self.writes.iter().filter(|write| write.base == Lsn::ZERO);
        self.pages
            .note_free(fresh.map(|write| write.page), &self.freed, lsn);
        for mut write in self.writes {
            // A batch changes one space, but for that which makes the first ones.
            if noted.replace(write.page.space) != Some(write.page.space) {
                self.pages.note_newest(write.page.space, lsn);
            }
            Arc::make_mut(&mut write.copy).set_lsn(lsn);
            self.pages.install(write.page, write.copy);
        }
        drop(self.allocators);
    }
}
