//! The commit, step by step as [`crate::txn`] numbers them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::{CancelFlag, Lsn, PageId, Result, TreeId, TxnId};
use crate::pages::{Batch, Finished, SpaceChange};
use crate::txn::runs::{Extents, FinishedRun};
use crate::txn::savepoints::Savepoints;
use crate::txn::write_set::TreeWrites;
use crate::txn::{TOUCHES_MAX, Transaction, internal};
use crate::wal::{Annex, Blob, Log};

/// What a transaction needs to be large: changes in memory, of smaller limits for a whole
/// transaction a 16th; or locks.
const LARGE_BYTES: u64 = 1 << 20;
const LARGE_LOCKS: usize = 10_000;

/// From how many bytes of edits on a commit has an annex, with the same exception. So much more in
/// the log delays the commits of others by some milliseconds.
const ANNEX_BYTES: u64 = 4 << 20;

/// What a write set came to when it was applied.
struct Applied<'r> {
    /// The roots of new trees.
    made: Vec<(TreeId, PageId)>,
    /// The runs that trees have taken over.
    kept: Vec<&'r FinishedRun>,
}

impl Transaction {
    /// Whether its end may keep a thread for longer than others should wait for it.
    pub fn is_large(&self) -> bool {
        let reads = self.reads.as_ref();
        self.has_large_writes()
            || self.held.len() >= LARGE_LOCKS
            || !self.dropped.is_empty()
            || reads.is_some_and(|reads| reads.are_large())
    }

    fn has_large_writes(&self) -> bool {
        let writes: u64 = self.writes.values().map(|writes| writes.bytes()).sum();
        let least = LARGE_BYTES.min(self.shared.bytes_max / 16);
        writes >= least || !self.finished_runs.is_empty()
    }

    /// Whether [`Transaction::prepare`] has anything to do, which may take long.
    pub fn needs_prepare(&self) -> bool {
        !self.loads.is_empty() || self.has_closed_runs
    }

    /// Before the commit of a large transaction: all that went to runs is made durable, one run
    /// for each tree.
    ///
    /// # Errors
    /// Nothing has been changed; the transaction can only roll back.
    pub fn prepare(&mut self, cancel: &CancelFlag) -> Result<()> {
        self.savepoints = Savepoints::default();
        self.has_closed_runs = false;
        let with_runs = self.writes.iter().filter(|(_, w)| !w.runs().is_empty());
        let trees: Vec<TreeId> = with_runs.map(|(tree, _)| *tree).collect();
        for tree in trees {
            self.spill(tree)?;
            self.merge_runs(tree, cancel, &mut |_, _| Ok(()))?;
            let runs = self.writes(tree).runs().to_vec();
            let (Some(load), Some(run)) = (self.loads.remove(&tree), runs.into_iter().next())
            else {
                return Err(internal("a load without a run"));
            };
            self.finished_runs.insert(tree, load.finish(run)?);
        }
        match self.finished_runs.is_empty() {
            true => Ok(()),
            false => self.shared.pages.sync_stored(),
        }
    }

    /// Waits for room in the log's queue and in the cache: back-pressure, before anything is
    /// reserved.
    pub async fn wait_room(&self) -> Result<()> {
        self.shared.pages.wait_room().await?;
        self.shared.log.wait_room().await
    }

    /// Applies the write set and publishes it to the log; gives the lsn at which it is durable.
    /// Locks are released unless `keep_locks` or one of them excludes the writers of a table.
    ///
    /// # Errors
    /// 40001 at SERIALIZABLE if what was read has changed. Nothing has been changed then.
    pub fn install(&mut self, keep_locks: bool) -> Result<Lsn> {
        let shared = self.shared.clone();
        let (pages, log) = (&shared.pages, &shared.log);
        if self.needs_prepare() {
            return Err(internal("the runs of a transaction were not finished"));
        }
        // To be dropped when no latch is held: what was not kept goes back to the allocator.
        let new_pages = self.has_large_writes().then(|| Extents::of_commit(&shared));
        let runs = std::mem::take(&mut self.finished_runs);
        let writes = std::mem::take(&mut self.writes);
        let changes_trees = !self.created.is_empty() || !self.dropped.is_empty();

        let committed = || {
            writes
                .iter()
                .filter(|(tree, _)| !self.created.contains(tree))
        };
        let mut roots = Vec::with_capacity(writes.len());
        for (&tree, _) in committed() {
            roots.push((tree, self.root_of(tree)?));
        }
        let reads = self.reads.take().zip(self.fixed.clone());
        let mut kept = Vec::new();
        if let Some((reads, snapshot)) = &reads {
            for tree in reads.trees() {
                if !writes.contains_key(&tree) {
                    roots.push((tree, self.root_of(tree)?));
                }
            }
            roots.sort_unstable_by_key(|(tree, _)| *tree);
            if pages.is_full() {
                // Has the pages come into the cache, lest latches be held while they are read.
                let durable = pages.snapshots().register(|| log.durable_lsn());
                kept.reserve(TOUCHES_MAX.min(pages.stats().capacity / 4));
                reads.check(pages, &roots, snapshot.lsn(), durable.lsn(), &mut kept)?;
            }
        }
        for (tree, root) in &roots {
            if let Some(writes) = writes.get(tree) {
                shared.touch(*root, writes.keys());
            }
        }
        let directory = changes_trees.then(|| pages.latch(shared.trees.directory()).write());
        let (mut latches, mut read_latches) = (Vec::with_capacity(roots.len()), Vec::new());
        for &(tree, root) in &roots {
            match writes.contains_key(&tree) {
                true => latches.push(pages.latch(root).write()),
                false => read_latches.push(pages.latch(root).read()),
            }
        }
        if let Some((reads, snapshot)) = &reads {
            reads.check(pages, &roots, snapshot.lsn(), Lsn::NEWEST, &mut Vec::new())?;
        }
        drop(kept);

        let mut batch = Batch::new(pages);
        if let Some(extents) = &new_pages {
            batch.allocate_from(|| extents.allocate());
        }
        let Applied { made, kept } = self.apply(&mut batch, writes, &runs)?;
        let annex = self.write_annex(log, &mut batch)?;
        // The allocator's latch is taken here, if new pages have not come from it before.
        let extents = || kept.iter().map(|run| &run.run.extents).chain(&new_pages);
        extents().try_for_each(|extents| extents.keep(&mut batch))?;
        let mut finished = batch.finish()?;
        if finished.is_empty() {
            return Ok(self.depends_on());
        }
        let refs = kept.iter().flat_map(|run| &run.refs);
        let blob = make_blob(
            self.id,
            refs,
            annex.as_ref(),
            self.space_change,
            &mut finished,
        );

        let reservation = log.reserve(blob.len());
        let lsn = reservation.end();
        finished.install(lsn);
        shared.trees.installed(&made, lsn);
        extents().for_each(|extents| extents.set_kept());
        drop((latches, read_latches));
        drop(directory);
        // Everybody's next commit waits for this one, and for a million locks only who wants one.
        reservation.publish(blob);
        annex.into_iter().for_each(|annex| annex.keep(lsn));
        pages.evict_surplus();
        if !keep_locks && !self.holds_table_strongly() {
            self.release_locks();
        }
        Ok(lsn.max(self.depends_on()))
    }

