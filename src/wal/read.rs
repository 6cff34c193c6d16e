//! Reading a log without opening it: for people, beside a running server or after its end.
//!
//! A [`LogReader`] takes no lock and writes nothing. It checks what recovery checks and finds
//! damage where recovery does, but it cannot tell whether the last group was synced.
//!
//! While a server writes on: a group that is being written looks like a torn tail. Damage is told
//! only of a group that is not whole when read again after a later one was seen, since a group is
//! written once the one before is synced (W3). A segment that is recycled before it is read ends
//! the reading with an error that says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;

use super::group::{Chain, GROUP_HEADER};
use super::reader::{self, Files};
use super::record::{self, Record};
use super::segment;

/// Reads a log from the first group that there still is, group by group, so the largest group
/// bounds the memory it takes.
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

/// A group behind the last whole one that is being written, or that a crash has torn. It was never
/// acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The number the group would have.
    pub group: u64,
    pub file: PathBuf,
    pub offset: u64,
    /// What the group takes in the segments, in whole blocks.
    pub bytes: u64,
    /// What is missing for a whole group.
    pub what: String,
}

/// A reader of the log in a directory, from the first whole group in the lowest-numbered segment.
///
/// # Errors
/// `Corrupt` for a directory without segments, and for segments without a group.
pub fn read(disk: Arc<dyn Disk>, dir: &Path, database_id: u64) -> Result<LogReader> {
    loop {
        let first = lowest_segment(&*disk, dir)?;
        let reader = LogReader::new(&disk, dir, database_id, first);
        // It may have been recycled meanwhile.
        if lowest_segment(&*disk, dir)? == first {
            return reader;
        }
    }
}

fn lowest_segment(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let numbers = segment::list(disk, dir)?;
    let lowest = numbers.first().copied();
    lowest.ok_or_else(|| reader::without_segments(dir))
}

impl LogReader {
    fn new(disk: &Arc<dyn Disk>, dir: &Path, database_id: u64, first: u64) -> Result<LogReader> {
        let mut files = Files::new(dir, first);
        files.open_new(&**disk, |path| disk.open_to_read(path))?;
        let (chain, at) = files.first_group(database_id)?;
        Ok(LogReader {
            disk: Arc::clone(disk),
            files,
            chain,
            at,
        })
    }

    /// The next group that is there whole. After `None` it may be asked again.
    ///
    /// # Errors
    /// `Io` when a running server has recycled the segment to be read.
    pub fn next_group(&mut self) -> Result<Option<Group>> {
        let found = self.try_next_group();
        if !matches!(found, Ok(Ok(_))) {
            self.check_not_recycled()?;
        }
        let Ok(found) = found? else {
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

    fn try_next_group(&mut self) -> Result<std::result::Result<reader::Group, String>> {
        let found = self.files.group_at(self.at, &self.chain)?;
        if found.is_err() && self.open_new_segments()? {
            return self.files.group_at(self.at, &self.chain);
        }
        Ok(found)
    }

    /// What was not found in a segment that has another number now says nothing.
    fn check_not_recycled(&self) -> Result<()> {
        let dir = self.files.dir();
        if lowest_segment(&*self.disk, dir)? <= self.files.number_at(self.at) {
            return Ok(());
        }
        let what = std::io::Error::other("it was recycled meanwhile; start again");
        Err(Error::io(
            format!("read the log in {}", dir.display()),
            what,
        ))
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
    /// `Corrupt`, naming file and offset, if durable data was damaged (W5); `Io` as in
    /// [`LogReader::next_group`].
    pub fn check_tail(&self) -> Result<Option<TornTail>> {
        let torn = reader::torn_bytes(&self.files, self.at, &self.chain);
        let Err(what) = self.files.group_at(self.at, &self.chain)? else {
            return Ok(None);
        };
        self.check_not_recycled()?;
        if self.chain.number == 0 {
            self.files.check_empty(self.at, &self.chain)?;
        }
        let bytes = torn?;
        let (file, offset) = self.files.path_and_offset(self.at);
        Ok((bytes > 0).then_some(TornTail {
            group: self.chain.number,
            file,
            offset,
            bytes,
            what,
        }))
    }

    fn open_new_segments(&mut self) -> Result<bool> {
        let disk = &*self.disk;
        self.files.open_new(disk, |path| disk.open_to_read(path))
    }
}
