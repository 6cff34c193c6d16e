//! What the sessions share: the clock, the elements, and the few lists and sets in use at a time.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rand::RngExt;
use rand::rngs::StdRng;

use crate::record::{Element, Level, Time};

/// Lists in use at a time: few, so that transactions meet.
const ACTIVE: u32 = 6;
/// The lists in use move on by one after so many elements.
const ELEMENTS_PER_LIST: u32 = 24;
/// A range may begin at the last list in use.
const BEYOND: u32 = 4;

/// Lists that begin with one tag; some move to the next.
pub const LISTS_PER_TAG: u32 = 3;

pub struct World {
    pub level: Level,
    pub stop: AtomicBool,
    clock: AtomicU64,
    next_element: AtomicU32,
    /// Of the history at hand.
    first_list: u32,
    first_element: Element,
}

impl World {
    pub fn new(level: Level) -> World {
        World {
            level,
            stop: AtomicBool::new(false),
            clock: AtomicU64::new(1),
            next_element: AtomicU32::new(1),
            first_list: 3 * LISTS_PER_TAG,
            first_element: 1,
        }
    }

    /// The next history has lists of its own, and tags.
    pub fn next_history(&mut self) {
        self.first_list = (self.ids().end() / LISTS_PER_TAG + 4) * LISTS_PER_TAG;
        self.first_element = *self.next_element.get_mut();
    }

    pub fn tick(&self) -> Time {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub fn element(&self) -> Element {
        self.next_element.fetch_add(1, Ordering::Relaxed)
    }

    /// A list or a set in use.
    pub fn id(&self, rng: &mut StdRng) -> u32 {
        self.oldest() + rng.random_range(0..ACTIVE).min(rng.random_range(0..ACTIVE))
    }

    fn oldest(&self) -> u32 {
        let count = self.next_element.load(Ordering::Relaxed) - self.first_element;
        self.first_list + count / ELEMENTS_PER_LIST
    }

    /// All that this history has used.
    pub fn ids(&self) -> RangeInclusive<u32> {
        self.first_list..=self.oldest() + ACTIVE + BEYOND
    }
}
