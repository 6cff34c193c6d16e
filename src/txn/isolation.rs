//! Isolation above READ COMMITTED.
//!
//! A REPEATABLE READ transaction reads at one snapshot, and changes or locks only rows that are
//! still as that shows them: the callers compare, and give 40001 otherwise.
//!
//! A SERIALIZABLE one notes as well what it has read. Its commit goes through only if all of that
//! is the same in the newest state, which is latched then: so it might have run in that one moment.
//! Where pages are evicted, the durable state is compared before, which brings them into the cache.
//! One that writes nothing might have run in the moment of its snapshot, and never fails. Commits
//! of any level count as changes, so nothing need be known of other transactions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, PageId, Result, SqlState, TreeId};
use crate::btree;
use crate::pages::{PageRef, Pages};
use crate::txn::{Key, bound_bytes};

/// PostgreSQL's levels; its READ UNCOMMITTED is READ COMMITTED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// From so many notes on, a whole tree counts as read.
const NOTES_MAX: usize = 10_000;

/// What a SERIALIZABLE transaction has read of the committed trees.
#[derive(Default)]
pub(super) struct Reads {
    trees: Mutex<BTreeMap<TreeId, TreeReads>>,
}

pub(super) type Range = (Bound<Key>, Bound<Key>);

#[derive(Clone, Default)]
struct TreeReads {
    keys: FxHashSet<Key>,
    ranges: Vec<Range>,
    all: bool,
}

/// Notes what is read of one tree.
#[derive(Clone)]
pub(super) struct Noter {
    reads: Arc<Reads>,
    tree: TreeId,
}

impl Noter {
    pub(super) fn new(reads: &Arc<Reads>, tree: TreeId) -> Noter {
        Noter {
            reads: reads.clone(),
            tree,
        }
    }

    /// A key was looked up, whether it was there or not.
    pub(super) fn key(&self, key: &[u8]) {
        self.note(|reads| {
            reads.keys.insert(Key::from_slice(key));
        });
    }

    /// A range was walked from end to end.
    pub(super) fn range(&self, range: Range) {
        self.note(|reads| reads.ranges.push(range));
    }

    fn note(&self, note: impl FnOnce(&mut TreeReads)) {
        let mut trees = self.reads.trees.lock();
        let reads = trees.entry(self.tree).or_default();
        if reads.all {
            return;
        }
        note(reads);
        if reads.keys.len() + reads.ranges.len() >= NOTES_MAX {
            *reads = TreeReads {
                all: true,
                ..TreeReads::default()
            };
        }
    }
}

impl Reads {
    /// The trees read.
    pub(super) fn trees(&self) -> Vec<TreeId> {
        self.trees.lock().keys().copied().collect()
    }

    /// Whether looking at it again may take long.
    pub(super) fn are_large(&self) -> bool {
        let trees = self.trees.lock();
        let notes = |reads: &TreeReads| reads.keys.len() > 100 || !reads.ranges.is_empty();
        trees.values().any(|reads| reads.all || notes(reads))
    }

    /// Checks that trees hold at `now` what was read of them at a snapshot; the caller keeps both,
    /// or has latched the trees for their newest state. `kept` keeps what is looked at in the cache.
    ///
    /// # Errors
    /// 40001 if they do not.
    pub(super) fn check(
        &self,
        pages: &Arc<Pages>,
        roots: &[(TreeId, PageId)],
        snapshot: Lsn,
        now: Lsn,
        kept: &mut Vec<PageRef>,
    ) -> Result<()> {
        let mut roots = roots.iter();
        roots.try_for_each(|(tree, root)| self.check_tree(pages, *tree, *root, snapshot, now, kept))
    }

    fn check_tree(
        &self,
        pages: &Arc<Pages>,
        tree: TreeId,
        root: PageId,
        snapshot: Lsn,
        now: Lsn,
        kept: &mut Vec<PageRef>,
    ) -> Result<()> {
        let Some(reads) = self.trees.lock().get(&tree).cloned() else {
            return Ok(());
        };
        let mut check = |lower, upper| {
            let is_same = btree::unchanged(pages, root, snapshot, now, lower, upper, kept)?;
            is_same.then_some(()).ok_or_else(read_write_conflict)
        };
        if reads.all {
            return check(Bound::Unbounded, Bound::Unbounded);
        }
        for key in &reads.keys {
            check(Bound::Included(key), Bound::Included(key))?;
        }
        for (lower, upper) in &reads.ranges {
            check(bound_bytes(lower), bound_bytes(upper))?;
        }
        Ok(())
    }
}

