//! Long work on a worker thread.

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
