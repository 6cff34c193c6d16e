//! numeric.

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{comparisons, eval, function, operator, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function, Operator, Rows};
use crate::types::Type::{Int4, Int8, Numeric as NUMERIC};
use crate::types::{Datum, Numeric};

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Numeric(Numeric) Numeric(Numeric), "numeric_"; |_, a, b| a.cmp(b)),
    &[
        operator!(Numeric "+" Numeric => Numeric, "numeric_add",
            eval!(|a: Numeric, b: Numeric| a.add(b).map(datum)); commutator "+"),
        operator!(Numeric "-" Numeric => Numeric, "numeric_sub",
            eval!(|a: Numeric, b: Numeric| a.sub(b).map(datum))),
        operator!(Numeric "*" Numeric => Numeric, "numeric_mul",
            eval!(|a: Numeric, b: Numeric| a.mul(b).map(datum)); commutator "*"),
        operator!(Numeric "/" Numeric => Numeric, "numeric_div",
            eval!(|a: Numeric, b: Numeric| a.div(b).map(datum))),
        operator!(Numeric "%" Numeric => Numeric, "numeric_mod",
            eval!(|a: Numeric, b: Numeric| a.rem(b).map(datum))),
        operator!(Numeric "^" Numeric => Numeric, "numeric_power",
            eval!(|a: Numeric, b: Numeric| a.power(b).map(datum))),
        operator!("+" Numeric => Numeric, "numeric_uplus",
            eval!(|a: Numeric| Ok(Datum::Numeric(a.clone())))),
        operator!("-" Numeric => Numeric, "numeric_uminus", eval!(|a: Numeric| Ok(datum(a.neg())))),
        operator!("@" Numeric => Numeric, "numeric_abs", eval!(|a: Numeric| Ok(datum(a.abs())))),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "abs",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.abs()))),
    ),
    function(
        "sign",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.sign()))),
    ),
    function(
        "ceil",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.ceil()))),
    ),
    function(
        "ceiling",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.ceil()))),
    ),
    function(
        "floor",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.floor()))),
    ),
    function(
        "round",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.round(0).map(datum)),
    ),
    function(
        "round",
        &[NUMERIC, Int4],
        NUMERIC,
        eval!(|a: Numeric, n: Int4| a.round(*n).map(datum)),
    ),
    function(
        "trunc",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.trunc(0).map(datum)),
    ),
    function(
        "trunc",
        &[NUMERIC, Int4],
        NUMERIC,
        eval!(|a: Numeric, n: Int4| a.trunc(*n).map(datum)),
    ),
    function(
        "mod",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| a.rem(b).map(datum)),
    ),
    function(
        "div",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| a.div_trunc(b).map(datum)),
    ),
    function(
        "sqrt",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.sqrt().map(datum)),
    ),
    function(
        "exp",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.exp().map(datum)),
    ),
    function(
        "ln",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.ln().map(datum)),
    ),
    function(
        "log",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.log10().map(datum)),
    ),
    function(
        "log10",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| a.log10().map(datum)),
    ),
    function(
        "log",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|base: Numeric, a: Numeric| base.log(a).map(datum)),
    ),
    function(
        "power",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| a.power(b).map(datum)),
    ),
    function(
        "pow",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| a.power(b).map(datum)),
    ),
    function(
        "gcd",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| gcd(a, b).map(datum)),
    ),
    function(
        "lcm",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        eval!(|a: Numeric, b: Numeric| lcm(a, b).map(datum)),
    ),
    function(
        "factorial",
        &[Int8],
        NUMERIC,
        eval!(|n: Int8| factorial(*n)),
    ),
    function("scale", &[NUMERIC], Int4, eval!(|a: Numeric| Ok(scale(a)))),
    function(
        "min_scale",
        &[NUMERIC],
        Int4,
        eval!(|a: Numeric| Ok(scale(&a.trim_scale()))),
    ),
    function(
        "trim_scale",
        &[NUMERIC],
        NUMERIC,
        eval!(|a: Numeric| Ok(datum(a.trim_scale()))),
    ),
    function(
        "width_bucket",
        &[NUMERIC, NUMERIC, NUMERIC, Int4],
        Int4,
        eval!(|x: Numeric, low: Numeric, high: Numeric, n: Int4| width_bucket(x, low, high, *n)),
    ),
    function(
        "generate_series",
        &[NUMERIC, NUMERIC],
        NUMERIC,
        Eval::Set(series),
    ),
    function(
        "generate_series",
        &[NUMERIC, NUMERIC, NUMERIC],
        NUMERIC,
        Eval::Set(series),
    ),
]];

