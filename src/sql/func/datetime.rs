//! date, timestamp and timestamptz. There is no interval, so its operators are missing.

use std::cmp::Ordering;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{comparisons, eval, function, operator, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function, Operator};
use crate::types::Type::{Bool, Date, Float8, Int4, Numeric, Text, Timestamp, Timestamptz};
use crate::types::datetime::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, SECOND_MICROS, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, Zone, check_date, check_timestamp, date_to_timestamp, days_in_month,
    now_micros, timestamp_at_zone, timestamp_to_timestamptz, timestamptz_at_zone,
    timestamptz_to_date, timestamptz_to_timestamp,
};
use crate::types::datetime::{date_trunc, extract};
use crate::types::{Datum, Type};

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Date(Date) Date(Date), "date_"; |_, a, b| a.cmp(b)),
    comparisons!(Timestamp(Timestamp) Timestamp(Timestamp), "timestamp_"; |_, a, b| a.cmp(b)),
    comparisons!(Timestamptz(Timestamp) Timestamptz(Timestamp), "timestamptz_";
        |_, a, b| a.cmp(b)),
    comparisons!(Date(Date) Timestamp(Timestamp), "date_", "_timestamp";
        |_, a, b| midnight(*a).cmp(&i128::from(*b))),
    comparisons!(Timestamp(Timestamp) Date(Date), "timestamp_", "_date";
        |_, a, b| i128::from(*a).cmp(&midnight(*b))),
    comparisons!([stable] Date(Date) Timestamptz(Timestamp), "date_", "_timestamptz";
        |cx, a, b| zoned_date(cx, *a, *b)),
    comparisons!([stable] Timestamptz(Timestamp) Date(Date), "timestamptz_", "_date";
        |cx, a, b| zoned_date(cx, *b, *a).reverse()),
    comparisons!([stable] Timestamp(Timestamp) Timestamptz(Timestamp), "timestamp_", "_timestamptz";
        |cx, a, b| zoned(cx, *a, *b)),
    comparisons!([stable] Timestamptz(Timestamp) Timestamp(Timestamp), "timestamptz_", "_timestamp";
        |cx, a, b| zoned(cx, *b, *a).reverse()),
    &[
        operator!(Date "+" Int4 => Date, "date_pli",
            eval!(|a: Date, n: Int4| plus(*a, i64::from(*n))); commutator "+"),
        operator!(Int4 "+" Date => Date, "integer_pl_date",
            eval!(|n: Int4, a: Date| plus(*a, i64::from(*n))); commutator "+"),
        operator!(Date "-" Int4 => Date, "date_mii",
            eval!(|a: Date, n: Int4| plus(*a, -i64::from(*n)))),
        operator!(Date "-" Date => Int4, "date_mi", eval!(|a: Date, b: Date| minus(*a, *b))),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[
    &[
        function("now", &[], Timestamptz, Eval::F0(now)).stable(),
        function("transaction_timestamp", &[], Timestamptz, Eval::F0(now)).stable(),
        function("current_timestamp", &[], Timestamptz, Eval::F0(now)).stable(),
        function(
            "statement_timestamp",
            &[],
            Timestamptz,
            Eval::F0(|cx| Ok(Datum::Timestamp(cx.format.statement_start))),
        )
        .stable(),
        function(
            "clock_timestamp",
            &[],
            Timestamptz,
            Eval::F0(|_| Ok(Datum::Timestamp(now_micros()))),
        )
        .volatile(),
        function(
            "localtimestamp",
            &[],
            Timestamp,
            Eval::F0(|cx| {
                timestamptz_to_timestamp(cx.format.now, &cx.format.time_zone).map(Datum::Timestamp)
            }),
        )
        .stable(),
        function(
            "current_date",
            &[],
            Date,
            Eval::F0(|cx| {
                timestamptz_to_date(cx.format.now, &cx.format.time_zone).map(Datum::Date)
            }),
        )
        .stable(),
    ],
    &[
        function(
            "extract",
            &[Text, Date],
            Numeric,
            Eval::F2(|cx, field, x| part(cx, field, Date, x)),
        ),
        function(
            "extract",
            &[Text, Timestamp],
            Numeric,
            Eval::F2(|cx, field, x| part(cx, field, Timestamp, x)),
        ),
        function(
            "extract",
            &[Text, Timestamptz],
            Numeric,
            Eval::F2(|cx, field, x| part(cx, field, Timestamptz, x)),
        )
        .stable(),
        function(
            "date_part",
            &[Text, Date],
            Float8,
            Eval::F2(|cx, field, x| match x {
                Datum::Date(days) => {
                    let midnight = Datum::Timestamp(date_to_timestamp(*days)?);
                    float_part(cx, field, Timestamp, &midnight)
                }
                _ => wrong_argument(),
            }),
        ),
        function(
            "date_part",
            &[Text, Timestamp],
            Float8,
            Eval::F2(|cx, field, x| float_part(cx, field, Timestamp, x)),
        ),
        function(
            "date_part",
            &[Text, Timestamptz],
            Float8,
            Eval::F2(|cx, field, x| float_part(cx, field, Timestamptz, x)),
        )
        .stable(),
        function(
            "date_trunc",
            &[Text, Timestamp],
            Timestamp,
            Eval::F2(|cx, unit, x| truncated(cx, unit, Timestamp, x)),
        ),
        function(
            "date_trunc",
            &[Text, Timestamptz],
            Timestamptz,
            Eval::F2(|cx, unit, x| truncated(cx, unit, Timestamptz, x)),
        )
        .stable(),
        function(
            "date_trunc",
            &[Text, Timestamptz, Text],
            Timestamptz,
            eval!(cx; |unit: Text, x: Timestamp, zone: Text| truncated_in(cx, unit, *x, zone)),
        )
        .stable(),
        function(
            "timezone",
            &[Text, Timestamp],
            Timestamptz,
            eval!(|zone: Text, x: Timestamp| {
                timestamp_at_zone(*x, &Zone::from_name(zone)?).map(Datum::Timestamp)
            }),
        ),
        function(
            "timezone",
            &[Text, Timestamptz],
            Timestamp,
            eval!(|zone: Text, x: Timestamp| {
                timestamptz_at_zone(*x, &Zone::from_name(zone)?).map(Datum::Timestamp)
            }),
        ),
        function(
            "isfinite",
            &[Date],
            Bool,
            eval!(|x: Date| {
                Ok(Datum::Bool(!matches!(
                    *x,
                    DATE_INFINITY | DATE_NEG_INFINITY
                )))
            }),
        ),
        function(
            "isfinite",
            &[Timestamp],
            Bool,
            eval!(|x: Timestamp| Ok(finite(*x))),
        ),
        function(
            "isfinite",
            &[Timestamptz],
            Bool,
            eval!(|x: Timestamp| Ok(finite(*x))),
        ),
    ],
    &[
        function(
            "make_date",
            &[Int4, Int4, Int4],
            Date,
            eval!(|y: Int4, m: Int4, d: Int4| make_date(*y, *m, *d).map(Datum::Date)),
        ),
        function(
            "make_timestamp",
            &[Int4, Int4, Int4, Int4, Int4, Float8],
            Timestamp,
            eval!(
                |y: Int4, m: Int4, d: Int4, hour: Int4, minute: Int4, second: Float8| {
                    make_timestamp((*y, *m, *d), (*hour, *minute, *second)).map(Datum::Timestamp)
                }
            ),
        ),
        function(
            "make_timestamptz",
            &[Int4, Int4, Int4, Int4, Int4, Float8],
            Timestamptz,
            eval!(cx; |y: Int4, m: Int4, d: Int4, hour: Int4, minute: Int4, second: Float8| {
                let local = make_timestamp((*y, *m, *d), (*hour, *minute, *second))?;
                timestamp_to_timestamptz(local, &cx.format.time_zone).map(Datum::Timestamp)
            }),
        )
        .stable(),
        function(
            "make_timestamptz",
            &[Int4, Int4, Int4, Int4, Int4, Float8, Text],
            Timestamptz,
            eval!(|y: Int4,
                   m: Int4,
                   d: Int4,
                   hour: Int4,
                   minute: Int4,
                   second: Float8,
                   zone: Text| {
                let local = make_timestamp((*y, *m, *d), (*hour, *minute, *second))?;
                timestamp_at_zone(local, &Zone::from_name(zone)?).map(Datum::Timestamp)
            }),
        )
        .stable(),
        function(
            "to_timestamp",
            &[Float8],
            Timestamptz,
            eval!(|x: Float8| to_timestamp(*x).map(Datum::Timestamp)),
        ),
    ],
];

fn now(cx: &EvalContext<'_>) -> Result<Datum> {
    Ok(Datum::Timestamp(cx.format.now))
}

fn error(what: impl Into<String>) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, what)
}

