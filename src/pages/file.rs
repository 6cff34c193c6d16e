//! The data file: slots of 8 KiB each, and what stands in them.
//!
//! Slots 0 and 1 hold two copies of the superblock; every other slot holds a page, a node of the
//! [page map](super::map), or nothing that anybody needs. A slot in use is never overwritten: what
//! changes goes to a free one, and the old one is free once a superblock that does without it is
//! durable in both copies. Who points to a slot knows the checksum of what it holds, so damage, a
//! write that was lost and one that went elsewhere are all noticed when it is read.
//!
//! | superblock | bytes | |
//! |---|---|---|
//! | magic | u64 | `WALNUTDF` |
//! | database id | u64 | a file of another database is not ours |
//! | sequence | u64 | one more with every checkpoint |
//! | position | 5 × u64, u32 | where the log goes on: lsn, segment, offset, group, incarnation, previous CRC |
//! | next transaction | u64 | no id below it is given out again |
//! | map root | u32, u32 | slot and CRC of the page map's root; slot 0: no page is stored |
//! | CRC | u32 | of all before it |
//!
//! All integers are little-endian. The copies are written one after the other, each synced before
//! the next: at any moment one of them is whole.

use super::page::PAGE_SIZE;
use crate::base::bytes::Reader;
use crate::base::sync::{AtomicU32, Ordering};
use crate::base::{Error, Lsn, Result};
use crate::disk::{Disk, File};
use crate::wal::Position;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A slot, by number.
pub(super) type SlotNumber = u32;

/// Bytes of a slot: a node of the page map, or a page and a few zeros.
pub(super) const SLOT_SIZE: usize = 8192;
const _: () = assert!(PAGE_SIZE <= SLOT_SIZE);

/// The copies of the superblock: 0 and 1.
const COPIES: SlotNumber = 2;
/// The lowest slot that can hold a page.
pub(super) const FIRST_SLOT: SlotNumber = COPIES;

const MAGIC: u64 = u64::from_le_bytes(*b"WALNUTDF");
const SUPERBLOCK_BYTES: usize = 8 + 8 + 8 + (5 * 8 + 4) + 8 + (4 + 4) + 4;
const _: () = assert!(SUPERBLOCK_BYTES <= 512, "within one sector");

/// Where something is stored, and its checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// 0: nowhere.
    pub(super) slot: SlotNumber,
    pub(super) crc: u32,
}

impl Place {
    pub(super) const NONE: Place = Place { slot: 0, crc: 0 };

    /// The place of these bytes in a slot.
    pub(super) fn of(slot: SlotNumber, bytes: &[u8]) -> Place {
        let crc = crc32fast::hash(bytes);
        Place { slot, crc }
    }
}

/// What a checkpoint leaves behind: a whole database, and where its log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) sequence: u64,
    pub(super) position: Position,
    pub(super) next_txn: u64,
    pub(super) root: Place,
}

impl Superblock {
    fn encode(&self, database: u64) -> [u8; SUPERBLOCK_BYTES] {
        let at = &self.position;
        let words = [MAGIC, database, self.sequence]
            .into_iter()
            .chain([at.lsn.0, at.segment, at.offset, at.group, at.incarnation])
            .flat_map(u64::to_le_bytes);
        let halves = |words: [u32; 1]| words.into_iter().flat_map(u32::to_le_bytes);
        let mut bytes: Vec<u8> = words.chain(halves([at.previous_crc])).collect();
        bytes.extend_from_slice(&self.next_txn.to_le_bytes());
        bytes.extend(halves([self.root.slot]));
        bytes.extend(halves([self.root.crc]));
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields of a superblock")
    }

    /// The superblock and the database it belongs to, if the bytes are whole.
    fn decode(bytes: &[u8; SUPERBLOCK_BYTES]) -> Option<(u64, Superblock)> {
        let (body, crc) = bytes.split_at(SUPERBLOCK_BYTES - 4);
        if crc != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        let mut reader = Reader::new(body);
        if reader.u64()? != MAGIC {
            return None;
        }
        let database = reader.u64()?;
        let superblock = Superblock {
            sequence: reader.u64()?,
            position: Position {
                lsn: Lsn(reader.u64()?),
                segment: reader.u64()?,
                offset: reader.u64()?,
                group: reader.u64()?,
                incarnation: reader.u64()?,
                previous_crc: reader.u32()?,
            },
            next_txn: reader.u64()?,
            root: Place {
                slot: reader.u32()?,
                crc: reader.u32()?,
            },
        };
        Some((database, superblock))
    }
}

/// An open data file.
pub(super) struct DataFile {
    file: Box<dyn File>,
    path: PathBuf,
    database: u64,
    /// The copy of the superblock to be written first: if one is damaged or older, that one.
    first_copy: AtomicU32,
    /// The first sync that failed.
    failure: OnceLock<Error>,
}

impl DataFile {
    /// Makes the file of a new database, replacing what an interrupted attempt left. Its bytes are
    /// durable; its name is the caller's part.
    pub(super) fn create(disk: &dyn Disk, path: &Path, database: u64) -> Result<()> {
        if disk.exists(path)? {
            disk.remove(path)?;
        }
        let data = DataFile::over(disk.create(path)?, path, database);
        data.file
            .write_all_at(&[0; COPIES as usize * SLOT_SIZE], 0)?;
        data.write_superblock(&Superblock {
            sequence: 0,
            position: Position::START,
            next_txn: 1,
            root: Place::NONE,
        })?;
        data.file.sync_all()
    }

