//! The format of a node, checked reads of it, and the edits of its cells.

use crate::base::{Error, PageId, Result, SqlState};
use crate::pages::{PAGE_CONTENT, PAGE_SIZE, Page, PageEditor, corrupt, page_u16};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::ops::Range;

// A node, little-endian.
// | offset | bytes | what |
// |     16 |     1 | kind: LEAF, INNER (or OVERFLOW, see overflow.rs) |
// |     17 |     1 | level, 0 for a leaf |
// |     18 |     2 | count of cells |
// |     20 |     2 | cells_start: the lowest byte of the cells, which grow downwards |
// |     22 |     2 | garbage: bytes from cells_start on that belong to no cell |
// |     24 |     4 | inner: the first child's page number |
// |     28 |   2 n | slots: the offsets of the cells, in key order |
//
// A leaf's cell: key_len u16, value_len u16, key, value. With value_len = OVERFLOWED the value is
// its length u32 and the page number u32 of the first link of its chain.
// An inner node's cell: key_len u16, child u32, key. The child holds the keys from this one on.
pub(super) const KIND: usize = PAGE_CONTENT;
const LEVEL: usize = KIND + 1;
const COUNT: usize = LEVEL + 1;
const CELLS_START: usize = COUNT + 2;
const GARBAGE: usize = CELLS_START + 2;
const FIRST_CHILD: usize = GARBAGE + 2;
const SLOTS: usize = FIRST_CHILD + 4;

pub(super) const LEAF: u8 = 1;
pub(super) const INNER: u8 = 2;
pub(super) const OVERFLOW: u8 = 3;

/// A node with fewer cells is searched by halving alone.
const INTERPOLATE_MIN: usize = 8;

const LEAF_HEAD: usize = 4;
const INNER_HEAD: usize = 6;
const OVERFLOWED: u16 = u16::MAX;

/// The longest key.
pub const KEY_BYTES_MAX: usize = 2000;
/// The longest value.
pub const VALUE_BYTES_MAX: usize = 1 << 30;
/// A longer value goes to overflow pages.
pub(super) const INLINE_BYTES_MAX: usize = 2000;

/// What cells and their slots may fill.
pub(super) const CAPACITY: usize = PAGE_SIZE - SLOTS;

const SLOT: usize = 2;
const LEAF_CELL_MAX: usize = LEAF_HEAD + KEY_BYTES_MAX + INLINE_BYTES_MAX;
const INNER_CELL_MAX: usize = INNER_HEAD + KEY_BYTES_MAX;

// A full node and one more cell always split into two nodes: with as much on the left as fits, the
// left holds more than CAPACITY less one cell, so the right has less than two cells' worth.
const _: () = assert!(2 * (LEAF_CELL_MAX + SLOT) <= CAPACITY);
const _: () = assert!(4 * (INNER_CELL_MAX + SLOT) <= CAPACITY);
const _: () = assert!(INLINE_BYTES_MAX < OVERFLOWED as usize);

/// The bytes of a cell being built.
pub(super) type Cell = SmallVec<[u8; 256]>;

/// A node whose header has been checked. Slots and cells are checked as they are read.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    id: PageId,
    page: &'a Page,
    count: usize,
    cells_start: usize,
    garbage: usize,
    level: u8,
}

/// Where a leaf's cell keeps its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Within the leaf.
    Inline { start: usize, len: usize },
    /// In a chain of overflow pages.
    Overflow { len: u32, first: u32 },
}

