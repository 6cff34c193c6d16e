//! Advisory locks: locks on numbers that mean something to the clients. Each function takes one
//! bigint or two integers.

use crate::base::Result;
use crate::sql::func::backends::{backend, bool_datum};
use crate::sql::func::define::{function, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function};
use crate::txn::{Level, LockMode, LockTarget};
use crate::types::Datum;
use crate::types::Type::{Bool, Int4, Int8, Void};

/// Both forms of a function.
macro_rules! forms {
    ($name:literal, $returns:ident, $run:ident, $mode:ident $(, $level:ident)?) => {
        &[
            function(
                $name,
                &[Int8],
                $returns,
                Eval::F1(|cx, key| $run(cx, one(key)?, LockMode::$mode $(, Level::$level)?)),
            )
            .volatile(),
            function(
                $name,
                &[Int4, Int4],
                $returns,
                Eval::F2(|cx, a, b| $run(cx, two(a, b)?, LockMode::$mode $(, Level::$level)?)),
            )
            .volatile(),
        ]
    };
}

pub(super) static FUNCTIONS: &[&[Function]] = &[
    forms!("pg_advisory_lock", Void, lock, Exclusive, Session),
    forms!("pg_advisory_lock_shared", Void, lock, Share, Session),
    forms!("pg_advisory_xact_lock", Void, lock, Exclusive, Transaction),
    forms!(
        "pg_advisory_xact_lock_shared",
        Void,
        lock,
        Share,
        Transaction
    ),
    forms!("pg_try_advisory_lock", Bool, try_lock, Exclusive, Session),
    forms!(
        "pg_try_advisory_lock_shared",
        Bool,
        try_lock,
        Share,
        Session
    ),
    forms!(
        "pg_try_advisory_xact_lock",
        Bool,
        try_lock,
        Exclusive,
        Transaction
    ),
    forms!(
        "pg_try_advisory_xact_lock_shared",
        Bool,
        try_lock,
        Share,
        Transaction
    ),
    forms!("pg_advisory_unlock", Bool, unlock, Exclusive),
    forms!("pg_advisory_unlock_shared", Bool, unlock, Share),
    &[function(
        "pg_advisory_unlock_all",
        &[],
        Void,
        Eval::F0(|cx| {
            backend(cx)?.locks.unlock_all();
            Ok(Datum::text(""))
        }),
    )
    .volatile()],
];

fn one(key: &Datum) -> Result<LockTarget> {
    match key {
        Datum::Int8(key) => Ok(LockTarget::Advisory(*key)),
        _ => wrong_argument(),
    }
}

fn two(a: &Datum, b: &Datum) -> Result<LockTarget> {
    match (a, b) {
        (Datum::Int4(a), Datum::Int4(b)) => Ok(LockTarget::AdvisoryPair(*a, *b)),
        _ => wrong_argument(),
    }
}

fn lock(cx: &EvalContext<'_>, key: LockTarget, mode: LockMode, level: Level) -> Result<Datum> {
    backend(cx)?.locks.lock(key, mode, level)?;
    Ok(Datum::text(""))
}

fn try_lock(cx: &EvalContext<'_>, key: LockTarget, mode: LockMode, level: Level) -> Result<Datum> {
    bool_datum(backend(cx)?.locks.try_lock(key, mode, level))
}

fn unlock(cx: &EvalContext<'_>, key: LockTarget, mode: LockMode) -> Result<Datum> {
    let backend = backend(cx)?;
    let held = backend.locks.unlock(key, mode);
    if !held {
        backend.warn(format!("you don't own a lock of type {}", mode.name()));
    }
    bool_datum(held)
}
