//! One database through several lives of its process on the simulated disk, and the states it may
//! be found in after each.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{Error, Result};
use crate::database::{Database, Options};
use crate::disk::sim::SimDisk;
use crate::pages::PAGE_MEMORY;
use crate::wal;

pub(super) struct Lives<S> {
    pub(super) rng: StdRng,
    pub(super) disk: SimDisk,
    /// After each step, and after how many operations of this life it could be there.
    states: Vec<(S, usize)>,
    /// The state of this index, or a later one, must be there after so many operations.
    durable: Vec<(usize, usize)>,
    /// When this life's database was open, and what was known until then.
    opened_at: usize,
    states_before: Vec<(S, usize)>,
}

impl<S: Clone + PartialEq + Debug> Lives<S> {
    pub(super) fn new(seed: u64, first: S) -> Lives<S> {
        Lives {
            rng: StdRng::seed_from_u64(seed),
            disk: SimDisk::with_dir(Path::new("/")),
            states: vec![(first, 0)],
            durable: vec![(0, 0)],
            opened_at: 0,
            states_before: Vec::new(),
        }
    }

    /// Opens the directory; [`Lives::found`] comes next. Checkpoints come by request only.
    pub(super) fn open(&self, cache_pages: u64, transaction_bytes: u64) -> Result<Arc<Database>> {
        let options = Options {
            wal: wal::Options {
                segment_bytes: 8 * 4096,
                lockstep: true,
                ..wal::Options::default()
            },
            shared_buffers: 2 * cache_pages * PAGE_MEMORY,
            max_transaction_memory: transaction_bytes,
            ..Options::default()
        };
        let disk = Arc::new(self.disk.clone());
        let data = Path::new("/data");
        Database::open_on(disk, data, options, &mut |_| {}).map(|(database, _)| database)
    }

    /// What the database that was just opened holds: it must be allowed, and is durable from here
    /// on.
    pub(super) fn found(&mut self, found: &S) {
        let mut states = self.states.iter();
        let index = states.rposition(|(state, _)| state == found);
        let index = index.unwrap_or_else(|| panic!("never there: {found:?}"));
        let durable = self.durable[0].1;
        assert!(index >= durable, "state {index}, not {durable} or later");
        self.states_before = self.states.clone();
        self.states.truncate(index + 1);
        self.opened_at = self.disk.operations();
        self.acknowledge();
    }

    pub(super) fn newest(&self) -> S {
        self.states.last().expect("the first one").0.clone()
    }

    /// From the next operation on this state may be there.
    pub(super) fn begin(&mut self, state: S) {
        self.states.push((state, self.disk.operations() + 1));
    }

    /// The newest state is durable from here on.
    pub(super) fn acknowledge(&mut self) {
        let newest = self.states.len() - 1;
        self.durable.push((self.disk.operations(), newest));
    }

    /// The power goes at any moment of this life, its start included, or the process is killed.
    pub(super) fn crash(&mut self) {
        let operations = match self.rng.random_range(0..3) {
            0 => self.disk.operations(),
            _ => self.rng.random_range(0..=self.disk.operations()),
        };
        if operations < self.opened_at {
            self.states = std::mem::take(&mut self.states_before);
        }
        self.opened_at = 0;
        self.states.retain(|(_, from)| *from <= operations);
        let durable = self.durable.iter().rev().find(|d| d.0 <= operations);
        self.durable = vec![(0, durable.expect("the first one").1)];
        self.states.iter_mut().for_each(|(_, from)| *from = 0);
        let seed = self.rng.random();
        let moment = self.disk.moment(operations);
        self.disk = match self.rng.random_range(0..3) {
            0 => moment.killed(seed),
            _ => moment.image(seed),
        };
    }
}

/// What the disk did, and not what the database made of it.
pub(super) fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Poisoned(_))
}
