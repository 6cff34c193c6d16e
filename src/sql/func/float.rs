//! real and double precision.

use std::cell::Cell;
use std::cmp::Ordering;
use std::f64::consts::PI;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{comparisons, division_by_zero, eval, function, operator};
use crate::sql::func::{Eval, EvalContext, Function, Operator};
use crate::types::Datum;
use crate::types::Type::{Float4, Float8, Int4};

/// `+ - * /` of two types, computed in `$t`.
macro_rules! arithmetic {
    ($L:ident $R:ident => $T:ident($t:ty), $prefix:literal, $check:ident) => {
        &[
            operator!($L "+" $R => $T, concat!($prefix, "pl"), eval!(|a: $L, b: $R| {
                let (a, b) = (<$t>::from(*a), <$t>::from(*b));
                $check(a + b, a.is_infinite() || b.is_infinite(), true).map(Datum::$T)
            }); commutator "+"),
            operator!($L "-" $R => $T, concat!($prefix, "mi"), eval!(|a: $L, b: $R| {
                let (a, b) = (<$t>::from(*a), <$t>::from(*b));
                $check(a - b, a.is_infinite() || b.is_infinite(), true).map(Datum::$T)
            })),
            operator!($L "*" $R => $T, concat!($prefix, "mul"), eval!(|a: $L, b: $R| {
                let (a, b) = (<$t>::from(*a), <$t>::from(*b));
                $check(a * b, a.is_infinite() || b.is_infinite(), a == 0.0 || b == 0.0)
                    .map(Datum::$T)
            }); commutator "*"),
            operator!($L "/" $R => $T, concat!($prefix, "div"), eval!(|a: $L, b: $R| {
                let (a, b) = (<$t>::from(*a), <$t>::from(*b));
                if b == 0.0 && !a.is_nan() {
                    return division_by_zero();
                }
                $check(a / b, a.is_infinite(), a == 0.0 || b.is_infinite()).map(Datum::$T)
            })),
        ]
    };
}

macro_rules! prefix {
    ($T:ident, $prefix:literal) => {
        &[
            operator!("+" $T => $T, concat!($prefix, "up"), eval!(|a: $T| Ok(Datum::$T(*a)))),
            operator!("-" $T => $T, concat!($prefix, "um"), eval!(|a: $T| Ok(Datum::$T(-a)))),
            operator!("@" $T => $T, concat!($prefix, "abs"),
                eval!(|a: $T| Ok(Datum::$T(a.abs())))),
        ]
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Float4(Float4) Float4(Float4), "float4";
        |_, a, b| compare(f64::from(*a), f64::from(*b))),
    comparisons!(Float8(Float8) Float8(Float8), "float8"; |_, a, b| compare(*a, *b)),
    comparisons!(Float4(Float4) Float8(Float8), "float48"; |_, a, b| compare(f64::from(*a), *b)),
    comparisons!(Float8(Float8) Float4(Float4), "float84"; |_, a, b| compare(*a, f64::from(*b))),
    arithmetic!(Float4 Float4 => Float4(f32), "float4", checked4),
    arithmetic!(Float8 Float8 => Float8(f64), "float8", checked),
    arithmetic!(Float4 Float8 => Float8(f64), "float48", checked),
    arithmetic!(Float8 Float4 => Float8(f64), "float84", checked),
    prefix!(Float4, "float4"),
    prefix!(Float8, "float8"),
    &[
        operator!(Float8 "^" Float8 => Float8, "dpow", eval!(|a: Float8, b: Float8| power(*a, *b))),
        operator!("|/" Float8 => Float8, "dsqrt", eval!(|a: Float8| sqrt(*a))),
        operator!("||/" Float8 => Float8, "dcbrt", eval!(|a: Float8| Ok(Datum::Float8(a.cbrt())))),
    ],
];

