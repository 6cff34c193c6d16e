//! A disk in memory that remembers what was done to it and can show what a power cut at any
//! moment may leave. For tests.
//!
//! What it assumes of a medium is no more than D1–D5 give:
//! - A power cut leaves each sector of 512 bytes, each file size and each name in one of the
//!   versions it had since it was last synced, whatever the others are left in. So a write may be
//!   lost, kept or torn, and unsynced operations may arrive in any order.
//! - `sync_data` and `sync_all` make a file's bytes and size durable, `sync_dir` a directory's names.
//! - A sync of a file that failed has brought any part of the bytes to the medium. They stay
//!   readable, and a later sync does not cover them unless they are written again. Reading them
//!   from the medium settles which they are.
//! - A sync of a directory that failed leaves its names unsynced.
//! - Killing the process loses nothing, and makes nothing durable.
//!
//! Entry points: [`SimDisk`]; [`SimDisk::moment`] for what it was after some operation, and from
//! there [`Moment::images`] for every outcome of a power cut, [`Moment::image`] for one of them,
//! [`Moment::killed`] for the end of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{DIRECT_BLOCK, Disk, File, Lock};
use crate::base::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::base::{Error, Result};

const SECTOR_BYTES: usize = 512;
type Sector = [u8; SECTOR_BYTES];

/// `EIO`.
const IO_ERROR: i32 = 5;

/// What a direct write must look like.
pub(crate) fn assert_direct(bytes: &[u8], offset: u64) {
    assert_eq!(bytes.as_ptr().align_offset(DIRECT_BLOCK), 0);
    assert!(bytes.len().is_multiple_of(DIRECT_BLOCK));
    assert!(offset.is_multiple_of(DIRECT_BLOCK as u64));
}

/// Runs a random test for each of so many seeds, or `WALNUT_SIM_SEEDS` many, or for `SEED` alone.
/// One that fails is named with the command that replays it.
pub(crate) fn for_each_seed(test: &str, default: u64, run: impl Fn(u64) + Sync) {
    let number = |name| std::env::var(name).ok().map(|n| n.parse().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WALNUT_SIM_SEEDS").unwrap_or(default),
    };
    println!("{} seeds", seeds.end - seeds.start);
    let next = AtomicU64::new(seeds.start);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            next.store(seeds.end, Ordering::Relaxed);
            println!("to replay: SEED={seed} cargo test --lib {test}");
            resume_unwind(panic);
        }
    };
    // A history mostly waits for its own threads.
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
}

#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<Inner>>);

struct Inner {
    /// Before the first of `history`.
    base: State,
    now: State,
    history: Vec<Operation>,
    files_made: u64,
    locked: BTreeSet<PathBuf>,
    /// The operation of this number fails.
    fault_at: Option<usize>,
    /// How much of a failed write, and what of the bytes of a failed sync, has arrived.
    rng: StdRng,
}

/// A change as it came about.
#[derive(Clone, Debug)]
enum Operation {
    /// Names that change together.
    Names(Vec<(PathBuf, Option<Node>)>),
    SyncNames(PathBuf),
    Write {
        file: u64,
        at: usize,
        bytes: Vec<u8>,
    },
    Resize {
        file: u64,
        bytes: usize,
    },
    Sync {
        file: u64,
        failed: bool,
    },
    /// A sector was read from the medium.
    Settle {
        file: u64,
        sector: usize,
        bytes: Box<Sector>,
    },
    /// Refused, without an effect.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Dir,
    File(u64),
}

/// Something that is durable in one version and may have reached the medium in later ones.
#[derive(Clone, Debug, Default)]
struct Versions<T> {
    durable: T,
    later: Vec<T>,
    /// The last version is what the next sync makes durable.
    is_dirty: bool,
}

impl<T: Clone + PartialEq> Versions<T> {
    fn new(durable: T) -> Versions<T> {
        Versions {
            durable,
            later: Vec::new(),
            is_dirty: false,
        }
    }

