//! Casts: the rows of `pg_cast`, and those to and from strings that PostgreSQL makes through the
//! text form without listing them.

use rustc_hash::FxHashMap;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::catalog::{reg_from_text, reg_to_text};
use crate::sql::func::define::{eval, function, out_of_range, text};
use crate::sql::func::float::{to_float4, to_i64};
use crate::sql::func::{Cast, CastContext, CastMethod, Eval, Function, Volatility};
use crate::types::datetime::{
    date_to_timestamp, date_to_timestamptz, timestamp_to_date, timestamp_to_timestamptz,
    timestamptz_to_date, timestamptz_to_timestamp,
};
use crate::types::{Category, Datum, Numeric, Type};

/// `cast!(Int4 => Int8, Implicit, "int8", eval)`. Casts that PostgreSQL makes without a function,
/// but which change the datum here, have the name "": no such function can be called.
macro_rules! cast {
    ($from:ident => $to:ident, $context:ident) => {
        Cast {
            from: Type::$from,
            to: Type::$to,
            context: CastContext::$context,
            method: CastMethod::Relabel,
        }
    };
    ($from:ident => $to:ident, $context:ident, $name:literal, $eval:expr) => {
        cast!($from => $to, $context, $name, $eval, Immutable)
    };
    ($from:ident => $to:ident, $context:ident, $name:literal, $eval:expr, $volatility:ident) => {
        cast!($from($from) => $to, $context, $name, $eval, $volatility)
    };
    // The function takes a type that is the same datum.
    ($from:ident($arg:ident) => $to:ident, $context:ident, $name:literal, $eval:expr,
        $volatility:ident) => {
        Cast {
            from: Type::$from,
            to: Type::$to,
            context: CastContext::$context,
            method: CastMethod::Function(&Function {
                volatility: Volatility::$volatility,
                ..function($name, &[Type::$arg], Type::$to, $eval)
            }),
        }
    };
}

