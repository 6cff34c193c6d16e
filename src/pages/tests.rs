mod checkpoint;
mod spaces;

use super::harness::{Store, seed};
use super::versions::FEW;
use super::{Batch, PAGE_CONTENT, PAGE_SIZE, Page, PageRef, Pages};
use crate::base::sync::{AtomicBool, Ordering};
use crate::base::{Error, Lsn, PageId, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

fn page(number: u32) -> PageId {
    PageId { space: 0, number }
}

fn write(batch: &mut Batch<'_>, number: u32, value: u32) -> Result<()> {
    batch.edit(page(number))?.write_u32(PAGE_CONTENT, value);
    Ok(())
}

fn value(page: &PageRef) -> u32 {
    page.u32_at(PAGE_CONTENT).unwrap()
}

fn is_corrupt<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

#[test]
fn a_snapshot_reads_the_newest_version_not_above_it() {
    let store = Store::new();
    let p = store.commit(|b| b.allocate(0));
    assert_eq!(p, page(1), "P7");
    for v in 2..5 {
        store.commit(|b| write(b, 1, v));
    }
    let read = |lsn| store.pages.read(p, Lsn(lsn)).map(|p| value(&p));
    assert_eq!(read(399).unwrap(), 3);
    assert_eq!(read(400).unwrap(), 4);
    assert_eq!(read(u64::MAX).unwrap(), 4);
    assert!(is_corrupt(read(99)));
    assert!(is_corrupt(store.pages.read(page(2), Lsn::NEWEST)));
    assert!(is_corrupt(store.pages.read(page(u32::MAX), Lsn::NEWEST)));
    assert!(is_corrupt(store.pages.read(
        PageId {
            space: 9,
            number: 1
        },
        Lsn::NEWEST
    )));
}

#[test]
fn a_dropped_batch_leaves_no_trace() {
    let store = Store::new();
    store.commit(|b| b.allocate(0));
    let mut batch = Batch::new(&store.pages);
    write(&mut batch, 1, 7).unwrap();
    batch.allocate(0).unwrap();
    drop(batch.finish().unwrap());
    assert_eq!(value(&store.pages.read(page(1), Lsn::NEWEST).unwrap()), 0);
    assert_eq!(store.commit(|b| b.allocate(0)), page(2));
}

#[test]
fn random_edits_replay_to_the_same_bytes() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    store.commit(|b| (0..4).try_for_each(|_| b.allocate(3).map(|_| ())));
    for _ in 0..300 {
        store.commit(|batch| {
            // Now and then so many that they are replaced by the page's image.
            let edits = if rng.random_bool(0.05) {
                300
            } else {
                rng.random_range(0..5)
            };
            for _ in 0..edits {
                let id = PageId {
                    space: 3,
                    number: rng.random_range(1..5),
                };
                let mut editor = batch.edit(id)?;
                let len = rng.random_range(0..100);
                let mut at = || rng.random_range(PAGE_CONTENT..PAGE_SIZE - 100);
                let (from, to) = (at(), at());
                if rng.random_bool(0.3) {
                    editor.shift(from, to, len);
                } else if rng.random_bool(0.01) {
                    let mut image = Page::zeroed();
                    image.bytes_mut()[from] = 1;
                    editor.replace(&image);
                } else {
                    let bytes: Vec<u8> = (0..len).map(|_| rng.random()).collect();
                    editor.write(from, &bytes);
                }
            }
            Ok(())
        });
    }
    let longest = store
        .log
        .lock()
        .iter()
        .map(|(_, _, edits, _)| edits.len())
        .max()
        .unwrap();
    assert!(longest < PAGE_SIZE + PAGE_SIZE / 2, "{longest}");
    store.check_recovery();
}

#[test]
fn recovery_refuses_edits_of_another_version() {
    let store = Store::new();
    store.commit(|b| b.allocate(0));
    store.commit(|b| write(b, 1, 1));
    let log = store.log.lock().clone();
    let (id, base, edits, lsn) = log.last().unwrap();
    let recovered = Pages::new(store_durable());
    assert!(is_corrupt(recovered.apply(*id, *base, edits, *lsn)));
    let recovered = Pages::new(store_durable());
    for (id, base, edits, lsn) in &log {
        recovered.apply(*id, *base, edits, *lsn).unwrap();
    }
    // Twice, or bytes that are no edits.
    assert!(is_corrupt(recovered.apply(*id, *base, edits, *lsn)));
    let recovered = Pages::new(store_durable());
    assert!(is_corrupt(recovered.apply(
        *id,
        Lsn::ZERO,
        &[0xFF; 3],
        *lsn
    )));
}

fn store_durable() -> std::sync::Arc<dyn Fn() -> Lsn + Send + Sync> {
    std::sync::Arc::new(|| Lsn::ZERO)
}