impl<'a> Node<'a> {
    pub(super) fn open(id: PageId, page: &'a Page) -> Result<Node<'a>> {
        let bytes = page.bytes();
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let node = Node {
            id,
            page,
            count: u16_at(COUNT),
            cells_start: u16_at(CELLS_START),
            garbage: u16_at(GARBAGE),
            level: bytes[LEVEL],
        };
        let kind = if node.level == 0 { LEAF } else { INNER };
        if bytes[KIND] != kind
            || node.slots_end() > node.cells_start
            || node.cells_start + node.garbage > PAGE_SIZE
        {
            return Err(corrupt(id, "not a node of a tree"));
        }
        Ok(node)
    }

    pub(super) fn id(&self) -> PageId {
        self.id
    }

    pub(super) fn level(&self) -> u8 {
        self.level
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.level == 0
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn cells_start(&self) -> usize {
        self.cells_start
    }

    pub(super) fn garbage(&self) -> usize {
        self.garbage
    }

    fn slots_end(&self) -> usize {
        SLOTS + SLOT * self.count
    }

    /// Bytes between the slots and the cells.
    fn gap(&self) -> usize {
        self.cells_start - self.slots_end()
    }

    fn head(&self) -> usize {
        if self.level == 0 {
            LEAF_HEAD
        } else {
            INNER_HEAD
        }
    }

    #[cold]
    fn bad_cell(&self, index: usize) -> Error {
        corrupt(
            self.id,
            format!("cell {index} of {} is damaged", self.count),
        )
    }

    /// Where the cell starts.
    fn cell_start(&self, index: usize) -> Result<usize> {
        if index < self.count
            && let Some(start) = self.page.u16_at(SLOTS + SLOT * index)
            && usize::from(start) >= self.cells_start
        {
            return Ok(usize::from(start));
        }
        Err(self.bad_cell(index))
    }

    pub(super) fn key(&self, index: usize) -> Result<&'a [u8]> {
        let start = self.cell_start(index)?;
        let key = || {
            let len = self.page.u16_at(start)?;
            self.page.get(start + self.head(), usize::from(len))
        };
        key().ok_or_else(|| self.bad_cell(index))
    }

    /// The bytes of the page that are the cell.
    pub(super) fn cell_range(&self, index: usize) -> Result<Range<usize>> {
        let start = self.cell_start(index)?;
        let end = start + self.head() + self.key(index)?.len();
        let value = if self.level == 0 {
            match self.page.u16_at(start + 2) {
                Some(OVERFLOWED) => 8,
                Some(len) => usize::from(len),
                None => return Err(self.bad_cell(index)),
            }
        } else {
            0
        };
        if end + value > PAGE_SIZE {
            return Err(self.bad_cell(index));
        }
        Ok(start..end + value)
    }

    pub(super) fn cell(&self, index: usize) -> Result<&'a [u8]> {
        Ok(&self.page.bytes()[self.cell_range(index)?])
    }

    /// The value of a leaf's cell.
    pub(super) fn stored(&self, index: usize) -> Result<Stored> {
        Ok(self.entry(index)?.1)
    }

    /// The key and the value of a leaf's cell.
    pub(super) fn entry(&self, index: usize) -> Result<(&'a [u8], Stored)> {
        let start = self.cell_start(index)?;
        let entry = || {
            let key_len = usize::from(self.page.u16_at(start)?);
            let value_len = self.page.u16_at(start + 2)?;
            let key = self.page.get(start + LEAF_HEAD, key_len)?;
            let value = start + LEAF_HEAD + key_len;
            if value_len == OVERFLOWED {
                let len = self.page.u32_at(value)?;
                let first = self.page.u32_at(value + 4)?;
                return Some((key, Stored::Overflow { len, first }));
            }
            let len = usize::from(value_len);
            (value + len <= PAGE_SIZE).then_some((key, Stored::Inline { start: value, len }))
        };
        entry().ok_or_else(|| self.bad_cell(index))
    }

    /// The child at a place from 0 to `count`.
    pub(super) fn child(&self, place: usize) -> Result<PageId> {
        let number = match place.checked_sub(1) {
            None => self.page.u32_at(FIRST_CHILD),
            Some(index) => self.page.u32_at(self.cell_start(index)? + 2),
        };
        let number = number.ok_or_else(|| self.bad_cell(place))?;
        Ok(PageId {
            space: self.id.space,
            number,
        })
    }

