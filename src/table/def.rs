//! What the catalog says of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Oid, TreeId};
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
    pub foreign_keys: Vec<ForeignKeyDef>,
    pub unlogged: bool,
    pub options: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct ColumnDef {
    pub name: String,
    pub ty: Type,
    pub typmod: i32,
    pub not_null: bool,
    /// The default as SQL text.
    pub default: Option<String>,
    pub dropped: bool,
    /// The value, as SQL text, of rows written before the column was added.
    pub missing: Option<String>,
}

#[derive(Clone, Debug)]
pub struct IndexDef {
    pub oid: Oid,
    pub name: String,
    pub tree: TreeId,
    /// Places of the key columns in the table.
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
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

/// A foreign key. Kept in the catalog and enforced.
#[derive(Clone, Debug)]
pub struct ForeignKeyDef {
    pub oid: Oid,
    pub name: String,
    pub columns: Vec<usize>,
    pub table: Oid,
    /// Places of the referenced columns, in the referenced table.
    pub references: Vec<usize>,
}

/// All tables of a database at one moment.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Differs between any two catalogs with different contents.
    pub version: u64,
    pub schemas: Vec<(Oid, String)>,
    pub tables: BTreeMap<Oid, Arc<TableDef>>,
    /// By schema and name.
    pub by_name: BTreeMap<(String, String), Oid>,
}

impl Catalog {
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<TableDef>> {
        let oid = self.by_name.get(&(schema.to_owned(), name.to_owned()))?;
        self.tables.get(oid)
    }

    /// The first table of that name along a search path.
    pub fn find(&self, search_path: &[String], name: &str) -> Option<&Arc<TableDef>> {
        search_path
            .iter()
            .find_map(|schema| self.table(schema, name))
    }
}

impl TableDef {
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
