//! A counter that many threads add to without sharing a cache line.

use crate::base::sync::{AtomicU64, AtomicUsize, Ordering};

const STRIPES: usize = 32;

/// Threads take turns in being given a stripe, so two share one only when there are many.
#[derive(Default)]
pub(super) struct Counter([Stripe; STRIPES]);

#[derive(Default)]
#[repr(align(64))]
struct Stripe(AtomicU64);

thread_local! {
    static STRIPE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
    };
}

impl Counter {
    pub(super) fn add_one(&self) {
        // A thread that is ending counts where it may.
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        self.0[stripe].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|s| s.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Counter, STRIPES};

    #[test]
    fn what_many_threads_count_at_once_adds_up() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..STRIPES + 3 {
                scope.spawn(|| (0..1000).for_each(|_| counter.add_one()));
            }
        });
        assert_eq!(counter.sum(), 1000 * (STRIPES as u64 + 3));
    }
}
