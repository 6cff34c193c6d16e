//! Reading the log at start-up: replay and the tail rule.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::{DIRECT_BLOCK, Disk, File};

use super::annex;
use super::group::{BLOCK, Chain, GROUP_HEADER, Header, group_bytes};
use super::record;
use super::segment::{self, Segment};
use super::{Position, Recovered};

/// What recovery tells as it goes on. After an error the log is as it was.
#[derive(Clone, Copy, Debug)]
pub enum Replayed<'a> {
    /// A blob that is behind all before it, and its end. One with an annex comes in parts: what
    /// stands before its record, the records of the annex, and the rest.
    Blob { end: Lsn, bytes: &'a [u8] },
    /// So many bytes of the log's files are read, of at most so many.
    Read { bytes: u64, of: u64 },
}

/// Where a log goes on.
pub(super) struct Tail {
    pub(super) chain: Chain,
    /// The segments still to be written, the first from `offset` on.
    pub(super) open: VecDeque<Segment>,
    pub(super) offset: u64,
    pub(super) last_segment: u64,
    /// Those that were replayed, with the ends of their blobs.
    pub(super) annexes: Vec<(Lsn, u64)>,
    pub(super) recovered: Recovered,
}

impl Tail {
    /// Removes the last segment if no group was written to it. A power cut between its renaming
    /// and the sync of that may have left the file its old number too, as one of those in front
    /// of `from`, which are retired (W9).
    pub(super) fn remove_unused_segment(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        from: &Position,
    ) -> Result<()> {
        let retires = segment::list(disk, dir)?[0] < from.segment;
        let is_unused = self.open.len() > usize::from(self.offset > 0);
        if retires
            && is_unused
            && let Some(segment) = self.open.pop_back()
        {
            disk.remove(&segment::path(dir, segment.number))?;
            self.last_segment = segment.number - 1;
        }
        Ok(())
    }
}

/// Replays every blob behind a position, then looks at what follows the last whole group.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    database_id: u64,
    from: &Position,
    replay: &mut dyn FnMut(Replayed<'_>) -> Result<()>,
) -> Result<Tail> {
    let mut files = Files::new(dir, from.segment);
    files.open_new(disk, |path| disk.open(path))?;
    let mut to = Replay {
        disk,
        files: &files,
        tell: replay,
        annexes: Vec::new(),
        recovered: Recovered::default(),
    };
    let (chain, at) = to.all(database_id, from)?;
    let Replay {
        annexes,
        mut recovered,
        ..
    } = to;
    recovered.truncated_bytes = torn_bytes(&files, at, &chain)?;
    files.fill_short_files()?;
    recovered.end = chain.end;
    recovered.incarnation = chain.incarnation;
    let last_segment = files.segments.last().expect("a log has segments").number;
    let (first, offset) = files.place(at);
    let open = files.segments.into_iter().skip(first).collect();
    Ok(Tail {
        chain,
        open,
        offset,
        last_segment,
        annexes,
        recovered,
    })
}

/// What replay reads and whom it tells.
struct Replay<'a> {
    disk: &'a dyn Disk,
    files: &'a Files,
    tell: &'a mut dyn FnMut(Replayed<'_>) -> Result<()>,
    annexes: Vec<(Lsn, u64)>,
    recovered: Recovered,
}

