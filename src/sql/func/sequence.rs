//! Sequences: their values are given to the session and never taken back.

use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::context::Backend;
use crate::sql::func::backends::backend;
use crate::sql::func::define::{eval, function, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function, Rows};
use crate::sql::system::names;
use crate::table::{Position, SequenceDef};
use crate::types::Datum;
use crate::types::Type::{AnyElement, Bool, Int8, Regclass};

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "nextval",
        &[Regclass],
        Int8,
        eval!(cx; |oid: Oid| {
            let def = sequence(cx, *oid)?;
            let backend = writing(cx, "nextval()")?;
            Ok(Datum::Int8(backend.sequences.next(def, &backend.locks)?))
        }),
    )
    .volatile(),
    function(
        "currval",
        &[Regclass],
        Int8,
        eval!(cx; |oid: Oid| {
            let def = sequence(cx, *oid)?;
            let backend = backend(cx)?;
            let value = backend.sequences.current(def, &backend.locks)?;
            let what = || format!("currval of sequence \"{}\"", def.name);
            value.map(Datum::Int8).ok_or_else(|| not_yet(&what()))
        }),
    )
    .volatile(),
    function("lastval", &[], Int8, Eval::F0(lastval)).volatile(),
    function(
        "setval",
        &[Regclass, Int8],
        Int8,
        eval!(cx; |oid: Oid, value: Int8| set(cx, *oid, *value, true)),
    )
    .volatile(),
    function(
        "setval",
        &[Regclass, Int8, Bool],
        Int8,
        eval!(cx; |oid: Oid, value: Int8, is_called: Bool| set(cx, *oid, *value, *is_called)),
    )
    .volatile(),
    function(
        "pg_sequence_last_value",
        &[Regclass],
        Int8,
        eval!(cx; |oid: Oid| last_value(cx, sequence(cx, *oid)?)),
    )
    .volatile(),
]];

/// The columns of a sequence that is read like a table.
pub static COLUMNS: [(&str, crate::types::Type); 3] =
    [("last_value", Int8), ("log_cnt", Int8), ("is_called", Bool)];

/// The row of [`COLUMNS`], for FROM.
pub static ROW: Function = function("sequence", &[Regclass], AnyElement, Eval::Set(row)).volatile();

fn row(cx: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let [Datum::Oid(oid)] = args else {
        return wrong_argument();
    };
    let backend = backend(cx)?;
    let (at, ahead) = backend
        .sequences
        .position(sequence(cx, *oid)?, &backend.locks)?;
    let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
    let row = vec![
        Datum::Int8(at.last),
        Datum::Int8(ahead),
        Datum::Bool(at.is_called),
    ];
    Ok(Box::new(std::iter::once(Ok(row))))
}

/// # Errors
/// 42809 for a relation of another kind, XX000 for none at all.
fn sequence<'a>(cx: &'a EvalContext<'_>, oid: u32) -> Result<&'a Arc<SequenceDef>> {
    if let Some(def) = cx.catalog.sequences.get(&Oid(oid)) {
        return Ok(def);
    }
    Err(match names::by_oid(cx.catalog, oid) {
        Some(other) => Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a sequence", other.name()),
        ),
        None => Error::new(
            SqlState::INTERNAL_ERROR,
            format!("could not open relation with OID {oid}"),
        ),
    })
}

fn writing<'a>(cx: &'a EvalContext<'_>, what: &str) -> Result<&'a Arc<Backend>> {
    let backend = backend(cx)?;
    match backend.is_read_only() {
        false => Ok(backend),
        true => Err(Error::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {what} in a read-only transaction"),
        )),
    }
}

#[cold]
fn not_yet(what: &str) -> Error {
    let message = format!("{what} is not yet defined in this session");
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

fn lastval(cx: &EvalContext<'_>) -> Result<Datum> {
    let last = backend(cx)?.sequences.last_used();
    let last = last.filter(|(oid, _)| cx.catalog.sequences.contains_key(oid));
    let value = last.map(|(_, value)| Datum::Int8(value));
    value.ok_or_else(|| not_yet("lastval"))
}

fn set(cx: &EvalContext<'_>, oid: u32, value: i64, is_called: bool) -> Result<Datum> {
    let def = sequence(cx, oid)?;
    let backend = writing(cx, "setval()")?;
    let at = Position {
        last: value,
        is_called,
    };
    backend.sequences.set(def, at, &backend.locks)?;
    Ok(Datum::Int8(value))
}

/// The value given last; NULL when there was none.
pub fn last_value(cx: &EvalContext<'_>, def: &Arc<SequenceDef>) -> Result<Datum> {
    let backend = backend(cx)?;
    let (at, _) = backend.sequences.position(def, &backend.locks)?;
    Ok(match at.is_called {
        true => Datum::Int8(at.last),
        false => Datum::Null,
    })
}
