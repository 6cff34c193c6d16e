//! PostgreSQL's wire protocol 3.0: sockets, framing, messages, flow control.
//!
//! The life of a message: `connection` reads into one buffer, `frame` slices it by its length,
//! `decode` turns the slice into a [`crate::session::Request`], the session handles it and sends
//! replies, which `encode` appends to one output buffer; that is written at Query, Sync and Flush
//! or when it is large. `startup` lets clients in, `server` owns listeners and tasks.
//!
//! Messages are decoded and encoded by hand, on borrowed bytes: the decoders of pgwire panic on
//! bodies that are too short, allocate what a count claims, and alter invalid UTF-8. Its names for
//! message types are used.
//!
//! Invariants:
//! - W1: a frame's length is checked before anything is allocated for it; nothing a client sends
//!   panics.
//! - W2: before a client has been let in, its messages are limited to [`STARTUP_BYTES_MAX`].
//! - W3: the client's text reaches the session only as valid UTF-8 without NUL; anything else is
//!   an error (22021), never altered.
//! - W4: without passwords, only clients of this machine are let in, unless the operator says
//!   otherwise.
//!
//! Nothing here knows SQL.

mod connection;
mod decode;
mod encode;
mod frame;
mod server;
mod socket;
mod startup;

pub use server::{Config, Server};
pub use startup::STARTUP_BYTES_MAX;
