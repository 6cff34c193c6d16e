//! smallint, integer, bigint and oid.

use std::iter::successors;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{
    comparisons, division_by_zero, eval, function, operator, out_of_range, text, wrong_argument,
};
use crate::sql::func::{Eval, EvalContext, Function, Operator, Rows};
use crate::types::Datum;
use crate::types::Type::{Int2, Int4, Int8, Text};

/// `+ - * /` of two types.
macro_rules! arithmetic {
    ($L:ident $R:ident => $T:ident($t:ty), $prefix:literal, $what:literal) => {
        &[
            operator!($L "+" $R => $T, concat!($prefix, "pl"), eval!(|a: $L, b: $R| {
                match <$t>::from(*a).checked_add(<$t>::from(*b)) {
                    Some(x) => Ok(Datum::$T(x)),
                    None => out_of_range($what),
                }
            }); commutator "+"),
            operator!($L "-" $R => $T, concat!($prefix, "mi"), eval!(|a: $L, b: $R| {
                match <$t>::from(*a).checked_sub(<$t>::from(*b)) {
                    Some(x) => Ok(Datum::$T(x)),
                    None => out_of_range($what),
                }
            })),
            operator!($L "*" $R => $T, concat!($prefix, "mul"), eval!(|a: $L, b: $R| {
                match <$t>::from(*a).checked_mul(<$t>::from(*b)) {
                    Some(x) => Ok(Datum::$T(x)),
                    None => out_of_range($what),
                }
            }); commutator "*"),
            operator!($L "/" $R => $T, concat!($prefix, "div"), eval!(|a: $L, b: $R| {
                if *b == 0 {
                    return division_by_zero();
                }
                match <$t>::from(*a).checked_div(<$t>::from(*b)) {
                    Some(x) => Ok(Datum::$T(x)),
                    None => out_of_range($what),
                }
            })),
        ]
    };
}

