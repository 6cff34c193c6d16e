//! Power cuts and killed processes, at any moment and several in a row, on the simulated disk.
//!
//! What must hold after each, whatever of the unsynced operations the medium has kept:
//! - D: every commit that was acknowledged is there.
//! - P: what is there is a beginning of what was published, in order, and each commit is whole.
//! - I: a crash while the log is opened changes nothing about that.
//! - L: what is committed after a recovery is there after the next crash.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{DATABASE, Opened, blob, commit, dir, options, segment_path, stream, try_open_with};
use crate::base::{Error, Lsn, PageId, Result, TxnId};
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::wal::coordinator::block_on;
use crate::wal::{Blob, Log, Options, Position};

/// A commit's lsn and transaction.
type Commit = (Lsn, TxnId);

fn lockstep() -> Options {
    Options {
        lockstep: true,
        ..options()
    }
}

fn create(disk: &SimDisk) -> Arc<Log> {
    Log::create(Arc::new(disk.clone()), dir(), DATABASE, lockstep()).unwrap()
}

fn try_open(disk: &SimDisk) -> Result<Opened> {
    try_open_from(disk, &Position::START)
}

fn try_open_from(disk: &SimDisk, from: &Position) -> Result<Opened> {
    let opened = try_open_with(Arc::new(disk.clone()), dir(), DATABASE, lockstep(), from)?;
    let paths = (from.segment..).map(segment_path);
    let segments: Vec<u8> = paths
        .map_while(|path| disk.read(&path).ok())
        .flatten()
        .collect();
    let end = from.lsn.0 + stream(&segments, from).len() as u64;
    assert_eq!(end, opened.recovered.end.0);
    Ok(opened)
}

/// A blob over many blocks of which few sectors hold anything: few can be torn.
fn sparse_blob(txn: u64, edit_bytes: usize) -> Blob {
    let mut edits = vec![0; edit_bytes];
    edits[0] = txn.to_le_bytes()[0] | 1;
    edits[edit_bytes - 1] = edits[0];
    let mut blob = Blob::begin(TxnId(txn), 0);
    let page = PageId {
        space: 1,
        number: 1,
    };
    blob.page_write(page, Lsn::ZERO, &edits);
    blob.commit(-1);
    blob
}

/// Publishes blobs for one group and gives their ends.
fn publish(log: &Log, blobs: Vec<Blob>) -> Vec<Commit> {
    let _nobody_leads = log.coordinator.hold_leading();
    let publish = |blob: Blob| {
        let txn = blob.txn();
        (log.reserve_and_enqueue(blob), txn)
    };
    blobs.into_iter().map(publish).collect()
}

/// Looks at every image of every moment of a history, and for each image at every image of every
/// moment of its recovery and one commit more.
#[derive(Default)]
struct Exhaustive {
    /// What was found in an image, by its fingerprint: equal images are opened once.
    found: HashMap<u64, Vec<Commit>>,
    recovered: HashMap<u64, Vec<Commit>>,
    moments: u64,
    images: u64,
}

/// The transaction after a recovery.
const LATER: u64 = 100;

impl Exhaustive {
    /// Each inner vector is committed as one group.
    fn history(&mut self, groups: Vec<Vec<Blob>>) {
        let disk = SimDisk::with_dir(dir());
        let log = create(&disk);
        let mut known = Vec::new();
        // From which operation on how many commits are published, and acknowledged.
        let mut steps = vec![(disk.operations(), 0, 0)];
        for group in groups {
            let durable = known.len();
            known.extend(publish(&log, group));
            steps.push((disk.operations() + 1, durable, known.len()));
            log.wait_commit_at_least(log.next_lsn()).unwrap();
            steps.push((disk.operations(), known.len(), known.len()));
        }
        drop(log);
        for operations in steps[0].0..=disk.operations() {
            let step = steps.iter().rev().find(|step| step.0 <= operations);
            let (_, durable, published) = *step.unwrap();
            let moment = disk.moment(operations);
            self.moments += 1;
            for image in moment.images() {
                self.power_cut(&image, &known, durable..=published);
            }
            self.recover(&moment.killed(0), &known, durable..=published);
        }
    }

    fn power_cut(&mut self, image: &SimDisk, known: &[Commit], count: RangeInclusive<usize>) {
        self.images += 1;
        let fingerprint = image.fingerprint();
        if let Some(found) = self.recovered.get(&fingerprint) {
            return assert_prefix(found, known, count);
        }
        let found = self.recover(image, known, count);
        self.recovered.insert(fingerprint, found);
    }

