use super::node::CAPACITY;
use super::{
    Adopted, Cursor, Merge, Near, Stats, adopt, apply, bulk_build, create, delete, destroy, get,
    get_from, put, unchanged, verify,
};
use crate::base::sync::{AtomicBool, Ordering};
use crate::base::{Error, Lsn, PageId, Result, SqlState};
use crate::pages::harness::{Store, seed};
use crate::pages::{Batch, PAGE_SIZE, Snapshot};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::ops::Bound;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn row(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

fn tree(store: &Store) -> PageId {
    store.commit(|b| create(b, 0))
}

/// Every page is the tree's or free.
fn check_allocator(store: &Store, stats: &[&Stats]) {
    let list = store.pages.free_list(0, Lsn::NEWEST).unwrap();
    let mut all = list.free.clone();
    all.extend(stats.iter().flat_map(|s| &s.pages).map(|p| p.number));
    all.sort_unstable();
    assert_eq!(all, (1..list.high_water).collect::<Vec<_>>());
}

fn scan(store: &Store, root: PageId, lsn: Lsn, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Model {
    let mut found = Model::new();
    let mut cursor = Cursor::new(store.pages.clone(), root, lsn, lower, upper);
    while let Some((key, value)) = cursor.next().unwrap() {
        let value = value.bytes().unwrap().into_owned();
        assert!(
            found
                .last_key_value()
                .is_none_or(|(last, _)| last.as_slice() < key)
        );
        found.insert(key.to_vec(), value);
    }
    found
}

fn scan_back(
    store: &Store,
    root: PageId,
    lsn: Lsn,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
) -> Model {
    let mut found = Model::new();
    let mut cursor = Cursor::new(store.pages.clone(), root, lsn, lower, upper);
    while let Some((key, value)) = cursor.prev().unwrap() {
        assert!(
            found
                .first_key_value()
                .is_none_or(|(first, _)| first.as_slice() > key)
        );
        found.insert(key.to_vec(), value.to_value().unwrap().to_vec());
    }
    found
}

fn check_model(store: &Store, root: PageId, lsn: Lsn, model: &Model) -> Stats {
    let stats = verify(&store.pages, root, lsn).unwrap();
    assert_eq!(stats.entries, model.len() as u64);
    assert!(scan(store, root, lsn, Bound::Unbounded, Bound::Unbounded) == *model);
    stats
}

/// Keys of many lengths with common prefixes, from a pool that makes them meet again.
fn random_key(rng: &mut StdRng, pool: u32) -> Vec<u8> {
    let n: u32 = rng.random_range(0..pool);
    let mut key = match n % 4 {
        0 => n.to_be_bytes().to_vec(),
        1 => format!("customer/{n:05}").into_bytes(),
        2 => vec![b'x'; n as usize % 300],
        _ => (n / 7).to_le_bytes().repeat(1 + n as usize % 3),
    };
    if n.is_multiple_of(97) {
        key.resize(2000 - n as usize % 50, b'y');
    }
    key
}

fn random_value(rng: &mut StdRng) -> Vec<u8> {
    let len = match rng.random_range(0..100) {
        0 => rng.random_range(2001..40_000),
        1..5 => rng.random_range(500..2001),
        5..30 => 8,
        _ => rng.random_range(0..200),
    };
    let byte: u8 = rng.random();
    let mut value = vec![byte; len];
    value.iter_mut().step_by(7).for_each(|b| *b = rng.random());
    value
}

fn random_bound(rng: &mut StdRng, key: &'_ [u8]) -> Bound<Vec<u8>> {
    match rng.random_range(0..5) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Included(key.to_vec()),
        _ => Bound::Excluded(key.to_vec()),
    }
}

fn model_range(model: &Model, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Model {
    let above = |k: &[u8]| match lower {
        Bound::Unbounded => true,
        Bound::Included(l) => k >= l.as_slice(),
        Bound::Excluded(l) => k > l.as_slice(),
    };
    let below = |k: &[u8]| match upper {
        Bound::Unbounded => true,
        Bound::Included(u) => k <= u.as_slice(),
        Bound::Excluded(u) => k < u.as_slice(),
    };
    let entries = model.iter().filter(|(k, _)| above(k) && below(k));
    entries.map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn slices(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// A range, or a single key, has changed since a snapshot if the models say so.
fn check_unchanged(
    store: &Store,
    root: PageId,
    (snapshot, then): (Lsn, &Model),
    now: &Model,
    rng: &mut StdRng,
) {
    let pool = 3000;
    let (key, other) = (random_key(rng, pool), random_key(rng, pool));
    let (lower, upper) = match rng.random_bool(0.5) {
        true => (Bound::Included(key.clone()), Bound::Included(key)),
        false => (random_bound(rng, &key), random_bound(rng, &other)),
    };
    let same = model_range(then, &lower, &upper) == model_range(now, &lower, &upper);
    let found = unchanged(&store.pages, root, snapshot, slices(&lower), slices(&upper));
    assert_eq!(found.unwrap(), same, "{lower:?} to {upper:?}");
}

#[test]
fn random_operations_agree_with_a_model_in_batches_and_at_snapshots() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    let root = tree(&store);
    let mut model = Model::new();
    let mut kept: Vec<(Snapshot, Model)> = Vec::new();
    for round in 0..150 {
        let pool = 3000;
        let deletes = if round % 50 > 35 { 0.9 } else { 0.3 };
        store.commit(|batch| {
            for _ in 0..rng.random_range(0..120) {
                let key = random_key(&mut rng, pool);
                if rng.random_bool(deletes) {
                    assert_eq!(delete(batch, root, &key)?, model.remove(&key).is_some());
                } else {
                    let value = random_value(&mut rng);
                    put(batch, root, &key, &value)?;
                    model.insert(key, value);
                }
                let key = random_key(&mut rng, pool);
                let found = get_from(batch, root, &key)?.value;
                assert!(found.as_deref() == model.get(&key).map(Vec::as_slice));
            }
            let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
            for _ in 0..rng.random_range(0..200) {
                let value = (!rng.random_bool(deletes)).then(|| random_value(&mut rng));
                changes.insert(random_key(&mut rng, pool), value);
            }
            let all = changes.iter().map(|(k, v)| (k.as_slice(), v.as_deref()));
            apply(batch, root, all)?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(model.insert(key, value)),
                    None => drop(model.remove(&key)),
                }
            }
            super::verify::verify_from(batch, root)?;
            Ok(())
        });
        let stats = check_model(&store, root, store.durable(), &model);
        check_allocator(&store, &[&stats]);
        for _ in 0..10 {
            let (lower, upper) = (random_key(&mut rng, pool), random_key(&mut rng, pool));
            let (lower, upper) = (
                random_bound(&mut rng, &lower),
                random_bound(&mut rng, &upper),
            );
            let expected = model_range(&model, &lower, &upper);
            let (l, u) = (slices(&lower), slices(&upper));
            assert!(scan(&store, root, store.durable(), l, u) == expected);
            assert!(scan_back(&store, root, store.durable(), l, u) == expected);
        }
        if rng.random_bool(0.2) {
            kept.push((
                store.pages.snapshots().register(|| store.durable()),
                model.clone(),
            ));
        }
        if kept.len() > 5 {
            kept.swap_remove(rng.random_range(0..kept.len()));
        }
        for (snapshot, then) in &kept {
            for _ in 0..10 {
                check_unchanged(&store, root, (snapshot.lsn(), then), &model, &mut rng);
            }
            let model = then;
            check_model(&store, root, snapshot.lsn(), model);
            let mut near = Near::default();
            let some = model.keys().skip(rng.random_range(0..100)).take(60);
            for key in some.chain([&random_key(&mut rng, pool)]) {
                let found = near.get(&store.pages, root, snapshot.lsn(), key).unwrap();
                assert!(found.as_deref() == model.get(key).map(Vec::as_slice));
            }
            let key = random_key(&mut rng, pool);
            let found = get(&store.pages, root, snapshot.lsn(), &key).unwrap();
            assert!(found.value.as_deref() == model.get(&key).map(Vec::as_slice));
            assert!(found.lsn <= snapshot.lsn());
        }
    }
    store.check_recovery();
    store.commit(|batch| destroy(batch, root));
    check_allocator(&store, &[]);
}

#[test]
fn a_cursor_moves_both_ways_and_seeks_like_a_position_in_a_list() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    let root = tree(&store);
    let model: Vec<u64> = (0..2000).map(|i| i * 2).collect();
    store.commit(|b| {
        model
            .iter()
            .try_for_each(|&i| put(b, root, &row(i), &[7; 50]))
    });
    let lsn = store.durable();
    for _ in 0..50 {
        let (low, high) = (rng.random_range(0..4100), rng.random_range(0..4100));
        let list: Vec<u64> = model
            .iter()
            .copied()
            .filter(|&i| i >= low && i < high)
            .collect();
        let (l, h) = (row(low), row(high));
        let mut cursor = Cursor::new(
            store.pages.clone(),
            root,
            lsn,
            Bound::Included(&l),
            Bound::Excluded(&h),
        );
        let mut at = 0;
        assert_eq!(
            cursor.next().unwrap().map(|(k, _)| k.to_vec()).is_some(),
            !list.is_empty()
        );
        at += usize::from(!list.is_empty());
        for _ in 0..300 {
            let (found, expected) = match rng.random_range(0..20) {
                0 => {
                    let key = rng.random_range(0..4100u64);
                    cursor.seek(&row(key)).unwrap();
                    at = list.partition_point(|&i| i < key);
                    continue;
                }
                1..11 => {
                    let expected = list.get(at).copied();
                    at = (at + 1).min(list.len());
                    (cursor.next().unwrap(), expected)
                }
                _ => {
                    let expected = at.checked_sub(1).map(|i| list[i]);
                    at = at.saturating_sub(1);
                    (cursor.prev().unwrap(), expected)
                }
            };
            assert_eq!(
                found.map(|(k, _)| k.to_vec()),
                expected.map(|i| row(i).to_vec())
            );
        }
    }
}

