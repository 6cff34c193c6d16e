//! Walnut: PostgreSQL in a nutshell.

pub mod base;
pub mod sql;
pub mod table;
pub mod types;
