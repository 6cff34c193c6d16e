//! Type modifiers: `varchar(10)`, `numeric(10,2)`, `timestamp(3)`.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::types::datum::Array;
use crate::types::numeric::{digit_count, parts, pow10, rescale};
use crate::types::{Datum, Numeric, Type};

/// Lengths and numeric precisions are stored plus this (PostgreSQL's VARHDRSZ).
const HEADER: i32 = 4;
/// Longest declared varchar or char (MaxAttrSize).
const LENGTH_MAX: i64 = 10_485_760;
const PRECISION_MAX: i64 = 1000;
const SCALE_BITS: i32 = 0x7ff;

/// Fits a value to the modifier of its column or cast.
///
/// Texts that are too long are an error unless only blanks are cut or the cast is explicit;
/// numerics and timestamps are rounded.
pub fn apply_typmod(ty: Type, typmod: i32, value: Datum, explicit_cast: bool) -> Result<Datum> {
    if typmod < 0 {
        return Ok(value);
    }
    match value {
        Datum::Text(text) if ty == Type::Varchar && typmod >= HEADER => Ok(Datum::Text(
            fit_varchar(typmod - HEADER, text, explicit_cast)?,
        )),
        Datum::Text(text) if ty == Type::Bpchar && typmod >= HEADER => Ok(Datum::Text(fit_bpchar(
            typmod - HEADER,
            text,
            explicit_cast,
        )?)),
        Datum::Numeric(number) if typmod >= HEADER => {
            Ok(Datum::Numeric(Box::new(fit_numeric(typmod, *number)?)))
        }
        Datum::Timestamp(micros) => Ok(Datum::Timestamp(round_micros(typmod, micros))),
        Datum::Array(array) => match ty.element() {
            Some(element @ (Type::Varchar | Type::Bpchar | Type::Numeric))
            | Some(element @ (Type::Timestamp | Type::Timestamptz)) => {
                let elements = array
                    .elements
                    .iter()
                    .map(|item| apply_typmod(element, typmod, item.clone(), explicit_cast))
                    .collect::<Result<_>>()?;
                Ok(Datum::Array(Arc::new(Array { elements })))
            }
            _ => Ok(Datum::Array(array)),
        },
        other => Ok(other),
    }
}

/// The byte position after `max` characters, when there are more.
fn cut_position(text: &str, max: usize) -> Option<usize> {
    if text.len() <= max {
        return None;
    }
    text.char_indices().nth(max).map(|(at, _)| at)
}

fn cut(mut text: String, max: i32, explicit: bool, type_name: &str) -> Result<String> {
    let max_chars = usize::try_from(max).unwrap_or(0);
    if let Some(at) = cut_position(&text, max_chars) {
        if !explicit && text[at..].bytes().any(|b| b != b' ') {
            return Err(Error::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {type_name}({max})"),
            ));
        }
        text.truncate(at);
    }
    Ok(text)
}

fn fit_varchar(max: i32, text: String, explicit: bool) -> Result<String> {
    cut(text, max, explicit, "character varying")
}

fn fit_bpchar(max: i32, text: String, explicit: bool) -> Result<String> {
    let mut text = cut(text, max, explicit, "character")?;
    let missing = usize::try_from(max)
        .unwrap_or(0)
        .saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n(' ', missing));
    Ok(text)
}

fn precision_and_scale(typmod: i32) -> (i32, i32) {
    let bits = typmod - HEADER;
    // The scale is an 11-bit signed number.
    let scale = ((bits & SCALE_BITS) ^ 1024) - 1024;
    ((bits >> 16) & 0xffff, scale)
}

fn fit_numeric(typmod: i32, number: Numeric) -> Result<Numeric> {
    let (precision, scale) = precision_and_scale(typmod);
    let overflow = |detail: String| {
        Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "numeric field overflow",
        )
        .with_detail(format!(
            "A field with precision {precision}, scale {scale} {detail}."
        )))
    };
    let decimal = match &number {
        Numeric::NaN => return Ok(number),
        Numeric::Finite(decimal) => decimal,
        _ => return overflow("cannot hold an infinite value".to_owned()),
    };
    let (digits, from) = parts(decimal);
    let to = i64::from(scale);
    let rounded = rescale(&digits, from, to);
    if rounded.sign() != bigdecimal::num_bigint::Sign::NoSign
        && digit_count(&rounded) > i64::from(precision)
    {
        let limit = match precision - scale {
            0 => "1".to_owned(),
            integer_digits => format!("10^{integer_digits}"),
        };
        return overflow(format!("must round to an absolute value less than {limit}"));
    }
    if to < 0 {
        return Numeric::new(rounded * pow10(-to), 0);
    }
    Numeric::new(rounded, to)
}