    /// Applies the write set to a batch, and frees it: what is large takes the memory for the
    /// changed pages.
    fn apply<'r>(
        &self,
        batch: &mut Batch<'_>,
        mut writes: BTreeMap<TreeId, Arc<TreeWrites>>,
        runs: &'r FxHashMap<TreeId, FinishedRun>,
    ) -> Result<Applied<'r>> {
        let trees = &self.shared.trees;
        // First, since that may have to read many pages and needs no allocator.
        for &tree in &self.dropped {
            trees.destroy(batch, tree)?;
        }
        let mut made = Vec::with_capacity(self.created.len());
        for &tree in &self.created {
            let has_run = runs.contains_key(&tree);
            let content = if has_run { None } else { writes.remove(&tree) };
            made.push((tree, trees.build(batch, tree, content.as_ref())?));
        }
        let mut kept = Vec::new();
        for (tree, writes) in writes {
            let made = made.iter().find(|(made, _)| *made == tree);
            let root = made.map_or_else(|| self.root_of(tree), |(_, root)| Ok(*root))?;
            if let Some(run) = runs.get(&tree)
                && run.apply(batch, root)?
            {
                kept.push(run);
            }
            writes.apply(batch, root)?;
        }
        Ok(Applied { made, kept })
    }

    /// Writes what was done to pages so far to an annex of the log, durably, if it is much: the
    /// blobs of others would wait behind it.
    fn write_annex<'l>(&self, log: &'l Log, batch: &mut Batch<'_>) -> Result<Option<Annex<'l>>> {
        let least = ANNEX_BYTES.min(self.shared.bytes_max / 16);
        if (batch.edits_bytes_max() as u64) < least {
            return Ok(None);
        }
        let mut annex = log.begin_annex()?;
        batch.take_edits(|page, base, edits| annex.page_write(page, base, edits))?;
        annex.finish().map(Some)
    }

    /// Waits until the log is durable up to an lsn that [`Self::install`] gave.
    pub async fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        let wait = self.shared.log.commit_at_least(lsn);
        // A guess about how busy the server is.
        let newest = TxnId(self.shared.ids.next() - 1);
        match newest == self.id {
            true => wait.await,
            // Others have begun since: this thread goes on with them while the log is written.
            false => wait.without_leading().await,
        }
    }

    /// Has what [`Self::install`] published written at once, though nobody waits.
    pub fn write_soon(&self) {
        self.shared.log.write_soon();
    }
}

pub(super) fn make_blob<'r>(
    txn: TxnId,
    refs: impl IntoIterator<Item = &'r (PageId, Vec<u8>)>,
    annex: Option<&Annex<'_>>,
    space: Option<SpaceChange>,
    finished: &mut Finished<'_>,
) -> Blob {
    let mut blob = Blob::begin(txn, finished.edits_bytes_max());
    for (first, places) in refs {
        blob.page_refs(*first, places);
    }
    // Behind the places: it may change pages that they bring.
    annex.into_iter().for_each(|annex| blob.annex(annex));
    finished.take_edits(|page, base, edits| blob.page_write(page, base, edits));
    match space {
        Some(SpaceChange::Clone { from, to }) => blob.space_clone(from, to),
        Some(SpaceChange::Drop { space }) => blob.space_drop(space),
        None => {}
    }
    blob.commit(unix_micros());
    blob
}

fn unix_micros() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}
