//! The page map: which slot of the data file holds a page.
//!
//! A radix tree of five levels over the space (20 bits) and the number (30 bits) of a page, with
//! 1024 entries in a node. A node fills a slot of the data file: its entries are the slots and
//! checksums of the nodes below it, in the lowest level those of pages; all zero where nothing is
//! stored. Nodes are loaded when they are first needed and stay in memory.
//!
//! Nodes are changed in memory and written copy-on-write by a checkpoint: those that changed go to
//! new slots, and with them all on the way to the root, whose place the superblock holds.
//!
//! # Clones
//! A space is one subtree, so a clone of it is one entry that points to the same node
//! ([`PageMap::share_space`]). [`Slots`] counts who points to a slot: entries of nodes, each node
//! counted once however many nodes point to it in turn. When a node changes that others point to,
//! its space gets one of its own, whose entries point to what is below in addition; the old one
//! has one pointer less. So the nodes above a page that changes become the clone's own one by one,
//! from the top, and what has no pointer left is free once the superblock does without it.

use super::checkpoint::SlotState;
use super::file::{Bytes, DataFile, Place, SLOT_SIZE, SlotNumber};
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
const _: () = assert!(FANOUT * 8 == SLOT_SIZE);

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

/// The level of the nodes each of which is a space's own.
const SPACE_LEVEL: usize = 2;
const _: () = assert!(LEVEL_BITS as usize * SPACE_LEVEL == SPACE_BITS as usize);

/// A node in memory, compared with what its place holds.
///
/// ```text
///            set                place                written
///   Stored ───────► Changed ───────────► Placed ───────────────► Stored
///                    ▲   ▲      set        │ │ not written
///                    │   └─────────────────┘ │
///                    └───────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The same.
    Stored,
    /// It has no place, and the entry above it is empty.
    Changed,
    /// The same, as soon as it is written.
    Placed,
}

struct Node {
    entries: Box<[Place; FANOUT]>,
    /// The nodes below that are in memory. None in the lowest level.
    below: Vec<Option<Box<Node>>>,
    state: State,
}

/// What a slot that is in use holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// A node; `path` are the entries that lead to it, those above its space left out.
    Node {
        level: usize,
        path: u32,
    },
    Page(PageId),
}

impl Held {
    /// Whether clones may share the slot.
    pub(super) fn is_of_space(&self) -> bool {
        match self {
            Held::Node { level, .. } => *level >= SPACE_LEVEL,
            Held::Page(_) => true,
        }
    }

    /// Differs for any two things that one space has slots for.
    pub(super) fn within_space(&self) -> u32 {
        const _: () = assert!(DEPTH < 8 && NUMBER_BITS == 30, "30 + 2 bits");
        match self {
            Held::Page(page) => page.number,
            Held::Node { level, path } => {
                let level = u32::try_from(*level).unwrap_or(LEVELS);
                1 << NUMBER_BITS | level << (NUMBER_BITS - 3) | path
            }
        }
    }
}

impl Node {
    fn new(level: usize) -> Node {
        let is_lowest = level + 1 == DEPTH;
        let mut below = Vec::new();
        below.resize_with(if is_lowest { 0 } else { FANOUT }, || None);
        Node {
            entries: Box::new([Place::NONE; FANOUT]),
            below,
            state: State::Changed,
        }
    }

    fn read(file: &DataFile, level: usize, place: Place) -> Result<Node> {
        let mut node = Node::new(level);
        let mut bytes: Box<Bytes> = Box::new([0; SLOT_SIZE]);
        file.read(place, &"a node of the page map", &mut bytes[..])?;
        for (entry, bytes) in node.entries.iter_mut().zip(bytes.chunks_exact(8)) {
            let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            *entry = Place {
                slot: word(&bytes[..4]),
                crc: word(&bytes[4..]),
            };
        }
        node.state = State::Stored;
        Ok(node)
    }

