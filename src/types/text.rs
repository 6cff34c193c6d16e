//! Text forms: PostgreSQL's input and output functions.

use crate::base::{Error, Lsn, Result, SqlState};
use crate::types::array::{array_in, array_out};
use crate::types::datetime::{date_out, timestamp_out, timestamptz_out};
use crate::types::datetime_in::{date_in, timestamp_in};
use crate::types::float::{float_in, float_out};
use crate::types::typmod::apply_typmod;
use crate::types::{Array, ByteaOutput, Datum, Format, Numeric, Type, wrong_datum};

/// Longest name, in bytes (NAMEDATALEN - 1).
pub(super) const NAME_MAX: usize = 63;

/// Reads the text form of a value, as the type's input function in PostgreSQL does.
///
/// Names of objects (regclass and its like) need the catalog: only numbers are read here.
pub fn text_in(ty: Type, typmod: i32, s: &str, format: &Format) -> Result<Datum> {
    let value = match ty {
        Type::Bool => Datum::Bool(bool_in(s)?),
        Type::Bytea => Datum::Bytea(bytea_in(s)?.into_boxed_slice()),
        Type::Char => Datum::Char(char_in(s)),
        Type::Int2 => Datum::Int2(int_in(s, ty)?),
        Type::Int4 => Datum::Int4(int_in(s, ty)?),
        Type::Int8 => Datum::Int8(int_in(s, ty)?),
        Type::Oid => Datum::Oid(oid_in(s)?),
        reg if reg.is_reg() => Datum::Oid(reg_in(ty, s)?),
        Type::Float4 => Datum::Float4(float_in(s)?),
        Type::Float8 => Datum::Float8(float_in(s)?),
        Type::Name => Datum::text(truncate_name(check_text(s)?)),
        Type::Text | Type::Unknown | Type::Varchar | Type::Bpchar => Datum::text(check_text(s)?),
        Type::Date => Datum::Date(date_in(s, format)?),
        Type::Timestamp | Type::Timestamptz => Datum::Timestamp(timestamp_in(ty, s, format)?),
        Type::PgLsn => Datum::Lsn(s.parse::<Lsn>().map_err(|_| bad_input(ty, s))?.0),
        Type::Numeric => Datum::Numeric(Box::new(Numeric::parse(s)?)),
        Type::Void => Datum::text(""),
        Type::Record | Type::AnyElement | Type::AnyArray | Type::Any => {
            let message = match ty {
                Type::Record => "input of anonymous composite types is not implemented".to_owned(),
                _ => format!("cannot accept a value of type {}", ty.name()),
            };
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        // The elements are read with the modifier.
        array => {
            let Some(element) = array.element() else {
                return Err(Error::unsupported(format_args!("input of {}", ty.name())));
            };
            return array_in(element, typmod, s, format);
        }
    };
    if typmod < 0 {
        return Ok(value);
    }
    apply_typmod(ty, typmod, value, false)
}

/// Appends the text form of a value that is not null, as the type's output function does.
pub fn text_out(ty: Type, value: &Datum, format: &Format, out: &mut Vec<u8>) {
    match value {
        Datum::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Datum::Int2(value) => write_i64(i64::from(*value), out),
        Datum::Int4(value) => write_i64(i64::from(*value), out),
        Datum::Int8(value) => write_i64(*value, out),
        Datum::Oid(0) if ty != Type::Oid => out.push(b'-'),
        Datum::Oid(value) => write_u64(u64::from(*value), out),
        Datum::Float4(value) => float_out(*value, format.extra_float_digits, out),
        Datum::Float8(value) => float_out(*value, format.extra_float_digits, out),
        Datum::Date(value) => date_out(*value, out),
        Datum::Timestamp(value) if ty == Type::Timestamptz => {
            timestamptz_out(*value, &format.time_zone, out);
        }
        Datum::Timestamp(value) => timestamp_out(*value, out),
        Datum::Lsn(value) => out.extend_from_slice(Lsn(*value).to_string().as_bytes()),
        Datum::Char(value) => char_out(*value, out),
        Datum::Text(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Bytea(value) => match format.bytea_output {
            ByteaOutput::Hex => hex_out(value, out),
            ByteaOutput::Escape => escape_out(value, out),
        },
        Datum::Numeric(value) => value.write_to(out),
        Datum::Array(record) if ty == Type::Record => record_out(record, format, out),
        Datum::Array(array) => match ty.element() {
            Some(element) => array_out(element, array, format, out),
            None => wrong_datum(ty, value),
        },
        Datum::Null => wrong_datum(ty, value),
    }
}

/// A row does not know the types of its fields: each is written as the type that its datum has of
/// itself. `bind` refuses fields for which that is another's.
fn record_out(record: &Array, format: &Format, out: &mut Vec<u8>) {
    out.push(b'(');
    for (i, item) in record.elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if item.is_null() {
            continue;
        }
        let start = out.len();
        text_out(item.own_type(), item, format, out);
        let special =
            |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b',') || is_space((*b).into());
        if out.len() == start || out[start..].iter().any(special) {
            let text = out.split_off(start);
            out.push(b'"');
            for byte in text {
                if matches!(byte, b'"' | b'\\') {
                    out.push(byte);
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
    out.push(b')');
}

/// What C's isspace says in PostgreSQL's usual locales.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

fn bad_input(ty: Type, s: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {}: \"{s}\"", ty.sql_name()),
    )
}

fn out_of_range(ty: Type, s: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{s}\" is out of range for type {}", ty.sql_name()),
    )
}