    /// `Ok(index)` of the key, or `Err(index)` where it would be inserted.
    pub(super) fn search(&self, key: &[u8]) -> Result<Result<usize, usize>> {
        const NEAR: usize = 4;
        let (mut low, mut high) = (0, self.count);
        let mut probe = self.interpolate(key)?;
        let mut is_first = probe.is_some();
        while low < high {
            let near = probe.take().filter(|place| (low..high).contains(place));
            let middle = near.unwrap_or((low + high) / 2);
            match self.key(middle)?.cmp(key) {
                Ordering::Less => {
                    low = middle + 1;
                    probe = is_first.then_some(middle + NEAR);
                }
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Greater => {
                    high = middle;
                    probe = is_first.then(|| middle.saturating_sub(NEAR));
                }
            }
            is_first = false;
        }
        Ok(Err(low))
    }

    /// Where the key would be if keys rose evenly from the first to the last, as row ids and
    /// counted keys nearly do: then the search ends here, and touches three cells instead of the
    /// seven or nine, each a cache miss, that halving takes.
    fn interpolate(&self, key: &[u8]) -> Result<Option<usize>> {
        if self.count < INTERPOLATE_MIN {
            return Ok(None);
        }
        let (first, last) = (self.key(0)?, self.key(self.count - 1)?);
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let after = |key: &[u8]| {
            let mut bytes = [0; 8];
            let rest = key.get(common..).unwrap_or_default();
            let len = rest.len().min(8);
            bytes[..len].copy_from_slice(&rest[..len]);
            u64::from_be_bytes(bytes)
        };
        let (low, high, at) = (after(first), after(last), after(key));
        if key.get(..common) != first.get(..common) || at < low || at > high || low == high {
            return Ok(None);
        }
        // Few enough bits that the product with the count stays within 64.
        let shift = (u64::BITS - (high - low).leading_zeros()).saturating_sub(48);
        let place = ((at - low) >> shift) * (self.count as u64 - 1) / ((high - low) >> shift);
        Ok(usize::try_from(place).ok())
    }

    /// Whether a key lies between the first and the last of the node.
    pub(super) fn spans(&self, key: &[u8]) -> Result<bool> {
        match self.count.checked_sub(1) {
            Some(last) => Ok(self.key(0)? <= key && key <= self.key(last)?),
            None => Ok(false),
        }
    }

    /// The place of the child that holds the key.
    pub(super) fn place_of(&self, key: &[u8]) -> Result<usize> {
        Ok(match self.search(key)? {
            Ok(index) => index + 1,
            Err(index) => index,
        })
    }

    /// All cells, with `new` inserted at `index`.
    pub(super) fn cells_with<'c>(&self, index: usize, new: &'c [u8]) -> Result<Vec<&'c [u8]>>
    where
        'a: 'c,
    {
        let mut cells = Vec::with_capacity(self.count + 1);
        for i in 0..self.count {
            if i == index {
                cells.push(new);
            }
            cells.push(self.cell(i)?);
        }
        if index == self.count {
            cells.push(new);
        }
        Ok(cells)
    }

    /// What inserting a cell of `len` bytes takes.
    pub(super) fn room_for(&self, len: usize) -> Room {
        let needed = len + SLOT;
        if needed <= self.gap() {
            Room::Ready
        } else if needed <= self.gap() + self.garbage {
            Room::AfterCompaction
        } else {
            Room::None
        }
    }
}

pub(super) enum Room {
    Ready,
    AfterCompaction,
    None,
}

/// The size limit of a key, reported before anything is changed.
pub(super) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    let what = format!("key size {} exceeds the maximum {KEY_BYTES_MAX}", key.len());
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, what))
}

/// Whether a value is stored in the leaf. An error if it is too long to be stored at all.
pub(super) fn is_inline(value: &[u8]) -> Result<bool> {
    if value.len() > VALUE_BYTES_MAX {
        let what = format!(
            "row size {} exceeds the maximum {VALUE_BYTES_MAX}",
            value.len()
        );
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, what));
    }
    Ok(value.len() <= INLINE_BYTES_MAX)
}

pub(super) fn inline_cell(key: &[u8], value: &[u8]) -> Cell {
    let mut cell = Cell::new();
    cell.extend_from_slice(&page_u16(key.len()).to_le_bytes());
    cell.extend_from_slice(&page_u16(value.len()).to_le_bytes());
    cell.extend_from_slice(key);
    cell.extend_from_slice(value);
    cell
}