    fn encode(&self) -> Box<Bytes> {
        let mut bytes: Box<Bytes> = Box::new([0; SLOT_SIZE]);
        for (entry, bytes) in self.entries.iter().zip(bytes.chunks_exact_mut(8)) {
            bytes[..4].copy_from_slice(&entry.slot.to_le_bytes());
            bytes[4..].copy_from_slice(&entry.crc.to_le_bytes());
        }
        bytes
    }

    /// Before it is changed: gives up its place, the entry above. A node that clones share stays
    /// there for them, and this one's pointers are new ones.
    fn change(&mut self, place: &mut Place, slots: &mut SlotState) {
        if self.state == State::Changed {
            return;
        }
        if slots.is_shared(place.slot) {
            let pointed = self.entries.iter().filter(|entry| **entry != Place::NONE);
            pointed.for_each(|entry| slots.share(entry.slot));
        }
        slots.release(std::mem::take(place).slot);
        self.state = State::Changed;
    }

    /// Gives every changed node below, and this one, a slot.
    fn place(&mut self, changes: &mut Changes<'_>) -> Result<Place> {
        for (entry, below) in self.entries.iter_mut().zip(&mut self.below) {
            if let Some(node) = below.as_mut().filter(|node| node.state == State::Changed) {
                *entry = node.place(changes)?;
            }
        }
        let bytes = self.encode();
        let place = Place::of(changes.slots.allocate()?, &bytes[..]);
        self.state = State::Placed;
        changes.nodes.push((place.slot, bytes));
        Ok(place)
    }

    /// Of this node and those below it.
    fn memory(&self) -> usize {
        let own = SLOT_SIZE + size_of_val(&*self.below);
        let below = self.below.iter().flatten().map(|node| node.memory());
        own + below.sum::<usize>()
    }

    /// What was placed is written, or is not and has to be placed again.
    fn settle(&mut self, place: &mut Place, is_written: bool, slots: &mut SlotState) {
        for (entry, below) in self.entries.iter_mut().zip(&mut self.below) {
            // There is nothing placed below a node that is stored.
            if let Some(node) = below.as_mut().filter(|node| node.state != State::Stored) {
                node.settle(entry, is_written, slots);
            }
        }
        match self.state {
            State::Placed if is_written => self.state = State::Stored,
            State::Placed => self.change(place, slots),
            State::Stored | State::Changed => {}
        }
    }

    /// Takes the pointers of a node and of all below it away, as far as nobody else points there.
    /// What that takes is loaded.
    fn release(&mut self, level: usize, slots: &mut SlotState) {
        for (index, entry) in self.entries.iter().enumerate() {
            let is_kept = *entry != Place::NONE && !slots.release(entry.slot);
            if level + 1 < DEPTH && !is_kept {
                let below = self.below[index].as_mut();
                assert!(
                    below.is_some() || *entry == Place::NONE,
                    "it was not loaded"
                );
                below.into_iter().for_each(|b| b.release(level + 1, slots));
            }
        }
    }

    /// Loads the nodes below that nobody else points to.
    fn load_own(&mut self, file: &DataFile, level: usize, slots: &SlotState) -> Result<()> {
        if level + 1 == DEPTH {
            return Ok(());
        }
        for index in 0..FANOUT {
            let is_own = match self.entries[index] {
                Place::NONE => self.below[index].is_some(),
                place => !slots.is_shared(place.slot),
            };
            if is_own {
                self.load(file, level, index)?
                    .load_own(file, level + 1, slots)?;
            }
        }
        Ok(())
    }
}

/// What is to be written to store the map.
pub(super) struct Changes<'a> {
    pub(super) slots: &'a mut Slots,
    /// The nodes, each with its slot.
    pub(super) nodes: &'a mut Vec<(SlotNumber, Box<Bytes>)>,
}

/// The map of all spaces.
pub(super) struct PageMap {
    root: Node,
    stored: Place,
    /// Bytes of memory that its nodes take.
    memory: usize,
}

impl PageMap {
    /// The map whose root is stored at a place, or an empty one.
    pub(super) fn load(file: &DataFile, stored: Place) -> Result<PageMap> {
        let root = match stored {
            Place::NONE => Node::new(0),
            _ => Node::read(file, 0, stored)?,
        };
        Ok(PageMap {
            memory: root.memory(),
            root,
            stored,
        })
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
        self.load_to(file, page, DEPTH - 1)
    }

