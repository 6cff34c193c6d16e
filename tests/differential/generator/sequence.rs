//! Sequences by themselves; serial and identity columns come with their tables.

use super::{Generator, Sql};
use crate::pair::SEQUENCES;

impl Generator {
    pub fn sequence_step(&mut self) -> Sql {
        let known = self.schema.sequences.clone();
        let name = if known.is_empty() || self.chance(10) {
            (*self.pick(&SEQUENCES)).to_owned()
        } else {
            self.pick(&known).clone()
        };
        let value = self.number(-5, 30);
        let text = match self.number(0, 100) {
            0..40 => format!("SELECT nextval('{name}')"),
            40..50 => format!("SELECT currval('{name}')"),
            50..58 => "SELECT lastval()".to_owned(),
            58..66 => format!("SELECT setval('{name}', {value})"),
            66..72 => format!("SELECT setval('{name}', {value}, false), nextval('{name}')"),
            72..77 => format!("SELECT last_value, is_called FROM {name}"),
            77..80 => {
                format!("SELECT nextval('{name}'), nextval('{name}') FROM generate_series(1, 3)")
            }
            80..83 => match self.table() {
                Some(table) => {
                    let column = self.pick(&table.columns).name.clone();
                    format!(
                        "SELECT pg_get_serial_sequence('{}', '{column}')",
                        table.name
                    )
                }
                None => "SELECT lastval()".to_owned(),
            },
            _ => {
                self.is_stale = true;
                self.define_sequence(&name)
            }
        };
        Sql::exact(text)
    }

    fn define_sequence(&mut self, name: &str) -> String {
        let options = self.sequence_options();
        match self.number(0, 10) {
            0..4 => {
                let name = *self.pick(&SEQUENCES);
                let unless = self.maybe(20, &["IF NOT EXISTS"]);
                format!("CREATE SEQUENCE{unless} {name}{options}")
            }
            4..8 => {
                let restart = self.maybe(40, &["RESTART", "RESTART WITH 7", "RESTART WITH -2"]);
                format!("ALTER SEQUENCE {name}{options}{restart}")
            }
            _ => {
                let cascade = self.maybe(40, &["CASCADE"]);
                format!("DROP SEQUENCE {name}{cascade}")
            }
        }
    }

    fn sequence_options(&mut self) -> String {
        let mut text = String::new();
        text += &self.maybe(15, &["AS smallint", "AS integer", "AS bigint"]);
        text += &self.maybe(
            25,
            &[
                "INCREMENT 2",
                "INCREMENT BY -1",
                "INCREMENT 5",
                "INCREMENT 0",
            ],
        );
        text += &self.maybe(
            15,
            &["MINVALUE 1", "MINVALUE -10", "NO MINVALUE", "MINVALUE 5"],
        );
        text += &self.maybe(
            20,
            &["MAXVALUE 12", "MAXVALUE 5", "NO MAXVALUE", "MAXVALUE 40000"],
        );
        text += &self.maybe(15, &["START 3", "START WITH 10", "START -1"]);
        text += &self.maybe(20, &["CYCLE", "NO CYCLE"]);
        text
    }
}
