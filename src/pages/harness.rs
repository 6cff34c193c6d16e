//! For tests: a cache with a log kept in memory, committing as the transaction layer does.

use super::{Batch, Finished, PAGE_CONTENT, Pages};
use crate::base::sync::{AtomicU64, Mutex, Ordering};
use crate::base::{Lsn, PageId, Result};
use std::sync::Arc;

/// One page write: the page, its base, its edits, its lsn.
pub(crate) type Logged = (PageId, Lsn, Vec<u8>, Lsn);

pub(crate) struct Store {
    pub(crate) pages: Arc<Pages>,
    pub(crate) durable: Arc<AtomicU64>,
    next: AtomicU64,
    pub(crate) log: Mutex<Vec<Logged>>,
}

impl Store {
    pub(crate) fn new() -> Store {
        Store::over(Vec::new(), |durable| Ok(Pages::new(durable))).unwrap()
    }

    /// Over the pages made by `make`, given how far the log is durable: all of `log` at first.
    pub(crate) fn over(
        log: Vec<Logged>,
        make: impl FnOnce(Arc<dyn Fn() -> Lsn + Send + Sync>) -> Result<Pages>,
    ) -> Result<Store> {
        let end = log.last().map_or(0, |(.., lsn)| lsn.0);
        let durable = Arc::new(AtomicU64::new(end));
        let source = durable.clone();
        let pages = make(Arc::new(move || Lsn(source.load(Ordering::SeqCst))))?;
        Ok(Store {
            pages: Arc::new(pages),
            durable,
            next: AtomicU64::new(end),
            log: Mutex::new(log),
        })
    }

    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::SeqCst))
    }

    /// Commits what `change` does and makes it durable at once.
    pub(crate) fn commit<T>(&self, change: impl FnOnce(&mut Batch<'_>) -> Result<T>) -> T {
        let (result, lsn) = self.install(change);
        self.durable.fetch_max(lsn.0, Ordering::SeqCst);
        result
    }

    /// Commits what `change` does, but leaves it undurable.
    pub(crate) fn install<T>(&self, change: impl FnOnce(&mut Batch<'_>) -> Result<T>) -> (T, Lsn) {
        let mut batch = Batch::new(&self.pages);
        let result = change(&mut batch).unwrap();
        (result, self.install_finished(batch.finish().unwrap()))
    }

    fn install_finished(&self, mut finished: Finished<'_>) -> Lsn {
        let mut log = self.log.lock();
        let lsn = Lsn(self.next.fetch_add(100, Ordering::SeqCst) + 100);
        finished.take_edits(|page, base, edits| log.push((page, base, edits.to_vec(), lsn)));
        finished.install(lsn);
        self.pages.evict_surplus();
        lsn
    }

    /// Rebuilds a cache from the log and checks that every page is the same to the byte.
    pub(crate) fn check_recovery(&self) {
        let recovered = Pages::new(Arc::new(|| Lsn::ZERO));
        let log = self.log.lock();
        for (page, base, edits, lsn) in log.iter() {
            recovered.apply(*page, *base, edits, *lsn).unwrap();
        }
        for (page, ..) in log.iter() {
            let ours = self.pages.read(*page, Lsn::NEWEST).unwrap();
            let theirs = recovered.read(*page, Lsn::NEWEST).unwrap();
            assert!(
                ours.bytes() == theirs.bytes(),
                "page {page} differs after recovery"
            );
        }
    }

    /// Overwrites bytes of a page, as damage would.
    pub(crate) fn damage(&self, page: PageId, offset: usize, bytes: &[u8]) {
        assert!(offset >= PAGE_CONTENT);
        self.commit(|batch| {
            batch.edit(page)?.write(offset, bytes);
            Ok(())
        });
    }
}

/// A seed of its own for each run, printed so that a failure can be repeated with `SEED=`.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("SEED={seed}");
    seed
}
