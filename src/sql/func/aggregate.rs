//! Aggregates.

use std::mem::take;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::array::array;
use crate::sql::func::define::wrong_argument;
use crate::sql::func::numeric::datum;
use crate::sql::func::{Accumulator, Aggregate, EvalContext};
use crate::types::Type::{
    Any, AnyArray, AnyElement, Bool, Bpchar, Bytea, Date, Float4, Float8, Int2, Int4, Int8, Oid,
    PgLsn, Text, Timestamp, Timestamptz,
};
use crate::types::{Datum, Numeric, Type, compare};

const NUMERIC: Type = Type::Numeric;

/// `aggregate!("sum"(Int4) -> Int8, state)`; it skips NULLs.
macro_rules! aggregate {
    ($name:literal($($arg:expr),*) -> $returns:expr, $state:expr) => {
        Aggregate {
            name: $name,
            args: &[$($arg),*],
            returns: $returns,
            strict: true,
            new: || Box::new($state),
        }
    };
}

/// `min` and `max` of one type.
macro_rules! extremes {
    ($ty:expr) => {
        &[
            aggregate!("min"($ty) -> $ty, Extreme { ty: $ty, greatest: false, best: Datum::Null }),
            aggregate!("max"($ty) -> $ty, Extreme { ty: $ty, greatest: true, best: Datum::Null }),
        ]
    };
}

macro_rules! bits {
    ($ty:ident) => {
        &[
            aggregate!("bit_and"($ty) -> $ty, Fold::new(|a, b| integers(a, b, |a, b| a & b))),
            aggregate!("bit_or"($ty) -> $ty, Fold::new(|a, b| integers(a, b, |a, b| a | b))),
            aggregate!("bit_xor"($ty) -> $ty, Fold::new(|a, b| integers(a, b, |a, b| a ^ b))),
        ]
    };
}

/// The spread of one type; integers and numerics give numeric, others double precision.
macro_rules! spreads {
    ($ty:expr, $returns:expr, $state:ident) => {
        &[
            aggregate!("var_pop"($ty) -> $returns, $state::new(false, false)),
            aggregate!("var_samp"($ty) -> $returns, $state::new(true, false)),
            aggregate!("variance"($ty) -> $returns, $state::new(true, false)),
            aggregate!("stddev_pop"($ty) -> $returns, $state::new(false, true)),
            aggregate!("stddev_samp"($ty) -> $returns, $state::new(true, true)),
            aggregate!("stddev"($ty) -> $returns, $state::new(true, true)),
        ]
    };
}