/// PostgreSQL's texts hold no NUL.
pub(super) fn check_text(s: &str) -> Result<&str> {
    if s.as_bytes().contains(&0) {
        return Err(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(s)
}

/// Cut to what a name holds, at a character boundary.
pub(super) fn truncate_name(s: &str) -> &str {
    floor_boundary(s, NAME_MAX)
}

/// At most `max` bytes from the front, whole characters.
pub(super) fn floor_boundary(s: &str, max: usize) -> &str {
    let mut at = s.len().min(max);
    while !s.is_char_boundary(at) {
        at -= 1;
    }
    &s[..at]
}

fn int_in<I: TryFrom<i64>>(s: &str, ty: Type) -> Result<I> {
    let mut digits = s.trim_start_matches(is_space).as_bytes();
    let negative = match digits.first() {
        Some(b'-') => {
            digits = &digits[1..];
            true
        }
        Some(b'+') => {
            digits = &digits[1..];
            false
        }
        _ => false,
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return Err(bad_input(ty, s));
    }
    let mut value = 0i64;
    // Counted down from zero, since the least number has no positive counterpart.
    for digit in &digits[..len] {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_sub(i64::from(digit - b'0')))
            .ok_or_else(|| out_of_range(ty, s))?;
    }
    if I::try_from(value).is_err() {
        return Err(out_of_range(ty, s));
    }
    if !digits[len..].iter().all(|b| is_space(char::from(*b))) {
        return Err(bad_input(ty, s));
    }
    let value = match negative {
        true => Some(value),
        false => value.checked_neg(),
    };
    value
        .and_then(|v| I::try_from(v).ok())
        .ok_or_else(|| out_of_range(ty, s))
}

/// C's strtoul: negative numbers wrap as they do in PostgreSQL.
fn oid_in(s: &str) -> Result<u32> {
    let ty = Type::Oid;
    let trimmed = s.trim_matches(is_space);
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Err(bad_input(ty, s));
    }
    let value: i64 = digits[..len].parse().map_err(|_| out_of_range(ty, s))?;
    if len < digits.len() {
        return Err(bad_input(ty, s));
    }
    let value = if trimmed.starts_with('-') {
        -value
    } else {
        value
    };
    match i32::try_from(value) {
        Ok(signed) => Ok(signed.cast_unsigned()),
        Err(_) => u32::try_from(value).map_err(|_| out_of_range(ty, s)),
    }
}

fn reg_in(ty: Type, s: &str) -> Result<u32> {
    if s == "-" {
        return Ok(0);
    }
    if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) {
        return oid_in(s);
    }
    Err(Error::unsupported(format_args!(
        "reading the {} \"{s}\" without a catalog is",
        ty.name()
    )))
}