#[test]
fn ascending_inserts_leave_full_leaves_behind() {
    let store = Store::new();
    let root = tree(&store);
    for first in (0..20_000).step_by(100) {
        store.commit(|b| (first..first + 100).try_for_each(|i| put(b, root, &row(i), &[1; 60])));
    }
    let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
    let fill = stats.leaf_bytes as f64 / (stats.leaves * PAGE_SIZE) as f64;
    assert!(fill > 0.95, "{fill} {stats:?}");
    assert_eq!(stats.height, 3 - usize::from(stats.inner_nodes == 1));
}

#[test]
fn random_inserts_and_the_removal_of_all_leave_a_single_empty_leaf() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    let root = tree(&store);
    let mut ids: Vec<u64> = (0..5000).collect();
    ids.shuffle(&mut rng);
    // Long keys that differ late make separators long and the tree high.
    let key = |i: u64| [[b'k'; 400].as_slice(), &row(i)].concat();
    store.commit(|b| ids.iter().try_for_each(|&i| put(b, root, &key(i), &row(i))));
    let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
    assert!(stats.height >= 3, "{}", stats.height);
    ids.shuffle(&mut rng);
    for some in ids.chunks(500) {
        store.commit(|b| {
            some.iter().try_for_each(|&i| {
                assert!(delete(b, root, &key(i))? && !delete(b, root, &key(i))?);
                Ok(())
            })
        });
        check_allocator(&store, &[&verify(&store.pages, root, Lsn::NEWEST).unwrap()]);
    }
    let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
    assert_eq!((stats.height, stats.pages), (1, vec![root]));
    store.check_recovery();
}

