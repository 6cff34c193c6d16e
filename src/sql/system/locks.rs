//! pg_locks.

use crate::base::Oid;
use crate::sql::func::EvalContext;
use crate::txn::{ListedLock, LockSubject};
use crate::types::Datum;
use crate::types::datetime::micros_at;

use super::Rows;
use super::values::{NULL, boolean, int2, int4, oid, text};

/// The locks of the database that are held and waited for. Rows, keys and names are locked by
/// locks on the transactions that have them, as in PostgreSQL; indexes, system relations and
/// virtual transactions are not locked.
pub(super) fn pg_locks(cx: &EvalContext<'_>) -> Rows {
    let Some(backend) = &cx.session.backend else {
        return Vec::new();
    };
    let database = cx.session.database_oid;
    let locks = backend.locks.list();
    locks.iter().map(|lock| row(lock, database)).collect()
}

fn row(lock: &ListedLock, database: Oid) -> Vec<Datum> {
    let (kind, database) = match lock.subject {
        LockSubject::Relation(_) => ("relation", oid(database.0)),
        LockSubject::Transaction(_) => ("transactionid", NULL),
        LockSubject::Advisory(..) => ("advisory", oid(database.0)),
    };
    let relation = match lock.subject {
        LockSubject::Relation(table) => oid(table.0),
        _ => NULL,
    };
    let transaction = match lock.subject {
        // PostgreSQL shows 32 bits of its transaction ids.
        LockSubject::Transaction(txn) => oid(u32::try_from(txn.0 % (1 << 32)).unwrap_or(0)),
        _ => NULL,
    };
    let [class, object, sub] = match lock.subject {
        LockSubject::Advisory(class, object, sub) => [oid(class), oid(object), int2(sub)],
        _ => [NULL; 3],
    };
    vec![
        text(kind),
        database,
        relation,
        NULL, // page
        NULL, // tuple
        NULL, // virtualxid
        transaction,
        class,
        object,
        sub,
        text(format!("{}/{}", lock.pid, lock.txn.0)),
        match lock.pid {
            0 => NULL,
            pid => int4(pid),
        },
        text(lock.mode.name()),
        boolean(lock.waiting_since.is_none()),
        boolean(false), // fastpath
        lock.waiting_since
            .map_or(NULL, |since| Datum::Timestamp(micros_at(since))),
    ]
}