    fn newest(&self) -> &T {
        self.later.last().unwrap_or(&self.durable)
    }

    fn set(&mut self, version: T) {
        if !self.is_settled() || version != self.durable {
            self.later.push(version);
            self.is_dirty = true;
        }
    }

    fn sync(&mut self) {
        if mem::take(&mut self.is_dirty) {
            *self = Versions::new(self.newest().clone());
        }
    }

    fn is_settled(&self) -> bool {
        self.later.is_empty()
    }

    /// What a power cut may leave.
    fn choices(&self) -> Vec<&T> {
        let mut choices = vec![&self.durable];
        for version in &self.later {
            if !choices.contains(&version) {
                choices.push(version);
            }
        }
        choices
    }
}

#[derive(Clone, Default)]
struct Content {
    /// What a read shows.
    bytes: Vec<u8>,
    size: Versions<usize>,
    /// The sectors that are not as durable as they read.
    unsettled: BTreeMap<usize, Versions<Sector>>,
}

impl Content {
    fn durable(bytes: Vec<u8>) -> Content {
        Content {
            size: Versions::new(bytes.len()),
            bytes,
            unsettled: BTreeMap::new(),
        }
    }

    fn sector(&self, sector: usize) -> Sector {
        let mut bytes = [0; SECTOR_BYTES];
        let from = (sector * SECTOR_BYTES).min(self.bytes.len());
        let to = (from + SECTOR_BYTES).min(self.bytes.len());
        bytes[..to - from].copy_from_slice(&self.bytes[from..to]);
        bytes
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.bytes.len() {
            self.resize(end);
        }
        self.change(at..end, |range| range.copy_from_slice(bytes));
    }

    fn resize(&mut self, bytes: usize) {
        if bytes < self.bytes.len() {
            self.change(bytes..self.bytes.len(), |cut| cut.fill(0));
        }
        self.bytes.resize(bytes, 0);
        self.size.set(bytes);
    }

    fn change(&mut self, range: Range<usize>, edit: impl FnOnce(&mut [u8])) {
        let sectors = range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES);
        let before: Vec<Sector> = sectors.clone().map(|sector| self.sector(sector)).collect();
        edit(&mut self.bytes[range]);
        for (sector, before) in sectors.zip(before) {
            let after = self.sector(sector);
            let versions = self.unsettled.entry(sector);
            let versions = versions.or_insert_with(|| Versions::new(before));
            versions.set(after);
        }
        self.forget_settled();
    }

    fn sync(&mut self, failed: bool) {
        if failed {
            self.unsettled.values_mut().for_each(|v| v.is_dirty = false);
            self.size.is_dirty = false;
        } else {
            self.unsettled.values_mut().for_each(Versions::sync);
            self.size.sync();
        }
        self.forget_settled();
    }

    fn settle(&mut self, sector: usize, bytes: &Sector) {
        self.unsettled.remove(&sector);
        let from = sector * SECTOR_BYTES;
        let to = (from + SECTOR_BYTES).min(self.bytes.len());
        self.bytes[from..to].copy_from_slice(&bytes[..to - from]);
    }

    fn forget_settled(&mut self) {
        self.unsettled.retain(|_, versions| !versions.is_settled());
    }

    /// What a power cut leaves.
    fn image(&self, choose: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (sector, versions) in &self.unsettled {
            let choices = versions.choices();
            let chosen = choices[choose(choices.len())];
            let from = sector * SECTOR_BYTES;
            bytes.resize(bytes.len().max(from + SECTOR_BYTES), 0);
            bytes[from..][..SECTOR_BYTES].copy_from_slice(chosen);
        }
        let sizes = self.size.choices();
        bytes.resize(*sizes[choose(sizes.len())], 0);
        bytes
    }
}

#[derive(Clone, Default)]
struct State {
    names: BTreeMap<PathBuf, Versions<Option<Node>>>,
    files: BTreeMap<u64, Content>,
}

