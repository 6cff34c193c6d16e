//! Expressions of a wanted type over the columns in scope.

use super::templates::{OF_ANY, RISKY, TOTAL};
use super::values::letter_of;
use super::{Generator, Sql};
use crate::schema::Table;

/// What may be named: text and type.
pub type Scope = Vec<(String, char)>;

pub fn scope_of(table: &Table, qualifier: &str) -> Scope {
    table
        .columns
        .iter()
        .filter_map(|c| Some((format!("{qualifier}.{}", c.name), letter_of(&c.ty)?)))
        .collect()
}

impl Generator {
    /// An expression that does not fail, at least not on stored values.
    pub fn expr(&mut self, letter: char, scope: &Scope, depth: u32) -> String {
        if depth == 0 || self.chance(35) {
            return self.leaf(letter, scope);
        }
        if self.chance(4) {
            return self.scalar_subquery(letter, scope);
        }
        if letter == 'b' && self.chance(12) {
            return self.subquery_condition(scope);
        }
        self.templated(letter, scope, depth, false)
    }

    pub fn condition(&mut self, scope: &Scope) -> String {
        self.expr('b', scope, 3)
    }

    /// One that may fail.
    pub fn risky(&mut self, letter: char, scope: &Scope, depth: u32) -> String {
        if depth == 0 {
            return self.leaf(letter, scope);
        }
        self.templated(letter, scope, depth, true)
    }

    /// One that may fail on a row. A constant that fails does so in PostgreSQL's planner, in Walnut
    /// only when a row asks for it: it stands alone (see [`Generator::calculation`]).
    pub fn risky_of_row(&mut self, letter: char, scope: &Scope) -> Option<String> {
        let count = self.value_count();
        let text = self.risky(letter, scope, 1);
        if scope.iter().any(|(name, _)| text.contains(&name[..])) {
            return Some(text);
        }
        self.forget_values(count);
        None
    }

    fn leaf(&mut self, letter: char, scope: &Scope) -> String {
        let fitting: Vec<&String> = scope
            .iter()
            .filter(|(_, l)| *l == letter)
            .map(|(name, _)| name)
            .collect();
        if !fitting.is_empty() && self.chance(75) {
            return (*self.pick(&fitting)).clone();
        }
        self.literal(letter)
    }

    fn templated(&mut self, letter: char, scope: &Scope, depth: u32, risky: bool) -> String {
        let mut fitting: Vec<&str> = Vec::new();
        if risky && self.chance(70) {
            fitting.extend(RISKY.iter().filter(|t| t.0 == letter).map(|t| t.1));
        }
        if fitting.is_empty() {
            fitting.extend(TOTAL.iter().filter(|t| t.0 == letter).map(|t| t.1));
        }
        if fitting.is_empty() || self.chance(15) {
            fitting = OF_ANY.to_vec();
        }
        let template = *self.pick(&fitting);
        let mut text = String::from("(");
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            text += &rest[..at];
            let inner = rest[at + 1..].chars().next().unwrap();
            let inner = if inner == '@' { letter } else { inner };
            text += &if risky {
                self.risky(inner, scope, depth - 1)
            } else {
                self.expr(inner, scope, depth - 1)
            };
            rest = &rest[at + 3..];
        }
        text + rest + ")"
    }

    /// Expressions alone.
    pub fn calculation(&mut self) -> Sql {
        let scope = Scope::new();
        let count = *self.pick(&[1, 1, 2, 3]);
        // Where one side may fail alone, no transaction is to fail with it.
        let depth = match self.status {
            b'I' => *self.pick(&[1, 1, 2, 3]),
            _ => 1,
        };
        // A parameter that is NULL is a constant for PostgreSQL's planner.
        let values = if depth > 1 { self.values.take() } else { None };
        let items: Vec<String> = (0..count)
            .map(|_| {
                let letter = self.some_type();
                self.risky(letter, &scope, depth)
            })
            .collect();
        self.values = self.values.take().or(values);
        Sql {
            // Of several that fail PostgreSQL reports constants first: its planner computes them.
            loose: count > 1 || depth > 1,
            constant: depth > 1,
            ..Sql::exact(format!("SELECT {}", items.join(", ")))
        }
    }
}
