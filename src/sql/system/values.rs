//! Short names for the datums that rows are made of.

use std::sync::Arc;

use crate::types::{Array, Datum};

pub(super) const NULL: Datum = Datum::Null;

pub(super) fn boolean(x: bool) -> Datum {
    Datum::Bool(x)
}

pub(super) fn int2(x: i16) -> Datum {
    Datum::Int2(x)
}

pub(super) fn int4(x: i32) -> Datum {
    Datum::Int4(x)
}

pub(super) fn oid(x: u32) -> Datum {
    Datum::Oid(x)
}

pub(super) fn letter(x: u8) -> Datum {
    Datum::Char(x)
}

/// text, varchar or name.
pub(super) fn text(x: impl Into<String>) -> Datum {
    Datum::Text(x.into())
}

pub(super) fn array(elements: impl IntoIterator<Item = Datum>) -> Datum {
    Datum::Array(Arc::new(Array {
        elements: elements.into_iter().collect(),
    }))
}

/// The number of a column at that place; a table has at most 1600.
pub(super) fn attnum(place: usize) -> i16 {
    i16::try_from(place + 1).unwrap_or(i16::MAX)
}

pub(super) fn count2(n: usize) -> Datum {
    Datum::Int2(i16::try_from(n).unwrap_or(i16::MAX))
}
