//! Power cuts and killed processes, at any moment and several in a row, on the simulated disk.
//!
//! What must hold after each, whatever of the unsynced operations the medium has kept:
//! - D: every commit that was acknowledged is there.
//! - P: what is there is a beginning of what was published, in order, and each commit is whole.
//! - I: a crash while the log is opened changes nothing about that.
//! - L: what is committed after a recovery is there after the next crash.
//!
//! A log is opened from the beginning or from a checkpoint's position. A checkpoint is modelled as
//! the position it remembers, durable at once: a crash may find it, or an older one that no
//! recycling has invalidated.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{DATABASE, Opened, blob, commit, dir, options, segment_path, stream, try_open_with};
use crate::base::{Error, Lsn, PageId, Result, TxnId};
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::wal::coordinator::block_on;
use crate::wal::{Blob, Log, Options, Position, segment};

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

enum Step {
    /// Committed as one group.
    Group(Vec<Blob>),
    /// What a checkpoint begins with and ends with: it remembers the position, and recycles what
    /// lies in front of it.
    Position,
    Recycle,
}

/// A position that can be opened after a crash.
struct Taken {
    position: Position,
    /// Between these operations.
    operations: RangeInclusive<usize>,
}

/// What was replayed from an image, given its fingerprint and where it was opened from.
type Found = HashMap<(u64, Position), Vec<Commit>>;

/// Looks at every image of every moment of a history, and for each image at every image of every
/// moment of its recovery and one commit more.
#[derive(Default)]
struct Exhaustive {
    /// Equal images are opened once.
    found: Found,
    recovered: Found,
    moments: u64,
    images: u64,
}

/// The transaction after a recovery.
const LATER: u64 = 100;

impl Exhaustive {
    fn history(&mut self, steps: Vec<Step>) {
        let disk = SimDisk::with_dir(dir());
        let log = create(&disk);
        let mut known = Vec::new();
        // From which operation on how many commits are published, and acknowledged.
        let mut counts = vec![(disk.operations(), 0, 0)];
        let mut positions = vec![Taken {
            position: Position::START,
            operations: 0..=usize::MAX,
        }];
        for step in steps {
            match step {
                Step::Group(blobs) => {
                    let durable = known.len();
                    known.extend(publish(&log, blobs));
                    counts.push((disk.operations() + 1, durable, known.len()));
                    log.wait_commit_at_least(log.next_lsn()).unwrap();
                    counts.push((disk.operations(), known.len(), known.len()));
                }
                Step::Position => positions.push(Taken {
                    position: log.position().unwrap(),
                    operations: disk.operations()..=usize::MAX,
                }),
                Step::Recycle => recycle(&log, disk.operations(), &mut positions),
            }
        }
        drop(log);
        for operations in counts[0].0..=disk.operations() {
            let count = counts.iter().rev().find(|count| count.0 <= operations);
            let (_, durable, published) = *count.unwrap();
            let moment = disk.moment(operations);
            self.moments += 1;
            let usable = positions
                .iter()
                .filter(|p| p.operations.contains(&operations));
            for from in usable.map(|taken| &taken.position) {
                for image in moment.images() {
                    self.power_cut(&image, from, &known, durable..=published);
                }
                self.recover(&moment.killed(0), from, &known, durable..=published);
            }
        }
    }

    fn power_cut(
        &mut self,
        image: &SimDisk,
        from: &Position,
        known: &[Commit],
        count: RangeInclusive<usize>,
    ) {
        self.images += 1;
        let key = (image.fingerprint(), *from);
        if let Some(found) = self.recovered.get(&key) {
            return assert_prefix(found, from, known, count);
        }
        let found = self.recover(image, from, known, count);
        self.recovered.insert(key, found);
    }

    /// Opens, commits once more, and cuts the power at every moment of that.
    fn recover(
        &mut self,
        disk: &SimDisk,
        from: &Position,
        known: &[Commit],
        count: RangeInclusive<usize>,
    ) -> Vec<Commit> {
        assert_no_gap(disk);
        go_on(&disk.moment(disk.operations()).killed(0), from);
        let opened = try_open_from(disk, from).unwrap();
        assert_prefix(&opened.replayed, from, known, count.clone());
        let kept = before(from, known) + opened.replayed.len();
        let opened_at = disk.operations();
        let mut now = known[..kept].to_vec();
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
                assert_no_gap(&image);
                let found = self.found.entry((image.fingerprint(), *from));
                let found = found.or_insert_with(|| try_open_from(&image, from).unwrap().replayed);
                assert_prefix(found, from, &now, count.clone());
            }
        }
        opened.replayed
    }
}

/// The numbers of the segments follow each other.
#[track_caller]
fn assert_no_gap(disk: &SimDisk) {
    let numbers = segment::list(disk, dir()).unwrap();
    let next = numbers[0]..;
    assert!(
        numbers.iter().copied().eq(next.take(numbers.len())),
        "{numbers:?}"
    );
}

/// Writes through some segments; then all of that is there.
fn go_on(disk: &SimDisk, from: &Position) {
    let opened = try_open_from(disk, from).unwrap();
    let mut known = opened.replayed;
    for txn in LATER..LATER + 6 {
        let end = commit(&opened.log, sparse_blob(txn, 4 * 4096));
        known.push((end, TxnId(txn)));
    }
    drop(opened.log);
    assert_eq!(try_open_from(disk, from).unwrap().replayed, known);
}