#[test]
fn the_allocator_gives_each_page_once_and_reuses_what_is_freed() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    let mut used = BTreeSet::new();
    for round in 0..60 {
        let grow = round % 20 < 12;
        store.commit(|batch| {
            for _ in 0..rng.random_range(500..1000) {
                if rng.random_bool(if grow { 0.9 } else { 0.02 }) {
                    let id = batch.allocate(0)?;
                    assert!(used.insert(id.number), "{id} given twice");
                    assert!(
                        batch.read(id)?.bytes()[PAGE_CONTENT..]
                            .iter()
                            .all(|&b| b == 0)
                    );
                    batch.edit(id)?.write_u32(PAGE_SIZE - 4, id.number);
                } else if !used.is_empty() {
                    let nth = rng.random_range(0..used.len());
                    let number = *used.iter().nth(nth).unwrap();
                    used.remove(&number);
                    batch.free(page(number))?;
                }
            }
            Ok(())
        });
        let list = store.pages.free_list(0, Lsn::NEWEST).unwrap();
        let expected: Vec<u32> = (1..list.high_water).filter(|n| !used.contains(n)).collect();
        assert_eq!(list.free, expected);
    }
    assert!(
        store.pages.free_list(0, Lsn::NEWEST).unwrap().free.len() > 2042,
        "several trunks"
    );
    store.check_recovery();
    // What is free is used before the space grows.
    let before = store.pages.free_list(0, Lsn::NEWEST).unwrap();
    store.commit(|b| (0..before.free.len()).try_for_each(|_| b.allocate(0).map(|_| ())));
    let after = store.pages.free_list(0, Lsn::NEWEST).unwrap();
    assert_eq!((after.high_water, after.free.len()), (before.high_water, 0));
}

#[test]
fn a_damaged_free_list_is_reported() {
    let damages: &[(u32, usize, u32)] = &[
        (0, 16, 1),
        (0, 20, 1),
        (0, 24, 9),
        (0, 24, 1),
        (0, 28, 9),
        (3, 16, 1),
        (3, 28, 9),
        (3, 28, 0),
        (3, 28, 3),
        (3, 24, 5000),
        (3, 20, 3),
    ];
    for &(number, offset, bytes) in damages {
        let store = Store::new();
        store.commit(|b| (0..5).try_for_each(|_| b.allocate(0).map(|_| ())));
        [3, 2]
            .into_iter()
            .for_each(|n| store.commit(|b| b.free(page(n))));
        assert_eq!(store.pages.free_list(0, Lsn::NEWEST).unwrap().free, [2, 3]);
        store.damage(page(number), offset, &bytes.to_le_bytes());
        let list = store.pages.free_list(0, Lsn::NEWEST);
        assert!(is_corrupt(list), "{number} {offset} {bytes}");
    }
}

#[test]
fn a_space_is_made_once_and_spaces_are_used_in_order() {
    let store = Store::new();
    store.commit(|b| b.create_space(1));
    let mut batch = Batch::new(&store.pages);
    assert!(batch.create_space(1).is_err());
    batch.allocate(2).unwrap();
    assert!(batch.allocate(0).is_err(), "P3");
    batch.allocate(1).unwrap();
}

#[test]
fn versions_nobody_can_read_are_dropped_and_those_of_live_snapshots_stay() {
    let store = Store::new();
    store.commit(|b| b.allocate(0));
    let mut readers = Vec::new();
    for v in 1..=1000 {
        store.commit(|b| write(b, 1, v));
        if v % 250 == 0 {
            readers.push((v, store.pages.snapshots().register(|| store.durable())));
        }
    }
    for (v, snapshot) in &readers {
        assert_eq!(
            value(&store.pages.read(page(1), snapshot.lsn()).unwrap()),
            *v
        );
    }
    // One version per reader, and the few that installation tolerates.
    let lsns = store.pages.chain(page(1)).lsns();
    assert!(lsns.len() <= readers.len() + FEW, "{lsns:?}");
    readers.clear();
    for v in 0..10 {
        store.commit(|b| write(b, 1, v));
    }
    assert!(store.pages.chain(page(1)).lsns().len() <= FEW);
}

#[test]
fn versions_above_the_durable_lsn_all_stay() {
    let store = Store::new();
    store.commit(|b| b.allocate(0));
    store.commit(|b| write(b, 1, 1));
    let lsns: Vec<Lsn> = (0..50)
        .map(|v| store.install(|b| write(b, 1, v)).1)
        .collect();
    let mut expected: Vec<Lsn> = lsns.iter().rev().copied().collect();
    expected.push(Lsn(200));
    assert_eq!(store.pages.chain(page(1)).lsns(), expected);
    for (v, lsn) in lsns.iter().enumerate() {
        assert_eq!(value(&store.pages.read(page(1), *lsn).unwrap()) as usize, v);
    }
}

/// Two pages always hold the same number; readers must see it so while the writer goes on and the
/// collector drops what it may.
#[test]
fn readers_beside_a_writer_always_find_their_versions() {
    let store = Store::new();
    store.commit(|b| b.allocate(0));
    store.commit(|b| b.allocate(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut slot = store.pages.snapshots().slot();
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let lsn = slot.take(|| store.durable());
                    let first = value(&store.pages.read(page(1), lsn).unwrap());
                    if reader == 0 {
                        std::thread::yield_now();
                    }
                    let second = value(&store.pages.read(page(2), lsn).unwrap());
                    assert_eq!(first, second);
                    assert!(first >= last);
                    last = first;
                    slot.release();
                }
            });
        }
        for v in 1..20_000 {
            store.commit(|b| write(b, 1, v).and_then(|()| write(b, 2, v)));
            if v % 1000 == 0 {
                store.log.lock().clear();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(store.pages.chain(page(1)).lsns().len() <= FEW + 3);
}
