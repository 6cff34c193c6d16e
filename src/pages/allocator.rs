//! Which pages of a space are free.
//!
//! Page 0 of a space holds a high-water mark and the head of a list of trunk pages, as in SQLite's
//! file format: a trunk page lists free pages and is free itself. Freeing and reusing a page edits
//! page 0 and a trunk page and never the page itself, so old versions of it stay readable.
//!
//! A transaction that stores pages before it commits ([`Pages::store_new`]) sets an extent aside
//! for them, in a blob of its own: page 0 lists it as pending until the transaction keeps it or
//! gives it back. So does a large commit for its new pages, lest it hold this latch while it makes
//! them ([`Batch::allocate_from`]). What is still pending at a start belongs to nobody.

use super::batch::{Batch, PageEditor};
use super::cache::Pages;
use super::map::{NUMBERS, SPACES};
use super::page::{PAGE_CONTENT, PAGE_SIZE, Page, corrupt};
use crate::base::{Error, Lsn, PageId, Result, SqlState};
use std::ops::Range;

// Page 0.
// | offset | bytes | what |
// |     16 |     4 | magic |
// |     20 |     4 | high-water mark: the lowest page number never used |
// |     24 |     4 | free pages, trunk pages among them |
// |     28 |     4 | first trunk page, 0 if none |
// |     32 |     4 | pending extents |
// |     36 |   8 n | first page and count of each |
const MAGIC: usize = PAGE_CONTENT;
const HIGH_WATER: usize = MAGIC + 4;
const FREE_COUNT: usize = HIGH_WATER + 4;
const FIRST_TRUNK: usize = FREE_COUNT + 4;
const PENDING_COUNT: usize = FIRST_TRUNK + 4;
const PENDING: usize = PENDING_COUNT + 4;
const PENDING_BYTES: usize = 8;
const PENDING_CAPACITY: u32 = 1016;
const _: () = assert!(PENDING + PENDING_BYTES * PENDING_CAPACITY as usize <= PAGE_SIZE);
const SPACE_MAGIC: u32 = u32::from_le_bytes(*b"WNsp");

// A trunk page.
// | offset | bytes | what |
// |     16 |     4 | magic |
// |     20 |     4 | next trunk page, 0 if none |
// |     24 |     4 | entries |
// |     28 |   4 n | numbers of free pages |
const NEXT: usize = MAGIC + 4;
const COUNT: usize = NEXT + 4;
const ENTRIES: usize = COUNT + 4;
const TRUNK_MAGIC: u32 = u32::from_le_bytes(*b"WNtr");
const TRUNK_CAPACITY: u32 = 2035;

const _: () = assert!(ENTRIES + 4 * TRUNK_CAPACITY as usize == PAGE_SIZE);

/// Fewer free pages side by side are left to single allocations.
const FREE_RUN_MIN: usize = 32;
/// How many trunk pages are looked at for a run of them.
const TRUNKS_SEARCHED: u32 = 16;

/// The longest run of numbers side by side, of at most `count`, among sorted ones.
fn longest_run(numbers: &[u32], count: u32) -> Option<Range<u32>> {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = runs.max_by_key(|run| run.len())?;
    let len = u32::try_from(run.len()).ok()?.min(count);
    (run.len() >= FREE_RUN_MIN).then_some(run[0]..run[0] + len)
}

/// The allocator's state in page 0.
struct Space {
    high_water: u32,
    free_count: u32,
    first_trunk: u32,
}

struct Trunk {
    next: u32,
    count: u32,
}

impl Space {
    fn read(id: PageId, page: &Page) -> Result<Space> {
        let (magic, high_water, free_count, first_trunk) = (
            page.u32_at(MAGIC),
            page.u32_at(HIGH_WATER),
            page.u32_at(FREE_COUNT),
            page.u32_at(FIRST_TRUNK),
        );
        match (magic, high_water, free_count, first_trunk) {
            (Some(SPACE_MAGIC), Some(high_water), Some(free_count), Some(first_trunk))
                if free_count < high_water && first_trunk < high_water =>
            {
                Ok(Space {
                    high_water,
                    free_count,
                    first_trunk,
                })
            }
            _ => Err(corrupt(id, "not the allocator of a space")),
        }
    }

    fn write(&self, editor: &mut PageEditor<'_>) {
        let words = [self.high_water, self.free_count, self.first_trunk];
        let mut bytes = [0; 12];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        editor.write(HIGH_WATER, &bytes);
    }

    /// A page number found in the free list, if it can be one.
    fn check(&self, trunk: PageId, number: u32) -> Result<u32> {
        if number == 0 || number >= self.high_water {
            return Err(corrupt(
                trunk,
                format!("free page {number} is out of range"),
            ));
        }
        Ok(number)
    }
}

