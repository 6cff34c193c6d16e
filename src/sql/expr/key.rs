//! Values as byte strings that are equal exactly when the values are: keys of hash tables.

use crate::types::numeric::Numeric;
use crate::types::{Datum, Type};

/// Whether values of the two types that are equal have equal hash keys.
pub fn hashable(left: Type, right: Type) -> bool {
    let class = |ty: Type| match ty {
        Type::Int2 | Type::Int4 | Type::Int8 => Type::Int8,
        Type::Float4 | Type::Float8 => Type::Float8,
        // Trailing blanks count in neither; against text they would.
        Type::Bpchar => Type::Bpchar,
        ty if ty.is_text() => Type::Text,
        reg if reg.is_reg() => Type::Oid,
        ty => ty,
    };
    class(left) == class(right)
}

/// Appends the key of a value. NULLs are equal to each other, as GROUP BY and DISTINCT want it.
pub fn hash_key(ty: Type, value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => out.push(0),
        Datum::Bool(b) => out.extend([1, u8::from(*b)]),
        Datum::Int2(i) => integer(i64::from(*i), out),
        Datum::Int4(i) => integer(i64::from(*i), out),
        Datum::Int8(i) => integer(*i, out),
        Datum::Oid(oid) => integer(i64::from(*oid), out),
        Datum::Float4(f) => float(f64::from(*f), out),
        Datum::Float8(f) => float(*f, out),
        Datum::Date(days) => integer(i64::from(*days), out),
        Datum::Timestamp(micros) => integer(*micros, out),
        Datum::Lsn(lsn) => integer(lsn.cast_signed(), out),
        Datum::Char(c) => out.extend([1, *c]),
        Datum::Text(text) => {
            let text = match ty {
                Type::Bpchar | Type::BpcharArray => text.trim_end_matches(' '),
                _ => text.as_str(),
            };
            bytes(text.as_bytes(), out);
        }
        Datum::Bytea(b) => bytes(b, out),
        Datum::Numeric(n) => match &**n {
            Numeric::NaN => out.push(2),
            Numeric::NegInfinity => out.push(3),
            Numeric::PosInfinity => out.push(4),
            Numeric::Finite(decimal) => {
                let (digits, scale) = decimal.normalized().into_bigint_and_exponent();
                out.push(1);
                bytes(&digits.to_signed_bytes_le(), out);
                out.extend(scale.to_le_bytes());
            }
        },
        Datum::Array(array) => {
            out.push(5);
            out.extend((array.elements.len() as u64).to_le_bytes());
            let element = ty.element().unwrap_or(Type::Any);
            for value in &array.elements {
                hash_key(element, value, out);
            }
        }
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    out.push(1);
    out.extend(value.to_le_bytes());
}

/// Zeros are equal whatever their sign, and so are all NaNs.
fn float(value: f64, out: &mut Vec<u8>) {
    let value = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    out.push(1);
    out.extend(value.to_bits().to_le_bytes());
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(1);
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value);
}
