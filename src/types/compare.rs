//! The order of values in btree indexes, and hashes that agree with it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::types::datum::Array;
use crate::types::{Datum, Type, wrong_datum};

/// Compares two values that are not null, as the btree operators of the type do: texts by bytes
/// (C collation), char(n) without trailing blanks, NaN above every other number.
pub fn compare(ty: Type, a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) if ty == Type::Bpchar => blanks_off(a).cmp(blanks_off(b)),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats(f64::from(*a), f64::from(*b)),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Lsn(a), Datum::Lsn(b)) => a.cmp(b),
        (Datum::Char(a), Datum::Char(b)) => a.cmp(b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Array(x), Datum::Array(y)) => match ty.element() {
            Some(element) => compare_arrays(element, x, y),
            None => wrong_datum(ty, a),
        },
        _ => wrong_datum(ty, a),
    }
}

/// Feeds a value that is not null to a hasher; values that [`compare`] equal feed the same. The
/// integer types hash alike, as do the float types.
pub fn hash(ty: Type, value: &Datum, state: &mut impl Hasher) {
    match value {
        Datum::Int2(value) => state.write_i64(i64::from(*value)),
        Datum::Int4(value) => state.write_i64(i64::from(*value)),
        Datum::Int8(value) => state.write_i64(*value),
        Datum::Text(text) if ty == Type::Bpchar => blanks_off(text).hash(state),
        Datum::Text(text) => text.as_bytes().hash(state),
        Datum::Bool(value) => value.hash(state),
        Datum::Oid(value) => value.hash(state),
        Datum::Float4(value) => hash_float(f64::from(*value), state),
        Datum::Float8(value) => hash_float(*value, state),
        Datum::Date(value) => value.hash(state),
        Datum::Timestamp(value) => value.hash(state),
        Datum::Lsn(value) => value.hash(state),
        Datum::Char(value) => value.hash(state),
        Datum::Bytea(value) => value.hash(state),
        Datum::Numeric(value) => value.hash(state),
        Datum::Array(array) => {
            let Some(element) = ty.element() else {
                wrong_datum(ty, value)
            };
            state.write_usize(array.elements.len());
            for item in &array.elements {
                item.is_null().hash(state);
                if !item.is_null() {
                    hash(element, item, state);
                }
            }
        }
        Datum::Null => wrong_datum(ty, value),
    }
}

/// char(n) compares without its padding.
fn blanks_off(text: &str) -> &[u8] {
    text.trim_end_matches(' ').as_bytes()
}

fn compare_floats(a: f64, b: f64) -> Ordering {
    // Only NaN does not compare: it equals itself and is greater than the rest.
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn hash_float(value: f64, state: &mut impl Hasher) {
    let canonical = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    state.write_u64(canonical.to_bits());
}

/// Element by element, nulls last, then by length.
fn compare_arrays(element: Type, a: &Array, b: &Array) -> Ordering {
    for (a, b) in a.elements.iter().zip(&b.elements) {
        let order = match (a.is_null(), b.is_null()) {
            (false, false) => compare(element, a, b),
            (a, b) => a.cmp(&b),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.elements.len().cmp(&b.elements.len())
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;
    use std::hash::{DefaultHasher, Hasher};

    use super::{compare, hash};
    use crate::types::{Datum, Format, Type, text_in};

    fn read(ty: Type, text: &str) -> Datum {
        text_in(ty, -1, text, &Format::default()).unwrap()
    }

    fn hashed(ty: Type, value: &Datum) -> u64 {
        let mut state = DefaultHasher::new();
        hash(ty, value, &mut state);
        state.finish()
    }

    #[test]
    fn equal_values_hash_alike_whatever_their_form() {
        let long = "1".repeat(60);
        for (ty, a, b) in [
            (Type::Numeric, "1.0", "1.00"),
            (
                Type::Numeric,
                "1e60",
                "1000000000000000000000000000000000000000000000000000000000000.0",
            ),
            (Type::Numeric, "0", "0.000"),
            (Type::Numeric, "NaN", "nan"),
            (Type::Numeric, &format!("{long}.5"), &format!("{long}.5000")),
            (Type::Float8, "-0", "0"),
            (Type::Float8, "NaN", "nan"),
            (Type::Bpchar, "a", "a  "),
            (Type::NumericArray, "{1.0,NULL}", "{1.00,NULL}"),
        ] {
            let (a, b) = (read(ty, a), read(ty, b));
            assert!(compare(ty, &a, &b).is_eq());
            assert_eq!(hashed(ty, &a), hashed(ty, &b));
        }
        assert!(compare(Type::Text, &read(Type::Text, "a"), &read(Type::Text, "a ")).is_ne());
    }

    #[test]
    fn values_are_in_the_order_of_postgresqls_btree() {
        for (ty, ascending) in [
            (
                Type::Float8,
                &["-Infinity", "-1", "0", "1", "Infinity", "NaN"][..],
            ),
            (
                Type::Numeric,
                &["-Infinity", "-1", "0", "0.1", "1e30", "Infinity", "NaN"],
            ),
            (Type::Text, &["", "B", "a", "b", "é"]),
            (Type::Bool, &["f", "t"]),
            (
                Type::Date,
                &["-infinity", "0001-01-01 BC", "2024-01-01", "infinity"],
            ),
            (
                Type::Int4Array,
                &["{}", "{1}", "{1,2}", "{1,NULL}", "{2}", "{NULL}"],
            ),
            (Type::Char, &["a", "\\377"]),
        ] {
            for pair in ascending.windows(2) {
                let (a, b) = (read(ty, pair[0]), read(ty, pair[1]));
                assert_eq!(compare(ty, &a, &b), Ordering::Less, "{pair:?}");
                assert_eq!(compare(ty, &b, &a), Ordering::Greater, "{pair:?}");
            }
        }
    }
}