impl Trunk {
    fn read(id: PageId, page: &Page) -> Result<Trunk> {
        match (page.u32_at(MAGIC), page.u32_at(NEXT), page.u32_at(COUNT)) {
            (Some(TRUNK_MAGIC), Some(next), Some(count)) if count <= TRUNK_CAPACITY => {
                Ok(Trunk { next, count })
            }
            _ => Err(corrupt(id, "not a trunk page of the free list")),
        }
    }
}

/// The pages that a trunk page lists.
fn entries(id: PageId, page: &Page, state: &Space) -> Result<Vec<u32>> {
    let count = Trunk::read(id, page)?.count;
    let number = |index| state.check(id, page.u32_at(entry(index)).unwrap_or(0));
    (0..count).map(number).collect()
}

fn entry(index: u32) -> usize {
    ENTRIES + 4 * index as usize
}

/// Pages side by side, set aside for one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub space: u32,
    pub first: u32,
    pub count: u32,
}

impl Extent {
    /// The page at a place in it.
    pub fn page(&self, at: u32) -> PageId {
        PageId {
            space: self.space,
            number: self.first + at,
        }
    }

    fn end(&self) -> u32 {
        self.first + self.count
    }
}

/// The extents that page 0 lists.
fn pending(id: PageId, page: &Page) -> Result<Vec<Extent>> {
    let count = page.u32_at(PENDING_COUNT).unwrap_or(u32::MAX);
    if count > PENDING_CAPACITY {
        return Err(corrupt(id, "more pending extents than fit"));
    }
    let extent = |index: u32| {
        let at = pending_entry(index);
        let (first, count) = (page.u32_at(at)?, page.u32_at(at + 4)?);
        first.checked_add(count).map(|_| Extent {
            space: id.space,
            first,
            count,
        })
    };
    let extents = (0..count).map(extent).collect::<Option<_>>();
    extents.ok_or_else(|| corrupt(id, "a bad pending extent"))
}

fn pending_entry(index: u32) -> usize {
    PENDING + PENDING_BYTES * index as usize
}

impl<'a> Batch<'a> {
    /// Sets pages aside that were never used, or that were blanked since: `count`, or fewer.
    pub fn reserve_extent(&mut self, space: u32, count: u32) -> Result<Extent> {
        let (mut state, _) = self.space(space)?;
        let id = allocator(space);
        let listed = pending(id, &*self.read(id)?)?.len();
        let free = match listed < PENDING_CAPACITY as usize / 2 {
            true => self.take_free_range(space, &mut state, count)?,
            false => None,
        };
        let range = match free {
            Some(range) => range,
            None => {
                let first = state.high_water;
                let end = first.checked_add(count).filter(|&end| end <= NUMBERS);
                state.high_water = end.ok_or_else(|| space_full(space))?;
                first..state.high_water
            }
        };
        let (first, count) = (range.start, range.end - range.start);
        let listed = u32::try_from(listed)
            .ok()
            .filter(|&listed| listed < PENDING_CAPACITY)
            .ok_or_else(|| too_many_extents(space))?;
        let mut editor = self.edit(id)?;
        state.write(&mut editor);
        editor.write_u32(pending_entry(listed), first);
        editor.write_u32(pending_entry(listed) + 4, count);
        editor.write_u32(PENDING_COUNT, listed + 1);
        Ok(Extent {
            space,
            first,
            count,
        })
    }

    /// Takes the longest run of free pages that one of the first trunks lists, at most `count`, if
    /// it is worth it and all of them are blank.
    fn take_free_range(
        &mut self,
        space: u32,
        state: &mut Space,
        count: u32,
    ) -> Result<Option<Range<u32>>> {
        let mut number = state.first_trunk;
        for _ in 0..TRUNKS_SEARCHED {
            if number == 0 {
                break;
            }
            let id = PageId { space, number };
            let page = self.read(id)?;
            let mut listed = entries(id, &page, state)?;
            number = Trunk::read(id, &page)?.next;
            drop(page);
            listed.sort_unstable();
            let Some(range) = longest_run(&listed, count) else {
                continue;
            };
            let mut pages = range.clone().map(|number| PageId { space, number });
            if !pages.try_fold(true, |all, page| {
                Ok::<_, Error>(all && self.pages.is_blank(page)?)
            })? {
                continue;
            }
            listed.retain(|number| !range.contains(number));
            self.list_entries(id, 0, &listed)?;
            state.free_count = state
                .free_count
                .checked_sub(range.end - range.start)
                .ok_or_else(|| corrupt(id, "more free pages than counted"))?;
            return Ok(Some(range));
        }
        Ok(None)
    }