pub(super) static CASTS: &[Cast] = &[
    cast!(Bool => Int4, Explicit, "int4", eval!(|a: Bool| Ok(Datum::Int4(i32::from(*a))))),
    cast!(Bool => Text, Assignment, "text", eval!(|a: Bool| text(a.to_string()))),
    cast!(Bool => Varchar, Assignment, "text", eval!(|a: Bool| text(a.to_string()))),
    cast!(Bool => Bpchar, Assignment, "text", eval!(|a: Bool| text(a.to_string()))),
    cast!(Int4 => Bool, Explicit, "bool", eval!(|a: Int4| Ok(Datum::Bool(*a != 0)))),
    // Integers.
    cast!(Int2 => Int4, Implicit, "int4", eval!(|a: Int2| Ok(Datum::Int4(i32::from(*a))))),
    cast!(Int2 => Int8, Implicit, "int8", eval!(|a: Int2| Ok(Datum::Int8(i64::from(*a))))),
    cast!(Int4 => Int8, Implicit, "int8", eval!(|a: Int4| Ok(Datum::Int8(i64::from(*a))))),
    cast!(Int4 => Int2, Assignment, "int2", eval!(|a: Int4| int2(i64::from(*a)))),
    cast!(Int8 => Int2, Assignment, "int2", eval!(|a: Int8| int2(*a))),
    cast!(Int8 => Int4, Assignment, "int4", eval!(|a: Int8| int4(*a))),
    // Integers and floating point.
    cast!(Int2 => Float4, Implicit, "float4", eval!(|a: Int2| Ok(Datum::Float4(f32::from(*a))))),
    cast!(Int2 => Float8, Implicit, "float8", eval!(|a: Int2| Ok(Datum::Float8(f64::from(*a))))),
    cast!(Int4 => Float4, Implicit, "float4", eval!(|a: Int4| Ok(Datum::Float4(*a as f32)))),
    cast!(Int4 => Float8, Implicit, "float8", eval!(|a: Int4| Ok(Datum::Float8(f64::from(*a))))),
    cast!(Int8 => Float4, Implicit, "float4", eval!(|a: Int8| Ok(Datum::Float4(*a as f32)))),
    cast!(Int8 => Float8, Implicit, "float8", eval!(|a: Int8| Ok(Datum::Float8(*a as f64)))),
    cast!(Float4 => Int2, Assignment, "int2", eval!(|a: Float4| float_int2(f64::from(*a)))),
    cast!(Float4 => Int4, Assignment, "int4", eval!(|a: Float4| float_int4(f64::from(*a)))),
    cast!(Float4 => Int8, Assignment, "int8", eval!(|a: Float4| float_int8(f64::from(*a)))),
    cast!(Float8 => Int2, Assignment, "int2", eval!(|a: Float8| float_int2(*a))),
    cast!(Float8 => Int4, Assignment, "int4", eval!(|a: Float8| float_int4(*a))),
    cast!(Float8 => Int8, Assignment, "int8", eval!(|a: Float8| float_int8(*a))),
    cast!(Float4 => Float8, Implicit, "float8",
        eval!(|a: Float4| Ok(Datum::Float8(f64::from(*a))))),
    cast!(Float8 => Float4, Assignment, "float4", eval!(|a: Float8| to_float4(*a).map(Datum::Float4))),
    // numeric.
    cast!(Int2 => Numeric, Implicit, "numeric", eval!(|a: Int2| numeric(i64::from(*a)))),
    cast!(Int4 => Numeric, Implicit, "numeric", eval!(|a: Int4| numeric(i64::from(*a)))),
    cast!(Int8 => Numeric, Implicit, "numeric", eval!(|a: Int8| numeric(*a))),
    cast!(Float4 => Numeric, Assignment, "numeric",
        eval!(|a: Float4| Ok(Datum::Numeric(Box::new(Numeric::from_f32(*a)))))),
    cast!(Float8 => Numeric, Assignment, "numeric",
        eval!(|a: Float8| Ok(Datum::Numeric(Box::new(Numeric::from_f64(*a)))))),
    cast!(Numeric => Int2, Assignment, "int2",
        eval!(|a: Numeric| numeric_int(a, "smallint").and_then(int2))),
    cast!(Numeric => Int4, Assignment, "int4",
        eval!(|a: Numeric| numeric_int(a, "integer").and_then(int4))),
    cast!(Numeric => Int8, Assignment, "int8",
        eval!(|a: Numeric| numeric_int(a, "bigint").map(Datum::Int8))),
    cast!(Numeric => Float4, Implicit, "float4",
        eval!(|a: Numeric| numeric_float4(a).map(Datum::Float4))),
    cast!(Numeric => Float8, Implicit, "float8",
        eval!(|a: Numeric| numeric_float8(a).map(Datum::Float8))),
    // Strings. varchar and text are the same datum; char(n) loses its padding.
    cast!(Text => Varchar, Implicit),
    cast!(Text => Bpchar, Implicit),
    cast!(Varchar => Text, Implicit),
    cast!(Varchar => Bpchar, Implicit),
    cast!(Bpchar => Text, Implicit, "text", eval!(|a: Text| text(a.trim_end_matches(' ')))),
    cast!(Bpchar => Varchar, Implicit, "text", eval!(|a: Text| text(a.trim_end_matches(' ')))),
    cast!(Bpchar => Name, Implicit, "name",
        eval!(|a: Text| text(name(a).trim_end_matches(' ')))),
    cast!(Text => Name, Implicit, "name", eval!(|a: Text| text(name(a)))),
    cast!(Varchar => Name, Implicit, "name", eval!(|a: Text| text(name(a)))),
    cast!(Name => Text, Implicit, "text", eval!(|a: Text| text(a))),
    cast!(Name => Bpchar, Assignment, "bpchar", eval!(|a: Text| text(a))),
    cast!(Name => Varchar, Assignment, "varchar", eval!(|a: Text| text(a))),
    cast!(Text => Char, Assignment, "char", eval!(|a: Text| Ok(first_byte(a)))),
    cast!(Varchar(Text) => Char, Assignment, "char", eval!(|a: Text| Ok(first_byte(a))), Immutable),
    cast!(Bpchar(Text) => Char, Assignment, "char", eval!(|a: Text| Ok(first_byte(a))), Immutable),
    cast!(Char => Text, Implicit, "text", eval!(|a: Char| char_text(*a))),
    cast!(Char => Varchar, Assignment, "text", eval!(|a: Char| char_text(*a))),
    cast!(Char => Bpchar, Assignment, "bpchar", eval!(|a: Char| char_text(*a))),
    cast!(Char => Int4, Explicit, "int4",
        eval!(|a: Char| Ok(Datum::Int4(i32::from(a.cast_signed()))))),
    cast!(Int4 => Char, Explicit, "char", eval!(|a: Int4| match i8::try_from(*a) {
        Ok(c) => Ok(Datum::Char(c.cast_unsigned())),
        Err(_) => out_of_range("\"char\""),
    })),
    // Dates and times.
    cast!(Date => Timestamp, Implicit, "timestamp",
        eval!(|a: Date| date_to_timestamp(*a).map(Datum::Timestamp))),
    cast!(Date => Timestamptz, Implicit, "timestamptz",
        eval!(cx; |a: Date| {
            date_to_timestamptz(*a, &cx.format.time_zone).map(Datum::Timestamp)
        }),
        Stable),
    cast!(Timestamp => Date, Assignment, "date",
        eval!(|a: Timestamp| Ok(Datum::Date(timestamp_to_date(*a))))),
    cast!(Timestamp => Timestamptz, Implicit, "timestamptz",
        eval!(cx; |a: Timestamp| {
            timestamp_to_timestamptz(*a, &cx.format.time_zone).map(Datum::Timestamp)
        }),
        Stable),
    cast!(Timestamptz => Date, Assignment, "date",
        eval!(cx; |a: Timestamp| {
            timestamptz_to_date(*a, &cx.format.time_zone).map(Datum::Date)
        }),
        Stable),
    cast!(Timestamptz => Timestamp, Assignment, "timestamp",
        eval!(cx; |a: Timestamp| {
            timestamptz_to_timestamp(*a, &cx.format.time_zone).map(Datum::Timestamp)
        }),
        Stable),
    // Object identifiers.
    cast!(Int2 => Oid, Implicit, "", OID_FROM_INT2),
    cast!(Int4 => Oid, Implicit, "", OID_FROM_INT4),
    cast!(Int8 => Oid, Implicit, "oid", OID_FROM_INT8),
    cast!(Oid => Int4, Assignment, "", INT4_FROM_OID),
    cast!(Oid => Int8, Assignment, "int8", INT8_FROM_OID),
    cast!(Int2 => Regclass, Implicit, "", OID_FROM_INT2),
    cast!(Int4 => Regclass, Implicit, "", OID_FROM_INT4),
    cast!(Int8 => Regclass, Implicit, "", OID_FROM_INT8),
    cast!(Regclass => Int4, Assignment, "", INT4_FROM_OID),
    cast!(Regclass => Int8, Assignment, "", INT8_FROM_OID),
    cast!(Oid => Regclass, Implicit),
    cast!(Regclass => Oid, Implicit),
    cast!(Int2 => Regtype, Implicit, "", OID_FROM_INT2),
    cast!(Int4 => Regtype, Implicit, "", OID_FROM_INT4),
    cast!(Int8 => Regtype, Implicit, "", OID_FROM_INT8),
    cast!(Regtype => Int4, Assignment, "", INT4_FROM_OID),
    cast!(Regtype => Int8, Assignment, "", INT8_FROM_OID),
    cast!(Oid => Regtype, Implicit),
    cast!(Regtype => Oid, Implicit),
    cast!(Int2 => Regnamespace, Implicit, "", OID_FROM_INT2),
    cast!(Int4 => Regnamespace, Implicit, "", OID_FROM_INT4),
    cast!(Int8 => Regnamespace, Implicit, "", OID_FROM_INT8),
    cast!(Regnamespace => Int4, Assignment, "", INT4_FROM_OID),
    cast!(Regnamespace => Int8, Assignment, "", INT8_FROM_OID),
    cast!(Oid => Regnamespace, Implicit),
    cast!(Regnamespace => Oid, Implicit),
    cast!(Int2 => Regproc, Implicit, "", OID_FROM_INT2),
    cast!(Int4 => Regproc, Implicit, "", OID_FROM_INT4),
    cast!(Int8 => Regproc, Implicit, "", OID_FROM_INT8),
    cast!(Regproc => Int4, Assignment, "", INT4_FROM_OID),
    cast!(Regproc => Int8, Assignment, "", INT8_FROM_OID),
    cast!(Oid => Regproc, Implicit),
    cast!(Regproc => Oid, Implicit),
    cast!(Text => Regclass, Implicit, "regclass",
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regclass, a)), Stable),
    cast!(Varchar(Text) => Regclass, Implicit, "regclass",
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regclass, a)), Stable),
];

