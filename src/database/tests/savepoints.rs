//! Savepoints against a model, in transactions so short of memory that their writes go to runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{CANCEL, begin, exclusive, ints, rows, set, two_columns};
use crate::base::{Result, SqlState};
use crate::database::{Database, Options};
use crate::disk::sim::for_each_seed;
use crate::table::{TableDef, Txn, ddl, delete, insert, lock_unique};

/// A run continues after a 16th of it, a few hundred rows.
const TRANSACTION_BYTES: u64 = 1 << 20;
const STEPS: usize = 120;

type Rows = BTreeMap<i32, i32>;

/// A transaction with what its table must hold, now and at each savepoint.
struct Model {
    rng: StdRng,
    now: Rows,
    savepoints: Vec<Rows>,
    next_id: i32,
}

#[test]
fn whatever_is_undone_the_rest_stays() {
    for_each_seed("whatever_is_undone_the_rest_stays", 12, |seed| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(run(seed));
    });
}

async fn run(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_transaction_memory: TRANSACTION_BYTES,
        ..Options::default()
    };
    let (database, _) = Database::open(dir.path(), options.clone()).unwrap();
    two_columns(&database).await;
    let mut model = Model {
        rng: StdRng::seed_from_u64(seed),
        now: Rows::new(),
        savepoints: Vec::new(),
        next_id: 0,
    };
    for _ in 0..2 {
        model.transaction(&database).await;
        assert_eq!(database.verify().await.unwrap(), model.now.len() as u64);
    }
    database.shutdown().unwrap();
    drop(database);
    let (database, _) = Database::open(dir.path(), options).unwrap();
    assert_eq!(database.verify().await.unwrap(), model.now.len() as u64);
}

impl Model {
    async fn transaction(&mut self, database: &Arc<Database>) {
        let mut txn = begin(database).await;
        let before = self.now.clone();
        for _ in 0..STEPS {
            let table = txn.catalog().table("public", "t").unwrap().clone();
            if let Err(error) = self.step(&mut txn, &table).await {
                // Savepoints take memory, too. Nothing can be done then but to go back.
                assert_eq!(error.sqlstate(), SqlState::OUT_OF_MEMORY, "{error}");
                if self.savepoints.is_empty() {
                    self.now = before;
                    return txn.rollback();
                }
                self.roll_back(&mut txn);
            }
            if self.rng.random_ratio(1, 15) {
                // What was undone may be used again after it.
                database.checkpoint().unwrap();
            }
            let table = txn.catalog().table("public", "t").unwrap().clone();
            let mut found = rows(&txn, &table);
            found.sort_unstable();
            assert_eq!(found, self.now.clone().into_iter().collect::<Vec<_>>());
        }
        self.savepoints.clear();
        txn.commit().await.unwrap();
    }

    async fn step(&mut self, txn: &mut Txn, table: &Arc<TableDef>) -> Result<()> {
        match self.rng.random_range(0..100) {
            0..30 => return self.insert(txn, table).await,
            30..45 => return self.update(txn, table).await,
            45..55 => return self.delete(txn, table).await,
            55..57 => {
                ddl::truncate(txn, table)?;
                self.now.clear();
            }
            57..75 => {
                txn.savepoint();
                self.savepoints.push(self.now.clone());
            }
            75..85 => self.release(txn),
            _ => self.roll_back(txn),
        }
        Ok(())
    }

    async fn insert(&mut self, txn: &mut Txn, table: &Arc<TableDef>) -> Result<()> {
        let count = match self.rng.random_bool(0.3) {
            true => self.rng.random_range(200..900),
            false => self.rng.random_range(1..20),
        };
        for _ in 0..count {
            let v = self.rng.random_range(0..1000);
            // Ascending for the most part: such keys continue a run.
            self.next_id += self.rng.random_range(1..3);
            let row = ints(&[self.next_id, v]);
            insert(txn, table, &row, &CANCEL()).await?;
            self.now.insert(self.next_id, v);
        }
        Ok(())
    }

    fn some_ids(&mut self) -> Vec<i32> {
        let ids: Vec<i32> = self.now.keys().copied().collect();
        let count = match ids.len() {
            0 => 0,
            n => self.rng.random_range(1..n.min(30) + 1),
        };
        let place = |rng: &mut StdRng| rng.random_range(0..ids.len());
        let mut some: Vec<i32> = (0..count).map(|_| ids[place(&mut self.rng)]).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    async fn update(&mut self, txn: &mut Txn, table: &Arc<TableDef>) -> Result<()> {
        for id in self.some_ids() {
            let v = self.rng.random_range(0..1000);
            set(txn, table, id, v).await?;
            self.now.insert(id, v);
        }
        Ok(())
    }

    async fn delete(&mut self, txn: &mut Txn, table: &Arc<TableDef>) -> Result<()> {
        let cancel = CANCEL();
        for id in self.some_ids() {
            let (key, index) = (ints(&[id]), &table.indexes[0]);
            let found = lock_unique(txn, table, index, &key, exclusive(&cancel)).await;
            let (row, locked) = found.unwrap().expect("the row is there");
            delete(txn, table, row, &locked.bytes, &cancel).await?;
            self.now.remove(&id);
        }
        Ok(())
    }

    fn release(&mut self, txn: &mut Txn) {
        if let Some(number) = self.some_savepoint() {
            txn.release_savepoint(number);
            self.savepoints.truncate(number);
        }
    }

    fn roll_back(&mut self, txn: &mut Txn) {
        if let Some(number) = self.some_savepoint() {
            txn.roll_back_to_savepoint(number);
            self.savepoints.truncate(number + 1);
            self.now = self.savepoints[number].clone();
        }
    }

    fn some_savepoint(&mut self) -> Option<usize> {
        match self.savepoints.len() {
            0 => None,
            n => Some(self.rng.random_range(0..n)),
        }
    }
}
