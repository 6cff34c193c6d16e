//! Whole new pages that go to the data file before their transaction commits.
//!
//! They lie in an extent set aside for it ([`Batch::reserve_extent`]), so nobody else comes upon
//! them until a committed page names them. They are entered in the page map as they are written,
//! and from then on are cached, evicted and loaded as any stored page. The log carries their places
//! alone ([`Pages::places`]), in the blob that commits them, and after their sync: a start whose
//! checkpoint is older enters them again ([`Pages::recover_stored`]).

use super::allocator::Extent;
use super::cache::Pages;
use super::checkpoint::{Images, Store};
use super::file::Place;
use super::page::{Page, corrupt};
use crate::base::sync::Ordering;
use crate::base::{Error, Lsn, PageId, Result, SqlState};

#[cfg(doc)]
use super::batch::Batch;

/// The lsn of all pages that were stored before they were committed, when it is not known yet. No
/// blob ends there. Any snapshot sees it, and whoever changes the page names it as the base.
pub const STORED_LSN: Lsn = Lsn(1);

/// Bytes of a place in the log: slot and CRC, little-endian.
const PLACE_BYTES: usize = 8;

impl Pages {
    /// Whether there is a data file that new pages can go to.
    pub fn is_stored(&self) -> bool {
        self.store.is_some()
    }

    /// Writes pages of an extent, each of them once, with the lsn [`STORED_LSN`]. They can be read
    /// when this returns, and are durable after [`Pages::sync_stored`].
    pub fn store_new(&self, pages: &mut [(PageId, Box<Page>)]) -> Result<()> {
        let store = self.stored()?;
        store.make_slots()?;
        let mut images = Images::default();
        let mut places = Vec::with_capacity(pages.len());
        let wrote = (|| {
            for (page, content) in &mut *pages {
                content.set_lsn(STORED_LSN);
                let place = Place::of(store.allocate_slot()?, content.bytes());
                places.push((*page, place));
                images.push(place.slot, content.bytes());
            }
            images.write(&store.file)?;
            let mut map = store.map.write();
            let mut ids = pages.iter().map(|(page, _)| *page);
            ids.try_for_each(|page| map.load_path(&store.file, page))
        })();
        if let Err(error) = wrote {
            store.give_back(places.iter().map(|(_, place)| place.slot));
            return Err(error);
        }
        for (page, _) in &places {
            self.forget(*page)?;
        }
        store.enter(places.into_iter());
        Ok(())
    }

    /// Makes all that was stored durable.
    pub fn sync_stored(&self) -> Result<()> {
        self.stored()?.file.sync()
    }

    /// Where the first `used` pages of an extent are stored, for the log.
    pub fn places(&self, extent: Extent, used: u32) -> Result<Vec<u8>> {
        let store = self.stored()?;
        let mut bytes = Vec::with_capacity(used as usize * PLACE_BYTES);
        for at in 0..used {
            let place = store.place(extent.page(at))?;
            bytes.extend_from_slice(&place.slot.to_le_bytes());
            bytes.extend_from_slice(&place.crc.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Recovery: enters places from the log, those of the pages from `first` on.
    pub fn recover_stored(&self, first: PageId, places: &[u8]) -> Result<()> {
        let store = self.stored()?;
        if !places.len().is_multiple_of(PLACE_BYTES) {
            return Err(corrupt(first, "a bad list of places in the log"));
        }
        // What clones share must be known before the map changes.
        store.make_slots()?;
        for (number, bytes) in (first.number..).zip(places.chunks_exact(PLACE_BYTES)) {
            let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            let place = Place {
                slot: word(&bytes[..4]),
                crc: word(&bytes[4..]),
            };
            let page = PageId { number, ..first };
            // What it held before it was free may have been replayed, and is needed no more.
            self.known_chain(page)
                .into_iter()
                .for_each(|c| self.clear(c));
            if store.place(page)? != place {
                let (mut map, mut state) = (store.map.write(), store.slots.lock());
                state.mark(place.slot);
                map.set(page, place, &mut state);
            }
        }
        Ok(())
    }

    /// Strikes the pages of an extent, which nobody reads, from the page map: their slots are free
    /// after the next checkpoint.
    pub fn drop_stored(&self, extent: Extent) -> Result<()> {
        let store = self.stored()?;
        store.make_slots()?;
        for at in 0..extent.count {
            let page = extent.page(at);
            self.forget(page)?;
            if store.holds(page)? {
                let mut map = store.map.write();
                map.set(page, Place::NONE, &mut store.slots.lock());
            }
        }
        Ok(())
    }

    /// A commit at `lsn` uses some pages again and frees others.
    pub(super) fn note_free(&self, used: impl Iterator<Item = PageId>, freed: &[PageId], lsn: Lsn) {
        let mut used = used.peekable();
        if self.store.is_none() || (used.peek().is_none() && freed.is_empty()) {
            return;
        }
        let mut noted = self.freed.lock();
        for page in used {
            noted.remove(&page);
        }
        noted.extend(freed.iter().map(|page| (*page, lsn)));
    }

    /// Whether a free page has no content that anybody could read: an extent may take it.
    pub(super) fn is_blank(&self, page: PageId) -> Result<bool> {
        let is_known = self
            .known_chain(page)
            .is_some_and(|chain| !chain.is_empty());
        Ok(!is_known && !self.stored()?.holds(page)?)
    }

    /// Before a checkpoint at `at` stores pages: forgets the content of those that were free then
    /// and that no snapshot reads, so that their slots are free after it.
    pub(super) fn blank_freed(&self, store: &Store, at: Lsn) -> Result<()> {
        let horizon = self.snapshots().new_horizon(at);
        let oldest = horizon.live.first().copied().unwrap_or(Lsn::NEWEST);
        let limit = at.min(horizon.floor).min(oldest);
        let due = self
            .freed
            .lock()
            .extract_if(|_, since| *since <= limit)
            .collect::<Vec<_>>();
        if !due.is_empty() {
            store.make_slots()?;
        }
        for (page, since) in due {
            // Asked first: once nothing is stored nor in memory, a load may take the page.
            let is_stored = store.holds(page)?;
            let Some((versions, was_dirty)) = self.chain(page).blank(since) else {
                continue;
            };
            self.cached.fetch_sub(versions, Ordering::Relaxed);
            self.dirty_count
                .fetch_sub(usize::from(was_dirty), Ordering::Relaxed);
            if is_stored {
                let mut map = store.map.write();
                map.set(page, Place::NONE, &mut store.slots.lock());
            }
        }
        Ok(())
    }

    /// Empties the chain of a page whose content in memory nobody asks for any more.
    fn forget(&self, page: PageId) -> Result<()> {
        let Some(chain) = self.known_chain(page) else {
            return Ok(());
        };
        let dropped = chain.forget().ok_or_else(|| {
            let what = format!("page {page} of a pending extent was changed");
            Error::new(SqlState::INTERNAL_ERROR, what)
        })?;
        self.cached.fetch_sub(dropped, Ordering::Relaxed);
        Ok(())
    }

    fn stored(&self) -> Result<&Store> {
        self.store.as_ref().ok_or_else(|| {
            let what = "pages are to be stored without a data file";
            Error::new(SqlState::INTERNAL_ERROR, what)
        })
    }
}
