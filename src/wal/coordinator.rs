//! The coordinator: reserving places in the stream, the leader role, waiting for durability.

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

// Whatever blocks or orders comes from here, for the model checks in `model/`.
use crate::base::sync::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, SegQueue, fence,
    thread,
};
use crate::base::{Error, Lsn, Result};

use super::group::GroupWriter;
use super::record::Blob;
use super::{Position, Stats};

const OPEN: u32 = 0;
/// After a shutdown in good order.
const CLOSED: u32 = 1;
/// After a failure; `failure` says which.
const POISONED: u32 = 2;

/// What sessions, the writer thread and whoever leads share.
pub(super) struct Coordinator {
    /// The end of what is reserved.
    next: AtomicU64,
    /// The end of what is written, synced or not.
    written: AtomicU64,
    /// The end of what is synced.
    durable: AtomicU64,
    queue: SegQueue<Published>,
    leader: Mutex<Leader>,
    /// Behind the last synced group, at `durable`, which goes up only under this mutex. A leader
    /// may keep its own mutex through any number of groups.
    position: Mutex<Position>,
    /// Waits that have been polled and have not ended, a commit that leads inline included.
    in_flight: AtomicUsize,
    /// The last group held one blob: nobody else was writing.
    alone: AtomicBool,
    waiters: Mutex<Waiters>,
    state: AtomicU32,
    failure: OnceLock<Arc<str>>,
    counters: Counters,
    started_at: u64,
    pub(super) signal: Signal,
}

/// A blob with its place.
struct Published {
    start: u64,
    bytes: Vec<u8>,
    records: u32,
}

/// What leaders have done since the start. Relaxed throughout: each is read for itself.
#[derive(Default)]
struct Counters {
    blobs: AtomicU64,
    records: AtomicU64,
    groups: AtomicU64,
    write_nanos: AtomicU64,
    sync_nanos: AtomicU64,
}

/// What only the leader touches. Holding its mutex is the role.
struct Leader {
    writer: GroupWriter,
    /// Blobs ahead of a hole, by start. They stay here until the hole is filled.
    early: BTreeMap<u64, Published>,
    /// The contiguous blobs of the next group.
    ready: Vec<Vec<u8>>,
    /// The end of `ready`.
    ready_end: u64,
    ready_records: u64,
}

/// Who waits, by the lsn that satisfies them; the number tells equal ones apart, in order.
#[derive(Default)]
struct Waiters {
    by_lsn: BTreeMap<(Lsn, u64), Waker>,
    next_number: u64,
}

impl Waiters {
    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl Coordinator {
    pub(super) fn new(writer: GroupWriter) -> Coordinator {
        let end = writer.end().0;
        let position = writer.position();
        Coordinator {
            next: AtomicU64::new(end),
            written: AtomicU64::new(end),
            durable: AtomicU64::new(end),
            queue: SegQueue::new(),
            leader: Mutex::new(Leader {
                writer,
                early: BTreeMap::new(),
                ready: Vec::new(),
                ready_end: end,
                ready_records: 0,
            }),
            position: Mutex::new(position),
            in_flight: AtomicUsize::new(0),
            alone: AtomicBool::new(true),
            waiters: Mutex::new(Waiters::default()),
            state: AtomicU32::new(OPEN),
            failure: OnceLock::new(),
            counters: Counters::default(),
            started_at: end,
            signal: Signal::default(),
        }
    }

    /// Nobody leads until the guard is dropped.
    #[cfg(test)]
    pub(super) fn hold_leading(&self) -> impl Sized {
        self.leader.lock()
    }

    pub(super) fn durable(&self) -> Lsn {
        // Acquire: pairs with the Release in raise_durable(); who reads at this lsn sees every
        // page version installed up to it.
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Behind the last synced group.
    pub(super) fn position(&self) -> Result<Position> {
        let position = self.position.lock();
        self.poisoned().map_or(Ok(*position), Err)
    }

    pub(super) fn written(&self) -> Lsn {
        Lsn(self.written.load(Ordering::Acquire))
    }

    pub(super) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            blobs: get(&counters.blobs),
            records: get(&counters.records),
            groups: get(&counters.groups),
            bytes: self.durable().0 - self.started_at,
            write_time: Duration::from_nanos(get(&counters.write_nanos)),
            sync_time: Duration::from_nanos(get(&counters.sync_nanos)),
        }
    }

