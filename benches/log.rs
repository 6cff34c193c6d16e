//! Measures the log: writers that commit blobs of 300 bytes, by the coordinator and by the two
//! simpler ways it has to beat, on the same files with the same writes.
//!
//! `cargo bench --bench log [-- --seconds N] [--dir DIR]`
//!
//! - *mutex*: one mutex held across append and sync, each commit a group of its own;
//! - *shared*: append under a mutex, then one sync for all who have appended;
//! - *walnut*: [`Log::reserve_and_enqueue`] and [`Log::wait_commit_at_least`];
//! - *thread*: the same with every group left to the log's writer thread;
//! - *spin*: walnut, but a writer spins for [`SPIN`] before its thread sleeps;
//! - *tasks*: walnut, from tasks of a tokio runtime, as the server commits.
//!
//! All of them run with real syncs and with the sync left out, round by round in one process. The
//! disk's own limit is one thread that writes and syncs, back to back, groups as large as
//! walnut's were on average.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use walnut::base::{Lsn, PageId, Result, TxnId};
use walnut::disk::{DIRECT_BLOCK, Disk, File, Lock, RealDisk};
use walnut::wal::{Blob, Log, Options};

const WRITERS: [usize; 6] = [1, 2, 4, 8, 16, 64];
const BLOB_BYTES: usize = 300;
const GROUP_HEADER: usize = 64;
const FILE_BYTES: u64 = 16 << 20;

/// The machine's disk, with syncs or without.
#[derive(Clone, Copy)]
struct BenchDisk {
    syncs: bool,
}

struct BenchFile {
    file: Box<dyn File>,
    syncs: bool,
}

impl BenchDisk {
    fn wrap(&self, file: Box<dyn File>) -> Box<dyn File> {
        let syncs = self.syncs;
        Box::new(BenchFile { file, syncs })
    }
}

impl Disk for BenchDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        RealDisk::default().create_dir(path)
    }
    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(self.wrap(RealDisk::default().create(path)?))
    }
    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(self.wrap(RealDisk::default().open(path)?))
    }
    fn open_direct(&self, path: &Path) -> Result<Box<dyn File>> {
        Ok(self.wrap(RealDisk::default().open_direct(path)?))
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealDisk::default().sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealDisk::default().rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        RealDisk::default().remove(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<String>> {
        RealDisk::default().list(path)
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        RealDisk::default().exists(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        RealDisk::default().lock(path)
    }
}

impl File for BenchFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.file.read_at(buffer, offset)
    }
    /// Without syncs nothing reaches the device either: what is left is the coordinator.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        match self.syncs {
            true => self.file.write_all_at(bytes, offset),
            false => Ok(()),
        }
    }
    fn size(&self) -> Result<u64> {
        self.file.size()
    }
    fn set_size(&self, bytes: u64) -> Result<()> {
        self.file.set_size(bytes)
    }
    fn sync_data(&self) -> Result<()> {
        match self.syncs {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }
    fn sync_all(&self) -> Result<()> {
        self.file.sync_all()
    }
    fn forget_cached(&self, offset: u64, len: u64) -> Result<()> {
        self.file.forget_cached(offset, len)
    }
}

/// A zero-filled file that is written in a ring, group after group, each on a block of its own.
struct Ring {
    file: Box<dyn File>,
    at: u64,
    memory: Vec<u8>,
    start: usize,
}

impl Ring {
    fn new(disk: BenchDisk, dir: &Path) -> Ring {
        let path = dir.join("ring");
        let made = RealDisk::default().create(&path).expect("a new directory");
        made.write_all_at(&vec![0; 16 << 20], 0).expect("zeros");
        made.sync_all().expect("a sync");
        let memory = vec![0; (1 << 20) + DIRECT_BLOCK];
        Ring {
            file: disk.open_direct(&path).expect("the file just made"),
            at: 0,
            start: memory.as_ptr().align_offset(DIRECT_BLOCK),
            memory,
        }
    }

