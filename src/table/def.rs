//! What the catalog says of tables.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::sync::{AtomicU64, Ordering};
use crate::base::{Oid, TreeId};
use crate::table::{Layout, SequenceDef};
use crate::types::Type;

/// A table. Immutable once made: DDL makes a new one.
#[derive(Clone, Debug)]
pub struct TableDef {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub tree: TreeId,
    /// All that were ever added, in the order of their numbers; `attnum` is the place plus one.
    pub columns: Vec<ColumnDef>,
    pub indexes: Vec<Arc<IndexDef>>,
    pub checks: Vec<CheckDef>,
    pub foreign_keys: Vec<Arc<ForeignKeyDef>>,
    pub unlogged: bool,
    pub options: Vec<(String, String)>,
    /// Derived from the columns.
    pub layout: Arc<Layout>,
    /// What is shared by all definitions of the table.
    pub state: Arc<TableState>,
}

/// What a table has beside its definition while the process lives.
#[derive(Debug, Default)]
pub struct TableState {
    /// The next row id to give out; 0 until the first is asked for.
    pub(super) next_row: AtomicU64,
}

#[derive(Clone, Debug)]
pub struct ColumnDef {
    pub name: String,
    pub ty: Type,
    pub typmod: i32,
    pub not_null: bool,
    /// The default as SQL text. Sequences stand in it by their OIDs ([`SequenceDef::reference`]).
    pub default: Option<String>,
    /// Its values come from a sequence of its own.
    pub identity: Option<Identity>,
    pub dropped: bool,
    /// The value, as SQL text, of rows written before the column was added.
    pub missing: Option<String>,
}

impl ColumnDef {
    /// What a row has that is given no value here, as SQL text: the default, or the next value of
    /// the identity.
    pub fn default_sql(&self) -> Option<Cow<'_, str>> {
        match (&self.default, self.identity) {
            _ if self.dropped => None,
            (Some(text), _) => Some(Cow::Borrowed(text)),
            (None, Some(identity)) => {
                let reference = SequenceDef::reference(identity.sequence);
                Some(Cow::Owned(format!("nextval({reference})")))
            }
            (None, None) => None,
        }
    }
}

/// GENERATED … AS IDENTITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub sequence: Oid,
    /// ALWAYS, not BY DEFAULT.
    pub always: bool,
}

#[derive(Clone, Debug)]
pub struct IndexDef {
    pub oid: Oid,
    pub name: String,
    pub tree: TreeId,
    /// Places of the key columns in the table.
    pub columns: Vec<IndexColumn>,
    /// No two rows ever share a whole, non-null key.
    pub unique: bool,
    /// None do when its constraint has been checked, which comes later: the index is not `unique`.
    pub deferral: Deferral,
    pub primary: bool,
    /// It backs a constraint of the same name.
    pub constraint: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct IndexColumn {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug)]
pub struct CheckDef {
    pub oid: Oid,
    pub name: String,
    /// The condition as SQL text.
    pub expr: String,
}

/// DEFERRABLE INITIALLY DEFERRED and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deferral {
    pub deferrable: bool,
    pub initially_deferred: bool,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct ForeignKeyDef {
    pub oid: Oid,
    pub name: String,
    pub columns: Vec<usize>,
    /// The table referred to.
    pub table: Oid,
    /// Places of the referenced columns, in the referenced table.
    pub references: Vec<usize>,
    /// The unique index over the referenced columns, in whatever order, that it relies on.
    pub index: Oid,
    pub match_full: bool,
    pub on_delete: KeyAction,
    pub on_update: KeyAction,
    /// What SET NULL and SET DEFAULT change on a deletion; nothing means all of `columns`.
    pub delete_sets: Vec<usize>,
    pub deferral: Deferral,
    /// The rows from before it was added are known to meet it.
    pub validated: bool,
}

/// What a foreign key does when the key it refers to goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Refuses, unless the key is there again when this is looked at.
    NoAction,
    /// Refuses.
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl KeyAction {
    const LETTERS: [(KeyAction, u8); 5] = [
        (KeyAction::NoAction, b'a'),
        (KeyAction::Restrict, b'r'),
        (KeyAction::Cascade, b'c'),
        (KeyAction::SetNull, b'n'),
        (KeyAction::SetDefault, b'd'),
    ];

    /// As `pg_constraint` has it.
    pub fn letter(self) -> u8 {
        let mut all = KeyAction::LETTERS.iter();
        all.find(|(action, _)| *action == self)
            .map_or(0, |(_, letter)| *letter)
    }

    pub(super) fn of_letter(letter: u8) -> Option<KeyAction> {
        let mut all = KeyAction::LETTERS.iter();
        all.find(|(_, known)| *known == letter)
            .map(|(action, _)| *action)
    }
}

/// All tables of a database at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Differs between any two catalogs with different contents.
    pub version: u64,
    pub schemas: Vec<(Oid, String)>,
    pub tables: BTreeMap<Oid, Arc<TableDef>>,
    pub sequences: BTreeMap<Oid, Arc<SequenceDef>>,
    /// Tables and sequences by schema and name.
    pub by_name: BTreeMap<(String, String), Oid>,
    /// The tables with foreign keys to a table, by (table referred to, table with the key).
    pub(crate) referrers: BTreeSet<(Oid, Oid)>,
}

impl Catalog {
    /// No tables, and the schemas that are always there.
    pub(super) fn new() -> Catalog {
        let schemas = [
            (11, "pg_catalog"),
            (2200, "public"),
            (13000, "information_schema"),
        ];
        let schemas = schemas
            .map(|(oid, name)| (Oid(oid), name.to_owned()))
            .to_vec();
        Catalog {
            version: next_version(),
            schemas,
            ..Catalog::default()
        }
    }

