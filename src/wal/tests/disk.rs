//! A disk in memory that can refuse, panic, hold syncs back, and lose what was not synced.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::base::sync::{Condvar, Mutex, RwLock};
use crate::base::{Error, Result};
use crate::disk::sim::assert_direct;
use crate::disk::{Disk, File, Lock};

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Io,
    Panic,
}

#[derive(Clone, Default)]
pub(super) struct TestDisk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    files: Mutex<BTreeMap<PathBuf, Arc<Mutex<Content>>>>,
    faults: Mutex<Faults>,
    changed: Condvar,
    /// Held for writing while a copy is made, so that it shows one moment.
    moment: RwLock<()>,
}

#[derive(Default)]
struct Faults {
    /// What the next write to, or sync of, a segment does.
    write: Option<Fault>,
    sync: Option<Fault>,
    /// No new segment can be written.
    full: bool,
    /// Syncs of segments wait.
    gate_closed: bool,
    waiting_at_gate: usize,
    /// The thread of each sync of a segment.
    sync_threads: Vec<String>,
    /// How many more reads until something is done.
    after_read: Option<(usize, Box<dyn FnOnce() + Send>)>,
}

/// As Linux does it: a sync that fails marks the written bytes clean, so that they stay readable
/// from the cache while no later sync brings them to the medium.
#[derive(Clone, Default)]
struct Content {
    /// What a read shows.
    bytes: Vec<u8>,
    /// What the medium holds.
    synced: Vec<u8>,
    dirty: Vec<Range<usize>>,
}

impl Content {
    fn sync(&mut self) {
        self.synced.resize(self.bytes.len(), 0);
        for range in self.dirty.drain(..) {
            self.synced[range.clone()].copy_from_slice(&self.bytes[range]);
        }
    }
}

impl TestDisk {
    pub(super) fn fail_next_write(&self, fault: Fault) {
        self.0.faults.lock().write = Some(fault);
    }

    pub(super) fn fail_next_sync(&self, fault: Fault) {
        self.0.faults.lock().sync = Some(fault);
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.faults.lock().full = full;
    }

    /// Does something once, as soon as the n-th read from now is done, before its caller goes on.
    pub(super) fn after_read(&self, n: usize, act: impl FnOnce() + Send + 'static) {
        self.0.faults.lock().after_read = Some((n, Box::new(act)));
    }

    /// What [`TestDisk::after_read`] left to do now.
    fn take_after_read(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut faults = self.0.faults.lock();
        let (left, _) = faults.after_read.as_mut()?;
        *left -= 1;
        (*left == 0)
            .then(|| faults.after_read.take())?
            .map(|(_, act)| act)
    }

    pub(super) fn close_gate(&self) {
        self.0.faults.lock().gate_closed = true;
    }

    pub(super) fn open_gate(&self) {
        self.0.faults.lock().gate_closed = false;
        self.0.changed.notify_all();
    }

    pub(super) fn wait_for_sync_at_gate(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut faults = self.0.faults.lock();
        while faults.waiting_at_gate == 0 {
            let late = self.0.changed.wait_until(&mut faults, deadline).timed_out();
            assert!(!late, "no sync was begun");
        }
    }

    pub(super) fn take_sync_threads(&self) -> Vec<String> {
        std::mem::take(&mut self.0.faults.lock().sync_threads)
    }

    /// A copy as a killed process leaves it, or after a power cut.
    pub(super) fn copy(&self, power_cut: bool) -> TestDisk {
        let copy = TestDisk::default();
        let _moment = self.0.moment.write();
        for (path, content) in self.0.files.lock().iter() {
            let mut content = content.lock().clone();
            if power_cut {
                content.bytes.clone_from(&content.synced);
            }
            let content = Arc::new(Mutex::new(content));
            copy.0.files.lock().insert(path.clone(), content);
        }
        copy
    }

    pub(super) fn edit<T>(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let content = Arc::clone(&self.0.files.lock()[path]);
        let mut content = content.lock();
        let result = edit(&mut content.bytes);
        content.synced = content.bytes.clone();
        content.dirty.clear();
        result
    }

    fn get(&self, path: &Path) -> Result<Arc<Mutex<Content>>> {
        let found = self.0.files.lock().get(path).cloned();
        found.ok_or_else(|| refused(path, ErrorKind::NotFound))
    }

