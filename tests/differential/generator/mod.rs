//! Writes programs, step by step: what comes next depends on the tables that there are and on the
//! transaction's status, as PostgreSQL tells them.
//!
//! Values come from small sets, so that keys collide and references hit.

mod control;
mod define;
mod expr;
mod family;
mod query;
mod sequence;
mod templates;
mod values;
mod write;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::answer::Terms;
use crate::pair::Pair;
use crate::program::{Ask, Step, Value};
use crate::schema::{Schema, Table};

pub struct Generator {
    rng: StdRng,
    schema: Schema,
    /// The catalog may have changed since it was read.
    is_stale: bool,
    status: u8,
    /// Literals may become parameters while this is there.
    values: Option<Vec<Value>>,
    /// Values from the ends of their types, for expressions that are not asked of rows.
    is_extreme: bool,
    /// A constant that may fail is among what was written: PostgreSQL's planner finds that before
    /// any row is looked at.
    has_risk: bool,
    /// The rows being written take values from sequences: a failure must come at the same row.
    is_counting: bool,
    /// Values of the statement named p.
    named_values: Vec<Value>,
    /// For aliases and names of constraints.
    names: u32,
    /// After a crash, sequences go on from different values until they are set.
    to_be_set: Vec<String>,
    /// What is left of the statements that make a family, last first.
    family: Vec<Sql>,
    has_family: bool,
}

/// A statement's text and how its answer is to be compared.
pub(crate) struct Sql {
    text: String,
    ordered: bool,
    loose: bool,
    constant: bool,
}

impl Sql {
    /// A statement whose answer nothing leaves open.
    fn exact(text: String) -> Sql {
        Sql {
            text,
            ordered: true,
            loose: false,
            constant: false,
        }
    }

    /// One that goes through rows in an order of its own.
    fn loose(text: String) -> Sql {
        Sql {
            text,
            ordered: false,
            loose: true,
            constant: false,
        }
    }
}

impl Generator {
    pub fn new(rng: StdRng) -> Generator {
        let mut generator = Generator {
            rng,
            schema: Schema::default(),
            is_stale: false,
            status: b'I',
            values: None,
            is_extreme: false,
            has_risk: false,
            is_counting: false,
            named_values: Vec::new(),
            names: 0,
            to_be_set: Vec::new(),
            family: Vec::new(),
            has_family: false,
        };
        generator.has_family = generator.chance(40);
        if generator.has_family {
            generator.family = generator.family();
        }
        generator
    }

    pub fn step(&mut self, pair: &mut Pair) -> Step {
        self.status = pair.status;
        if self.is_stale && self.status != b'E' {
            self.schema = pair.schema();
            self.is_stale = false;
        }
        if let Some(sequence) = self.to_be_set.pop() {
            let value = self.number(100, 500);
            return ask(Sql::exact(format!("SELECT setval('{sequence}', {value})")));
        }
        if self.status == b'E' {
            self.is_stale = true;
            return ask(self.after_error());
        }
        if let Some(sql) = self.family.pop() {
            self.is_stale = true;
            return ask(sql);
        }
        if self.schema.tables.len() < 2 && self.chance(85) {
            return ask(self.definition(Generator::create_table));
        }
        match self.number(0, 1000) {
            0..7 => self.kill(Step::Kill),
            7..10 => self.kill(Step::Restart),
            10..130 => ask(self.control()),
            130..180 => ask(self.sequence_step()),
            180..290 if self.status == b'I' || !self.has_deferrable() => {
                ask(self.definition(Generator::define))
            }
            290..330 => self.batch(),
            330..420 => self.extreme(),
            _ => self.statement(),
        }
    }

    fn kill(&mut self, step: Step) -> Step {
        self.is_stale = true;
        if matches!(step, Step::Kill) {
            // Those of a transaction that is not committed may not be there afterwards: errors
            // are the same on both sides.
            self.to_be_set = self.schema.sequences.clone();
        }
        step
    }

