//! The modes of locks, and which of them go together.

use smallvec::SmallVec;

use crate::base::Oid;

/// PostgreSQL's eight table lock modes (its documentation, table 13.2). They serve rows, keys and
/// numbers, too: its four strengths of row locks (table 13.3) conflict as four of these do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

use LockMode::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

const ALL: [LockMode; 8] = [
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
];

impl LockMode {
    pub const ROW_KEY_SHARE: LockMode = AccessShare;
    pub const ROW_SHARE: LockMode = RowShare;
    pub const ROW_NO_KEY_UPDATE: LockMode = Exclusive;
    pub const ROW_UPDATE: LockMode = AccessExclusive;

    /// The modes that cannot be held beside this one.
    pub(super) fn conflicts(self) -> Modes {
        // From AccessExclusive down to AccessShare.
        Modes(match self {
            AccessShare => 0b1000_0000,
            RowShare => 0b1100_0000,
            RowExclusive => 0b1111_0000,
            ShareUpdateExclusive => 0b1111_1000,
            Share => 0b1110_1100,
            ShareRowExclusive => 0b1111_1100,
            Exclusive => 0b1111_1110,
            AccessExclusive => 0b1111_1111,
        })
    }

    pub(super) fn conflicts_with(self, other: LockMode) -> bool {
        self.conflicts().contains(other)
    }

    /// Of a table: nobody else changes rows meanwhile.
    pub fn excludes_writers(self) -> bool {
        self.conflicts_with(RowExclusive)
    }

    /// As `pg_locks` and the messages about deadlocks have it.
    pub fn name(self) -> &'static str {
        match self {
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Share => "ShareLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) fn contains(self, mode: LockMode) -> bool {
        self.0 & 1 << mode as u8 != 0
    }

    /// Whether a mode keeps nobody out whom one of these does not keep out.
    pub(super) fn cover(self, mode: LockMode) -> bool {
        let conflicts = mode.conflicts();
        let covers = |held: LockMode| held.conflicts().union(conflicts) == held.conflicts();
        self.contains(mode) || self.iter().any(covers)
    }

    pub(super) fn insert(&mut self, mode: LockMode) {
        self.0 |= 1 << mode as u8;
    }

    pub(super) fn remove(&mut self, mode: LockMode) {
        self.0 &= !(1 << mode as u8);
    }

    /// Adds a mode to those of a table.
    pub(super) fn note(tables: &mut SmallVec<[(Oid, Modes); 4]>, table: Oid, mode: LockMode) {
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, modes)) => modes.insert(mode),
            None => tables.push((table, Modes(1 << mode as u8))),
        }
    }

    pub(super) fn union(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    pub(super) fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One of the modes is this or stands after it.
    pub(super) fn reaches(self, mode: LockMode) -> bool {
        self.0 >> mode as u8 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = LockMode> {
        ALL.into_iter().filter(move |mode| self.contains(*mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicts_are_mutual() {
        for a in ALL {
            for b in ALL {
                assert_eq!(a.conflicts_with(b), b.conflicts_with(a), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_changed_table_can_be_read_without_a_further_lock_but_not_made_an_index_of() {
        let mut held = Modes::default();
        held.insert(RowExclusive);
        assert!(held.cover(AccessShare) && held.cover(RowShare) && held.cover(RowExclusive));
        assert!(!held.cover(Share) && !held.cover(AccessExclusive));
    }

    #[test]
    fn a_stronger_row_lock_conflicts_with_all_that_a_weaker_one_does() {
        let rows = [
            LockMode::ROW_KEY_SHARE,
            LockMode::ROW_SHARE,
            LockMode::ROW_NO_KEY_UPDATE,
            LockMode::ROW_UPDATE,
        ];
        for pair in rows.windows(2) {
            let (weak, strong) = (pair[0].conflicts(), pair[1].conflicts());
            assert_eq!(weak.union(strong), strong);
            assert!(pair[0] < pair[1]);
        }
    }
}
