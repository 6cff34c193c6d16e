//! Walnut: PostgreSQL in a nutshell.

pub mod base;
