//! Binary forms: PostgreSQL's receive and send functions (big-endian).

use std::sync::Arc;

use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use bigdecimal::num_traits::Zero;

use crate::base::bytes::Reader;
use crate::base::{Error, Oid, Result, SqlState};
use crate::types::datetime::{check_date, check_timestamp};
use crate::types::datum::Array;
use crate::types::numeric::{digit_count, parts, pow10};
use crate::types::text::NAME_MAX;
use crate::types::typmod::{apply_typmod, format_type};
use crate::types::{Datum, Numeric, Type, wrong_datum};

const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_POS_INFINITY: u16 = 0xd000;
const SIGN_NEG_INFINITY: u16 = 0xf000;
/// What PostgreSQL sends as the scale of an infinity.
const INFINITY_SCALE: u16 = 0x20;
const SCALE_MASK: u16 = 0x3fff;
/// More dimensions than this PostgreSQL does not take either.
const DIMENSIONS_MAX: i32 = 6;

/// Reads the binary form of a value. All bytes must be used: 22P03 otherwise, 08P01 when they are
/// too few.
pub fn binary_in(ty: Type, typmod: i32, bytes: &[u8]) -> Result<Datum> {
    let mut reader = Reader::new(bytes);
    let value = receive(ty, typmod, &mut reader)?;
    if reader.remaining() > 0 {
        return Err(bad_binary("incorrect binary data format"));
    }
    apply_typmod(ty, typmod, value, false)
}

fn receive(ty: Type, typmod: i32, reader: &mut Reader<'_>) -> Result<Datum> {
    Ok(match ty {
        Type::Bool => Datum::Bool(take::<1>(reader)? != [0]),
        Type::Bytea => Datum::Bytea(rest(reader).into()),
        Type::Char => Datum::Char(u8::from_be_bytes(take(reader)?)),
        Type::Int2 => Datum::Int2(i16::from_be_bytes(take(reader)?)),
        Type::Int4 => Datum::Int4(i32::from_be_bytes(take(reader)?)),
        Type::Int8 => Datum::Int8(i64::from_be_bytes(take(reader)?)),
        Type::Oid => Datum::Oid(u32::from_be_bytes(take(reader)?)),
        reg if reg.is_reg() => Datum::Oid(u32::from_be_bytes(take(reader)?)),
        Type::Float4 => Datum::Float4(f32::from_be_bytes(take(reader)?)),
        Type::Float8 => Datum::Float8(f64::from_be_bytes(take(reader)?)),
        Type::Name => {
            let text = receive_text(reader)?;
            if text.len() > NAME_MAX {
                return Err(Error::new(SqlState::NAME_TOO_LONG, "identifier too long")
                    .with_detail("Identifier must be less than 64 characters."));
            }
            Datum::text(text)
        }
        Type::Text | Type::Unknown | Type::Varchar | Type::Bpchar => {
            Datum::text(receive_text(reader)?)
        }
        Type::Date => Datum::Date(check_date(i64::from(i32::from_be_bytes(take(reader)?)))?),
        Type::Timestamp | Type::Timestamptz => {
            Datum::Timestamp(check_timestamp(i64::from_be_bytes(take(reader)?))?)
        }
        Type::PgLsn => Datum::Lsn(u64::from_be_bytes(take(reader)?)),
        Type::Numeric => Datum::Numeric(Box::new(receive_numeric(reader)?)),
        Type::Void => Datum::text(""),
        Type::Record | Type::AnyElement | Type::AnyArray | Type::Any => {
            return Err(Error::unsupported(format_args!(
                "binary input of {} is",
                ty.name()
            )));
        }
        array => match array.element() {
            Some(element) => receive_array(element, typmod, reader)?,
            None => {
                return Err(Error::unsupported(format_args!(
                    "binary input of {} is",
                    ty.name()
                )));
            }
        },
    })
}

fn bad_binary(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

fn too_short() -> Error {
    Error::new(
        SqlState::PROTOCOL_VIOLATION,
        "insufficient data left in message",
    )
}

fn take<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N]> {
    reader
        .take(N)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(too_short)
}

fn rest<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    reader.take(reader.remaining()).unwrap_or_default()
}

fn receive_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    super::checked_text(rest(reader))
}

