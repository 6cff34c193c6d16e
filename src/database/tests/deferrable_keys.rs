//! What [`crate::table::verify`] says of deferrable keys, and what is left to those who check them.

use std::sync::Arc;

use super::{CANCEL, begin, ints, key_column, open, two_columns};
use crate::base::SqlState;
use crate::database::Database;
use crate::table::ddl::{self, NewIndex};
use crate::table::{Deferral, TableDef, check_claim, insert, lock_table};
use crate::txn::{LockMode, LockWait};
use crate::types::Datum;

/// With a deferred unique constraint on the second column.
async fn deferred(database: &Arc<Database>) -> Arc<TableDef> {
    let table = two_columns(database).await;
    let mut txn = begin(database).await;
    let (mode, wait) = (LockMode::AccessExclusive, LockWait::Wait);
    lock_table(&mut txn, table.oid, mode, wait, &CANCEL())
        .await
        .unwrap();
    let new = NewIndex {
        name: "t_v_key".into(),
        columns: vec![key_column(1, false, false)],
        unique: false,
        deferral: Deferral {
            deferrable: true,
            initially_deferred: true,
        },
        primary: false,
        constraint: true,
    };
    let table = ddl::create_index(&mut txn, &table, new, &CANCEL())
        .await
        .unwrap();
    txn.commit().await.unwrap();
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_two_committed_rows_share_is_found_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = deferred(&database).await;
    let mut txn = begin(&database).await;
    for row in [[1, 10], [2, 20]] {
        insert(&mut txn, &table, &ints(&row), &CANCEL())
            .await
            .unwrap();
    }
    for id in [3, 4] {
        let row = [Datum::Int4(id), Datum::Null];
        insert(&mut txn, &table, &row, &CANCEL()).await.unwrap();
    }
    assert!(txn.take_claims().is_empty());
    txn.commit().await.unwrap();
    assert_eq!(database.verify().await.unwrap(), 4);

    // The bug: a commit without the check.
    let mut txn = begin(&database).await;
    insert(&mut txn, &table, &ints(&[5, 10]), &CANCEL())
        .await
        .unwrap();
    assert_eq!(txn.take_claims().len(), 1);
    txn.commit().await.unwrap();
    let found = "row 5 of \"t\" shares its key in \"t_v_key\" with another";
    let error = database.verify().await.unwrap_err();
    assert_eq!(error.report().message, found);
    drop((database, table));
    let database = open(dir.path());
    let error = database.verify().await.unwrap_err();
    assert_eq!(error.report().message, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_sees_what_was_committed_since_the_key_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = deferred(&database).await;
    let (mut first, mut second) = (begin(&database).await, begin(&database).await);
    let (cancel, row) = (CANCEL(), ints(&[1, 10]));
    insert(&mut first, &table, &row, &cancel).await.unwrap();
    assert!(first.take_claims().is_empty(), "it has the key's lock");
    insert(&mut second, &table, &ints(&[2, 10]), &cancel)
        .await
        .unwrap();
    first.commit().await.unwrap();
    let claims = second.take_claims();
    let checked = check_claim(&claims[0], &mut second, true, &cancel).await;
    assert_eq!(checked.unwrap_err().sqlstate(), SqlState::UNIQUE_VIOLATION);
    second.rollback();
    assert_eq!(database.verify().await.unwrap(), 1);
}