impl State {
    fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).and_then(|versions| *versions.newest())
    }

    fn file(&mut self, file: u64) -> &mut Content {
        self.files.entry(file).or_default()
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Names(changes) => changes.iter().for_each(|(path, node)| {
                self.names.entry(path.clone()).or_default().set(*node);
            }),
            Operation::SyncNames(dir) => {
                let inside = self.names.iter_mut().filter(|n| n.0.parent() == Some(dir));
                inside.for_each(|(_, versions)| versions.sync());
            }
            Operation::Write { file, at, bytes } => self.file(*file).write(*at, bytes),
            Operation::Resize { file, bytes } => self.file(*file).resize(*bytes),
            Operation::Sync { file, failed } => self.file(*file).sync(*failed),
            Operation::Settle {
                file,
                sector,
                bytes,
            } => self.file(*file).settle(*sector, bytes),
            Operation::Refused => {}
        }
    }

    /// What a power cut leaves; `choose(n)` gives a number below n. Everything in it is durable.
    fn image(&self, choose: &mut dyn FnMut(usize) -> usize) -> State {
        let mut image = State::default();
        for (path, versions) in &self.names {
            let choices = versions.choices();
            let node = *choices[choose(choices.len())];
            let in_a_dir = path
                .parent()
                .is_none_or(|dir| image.node(dir) == Some(Node::Dir));
            if let Some(node) = node.filter(|_| in_a_dir) {
                image.names.insert(path.clone(), Versions::new(Some(node)));
            }
        }
        for versions in image.names.values() {
            if let Some(Node::File(file)) = versions.durable
                && let Some(content) = self.files.get(&file)
                && !image.files.contains_key(&file)
            {
                let content = Content::durable(content.image(choose));
                image.files.insert(file, content);
            }
        }
        image
    }
}

/// The disk as it was after some operation.
pub(crate) struct Moment(State);

impl Moment {
    /// Every outcome of a power cut.
    pub(crate) fn images(&self) -> impl Iterator<Item = SimDisk> {
        let mut path = Some(Vec::new());
        std::iter::from_fn(move || {
            let mut chosen = path.take()?;
            let mut at = 0;
            let image = self.0.image(&mut |choices| {
                if at == chosen.len() {
                    chosen.push((0, choices));
                }
                at += 1;
                chosen[at - 1].0
            });
            // The next path: the last choice that has an alternative takes it.
            while let Some((choice, choices)) = chosen.pop() {
                if choice + 1 < choices {
                    chosen.push((choice + 1, choices));
                    path = Some(chosen);
                    break;
                }
            }
            Some(SimDisk::of(image, 0))
        })
    }

    /// One outcome of a power cut: in one case of four nothing that was not synced is there, in
    /// one everything is, otherwise anything may be.
    pub(crate) fn image(&self, seed: u64) -> SimDisk {
        let mut rng = StdRng::seed_from_u64(seed);
        let kind = rng.random_range(0..4);
        let image = self.0.image(&mut |choices| match kind {
            0 => 0,
            1 => choices - 1,
            _ => rng.random_range(0..choices),
        });
        SimDisk::of(image, seed)
    }

    /// After the end of the process: nothing is lost, and nothing more is durable.
    pub(crate) fn killed(&self, seed: u64) -> SimDisk {
        SimDisk::of(self.0.clone(), seed)
    }
}

impl SimDisk {
    /// An empty disk with one directory, whose name is durable.
    pub(crate) fn with_dir(dir: &Path) -> SimDisk {
        let mut state = State::default();
        for dir in dir.ancestors() {
            let node = Versions::new(Some(Node::Dir));
            state.names.insert(dir.to_owned(), node);
        }
        SimDisk::of(state, 0)
    }

