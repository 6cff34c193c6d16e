//! Files, directories and syncs: the only layer that touches `std::fs`.
//!
//! Everything above goes through [`Disk`] and [`File`], so that a simulated disk can stand in for
//! the real one and lose, tear or refuse what a real one may.
//!
//! What the layers above may rely on, and no more:
//! - D1: bytes are durable when `sync_data` (or `sync_all`) of their file returned `Ok` after they
//!   were written. Unsynced bytes may vanish, tear or appear in any order.
//! - D2: a name (created, renamed, removed) is durable when `sync_dir` of its directory returned
//!   `Ok` after the change.
//! - D3: a sync that failed is final: whether the bytes arrived is unknown and a later `Ok` says
//!   nothing about them.
//! - D4: a rename is atomic: the new name means the old file or the new one, never neither.
//! - D5: interrupted calls and short writes are continued inside; an `Err` is a refusal.
//!
//! Errors are [`Error::Io`](crate::base::Error::Io) and name the operation and the path.
//!
//! Entry points: [`RealDisk`], and the traits.

mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::path::Path;

use crate::base::Result;

pub use real::RealDisk;

/// The unit of a file that was opened by [`Disk::open_direct`].
pub const DIRECT_BLOCK: usize = 4096;

/// Directories and names. All files are private to the server's user (0600, directories 0700).
pub trait Disk: Send + Sync + 'static {
    /// Creates a directory. An existing one is an error.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Whether nobody but the owner may write in a directory, and others may not even look.
    fn is_private(&self, _path: &Path) -> Result<bool> {
        Ok(true)
    }
    /// Gives an existing directory the mode of a new one.
    fn make_private(&self, _path: &Path) -> Result<()> {
        Ok(())
    }
    /// Creates an empty file for reading and writing. An existing one is an error.
    fn create(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Opens an existing file only to read it, which takes no right to write. What does not tell
    /// the two apart opens it as any other.
    fn open_to_read(&self, path: &Path) -> Result<Box<dyn File>> {
        self.open(path)
    }
    /// Opens an existing file to be written past the system's cache, where the file system can:
    /// only whole blocks of [`DIRECT_BLOCK`] bytes, at multiples of it in the file, from memory
    /// that is aligned to it, and nothing to be read. A sync is needed all the same (D1).
    fn open_direct(&self, path: &Path) -> Result<Box<dyn File>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Renames a file, replacing `to` if it exists.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;
    /// The names in a directory, in no order. Names that are not UTF-8 are none of ours: left out.
    fn list(&self, path: &Path) -> Result<Vec<String>>;
    fn exists(&self, path: &Path) -> Result<bool>;
    /// Creates or opens a file and locks it exclusively, without waiting, until the guard is
    /// dropped or the process ends however it ends.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;
}

/// An open file. Positions are explicit, so one handle serves several threads.
pub trait File: Send + Sync {
    /// Reads until the buffer is full or the file ends; says how many bytes it read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes all the bytes, extending the file where needed.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()>;
    /// The length of the file in bytes.
    fn size(&self) -> Result<u64>;
    /// Cuts the file, or extends it with a hole that reads as zeros.
    fn set_size(&self, bytes: u64) -> Result<()>;
    /// Makes the bytes durable, and what is needed to find them (`fdatasync`).
    fn sync_data(&self) -> Result<()>;
    /// Makes the bytes and all metadata durable (`fsync`).
    fn sync_all(&self) -> Result<()>;
    /// Forgets the cached copy of synced bytes, so that the next read comes from the medium and
    /// not from a cache that outlived a failed sync. A hint: it may do nothing.
    fn forget_cached(&self, offset: u64, len: u64) -> Result<()>;
}

/// Holds a lock file until it is dropped.
pub trait Lock: Send + Sync {}
