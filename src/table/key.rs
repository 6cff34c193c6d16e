//! Index keys: bytes whose order is the order of the values.
//!
//! Each column is a marker and, unless null, the value in an order-preserving form (inverted when
//! descending):
//!
//! | value | form |
//! |---|---|
//! | integers, date, timestamp | big-endian, sign bit flipped |
//! | real, double | big-endian bits; all flipped if negative, else the sign; NaN highest |
//! | text (char(n) without trailing blanks) | the bytes, then 0 |
//! | bytea | the bytes with 0 as 0 255, then 0 0 |
//! | numeric | class, exponent, digits plus one, then 0; inverted if negative |

use std::ops::Bound;

use crate::base::{Error, Result, RowId, SqlState};
use crate::table::def::IndexColumn;
use crate::table::{IndexDef, TableDef};
use crate::txn::Key;
use crate::types::{Datum, Numeric, Type};

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;

/// PostgreSQL's limit on a B+tree entry, of which we keep some for the row id.
const KEY_BYTES_MAX: usize = 1990;

/// Whether a column of this type can be indexed.
pub fn is_indexable(ty: Type) -> bool {
    ty.element().is_none() && !matches!(ty, Type::Void | Type::Record | Type::Any)
}

/// The key of a row in an index, and whether a key column is null (such keys never collide).
pub(super) struct IndexKey {
    pub(super) key: Key,
    pub(super) has_null: bool,
}

impl IndexKey {
    pub(super) fn of(table: &TableDef, index: &IndexDef, row: &[Datum]) -> Result<IndexKey> {
        let mut key = Key::new();
        let mut has_null = false;
        for column in &index.columns {
            let value = &row[column.column];
            has_null |= value.is_null();
            put(&mut key, table.columns[column.column].ty, *column, value);
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(too_long(key.len(), &index.name));
        }
        Ok(IndexKey { key, has_null })
    }

    /// The key under which the index's tree holds the row: with the row id unless it is unique.
    pub(super) fn entry(&self, index: &IndexDef, row: RowId) -> Key {
        let mut key = self.key.clone();
        if !index.unique || self.has_null {
            key.extend_from_slice(&row.0.to_be_bytes());
        }
        key
    }
}

fn too_long(len: usize, index: &str) -> Error {
    let message =
        format!("index row size {len} exceeds maximum {KEY_BYTES_MAX} for index \"{index}\"");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("Values larger than 1/3 of a buffer page cannot be indexed.")
}