#[test]
fn an_update_of_one_number_logs_few_bytes() {
    let store = Store::new();
    let root = tree(&store);
    let mut value = [5; 90];
    store.commit(|b| (0..500).try_for_each(|i| put(b, root, &row(i), &value)));
    store.log.lock().clear();
    value[40..44].copy_from_slice(&1234u32.to_le_bytes());
    store.commit(|b| put(b, root, &row(77), &value));
    let log = store.log.lock();
    assert_eq!(log.len(), 1);
    assert!(log[0].2.len() <= 8, "{:?}", log[0].2);
    drop(log);
    store.log.lock().clear();
    store.commit(|b| put(b, root, &row(77), &value));
    assert!(
        store.log.lock().is_empty(),
        "nothing changes, nothing is logged"
    );
    store.commit(|b| put(b, root, &row(1000), &value));
    let logged: usize = store
        .log
        .lock()
        .iter()
        .map(|(_, _, edits, _)| edits.len())
        .sum();
    assert!(
        logged <= 102 + 40,
        "an insert logs its cell and little more: {logged}"
    );
}

#[test]
fn bulk_built_trees_are_full_and_whole_at_every_size() {
    let mut rng = StdRng::seed_from_u64(seed());
    for count in [0, 1, 2, 100, 133, 5000, 60_000] {
        let store = Store::new();
        let entries = (0..count).map(|i| Ok((row(i), vec![1; 40])));
        let root = store.commit(|b| bulk_build(b, 0, entries));
        let mut model: Model = (0..count).map(|i| (row(i).to_vec(), vec![1; 40])).collect();
        let stats = check_model(&store, root, Lsn::NEWEST, &model);
        check_allocator(&store, &[&stats]);
        let fill = stats.leaf_bytes as f64 / (stats.leaves * PAGE_SIZE) as f64;
        assert!(count < 5000 || fill > 0.83, "{fill}");
        store.commit(|b| {
            (0..500).try_for_each(|_| {
                let key = row(rng.random_range(0..count + 100));
                model.insert(key.to_vec(), vec![2; 60]);
                put(b, root, &key, &[2; 60])
            })
        });
        check_model(&store, root, Lsn::NEWEST, &model);
        store.check_recovery();
    }
}

