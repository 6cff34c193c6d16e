//! Identifiers are types, so that two of them cannot be swapped in a call.

use std::fmt;

/// A position in the endless stream of log record bytes. Never rewinds, never restarts.
/// The lsn of a commit is the END of its blob, and a snapshot is the lsn it reads at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Before the first byte of the log.
    pub const ZERO: Lsn = Lsn(0);
    /// Later than every commit: a read at `NEWEST` gives the newest installed version.
    pub const NEWEST: Lsn = Lsn(u64::MAX);
}

impl fmt::Display for Lsn {
    /// PostgreSQL's `pg_lsn` form: two hexadecimal halves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// A page: a space (one database; 0 is the cluster's own) and a number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId {
    pub space: u32,
    pub number: u32,
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.space, self.number)
    }
}

/// A transaction, for the log and the lock manager. Unique while the process lives; visibility
/// never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// A B+tree, by a number that outlives the place of its root page. Never reused in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId(pub u32);

impl TreeId {
    /// The tree of the catalog's rows, made with the database.
    pub const CATALOG: TreeId = TreeId(1);
}

/// A PostgreSQL object identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub u32);

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row of a table: its key in the table's tree. Never reused while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);
