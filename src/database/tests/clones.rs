//! Power cuts while databases are made, changed and dropped, on the simulated disk: each is there
//! whole or not at all, as it was after some transaction not older than what was acknowledged.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::{CANCEL, ints, rows, two_columns};
use crate::base::{Error, Result};
use crate::database::{Connected, Database, NewDatabase, Options};
use crate::disk::sim::{SimDisk, for_each_seed};
use crate::table::{Txn, insert};
use crate::wal;

/// The rows of the one table of each database that has it.
type State = BTreeMap<String, BTreeMap<i32, i32>>;

const HOME: &str = "template1";
const CACHE_PAGES: u64 = 24; // of which the tables that find them take a part

struct Lives {
    rng: StdRng,
    disk: SimDisk,
    /// After each step, and after how many operations of this life it could be there.
    states: Vec<(State, usize)>,
    /// The state of this index, or a later one, must be there after so many operations.
    durable: Vec<(usize, usize)>,
    rows: i32,
    names: u32,
}

impl Lives {
    fn new(seed: u64) -> Lives {
        Lives {
            rng: StdRng::seed_from_u64(seed),
            disk: SimDisk::with_dir(Path::new("/")),
            states: vec![(State::new(), 0)],
            durable: vec![(0, 0)],
            rows: 0,
            names: 0,
        }
    }

    async fn run(mut self) {
        for _ in 0..self.rng.random_range(2..5) {
            let opened_at = {
                let database = self.open().await.unwrap();
                let opened_at = self.disk.operations();
                self.states.iter_mut().for_each(|(_, from)| *from = 0);
                self.durable = vec![(opened_at, self.states.len() - 1)];
                self.live(&database).await;
                opened_at
            };
            self.crash(opened_at);
        }
        self.open().await.unwrap();
    }

    /// Opens the directory and looks which of the states is there.
    async fn open(&mut self) -> Result<Arc<Database>> {
        let options = Options {
            wal: wal::Options {
                segment_bytes: 8 * 4096,
                lockstep: true,
                ..wal::Options::default()
            },
            shared_buffers: 10 * CACHE_PAGES * crate::pages::PAGE_MEMORY,
            ..Options::default()
        };
        let disk = Arc::new(self.disk.clone());
        let (database, _) = Database::open_on(disk, Path::new("/data"), options, &mut |_| {})?;
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
        let index = self.states.iter().rposition(|(state, _)| *state == found);
        let index = index.unwrap_or_else(|| panic!("never there: {found:?}"));
        let durable = self.durable[0].1;
        assert!(index >= durable, "state {index}, not {durable} or later");
        let count: usize = found.values().map(BTreeMap::len).sum();
        assert_eq!(database.verify().await?, count as u64);
        self.states.truncate(index + 1);
        Ok(database)
    }

    async fn live(&mut self, database: &Arc<Database>) {
        if self.newest().is_empty() {
            let state = State::from([("postgres".to_owned(), BTreeMap::new())]);
            self.states.push((state, self.disk.operations() + 1));
            two_columns(database).await;
            self.acknowledge();
        }
        let home = database.connect(HOME, &Arc::default()).await.unwrap();
        if self.rng.random_bool(0.3) {
            let after = self.rng.random_range(0..40);
            self.disk.fail_after(after);
        }
        for _ in 0..self.rng.random_range(0..20) {
            if let Err(error) = self.step(&home).await {
                assert!(
                    matches!(error, Error::Io { .. } | Error::Poisoned(_)),
                    "{error}"
                );
                break;
            }
        }
        self.disk.heal();
    }

    fn newest(&self) -> State {
        self.states.last().expect("the first one").0.clone()
    }

    fn acknowledge(&mut self) {
        let newest = self.states.len() - 1;
        self.durable.push((self.disk.operations(), newest));
    }

    async fn step(&mut self, home: &Connected) -> Result<()> {
        let database = home.database();
        let mut state = self.newest();
        let names: Vec<String> = state.keys().cloned().collect();
        let name = names.choose(&mut self.rng).expect("one is left").clone();
        let from = self.disk.operations() + 1;
        // Nobody else takes checkpoints here, and there must be room for more.
        let is_crowded = database.cache_stats().dirty as u64 > CACHE_PAGES / 2;
        match self.rng.random_range(0..8) {
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
                self.states.push((state, from));
                create(home, new, name).await?;
            }
            3 if name != "postgres" => {
                state.remove(&name);
                self.states.push((state, from));
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
                let (id, v) = (self.rows, self.rng.random_range(0..50));
                state.get_mut(&name).expect("it is there").insert(id, v);
                insert(&mut txn, &table, &ints(&[id, v]), &CANCEL()).await?;
                self.states.push((state, from));
                txn.commit().await?;
            }
        }
        self.acknowledge();
        Ok(())
    }

    fn crash(&mut self, opened_at: usize) {
        let operations = self.rng.random_range(opened_at..=self.disk.operations());
        self.states.retain(|(_, from)| *from <= operations);
        let durable = self.durable.iter().rev().find(|d| d.0 <= operations);
        self.durable = vec![(0, durable.unwrap().1)];
        let seed = self.rng.random();
        let moment = self.disk.moment(operations);
        self.disk = match self.rng.random_range(0..3) {
            0 => moment.killed(seed),
            _ => moment.image(seed),
        };
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
        runtime.block_on(Lives::new(seed).run());
    });
}