#[test]
fn bulk_building_takes_long_keys_and_values_and_refuses_unsorted_ones() {
    let store = Store::new();
    let key = |i: u32| [[b'k'; 1996].as_slice(), &i.to_be_bytes()].concat();
    let model: Model = (0..300)
        .map(|i| (key(i), vec![9; 30 * i as usize]))
        .collect();
    let entries = model.iter().map(|(k, v)| Ok((k, v)));
    let root = store.commit(|b| bulk_build(b, 0, entries));
    let stats = check_model(&store, root, Lsn::NEWEST, &model);
    assert!(stats.height > 3 && stats.overflow_pages > 200);
    check_allocator(&store, &[&stats]);
    let mut batch = Batch::new(&store.pages);
    let twice = [Ok((b"a", b"")), Ok((b"a", b""))];
    assert!(bulk_build(&mut batch, 0, twice).is_err());
}

#[test]
fn long_values_come_back_whole_and_too_long_keys_are_refused() {
    let store = Store::new();
    let root = tree(&store);
    let long: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    for len in [
        2000, 2001, 8168, 8169, 16_336, 16_337, 3_000_000, 10, 5000, 5001, 0,
    ] {
        store.commit(|b| put(b, root, b"key", &long[..len]));
        let found = get(&store.pages, root, Lsn::NEWEST, b"key")
            .unwrap()
            .value
            .unwrap();
        assert!(found[..] == long[..len]);
        let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
        check_allocator(&store, &[&stats]);
    }
    let mut batch = Batch::new(&store.pages);
    put(&mut batch, root, &[1; 2000], b"").unwrap();
    let error = put(&mut batch, root, &[1; 2001], b"").unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
}

