//! The parts together: tables, transactions and the log over a restart.

mod clones;
mod deferrable_keys;
mod foreign_keys;
mod lives;
mod power;
mod savepoints;

use std::fs;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::{CONTROL, Database, Options};
use crate::base::{CancelFlag, Result, SqlState};
use crate::table::ddl::{self, NewIndex, NewTable};
use crate::table::{
    ColumnDef, Deferral, IndexColumn, IndexScan, KeyRange, Locked, RowLock, TableDef, Txn, delete,
    get_unique, index_scan, insert, key_range, lock_row, lock_table, lock_unique, scan, update,
};
use crate::txn::{ListedLock, LockMode, LockWait};
use crate::types::{Datum, Type};

impl Database {
    /// A transaction in the database `postgres`.
    pub(crate) fn begin(&self) -> Txn {
        let postgres = self.databases.find("postgres").unwrap();
        self.tables_of(&postgres).unwrap().begin()
    }
}

#[test]
fn a_new_directory_becomes_a_database_that_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let (database, recovered) = Database::open(dir.path(), Options::default()).unwrap();
    assert!(recovered.created);
    assert!(
        Database::open(dir.path(), Options::default()).is_err(),
        "it is locked"
    );
    database.shutdown().unwrap();
    drop(database);
    let (_database, recovered) = Database::open(dir.path(), Options::default()).unwrap();
    assert!(!recovered.created);
    assert_eq!(recovered.log.blobs, 0, "the shutdown took a checkpoint");
}

#[test]
fn a_lost_or_damaged_control_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(dir.path(), Options::default()).unwrap();
    database.shutdown().unwrap();
    drop(database);
    let control = dir.path().join(CONTROL);
    let bytes = fs::read(&control).unwrap();
    for i in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[i] ^= 1;
        fs::write(&control, &bad).unwrap();
        let error = Database::open(dir.path(), Options::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains("control"), "{error}");
    }
    fs::remove_file(&control).unwrap();
    let error = Database::open(dir.path(), Options::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("control"), "{error}");
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), b"x").unwrap();
    let error = Database::open(dir.path(), Options::default())
        .err()
        .unwrap();
    assert!(error.to_string().contains("holiday.jpg"), "{error}");
}

fn column(name: &str, ty: Type) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        ty,
        typmod: -1,
        not_null: false,
        default: None,
        identity: None,
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
        deferral: Deferral::default(),
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
        deferral: Deferral::default(),
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

/// Returns when so many wait for locks.
async fn until_waiting(database: &Database, count: usize) {
    let postgres = database.databases.find("postgres").unwrap();
    let tables = database.tables_of(&postgres).unwrap();
    let locks = tables.session_locks(postgres.oid, 1, Arc::new(CANCEL()));
    let wait = |lock: &ListedLock| lock.waiting_since.is_some();
    while locks.list().iter().filter(|lock| wait(lock)).count() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
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
        mode: LockMode::ROW_UPDATE,
        wait: LockWait::Wait,
        cancel,
    }
}

async fn set(txn: &mut Txn, table: &Arc<TableDef>, id: i32, v: i32) -> Result<()> {
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

    let ids = |mut scan: IndexScan| {
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
        until_waiting(&database, 1).await;
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
        mode: LockMode::ROW_UPDATE,
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
    until_waiting(&database, 1).await;
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
        let table = &table;
        let mut rest = Box::pin(async move {
            let next = i32::try_from(id).unwrap() + 1;
            set(&mut txn, table, next, 2).await.unwrap();
            txn.commit().await.unwrap();
        });
        // Asked once it has come to wait.
        let is_pending = poll_fn(|context| Poll::Ready(rest.as_mut().poll(context).is_pending()));
        assert!(is_pending.await);
        waiting.push(rest);
    }
    until_waiting(&database, 2).await;
    let error = set(&mut last, &table, 0, 2).await.unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    drop(last);
    // Each waits for the next one.
    for rest in waiting.into_iter().rev() {
        rest.await;
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
    until_waiting(&database, 1).await;
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
        lock_table(
            &mut txn,
            table.oid,
            LockMode::AccessExclusive,
            LockWait::Wait,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_built_beside_writers_has_all_their_rows() {
    // A writer gives up its locks before its commit is durable. An index built right then, at the
    // durable snapshot, would lack its rows.
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    for round in 0..40 {
        let (writer, t) = (database.clone(), table.clone());
        let writing = tokio::spawn(async move {
            for n in 0..5 {
                let cancel = CANCEL();
                let mut txn = writer.begin();
                lock_table(
                    &mut txn,
                    t.oid,
                    LockMode::RowExclusive,
                    LockWait::Wait,
                    &cancel,
                )
                .await
                .unwrap();
                let now = txn.catalog().table("public", "t").unwrap().clone();
                txn.begin_statement().await.unwrap();
                insert(&mut txn, &now, &ints(&[round * 100 + n, n]), &cancel)
                    .await
                    .unwrap();
                txn.commit().await.unwrap();
            }
        });
        let cancel = CANCEL();
        let mut txn = database.begin();
        lock_table(
            &mut txn,
            table.oid,
            LockMode::AccessExclusive,
            LockWait::Wait,
            &cancel,
        )
        .await
        .unwrap();
        let now = txn.catalog().table("public", "t").unwrap().clone();
        let new = NewIndex {
            name: format!("t_{round}"),
            columns: vec![key_column(1, true, false)],
            unique: false,
            deferral: Deferral::default(),
            primary: false,
            constraint: false,
        };
        ddl::create_index(&mut txn, &now, new, &cancel)
            .await
            .unwrap();
        txn.commit().await.unwrap();
        writing.await.unwrap();
    }
    assert_eq!(database.verify().await.unwrap(), 200);
}