pub(super) fn overflow_cell(key: &[u8], len: u32, first: u32) -> Cell {
    let mut cell = Cell::new();
    cell.extend_from_slice(&page_u16(key.len()).to_le_bytes());
    cell.extend_from_slice(&OVERFLOWED.to_le_bytes());
    cell.extend_from_slice(key);
    cell.extend_from_slice(&len.to_le_bytes());
    cell.extend_from_slice(&first.to_le_bytes());
    cell
}

pub(super) fn inner_cell(key: &[u8], child: PageId) -> Cell {
    let mut cell = Cell::new();
    cell.extend_from_slice(&page_u16(key.len()).to_le_bytes());
    cell.extend_from_slice(&child.number.to_le_bytes());
    cell.extend_from_slice(key);
    cell
}

/// The key of a leaf's cell that [`Node::cell`] has checked.
pub(super) fn leaf_cell_key(cell: &[u8]) -> &[u8] {
    let len = usize::from(u16::from_le_bytes([cell[0], cell[1]]));
    &cell[LEAF_HEAD..LEAF_HEAD + len]
}

/// The key and the child of an inner node's cell that [`Node::cell`] has checked.
pub(super) fn inner_cell_parts(cell: &[u8]) -> (&[u8], u32) {
    let child = u32::from_le_bytes([cell[2], cell[3], cell[4], cell[5]]);
    (&cell[INNER_HEAD..], child)
}

/// The shortest key that is greater than `left` and not greater than `right` (B1).
pub(super) fn separator<'k>(left: &[u8], right: &'k [u8]) -> &'k [u8] {
    let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    &right[..right.len().min(common + 1)]
}

/// The bytes a cell takes in a node.
pub(super) fn footprint(cell: &[u8]) -> usize {
    cell.len() + SLOT
}

/// Inserts a cell for which there is [`Room::Ready`]. `node` is a view of the page before.
pub(super) fn insert_cell(editor: &mut PageEditor<'_>, shape: Shape, index: usize, cell: &[u8]) {
    let start = shape.cells_start - cell.len();
    let slot = SLOTS + SLOT * index;
    let slots_end = SLOTS + SLOT * shape.count;
    editor.write(start, cell);
    editor.shift(slot, slot + SLOT, slots_end - slot);
    editor.write_u16(slot, page_u16(start));
    let count = shape.count + 1;
    Shape {
        count,
        cells_start: start,
        ..shape
    }
    .write(editor);
}

/// Removes the cell at `index`, which takes `cell` of the page.
pub(super) fn remove_cell(
    editor: &mut PageEditor<'_>,
    shape: Shape,
    index: usize,
    cell: Range<usize>,
) -> Shape {
    let slot = SLOTS + SLOT * index;
    let slots_end = SLOTS + SLOT * shape.count;
    editor.shift(slot + SLOT, slot, slots_end - slot - SLOT);
    let count = shape.count - 1;
    let shape = Shape { count, ..shape }.discard(cell);
    shape.write(editor);
    shape
}

/// Puts a cell in the place of the one at `index`, which takes `old` of the page; `None` if there
/// is no room for it without compaction.
pub(super) fn replace_cell(
    editor: &mut PageEditor<'_>,
    shape: Shape,
    index: usize,
    old: Range<usize>,
    cell: &[u8],
) -> Option<()> {
    if cell.len() <= old.len() {
        write_difference(editor, old.start, cell);
        if cell.len() < old.len() {
            shape.discard(old.start + cell.len()..old.end).write(editor);
        }
        return Some(());
    }
    let slots_end = SLOTS + SLOT * shape.count;
    let start = shape
        .cells_start
        .checked_sub(cell.len())
        .filter(|&s| s >= slots_end)?;
    editor.write(start, cell);
    editor.write_u16(SLOTS + SLOT * index, page_u16(start));
    // The old cell may be the lowest one, but below it now lies the new one: garbage either way.
    let garbage = shape.garbage + old.len();
    Shape {
        cells_start: start,
        garbage,
        ..shape
    }
    .write(editor);
    Some(())
}