fn receive_numeric(reader: &mut Reader<'_>) -> Result<Numeric> {
    let len = u16::from_be_bytes(take(reader)?);
    let weight = i64::from(i16::from_be_bytes(take(reader)?));
    let sign = u16::from_be_bytes(take(reader)?);
    let scale = u16::from_be_bytes(take(reader)?);
    let sign = match sign {
        0 => Sign::Plus,
        SIGN_NEGATIVE => Sign::Minus,
        SIGN_NAN => return Ok(Numeric::NaN),
        SIGN_POS_INFINITY => return Ok(Numeric::PosInfinity),
        SIGN_NEG_INFINITY => return Ok(Numeric::NegInfinity),
        _ => return Err(bad_binary("invalid sign in external \"numeric\" value")),
    };
    if scale & !SCALE_MASK != 0 {
        return Err(bad_binary("invalid scale in external \"numeric\" value"));
    }
    let groups = reader.take(usize::from(len) * 2).ok_or_else(too_short)?;
    let mut decimal = Vec::with_capacity(usize::from(len) * 4);
    for group in groups.chunks_exact(2) {
        let group = u16::from_be_bytes([group[0], group[1]]);
        if group >= 10_000 {
            return Err(bad_binary("invalid digit in external \"numeric\" value"));
        }
        decimal.extend_from_slice(format!("{group:04}").as_bytes());
    }
    if decimal.is_empty() {
        return Numeric::new(BigInt::zero(), i64::from(scale));
    }
    let digits = BigUint::parse_bytes(&decimal, 10).unwrap_or_default();
    // The groups end at this scale; digits beyond the display scale are cut.
    let from = (i64::from(len) - 1 - weight) * 4;
    let shift = i64::from(scale) - from;
    let digits = BigInt::from_biguint(sign, digits);
    let digits = match shift {
        0.. => digits * pow10(shift),
        _ => digits / pow10(-shift),
    };
    Numeric::new(digits, i64::from(scale))
}

fn receive_array(element: Type, typmod: i32, reader: &mut Reader<'_>) -> Result<Datum> {
    let dimensions = i32::from_be_bytes(take(reader)?);
    let flags = i32::from_be_bytes(take(reader)?);
    let oid = u32::from_be_bytes(take(reader)?);
    if dimensions < 0 {
        return Err(bad_binary(format!(
            "invalid number of dimensions: {dimensions}"
        )));
    }
    if dimensions > DIMENSIONS_MAX {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "number of array dimensions ({dimensions}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
            ),
        ));
    }
    if !matches!(flags, 0 | 1) {
        return Err(bad_binary("invalid array flags"));
    }
    if oid != element.oid().0 {
        let name =
            Type::from_oid(Oid(oid)).map_or_else(|| "???".to_owned(), |ty| format_type(ty, -1));
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {oid} ({name}) instead of expected {} ({})",
                element.oid(),
                format_type(element, -1)
            ),
        ));
    }
    let mut elements = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            let len = i32::from_be_bytes(take(reader)?);
            let lower = i32::from_be_bytes(take(reader)?);
            if lower != 1 && len > 0 {
                return Err(Error::unsupported("array lower bounds other than 1 are"));
            }
            elements = receive_elements(element, typmod, len, reader)?;
        }
        _ => return Err(Error::unsupported("arrays of several dimensions are")),
    }
    Ok(Datum::Array(Arc::new(Array { elements })))
}

fn receive_elements(
    element: Type,
    typmod: i32,
    len: i32,
    reader: &mut Reader<'_>,
) -> Result<Vec<Datum>> {
    let short = || bad_binary("insufficient data left in message");
    let len = usize::try_from(len).map_err(|_| bad_binary("invalid array size"))?;
    // Each element has at least its length word.
    if len > reader.remaining() / 4 {
        return Err(short());
    }
    let mut elements = Vec::with_capacity(len);
    for number in 1..=len {
        let size = i32::from_be_bytes(take(reader)?);
        if size == -1 {
            elements.push(Datum::Null);
            continue;
        }
        let size = usize::try_from(size).map_err(|_| short())?;
        let mut item = Reader::new(reader.take(size).ok_or_else(short)?);
        let value = receive(element, typmod, &mut item)?;
        if item.remaining() > 0 {
            return Err(bad_binary(format!(
                "improper binary format in array element {number}"
            )));
        }
        elements.push(apply_typmod(element, typmod, value, false)?);
    }
    Ok(elements)
}

