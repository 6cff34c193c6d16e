//! What `pg_catalog` says of schemas, tables, their columns, indexes and constraints.

use crate::sql::func::{EvalContext, sequence};
use crate::sql::ir::SystemRelation;
use crate::table::{Catalog, ColumnDef, Deferral, ForeignKeyDef, IndexDef, TableDef};
use crate::types::{Datum, Type};

use super::builtins::{BTREE_OID, HEAP_OID, zeros};
use super::names::{self, Relation, schema_oid};
use super::roles::{FIRST_MULTIXACT, FROZEN_XID, ROLE_OID};
use super::values::{NULL, array, attnum, boolean, count2, int2, int4, letter, oid, text};
use super::{Rows, definitions, is_view, types};

pub(super) fn pg_namespace(cx: &EvalContext<'_>) -> Rows {
    names::schemas(cx.catalog)
        .map(|(number, name)| vec![oid(number), text(name), oid(ROLE_OID), NULL])
        .collect()
}

pub(super) fn pg_class(cx: &EvalContext<'_>) -> Rows {
    names::relations(cx.catalog)
        .map(|relation| class_row(cx.catalog, &relation))
        .collect()
}

/// What differs between kinds of relations.
struct Class {
    kind: u8,
    access: u32,
    columns: usize,
    checks: usize,
    indexed: bool,
    /// PostgreSQL enforces foreign keys and deferrable ones by triggers, and clients look at this before they ask for
    /// foreign keys.
    triggers: bool,
    unlogged: bool,
    options: Datum,
}

fn class(catalog: &Catalog, relation: &Relation<'_>) -> Class {
    match relation {
        Relation::Table(table) => Class {
            kind: b'r',
            access: HEAP_OID,
            columns: table.columns.len(),
            checks: table.checks.len(),
            indexed: !table.indexes.is_empty(),
            triggers: has_triggers(catalog, table),
            unlogged: table.unlogged,
            options: match table.options.as_slice() {
                [] => NULL,
                options => array(
                    options
                        .iter()
                        .map(|(name, value)| text(format!("{name}={value}"))),
                ),
            },
        },
        Relation::Index(table, index) => Class {
            kind: b'i',
            access: BTREE_OID,
            columns: index.columns.len(),
            checks: 0,
            indexed: false,
            triggers: false,
            unlogged: table.unlogged,
            options: NULL,
        },
        Relation::Sequence(_) => Class {
            kind: b'S',
            access: 0,
            columns: sequence::COLUMNS.len(),
            checks: 0,
            indexed: false,
            triggers: false,
            unlogged: false,
            options: NULL,
        },
        Relation::System(relation) => Class {
            kind: system_kind(relation),
            access: if is_view(relation) { 0 } else { HEAP_OID },
            columns: relation.columns.len(),
            checks: 0,
            indexed: false,
            triggers: false,
            unlogged: false,
            options: NULL,
        },
    }
}

fn system_kind(relation: &SystemRelation) -> u8 {
    if is_view(relation) { b'v' } else { b'r' }
}

/// Referencing or referenced.
fn has_triggers(catalog: &Catalog, table: &TableDef) -> bool {
    !table.foreign_keys.is_empty()
        || !catalog.references_to(table.oid).is_empty()
        || table.indexes.iter().any(|i| i.deferral.deferrable)
}

