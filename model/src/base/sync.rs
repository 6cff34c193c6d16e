//! `crate::base::sync` over the checker's primitives, and how the checker runs a scenario.
//!
//! Two primitives stay invisible to the checkers: `OnceLock`, set before a store that is visible,
//! and `Arc`.

#[cfg(feature = "loom")]
use loom as checker;
#[cfg(feature = "shuttle")]
use shuttle as checker;

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

pub use checker::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// parking_lot's interface: nothing is poisoned.
#[derive(Default)]
pub struct Mutex<T>(checker::sync::Mutex<T>);

pub struct MutexGuard<'a, T>(Option<checker::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Mutex<T> {
        Mutex(checker::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard(Some(guard))
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        use std::sync::TryLockError::{Poisoned, WouldBlock};
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard(Some(guard))),
            Err(Poisoned(error)) => Some(MutexGuard(Some(error.into_inner()))),
            Err(WouldBlock) => None,
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held outside of a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held outside of a wait")
    }
}

#[derive(Default)]
pub struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held outside of a wait");
        let held = self.0.wait(held).unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(held);
    }
}

/// What is pushed is seen by who sees the length, and by nobody sooner. That is weaker than
/// crossbeam's queue, whose accesses are sequentially consistent: the coordinator's own fences
/// must do.
pub struct SegQueue<T> {
    /// Invisible to the checker.
    items: std::sync::Mutex<VecDeque<T>>,
    length: AtomicUsize,
}

impl<T> SegQueue<T> {
    pub fn new() -> SegQueue<T> {
        SegQueue {
            items: std::sync::Mutex::default(),
            length: AtomicUsize::new(0),
        }
    }

    fn items(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, item: T) {
        self.length.fetch_add(1, Ordering::Release);
        // Checkers switch threads before an access: this is one step with it.
        self.items().push_back(item);
    }

    /// Only leaders pop, one at a time.
    pub fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        self.length.fetch_sub(1, Ordering::AcqRel);
        self.items().pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::Acquire) == 0
    }
}

pub mod thread {
    pub use super::checker::thread::{JoinHandle, spawn};
    #[cfg(feature = "shuttle")]
    pub use shuttle::thread::{Thread, current, park};
    pub use std::thread::panicking;

    #[cfg(feature = "loom")]
    pub use loomed::{Thread, current, park};

    /// Orders nothing, so it does nothing: loom would let all others run first, always.
    pub fn yield_now() {}

    /// loom's own `unpark` wakes a thread that waits for a mutex, too.
    #[cfg(feature = "loom")]
    mod loomed {
        use std::sync::Arc;

        use loom::sync::Notify;

        #[derive(Clone)]
        pub struct Thread(Arc<Notify>);

        loom::thread_local! {
            static CURRENT: Thread = Thread(Arc::new(Notify::new()));
        }

        pub fn current() -> Thread {
            CURRENT.with(Thread::clone)
        }

        /// May return for no reason, as the real one.
        pub fn park() {
            current().0.wait();
        }

        impl Thread {
            pub fn unpark(&self) {
                self.0.notify();
            }
        }
    }
}

/// Runs a scenario in every interleaving with so many preemptions, and says how many these were.
#[cfg(feature = "loom")]
pub fn explore(name: &str, preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;

    let mut builder = loom::model::Builder::new();
    let preemptions = *builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 100_000;
    let executions = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&executions);
    let started = std::time::Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let executions = executions.load(Ordering::Relaxed);
    println!(
        "{name}: {executions} executions, all with up to {preemptions} preemptions, in {:.1} s",
        started.elapsed().as_secs_f64()
    );
}

/// Runs a scenario in random schedules, half of them with few, far-reaching preemptions (PCT).
#[cfg(feature = "shuttle")]
pub fn explore(name: &str, _preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use shuttle::scheduler::{PctScheduler, RandomScheduler};

    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = number("SEED").unwrap_or_else(|| now.map_or(0, |now| now.as_secs()));
    let schedules = number("SCHEDULES").unwrap_or(10_000) as usize;
    println!("{name}: SEED={seed} SCHEDULES={schedules}");
    let started = Instant::now();
    let scenario = Arc::new(scenario);
    let (first, second) = (Arc::clone(&scenario), scenario);
    let random = RandomScheduler::new_from_seed(seed, schedules.div_ceil(2));
    shuttle::Runner::new(random, Default::default()).run(move || first());
    let pct = PctScheduler::new_from_seed(seed, 5, schedules / 2);
    shuttle::Runner::new(pct, Default::default()).run(move || second());
    println!(
        "{name}: {schedules} schedules in {:.1} s",
        started.elapsed().as_secs_f64()
    );
}
