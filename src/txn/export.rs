//! Snapshots that a transaction gives to others, by name, until it ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Oid;
use crate::base::sync::Mutex;
use crate::pages::Snapshot;
use crate::txn::{Isolation, Transaction};

/// What is exported at the moment, in all databases.
#[derive(Default)]
pub struct Exports {
    by_name: Mutex<BTreeMap<String, Exported>>,
}

/// A snapshot, and what is to be known of the transaction that reads at it.
#[derive(Clone)]
pub struct Exported {
    pub database: Oid,
    pub isolation: Isolation,
    pub read_only: bool,
    snapshot: Arc<Snapshot>,
}

/// Dropping it ends the export; who has imported the snapshot keeps it.
pub struct Export {
    exports: Arc<Exports>,
    name: String,
}

impl Exports {
    pub fn add(self: &Arc<Self>, name: &str, exported: Exported) -> Export {
        self.by_name.lock().insert(name.to_owned(), exported);
        Export {
            exports: Arc::clone(self),
            name: name.to_owned(),
        }
    }

    pub fn find(&self, name: &str) -> Option<Exported> {
        self.by_name.lock().get(name).cloned()
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.exports.by_name.lock().remove(&self.name);
    }
}

impl Transaction {
    /// The statement's snapshot, to be exported; `None` if it has none.
    pub fn exportable(&self, database: Oid, read_only: bool) -> Option<Exported> {
        Some(Exported {
            database,
            isolation: self.isolation,
            read_only,
            snapshot: self.snapshot.clone()?,
        })
    }

    /// Has all statements read at the snapshot of another transaction, which may be older than
    /// what the session has seen before. Above READ COMMITTED, before the first statement.
    pub fn import(&mut self, exported: &Exported) {
        self.snapshot = Some(exported.snapshot.clone());
        self.fixed = self.snapshot.clone();
    }
}
