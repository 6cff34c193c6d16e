//! Queries.
//!
//! LIMIT and DISTINCT ON come only where all columns are sorted by, so that rows that may change
//! places are equal. Equal numbers may still look different (1.0 and 1.00, 0 and -0): where one of
//! them stands for all, they are rounded.

use super::expr::{Scope, scope_of};
use super::values::sql_name;
use super::{Generator, Sql};

/// Types that have an order and are compared in it.
const SORTABLE: [char; 16] = [
    'i', 'i', 'i', 'l', 's', 't', 't', 'm', 'n', 'd', 'b', 'D', 'S', 'Z', 'I', 'v',
];

impl Generator {
    pub fn query(&mut self) -> Sql {
        if self.schema.tables.is_empty() || self.chance(12) {
            return self.calculation();
        }
        if self.chance(8) {
            return self.risky_rows();
        }
        let with = if self.chance(12) {
            let (inner, letters) = self.select(1);
            let name = self.alias();
            let columns = column_names(letters.len());
            let materialized = self.maybe(30, &["MATERIALIZED", "NOT MATERIALIZED"]);
            let scope = named_scope(&name, &letters);
            let more = self.expr_list(&scope);
            let condition = self.condition(&scope);
            let join = if self.chance(30) {
                format!(" JOIN {name} AS twin ON {name}.c1 = twin.c1")
            } else {
                String::new()
            };
            return Sql {
                text: format!(
                    "WITH {name}({columns}) AS{materialized} ({inner}) SELECT {more} FROM \
                     {name}{join} WHERE {condition}"
                ),
                ordered: false,
                loose: true,
                constant: false,
            };
        } else {
            String::new()
        };
        let (text, letters) = self.select(2);
        let text = with + &text;
        if self.chance(40) {
            return Sql::loose(text);
        }
        let order = self.order(letters.len());
        let limit = self.limit();
        Sql {
            text: format!("{text} ORDER BY {order}{limit}"),
            ordered: true,
            loose: true,
            constant: false,
        }
    }

