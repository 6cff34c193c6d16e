//! Who reads at which lsn, so that the collector keeps what they need (P5, P6).
//!
//! A reader stores its lsn in a slot, then loads the floor; if its lsn is below, it takes a newer
//! one. The collector raises the floor, then reads the slots. All of it is SeqCst: either the
//! collector sees the reader's slot or the reader sees the collector's floor.

use super::growing::Growing;
use crate::base::Lsn;
use crate::base::sync::{AtomicU32, AtomicU64, Mutex, Ordering, SegQueue};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The registry of live snapshots.
#[derive(Default)]
pub struct Snapshots {
    /// No snapshot taken from now on lies below it.
    floor: AtomicU64,
    slots: Growing<Slot>,
    /// Slots ever handed out.
    slot_count: AtomicU32,
    /// Slots given back.
    free: SegQueue<u32>,
    /// The last list of live snapshots.
    horizon: ArcSwap<Horizon>,
    /// Held by whoever makes the next list.
    collector: Mutex<()>,
}

/// The lsn of one live snapshot, or `EMPTY`. A cache line of its own, since each is written by
/// another session at every statement.
#[repr(align(64))]
struct Slot(AtomicU64);

const EMPTY: u64 = u64::MAX;

impl Default for Slot {
    fn default() -> Self {
        Slot(AtomicU64::new(EMPTY))
    }
}

/// What must be kept: all at and above the floor, and what the live snapshots below it see.
#[derive(Default)]
pub(super) struct Horizon {
    pub(super) floor: Lsn,
    /// Ascending, without duplicates.
    pub(super) live: Vec<Lsn>,
}

impl Horizon {
    /// Whether a snapshot may ask for the version `lsn`, whose next newer version is `next`.
    pub(super) fn needs(&self, lsn: Lsn, next: Lsn) -> bool {
        if next > self.floor {
            return true;
        }
        let first = self.live.partition_point(|&snapshot| snapshot < lsn);
        self.live
            .get(first)
            .is_some_and(|&snapshot| snapshot < next)
    }
}

impl Snapshots {
    /// A slot of one's own, to be armed again and again without a lock: one per session.
    pub fn slot(self: &Arc<Self>) -> SnapshotSlot {
        let index = self.free.pop().unwrap_or_else(|| {
            // SeqCst: before the store to the slot in P6's order, so that a collector that raised
            // the floor earlier and does not count this slot is seen by `take`.
            self.slot_count.fetch_add(1, Ordering::SeqCst)
        });
        self.slots.get_or_grow(index);
        SnapshotSlot {
            registry: self.clone(),
            index,
        }
    }

    /// A snapshot at what `durable` says, alive until the guard is dropped. To share it, share the
    /// guard: a second one at the same lsn could not be had safely.
    pub fn register(self: &Arc<Self>, durable: impl Fn() -> Lsn) -> Snapshot {
        let mut slot = self.slot();
        let lsn = slot.take(durable);
        Snapshot { lsn, _slot: slot }
    }

    /// A snapshot at just this lsn, which is durable; `None` if the collector may have dropped
    /// versions that it would see.
    pub(super) fn register_at(self: &Arc<Self>, lsn: Lsn) -> Option<Snapshot> {
        let slot = self.slot();
        slot.arm(lsn).then_some(Snapshot { lsn, _slot: slot })
    }

    /// The list of live snapshots, made anew if `durable` is beyond the last one's floor and
    /// nobody else is at it.
    pub(super) fn horizon(&self, durable: Lsn) -> Arc<Horizon> {
        let last = self.horizon.load_full();
        match durable <= last.floor {
            true => last,
            false => self.new_horizon(durable),
        }
    }

    /// The list made anew, for snapshots may have gone, unless somebody else is at it.
    pub(super) fn new_horizon(&self, durable: Lsn) -> Arc<Horizon> {
        let Some(_collector) = self.collector.try_lock() else {
            return self.horizon.load_full();
        };
        // SeqCst: P6, pairs with the load in `take`.
        let floor = self
            .floor
            .fetch_max(durable.0, Ordering::SeqCst)
            .max(durable.0);
        let live = self.live();
        let floor = Lsn(floor);
        let horizon = Arc::new(Horizon { floor, live });
        self.horizon.store(horizon.clone());
        horizon
    }