/// Midnight in microseconds, wide enough for any date.
fn midnight(date: i32) -> i128 {
    match date {
        DATE_INFINITY => i128::from(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => i128::from(TIMESTAMP_NEG_INFINITY),
        days => i128::from(days) * i128::from(DAY_MICROS),
    }
}

/// A local time that no timestamptz can hold is before or after all of them.
fn zoned(cx: &EvalContext<'_>, local: i64, moment: i64) -> Ordering {
    match timestamp_to_timestamptz(local, &cx.format.time_zone) {
        Ok(x) => x.cmp(&moment),
        Err(_) => local.cmp(&0),
    }
}

fn zoned_date(cx: &EvalContext<'_>, date: i32, moment: i64) -> Ordering {
    match date_to_timestamp(date) {
        Ok(local) => zoned(cx, local, moment),
        Err(_) => date.cmp(&0),
    }
}

fn finite(x: i64) -> Datum {
    Datum::Bool(!matches!(x, TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY))
}

fn plus(date: i32, days: i64) -> Result<Datum> {
    if matches!(date, DATE_INFINITY | DATE_NEG_INFINITY) {
        return Ok(Datum::Date(date));
    }
    match check_date(i64::from(date) + days)? {
        DATE_INFINITY | DATE_NEG_INFINITY => Err(error("date out of range")),
        date => Ok(Datum::Date(date)),
    }
}

fn minus(a: i32, b: i32) -> Result<Datum> {
    let infinite = |x| matches!(x, DATE_INFINITY | DATE_NEG_INFINITY);
    if infinite(a) || infinite(b) {
        return Err(error("cannot subtract infinite dates"));
    }
    Ok(Datum::Int4(a.wrapping_sub(b)))
}

fn part(cx: &EvalContext<'_>, field: &Datum, ty: Type, x: &Datum) -> Result<Datum> {
    match field {
        Datum::Text(field) => extract(field, ty, x, cx.format),
        _ => wrong_argument(),
    }
}

fn float_part(cx: &EvalContext<'_>, field: &Datum, ty: Type, x: &Datum) -> Result<Datum> {
    match part(cx, field, ty, x)? {
        Datum::Numeric(x) => Ok(Datum::Float8(x.to_f64())),
        other => Ok(other),
    }
}

fn truncated(cx: &EvalContext<'_>, unit: &Datum, ty: Type, x: &Datum) -> Result<Datum> {
    match unit {
        Datum::Text(unit) => date_trunc(unit, ty, x, cx.format),
        _ => wrong_argument(),
    }
}

/// Truncates what the zone's clock shows.
fn truncated_in(cx: &EvalContext<'_>, unit: &str, x: i64, zone: &str) -> Result<Datum> {
    let zone = Zone::from_name(zone)?;
    if matches!(x, TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY) {
        return Ok(Datum::Timestamp(x));
    }
    let local = timestamptz_at_zone(x, &zone)?;
    match date_trunc(unit, Timestamp, &Datum::Timestamp(local), cx.format)? {
        // Units below a day leave the offset as it is, also where the clock is set back.
        Datum::Timestamp(start) if local - start < DAY_MICROS / 24 => {
            Ok(Datum::Timestamp(x - (local - start)))
        }
        Datum::Timestamp(start) => timestamp_at_zone(start, &zone).map(Datum::Timestamp),
        _ => wrong_argument(),
    }
}

/// A negative year is BC.
fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let astronomical = i64::from(if year < 0 && year > i32::MIN {
        year + 1
    } else {
        year
    });
    let wrong = || {
        error(format!(
            "date field value out of range: {astronomical}-{month:02}-{day:02}"
        ))
    };
    let (month, day) = (i64::from(month), i64::from(day));
    let valid = year != 0
        && year != i32::MIN
        && (1..=12).contains(&month)
        && (1..=days_in_month(astronomical, month)).contains(&day);
    if !valid {
        return Err(wrong());
    }
    check_date(Civil::new(astronomical, month, day).days()).map_err(|_| {
        error(format!(
            "date out of range: {astronomical}-{month:02}-{day:02}"
        ))
    })
}

