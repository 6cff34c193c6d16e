//! One page: its size, its header, and checked reads of its bytes.

use crate::base::{Error, Lsn, PageId};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes in a page, in the cache and on disk: as many as fit into 8 KiB beside the two counts of
/// an [`Arc`] and what mimalloc adds to be sure of the alignment. With eight more each would take
/// 10 KiB, the allocator's next class.
pub const PAGE_SIZE: usize = 8192 - 3 * size_of::<usize>();

/// Bytes that a page takes in memory: with its counts, and what the eviction policy keeps of it.
pub const PAGE_MEMORY: u64 = 8192 + 64;

// The header: what the cache itself keeps in a page.
// | offset | bytes | what |
// |      0 |     8 | lsn of the version, stamped at installation, not part of any edit |
// |      8 |     4 | CRC-32 in the data file, zero in the cache |
// |     12 |     4 | zero |
const LSN: usize = 0;
const CRC: usize = 8;
/// Where the content of a page starts; below it is the cache's header.
pub const PAGE_CONTENT: usize = 16;

const _: () = assert!(LSN + 8 == CRC && CRC + 4 <= PAGE_CONTENT);
const _: () = assert!(PAGE_CONTENT.is_multiple_of(8) && PAGE_SIZE.is_multiple_of(8));
// Offsets and lengths within a page are stored as u16, with the top bits left for kinds of edits.
const _: () = assert!(PAGE_SIZE <= 0x4000);

/// An immutable version of a page.
pub type PageRef = Arc<Page>;

/// The bytes of a page.
#[derive(Clone)]
pub struct Page {
    bytes: [u8; PAGE_SIZE],
}

impl Page {
    pub fn zeroed() -> Page {
        Page {
            bytes: [0; PAGE_SIZE],
        }
    }

    pub fn bytes(&self) -> &[u8; PAGE_SIZE] {
        &self.bytes
    }

    /// The bytes, to build a page that is to become another's content
    /// ([`super::PageEditor::replace`]).
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        &mut self.bytes
    }

    /// The end lsn of the blob that made this version.
    pub fn lsn(&self) -> Lsn {
        let (bytes, _) = self.bytes.split_first_chunk().expect("a page has a header");
        Lsn(u64::from_le_bytes(*bytes))
    }

    pub(super) fn set_lsn(&mut self, lsn: Lsn) {
        self.bytes[LSN..LSN + 8].copy_from_slice(&lsn.0.to_le_bytes());
    }

    pub fn get(&self, offset: usize, len: usize) -> Option<&[u8]> {
        self.bytes.get(offset..)?.get(..len)
    }

    pub fn u16_at(&self, offset: usize) -> Option<u16> {
        let (bytes, _) = self.bytes.get(offset..)?.split_first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    }

    pub fn u32_at(&self, offset: usize) -> Option<u32> {
        let (bytes, _) = self.bytes.get(offset..)?.split_first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }
}

/// An offset or length within a page as it is stored.
///
/// # Panics
/// If it is not one: 65,536 or more.
pub fn page_u16(n: usize) -> u16 {
    u16::try_from(n).expect("an offset or length within a page")
}

/// A page does not hold what its reader must find there.
#[cold]
pub fn corrupt(page: PageId, what: impl Into<String>) -> Error {
    Error::Corrupt {
        file: PathBuf::from(format!("space {}", page.space)),
        offset: u64::from(page.number) * PAGE_SIZE as u64,
        what: format!("page {page}: {}", what.into()),
    }
}
