//! Reading the log at start-up: replay, the tail rule, truncation.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::base::{Error, Lsn, Result, TxnId};
use crate::disk::Disk;

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
    let files = Files::open(disk, dir)?;
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
    while let Some(group) = files.group_at(at, &chain)? {
        let Some(after) = chain.after(&group.header, group.header_crc) else {
            return Err(files.corrupt(at, "a group beyond the largest lsn".to_owned()));
        };
        at = group.end;
        if let Some((_, durable)) = last.replace((chain, group)) {
            replay_group(files, &durable, replay, recovered)?;
        }
        chain = after;
    }
    if let Some((before, group)) = last {
        files.sync_and_forget(group.at, group.end)?;
        if files.group_at(group.at, &before)?.is_some() {
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

/// The tail rule (W5). Gives the bytes that had to be cleared.
fn truncate(files: &Files, at: u64, chain: &Chain) -> Result<u64> {
    let mut rest = Vec::new();
    files.scan_blocks(at, |block_at, block| {
        if let Some((header, _)) = Header::decode(block) {
            let torn = block_at == at && chain.continues_with(&header);
            let ours = header.database_id == chain.database_id;
            if ours && header.number >= chain.number && !torn {
                let found = format!(
                    "group {} is damaged, yet group {} follows in {}",
                    chain.number,
                    header.number,
                    files.name(block_at)
                );
                return Err(files.corrupt(at, found));
            }
        }
        if block.iter().any(|byte| *byte != 0) {
            rest.push(block_at);
        }
        Ok(())
    })?;
    files.clear_blocks(&rest)?;
    files.fill_short_files()?;
    Ok(rest.len() as u64 * BLOCK)
}

/// A whole group whose checksums match and that continues the chain.
struct Group {
    header: Header,
    header_crc: u32,
    payload: Vec<u8>,
    at: u64,
    end: u64,
}

/// The segments as one run of bytes. Positions in it are called `at`.
struct Files {
    dir: PathBuf,
    segments: Vec<Segment>,
    bytes: u64,
}

impl Files {
    fn open(disk: &dyn Disk, dir: &Path) -> Result<Files> {
        let numbers = segment::list(disk, dir)?;
        let mut files = Files {
            dir: dir.to_owned(),
            segments: Vec::new(),
            bytes: 0,
        };
        if numbers.is_empty() {
            return Err(corrupt(dir, 0, "a log without segments".to_owned()));
        }
        for (expected, number) in (super::FIRST_SEGMENT..).zip(numbers) {
            if number != expected {
                let path = segment::path(dir, expected);
                return Err(corrupt(&path, 0, "a segment is missing".to_owned()));
            }
            let file = disk.open(&segment::path(dir, number))?;
            // A file that was cut reads as zeros up to the end of its last block.
            let bytes = file.size()?.max(BLOCK).next_multiple_of(BLOCK);
            files.bytes += bytes;
            files.segments.push(Segment {
                number,
                file,
                bytes,
            });
        }
        Ok(files)
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

    fn group_at(&self, at: u64, chain: &Chain) -> Result<Option<Group>> {
        let Some((header, header_crc)) = self.header_at(at)? else {
            return Ok(None);
        };
        // The length is checked against what is there before anything is allocated for it.
        let end = group_bytes(header.length).and_then(|bytes| at.checked_add(bytes));
        let Some(end) = end.filter(|end| *end <= self.bytes && chain.continues_with(&header))
        else {
            return Ok(None);
        };
        let Ok(length) = usize::try_from(header.length) else {
            return Ok(None);
        };
        let mut payload = vec![0; length];
        self.read(at + GROUP_HEADER as u64, &mut payload)?;
        Ok(
            (crc32fast::hash(&payload) == header.payload_crc).then_some(Group {
                header,
                header_crc,
                payload,
                at,
                end,
            }),
        )
    }

    /// Says why the log does not even begin.
    fn what_is_first(&self, database_id: u64) -> Result<String> {
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

    fn path_and_offset(&self, at: u64) -> (PathBuf, u64) {
        let (index, offset) = self.place(at);
        let number = super::FIRST_SEGMENT + index as u64;
        (segment::path(&self.dir, number), offset)
    }

    /// A position for people.
    fn name(&self, at: u64) -> String {
        let (path, offset) = self.path_and_offset(at);
        format!("{} at offset {offset}", path.display())
    }

    fn corrupt(&self, at: u64, what: String) -> Error {
        let (path, offset) = self.path_and_offset(at);
        corrupt(&path, offset, what)
    }

    /// Gives an error about bytes of a blob, counted from `at`, its file and offset.
    fn locate(&self, error: Error, at: u64) -> Error {
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
