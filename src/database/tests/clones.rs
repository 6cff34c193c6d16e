//! Power cuts while databases are made, changed and dropped, on the simulated disk: each is there
//! whole or not at all, as it was after some transaction not older than what was acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::lives::{Lives, is_failure};
use super::{CANCEL, ints, rows, two_columns};
use crate::base::Result;
use crate::database::{Connected, Database, NewDatabase};
use crate::disk::sim::for_each_seed;
use crate::table::{Txn, insert};

/// The rows of the one table of each database that has it.
type State = BTreeMap<String, BTreeMap<i32, i32>>;

const HOME: &str = "template1";
const CACHE_PAGES: u64 = 120; // of which the tables that find them take a part
const DIRTY_PAGES_MAX: usize = 12;
const TRANSACTION_BYTES: u64 = 1 << 30;

struct Clones {
    lives: Lives<State>,
    rows: i32,
    names: u32,
}

impl Clones {
    async fn run(seed: u64) {
        let mut clones = Clones {
            lives: Lives::new(seed, State::new()),
            rows: 0,
            names: 0,
        };
        for _ in 0..clones.lives.rng.random_range(2..5) {
            let database = clones.open().await.unwrap();
            clones.live(&database).await;
            drop(database);
            clones.lives.crash();
        }
        clones.open().await.unwrap();
    }

    /// Opens the directory and looks which of the states is there.
    async fn open(&mut self) -> Result<Arc<Database>> {
        let database = self.lives.open(CACHE_PAGES, TRANSACTION_BYTES)?;
        let mut found = State::new();
        for def in database.databases() {
            let mut txn = database.tables_of(&def)?.begin();
            txn.begin_statement().await?;
            let table = txn.catalog().table("public", "t").cloned();
            found.extend(table.map(|table| {
                let rows = rows(&txn, &table).into_iter().collect();
                (def.name.clone(), rows)
            }));
        }
        self.lives.found(&found);
        let count: usize = found.values().map(BTreeMap::len).sum();
        assert_eq!(database.verify().await?, count as u64);
        Ok(database)
    }

    async fn live(&mut self, database: &Arc<Database>) {
        if self.lives.newest().is_empty() {
            let state = State::from([("postgres".to_owned(), BTreeMap::new())]);
            self.lives.begin(state);
            two_columns(database).await;
            self.lives.acknowledge();
        }
        let home = database.connect(HOME, &Arc::default()).await.unwrap();
        if self.lives.rng.random_bool(0.3) {
            let after = self.lives.rng.random_range(0..40);
            self.lives.disk.fail_after(after);
        }
        for _ in 0..self.lives.rng.random_range(0..20) {
            if let Err(error) = self.step(&home).await {
                assert!(is_failure(&error), "{error}");
                break;
            }
        }
        self.lives.disk.heal();
    }

    async fn step(&mut self, home: &Connected) -> Result<()> {
        let lives = &mut self.lives;
        let database = home.database();
        let mut state = lives.newest();
        let names: Vec<String> = state.keys().cloned().collect();
        let name = names.choose(&mut lives.rng).expect("one is left").clone();
        // Nobody else takes checkpoints here, and there must be room for more.
        let is_crowded = database.cache_stats().dirty > DIRTY_PAGES_MAX;
        match lives.rng.random_range(0..8) {
            _ if is_crowded => database.checkpoint()?,
            0 => {
                // The log goes on after a checkpoint that failed, unless it is the log that did.
                let _ = database.checkpoint();
                return Ok(());
            }
            1 | 2 => {
                self.names += 1;
                let new = format!("clone_{}", self.names);
                state.insert(new.clone(), state[&name].clone());
                lives.begin(state);
                create(home, new, name).await?;
            }
            3 if name != "postgres" => {
                state.remove(&name);
                lives.begin(state);
                database
                    .drop_database(&name, false, home, &CANCEL())
                    .await?;
            }
            _ => {
                let mut txn = begin(database, &name);
                txn.begin_statement().await?;
                let table = txn.catalog().table("public", "t").cloned();
                let table = table.expect("every database has it");
                self.rows += 1;
                let (id, v) = (self.rows, lives.rng.random_range(0..50));
                state.get_mut(&name).expect("it is there").insert(id, v);
                insert(&mut txn, &table, &ints(&[id, v]), &CANCEL()).await?;
                lives.begin(state);
                txn.commit().await?;
            }
        }
        lives.acknowledge();
        Ok(())
    }
}

async fn create(home: &Connected, name: String, template: String) -> Result<()> {
    let new = NewDatabase {
        name,
        template: Some(template),
        allows_connections: true,
        is_template: false,
        connection_limit: -1,
    };
    home.database().create_database(new, home, &CANCEL()).await
}

fn begin(database: &Arc<Database>, name: &str) -> Txn {
    let def = database.databases.find(name).expect("it is there");
    database.tables_of(&def).unwrap().begin()
}

#[test]
fn a_power_cut_leaves_each_database_whole_or_not_there_at_all() {
    let test = "a_power_cut_leaves_each_database_whole_or_not_there_at_all";
    for_each_seed(test, 500, |seed| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        runtime.block_on(Clones::run(seed));
    });
}
