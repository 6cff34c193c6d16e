//! The page map: which slot of the data file holds a page.
//!
//! A radix tree of five levels over the space (20 bits) and the number (30 bits) of a page, with
//! 1024 entries in a node. A node is a page of the data file: its entries are the slots and
//! checksums of the nodes below it, in the lowest level those of pages; all zero where nothing is
//! stored. Nodes are loaded when they are first needed and stay in memory.
//!
//! Nodes are changed in memory and written copy-on-write by a checkpoint: those that changed go to
//! new slots, and with them all on the way to the root, whose place the superblock holds.

use super::file::{Bytes, DataFile, Place, SlotNumber};
use super::page::PAGE_SIZE;
use super::slots::Slots;
use crate::base::{PageId, Result};

/// Bits of the key that one level decides.
const LEVEL_BITS: u32 = 10;
const FANOUT: usize = 1 << LEVEL_BITS;
const MASK: u64 = FANOUT as u64 - 1;
const NUMBER_BITS: u32 = 30;
const SPACE_BITS: u32 = 20;
const LEVELS: u32 = 5;
const DEPTH: usize = LEVELS as usize;
const _: () = assert!(NUMBER_BITS + SPACE_BITS == LEVEL_BITS * LEVELS);
const _: () = assert!(FANOUT * 8 == PAGE_SIZE);

/// Pages from this number on, and spaces from this one on, cannot be stored.
pub(super) const NUMBERS: u32 = 1 << NUMBER_BITS;
pub(super) const SPACES: u32 = 1 << SPACE_BITS;

/// The entry to follow at each level, the root's first.
fn path(page: PageId) -> Option<[usize; DEPTH]> {
    if page.number >= NUMBERS || page.space >= SPACES {
        return None;
    }
    let key = u64::from(page.space) << NUMBER_BITS | u64::from(page.number);
    let shifts = (0..LEVELS).rev().map(|level| level * LEVEL_BITS);
    let mut path = [0; DEPTH];
    for (index, shift) in path.iter_mut().zip(shifts) {
        *index = usize::try_from(key >> shift & MASK).expect("masked");
    }
    Some(path)
}

struct Node {
    entries: Box<[Place; FANOUT]>,
    /// The nodes below that are in memory. None in the lowest level.
    below: Vec<Option<Box<Node>>>,
    /// Whether this node or one below it differs from what is stored.
    changed: bool,
}

impl Node {
    fn new(level: usize) -> Node {
        let is_lowest = level + 1 == DEPTH;
        let mut below = Vec::new();
        below.resize_with(if is_lowest { 0 } else { FANOUT }, || None);
        Node {
            entries: Box::new([Place::NONE; FANOUT]),
            below,
            changed: false,
        }
    }

    fn read(file: &DataFile, level: usize, place: Place) -> Result<Node> {
        let mut node = Node::new(level);
        let mut bytes: Box<Bytes> = Box::new([0; PAGE_SIZE]);
        file.read(place, &"a node of the page map", &mut bytes)?;
        for (entry, bytes) in node.entries.iter_mut().zip(bytes.chunks_exact(8)) {
            let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            *entry = Place {
                slot: word(&bytes[..4]),
                crc: word(&bytes[4..]),
            };
        }
        Ok(node)
    }

    fn encode(&self) -> Box<Bytes> {
        let mut bytes: Box<Bytes> = Box::new([0; PAGE_SIZE]);
        for (entry, bytes) in self.entries.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes[..4].copy_from_slice(&entry.slot.to_le_bytes());
            bytes[4..].copy_from_slice(&entry.crc.to_le_bytes());
        }
        bytes
    }

    /// Gives every changed node below, and this one, a new slot. What they held before is `freed`.
    fn place(&mut self, before: SlotNumber, changes: &mut Changes<'_>) -> Result<Place> {
        for (entry, below) in self.entries.iter_mut().zip(&mut self.below) {
            if let Some(node) = below.as_mut().filter(|node| node.changed) {
                *entry = node.place(entry.slot, changes)?;
            }
        }
        let bytes = self.encode();
        let place = Place::of(changes.slots.allocate()?, &bytes);
        self.changed = false;
        if before != 0 {
            changes.freed.push(before);
        }
        changes.nodes.push((place.slot, bytes));
        Ok(place)
    }

    fn mark_changed(&mut self) {
        self.changed = true;
        self.below
            .iter_mut()
            .flatten()
            .for_each(|node| node.mark_changed());
    }
}

/// What is to be written to store the map.
pub(super) struct Changes<'a> {
    pub(super) slots: &'a mut Slots,
    /// The nodes, each with its slot.
    pub(super) nodes: &'a mut Vec<(SlotNumber, Box<Bytes>)>,
    /// The slots that hold what these nodes were.
    pub(super) freed: Vec<SlotNumber>,
}

