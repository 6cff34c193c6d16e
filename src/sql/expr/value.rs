//! Datums as expressions handle them: copying, comparing, converting.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::base::Result;
use crate::sql::func::EvalContext;
use crate::sql::func::text::output;
use crate::types::{self, Datum, Format, Type};

/// Writes a value into a row slot, keeping the slot's allocation where it can.
pub fn assign(slot: &mut Datum, value: Cow<'_, Datum>) {
    match value {
        Cow::Borrowed(Datum::Text(text)) => slot.set_text(text),
        Cow::Borrowed(datum) => *slot = datum.clone(),
        Cow::Owned(datum) => *slot = datum,
    }
}

/// The order of two non-null values of one type.
pub fn compare(ty: Type, a: &Datum, b: &Datum) -> Ordering {
    types::compare(ty, a, b)
}

/// Reads a value of `ty` from its text form.
pub fn text_in(text: &str, ty: Type, format: &Format) -> Result<Datum> {
    types::text_in(ty, -1, text, format)
}

/// Appends the text form of a non-null value.
pub fn text_out(value: &Datum, ty: Type, format: &Format, out: &mut Vec<u8>) {
    types::text_out(ty, value, format, out);
}

/// The text form of a non-null value.
pub fn to_text(value: &Datum, ty: Type, format: &Format) -> String {
    let mut text = Vec::new();
    text_out(value, ty, format, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A conversion through the text form.
pub(super) fn in_out(value: &Datum, from: Type, to: Type, cx: &EvalContext<'_>) -> Result<Datum> {
    match value {
        Datum::Null => Ok(Datum::Null),
        Datum::Text(text) => text_in(text, to, cx.format),
        value => {
            let text = output(cx, from, value)?;
            if to.is_text() {
                return Ok(Datum::Text(text));
            }
            text_in(&text, to, cx.format)
        }
    }
}

pub(super) fn apply_typmod(
    value: Cow<'_, Datum>,
    ty: Type,
    typmod: i32,
    explicit: bool,
) -> Result<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    types::apply_typmod(ty, typmod, value.into_owned(), explicit)
}