/// 40001 of a SERIALIZABLE transaction that did not see what others have committed.
pub fn read_write_conflict() -> Error {
    could_not_serialize("read/write dependencies among transactions")
        .with_detail("Rows it has read, or looked for, have been changed by others since.")
        .with_hint("The transaction might succeed if retried.")
}

/// 40001, in PostgreSQL's words: "could not serialize access due to …".
pub fn could_not_serialize(due_to: &str) -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        format!("could not serialize access due to {due_to}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, RealDisk};
    use crate::txn::{NewSpace, Transactions, TxnIds, create_spaces};
    use crate::wal::{self, Log};
    use std::thread;

    const TREE: TreeId = TreeId(16);
    /// A few of them to a leaf.
    const VALUE_BYTES: usize = 1000;
    const CACHE_BYTES: u64 = 400 * crate::pages::PAGE_MEMORY;
    const KEYS: u32 = 10_000;

    /// A tree much larger than the cache, whose pages are clean.
    fn larger_than_the_cache(dir: &std::path::Path) -> Arc<Transactions> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
        let data = dir.join("data");
        Pages::create(&*disk, &data, 1).unwrap();
        let log = Log::create(disk.clone(), dir, 1, wal::Options::default()).unwrap();
        let durable = {
            let log = log.clone();
            Arc::new(move || log.durable_lsn())
        };
        let (pages, _) = Pages::open(&disk, &data, 1, CACHE_BYTES, durable).unwrap();
        let pages = Arc::new(pages);
        let content = (0..KEYS).map(|n| (key(n), vec![7; VALUE_BYTES])).collect();
        let space = NewSpace {
            space: 1,
            tree: TREE,
            content,
        };
        create_spaces(&pages, &log, vec![space]).unwrap();
        let position = || log.position();
        pages.checkpoint(&position, &|| 1, &|_, _| {}).unwrap();
        let ids = Arc::new(TxnIds::from(1));
        Transactions::open(pages, log.clone(), 1, ids, 1 << 30).unwrap()
    }

    fn key(n: u32) -> Key {
        Key::from_slice(&n.to_be_bytes())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_and_evicted_is_loaded_before_a_commit_latches_anything() {
        let dir = tempfile::tempdir().unwrap();
        let shared = larger_than_the_cache(dir.path());
        let loads = || shared.pages.stats().loads;

        let mut txn = shared.begin();
        txn.set_isolation(Isolation::Serializable);
        txn.begin_statement().await.unwrap();
        let read = || (0..KEYS).step_by(500);
        for n in read() {
            assert!(txn.get(TREE, &key(n)).unwrap().is_some());
        }
        txn.put(TREE, key(7), vec![8; VALUE_BYTES - 1]).unwrap();

        let mut other = shared.begin();
        other.take_snapshot().await.unwrap();
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let mut all = other.scan(TREE, low, high, false).unwrap();
        while all.next().unwrap().is_some() {}
        drop(all);
        // As where there is more than one writer.
        shared.pages.free_list(1, shared.log.durable_lsn()).unwrap();

        // Keeps the commit from its latch until all is looked at.
        let latch = shared.pages.latch(txn.root_of(TREE).unwrap());
        let (evicted, held) = (loads(), latch.read());
        let commit = thread::spawn(move || txn.install(false));
        while !latch.is_wanted_exclusively() {
            assert!(!commit.is_finished(), "it needs the latch");
            thread::yield_now();
        }
        let loaded = loads();
        let some = read().count() as u64 / 4;
        assert!(loaded > evicted + some, "{} loaded", loaded - evicted);
        drop(held);
        commit.join().unwrap().unwrap();
        assert_eq!(loads(), loaded, "nothing was read under latches");
    }
}