    /// Opens, commits once more, and cuts the power at every moment of that.
    fn recover(
        &mut self,
        disk: &SimDisk,
        known: &[Commit],
        count: RangeInclusive<usize>,
    ) -> Vec<Commit> {
        let opened = try_open(disk).unwrap();
        assert_prefix(&opened.replayed, known, count.clone());
        let kept = opened.replayed.len();
        let opened_at = disk.operations();
        let mut now = opened.replayed.clone();
        now.push((commit(&opened.log, blob(LATER, 20)), TxnId(LATER)));
        let acknowledged_at = disk.operations();
        drop(opened.log);
        for operations in 0..=acknowledged_at {
            let count = match operations {
                at if at < opened_at => *count.start()..=kept,
                at if at < acknowledged_at => kept..=kept + 1,
                _ => kept + 1..=kept + 1,
            };
            self.moments += 1;
            for image in disk.moment(operations).images() {
                self.images += 1;
                let fingerprint = image.fingerprint();
                let found = self.found.entry(fingerprint);
                let found = found.or_insert_with(|| try_open(&image).unwrap().replayed);
                assert_prefix(found, &now, count.clone());
            }
        }
        opened.replayed
    }
}

#[track_caller]
fn assert_prefix(found: &[Commit], known: &[Commit], count: RangeInclusive<usize>) {
    assert!(
        count.contains(&found.len()),
        "{} commits, not {count:?}",
        found.len()
    );
    assert_eq!(found, &known[..found.len()]);
}

#[test]
fn every_power_cut_in_short_histories_and_in_their_recovery_keeps_what_was_acknowledged() {
    let histories: Vec<Vec<Vec<Blob>>> = vec![
        vec![vec![blob(1, 20)]],
        vec![vec![blob(1, 3700)]],
        vec![vec![blob(1, 700)]],
        vec![vec![blob(1, 20)], vec![blob(2, 700)]],
        vec![vec![blob(1, 20), sparse_blob(2, 4000), blob(3, 20)]],
        vec![vec![blob(1, 20)], vec![blob(2, 20), blob(3, 700)]],
        vec![vec![blob(1, 700)], vec![blob(2, 20)], vec![blob(3, 3700)]],
        // The second and third group end segments: one exactly, one in the middle of itself.
        vec![
            vec![blob(1, 20)],
            vec![sparse_blob(2, 5 * 4096)],
            vec![sparse_blob(3, 9 * 4096)],
        ],
        vec![
            vec![sparse_blob(1, 4 * 4096)],
            vec![sparse_blob(2, 4 * 4096)],
            vec![blob(3, 20)],
        ],
    ];
    let mut all = Exhaustive::default();
    let count = histories.len();
    histories.into_iter().for_each(|groups| all.history(groups));
    println!(
        "{count} histories, {} moments, {} images, {} different ones opened",
        all.moments,
        all.images,
        all.recovered.len() + all.found.len()
    );
    assert!(all.images > 5000, "fewer than there were");
}

/// One log through several lives of its process.
struct Lives {
    rng: StdRng,
    disk: SimDisk,
    /// What may be there, in order, and after how many operations of this life it could be.
    known: Vec<(Commit, usize)>,
    /// So many must be there if so many operations of this life took place.
    durable: Vec<(usize, usize)>,
    /// When this life's log was open, and what was known until then: a start that ends earlier
    /// has shown nobody what it found.
    opened_at: usize,
    known_before: Vec<(Commit, usize)>,
    next_txn: u64,
}

impl Lives {
    fn new(seed: u64) -> Lives {
        Lives {
            rng: StdRng::seed_from_u64(seed),
            disk: SimDisk::with_dir(dir()),
            known: Vec::new(),
            durable: vec![(0, 0)],
            opened_at: 0,
            known_before: Vec::new(),
            next_txn: 1,
        }
    }

    /// Gives something that depends on all that happened.
    fn run(mut self) -> u64 {
        let log = create(&self.disk);
        self.acknowledge();
        let mut first = self.disk.operations();
        self.commits(&log);
        for _ in 0..self.rng.random_range(1..6) {
            self.crash(first);
            first = 0;
            let fails = self.rng.random_bool(0.25);
            if fails {
                let after = self.rng.random_range(0..12);
                self.disk.fail_after(after);
            }
            match self.open() {
                Ok(log) => self.commits(&log),
                Err(error) => assert!(fails && matches!(error, Error::Io { .. }), "{error}"),
            }
        }
        self.crash(first);
        let log = self.open().unwrap();
        self.group(&log, 2).unwrap();
        drop(log);
        self.disk.fingerprint()
    }

