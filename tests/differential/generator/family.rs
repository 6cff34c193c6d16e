//! A table and another that refers to it, with rows: so that foreign keys have something to do.

use super::define::ACTIONS;
use super::{Generator, Sql};
use crate::pair::TABLES;

/// Keys of the rows referred to; the default of who refers is among them.
const KEYS: i64 = 6;

impl Generator {
    /// The statements that make a family, the first one last.
    pub fn family(&mut self) -> Vec<Sql> {
        let [parent, child] = [TABLES[0], TABLES[1]];
        let (on_delete, on_update) = (*self.pick(&ACTIONS), *self.pick(&ACTIONS));
        let deferral = self.maybe(30, &["DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"]);
        let rule = format!("ON DELETE {on_delete} ON UPDATE {on_update}{deferral}");
        let default = self.number(0, KEYS + 1);
        let (key, reference) = match self.chance(30) {
            false => (
                "a int PRIMARY KEY, b int",
                format!("p int DEFAULT {default} REFERENCES {parent} {rule}"),
            ),
            true => {
                let full = self.maybe(40, &["MATCH FULL"]);
                (
                    "a int, b int, PRIMARY KEY (a, b)",
                    format!(
                        "p int DEFAULT {default}, q int DEFAULT {default}, \
                         FOREIGN KEY (p, q) REFERENCES {parent}{full} {rule}"
                    ),
                )
            }
        };
        let is_pair = key.contains("(a, b)");
        let rows = |values: Vec<String>| values.join(", ");
        let parents = (0..KEYS).map(|n| format!("({n}, {n})")).collect();
        let children = (0..KEYS + 2)
            .map(|n| {
                let p = self.number(0, KEYS);
                match is_pair {
                    true => format!("({n}, {p}, {p})"),
                    false => format!("({n}, {p})"),
                }
            })
            .collect();
        [
            format!("INSERT INTO {child} VALUES {}", rows(children)),
            format!("INSERT INTO {parent} VALUES {}", rows(parents)),
            format!("CREATE TABLE {child} (id int PRIMARY KEY, {reference})"),
            format!("CREATE TABLE {parent} ({key})"),
        ]
        .map(Sql::exact)
        .into()
    }

    /// A change of a row that others refer to.
    pub fn family_change(&mut self) -> Sql {
        let parent = TABLES[0];
        let (n, m) = (self.number(0, KEYS), self.number(0, 2 * KEYS));
        Sql::exact(match self.number(0, 4) {
            0 | 1 => format!("DELETE FROM {parent} WHERE a = {n}"),
            2 => format!("UPDATE {parent} SET a = {m} WHERE a = {n}"),
            _ => format!("INSERT INTO {parent} (a, b) VALUES ({n}, {n})"),
        })
    }
}