    fn order(&mut self, count: usize) -> String {
        let mut numbers: Vec<usize> = (1..=count).collect();
        numbers = self.pick_some(&numbers, count * 3);
        for number in 1..=count {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let keys: Vec<String> = numbers
            .iter()
            .map(|number| {
                let way = self.maybe(40, &["DESC", "ASC"]);
                let nulls = self.maybe(30, &["NULLS FIRST", "NULLS LAST"]);
                format!("{number}{way}{nulls}")
            })
            .collect();
        keys.join(", ")
    }

    fn limit(&mut self) -> String {
        let count = self.number(0, 6);
        let skip = self.number(0, 4);
        match self.number(0, 10) {
            0 => format!(" LIMIT {count}"),
            1 => format!(" LIMIT {count} OFFSET {skip}"),
            2 => format!(" OFFSET {skip}"),
            3 => format!(" FETCH FIRST {count} ROWS ONLY"),
            4 => " LIMIT NULL".to_owned(),
            _ => String::new(),
        }
    }

    /// A query without ORDER BY, and its columns' types.
    fn select(&mut self, depth: u32) -> (String, Vec<char>) {
        match self.number(0, 100) {
            0..22 => self.grouped(depth),
            22..36 => self.combined(depth),
            36..42 => self.distinct_on(depth),
            _ => self.plain(depth, None),
        }
    }

    fn plain(&mut self, depth: u32, letters: Option<&[char]>) -> (String, Vec<char>) {
        let (from, scope) = self.from(depth);
        let letters = match letters {
            Some(letters) => letters.to_vec(),
            None => (0..self.number(1, 5))
                .map(|_| self.sortable(&scope))
                .collect(),
        };
        let items: Vec<String> = letters.iter().map(|&l| self.key(l, &scope)).collect();
        let distinct = self.maybe(15, &["DISTINCT"]);
        let filter = self.filter(&scope, 60);
        (
            format!("SELECT{distinct} {} FROM {from}{filter}", items.join(", ")),
            letters,
        )
    }

    fn filter(&mut self, scope: &Scope, percent: u32) -> String {
        if self.chance(percent) {
            format!(" WHERE {}", self.condition(scope))
        } else {
            String::new()
        }
    }

    /// One of the types in scope, most of the time.
    fn sortable(&mut self, scope: &Scope) -> char {
        if !scope.is_empty() && self.chance(60) {
            let letter = self.pick(scope).1;
            if SORTABLE.contains(&letter) || "crxT".contains(letter) {
                return letter;
            }
        }
        *self.pick(&SORTABLE)
    }

    /// An expression whose equal values look the same.
    fn key(&mut self, letter: char, scope: &Scope) -> String {
        let text = self.expr(letter, scope, 2);
        match letter {
            'n' | 'm' => format!("round({text}, 2)"),
            'd' | 'r' => format!("({text} + 0)"),
            _ => text,
        }
    }

    fn distinct_on(&mut self, depth: u32) -> (String, Vec<char>) {
        let (from, scope) = self.from(depth);
        let letters: Vec<char> = (0..3).map(|_| self.sortable(&scope)).collect();
        let items: Vec<String> = letters.iter().map(|&l| self.key(l, &scope)).collect();
        let filter = self.filter(&scope, 40);
        let name = self.alias();
        // What ORDER BY must repeat must be seen to be the same: no subquery is.
        let first = if items[0].contains("SELECT") {
            "1"
        } else {
            &items[0]
        };
        (
            format!(
                "SELECT * FROM (SELECT DISTINCT ON ({first}) {} FROM {from}{filter} ORDER BY 1, \
                 2 DESC, 3) AS {name}(c1, c2, c3)",
                items.join(", ")
            ),
            letters,
        )
    }

    fn combined(&mut self, depth: u32) -> (String, Vec<char>) {
        let (left, letters) = self.plain(depth.saturating_sub(1), None);
        let (right, _) = self.plain(depth.saturating_sub(1), Some(&letters));
        let how = *self.pick(&[
            "UNION",
            "UNION ALL",
            "INTERSECT",
            "INTERSECT ALL",
            "EXCEPT",
            "EXCEPT ALL",
        ]);
        let mut text = format!("{left} {how} {right}");
        if self.chance(20) {
            let (third, _) = self.plain(0, Some(&letters));
            let how = *self.pick(&["UNION", "INTERSECT", "EXCEPT ALL"]);
            text = format!("({text}) {how} {third}");
        }
        (text, letters)
    }

    fn grouped(&mut self, depth: u32) -> (String, Vec<char>) {
        let (from, scope) = self.from(depth);
        let mut keys = Vec::new();
        let mut letters = Vec::new();
        if self.chance(75) {
            for _ in 0..self.number(1, 3) {
                let letter = self.sortable(&scope);
                letters.push(letter);
                keys.push(self.key(letter, &scope));
            }
        }
        let mut items = keys.clone();
        for _ in 0..self.number(1, 4) {
            let (text, letter) = self.aggregate(&scope);
            items.push(text);
            letters.push(letter);
        }
        let filter = self.filter(&scope, 40);
        let numbers: Vec<String> = (1..=keys.len()).map(|n| n.to_string()).collect();
        let group = if keys.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", numbers.join(", "))
        };
        let having = if self.chance(25) {
            let (text, letter) = self.aggregate(&scope);
            let other = self.literal(letter);
            format!(" HAVING {text} >= {other}")
        } else {
            String::new()
        };
        (
            format!(
                "SELECT {} FROM {from}{filter}{group}{having}",
                items.join(", ")
            ),
            letters,
        )
    }