    fn open(&mut self) -> Result<Arc<Log>> {
        let Opened { log, replayed, .. } = try_open(&self.disk)?;
        let known: Vec<_> = self.known.iter().map(|(commit, _)| *commit).collect();
        assert_prefix(&replayed, &known, self.durable[0].1..=known.len());
        self.known_before = self.known.clone();
        self.known.truncate(replayed.len());
        self.opened_at = self.disk.operations();
        self.acknowledge();
        Ok(log)
    }

    /// All that is known is durable from here on.
    fn acknowledge(&mut self) {
        self.durable
            .push((self.disk.operations(), self.known.len()));
    }

    fn commits(&mut self, log: &Log) {
        if self.rng.random_bool(0.3) {
            let after = self.rng.random_range(0..30);
            self.disk.fail_after(after);
        }
        for _ in 0..self.rng.random_range(0..12) {
            let blobs = match self.rng.random_range(0..4) {
                0 => self.rng.random_range(2..5),
                _ => 1,
            };
            match self.group(log, blobs) {
                Ok(()) => {}
                // No further segment could be made, which may work the next time.
                Err(Error::Io { .. }) if log.poisoned().is_none() => {}
                Err(_) => return self.expect_poisoned(log),
            }
        }
        match self.rng.random_range(0..6) {
            0 if log.shutdown().is_ok() => self.acknowledge(),
            1 => self.publish(log, 1),
            _ => {}
        }
    }

    /// Commits in one group.
    fn group(&mut self, log: &Log, blobs: usize) -> Result<()> {
        block_on(log.wait_room())?;
        self.publish(log, blobs);
        log.wait_commit_at_least(log.next_lsn())?;
        self.acknowledge();
        Ok(())
    }

    fn publish(&mut self, log: &Log, blobs: usize) {
        let from = self.disk.operations() + 1;
        let blobs = (0..blobs).map(|_| self.blob()).collect();
        let published = publish(log, blobs).into_iter();
        self.known.extend(published.map(|commit| (commit, from)));
    }

    fn blob(&mut self) -> Blob {
        let bytes = match self.rng.random_range(0..20) {
            0 => self.rng.random_range(20_000..70_000),
            1..5 => self.rng.random_range(2000..10_000),
            _ => self.rng.random_range(1..600),
        };
        self.next_txn += 1;
        blob(self.next_txn, bytes)
    }

    /// After a failure nothing is acknowledged any more, whatever the disk says.
    fn expect_poisoned(&mut self, log: &Log) {
        for _ in 0..2 {
            let room = block_on(log.wait_room());
            assert!(matches!(room, Err(Error::Poisoned(_))), "{room:?}");
            self.publish(log, 1);
            let end = log.wait_commit_at_least(log.next_lsn());
            assert!(matches!(end, Err(Error::Poisoned(_))), "{end:?}");
        }
    }

    /// Ends the life at some moment of it, from operation `first` on.
    fn crash(&mut self, first: usize) {
        let operations = match self.rng.random_range(0..3) {
            0 => self.disk.operations(),
            _ => self.rng.random_range(first..=self.disk.operations()),
        };
        if operations < self.opened_at {
            self.known = std::mem::take(&mut self.known_before);
        }
        self.opened_at = 0;
        self.known.retain(|(_, from)| *from <= operations);
        let durable = self.durable.iter().rev().find(|d| d.0 <= operations);
        self.durable = vec![(0, durable.unwrap().1)];
        self.known.iter_mut().for_each(|(_, from)| *from = 0);
        let seed = self.rng.random();
        let moment = self.disk.moment(operations);
        self.disk = match self.rng.random_range(0..3) {
            0 => moment.killed(seed),
            _ => moment.image(seed),
        };
    }
}

#[test]
fn random_histories_with_crashes_and_failing_operations_keep_what_was_acknowledged() {
    let test = "wal::tests::power::random_histories";
    for_each_seed(test, 1000, |seed| {
        Lives::new(seed).run();
    });
}

#[test]
fn a_seed_replays_the_same_history() {
    for seed in 0..50 {
        assert_eq!(Lives::new(seed).run(), Lives::new(seed).run(), "{seed}");
    }
}