    fn of(state: State, seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Inner {
            now: state.clone(),
            files_made: state.files.keys().last().map_or(0, |file| file + 1),
            base: state,
            history: Vec::new(),
            locked: BTreeSet::new(),
            fault_at: None,
            rng: StdRng::seed_from_u64(seed),
        })))
    }

    /// How many operations there have been.
    pub(crate) fn operations(&self) -> usize {
        self.0.lock().history.len()
    }

    /// The disk after its first so many operations.
    pub(crate) fn moment(&self, operations: usize) -> Moment {
        let inner = self.0.lock();
        let mut state = inner.base.clone();
        let first = inner.history[..operations].iter();
        first.for_each(|operation| state.apply(operation));
        Moment(state)
    }

    /// Has one operation fail, once: the one after so many more.
    pub(crate) fn fail_after(&self, operations: usize) {
        let mut inner = self.0.lock();
        inner.fault_at = Some(inner.history.len() + operations);
    }

    /// Takes back what [`SimDisk::fail_after`] has not brought about yet.
    pub(crate) fn heal(&self) {
        self.0.lock().fault_at = None;
    }

    /// Tells disks apart by what can be read from them, and by which names mean one file.
    pub(crate) fn fingerprint(&self) -> u64 {
        let inner = self.0.lock();
        let mut hasher = DefaultHasher::new();
        for (path, versions) in &inner.now.names {
            match versions.newest() {
                Some(Node::File(file)) => {
                    let content = inner.now.files.get(file);
                    (path, file, content.map(|c| &c.bytes)).hash(&mut hasher);
                }
                node => (path, node).hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut inner = self.0.lock();
        let file = inner.file(path)?;
        Ok(inner.now.file(file).bytes.clone())
    }

    fn handle(&self, path: &Path, file: u64, is_direct: bool) -> Box<dyn File> {
        Box::new(Handle {
            disk: self.clone(),
            path: path.to_owned(),
            file,
            is_direct,
        })
    }
}

impl Inner {
    fn run(&mut self, operation: Operation) {
        self.now.apply(&operation);
        self.history.push(operation);
    }

    /// Whether the operation that is about to be run fails.
    fn fails(&mut self) -> bool {
        let fails = self.fault_at.is_some_and(|at| at <= self.history.len());
        if fails {
            self.fault_at = None;
        }
        fails
    }

    fn try_run(&mut self, operation: Operation, path: &Path) -> Result<()> {
        if self.fails() {
            self.run(Operation::Refused);
            return Err(io_error(path));
        }
        self.run(operation);
        Ok(())
    }

    fn file(&self, path: &Path) -> Result<u64> {
        match self.now.node(path) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(refused(path, ErrorKind::NotFound)),
        }
    }

    fn expect_dir(&self, path: &Path) -> Result<()> {
        match self.now.node(path) {
            Some(Node::Dir) => Ok(()),
            _ => Err(refused(path, ErrorKind::NotFound)),
        }
    }

    fn expect_new(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |dir| self.expect_dir(dir))?;
        match self.now.node(path) {
            None => Ok(()),
            Some(_) => Err(refused(path, ErrorKind::AlreadyExists)),
        }
    }

    fn create(&mut self, path: &Path) -> Result<u64> {
        self.expect_new(path)?;
        let file = self.files_made;
        self.files_made += 1;
        let name = (path.to_owned(), Some(Node::File(file)));
        self.try_run(Operation::Names(vec![name]), path)?;
        Ok(file)
    }
}

fn refused(path: &Path, kind: ErrorKind) -> Error {
    Error::io(format!("use {}", path.display()), io::Error::from(kind))
}

fn io_error(path: &Path) -> Error {
    let error = io::Error::from_raw_os_error(IO_ERROR);
    Error::io(format!("use {}", path.display()), error)
}

