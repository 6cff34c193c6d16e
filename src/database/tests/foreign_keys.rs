//! What [`crate::table::verify`] says of foreign keys.

use std::sync::Arc;

use super::{CANCEL, begin, ints, open, two_columns};
use crate::table::{Deferral, ForeignKeyDef, KeyAction, TableDef, ddl, insert, lock_table};
use crate::txn::{LockMode, LockWait};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_refers_to_nothing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path());
    let table = two_columns(&database).await;
    let mut txn = begin(&database).await;
    let (mode, wait) = (LockMode::AccessExclusive, LockWait::Wait);
    lock_table(&mut txn, table.oid, mode, wait, &CANCEL())
        .await
        .unwrap();
    let mut changed = TableDef::clone(&table);
    changed.foreign_keys.push(Arc::new(ForeignKeyDef {
        oid: ddl::new_oid(&txn),
        name: "t_v_fkey".into(),
        columns: vec![1],
        table: table.oid,
        references: vec![0],
        index: table.indexes[0].oid,
        match_full: false,
        on_delete: KeyAction::NoAction,
        on_update: KeyAction::NoAction,
        delete_sets: Vec::new(),
        deferral: Deferral::default(),
        validated: true,
    }));
    let table = ddl::replace(&mut txn, changed).unwrap();
    for row in [[1, 1], [2, 1]] {
        insert(&mut txn, &table, &ints(&row), &CANCEL())
            .await
            .unwrap();
    }
    txn.commit().await.unwrap();
    assert_eq!(database.verify().await.unwrap(), 2);

    let mut txn = begin(&database).await;
    insert(&mut txn, &table, &ints(&[3, 7]), &CANCEL())
        .await
        .unwrap();
    txn.commit().await.unwrap();
    let error = database.verify().await.unwrap_err();
    let message = error.report().message;
    assert!(
        message.contains("violates foreign key \"t_v_fkey\""),
        "{message}"
    );
}