    /// Has a trunk page list these pages behind the first `kept` of those it lists.
    fn list_entries(&mut self, trunk: PageId, kept: u32, listed: &[u32]) -> Result<()> {
        let bytes: Vec<u8> = listed.iter().flat_map(|n| n.to_le_bytes()).collect();
        let count = u32::try_from(listed.len()).expect("entries of one page");
        let mut editor = self.edit(trunk)?;
        editor.write_u32(COUNT, kept + count);
        editor.write(entry(kept), &bytes);
        Ok(())
    }

    /// Takes the first `used` pages of an extent as allocated, and frees the others.
    pub fn keep_extent(&mut self, extent: Extent, used: u32) -> Result<()> {
        let (mut state, _) = self.space(extent.space)?;
        let id = allocator(extent.space);
        let extents = pending(id, &*self.read(id)?)?;
        let (Some(place), Some(last)) = (
            extents.iter().position(|listed| *listed == extent),
            extents.last(),
        ) else {
            return Err(corrupt(id, "an extent is not pending"));
        };
        let mut editor = self.edit(id)?;
        let place = u32::try_from(place).expect("a place in page 0");
        editor.write_u32(pending_entry(place), last.first);
        editor.write_u32(pending_entry(place) + 4, last.count);
        let left = u32::try_from(extents.len() - 1).expect("a count in page 0");
        editor.write_u32(PENDING_COUNT, left);
        let unused = extent.first + used..extent.end();
        if unused.end == state.high_water {
            state.high_water = unused.start;
        } else {
            self.list_free(extent.space, &mut state, &unused.collect::<Vec<u32>>())?;
        }
        state.write(&mut self.edit(id)?);
        Ok(())
    }

    /// Frees an extent.
    pub fn free_extent(&mut self, extent: Extent) -> Result<()> {
        self.keep_extent(extent, 0)
    }

    /// Lists pages as free: on the first trunk page if it has room for all, else on trunk pages of
    /// their own.
    fn list_free(&mut self, space: u32, state: &mut Space, pages: &[u32]) -> Result<()> {
        let mut rest = pages;
        while let Some((&number, others)) = rest.split_first() {
            let head = PageId {
                space,
                number: state.first_trunk,
            };
            let listed = match state.first_trunk {
                0 => TRUNK_CAPACITY,
                _ => Trunk::read(head, &*self.read(head)?)?.count,
            };
            if rest.len() <= (TRUNK_CAPACITY - listed) as usize {
                self.list_entries(head, listed, rest)?;
                state.free_count += u32::try_from(rest.len()).expect("entries of one page");
                return Ok(());
            }
            let id = PageId { space, number };
            let (listed, later) = others.split_at(others.len().min(TRUNK_CAPACITY as usize));
            let mut trunk = self.edit_fresh(id)?;
            trunk.write_u32(MAGIC, TRUNK_MAGIC);
            trunk.write_u32(NEXT, state.first_trunk);
            self.list_entries(id, 0, listed)?;
            state.first_trunk = number;
            state.free_count += 1 + u32::try_from(listed.len()).expect("entries of one page");
            rest = later;
        }
        Ok(())
    }

    /// Makes the allocator of a new space. Spaces may also be made by the first `allocate`.
    pub fn create_space(&mut self, space: u32) -> Result<()> {
        let (_, fresh) = self.space(space)?;
        if fresh {
            Ok(())
        } else {
            Err(internal(format!("space {space} exists")))
        }
    }

    /// A page nobody uses, zeroed in this batch.
    pub fn allocate(&mut self, space: u32) -> Result<PageId> {
        if let Some(source) = &mut self.source {
            let page = source()?;
            self.edit_fresh(page)?;
            return Ok(page);
        }
        let (mut state, _) = self.space(space)?;
        let number = if state.first_trunk == 0 {
            let number = state.high_water;
            if number >= NUMBERS || space >= SPACES {
                return Err(space_full(space));
            }
            state.high_water = number + 1;
            number
        } else {
            self.take_free(space, &mut state)?
        };
        state.write(&mut self.edit(allocator(space))?);
        let page = PageId { space, number };
        self.edit_fresh(page)?;
        Ok(page)
    }

    /// Takes the last page the first trunk lists, or the trunk itself if it lists none.
    fn take_free(&mut self, space: u32, state: &mut Space) -> Result<u32> {
        let id = PageId {
            space,
            number: state.first_trunk,
        };
        let page = self.read(id)?;
        let trunk = Trunk::read(id, &page)?;
        state.free_count = state
            .free_count
            .checked_sub(1)
            .ok_or_else(|| corrupt(id, "more free pages than counted"))?;
        let Some(last) = trunk.count.checked_sub(1) else {
            if trunk.next != 0 {
                state.check(id, trunk.next)?;
            }
            state.first_trunk = trunk.next;
            return Ok(id.number);
        };
        let number = page
            .u32_at(entry(last))
            .ok_or_else(|| corrupt(id, "entry out of range"))?;
        drop(page);
        self.edit(id)?.write_u32(COUNT, last);
        state.check(id, number)
    }