impl Disk for SimDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.expect_new(path)?;
        let name = (path.to_owned(), Some(Node::Dir));
        inner.try_run(Operation::Names(vec![name]), path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = self.0.lock().create(path)?;
        Ok(self.handle(path, file, false))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = self.0.lock().file(path)?;
        Ok(self.handle(path, file, false))
    }

    fn open_direct(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = self.0.lock().file(path)?;
        Ok(self.handle(path, file, true))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.expect_dir(path)?;
        inner.try_run(Operation::SyncNames(path.to_owned()), path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        let node = Node::File(inner.file(from)?);
        let names = vec![(to.to_owned(), Some(node)), (from.to_owned(), None)];
        inner.try_run(Operation::Names(names), from)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut inner = self.0.lock();
        inner.file(path)?;
        inner.try_run(Operation::Names(vec![(path.to_owned(), None)]), path)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let inner = self.0.lock();
        inner.expect_dir(path)?;
        let names = inner.now.names.iter();
        let inside = names.filter(|(p, v)| p.parent() == Some(path) && v.newest().is_some());
        let name = |path: &Path| path.file_name()?.to_str().map(str::to_owned);
        Ok(inside.filter_map(|(path, _)| name(path)).collect())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.0.lock().now.node(path).is_some())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let mut inner = self.0.lock();
        if inner.file(path).is_err() {
            inner.create(path)?;
        }
        if !inner.locked.insert(path.to_owned()) {
            return Err(refused(path, ErrorKind::WouldBlock));
        }
        Ok(Box::new(Locked {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
}

struct Locked {
    disk: SimDisk,
    path: PathBuf,
}

impl Lock for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.0.lock().locked.remove(&self.path);
    }
}

struct Handle {
    disk: SimDisk,
    path: PathBuf,
    file: u64,
    is_direct: bool,
}

impl Handle {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.disk.0.lock()
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a disk that fits into memory")
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        assert!(!self.is_direct, "nothing is read past the cache");
        let mut inner = self.inner();
        let bytes = &inner.now.file(self.file).bytes;
        let from = index(offset).min(bytes.len());
        let n = buffer.len().min(bytes.len() - from);
        buffer[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.is_direct {
            assert_direct(bytes, offset);
        }
        let mut inner = self.inner();
        let fails = inner.fails();
        let written = match fails {
            true => inner.rng.random_range(0..=bytes.len()),
            false => bytes.len(),
        };
        inner.run(Operation::Write {
            file: self.file,
            at: index(offset),
            bytes: bytes[..written].to_vec(),
        });
        if fails {
            return Err(io_error(&self.path));
        }
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(self.inner().now.file(self.file).bytes.len() as u64)
    }

    fn set_size(&self, bytes: u64) -> Result<()> {
        let resize = Operation::Resize {
            file: self.file,
            bytes: index(bytes),
        };
        self.inner().try_run(resize, &self.path)
    }

    fn sync_data(&self) -> Result<()> {
        let mut inner = self.inner();
        let failed = inner.fails();
        let file = self.file;
        inner.run(Operation::Sync { file, failed });
        match failed {
            true => Err(io_error(&self.path)),
            false => Ok(()),
        }
    }

    fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    fn forget_cached(&self, offset: u64, len: u64) -> Result<()> {
        let inner = &mut *self.inner();
        let range = index(offset) / SECTOR_BYTES..index(offset + len).div_ceil(SECTOR_BYTES);
        let unsettled = inner.now.file(self.file).unsettled.range(range);
        let clean: Vec<_> = unsettled
            .filter(|(_, versions)| !versions.is_dirty)
            .map(|(sector, versions)| {
                let choices = versions.choices();
                let chosen = inner.rng.random_range(0..choices.len());
                (*sector, Box::new(*choices[chosen]))
            })
            .collect();
        for (sector, bytes) in clean {
            inner.run(Operation::Settle {
                file: self.file,
                sector,
                bytes,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> &'static Path {
        Path::new("/d")
    }

    fn disk() -> SimDisk {
        SimDisk::with_dir(dir())
    }

    /// What a power cut may leave of a file, `None` for no such name.
    fn outcomes(disk: &SimDisk, name: &str) -> BTreeSet<Option<Vec<u8>>> {
        let now = disk.moment(disk.operations());
        let path = dir().join(name);
        now.images().map(|image| image.read(&path).ok()).collect()
    }

    fn bytes(parts: &[(u8, usize)]) -> Option<Vec<u8>> {
        let parts = parts.iter().flat_map(|&(byte, n)| vec![byte; n]);
        Some(parts.collect())
    }

    #[test]
    fn an_unsynced_write_is_lost_kept_or_torn_at_sectors() {
        let disk = disk();
        let file = disk.create(&dir().join("f")).unwrap();
        file.set_size(1024).unwrap();
        file.sync_all().unwrap();
        disk.sync_dir(dir()).unwrap();
        assert_eq!(outcomes(&disk, "f"), [bytes(&[(0, 1024)])].into());
        file.write_all_at(&[7; 600], 200).unwrap();
        let expected = [
            bytes(&[(0, 1024)]),
            bytes(&[(0, 200), (7, 312), (0, 512)]),
            bytes(&[(0, 512), (7, 288), (0, 224)]),
            bytes(&[(0, 200), (7, 600), (0, 224)]),
        ];
        assert_eq!(outcomes(&disk, "f"), expected.into());
        file.sync_data().unwrap();
        let whole = bytes(&[(0, 200), (7, 600), (0, 224)]);
        assert_eq!(outcomes(&disk, "f"), [whole].into());
    }

    #[test]
    fn names_sizes_and_bytes_reach_the_medium_independently() {
        let disk = disk();
        let file = disk.create(&dir().join("f")).unwrap();
        file.write_all_at(&[7; 8], 0).unwrap();
        let expected = [None, bytes(&[]), bytes(&[(0, 8)]), bytes(&[(7, 8)])];
        assert_eq!(outcomes(&disk, "f"), expected.into());
        file.sync_all().unwrap();
        assert_eq!(outcomes(&disk, "f"), [None, bytes(&[(7, 8)])].into());
        disk.rename(&dir().join("f"), &dir().join("g")).unwrap();
        assert_eq!(outcomes(&disk, "g"), [None, bytes(&[(7, 8)])].into());
        disk.sync_dir(dir()).unwrap();
        assert_eq!(outcomes(&disk, "f"), [None].into());
        assert_eq!(outcomes(&disk, "g"), [bytes(&[(7, 8)])].into());
        disk.remove(&dir().join("g")).unwrap();
        assert_eq!(outcomes(&disk, "g"), [None, bytes(&[(7, 8)])].into());
    }

    #[test]
    fn a_sync_after_one_that_failed_says_nothing_about_the_bytes() {
        let disk = disk();
        let file = disk.create(&dir().join("f")).unwrap();
        file.set_size(8).unwrap();
        file.sync_all().unwrap();
        disk.sync_dir(dir()).unwrap();
        file.write_all_at(&[7; 8], 0).unwrap();
        disk.fail_after(0);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        let both = [bytes(&[(0, 8)]), bytes(&[(7, 8)])];
        assert_eq!(outcomes(&disk, "f"), both.into());
        let mut read = [0; 8];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read, [7; 8], "the cache shows what the disk may not have");
        file.forget_cached(0, 8).unwrap();
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(outcomes(&disk, "f"), [Some(read.to_vec())].into());
    }

    #[test]
    fn a_killed_process_leaves_everything_readable_and_nothing_more_durable() {
        let disk = disk();
        let path = dir().join("f");
        let file = disk.create(&path).unwrap();
        file.write_all_at(&[7; 8], 0).unwrap();
        let killed = disk.moment(disk.operations()).killed(0);
        assert_eq!(killed.read(&path).ok(), bytes(&[(7, 8)]));
        assert!(outcomes(&killed, "f").contains(&None));
    }
}