/// The trace of a delete that empties a leaf is in the leaf's parent only.
#[test]
fn an_absent_key_depends_on_the_delete_that_emptied_its_leaf() {
    let store = Store::new();
    let root = tree(&store);
    store.commit(|b| (0..2000).try_for_each(|i| put(b, root, &row(i), &[1; 60])));
    let durable = store.durable();
    // Exactly the second and the third leaf, so that the leaf a reader now comes to is unchanged.
    let per_leaf = (CAPACITY / (4 + 8 + 60 + 2)) as u64;
    let gone = per_leaf..3 * per_leaf;
    let remove = |i| move |b: &mut Batch<'_>| delete(b, root, &row(i)).map(|_| ());
    let (_, lsn) = store.install(|b| gone.clone().try_for_each(|i| remove(i)(b)));
    let changed: Vec<PageId> = store
        .log
        .lock()
        .iter()
        .filter(|w| w.3 == lsn)
        .map(|w| w.0)
        .collect();
    assert!(changed.contains(&root));
    let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
    assert!(
        !stats
            .pages
            .iter()
            .any(|p| *p != root && changed.contains(p))
    );
    for i in gone.clone() {
        let found = get(&store.pages, root, Lsn::NEWEST, &row(i)).unwrap();
        assert_eq!((found.value.is_none(), found.lsn), (true, lsn), "B6");
        let before = get(&store.pages, root, durable, &row(i)).unwrap();
        assert!(before.value.is_some() && before.lsn <= durable);
    }
    let (low, high) = (row(gone.start), row(gone.end));
    let (low, high) = (
        Bound::Included(low.as_slice()),
        Bound::Excluded(high.as_slice()),
    );
    let mut cursor = Cursor::new(store.pages.clone(), root, Lsn::NEWEST, low, high);
    assert!(cursor.next().unwrap().is_none());
    assert_eq!(cursor.lsn(), lsn);
    let is_same = |low, high| unchanged(&store.pages, root, durable, low, high).unwrap();
    assert!(!is_same(low, high));
    let first = row(gone.start);
    assert!(!is_same(Bound::Included(&first), Bound::Included(&first)));
    assert!(is_same(Bound::Unbounded, Bound::Excluded(&first)));
}

fn is_corrupt<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt { .. }))
}

#[test]
fn verify_catches_planted_damage() {
    let build = || {
        let store = Store::new();
        let root = tree(&store);
        store.commit(|b| (0..1000).try_for_each(|i| put(b, root, &row(i * 3), &[1; 60])));
        store.commit(|b| put(b, root, &row(10), &[3; 20_000]));
        let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
        (store, root, stats)
    };
    // What to overwrite in which page of (root, first leaf, second leaf, overflow).
    let damages: &[(&str, usize, usize, &[u8])] = &[
        ("kind", 1, 16, &[9]),
        ("level", 1, 17, &[1]),
        ("level of the root", 0, 17, &[2]),
        ("count", 1, 18, &[1, 0]),
        ("count out of bounds", 1, 18, &[255, 255]),
        ("cells_start", 1, 20, &[0, 31]),
        ("garbage", 1, 22, &[4, 0]),
        ("first child is another", 0, 24, &[3]),
        ("first child is none", 0, 24, &[0]),
        ("child of itself", 0, 24, &[1]),
        ("child out of range", 0, 24, &[0, 0, 1]),
        ("slots swapped", 1, 28, &[0, 31]),
        ("slot outside", 1, 28, &[255, 255]),
        ("slot into the header", 1, 28, &[16, 0]),
        ("key order", 1, PAGE_SIZE - 68, &[1]),
        (
            "key above the separator",
            1,
            PAGE_SIZE - 68,
            &[0, 0, 0, 0, 0, 255],
        ),
        ("key length", 1, PAGE_SIZE - 72, &[200]),
        ("value length", 1, PAGE_SIZE - 70, &[255, 255]),
        ("overflow kind", 3, 16, &[1]),
        ("overflow cycle", 3, 20, &[4]),
        ("overflow ends", 3, 20, &[0, 0, 0, 0]),
    ];
    for (what, page, offset, bytes) in damages {
        let (store, root, stats) = build();
        let leaves: Vec<PageId> = stats.pages.iter().copied().filter(|&p| p != root).collect();
        let kind = |p: &PageId| store.pages.read(*p, Lsn::NEWEST).unwrap().bytes()[16];
        let overflow = *leaves.iter().find(|p| kind(p) == 3).unwrap();
        let page = [root, leaves[0], leaves[leaves.len() - 1], overflow][*page];
        store.damage(page, *offset, bytes);
        assert!(
            is_corrupt(verify(&store.pages, root, Lsn::NEWEST)),
            "{what}"
        );
    }
}