    fn live(&self) -> Vec<Lsn> {
        let slots = (0..self.slot_count.load(Ordering::SeqCst)).filter_map(|i| self.slots.get(i));
        // SeqCst: P6, pairs with the store in `take`.
        let lsns = slots.map(|slot| slot.0.load(Ordering::SeqCst));
        let mut live: Vec<Lsn> = lsns.filter(|&lsn| lsn != EMPTY).map(Lsn).collect();
        live.sort_unstable();
        live.dedup();
        live
    }
}

/// A place in the registry, armed while its owner reads.
pub struct SnapshotSlot {
    registry: Arc<Snapshots>,
    index: u32,
}

impl SnapshotSlot {
    /// Registers a snapshot at what `durable` says, which must never fall, and gives its lsn. What
    /// was registered here before is released.
    pub fn take(&mut self, durable: impl Fn() -> Lsn) -> Lsn {
        loop {
            let lsn = durable();
            if self.arm(lsn) {
                return lsn;
            }
            std::hint::spin_loop();
        }
    }

    /// Whether all that is seen at the lsn stays from now on.
    fn arm(&self, lsn: Lsn) -> bool {
        let slot = self.registry.slots.get_or_grow(self.index);
        // SeqCst on both: P6, pair with `horizon`'s fetch_max and `live`'s loads.
        slot.0.store(lsn.0, Ordering::SeqCst);
        self.registry.floor.load(Ordering::SeqCst) <= lsn.0
    }

    /// The snapshot is read no more.
    pub fn release(&mut self) {
        let slot = self.registry.slots.get_or_grow(self.index);
        // Release: the reads at this snapshot come before the collector's load of the slot.
        slot.0.store(EMPTY, Ordering::Release);
    }
}

impl Drop for SnapshotSlot {
    fn drop(&mut self) {
        self.release();
        self.registry.free.push(self.index);
    }
}

/// A registered snapshot.
pub struct Snapshot {
    lsn: Lsn,
    _slot: SnapshotSlot,
}

impl Snapshot {
    /// The lsn to read at.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }
}

#[cfg(test)]
mod tests {
    use super::{Horizon, Snapshots};
    use crate::base::Lsn;
    use std::cell::Cell;
    use std::sync::Arc;

    #[test]
    fn a_snapshot_below_the_floor_is_taken_again() {
        let snapshots = Arc::new(Snapshots::default());
        snapshots.horizon(Lsn(10));
        let asked = Cell::new(0);
        let snapshot = snapshots.register(|| {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Lsn(9) } else { Lsn(10) }
        });
        assert_eq!((snapshot.lsn(), asked.get()), (Lsn(10), 3));
    }

    #[test]
    fn slots_are_listed_while_armed_and_reused_after() {
        let snapshots = Arc::new(Snapshots::default());
        let mut slot = snapshots.slot();
        slot.take(|| Lsn(5));
        let other = snapshots.register(|| Lsn(7));
        assert_eq!(snapshots.horizon(Lsn(8)).live, [Lsn(5), Lsn(7)]);
        slot.release();
        drop(other);
        assert_eq!(snapshots.horizon(Lsn(9)).live, []);
        let again = snapshots.register(|| Lsn(9));
        assert_eq!((again._slot.index, slot.index), (1, 0));
    }

    #[test]
    fn a_version_is_needed_by_the_floor_or_by_a_snapshot_that_sees_it() {
        let horizon = Horizon {
            floor: Lsn(100),
            live: vec![Lsn(10), Lsn(50)],
        };
        let needs = |lsn, next| horizon.needs(Lsn(lsn), Lsn(next));
        assert!(needs(10, 11) && needs(3, 11) && needs(50, 60));
        assert!(!needs(3, 10) && !needs(11, 50) && !needs(51, 100));
        assert!(needs(60, 101) && needs(100, 101) && needs(101, 102));
    }
}