/// Appends the binary form of a value that is not null.
pub fn binary_out(ty: Type, value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int2(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Int4(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Int8(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Oid(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float4(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float8(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Date(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Timestamp(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Lsn(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Char(value) => out.push(*value),
        Datum::Text(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Bytea(value) => out.extend_from_slice(value),
        Datum::Numeric(value) => send_numeric(value, out),
        Datum::Array(record) if ty == Type::Record => send_record(record, out),
        Datum::Array(array) => match ty.element() {
            Some(element) => send_array(element, array, out),
            None => wrong_datum(ty, value),
        },
        Datum::Null => wrong_datum(ty, value),
    }
}

fn send_record(record: &Array, out: &mut Vec<u8>) {
    let count = u32::try_from(record.elements.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    for item in &record.elements {
        let ty = item.own_type();
        out.extend_from_slice(&ty.oid().0.to_be_bytes());
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !item.is_null() {
            binary_out(ty, item, out);
            let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
            out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
}

fn send_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let mut header = |words: [u16; 4]| {
        for word in words {
            out.extend_from_slice(&word.to_be_bytes());
        }
    };
    let decimal = match value {
        Numeric::NaN => return header([0, 0, SIGN_NAN, 0]),
        Numeric::PosInfinity => return header([0, 0, SIGN_POS_INFINITY, INFINITY_SCALE]),
        Numeric::NegInfinity => return header([0, 0, SIGN_NEG_INFINITY, INFINITY_SCALE]),
        Numeric::Finite(decimal) => decimal,
    };
    let (digits, scale) = parts(decimal);
    let sign = match digits.sign() {
        Sign::Minus => SIGN_NEGATIVE,
        _ => 0,
    };
    let display_scale = u16::try_from(scale).expect("a scale of at most 16383");
    if digits.is_zero() {
        return header([0, 0, sign, display_scale]);
    }
    // Zeros are added so that the groups of four digits align with the point.
    let padding = (4 - scale.rem_euclid(4)) % 4;
    let count = digit_count(&digits) + padding;
    let lead = (4 - count.rem_euclid(4)) % 4;
    let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
    let text = zeros(lead) + &digits.magnitude().to_str_radix(10) + &zeros(padding);
    let mut groups: Vec<u16> = text
        .as_bytes()
        .chunks(4)
        .map(|group| {
            group
                .iter()
                .fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
        })
        .collect();
    let fraction_groups = (scale + padding) / 4;
    let weight = groups.len() as i64 - 1 - fraction_groups;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let len = u16::try_from(groups.len()).expect("at most 32768 + 4096 groups");
    let weight = i16::try_from(weight).expect("at most 32768 groups before the point");
    header([len, weight.cast_unsigned(), sign, display_scale]);
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

fn send_array(element: Type, array: &Array, out: &mut Vec<u8>) {
    let word = |n: usize| {
        i32::try_from(n)
            .expect("values shorter than 2 GiB")
            .to_be_bytes()
    };
    let has_nulls = array.elements.iter().any(Datum::is_null);
    let dimensions = usize::from(!array.elements.is_empty());
    out.extend_from_slice(&word(dimensions));
    out.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
    out.extend_from_slice(&element.oid().0.to_be_bytes());
    if dimensions == 0 {
        return;
    }
    out.extend_from_slice(&word(array.elements.len()));
    out.extend_from_slice(&1i32.to_be_bytes());
    for item in &array.elements {
        let start = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !item.is_null() {
            binary_out(element, item, out);
            let size = out.len() - start - 4;
            out[start..start + 4].copy_from_slice(&word(size));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{binary_in, binary_out};
    use crate::types::{Format, Type, compare, text_in};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn values_survive_their_binary_form_and_have_postgresqls_bytes() {
        let format = Format::default();
        for (ty, text, bytes) in [
            (Type::Bool, "t", "01"),
            (Type::Int4, "-2", "fffffffe"),
            (Type::Float8, "1.5", "3ff8000000000000"),
            (Type::Numeric, "12345.678", "00030001000000030001092 91a7c"),
            (Type::Numeric, "-0.0001", "0001ffff400000040001"),
            (Type::Numeric, "0.00", "0000000000000002"),
            (Type::Numeric, "100000000", "00010002000000000001"),
            (Type::Numeric, "NaN", "00000000c0000000"),
            (Type::Numeric, "Infinity", "00000000d0000020"),
            (Type::Date, "2000-01-02", "00000001"),
            (
                Type::Timestamptz,
                "2000-01-01 00:00:01+00",
                "00000000000f4240",
            ),
            (Type::Text, "é", "c3a9"),
            (
                Type::Int4Array,
                "{1,NULL}",
                "00000001000000010000001700000002000000010000000400000001ffffffff",
            ),
            (Type::TextArray, "{}", "000000000000000000000019"),
        ] {
            let value = text_in(ty, -1, text, &format).unwrap();
            let mut out = Vec::new();
            binary_out(ty, &value, &mut out);
            assert_eq!(hex(&out), bytes.replace(' ', ""), "{text}");
            let back = binary_in(ty, -1, &out).unwrap();
            assert!(compare(ty, &value, &back).is_eq(), "{text}");
        }
    }

    #[test]
    fn bad_bytes_are_reported_and_never_panic() {
        let code = |ty, bytes: &[u8]| binary_in(ty, -1, bytes).unwrap_err().sqlstate().to_string();
        assert_eq!(code(Type::Int4, &[0, 0, 1]), "08P01");
        assert_eq!(code(Type::Int4, &[0; 5]), "22P03");
        assert_eq!(code(Type::Text, b"a\xff"), "22021");
        assert_eq!(code(Type::Text, b"a\0"), "22021");
        assert_eq!(
            code(Type::Date, &i32::MAX.wrapping_sub(1).to_be_bytes()),
            "22008"
        );
        assert_eq!(
            code(Type::Numeric, &[0, 1, 0, 0, 0, 1, 0, 0, 0, 1]),
            "22P03"
        );
        assert_eq!(
            code(Type::Numeric, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10]),
            "22P03"
        );
        let mut array = hex_bytes("0000000100000000000000177fffffff00000001");
        assert_eq!(code(Type::Int4Array, &array), "22P03");
        array[11] = 25;
        assert_eq!(code(Type::Int4Array, &array), "42804");
        for ty in Type::all() {
            for len in 0..40 {
                for fill in [0, 1, 0x7f, 0xff] {
                    let _ = binary_in(ty, -1, &vec![fill; len]);
                }
            }
        }
    }

    fn hex_bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }
}