    fn handle(&self, path: &Path, content: Arc<Mutex<Content>>) -> Box<Handle> {
        Box::new(Handle {
            disk: self.clone(),
            path: path.to_owned(),
            content,
            is_direct: false,
        })
    }
}

fn refused(path: &Path, kind: ErrorKind) -> Error {
    Error::io(format!("use {}", path.display()), io::Error::from(kind))
}

fn act(fault: Option<Fault>, path: &Path) -> Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Io) => Err(refused(path, ErrorKind::Other)),
        Some(Fault::Panic) => panic!("an injected panic"),
    }
}

impl Disk for TestDisk {
    fn create_dir(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        let content = Arc::default();
        let old = self
            .0
            .files
            .lock()
            .insert(path.to_owned(), Arc::clone(&content));
        assert!(old.is_none(), "{} exists", path.display());
        Ok(self.handle(path, content))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(self.handle(path, self.get(path)?))
    }

    fn open_direct(&self, path: &Path) -> Result<Box<dyn File>> {
        let mut handle = self.handle(path, self.get(path)?);
        handle.is_direct = true;
        Ok(handle)
    }

    fn sync_dir(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let content = self.get(from)?;
        let mut files = self.0.files.lock();
        files.remove(from);
        files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let removed = self.0.files.lock().remove(path);
        removed.map_or_else(|| Err(refused(path, ErrorKind::NotFound)), |_| Ok(()))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let files = self.0.files.lock();
        let inside = files.keys().filter(|p| p.parent() == Some(path));
        Ok(inside
            .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        Ok(self.0.files.lock().contains_key(path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        Err(refused(path, ErrorKind::Unsupported))
    }
}

struct Handle {
    disk: TestDisk,
    path: PathBuf,
    content: Arc<Mutex<Content>>,
    is_direct: bool,
}

impl Handle {
    fn is_segment(&self) -> bool {
        self.path.extension().is_some_and(|e| e == "wal")
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let content = self.content.lock();
        let from = usize::try_from(offset).unwrap().min(content.bytes.len());
        let n = buffer.len().min(content.bytes.len() - from);
        buffer[..n].copy_from_slice(&content.bytes[from..from + n]);
        drop(content);
        if let Some(act) = self.disk.take_after_read() {
            act();
        }
        Ok(n)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.is_direct {
            assert_direct(bytes, offset);
        }
        if self.is_segment() {
            let fault = self.disk.0.faults.lock().write.take();
            act(fault, &self.path)?;
        } else if self.disk.0.faults.lock().full {
            return Err(refused(&self.path, ErrorKind::StorageFull));
        }
        let _moment = self.disk.0.moment.read();
        let mut content = self.content.lock();
        let from = usize::try_from(offset).unwrap();
        let end = from + bytes.len();
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        content.bytes[from..end].copy_from_slice(bytes);
        content.dirty.push(from..end);
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(self.content.lock().bytes.len() as u64)
    }

    fn set_size(&self, bytes: u64) -> Result<()> {
        let bytes = usize::try_from(bytes).unwrap();
        let mut content = self.content.lock();
        content.sync();
        content.bytes.resize(bytes, 0);
        content.synced.resize(bytes, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        if self.is_segment() {
            let mut faults = self.disk.0.faults.lock();
            let name = thread::current().name().unwrap_or("").to_owned();
            faults.sync_threads.push(name);
            faults.waiting_at_gate += 1;
            self.disk.0.changed.notify_all();
            while faults.gate_closed {
                self.disk.0.changed.wait(&mut faults);
            }
            faults.waiting_at_gate -= 1;
            let fault = faults.sync.take();
            drop(faults);
            if fault.is_some() {
                self.content.lock().dirty.clear();
            }
            act(fault, &self.path)?;
        }
        let _moment = self.disk.0.moment.read();
        self.content.lock().sync();
        Ok(())
    }

    fn sync_all(&self) -> Result<()> {
        let _moment = self.disk.0.moment.read();
        self.content.lock().sync();
        Ok(())
    }

    fn forget_cached(&self, offset: u64, len: u64) -> Result<()> {
        let mut content = self.content.lock();
        let content = &mut *content;
        let clamp = |at| usize::try_from(at).unwrap().min(content.bytes.len());
        let range = clamp(offset)..clamp(offset + len);
        assert!(content.dirty.is_empty(), "only synced bytes are forgotten");
        content.bytes[range.clone()].copy_from_slice(&content.synced[range]);
        Ok(())
    }
}
