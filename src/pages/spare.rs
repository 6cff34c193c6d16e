//! Pages that nobody uses any more, kept to be used again: what leaves the cache makes room for
//! what comes in, without a way through the allocator.

use super::page::{Page, PageRef};
use crate::base::sync::ArrayQueue;
use std::sync::Arc;

const PAGES_MAX: usize = 64;

pub(super) struct Spare(ArrayQueue<PageRef>);

impl Default for Spare {
    fn default() -> Spare {
        Spare(ArrayQueue::new(PAGES_MAX))
    }
}

impl Spare {
    /// Keeps a page if nobody else holds it and there is room.
    pub(super) fn give(&self, mut page: PageRef) {
        if Arc::get_mut(&mut page).is_some() {
            // Else it goes to the allocator.
            let _ = self.0.push(page);
        }
    }

    /// A page of the caller's own, with bytes that mean nothing.
    pub(super) fn take(&self) -> PageRef {
        self.0.pop().unwrap_or_else(|| Arc::new(Page::zeroed()))
    }

    /// A copy, of the caller's own.
    pub(super) fn copy(&self, page: &Page) -> PageRef {
        let mut copy = self.take();
        let bytes = Arc::get_mut(&mut copy).expect("nobody else has it");
        bytes.bytes_mut().copy_from_slice(page.bytes());
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::Spare;
    use crate::pages::Page;
    use std::sync::Arc;

    #[test]
    fn a_page_that_somebody_holds_is_not_used_again() {
        let spare = Spare::default();
        let (held, mut free) = (Arc::new(Page::zeroed()), Arc::new(Page::zeroed()));
        Arc::get_mut(&mut free).unwrap().bytes_mut()[99] = 7;
        spare.give(held.clone());
        spare.give(free);
        assert_eq!(spare.copy(&held).bytes(), held.bytes());
        assert!(!Arc::ptr_eq(&spare.take(), &held));
    }
}