    /// Writes a group of these blobs.
    fn write(&mut self, blobs: &[u8]) {
        let len = (GROUP_HEADER + blobs.len()).next_multiple_of(DIRECT_BLOCK);
        if self.at + len as u64 > FILE_BYTES {
            self.at = 0;
        }
        let group = &mut self.memory[self.start..][..len];
        group[..4].copy_from_slice(&crc32fast::hash(blobs).to_le_bytes());
        group[GROUP_HEADER..][..blobs.len()].copy_from_slice(blobs);
        self.file.write_all_at(group, self.at).expect("a write");
        self.at += len as u64;
    }
}

trait Commit: Send + Sync {
    fn commit(&self, txn: u64);
    /// Groups, each synced once, and bytes of blobs.
    fn totals(&self) -> (u64, u64);
    fn syncing(&self) -> Option<Duration> {
        None
    }
}

fn blob(txn: u64) -> Blob {
    let fixed = {
        let mut empty = Blob::begin(TxnId(0), 0);
        empty.page_write(PAGE, Lsn::ZERO, &[]);
        empty.commit(0);
        empty.len()
    };
    let mut blob = Blob::begin(TxnId(txn), BLOB_BYTES);
    blob.page_write(PAGE, Lsn::ZERO, &vec![7; BLOB_BYTES - fixed]);
    blob.commit(0);
    blob
}

const PAGE: PageId = PageId {
    space: 1,
    number: 1,
};

/// As many bytes as [`blob`], with a checksum, for the other ways.
fn plain_blob(txn: u64) -> Vec<u8> {
    let mut bytes = vec![7; BLOB_BYTES];
    bytes[4..12].copy_from_slice(&txn.to_le_bytes());
    let crc = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

struct OneMutex(Mutex<(Ring, u64)>);

impl Commit for OneMutex {
    fn commit(&self, txn: u64) {
        let blob = plain_blob(txn);
        let mut ring = self.0.lock().expect("no panic");
        ring.0.write(&blob);
        ring.0.file.sync_data().expect("a sync");
        ring.1 += 1;
    }
    fn totals(&self) -> (u64, u64) {
        let groups = self.0.lock().expect("no panic").1;
        (groups, groups * BLOB_BYTES as u64)
    }
}

/// The usual group commit: bytes gather in a buffer; whoever gets the second mutex writes and
/// syncs them for everybody.
struct Shared {
    /// Blobs gathered, and the bytes gathered all told.
    appended: Mutex<(Vec<u8>, u64)>,
    /// The bytes synced all told, and the syncs.
    synced: Mutex<(Ring, u64, u64)>,
}

impl Commit for Shared {
    fn commit(&self, txn: u64) {
        let blob = plain_blob(txn);
        let mine = {
            let mut appended = self.appended.lock().expect("no panic");
            appended.0.extend_from_slice(&blob);
            appended.1 += blob.len() as u64;
            appended.1
        };
        let mut synced = self.synced.lock().expect("no panic");
        if synced.1 >= mine {
            return;
        }
        let (blobs, end) = {
            let mut appended = self.appended.lock().expect("no panic");
            (std::mem::take(&mut appended.0), appended.1)
        };
        synced.0.write(&blobs);
        synced.0.file.sync_data().expect("a sync");
        synced.1 = end;
        synced.2 += 1;
    }
    fn totals(&self) -> (u64, u64) {
        let synced = self.synced.lock().expect("no panic");
        (synced.2, synced.1)
    }
}

struct Walnut {
    log: Arc<Log>,
    may_lead: bool,
    spin: Duration,
}

impl Commit for Walnut {
    fn commit(&self, txn: u64) {
        let lsn = self.log.reserve_and_enqueue(blob(txn));
        let wait = self.log.commit_at_least(lsn);
        let done = match self.may_lead {
            true => block_on(wait, self.spin),
            false => block_on(wait.without_leading(), self.spin),
        };
        done.expect("a healthy log");
    }
    fn totals(&self) -> (u64, u64) {
        let stats = self.log.stats();
        (stats.groups, stats.bytes)
    }
    fn syncing(&self) -> Option<Duration> {
        let stats = self.log.stats();
        Some(stats.write_time + stats.sync_time)
    }
}

/// About half a sync of the machine this was first run on.
const SPIN: Duration = Duration::from_micros(50);

/// Polls a future to its end on this thread, which spins so long and then sleeps in between.
fn block_on<F: Future>(future: F, spin: Duration) -> F::Output {
    struct Unpark(Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::Release);
            self.0.unpark();
        }
    }
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let started = Instant::now();
        while !unpark.1.load(Ordering::Acquire) && started.elapsed() < spin {
            std::hint::spin_loop();
        }
        while !unpark.1.swap(false, Ordering::AcqRel) {
            std::thread::park();
        }
    }
}