fn class_row(catalog: &Catalog, relation: &Relation<'_>) -> Vec<Datum> {
    let class = class(catalog, relation);
    let number = relation.oid();
    vec![
        oid(number),
        text(relation.name()),
        oid(schema_oid(catalog, relation.schema()).unwrap_or(0)),
        oid(0), // reltype
        oid(0), // reloftype
        oid(ROLE_OID),
        oid(class.access),
        oid(if class.kind == b'v' { 0 } else { number }),
        oid(0),              // reltablespace: the database's
        int4(0),             // relpages
        Datum::Float4(-1.0), // reltuples: unknown
        int4(0),             // relallvisible
        oid(0),              // reltoastrelid
        boolean(class.indexed),
        boolean(false), // relisshared
        letter(if class.unlogged { b'u' } else { b'p' }),
        letter(class.kind),
        count2(class.columns),
        count2(class.checks),
        boolean(class.kind == b'v'), // relhasrules
        boolean(class.triggers),
        boolean(false), // relhassubclass
        boolean(false), // relrowsecurity
        boolean(false), // relforcerowsecurity
        boolean(true),  // relispopulated
        letter(if class.kind == b'r' { b'd' } else { b'n' }),
        boolean(false), // relispartition
        oid(0),         // relrewrite
        oid(if class.kind == b'r' { FROZEN_XID } else { 0 }),
        oid(if class.kind == b'r' {
            FIRST_MULTIXACT
        } else {
            0
        }),
        NULL, // relacl
        class.options,
        NULL, // relpartbound
    ]
}

pub(super) fn pg_attribute(cx: &EvalContext<'_>) -> Rows {
    let mut rows = Vec::new();
    for relation in names::relations(cx.catalog) {
        let number = relation.oid();
        match relation {
            Relation::Table(table) => {
                let columns = table.columns.iter().enumerate();
                rows.extend(columns.map(|(place, column)| {
                    attribute_row(&Attribute::of_column(number, place, column))
                }));
            }
            Relation::Index(table, index) => {
                let columns = index.columns.iter().enumerate();
                rows.extend(columns.filter_map(|(place, key)| {
                    let column = table.columns.get(key.column)?;
                    Some(attribute_row(&Attribute {
                        not_null: false,
                        default: false,
                        missing: None,
                        identity: 0,
                        ..Attribute::of_column(number, place, column)
                    }))
                }));
            }
            Relation::Sequence(_) => {
                let columns = sequence::COLUMNS.iter().enumerate();
                rows.extend(columns.map(|(place, column)| {
                    attribute_row(&Attribute {
                        not_null: true,
                        ..Attribute::fixed(number, place, column)
                    })
                }));
            }
            Relation::System(system) => {
                let columns = system.columns.iter().enumerate();
                rows.extend(columns.map(|(place, column)| {
                    attribute_row(&Attribute::fixed(number, place, column))
                }));
            }
        }
    }
    rows
}

struct Attribute<'a> {
    relation: u32,
    name: &'a str,
    place: usize,
    ty: Type,
    typmod: i32,
    not_null: bool,
    default: bool,
    missing: Option<&'a str>,
    /// `a` for GENERATED ALWAYS AS IDENTITY, `d` for BY DEFAULT, 0 for neither.
    identity: u8,
    dropped: bool,
}