/// Recycles for the last position. Older ones may not be valid from the next operation on.
fn recycle(log: &Log, operations: usize, positions: &mut [Taken]) {
    let segment = positions.last().unwrap().position.segment;
    for older in positions {
        if older.position.segment < segment && *older.operations.end() > operations {
            older.operations = *older.operations.start()..=operations;
        }
    }
    log.recycle(segment);
}

/// How many commits lie in front of a position.
fn before(from: &Position, known: &[Commit]) -> usize {
    known.partition_point(|(end, _)| *end <= from.lsn)
}

/// `count` is of all commits, `found` what is replayed from a position.
#[track_caller]
fn assert_prefix(
    found: &[Commit],
    from: &Position,
    known: &[Commit],
    count: RangeInclusive<usize>,
) {
    let before = before(from, known);
    let all = before + found.len();
    assert!(count.contains(&all), "{all} commits, not {count:?}");
    assert_eq!(found, &known[before..all]);
}

#[test]
fn every_power_cut_in_short_histories_and_in_their_recovery_keeps_what_was_acknowledged() {
    let histories = vec![
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
    let groups = |groups: Vec<_>| groups.into_iter().map(Step::Group).collect();
    let images = every_power_cut_in(histories.into_iter().map(groups).collect());
    assert!(images > 5000, "fewer than there were");
}

/// Gives how many images there are.
fn every_power_cut_in(histories: Vec<Vec<Step>>) -> u64 {
    let mut all = Exhaustive::default();
    let count = histories.len();
    histories.into_iter().for_each(|steps| all.history(steps));
    println!(
        "{count} histories, {} moments, {} images, {} different ones opened",
        all.moments,
        all.images,
        all.recovered.len() + all.found.len()
    );
    all.images
}

#[test]
fn every_power_cut_around_checkpoints_and_in_recycled_segments_keeps_what_was_acknowledged() {
    use Step::{Position, Recycle};
    let small = |txn| Step::Group(vec![blob(txn, 20)]);
    let blocks = |txn, blocks: usize| Step::Group(vec![sparse_blob(txn, blocks * 4096 - 1000)]);
    let images = every_power_cut_in(vec![
        vec![small(1), Position, Recycle, small(2)],
        // The position is in segment 3. Segment 1 becomes the fifth, which is written from its
        // beginning; a group in it is over stale bytes, with a stale group right behind it.
        vec![
            small(1),
            small(2),
            blocks(3, 5),
            blocks(4, 9),
            Position,
            Recycle,
            small(5),
            blocks(6, 14),
            small(7),
            small(8),
            Position,
            Recycle,
            small(9),
        ],
        // The same with stale groups everywhere, and torn ones among them.
        (1..=22)
            .map(small)
            .chain([Position, Recycle])
            .chain((23..=40).map(small))
            .chain([Step::Group(vec![blob(41, 700)])])
            .chain([Step::Group(vec![sparse_blob(42, 8000), blob(43, 20)])])
            .chain([Position, Recycle, small(44)])
            .chain([Step::Group(vec![blob(45, 3700)])])
            .collect(),
        // A position at the end of a segment; a group over recycled segments and no others.
        vec![
            blocks(1, 7),
            blocks(2, 8),
            blocks(3, 8),
            Position,
            Recycle,
            small(4),
            blocks(5, 7),
            blocks(6, 12),
            small(7),
        ],
        // The log has gone on before it recycles, so the segment of the position is not the last.
        vec![
            blocks(1, 12),
            Position,
            blocks(2, 12),
            small(3),
            Recycle,
            blocks(4, 17),
            small(5),
        ],
        // More segments than are kept.
        vec![
            blocks(1, 45),
            small(2),
            Position,
            Recycle,
            small(3),
            Position,
            Recycle,
            small(4),
        ],
    ]);
    assert!(images > 5000, "fewer than there were");
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
    /// What checkpoints remember, and after how many operations of this life.
    positions: Vec<(Position, usize)>,
    /// After how many operations the segments below a number were given up.
    recycled: Vec<(u64, usize)>,
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
            positions: vec![(Position::START, 0)],
            recycled: Vec::new(),
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
        let (from, _) = self.positions[self.rng.random_range(0..self.positions.len())];
        self.recycled.push((from.segment, 0));
        let Opened { log, replayed, .. } = try_open_from(&self.disk, &from)?;
        let known: Vec<_> = self.known.iter().map(|(commit, _)| *commit).collect();
        assert_prefix(&replayed, &from, &known, self.durable[0].1..=known.len());
        self.known_before = self.known.clone();
        self.known.truncate(before(&from, &known) + replayed.len());
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
            if self.rng.random_bool(0.2) {
                self.checkpoint(log);
            }
        }
        match self.rng.random_range(0..6) {
            0 if log.shutdown().is_ok() => self.acknowledge(),
            1 => self.publish(log, 1),
            _ => {}
        }
    }

    /// Remembers the position, and recycles for that one or for one before.
    fn checkpoint(&mut self, log: &Log) {
        let position = log.position().unwrap();
        assert_eq!(position.lsn, log.durable_lsn());
        let operations = self.disk.operations();
        self.positions.push((position, operations));
        let (older, _) = self.positions[self.rng.random_range(0..self.positions.len())];
        self.recycled.push((older.segment, operations));
        log.recycle(older.segment);
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
        let recycled = self.recycled.drain(..).filter(|r| r.1 < operations);
        let live = recycled.map(|(segment, _)| segment).max().unwrap_or(0);
        self.positions
            .retain(|(position, from)| *from <= operations && position.segment >= live);
        self.positions.iter_mut().for_each(|(_, from)| *from = 0);
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