/// Nanoseconds up to a minute, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds that make sense")
}

struct Outcome {
    commits: u64,
    groups: u64,
    bytes: u64,
    took: Duration,
    /// What the groups took to write and sync, all together, where the way counts it.
    syncing: Option<Duration>,
    latency: Histogram<u64>,
}

fn measure(log: &dyn Commit, writers: usize, seconds: f64) -> Outcome {
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let latency = std::thread::scope(|scope| {
        let run = |writer: usize| {
            let stop = &stop;
            move || {
                let mut latency = histogram();
                let mut txn = writer as u64;
                while !stop.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    log.commit(txn);
                    let nanos = u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    latency.saturating_record(nanos);
                    txn += writers as u64;
                }
                latency
            }
        };
        let threads: Vec<_> = (0..writers).map(|w| scope.spawn(run(w))).collect();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        let mut all = histogram();
        for thread in threads {
            all.add(thread.join().expect("a writer"))
                .expect("the same bounds");
        }
        all
    });
    let (groups, bytes) = log.totals();
    Outcome {
        commits: latency.len(),
        groups,
        bytes,
        took: started.elapsed(),
        syncing: log.syncing(),
        latency,
    }
}

/// [`measure`] with tasks on two worker threads in place of threads.
fn measure_tasks(log: &Arc<Log>, writers: usize, seconds: f64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let run = |writer: usize| {
        let (log, stop) = (Arc::clone(log), Arc::clone(&stop));
        async move {
            let mut latency = histogram();
            let mut txn = writer as u64;
            while !stop.load(Ordering::Relaxed) {
                let before = Instant::now();
                let lsn = log.reserve_and_enqueue(blob(txn));
                log.commit_at_least(lsn).await.expect("a healthy log");
                let nanos = u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latency.saturating_record(nanos);
                txn += writers as u64;
            }
            latency
        }
    };
    let tasks: Vec<_> = (0..writers).map(|w| runtime.spawn(run(w))).collect();
    std::thread::sleep(Duration::from_secs_f64(seconds));
    stop.store(true, Ordering::Relaxed);
    let mut latency = histogram();
    for task in tasks {
        let one = runtime.block_on(task).expect("a writer");
        latency.add(one).expect("the same bounds");
    }
    let stats = log.stats();
    Outcome {
        commits: latency.len(),
        groups: stats.groups,
        bytes: stats.bytes,
        took: started.elapsed(),
        syncing: Some(stats.write_time + stats.sync_time),
        latency,
    }
}

fn print(name: &str, writers: usize, outcome: &Outcome) {
    let seconds = outcome.took.as_secs_f64();
    let micros = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    let syncing = outcome.syncing.map_or(String::new(), |all| {
        let micros = all.as_secs_f64() * 1e6 / outcome.groups.max(1) as f64;
        format!("{micros:.1}")
    });
    println!(
        "{writers:>7} {name:<8}{:>11.0}{:>10.1}{:>10.1}{:>10.1}{:>10.0}{:>10.1}{syncing:>10}",
        outcome.commits as f64 / seconds,
        micros(0.5),
        micros(0.99),
        micros(0.999),
        outcome.groups as f64 / seconds,
        outcome.commits as f64 / outcome.groups.max(1) as f64,
    );
}

