//! Replaying the log at start-up. The changes of one page have an order, and pages know nothing
//! of one another: several threads apply, each the pages that are its own, in the log's order.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Scope};

use crate::base::{Error, Lsn, PageId, Result};
use crate::pages::{Pages, SpaceChange};
use crate::wal::{self, Record};

const THREADS_MAX: usize = 8;
/// Bytes of edits after which a thread gets what was gathered for it.
const BATCH_BYTES: usize = 64 << 10;
/// How many batches may wait for a thread.
const QUEUE: usize = 4;

/// Takes blobs and has their changes applied. They are after [`Replay::wait_applied`].
pub(super) struct Replay<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    pages: Arc<Pages>,
    /// None before the first change.
    threads: Vec<Applier>,
    /// The first one of any thread.
    failure: Arc<OnceLock<Error>>,
}

struct Applier {
    jobs: SyncSender<Job>,
    gathered: Batch,
}

enum Job {
    Apply(Batch),
    /// Tell that all before it is done.
    Tell(SyncSender<()>),
}

#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    /// Of all changes, one behind the other.
    edits: Vec<u8>,
}

struct Change {
    page: PageId,
    base: Lsn,
    edits_len: usize,
    end: Lsn,
}

impl<'scope, 'env> Replay<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, pages: Arc<Pages>) -> Self {
        Replay {
            scope,
            pages,
            threads: Vec::new(),
            failure: Arc::default(),
        }
    }

    /// Takes one committed transaction. What says something of many pages at once is applied here
    /// and now, after all that came before it.
    ///
    /// # Errors
    /// What is wrong with it, or with a change that was taken before.
    pub(super) fn take(&mut self, end: Lsn, blob: &[u8]) -> Result<()> {
        for record in wal::records(blob) {
            match record? {
                Record::PageWrite { page, base, edits } => self.gather(page, base, edits, end)?,
                Record::PageRefs { first, places } => {
                    self.wait_applied()?;
                    self.pages.recover_stored(first, places)?;
                }
                Record::SpaceClone { from, to } => self.change(SpaceChange::Clone { from, to })?,
                Record::SpaceDrop { space } => self.change(SpaceChange::Drop { space })?,
                Record::Begin { .. } | Record::Commit { .. } => {}
            }
        }
        Ok(())
    }

    fn change(&mut self, change: SpaceChange) -> Result<()> {
        self.wait_applied()?;
        self.pages.recover_space_change(change)
    }

    fn gather(&mut self, page: PageId, base: Lsn, edits: &[u8], end: Lsn) -> Result<()> {
        if self.threads.is_empty() {
            self.start()?;
        }
        let index = page.number as usize % self.threads.len();
        let gathered = &mut self.threads[index].gathered;
        gathered.edits.extend_from_slice(edits);
        gathered.changes.push(Change {
            page,
            base,
            edits_len: edits.len(),
            end,
        });
        match gathered.edits.len() < BATCH_BYTES {
            true => Ok(()),
            false => self.send_gathered(index),
        }
    }

    /// Waits until all that was taken is applied.
    ///
    /// # Errors
    /// The first change that could not be.
    pub(super) fn wait_applied(&mut self) -> Result<()> {
        let (told, tellings) = mpsc::sync_channel(self.threads.len());
        for index in 0..self.threads.len() {
            self.send_gathered(index)?;
            self.send(index, Job::Tell(told.clone()))?;
        }
        drop(told);
        // It ends when all have told, or ended.
        tellings.iter().for_each(drop);
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    fn start(&mut self) -> Result<()> {
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(THREADS_MAX));
        for _ in 0..threads {
            let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
            let (pages, failure) = (self.pages.clone(), self.failure.clone());
            thread::Builder::new()
                .name("recovery".to_owned())
                .spawn_scoped(self.scope, move || {
                    queue.iter().for_each(|job| job.run(&pages, &failure));
                })
                .map_err(|source| Error::io("start a thread of recovery", source))?;
            self.threads.push(Applier {
                jobs,
                gathered: Batch::default(),
            });
        }
        Ok(())
    }

    fn send_gathered(&mut self, index: usize) -> Result<()> {
        let batch = std::mem::take(&mut self.threads[index].gathered);
        self.send(index, Job::Apply(batch))
    }

    fn send(&self, index: usize, job: Job) -> Result<()> {
        if let Some(error) = self.failure.get() {
            return Err(error.clone());
        }
        let sent = self.threads[index].jobs.send(job);
        // Its panic goes on when the scope ends.
        sent.map_err(|_| Error::Poisoned("a thread of recovery panicked".into()))
    }
}

impl Job {
    fn run(self, pages: &Pages, failure: &OnceLock<Error>) {
        match self {
            Job::Tell(told) => {
                // Nobody listens after another thread's panic.
                let _ = told.send(());
            }
            Job::Apply(batch) => {
                if let Err(error) = batch.apply(pages) {
                    let _ = failure.set(error);
                }
            }
        }
    }
}

impl Batch {
    fn apply(&self, pages: &Pages) -> Result<()> {
        let mut rest = &self.edits[..];
        self.changes.iter().try_for_each(|change| {
            let (edits, later) = rest.split_at(change.edits_len);
            rest = later;
            pages.apply(change.page, change.base, edits, change.end)
        })
    }
}