    /// This catalog with some objects added, replaced or dropped.
    pub(super) fn with(&self, changes: &[(Oid, Option<Object>)]) -> Catalog {
        let mut catalog = Catalog {
            version: next_version(),
            ..self.clone()
        };
        for (oid, object) in changes {
            catalog.set(*oid, object.clone());
        }
        catalog
    }

    pub(super) fn set(&mut self, oid: Oid, object: Option<Object>) {
        if let Some(old) = self.tables.remove(&oid) {
            self.by_name.remove(&old.full_name());
            for key in &old.foreign_keys {
                self.referrers.remove(&(key.table, oid));
            }
        }
        if let Some(old) = self.sequences.remove(&oid) {
            self.by_name.remove(&old.full_name());
        }
        match object {
            Some(Object::Table(new)) => {
                self.by_name.insert(new.full_name(), oid);
                let referrers = new.foreign_keys.iter().map(|key| (key.table, oid));
                self.referrers.extend(referrers);
                self.tables.insert(oid, new);
            }
            Some(Object::Sequence(new)) => {
                self.by_name.insert(new.full_name(), oid);
                self.sequences.insert(oid, new);
            }
            None => {}
        }
    }

    /// The foreign keys that refer to a table, each with the table it belongs to, in the order in
    /// which they were made.
    pub fn references_to(&self, table: Oid) -> Vec<(&Arc<TableDef>, &Arc<ForeignKeyDef>)> {
        let all = (table, Oid(0))..=(table, Oid(u32::MAX));
        let tables = self.referrers.range(all);
        let tables = tables.filter_map(|(_, referrer)| self.tables.get(referrer));
        let keys = tables.flat_map(|referrer| {
            let keys = referrer
                .foreign_keys
                .iter()
                .filter(|key| key.table == table);
            keys.map(move |key| (referrer, key))
        });
        let mut keys: Vec<_> = keys.collect();
        keys.sort_unstable_by_key(|(_, key)| key.oid);
        keys
    }

    /// The highest OID of any object.
    pub(super) fn last_oid(&self) -> Option<Oid> {
        let tables = self.tables.values().flat_map(|table| table.oids());
        tables.chain(self.sequences.keys().copied()).max()
    }

    /// The table of an index, and the index, by schema and name.
    pub fn index(&self, schema: &str, name: &str) -> Option<(&Arc<TableDef>, &Arc<IndexDef>)> {
        self.tables
            .values()
            .filter(|table| table.schema == schema)
            .find_map(|table| {
                table
                    .indexes
                    .iter()
                    .find(|index| index.name == name)
                    .map(|index| (table, index))
            })
    }

    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<TableDef>> {
        let oid = self.by_name.get(&(schema.to_owned(), name.to_owned()))?;
        self.tables.get(oid)
    }

    /// Whether a table, index or sequence has that name.
    pub fn is_relation(&self, schema: &str, name: &str) -> bool {
        let key = (schema.to_owned(), name.to_owned());
        self.by_name.contains_key(&key) || self.index(schema, name).is_some()
    }

    pub fn sequence(&self, schema: &str, name: &str) -> Option<&Arc<SequenceDef>> {
        let oid = self.by_name.get(&(schema.to_owned(), name.to_owned()))?;
        self.sequences.get(oid)
    }

    /// The sequences that go with a table.
    pub fn owned_sequences(&self, table: Oid) -> impl Iterator<Item = &Arc<SequenceDef>> {
        let sequences = self.sequences.values();
        sequences.filter(move |s| s.owner.is_some_and(|owner| owner.table == table))
    }

    /// The columns whose defaults use a sequence, by their tables and places.
    pub fn uses_of(&self, sequence: Oid) -> impl Iterator<Item = (&Arc<TableDef>, usize)> {
        let reference = SequenceDef::reference(sequence);
        self.tables.values().flat_map(move |table| {
            let uses = |column: &ColumnDef| {
                let default = column.default.as_ref();
                default.is_some_and(|text| text.contains(&reference))
            };
            let places = (0..table.columns.len()).filter(|place| uses(&table.columns[*place]));
            places.map(|place| (table, place)).collect::<Vec<_>>()
        })
    }

    /// The first table of that name along a search path.
    pub fn find(&self, search_path: &[String], name: &str) -> Option<&Arc<TableDef>> {
        search_path
            .iter()
            .find_map(|schema| self.table(schema, name))
    }
}

/// What the catalog has a row of.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Table(Arc<TableDef>),
    Sequence(Arc<SequenceDef>),
}

impl Object {
    pub(super) fn oid(&self) -> Oid {
        match self {
            Object::Table(table) => table.oid,
            Object::Sequence(sequence) => sequence.oid,
        }
    }
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: versions need only differ.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl IndexDef {
    /// Unique in the sense of SQL, at once or when checked.
    pub fn is_unique(&self) -> bool {
        self.unique || self.deferral.deferrable
    }
}

impl TableDef {
    fn full_name(&self) -> (String, String) {
        (self.schema.clone(), self.name.clone())
    }

    fn oids(&self) -> impl Iterator<Item = Oid> {
        let indexes = self.indexes.iter().map(|i| i.oid);
        let checks = self.checks.iter().map(|c| c.oid);
        let foreign_keys = self.foreign_keys.iter().map(|k| k.oid);
        [self.oid]
            .into_iter()
            .chain(indexes)
            .chain(checks)
            .chain(foreign_keys)
    }

    /// The place of a column that has not been dropped.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|c| !c.dropped && c.name == name)
    }

    pub fn primary_key(&self) -> Option<&Arc<IndexDef>> {
        self.indexes.iter().find(|i| i.primary)
    }
}
