//! Unmodified clients against the server: psql, psycopg, tokio-postgres, and bytes by hand.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod activity;
mod copy;
mod drivers;
mod frames;
mod process;
mod psql;
mod psycopg;
mod sessions;
