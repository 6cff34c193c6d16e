//! The cache over a data file: whatever is evicted, stored, crashed or refused, every snapshot
//! reads what it read before, and a restart finds what was durable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::harness::{Logged, Store};
use super::super::{Checkpointed, Extent, PAGE_CONTENT, PAGE_MEMORY, Page, Pages, Snapshot};
use super::{page, value, write};
use crate::base::sync::{AtomicBool, Ordering};
use crate::base::{Error, Lsn, Result};
use crate::disk::Disk;
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::wal::Position;

pub(super) const DATABASE: u64 = 7;
/// The tables take most of it: about seven pages are left.
const MEMORY: u64 = 20 * PAGE_MEMORY;
const PAGES: u32 = 24;

pub(super) fn path() -> &'static Path {
    Path::new("/data")
}

pub(super) fn new_disk() -> SimDisk {
    let disk = SimDisk::with_dir(Path::new("/"));
    Pages::create(&disk, path(), DATABASE).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

pub(super) fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// A cache over the data file, and a log of which only what lies behind its checkpoint is used.
fn open(disk: &SimDisk, log: Vec<Logged>) -> Result<(Store, Lsn)> {
    let mut from = Lsn::ZERO;
    let behind = log.clone();
    let store = Store::over(log, |durable| {
        let (pages, start) = Pages::open(&shared(disk), path(), DATABASE, MEMORY, durable)?;
        from = start.position.lsn;
        for (page, base, edits, lsn) in behind.iter().filter(|(.., lsn)| *lsn > from) {
            pages.apply(*page, *base, edits, *lsn)?;
        }
        Ok(pages)
    })?;
    Ok((store, from))
}

/// A position for an lsn: a group of its own for each.
pub(super) fn position(lsn: Lsn) -> Position {
    Position {
        lsn,
        group: lsn.0,
        ..Position::START
    }
}

fn checkpoint(store: &Store) -> Result<Option<Checkpointed>> {
    let position = || Ok(position(store.durable()));
    store.pages.checkpoint(&position, &|| 1, &|_, _| {})
}

type State = BTreeMap<u32, u32>;

/// One data file through several lives of its process, with a log that loses nothing durable.
struct Lives {
    rng: StdRng,
    disk: SimDisk,
    log: Vec<Logged>,
    /// The values of the pages, after all that is durable.
    state: State,
    values: u32,
    /// The last checkpoint finished before so many operations.
    checkpoints: Vec<(usize, Lsn)>,
}

impl Lives {
    fn run(seed: u64) {
        let mut lives = Lives {
            rng: StdRng::seed_from_u64(seed),
            disk: new_disk(),
            log: Vec::new(),
            state: State::new(),
            values: 0,
            checkpoints: vec![(0, Lsn::ZERO)],
        };
        for _ in 0..lives.rng.random_range(2..5) {
            lives.live();
        }
    }

    fn live(&mut self) {
        let (store, from) = open(&self.disk, std::mem::take(&mut self.log)).unwrap();
        let stored = self.checkpoints.last().unwrap().1;
        assert!(
            from >= stored,
            "from {from}, though the log begins at {stored}"
        );
        let end = store.durable();
        if end == Lsn::ZERO {
            store.commit(|b| (1..=PAGES).try_for_each(|_| b.allocate(0).map(|_| ())));
            self.state = (1..=PAGES).map(|number| (number, 0)).collect();
        }
        let opened_at = self.disk.operations();
        self.checkpoints = vec![(opened_at, from)];
        self.check(&store, Lsn::NEWEST, &self.state);
        // Installed and not yet durable: the states they lead to.
        let mut ahead: Vec<(Lsn, State)> = Vec::new();
        let mut snapshots: Vec<(Snapshot, State)> = Vec::new();
        for _ in 0..self.rng.random_range(0..60) {
            match self.rng.random_range(0..10) {
                0..4 => {
                    let newest = ahead.last().map_or(&self.state, |(_, state)| state).clone();
                    ahead.push(self.install(&store, newest));
                }
                4..6 => {
                    let now = self.rng.random_range(0..=ahead.len());
                    for (lsn, state) in ahead.drain(..now) {
                        store.durable.fetch_max(lsn.0, Ordering::SeqCst);
                        self.state = state;
                    }
                }
                6 => {
                    let snapshot = store.pages.snapshots().register(|| store.durable());
                    snapshots.push((snapshot, self.state.clone()));
                }
                7 if !snapshots.is_empty() => {
                    let gone = self.rng.random_range(0..snapshots.len());
                    snapshots.swap_remove(gone);
                }
                8 => {
                    self.checkpoint(&store, ahead.is_empty());
                    if store.pages.failure().is_some() {
                        // The process stops.
                        break;
                    }
                }
                _ => {
                    for (snapshot, state) in &snapshots {
                        self.check(&store, snapshot.lsn(), state);
                    }
                    let newest = ahead.last().map_or(&self.state, |(_, state)| state);
                    self.check(&store, Lsn::NEWEST, newest);
                }
            }
        }
        drop(snapshots);
        if ahead.is_empty() && matches!(checkpoint(&store), Ok(Some(_))) {
            (0..3).for_each(|_| self.check(&store, Lsn::NEWEST, &self.state));
            let stats = store.pages.stats();
            assert!(stats.capacity < 12, "{stats:?}");
            assert!(
                stats.cached <= stats.capacity && stats.dirty == 0,
                "{stats:?}"
            );
        }
        self.crash(&store);
    }

    /// Changes some pages, or frees one and takes it again.
    fn install(&mut self, store: &Store, mut state: State) -> (Lsn, State) {
        let writes: Vec<u32> = (0..self.rng.random_range(1..4))
            .map(|_| self.rng.random_range(1..=PAGES))
            .collect();
        let reused = self.rng.random_bool(0.2);
        if reused {
            // Together they become durable, or not.
            store.install(|batch| batch.free(page(writes[0])));
        }
        let ((), lsn) = store.install(|batch| {
            if reused {
                assert_eq!(batch.allocate(0)?, page(writes[0]));
            }
            for number in writes {
                self.values += 1;
                write(batch, number, self.values)?;
                state.insert(number, self.values);
            }
            Ok(())
        });
        (lsn, state)
    }

    /// With commits after its position was taken, if there may be some.
    fn checkpoint(&mut self, store: &Store, with_commits: bool) {
        let before = store.durable();
        let fails = self.rng.random_bool(0.3);
        if fails {
            let after = self.rng.random_range(0..12);
            self.disk.fail_after(after);
        }
        let (number, first) = (self.rng.random_range(1..=PAGES), self.values + 1);
        let commits = match with_commits {
            true => self.rng.random_range(0..5),
            false => 0,
        };
        self.values += commits;
        let commit_meanwhile = || {
            (first..first + commits).for_each(|v| store.commit(|b| write(b, number, v)));
            1
        };
        let position = || Ok(position(store.durable()));
        let done = store
            .pages
            .checkpoint(&position, &commit_meanwhile, &|_, _| {});
        self.disk.heal();
        if store.durable() > before && commits > 0 {
            self.state.insert(number, self.values);
        }
        match done {
            Ok(Some(done)) => {
                self.checkpoints
                    .push((self.disk.operations(), done.position.lsn));
                // What the file uses is what somebody points to, and nothing else.
                let (again, _) = Pages::open(
                    &shared(&self.disk),
                    path(),
                    DATABASE,
                    MEMORY,
                    Arc::new(|| Lsn::ZERO),
                )
                .unwrap();
                let used = again.used_bytes().unwrap();
                assert!(done.used_bytes.is_none_or(|bytes| bytes == used));
            }
            Ok(None) => {}
            Err(error) => assert!(fails && matches!(error, Error::Io { .. }), "{error}"),
        }
    }

    fn check(&self, store: &Store, at: Lsn, state: &State) {
        for (number, expected) in state {
            let found = store.pages.read(page(*number), at).unwrap();
            assert_eq!(value(&found), *expected, "page {number} at {at}");
        }
    }

    /// The power goes at any moment of this life, or the process is killed.
    fn crash(&mut self, store: &Store) {
        let opened_at = self.checkpoints[0].0;
        let at = self.rng.random_range(opened_at..=self.disk.operations());
        let durable = store.durable();
        self.log = store.log.lock().clone();
        self.log.retain(|(.., lsn)| *lsn <= durable);
        self.checkpoints.retain(|(done_at, _)| *done_at <= at);
        let (moment, seed) = (self.disk.moment(at), self.rng.random());
        self.disk = match self.rng.random_bool(0.7) {
            true => moment.image(seed),
            false => moment.killed(seed),
        };
    }
}

#[test]
fn whatever_happens_to_the_data_file_snapshots_and_restarts_find_their_versions() {
    for_each_seed(
        "whatever_happens_to_the_data_file_snapshots_and_restarts_find_their_versions",
        2000,
        Lives::run,
    );
}

/// Ends the others, too, if one of the threads panics.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pages in pairs that always hold the same number.
#[test]
fn readers_find_their_versions_while_pages_are_stored_evicted_and_loaded() {
    const PAIRS: u32 = PAGES / 2;
    let disk = new_disk();
    let (store, _) = open(&disk, Vec::new()).unwrap();
    store.commit(|b| (1..=PAGES).try_for_each(|_| b.allocate(0).map(|_| ())));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let _ends = Ends(&done);
                let mut last = [0; PAIRS as usize];
                while !done.load(Ordering::Relaxed) {
                    let snapshot = store.pages.snapshots().register(|| store.durable());
                    for (pair, last) in (1..).zip(&mut last) {
                        let read = |number| store.pages.read(page(number), snapshot.lsn());
                        let first = value(&read(pair).unwrap());
                        assert_eq!(value(&read(pair + PAIRS).unwrap()), first);
                        assert!(first >= *last);
                        *last = first;
                    }
                }
            });
        }
        scope.spawn(|| {
            let _ends = Ends(&done);
            while !done.load(Ordering::Relaxed) {
                checkpoint(&store).unwrap();
            }
        });
        let _ends = Ends(&done);
        for v in 1..4000 {
            let pair = 1 + v * 7 % PAIRS;
            store.commit(|b| write(b, pair, v).and_then(|()| write(b, pair + PAIRS, v)));
            store.log.lock().clear();
            if v % 4 == 0 {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
    });
    let stats = store.pages.stats();
    assert!(stats.evictions > 100 && stats.loads > 100, "{stats:?}");
}

