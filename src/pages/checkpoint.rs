//! Checkpoints: the state at one lsn goes to the data file, beside readers and writers.
//!
//! A checkpoint is a reader at C, the end of a synced group. It writes the version at C of every
//! dirty page to a free slot, batch by batch, each synced before the map points to it; then the
//! changed nodes of the map; then, when all of that is durable, the superblock. Only after that
//! the slots of what was replaced are free, and the log in front of C is not needed any more. A
//! crash before that leaves the previous checkpoint whole, and so does an error: what was written
//! is in memory's map, and the next checkpoint goes on from there.

use super::bulk::STORED_LSN;
use super::cache::Pages;
use super::file::{DataFile, Place, SLOT_SIZE, SlotNumber, Superblock};
use super::map::{Changes, Held, PageMap};
use super::page::{Page, PageRef};
use super::slots::{Census, Slots};
use super::spaces::DroppedSpaces;
use super::spill::Spill;
use crate::base::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, RwLock};
use crate::base::{Error, Lsn, PageId, Result, SqlState};
use crate::disk::Disk;
use crate::wal::Position;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pages that are written and synced together; few in tests, so that more happens in between.
const BATCH: usize = if cfg!(test) { 3 } else { 256 };

/// The data file and what is where in it.
pub(super) struct Store {
    pub(super) file: DataFile,
    pub(super) map: RwLock<PageMap>,
    /// Where old versions go; without it they stay in memory.
    pub(super) spill: Option<Arc<Spill>>,
    /// Bytes of the map in memory, when it was last looked at.
    map_memory: AtomicU64,
    /// The superblock in the file. Held by whoever takes a checkpoint.
    pub(super) checkpoint: Mutex<Superblock>,
    /// How many wait for it.
    waiting: AtomicUsize,
    /// Taken after `checkpoint` and `map`, and not held while anything is written.
    pub(super) slots: Mutex<SlotState>,
    /// What the superblock in the file holds: everything at or below this lsn.
    pub(super) stored_lsn: AtomicU64,
    /// Held while a checkpoint chooses its lsn, and while a space is made or dropped.
    pub(super) spaces: Mutex<DroppedSpaces>,
}

#[derive(Default)]
pub(super) struct SlotState {
    /// Made when the first slot is wanted.
    pub(super) slots: Option<Slots>,
    /// What the superblock in the file needs and the map in memory does not.
    pub(super) replaced: Vec<SlotNumber>,
    /// How many were given out and are not in the map yet.
    pub(super) pending: u32,
}

impl SlotState {
    fn slots(&mut self) -> &mut Slots {
        self.slots.as_mut().expect("made before a slot is wanted")
    }

    /// Recovery: a slot is in use that the superblock's map does not know.
    pub(super) fn mark(&mut self, slot: SlotNumber) {
        self.slots().mark(slot);
    }

    /// Whether it is known which slots clones share.
    pub(super) fn are_made(&self) -> bool {
        self.slots.is_some()
    }

    pub(super) fn is_shared(&self, slot: SlotNumber) -> bool {
        self.slots
            .as_ref()
            .is_some_and(|slots| slots.is_shared(slot))
    }

    /// One more node points to a slot that the map uses. Counted anew when the slots are made.
    pub(super) fn share(&mut self, slot: SlotNumber) {
        if let Some(slots) = &mut self.slots {
            slots.share(slot);
        }
    }

    /// The map in memory has one pointer less to a slot; `true` if it has none left. Before the
    /// slots are made only the nodes above all spaces change, to which there is one.
    pub(super) fn release(&mut self, slot: SlotNumber) -> bool {
        let is_last = self.slots.as_mut().is_none_or(|slots| slots.release(slot));
        self.replaced.extend(is_last.then_some(slot));
        is_last
    }
}

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpointed {
    /// Where the log goes on; what lies before it is not needed any more.
    pub position: Position,
    pub pages: u64,
    /// Nodes of the page map.
    pub nodes: u64,
    pub write_time: Duration,
    pub sync_time: Duration,
    /// The bytes of the data file that are in use, unless nothing has changed since the start.
    pub used_bytes: Option<u64>,
}

/// Where recovery begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub position: Position,
    /// New transactions get ids from here on.
    pub next_txn: u64,
}

impl Store {
    /// What the file holds according to a superblock.
    pub(super) fn new(file: DataFile, superblock: Superblock) -> Result<Store> {
        let map = PageMap::load(&file, superblock.root)?;
        Ok(Store {
            map_memory: AtomicU64::new(map.memory()),
            map: RwLock::new(map),
            spill: None,
            file,
            stored_lsn: AtomicU64::new(superblock.position.lsn.0),
            checkpoint: Mutex::new(superblock),
            waiting: AtomicUsize::new(0),
            slots: Mutex::default(),
            spaces: Mutex::default(),
        })
    }