pub(super) static AGGREGATES: &[&[Aggregate]] = &[
    &[
        aggregate!("count"() -> Int8, Count(0)),
        aggregate!("count"(Any) -> Int8, Count(0)),
        aggregate!("sum"(Int2) -> Int8, SumInt::default()),
        aggregate!("sum"(Int4) -> Int8, SumInt::default()),
        aggregate!("sum"(Int8) -> NUMERIC, SumWide::default()),
        aggregate!("sum"(NUMERIC) -> NUMERIC, SumNumeric::default()),
        aggregate!("sum"(Float4) -> Float4, SumFloat4(None)),
        aggregate!("sum"(Float8) -> Float8, SumFloat8(None)),
        aggregate!("avg"(Int2) -> NUMERIC, SumWide { average: true, ..SumWide::default() }),
        aggregate!("avg"(Int4) -> NUMERIC, SumWide { average: true, ..SumWide::default() }),
        aggregate!("avg"(Int8) -> NUMERIC, SumWide { average: true, ..SumWide::default() }),
        aggregate!("avg"(NUMERIC) -> NUMERIC, SumNumeric { average: true, ..SumNumeric::default() }),
        aggregate!("avg"(Float4) -> Float8, FloatSpread::average()),
        aggregate!("avg"(Float8) -> Float8, FloatSpread::average()),
    ],
    extremes!(Int2),
    extremes!(Int4),
    extremes!(Int8),
    extremes!(Oid),
    extremes!(Float4),
    extremes!(Float8),
    extremes!(NUMERIC),
    extremes!(Text),
    extremes!(Bpchar),
    extremes!(Date),
    extremes!(Timestamp),
    extremes!(Timestamptz),
    extremes!(PgLsn),
    extremes!(Type::BoolArray),
    extremes!(Type::ByteaArray),
    extremes!(Type::CharArray),
    extremes!(Type::NameArray),
    extremes!(Type::Int2Array),
    extremes!(Type::Int4Array),
    extremes!(Type::Int8Array),
    extremes!(Type::TextArray),
    extremes!(Type::OidArray),
    extremes!(Type::Float4Array),
    extremes!(Type::Float8Array),
    extremes!(Type::BpcharArray),
    extremes!(Type::VarcharArray),
    extremes!(Type::DateArray),
    extremes!(Type::TimestampArray),
    extremes!(Type::TimestamptzArray),
    extremes!(Type::NumericArray),
    extremes!(Type::PgLsnArray),
    bits!(Int2),
    bits!(Int4),
    bits!(Int8),
    &[
        aggregate!("bool_and"(Bool) -> Bool, Fold::new(|a, b| booleans(a, b, |a, b| a && b))),
        aggregate!("every"(Bool) -> Bool, Fold::new(|a, b| booleans(a, b, |a, b| a && b))),
        aggregate!("bool_or"(Bool) -> Bool, Fold::new(|a, b| booleans(a, b, |a, b| a || b))),
        Aggregate {
            name: "string_agg",
            args: &[Text, Text],
            returns: Text,
            strict: false,
            new: || Box::new(Joined(None::<String>)),
        },
        Aggregate {
            name: "string_agg",
            args: &[Bytea, Bytea],
            returns: Bytea,
            strict: false,
            new: || Box::new(Joined(None::<Vec<u8>>)),
        },
        Aggregate {
            name: "array_agg",
            args: &[AnyElement],
            returns: AnyArray,
            strict: false,
            new: || Box::new(Gathered(Vec::new())),
        },
    ],
    spreads!(Int2, NUMERIC, NumericSpread),
    spreads!(Int4, NUMERIC, NumericSpread),
    spreads!(Int8, NUMERIC, NumericSpread),
    spreads!(NUMERIC, NUMERIC, NumericSpread),
    spreads!(Float4, Float8, FloatSpread),
    spreads!(Float8, Float8, FloatSpread),
];

struct Count(i64);

impl Accumulator for Count {
    fn add(&mut self, _: &EvalContext<'_>, _: &[Datum]) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// smallint or integer into bigint.
#[derive(Default)]
struct SumInt {
    sum: Option<i64>,
}

impl Accumulator for SumInt {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let x = match args {
            [Datum::Int2(x)] => i64::from(*x),
            [Datum::Int4(x)] => i64::from(*x),
            _ => return wrong_argument(),
        };
        match self.sum.unwrap_or(0).checked_add(x) {
            Some(sum) => self.sum = Some(sum),
            None => return super::define::out_of_range("bigint"),
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.sum.map_or(Datum::Null, Datum::Int8))
    }
}

/// Integers into numeric: their sum or average. 2^64 bigints fit.
#[derive(Default)]
struct SumWide {
    sum: i128,
    count: i64,
    average: bool,
}

impl Accumulator for SumWide {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        self.sum += match args {
            [Datum::Int2(x)] => i128::from(*x),
            [Datum::Int4(x)] => i128::from(*x),
            [Datum::Int8(x)] => i128::from(*x),
            _ => return wrong_argument(),
        };
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        let sum = Numeric::from_i128(self.sum);
        if self.average {
            return sum.div(&Numeric::from_i64(self.count)).map(datum);
        }
        Ok(datum(sum))
    }
}

#[derive(Default)]
struct SumNumeric {
    sum: Option<Numeric>,
    count: i64,
    average: bool,
}

impl Accumulator for SumNumeric {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [Datum::Numeric(x)] = args else {
            return wrong_argument();
        };
        match &mut self.sum {
            Some(sum) => sum.add_assign(x)?,
            None => self.sum = Some((**x).clone()),
        }
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        match self.sum.take() {
            Some(sum) if self.average => sum.div(&Numeric::from_i64(self.count)).map(datum),
            Some(sum) => Ok(datum(sum)),
            None => Ok(Datum::Null),
        }
    }
}

