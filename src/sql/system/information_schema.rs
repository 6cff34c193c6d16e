//! The information schema.

use crate::sql::func::EvalContext;
use crate::sql::ir::{BindContext, SystemRelation};
use crate::sql::plan::columns_of;
use crate::sql::prepared::checks;
use crate::table::{ColumnDef, Deferral, ForeignKeyDef, IndexDef, TableDef};
use crate::types::{Datum, Type, format_type};

use super::definitions::{action_words, default_text};
use super::names;
use super::sequences::identity_facts;
use super::values::{NULL, int4, text};
use super::{Rows, is_view};

pub(super) fn yes_or_no(x: bool) -> Datum {
    text(if x { "YES" } else { "NO" })
}

pub(super) fn schemata(cx: &EvalContext<'_>) -> Rows {
    names::schemas(cx.catalog)
        .map(|(_, name)| {
            vec![
                text(&cx.session.database),
                text(name),
                text(&cx.session.user),
                NULL,
                NULL,
                NULL,
                NULL,
            ]
        })
        .collect()
}

pub(super) fn tables(cx: &EvalContext<'_>) -> Rows {
    let row = |schema: &str, name: &str, view: bool, stored: bool| {
        vec![
            text(&cx.session.database),
            text(schema),
            text(name),
            text(if view { "VIEW" } else { "BASE TABLE" }),
            NULL, // self_referencing_column_name
            NULL, // reference_generation
            NULL, // user_defined_type_catalog
            NULL, // user_defined_type_schema
            NULL, // user_defined_type_name
            yes_or_no(stored),
            yes_or_no(false), // is_typed
            NULL,             // commit_action
        ]
    };
    let system = super::relations().map(|r| row(r.schema, r.name, is_view(r), false));
    let stored = cx
        .catalog
        .tables
        .values()
        .map(|t| row(&t.schema, &t.name, false, true));
    system.chain(stored).collect()
}

pub(super) fn columns(cx: &EvalContext<'_>) -> Rows {
    let system = super::relations().flat_map(|r| system_columns(cx, r));
    let stored = cx
        .catalog
        .tables
        .values()
        .flat_map(|t| table_columns(cx, t));
    system.chain(stored).collect()
}

fn system_columns(cx: &EvalContext<'_>, relation: &SystemRelation) -> Rows {
    let columns = relation.columns.iter().zip(1..);
    columns
        .map(|((name, ty), number)| {
            column_row(
                cx,
                Column {
                    schema: relation.schema,
                    table: relation.name,
                    name,
                    number,
                    ty: *ty,
                    typmod: -1,
                    not_null: false,
                    default: None,
                    identity: identity_facts(cx.catalog, None),
                    updatable: false,
                },
            )
        })
        .collect()
}

fn table_columns(cx: &EvalContext<'_>, table: &TableDef) -> Rows {
    let columns = table
        .columns
        .iter()
        .zip(1..)
        .filter(|(column, _)| !column.dropped);
    let of = |column: &ColumnDef, number| {
        column_row(
            cx,
            Column {
                schema: &table.schema,
                table: &table.name,
                name: &column.name,
                number,
                ty: column.ty,
                typmod: column.typmod,
                not_null: column.not_null,
                default: column.default.as_deref().map(|d| default_text(cx, d)),
                identity: identity_facts(cx.catalog, Some(column)),
                updatable: true,
            },
        )
    };
    columns.map(|(column, number)| of(column, number)).collect()
}

struct Column<'a> {
    schema: &'a str,
    table: &'a str,
    name: &'a str,
    number: i32,
    ty: Type,
    typmod: i32,
    not_null: bool,
    default: Option<String>,
    /// From `is_identity` on.
    identity: [Datum; 7],
    updatable: bool,
}