const OID_FROM_INT2: Eval = eval!(|a: Int2| Ok(Datum::Oid(i32::from(*a).cast_unsigned())));
const OID_FROM_INT4: Eval = eval!(|a: Int4| Ok(Datum::Oid(a.cast_unsigned())));
const OID_FROM_INT8: Eval = eval!(|a: Int8| match u32::try_from(*a) {
    Ok(oid) => Ok(Datum::Oid(oid)),
    Err(_) => out_of_range("OID"),
});
const INT4_FROM_OID: Eval = eval!(|a: Oid| Ok(Datum::Int4(a.cast_signed())));
const INT8_FROM_OID: Eval = eval!(|a: Oid| Ok(Datum::Int8(i64::from(*a))));

/// The text form of a reg* type names an object, which only the catalog can tell: these casts,
/// through the text form in PostgreSQL, are functions here.
static REGCLASS: [Function; 2] = [
    function(
        "",
        &[Type::Regclass],
        Type::Text,
        eval!(cx; |a: Oid| reg_to_text(cx, Type::Regclass, *a)),
    )
    .stable(),
    function(
        "",
        &[Type::Text],
        Type::Regclass,
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regclass, a)),
    )
    .stable(),
];
static REGTYPE: [Function; 2] = [
    function(
        "",
        &[Type::Regtype],
        Type::Text,
        eval!(cx; |a: Oid| reg_to_text(cx, Type::Regtype, *a)),
    )
    .stable(),
    function(
        "",
        &[Type::Text],
        Type::Regtype,
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regtype, a)),
    )
    .stable(),
];
static REGNAMESPACE: [Function; 2] = [
    function(
        "",
        &[Type::Regnamespace],
        Type::Text,
        eval!(cx; |a: Oid| reg_to_text(cx, Type::Regnamespace, *a)),
    )
    .stable(),
    function(
        "",
        &[Type::Text],
        Type::Regnamespace,
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regnamespace, a)),
    )
    .stable(),
];
static REGPROC: [Function; 2] = [
    function(
        "",
        &[Type::Regproc],
        Type::Text,
        eval!(cx; |a: Oid| reg_to_text(cx, Type::Regproc, *a)),
    )
    .stable(),
    function(
        "",
        &[Type::Text],
        Type::Regproc,
        eval!(cx; |a: Text| reg_from_text(cx, Type::Regproc, a)),
    )
    .stable(),
];

