//! Names of types, relations and collations.

use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{Name, Position, TypeName};
use crate::sql::bind::scope::dotted;
use crate::sql::ir::{BindContext, SystemRelation};
use crate::sql::system;
use crate::table::{Catalog, SequenceDef, TableDef};
use crate::types::{Type, typmod_in};

/// What a relation's name stands for.
pub(super) enum Relation<'a> {
    Table(&'a Arc<TableDef>),
    System(&'static SystemRelation),
    Sequence(&'a Arc<SequenceDef>),
    Index,
}

/// Types of PostgreSQL that are not there yet: refused by name rather than unknown.
const LATER: [&str; 24] = [
    "json",
    "jsonb",
    "uuid",
    "interval",
    "time",
    "timetz",
    "time without time zone",
    "time with time zone",
    "money",
    "bit",
    "varbit",
    "bit varying",
    "inet",
    "cidr",
    "macaddr",
    "point",
    "box",
    "xml",
    "tsvector",
    "tsquery",
    "int4range",
    "int8range",
    "xid",
    "pg_lsn",
];

/// The type and its modifier as `pg_attribute.atttypmod` (-1: none).
pub fn resolve_type(ty: &TypeName) -> Result<(Type, i32)> {
    let at = ty.name.parts.first().map_or(0, |p| p.position);
    let (base, implied) = match ty.name.parts.as_slice() {
        [name] => named_type(&name.name),
        [schema, name] if schema.name == "pg_catalog" => {
            (Type::all().find(|t| t.name() == name.name), None)
        }
        _ => (None, None),
    };
    let Some(base) = base.filter(|t| !is_pseudo(*t)) else {
        let name = dotted(&ty.name);
        let error = match LATER.contains(&name.trim_start_matches("pg_catalog.")) {
            true => Error::unsupported(format_args!("type {name} is")),
            false => Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            ),
        };
        return Err(error.at(at));
    };
    let modifiers: &[i64] = match (&implied, ty.modifiers.as_slice()) {
        (Some(length), []) => std::slice::from_ref(length),
        (_, given) => given,
    };
    let (base, typmod) = modified(base, modifiers, &dotted(&ty.name)).map_err(|e| e.at(at))?;
    if ty.array_dimensions == 0 {
        return Ok((base, typmod));
    }
    // PostgreSQL does not distinguish array types by their dimensions.
    match base.array() {
        Some(array) => Ok((array, typmod)),
        None => Err(Error::unsupported(format_args!("type {}[] is", base.sql_name())).at(at)),
    }
}

/// A type by its SQL or catalog name, and the length that the name implies.
fn named_type(name: &str) -> (Option<Type>, Option<i64>) {
    match name {
        "char" | "character" => (Some(Type::Bpchar), Some(1)),
        _ => (Type::from_name(name), None),
    }
}

fn is_pseudo(ty: Type) -> bool {
    matches!(ty, Type::AnyElement | Type::AnyArray | Type::Any)
}

fn modified(base: Type, modifiers: &[i64], name: &str) -> Result<(Type, i32)> {
    if modifiers.is_empty() {
        return Ok((base, -1));
    }
    if base == Type::Float8 && name == "float" {
        return float_of(modifiers[0]).map(|ty| (ty, -1));
    }
    let element = base.element().unwrap_or(base);
    if !matches!(
        element,
        Type::Varchar | Type::Bpchar | Type::Numeric | Type::Timestamp | Type::Timestamptz
    ) {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{name}\""),
        ));
    }
    Ok((base, typmod_in(element, modifiers)?))
}

/// `float(p)` is real up to 24 bits of precision.
fn float_of(precision: i64) -> Result<Type> {
    let wrong = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match precision {
        ..1 => wrong("precision for type float must be at least 1 bit"),
        1..=24 => Ok(Type::Float4),
        25..=53 => Ok(Type::Float8),
        54.. => wrong("precision for type float must be less than 54 bits"),
    }
}

/// The table of that name, for statements that change or describe it.
///
/// 42P01 when there is none, 3F000 when there is no such schema, 0A000 for another database,
/// 42809 for an index, 42501 for a system relation.
pub fn resolve_table<'a>(name: &Name, cx: &BindContext<'a>) -> Result<&'a Arc<TableDef>> {
    let shown = || dotted(name);
    match find_relation(name, cx)? {
        Some(Relation::Table(table)) => Ok(table),
        Some(relation) => Err(not_a_table(&relation, &shown())),
        None => {
            if let [.., schema, _] = name.parts.as_slice()
                && !schema_exists(cx.catalog, &schema.name)
            {
                return Err(Error::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{}\" does not exist", schema.name),
                ));
            }
            Err(no_relation(name))
        }
    }
}