fn column_row(cx: &EvalContext<'_>, column: Column<'_>) -> Vec<Datum> {
    let database = &cx.session.database;
    let ty = column.ty;
    let data_type = match ty.element() {
        Some(_) => "ARRAY".to_owned(),
        None => format_type(ty, -1),
    };
    let (length, octets) = character_lengths(ty, column.typmod);
    let (precision, radix, scale) = numeric_facts(ty, column.typmod);
    let mut row = vec![
        text(database),
        text(column.schema),
        text(column.table),
        text(column.name),
        int4(column.number),
        column.default.map_or(NULL, text),
        yes_or_no(!column.not_null),
        text(data_type),
        length,
        octets,
        precision,
        radix,
        scale,
        datetime_precision(ty, column.typmod),
    ];
    // Intervals, character sets, collations and domains.
    row.extend(std::iter::repeat_n(NULL, 11));
    row.extend([
        text(database),
        text("pg_catalog"), // udt_schema
        text(ty.name()),
        NULL, // scope_catalog
        NULL, // scope_schema
        NULL, // scope_name
        NULL, // maximum_cardinality
        text(column.number.to_string()),
        yes_or_no(false), // is_self_referencing
    ]);
    row.extend(column.identity);
    row.extend([
        text("NEVER"), // is_generated
        NULL,          // generation_expression
        yes_or_no(column.updatable),
    ]);
    row
}

/// The bytes that a modifier counts beyond the length itself.
const TYPMOD_HEADER: i32 = 4;
/// What PostgreSQL says of strings without a limit.
const UNLIMITED_OCTETS: i32 = 1 << 30;
const UTF8_BYTES_MAX: i32 = 4;

/// Characters and bytes.
fn character_lengths(ty: Type, typmod: i32) -> (Datum, Datum) {
    match ty {
        Type::Varchar | Type::Bpchar if typmod >= TYPMOD_HEADER => {
            let length = typmod - TYPMOD_HEADER;
            (int4(length), int4(length.saturating_mul(UTF8_BYTES_MAX)))
        }
        Type::Varchar | Type::Bpchar | Type::Text => (NULL, int4(UNLIMITED_OCTETS)),
        _ => (NULL, NULL),
    }
}

/// Precision, radix and scale.
fn numeric_facts(ty: Type, typmod: i32) -> (Datum, Datum, Datum) {
    let binary = |bits| (int4(bits), int4(2), int4(0));
    match ty {
        Type::Int2 => binary(16),
        Type::Int4 => binary(32),
        Type::Int8 => binary(64),
        Type::Float4 => (int4(24), int4(2), NULL),
        Type::Float8 => (int4(53), int4(2), NULL),
        Type::Numeric if typmod >= TYPMOD_HEADER => {
            let digits = typmod - TYPMOD_HEADER;
            (int4(digits >> 16), int4(10), int4(digits & 0x7FF))
        }
        Type::Numeric => (NULL, int4(10), NULL),
        _ => (NULL, NULL, NULL),
    }
}

fn datetime_precision(ty: Type, typmod: i32) -> Datum {
    match ty {
        Type::Date => int4(0),
        Type::Timestamp | Type::Timestamptz => int4(if typmod < 0 { 6 } else { typmod }),
        _ => NULL,
    }
}

/// Name and kind of each constraint that SQL knows, NOT NULL ones included as PostgreSQL lists
/// them.
pub(super) fn table_constraints(cx: &EvalContext<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in cx.catalog.tables.values() {
        let mut add = |name: &str, kind: &str, deferral: Deferral| {
            rows.push(vec![
                text(&cx.session.database),
                text(&table.schema),
                text(name),
                text(&cx.session.database),
                text(&table.schema),
                text(&table.name),
                text(kind),
                yes_or_no(deferral.deferrable),
                yes_or_no(deferral.initially_deferred),
                yes_or_no(true), // enforced
                if kind == "UNIQUE" {
                    yes_or_no(true)
                } else {
                    NULL
                },
            ]);
        };
        let never = Deferral::default();
        for index in table.indexes.iter().filter(|index| index.constraint) {
            let kind = match index.primary {
                true => "PRIMARY KEY",
                false => "UNIQUE",
            };
            add(&index.name, kind, index.deferral);
        }
        for check in &table.checks {
            add(&check.name, "CHECK", never);
        }
        for key in &table.foreign_keys {
            add(&key.name, "FOREIGN KEY", key.deferral);
        }
        let schema = names::schema_oid(cx.catalog, &table.schema).unwrap_or(0);
        for (column, number) in table.columns.iter().zip(1..) {
            if column.not_null && !column.dropped {
                add(
                    &format!("{schema}_{}_{number}_not_null", table.oid),
                    "CHECK",
                    never,
                );
            }
        }
    }
    rows
}

