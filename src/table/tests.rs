use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::base::{CancelFlag, Oid, SqlState, TreeId};
use crate::database::{Database, Options};
use crate::table::ddl::{self, NewIndex, NewTable};
use crate::table::key::IndexKey;
use crate::table::{
    ColumnDef, IndexColumn, IndexDef, KeyRange, Layout, Locked, RowLock, TableDef, Txn, delete,
    get_unique, index_scan, insert, key_range, lock_row, lock_unique, scan, update,
};
use crate::txn::{LockMode, LockWait};
use crate::types::{self, Datum, Format, Type};

fn column(name: &str, ty: Type) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        ty,
        typmod: -1,
        not_null: false,
        default: None,
        dropped: false,
        missing: None,
    }
}

fn key_column(column: usize, descending: bool, nulls_first: bool) -> IndexColumn {
    IndexColumn {
        column,
        descending,
        nulls_first,
    }
}

fn text(s: &str, ty: Type) -> Datum {
    types::text_in(ty, -1, s, &Format::default()).unwrap()
}

fn show(ty: Type, value: &Datum) -> String {
    let mut out = Vec::new();
    match value.is_null() {
        true => return "NULL".into(),
        false => types::text_out(ty, value, &Format::default(), &mut out),
    }
    String::from_utf8(out).unwrap()
}

/// Values of every type that can be stored, in ascending order.
fn samples() -> Vec<(Type, Vec<&'static str>)> {
    vec![
        (Type::Bool, vec!["f", "t"]),
        (Type::Int2, vec!["-32768", "-1", "0", "1", "32767"]),
        (
            Type::Int4,
            vec!["-2147483648", "-1", "0", "255", "256", "2147483647"],
        ),
        (
            Type::Int8,
            vec!["-9223372036854775808", "-1", "0", "9223372036854775807"],
        ),
        (Type::Oid, vec!["0", "1", "4294967295"]),
        (
            Type::Float4,
            vec!["-Infinity", "-1.5", "0", "1e-30", "2", "Infinity", "NaN"],
        ),
        (
            Type::Float8,
            vec![
                "-Infinity",
                "-2",
                "-1e-300",
                "0",
                "1",
                "1e300",
                "Infinity",
                "NaN",
            ],
        ),
        (
            Type::Text,
            vec!["", "\u{1}", "a", "a\u{1}", "aa", "ab", "b", "ä"],
        ),
        (Type::Varchar, vec!["", "x", "y"]),
        (Type::Bpchar, vec!["a", "a b", "b"]),
        (
            Type::Bytea,
            vec![
                "\\x", "\\x00", "\\x0000", "\\x0001", "\\x01", "\\x01ff", "\\xff",
            ],
        ),
        (
            Type::Date,
            vec![
                "-infinity",
                "4713-01-01 BC",
                "2000-01-01",
                "2026-11-22",
                "infinity",
            ],
        ),
        (
            Type::Timestamp,
            vec![
                "-infinity",
                "1999-12-31 23:59:59.999999",
                "2000-01-01",
                "infinity",
            ],
        ),
        (
            Type::Timestamptz,
            vec!["1970-01-01 00:00+00", "2026-11-22 12:00+00"],
        ),
        (
            Type::Numeric,
            vec![
                "-Infinity",
                "-100.5",
                "-100",
                "-99",
                "-1.01",
                "-1",
                "-0.001",
                "0",
                "0.00001",
                "0.1",
                "0.11",
                "1",
                "1.0000001",
                "9",
                "10",
                "11",
                "99.99",
                "100",
                "1e30",
                "Infinity",
                "NaN",
            ],
        ),
    ]
}