    /// Waits for the end of a checkpoint that is being taken.
    pub(super) fn lock_checkpoint(&self) -> MutexGuard<'_, Superblock> {
        // Relaxed: a hint.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let superblock = self.checkpoint.lock();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        superblock
    }

    /// Whether the data file holds a page.
    pub(super) fn holds(&self, page: PageId) -> Result<bool> {
        Ok(self.place(page)? != Place::NONE)
    }

    pub(super) fn place(&self, page: PageId) -> Result<Place> {
        if let Some(place) = self.map.read().get(page) {
            return Ok(place);
        }
        let mut map = self.map.write();
        map.load_path(&self.file, page)?;
        self.count_map(&map);
        Ok(map.get(page).expect("the path was just loaded"))
    }

    pub(super) fn map_memory(&self) -> u64 {
        self.map_memory.load(Ordering::Relaxed)
    }

    /// The map may have more nodes than before.
    pub(super) fn count_map(&self, map: &PageMap) {
        self.map_memory.store(map.memory(), Ordering::Relaxed);
    }

    /// Reads a page that the file holds.
    pub(super) fn read(&self, page: PageId) -> Result<PageRef> {
        let mut read = Arc::new(Page::zeroed());
        let bytes = Arc::make_mut(&mut read).bytes_mut();
        let what = format_args!("page {page}");
        self.file.read(self.place(page)?, &what, bytes)?;
        Ok(read)
    }
}

impl Pages {
    /// Makes the data file of a new database, with nothing in it.
    pub fn create(disk: &dyn Disk, path: &Path, database: u64) -> Result<()> {
        DataFile::create(disk, path, database)
    }