    fn definition(&mut self, write: impl FnOnce(&mut Generator) -> Sql) -> Sql {
        self.is_stale = true;
        write(self)
    }

    /// A query or a change, by either protocol.
    fn statement(&mut self) -> Step {
        if self.chance(65) {
            return ask(self.query_or_change());
        }
        self.values = Some(Vec::new());
        let sql = self.query_or_change();
        let values = self.values.take().unwrap();
        let name = *self.pick(&["", "", "p"]);
        let binary = self.chance(50);
        if name == "p" {
            if self.chance(25) {
                return prepared(name, None, self.named_values.clone(), binary, &sql);
            }
            self.named_values.clone_from(&values);
        }
        prepared(name, Some(sql.text.clone()), values, binary, &sql)
    }

    fn query_or_change(&mut self) -> Sql {
        if self.has_family && self.chance(25) {
            return self.family_change();
        }
        match self.number(0, 100) {
            0..38 => self.insert(),
            38..56 => self.update(),
            56..66 => self.delete(),
            _ => self.query(),
        }
    }

    /// Expressions over values at the ends of their types.
    fn extreme(&mut self) -> Step {
        self.is_extreme = true;
        let sql = self.calculation();
        self.is_extreme = false;
        ask(sql)
    }

    /// Several statements in one message.
    fn batch(&mut self) -> Step {
        let mut texts = Vec::new();
        let mut loose = false;
        // They are a transaction.
        self.status = b'T';
        for _ in 0..self.number(2, 4) {
            let sql = self.query_or_change();
            texts.push(sql.text);
            loose |= sql.loose;
        }
        ask(Sql {
            text: texts.join("; "),
            ordered: false,
            loose,
            constant: false,
        })
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..to)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.random_range(0..from.len())]
    }

    fn pick_some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let mut left = from.to_vec();
        let mut chosen = Vec::new();
        let count = self.rng.random_range(1..=most.max(1));
        while !left.is_empty() && chosen.len() < count {
            chosen.push(left.swap_remove(self.rng.random_range(0..left.len())));
        }
        chosen
    }

    /// An empty string, or a choice.
    fn maybe(&mut self, percent: u32, from: &[&str]) -> String {
        if self.chance(percent) {
            format!(" {}", self.pick(from))
        } else {
            String::new()
        }
    }

    /// Rows with a NULL in a deferred key wait to be checked in PostgreSQL, which refuses to change
    /// their table meanwhile; in Walnut nothing is left to check.
    fn has_deferrable(&self) -> bool {
        let mut constraints = self.schema.tables.iter().flat_map(|t| &t.constraints);
        constraints.any(|constraint| constraint.is_deferrable)
    }

    fn alias(&mut self) -> String {
        self.names += 1;
        format!("q{}", self.names)
    }

    fn table(&mut self) -> Option<Table> {
        let usable: Vec<usize> = (0..self.schema.tables.len())
            .filter(|&i| !self.schema.tables[i].columns.is_empty())
            .collect();
        if usable.is_empty() {
            return None;
        }
        let at = *self.pick(&usable);
        Some(self.schema.tables[at].clone())
    }
}

fn ask(sql: Sql) -> Step {
    Step::Ask(
        Ask::Simple(sql.text),
        Terms {
            ordered: sql.ordered,
            loose: sql.loose,
            again: false,
            constant: sql.constant,
        },
    )
}

fn prepared(name: &str, text: Option<String>, values: Vec<Value>, binary: bool, sql: &Sql) -> Step {
    let again = text.is_none();
    Step::Ask(
        Ask::Prepared {
            name: name.to_owned(),
            sql: text,
            values,
            binary,
        },
        Terms {
            ordered: sql.ordered && !again,
            loose: sql.loose || again,
            again,
            constant: sql.constant,
        },
    )
}
