//! Reading a log without opening it: for people, beside a running server or after its end.
//!
//! A [`LogReader`] takes no lock and writes nothing. It checks what recovery checks and finds
//! damage where recovery does, but it cannot tell whether the last group was synced.
//!
//! While a server writes on: a group that is being written looks like a torn tail. Damage is told
//! only of a group that is not whole when read again after a later one was seen, since a group is
//! written once the one before is synced (W3).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;

use super::group::{BLOCK, Chain, GROUP_HEADER};
use super::reader::{self, Files};
use super::record::{self, Record};

/// Reads a log from its start, group by group, so the largest group bounds the memory it takes.
pub struct LogReader {
    disk: Arc<dyn Disk>,
    files: Files,
    chain: Chain,
    at: u64,
}

/// What one sync made durable. Its checksums matched and it continues the group before.
pub struct Group {
    pub number: u64,
    pub incarnation: u64,
    /// Where it starts: a segment, and the offset of the header in it.
    pub file: PathBuf,
    pub offset: u64,
    pub start: Lsn,
    pub end: Lsn,
    /// All it takes in the segments, with header and padding.
    pub disk_bytes: u64,
    payload: Vec<u8>,
    payload_at: u64,
}

impl Group {
    /// Bytes of blobs.
    pub fn bytes(&self) -> u64 {
        self.end.0 - self.start.0
    }

    pub fn padding_bytes(&self) -> u64 {
        self.disk_bytes - GROUP_HEADER as u64 - self.bytes()
    }
}

/// One transaction of a group.
pub struct GroupBlob<'a> {
    pub txn: TxnId,
    pub start: Lsn,
    /// The lsn of the commit.
    pub end: Lsn,
    pub records: Vec<Record<'a>>,
}

/// Bytes behind the last whole group: a group that is being written, or that a crash has torn. It
/// was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The number the group would have.
    pub group: u64,
    pub file: PathBuf,
    pub offset: u64,
    /// In whole blocks.
    pub bytes: u64,
    /// What is missing for a whole group.
    pub what: String,
}

/// A reader of the log in a directory.
///
/// # Errors
/// `Corrupt` for a directory without segments.
pub fn read(disk: Arc<dyn Disk>, dir: &Path, database_id: u64) -> Result<LogReader> {
    let mut reader = LogReader {
        disk,
        files: Files::new(dir),
        chain: Chain::new(database_id),
        at: 0,
    };
    reader.open_new_segments()?;
    Ok(reader)
}

impl LogReader {
    /// The next group that is there whole. After `None` it may be asked again.
    pub fn next_group(&mut self) -> Result<Option<Group>> {
        let mut found = self.files.group_at(self.at, &self.chain)?;
        if found.is_err() && self.open_new_segments()? {
            found = self.files.group_at(self.at, &self.chain)?;
        }
        let Ok(found) = found else {
            return Ok(None);
        };
        (self.chain, self.at) = (found.after, found.end);
        let (file, offset) = self.files.path_and_offset(found.at);
        Ok(Some(Group {
            number: found.header.number,
            incarnation: found.header.incarnation,
            file,
            offset,
            start: found.header.start,
            end: found.after.end,
            disk_bytes: found.end - found.at,
            payload: found.payload,
            payload_at: found.at + GROUP_HEADER as u64,
        }))
    }

    /// The blobs of a group, their records checked.
    ///
    /// # Errors
    /// `Corrupt`, naming file and offset, for bytes that are no blobs although the group's
    /// checksum matches.
    pub fn blobs<'a>(&self, group: &'a Group) -> Result<Vec<GroupBlob<'a>>> {
        let mut start = group.start;
        let blobs = record::blobs(&group.payload).map(|blob| {
            let blob_at = group.payload_at + (start.0 - group.start.0);
            let (txn, bytes) = blob.map_err(|e| self.files.locate(e, group.payload_at))?;
            let records = record::records(bytes).collect::<Result<Vec<_>>>();
            let end = Lsn(start.0 + bytes.len() as u64);
            let blob = GroupBlob {
                txn,
                start,
                end,
                records: records.map_err(|e| self.files.locate(e, blob_at))?,
            };
            start = end;
            Ok(blob)
        });
        blobs.collect()
    }

    /// The error for bytes of a group that are whole and yet wrong.
    pub fn corrupt(&self, group: &Group, lsn: Lsn, what: &str) -> Error {
        let at = group.payload_at + (lsn.0 - group.start.0);
        self.files.corrupt(at, what.to_owned())
    }

    /// What stands behind the last group that [`LogReader::next_group`] gave, after it gave
    /// `None`: nothing, also if the log was written on in between, or a torn tail.
    ///
    /// # Errors
    /// `Corrupt`, naming file and offset, if durable data was damaged (W5).
    pub fn check_tail(&self) -> Result<Option<TornTail>> {
        let torn = reader::torn_blocks(&self.files, self.at, &self.chain);
        let Err(what) = self.files.group_at(self.at, &self.chain)? else {
            return Ok(None);
        };
        if self.chain.number == 0 {
            // W7, as in recovery.
            let what = self.files.what_is_first(self.chain.database_id)?;
            return Err(self.files.corrupt(0, what));
        }
        let blocks = torn?.len() as u64;
        let (file, offset) = self.files.path_and_offset(self.at);
        Ok((blocks > 0).then_some(TornTail {
            group: self.chain.number,
            file,
            offset,
            bytes: blocks * BLOCK,
            what,
        }))
    }

    fn open_new_segments(&mut self) -> Result<bool> {
        let disk = &*self.disk;
        self.files.open_new(disk, |path| disk.open_to_read(path))
    }
}