    /// The pages of a data file, as its last checkpoint left them; at most about `memory` bytes of
    /// memory are used for them and what finds them. The log from [`Start`] on is to be applied before anybody reads.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, if both copies of its superblock are damaged.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        database: u64,
        memory: u64,
        durable: Arc<dyn Fn() -> Lsn + Send + Sync>,
    ) -> Result<(Pages, Start)> {
        let (file, superblock) = DataFile::open(&**disk, path, database)?;
        let start = Start {
            position: superblock.position,
            next_txn: superblock.next_txn,
        };
        let mut store = Store::new(file, superblock)?;
        let spill = path.with_extension("old");
        store.spill = Some(Spill::new(disk.clone(), spill));
        Ok((Pages::over(Some(store), memory, durable), start))
    }

    /// Takes a checkpoint, or finds that nothing has happened since the last one. `position` says
    /// where the log has got to, `next_txn` from where on ids of transactions were not used then;
    /// `pause` is called after each batch with how many of the pages are stored, and how many there
    /// are.
    ///
    /// # Errors
    /// The previous checkpoint is whole, and nothing is lost: the next one can be tried, unless it
    /// was a sync that failed ([`Pages::failure`]).
    pub fn checkpoint(
        &self,
        position: &dyn Fn() -> Result<Position>,
        next_txn: &dyn Fn() -> u64,
        pause: &dyn Fn(usize, usize),
    ) -> Result<Option<Checkpointed>> {
        let done = self.try_checkpoint(position, next_txn, pause);
        self.settle();
        self.wake_room(done.as_ref().err());
        done
    }

    /// Whether somebody waits for the end of the checkpoint that is being taken.
    pub fn is_checkpoint_awaited(&self) -> bool {
        let store = self.store.as_ref();
        store.is_some_and(|store| store.waiting.load(Ordering::Relaxed) > 0)
    }

    /// The sync of the data file that failed, if one did. No checkpoint succeeds after it: the
    /// process must stop, and recovery begins with the last one.
    pub fn failure(&self) -> Option<Error> {
        self.store.as_ref()?.file.failure()
    }

    fn try_checkpoint(
        &self,
        position: &dyn Fn() -> Result<Position>,
        next_txn: &dyn Fn() -> u64,
        pause: &dyn Fn(usize, usize),
    ) -> Result<Option<Checkpointed>> {
        let Some(store) = &self.store else {
            let what = "a checkpoint without a data file";
            return Err(Error::new(SqlState::INTERNAL_ERROR, what));
        };
        let mut superblock = store.lock_checkpoint();
        let spaces = store.spaces.lock();
        let (position, _snapshot) = loop {
            let position = position()?;
            // Else the collector has gone beyond it in the meantime.
            if let Some(snapshot) = self.snapshots().register_at(position.lsn) {
                break (position, snapshot);
            }
        };
        let dropped = spaces.numbers.clone();
        drop(spaces);
        if position == superblock.position {
            return Ok(None);
        }
        let next_txn = next_txn();
        let mut done = Checkpointed {
            position,
            pages: 0,
            nodes: 0,
            write_time: Duration::ZERO,
            sync_time: Duration::ZERO,
            used_bytes: None,
        };

        // What is durable at C was installed, and its pages marked, before.
        let mut dirty: Vec<PageId> = (0..self.dirty.len())
            .map_while(|_| self.dirty.pop())
            .collect();
        self.drop_spaces(store, &dropped)
            .inspect_err(|_| dirty.iter().for_each(|page| self.dirty.push(*page)))?;
        self.blank_freed(store, position.lsn)
            .inspect_err(|_| dirty.iter().for_each(|page| self.dirty.push(*page)))?;
        dirty.retain(|page| !dropped.contains(&page.space));
        dirty.sort_unstable();
        dirty.dedup();
        if !dirty.is_empty() {
            store.make_slots()?;
        }
        let mut rest = &dirty[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(BATCH));
            if let Err(error) = self.store_batch(store, batch, &mut done) {
                rest.iter().for_each(|page| self.dirty.push(*page));
                return Err(error);
            }
            rest = later;
            self.evict_surplus();
            self.wake_room(None);
            pause(dirty.len() - rest.len(), dirty.len());
        }

        let (root, replaced) = store.write_map(&mut done)?;
        let started = Instant::now();
        let next = Superblock {
            sequence: superblock.sequence + 1,
            position,
            next_txn,
            root,
        };
        if let Err(error) = store.file.write_superblock(&next) {
            store.slots.lock().replaced.extend(replaced);
            return Err(error);
        }
        done.sync_time += started.elapsed();
        *superblock = next;
        // Release: pairs with the Acquire in `is_clean`.
        store.stored_lsn.store(position.lsn.0, Ordering::Release);
        store.spaces.lock().forget(&dropped);
        let mut state = store.slots.lock();
        if let Some(slots) = &mut state.slots {
            replaced.into_iter().for_each(|slot| slots.free(slot));
            done.used_bytes = Some(u64::from(slots.used()) * SLOT_SIZE as u64);
        }
        Ok(Some(done))
    }

    /// The bytes of the data file that its map needs.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> Result<u64> {
        let store = self.store.as_ref().expect("a data file");
        let used = store.used_slots(&mut store.map.write())?;
        Ok(u64::from(used.used()) * SLOT_SIZE as u64)
    }

    /// Stores the versions of some pages, durably, and has the map point to them. After an error
    /// all of them are as they were.
    fn store_batch(&self, store: &Store, batch: &[PageId], done: &mut Checkpointed) -> Result<()> {
        let started = Instant::now();
        {
            let mut map = store.map.write();
            batch
                .iter()
                .try_for_each(|page| map.load_path(&store.file, *page))?;
            store.count_map(&map);
        }
        let mut images = Images::default();
        let mut written = Vec::with_capacity(batch.len());
        let result = (|| {
            for &page in batch {
                // Its content may have been forgotten since it was marked.
                if !self.chain(page).is_dirty() {
                    continue;
                }
                // What a load has stored is in its place, which the log may name behind C.
                let version = self.chain(page).at(page, done.position.lsn)?;
                let Some(version) = version.filter(|v| v.lsn() != STORED_LSN) else {
                    written.push((page, None));
                    continue;
                };
                let place = Place::of(store.allocate_slot()?, version.bytes());
                written.push((page, Some((version.lsn(), place))));
                images.push(place.slot, version.bytes());
            }
            images.write(&store.file)?;
            done.write_time += started.elapsed();
            let started = Instant::now();
            store.file.sync()?;
            done.sync_time += started.elapsed();
            Ok(())
        })();
        if result.is_err() {
            let places = written.iter().filter_map(|(_, version)| *version);
            store.give_back(places.map(|(_, place)| place.slot));
            return result;
        }
        let stored = written.iter();
        let stored = stored.filter_map(|(page, version)| Some((*page, version.as_ref()?.1)));
        done.pages += store.enter(stored);
        for (page, version) in written {
            match version {
                Some((lsn, _)) if self.chain(page).stored(lsn) => {
                    self.dirty_count.fetch_sub(1, Ordering::Relaxed);
                }
                // It was changed after C, or made after it.
                _ => self.dirty.push(page),
            }
        }
        Ok(())
    }
}

impl Store {
    /// Finds out which slots are free, if that is not known yet.
    pub(super) fn make_slots(&self) -> Result<()> {
        self.make_slots_of(&mut self.map.write())
    }

