//! Long work on a worker thread.

use std::future::{Future, poll_fn};
use std::pin::pin;

/// Runs long synchronous work without holding up the other tasks of this worker thread.
pub fn blocking<T>(heavy: bool, work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let multi = || {
        let handle = Handle::try_current();
        handle.is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if heavy && multi() {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// Awaits work that may keep the thread for long between two waits, without holding up the other
/// tasks of this worker thread. Each poll costs them a change of threads: the work should go on for
/// a while in each, and yield now and then.
pub async fn blocking_polls<F: Future>(heavy: bool, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| blocking(heavy, || work.as_mut().poll(cx))).await
}