impl Replay<'_> {
    /// Replays each group once the next one proves that it was synced, and the last one after
    /// syncing it and reading it back from the medium: after a sync that failed, the operating
    /// system's cache may show bytes that the disk never got.
    fn all(&mut self, database_id: u64, from: &Position) -> Result<(Chain, u64)> {
        let files = self.files;
        let mut chain = Chain::at(from, database_id);
        let mut at = files.at(from)?;
        let mut last: Option<(Chain, Group)> = None;
        while let Ok(group) = files.group_at(at, &chain)? {
            let after = group.after;
            at = group.end;
            if let Some((_, durable)) = last.replace((chain, group)) {
                self.group(&durable)?;
            }
            chain = after;
        }
        if let Some((before, group)) = last {
            files.sync_and_forget(group.at, group.end)?;
            if files.group_at(group.at, &before)?.is_ok() {
                self.group(&group)?;
                return Ok((chain, at));
            }
            (chain, at) = (before, group.at);
        }
        if chain.number == from.group {
            files.check_empty(at, &chain)?;
        }
        Ok((chain, at))
    }

    fn group(&mut self, group: &Group) -> Result<()> {
        let mut end = group.header.start;
        let payload_at = group.at + GROUP_HEADER as u64;
        for blob in record::blobs(&group.payload) {
            let (txn, blob) = blob.map_err(|error| self.files.locate(error, payload_at))?;
            let blob_at = payload_at + (end.0 - group.header.start.0);
            end.0 += blob.len() as u64;
            self.blob(blob, end)
                .map_err(|error| self.files.locate(error, blob_at))?;
            self.recovered.blobs += 1;
            self.recovered.last_txn = self.recovered.last_txn.max(Some::<TxnId>(txn));
        }
        self.recovered.groups += 1;
        self.recovered.bytes += group.header.length;
        (self.tell)(Replayed::Read {
            bytes: group.end,
            of: self.files.bytes,
        })
    }

    fn blob(&mut self, blob: &[u8], end: Lsn) -> Result<()> {
        let mut rest = 0;
        for (place, annex) in record::annexes(blob)? {
            let before = &blob[rest..place.start];
            (self.tell)(Replayed::Blob { end, bytes: before })?;
            let bytes = &annex::read(self.disk, self.files.dir(), &annex)?;
            (self.tell)(Replayed::Blob { end, bytes })?;
            self.annexes.push((end, annex.number));
            rest = place.end;
        }
        let bytes = &blob[rest..];
        (self.tell)(Replayed::Blob { end, bytes })
    }
}

/// The tail rule (W5). Gives the bytes of a torn group behind the last whole one.
pub(super) fn torn_bytes(files: &Files, at: u64, chain: &Chain) -> Result<u64> {
    let mut torn = 0;
    files.scan_blocks(at, |block_at, block| {
        let Some((header, _)) = Header::decode(block) else {
            return Ok(());
        };
        if header.database_id != chain.database_id || header.number < chain.number {
            return Ok(());
        }
        if block_at > at || !chain.continues_with(&header) {
            return Err(files.damaged(at, chain, header.number, block_at)?);
        }
        let there = files.bytes - at;
        torn = group_bytes(header.length).map_or(there, |bytes| bytes.min(there));
        Ok(())
    })?;
    Ok(torn)
}

/// A whole group whose checksums match and that continues the chain.
pub(super) struct Group {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    pub(super) at: u64,
    pub(super) end: u64,
    /// What the next group continues.
    pub(super) after: Chain,
}

/// The segments as one run of bytes. Positions in it are called `at`.
pub(super) struct Files {
    dir: PathBuf,
    /// The number of the first segment.
    first: u64,
    segments: Vec<Segment>,
    bytes: u64,
}

impl Files {
    /// None yet, the next to be opened is `first`.
    pub(super) fn new(dir: &Path, first: u64) -> Files {
        Files {
            dir: dir.to_owned(),
            first,
            segments: Vec::new(),
            bytes: 0,
        }
    }

    /// Opens the segments that are not open yet, and says whether there were any.
    pub(super) fn open_new(
        &mut self,
        disk: &dyn Disk,
        open: impl Fn(&Path) -> Result<Box<dyn File>>,
    ) -> Result<bool> {
        let mut numbers = segment::list(disk, &self.dir)?;
        if numbers.is_empty() {
            return Err(without_segments(&self.dir));
        }
        let known = self.segments.len();
        let next = self.first + known as u64;
        numbers.retain(|number| *number >= next);
        if known == 0 && numbers.is_empty() {
            return Err(self.missing(next));
        }
        for (expected, number) in (next..).zip(numbers) {
            if number != expected {
                return Err(self.missing(expected));
            }
            let file = open(&segment::path(&self.dir, number))?;
            // A file that was cut reads as zeros up to the end of its last block.
            let bytes = file.size()?.max(BLOCK).next_multiple_of(BLOCK);
            self.bytes += bytes;
            self.segments.push(Segment {
                number,
                file,
                bytes,
            });
        }
        Ok(self.segments.len() > known)
    }