fn table(columns: Vec<ColumnDef>, indexes: Vec<IndexDef>) -> TableDef {
    TableDef {
        oid: Oid(1),
        schema: "public".into(),
        name: "t".into(),
        tree: TreeId(100),
        layout: Layout::of(&columns).unwrap(),
        columns,
        indexes: indexes.into_iter().map(Arc::new).collect(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        unlogged: false,
        options: Vec::new(),
        state: Arc::default(),
    }
}

fn index(columns: Vec<IndexColumn>, unique: bool) -> IndexDef {
    IndexDef {
        oid: Oid(2),
        name: "i".into(),
        tree: TreeId(101),
        columns,
        unique,
        primary: false,
        constraint: false,
    }
}

#[test]
fn rows_of_every_type_come_back_as_they_went_in() {
    let seed: u64 = std::env::var("SEED")
        .ok()
        .map_or_else(rand::random, |s| s.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = samples();
    for _ in 0..300 {
        let count = rng.random_range(0..20);
        let kinds: Vec<usize> = (0..count)
            .map(|_| rng.random_range(0..samples.len()))
            .collect();
        let columns: Vec<_> = kinds.iter().map(|&k| column("c", samples[k].0)).collect();
        let mut row: Vec<Datum> = kinds
            .iter()
            .map(|&k| match rng.random_ratio(1, 5) {
                true => Datum::Null,
                false => text(
                    samples[k].1[rng.random_range(0..samples[k].1.len())],
                    samples[k].0,
                ),
            })
            .collect();
        // Now and then a row beyond 64 KiB, whose offsets are wider.
        if let Some(big) = columns.iter().position(|c| c.ty == Type::Text)
            && rng.random_ratio(1, 3)
        {
            row[big] = Datum::text("x".repeat(70_000));
        }
        let layout = Layout::of(&columns).unwrap();
        let mut bytes = Vec::new();
        layout.encode(&row, &mut bytes).unwrap();
        let mut back = vec![Datum::Null; columns.len()];
        let all: Vec<usize> = (0..columns.len()).collect();
        layout.decode(&bytes, &all, &mut back).unwrap();
        for ((column, a), b) in columns.iter().zip(&row).zip(&back) {
            assert_eq!(show(column.ty, a), show(column.ty, b));
        }
        // Cut anywhere, it is an error or a row, never a panic.
        for len in 0..bytes.len().min(300) {
            let _ = layout.decode(&bytes[..len], &all, &mut back);
        }
    }
}

#[test]
fn a_row_from_before_a_column_was_added_shows_the_columns_missing_value() {
    let old = vec![column("a", Type::Int4), column("b", Type::Text)];
    let mut bytes = Vec::new();
    Layout::of(&old)
        .unwrap()
        .encode(&[Datum::Int4(7), Datum::text("x")], &mut bytes)
        .unwrap();
    let mut new = old;
    new.push(ColumnDef {
        missing: Some("42".into()),
        ..column("c", Type::Int8)
    });
    new.push(column("d", Type::Text));
    let mut row = vec![Datum::Bool(true); 4];
    Layout::of(&new)
        .unwrap()
        .decode(&bytes, &[0, 1, 2, 3], &mut row)
        .unwrap();
    let shown: Vec<_> = new.iter().zip(&row).map(|(c, v)| show(c.ty, v)).collect();
    assert_eq!(shown, ["7", "x", "42", "NULL"]);
}

#[test]
fn keys_sort_as_their_values_do_in_every_direction() {
    for (ty, values) in samples() {
        for (descending, nulls_first) in
            [(false, false), (false, true), (true, true), (true, false)]
        {
            let table = table(
                vec![column("a", ty), column("b", Type::Int4)],
                vec![index(
                    vec![
                        key_column(0, descending, nulls_first),
                        key_column(1, false, false),
                    ],
                    false,
                )],
            );
            let mut values: Vec<Datum> = values.iter().map(|v| text(v, ty)).collect();
            values.push(Datum::Null);
            let key = |v: &Datum, n: i32| {
                let row = [v.clone(), Datum::Int4(n)];
                IndexKey::of(&table, &table.indexes[0], &row).unwrap().key
            };
            for (i, a) in values.iter().enumerate() {
                for (j, b) in values.iter().enumerate() {
                    let expected = match (a.is_null(), b.is_null()) {
                        (true, true) => Ordering::Equal,
                        (false, false) if descending => j.cmp(&i),
                        (false, false) => i.cmp(&j),
                        (true, false) if nulls_first => Ordering::Less,
                        (true, false) => Ordering::Greater,
                        (false, true) if nulls_first => Ordering::Greater,
                        (false, true) => Ordering::Less,
                    };
                    // The second column decides only between equal first ones.
                    assert_eq!(key(a, 5).cmp(&key(b, 5)), expected, "{ty:?} {a:?} {b:?}");
                    if expected != Ordering::Equal {
                        assert_eq!(key(a, 9).cmp(&key(b, -9)), expected, "{ty:?} {a:?} {b:?}");
                    }
                }
            }
        }
    }
    let one = |s: &str| {
        let table = table(
            vec![column("a", Type::Numeric)],
            vec![index(vec![key_column(0, false, false)], false)],
        );
        IndexKey::of(&table, &table.indexes[0], &[text(s, Type::Numeric)])
            .unwrap()
            .key
    };
    assert_eq!(one("1.50"), one("1.5"), "equal numbers have equal keys");
    assert_eq!(one("100"), one("1e2"));
}

const CANCEL: fn() -> CancelFlag = CancelFlag::default;

async fn two_columns(database: &Arc<Database>) -> Arc<TableDef> {
    let cancel = CANCEL();
    let mut txn = database.begin();
    txn.begin_statement().await.unwrap();
    let new = NewTable {
        schema: "public".into(),
        name: "t".into(),
        columns: vec![
            ColumnDef {
                not_null: true,
                ..column("id", Type::Int4)
            },
            column("v", Type::Int4),
        ],
        checks: Vec::new(),
        unlogged: false,
        options: Vec::new(),
    };
    let table = ddl::create_table(&mut txn, new, &cancel).await.unwrap();
    let primary = NewIndex {
        name: "t_pkey".into(),
        columns: vec![key_column(0, false, false)],
        unique: true,
        primary: true,
        constraint: true,
    };
    let table = ddl::create_index(&mut txn, &table, primary, &cancel)
        .await
        .unwrap();
    let by_value = NewIndex {
        name: "t_v".into(),
        columns: vec![key_column(1, false, false)],
        unique: false,
        primary: false,
        constraint: false,
    };
    let table = ddl::create_index(&mut txn, &table, by_value, &cancel)
        .await
        .unwrap();
    txn.commit().await.unwrap();
    table
}

fn open(dir: &Path) -> Arc<Database> {
    Database::open(dir, Options::default()).unwrap().0
}

async fn begin(database: &Arc<Database>) -> Txn {
    let mut txn = database.begin();
    txn.begin_statement().await.unwrap();
    txn
}

fn ints(row: &[i32]) -> Vec<Datum> {
    row.iter().map(|&v| Datum::Int4(v)).collect()
}

fn rows(txn: &Txn, table: &Arc<TableDef>) -> Vec<(i32, i32)> {
    let mut scan = scan(txn, table).unwrap();
    let mut row = vec![Datum::Null; 2];
    let mut all = Vec::new();
    while let Some((_, bytes)) = scan.next().unwrap() {
        table.layout.decode(bytes, &[0, 1], &mut row).unwrap();
        let [Datum::Int4(a), Datum::Int4(b)] = row[..] else {
            panic!("{row:?}")
        };
        all.push((a, b));
    }
    all
}

fn exclusive(cancel: &CancelFlag) -> RowLock<'_> {
    RowLock {
        mode: LockMode::Update,
        wait: LockWait::Wait,
        cancel,
    }
}

async fn set(txn: &mut Txn, table: &Arc<TableDef>, id: i32, v: i32) -> crate::base::Result<()> {
    let cancel = CANCEL();
    let key = ints(&[id]);
    let found = lock_unique(txn, table, &table.indexes[0], &key, exclusive(&cancel)).await?;
    let (row, locked) = found.expect("the row is there");
    update(txn, table, row, &locked.bytes, &ints(&[id, v]), &cancel).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_after_a_restart_and_what_is_not_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let cancel = CANCEL();

    let mut txn = begin(&database).await;
    for id in 0..1000 {
        insert(&mut txn, &table, &ints(&[id, id % 7]), &cancel)
            .await
            .unwrap();
    }
    txn.commit().await.unwrap();
    let mut txn = begin(&database).await;
    for id in (0..1000).filter(|id| id % 3 == 0) {
        let key = ints(&[id]);
        let (row, locked) = lock_unique(
            &mut txn,
            &table,
            &table.indexes[0],
            &key,
            exclusive(&cancel),
        )
        .await
        .unwrap()
        .unwrap();
        delete(&mut txn, &table, row, &locked.bytes, &cancel)
            .await
            .unwrap();
    }
    txn.commit().await.unwrap();
    let mut lost = begin(&database).await;
    set(&mut lost, &table, 1, -1).await.unwrap();
    drop(lost);

    database.shutdown().unwrap();
    drop(database);
    let database = open(dir.path());
    assert_eq!(database.verify().await.unwrap(), 666);
    let mut txn = begin(&database).await;
    let table = txn.catalog().table("public", "t").unwrap().clone();
    let expected: Vec<_> = (0..1000)
        .filter(|i| i % 3 != 0)
        .map(|i| (i, i % 7))
        .collect();
    assert_eq!(rows(&txn, &table), expected);
    let found = get_unique(&txn, &table, &table.indexes[0], &ints(&[500])).unwrap();
    assert!(found.is_some());
    let id = insert(&mut txn, &table, &ints(&[5000, 0]), &cancel)
        .await
        .unwrap();
    assert!(id.0 > 999, "row ids go on after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_writes_merged_in_key_order() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let cancel = CANCEL();
    let mut txn = begin(&database).await;
    for id in [10, 20, 30, 40] {
        insert(&mut txn, &table, &ints(&[id, id]), &cancel)
            .await
            .unwrap();
    }
    txn.commit().await.unwrap();

    let mut txn = begin(&database).await;
    let before = index_scan(&txn, &table, &table.indexes[0], KeyRange::all(), false).unwrap();
    set(&mut txn, &table, 20, 99).await.unwrap();
    insert(&mut txn, &table, &ints(&[25, 0]), &cancel)
        .await
        .unwrap();
    insert(&mut txn, &table, &ints(&[50, 0]), &cancel)
        .await
        .unwrap();
    let key = ints(&[30]);
    let (row, locked) = lock_unique(
        &mut txn,
        &table,
        &table.indexes[0],
        &key,
        exclusive(&cancel),
    )
    .await
    .unwrap()
    .unwrap();
    delete(&mut txn, &table, row, &locked.bytes, &cancel)
        .await
        .unwrap();

    let ids = |mut scan: crate::table::IndexScan| {
        let mut row = vec![Datum::Null; 2];
        let mut ids = Vec::new();
        while let Some((_, bytes)) = scan.next().unwrap() {
            table.layout.decode(bytes, &[0], &mut row).unwrap();
            let Datum::Int4(id) = row[0] else { panic!() };
            ids.push(id);
        }
        ids
    };
    let scan =
        |range, backward| index_scan(&txn, &table, &table.indexes[0], range, backward).unwrap();
    assert_eq!(ids(scan(KeyRange::all(), false)), [10, 20, 25, 40, 50]);
    assert_eq!(ids(scan(KeyRange::all(), true)), [50, 40, 25, 20, 10]);
    let (low, high) = (Datum::Int4(20), Datum::Int4(40));
    let range = |low, high| key_range(&table, &table.indexes[0], &[], low, high);
    assert_eq!(
        ids(scan(range(Some((&low, true)), Some((&high, false))), false)),
        [20, 25]
    );
    assert_eq!(
        ids(scan(range(Some((&low, false)), Some((&high, true))), true)),
        [40, 25]
    );
    assert_eq!(
        ids(scan(range(Some((&low, false)), None), false)),
        [25, 40, 50]
    );
    let null = Datum::Null;
    assert_eq!(ids(scan(range(Some((&null, true)), None), false)), [0; 0]);
    assert_eq!(
        ids(before),
        [10, 20, 30, 40],
        "a scan keeps the writes it started with"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_key_waits_for_the_other_inserters_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    for commits in [true, false] {
        let cancel = CANCEL();
        let id = i32::from(commits);
        let mut first = begin(&database).await;
        insert(&mut first, &table, &ints(&[id, 1]), &cancel)
            .await
            .unwrap();
        let mut second = begin(&database).await;
        let other = table.clone();
        let waiting = tokio::spawn(async move {
            let cancel = CANCEL();
            let outcome = insert(&mut second, &other, &ints(&[id, 2]), &cancel).await;
            (outcome, second)
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!waiting.is_finished());
        if commits {
            first.commit().await.unwrap();
        } else {
            first.rollback();
        }
        let (outcome, second) = waiting.await.unwrap();
        match outcome {
            Err(error) => {
                assert!(commits);
                let report = error.report();
                assert_eq!(report.code, SqlState::UNIQUE_VIOLATION);
                assert_eq!(
                    report.detail.as_deref(),
                    Some("Key (id)=(1) already exists.")
                );
                assert_eq!(report.constraint.as_deref(), Some("t_pkey"));
            }
            Ok(_) => {
                assert!(!commits);
                second.commit().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_lock_waits_and_then_shows_the_newest_version() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let cancel = CANCEL();
    let mut txn = begin(&database).await;
    let row = insert(&mut txn, &table, &ints(&[1, 1]), &cancel)
        .await
        .unwrap();
    txn.commit().await.unwrap();

    let mut first = begin(&database).await;
    set(&mut first, &table, 1, 2).await.unwrap();
    let mut second = begin(&database).await;
    let seen = get_unique(&second, &table, &table.indexes[0], &ints(&[1]))
        .unwrap()
        .unwrap()
        .1;
    let nowait = RowLock {
        mode: LockMode::Update,
        wait: LockWait::Nowait,
        cancel: &cancel,
    };
    let refused = lock_row(&mut second, &table, row, &seen, nowait).await;
    assert_eq!(
        refused.unwrap_err().sqlstate(),
        SqlState::LOCK_NOT_AVAILABLE
    );
    let skip = RowLock {
        wait: LockWait::SkipLocked,
        ..nowait
    };
    let skipped = lock_row(&mut second, &table, row, &seen, skip)
        .await
        .unwrap();
    assert!(matches!(skipped, Locked::Skipped));

    let other = table.clone();
    let waiting = tokio::spawn(async move {
        let cancel = CANCEL();
        let locked = lock_row(&mut second, &other, row, &seen, exclusive(&cancel))
            .await
            .unwrap();
        let Locked::Row(locked) = locked else {
            panic!("{locked:?}")
        };
        second.wait_shown().await.unwrap();
        (locked.changed, locked.bytes.to_vec())
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished());
    first.commit().await.unwrap();
    let (changed, bytes) = waiting.await.unwrap();
    assert!(changed);
    let mut row = vec![Datum::Null; 2];
    table.layout.decode(&bytes, &[1], &mut row).unwrap();
    assert!(matches!(row[1], Datum::Int4(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_found_at_once_by_the_one_who_closes_the_cycle() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let cancel = CANCEL();
    let mut txn = begin(&database).await;
    for id in 0..3 {
        insert(&mut txn, &table, &ints(&[id, 0]), &cancel)
            .await
            .unwrap();
    }
    txn.commit().await.unwrap();

    let mut txns = Vec::new();
    for id in 0..3 {
        let mut txn = begin(&database).await;
        set(&mut txn, &table, id, 1).await.unwrap();
        txns.push(txn);
    }
    let mut last = txns.pop().unwrap();
    let mut waiting = Vec::new();
    for (id, mut txn) in txns.into_iter().enumerate() {
        let table = table.clone();
        waiting.push(tokio::spawn(async move {
            set(&mut txn, &table, i32::try_from(id).unwrap() + 1, 2)
                .await
                .unwrap();
            txn.commit().await.unwrap();
        }));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = set(&mut last, &table, 0, 2).await.unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    drop(last);
    for task in waiting {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_wait_leaves_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let mut txn = begin(&database).await;
    insert(&mut txn, &table, &ints(&[1, 0]), &CANCEL())
        .await
        .unwrap();
    txn.commit().await.unwrap();
    let mut holder = begin(&database).await;
    set(&mut holder, &table, 1, 1).await.unwrap();
    let cancel = Arc::new(CANCEL());
    let (other, flag, mut waiter) = (table.clone(), cancel.clone(), begin(&database).await);
    let waiting = tokio::spawn(async move {
        let key = ints(&[1]);
        lock_unique(
            &mut waiter,
            &other,
            &other.indexes[0],
            &key,
            exclusive(&flag),
        )
        .await
        .map(drop)
    });
    tokio::time::sleep(Duration::from_millis(30)).await;
    cancel.cancel();
    assert_eq!(
        waiting.await.unwrap().unwrap_err().sqlstate(),
        SqlState::QUERY_CANCELED
    );
    holder.rollback();
    let mut third = begin(&database).await;
    set(&mut third, &table, 1, 3).await.unwrap();
    third.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_increments_of_one_row_are_all_counted() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let mut txn = begin(&database).await;
    insert(&mut txn, &table, &ints(&[1, 0]), &CANCEL())
        .await
        .unwrap();
    txn.commit().await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (database, table) = (database.clone(), table.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let cancel = CANCEL();
                    let mut txn = database.begin();
                    let key = ints(&[1]);
                    let lock = exclusive(&cancel);
                    let found = lock_unique(&mut txn, &table, &table.indexes[0], &key, lock).await;
                    let (row, locked) = found.unwrap().unwrap();
                    let mut old = vec![Datum::Null; 2];
                    table
                        .layout
                        .decode(&locked.bytes, &[0, 1], &mut old)
                        .unwrap();
                    let Datum::Int4(v) = old[1] else { panic!() };
                    let new = ints(&[1, v + 1]);
                    update(&mut txn, &table, row, &locked.bytes, &new, &cancel)
                        .await
                        .unwrap();
                    txn.commit().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let txn = begin(&database).await;
    assert_eq!(rows(&txn, &table), [(1, 800)]);
    drop(txn);
    assert_eq!(database.verify().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_and_truncated_tables_give_their_pages_back() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let cancel = CANCEL();
    for round in 0..3 {
        let mut txn = begin(&database).await;
        let now = txn.catalog().table("public", "t").unwrap().clone();
        crate::table::lock_table(
            &mut txn,
            table.oid,
            crate::table::TableLock::Exclusive,
            &cancel,
        )
        .await
        .unwrap();
        let fresh = ddl::truncate(&mut txn, &now).unwrap();
        for id in 0..2000 {
            insert(&mut txn, &fresh, &ints(&[id, round]), &cancel)
                .await
                .unwrap();
        }
        txn.commit().await.unwrap();
        assert_eq!(database.verify().await.unwrap(), 2000);
    }
    let mut txn = begin(&database).await;
    let now = txn.catalog().table("public", "t").unwrap().clone();
    ddl::drop_table(&mut txn, &now).unwrap();
    txn.commit().await.unwrap();
    assert_eq!(database.verify().await.unwrap(), 0);
    database.shutdown().unwrap();
    drop(database);
    assert_eq!(open(dir.path()).verify().await.unwrap(), 0);
}
