//! What every layer may use: identifiers, errors, byte readers, the synchronisation shim, and
//! what shows and stops sessions.
//!
//! Nothing here knows another layer or touches a file.

mod activity;
mod blocking;
pub mod bytes;
mod cancel;
pub mod error;
pub mod ids;
mod sessions;
pub mod sync;

pub use activity::{Activity, BackendFacts, Current, Doing, Observed};
pub use blocking::blocking;
pub use cancel::{CancelFlag, terminate_all, terminated};
pub use error::{Error, Report, Result, SqlState};
pub use ids::{Lsn, Oid, PageId, RowId, TreeId, TxnId};
pub use sessions::{Registration, Sessions};
