//! Identifiers are types, so that two of them cannot be swapped in a call.

use std::fmt;
use std::str::FromStr;

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

/// Text that is no position in PostgreSQL's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnLsn;

impl fmt::Display for NotAnLsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not of the form X/X, two hexadecimal numbers of up to 8 digits")
    }
}

impl std::error::Error for NotAnLsn {}

impl FromStr for Lsn {
    type Err = NotAnLsn;

    /// PostgreSQL's `pg_lsn` form, in either case: one to eight digits on both sides.
    fn from_str(text: &str) -> Result<Lsn, NotAnLsn> {
        let half = |digits: &str| {
            let valid = (1..=8).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u64::from_str_radix(digits, 16).ok();
            number.filter(|_| valid).ok_or(NotAnLsn)
        };
        let (high, low) = text.split_once('/').ok_or(NotAnLsn)?;
        Ok(Lsn(half(high)? << 32 | half(low)?))
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
    /// The tree of the databases, in the space that belongs to none of them.
    pub const DATABASES: TreeId = TreeId(2);
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

#[cfg(test)]
mod tests {
    use super::{Lsn, NotAnLsn};

    #[test]
    fn an_lsn_is_read_as_it_is_printed() {
        for (lsn, text) in [
            (Lsn::ZERO, "0/0"),
            (Lsn(0x16_B374_D848), "16/B374D848"),
            (Lsn::NEWEST, "FFFFFFFF/FFFFFFFF"),
        ] {
            assert_eq!(lsn.to_string(), text);
            assert_eq!(text.parse(), Ok(lsn));
            assert_eq!(text.to_lowercase().parse(), Ok(lsn));
        }
        assert_eq!("0/00000A00".parse(), Ok(Lsn(0xA00)));
        let bad = [
            "",
            "/",
            "0",
            "0/",
            "/0",
            "G/0",
            "0/123456789",
            "+1/0",
            " 0/0",
            "0/0/0",
            "-1/0",
        ];
        for text in bad {
            assert_eq!(text.parse::<Lsn>(), Err(NotAnLsn), "{text}");
        }
    }
}
