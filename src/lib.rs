//! Walnut: PostgreSQL in a nutshell.

pub mod base;
pub mod btree;
pub mod database;
pub mod disk;
pub mod pages;
pub mod sql;
pub mod table;
pub mod txn;
pub mod types;
pub mod wal;
