//! pg_lsn: positions in the log, their distances, and how far this server's log is.

use crate::base::{Error, Lsn, Result, SqlState};
use crate::sql::func::define::{comparisons, eval, function, operator};
use crate::sql::func::numeric::datum;
use crate::sql::func::{Eval, EvalContext, Function, Operator};
use crate::types::Type::{Numeric as NUMERIC, PgLsn};
use crate::types::{Datum, Numeric};
use crate::wal::Log;

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(PgLsn(Lsn) PgLsn(Lsn), "pg_lsn_"; |_, a, b| a.cmp(b)),
    &[
        operator!(PgLsn "-" PgLsn => Numeric, "pg_lsn_mi",
            eval!(|a: Lsn, b: Lsn| distance(*a, *b))),
        operator!(PgLsn "+" Numeric => PgLsn, "pg_lsn_pli",
            eval!(|a: Lsn, n: Numeric| plus(*a, n)); commutator "+"),
        operator!(Numeric "+" PgLsn => PgLsn, "numeric_pl_pg_lsn",
            eval!(|n: Numeric, a: Lsn| plus(*a, n)); commutator "+"),
        operator!(PgLsn "-" Numeric => PgLsn, "pg_lsn_mii",
            eval!(|a: Lsn, n: Numeric| minus(*a, n))),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "pg_wal_lsn_diff",
        &[PgLsn, PgLsn],
        NUMERIC,
        eval!(|a: Lsn, b: Lsn| distance(*a, *b)),
    ),
    function(
        "pg_current_wal_insert_lsn",
        &[],
        PgLsn,
        Eval::F0(|cx| Ok(current(cx, Log::next_lsn))),
    )
    .volatile(),
    function(
        "pg_current_wal_lsn",
        &[],
        PgLsn,
        Eval::F0(|cx| Ok(current(cx, Log::written_lsn))),
    )
    .volatile(),
    function(
        "pg_current_wal_flush_lsn",
        &[],
        PgLsn,
        Eval::F0(|cx| Ok(current(cx, Log::durable_lsn))),
    )
    .volatile(),
]];

fn current(cx: &EvalContext<'_>, position: fn(&Log) -> Lsn) -> Datum {
    let log = cx.session.server.as_ref().map(|server| server.log());
    log.map_or(Datum::Null, |log| Datum::Lsn(position(log).0))
}

fn distance(a: u64, b: u64) -> Result<Datum> {
    Ok(datum(Numeric::from_i128(i128::from(a) - i128::from(b))))
}

fn plus(lsn: u64, bytes: &Numeric) -> Result<Datum> {
    if bytes.is_nan() {
        return cannot("add NaN to pg_lsn");
    }
    position(&Numeric::from_i128(lsn.into()).add(bytes)?)
}

fn minus(lsn: u64, bytes: &Numeric) -> Result<Datum> {
    if bytes.is_nan() {
        return cannot("subtract NaN from pg_lsn");
    }
    position(&Numeric::from_i128(lsn.into()).sub(bytes)?)
}

/// The nearest position, ties away from zero.
fn position(value: &Numeric) -> Result<Datum> {
    if !value.is_finite() {
        return cannot("convert infinity to pg_lsn");
    }
    match value.to_i128().map(u64::try_from) {
        Some(Ok(lsn)) => Ok(Datum::Lsn(lsn)),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "pg_lsn out of range",
        )),
    }
}

fn cannot<T>(what: &str) -> Result<T> {
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot {what}"),
    ))
}
