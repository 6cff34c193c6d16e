//! Values too long for a leaf: a chain of pages of their own, full but for the last.

use super::node::{KIND, OVERFLOW};
use super::search::Source;
use super::sink::Sink;
use crate::base::{PageId, Result};
use crate::pages::{Batch, PAGE_SIZE, Page, PageRef, corrupt};

// | offset | bytes | what |
// |     16 |     1 | kind: OVERFLOW |
// |     17 |     3 | zero |
// |     20 |     4 | next link's page number, 0 in the last |
// |     24 |       | the bytes |
const NEXT: usize = KIND + 4;
const BYTES: usize = NEXT + 4;
const LINK_BYTES: usize = PAGE_SIZE - BYTES;

/// Not more than this is set aside on the word of a length that may be damaged.
const TRUSTED_BYTES: usize = 1 << 20;

/// Stores a value; the number of the chain's first page.
pub(super) fn write(sink: &mut impl Sink, value: &[u8]) -> Result<u32> {
    let mut next = 0;
    // From the last link to the first, since each names the one after it.
    for bytes in value.chunks(LINK_BYTES).rev() {
        let id = sink.allocate()?;
        let mut link = Page::zeroed();
        let content = link.bytes_mut();
        content[KIND] = OVERFLOW;
        content[NEXT..BYTES].copy_from_slice(&u32::to_le_bytes(next));
        content[BYTES..BYTES + bytes.len()].copy_from_slice(bytes);
        sink.write(id, &link)?;
        next = id.number;
    }
    Ok(next)
}

pub(super) fn read(source: &impl Source, first: PageId, len: u32) -> Result<Vec<u8>> {
    let mut value = Vec::with_capacity((len as usize).min(TRUSTED_BYTES));
    walk(source, first, len, |_, bytes| {
        value.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(value)
}

/// Frees the chain of a value.
pub(super) fn free(batch: &mut Batch<'_>, first: PageId, len: u32) -> Result<()> {
    let mut links = Vec::new();
    walk(batch, first, len, |id, _| {
        links.push(id);
        Ok(())
    })?;
    links.into_iter().try_for_each(|id| batch.free(id))
}

/// Visits the links of a chain. Ends even if it is damaged, since `len` says how many there are.
pub(super) fn walk(
    source: &impl Source,
    first: PageId,
    len: u32,
    mut visit: impl FnMut(PageId, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut id = first;
    let mut left = len as usize;
    while left > 0 {
        let page = open(source, id)?;
        let here = left.min(LINK_BYTES);
        visit(id, &page.bytes()[BYTES..BYTES + here])?;
        left -= here;
        let next = next(&page);
        if (next == 0) != (left == 0) {
            return Err(corrupt(id, "an overflow chain ends at the wrong place"));
        }
        id.number = next;
    }
    Ok(())
}

fn open(source: &impl Source, id: PageId) -> Result<PageRef> {
    if id.number == 0 {
        return Err(corrupt(id, "not an overflow page"));
    }
    let page = source.page(id)?;
    if page.bytes()[KIND] != OVERFLOW {
        return Err(corrupt(id, "not an overflow page"));
    }
    Ok(page)
}

fn next(page: &Page) -> u32 {
    page.u32_at(NEXT).unwrap_or(0)
}