    fn missing(&self, number: u64) -> Error {
        let path = segment::path(&self.dir, number);
        corrupt(&path, 0, "a segment is missing".to_owned())
    }

    /// Where a position in the first segment is.
    fn at(&self, position: &Position) -> Result<u64> {
        let offset = position.offset;
        if offset > self.segments[0].bytes || !offset.is_multiple_of(BLOCK) {
            return Err(self.corrupt(0, format!("the log goes on at offset {offset}, not in it")));
        }
        Ok(offset)
    }

    /// The first whole group, and the chain that it continues. What stands in front of it is the
    /// end of a group whose beginning is gone.
    pub(super) fn first_group(&self, database_id: u64) -> Result<(Chain, u64)> {
        if self.first == super::FIRST_SEGMENT {
            return Ok((Chain::at(&Position::START, database_id), 0));
        }
        for at in (0..self.bytes).step_by(DIRECT_BLOCK) {
            if let Some((header, _)) = self.header_at(at)? {
                let chain = Chain::before(&header);
                if header.database_id == database_id && self.group_at(at, &chain)?.is_ok() {
                    return Ok((chain, at));
                }
            }
        }
        Err(self.corrupt(0, "no whole group follows".to_owned()))
    }

    /// The segment that holds a position, by index, and the offset in it.
    fn place(&self, at: u64) -> (usize, u64) {
        let mut offset = at;
        for (index, segment) in self.segments.iter().enumerate() {
            if offset < segment.bytes {
                return (index, offset);
            }
            offset -= segment.bytes;
        }
        (self.segments.len(), offset)
    }

