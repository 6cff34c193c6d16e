//! One value.

use std::sync::Arc;

use crate::types::Type;
use crate::types::numeric::Numeric;

/// One value of a type that its holder knows.
///
/// Row buffers are reused: writing a text over a text keeps the allocation, so a scan does not
/// allocate for each row.
#[derive(Clone, Debug, Default)]
pub enum Datum {
    #[default]
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    /// oid and the reg* types.
    Oid(u32),
    Float4(f32),
    Float8(f64),
    /// Days since 2000-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
    Date(i32),
    /// timestamp and timestamptz: microseconds since 2000-01-01 00:00 (UTC for timestamptz);
    /// `i64::MIN` and `i64::MAX` are -infinity and infinity.
    Timestamp(i64),
    /// pg_lsn: a position in the log.
    Lsn(u64),
    /// PostgreSQL's one-byte "char".
    Char(u8),
    /// text, varchar, char(n) (blank-padded), name and unknown.
    Text(String),
    Bytea(Box<[u8]>),
    Numeric(Box<Numeric>),
    Array(Arc<Array>),
}

/// A one-dimensional array (lower bound 1), or an empty one.
#[derive(Clone, Debug)]
pub struct Array {
    pub elements: Vec<Datum>,
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The type that a value of this variant has if nothing else is known of it.
    pub(super) fn own_type(&self) -> Type {
        match self {
            Datum::Null | Datum::Text(_) => Type::Text,
            Datum::Bool(_) => Type::Bool,
            Datum::Int2(_) => Type::Int2,
            Datum::Int4(_) => Type::Int4,
            Datum::Int8(_) => Type::Int8,
            Datum::Oid(_) => Type::Oid,
            Datum::Float4(_) => Type::Float4,
            Datum::Float8(_) => Type::Float8,
            Datum::Date(_) => Type::Date,
            Datum::Timestamp(_) => Type::Timestamp,
            Datum::Lsn(_) => Type::PgLsn,
            Datum::Char(_) => Type::Char,
            Datum::Bytea(_) => Type::Bytea,
            Datum::Numeric(_) => Type::Numeric,
            Datum::Array(_) => Type::Record,
        }
    }

    pub fn text(s: impl Into<String>) -> Datum {
        Datum::Text(s.into())
    }

    /// Overwrites with a text, keeping the allocation of a text that was there.
    pub fn set_text(&mut self, s: &str) {
        match self {
            Datum::Text(old) => {
                old.clear();
                old.push_str(s);
            }
            _ => *self = Datum::Text(s.to_owned()),
        }
    }
}

const _: () = assert!(size_of::<Datum>() == 24, "rows are arrays of these");
