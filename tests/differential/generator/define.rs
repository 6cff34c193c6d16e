//! CREATE, ALTER and DROP of tables and indexes.

use rand::RngExt;

use super::values::{letter_of, sql_name};
use super::{Generator, Sql};
use crate::pair::TABLES;
use crate::schema::Table;

const COLUMNS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
pub const ACTIONS: [&str; 5] = [
    "CASCADE",
    "SET NULL",
    "SET DEFAULT",
    "RESTRICT",
    "NO ACTION",
];

impl Generator {
    pub fn define(&mut self) -> Sql {
        match self.number(0, 100) {
            0..14 => self.create_table(),
            14..20 => self.drop_table(),
            20..34 => self.index(),
            34..38 => self.truncate(),
            _ => self.alter_table(),
        }
    }

    fn free_table(&mut self) -> &'static str {
        let mut names = TABLES.to_vec();
        if self.chance(97) {
            names.retain(|name| self.schema.table(name).is_none());
        }
        if names.is_empty() {
            names = TABLES.to_vec();
        }
        names[self.rng.random_range(0..names.len())]
    }

    pub fn create_table(&mut self) -> Sql {
        let name = self.free_table();
        let count = usize::try_from(self.number(2, 7)).unwrap();
        let mut table = Table {
            name: name.to_owned(),
            ..Table::default()
        };
        let mut parts = Vec::new();
        let has_key = self.chance(80);
        let composite = has_key && self.chance(20);
        for (i, column) in COLUMNS.into_iter().enumerate().take(count) {
            let (text, letter) = if i == 0 && has_key && !composite {
                self.key_column(column)
            } else if composite && i < 2 {
                (format!("{column} int"), 'i')
            } else {
                self.column(column, &table)
            };
            table.columns.push(crate::schema::Column {
                name: column.to_owned(),
                ty: super::values::TYPES
                    .iter()
                    .find(|t| t.0 == letter)
                    .unwrap()
                    .2
                    .to_owned(),
                is_required: false,
                is_counted: false,
                identity: if text.contains("GENERATED") { "a" } else { "" }.to_owned(),
            });
            parts.push(text);
        }
        if composite {
            parts.push("PRIMARY KEY (a, b)".to_owned());
        }
        for _ in 0..*self.pick(&[0, 0, 1, 1, 2]) {
            if let Some(text) = self.table_constraint(&table) {
                parts.push(text);
            }
        }
        let unless = self.maybe(5, &["IF NOT EXISTS"]);
        Sql::exact(format!(
            "CREATE TABLE{unless} {name} ({})",
            parts.join(", ")
        ))
    }

    fn key_column(&mut self, name: &str) -> (String, char) {
        let identity = *self.pick(&["ALWAYS", "BY DEFAULT"]);
        match self.number(0, 10) {
            0 | 1 => (format!("{name} serial PRIMARY KEY"), 'i'),
            2 | 3 => (
                format!("{name} int GENERATED {identity} AS IDENTITY PRIMARY KEY"),
                'i',
            ),
            4 => (format!("{name} bigint PRIMARY KEY"), 'l'),
            5 => (format!("{name} text PRIMARY KEY"), 't'),
            6 => (
                format!(
                    "{name} bigint GENERATED {identity} AS IDENTITY (START 5 INCREMENT BY 2) UNIQUE"
                ),
                'l',
            ),
            _ => (format!("{name} int PRIMARY KEY"), 'i'),
        }
    }

    fn column(&mut self, name: &str, so_far: &Table) -> (String, char) {
        let letter = self.column_type();
        let mut text = format!("{name} {}", sql_name(letter));
        if self.chance(25) {
            text += &format!(" DEFAULT {}", self.bare_literal(letter));
        }
        text += &self.maybe(15, &["NOT NULL"]);
        if letter != 'x' {
            text += &self.maybe(14, &["UNIQUE"]);
        }
        if self.chance(12) {
            let condition = self.check(name, letter);
            text += &format!(" CHECK ({condition})");
        }
        if "ilst".contains(letter)
            && self.chance(40)
            && let Some(reference) = self.reference(&[letter], so_far)
        {
            text += &reference;
        }
        (text, letter)
    }

    fn check(&mut self, column: &str, letter: char) -> String {
        let scope = [(column.to_owned(), letter)];
        match letter {
            'i' | 'l' | 's' => {
                let bound = self.number(-4, 15);
                let how = *self.pick(&["<>", "<", ">", "<="]);
                let bound = if how.starts_with('<') && how != "<>" {
                    bound + 8
                } else {
                    bound - 8
                };
                format!("{column} {how} {bound}")
            }
            't' | 'v' => format!("length({column}) < {}", self.number(2, 6)),
            _ => {
                let other = self.key_of(letter);
                format!("{} IS DISTINCT FROM {other}", scope[0].0)
            }
        }
    }

    fn key_of(&mut self, letter: char) -> String {
        self.literal(letter)
    }

    /// REFERENCES of a column list with these types.
    fn reference(&mut self, letters: &[char], own: &Table) -> Option<String> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for table in self.schema.tables.iter().chain([own]) {
            for unique in &table.uniques {
                let types: Option<Vec<char>> = unique
                    .columns
                    .iter()
                    .map(|name| letter_of(&table.column(name)?.ty))
                    .collect();
                if types.is_some_and(|types| {
                    types.len() == letters.len()
                        && types
                            .iter()
                            .zip(letters)
                            .all(|(a, b)| a == b || ("ils".contains(*a) && "ils".contains(*b)))
                }) {
                    found.push((table.name.clone(), unique.columns.clone()));
                }
            }
        }
        // Its own key is not in the catalog yet.
        if own.uniques.is_empty() && letters == ['i'] && !own.columns.is_empty() {
            found.push((own.name.clone(), vec!["a".to_owned()]));
        }
        if found.is_empty() {
            return None;
        }
        let (table, columns) = self.pick(&found).clone();
        let list = if self.chance(80) {
            format!(" ({})", columns.join(", "))
        } else {
            String::new()
        };
        Some(format!(
            " REFERENCES {table}{list}{}",
            self.reference_options()
        ))
    }

    fn reference_options(&mut self) -> String {
        let mut text = self.maybe(20, &["MATCH FULL", "MATCH SIMPLE"]);
        if self.chance(70) {
            text += &format!(" ON DELETE {}", self.pick(&ACTIONS));
        }
        if self.chance(60) {
            text += &format!(" ON UPDATE {}", self.pick(&ACTIONS));
        }
        text += &self.maybe(
            35,
            &[
                "DEFERRABLE",
                "DEFERRABLE INITIALLY DEFERRED",
                "DEFERRABLE INITIALLY DEFERRED",
                "NOT DEFERRABLE",
            ],
        );
        text
    }

    fn table_constraint(&mut self, table: &Table) -> Option<String> {
        let named = if self.chance(60) {
            self.names += 1;
            format!("CONSTRAINT k{} ", self.names)
        } else {
            String::new()
        };
        // What a foreign key does to an identity column fails in PostgreSQL as if the client did it.
        let columns: Vec<(String, char)> = table
            .columns
            .iter()
            .filter(|c| c.identity.is_empty())
            .filter_map(|c| Some((c.name.clone(), letter_of(&c.ty)?)))
            .collect();
        if columns.is_empty() {
            return None;
        }
        let text = match self.number(0, 10) {
            0..3 => {
                let some = self.pick_some(&columns, 3);
                let names: Vec<String> = some.into_iter().map(|c| c.0).collect();
                let nulls = self.maybe(10, &["NULLS NOT DISTINCT"]);
                format!("UNIQUE{nulls} ({})", names.join(", "))
            }
            3..5 => {
                let (name, letter) = self.pick(&columns).clone();
                let condition = self.check(&name, letter);
                format!("CHECK ({condition})")
            }
            _ => {
                let whole: Vec<(String, char)> = columns
                    .into_iter()
                    .filter(|c| "ilst".contains(c.1))
                    .collect();
                if whole.is_empty() {
                    return None;
                }
                let some = self.pick_some(&whole, 2);
                let letters: Vec<char> = some.iter().map(|c| c.1).collect();
                let reference = self.reference(&letters, table)?;
                let names: Vec<String> = some.into_iter().map(|c| c.0).collect();
                format!("FOREIGN KEY ({}){reference}", names.join(", "))
            }
        };
        Some(named + &text)
    }

    fn drop_table(&mut self) -> Sql {
        let name = self.table().map_or("t0".to_owned(), |table| table.name);
        let exists = self.maybe(20, &["IF EXISTS"]);
        let cascade = self.maybe(50, &["CASCADE"]);
        Sql::exact(format!("DROP TABLE{exists} {name}{cascade}"))
    }

    fn index(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.create_table();
        };
        if !table.indexes.is_empty() && self.chance(40) {
            let name = self.pick(&table.indexes).clone();
            let exists = self.maybe(20, &["IF EXISTS"]);
            let cascade = self.maybe(30, &["CASCADE"]);
            return Sql::exact(format!("DROP INDEX{exists} {name}{cascade}"));
        }
        let name = self.maybe(50, &["x0", "x1", "x2"]);
        let unique = self.maybe(40, &["UNIQUE"]);
        let some = self.pick_some(&table.columns, 2);
        let columns: Vec<String> = some
            .into_iter()
            .map(|c| {
                let way = self.maybe(20, &["DESC", "ASC"]);
                let nulls = self.maybe(15, &["NULLS FIRST", "NULLS LAST"]);
                format!("{}{way}{nulls}", c.name)
            })
            .collect();
        Sql::loose(format!(
            "CREATE{unique} INDEX{name} ON {} ({})",
            table.name,
            columns.join(", ")
        ))
    }

    fn alter_table(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.create_table();
        };
        let name = table.name.clone();
        let mut actions = vec![self.alteration(&table)];
        // PostgreSQL goes through actions by kind, and which of two fails first depends on that.
        let is_alike = |action: &str| {
            let others = [
                "IF NOT EXISTS",
                "NOT NULL",
                "UNIQUE",
                "KEY",
                "CHECK",
                "REFERENCES",
            ];
            let others = others.iter().chain(&["IDENTITY", "serial"]);
            action.starts_with("ADD COLUMN") && !others.into_iter().any(|o| action.contains(o))
        };
        if is_alike(&actions[0]) && self.chance(30) {
            let more = self.alteration(&table);
            if is_alike(&more) {
                actions.push(more);
            }
        }
        Sql::loose(format!("ALTER TABLE {name} {}", actions.join(", ")))
    }

    fn alteration(&mut self, table: &Table) -> String {
        let column = self.pick(&table.columns).clone();
        let letter = letter_of(&column.ty).unwrap_or('i');
        let name = column.name.clone();
        let fresh = *self.pick(&COLUMNS);
        let cascade = self.maybe(40, &["CASCADE"]);
        match self.number(0, 100) {
            0..15 => {
                let (text, _) = if self.chance(8) {
                    self.key_column(fresh)
                } else {
                    self.column(fresh, table)
                };
                let unless = self.maybe(15, &["IF NOT EXISTS"]);
                format!("ADD COLUMN{unless} {text}")
            }
            15..23 => {
                let exists = self.maybe(15, &["IF EXISTS"]);
                format!("DROP COLUMN{exists} {name}{cascade}")
            }
            23..29 => format!("RENAME COLUMN {name} TO {fresh}"),
            29..32 => format!("RENAME TO {}", self.free_table()),
            32..35 => match table.constraints.first() {
                Some(constraint) => {
                    self.names += 1;
                    format!("RENAME CONSTRAINT {} TO k{}", constraint.name, self.names)
                }
                None => format!("ALTER {name} DROP DEFAULT"),
            },
            35..58 => match self.table_constraint(table) {
                Some(text) => {
                    let late = text.contains("FOREIGN KEY") && self.chance(30);
                    format!("ADD {text}{}", if late { " NOT VALID" } else { "" })
                }
                None => format!("ALTER {name} DROP DEFAULT"),
            },
            58..61 => format!("ADD PRIMARY KEY ({name})"),
            61..72 if !table.constraints.is_empty() => {
                let constraint = self.pick(&table.constraints).clone();
                if !constraint.is_valid || self.chance(15) {
                    return format!("VALIDATE CONSTRAINT {}", constraint.name);
                }
                if constraint.is_deferrable && self.chance(50) {
                    let how = *self.pick(&["DEFERRABLE INITIALLY DEFERRED", "NOT DEFERRABLE"]);
                    return format!("ALTER CONSTRAINT {} {how}", constraint.name);
                }
                let exists = self.maybe(15, &["IF EXISTS"]);
                format!("DROP CONSTRAINT{exists} {}{cascade}", constraint.name)
            }
            61..78 => format!(
                "ALTER COLUMN {name} SET DEFAULT {}",
                self.bare_literal(letter)
            ),
            78..82 => format!("ALTER {name} DROP DEFAULT"),
            82..87 => format!("ALTER {name} SET NOT NULL"),
            87..91 => format!("ALTER {name} DROP NOT NULL"),
            91..98 => self.alter_identity(&name),
            _ => {
                let other = self.column_type();
                format!("ALTER {name} TYPE {}", sql_name(other))
            }
        }
    }

    fn alter_identity(&mut self, column: &str) -> String {
        let what = *self.pick(&[
            "ADD GENERATED ALWAYS AS IDENTITY",
            "ADD GENERATED BY DEFAULT AS IDENTITY (START 20)",
            "SET GENERATED ALWAYS",
            "SET GENERATED BY DEFAULT",
            "SET INCREMENT BY 3",
            "RESTART",
            "RESTART WITH 30",
            "SET GENERATED ALWAYS SET START 4 RESTART",
            "DROP IDENTITY",
            "DROP IDENTITY IF EXISTS",
            "SET DEFAULT nextval('s0')",
        ]);
        // PostgreSQL does not say where in ALTER TABLE the missing sequence stands.
        if what.contains("'s0'") && !self.schema.sequences.iter().any(|s| s == "s0") {
            return format!("ALTER {column} DROP DEFAULT");
        }
        format!("ALTER {column} {what}")
    }
}
