//! Transactions, savepoints, when constraints are checked.

use super::{Generator, Sql};

const SAVEPOINTS: [&str; 3] = ["x", "y", "z"];

impl Generator {
    pub fn control(&mut self) -> Sql {
        let sql = self.transaction_step();
        self.is_stale |= sql.text.contains("ROLLBACK") || sql.text.starts_with("COMMIT");
        sql
    }

    fn transaction_step(&mut self) -> Sql {
        if self.status == b'I' {
            let text = match self.number(0, 100) {
                0..60 => "BEGIN".to_owned(),
                60..70 => "BEGIN ISOLATION LEVEL REPEATABLE READ".to_owned(),
                70..78 => "START TRANSACTION ISOLATION LEVEL SERIALIZABLE".to_owned(),
                78..80 => "BEGIN READ ONLY".to_owned(),
                80..84 => "COMMIT".to_owned(),
                84..88 => "ROLLBACK".to_owned(),
                88..92 => format!("SAVEPOINT {}", self.pick(&SAVEPOINTS)),
                _ => self.set_constraints(),
            };
            return Sql::exact(text);
        }
        let savepoint = *self.pick(&SAVEPOINTS);
        Sql::exact(match self.number(0, 100) {
            0..26 => format!("SAVEPOINT {savepoint}"),
            26..36 => format!("RELEASE SAVEPOINT {savepoint}"),
            36..52 => format!("ROLLBACK TO {savepoint}"),
            52..76 => "COMMIT".to_owned(),
            76..79 => "COMMIT AND CHAIN".to_owned(),
            79..86 => "ROLLBACK".to_owned(),
            86..88 => "BEGIN".to_owned(),
            _ => self.set_constraints(),
        })
    }

    pub fn after_error(&mut self) -> Sql {
        let savepoint = *self.pick(&SAVEPOINTS);
        match self.number(0, 100) {
            0..45 => Sql::exact(format!("ROLLBACK TO SAVEPOINT {savepoint}")),
            45..75 => Sql::exact("ROLLBACK".to_owned()),
            75..85 => Sql::exact("COMMIT".to_owned()),
            85..90 => Sql::exact(format!("RELEASE {savepoint}")),
            90..93 => Sql::exact("SAVEPOINT x".to_owned()),
            _ => self.query_or_change(),
        }
    }

    fn set_constraints(&mut self) -> String {
        let deferrable: Vec<String> = self
            .schema
            .tables
            .iter()
            .flat_map(|table| &table.constraints)
            .filter(|constraint| constraint.kind == 'f')
            .map(|constraint| constraint.name.clone())
            .collect();
        let when = *self.pick(&["DEFERRED", "IMMEDIATE"]);
        if deferrable.is_empty() || self.chance(50) {
            return format!("SET CONSTRAINTS ALL {when}");
        }
        let some = self.pick_some(&deferrable, 2);
        format!("SET CONSTRAINTS {} {when}", some.join(", "))
    }
}