/// The table above and all casts through the text form: to a string type on assignment, from one
/// only when asked for.
pub(super) fn all() -> FxHashMap<(Type, Type), Cast> {
    let mut casts = FxHashMap::default();
    let types = || Type::all().filter(|t| !is_pseudo(*t));
    for from in types() {
        for to in types().filter(|to| *to != from) {
            let context = if to.category() == Category::String {
                CastContext::Assignment
            } else if from.category() == Category::String {
                CastContext::Explicit
            } else {
                continue;
            };
            let method = through_text(from, to);
            casts.insert(
                (from, to),
                Cast {
                    from,
                    to,
                    context,
                    method,
                },
            );
        }
    }
    casts.extend(CASTS.iter().map(|c| ((c.from, c.to), *c)));
    casts
}

/// No value is stored in them, or (unknown) `bind` decides.
fn is_pseudo(ty: Type) -> bool {
    matches!(ty.category(), Category::Pseudo | Category::Unknown)
}

fn through_text(from: Type, to: Type) -> CastMethod {
    match (from, to) {
        (Type::Regclass, _) => CastMethod::Function(&REGCLASS[0]),
        (_, Type::Regclass) => CastMethod::Function(&REGCLASS[1]),
        (Type::Regtype, _) => CastMethod::Function(&REGTYPE[0]),
        (_, Type::Regtype) => CastMethod::Function(&REGTYPE[1]),
        (Type::Regnamespace, _) => CastMethod::Function(&REGNAMESPACE[0]),
        (_, Type::Regnamespace) => CastMethod::Function(&REGNAMESPACE[1]),
        (Type::Regproc, _) => CastMethod::Function(&REGPROC[0]),
        (_, Type::Regproc) => CastMethod::Function(&REGPROC[1]),
        _ => CastMethod::InOut,
    }
}