/// A page was changed, freed, made blank by a checkpoint and taken by a load, and the process died
/// before that checkpoint was whole: recovery met its old changes first, and refused to start.
#[test]
fn a_page_that_a_load_took_over_is_recovered_whatever_it_was_before() {
    let disk = new_disk();
    let (first, _) = open(&disk, Vec::new()).unwrap();
    let mut content = Box::new(Page::zeroed());
    content.bytes_mut()[PAGE_CONTENT] = 77;
    first.pages.store_new(&mut [(page(3), content)]).unwrap();
    first.pages.sync_stored().unwrap();
    let places = |pages: &Pages| {
        let (space, number) = (page(3).space, page(3).number);
        let extent = Extent {
            space,
            first: number,
            count: 1,
        };
        pages.places(extent, 1).unwrap()
    };
    let stored = places(&first.pages);
    drop(first);

    let before = Store::new();
    before.commit(|batch| {
        batch.edit_fresh(page(3))?.write_u32(PAGE_CONTENT, 5);
        Ok(())
    });
    let log = std::mem::take(&mut *before.log.lock());
    let (store, _) = open(&disk, log).unwrap();
    assert_eq!(store.pages.stats().dirty, 1);
    store.pages.recover_stored(page(3), &stored).unwrap();
    assert_eq!(value(&store.pages.read(page(3), Lsn::NEWEST).unwrap()), 77);
    // It is not stored again: the place that the log knows stays its own.
    checkpoint(&store).unwrap();
    checkpoint(&store).unwrap();
    assert_eq!(
        (store.pages.stats().dirty, places(&store.pages)),
        (0, stored)
    );
    drop(store);
    let (again, _) = open(&disk, Vec::new()).unwrap();
    assert_eq!(value(&again.pages.read(page(3), Lsn::NEWEST).unwrap()), 77);
}

/// The last checkpoint of a server that changed nothing read the whole page map to know the free
/// slots.
#[test]
fn a_checkpoint_of_nothing_moves_the_position_and_does_not_look_for_free_slots() {
    let disk = new_disk();
    let (first, _) = open(&disk, Vec::new()).unwrap();
    first.commit(|b| b.allocate(0).map(drop));
    assert!(checkpoint(&first).unwrap().unwrap().used_bytes.is_some());
    drop(first);

    let (store, from) = open(&disk, Vec::new()).unwrap();
    let later = Lsn(from.0 + 1);
    let take = || {
        store
            .pages
            .checkpoint(&|| Ok(position(later)), &|| 1, &|_, _| {})
    };
    let done = take().unwrap().unwrap();
    assert_eq!((done.pages, done.nodes, done.used_bytes), (0, 0, None));
    assert_eq!(take().unwrap(), None);
    drop(store);
    let (_, from) = open(&disk, Vec::new()).unwrap();
    assert_eq!(from, later);
}
