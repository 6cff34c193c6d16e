//! Power cuts and killed processes under the whole database, on the simulated disk: what was
//! acknowledged is there, what is there is the state after some transaction, and it is sound.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{CANCEL, begin, exclusive, ints, rows, set, two_columns};
use crate::base::{Error, Lsn, Result};
use crate::database::{Database, Options};
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::table::{TableDef, Txn, ddl, delete, insert, lock_table, lock_unique};
use crate::txn::{LockMode, LockWait};
use crate::wal;

/// The rows of the table, or no table.
type State = Option<BTreeMap<i32, i32>>;

/// The row that counts the transactions, so that no two states are equal.
const COUNTER: i32 = 0;

/// Few enough for most reads to load and evict.
/// With what finds them about half as many fit, a quarter in any case.
const CACHE_PAGES: u64 = 120;
/// Checkpoints come by request only: from so many on there is one before each transaction, so that
/// none waits for room.
const DIRTY_PAGES_MAX: usize = 8;

/// Little enough for the largest transactions to store pages before they commit.
const TRANSACTION_BYTES: u64 = 1 << 20;

/// One database through several lives of its process.
struct Lives {
    rng: StdRng,
    disk: SimDisk,
    /// After each transaction, and after how many operations of this life it could be there.
    states: Vec<(State, usize)>,
    /// The state of this index, or a later one, must be there after so many operations.
    durable: Vec<(usize, usize)>,
    /// When this life's database was open, and what was known until then.
    opened_at: usize,
    states_before: Vec<(State, usize)>,
    transactions: i32,
}

impl Lives {
    fn new(seed: u64) -> Lives {
        Lives {
            rng: StdRng::seed_from_u64(seed),
            disk: SimDisk::with_dir(Path::new("/")),
            states: vec![(None, 0)],
            durable: vec![(0, 0)],
            opened_at: 0,
            states_before: Vec::new(),
            transactions: 0,
        }
    }

    async fn run(mut self) {
        for _ in 0..self.rng.random_range(2..6) {
            let fails = self.rng.random_bool(0.2);
            if fails {
                let after = self.rng.random_range(0..30);
                self.disk.fail_after(after);
            }
            match self.open().await {
                Ok(database) => self.live(&database).await,
                Err(error) => {
                    assert!(fails && is_failure(&error), "{error}");
                }
            }
            self.crash();
        }
        self.open().await.unwrap();
    }

    async fn open(&mut self) -> Result<Arc<Database>> {
        let options = Options {
            wal: wal::Options {
                segment_bytes: 8 * 4096,
                lockstep: true,
                ..wal::Options::default()
            },
            shared_buffers: 2 * CACHE_PAGES * crate::pages::PAGE_MEMORY,
            max_transaction_memory: TRANSACTION_BYTES,
            ..Options::default()
        };
        let disk = Arc::new(self.disk.clone());
        let (database, _) = Database::open_on(disk, Path::new("/data"), options, &mut |_| {})?;
        let txn = begin(&database).await;
        let table = txn.catalog().table("public", "t").cloned();
        let found = table.map(|table| rows(&txn, &table).into_iter().collect::<BTreeMap<_, _>>());
        let index = self.states.iter().position(|(state, _)| *state == found);
        let index = index.unwrap_or_else(|| panic!("never there: {found:?}"));
        let durable = self.durable[0].1;
        assert!(index >= durable, "state {index}, not {durable} or later");
        let count = found.map_or(0, |rows| rows.len() as u64);
        assert_eq!(database.verify().await.unwrap(), count);
        let pending = database.pages.pending_extents(1, Lsn::NEWEST).unwrap();
        assert_eq!(pending, [], "nobody has begun anything");
        self.states_before = self.states.clone();
        self.states.truncate(index + 1);
        self.opened_at = self.disk.operations();
        self.acknowledge();
        Ok(database)
    }

    /// The newest state is durable from here on.
    fn acknowledge(&mut self) {
        let newest = self.states.len() - 1;
        self.durable.push((self.disk.operations(), newest));
    }

