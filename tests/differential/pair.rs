//! Walnut and PostgreSQL beside each other, each with one session.

use std::collections::BTreeMap;

use crate::answer::{Answer, Terms, Verdict, compare};
use crate::common::Server;
use crate::link::Link;
use crate::program::{Ask, Step};
use crate::schema::{CATALOG, Schema};

/// Names that programs give to tables and to sequences of their own.
pub const TABLES: [&str; 4] = ["t0", "t1", "t2", "t3"];
pub const SEQUENCES: [&str; 2] = ["s0", "s1"];

const EXACTLY: Terms = Terms {
    ordered: true,
    loose: false,
    again: false,
    constant: false,
};

pub struct Pair {
    walnut: Server,
    postgres: Server,
    ours: Link,
    theirs: Link,
    /// Since the transaction began, something was done whose order nothing decides.
    is_loose: bool,
    /// After a crash, values that sequences had set aside are gone, on one side.
    has_crashed: bool,
    /// Of PostgreSQL's session.
    pub status: u8,
    pub counts: Counts,
}

#[derive(Default)]
pub struct Counts {
    pub statements: u64,
    pub failed: u64,
    pub unsupported: u64,
    /// What was not supported, how often.
    pub missing: BTreeMap<String, u64>,
    pub by_chance: u64,
    pub rows: u64,
    pub kills: u64,
    pub restarts: u64,
}

/// Where the two parted.
pub struct Difference {
    pub what: String,
    pub report: String,
}

impl Pair {
    pub fn start() -> Option<Pair> {
        let postgres = Server::start_postgres()?;
        // The death of the process loses nothing by that.
        let walnut = Server::start_with(&["fsync=off", "shared_buffers=8MB", "max_wal_size=2MB"]);
        Some(Pair {
            ours: Link::open(walnut.port),
            theirs: Link::open(postgres.port),
            walnut,
            postgres,
            is_loose: false,
            has_crashed: false,
            status: b'I',
            counts: Counts::default(),
        })
    }

    /// Forgets the program before.
    pub fn reset(&mut self) {
        self.open();
        let drop = format!(
            "DROP TABLE IF EXISTS {} CASCADE; DROP SEQUENCE IF EXISTS {} CASCADE",
            TABLES.join(", "),
            SEQUENCES.join(", ")
        );
        for link in [&mut self.ours, &mut self.theirs] {
            let answer = link.query(&drop).expect("an end of the tables");
            assert!(answer.error.is_none(), "{}", answer.shown());
        }
        self.has_crashed = false;
    }

    fn open(&mut self) {
        self.ours = Link::open(self.walnut.port);
        self.theirs = Link::open(self.postgres.port);
        self.status = b'I';
        self.is_loose = false;
    }

    pub fn schema(&mut self) -> Schema {
        Schema::read(&mut self.theirs)
    }

    pub fn step(&mut self, step: &Step) -> Result<(), Difference> {
        match step {
            Step::Ask(ask, terms) => self.ask(ask, *terms),
            Step::Kill => {
                self.walnut.kill();
                self.walnut.restart();
                self.open();
                self.has_crashed = true;
                self.counts.kills += 1;
                Ok(())
            }
            Step::Restart => {
                self.walnut.stop();
                self.walnut.restart();
                self.open();
                self.counts.restarts += 1;
                Ok(())
            }
        }
    }

    fn ask(&mut self, ask: &Ask, terms: Terms) -> Result<(), Difference> {
        let ours = match self.ours.ask(ask) {
            Ok(answer) => answer,
            Err(error) => {
                if !self.walnut.is_running() {
                    self.walnut.kill();
                    self.walnut.restart();
                }
                self.open();
                return Err(Difference {
                    what: "the connection ends".to_owned(),
                    report: format!("{error}\n"),
                });
            }
        };
        self.counts.statements += 1;
        if let Some(missing) = ours.unsupported() {
            self.counts.unsupported += 1;
            *self.counts.missing.entry(missing).or_default() += 1;
            if ours.status == b'E' && self.status == b'T' {
                // What Walnut refuses is not asked of PostgreSQL: its transaction fails by this.
                self.theirs.query("SELECT nowhere").unwrap();
                self.status = b'E';
            }
            return Ok(());
        }
        let theirs = self.theirs.ask(ask).expect("PostgreSQL lives");
        self.is_loose = (self.is_loose && self.status != b'I') || terms.loose;
        let terms = Terms {
            loose: self.is_loose,
            ..terms
        };
        self.status = theirs.status;
        self.counts.failed += u64::from(theirs.error.is_some());
        self.counts.rows += theirs.row_count() as u64;
        match compare(&ours, &theirs, terms) {
            Verdict::Same => Ok(()),
            Verdict::SameByChance => {
                self.counts.by_chance += 1;
                Ok(())
            }
            Verdict::Different(what) => Err(difference(&what, &ours, &theirs)),
        }
    }

    /// After a program: what it has left behind.
    pub fn compare_all(&mut self) -> Result<(), Difference> {
        let terms = EXACTLY;
        self.ask(&Ask::Simple("ROLLBACK".to_owned()), terms)?;
        for sql in CATALOG {
            self.look(sql)?;
        }
        let schema = self.schema();
        for table in &schema.tables {
            self.look(&content(&table.name, table.columns.len()))?;
        }
        if !self.has_crashed {
            for sequence in &schema.sequences {
                self.look(&format!("SELECT last_value, is_called FROM {sequence}"))?;
            }
        }
        let answer = self.ours.query("SELECT walnut_check()");
        match answer {
            Ok(answer) if answer.error.is_none() => Ok(()),
            Ok(answer) => Err(Difference {
                what: "walnut_check".to_owned(),
                report: answer.shown(),
            }),
            Err(error) => Err(Difference {
                what: "walnut_check".to_owned(),
                report: error.to_string(),
            }),
        }
    }

    fn look(&mut self, sql: &str) -> Result<(), Difference> {
        self.ask(&Ask::Simple(sql.to_owned()), EXACTLY)
            .map_err(|difference| Difference {
                what: format!("{} of {sql}", difference.what),
                ..difference
            })
    }

    /// From nothing; gives the number of the step at which the two parted.
    pub fn run(&mut self, program: &[Step]) -> Result<(), (usize, Difference)> {
        self.reset();
        for (number, step) in program.iter().enumerate() {
            self.step(step).map_err(|difference| (number, difference))?;
        }
        self.compare_all()
            .map_err(|difference| (program.len(), difference))
    }
}

/// All rows, in an order that only equal ones leave open.
fn content(table: &str, columns: usize) -> String {
    let numbers: Vec<String> = (1..=columns).map(|n| n.to_string()).collect();
    match columns {
        0 => format!("SELECT count(*) FROM {table}"),
        _ => format!("SELECT * FROM {table} ORDER BY {}", numbers.join(", ")),
    }
}

fn difference(what: &str, ours: &Answer, theirs: &Answer) -> Difference {
    Difference {
        what: what.to_owned(),
        report: format!(
            "  Walnut:\n{}  PostgreSQL:\n{}",
            ours.shown(),
            theirs.shown()
        ),
    }
}
