//! Several trees read as one.

use super::cursor::Cursor;
use super::value::ValueRef;
use crate::base::Result;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The entries of several trees in key order, or against it. Where trees have the same key, the
/// entry of the one given first counts.
pub struct Merge {
    cursors: Vec<Cursor>,
    backward: bool,
    heads: BinaryHeap<Head>,
    /// Whose entry was given last, and is to move on; before the first entry all are.
    given: Given,
}

enum Given {
    Nothing,
    Of(usize),
}

/// The entry a cursor stands at.
struct Head {
    key: SmallVec<[u8; 32]>,
    source: usize,
    backward: bool,
}

impl Merge {
    /// Each cursor is before its first entry, or, to go backward, behind its last.
    pub fn new(cursors: Vec<Cursor>, backward: bool) -> Merge {
        Merge {
            heads: BinaryHeap::with_capacity(cursors.len()),
            cursors,
            backward,
            given: Given::Nothing,
        }
    }

    /// The next entry, and whether other trees have its key, too.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the cursor"
    )]
    pub fn next(&mut self) -> Result<Option<(&[u8], ValueRef<'_>, bool)>> {
        match self.given {
            Given::Nothing => (0..self.cursors.len()).try_for_each(|i| self.advance(i))?,
            Given::Of(source) => self.advance(source)?,
        }
        let Some(head) = self.heads.pop() else {
            // There is nothing to move on any more.
            self.cursors.clear();
            self.given = Given::Nothing;
            return Ok(None);
        };
        let mut is_repeated = false;
        while self.heads.peek().is_some_and(|next| next.key == head.key) {
            let hidden = self.heads.pop().expect("just seen");
            self.advance(hidden.source)?;
            is_repeated = true;
        }
        self.given = Given::Of(head.source);
        let entry = self.cursors[head.source].current(self.backward)?;
        Ok(entry.map(|(key, value)| (key, value, is_repeated)))
    }

    /// Moves a cursor to its next entry.
    fn advance(&mut self, source: usize) -> Result<()> {
        let cursor = &mut self.cursors[source];
        let entry = match self.backward {
            false => cursor.next()?,
            true => cursor.prev()?,
        };
        if let Some((key, _)) = entry {
            self.heads.push(Head {
                key: SmallVec::from_slice(key),
                source,
                backward: self.backward,
            });
        }
        Ok(())
    }
}

impl Ord for Head {
    /// The greatest comes out of the heap first.
    fn cmp(&self, other: &Head) -> Ordering {
        let keys = self.key.cmp(&other.key);
        let keys = if self.backward { keys } else { keys.reverse() };
        keys.then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