/// What LOCK TABLE can lock under that name: a table, or a system relation.
pub fn resolve_lockable(name: &Name, cx: &BindContext<'_>) -> Result<Oid> {
    match find_relation(name, cx)? {
        Some(Relation::System(system)) => Ok(Oid(system.oid)),
        Some(Relation::Index) => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot lock relation \"{}\"", dotted(name)),
        )
        .with_detail("This operation is not supported for indexes.")),
        Some(Relation::Sequence(_)) => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot lock relation \"{}\"", dotted(name)),
        )
        .with_detail("This operation is not supported for sequences.")),
        _ => resolve_table(name, cx).map(|table| table.oid),
    }
}

fn not_a_table(relation: &Relation<'_>, name: &str) -> Error {
    match relation {
        Relation::System(system) => Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{}\" is a system catalog", system.name),
        ),
        Relation::Sequence(sequence) => Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a table", sequence.name),
        ),
        _ => is_an_index(name),
    }
}

/// The sequence of that name.
///
/// 42P01 when there is none, 42809 for a relation of another kind.
pub fn resolve_sequence<'a>(name: &Name, cx: &BindContext<'a>) -> Result<&'a Arc<SequenceDef>> {
    match find_relation(name, cx)? {
        Some(Relation::Sequence(sequence)) => Ok(sequence),
        Some(_) => {
            let last = name.parts.last().map_or("", |p| p.name.as_str());
            let message = format!("\"{last}\" is not a sequence");
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
        }
        None => Err(no_relation(name)),
    }
}

fn is_an_index(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is an index"),
    )
}

fn no_relation(name: &Name) -> Error {
    Error::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{}\" does not exist", dotted(name)),
    )
}

pub(super) fn schema_exists(catalog: &Catalog, schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
        || catalog.schemas.iter().any(|(_, name)| name == schema)
}

fn at(name: &Name) -> Position {
    name.parts.first().map_or(0, |p| p.position)
}

/// A relation to read from.
pub(super) fn relation<'a>(name: &Name, cx: &BindContext<'a>) -> Result<Relation<'a>> {
    match find_relation(name, cx).map_err(|e| e.at(at(name)))? {
        Some(Relation::Index) => {
            let last = name.parts.last().map_or("", |p| p.name.as_str());
            Err(is_an_index(last).at(at(name)))
        }
        Some(relation) => Ok(relation),
        None => Err(no_relation(name).at(at(name))),
    }
}

/// A table to write to.
pub(super) fn target<'a>(name: &Name, cx: &BindContext<'a>) -> Result<&'a Arc<TableDef>> {
    match relation(name, cx)? {
        Relation::Table(table) => Ok(table),
        Relation::Sequence(sequence) => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change sequence \"{}\"", sequence.name),
        )),
        other => Err(not_a_table(&other, &dotted(name))),
    }
}

fn find_relation<'a>(name: &Name, cx: &BindContext<'a>) -> Result<Option<Relation<'a>>> {
    match name.parts.as_slice() {
        [relation] => Ok(in_path(&relation.name, cx)),
        [schema, relation] => Ok(in_schema(&schema.name, &relation.name, cx.catalog)),
        [database, schema, relation] if database.name == cx.session.database => {
            Ok(in_schema(&schema.name, &relation.name, cx.catalog))
        }
        [_, _, _] => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cross-database references are not implemented: \"{}\"",
                dotted(name)
            ),
        )),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "improper qualified name (too many dotted names): {}",
                dotted(name)
            ),
        )),
    }
}

/// `pg_catalog` comes first unless the path names it.
fn in_path<'a>(name: &str, cx: &BindContext<'a>) -> Option<Relation<'a>> {
    let path = &cx.session.search_path;
    if !path.iter().any(|s| s == "pg_catalog")
        && let Some(found) = in_schema("pg_catalog", name, cx.catalog)
    {
        return Some(found);
    }
    path.iter()
        .find_map(|schema| in_schema(schema, name, cx.catalog))
}

fn in_schema<'a>(schema: &str, name: &str, catalog: &'a Catalog) -> Option<Relation<'a>> {
    if let Some(system) = system::relation(Some(schema), name) {
        return Some(Relation::System(system));
    }
    if let Some(table) = catalog.table(schema, name) {
        return Some(Relation::Table(table));
    }
    if let Some(sequence) = catalog.sequence(schema, name) {
        return Some(Relation::Sequence(sequence));
    }
    let is_it = |t: &Arc<TableDef>| t.schema == schema && t.indexes.iter().any(|i| i.name == name);
    catalog
        .tables
        .values()
        .any(is_it)
        .then_some(Relation::Index)
}

/// Text is compared by bytes, which is what these collations mean in every encoding we have.
pub(super) fn check_collation(name: &Name, position: Position) -> Result<()> {
    let known = match name.parts.as_slice() {
        [only] => Some(only),
        [schema, last] if schema.name == "pg_catalog" => Some(last),
        _ => None,
    };
    let known =
        known.is_some_and(|n| matches!(n.name.as_str(), "default" | "C" | "POSIX" | "ucs_basic"));
    if known {
        return Ok(());
    }
    Err(Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!(
            "collation \"{}\" for encoding \"UTF8\" does not exist",
            dotted(name)
        ),
    )
    .at(position))
}
