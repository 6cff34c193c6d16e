//! Which slots of the data file are free, and which are used by several spaces.

use super::file::{FIRST_SLOT, SlotNumber};
use super::map::Held;
use crate::base::{Error, Result, SqlState};
use rustc_hash::FxHashMap;

/// One bit per slot. Not stored: made from the page map when the first slot is wanted.
#[derive(Clone, Default)]
pub(super) struct Slots {
    /// Set for a slot in use.
    words: Vec<u64>,
    /// Slots that several nodes of the page map point to: how many besides the first.
    shared: FxHashMap<SlotNumber, u32>,
    used: u32,
    /// No word before this one has a free slot.
    from: usize,
}

const WORD_BITS: u32 = u64::BITS;

impl Slots {
    /// With the superblocks' own slots in use.
    pub(super) fn new() -> Slots {
        let mut slots = Slots::default();
        (0..FIRST_SLOT).for_each(|slot| assert!(slots.mark(slot)));
        slots
    }

    /// Takes a slot that is stored to be in use; `false` if it was taken already.
    pub(super) fn mark(&mut self, slot: SlotNumber) -> bool {
        let (word, bit) = split(slot);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.used += u32::from(is_new);
        is_new
    }

    /// The lowest free slot, which makes the file longer if there is none below its end.
    pub(super) fn allocate(&mut self) -> Result<SlotNumber> {
        let word = (self.from..self.words.len())
            .find(|&word| self.words[word] != u64::MAX)
            .unwrap_or(self.words.len());
        self.from = word;
        let bits = self.words.get(word).copied().unwrap_or(0);
        let slot = u32::try_from(word).ok();
        let slot = slot.and_then(|word| {
            word.checked_mul(WORD_BITS)?
                .checked_add(bits.trailing_ones())
        });
        let slot = slot.ok_or_else(|| Error::new(SqlState::DISK_FULL, "the data file is full"))?;
        self.mark(slot);
        Ok(slot)
    }

    /// One more points to a slot in use.
    pub(super) fn share(&mut self, slot: SlotNumber) {
        *self.shared.entry(slot).or_default() += 1;
    }

    /// Whether more than one points to a slot.
    pub(super) fn is_shared(&self, slot: SlotNumber) -> bool {
        self.shared.contains_key(&slot)
    }

    /// One less points to a slot; `true` if none is left. It is in use still.
    pub(super) fn release(&mut self, slot: SlotNumber) -> bool {
        let Some(others) = self.shared.get_mut(&slot) else {
            return true;
        };
        *others -= 1;
        if *others == 0 {
            self.shared.remove(&slot);
        }
        false
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, slot: SlotNumber) {
        let (word, bit) = split(slot);
        assert!(self.words[word] & bit != 0, "slot {slot} is freed twice");
        self.words[word] &= !bit;
        self.used -= 1;
        self.from = self.from.min(word);
    }

    /// Whether all that are in use in `other` are in use here, and shared as often.
    pub(super) fn contains(&self, other: &Slots) -> bool {
        if self.shared != other.shared {
            return false;
        }
        let here = self.words.iter().chain(std::iter::repeat(&0));
        other.words.iter().zip(here).all(|(o, h)| o & !h == 0)
    }

    /// How many are in use.
    pub(super) fn used(&self) -> u32 {
        self.used
    }
}

/// Counts who points to each slot, while the page map is visited.
pub(super) struct Census {
    pub(super) slots: Slots,
    /// What each slot was found to hold, as [`Held::within_space`] tells it.
    held: Vec<u32>,
}

/// What nothing is within a space.
const NOT_OF_SPACE: u32 = u32::MAX;

impl Census {
    pub(super) fn new() -> Census {
        Census {
            slots: Slots::new(),
            held: Vec::new(),
        }
    }

    /// One more points to a slot; whether it is the first. `None`: the slot is used twice, by what
    /// no clone shares.
    pub(super) fn count(&mut self, slot: SlotNumber, held: Held) -> Option<bool> {
        let held = match held.is_of_space() {
            true => held.within_space(),
            false => NOT_OF_SPACE,
        };
        let at = slot as usize;
        if self.slots.mark(slot) {
            self.held.resize(self.held.len().max(at + 1), NOT_OF_SPACE);
            self.held[at] = held;
            return Some(true);
        }
        let first = self.held.get(at).copied().unwrap_or(NOT_OF_SPACE);
        (held == first && held != NOT_OF_SPACE).then(|| {
            self.slots.share(slot);
            false
        })
    }
}

fn split(slot: SlotNumber) -> (usize, u64) {
    ((slot / WORD_BITS) as usize, 1 << (slot % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::super::map::Held;
    use super::{Census, Slots};
    use crate::base::PageId;

    fn page(space: u32, number: u32) -> Held {
        Held::Page(PageId { space, number })
    }

    #[test]
    fn clones_share_what_is_in_the_same_place_of_each_and_nothing_else() {
        let node = |level, path| Held::Node { level, path };
        let mut census = Census::new();
        for (slot, held) in [
            (2, node(1, 0)),
            (3, node(2, 0)),
            (4, node(3, 5)),
            (5, page(1, 5)),
        ] {
            assert_eq!(census.count(slot, held), Some(true));
        }
        assert_eq!(census.count(3, node(2, 0)), Some(false));
        assert_eq!(census.count(5, page(7, 5)), Some(false));
        for (slot, held) in [
            (0, page(1, 0)),
            (2, node(1, 0)),
            (3, node(3, 0)),
            (4, node(3, 6)),
            (5, page(7, 6)),
            (5, node(4, 5)),
        ] {
            assert_eq!(census.count(slot, held), None, "slot {slot}");
        }
        let mut slots = census.slots;
        assert!(slots.is_shared(3) && !slots.is_shared(4));
        assert!(!slots.release(3) && slots.release(3) && slots.release(4));
    }

    #[test]
    fn the_lowest_free_slot_is_given_out_and_none_twice() {
        let mut slots = Slots::new();
        assert!(slots.mark(4) && !slots.mark(4));
        let given: Vec<u32> = (0..200).map(|_| slots.allocate().unwrap()).collect();
        let expected: Vec<u32> = (2..203).filter(|slot| *slot != 4).collect();
        assert_eq!(given, expected);
        slots.free(130);
        slots.free(7);
        assert_eq!(slots.used(), 201);
        assert_eq!(slots.allocate().unwrap(), 7);
        assert_eq!(slots.allocate().unwrap(), 130);
        assert_eq!(slots.allocate().unwrap(), 203);
    }

    #[test]
    #[should_panic = "freed twice"]
    fn a_slot_is_not_freed_twice() {
        let mut slots = Slots::new();
        let slot = slots.allocate().unwrap();
        slots.free(slot);
        slots.free(slot);
    }
}
