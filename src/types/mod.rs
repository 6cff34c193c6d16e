//! Values and their types: PostgreSQL's base types, their text and binary forms, comparison and
//! arithmetic that several layers need.
//!
//! - [`Type`] names a type (its OID, length and category as in `pg_type`); a type modifier is an
//!   `i32` as PostgreSQL encodes it in `atttypmod` (-1: none).
//! - [`Datum`] is one value. It does not carry its type: text, varchar, char(n), name and unknown
//!   share a variant, timestamp and timestamptz too. Whoever holds a datum knows its type.
//! - [`text_in`] and [`text_out`] are PostgreSQL's input and output functions, [`binary_in`] and
//!   [`binary_out`] its receive and send functions, [`apply_typmod`] its length coercions;
//!   [`compare`] is the order of a btree index and [`hash`] agrees with it.
//! - [`Numeric`] is exact arithmetic; [`datetime`] is the calendar, time zones and the parts of
//!   dates; [`Format`] holds the session settings that text forms depend on.
//!
//! Invariants:
//! - T1: `text_in(text_out(v)) == v` where `extra_float_digits` is positive, and the same for the
//!   binary form.
//! - T2: `compare(a, b) == Equal` implies equal hashes.
//! - T3: a function that takes a type and a datum of another type panics: that is a bug of the
//!   caller, which never comes from a client's bytes.

mod array;
mod binary;
mod compare;
pub mod datetime;
mod datetime_in;
mod datum;
mod encoding;
mod float;
mod format;
pub mod numeric;
mod numeric_math;
mod text;
mod ty;
mod typmod;
mod zone;

pub use binary::{binary_in, binary_out};
pub use compare::{compare, hash};
pub use datum::{Array, Datum};
pub use encoding::checked_text;
pub use format::{ByteaOutput, DateOrder, Format};
pub use numeric::Numeric;
pub use text::{text_in, text_out};
pub use ty::{Category, Type};
pub use typmod::{apply_typmod, format_type, typmod_in};

/// A caller passed a datum that its type cannot have (T3).
#[cold]
fn wrong_datum(ty: Type, value: &Datum) -> ! {
    panic!("a {} held as {value:?}", ty.name())
}
