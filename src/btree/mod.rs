//! Ordered byte-string keys with byte-string values, on pages.
//!
//! A tree is known by its root page, which never moves: a root that splits moves its content down.
//! Readers descend at a snapshot ([`get`], [`Near`], [`Cursor`]); writers edit a [`Batch`] under the
//! exclusive latch of the root ([`put`], [`delete`], [`apply`] for many). [`bulk_build`] makes a tree
//! from sorted entries, [`TreeBuilder`] does so step by step and in other places ([`Sink`]),
//! [`Merge`] reads several trees as one, [`adopt`] makes one of two, [`unchanged`] compares a tree
//! with what it was, [`verify`] checks a whole one.
//!
//! # Invariants
//! - **B1** Keys within a node strictly rise, by byte order. All keys below the child left of a
//!   separator are less than it; all keys below the child right of it are equal or greater.
//!   Separators are as short as that allows, and need not be keys of the tree.
//! - **B2** A node's children are all one level below it; leaves are level 0.
//! - **B3** No leaf is empty but a root. A root that is an inner node has two children or more;
//!   other inner nodes have one or more.
//! - **B4** In a node, the cells and the garbage together fill exactly the bytes from `cells_start`
//!   to the end of the page, and cells do not overlap.
//! - **B5** Every page belongs to one place of one tree: a node, or a link of the overflow chain
//!   of one value. Nothing links siblings; a cursor keeps its path from the root.
//! - **B6** A reader who saw anything newer than its snapshot depends on the highest lsn among
//!   *all* nodes on its path, since a delete may leave its trace in an inner node only.
//! - **B7** Bytes of pages never panic here: what does not fit the format is
//!   [`crate::base::Error::Corrupt`] with the page's id.
//!
//! A tree must not be read at a snapshot older than its creation: its root's page then is missing
//! or belongs to something else.

mod adopt;
mod apply;
mod bulk;
mod cursor;
mod delete;
mod merge;
mod node;
mod overflow;
mod put;
mod search;
mod sink;
mod unchanged;
mod value;
mod verify;

#[cfg(test)]
mod tests;

pub use adopt::{Adopted, adopt};
pub use apply::apply;
pub use bulk::{TreeBuilder, bulk_build};
pub use cursor::Cursor;
pub use delete::{delete, destroy};
pub use merge::Merge;
pub use node::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use put::{create, put};
pub use search::{Lookup, Near, Source, View, get, get_from};
pub use sink::Sink;
pub use unchanged::unchanged;
pub use value::{Value, ValueRef};
pub use verify::{Stats, verify};

#[cfg(doc)]
use crate::pages::Batch;