fn int2(x: i64) -> Result<Datum> {
    match i16::try_from(x) {
        Ok(x) => Ok(Datum::Int2(x)),
        Err(_) => out_of_range("smallint"),
    }
}

fn int4(x: i64) -> Result<Datum> {
    match i32::try_from(x) {
        Ok(x) => Ok(Datum::Int4(x)),
        Err(_) => out_of_range("integer"),
    }
}

fn float_int2(x: f64) -> Result<Datum> {
    to_i64(x).map_or_else(|| out_of_range("smallint"), int2)
}

fn float_int4(x: f64) -> Result<Datum> {
    to_i64(x).map_or_else(|| out_of_range("integer"), int4)
}

fn float_int8(x: f64) -> Result<Datum> {
    to_i64(x).map_or_else(|| out_of_range("bigint"), |x| Ok(Datum::Int8(x)))
}

fn numeric(x: i64) -> Result<Datum> {
    Ok(Datum::Numeric(Box::new(Numeric::from_i64(x))))
}

/// The nearest integer, ties away from zero.
fn numeric_int(x: &Numeric, what: &str) -> Result<i64> {
    let cannot = |kind| {
        Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot convert {kind} to {what}"),
        ))
    };
    match x {
        Numeric::NaN => cannot("NaN"),
        Numeric::NegInfinity | Numeric::PosInfinity => cannot("infinity"),
        Numeric::Finite(_) => match x.to_i64() {
            Some(x) => Ok(x),
            None => out_of_range(what),
        },
    }
}

/// The nearest double; 22003 beyond its range.
fn numeric_float8(x: &Numeric) -> Result<f64> {
    let float = x.to_f64();
    if float.is_infinite() && x.is_finite() {
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{x}\" is out of range for type double precision"),
        ));
    }
    Ok(float)
}

/// Read from the text, so that it is not rounded twice.
fn numeric_float4(x: &Numeric) -> Result<f32> {
    if !x.is_finite() {
        return to_float4(x.to_f64());
    }
    let text = x.to_string();
    match text.parse::<f32>() {
        Ok(float) if float.is_finite() => Ok(float),
        _ => Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{text}\" is out of range for type real"),
        )),
    }
}

/// The longest name (NAMEDATALEN - 1).
const NAME_BYTES_MAX: usize = 63;

/// The name, cut between characters where it is too long.
pub(super) fn name(s: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(s.len()))
        .rev()
        .find(|at| s.is_char_boundary(*at));
    &s[..end.unwrap_or(0)]
}

fn first_byte(s: &str) -> Datum {
    Datum::Char(s.as_bytes().first().copied().unwrap_or(0))
}

fn char_text(c: u8) -> Result<Datum> {
    match c {
        0 => text(""),
        c if c.is_ascii() => text(char::from(c)),
        _ => Err(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": 0x{c:02x}"),
        )),
    }
}
