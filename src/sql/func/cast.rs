//! Casts: the rows of `pg_cast`, and those to and from strings that PostgreSQL makes through the
//! text form without listing them.

use rustc_hash::FxHashMap;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{eval, function, out_of_range, text};
use crate::sql::func::float::{to_float4, to_i64};
use crate::sql::func::{Cast, CastContext, CastMethod, Function, Volatility};
use crate::types::{Category, Datum, Type};

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
        Cast {
            from: Type::$from,
            to: Type::$to,
            context: CastContext::$context,
            method: CastMethod::Function(&Function {
                volatility: Volatility::$volatility,
                ..function($name, &[Type::$from], Type::$to, $eval)
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
    cast!(Varchar => Char, Assignment, "char", eval!(|a: Text| Ok(first_byte(a)))),
    cast!(Bpchar => Char, Assignment, "char", eval!(|a: Text| Ok(first_byte(a)))),
    cast!(Char => Text, Implicit, "text", eval!(|a: Char| char_text(*a))),
    cast!(Char => Varchar, Assignment, "text", eval!(|a: Char| char_text(*a))),
    cast!(Char => Bpchar, Assignment, "bpchar", eval!(|a: Char| char_text(*a))),
    cast!(Char => Int4, Explicit, "int4",
        eval!(|a: Char| Ok(Datum::Int4(i32::from(a.cast_signed()))))),
    cast!(Int4 => Char, Explicit, "char", eval!(|a: Int4| match i8::try_from(*a) {
        Ok(c) => Ok(Datum::Char(c.cast_unsigned())),
        Err(_) => out_of_range("\"char\""),
    })),
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
            let method = CastMethod::InOut;
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

/// At most 63 bytes, cut between characters.
pub(super) fn name(s: &str) -> &str {
    &s[..s.floor_char_boundary(63)]
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
