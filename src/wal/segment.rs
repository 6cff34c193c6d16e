//! Segments: the log's files. Each is whole before the first group is written to it, so that a
//! commit's sync has no metadata to write: filled with zeros and synced when it is new, or an old
//! one under a new name, with what was in it.

use std::collections::VecDeque;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::base::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering};
use crate::base::{Error, Result};
use crate::disk::{Disk, File};

use super::Options;
use super::group::BLOCK;

/// A segment under preparation. It gets its name when it is whole and synced, so a segment with a
/// name is never half made.
const PREPARED_NAME: &str = "prepared.tmp";
const SUFFIX: &str = ".wal";

/// How many segments that are needed no more are kept at least. As many as were taken since the
/// last time are kept too: as many are going to be taken.
const RETIRED_KEPT_MIN: usize = 2;

/// Bytes per write when filling with zeros.
const FILL_BYTES: usize = 1 << 20;

/// One file of the log.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Box<dyn File>,
    /// A multiple of [`BLOCK`].
    pub(super) bytes: u64,
}

/// The path of a segment. Numbers go up by one and are never reused.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}{SUFFIX}"))
}

/// The numbers of the segments in a directory, ascending.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk.list(dir)?.iter().filter_map(|n| number(n)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|d| d.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Writes zeros from `from` to `to`.
pub(super) fn fill_zeros(file: &dyn File, from: u64, to: u64) -> Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut at = from;
    while at < to {
        let n = usize::try_from(to - at).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

/// Makes a whole segment that starts with `head`: filled, synced, then named, then its name synced.
pub(super) fn make(
    disk: &dyn Disk,
    dir: &Path,
    number: u64,
    bytes: u64,
    head: &[u8],
) -> Result<Segment> {
    let bytes = whole_blocks(bytes);
    let prepared = dir.join(PREPARED_NAME);
    remove_prepared(disk, dir)?;
    let filled = disk.create(&prepared).and_then(|file| {
        fill_zeros(&*file, 0, bytes)?;
        file.write_all_at(head, 0)?;
        file.sync_all()
    });
    if let Err(error) = filled {
        // The space may be what others wait for; if this fails too, the next attempt removes it.
        let _ = remove_prepared(disk, dir);
        return Err(error);
    }
    name(disk, dir, &prepared, number, bytes)
}

fn whole_blocks(bytes: u64) -> u64 {
    bytes.max(BLOCK).next_multiple_of(BLOCK)
}

/// Makes a segment of a whole and synced file.
fn name(disk: &dyn Disk, dir: &Path, from: &Path, number: u64, bytes: u64) -> Result<Segment> {
    let path = path(dir, number);
    disk.rename(from, &path)?;
    disk.sync_dir(dir)?;
    Ok(Segment {
        number,
        file: disk.open_direct(&path)?,
        bytes,
    })
}

/// Removes what an interrupted preparation left.
pub(super) fn remove_prepared(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let prepared = dir.join(PREPARED_NAME);
    match disk.exists(&prepared)? {
        true => disk.remove(&prepared),
        false => Ok(()),
    }
}

/// Makes the next segment ahead of need, on a thread of its own.
pub(super) struct Preparer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// The last attempt failed.
    failing: AtomicBool,
    /// Where the last synced group begins. Relaxed: an older one keeps more.
    last_group: AtomicU64,
    retired: Mutex<Retired>,
    /// Segments taken since the last call of [`Preparer::recycle`].
    taken: AtomicUsize,
}

/// The segments that are needed no more. Names are given and removed from the lowest number up,
/// each synced before the next, so that the numbers in the directory have no gap.
struct Retired {
    /// Ascending.
    numbers: VecDeque<u64>,
    /// The lowest number that is not retired.
    live: u64,
}

/// ```text
///             thread              thread, made
///   Wanted ───────────► Making ──────────────────► Ready ── take ──► Wanted (the next number)
///     ▲                   │ thread, error
///     └── take, retry ── Failed          any ── stop, or the thread panics ──► Stopped
/// ```
enum Stage {
    Wanted(u64),
    Making,
    Ready(Segment),
    Failed(u64, Error),
    Stopped,
}