/// The map of all spaces.
pub(super) struct PageMap {
    root: Node,
    stored: Place,
}

impl PageMap {
    /// The map whose root is stored at a place, or an empty one.
    pub(super) fn load(file: &DataFile, stored: Place) -> Result<PageMap> {
        let root = match stored {
            Place::NONE => Node::new(0),
            _ => Node::read(file, 0, stored)?,
        };
        Ok(PageMap { root, stored })
    }

    /// The place of a page, [`Place::NONE`] if it is not stored; or `None` if that takes nodes
    /// which [`PageMap::load_path`] must load first.
    pub(super) fn get(&self, page: PageId) -> Option<Place> {
        let Some(path) = path(page) else {
            return Some(Place::NONE);
        };
        let mut node = &self.root;
        for &index in &path[..DEPTH - 1] {
            node = match &node.below[index] {
                Some(below) => below,
                None if node.entries[index] == Place::NONE => return Some(Place::NONE),
                None => return None,
            };
        }
        Some(node.entries[path[DEPTH - 1]])
    }

    /// Loads the nodes on the way to a page, as far as they are stored.
    pub(super) fn load_path(&mut self, file: &DataFile, page: PageId) -> Result<()> {
        let Some(path) = path(page) else {
            return Ok(());
        };
        let mut node = &mut self.root;
        for (level, &index) in path[..DEPTH - 1].iter().enumerate() {
            if node.entries[index] == Place::NONE && node.below[index].is_none() {
                return Ok(());
            }
            node = node.load(file, level, index)?;
        }
        Ok(())
    }

    /// Enters the place of a page, whose path is loaded, and gives the one it had.
    ///
    /// # Panics
    /// For a page that cannot be stored, none of which is ever allocated, and if the path is not
    /// loaded.
    pub(super) fn set(&mut self, page: PageId, place: Place) -> Place {
        let path = path(page).expect("a page that can be stored");
        let mut node = &mut self.root;
        for (level, &index) in path[..DEPTH - 1].iter().enumerate() {
            node.changed = true;
            let is_stored = node.entries[index] != Place::NONE;
            node = node.below[index].get_or_insert_with(|| {
                assert!(!is_stored, "the path was not loaded");
                Box::new(Node::new(level + 1))
            });
        }
        node.changed = true;
        std::mem::replace(&mut node.entries[path[DEPTH - 1]], place)
    }

    /// Gives the changed nodes their new slots; the root's place comes out. Until that is durable
    /// the old ones must stay. After an error, as after one in writing the nodes, comes
    /// [`PageMap::mark_changed`].
    pub(super) fn place(&mut self, changes: &mut Changes<'_>) -> Result<Place> {
        if self.root.changed {
            self.stored = self.root.place(self.stored.slot, changes)?;
        }
        Ok(self.stored)
    }

    /// After nodes could not be written: all in memory will be, next time.
    pub(super) fn mark_changed(&mut self) {
        self.root.mark_changed();
    }

    /// Visits every slot in use: nodes and pages, `None` for a node.
    pub(super) fn visit(
        &mut self,
        file: &DataFile,
        visit: &mut dyn FnMut(Place, Option<PageId>) -> Result<()>,
    ) -> Result<()> {
        if self.stored != Place::NONE {
            visit(self.stored, None)?;
        }
        self.root.visit(file, 0, 0, visit)
    }
}

impl Node {
    /// The node below an entry, loaded or made if need be.
    fn load(&mut self, file: &DataFile, level: usize, index: usize) -> Result<&mut Node> {
        let below = &mut self.below[index];
        if below.is_none() {
            let node = match self.entries[index] {
                Place::NONE => Node::new(level + 1),
                place => Node::read(file, level + 1, place)?,
            };
            *below = Some(Box::new(node));
        }
        Ok(below.as_mut().expect("made above"))
    }

    fn visit(
        &mut self,
        file: &DataFile,
        level: usize,
        key: u64,
        visit: &mut dyn FnMut(Place, Option<PageId>) -> Result<()>,
    ) -> Result<()> {
        for index in 0..FANOUT {
            let place = self.entries[index];
            let key = key << LEVEL_BITS | index as u64;
            if level + 1 == DEPTH {
                if place != Place::NONE {
                    visit(place, Some(page_of(key)))?;
                }
                continue;
            }
            if place != Place::NONE {
                visit(place, None)?;
            }
            if place != Place::NONE || self.below[index].is_some() {
                self.load(file, level, index)?
                    .visit(file, level + 1, key, visit)?;
            }
        }
        Ok(())
    }
}

fn page_of(key: u64) -> PageId {
    let low = |key: u64| u32::try_from(key & u64::from(u32::MAX)).expect("masked");
    PageId {
        space: low(key >> NUMBER_BITS),
        number: low(key & u64::from(NUMBERS - 1)),
    }
}
