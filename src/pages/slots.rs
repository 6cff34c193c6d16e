//! Which slots of the data file are free.

use super::file::{FIRST_SLOT, SlotNumber};
use crate::base::{Error, Result, SqlState};

/// One bit per slot. Not stored: made from the page map when the first slot is wanted.
#[derive(Clone, Default)]
pub(super) struct Slots {
    /// Set for a slot in use.
    words: Vec<u64>,
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

    /// Gives a slot back.
    pub(super) fn free(&mut self, slot: SlotNumber) {
        let (word, bit) = split(slot);
        assert!(self.words[word] & bit != 0, "slot {slot} is freed twice");
        self.words[word] &= !bit;
        self.used -= 1;
        self.from = self.from.min(word);
    }

    /// Whether all that are in use in `other` are in use here.
    pub(super) fn contains(&self, other: &Slots) -> bool {
        let here = self.words.iter().chain(std::iter::repeat(&0));
        other.words.iter().zip(here).all(|(o, h)| o & !h == 0)
    }

    /// How many are in use.
    pub(super) fn used(&self) -> u32 {
        self.used
    }
}

fn split(slot: SlotNumber) -> (usize, u64) {
    ((slot / WORD_BITS) as usize, 1 << (slot % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::Slots;

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
