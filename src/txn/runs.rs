//! What a transaction has written and does not hold in memory: sorted runs.
//!
//! A run is a tree of its own, in pages that are stored before the commit
//! ([`crate::pages::Pages::store_new`]). While keys come in ascending order one run grows, by a
//! tree at a time that shares all full nodes with the one before; otherwise there are several,
//! read as one and merged before the commit. The commit gives the content of the run's root to the
//! root of the real tree, whatever the size.

use std::sync::Arc;

use crate::base::sync::{AtomicBool, Mutex, Ordering};
use crate::base::{Lsn, PageId, Result};
use crate::btree::{self, Adopted, Cursor, Merge, Sink, TreeBuilder};
use crate::pages::{Batch, Extent, Page, Pages};
use crate::txn::write_set::Key;
use crate::txn::{Transactions, too_large};
use std::ops::Bound;

/// Pages that are written to the data file together.
const BATCH_PAGES: usize = 256;
/// The sizes of the extents that a run and a large commit set aside, each twice as large as the one
/// before.
const EXTENT_PAGES_MIN: u32 = 256;
const COMMIT_EXTENT_PAGES_MIN: u32 = 32;
const EXTENT_PAGES_MAX: u32 = 1 << 16;
/// Pages whose places go into one record of the log.
const REFS_PER_RECORD: u32 = 4096;

/// The extents of a run or a large commit and how many pages of each are used. Unless the commit
/// kept them, they are given back when nobody reads the run any more.
pub(super) struct Extents {
    shared: Arc<Transactions>,
    list: Mutex<Vec<(Extent, u32)>>,
    pages_min: u32,
    is_kept: AtomicBool,
}

impl Extents {
    /// For the new pages of a large commit.
    pub(super) fn of_commit(shared: &Arc<Transactions>) -> Arc<Extents> {
        Extents::new(shared, COMMIT_EXTENT_PAGES_MIN)
    }

    fn new(shared: &Arc<Transactions>, pages_min: u32) -> Arc<Extents> {
        Arc::new(Extents {
            shared: shared.clone(),
            list: Mutex::default(),
            pages_min,
            is_kept: AtomicBool::new(false),
        })
    }

    fn list(&self) -> Vec<(Extent, u32)> {
        self.list.lock().clone()
    }

    /// The next page, of a new extent if need be.
    pub(super) fn allocate(&self) -> Result<PageId> {
        let mut list = self.list.lock();
        let last = list.last().copied();
        if last.is_none_or(|(extent, used)| used == extent.count) {
            let count = last.map_or(self.pages_min, |(extent, _)| extent.count * 2);
            let count = count.min(EXTENT_PAGES_MAX);
            list.push((self.shared.reserve_extent(count)?, 0));
        }
        let (extent, used) = list.last_mut().expect("just made");
        let page = extent.page(*used);
        *used += 1;
        Ok(page)
    }

    /// The pages that were given out belong to committed trees now.
    pub(super) fn keep(&self, batch: &mut Batch<'_>) -> Result<()> {
        let mut list = self.list().into_iter();
        list.try_for_each(|(extent, used)| batch.keep_extent(extent, used))
    }

    /// The commit that keeps them is reserved.
    pub(super) fn set_kept(&self) {
        // Relaxed: the thread that drops the last reference has synchronized with this one.
        self.is_kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Extents {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::Relaxed) {
            return;
        }
        let extents = self.list().into_iter().map(|(extent, _)| extent);
        if let Err(error) = self.shared.free_extents(extents.collect()) {
            // The next start does it.
            tracing::warn!("pages of a transaction that ended were not freed: {error}");
        }
    }
}

/// A sorted run as readers know it.
pub(super) struct Run {
    pub(super) root: PageId,
    low: Key,
    high: Key,
    /// What its entries would take in memory, about.
    pub(super) bytes: u64,
    pub(super) extents: Arc<Extents>,
}

impl Run {
    pub(super) fn spans(&self, key: &[u8]) -> bool {
        *self.low <= *key && *key <= *self.high
    }

    pub(super) fn high(&self) -> &Key {
        &self.high
    }

    pub(super) fn cursor(
        &self,
        pages: &Arc<Pages>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Cursor {
        Cursor::new(pages.clone(), self.root, Lsn::NEWEST, lower, upper)
    }
}

/// All entries of some runs, the oldest given first.
pub(super) fn merge(pages: &Arc<Pages>, runs: &[Arc<Run>]) -> Merge {
    let (low, high) = (Bound::Unbounded, Bound::Unbounded);
    let newest_first = runs.iter().rev();
    let cursors = newest_first.map(|run| run.cursor(pages, low, high));
    Merge::new(cursors.collect(), false)
}

/// A run that is being written.
pub(super) struct Load {
    builder: TreeBuilder,
    pages: NewPages,
    low: Option<Key>,
    bytes: u64,
    /// The nodes that were not full when the run was last closed.
    closing: Vec<PageId>,
    /// Such nodes of earlier times.
    unused: Vec<PageId>,
}

impl Load {
    pub(super) fn new(shared: &Arc<Transactions>) -> Load {
        Load {
            builder: TreeBuilder::new(),
            pages: NewPages {
                extents: Extents::new(shared, EXTENT_PAGES_MIN),
                buffer: Vec::new(),
            },
            low: None,
            bytes: 0,
            closing: Vec::new(),
            unused: Vec::new(),
        }
    }