fn bool_in(s: &str) -> Result<bool> {
    let word = s.trim_matches(is_space).to_ascii_lowercase();
    let is_prefix_of = |full: &str, least: usize| word.len() >= least && full.starts_with(&word);
    if is_prefix_of("true", 1) || is_prefix_of("yes", 1) || word == "on" || word == "1" {
        return Ok(true);
    }
    if is_prefix_of("false", 1) || is_prefix_of("no", 1) || is_prefix_of("off", 2) || word == "0" {
        return Ok(false);
    }
    Err(bad_input(Type::Bool, s))
}

/// One byte: the first, or the one that `\ooo` writes.
fn char_in(s: &str) -> u8 {
    match s.as_bytes() {
        &[b'\\', a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            ((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0')
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

fn char_out(value: u8, out: &mut Vec<u8>) {
    match value {
        0 => {}
        0x80.. => octal_out(value, out),
        ascii => out.push(ascii),
    }
}

fn octal_out(byte: u8, out: &mut Vec<u8>) {
    let digit = |shift: u32| b'0' + ((byte >> shift) & 7);
    out.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
}

fn bytea_in(s: &str) -> Result<Vec<u8>> {
    match s.strip_prefix("\\x") {
        Some(hex) => hex_in(hex),
        None => escape_in(s),
    }
}

fn hex_in(s: &str) -> Result<Vec<u8>> {
    let error = |what| Error::new(SqlState::INVALID_PARAMETER_VALUE, what);
    let mut bytes = Vec::with_capacity(s.len() / 2);
    let mut chars = s.chars();
    let digit = |c: char| match c.to_digit(16) {
        // A hexadecimal digit is less than 16.
        #[expect(clippy::cast_possible_truncation, reason = "less than 16")]
        Some(digit) => Ok(digit as u8),
        None => Err(error(format!("invalid hexadecimal digit: \"{c}\""))),
    };
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(c)?;
        let Some(c) = chars.next() else {
            return Err(error(
                "invalid hexadecimal data: odd number of digits".to_owned(),
            ));
        };
        bytes.push(high << 4 | digit(c)?);
    }
    Ok(bytes)
}

fn escape_in(s: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(s.len());
    let mut rest = s.as_bytes();
    loop {
        rest = match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            &[
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                ref rest @ ..,
            ] => {
                bytes.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                return Err(Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

fn hex_out(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + 2 * bytes.len());
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn escape_out(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(byte),
            _ => octal_out(byte, out),
        }
    }
}

fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

/// Appends the decimal digits of a number.
pub(super) fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        let digit = (value % 10) as u8;
        digits[at] = b'0' + digit;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::{text_in, text_out};
    use crate::base::Error;
    use crate::types::{ByteaOutput, Format, Type};

    /// Reads and writes; an error as its code and message.
    fn echo(ty: Type, s: &str) -> String {
        echo_with(ty, s, &Format::default())
    }

    fn echo_with(ty: Type, s: &str, format: &Format) -> String {
        match text_in(ty, -1, s, format) {
            Ok(value) => {
                let mut out = Vec::new();
                text_out(ty, &value, format, &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(error) => show(&error),
        }
    }

    fn show(error: &Error) -> String {
        let report = error.report();
        format!("{} {}", report.code, report.message)
    }

    #[test]
    fn integers_are_read_as_postgresql_reads_them() {
        assert_eq!(echo(Type::Int4, " -2147483648\t"), "-2147483648");
        assert_eq!(
            echo(Type::Int4, "abc"),
            "22P02 invalid input syntax for type integer: \"abc\""
        );
        assert_eq!(
            echo(Type::Int4, "99999999999"),
            "22003 value \"99999999999\" is out of range for type integer"
        );
        // A number that only its sign puts out of range is read to its end first.
        assert!(echo(Type::Int4, "2147483648x").starts_with("22P02"));
        assert!(echo(Type::Int4, "2147483649x").starts_with("22003"));
        assert_eq!(
            echo(Type::Int8, "9223372036854775807"),
            "9223372036854775807"
        );
        assert_eq!(echo(Type::Oid, "-1"), "4294967295");
        assert!(echo(Type::Oid, "-2147483649").starts_with("22003"));
    }

    #[test]
    fn booleans_are_unique_prefixes_of_their_words() {
        for word in ["t", "TRUE", "y", "on", "1", " yes "] {
            assert_eq!(echo(Type::Bool, word), "t");
        }
        for word in ["f", "of", "OFF", "n", "0"] {
            assert_eq!(echo(Type::Bool, word), "f");
        }
        assert!(echo(Type::Bool, "o").starts_with("22P02"));
        assert!(echo(Type::Bool, "").starts_with("22P02"));
    }

    #[test]
    fn floats_are_written_shortest_as_postgresql_does() {
        for (input, output) in [
            ("1e20", "1e+20"),
            ("1e15", "1e+15"),
            ("123456789012345", "123456789012345"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-0", "-0"),
            ("nan", "NaN"),
            ("-inf", "-Infinity"),
            // Half way between two doubles, and a double half way between two decimals.
            ("1e23", "9.999999999999999e+22"),
            ("8.41e21", "8.409999999999999e+21"),
            ("657843873701279.22", "657843873701279.2"),
            ("5e-324", "5e-324"),
        ] {
            assert_eq!(echo(Type::Float8, input), output);
        }
        assert_eq!(echo(Type::Float4, "1234567"), "1.234567e+06");
        assert_eq!(echo(Type::Float4, "0.1"), "0.1");
        assert_eq!(
            echo(Type::Float8, "1e400"),
            "22003 \"1e400\" is out of range for type double precision"
        );
        let old = Format {
            extra_float_digits: 0,
            ..Format::default()
        };
        assert_eq!(echo_with(Type::Float8, "0.30000000000000004", &old), "0.3");
        assert_eq!(echo_with(Type::Float4, "1e6", &old), "1e+06");
    }

    #[test]
    fn bytes_have_two_forms() {
        assert_eq!(echo(Type::Bytea, "\\xDE adBE ef"), "\\xdeadbeef");
        assert_eq!(echo(Type::Bytea, "a\\\\b\\001"), "\\x615c6201");
        assert_eq!(
            echo(Type::Bytea, "\\xabc"),
            "22023 invalid hexadecimal data: odd number of digits"
        );
        let escape = Format {
            bytea_output: ByteaOutput::Escape,
            ..Format::default()
        };
        assert_eq!(
            echo_with(Type::Bytea, "\\x005c41ff", &escape),
            "\\000\\\\A\\377"
        );
        assert_eq!(echo(Type::Char, "\\377"), "\\377");
        assert_eq!(echo(Type::Char, "ab"), "a");
    }

    #[test]
    fn arrays_are_quoted_where_postgresql_quotes() {
        assert_eq!(
            echo(
                Type::TextArray,
                "{a b, c ,\"d,e\",null,\"NULL\",\"\",x\\\\y}"
            ),
            "{\"a b\",c,\"d,e\",NULL,\"NULL\",\"\",\"x\\\\y\"}"
        );
        assert_eq!(echo(Type::Int4Array, " { 1 , 2 } "), "{1,2}");
        assert_eq!(echo(Type::Int4Array, "{}"), "{}");
        assert_eq!(echo(Type::Int4Array, "[1:2]={1,2}"), "{1,2}");
        for (wrong, detail) in [
            (
                "1",
                "Array value must start with \"{\" or dimension information.",
            ),
            ("{1,}", "Unexpected \"}\" character."),
            ("{1", "Unexpected end of input."),
            ("{1}x", "Junk after closing right brace."),
            ("{\"1\"2}", "Unexpected array element."),
        ] {
            let error = text_in(Type::Int4Array, -1, wrong, &Format::default()).unwrap_err();
            assert_eq!(
                show(&error),
                format!("22P02 malformed array literal: \"{wrong}\"")
            );
            assert_eq!(error.report().detail.as_deref(), Some(detail));
        }
    }

    #[test]
    fn texts_hold_no_nul() {
        assert!(echo(Type::Text, "a\0b").starts_with("22021"));
        assert_eq!(echo(Type::Name, &"é".repeat(40)), "é".repeat(31));
    }
}