/// Remainder, bits and prefix operators of one type.
macro_rules! single {
    ($T:ident, $prefix:literal, $what:literal) => {
        &[
            operator!($T "%" $T => $T, concat!($prefix, "mod"), eval!(|a: $T, b: $T| {
                if *b == 0 {
                    return division_by_zero();
                }
                Ok(Datum::$T(a.wrapping_rem(*b)))
            })),
            operator!($T "&" $T => $T, concat!($prefix, "and"),
                eval!(|a: $T, b: $T| Ok(Datum::$T(a & b))); commutator "&"),
            operator!($T "|" $T => $T, concat!($prefix, "or"),
                eval!(|a: $T, b: $T| Ok(Datum::$T(a | b))); commutator "|"),
            operator!($T "#" $T => $T, concat!($prefix, "xor"),
                eval!(|a: $T, b: $T| Ok(Datum::$T(a ^ b))); commutator "#"),
            operator!("~" $T => $T, concat!($prefix, "not"), eval!(|a: $T| Ok(Datum::$T(!a)))),
            operator!("+" $T => $T, concat!($prefix, "up"), eval!(|a: $T| Ok(Datum::$T(*a)))),
            operator!("-" $T => $T, concat!($prefix, "um"), eval!(|a: $T| match a.checked_neg() {
                Some(x) => Ok(Datum::$T(x)),
                None => out_of_range($what),
            })),
            operator!("@" $T => $T, concat!($prefix, "abs"), eval!(|a: $T| match a.checked_abs() {
                Some(x) => Ok(Datum::$T(x)),
                None => out_of_range($what),
            })),
        ]
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Int2(Int2) Int2(Int2), "int2"; |_, a, b| a.cmp(b)),
    comparisons!(Int4(Int4) Int4(Int4), "int4"; |_, a, b| a.cmp(b)),
    comparisons!(Int8(Int8) Int8(Int8), "int8"; |_, a, b| a.cmp(b)),
    comparisons!(Int2(Int2) Int4(Int4), "int24"; |_, a, b| i32::from(*a).cmp(b)),
    comparisons!(Int4(Int4) Int2(Int2), "int42"; |_, a, b| a.cmp(&i32::from(*b))),
    comparisons!(Int2(Int2) Int8(Int8), "int28"; |_, a, b| i64::from(*a).cmp(b)),
    comparisons!(Int8(Int8) Int2(Int2), "int82"; |_, a, b| a.cmp(&i64::from(*b))),
    comparisons!(Int4(Int4) Int8(Int8), "int48"; |_, a, b| i64::from(*a).cmp(b)),
    comparisons!(Int8(Int8) Int4(Int4), "int84"; |_, a, b| a.cmp(&i64::from(*b))),
    comparisons!(Oid(Oid) Oid(Oid), "oid"; |_, a, b| a.cmp(b)),
    arithmetic!(Int2 Int2 => Int2(i16), "int2", "smallint"),
    arithmetic!(Int4 Int4 => Int4(i32), "int4", "integer"),
    arithmetic!(Int8 Int8 => Int8(i64), "int8", "bigint"),
    arithmetic!(Int2 Int4 => Int4(i32), "int24", "integer"),
    arithmetic!(Int4 Int2 => Int4(i32), "int42", "integer"),
    arithmetic!(Int2 Int8 => Int8(i64), "int28", "bigint"),
    arithmetic!(Int8 Int2 => Int8(i64), "int82", "bigint"),
    arithmetic!(Int4 Int8 => Int8(i64), "int48", "bigint"),
    arithmetic!(Int8 Int4 => Int8(i64), "int84", "bigint"),
    single!(Int2, "int2", "smallint"),
    single!(Int4, "int4", "integer"),
    single!(Int8, "int8", "bigint"),
    // Shift counts wrap at the width of the machine operation, as they do in PostgreSQL.
    &[
        operator!(Int2 "<<" Int4 => Int2, "int2shl",
            eval!(|a: Int2, n: Int4| Ok(Datum::Int2(shifted_left(*a, *n))))),
        operator!(Int2 ">>" Int4 => Int2, "int2shr",
            eval!(|a: Int2, n: Int4| Ok(Datum::Int2(shifted_right(*a, *n))))),
        operator!(Int4 "<<" Int4 => Int4, "int4shl",
            eval!(|a: Int4, n: Int4| Ok(Datum::Int4(a.wrapping_shl(n.cast_unsigned()))))),
        operator!(Int4 ">>" Int4 => Int4, "int4shr",
            eval!(|a: Int4, n: Int4| Ok(Datum::Int4(a.wrapping_shr(n.cast_unsigned()))))),
        operator!(Int8 "<<" Int4 => Int8, "int8shl",
            eval!(|a: Int8, n: Int4| Ok(Datum::Int8(a.wrapping_shl(n.cast_unsigned()))))),
        operator!(Int8 ">>" Int4 => Int8, "int8shr",
            eval!(|a: Int8, n: Int4| Ok(Datum::Int8(a.wrapping_shr(n.cast_unsigned()))))),
    ],
];

/// `abs` and `mod` are the operators' code under another name.
macro_rules! named {
    ($T:ident, $what:literal) => {
        &[
            function(
                "abs",
                &[$T],
                $T,
                eval!(|a: $T| match a.checked_abs() {
                    Some(x) => Ok(Datum::$T(x)),
                    None => out_of_range($what),
                }),
            ),
            function(
                "mod",
                &[$T, $T],
                $T,
                eval!(|a: $T, b: $T| match *b {
                    0 => division_by_zero(),
                    b => Ok(Datum::$T(a.wrapping_rem(b))),
                }),
            ),
        ]
    };
}