    fn load_to(&mut self, file: &DataFile, page: PageId, depth: usize) -> Result<()> {
        let Some(path) = path(page) else {
            return Ok(());
        };
        let mut node = &mut self.root;
        for (level, &index) in path[..depth].iter().enumerate() {
            if node.entries[index] == Place::NONE && node.below[index].is_none() {
                return Ok(());
            }
            let is_new = node.below[index].is_none();
            node = node.load(file, level, index)?;
            self.memory += if is_new { node.memory() } else { 0 };
        }
        Ok(())
    }

    /// Enters the place of a page, whose path is loaded, or none. The one it had is released.
    ///
    /// # Panics
    /// For a page that cannot be stored, none of which is ever allocated, and if the path is not
    /// loaded.
    pub(super) fn set(&mut self, page: PageId, place: Place, slots: &mut SlotState) {
        assert!(slots.are_made(), "what clones share must be known");
        let (node, index) = self.change_path(page, DEPTH - 1, slots);
        let before = std::mem::replace(&mut node.entries[index], place);
        if before != Place::NONE {
            slots.release(before.slot);
        }
    }

    /// Marks the nodes above a level on the way to a page as changed; gives the last of them, and
    /// the entry in it.
    fn change_path(
        &mut self,
        page: PageId,
        depth: usize,
        slots: &mut SlotState,
    ) -> (&mut Node, usize) {
        let path = path(page).expect("a page that can be stored");
        self.root.change(&mut self.stored, slots);
        let mut node = &mut self.root;
        for (level, &index) in path[..depth].iter().enumerate() {
            let entry = &mut node.entries[index];
            let below = &mut node.below[index];
            let below = below.get_or_insert_with(|| {
                assert!(*entry == Place::NONE, "the path was not loaded");
                let made = Box::new(Node::new(level + 1));
                self.memory += made.memory();
                made
            });
            below.change(entry, slots);
            node = below;
        }
        (node, path[depth])
    }

    /// The place of the root, if all that was changed is stored.
    pub(super) fn stored(&self) -> Option<Place> {
        (self.root.state == State::Stored).then_some(self.stored)
    }

    /// Gives the changed nodes new slots; the root's place comes out. Until that is durable the
    /// old ones must stay. [`PageMap::settle`] follows, after an error, too.
    pub(super) fn place(&mut self, changes: &mut Changes<'_>) -> Result<Place> {
        if self.root.state == State::Changed {
            self.stored = self.root.place(changes)?;
        }
        Ok(self.stored)
    }

    /// What was placed is written; or it could not be, and will be next time.
    pub(super) fn settle(&mut self, is_written: bool, slots: &mut SlotState) {
        self.root.settle(&mut self.stored, is_written, slots);
    }

    /// Bytes of memory that its nodes take.
    pub(super) fn memory(&self) -> u64 {
        self.memory as u64
    }

    /// Visits every slot in use, with what it holds; what is below a node only if `visit` says so.
    pub(super) fn visit(&mut self, file: &DataFile, visit: &mut Visit<'_>) -> Result<()> {
        if self.stored != Place::NONE {
            visit(self.stored, Held::Node { level: 0, path: 0 })?;
        }
        let visited = self.root.visit(file, 0, 0, visit);
        self.memory = self.root.memory();
        visited
    }
}

/// Told of a slot; says whether to go on below it.
pub(super) type Visit<'a> = dyn FnMut(Place, Held) -> Result<bool> + 'a;

/// Whole spaces.
impl PageMap {
    /// Loads the node with the entry of a space.
    pub(super) fn load_space(&mut self, file: &DataFile, space: u32) -> Result<()> {
        self.load_to(file, first_page(space), SPACE_LEVEL - 1)
    }