    /// An aggregate whose result the order of rows does not change.
    fn aggregate(&mut self, scope: &Scope) -> (String, char) {
        let of = |g: &mut Generator, letter| g.key(letter, scope);
        let distinct = self.maybe(25, &["DISTINCT"]);
        let (text, letter) = match self.number(0, 12) {
            0 => ("count(*)".to_owned(), 'l'),
            1 | 2 => {
                let letter = self.sortable(scope);
                (format!("count({distinct} {})", of(self, letter)), 'l')
            }
            3 | 4 => (format!("sum({distinct} {})", of(self, 'i')), 'l'),
            5 => (format!("round(avg({distinct} {}), 3)", of(self, 'i')), 'n'),
            6 => {
                let letter = *self.pick(&['i', 'l', 's', 't', 'n', 'd', 'D', 'S', 'Z', 'I']);
                let name = *self.pick(&["min", "max"]);
                (format!("{name}({distinct} {})", of(self, letter)), letter)
            }
            7 => {
                let name = *self.pick(&["bool_and", "bool_or", "every"]);
                (format!("{name}({})", of(self, 'b')), 'b')
            }
            8 => {
                let item = of(self, 't');
                (format!("string_agg({item}, ',' ORDER BY {item} DESC)"), 't')
            }
            // With DISTINCT what is sorted by must be seen to be the same: no subquery is.
            9 => {
                let item = self.expr('i', scope, 0);
                (format!("array_agg({distinct} {item} ORDER BY {item})"), 'I')
            }
            10 => (format!("sum({distinct} {})", of(self, 'n')), 'n'),
            _ => {
                let name = *self.pick(&["stddev", "var_pop", "variance"]);
                (
                    format!("round({name}({distinct} {}), 4)", of(self, 'i')),
                    'n',
                )
            }
        };
        if self.chance(20) && text.ends_with(')') && !text.starts_with("round") {
            let condition = self.expr('b', scope, 2);
            return (format!("{text} FILTER (WHERE {condition})"), letter);
        }
        (text, letter)
    }

    /// What FROM says, and what is in scope by it.
    fn from(&mut self, depth: u32) -> (String, Scope) {
        let (mut text, mut scope) = self.source(depth);
        for _ in 0..*self.pick(&[0, 0, 0, 1, 1, 2]) {
            let (other, right) = self.source(depth.saturating_sub(1));
            let how = *self.pick(&[
                "JOIN",
                "JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "FULL JOIN",
                "CROSS JOIN",
            ]);
            if how == "CROSS JOIN" {
                text = format!("{text} {how} {other}");
            } else {
                let mut both = scope.clone();
                both.extend(right.iter().cloned());
                let equal = self.equality(&scope, &right);
                // PostgreSQL has no FULL JOIN by other conditions.
                let on = match equal {
                    None => "true".to_owned(),
                    Some(equal) if how == "FULL JOIN" || self.chance(60) => equal,
                    Some(equal) if self.chance(60) => {
                        format!("{equal} AND {}", self.expr('b', &both, 2))
                    }
                    Some(_) => self.expr('b', &both, 2),
                };
                text = format!("{text} {how} {other} ON {on}");
            }
            scope.extend(right);
        }
        (text, scope)
    }

    fn equality(&mut self, left: &Scope, right: &Scope) -> Option<String> {
        let pairs: Vec<(String, String)> = left
            .iter()
            .flat_map(|l| right.iter().map(move |r| (l, r)))
            .filter(|(l, r)| l.1 == r.1)
            .map(|(l, r)| (l.0.clone(), r.0.clone()))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let (l, r) = self.pick(&pairs).clone();
        Some(format!("{l} = {r}"))
    }

    fn source(&mut self, depth: u32) -> (String, Scope) {
        let name = self.alias();
        match self.number(0, 100) {
            0..12 if depth > 0 => {
                let (inner, letters) = self.select(depth - 1);
                let limit = if self.chance(25) {
                    format!(" ORDER BY {}{}", self.order(letters.len()), self.limit())
                } else {
                    String::new()
                };
                let columns = column_names(letters.len());
                (
                    format!("({inner}{limit}) AS {name}({columns})"),
                    named_scope(&name, &letters),
                )
            }
            12..16 => {
                let rows: Vec<String> = (0..self.number(1, 4))
                    .map(|_| format!("({}, {})", self.literal('i'), self.literal('t')))
                    .collect();
                (
                    format!("(VALUES {}) AS {name}(c1, c2)", rows.join(", ")),
                    named_scope(&name, &['i', 't']),
                )
            }
            16..19 => {
                let end = self.number(0, 6);
                (
                    format!("generate_series(1, {end}) AS {name}(c1)"),
                    named_scope(&name, &['i']),
                )
            }
            _ => match self.table() {
                Some(table) => {
                    let scope = scope_of(&table, &name);
                    (format!("{} AS {name}", table.name), scope)
                }
                None => (
                    format!("(SELECT 1) AS {name}(c1)"),
                    named_scope(&name, &['i']),
                ),
            },
        }
    }