/// Whatever a page holds, reading and writing ends with a result or with an error.
#[test]
fn random_damage_never_panics() {
    let mut rng = StdRng::seed_from_u64(seed());
    for _ in 0..300 {
        let store = Store::new();
        let root = tree(&store);
        store.commit(|b| (0..600).try_for_each(|i| put(b, root, &row(i * 3), &[1; 60])));
        store.commit(|b| put(b, root, &row(10), &[3; 20_000]));
        let high_water = store.pages.free_list(0, Lsn::NEWEST).unwrap().high_water;
        for _ in 0..rng.random_range(1..4) {
            let id = PageId {
                space: 0,
                number: rng.random_range(0..high_water),
            };
            let offset = match rng.random_bool(0.7) {
                true => rng.random_range(16..60),
                false => rng.random_range(16..PAGE_SIZE - 4),
            };
            let bytes: [u8; 4] = rng.random();
            store.damage(id, offset, &bytes[..rng.random_range(1..=4)]);
        }
        let _ = verify(&store.pages, root, Lsn::NEWEST);
        let _ = store.pages.free_list(0, Lsn::NEWEST);
        let mut cursor = Cursor::new(
            store.pages.clone(),
            root,
            Lsn::NEWEST,
            Bound::Unbounded,
            Bound::Unbounded,
        );
        for _ in 0..2000 {
            match cursor.next() {
                Ok(Some((_, value))) => drop(value.bytes()),
                _ => break,
            }
        }
        for i in 0..40 {
            let key = row(rng.random_range(0..2000));
            let mut batch = Batch::new(&store.pages);
            let _ = get_from(&batch, root, &key);
            let _ = match i % 3 {
                0 => delete(&mut batch, root, &key).map(|_| ()),
                1 => put(&mut batch, root, &key, &[0; 61]),
                _ => put(&mut batch, root, &key, &vec![0; rng.random_range(0..4000)]),
            };
            drop(batch.finish().unwrap());
        }
        let mut batch = Batch::new(&store.pages);
        let _ = destroy(&mut batch, root);
    }
}

/// A writer moves amounts between keys and inserts and deletes others; every snapshot must show
/// the same total in a whole tree.
#[test]
fn readers_beside_a_writer_always_see_a_consistent_tree() {
    let store = Store::new();
    let root = tree(&store);
    const KEYS: u64 = 400;
    store.commit(|b| (0..KEYS).try_for_each(|i| put(b, root, &row(i), &1000u64.to_le_bytes())));
    let done = AtomicBool::new(false);
    let seed = seed();
    let amount = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().unwrap());
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for _ in 0..2 {
            readers.push(scope.spawn(|| {
                let mut scans = 0;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = store.pages.snapshots().register(|| store.durable());
                    let stats = verify(&store.pages, root, snapshot.lsn()).unwrap();
                    let end = row(KEYS);
                    let mut cursor = Cursor::new(
                        store.pages.clone(),
                        root,
                        snapshot.lsn(),
                        Bound::Unbounded,
                        Bound::Excluded(&end),
                    );
                    let mut total = 0;
                    while let Some((_, value)) = cursor.next().unwrap() {
                        total += amount(&value.bytes().unwrap());
                    }
                    assert_eq!(total, KEYS * 1000);
                    assert!(stats.entries >= KEYS);
                    scans += 1;
                }
                scans
            }));
        }
        // A reader of the newest state, under the latch.
        readers.push(scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let latch = store.pages.latch(root).read();
                let stats = verify(&store.pages, root, Lsn::NEWEST).unwrap();
                drop(latch);
                assert!(stats.entries >= KEYS);
                reads += 1;
            }
            reads
        }));
        let mut rng = StdRng::seed_from_u64(seed);
        for round in 0..3000u64 {
            let latch = store.pages.latch(root).write();
            store.commit(|batch| {
                let (from, to) = (
                    row(rng.random_range(0..KEYS)),
                    row(rng.random_range(0..KEYS)),
                );
                for (key, add) in [(from, -3i64), (to, 3)] {
                    let value = get_from(batch, root, &key)?.value.unwrap();
                    let new = amount(&value).wrapping_add_signed(add);
                    // Rows that grow and shrink move cells about.
                    let mut row = new.to_le_bytes().to_vec();
                    row.resize(8 + rng.random_range(0..100), 0);
                    put(batch, root, &key, &row)?;
                }
                for _ in 0..10 {
                    let key = row(KEYS + rng.random_range(0..2000));
                    if round % 500 < 300 {
                        put(batch, root, &key, &vec![1; rng.random_range(0..3000)])?;
                    } else {
                        delete(batch, root, &key)?;
                    }
                }
                Ok(())
            });
            drop(latch);
            store.log.lock().clear();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    check_allocator(&store, &[&verify(&store.pages, root, Lsn::NEWEST).unwrap()]);
}

