//! Clones of spaces: they begin as what their template is, go ways of their own, and whatever is
//! stored, dropped or crashed, each finds its pages again and no slot is lost or used by another.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::super::SpaceChange;
use super::super::harness::{Logged, Store};
use super::checkpoint::{DATABASE, new_disk, path, position, shared};
use super::value;
use crate::base::sync::{Mutex, Ordering};
use crate::base::{Error, Lsn, PageId};
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::pages::{PAGE_CONTENT, PAGE_MEMORY, Pages};

/// The tables take most of it: a few pages are left.
const MEMORY: u64 = 20 * PAGE_MEMORY;
/// In nodes of the page map that differ in all levels.
const NUMBERS: [u32; 5] = [0, 1, 1025, 1026, (1 << 20) + 7];
const SPACES: [u32; 7] = [1, 2, 3, 4, 1023, 1024, 5000];
/// The page of space 0 that every blob changes, as a row of a list of databases.
const LIST: PageId = PageId {
    space: 0,
    number: 0,
};

/// The values of the pages of each space.
type State = BTreeMap<u32, BTreeMap<u32, u32>>;

/// What survives the process: the data file, and a log that loses nothing durable.
struct Lives {
    disk: SimDisk,
    log: Vec<Logged>,
    changes: Vec<(Lsn, SpaceChange)>,
    state: State,
}

/// One life of the process.
struct Life {
    store: Store,
    rng: StdRng,
    disk: SimDisk,
    changes: Vec<(Lsn, SpaceChange)>,
    /// After each blob, with how many operations of the disk there had been when it was durable.
    states: Vec<(usize, Lsn, State)>,
    values: u32,
}

impl Lives {
    fn run(seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut lives = Lives {
            disk: new_disk(),
            log: Vec::new(),
            changes: Vec::new(),
            state: State::new(),
        };
        for _ in 0..rng.random_range(2..5) {
            let life = Mutex::new(lives.open(rng.random()));
            live(&life);
            lives = life.into_inner().crash();
        }
        lives.open(0).check();
    }

    fn open(&self, seed: u64) -> Life {
        let store = Store::over(self.log.clone(), |durable| {
            let (pages, start) =
                Pages::open(&shared(&self.disk), path(), DATABASE, MEMORY, durable)?;
            let from = start.position.lsn;
            let mut changes = self
                .changes
                .iter()
                .filter(|(lsn, _)| *lsn > from)
                .peekable();
            let log = self.log.iter().filter(|(.., lsn)| *lsn > from);
            for (page, base, edits, lsn) in log {
                while let Some((_, change)) = changes.next_if(|(at, _)| at < lsn) {
                    pages.recover_space_change(*change)?;
                }
                pages.apply(*page, *base, edits, *lsn)?;
            }
            changes.try_for_each(|(_, change)| pages.recover_space_change(*change))?;
            Ok(pages)
        })
        .unwrap();
        let end = store.durable();
        let mut life = Life {
            store,
            rng: StdRng::seed_from_u64(seed),
            disk: self.disk.clone(),
            changes: self.changes.clone(),
            states: vec![(self.disk.operations(), end, self.state.clone())],
            values: u32::try_from(end.0).unwrap(),
        };
        if end == Lsn::ZERO {
            life.begin();
        }
        life.check();
        life
    }
}

fn live(life: &Mutex<Life>) {
    for _ in 0..20 {
        let choice = life.lock().rng.random_range(0..10);
        match choice {
            0..6 => life.lock().step(),
            6..8 => life.lock().check(),
            _ => {
                take_checkpoint(life);
                if life.lock().store.pages.failure().is_some() {
                    // The process stops.
                    return;
                }
            }
        }
    }
}

/// With steps beside it: after its lsn was chosen, and between its batches.
fn take_checkpoint(life: &Mutex<Life>) {
    let fails = {
        let mut life = life.lock();
        let fails = life.rng.random_bool(0.2);
        if fails {
            let after = life.rng.random_range(0..12);
            life.disk.fail_after(after);
        }
        fails
    };
    let pages = life.lock().store.pages.clone();
    let durable = life.lock().store.durable.clone();
    let steps = || {
        let mut life = life.lock();
        (0..life.rng.random_range(0..3)).for_each(|_| life.step());
    };
    let done = pages.checkpoint(
        &|| Ok(position(Lsn(durable.load(Ordering::SeqCst)))),
        &|| {
            steps();
            1
        },
        &|_, _| steps(),
    );
    let life = life.lock();
    life.disk.heal();
    match done {
        Ok(Some(done)) => {
            let never = std::sync::Arc::new(|| Lsn::ZERO);
            let (again, _) =
                Pages::open(&shared(&life.disk), path(), DATABASE, MEMORY, never).unwrap();
            let used = again.used_bytes().unwrap();
            assert!(done.used_bytes.is_none_or(|bytes| bytes == used));
        }
        Ok(None) => {}
        Err(error) => assert!(fails && matches!(error, Error::Io { .. }), "{error}"),
    }
    life.check_file();
}

