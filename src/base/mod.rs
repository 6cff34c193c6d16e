//! What every layer may use: identifiers, errors, byte readers, and the synchronisation shim.
//!
//! Nothing here knows another layer or touches a file.

mod blocking;
pub mod bytes;
mod cancel;
pub mod error;
pub mod ids;
pub mod sync;

pub use blocking::blocking;
pub use cancel::CancelFlag;
pub use error::{Error, Report, Result, SqlState};
pub use ids::{Lsn, Oid, PageId, RowId, TreeId, TxnId};