/// One thread that writes and syncs groups of so many bytes.
fn limit(dir: &Path, bytes: usize, seconds: f64) -> Outcome {
    let ring = Ring::new(BenchDisk { syncs: true }, dir);
    let alone = OneGroup(Mutex::new((ring, 0)), bytes);
    measure(&alone, 1, seconds)
}

struct OneGroup(Mutex<(Ring, u64)>, usize);

impl Commit for OneGroup {
    fn commit(&self, _txn: u64) {
        let mut ring = self.0.lock().expect("no panic");
        ring.0.write(&vec![7; self.1]);
        ring.0.file.sync_data().expect("a sync");
        ring.1 += 1;
    }
    fn totals(&self) -> (u64, u64) {
        let groups = self.0.lock().expect("no panic").1;
        (groups, groups * self.1 as u64)
    }
}

/// A directory of its own for one measurement.
fn fresh(parent: &Path) -> PathBuf {
    let dir = parent.join("walnut-bench-log");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory to write to");
    dir
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut seconds, mut parent) = (2.0, std::env::temp_dir());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let value = arguments.next().and_then(|v| v.parse().ok());
                seconds = value.expect("--seconds takes a number");
            }
            "--dir" => parent = arguments.next().expect("--dir takes a directory").into(),
            _ => {}
        }
    }
    uncontended();
    for syncs in [true, false] {
        println!(
            "\n{}",
            if syncs {
                "with syncs"
            } else {
                "writes and syncs left out"
            }
        );
        println!(
            "writers {:<8}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "way", "commits/s", "p50 us", "p99 us", "p99.9 us", "syncs/s", "a group", "sync us"
        );
        let disk = BenchDisk { syncs };
        for writers in WRITERS {
            let dir = fresh(&parent);
            let mutex = OneMutex(Mutex::new((Ring::new(disk, &dir), 0)));
            print("mutex", writers, &measure(&mutex, writers, seconds));
            let dir = fresh(&parent);
            let shared = Shared {
                appended: Mutex::new((Vec::new(), 0)),
                synced: Mutex::new((Ring::new(disk, &dir), 0, 0)),
            };
            print("shared", writers, &measure(&shared, writers, seconds));
            let log = || {
                let dir = fresh(&parent);
                Log::create(Arc::new(disk), &dir, 1, Options::default()).expect("a log")
            };
            let way = |may_lead, spin| {
                let log = log();
                let walnut = Walnut {
                    log,
                    may_lead,
                    spin,
                };
                measure(&walnut, writers, seconds)
            };
            let ours = way(true, Duration::ZERO);
            print("walnut", writers, &ours);
            print("thread", writers, &way(false, Duration::ZERO));
            print("spin", writers, &way(true, SPIN));
            print("tasks", writers, &measure_tasks(&log(), writers, seconds));
            if syncs {
                let dir = fresh(&parent);
                let bytes = ours.bytes / ours.groups.max(1);
                let bytes = usize::try_from(bytes).expect("a group in memory");
                print("limit", writers, &limit(&dir, bytes, seconds));
            }
        }
    }
    let _ = std::fs::remove_dir_all(fresh(&parent));
}

/// What the hot path costs: reserving a place and publishing a blob that is made already, on one
/// thread and on several at once, nobody waiting.
fn uncontended() {
    const COMMITS: usize = 20_000;
    println!("reserve + publish, ns a blob (checksum included; nobody waits)");
    for threads in [1, 2, 4] {
        let dir = fresh(&std::env::temp_dir());
        let disk = Arc::new(BenchDisk { syncs: false });
        let log = Log::create(disk, &dir, 1, Options::default()).expect("a log");
        let nanos = std::thread::scope(|scope| {
            let run = || {
                let blobs: Vec<Blob> = (0..COMMITS as u64).map(blob).collect();
                let started = Instant::now();
                for blob in blobs {
                    log.reserve_and_enqueue(blob);
                }
                started.elapsed().as_nanos() as f64 / COMMITS as f64
            };
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let each = all.into_iter().map(|t| t.join().expect("a thread"));
            each.sum::<f64>() / f64::from(threads)
        });
        println!("{threads} threads: {nanos:.0}");
    }
}