    /// Gives a page back. What was done to it in this batch is forgotten, and it is not given out
    /// again before the batch is installed.
    pub fn free(&mut self, page: PageId) -> Result<()> {
        if page == allocator(page.space) {
            return Err(corrupt(page, "an allocator is freed"));
        }
        self.forget(page);
        self.freed.push(page);
        Ok(())
    }

    /// Lists the freed pages as free.
    pub(super) fn list_freed(&mut self) -> Result<()> {
        let mut freed = std::mem::take(&mut self.freed);
        freed.sort_unstable();
        if let Some(twice) = freed.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(corrupt(twice[0], "it is freed twice"));
        }
        for pages in freed.chunk_by(|a, b| a.space == b.space) {
            let space = pages[0].space;
            let (mut state, _) = self.space(space)?;
            let numbers = pages.iter().map(|page| state.check(*page, page.number));
            let numbers = numbers.collect::<Result<Vec<u32>>>()?;
            self.list_free(space, &mut state, &numbers)?;
            state.write(&mut self.edit(allocator(space))?);
        }
        self.freed = freed;
        Ok(())
    }

    /// The state of a space's allocator, whose latch this takes on first use; and whether the
    /// space was made just now.
    fn space(&mut self, space: u32) -> Result<(Space, bool)> {
        let id = allocator(space);
        self.latch_allocator(space)?;
        let is_ours = self.is_touched(id);
        if !is_ours && self.pages.try_read(id, Lsn::NEWEST)?.is_none() {
            let state = Space {
                high_water: 1,
                free_count: 0,
                first_trunk: 0,
            };
            let mut editor = self.edit_fresh(id)?;
            editor.write_u32(MAGIC, SPACE_MAGIC);
            state.write(&mut editor);
            return Ok((state, true));
        }
        Ok((Space::read(id, &*self.read(id)?)?, false))
    }

    fn latch_allocator(&mut self, space: u32) -> Result<()> {
        let last = self.allocators.last().map(|(last, _)| *last);
        if last.is_none_or(|last| last < space) {
            let latch = self.pages.latch(allocator(space)).write();
            self.allocators.push((space, latch));
        } else if !self.allocators.iter().any(|(held, _)| *held == space) {
            return Err(internal(format!(
                "space {space} used after a higher one (P3)"
            )));
        }
        Ok(())
    }
}

fn allocator(space: u32) -> PageId {
    PageId { space, number: 0 }
}

fn internal(what: String) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, what)
}

#[cold]
fn too_many_extents(space: u32) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("too many transactions are loading data into space {space} at once"),
    )
    .with_hint("Wait for some of them to end.")
}

#[cold]
fn space_full(space: u32) -> Error {
    Error::new(
        SqlState::DISK_FULL,
        format!("space {space} has no more page numbers"),
    )
}

/// What an allocator knows, for checks: every page from 1 below the high-water mark is either free
/// or belongs to some structure.
#[derive(Debug, PartialEq, Eq)]
pub struct FreeList {
    /// The lowest page number never used.
    pub high_water: u32,
    /// All free pages, trunk pages among them, ascending.
    pub free: Vec<u32>,
}

impl Pages {
    /// The bytes of all pages that a space has used so far.
    pub fn space_bytes(&self, space: u32, snapshot: Lsn) -> Result<u64> {
        let id = allocator(space);
        let state = Space::read(id, &*self.read(id, snapshot)?)?;
        Ok(u64::from(state.high_water) * PAGE_SIZE as u64)
    }

    /// The extents of a space that are set aside for transactions.
    pub fn pending_extents(&self, space: u32, snapshot: Lsn) -> Result<Vec<Extent>> {
        let id = allocator(space);
        pending(id, &*self.read(id, snapshot)?)
    }

    /// Reads and checks a space's whole free list.
    pub fn free_list(&self, space: u32, snapshot: Lsn) -> Result<FreeList> {
        let id = allocator(space);
        let state = Space::read(id, &*self.read(id, snapshot)?)?;
        let mut free = Vec::new();
        let mut number = state.first_trunk;
        while number != 0 {
            let id = PageId { space, number };
            free.push(state.check(id, number)?);
            let page = self.read(id, snapshot)?;
            let trunk = Trunk::read(id, &page)?;
            free.extend(entries(id, &page, &state)?);
            if free.len() > state.free_count as usize {
                return Err(corrupt(id, "more free pages than counted"));
            }
            number = trunk.next;
        }
        free.sort_unstable();
        free.dedup();
        if free.len() != state.free_count as usize {
            return Err(corrupt(
                id,
                "the free list does not hold as many pages as counted",
            ));
        }
        Ok(FreeList {
            high_water: state.high_water,
            free,
        })
    }
}