/// Writes the bytes from the first to the last that differ from what the page has.
fn write_difference(editor: &mut PageEditor<'_>, start: usize, new: &[u8]) {
    let old = &editor.page().bytes()[start..start + new.len()];
    let Some(first) = old.iter().zip(new).position(|(o, n)| o != n) else {
        return;
    };
    let last = old
        .iter()
        .zip(new)
        .rposition(|(o, n)| o != n)
        .unwrap_or(first);
    editor.write(start + first, &new[first..=last]);
}

/// Writes the first child of an inner node.
pub(super) fn write_first_child(editor: &mut PageEditor<'_>, child: PageId) {
    editor.write_u32(FIRST_CHILD, child.number);
}

/// The part of a node's header that changes with its cells.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    count: usize,
    cells_start: usize,
    garbage: usize,
}

impl Shape {
    pub(super) fn of(node: &Node<'_>) -> Shape {
        Shape {
            count: node.count,
            cells_start: node.cells_start,
            garbage: node.garbage,
        }
    }

    /// The bytes are no longer a cell's.
    fn discard(self, bytes: Range<usize>) -> Shape {
        if bytes.start == self.cells_start {
            return Shape {
                cells_start: bytes.end,
                ..self
            };
        }
        Shape {
            garbage: self.garbage + bytes.len(),
            ..self
        }
    }

    fn write(self, editor: &mut PageEditor<'_>) {
        let mut bytes = [0; 6];
        bytes[0..2].copy_from_slice(&page_u16(self.count).to_le_bytes());
        bytes[2..4].copy_from_slice(&page_u16(self.cells_start).to_le_bytes());
        bytes[4..6].copy_from_slice(&page_u16(self.garbage).to_le_bytes());
        editor.write(COUNT, &bytes);
    }
}

/// Builds a node cell by cell, in key order.
#[derive(Clone)]
pub(super) struct Builder {
    page: Box<Page>,
    count: usize,
    cells_start: usize,
}

impl Builder {
    pub(super) fn leaf() -> Builder {
        Builder::new(LEAF, 0)
    }

    pub(super) fn inner(level: u8, first_child: u32) -> Builder {
        let mut builder = Builder::new(INNER, level);
        builder.put(FIRST_CHILD, &first_child.to_le_bytes());
        builder
    }

    fn new(kind: u8, level: u8) -> Builder {
        let mut page = Box::new(Page::zeroed());
        page.bytes_mut()[KIND] = kind;
        page.bytes_mut()[LEVEL] = level;
        Builder {
            page,
            count: 0,
            cells_start: PAGE_SIZE,
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.page.bytes_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Bytes taken by cells and slots.
    pub(super) fn used(&self) -> usize {
        PAGE_SIZE - self.cells_start + SLOT * self.count
    }

    /// Adds a cell, or says that there is no room for it.
    #[must_use]
    pub(super) fn push(&mut self, cell: &[u8]) -> bool {
        let slot = SLOTS + SLOT * self.count;
        if slot + footprint(cell) > self.cells_start {
            return false;
        }
        self.cells_start -= cell.len();
        self.put(self.cells_start, cell);
        self.put(slot, &page_u16(self.cells_start).to_le_bytes());
        self.count += 1;
        true
    }

    pub(super) fn finish(&mut self) -> &Page {
        self.put(COUNT, &page_u16(self.count).to_le_bytes());
        self.put(CELLS_START, &page_u16(self.cells_start).to_le_bytes());
        &self.page
    }

    /// Adds cells of a node that were read from pages, which fit unless those are damaged.
    pub(super) fn extend(&mut self, id: PageId, cells: &[&[u8]]) -> Result<()> {
        if cells.iter().all(|cell| self.push(cell)) {
            return Ok(());
        }
        Err(corrupt(id, "the cells of a node overlap"))
    }
}

#[cfg(test)]
mod tests {
    use super::separator;

    #[test]
    fn a_separator_is_as_short_as_it_can_be() {
        assert_eq!(separator(b"apple", b"banana"), b"b");
        assert_eq!(separator(b"app", b"apple"), b"appl");
        assert_eq!(separator(b"", b"x"), b"x");
        assert_eq!(separator(b"ab1", b"ab2"), b"ab2");
    }
}