#[test]
fn a_tree_takes_over_another_of_any_height_if_its_keys_lie_behind() {
    let mut rng = StdRng::seed_from_u64(seed());
    for (own, others) in [
        (0, 0),
        (0, 1),
        (0, 40_000),
        (1, 1),
        (1, 40_000),
        (40_000, 1),
        (9000, 9000),
    ] {
        let store = Store::new();
        let root = tree(&store);
        let value = |i: u64| vec![7; (i % 40) as usize];
        let mut model: Model = (0..own).map(|i| (row(i).to_vec(), value(i))).collect();
        let other: Model = (own..own + others)
            .map(|i| (row(i).to_vec(), value(i)))
            .collect();
        store.commit(|b| model.iter().try_for_each(|(k, v)| put(b, root, k, v)));
        let run = store.commit(|b| bulk_build(b, 0, other.iter().map(Ok)));
        if own > 0 {
            let adopted = store.commit(|b| adopt(b, root, run, &row(own - 1)));
            assert_eq!(adopted, Adopted::No);
        }
        let adopted = store.commit(|b| {
            let adopted = adopt(b, root, run, &row(own))?;
            if adopted == Adopted::AllButRoot {
                b.free(run)?;
            }
            Ok(adopted)
        });
        assert_eq!(adopted == Adopted::AllButRoot, own == 0);
        model.extend(other);
        let stats = check_model(&store, root, store.durable(), &model);
        check_allocator(&store, &[&stats]);
        let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        keys.shuffle(&mut rng);
        for keys in keys.chunks(5000) {
            store.commit(|b| {
                keys.iter()
                    .try_for_each(|key| delete(b, root, key).map(drop))
            });
            keys.iter().for_each(|key| drop(model.remove(key)));
            let stats = check_model(&store, root, store.durable(), &model);
            check_allocator(&store, &[&stats]);
        }
        store.check_recovery();
    }
}

#[test]
fn several_trees_read_as_one_give_the_first_ones_entries() {
    let mut rng = StdRng::seed_from_u64(seed());
    let store = Store::new();
    for _ in 0..20 {
        let mut model = std::collections::BTreeMap::new();
        let mut roots = Vec::new();
        for n in 0..rng.random_range(1..6_u8) {
            let count = rng.random_range(0..800);
            let entries: Model = (0..count)
                .map(|_| (row(rng.random_range(0..2000)).to_vec(), vec![n; 30]))
                .collect();
            roots.push(store.commit(|b| bulk_build(b, 0, entries.iter().map(Ok))));
            for (key, value) in entries {
                model.entry(key).or_insert((value, 0)).1 += 1;
            }
        }
        let (low, high) = (
            row(rng.random_range(0..1000)),
            row(rng.random_range(900..2100)),
        );
        for backward in [false, true] {
            let cursors = roots.iter().map(|root| {
                let (pages, lsn) = (store.pages.clone(), store.durable());
                let (low, high) = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
                Cursor::new(pages, *root, lsn, low, high)
            });
            let mut merge = Merge::new(cursors.collect(), backward);
            let in_range = |key: &[u8]| key >= &low[..] && key < &high[..];
            let mut expected: Vec<_> = model.iter().filter(|(key, _)| in_range(key)).collect();
            if backward {
                expected.reverse();
            }
            for (key, (value, count)) in expected {
                let (k, v, is_repeated) = merge.next().unwrap().unwrap();
                assert_eq!((k, &*v.bytes().unwrap()), (&key[..], &value[..]));
                assert_eq!(is_repeated, *count > 1);
            }
            assert!(merge.next().unwrap().is_none());
            assert!(merge.next().unwrap().is_none(), "the end stays the end");
        }
    }
}
