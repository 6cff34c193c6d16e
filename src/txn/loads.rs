//! When what a transaction writes leaves memory for runs (`runs.rs`), and how runs become one.

use std::sync::Arc;

use crate::base::{CancelFlag, Result, TreeId, blocking};
use crate::txn::runs::{self, Load};
use crate::txn::write_set::change_bytes;
use crate::txn::{Key, Transaction};

/// How much of a tree goes to a run that it continues, and what goes to one of its own; of smaller
/// limits for a whole transaction a 16th and a quarter.
const APPEND_BYTES: u64 = 4 << 20;
const RUN_BYTES: u64 = 64 << 20;

/// How many runs a tree may have: each has a few of the allocator's pending extents.
const RUNS_MAX: usize = 64;

const ENTRIES_PER_CANCEL_CHECK: u64 = 10_000;

impl Transaction {
    /// Moves what was put into a tree to a run, if it is much and the commit can take the run over
    /// whole. What continues the last run may go early.
    pub(super) fn spill_if_large(&mut self, tree: TreeId) -> Result<()> {
        let next_look_bytes = self.append_bytes() / 4;
        let writes = self.writes(tree);
        writes.look_at_bytes = writes.bytes() + next_look_bytes;
        let (bytes, first) = (writes.bytes(), writes.lowest_put().cloned());
        let Some(first) = first else {
            return Ok(());
        };
        let load = self.loads.get(&tree);
        let continues = load.is_none_or(|load| load.can_append(&first));
        let is_due = continues || bytes >= self.run_bytes();
        if !is_due || self.kept_in_memory.contains(&tree) {
            return Ok(());
        }
        if self.is_loadable(tree, &first)? {
            return blocking(true, || {
                self.spill(tree)?;
                self.merge_if_many(tree, &CancelFlag::default(), &mut |_, _| Ok(()))
            });
        }
        self.kept_in_memory.push(tree);
        Ok(())
    }

    /// From how many bytes in memory on entries are worth a run that others may continue.
    pub fn append_bytes(&self) -> u64 {
        APPEND_BYTES.min(self.shared.bytes_max / 16)
    }

    /// How many bytes in memory make a run of their own.
    pub fn run_bytes(&self) -> u64 {
        RUN_BYTES.min(self.shared.bytes_max / 4)
    }

    /// Whether all entries of a tree but this transaction's lie before `first`, the lowest of what
    /// it put there: the commit takes a run over as it is then, unless somebody else is faster.
    fn is_loadable(&mut self, tree: TreeId, first: &[u8]) -> Result<bool> {
        if !self.shared.pages.is_stored() {
            return Ok(false);
        }
        let last = self.last_committed_key(tree)?;
        Ok(last.is_none_or(|last| &last[..] < first))
    }

    /// Moves what was put into a tree to a run.
    pub(super) fn spill(&mut self, tree: TreeId) -> Result<()> {
        self.note_writes(tree);
        let puts = self.writes(tree).take_puts();
        self.load(tree, puts)
    }

    /// Adds a run of sorted entries, newer than all that was written to a tree before, which this
    /// transaction made.
    ///
    /// # Errors
    /// As [`Transaction::put`], and those of the data file.
    pub fn load(
        &mut self,
        tree: TreeId,
        entries: impl IntoIterator<Item = (Key, impl AsRef<[u8]>)>,
    ) -> Result<()> {
        let mut entries = entries.into_iter().peekable();
        let Some((first, _)) = entries.peek() else {
            return Ok(());
        };
        self.note_writes(tree);
        let mut runs = self.writes(tree).runs().to_vec();
        let load = match self.loads.remove(&tree) {
            Some(load) if load.can_append(first) => {
                runs.pop();
                load
            }
            _ => Load::new(&self.shared),
        };
        let load = self.loads.entry(tree).or_insert(load);
        for (key, value) in entries {
            let value = value.as_ref();
            load.add(&key, value, change_bytes(&key, Some(value)))?;
        }
        runs.push(Arc::new(load.close()?));
        self.writes(tree).set_runs(runs);
        Ok(())
    }

    /// [`Transaction::merge_runs`], if it is time.
    pub fn merge_if_many(
        &mut self,
        tree: TreeId,
        cancel: &CancelFlag,
        check: &mut dyn FnMut(&Transaction, &[u8]) -> Result<()>,
    ) -> Result<()> {
        match self.writes(tree).runs().len() < RUNS_MAX {
            true => Ok(()),
            false => self.merge_runs(tree, cancel, check),
        }
    }

    /// Makes one run of all that a tree has. `check` is asked about each entry whose key several
    /// runs have, of which the newest counts.
    pub fn merge_runs(
        &mut self,
        tree: TreeId,
        cancel: &CancelFlag,
        check: &mut dyn FnMut(&Transaction, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let runs = self.writes(tree).runs().to_vec();
        let is_one = runs.len() == 1 && self.loads.contains_key(&tree);
        if runs.is_empty() || is_one {
            return Ok(());
        }
        self.note_writes(tree);
        let mut load = Load::new(&self.shared);
        let mut entries = runs::merge(&self.shared.pages, &runs);
        let mut count = 0_u64;
        while let Some((key, value, is_repeated)) = entries.next()? {
            let value = value.bytes()?;
            if is_repeated {
                check(self, &value)?;
            }
            load.add(key, &value, change_bytes(key, Some(&value)))?;
            count += 1;
            if count.is_multiple_of(ENTRIES_PER_CANCEL_CHECK) {
                cancel.check()?;
            }
        }
        let run = Arc::new(load.close()?);
        self.loads.insert(tree, load);
        self.writes(tree).set_runs(vec![run]);
        Ok(())
    }
}
