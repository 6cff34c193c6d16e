//! Values and their types: PostgreSQL's base types, their text and binary forms, comparison and
//! arithmetic that several layers need.
//!
//! - [`Type`] names a type (its OID, length and category as in `pg_type`); a type modifier is an
//!   `i32` as PostgreSQL encodes it in `atttypmod` (-1: none).
//! - [`Datum`] is one value. It does not carry its type: text, varchar, char(n), name and unknown
//!   share a variant, timestamp and timestamptz too. Whoever holds a datum knows its type.

mod datum;
mod format;
pub mod numeric;
mod ty;

pub use datum::{Array, Datum};
pub use format::{ByteaOutput, DateOrder, Format};
pub use numeric::Numeric;
pub use ty::{Category, Type};
