//! Reading the log at start-up: replay, the tail rule, truncation.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::{Disk, File};

use super::Recovered;
use super::group::{BLOCK, Chain, GROUP_HEADER, Header, group_bytes};
use super::record;
use super::segment::{self, Segment};

/// Called with the end lsn and the bytes of each blob.
pub(super) type Replay<'a> = &'a mut dyn FnMut(Lsn, &[u8]) -> Result<()>;

/// Where a log goes on.
pub(super) struct Tail {
    pub(super) chain: Chain,
    /// The segments still to be written, the first from `offset` on.
    pub(super) open: VecDeque<Segment>,
    pub(super) offset: u64,
    pub(super) last_segment: u64,
    pub(super) recovered: Recovered,
}

/// Replays every blob, then clears what follows the last whole group.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    database_id: u64,
    replay: Replay<'_>,
) -> Result<Tail> {
    let mut files = Files::new(dir);
    files.open_new(disk, |path| disk.open(path))?;
    let mut recovered = Recovered::default();
    let (chain, at) = replay_all(&files, database_id, replay, &mut recovered)?;
    recovered.truncated_bytes = truncate(&files, at, &chain)?;
    recovered.end = chain.end;
    recovered.incarnation = chain.incarnation;
    let last_segment = files.segments.last().map_or(0, |s| s.number);
    let (first, offset) = files.place(at);
    let open = files.segments.into_iter().skip(first).collect();
    Ok(Tail {
        chain,
        open,
        offset,
        last_segment,
        recovered,
    })
}

/// Replays each group once the next one proves that it was synced, and the last one after
/// syncing it and reading it back from the medium: after a sync that failed, the operating
/// system's cache may show bytes that the disk never got.
fn replay_all(
    files: &Files,
    database_id: u64,
    replay: Replay<'_>,
    recovered: &mut Recovered,
) -> Result<(Chain, u64)> {
    let mut chain = Chain::new(database_id);
    let mut at = 0;
    let mut last: Option<(Chain, Group)> = None;
    while let Ok(group) = files.group_at(at, &chain)? {
        let after = group.after;
        at = group.end;
        if let Some((_, durable)) = last.replace((chain, group)) {
            replay_group(files, &durable, replay, recovered)?;
        }
        chain = after;
    }
    if let Some((before, group)) = last {
        files.sync_and_forget(group.at, group.end)?;
        if files.group_at(group.at, &before)?.is_ok() {
            replay_group(files, &group, replay, recovered)?;
            return Ok((chain, at));
        }
        (chain, at) = (before, group.at);
    }
    if chain.number == 0 {
        // W7: a segment gets its name after its first group is synced.
        return Err(files.corrupt(0, files.what_is_first(database_id)?));
    }
    Ok((chain, at))
}

fn replay_group(
    files: &Files,
    group: &Group,
    replay: Replay<'_>,
    recovered: &mut Recovered,
) -> Result<()> {
    let mut end = group.header.start;
    let payload_at = group.at + GROUP_HEADER as u64;
    for blob in record::blobs(&group.payload) {
        let (txn, blob) = blob.map_err(|error| files.locate(error, payload_at))?;
        let blob_at = payload_at + (end.0 - group.header.start.0);
        end.0 += blob.len() as u64;
        replay(end, blob).map_err(|error| files.locate(error, blob_at))?;
        recovered.blobs += 1;
        recovered.last_txn = recovered.last_txn.max(Some::<TxnId>(txn));
    }
    recovered.groups += 1;
    recovered.bytes += group.header.length;
    Ok(())
}

/// Gives the bytes that had to be cleared.
fn truncate(files: &Files, at: u64, chain: &Chain) -> Result<u64> {
    let torn = torn_blocks(files, at, chain)?;
    files.clear_blocks(&torn)?;
    files.fill_short_files()?;
    Ok(torn.len() as u64 * BLOCK)
}

/// The tail rule (W5): the blocks behind the last whole group that are not zero.
pub(super) fn torn_blocks(files: &Files, at: u64, chain: &Chain) -> Result<Vec<u64>> {
    let mut rest = Vec::new();
    files.scan_blocks(at, |block_at, block| {
        if let Some((header, _)) = Header::decode(block) {
            let torn = block_at == at && chain.continues_with(&header);
            let ours = header.database_id == chain.database_id;
            if ours && header.number >= chain.number && !torn {
                return Err(files.damaged(at, chain, header.number, block_at)?);
            }
        }
        if block.iter().any(|byte| *byte != 0) {
            rest.push(block_at);
        }
        Ok(())
    })?;
    Ok(rest)
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
    segments: Vec<Segment>,
    bytes: u64,
}

impl Files {
    pub(super) fn new(dir: &Path) -> Files {
        Files {
            dir: dir.to_owned(),
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
        let numbers = segment::list(disk, &self.dir)?;
        if numbers.is_empty() {
            return Err(corrupt(&self.dir, 0, "a log without segments".to_owned()));
        }
        let known = self.segments.len();
        for (expected, number) in (super::FIRST_SEGMENT..).zip(numbers).skip(known) {
            if number != expected {
                let path = segment::path(&self.dir, expected);
                return Err(corrupt(&path, 0, "a segment is missing".to_owned()));
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

    /// Says why the log does not even begin.
    pub(super) fn what_is_first(&self, database_id: u64) -> Result<String> {
        Ok(match self.header_at(0)? {
            Some((header, _)) if header.database_id != database_id => {
                format!("the log belongs to database {:016x}", header.database_id)
            }
            _ => "the first group is damaged".to_owned(),
        })
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

    /// Overwrites blocks with zeros, durably.
    fn clear_blocks(&self, blocks: &[u64]) -> Result<()> {
        let mut written = None;
        for at in blocks {
            let (index, offset) = self.place(*at);
            let file = &self.segments[index].file;
            segment::fill_zeros(&**file, offset, offset + BLOCK)?;
            if written.is_some_and(|before| before != index) {
                self.sync(written)?;
            }
            written = Some(index);
        }
        self.sync(written)
    }

    fn sync(&self, index: Option<usize>) -> Result<()> {
        index.map_or(Ok(()), |index| self.segments[index].file.sync_all())
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

    pub(super) fn path_and_offset(&self, at: u64) -> (PathBuf, u64) {
        let (index, offset) = self.place(at);
        let number = super::FIRST_SEGMENT + index as u64;
        (segment::path(&self.dir, number), offset)
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

fn corrupt(file: &Path, offset: u64, what: String) -> Error {
    Error::Corrupt {
        file: file.to_owned(),
        offset,
        what,
    }
}