fn put(key: &mut Key, ty: Type, column: IndexColumn, value: &Datum) {
    if value.is_null() {
        key.push(if column.nulls_first {
            NULL_FIRST
        } else {
            NULL_LAST
        });
        return;
    }
    key.push(VALUE);
    let start = key.len();
    put_value(key, ty, value);
    if column.descending {
        key[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

fn put_value(key: &mut Key, ty: Type, value: &Datum) {
    const SIGN32: u32 = 1 << 31;
    const SIGN64: u64 = 1 << 63;
    match value {
        Datum::Null => {}
        Datum::Bool(v) => key.push((*v).into()),
        Datum::Char(v) => key.push(*v),
        Datum::Int2(v) => key.extend_from_slice(&(v.cast_unsigned() ^ (1 << 15)).to_be_bytes()),
        Datum::Int4(v) | Datum::Date(v) => {
            key.extend_from_slice(&(v.cast_unsigned() ^ SIGN32).to_be_bytes());
        }
        Datum::Int8(v) | Datum::Timestamp(v) => {
            key.extend_from_slice(&(v.cast_unsigned() ^ SIGN64).to_be_bytes());
        }
        Datum::Lsn(v) => key.extend_from_slice(&v.to_be_bytes()),
        Datum::Oid(v) => key.extend_from_slice(&v.to_be_bytes()),
        Datum::Float4(v) => {
            let bits = if v.is_nan() {
                f32::NAN.to_bits()
            } else {
                (v + 0.0).to_bits()
            };
            let ordered = if bits & SIGN32 != 0 {
                !bits
            } else {
                bits | SIGN32
            };
            key.extend_from_slice(&ordered.to_be_bytes());
        }
        Datum::Float8(v) => {
            let bits = if v.is_nan() {
                f64::NAN.to_bits()
            } else {
                (v + 0.0).to_bits()
            };
            let ordered = if bits & SIGN64 != 0 {
                !bits
            } else {
                bits | SIGN64
            };
            key.extend_from_slice(&ordered.to_be_bytes());
        }
        Datum::Text(s) => {
            let s = if ty == Type::Bpchar {
                s.trim_end_matches(' ')
            } else {
                s
            };
            key.extend_from_slice(s.as_bytes());
            key.push(0);
        }
        Datum::Bytea(bytes) => {
            for &byte in bytes.iter() {
                key.push(byte);
                if byte == 0 {
                    key.push(255);
                }
            }
            key.extend_from_slice(&[0, 0]);
        }
        Datum::Numeric(n) => put_numeric(key, n),
        // `is_indexable` refuses arrays before a key is made of one.
        Datum::Array(_) => {}
    }
}

fn put_numeric(key: &mut Key, n: &Numeric) {
    let Numeric::Finite(decimal) = n else {
        return key.push(match n {
            Numeric::NegInfinity => 0,
            Numeric::PosInfinity => 4,
            _ => 5,
        });
    };
    let (digits, scale) = decimal.as_bigint_and_exponent();
    let digits = digits.to_string();
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.as_str()),
    };
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return key.push(2);
    }
    key.push(if negative { 1 } else { 3 });
    let start = key.len();
    // The value is 0.digits × 10^exponent.
    let exponent = i64::try_from(digits.len()).unwrap_or(i64::MAX) - scale;
    key.extend_from_slice(&(exponent.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key.extend(significant.bytes().map(|digit| digit - b'0' + 1));
    key.push(0);
    if negative {
        key[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// A value as one of a type that compares with its own, to look it up in an index of that type;
/// `None` where that type has no such value.
pub fn as_key_type(value: &Datum, ty: Type) -> Option<Datum> {
    let integer = match value {
        Datum::Int2(i) => i64::from(*i),
        Datum::Int4(i) => i64::from(*i),
        Datum::Int8(i) => *i,
        Datum::Float4(f) if ty == Type::Float8 => return Some(Datum::Float8(f64::from(*f))),
        Datum::Float8(f) if ty == Type::Float4 => return as_float4(*f),
        other => return Some(other.clone()),
    };
    match ty {
        Type::Int2 => i16::try_from(integer).ok().map(Datum::Int2),
        Type::Int4 => i32::try_from(integer).ok().map(Datum::Int4),
        _ => Some(Datum::Int8(integer)),
    }
}

fn as_float4(value: f64) -> Option<Datum> {
    #[expect(clippy::cast_possible_truncation, reason = "what is lost is looked at")]
    let narrow = value as f32;
    let is_same = f64::from(narrow) == value || value.is_nan();
    is_same.then_some(Datum::Float4(narrow))
}

/// A range of an index, in encoded keys.
#[derive(Clone, Debug)]
pub struct KeyRange {
    pub(super) lower: Bound<Key>,
    pub(super) upper: Bound<Key>,
}

/// The keys whose first columns equal `equal` and whose next column is between `lower` and `upper`
/// (value, inclusive). A comparison with NULL never matches: the range is empty.
pub fn key_range(
    table: &TableDef,
    index: &IndexDef,
    equal: &[Datum],
    lower: Option<(&Datum, bool)>,
    upper: Option<(&Datum, bool)>,
) -> KeyRange {
    let ranged = lower.iter().chain(upper.iter()).map(|bound| bound.0);
    if equal.iter().chain(ranged).any(Datum::is_null) {
        let nothing = Key::new();
        return KeyRange {
            lower: Bound::Included(nothing.clone()),
            upper: Bound::Excluded(nothing),
        };
    }
    let mut prefix = Key::new();
    for (column, value) in index.columns.iter().zip(equal) {
        put(&mut prefix, table.columns[column.column].ty, *column, value);
    }
    let Some(next) = index.columns.get(equal.len()) else {
        return all_of(prefix);
    };
    if lower.is_none() && upper.is_none() {
        return all_of(prefix);
    }
    // In a descending column the greater values come first.
    let (first, last) = if next.descending {
        (upper, lower)
    } else {
        (lower, upper)
    };
    let with = |value: &Datum| {
        let mut key = prefix.clone();
        put(&mut key, table.columns[next.column].ty, *next, value);
        key
    };
    let values = |marker: u8| {
        let mut key = prefix.clone();
        key.push(marker);
        key
    };
    KeyRange {
        lower: match first {
            Some((value, true)) => Bound::Included(with(value)),
            Some((value, false)) => successor(with(value)),
            None => Bound::Included(values(VALUE)),
        },
        upper: match last {
            Some((value, true)) => end_of(with(value)),
            Some((value, false)) => Bound::Excluded(with(value)),
            None => Bound::Excluded(values(VALUE + 1)),
        },
    }
}

impl KeyRange {
    /// The whole index.
    pub fn all() -> KeyRange {
        KeyRange {
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }
}

/// All keys that start with a prefix.
pub(super) fn all_of(prefix: Key) -> KeyRange {
    KeyRange {
        upper: end_of(prefix.clone()),
        lower: Bound::Included(prefix),
    }
}

/// Behind all keys that start with a prefix.
fn end_of(prefix: Key) -> Bound<Key> {
    match next_prefix(prefix) {
        Some(next) => Bound::Excluded(next),
        None => Bound::Unbounded,
    }
}

/// From the first key that does not start with a prefix and is greater.
fn successor(prefix: Key) -> Bound<Key> {
    match next_prefix(prefix.clone()) {
        Some(next) => Bound::Included(next),
        None => Bound::Excluded(prefix),
    }
}

fn next_prefix(mut prefix: Key) -> Option<Key> {
    while let Some(last) = prefix.pop() {
        if let Some(more) = last.checked_add(1) {
            prefix.push(more);
            return Some(prefix);
        }
    }
    None
}