/// Rounds a timestamp to so many fractional digits, halves away from 2000-01-01.
fn round_micros(digits: i32, micros: i64) -> i64 {
    let Some(dropped) = u32::try_from(digits).ok().and_then(|d| 6u32.checked_sub(d)) else {
        return micros;
    };
    if dropped == 0 || matches!(micros, i64::MIN | i64::MAX) {
        return micros;
    }
    let unit = 10i64.pow(dropped);
    let rounded = (micros.unsigned_abs() + unit.unsigned_abs() / 2) / unit.unsigned_abs();
    // Valid timestamps are far enough from the limits of an i64.
    micros.signum() * i64::try_from(rounded).unwrap_or(0) * unit
}

/// The type's name in SQL with its modifier, as PostgreSQL's `format_type` writes it.
pub fn format_type(ty: Type, typmod: i32) -> String {
    if let Some(element) = ty.element() {
        return format_type(element, typmod) + "[]";
    }
    match ty {
        // `character` alone would mean `character(1)`.
        Type::Bpchar if typmod < 0 => "bpchar".to_owned(),
        Type::Varchar | Type::Bpchar if typmod > HEADER => {
            format!("{}({})", ty.sql_name(), typmod - HEADER)
        }
        Type::Numeric if typmod >= HEADER => {
            let (precision, scale) = precision_and_scale(typmod);
            format!("numeric({precision},{scale})")
        }
        Type::Timestamp if typmod >= 0 => format!("timestamp({typmod}) without time zone"),
        Type::Timestamptz if typmod >= 0 => format!("timestamp({typmod}) with time zone"),
        _ => ty.sql_name().to_owned(),
    }
}

/// The modifier that the arguments in parentheses after a type's name mean.
pub fn typmod_in(ty: Type, args: &[i64]) -> Result<i32> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match (ty.element().unwrap_or(ty), args) {
        (Type::Varchar, args) => length_typmod("varchar", args),
        (Type::Bpchar, args) => length_typmod("char", args),
        (Type::Numeric, &[precision]) => numeric_typmod(precision, 0),
        (Type::Numeric, &[precision, scale]) => numeric_typmod(precision, scale),
        (Type::Numeric, _) => invalid("invalid NUMERIC type modifier".to_owned()),
        (Type::Timestamp | Type::Timestamptz, &[precision]) if precision < 0 => {
            let zone = match ty.element().unwrap_or(ty) {
                Type::Timestamptz => " WITH TIME ZONE",
                _ => "",
            };
            invalid(format!(
                "TIMESTAMP({precision}){zone} precision must not be negative"
            ))
        }
        (Type::Timestamp | Type::Timestamptz, &[precision]) => {
            Ok(i32::try_from(precision.min(6)).unwrap_or(6))
        }
        (Type::Timestamp | Type::Timestamptz, _) => invalid("invalid type modifier".to_owned()),
        (other, _) => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{}\"", other.name()),
        )),
    }
}