    pub(super) fn next(&self) -> Lsn {
        Lsn(self.next.load(Ordering::Acquire))
    }

    pub(super) fn reserve(&self, len: usize) -> Reservation<'_> {
        let len = len as u64;
        let start = self.next.fetch_add(len, Ordering::AcqRel);
        Reservation {
            coordinator: self,
            start,
            len,
        }
    }

    fn publish(&self, published: Published) {
        self.queue.push(published);
        // SeqCst: pairs with the one in Wait::start(). Either this sees the waiter and calls the
        // writer thread, or the waiter comes later and its own call finds the blob (W6).
        fence(Ordering::SeqCst);
        if self.in_flight.load(Ordering::SeqCst) > 0 {
            self.signal.call();
        }
    }

    /// Waits until `durable ≥ lsn` or the log fails.
    pub(super) fn wait(&self, lsn: Lsn) -> Wait<'_> {
        Wait {
            coordinator: self,
            lsn,
            may_lead: true,
            stage: Stage::New,
        }
    }

    /// Waits while more than so many bytes are reserved and not durable.
    pub(super) async fn wait_room(&self, queued_bytes_max: u64) -> Result<()> {
        match self.next().0.checked_sub(queued_bytes_max) {
            Some(enough) if enough > self.durable().0 => self.wait(Lsn(enough)).await,
            _ => Ok(()),
        }
    }

    /// How a wait for `lsn` has ended, if it has.
    fn outcome(&self, lsn: Lsn) -> Option<Result<()>> {
        // The state comes first: what became durable before the failure is acknowledged, and
        // after it nothing becomes durable.
        let end = self.end();
        if self.durable() >= lsn {
            return Some(Ok(()));
        }
        end.map(Err)
    }

    /// Why the log takes nothing more, if it does not.
    pub(super) fn end(&self) -> Option<Error> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            CLOSED => Some(Error::Poisoned("the log is shut down".into())),
            _ => self.poisoned(),
        }
    }

    pub(super) fn poisoned(&self) -> Option<Error> {
        self.failure.get().cloned().map(Error::Poisoned)
    }

    /// Ends the log: everybody who waits gets the error, nothing is tried again (W4).
    pub(super) fn poison(&self, why: &str) {
        if self.failure.set(why.into()).is_err() {
            return;
        }
        tracing::error!("the write-ahead log has failed: {why}");
        self.finish(POISONED);
    }

    /// Leaves `OPEN`, then wakes everybody to see it.
    fn finish(&self, state: u32) {
        // Release: pairs with the Acquire in end(), so that who sees the state sees `failure`.
        self.state.store(state, Ordering::Release);
        let waiters = mem::take(&mut self.waiters.lock().by_lsn);
        waiters.into_values().for_each(Waker::wake);
    }

    /// The writer thread: leads whenever it is called, until it is stopped.
    pub(super) fn run_writer(&self) {
        let _guard = PoisonOnPanic(self);
        while self.signal.wait_call() {
            // Sessions that are ready to run go first: what they commit joins this group. With a
            // core free it is no more than a system call.
            thread::yield_now();
            let mut leader = self.leader.lock();
            while self.lead(&mut leader) {}
        }
    }

    /// Leads one group on the caller's thread, unless somebody leads already.
    fn try_lead_inline(&self) {
        let Some(mut leader) = self.leader.try_lock() else {
            return;
        };
        self.lead(&mut leader);
        drop(leader);
        if !self.queue.is_empty() {
            self.signal.call();
        }
    }

    /// Leads one group. Says whether there was one; an error poisons the log.
    fn lead(&self, leader: &mut Leader) -> bool {
        if self.end().is_some() {
            return false;
        }
        let _guard = PoisonOnPanic(self);
        match self.lead_one_group(leader) {
            Ok(covered) => covered,
            Err(error) => {
                self.poison(&error.to_string());
                false
            }
        }
    }

    fn lead_one_group(&self, leader: &mut Leader) -> Result<bool> {
        leader.drain(&self.queue);
        if leader.ready.is_empty() {
            return Ok(false);
        }
        leader.writer.wait_space(leader.ready_bytes())?;
        leader.drain(&self.queue);
        let started = Instant::now();
        leader.writer.write(&leader.ready)?;
        let end = leader.writer.end();
        assert_eq!(end.0, leader.ready_end, "W1: the stream has no gaps");
        self.written.store(end.0, Ordering::Release);
        let written = Instant::now();
        leader.writer.sync()?;
        self.raise_durable(&leader.writer);
        self.alone.store(leader.ready.len() == 1, Ordering::Relaxed);
        self.counters
            .add_group(leader, written.duration_since(started), written.elapsed());
        leader.ready.clear();
        self.wake_covered(end);
        Ok(true)
    }

    /// After a sync.
    fn raise_durable(&self, writer: &GroupWriter) {
        let mut position = self.position.lock();
        *position = writer.position();
        // Release: pairs with the Acquire in durable().
        self.durable.store(writer.end().0, Ordering::Release);
    }

    /// Wakes exactly the waits that `durable` satisfies, earliest first.
    fn wake_covered(&self, durable: Lsn) {
        let mut waiters = self.waiters.lock();
        let later = waiters.by_lsn.split_off(&(Lsn(durable.0 + 1), 0));
        let covered = mem::replace(&mut waiters.by_lsn, later);
        drop(waiters);
        covered.into_values().for_each(Waker::wake);
    }

    /// Writes what is reserved and published, and a closing group that proves the last one
    /// durable; then the log takes nothing more.
    pub(super) fn shutdown(&self) -> Result<()> {
        block_on(self.wait(self.next()))?;
        let mut leader = self.leader.lock();
        if let Some(error) = self.end() {
            return self.poisoned().map_or(Ok(()), |_| Err(error));
        }
        let _guard = PoisonOnPanic(self);
        let closed = leader.writer.write(&[]).and_then(|()| leader.writer.sync());
        match &closed {
            Ok(()) => {
                self.raise_durable(&leader.writer);
                self.finish(CLOSED);
            }
            Err(error) => self.poison(&error.to_string()),
        }
        closed
    }
}

