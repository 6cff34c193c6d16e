//! Annexes: the page writes of a large transaction in a file of their own, so that the blobs of
//! others do not queue behind them.
//!
//! An annex is durable before its blob, which names it, gets its place in the stream; recovery
//! replays its records at the blob's record. It is needed for as long as the blob is.
//!
//! ```text
//!           finish              keep, the blob has its place        remove, a checkpoint is behind it
//!   written ──────► durable ─────────────────────────────────► kept ─────────────────────► removed
//!      └── drop ───────┴── drop ───────────────────────────────────────────────────────────────▲
//! ```
//! What a crash leaves that no blob names is removed by the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, PageId, Result};
use crate::disk::{Disk, File};

use super::record::{self, AnnexRef};

const SUFFIX: &str = ".annex";

/// Bytes of records that are written together.
const CHUNK_BYTES: usize = 1 << 20;
/// So many are synced at once: others share the disk.
const SYNC_BYTES: u64 = 4 << 20;

/// The annexes of a log.
pub(super) struct Annexes {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// The number given out last.
    last: u64,
    /// Those that recovery needs, with the ends of their blobs.
    kept: Vec<(Lsn, u64)>,
    /// Of all that were kept since the start.
    bytes: u64,
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}"))
}

impl Annexes {
    /// Those that the log names, with the ends of their blobs. All others are removed.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, kept: Vec<(Lsn, u64)>) -> Result<Annexes> {
        let is_kept = |name: &String| {
            let mut named = kept.iter();
            named.any(|(_, number)| path(dir, *number).ends_with(name))
        };
        let names = disk.list(dir)?.into_iter();
        let mut unused = names.filter(|name| name.ends_with(SUFFIX) && !is_kept(name));
        unused.try_for_each(|name| disk.remove(&dir.join(name)))?;
        Ok(Annexes {
            disk,
            dir: dir.to_owned(),
            state: Mutex::new(State {
                last: kept.iter().map(|(_, number)| *number).max().unwrap_or(0),
                kept,
                bytes: 0,
            }),
        })
    }

    /// Begins one. `next`: the end of what is reserved. So numbers go up through all lives of the
    /// log, and no file is taken for one that an older blob named.
    pub(super) fn begin(&self, next: Lsn) -> Result<AnnexWriter<'_>> {
        let number = {
            let mut state = self.state.lock();
            state.last = next.0.max(state.last + 1);
            state.last
        };
        let file = self.disk.create(&path(&self.dir, number))?;
        Ok(AnnexWriter {
            annex: Annex {
                annexes: self,
                reference: AnnexRef {
                    number,
                    bytes: 0,
                    crc: 0,
                },
                is_kept: false,
            },
            file,
            chunk: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8),
            synced: 0,
            crc: crc32fast::Hasher::new(),
        })
    }

    /// Of all that were kept since the start.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// After a position at `lsn` was made durable: removes those whose blobs lie in front of it.
    /// What fails is tried again by the next call.
    pub(super) fn remove_before(&self, lsn: Lsn) {
        let mut state = self.state.lock();
        let due: Vec<_> = state.kept.extract_if(.., |(end, _)| *end <= lsn).collect();
        drop(state);
        for (end, number) in due {
            if let Err(error) = self.disk.remove(&path(&self.dir, number)) {
                tracing::warn!("an annex of the log could not be removed: {error}");
                self.state.lock().kept.push((end, number));
            }
        }
    }
}

/// Reads an annex that a blob names.
///
/// # Errors
/// `Corrupt`, naming the file, if it is not there whole.
pub(super) fn read(disk: &dyn Disk, dir: &Path, annex: &AnnexRef) -> Result<Vec<u8>> {
    let path = path(dir, annex.number);
    let corrupt = |what: &str| Error::Corrupt {
        file: path.clone(),
        offset: 0,
        what: what.to_owned(),
    };
    if !disk.exists(&path)? {
        return Err(corrupt(
            "it is missing, and a transaction in the log names it",
        ));
    }
    let file = disk.open_to_read(&path)?;
    let length = usize::try_from(annex.bytes).ok();
    let length = length.filter(|_| file.size().is_ok_and(|size| size == annex.bytes));
    let mut bytes = vec![0; length.ok_or_else(|| corrupt("it has another length"))?];
    let read = file.read_at(&mut bytes, 0)?;
    match read == bytes.len() && crc32fast::hash(&bytes) == annex.crc {
        true => Ok(bytes),
        false => Err(corrupt("its checksum does not match")),
    }
}

/// An annex being written.
pub struct AnnexWriter<'a> {
    annex: Annex<'a>,
    file: Box<dyn File>,
    chunk: Vec<u8>,
    synced: u64,
    crc: crc32fast::Hasher,
}

impl<'a> AnnexWriter<'a> {
    /// Adds edits to one page, as [`super::Blob::page_write`] does.
    pub fn page_write(&mut self, page: PageId, base: Lsn, edits: &[u8]) -> Result<()> {
        record::push_page_write(&mut self.chunk, page, base, edits);
        match self.chunk.len() < CHUNK_BYTES {
            true => Ok(()),
            false => self.write(),
        }
    }

    fn write(&mut self) -> Result<()> {
        record::seal(&mut self.chunk);
        self.crc.update(&self.chunk);
        let bytes = &mut self.annex.reference.bytes;
        self.file.write_all_at(&self.chunk, *bytes)?;
        *bytes += self.chunk.len() as u64;
        self.chunk.clear();
        if *bytes - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = *bytes;
        }
        Ok(())
    }

    /// Makes it durable.
    pub fn finish(mut self) -> Result<Annex<'a>> {
        self.write()?;
        self.file.sync_all()?;
        let annexes = self.annex.annexes;
        annexes.disk.sync_dir(&annexes.dir)?;
        self.annex.reference.crc = self.crc.finalize();
        Ok(self.annex)
    }
}

/// An annex that no blob names yet. It is removed when it is dropped.
#[must_use]
pub struct Annex<'a> {
    annexes: &'a Annexes,
    pub(super) reference: AnnexRef,
    is_kept: bool,
}

impl Annex<'_> {
    /// Its blob has a place in the stream, which ends at `lsn`.
    pub fn keep(mut self, lsn: Lsn) {
        let mut state = self.annexes.state.lock();
        state.kept.push((lsn, self.reference.number));
        state.bytes += self.reference.bytes;
        self.is_kept = true;
    }
}

impl Drop for Annex<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let Annexes { disk, dir, .. } = self.annexes;
        if let Err(error) = disk.remove(&path(dir, self.reference.number)) {
            tracing::warn!("an annex of the log could not be removed: {error}");
        }
    }
}