fn make_timestamp(date: (i32, i32, i32), (hour, minute, second): (i32, i32, f64)) -> Result<i64> {
    let days = make_date(date.0, date.1, date.2)?;
    let valid = (0..=23).contains(&hour) || hour == 24 && minute == 0 && second == 0.0;
    if !valid || !(0..=59).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(error(format!(
            "time field value out of range: {hour}:{minute:02}:{second:02}"
        )));
    }
    let micros = super::float::to_i64(second * 1e6).unwrap_or(0);
    let minutes = i64::from(hour) * 60 + i64::from(minute);
    let time = minutes * 60 * SECOND_MICROS + micros;
    let timestamp = i64::from(days)
        .checked_mul(DAY_MICROS)
        .and_then(|d| d.checked_add(time));
    match timestamp {
        Some(timestamp) => check_timestamp(timestamp),
        None => Err(error("timestamp out of range")),
    }
}

/// Seconds from 1970 to 2000.
const UNIX_EPOCH_SECONDS: f64 = 946_684_800.0;

fn to_timestamp(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        return Err(error("timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 {
            TIMESTAMP_INFINITY
        } else {
            TIMESTAMP_NEG_INFINITY
        });
    }
    super::float::to_i64((seconds - UNIX_EPOCH_SECONDS) * 1e6)
        .and_then(|micros| check_timestamp(micros).ok())
        .ok_or_else(|| error(format!("timestamp out of range: \"{}\"", general(seconds))))
}

/// As C's `%g` writes it.
fn general(x: f64) -> String {
    let scientific = format!("{x:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => s.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or(0);
        return trim(&format!("{x:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}