impl Life {
    fn state(&self) -> &State {
        &self.states.last().expect("the first one").2
    }

    /// Makes a first space.
    fn begin(&mut self) {
        let pages = NUMBERS.map(|number| (number, 0));
        let ((), lsn) = self.store.install(|batch| {
            batch.edit_fresh(LIST)?;
            let ids = NUMBERS.map(|number| PageId { space: 1, number });
            ids.into_iter()
                .try_for_each(|page| batch.edit_fresh(page).map(drop))
        });
        self.committed(lsn, State::from([(1, BTreeMap::from(pages))]));
    }

    fn committed(&mut self, lsn: Lsn, state: State) {
        self.store.durable.fetch_max(lsn.0, Ordering::SeqCst);
        self.states.push((self.disk.operations(), lsn, state));
    }

    fn step(&mut self) {
        match self.rng.random_range(0..4) {
            0 => self.clone_space(),
            1 => self.drop_space(),
            _ => self.write(),
        }
    }

    fn write(&mut self) {
        let mut state = self.state().clone();
        let spaces: Vec<u32> = state.keys().copied().collect();
        let space = *spaces.choose(&mut self.rng).expect("one is left");
        self.values += 1;
        let value = self.values;
        let numbers = &NUMBERS[self.rng.random_range(0..NUMBERS.len())..];
        let numbers = &numbers[..self.rng.random_range(1..=numbers.len())];
        let ((), lsn) = self.store.install(|batch| {
            for &number in numbers {
                let page = PageId { space, number };
                batch.edit(page)?.write_u32(PAGE_CONTENT, value);
            }
            batch.edit(LIST)?.write_u32(PAGE_CONTENT, value);
            Ok(())
        });
        let written = numbers.iter().map(|number| (*number, value));
        state.get_mut(&space).unwrap().extend(written);
        self.committed(lsn, state);
    }

    /// Makes a clone if a template is clean.
    fn clone_space(&mut self) {
        let mut state = self.state().clone();
        let is_clean = |space: &u32| self.store.pages.is_clean(*space).unwrap();
        let clean: Vec<u32> = state.keys().copied().filter(is_clean).collect();
        let used = |space: &u32| {
            let store = self.store.pages.store.as_ref().unwrap();
            let dropped = store.spaces.lock();
            state.contains_key(space) || dropped.numbers.contains(space)
        };
        let unused: Vec<u32> = SPACES.into_iter().filter(|space| !used(space)).collect();
        let (Some(&from), Some(&to)) = (clean.choose(&mut self.rng), unused.choose(&mut self.rng))
        else {
            return;
        };
        state.insert(to, state[&from].clone());
        self.change_space(SpaceChange::Clone { from, to }, state);
    }

    fn drop_space(&mut self) {
        let mut state = self.state().clone();
        let spaces: Vec<u32> = state.keys().copied().collect();
        if spaces.len() > 1 {
            let space = *spaces.choose(&mut self.rng).unwrap();
            state.remove(&space);
            self.change_space(SpaceChange::Drop { space }, state);
        }
    }

    fn change_space(&mut self, change: SpaceChange, state: State) {
        self.values += 1;
        let pages = self.store.pages.clone();
        let prepared = pages.prepare_space_change(change).unwrap();
        let ((), lsn) = self.store.install(|batch| {
            batch.edit(LIST)?.write_u32(PAGE_CONTENT, self.values);
            Ok(())
        });
        self.changes.push((lsn, change));
        self.committed(lsn, state);
        prepared.apply();
    }

    fn check(&self) {
        for (space, pages) in self.state() {
            for (number, expected) in pages {
                let page = PageId {
                    space: *space,
                    number: *number,
                };
                let found = self.store.pages.read(page, Lsn::NEWEST).unwrap();
                assert_eq!(value(&found), *expected, "page {page}");
            }
        }
        self.check_file();
    }

    fn check_file(&self) {
        let report = self.store.pages.check_file(&mut |_, _| {}).unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
    }

    /// The power goes at any moment of this life, or the process is killed. The log keeps what was
    /// durable at that moment: with a later clone it would be ahead of the checkpoint that the
    /// clone waited for.
    fn crash(mut self) -> Lives {
        let opened_at = self.states[0].0;
        let at = self.rng.random_range(opened_at..=self.disk.operations());
        let durable = self.states.iter().rposition(|(then, ..)| *then <= at);
        let (_, end, state) = self.states.swap_remove(durable.expect("the first one"));
        let mut log = self.store.log.lock().clone();
        log.retain(|(.., lsn)| *lsn <= end);
        self.changes.retain(|(lsn, _)| *lsn <= end);
        let (moment, seed) = (self.disk.moment(at), self.rng.random());
        Lives {
            disk: match self.rng.random_bool(0.7) {
                true => moment.image(seed),
                false => moment.killed(seed),
            },
            log,
            changes: self.changes,
            state,
        }
    }
}

#[test]
fn clones_and_their_templates_diverge_and_survive_whatever_happens() {
    for_each_seed(
        "clones_and_their_templates_diverge_and_survive_whatever_happens",
        2000,
        Lives::run,
    );
}
