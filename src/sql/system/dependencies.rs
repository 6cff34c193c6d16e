//! pg_depend: which objects go with which. Types of tables, triggers and what every database has
//! do not appear.

use crate::sql::func::EvalContext;
use crate::table::{Catalog, ForeignKeyDef, TableDef};

use super::Rows;
use super::names::{self, Relation, schema_oid};
use super::relations::attrdefs;
use super::values::{attnum, int4, letter, oid};

/// An object: its catalog, its OID and, of a column, the number.
type Object = (u32, u32, i32);

const PG_ATTRDEF: u32 = 2604;
const PG_CLASS: u32 = 1259;
const PG_CONSTRAINT: u32 = 2606;
const PG_NAMESPACE: u32 = 2615;

/// The dependent is dropped only with `CASCADE`, together with what it is a part of, or instead of
/// it not at all.
const NORMAL: u8 = b'n';
const AUTO: u8 = b'a';
const INTERNAL: u8 = b'i';

pub(super) fn pg_depend(cx: &EvalContext<'_>) -> Rows {
    let mut found = Vec::new();
    for relation in names::relations(cx.catalog) {
        of_relation(cx.catalog, &relation, &mut found);
    }
    for (number, table, place, text) in attrdefs(cx.catalog) {
        let default = (PG_ATTRDEF, number, 0);
        found.push((default, column(table, place), AUTO));
        let sequences = cx.catalog.sequences.keys();
        let used = sequences.filter(|s| text.contains(&crate::table::SequenceDef::reference(**s)));
        found.extend(used.map(|s| (default, (PG_CLASS, s.0, 0), NORMAL)));
    }
    let row = |((class, object, sub), (ref_class, ref_object, ref_sub), kind)| {
        vec![
            oid(class),
            oid(object),
            int4(sub),
            oid(ref_class),
            oid(ref_object),
            int4(ref_sub),
            letter(kind),
        ]
    };
    found.into_iter().map(row).collect()
}

fn column(table: &TableDef, place: usize) -> Object {
    (PG_CLASS, table.oid.0, attnum(place).into())
}

fn of_relation(catalog: &Catalog, relation: &Relation<'_>, found: &mut Vec<(Object, Object, u8)>) {
    let this = (PG_CLASS, relation.oid(), 0);
    let schema = (
        PG_NAMESPACE,
        schema_oid(catalog, relation.schema()).unwrap_or(0),
        0,
    );
    match relation {
        Relation::System(_) => {}
        Relation::Index(table, index) => {
            let constraint = (PG_CONSTRAINT, index.oid.0, 0);
            let dependent = if index.constraint { constraint } else { this };
            let columns = index.columns.iter().map(|key| column(table, key.column));
            found.extend(columns.map(|column| (dependent, column, AUTO)));
            found.extend(index.constraint.then_some((this, constraint, INTERNAL)));
        }
        Relation::Sequence(sequence) => {
            found.push((this, schema, NORMAL));
            let owner = sequence.owner.and_then(|owner| {
                let table = catalog.tables.get(&owner.table)?;
                let identity = table.columns.get(owner.column)?.identity;
                let is_part = identity.is_some_and(|i| i.sequence == sequence.oid);
                let kind = if is_part { INTERNAL } else { AUTO };
                Some((this, column(table, owner.column), kind))
            });
            found.extend(owner);
        }
        Relation::Table(table) => {
            found.push((this, schema, NORMAL));
            // The columns of a CHECK are not told.
            let checks = table.checks.iter();
            found.extend(checks.map(|check| ((PG_CONSTRAINT, check.oid.0, 0), this, AUTO)));
            let keys = table.foreign_keys.iter();
            keys.for_each(|key| of_foreign_key(catalog, table, key, found));
        }
    }
}

fn of_foreign_key(
    catalog: &Catalog,
    table: &TableDef,
    key: &ForeignKeyDef,
    found: &mut Vec<(Object, Object, u8)>,
) {
    let this = (PG_CONSTRAINT, key.oid.0, 0);
    let own = key.columns.iter().map(|place| column(table, *place));
    found.extend(own.map(|column| (this, column, AUTO)));
    if let Some(other) = catalog.tables.get(&key.table) {
        let referenced = key.references.iter().map(|place| column(other, *place));
        found.extend(referenced.map(|column| (this, column, NORMAL)));
        let index = (PG_CLASS, key.index.0, 0);
        found.push((this, index, NORMAL));
    }
}