pub(super) fn datum(x: Numeric) -> Datum {
    Datum::Numeric(Box::new(x))
}

fn scale(x: &Numeric) -> Datum {
    x.scale().map_or(Datum::Null, Datum::Int4)
}

/// The greater of the display scales, which results of gcd and lcm have.
fn common_scale(a: &Numeric, b: &Numeric) -> i32 {
    a.scale().max(b.scale()).unwrap_or(0)
}

fn gcd(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NaN);
    }
    let zero = Numeric::zero();
    let (mut x, mut y) = (a.abs(), b.abs());
    while y != zero {
        let rest = x.rem(&y)?;
        (x, y) = (y, rest);
    }
    x.round(common_scale(a, b))
}

fn lcm(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NaN);
    }
    let zero = Numeric::zero();
    if *a == zero || *b == zero {
        return zero.round(common_scale(a, b));
    }
    a.div_trunc(&gcd(a, b)?)?
        .mul(b)?
        .abs()
        .round(common_scale(a, b))
}

/// Beyond this the result has more digits than a numeric can hold.
const FACTORIAL_MAX: i64 = 32177;

fn factorial(n: i64) -> Result<Datum> {
    let out_of_range = |what| Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, what));
    if n < 0 {
        return out_of_range("factorial of a negative number is undefined");
    }
    if n > FACTORIAL_MAX {
        return out_of_range("value overflows numeric format");
    }
    let mut product = Numeric::from_i64(1);
    for factor in 2..=n {
        product = product.mul(&Numeric::from_i64(factor))?;
    }
    Ok(datum(product))
}

fn width_bucket(x: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<Datum> {
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
    if !low.is_finite() || !high.is_finite() {
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
    let bucket = if after {
        i64::from(count) + 1
    } else {
        let share = x.sub(low)?.mul(&Numeric::from_i64(i64::from(count)))?;
        share.div_trunc(&high.sub(low)?)?.to_i64().unwrap_or(0) + 1
    };
    match i32::try_from(bucket) {
        Ok(bucket) => Ok(Datum::Int4(bucket)),
        Err(_) => super::define::out_of_range("integer"),
    }
}

fn series(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let one = Numeric::from_i64(1);
    let (start, stop, step) = match args {
        [Datum::Numeric(start), Datum::Numeric(stop)] => (&**start, &**stop, &one),
        [
            Datum::Numeric(start),
            Datum::Numeric(stop),
            Datum::Numeric(step),
        ] => (&**start, &**stop, &**step),
        _ => return wrong_argument(),
    };
    let wrong = |what: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, what));
    for (x, what) in [
        (start, "start value"),
        (stop, "stop value"),
        (step, "step size"),
    ] {
        match x {
            Numeric::NaN => return wrong(format!("{what} cannot be NaN")),
            Numeric::Finite(_) => {}
            _ => return wrong(format!("{what} cannot be infinity")),
        }
    }
    let zero = Numeric::zero();
    if *step == zero {
        return wrong("step size cannot equal zero".to_owned());
    }
    let (stop, step, is_rising) = (stop.clone(), step.clone(), *step > zero);
    let mut next = start.clone();
    Ok(Box::new(std::iter::from_fn(move || {
        let is_within = if is_rising {
            next <= stop
        } else {
            next >= stop
        };
        is_within.then(|| {
            let after = next.add(&step)?;
            Ok(vec![datum(std::mem::replace(&mut next, after))])
        })
    })))
}
