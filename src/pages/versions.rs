//! The versions of one page, and which of them nobody can ask for any more.

use super::page::PageRef;
use super::snapshots::Horizon;
use crate::base::Lsn;
use crate::base::sync::RwLock;
use smallvec::SmallVec;

/// How many versions a page may have before installation looks for some to drop: the new one and
/// the newest durable one always stay.
pub(super) const FEW: usize = 2;

/// A page: its versions newest first, and the latch of the tree whose root it is.
#[derive(Default)]
pub(super) struct Chain {
    versions: RwLock<SmallVec<[Version; 1]>>,
    pub(super) latch: RwLock<()>,
}

/// The lsn is repeated here so that choosing a version touches no page.
struct Version {
    lsn: Lsn,
    page: PageRef,
}

impl Chain {
    /// The newest version at or below the snapshot.
    pub(super) fn read(&self, snapshot: Lsn) -> Option<PageRef> {
        let versions = self.versions.read();
        let version = versions.iter().find(|v| v.lsn <= snapshot)?;
        Some(version.page.clone())
    }

    /// Adds the newest version; says how many there are now.
    pub(super) fn install(&self, page: PageRef) -> usize {
        let lsn = page.lsn();
        let mut versions = self.versions.write();
        assert!(versions.first().is_none_or(|v| v.lsn < lsn), "P1");
        versions.insert(0, Version { lsn, page });
        versions.len()
    }

    /// Changes the only version in place, for recovery, when there are no readers. The page given
    /// to `change` is the newest version or none.
    pub(super) fn recover<E>(
        &self,
        change: impl FnOnce(Option<PageRef>) -> Result<PageRef, E>,
    ) -> Result<(), E> {
        let mut versions = self.versions.write();
        let newest = versions.drain(..).next().map(|v| v.page);
        let page = change(newest)?;
        let lsn = page.lsn();
        versions.push(Version { lsn, page });
        Ok(())
    }

    /// Drops the versions that no snapshot, live or to come, can read (P5).
    pub(super) fn collect(&self, horizon: &Horizon) {
        let mut versions = self.versions.write();
        // The oldest but one tells whether there is anything to drop: all versions above the
        // floor stay, and so does the one just below them.
        let oldest_but_one = versions.len().checked_sub(2).map(|i| versions[i].lsn);
        if oldest_but_one.is_none_or(|lsn| lsn > horizon.floor) {
            return;
        }
        let mut next = Lsn::NEWEST;
        versions.retain(|version| {
            let keep = horizon.needs(version.lsn, next);
            next = version.lsn;
            keep
        });
    }

    #[cfg(test)]
    pub(super) fn lsns(&self) -> Vec<Lsn> {
        self.versions.read().iter().map(|v| v.lsn).collect()
    }
}