    /// Reads at a position; what lies behind the end of a file is zero.
    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = buffer;
        let (first, mut offset) = self.place(at);
        for segment in &self.segments[first..] {
            let space = segment.bytes - offset;
            let n = usize::try_from(space).map_or(rest.len(), |space| space.min(rest.len()));
            let (head, tail) = rest.split_at_mut(n);
            let read = segment.file.read_at(head, offset)?;
            head[read..].fill(0);
            (rest, offset) = (tail, 0);
            if rest.is_empty() {
                break;
            }
        }
        rest.fill(0);
        Ok(())
    }

    fn header_at(&self, at: u64) -> Result<Option<(Header, u32)>> {
        let mut header = [0; GROUP_HEADER];
        self.read(at, &mut header)?;
        Ok(Header::decode(&header))
    }

    /// The group that continues the chain, or what keeps the bytes from being it.
    pub(super) fn group_at(&self, at: u64, chain: &Chain) -> Result<Result<Group, String>> {
        let Some((header, header_crc)) = self.header_at(at)? else {
            return Ok(Err("its header is damaged".to_owned()));
        };
        if !chain.continues_with(&header) {
            let what = format!("its header, of group {}, belongs elsewhere", header.number);
            return Ok(Err(what));
        }
        // The length is checked against what is there before anything is allocated for it.
        let end = group_bytes(header.length).and_then(|bytes| at.checked_add(bytes));
        let end = end.filter(|end| *end <= self.bytes);
        let (Some(end), Ok(length)) = (end, usize::try_from(header.length)) else {
            return Ok(Err("it reaches beyond the last segment".to_owned()));
        };
        let mut payload = vec![0; length];
        self.read(at + GROUP_HEADER as u64, &mut payload)?;
        if crc32fast::hash(&payload) != header.payload_crc {
            return Ok(Err(self.what_is_bad(at, &payload)));
        }
        let Some(after) = chain.after(&header, header_crc) else {
            return Err(self.corrupt(at, "a group beyond the largest lsn".to_owned()));
        };
        Ok(Ok(Group {
            header,
            payload,
            at,
            end,
            after,
        }))
    }

    /// Where in a payload with a wrong checksum the first wrong record is: each has its own.
    fn what_is_bad(&self, at: u64, payload: &[u8]) -> String {
        let what = "its payload's checksum does not match";
        let bad = record::records(payload).find_map(Result::err);
        match bad.map(|error| self.locate(error, at + GROUP_HEADER as u64)) {
            Some(Error::Corrupt {
                file,
                offset,
                what: bad,
            }) => {
                format!("{what}: {bad} in {} at offset {offset}", file.display())
            }
            _ => what.to_owned(),
        }
    }

    /// The error for a group that is not whole although another was written behind it.
    fn damaged(&self, at: u64, chain: &Chain, follows: u64, follows_at: u64) -> Result<Error> {
        let why = self.group_at(at, chain)?.err();
        let what = format!(
            "group {} is damaged, yet group {follows} follows in {}; {}",
            chain.number,
            self.name(follows_at),
            why.as_deref().unwrap_or("it was repaired meanwhile"),
        );
        Ok(self.corrupt(at, what))
    }

    /// Whether a log may end where it begins, at `at`: not before its first group (W7), and not
    /// in front of a group of another database.
    pub(super) fn check_empty(&self, at: u64, chain: &Chain) -> Result<()> {
        let what = match self.header_at(at)? {
            Some((header, _)) if header.database_id != chain.database_id => {
                format!("the log belongs to database {:016x}", header.database_id)
            }
            _ if chain.number == 0 => "the first group is damaged".to_owned(),
            _ => return Ok(()),
        };
        Err(self.corrupt(at, what))
    }

    fn sync_and_forget(&self, from: u64, to: u64) -> Result<()> {
        let mut start = 0;
        for segment in &self.segments {
            let end = start + segment.bytes;
            let (head, tail) = (from.max(start), to.min(end));
            if head < tail {
                segment.file.sync_data()?;
                segment.file.forget_cached(head - start, tail - head)?;
            }
            start = end;
        }
        Ok(())
    }

    fn scan_blocks(
        &self,
        from: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        const SCAN_BYTES: u64 = 1 << 20;
        const BLOCK_BYTES: usize = 4096;
        const _: () = assert!(BLOCK_BYTES as u64 == BLOCK);
        let mut buffer = Vec::new();
        let mut at = from;
        while at < self.bytes {
            let n = SCAN_BYTES.min(self.bytes - at);
            buffer.resize(usize::try_from(n).expect("at most a MiB"), 0);
            self.read(at, &mut buffer)?;
            for (block_at, block) in (at..)
                .step_by(BLOCK_BYTES)
                .zip(buffer.chunks_exact(BLOCK_BYTES))
            {
                visit(block_at, block)?;
            }
            at += n;
        }
        Ok(())
    }

    /// Gives files that were cut their zeros back, durably.
    fn fill_short_files(&self) -> Result<()> {
        for segment in &self.segments {
            let size = segment.file.size()?;
            if size < segment.bytes {
                segment::fill_zeros(&*segment.file, size, segment.bytes)?;
                segment.file.sync_all()?;
            }
        }
        Ok(())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number of the segment that holds a position.
    pub(super) fn number_at(&self, at: u64) -> u64 {
        self.first + self.place(at).0 as u64
    }

    pub(super) fn path_and_offset(&self, at: u64) -> (PathBuf, u64) {
        let (_, offset) = self.place(at);
        (segment::path(&self.dir, self.number_at(at)), offset)
    }

    /// A position for people.
    fn name(&self, at: u64) -> String {
        let (path, offset) = self.path_and_offset(at);
        format!("{} at offset {offset}", path.display())
    }

    pub(super) fn corrupt(&self, at: u64, what: String) -> Error {
        let (path, offset) = self.path_and_offset(at);
        corrupt(&path, offset, what)
    }

    /// Gives an error about bytes of a blob, counted from `at`, its file and offset.
    pub(super) fn locate(&self, error: Error, at: u64) -> Error {
        match error {
            Error::Corrupt { file, offset, what } if file.as_os_str().is_empty() => {
                self.corrupt(at.saturating_add(offset), what)
            }
            other => other,
        }
    }
}

pub(super) fn without_segments(dir: &Path) -> Error {
    corrupt(dir, 0, "a log without segments".to_owned())
}

fn corrupt(file: &Path, offset: u64, what: String) -> Error {
    Error::Corrupt {
        file: file.to_owned(),
        offset,
        what,
    }
}
