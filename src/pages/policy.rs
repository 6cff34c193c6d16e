//! Which page goes when the cache is full.

use crate::base::PageId;
use std::collections::VecDeque;

/// What the cache says of a page that the policy proposes to evict.
pub(super) enum Verdict {
    Evicted,
    /// Read since it was last asked for; asking cleared the mark.
    Visited,
    /// Dirty, in use, or old versions of it are needed: it cannot go now.
    Pinned,
    /// Not in the cache any more.
    Gone,
}

pub(super) struct Policy {
    queue: VecDeque<PageId>,
}

impl Policy {
    pub(super) fn new(_capacity_pages: usize) -> Policy {
        Policy {
            queue: VecDeque::new(),
        }
    }

    pub(super) fn admit(&mut self, page: PageId) {
        self.queue.push_back(page);
    }

    pub(super) fn evict(&mut self, mut ask: impl FnMut(PageId) -> Verdict) -> bool {
        for _ in 0..32 {
            let Some(page) = self.queue.pop_front() else {
                return false;
            };
            match ask(page) {
                Verdict::Evicted => return true,
                Verdict::Visited | Verdict::Pinned => self.queue.push_back(page),
                Verdict::Gone => {}
            }
        }
        false
    }
}
