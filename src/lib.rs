//! Walnut: PostgreSQL in a nutshell.

pub mod base;

pub mod pages;