    /// Transactions until one fails, which may or may not be there later.
    async fn live(&mut self, database: &Arc<Database>) {
        self.disk.heal();
        let (newest, from) = (self.newest(), self.disk.operations() + 1);
        if newest.is_none() {
            self.states.push((Some(BTreeMap::new()), from));
            two_columns(database).await;
            self.acknowledge();
        }
        if self.rng.random_bool(0.3) {
            let after = self.rng.random_range(0..20);
            self.disk.fail_after(after);
        }
        for _ in 0..self.rng.random_range(0..15) {
            let dirty = database.cache_stats().dirty;
            if dirty > DIRTY_PAGES_MAX || self.rng.random_bool(0.2) {
                // The log goes on after a checkpoint that failed, unless it is the log that did.
                let _ = database.checkpoint();
            }
            if let Err(error) = self.transaction(database).await {
                assert!(is_failure(&error), "{error}");
                return;
            }
        }
        if self.rng.random_bool(0.2) {
            // Nothing is left to write but the closing group.
            let _ = database.shutdown();
        }
    }

    fn newest(&self) -> State {
        self.states.last().and_then(|(state, _)| state.clone())
    }

    async fn transaction(&mut self, database: &Arc<Database>) -> Result<()> {
        let mut state = self.newest().expect("the table is there");
        let mut txn = database.begin();
        txn.begin_statement().await?;
        let mut table = txn.catalog().table("public", "t").cloned().expect("it is");
        let (writes, ids) = match self.rng.random_range(0..60) {
            0..3 => (1500, 3000),
            3..10 => (200, 500),
            _ => (self.rng.random_range(1..6), 500),
        };
        if writes > 1000 && self.rng.random_bool(0.5) {
            let (mode, wait) = (LockMode::AccessExclusive, LockWait::Wait);
            lock_table(&mut txn, table.oid, mode, wait, &CANCEL()).await?;
            table = ddl::truncate(&mut txn, &table)?;
            state.clear();
        }
        let table = &table;
        self.transactions += 1;
        let counter = (COUNTER, self.transactions);
        write(&mut txn, table, &mut state, counter).await?;
        for _ in 0..writes {
            let id = self.rng.random_range(1..ids);
            match self.rng.random_bool(0.3) {
                true => remove(&mut txn, table, &mut state, id).await?,
                false => {
                    let row = (id, self.rng.random_range(0..50));
                    write(&mut txn, table, &mut state, row).await?;
                }
            }
        }
        if self.rng.random_bool(0.2) {
            txn.rollback();
            return Ok(());
        }
        let from = self.disk.operations() + 1;
        self.states.push((Some(state), from));
        txn.commit().await?;
        self.acknowledge();
        Ok(())
    }

    fn crash(&mut self) {
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
        self.durable = vec![(0, durable.unwrap().1)];
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
fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Io { .. } | Error::Poisoned(_))
}

async fn write(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    state: &mut BTreeMap<i32, i32>,
    (id, v): (i32, i32),
) -> Result<()> {
    match state.insert(id, v) {
        Some(_) => set(txn, table, id, v).await,
        None => insert(txn, table, &ints(&[id, v]), &CANCEL())
            .await
            .map(drop),
    }
}

async fn remove(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    state: &mut BTreeMap<i32, i32>,
    id: i32,
) -> Result<()> {
    if state.remove(&id).is_none() {
        return Ok(());
    }
    let (cancel, key) = (CANCEL(), ints(&[id]));
    let found = lock_unique(txn, table, &table.indexes[0], &key, exclusive(&cancel)).await?;
    let (row, locked) = found.expect("the row is there");
    delete(txn, table, row, &locked.bytes, &cancel).await
}

#[test]
fn random_transactions_with_crashes_leave_an_acknowledged_or_later_state_that_is_sound() {
    let test = "database::tests::power::random_transactions";
    for_each_seed(test, 2000, |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        runtime.block_on(Lives::new(seed).run());
    });
}
