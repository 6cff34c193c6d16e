//! The synchronisation primitives of the coordinator and the page cache, named in one place so
//! that a model checker can stand in for them: `model/` does, for the coordinator.

pub use crossbeam_queue::SegQueue;
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub use std::thread;