struct SumFloat4(Option<f32>);

impl Accumulator for SumFloat4 {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [Datum::Float4(x)] = args else {
            return wrong_argument();
        };
        let sum = self.0.map_or(*x, |sum| sum + x);
        if sum.is_infinite() && !x.is_infinite() && !self.0.is_some_and(f32::is_infinite) {
            return Err(overflow());
        }
        self.0 = Some(sum);
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.map_or(Datum::Null, Datum::Float4))
    }
}

struct SumFloat8(Option<f64>);

impl Accumulator for SumFloat8 {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [Datum::Float8(x)] = args else {
            return wrong_argument();
        };
        let sum = self.0.map_or(*x, |sum| sum + x);
        if sum.is_infinite() && !x.is_infinite() && !self.0.is_some_and(f64::is_infinite) {
            return Err(overflow());
        }
        self.0 = Some(sum);
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.map_or(Datum::Null, Datum::Float8))
    }
}

#[cold]
fn overflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: overflow",
    )
}

struct Extreme {
    ty: Type,
    greatest: bool,
    best: Datum,
}

impl Accumulator for Extreme {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [x] = args else {
            return wrong_argument();
        };
        let better = self.best.is_null() || {
            let order = compare(self.ty, x, &self.best);
            if self.greatest {
                order.is_gt()
            } else {
                order.is_lt()
            }
        };
        if better {
            match x {
                Datum::Text(s) => self.best.set_text(s),
                _ => self.best = x.clone(),
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(take(&mut self.best))
    }
}

/// Combines the first value with each that follows.
struct Fold {
    value: Datum,
    combine: fn(&Datum, &Datum) -> Result<Datum>,
}

impl Fold {
    fn new(combine: fn(&Datum, &Datum) -> Result<Datum>) -> Fold {
        Fold {
            value: Datum::Null,
            combine,
        }
    }
}

impl Accumulator for Fold {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [x] = args else {
            return wrong_argument();
        };
        self.value = match &self.value {
            Datum::Null => x.clone(),
            value => (self.combine)(value, x)?,
        };
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(take(&mut self.value))
    }
}

fn booleans(a: &Datum, b: &Datum, f: fn(bool, bool) -> bool) -> Result<Datum> {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => Ok(Datum::Bool(f(*a, *b))),
        _ => wrong_argument(),
    }
}

/// Bitwise, so the result fits the type of the arguments.
#[expect(
    clippy::cast_possible_truncation,
    reason = "bits of two values of the narrow type"
)]
fn integers(a: &Datum, b: &Datum, f: fn(i64, i64) -> i64) -> Result<Datum> {
    match (a, b) {
        (Datum::Int2(a), Datum::Int2(b)) => Ok(Datum::Int2(f(i64::from(*a), i64::from(*b)) as i16)),
        (Datum::Int4(a), Datum::Int4(b)) => Ok(Datum::Int4(f(i64::from(*a), i64::from(*b)) as i32)),
        (Datum::Int8(a), Datum::Int8(b)) => Ok(Datum::Int8(f(*a, *b))),
        _ => wrong_argument(),
    }
}

/// `string_agg`: a NULL value is skipped, a NULL separator is empty.
struct Joined<T>(Option<T>);

impl Accumulator for Joined<String> {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [Datum::Text(x), separator] = args else {
            return Ok(());
        };
        match (&mut self.0, separator) {
            (Some(all), Datum::Text(separator)) => {
                all.push_str(separator);
                all.push_str(x);
            }
            (Some(all), _) => all.push_str(x),
            (None, _) => self.0 = Some(x.clone()),
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.0.take().map_or(Datum::Null, Datum::Text))
    }
}

impl Accumulator for Joined<Vec<u8>> {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let [Datum::Bytea(x), separator] = args else {
            return Ok(());
        };
        match (&mut self.0, separator) {
            (Some(all), Datum::Bytea(separator)) => {
                all.extend_from_slice(separator);
                all.extend_from_slice(x);
            }
            (Some(all), _) => all.extend_from_slice(x),
            (None, _) => self.0 = Some(x.to_vec()),
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self
            .0
            .take()
            .map_or(Datum::Null, |all| Datum::Bytea(all.into())))
    }
}