    /// Opens the file and finds its newest superblock.
    ///
    /// # Errors
    /// `Corrupt` if both copies are damaged or belong to another database.
    pub(super) fn open(disk: &dyn Disk, path: &Path, database: u64) -> Result<(Self, Superblock)> {
        let data = DataFile::over(disk.open(path)?, path, database);
        let (newest, damage) = data.newest_superblock();
        damage.iter().for_each(|error| tracing::warn!("{error}"));
        let newest = match newest {
            Some(newest) => newest,
            None => data.read_superblock(0)?,
        };
        // It may have been read from the system's cache only, after a crash or a failed sync, and
        // the length of the file likewise. Now both copies are durable, and the log in front can
        // go.
        data.file.set_size(data.file.size()?)?;
        data.write_superblock(&newest)?;
        Ok((data, newest))
    }

    /// Opens the file to look at it; with what is wrong with the copies of its superblock.
    pub(super) fn open_to_read(
        disk: &dyn Disk,
        path: &Path,
        database: u64,
    ) -> Result<(Self, Option<Superblock>, Vec<Error>)> {
        let data = DataFile::over(disk.open_to_read(path)?, path, database);
        let (newest, damage) = data.newest_superblock();
        Ok((data, newest, damage))
    }

    fn over(file: Box<dyn File>, path: &Path, database: u64) -> DataFile {
        DataFile {
            file,
            path: path.to_owned(),
            database,
            first_copy: AtomicU32::new(0),
            failure: OnceLock::new(),
        }
    }

    /// The newer of the copies that are whole, and what is wrong with the others.
    fn newest_superblock(&self) -> (Option<Superblock>, Vec<Error>) {
        let mut newest: Option<Superblock> = None;
        let mut damage = Vec::new();
        for copy in 0..COPIES {
            match self.read_superblock(copy) {
                Ok(found) if newest.is_none_or(|n| n.sequence < found.sequence) => {
                    newest = Some(found);
                    self.first_copy.store(1 - copy, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => damage.push(error),
            }
        }
        (newest, damage)
    }

    fn read_superblock(&self, copy: SlotNumber) -> Result<Superblock> {
        let mut bytes = [0; SUPERBLOCK_BYTES];
        self.file.read_at(&mut bytes, offset(copy))?;
        match Superblock::decode(&bytes) {
            Some((database, found)) if database == self.database => Ok(found),
            Some((other, _)) => {
                Err(self.corrupt(copy, format!("the file belongs to database {other:016x}")))
            }
            None => Err(self.corrupt(copy, format!("copy {copy} of the superblock is damaged"))),
        }
    }

    /// Writes both copies, each durable before the next is touched. After an error the one that
    /// may be damaged by it comes first, so the other stays whole however often that happens.
    pub(super) fn write_superblock(&self, superblock: &Superblock) -> Result<()> {
        let bytes = superblock.encode(self.database);
        let first = self.first_copy.load(Ordering::Relaxed);
        [first, 1 - first].into_iter().try_for_each(|copy| {
            self.first_copy.store(copy, Ordering::Relaxed);
            self.file.write_all_at(&bytes, offset(copy))?;
            self.sync()
        })
    }

    /// Reads what is stored at a place.
    ///
    /// # Errors
    /// `Corrupt`, naming the file and `what`, for bytes with another checksum.
    pub(super) fn read(
        &self,
        place: Place,
        what: &dyn std::fmt::Display,
        bytes: &mut [u8],
    ) -> Result<()> {
        let read = self.file.read_at(bytes, offset(place.slot))?;
        if read < bytes.len() {
            return Err(self.corrupt(place.slot, format!("the file ends before {what}")));
        }
        if crc32fast::hash(bytes) != place.crc {
            return Err(self.corrupt(place.slot, format!("wrong checksum of {what}")));
        }
        Ok(())
    }

    /// Writes whole slots one behind the other. They are durable after [`DataFile::sync`].
    pub(super) fn write(&self, first: SlotNumber, bytes: &[u8]) -> Result<()> {
        debug_assert!(first >= FIRST_SLOT && bytes.len().is_multiple_of(SLOT_SIZE));
        self.file.write_all_at(bytes, offset(first))
    }

    /// # Errors
    /// Final: what was written may have been dropped, and no later sync would tell. Every further
    /// call fails, too.
    pub(super) fn sync(&self) -> Result<()> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        self.file.sync_data().inspect_err(|error| {
            let _ = self.failure.set(error.clone());
        })
    }

    /// The sync that failed, if one did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.get().cloned()
    }

    pub(super) fn bytes(&self) -> Result<u64> {
        self.file.size()
    }

    pub(super) fn corrupt(&self, slot: SlotNumber, what: impl Into<String>) -> Error {
        Error::Corrupt {
            file: self.path.clone(),
            offset: offset(slot),
            what: what.into(),
        }
    }
}

/// The content of a slot.
pub(super) type Bytes = [u8; SLOT_SIZE];

fn offset(slot: SlotNumber) -> u64 {
    u64::from(slot) * SLOT_SIZE as u64
}