    fn make_slots_of(&self, map: &mut PageMap) -> Result<()> {
        let mut state = self.slots.lock();
        if state.slots.is_none() {
            let mut slots = self.used_slots(map)?;
            // Recovery has replaced them in the map; the superblock needs them.
            state.replaced.iter().for_each(|slot| {
                slots.mark(*slot);
            });
            state.slots = Some(slots);
        }
        Ok(())
    }

    /// The slots that the map uses.
    fn used_slots(&self, map: &mut PageMap) -> Result<Slots> {
        let mut census = Census::new();
        map.visit(&self.file, &mut |place, held| {
            census.count(place.slot, held).ok_or_else(|| {
                let what = match held {
                    Held::Page(page) => format!("the slot of page {page} is used twice"),
                    Held::Node { .. } => "the slot of a node of the page map is used twice".into(),
                };
                self.file.corrupt(place.slot, what)
            })
        })?;
        self.count_map(map);
        Ok(census.slots)
    }

    /// A slot for a page that is not in the map yet.
    pub(super) fn allocate_slot(&self) -> Result<SlotNumber> {
        let mut state = self.slots.lock();
        let slot = state.slots().allocate()?;
        state.pending += 1;
        Ok(slot)
    }

    /// Frees slots that came from [`Store::allocate_slot`] and did not get into the map.
    pub(super) fn give_back(&self, slots: impl Iterator<Item = SlotNumber>) {
        let mut state = self.slots.lock();
        for slot in slots {
            state.slots().free(slot);
            state.pending -= 1;
        }
    }

    /// Has the map point to what was written to slots from [`Store::allocate_slot`]; says how many
    /// there were. The paths of the pages are loaded.
    pub(super) fn enter(&self, stored: impl Iterator<Item = (PageId, Place)>) -> u64 {
        let mut map = self.map.write();
        let mut state = self.slots.lock();
        let mut count = 0;
        for (page, place) in stored {
            map.set(page, place, &mut state);
            state.pending -= 1;
            count += 1;
        }
        count
    }

    /// Writes the changed nodes of the map, durably; gives the place of the root, and the slots
    /// that nobody needs once a superblock with it is durable.
    fn write_map(&self, done: &mut Checkpointed) -> Result<(Place, Vec<SlotNumber>)> {
        let mut nodes = Vec::new();
        let (root, replaced) = {
            let mut map = self.map.write();
            if let Some(root) = map.stored() {
                return Ok((root, std::mem::take(&mut self.slots.lock().replaced)));
            }
            self.make_slots_of(&mut map)?;
            let mut state = self.slots.lock();
            let mut changes = Changes {
                slots: state.slots(),
                nodes: &mut nodes,
            };
            let root = map.place(&mut changes);
            // What is replaced from now on this map still needs.
            (root, std::mem::take(&mut state.replaced))
        };
        done.nodes = nodes.len() as u64;
        let started = Instant::now();
        let wrote = root.and_then(|root| {
            nodes.chunks(BATCH).try_for_each(|nodes| {
                let mut images = Images::default();
                nodes
                    .iter()
                    .for_each(|(slot, bytes)| images.push(*slot, &bytes[..]));
                images.write(&self.file)
            })?;
            Ok(root)
        });
        done.write_time += started.elapsed();
        let started = Instant::now();
        let wrote = wrote.and_then(|root| self.file.sync().map(|()| root));
        done.sync_time += started.elapsed();
        let mut map = self.map.write();
        let mut state = self.slots.lock();
        map.settle(wrote.is_ok(), &mut state);
        match wrote {
            Ok(root) => Ok((root, replaced)),
            Err(error) => {
                state.replaced.extend(replaced);
                Err(error)
            }
        }
    }
}

/// What goes to slots, those that are side by side in one write.
#[derive(Default)]
pub(super) struct Images {
    /// First slots and how many, in the order of `bytes`.
    runs: Vec<(SlotNumber, usize)>,
    bytes: Vec<u8>,
}

impl Images {
    pub(super) fn push(&mut self, slot: SlotNumber, bytes: &[u8]) {
        match self.runs.last_mut() {
            Some((first, count)) if *first as usize + *count == slot as usize => *count += 1,
            _ => self.runs.push((slot, 1)),
        }
        let end = self.bytes.len() + SLOT_SIZE;
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(end, 0);
    }

    pub(super) fn write(&self, file: &DataFile) -> Result<()> {
        let mut rest = &self.bytes[..];
        for (first, count) in &self.runs {
            let (run, later) = rest.split_at(count * SLOT_SIZE);
            file.write(*first, run)?;
            rest = later;
        }
        Ok(())
    }
}