    fn space(&self, space: u32) -> Option<(Place, Option<&Node>)> {
        let path = path(first_page(space))?;
        let mut node = &self.root;
        for &index in &path[..SPACE_LEVEL - 1] {
            node = node.below[index].as_ref()?;
        }
        let index = path[SPACE_LEVEL - 1];
        Some((node.entries[index], node.below[index].as_deref()))
    }

    /// Whether a page of the space is stored or has been.
    pub(super) fn holds_space(&self, space: u32) -> bool {
        let found = self.space(space);
        found.is_some_and(|(place, node)| place != Place::NONE || node.is_some())
    }

    /// Whether the space's part of the map is in the file as it is in memory.
    pub(super) fn is_space_stored(&self, space: u32) -> bool {
        self.space(space).is_some_and(|(place, node)| {
            place != Place::NONE && node.is_none_or(|node| node.state == State::Stored)
        })
    }

    /// Has the map of a space, which holds nothing, point to that of another, which is stored.
    /// Both are loaded.
    pub(super) fn share_space(&mut self, from: u32, to: u32, slots: &mut SlotState) {
        assert!(self.is_space_stored(from) && !self.holds_space(to), "P14");
        let (place, _) = self.space(from).expect("it is stored");
        let (node, index) = self.change_path(first_page(to), SPACE_LEVEL - 1, slots);
        node.entries[index] = place;
        slots.share(place.slot);
    }

    /// Strikes a space from the map; its slots are released as far as no clone needs them.
    ///
    /// # Errors
    /// When a node cannot be loaded; nothing has changed then.
    pub(super) fn drop_space(
        &mut self,
        file: &DataFile,
        space: u32,
        slots: &mut SlotState,
    ) -> Result<()> {
        self.load_space(file, space)?;
        if !self.holds_space(space) {
            return Ok(());
        }
        let (place, _) = self.space(space).expect("it is there");
        if place == Place::NONE || !slots.is_shared(place.slot) {
            let node = self.node_above(space);
            let index = path(first_page(space)).expect("it is there")[SPACE_LEVEL - 1];
            node.load(file, SPACE_LEVEL - 1, index)?
                .load_own(file, SPACE_LEVEL, slots)?;
        }
        let (node, index) = self.change_path(first_page(space), SPACE_LEVEL - 1, slots);
        let place = std::mem::take(&mut node.entries[index]);
        let below = node.below[index].take();
        let is_kept = place != Place::NONE && !slots.release(place.slot);
        if let Some(mut below) = below.filter(|_| !is_kept) {
            below.release(SPACE_LEVEL, slots);
        }
        Ok(())
    }

    /// The node with the entry of a space, which is loaded.
    fn node_above(&mut self, space: u32) -> &mut Node {
        let path = path(first_page(space)).expect("it is there");
        let above = path[..SPACE_LEVEL - 1].iter();
        above.fold(&mut self.root, |node, &index| {
            node.below[index].as_mut().expect("it is loaded")
        })
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
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        for index in 0..FANOUT {
            let place = self.entries[index];
            let key = key << LEVEL_BITS | index as u64;
            if level + 1 == DEPTH {
                if place != Place::NONE {
                    visit(place, Held::Page(page_of(key)))?;
                }
                continue;
            }
            let level = level + 1;
            let goes_on = match place {
                Place::NONE => self.below[index].is_some(),
                place => visit(place, node_at(level, key))?,
            };
            if goes_on {
                self.load(file, level - 1, index)?
                    .visit(file, level, key, visit)?;
            }
        }
        Ok(())
    }
}

fn first_page(space: u32) -> PageId {
    PageId { space, number: 0 }
}

/// The node to which `level` entries lead, all of them in `key`.
fn node_at(level: usize, key: u64) -> Held {
    let bits = LEVEL_BITS as usize * level.saturating_sub(SPACE_LEVEL);
    let path = u32::try_from(key & ((1 << bits) - 1)).expect("masked");
    Held::Node { level, path }
}

fn page_of(key: u64) -> PageId {
    let low = |key: u64| u32::try_from(key & u64::from(u32::MAX)).expect("masked");
    PageId {
        space: low(key >> NUMBER_BITS),
        number: low(key & u64::from(NUMBERS - 1)),
    }
}
