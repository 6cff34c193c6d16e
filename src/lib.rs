//! Walnut: PostgreSQL in a nutshell.

pub mod base;
pub mod btree;

pub mod pages;
