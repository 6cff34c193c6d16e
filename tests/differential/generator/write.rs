//! INSERT with and without ON CONFLICT, UPDATE, DELETE, TRUNCATE.
//!
//! Whether `UPDATE t SET k = k + 1` finds a key taken depends on the order of PostgreSQL's heap:
//! unique columns of several rows get a constant, or a value by a function that is its own inverse
//! (`-k`, `10 - k`), where any order ends the same way.

use super::expr::{Scope, scope_of};
use super::values::letter_of;
use super::{Generator, Sql};
use crate::schema::{Column, Table};

impl Generator {
    pub fn insert(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.calculation();
        };
        let name = table.name.clone();
        let (list, columns) = self.target_columns(&table);
        let overriding = if table.columns.iter().any(|c| !c.identity.is_empty()) {
            self.maybe(45, &["OVERRIDING SYSTEM VALUE", "OVERRIDING USER VALUE"])
        } else {
            String::new()
        };
        let mut loose = false;
        self.has_risk = false;
        self.is_counting = table.columns.iter().any(|c| c.is_counted);
        let rows = if self.chance(10) {
            loose = true;
            self.rows_of_query(&columns)
        } else if self.chance(3) && overriding.is_empty() {
            "DEFAULT VALUES".to_owned()
        } else {
            self.rows(&columns)
        };
        let list = if rows == "DEFAULT VALUES" {
            String::new()
        } else {
            list
        };
        let conflict = if self.chance(40) {
            self.on_conflict(&table)
        } else {
            String::new()
        };
        let returning = self.returning(&scope_of(&table, &name));
        Sql {
            text: format!("INSERT INTO {name}{list}{overriding} {rows}{conflict}{returning}"),
            ordered: true,
            loose: loose || self.has_risk,
            constant: false,
        }
    }

    fn target_columns(&mut self, table: &Table) -> (String, Vec<Column>) {
        if self.chance(35) {
            return (String::new(), table.columns.clone());
        }
        let chosen: Vec<Column> = table
            .columns
            .iter()
            .filter(|c| {
                let percent = match (c.is_counted, c.is_required) {
                    (true, _) => 30,
                    (_, true) => 97,
                    _ => 75,
                };
                self.chance(percent)
            })
            .cloned()
            .collect();
        if chosen.is_empty() {
            return (String::new(), table.columns.clone());
        }
        let names: Vec<&str> = chosen.iter().map(|c| &c.name[..]).collect();
        (format!(" ({})", names.join(", ")), chosen)
    }

    fn rows(&mut self, columns: &[Column]) -> String {
        let count = *self.pick(&[1, 1, 1, 2, 3, 4]);
        let rows: Vec<String> = (0..count)
            .map(|_| {
                let values: Vec<String> = columns
                    .iter()
                    .map(|column| self.column_value(column))
                    .collect();
                format!("({})", values.join(", "))
            })
            .collect();
        format!("VALUES {}", rows.join(", "))
    }

    fn column_value(&mut self, column: &Column) -> String {
        let Some(letter) = letter_of(&column.ty) else {
            return "NULL".to_owned();
        };
        match self.number(0, 100) {
            0..7 => "DEFAULT".to_owned(),
            7..10 if column.is_counted => "DEFAULT".to_owned(),
            10..14 if !self.is_counting => {
                self.has_risk = true;
                self.risky(letter, &Scope::new(), 1)
            }
            _ if column.is_required => loop {
                let count = self.value_count();
                let text = self.bare_literal(letter);
                let is_null = match &self.values {
                    Some(values) => values.len() > count && values[count].is_none(),
                    None => false,
                };
                if text != "NULL" && !is_null {
                    break text;
                }
                self.forget_values(count);
            },
            _ => self.bare_literal(letter),
        }
    }

    /// All columns sorted by: the order in which rows come decides values of sequences.
    fn rows_of_query(&mut self, columns: &[Column]) -> String {
        let Some(source) = self.table() else {
            return "DEFAULT VALUES".to_owned();
        };
        let scope = scope_of(&source, &source.name);
        let items: Vec<String> = columns
            .iter()
            .map(|c| self.expr(letter_of(&c.ty).unwrap_or('i'), &scope, 1))
            .collect();
        let numbers: Vec<String> = (1..=items.len()).map(|n| n.to_string()).collect();
        let condition = self.condition(&scope);
        format!(
            "SELECT {} FROM {} WHERE {condition} ORDER BY {}",
            items.join(", "),
            source.name,
            numbers.join(", ")
        )
    }

    fn on_conflict(&mut self, table: &Table) -> String {
        let target = self.conflict_target(table);
        let is_key = target.starts_with(" ON")
            || table.uniques.iter().any(|unique| {
                let mut named: Vec<&str> =
                    target.trim_matches([' ', '(', ')']).split(", ").collect();
                let mut own: Vec<&str> = unique.columns.iter().map(|c| &c[..]).collect();
                named.sort_unstable();
                own.sort_unstable();
                named == own
            });
        // What is wrong with the rest comes before or after that there is no such key.
        if !is_key || self.chance(35) {
            return format!(" ON CONFLICT{target} DO NOTHING");
        }
        let mut scope = scope_of(table, &table.name);
        scope.extend(scope_of(table, "excluded"));
        let set = self.assignments(table, &scope, true);
        let filter = if self.chance(30) {
            format!(" WHERE {}", self.condition(&scope))
        } else {
            String::new()
        };
        format!(" ON CONFLICT{target} DO UPDATE SET {set}{filter}")
    }

    fn conflict_target(&mut self, table: &Table) -> String {
        // That there is no such key PostgreSQL says when the statement is bound, Walnut when it is
        // parsed: prepared statements have one.
        let may_be_wrong = self.values.is_none() && !self.has_risk;
        if table.uniques.is_empty() {
            return if may_be_wrong && self.chance(10) {
                " (a)".to_owned()
            } else {
                String::new()
            };
        }
        let unique = self.pick(&table.uniques).clone();
        match (&unique.constraint, self.number(0, 10)) {
            (_, 0) => String::new(),
            (Some(constraint), 1..3) => format!(" ON CONSTRAINT {constraint}"),
            (_, 3) if may_be_wrong => format!(" ({})", self.pick(&table.columns).name),
            _ => {
                let mut columns = unique.columns;
                if self.chance(30) {
                    columns.reverse();
                }
                format!(" ({})", columns.join(", "))
            }
        }
    }

    /// What SET says. `single`: of one row, so that nothing depends on an order.
    fn assignments(&mut self, table: &Table, scope: &Scope, single: bool) -> String {
        let columns = self.pick_some(&table.columns, 2);
        let mut values = Vec::new();
        for column in &columns {
            values.push(self.assigned(table, column, scope, single));
        }
        let names: Vec<&str> = columns.iter().map(|c| &c.name[..]).collect();
        if columns.len() > 1 && self.chance(25) {
            let row = self.maybe(30, &["ROW"]);
            return format!("({}) ={row} ({})", names.join(", "), values.join(", "));
        }
        let pairs: Vec<String> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        pairs.join(", ")
    }

    fn assigned(&mut self, table: &Table, column: &Column, scope: &Scope, single: bool) -> String {
        let letter = letter_of(&column.ty).unwrap_or('i');
        if !single && table.is_unique(&column.name) {
            return match self.number(0, 3) {
                0 if matches!(letter, 'i' | 'l') => format!("- {}", column.name),
                1 if letter == 'i' => format!("10 - {}", column.name),
                _ => self.bare_literal(letter),
            };
        }
        match self.number(0, 10) {
            0 if single || !column.is_counted => "DEFAULT".to_owned(),
            1..4 => self.bare_literal(letter),
            4 if single => match self.risky_of_row(letter, scope) {
                Some(text) => text,
                None => self.bare_literal(letter),
            },
            _ if letter == 'i' => format!("{} % 50", self.expr('i', scope, 2)),
            _ if "lmn".contains(letter) => format!("{} % 1000", self.expr(letter, scope, 2)),
            _ if "tTI".contains(letter) => self.expr(letter, scope, 1),
            _ => self.expr(letter, scope, 2),
        }
    }

    pub fn update(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.calculation();
        };
        let name = table.name.clone();
        let mut scope = scope_of(&table, &name);
        if self.chance(45)
            && let Some(key) = self.key_condition(&table)
        {
            let set = self.assignments(&table, &scope, true);
            let returning = self.returning(&scope);
            return Sql {
                text: format!("UPDATE {name} SET {set} WHERE {key}{returning}"),
                ordered: true,
                loose: self.is_referenced(&name),
                constant: false,
            };
        }
        if let (Some((other, link)), true) = (self.other_by_key(&table), self.chance(35)) {
            scope.extend(scope_of(&other, "o"));
            let set = self.assignments(&table, &scope, false);
            let more = self.condition(&scope);
            let returning = self.returning(&scope);
            return Sql::loose(format!(
                "UPDATE {name} SET {set} FROM {} AS o WHERE {link} AND {more}{returning}",
                other.name
            ));
        }
        let set = self.assignments(&table, &scope, false);
        let filter = if self.chance(85) {
            format!(" WHERE {}", self.condition(&scope))
        } else {
            String::new()
        };
        let returning = self.returning(&scope);
        Sql::loose(format!("UPDATE {name} SET {set}{filter}{returning}"))
    }

    /// A condition that one row meets at most.
    fn key_condition(&mut self, table: &Table) -> Option<String> {
        if table.uniques.is_empty() {
            return None;
        }
        let unique = self.pick(&table.uniques).clone();
        let parts: Option<Vec<String>> = unique
            .columns
            .iter()
            .map(|column| {
                let letter = letter_of(&table.column(column)?.ty)?;
                Some(format!(
                    "{}.{column} = {}",
                    table.name,
                    self.literal(letter)
                ))
            })
            .collect();
        Some(parts?.join(" AND "))
    }

    /// Another table of which each row finds one row at most: more than one would be a matter of
    /// chance.
    fn other_by_key(&mut self, table: &Table) -> Option<(Table, String)> {
        let other = self.table()?;
        let links: Vec<String> = other
            .uniques
            .iter()
            .filter(|unique| unique.columns.len() == 1)
            .flat_map(|unique| {
                let key = &unique.columns[0];
                let ty = other.column(key).map(|c| c.ty.clone());
                table
                    .columns
                    .iter()
                    .filter(move |c| Some(&c.ty) == ty.as_ref())
                    .map(move |c| format!("{}.{} = o.{key}", table.name, c.name))
            })
            .collect();
        if links.is_empty() {
            return None;
        }
        let link = self.pick(&links).clone();
        Some((other, link))
    }

    /// What happens to it may happen to rows elsewhere.
    fn is_referenced(&self, name: &str) -> bool {
        self.schema.tables.iter().any(|table| {
            table
                .constraints
                .iter()
                .any(|c| c.refers_to.as_deref() == Some(name))
        })
    }

    pub fn delete(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.calculation();
        };
        let name = table.name.clone();
        let mut scope = scope_of(&table, &name);
        if self.chance(12) {
            return self.truncate();
        }
        if self.chance(50)
            && let Some(key) = self.key_condition(&table)
        {
            let returning = self.returning(&scope);
            return Sql {
                text: format!("DELETE FROM {name} WHERE {key}{returning}"),
                ordered: true,
                loose: self.is_referenced(&name),
                constant: false,
            };
        }
        if let (Some(other), true) = (self.table(), self.chance(25)) {
            scope.extend(scope_of(&other, "o"));
            let condition = self.condition(&scope);
            // Several may be found for one: only its own columns come back.
            let returning = self.returning(&scope_of(&table, &name));
            return Sql::loose(format!(
                "DELETE FROM {name} USING {} AS o WHERE {condition}{returning}",
                other.name
            ));
        }
        let condition = self.condition(&scope);
        let returning = self.returning(&scope);
        Sql::loose(format!("DELETE FROM {name} WHERE {condition}{returning}"))
    }

    pub fn truncate(&mut self) -> Sql {
        let names: Vec<String> = self.schema.tables.iter().map(|t| t.name.clone()).collect();
        let some = self.pick_some(&names, 2);
        let identity = self.maybe(40, &["RESTART IDENTITY", "CONTINUE IDENTITY"]);
        let cascade = self.maybe(50, &["CASCADE", "RESTRICT"]);
        Sql::exact(format!("TRUNCATE {}{identity}{cascade}", some.join(", ")))
    }

    fn returning(&mut self, scope: &Scope) -> String {
        match self.number(0, 10) {
            0..3 => " RETURNING *".to_owned(),
            3 if !scope.is_empty() => format!(" RETURNING {}", self.expr_list(scope)),
            _ => String::new(),
        }
    }
}