impl Counters {
    fn add_group(&self, leader: &mut Leader, write: Duration, sync: Duration) {
        let nanos = |took: Duration| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let add = |to: &AtomicU64, n| to.fetch_add(n, Ordering::Relaxed);
        add(&self.blobs, leader.ready.len() as u64);
        add(&self.records, mem::take(&mut leader.ready_records));
        add(&self.groups, 1);
        add(&self.write_nanos, nanos(write));
        add(&self.sync_nanos, nanos(sync));
    }
}

impl Leader {
    /// Moves what is published into `ready` as far as it is contiguous, the rest into `early`.
    fn drain(&mut self, queue: &SegQueue<Published>) {
        while let Some(published) = queue.pop() {
            if published.start == self.ready_end {
                self.push_ready(published);
            } else {
                assert!(
                    published.start > self.ready_end,
                    "W1: a place is given out once"
                );
                self.early.insert(published.start, published);
            }
            while let Some(entry) = self.early.first_entry()
                && *entry.key() == self.ready_end
            {
                let published = entry.remove();
                self.push_ready(published);
            }
        }
    }

    fn push_ready(&mut self, published: Published) {
        self.ready_end += published.bytes.len() as u64;
        self.ready_records += u64::from(published.records);
        self.ready.push(published.bytes);
    }

    fn ready_bytes(&self) -> u64 {
        self.ready_end - self.writer.end().0
    }
}

/// A leader that panics must not leave anybody waiting.
struct PoisonOnPanic<'a>(&'a Coordinator);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.poison("the log's leader panicked");
        }
    }
}

/// A place in the stream that must be filled: dropping it aborts the process, because memory
/// already holds what the log would lack and nobody could ever commit behind the hole.
#[must_use]
pub struct Reservation<'a> {
    coordinator: &'a Coordinator,
    start: u64,
    len: u64,
}

impl Reservation<'_> {
    /// The commit's lsn.
    pub fn end(&self) -> Lsn {
        Lsn(self.start + self.len)
    }

    /// Computes the blob's checksums and hands it to the leader. It is not durable yet, and
    /// unless somebody waits for it or calls [`super::Log::write_soon`], need not become so.
    pub fn publish(self, blob: Blob) {
        let records = blob.records();
        let bytes = blob.seal();
        assert_eq!(bytes.len() as u64, self.len, "the place reserved for it");
        let (coordinator, start) = (self.coordinator, self.start);
        mem::forget(self);
        coordinator.publish(Published {
            start,
            bytes,
            records,
        });
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        tracing::error!("a reserved place in the log was not filled");
        std::process::abort();
    }
}

