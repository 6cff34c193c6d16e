//! Power cuts and killed processes under the whole database, on the simulated disk: what was
//! acknowledged is there, what is there is the state after some transaction, and it is sound.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;

use super::lives::{Lives, is_failure};
use super::{CANCEL, begin, exclusive, ints, rows, set, two_columns};
use crate::base::{Lsn, Result};
use crate::database::Database;
use crate::disk::sim::for_each_seed;
use crate::table::{TableDef, Txn, ddl, delete, insert, lock_table, lock_unique};
use crate::txn::{LockMode, LockWait};
use crate::wal::block_on;

/// The rows of the table, or no table.
type State = Option<BTreeMap<i32, i32>>;

/// The row that counts the transactions, so that no two states are equal.
const COUNTER: i32 = 0;

/// Few enough for most reads to load and evict: what finds them takes about half of it.
const CACHE_PAGES: u64 = 160;
/// Checkpoints come by request only: from so many on there is one before each transaction, and in
/// the midst of one there are no more than these, so that none waits for room.
const DIRTY_PAGES_MAX: usize = 8;

/// Little enough for the largest transactions to store pages before they commit, and for others to
/// have annexes.
const TRANSACTION_BYTES: u64 = 1 << 20;

struct Power {
    lives: Lives<State>,
    transactions: i32,
}

impl Power {
    async fn run(seed: u64) {
        let mut power = Power {
            lives: Lives::new(seed, None),
            transactions: 0,
        };
        for _ in 0..power.lives.rng.random_range(2..6) {
            let fails = power.lives.rng.random_bool(0.2);
            if fails {
                let after = power.lives.rng.random_range(0..30);
                power.lives.disk.fail_after(after);
            }
            match power.open().await {
                Ok(database) => power.live(&database).await,
                Err(error) => {
                    assert!(fails && is_failure(&error), "{error}");
                }
            }
            power.lives.crash();
        }
        power.open().await.unwrap();
    }

    async fn open(&mut self) -> Result<Arc<Database>> {
        let database = self.lives.open(CACHE_PAGES, TRANSACTION_BYTES)?;
        let txn = begin(&database).await;
        let table = txn.catalog().table("public", "t").cloned();
        let found = table.map(|table| rows(&txn, &table).into_iter().collect::<BTreeMap<_, _>>());
        self.lives.found(&found);
        let count = found.map_or(0, |rows| rows.len() as u64);
        assert_eq!(database.verify().await.unwrap(), count);
        let pending = database.pages.pending_extents(1, Lsn::NEWEST).unwrap();
        assert_eq!(pending, [], "nobody has begun anything");
        Ok(database)
    }

    /// Transactions until one fails, which may or may not be there later.
    async fn live(&mut self, database: &Arc<Database>) {
        self.lives.disk.heal();
        if self.lives.newest().is_none() {
            self.lives.begin(Some(BTreeMap::new()));
            two_columns(database).await;
            self.lives.acknowledge();
        }
        if self.lives.rng.random_bool(0.3) {
            let after = self.lives.rng.random_range(0..20);
            self.lives.disk.fail_after(after);
        }
        for _ in 0..self.lives.rng.random_range(0..15) {
            let dirty = database.cache_stats().dirty;
            let mut done = Ok(());
            if dirty > DIRTY_PAGES_MAX || self.lives.rng.random_bool(0.2) {
                done = self.checkpoint(database);
            }
            if done.is_ok() {
                done = self.transaction(database).await;
            }
            if let Err(error) = done {
                assert!(is_failure(&error), "{error}");
                return;
            }
        }
        if self.lives.rng.random_bool(0.2) {
            // Nothing is left to write but the closing group.
            let _ = database.shutdown();
        }
    }

    /// A checkpoint with transactions in it, whether it succeeds or not: the log goes on after one
    /// that failed, unless it is the log that did.
    fn checkpoint(&mut self, database: &Arc<Database>) -> Result<()> {
        let often = self.lives.rng.random_bool(0.5);
        let (power, done) = (RefCell::new(self), RefCell::new(Ok(())));
        let step = || {
            let (mut power, mut done) = (power.borrow_mut(), done.borrow_mut());
            let stats = database.cache_stats();
            let has_room = stats.dirty < stats.capacity / 4;
            if done.is_ok() && has_room && often && power.lives.rng.random_bool(0.3) {
                *done = block_on(power.transaction(database));
            }
        };
        let _ = database.checkpointer.checkpoint_here(&step);
        done.into_inner()
    }

    async fn transaction(&mut self, database: &Arc<Database>) -> Result<()> {
        let lives = &mut self.lives;
        let mut state = lives.newest().expect("the table is there");
        let mut txn = database.begin();
        txn.begin_statement().await?;
        let mut table = txn.catalog().table("public", "t").cloned().expect("it is");
        let (writes, ids) = match lives.rng.random_range(0..60) {
            0..3 => (1500, 3000),
            3..10 => (200, 500),
            _ => (lives.rng.random_range(1..6), 500),
        };
        if writes > 1000 && lives.rng.random_bool(0.5) {
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
            let id = lives.rng.random_range(1..ids);
            match lives.rng.random_bool(0.3) {
                true => remove(&mut txn, table, &mut state, id).await?,
                false => {
                    let row = (id, lives.rng.random_range(0..50));
                    write(&mut txn, table, &mut state, row).await?;
                }
            }
        }
        if lives.rng.random_bool(0.2) {
            txn.rollback();
            return Ok(());
        }
        lives.begin(Some(state));
        txn.commit().await?;
        lives.acknowledge();
        Ok(())
    }
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
        // With a thread for what is spawned: transactions inside a checkpoint block this one.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).build().unwrap();
        runtime.block_on(Power::run(seed));
    });
}