pub(super) static FUNCTIONS: &[&[Function]] = &[
    named!(Int2, "smallint"),
    named!(Int4, "integer"),
    named!(Int8, "bigint"),
    &[
        function(
            "gcd",
            &[Int4, Int4],
            Int4,
            eval!(|a: Int4, b: Int4| {
                int4(gcd(
                    i64::from(*a).unsigned_abs(),
                    i64::from(*b).unsigned_abs(),
                ))
            }),
        ),
        function(
            "gcd",
            &[Int8, Int8],
            Int8,
            eval!(|a: Int8, b: Int8| int8(gcd(a.unsigned_abs(), b.unsigned_abs()).into())),
        ),
        function(
            "lcm",
            &[Int4, Int4],
            Int4,
            eval!(|a: Int4, b: Int4| {
                let lcm = lcm(i64::from(*a).unsigned_abs(), i64::from(*b).unsigned_abs());
                match u64::try_from(lcm) {
                    Ok(x) => int4(x),
                    Err(_) => out_of_range("integer"),
                }
            }),
        ),
        function(
            "lcm",
            &[Int8, Int8],
            Int8,
            eval!(|a: Int8, b: Int8| int8(lcm(a.unsigned_abs(), b.unsigned_abs()))),
        ),
        function(
            "to_hex",
            &[Int4],
            Text,
            eval!(|a: Int4| text(format!("{a:x}"))),
        ),
        function(
            "to_hex",
            &[Int8],
            Text,
            eval!(|a: Int8| text(format!("{a:x}"))),
        ),
        function("generate_series", &[Int4, Int4], Int4, Eval::Set(series4)),
        function(
            "generate_series",
            &[Int4, Int4, Int4],
            Int4,
            Eval::Set(series4),
        ),
        function("generate_series", &[Int8, Int8], Int8, Eval::Set(series8)),
        function(
            "generate_series",
            &[Int8, Int8, Int8],
            Int8,
            Eval::Set(series8),
        ),
    ],
];

fn int4(x: u64) -> Result<Datum> {
    match i32::try_from(x) {
        Ok(x) => Ok(Datum::Int4(x)),
        Err(_) => out_of_range("integer"),
    }
}

fn int8(x: u128) -> Result<Datum> {
    match i64::try_from(x) {
        Ok(x) => Ok(Datum::Int8(x)),
        Err(_) => out_of_range("bigint"),
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: u64, b: u64) -> u128 {
    if a == 0 || b == 0 {
        return 0;
    }
    u128::from(a / gcd(a, b)) * u128::from(b)
}

/// A smallint is shifted as an int and cut, as C does.
#[expect(clippy::cast_possible_truncation, reason = "cut on purpose")]
fn shifted_left(a: i16, n: i32) -> i16 {
    i32::from(a).wrapping_shl(n.cast_unsigned()) as i16
}

#[expect(clippy::cast_possible_truncation, reason = "cut on purpose")]
fn shifted_right(a: i16, n: i32) -> i16 {
    i32::from(a).wrapping_shr(n.cast_unsigned()) as i16
}

fn series4(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    match args {
        [Datum::Int4(a), Datum::Int4(b)] => series(i128::from(*a), i128::from(*b), 1, |x| {
            i32::try_from(x).map(Datum::Int4)
        }),
        [Datum::Int4(a), Datum::Int4(b), Datum::Int4(step)] => {
            series(i128::from(*a), i128::from(*b), i128::from(*step), |x| {
                i32::try_from(x).map(Datum::Int4)
            })
        }
        _ => wrong_argument(),
    }
}

fn series8(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    match args {
        [Datum::Int8(a), Datum::Int8(b)] => series(i128::from(*a), i128::from(*b), 1, |x| {
            i64::try_from(x).map(Datum::Int8)
        }),
        [Datum::Int8(a), Datum::Int8(b), Datum::Int8(step)] => {
            series(i128::from(*a), i128::from(*b), i128::from(*step), |x| {
                i64::try_from(x).map(Datum::Int8)
            })
        }
        _ => wrong_argument(),
    }
}

fn series<E>(
    start: i128,
    stop: i128,
    step: i128,
    datum: impl Fn(i128) -> Result<Datum, E> + Send + Sync + 'static,
) -> Result<Rows> {
    if step == 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "step size cannot equal zero",
        ));
    }
    let is_within = move |x: &i128| if step > 0 { *x <= stop } else { *x >= stop };
    let values = successors(Some(start), move |x| Some(x + step)).take_while(is_within);
    Ok(Box::new(values.map(move |x| match datum(x) {
        Ok(value) => Ok(vec![value]),
        Err(_) => wrong_argument(),
    })))
}
