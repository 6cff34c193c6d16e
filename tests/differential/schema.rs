//! What tables there are, as PostgreSQL's catalog tells between two steps: the generator writes
//! statements for them, and at the end both catalogs must say the same.

use crate::link::Link;

#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub tables: Vec<Table>,
    /// With those of serial and identity columns.
    pub sequences: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub uniques: Vec<Unique>,
    pub constraints: Vec<Constraint>,
    pub indexes: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub ty: String,
    pub is_required: bool,
    /// Its DEFAULT (or identity) takes values from a sequence.
    pub is_counted: bool,
    /// a (ALWAYS), d (BY DEFAULT), or empty.
    pub identity: String,
}

/// A unique index over columns.
#[derive(Clone, Debug)]
pub struct Unique {
    pub columns: Vec<String>,
    /// Of a constraint, whose name it has.
    pub constraint: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Constraint {
    pub name: String,
    /// p, u, f or c.
    pub kind: char,
    pub refers_to: Option<String>,
    pub is_deferrable: bool,
    pub is_valid: bool,
}

// How an expression is written back (casts, parentheses) differs, and is not compared.
const TABLES: &str = "SELECT 'T', c.relname FROM pg_class c \
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 2";
const COLUMNS: &str = "SELECT 'C', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), \
     a.attnotnull, pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval%', a.attidentity \
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
     LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 \
     AND NOT a.attisdropped ORDER BY c.relname, a.attnum";
const INDEXES: &str = "SELECT 'I', c.relname, i.relname, x.indisunique, k.conname, \
     (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a \
     WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)), pg_get_indexdef(i.oid) \
     FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid \
     LEFT JOIN pg_constraint k ON k.conindid = i.oid AND k.contype IN ('p', 'u') \
     WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname, i.relname";
const CONSTRAINTS: &str = "SELECT 'K', c.relname, k.conname, k.contype, r.relname, \
     k.condeferrable, k.convalidated, \
     CASE WHEN k.contype <> 'c' THEN pg_get_constraintdef(k.oid) END FROM pg_constraint k \
     JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class r ON r.oid = k.confrelid \
     WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname, k.conname";
const SEQUENCES: &str = "SELECT 'S', c.relname FROM pg_class c \
     WHERE c.relkind = 'S' AND c.relnamespace = 'public'::regnamespace ORDER BY 2";
const OPTIONS: &str = "SELECT sequencename, data_type::text, start_value, min_value, max_value, \
     increment_by, cycle, cache_size FROM pg_sequences ORDER BY 1";

/// What both catalogs must agree on.
pub const CATALOG: [&str; 6] = [TABLES, COLUMNS, INDEXES, CONSTRAINTS, SEQUENCES, OPTIONS];

impl Schema {
    pub fn read(link: &mut Link) -> Schema {
        let mut schema = Schema::default();
        let sql = [TABLES, COLUMNS, INDEXES, CONSTRAINTS, SEQUENCES].join(";");
        let answer = link.query(&sql).expect("the oracle's catalog");
        assert!(answer.error.is_none(), "{}", answer.shown());
        for line in &answer.said {
            let mut fields = line.split(" | ").map(value);
            if fields.clone().count() < 2 || line.starts_with("columns:") {
                continue;
            }
            let kind = fields.next().unwrap();
            schema.take(&kind, &fields.collect::<Vec<String>>());
        }
        schema
    }

    fn take(&mut self, kind: &str, fields: &[String]) {
        let name = fields[0].clone();
        match kind {
            "T" => self.tables.push(Table {
                name,
                ..Table::default()
            }),
            "S" => self.sequences.push(name),
            _ => {
                let table = self.tables.iter_mut().find(|t| t.name == name).unwrap();
                table.take(kind, &fields[1..]);
            }
        }
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    fn take(&mut self, kind: &str, fields: &[String]) {
        let name = fields[0].clone();
        match kind {
            "C" => self.columns.push(Column {
                name,
                ty: fields[1].clone(),
                is_required: fields[2] == "t",
                is_counted: fields[3] == "t" || !fields[4].is_empty(),
                identity: fields[4].clone(),
            }),
            "I" => {
                if fields[1] == "t" {
                    self.uniques.push(Unique {
                        columns: fields[3].split(',').map(str::to_owned).collect(),
                        constraint: (fields[2] != "NULL").then(|| fields[2].clone()),
                    });
                }
                if fields[2] == "NULL" {
                    self.indexes.push(name);
                }
            }
            _ => self.constraints.push(Constraint {
                name,
                kind: fields[1].chars().next().unwrap(),
                refers_to: (fields[2] != "NULL").then(|| fields[2].clone()),
                is_deferrable: fields[3] == "t",
                is_valid: fields[4] == "t",
            }),
        }
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub fn is_unique(&self, column: &str) -> bool {
        self.uniques
            .iter()
            .any(|unique| unique.columns.iter().any(|name| name == column))
    }
}

/// A value as [`crate::answer`] shows it.
fn value(text: &str) -> String {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
        .to_owned()
}
