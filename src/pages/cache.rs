//! The cache: page → versions.

use super::edits;
use super::growing::Growing;
use super::page::{Page, PageRef, corrupt};
use super::snapshots::Snapshots;
use super::versions::{Chain, FEW};
use crate::base::sync::RwLock;
use crate::base::{Lsn, PageId, Result};
use std::sync::Arc;

/// All pages of all spaces.
pub struct Pages {
    spaces: Growing<std::sync::OnceLock<Box<Growing<Chain>>>>,
    durable: Arc<dyn Fn() -> Lsn + Send + Sync>,
    snapshots: Arc<Snapshots>,
}

impl Pages {
    /// An empty cache. `durable` says how far the log is synced and never falls; the collector
    /// takes it as its floor.
    pub fn new(durable: Arc<dyn Fn() -> Lsn + Send + Sync>) -> Pages {
        Pages {
            spaces: Growing::default(),
            durable,
            snapshots: Arc::default(),
        }
    }

    /// The registry of the snapshots that read here.
    pub fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// The newest version at or below a registered snapshot, or at [`Lsn::NEWEST`] the newest
    /// installed one (for which the caller holds the tree's latch).
    pub fn read(&self, page: PageId, snapshot: Lsn) -> Result<PageRef> {
        self.try_read(page, snapshot)
            .ok_or_else(|| missing(page, snapshot))
    }

    /// The same, or `None` if the page has no such version.
    pub(super) fn try_read(&self, page: PageId, snapshot: Lsn) -> Option<PageRef> {
        let space = self.spaces.get(page.space)?.get()?;
        space.get(page.number)?.read(snapshot)
    }

    /// The latch of the tree with this root page: exclusive from a commit's first copy until it
    /// has installed, shared by readers of the newest state (P2, P3). Snapshot readers take none.
    pub fn latch(&self, root: PageId) -> &RwLock<()> {
        &self.chain(root).latch
    }

    pub(super) fn chain(&self, page: PageId) -> &Chain {
        let space = self.spaces.get_or_grow(page.space);
        space.get_or_init(Box::default).get_or_grow(page.number)
    }

    /// Adds a stamped version, and drops those nobody needs if they have become many.
    pub(super) fn install(&self, page: PageId, version: PageRef) {
        let chain = self.chain(page);
        if chain.install(version) > FEW {
            chain.collect(&self.snapshots.horizon((self.durable)()));
        }
    }

    /// Recovery: makes the version `lsn` of a page from the version `base` and the edits the log
    /// carries, in its place. Nobody reads yet.
    pub fn apply(&self, page: PageId, base: Lsn, edits: &[u8], lsn: Lsn) -> Result<()> {
        self.chain(page).recover(|newest| {
            let found = newest.as_ref().map_or(Lsn::ZERO, |p| p.lsn());
            if found >= lsn || (base != Lsn::ZERO && found != base) {
                let what = format!("edits from {base} to {lsn} meet the version {found}");
                return Err(corrupt(page, what));
            }
            let mut copy = match newest {
                Some(newest) if base != Lsn::ZERO => newest,
                _ => Arc::new(Page::zeroed()),
            };
            let changed = Arc::make_mut(&mut copy);
            edits::apply(changed, edits)
                .ok_or_else(|| corrupt(page, format!("bad edits at {lsn}")))?;
            changed.set_lsn(lsn);
            Ok(copy)
        })
    }
}

#[cold]
fn missing(page: PageId, snapshot: Lsn) -> crate::base::Error {
    match snapshot {
        Lsn::NEWEST => corrupt(page, "there is no such page"),
        _ => corrupt(page, format!("there is no version at {snapshot}")),
    }
}