/// A function of one double precision that cannot fail.
macro_rules! total {
    ($name:literal, $f:expr) => {
        function(
            $name,
            &[Float8],
            Float8,
            eval!(|a: Float8| {
                let f: fn(f64) -> f64 = $f;
                Ok(Datum::Float8(f(*a)))
            }),
        )
    };
}

/// A function of one double precision that gives a `Result`.
macro_rules! partial {
    ($name:literal, $f:expr) => {
        function(
            $name,
            &[Float8],
            Float8,
            eval!(|a: Float8| {
                let f: fn(f64) -> Result<Datum> = $f;
                f(*a)
            }),
        )
    };
}

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "abs",
        &[Float4],
        Float4,
        eval!(|a: Float4| Ok(Datum::Float4(a.abs()))),
    ),
    total!("abs", f64::abs),
    total!("round", f64::round_ties_even),
    total!("trunc", f64::trunc),
    total!("ceil", f64::ceil),
    total!("ceiling", f64::ceil),
    total!("floor", f64::floor),
    total!("sign", |x| if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }),
    total!("cbrt", f64::cbrt),
    total!("atan", f64::atan),
    total!("sinh", f64::sinh),
    total!("cosh", f64::cosh),
    total!("tanh", f64::tanh),
    partial!("sqrt", sqrt),
    partial!("exp", exp),
    partial!("ln", |x| log(x, f64::ln)),
    partial!("log", |x| log(x, f64::log10)),
    partial!("log10", |x| log(x, f64::log10)),
    partial!("sin", |x| finite(x, f64::sin)),
    partial!("cos", |x| finite(x, f64::cos)),
    partial!("tan", |x| finite(x, f64::tan)),
    partial!("cot", |x| finite(x, |x| 1.0 / x.tan())),
    partial!("asin", |x| unit(x, f64::asin)),
    partial!("acos", |x| unit(x, f64::acos)),
    partial!("degrees", |x| checked(
        x / (PI / 180.0),
        x.is_infinite(),
        x == 0.0
    )
    .map(Datum::Float8)),
    partial!("radians", |x| checked(
        x * (PI / 180.0),
        x.is_infinite(),
        x == 0.0
    )
    .map(Datum::Float8)),
    function(
        "atan2",
        &[Float8, Float8],
        Float8,
        eval!(|y: Float8, x: Float8| Ok(Datum::Float8(y.atan2(*x)))),
    ),
    function(
        "power",
        &[Float8, Float8],
        Float8,
        eval!(|a: Float8, b: Float8| power(*a, *b)),
    ),
    function(
        "pow",
        &[Float8, Float8],
        Float8,
        eval!(|a: Float8, b: Float8| power(*a, *b)),
    ),
    function("pi", &[], Float8, Eval::F0(|_| Ok(Datum::Float8(PI)))),
    function("random", &[], Float8, Eval::F0(random)).volatile(),
    function(
        "width_bucket",
        &[Float8, Float8, Float8, Int4],
        Int4,
        eval!(|x: Float8, low: Float8, high: Float8, count: Int4| {
            width_bucket(*x, *low, *high, *count)
        }),
    ),
]];

/// PostgreSQL's order: NaN equals itself and is above everything.
fn compare(a: f64, b: f64) -> Ordering {
    match a.partial_cmp(&b) {
        Some(order) => order,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

/// An infinite result must come from an infinite argument, a zero from an argument that allows it.
fn checked(result: f64, infinite: bool, zero: bool) -> Result<f64> {
    if result.is_infinite() && !infinite {
        return Err(range_error("overflow"));
    }
    if result == 0.0 && !zero {
        // A difference of equal numbers passes `zero: true`.
        return Err(range_error("underflow"));
    }
    Ok(result)
}

fn checked4(result: f32, infinite: bool, zero: bool) -> Result<f32> {
    if result.is_infinite() && !infinite {
        return Err(range_error("overflow"));
    }
    if result == 0.0 && !zero {
        return Err(range_error("underflow"));
    }
    Ok(result)
}

#[cold]
fn range_error(what: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range: {what}"),
    )
}

/// A double precision as a real.
#[expect(clippy::cast_possible_truncation, reason = "rounds, and is checked")]
pub(super) fn to_float4(x: f64) -> Result<f32> {
    checked4(x as f32, x.is_infinite(), x == 0.0)
}

/// The nearest integer, ties to even; `None` when it is no bigint.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn to_i64(x: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let x = x.round_ties_even();
    (-LIMIT..LIMIT).contains(&x).then_some(x as i64)
}