pub(super) fn key_column_usage(cx: &EvalContext<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in cx.catalog.tables.values() {
        let mut add = |name: &str, column: usize, number: i32, referenced: Datum| {
            let column = table.columns.get(column).map_or("", |c| &c.name);
            rows.push(vec![
                text(&cx.session.database),
                text(&table.schema),
                text(name),
                text(&cx.session.database),
                text(&table.schema),
                text(&table.name),
                text(column),
                int4(number),
                referenced,
            ]);
        };
        for index in table.indexes.iter().filter(|index| index.constraint) {
            for (key, number) in index.columns.iter().zip(1..) {
                add(&index.name, key.column, number, NULL);
            }
        }
        for key in &table.foreign_keys {
            for (at, (column, number)) in key.columns.iter().zip(1..).enumerate() {
                add(&key.name, *column, number, position_in_key(cx, key, at));
            }
        }
    }
    rows
}

/// The place of the column referred to in the unique constraint of the other table.
fn position_in_key(cx: &EvalContext<'_>, key: &ForeignKeyDef, at: usize) -> Datum {
    let Some((_, index)) = unique_index(cx, key) else {
        return NULL;
    };
    let mut numbered = index.columns.iter().zip(1..);
    let place = numbered.find(|(c, _)| key.references.get(at) == Some(&c.column));
    place.map_or(NULL, |(_, number)| int4(number))
}

/// The index that a foreign key relies on, with its table.
fn unique_index<'a>(
    cx: &EvalContext<'a>,
    key: &ForeignKeyDef,
) -> Option<(&'a TableDef, &'a IndexDef)> {
    let table = cx.catalog.tables.get(&key.table)?;
    let index = table.indexes.iter().find(|index| index.oid == key.index)?;
    Some((table, index))
}

pub(super) fn referential_constraints(cx: &EvalContext<'_>) -> Rows {
    let keys = cx.catalog.tables.values().flat_map(|table| {
        let keys = table.foreign_keys.iter();
        keys.map(move |key| (table, key))
    });
    keys.map(|(table, key)| {
        // A unique index without a constraint has no name here.
        let unique = unique_index(cx, key).filter(|(_, index)| index.constraint);
        let of_unique = |name: fn(&TableDef, &IndexDef) -> Datum| {
            unique.map_or(NULL, |(table, index)| name(table, index))
        };
        let database = || text(&cx.session.database);
        vec![
            database(),
            text(&table.schema),
            text(&key.name),
            unique.map_or(NULL, |_| database()),
            of_unique(|table, _| text(&table.schema)),
            of_unique(|_, index| text(&index.name)),
            text(if key.match_full { "FULL" } else { "NONE" }),
            text(action_words(key.on_update)),
            text(action_words(key.on_delete)),
        ]
    })
    .collect()
}

/// Columns that constraints use; of foreign keys those referred to.
pub(super) fn constraint_column_usage(cx: &EvalContext<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in cx.catalog.tables.values() {
        let mut add = |name: &str, of: &TableDef, columns: &[usize]| {
            for column in columns {
                rows.push(vec![
                    text(&cx.session.database),
                    text(&of.schema),
                    text(&of.name),
                    text(&of.columns[*column].name),
                    text(&cx.session.database),
                    text(&table.schema),
                    text(name),
                ]);
            }
        };
        for index in table.indexes.iter().filter(|index| index.constraint) {
            let columns: Vec<usize> = index.columns.iter().map(|c| c.column).collect();
            add(&index.name, table, &columns);
        }
        for key in &table.foreign_keys {
            if let Some(referenced) = cx.catalog.tables.get(&key.table) {
                add(&key.name, referenced, &key.references);
            }
        }
        let bind_cx = BindContext {
            catalog: cx.catalog,
            session: cx.session,
            format: cx.format,
        };
        for check in checks(table, &bind_cx).unwrap_or_default() {
            add(&check.name, table, &columns_of(&check.condition));
        }
    }
    rows
}