    pub fn scalar_subquery(&mut self, letter: char, outer: &Scope) -> String {
        let Some(table) = self.table() else {
            return self.literal(letter);
        };
        let name = self.alias();
        let inner = scope_of(&table, &name);
        if matches!(letter, 'b' | 'x') {
            let item = self.expr(letter, &inner, 1);
            return format!("(SELECT {item} FROM {} AS {name} WHERE false)", table.name);
        }
        let mut both = inner.clone();
        both.extend(outer.iter().cloned());
        let condition = self.expr('b', &both, 1);
        let text = if letter == 'l' {
            "count(*)".to_owned()
        } else {
            let item = self.key(letter, &inner);
            format!("max({item})::{}", sql_name(letter))
        };
        format!(
            "(SELECT {text} FROM {} AS {name} WHERE {condition})",
            table.name
        )
    }

    pub fn subquery_condition(&mut self, outer: &Scope) -> String {
        let Some(table) = self.table() else {
            return self.literal('b');
        };
        let name = self.alias();
        let inner = scope_of(&table, &name);
        if inner.is_empty() {
            return self.literal('b');
        }
        let mut both = inner.clone();
        both.extend(outer.iter().cloned());
        let condition = match self.equality(&inner, outer) {
            Some(equal) if self.chance(70) => equal,
            _ => self.expr('b', &both, 1),
        };
        let from = format!("FROM {} AS {name} WHERE {condition}", table.name);
        let (column, letter) = self.pick(&inner).clone();
        let letter = if letter == 'L' { 'i' } else { letter };
        match self.number(0, 6) {
            0 | 1 => format!("EXISTS (SELECT 1 {from})"),
            2 => format!("NOT EXISTS (SELECT {column} {from})"),
            3 => format!(
                "({} IN (SELECT {column} {from}))",
                self.leaf_or_literal(letter, outer)
            ),
            4 => format!(
                "({} NOT IN (SELECT {column} {from}))",
                self.leaf_or_literal(letter, outer)
            ),
            _ => {
                let how = *self.pick(&["= ANY", "< ALL", ">= ANY", "<> ALL"]);
                format!(
                    "({} {how} (SELECT {column} {from}))",
                    self.leaf_or_literal(letter, outer)
                )
            }
        }
    }

    fn leaf_or_literal(&mut self, letter: char, scope: &Scope) -> String {
        self.expr(letter, scope, 0)
    }

    pub fn expr_list(&mut self, scope: &Scope) -> String {
        let items: Vec<String> = (0..self.number(1, 4))
            .map(|_| {
                let letter = self.sortable(scope);
                self.expr(letter, scope, 2)
            })
            .collect();
        items.join(", ")
    }

    /// Each row by itself, in an expression that may fail.
    fn risky_rows(&mut self) -> Sql {
        let Some(table) = self.table() else {
            return self.calculation();
        };
        let scope = scope_of(&table, &table.name);
        let letter = self.some_type();
        match self.risky_of_row(letter, &scope) {
            Some(item) => Sql::loose(format!("SELECT {item} FROM {}", table.name)),
            None => self.calculation(),
        }
    }
}

fn column_names(count: usize) -> String {
    let names: Vec<String> = (1..=count).map(|n| format!("c{n}")).collect();
    names.join(", ")
}

fn named_scope(name: &str, letters: &[char]) -> Scope {
    letters
        .iter()
        .enumerate()
        .map(|(i, &letter)| (format!("{name}.c{}", i + 1), letter))
        .collect()
}