    /// Whether a key lies above all others.
    pub(super) fn can_append(&self, key: &[u8]) -> bool {
        self.builder.last_key().is_none_or(|last| last < key)
    }

    /// Adds an entry whose key lies above all others. `bytes`: what it would take in memory.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8], bytes: u64) -> Result<()> {
        self.low.get_or_insert_with(|| Key::from_slice(key));
        self.bytes += bytes;
        self.builder.add(&mut self.pages, key, value)
    }

    /// The run of all entries so far. More may be added after, which it will not show.
    pub(super) fn close(&mut self) -> Result<Run> {
        self.unused.append(&mut self.closing);
        let mut noted = Noted {
            pages: &mut self.pages,
            given: &mut self.closing,
        };
        let root = self.builder.clone().finish(&mut noted)?;
        self.pages.flush()?;
        let high = self.builder.last_key().map(Key::from_slice);
        Ok(Run {
            root,
            low: self.low.clone().unwrap_or_default(),
            high: high.unwrap_or_default(),
            bytes: self.bytes,
            extents: self.pages.extents.clone(),
        })
    }

    /// Ends the run that [`Load::close`] gave last, for the commit that takes it over.
    pub(super) fn finish(self, run: Arc<Run>) -> Result<FinishedRun> {
        let pages = &self.pages.extents.shared.pages;
        let mut refs = Vec::new();
        for (extent, used) in self.pages.extents.list() {
            for at in (0..used).step_by(REFS_PER_RECORD as usize) {
                let part = Extent {
                    first: extent.first + at,
                    ..extent
                };
                let count = (used - at).min(REFS_PER_RECORD);
                refs.push((part.page(0), pages.places(part, count)?));
            }
        }
        Ok(FinishedRun {
            run,
            refs,
            unused: self.unused,
        })
    }
}

/// A run whose pages are all stored.
pub(super) struct FinishedRun {
    pub(super) run: Arc<Run>,
    /// What the log must carry: the places of pages from each first one on.
    pub(super) refs: Vec<(PageId, Vec<u8>)>,
    unused: Vec<PageId>,
}

impl FinishedRun {
    /// Has a tree take the run over: as it is if its keys lie behind the tree's, else each entry.
    /// Whether it was taken as it is: [`Extents::keep`] follows.
    pub(super) fn apply(&self, batch: &mut Batch<'_>, root: PageId) -> Result<bool> {
        let run = &self.run;
        match btree::adopt(batch, root, run.root, &run.low)? {
            Adopted::AllButRoot => batch.free(run.root)?,
            Adopted::Whole => {}
            Adopted::No => return self.put_each(batch, root).map(|()| false),
        }
        self.unused.iter().try_for_each(|page| batch.free(*page))?;
        Ok(true)
    }

    /// Somebody else has put other entries there meanwhile.
    fn put_each(&self, batch: &mut Batch<'_>, root: PageId) -> Result<()> {
        let shared = &self.run.extents.shared;
        if self.run.bytes > shared.bytes_max {
            return Err(too_large(shared.bytes_max));
        }
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let mut entries = self.run.cursor(&shared.pages, low, high);
        while let Some((key, value)) = entries.next()? {
            btree::put(batch, root, key, &value.bytes()?)?;
        }
        Ok(())
    }
}

/// Gives out the pages of extents, in order.
struct NewPages {
    extents: Arc<Extents>,
    buffer: Vec<(PageId, Box<Page>)>,
}

impl NewPages {
    fn flush(&mut self) -> Result<()> {
        self.extents.shared.pages.store_new(&mut self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Sink for NewPages {
    fn allocate(&mut self) -> Result<PageId> {
        self.extents.allocate()
    }

    fn write(&mut self, page: PageId, content: &Page) -> Result<()> {
        self.buffer.push((page, Box::new(content.clone())));
        match self.buffer.len() < BATCH_PAGES {
            true => Ok(()),
            false => self.flush(),
        }
    }
}

/// Notes which pages are given out.
struct Noted<'a> {
    pages: &'a mut NewPages,
    given: &'a mut Vec<PageId>,
}

impl Sink for Noted<'_> {
    fn allocate(&mut self) -> Result<PageId> {
        let page = self.pages.allocate()?;
        self.given.push(page);
        Ok(page)
    }

    fn write(&mut self, page: PageId, content: &Page) -> Result<()> {
        self.pages.write(page, content)
    }
}
