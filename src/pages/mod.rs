//! The page cache: pages in versions, each stamped with the end lsn of the blob that made it, and
//! the editor through which a transaction changes them.
//!
//! The life of a change: a commit latches its trees ([`Pages::latch`]), edits private copies
//! ([`Batch::edit`]), turns them into log records ([`Batch::finish`], [`Finished::take_edits`]),
//! reserves its lsn and installs ([`Finished::install`]). Recovery does the same from the log
//! ([`Pages::apply`]). A reader registers a snapshot ([`Snapshots`]) and asks for pages at it
//! ([`Pages::read`]).
//!
//! Pages live in memory in versions and in the data file in one, that of the last checkpoint
//! ([`Pages::checkpoint`]); where, the page map tells (`map.rs`, and `file.rs` for the format). A
//! page of which nothing is in memory is loaded when it is read, and one that is clean may be
//! evicted (`policy.rs` says which; older versions that snapshots need go to `spill.rs`). Whole new pages of a large
//! transaction are stored before it commits (`bulk.rs`). Spaces are cloned without copying any
//! page, and dropped (`spaces.rs`).
//!
//! # Invariants
//! - **P1** The versions of a page have strictly rising lsns, and an installed version never
//!   changes.
//! - **P2** Who edits a page holds the exclusive latch of its tree (for page 0 of a space and its
//!   free list: the allocator's latch, which is the latch of page 0) from before the first copy
//!   until after installation. So a page's log records follow each other in lsn order and each
//!   names the version it was made from.
//! - **P3** Latches are taken in tree order, allocators' last, spaces ascending. A latch is never
//!   held across an await, nor taken twice by one thread.
//! - **P4** The edits of a page, applied to the version named by `base`, give the installed page
//!   byte for byte (but for the lsn, which the installer stamps). A base of lsn 0
//!   means that the page starts as zeroes, whatever it held before.
//! - **P5** A registered snapshot's versions stay: for every live snapshot the newest version at
//!   or below it, and for snapshots yet to come the newest version at or below the collector's
//!   floor and all above it. What lies between them goes when a later version of the page is
//!   installed.
//! - **P6** A snapshot is registered first and checked against the floor after; the collector
//!   raises the floor first and looks for snapshots after (all SeqCst). So one of the two always
//!   sees the other.
//! - **P7** A freed page keeps its versions until a checkpoint at which it is free and no snapshot
//!   reads it ([`Pages::checkpoint`] blanks it, so that its slot is free and a load may take it);
//!   freeing edits the free list's trunk page only. Page 0 of a space is its allocator, and the
//!   first page allocated in a space is number 1.
//! - **P8** Bytes of pages and records never panic here: [`crate::base::Error::Corrupt`].
//! - **P9** A page's chain knows all versions that anybody may ask for, and where each is: in
//!   memory, in the data file (the newest of a clean page) or in the spill file (older ones:
//!   `spill.rs`); if the chain is empty, the data file holds the only one. So the newest version of
//!   a dirty page stays in memory, and so does one that a batch holds; and while a page is loaded
//!   nothing of it is installed, so that its slot stays its own.
//!   `whatever_happens_to_the_data_file_snapshots_and_restarts_find_their_versions`,
//!   `readers_find_their_versions_while_pages_are_stored_evicted_and_loaded`.
//! - **P10** A slot that the durable superblock needs, by way of its map, is never written. So a
//!   crash at any moment leaves a whole database, as of the superblock's position in the log, and
//!   a log behind it. The first test of P9.
//! - **P11** A superblock that was read is made durable before the log in front of it may go.
//! - **P12** What is read from the data file has the checksum that whoever points to it knows, so
//!   a page that is rotten, misplaced or older than it should be is never served, and never stored
//!   again by a checkpoint, which writes only what it finds in memory.
//!   `damaged_and_swapped_pages_are_found_and_never_served`.
//! - **P13** A page that is stored before it is committed lies in a pending extent, is written once
//!   and never changed before the commit, and is synced before its blob is published. A durable map
//!   names no slot that is not synced, for each of its syncs comes after the writes it tells of.
//!   `stored_pages_come_with_their_commit_or_not_at_all`.
//! - **P14** A space is cloned only when a durable checkpoint holds all that was ever installed in
//!   it and nobody writes to it, from that check until the clone's blob is durable and the clone
//!   is in the map. So between any checkpoint that recovery may begin with and that blob the log
//!   has no edits of the template, and the template's map is, in every superblock of that stretch,
//!   the one that the clone took: replay finds it again. A checkpoint whose lsn lies in front of
//!   the blob may store the clone all the same, since the blob is durable by then; replay leaves
//!   it as it is, for its pages have the versions that the log goes on from. A dropped space
//!   leaves the map with a checkpoint behind its blob, so edits in front of the blob find their
//!   pages; its number is used again only when that checkpoint is durable.
//!   `clones_and_their_templates_diverge_and_survive_whatever_happens`.

mod allocator;
mod batch;
mod bulk;
mod cache;
mod check;
mod checkpoint;
mod counter;
mod edits;
mod file;
mod growing;
mod latch;
mod map;
mod page;
mod policy;
mod slots;
mod snapshots;
mod spaces;
mod spill;
mod versions;

#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod tests;

pub use allocator::{Extent, FreeList};
pub use batch::{Batch, Finished, PageEditor};
pub use bulk::STORED_LSN;
pub use cache::{CacheStats, Pages, SpaceReads};
pub use check::FileReport;
pub use checkpoint::{Checkpointed, Start};
pub use edits::{Edit, edits};
pub use latch::Latch;
pub use page::{PAGE_CONTENT, PAGE_MEMORY, PAGE_SIZE, Page, PageRef, corrupt, page_u16};
pub use snapshots::{Snapshot, SnapshotSlot, Snapshots};
pub use spaces::{PreparedSpaceChange, SpaceChange};