impl Preparer {
    /// Starts with segment `number`; those below `live` that there are need not be kept.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &Options,
        number: u64,
        live: u64,
    ) -> Result<Preparer> {
        let mut numbers = VecDeque::from(list(&*disk, dir)?);
        numbers.retain(|number| *number < live);
        let shared = Arc::new(Shared {
            disk,
            dir: dir.to_owned(),
            options: options.clone(),
            stage: Mutex::new(Stage::Wanted(number)),
            changed: Condvar::new(),
            failing: AtomicBool::new(false),
            last_group: AtomicU64::new(0),
            retired: Mutex::new(Retired { numbers, live }),
            taken: AtomicUsize::new(0),
        });
        let run = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("wal-segments".to_owned())
            .spawn(move || run.run())
            .map_err(|source| Error::io("start the segment thread", source))?;
        shared.wait_idle_in_lockstep();
        Ok(Preparer {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Whether the last attempt to make a segment failed.
    pub(super) fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// After a failed attempt, waits for another one and says how it went.
    pub(super) fn wait_retry(&self) -> Result<()> {
        let mut stage = self.shared.stage.lock();
        if let Stage::Failed(number, _) = *stage {
            *stage = Stage::Wanted(number);
            self.shared.changed.notify_all();
        }
        while matches!(*stage, Stage::Wanted(_) | Stage::Making) {
            self.shared.changed.wait(&mut stage);
        }
        match &*stage {
            Stage::Failed(_, error) => Err(error.clone()),
            Stage::Stopped => Err(stopped()),
            Stage::Wanted(_) | Stage::Making | Stage::Ready(_) => Ok(()),
        }
    }

    /// Retires the segments numbered below `segment`, but never the one in which the last group
    /// begins or a later one: whoever reads from the lowest number on finds a group before
    /// anything stale.
    pub(super) fn recycle(&self, segment: u64) {
        let shared = &self.shared;
        let live = segment.min(shared.last_group.load(Ordering::Relaxed));
        let mut retired = shared.retired.lock();
        let newly = retired.live..live;
        retired.live = retired.live.max(live);
        retired.numbers.extend(newly);
        drop(retired);
        let taken = shared.taken.swap(0, Ordering::Relaxed);
        while shared.remove_lowest(taken.max(RETIRED_KEPT_MIN)) {}
    }

    /// Ends the thread, after the segment it is making.
    pub(super) fn stop(&self) {
        self.shared.set(Stage::Stopped);
        if let Some(thread) = self.thread.lock().take() {
            // A panic there has set the stage already.
            let _ = thread.join();
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stopped() -> Error {
    Error::Poisoned("the segment thread has stopped".into())
}

/// Wakes whoever waits for a segment if its thread panics.
struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.set(Stage::Stopped);
    }
}

impl Shared {
    fn set(&self, stage: Stage) {
        *self.stage.lock() = stage;
        self.changed.notify_all();
    }

    fn run(&self) {
        let _guard = StopOnPanic(self);
        while let Some(number) = self.wait_wanted() {
            let made = self.prepare(number);
            if let Err(error) = &made {
                tracing::warn!("no segment could be prepared: {error}");
            }
            self.failing.store(made.is_err(), Ordering::Relaxed);
            let mut stage = self.stage.lock();
            if matches!(*stage, Stage::Making) {
                *stage = match made {
                    Ok(segment) => Stage::Ready(segment),
                    Err(error) => Stage::Failed(number, error),
                };
            }
            drop(stage);
            self.changed.notify_all();
        }
    }

    /// A retired segment under a new number, or a new one.
    fn prepare(&self, number: u64) -> Result<Segment> {
        let bytes = whole_blocks(self.options.segment_bytes);
        let mut retired = self.retired.lock();
        while let Some(old) = retired.numbers.pop_front() {
            match self.rename(old, number, bytes) {
                Ok(Some(segment)) => return Ok(segment),
                Ok(None) => {}
                Err(error) => tracing::warn!("a segment could not be recycled: {error}"),
            }
        }
        drop(retired);
        make(&*self.disk, &self.dir, number, bytes, &[])
    }

    /// Gives an old segment a new number, or removes it if its size is not the one wanted.
    fn rename(&self, old: u64, number: u64, bytes: u64) -> Result<Option<Segment>> {
        let disk = &*self.disk;
        let old_path = path(&self.dir, old);
        if disk.open_to_read(&old_path)?.size()? != bytes {
            self.remove(old)?;
            return Ok(None);
        }
        name(disk, &self.dir, &old_path, number, bytes).map(Some)
    }

    /// Removes the lowest of the retired segments if there are more than `kept`; says whether it
    /// did. Between two of them a segment can be prepared.
    fn remove_lowest(&self, kept: usize) -> bool {
        let mut retired = self.retired.lock();
        if retired.numbers.len() <= kept {
            return false;
        }
        if let Err(error) = self.remove(retired.numbers[0]) {
            tracing::warn!("a segment could not be removed: {error}");
            return false;
        }
        retired.numbers.pop_front();
        true
    }

    fn remove(&self, number: u64) -> Result<()> {
        self.disk.remove(&path(&self.dir, number))?;
        self.disk.sync_dir(&self.dir)
    }

    /// The number to make next, or `None` when stopped.
    fn wait_wanted(&self) -> Option<u64> {
        let mut stage = self.stage.lock();
        loop {
            match *stage {
                Stage::Wanted(number) => {
                    *stage = Stage::Making;
                    return Some(number);
                }
                Stage::Stopped => return None,
                Stage::Making | Stage::Ready(_) | Stage::Failed(..) => {
                    self.changed.wait(&mut stage);
                }
            }
        }
    }

    /// In lockstep, waits until there is nothing to make.
    #[cfg(test)]
    fn wait_idle_in_lockstep(&self) {
        let mut stage = self.stage.lock();
        while self.options.lockstep && matches!(*stage, Stage::Wanted(_) | Stage::Making) {
            self.changed.wait(&mut stage);
        }
    }

    #[cfg(not(test))]
    fn wait_idle_in_lockstep(&self) {}

    /// The segment prepared, waiting for it if need be. A failed preparation is tried once more.
    fn wait_take(&self) -> Result<Segment> {
        let mut retried = false;
        let mut stage = self.stage.lock();
        loop {
            match &*stage {
                Stage::Ready(segment) => {
                    let next = Stage::Wanted(segment.number + 1);
                    let taken = mem::replace(&mut *stage, next);
                    drop(stage);
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    self.changed.notify_all();
                    self.wait_idle_in_lockstep();
                    let Stage::Ready(segment) = taken else {
                        unreachable!("matched above under the same lock");
                    };
                    return Ok(segment);
                }
                Stage::Failed(_, error) if retried => return Err(error.clone()),
                Stage::Failed(number, _) => {
                    retried = true;
                    *stage = Stage::Wanted(*number);
                    self.changed.notify_all();
                }
                Stage::Stopped => return Err(stopped()),
                Stage::Wanted(_) | Stage::Making => self.changed.wait(&mut stage),
            }
        }
    }
}

/// The segments being written, as one run of bytes. Owned by the leader.
pub(super) struct Segments {
    preparer: Arc<Shared>,
    /// The front one is written next.
    open: VecDeque<Segment>,
    /// Where in the front one.
    offset: u64,
    /// Full ones that the next sync must cover.
    full: Vec<Segment>,
    front_is_dirty: bool,
    /// Where the last group begins.
    last_group: u64,
}

impl Segments {
    /// Goes on at `offset` of the first of `open`.
    pub(super) fn new(preparer: &Preparer, open: VecDeque<Segment>, offset: u64) -> Segments {
        Segments {
            preparer: Arc::clone(&preparer.shared),
            open,
            offset,
            full: Vec::new(),
            front_is_dirty: false,
            last_group: 0,
        }
    }

    /// Behind what was appended last: the number of its segment, and the offset in it, which may
    /// be the segment's size.
    pub(super) fn place(&self) -> (u64, u64) {
        let front = self.open.front().expect("the segment just written");
        (front.number, self.offset)
    }

    /// Sees to it that so many bytes can be appended.
    pub(super) fn wait_space(&mut self, bytes: u64) -> Result<()> {
        let open: u64 = self.open.iter().map(|segment| segment.bytes).sum();
        let mut space = open - self.offset;
        while space < bytes {
            let segment = self.preparer.wait_take()?;
            space += segment.bytes;
            self.open.push_back(segment);
        }
        Ok(())
    }

    /// What is appended next is the beginning of a group.
    pub(super) fn begin_group(&mut self) {
        self.skip_full_front();
        self.last_group = self.open[0].number;
    }

    /// Goes on to the next segment if the front one is full; `wait_space` came first.
    fn skip_full_front(&mut self) {
        if self.offset == self.open[0].bytes {
            let full = self.open.pop_front();
            self.full
                .extend(full.filter(|_| mem::take(&mut self.front_is_dirty)));
            self.offset = 0;
        }
    }

    /// Writes whole, aligned blocks behind what was written before, into as many segments as it
    /// takes.
    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.skip_full_front();
            let front = &self.open[0];
            let space = front.bytes - self.offset;
            let n = usize::try_from(space).map_or(bytes.len(), |space| space.min(bytes.len()));
            front.file.write_all_at(&bytes[..n], self.offset)?;
            self.front_is_dirty = true;
            self.offset += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Makes everything appended durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        for segment in self.full.drain(..) {
            segment.file.sync_data()?;
        }
        if mem::take(&mut self.front_is_dirty) {
            let front = self.open.front().expect("the segment just written");
            front.file.sync_data()?;
        }
        self.preparer
            .last_group
            .store(self.last_group, Ordering::Relaxed);
        Ok(())
    }
}
