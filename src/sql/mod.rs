//! The SQL engine: parse → bind → plan → execute.
//!
//! The life of a statement: `parse` makes a tree of what is written, [`prepare`] has it bound
//! (names, types, casts) and planned, [`execute`] runs it in a transaction and gives an
//! [`Outcome`]: rows to be pulled, a command tag, or a COPY in progress.
//!
//! S1: a plan runs only against the catalog it was made for: tables are locked first, then the
//!     catalog's version is compared; if it has moved on, the statement is prepared again.
//! S2: rows and errors that may show what is not durable yet are held back until it is
//!     ([`crate::table::Txn::wait_shown`]).

pub mod ast;
pub mod bind;
pub mod context;
pub mod copy;
mod ddl;
pub(crate) mod exec;
pub mod expr;
pub(crate) mod foreign_key;
pub mod func;
pub mod ir;
pub mod parse;
pub(crate) mod plan;
mod prepared;
mod rows;
pub mod system;
#[cfg(test)]
mod tests;

pub use copy::{CopyIn, CopyOut};
pub use foreign_key::check_deferred;
pub use prepared::{Outcome, Prepared, execute, prepare};
pub use rows::Rows;
