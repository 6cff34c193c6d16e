//! The edits of a page as the log carries them.
//!
//! A list of operations, each starting with a little-endian u16:
//! - `offset`, `len: u16`, bytes: write the bytes at the offset;
//! - `SHIFT | from`, `to: u16`, `len: u16`: move `len` bytes within the page;
//! - `CLEAR`: zero the whole content.

use super::page::{PAGE_CONTENT, PAGE_SIZE, Page, page_u16};
use crate::base::bytes::Reader;

const SHIFT: u16 = 0x8000;
const CLEAR: u16 = 0x4000;

const _: () = assert!(PAGE_SIZE <= CLEAR as usize);

/// The unit in which runs of zeroes are left out of an image.
const WORD: usize = 8;

/// What a batch has recorded about one page.
pub(super) enum Edits {
    /// Operations on the version the copy was made from.
    Listed(Vec<u8>),
    /// Too many of them, or a fresh page: the final content says it shorter.
    Image,
    /// The log has them: no more may come.
    Taken,
}

impl Edits {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.record(&[page_u16(offset), page_u16(bytes.len())], bytes);
    }

    pub(super) fn shift(&mut self, from: usize, to: usize, len: usize) {
        self.record(&[page_u16(from) | SHIFT, page_u16(to), page_u16(len)], &[]);
    }

    fn record(&mut self, words: &[u16], bytes: &[u8]) {
        let Edits::Listed(list) = self else { return };
        if list.len() + 2 * words.len() + bytes.len() > PAGE_SIZE {
            *self = Edits::Image;
            return;
        }
        for word in words {
            list.extend_from_slice(&word.to_le_bytes());
        }
        list.extend_from_slice(bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Edits::Listed(list) if list.is_empty())
    }

    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Edits::Taken)
    }

    /// At least the bytes that [`Self::take`] will give: between two runs of an image lie as many
    /// zeroes as a run's head has bytes or more.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Edits::Listed(list) => list.len(),
            Edits::Image => PAGE_SIZE,
            Edits::Taken => 0,
        }
    }

    /// The bytes for the log, given the page as it has become; once.
    pub(super) fn take(&mut self, page: &Page) -> Option<Vec<u8>> {
        match std::mem::replace(self, Edits::Taken) {
            Edits::Listed(list) => Some(list),
            Edits::Image => Some(encode_image(page)),
            Edits::Taken => None,
        }
    }
}

/// The whole content, without its longer runs of zeroes.
fn encode_image(page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGE_SIZE / 2);
    out.extend_from_slice(&CLEAR.to_le_bytes());
    let bytes = page.bytes();
    let is_zero = |at: usize| bytes[at..at + WORD] == [0; WORD];
    let mut at = PAGE_CONTENT;
    while at < PAGE_SIZE {
        if is_zero(at) {
            at += WORD;
            continue;
        }
        let start = at;
        while at < PAGE_SIZE && !is_zero(at) {
            at += WORD;
        }
        out.extend_from_slice(&page_u16(start).to_le_bytes());
        out.extend_from_slice(&page_u16(at - start).to_le_bytes());
        out.extend_from_slice(&bytes[start..at]);
    }
    out
}

/// One operation of a list. Offsets are from the start of the page and lie, with the bytes they
/// stand for, in its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    Write {
        offset: usize,
        bytes: &'a [u8],
    },
    Shift {
        from: usize,
        to: usize,
        len: usize,
    },
    /// Begins an image: what no later write fills is zero.
    Clear,
}

/// The operations of a list. `None`, the last one then, for bytes that are no edits of a page.
pub fn edits(edits: &[u8]) -> impl Iterator<Item = Option<Edit<'_>>> {
    let mut rest = Reader::new(edits);
    std::iter::from_fn(move || {
        (rest.remaining() > 0).then(|| {
            let edit = edit(&mut rest);
            if edit.is_none() {
                rest = Reader::new(&[]);
            }
            edit
        })
    })
}

fn edit<'a>(edits: &mut Reader<'a>) -> Option<Edit<'a>> {
    let head = edits.u16()?;
    if head == CLEAR {
        return Some(Edit::Clear);
    }
    if head & SHIFT == 0 {
        let range = content_range(head, edits.u16()?)?;
        let bytes = edits.take(range.len())?;
        let offset = range.start;
        return Some(Edit::Write { offset, bytes });
    }
    let (to, len) = (edits.u16()?, edits.u16()?);
    let from = content_range(head & !SHIFT, len)?;
    let to = content_range(to, len)?.start;
    let (from, len) = (from.start, from.len());
    Some(Edit::Shift { from, to, len })
}

/// Does to the page what the edits say. `None` if they are not edits of a page; the page is then
/// half changed.
pub(super) fn apply(page: &mut Page, list: &[u8]) -> Option<()> {
    let page = page.bytes_mut();
    for edit in edits(list) {
        match edit? {
            Edit::Clear => page[PAGE_CONTENT..].fill(0),
            Edit::Shift { from, to, len } => page.copy_within(from..from + len, to),
            Edit::Write { offset, bytes } => {
                page[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
    Some(())
}

/// The range, if it lies in the content of a page.
fn content_range(offset: u16, len: u16) -> Option<std::ops::Range<usize>> {
    let start = usize::from(offset);
    let end = start + usize::from(len);
    (start >= PAGE_CONTENT && end <= PAGE_SIZE).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::{CLEAR, SHIFT, apply};
    use crate::pages::{PAGE_SIZE, Page, page_u16};

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn edits_outside_the_content_are_refused() {
        let end = page_u16(PAGE_SIZE);
        let bad: &[&[u16]] = &[
            &[0, 1, 0],
            &[15, 1, 0],
            &[end - 1, 2, 0],
            &[16, end - 15],
            &[16],
            &[16, 4, 0],
            &[SHIFT | 8, 16, 8],
            &[SHIFT | 16, 8, 8],
            &[SHIFT | 16, end - 2, 3],
            &[SHIFT | (end - 2), 16, 3],
            &[SHIFT | 16, 32],
            &[CLEAR | 1, 0],
        ];
        for edits in bad {
            assert!(
                apply(&mut Page::zeroed(), &words(edits)).is_none(),
                "{edits:?}"
            );
        }
        assert!(apply(&mut Page::zeroed(), &[16]).is_none());
        assert!(apply(&mut Page::zeroed(), &words(&[SHIFT | 16, end - 3, 3])).is_some());
    }
}