fn sqrt(x: f64) -> Result<Datum> {
    if x < 0.0 {
        return Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "cannot take square root of a negative number",
        ));
    }
    Ok(Datum::Float8(x.sqrt()))
}

fn power(a: f64, b: f64) -> Result<Datum> {
    let undefined = |what| {
        Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            what,
        ))
    };
    if a == 0.0 && b < 0.0 {
        return undefined("zero raised to a negative power is undefined");
    }
    if a < 0.0 && b.is_finite() && b.fract() != 0.0 {
        return undefined(
            "a negative number raised to a non-integer power yields a complex result",
        );
    }
    let infinite = a.is_infinite() || b.is_infinite();
    checked(a.powf(b), infinite, a == 0.0 || infinite).map(Datum::Float8)
}

fn exp(x: f64) -> Result<Datum> {
    checked(x.exp(), x.is_infinite(), x.is_infinite()).map(Datum::Float8)
}

fn log(x: f64, f: fn(f64) -> f64) -> Result<Datum> {
    let undefined = |what| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, what));
    if x == 0.0 {
        return undefined("cannot take logarithm of zero");
    }
    if x < 0.0 {
        return undefined("cannot take logarithm of a negative number");
    }
    Ok(Datum::Float8(f(x)))
}

fn input_out_of_range() -> Result<Datum> {
    Err(Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "input is out of range",
    ))
}

fn finite(x: f64, f: fn(f64) -> f64) -> Result<Datum> {
    if x.is_infinite() {
        return input_out_of_range();
    }
    Ok(Datum::Float8(f(x)))
}

/// For the inverse functions that take -1 to 1.
fn unit(x: f64, f: fn(f64) -> f64) -> Result<Datum> {
    if x.abs() > 1.0 {
        return input_out_of_range();
    }
    Ok(Datum::Float8(f(x)))
}

fn width_bucket(x: f64, low: f64, high: f64, count: i32) -> Result<Datum> {
    let wrong = |what| {
        Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET,
            what,
        ))
    };
    if count <= 0 {
        return wrong("count must be greater than zero");
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return wrong("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return wrong("lower and upper bounds must be finite");
    }
    if low == high {
        return wrong("lower bound cannot equal upper bound");
    }
    let (before, after) = if low < high {
        (x < low, x >= high)
    } else {
        (x > low, x <= high)
    };
    if before {
        return Ok(Datum::Int4(0));
    }
    if after {
        return match count.checked_add(1) {
            Some(n) => Ok(Datum::Int4(n)),
            None => super::define::out_of_range("integer"),
        };
    }
    // Halved, so that the widest ranges do not overflow.
    let share = (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    let bucket = (share * f64::from(count)).floor();
    let bucket = to_i64(bucket).and_then(|b| i32::try_from(b).ok());
    Ok(Datum::Int4(bucket.unwrap_or(count).min(count - 1) + 1))
}

thread_local! {
    static RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// SplitMix64 per thread, seeded by the system: 53 bits in [0, 1).
fn random(_: &EvalContext<'_>) -> Result<Datum> {
    let seed = match RANDOM.get() {
        Some(state) => state,
        None => getrandom::u64().map_err(|e| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                format!("could not get random numbers: {e}"),
            )
        })?,
    };
    let state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    RANDOM.set(Some(state));
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    Ok(Datum::Float8((z >> 11) as f64 / 9_007_199_254_740_992.0))
}
