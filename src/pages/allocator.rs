//! Which pages of a space are free.
//!
//! Page 0 of a space holds a high-water mark and the head of a list of trunk pages, as in SQLite's
//! file format: a trunk page lists free pages and is free itself. Freeing and reusing a page edits
//! page 0 and a trunk page and never the page itself, so old versions of it stay readable.

use super::batch::{Batch, PageEditor};
use super::cache::Pages;
use super::map::{NUMBERS, SPACES};
use super::page::{PAGE_CONTENT, PAGE_SIZE, Page, corrupt};
use crate::base::{Error, Lsn, PageId, Result, SqlState};

// Page 0.
// | offset | bytes | what |
// |     16 |     4 | magic |
// |     20 |     4 | high-water mark: the lowest page number never used |
// |     24 |     4 | free pages, trunk pages among them |
// |     28 |     4 | first trunk page, 0 if none |
const MAGIC: usize = PAGE_CONTENT;
const HIGH_WATER: usize = MAGIC + 4;
const FREE_COUNT: usize = HIGH_WATER + 4;
const FIRST_TRUNK: usize = FREE_COUNT + 4;
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

fn entry(index: u32) -> usize {
    ENTRIES + 4 * index as usize
}

impl<'a> Batch<'a> {
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

    /// Gives a page back. What was done to it in this batch is forgotten.
    pub fn free(&mut self, page: PageId) -> Result<()> {
        let space = page.space;
        let (mut state, _) = self.space(space)?;
        state.check(page, page.number)?;
        self.forget(page);
        state.free_count += 1;
        if !self.list_free(space, &state, page.number)? {
            let mut trunk = self.edit_fresh(page)?;
            trunk.write_u32(MAGIC, TRUNK_MAGIC);
            trunk.write_u32(NEXT, state.first_trunk);
            state.first_trunk = page.number;
        }
        state.write(&mut self.edit(allocator(space))?);
        Ok(())
    }

    /// Adds a page to the first trunk, if there is one with room.
    fn list_free(&mut self, space: u32, state: &Space, number: u32) -> Result<bool> {
        if state.first_trunk == 0 {
            return Ok(false);
        }
        let id = PageId {
            space,
            number: state.first_trunk,
        };
        let count = Trunk::read(id, &*self.read(id)?)?.count;
        if count == TRUNK_CAPACITY {
            return Ok(false);
        }
        let mut editor = self.edit(id)?;
        editor.write_u32(entry(count), number);
        editor.write_u32(COUNT, count + 1);
        Ok(true)
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
            for index in 0..trunk.count {
                let entry = page.u32_at(entry(index)).unwrap_or(0);
                free.push(state.check(id, entry)?);
            }
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