impl<'a> Attribute<'a> {
    fn of_column(relation: u32, place: usize, column: &'a ColumnDef) -> Attribute<'a> {
        Attribute {
            relation,
            name: &column.name,
            place,
            ty: column.ty,
            typmod: column.typmod,
            not_null: column.not_null,
            default: column.default.is_some(),
            missing: column.missing.as_deref(),
            identity: match column.identity {
                Some(identity) if identity.always => b'a',
                Some(_) => b'd',
                None => 0,
            },
            dropped: column.dropped,
        }
    }

    fn fixed(relation: u32, place: usize, (name, ty): &(&'a str, Type)) -> Attribute<'a> {
        Attribute {
            relation,
            name,
            place,
            ty: *ty,
            typmod: -1,
            not_null: false,
            default: false,
            missing: None,
            identity: 0,
            dropped: false,
        }
    }
}

fn attribute_row(attribute: &Attribute<'_>) -> Vec<Datum> {
    let ty = attribute.ty;
    let (by_value, align, storage, collation) = types::physical(ty);
    let name = match attribute.dropped {
        true => format!("........pg.dropped.{}........", attribute.place + 1),
        false => attribute.name.to_owned(),
    };
    vec![
        oid(attribute.relation),
        text(name),
        oid(if attribute.dropped { 0 } else { ty.oid().0 }),
        int4(-1), // attstattarget
        int2(ty.len()),
        int2(attnum(attribute.place)),
        int4(i32::from(ty.element().is_some())), // attndims
        int4(-1),                                // attcacheoff
        int4(attribute.typmod),
        boolean(by_value),
        letter(align),
        letter(storage),
        letter(0), // attcompression: the default
        boolean(attribute.not_null),
        boolean(attribute.default),
        boolean(attribute.missing.is_some()),
        letter(attribute.identity),
        letter(0), // attgenerated
        boolean(attribute.dropped),
        boolean(true), // attislocal
        int4(0),       // attinhcount
        oid(collation),
        NULL, // attacl
        NULL, // attoptions
        NULL, // attfdwoptions
        attribute.missing.map_or(NULL, |value| array([text(value)])),
    ]
}

pub(super) fn pg_attrdef(cx: &EvalContext<'_>) -> Rows {
    let row = |(number, table, place, default): (u32, &TableDef, usize, &str)| {
        vec![
            oid(number),
            oid(table.oid.0),
            int2(attnum(place)),
            text(default),
        ]
    };
    attrdefs(cx.catalog).map(row).collect()
}

/// Defaults with their OIDs, tables and columns. Only `pg_depend` refers to the OIDs: they count
/// the rows.
pub(super) fn attrdefs(catalog: &Catalog) -> impl Iterator<Item = (u32, &TableDef, usize, &str)> {
    let columns = catalog.tables.values().flat_map(|table| {
        let columns = table.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        columns.filter_map(|(place, c)| Some((&**table, place, c.default.as_deref()?)))
    });
    let numbered = columns.zip(1..);
    numbered.map(|((table, place, default), number)| (number, table, place, default))
}

/// Indexes with their tables.
fn indexes(catalog: &Catalog) -> impl Iterator<Item = (&TableDef, &IndexDef)> {
    let tables = catalog.tables.values();
    tables.flat_map(|table| table.indexes.iter().map(|index| (&**table, &**index)))
}

pub(super) fn pg_index(cx: &EvalContext<'_>) -> Rows {
    indexes(cx.catalog)
        .map(|(table, index)| index_row(table, index))
        .collect()
}

fn index_row(table: &TableDef, index: &IndexDef) -> Vec<Datum> {
    let columns = &index.columns;
    let collations = columns.iter().map(|key| {
        let ty = table.columns.get(key.column).map(|column| column.ty);
        oid(ty.map_or(0, |ty| types::physical(ty).3))
    });
    let options = columns
        .iter()
        .map(|key| int2(i16::from(key.descending) | i16::from(key.nulls_first) << 1));
    vec![
        oid(index.oid.0),
        oid(table.oid.0),
        count2(columns.len()),
        count2(columns.len()),
        boolean(index.is_unique()),
        boolean(false), // indnullsnotdistinct
        boolean(index.primary),
        boolean(false), // indisexclusion
        boolean(!index.deferral.deferrable),
        boolean(false), // indisclustered
        boolean(true),  // indisvalid
        boolean(false), // indcheckxmin
        boolean(true),  // indisready
        boolean(true),  // indislive
        boolean(false), // indisreplident
        array(columns.iter().map(|key| int2(attnum(key.column)))),
        array(collations),
        zeros(columns.len()),
        array(options),
        NULL, // indexprs
        NULL, // indpred
    ]
}

/// A constraint backed by an index has the index's OID.
pub(super) fn pg_constraint(cx: &EvalContext<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in cx.catalog.tables.values() {
        let schema = schema_oid(cx.catalog, &table.schema).unwrap_or(0);
        let base = Constraint {
            oid: 0,
            name: "",
            schema,
            kind: b'c',
            table: table.oid.0,
            index: 0,
            columns: Vec::new(),
            deferral: Deferral::default(),
            references: None,
            expr: None,
        };
        rows.extend(table.indexes.iter().filter(|i| i.constraint).map(|index| {
            constraint_row(Constraint {
                oid: index.oid.0,
                name: &index.name,
                kind: if index.primary { b'p' } else { b'u' },
                index: index.oid.0,
                columns: index.columns.iter().map(|key| key.column).collect(),
                deferral: index.deferral,
                ..base
            })
        }));
        rows.extend(table.checks.iter().map(|check| {
            constraint_row(Constraint {
                oid: check.oid.0,
                name: &check.name,
                expr: Some(&check.expr),
                columns: Vec::new(),
                ..base
            })
        }));
        rows.extend(table.foreign_keys.iter().map(|key| {
            constraint_row(Constraint {
                oid: key.oid.0,
                name: &key.name,
                kind: b'f',
                index: key.index.0,
                columns: key.columns.clone(),
                deferral: key.deferral,
                references: Some(key),
                ..base
            })
        }));
    }
    rows
}

struct Constraint<'a> {
    oid: u32,
    name: &'a str,
    schema: u32,
    kind: u8,
    table: u32,
    index: u32,
    columns: Vec<usize>,
    deferral: Deferral,
    references: Option<&'a ForeignKeyDef>,
    expr: Option<&'a str>,
}

fn constraint_row(constraint: Constraint<'_>) -> Vec<Datum> {
    let places = |places: &[usize]| array(places.iter().map(|place| int2(attnum(*place))));
    let key = constraint.references;
    let foreign = |code: fn(&ForeignKeyDef) -> u8| letter(key.map_or(b' ', code));
    let delete_sets = key.map(|key| &key.delete_sets);
    vec![
        oid(constraint.oid),
        text(constraint.name),
        oid(constraint.schema),
        letter(constraint.kind),
        boolean(constraint.deferral.deferrable),
        boolean(constraint.deferral.initially_deferred),
        boolean(key.is_none_or(|key| key.validated)),
        oid(constraint.table),
        oid(0), // contypid
        oid(constraint.index),
        oid(0), // conparentid
        oid(key.map_or(0, |key| key.table.0)),
        foreign(|key| key.on_update.letter()),
        foreign(|key| key.on_delete.letter()),
        foreign(|key| if key.match_full { b'f' } else { b's' }),
        boolean(true),                    // conislocal
        int4(0),                          // coninhcount
        boolean(constraint.kind != b'c'), // connoinherit
        if constraint.columns.is_empty() {
            NULL
        } else {
            places(&constraint.columns)
        },
        key.map_or(NULL, |key| places(&key.references)),
        NULL, // conpfeqop
        NULL, // conppeqop
        NULL, // conffeqop
        delete_sets
            .filter(|sets| !sets.is_empty())
            .map_or(NULL, |sets| places(sets)),
        NULL, // conexclop
        constraint.expr.map_or(NULL, text),
    ]
}

pub(super) fn pg_tables(cx: &EvalContext<'_>) -> Rows {
    let relations = names::relations(cx.catalog);
    relations
        .filter(|relation| class(cx.catalog, relation).kind == b'r')
        .map(|relation| {
            let class = class(cx.catalog, &relation);
            vec![
                text(relation.schema()),
                text(relation.name()),
                text(&cx.session.user),
                NULL, // tablespace: the database's
                boolean(class.indexed),
                boolean(false), // hasrules
                boolean(class.triggers),
                boolean(false), // rowsecurity
            ]
        })
        .collect()
}

/// The system views; their definitions are not SQL.
pub(super) fn pg_views(cx: &EvalContext<'_>) -> Rows {
    let views = super::relations().filter(|relation| is_view(relation));
    views
        .map(|view| {
            vec![
                text(view.schema),
                text(view.name),
                text(&cx.session.user),
                NULL,
            ]
        })
        .collect()
}

pub(super) fn pg_indexes(cx: &EvalContext<'_>) -> Rows {
    indexes(cx.catalog)
        .map(|(table, index)| {
            vec![
                text(&table.schema),
                text(&table.name),
                text(&index.name),
                NULL, // tablespace
                text(definitions::create_index(cx, table, index, false)),
            ]
        })
        .collect()
}
