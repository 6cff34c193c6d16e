//! What the coordinator imports from `crate::base`: the real identifiers and errors, and the
//! checker's primitives.

#[allow(dead_code)]
#[path = "../../src/base/error.rs"]
mod error;
#[allow(dead_code)]
#[path = "../../src/base/ids.rs"]
mod ids;
pub mod sync;

pub use error::{Error, Result};
pub use ids::Lsn;
