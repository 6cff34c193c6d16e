//! What `pg_catalog` and the information schema say of sequences.

use std::sync::Arc;

use crate::sql::ddl::identity_table;
use crate::sql::func::EvalContext;
use crate::sql::func::sequence::last_value;
use crate::table::{Catalog, ColumnDef, SequenceDef};
use crate::types::{Datum, Type, format_type};

use super::Rows;
use super::information_schema::yes_or_no;
use super::values::{NULL, boolean, int4, oid, text};

pub(super) fn pg_sequence(cx: &EvalContext<'_>) -> Rows {
    let row = |sequence: &SequenceDef| {
        let params = &sequence.params;
        vec![
            oid(sequence.oid.0),
            oid(params.ty.oid().0),
            Datum::Int8(params.start),
            Datum::Int8(params.increment),
            Datum::Int8(params.max),
            Datum::Int8(params.min),
            Datum::Int8(params.cache.cast_signed()),
            boolean(params.cycle),
        ]
    };
    cx.catalog.sequences.values().map(|s| row(s)).collect()
}

pub(super) fn pg_sequences(cx: &EvalContext<'_>) -> Rows {
    let row = |sequence: &Arc<SequenceDef>| {
        let params = &sequence.params;
        vec![
            text(&sequence.schema),
            text(&sequence.name),
            text(&cx.session.user),
            oid(params.ty.oid().0),
            Datum::Int8(params.start),
            Datum::Int8(params.min),
            Datum::Int8(params.max),
            Datum::Int8(params.increment),
            boolean(params.cycle),
            Datum::Int8(params.cache.cast_signed()),
            // One that has just been dropped cannot be read.
            last_value(cx, sequence).unwrap_or(NULL),
        ]
    };
    cx.catalog.sequences.values().map(row).collect()
}

/// Without those of identity columns, which are a part of these.
pub(super) fn information_schema_sequences(cx: &EvalContext<'_>) -> Rows {
    let sequences = cx.catalog.sequences.values();
    let alone = sequences.filter(|s| identity_table(cx.catalog, s).is_none());
    let row = |sequence: &SequenceDef| {
        let params = &sequence.params;
        let bits = match params.ty {
            Type::Int2 => 16,
            Type::Int4 => 32,
            _ => 64,
        };
        vec![
            text(&cx.session.database),
            text(&sequence.schema),
            text(&sequence.name),
            text(format_type(params.ty, -1)),
            int4(bits),
            int4(2),
            int4(0),
            text(params.start.to_string()),
            text(params.min.to_string()),
            text(params.max.to_string()),
            text(params.increment.to_string()),
            yes_or_no(params.cycle),
        ]
    };
    alone.map(|s| row(s)).collect()
}

/// What `information_schema.columns` says of a column's identity, from `is_identity` on.
pub(super) fn identity_facts(catalog: &Catalog, column: Option<&ColumnDef>) -> [Datum; 7] {
    let identity = column.and_then(|column| column.identity);
    let sequence = identity.and_then(|i| catalog.sequences.get(&i.sequence));
    let (Some(identity), Some(sequence)) = (identity, sequence) else {
        return [
            yes_or_no(false),
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            yes_or_no(false),
        ];
    };
    let params = &sequence.params;
    [
        yes_or_no(true),
        text(if identity.always {
            "ALWAYS"
        } else {
            "BY DEFAULT"
        }),
        text(params.start.to_string()),
        text(params.increment.to_string()),
        text(params.max.to_string()),
        text(params.min.to_string()),
        yes_or_no(params.cycle),
    ]
}