/// `array_agg`: NULLs too.
struct Gathered(Vec<Datum>);

impl Accumulator for Gathered {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        self.0.extend_from_slice(args);
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        if self.0.is_empty() {
            return Ok(Datum::Null);
        }
        Ok(array(take(&mut self.0)))
    }
}

/// Variance or standard deviation from exact sums.
struct NumericSpread {
    sample: bool,
    root: bool,
    count: i64,
    sum: Numeric,
    squares: Numeric,
}

impl NumericSpread {
    fn new(sample: bool, root: bool) -> NumericSpread {
        NumericSpread {
            sample,
            root,
            count: 0,
            sum: Numeric::zero(),
            squares: Numeric::zero(),
        }
    }
}

impl Accumulator for NumericSpread {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let integer;
        let x = match args {
            [Datum::Numeric(x)] => &**x,
            [Datum::Int2(x)] => {
                integer = Numeric::from_i64(i64::from(*x));
                &integer
            }
            [Datum::Int4(x)] => {
                integer = Numeric::from_i64(i64::from(*x));
                &integer
            }
            [Datum::Int8(x)] => {
                integer = Numeric::from_i64(*x);
                &integer
            }
            _ => return wrong_argument(),
        };
        self.count += 1;
        self.sum.add_assign(x)?;
        self.squares.add_assign(&x.mul(x)?)
    }

    /// (n Σx² - (Σx)²) / (n (n - 1)), or n² for the population.
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        let n = self.count;
        if n == 0 || (self.sample && n == 1) {
            return Ok(Datum::Null);
        }
        if !self.sum.is_finite() {
            return Ok(datum(Numeric::NaN));
        }
        let count = Numeric::from_i64(n);
        let spread = self.squares.mul(&count)?.sub(&self.sum.mul(&self.sum)?)?;
        if spread <= Numeric::zero() {
            return Ok(datum(Numeric::zero()));
        }
        let divisor = count.mul(&Numeric::from_i64(if self.sample { n - 1 } else { n }))?;
        let variance = spread.div(&divisor)?;
        if !self.root {
            return Ok(datum(variance));
        }
        let scale = variance.scale().unwrap_or(0);
        variance.sqrt()?.round(scale).map(datum)
    }
}

/// Average, variance or standard deviation in floating point, by Youngs and Cramer's recurrence as
/// PostgreSQL computes it.
struct FloatSpread {
    result: fn(&FloatSpread) -> Option<f64>,
    count: f64,
    sum: f64,
    squares: f64,
}

impl FloatSpread {
    fn new(sample: bool, root: bool) -> FloatSpread {
        FloatSpread::of(match (sample, root) {
            (false, false) => |s| s.variance(0.0),
            (true, false) => |s| s.variance(1.0),
            (false, true) => |s| s.variance(0.0).map(f64::sqrt),
            (true, true) => |s| s.variance(1.0).map(f64::sqrt),
        })
    }

    fn average() -> FloatSpread {
        FloatSpread::of(|s| (s.count > 0.0).then(|| s.sum / s.count))
    }

    fn of(result: fn(&FloatSpread) -> Option<f64>) -> FloatSpread {
        FloatSpread {
            result,
            count: 0.0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    fn variance(&self, freedom: f64) -> Option<f64> {
        (self.count > freedom).then(|| self.squares / (self.count - freedom))
    }
}

impl Accumulator for FloatSpread {
    fn add(&mut self, _: &EvalContext<'_>, args: &[Datum]) -> Result<()> {
        let x = match args {
            [Datum::Float8(x)] => *x,
            [Datum::Float4(x)] => f64::from(*x),
            _ => return wrong_argument(),
        };
        let before = self.sum;
        self.count += 1.0;
        self.sum += x;
        if self.count > 1.0 {
            let deviation = x * self.count - self.sum;
            self.squares += deviation * deviation / (self.count * (self.count - 1.0));
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if before.is_finite() && x.is_finite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !x.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok((self.result)(self).map_or(Datum::Null, Datum::Float8))
    }
}