fn length_typmod(name: &str, args: &[i64]) -> Result<i32> {
    let message = match *args {
        [length] if length < 1 => format!("length for type {name} must be at least 1"),
        [length] if length > LENGTH_MAX => {
            format!("length for type {name} cannot exceed {LENGTH_MAX}")
        }
        [length] => return Ok(i32::try_from(length).unwrap_or(0) + HEADER),
        _ => "invalid type modifier".to_owned(),
    };
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

fn numeric_typmod(precision: i64, scale: i64) -> Result<i32> {
    let message = if !(1..=PRECISION_MAX).contains(&precision) {
        format!("NUMERIC precision {precision} must be between 1 and {PRECISION_MAX}")
    } else if !(-PRECISION_MAX..=PRECISION_MAX).contains(&scale) {
        format!("NUMERIC scale {scale} must be between -{PRECISION_MAX} and {PRECISION_MAX}")
    } else {
        let bits = (precision << 16) | (scale & i64::from(SCALE_BITS));
        return Ok(i32::try_from(bits).unwrap_or(0) + HEADER);
    };
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

#[cfg(test)]
mod tests {
    use super::{apply_typmod, format_type, typmod_in};
    use crate::types::{Datum, Format, Type, text_in, text_out};

    fn fit(ty: Type, args: &[i64], text: &str, explicit: bool) -> String {
        let typmod = typmod_in(ty, args).unwrap();
        let value = text_in(ty, -1, text, &Format::default()).unwrap();
        match apply_typmod(ty, typmod, value, explicit) {
            Ok(value) => {
                let mut out = Vec::new();
                text_out(ty, &value, &Format::default(), &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(error) => {
                let report = error.report();
                format!(
                    "{} {} {}",
                    report.code,
                    report.message,
                    report.detail.unwrap_or_default()
                )
            }
        }
    }

    #[test]
    fn texts_are_cut_only_where_blanks_go_or_a_cast_says_so() {
        assert_eq!(fit(Type::Varchar, &[3], "éàü  ", false), "éàü");
        assert_eq!(fit(Type::Varchar, &[3], "abcd", true), "abc");
        assert_eq!(
            fit(Type::Varchar, &[3], "abcd", false),
            "22001 value too long for type character varying(3) "
        );
        assert_eq!(fit(Type::Bpchar, &[4], "é", false), "é   ");
        assert_eq!(
            fit(Type::Bpchar, &[1], "ab", false),
            "22001 value too long for type character(1) "
        );
    }

    #[test]
    fn numerics_are_rounded_to_their_scale_and_limited_to_their_precision() {
        assert_eq!(fit(Type::Numeric, &[5, 2], "1.005", false), "1.01");
        assert_eq!(fit(Type::Numeric, &[5, -2], "12355", false), "12400");
        assert_eq!(fit(Type::Numeric, &[3, 2], "NaN", false), "NaN");
        assert_eq!(
            fit(Type::Numeric, &[3, 2], "9.995", false),
            "22003 numeric field overflow A field with precision 3, scale 2 must round to an \
             absolute value less than 10^1."
        );
        assert_eq!(
            fit(Type::Numeric, &[2, 2], "1", false),
            "22003 numeric field overflow A field with precision 2, scale 2 must round to an \
             absolute value less than 1."
        );
    }

    #[test]
    fn timestamps_are_rounded_away_from_2000() {
        let ty = Type::Timestamp;
        assert_eq!(
            fit(ty, &[3], "2024-01-01 00:00:00.0005", false),
            "2024-01-01 00:00:00.001"
        );
        assert_eq!(
            fit(ty, &[0], "1999-12-31 23:59:59.5", false),
            "1999-12-31 23:59:59"
        );
        assert_eq!(fit(ty, &[0], "infinity", false), "infinity");
    }

    #[test]
    fn types_are_written_with_their_modifiers() {
        let format = |ty, args: &[i64]| format_type(ty, typmod_in(ty, args).unwrap());
        assert_eq!(format(Type::VarcharArray, &[10]), "character varying(10)[]");
        assert_eq!(format(Type::Numeric, &[5, -2]), "numeric(5,-2)");
        assert_eq!(
            format(Type::Timestamptz, &[9]),
            "timestamp(6) with time zone"
        );
        assert_eq!(format_type(Type::Bpchar, -1), "bpchar");
        assert_eq!(format_type(Type::Char, -1), "\"char\"");
        let message = |ty, args: &[i64]| typmod_in(ty, args).unwrap_err().report().message;
        assert_eq!(
            message(Type::Varchar, &[0]),
            "length for type varchar must be at least 1"
        );
        assert_eq!(
            message(Type::Text, &[3]),
            "type modifier is not allowed for type \"text\""
        );
        let null = apply_typmod(Type::Varchar, 5, Datum::Null, false).unwrap();
        assert!(null.is_null());
    }
}
