//! Relations by name and by OID, stored ones, indexes and system relations alike.

use crate::base::{Error, Result, SqlState};
use crate::sql::func::EvalContext;
use crate::sql::func::text::quote_ident;
use crate::sql::ir::SystemRelation;
use crate::sql::system;
use crate::table::{Catalog, IndexDef, SequenceDef, TableDef};

#[derive(Clone, Copy)]
pub enum Relation<'a> {
    Table(&'a TableDef),
    Index(&'a TableDef, &'a IndexDef),
    Sequence(&'a SequenceDef),
    System(&'static SystemRelation),
}

impl Relation<'_> {
    pub fn oid(&self) -> u32 {
        match self {
            Relation::Table(table) => table.oid.0,
            Relation::Index(_, index) => index.oid.0,
            Relation::Sequence(sequence) => sequence.oid.0,
            Relation::System(relation) => relation.oid,
        }
    }

    pub fn schema(&self) -> &str {
        match self {
            Relation::Table(table) | Relation::Index(table, _) => &table.schema,
            Relation::Sequence(sequence) => &sequence.schema,
            Relation::System(relation) => relation.schema,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Relation::Table(table) => &table.name,
            Relation::Index(_, index) => &index.name,
            Relation::Sequence(sequence) => &sequence.name,
            Relation::System(relation) => relation.name,
        }
    }
}

/// All relations of a database.
pub fn relations(catalog: &Catalog) -> impl Iterator<Item = Relation<'_>> {
    let tables = catalog.tables.values().flat_map(|table| {
        let indexes = table
            .indexes
            .iter()
            .map(|index| Relation::Index(table, index));
        std::iter::once(Relation::Table(table)).chain(indexes)
    });
    let sequences = catalog.sequences.values().map(|s| Relation::Sequence(s));
    let system = system::relations().map(Relation::System);
    system.chain(tables).chain(sequences)
}

pub fn by_oid(catalog: &Catalog, oid: u32) -> Option<Relation<'_>> {
    if let Some(table) = catalog.tables.get(&crate::base::Oid(oid)) {
        return Some(Relation::Table(table));
    }
    if let Some(sequence) = catalog.sequences.get(&crate::base::Oid(oid)) {
        return Some(Relation::Sequence(sequence));
    }
    relations(catalog).find(|r| r.oid() == oid)
}

pub fn by_name<'a>(catalog: &'a Catalog, schema: &str, name: &str) -> Option<Relation<'a>> {
    if let Some(table) = catalog.table(schema, name) {
        return Some(Relation::Table(table));
    }
    if let Some(sequence) = catalog.sequence(schema, name) {
        return Some(Relation::Sequence(sequence));
    }
    if schema == "pg_catalog" {
        return system::relation(Some(schema), name).map(Relation::System);
    }
    relations(catalog).find(|r| r.name() == name && r.schema() == schema)
}

/// The schemas searched for a name without one.
fn search_path<'a>(cx: &'a EvalContext<'_>) -> impl Iterator<Item = &'a str> {
    let path = &cx.session.search_path;
    let implicit = (!path.iter().any(|s| s == "pg_catalog")).then_some("pg_catalog");
    implicit.into_iter().chain(path.iter().map(String::as_str))
}

pub fn in_path<'a>(cx: &EvalContext<'a>, name: &str) -> Option<Relation<'a>> {
    search_path(cx).find_map(|schema| by_name(cx.catalog, schema, name))
}

/// Whether its name alone finds it.
pub fn is_visible(cx: &EvalContext<'_>, relation: &Relation<'_>) -> bool {
    in_path(cx, relation.name()).is_some_and(|found| found.oid() == relation.oid())
}

/// The name as SQL text, with its schema where it is needed.
pub fn shown(cx: &EvalContext<'_>, relation: &Relation<'_>) -> String {
    let name = quote_ident(relation.name());
    if is_visible(cx, relation) {
        name
    } else {
        format!("{}.{name}", quote_ident(relation.schema()))
    }
}

/// The relation that a name as written in SQL means.
pub fn resolve<'a>(cx: &EvalContext<'a>, written: &str) -> Result<Relation<'a>> {
    let missing = |name: &str| {
        Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
    };
    match parse(written)?.as_slice() {
        [name] => in_path(cx, name).ok_or_else(|| missing(name)),
        [schema, name] => {
            by_name(cx.catalog, schema, name).ok_or_else(|| missing(&format!("{schema}.{name}")))
        }
        [database, schema, name] if *database == cx.session.database => {
            by_name(cx.catalog, schema, name)
                .ok_or_else(|| missing(&format!("{database}.{schema}.{name}")))
        }
        [_, _, _] => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: \"{written}\""),
        )),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("improper relation name (too many dotted names): {written}"),
        )),
    }
}

/// The parts of a dotted name: quoted ones as they are, others in lower case.
pub fn parse(written: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = written.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted).ok_or_else(invalid)?,
            None => {
                let end = rest
                    .find(|c: char| c == '.' || c.is_whitespace())
                    .unwrap_or(rest.len());
                (rest[..end].to_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// What stands before the closing quote, and what follows it.
fn quoted_part(s: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = s;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, rest)),
        }
    }
}

/// OIDs of the schemas that every database has.
pub const PG_CATALOG_OID: u32 = 11;
pub const INFORMATION_SCHEMA_OID: u32 = 13207;

/// All schemas with their OIDs.
pub fn schemas(catalog: &Catalog) -> impl Iterator<Item = (u32, &str)> {
    let fixed = [
        (PG_CATALOG_OID, "pg_catalog"),
        (INFORMATION_SCHEMA_OID, "information_schema"),
    ];
    let stored = catalog
        .schemas
        .iter()
        .map(|(oid, name)| (oid.0, name.as_str()))
        .filter(move |(_, name)| fixed.iter().all(|(_, f)| f != name));
    fixed.into_iter().chain(stored)
}

pub fn schema_oid(catalog: &Catalog, name: &str) -> Option<u32> {
    schemas(catalog)
        .find(|(_, schema)| *schema == name)
        .map(|(oid, _)| oid)
}