/// A wait for durability: a future, dropped at will.
#[must_use]
pub struct Wait<'a> {
    coordinator: &'a Coordinator,
    lsn: Lsn,
    may_lead: bool,
    stage: Stage,
}

/// `New ── first poll ──► Started ── must wait ──► Registered`, each `── outcome ──► Done`.
enum Stage {
    New,
    /// Counted in `in_flight`.
    Started,
    /// Counted, and in `waiters` under this number.
    Registered(u64),
    Done,
}

impl Wait<'_> {
    /// Leaves leading to the writer thread: the caller's thread has others to serve meanwhile.
    pub fn without_leading(mut self) -> Self {
        self.may_lead = false;
        self
    }

    /// The first poll. Leads inline if this commit is the newest and nobody else is about.
    fn start(&mut self) {
        let coordinator = self.coordinator;
        let others = coordinator.in_flight.fetch_add(1, Ordering::SeqCst);
        // SeqCst: pairs with the one in publish().
        fence(Ordering::SeqCst);
        self.stage = Stage::Started;
        let alone = self.may_lead
            && others == 0
            && coordinator.alone.load(Ordering::Relaxed)
            && coordinator.next() == self.lsn;
        if alone {
            coordinator.try_lead_inline();
        }
    }

    /// Registers the waker, or gives the outcome. Both under the mutex that the leader takes
    /// after it raised `durable`: one of the two sees the other.
    fn register(&mut self, waker: &Waker) -> Option<Result<()>> {
        let coordinator = self.coordinator;
        let mut waiters = coordinator.waiters.lock();
        if let Some(outcome) = coordinator.outcome(self.lsn) {
            return Some(outcome);
        }
        let number = match self.stage {
            Stage::Registered(number) => number,
            _ => waiters.take_number(),
        };
        waiters.by_lsn.insert((self.lsn, number), waker.clone());
        drop(waiters);
        if !matches!(self.stage, Stage::Registered(_)) {
            self.stage = Stage::Registered(number);
            // From here on the writer thread looks at the queue once more, whoever leads now.
            coordinator.signal.call();
        }
        None
    }

    fn finish(&mut self) {
        let coordinator = self.coordinator;
        match mem::replace(&mut self.stage, Stage::Done) {
            Stage::New | Stage::Done => return,
            Stage::Started => {}
            Stage::Registered(number) => {
                coordinator
                    .waiters
                    .lock()
                    .by_lsn
                    .remove(&(self.lsn, number));
            }
        }
        coordinator.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Future for Wait<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let wait = self.get_mut();
        let mut outcome = wait.coordinator.outcome(wait.lsn);
        if outcome.is_none() && matches!(wait.stage, Stage::New) {
            wait.start();
        }
        if outcome.is_none() {
            outcome = wait.register(context.waker());
        }
        match outcome {
            None => Poll::Pending,
            Some(outcome) => {
                wait.finish();
                Poll::Ready(outcome)
            }
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::New) {
            // Never polled, so nobody was called for this commit.
            self.coordinator.signal.call();
        }
        self.finish();
    }
}

/// A wait for the log to fail. A shutdown in good order does not end it.
pub(super) async fn wait_poisoned(coordinator: &Coordinator) -> Error {
    let mut key = None;
    std::future::poll_fn(move |context| {
        let mut waiters = coordinator.waiters.lock();
        if let Some(error) = coordinator.poisoned() {
            return Poll::Ready(error);
        }
        let key = *key.get_or_insert_with(|| (Lsn::NEWEST, waiters.take_number()));
        waiters.by_lsn.insert(key, context.waker().clone());
        Poll::Pending
    })
    .await
}

/// Calls the writer thread. A call made while it works makes it look again afterwards.
#[derive(Default)]
pub(super) struct Signal {
    called: AtomicBool,
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn call(&self) {
        // SeqCst: what the caller did before is seen by the thread after its own swap.
        if !self.called.swap(true, Ordering::SeqCst) {
            // With the mutex held in between, the thread either has not looked or is waiting.
            drop(self.stopped.lock());
            self.changed.notify_one();
        }
    }

    /// Waits for a call; `false` when stopped.
    fn wait_call(&self) -> bool {
        let mut stopped = self.stopped.lock();
        loop {
            if *stopped {
                return false;
            }
            if self.called.swap(false, Ordering::SeqCst) {
                return true;
            }
            self.changed.wait(&mut stopped);
        }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_one();
    }
}

/// Polls a future to its end on this thread, which sleeps in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
