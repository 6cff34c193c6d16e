//! Foreign keys: what a change of rows means for those that refer, and for those referred to.
//!
//! A plan knows which keys its statement concerns ([`ForeignKeys`]). Every row it changes is told
//! to a [`KeyChecks`], which settles at once what nothing later in the statement can upset, and
//! queues the rest. [`KeyChecks::finish`], at the end of the statement, works the queue off in
//! order: it checks, refuses, or changes referring rows, which queues more (so cascades go breadth
//! first, as PostgreSQL's do), or leaves a check to the end of the transaction
//! ([`check_deferred`]). Deferrable unique constraints are checked along with that: the table layer
//! knows how ([`check_claim`]), and says what ([`Txn::take_claims`]).
//!
//! - **F1** Who refers to a key holds the key's row FOR KEY SHARE from the check until it commits.
//! - **F2** Who takes a key away holds its row FOR UPDATE, and looks for referring rows when it has
//!   that lock. With F1 one of the two sees the other: a reference to nothing is never committed.
//! - **F3** All of this reads the newest state, whatever the isolation level.
//!
//! See PostgreSQL's documentation, 5.4.5, and of CREATE TABLE: "REFERENCES", "DEFERRABLE".

mod act;
mod check;
mod open;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::{Oid, Result, RowId};
use crate::sql::context::StatementContext;
use crate::sql::foreign_key::open::Opened;
use crate::table::{
    Catalog, ForeignKeyDef, KeyAction, KeyChange, KeyCheck, KeyEvent, TableDef, Txn, check_claim,
};
use crate::types::{self, Datum, Format};

pub(crate) use check::validate;
pub(crate) use open::comparable;

/// The foreign keys that a change of a table's rows concerns.
#[derive(Default)]
pub(crate) struct ForeignKeys {
    /// The table's own.
    own: Vec<Arc<ForeignKeyDef>>,
    /// Those that refer to it, with the tables they belong to.
    referring: Vec<(Oid, Arc<ForeignKeyDef>)>,
}

impl ForeignKeys {
    pub(crate) fn of_insert(table: &TableDef) -> ForeignKeys {
        ForeignKeys {
            own: table.foreign_keys.clone(),
            referring: Vec::new(),
        }
    }

    /// `changes` says which columns are assigned to.
    pub(crate) fn of_update(
        catalog: &Catalog,
        table: &TableDef,
        changes: impl Fn(usize) -> bool,
    ) -> ForeignKeys {
        let any = |columns: &[usize]| columns.iter().any(|column| changes(*column));
        let mut keys = ForeignKeys::of_delete(catalog, table);
        keys.referring.retain(|(_, key)| any(&key.references));
        keys.own = table.foreign_keys.clone();
        keys.own.retain(|key| any(&key.columns));
        keys
    }

    pub(crate) fn of_delete(catalog: &Catalog, table: &TableDef) -> ForeignKeys {
        let referring = catalog.references_to(table.oid).into_iter();
        ForeignKeys {
            own: Vec::new(),
            referring: referring
                .map(|(table, key)| (table.oid, Arc::clone(key)))
                .collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.referring.is_empty()
    }
}

/// The checks of one statement.
pub(crate) struct KeyChecks {
    cx: StatementContext,
    /// Of the transaction.
    at_end: bool,
    queue: VecDeque<KeyCheck>,
    opened: Vec<Arc<Opened>>,
    /// By foreign key: what was found referred to last, so that its row is held.
    held: Vec<(Oid, Box<[Datum]>)>,
}

impl KeyChecks {
    pub(crate) fn new(cx: &StatementContext) -> KeyChecks {
        KeyChecks {
            cx: cx.clone(),
            at_end: false,
            queue: VecDeque::new(),
            opened: Vec::new(),
            held: Vec::new(),
        }
    }

    /// A row has been added.
    pub(crate) async fn inserted(
        &mut self,
        keys: &ForeignKeys,
        table: &TableDef,
        id: RowId,
        row: &[Datum],
        txn: &mut Txn,
    ) -> Result<()> {
        for key in &keys.own {
            self.refers(key, table, id, row, true, txn).await?;
        }
        Ok(())
    }

    /// A row has been replaced.
    pub(crate) async fn updated(
        &mut self,
        keys: &ForeignKeys,
        table: &TableDef,
        id: RowId,
        (old, new): (&[Datum], &[Datum]),
        txn: &mut Txn,
    ) -> Result<()> {
        for (referring, key) in &keys.referring {
            let values = |row: &[Datum]| values(row, &key.references);
            let (old, new) = (values(old), values(new));
            if !looks_same(table, &key.references, &old, &new) {
                self.removed(key, *referring, old, Some(new), txn).await?;
            }
        }
        for key in &keys.own {
            let values = |row: &[Datum]| values(row, &key.columns);
            if !same_key(table, &key.columns, &values(old), &values(new)) {
                // What this statement changes may be what the row refers to.
                let at_once = key.table != table.oid;
                self.refers(key, table, id, new, at_once, txn).await?;
            }
        }
        Ok(())
    }

    /// A row has been deleted.
    pub(crate) async fn deleted(
        &mut self,
        keys: &ForeignKeys,
        old: &[Datum],
        txn: &mut Txn,
    ) -> Result<()> {
        for (referring, key) in &keys.referring {
            let old = values(old, &key.references);
            self.removed(key, *referring, old, None, txn).await?;
        }
        Ok(())
    }

    /// At the end of the statement.
    pub(crate) async fn finish(&mut self, txn: &mut Txn) -> Result<()> {
        loop {
            let claims = txn.take_claims().into_iter();
            self.queue.extend(claims.map(KeyCheck::Unique));
            let Some(check) = self.queue.pop_front() else {
                return Ok(());
            };
            let now = match waits(&check) {
                true => txn.defer(check),
                false => Some(check),
            };
            if let Some(check) = now {
                self.look_at(check, txn).await?;
            }
        }
    }

    async fn look_at(&mut self, check: KeyCheck, txn: &mut Txn) -> Result<()> {
        self.cx.cancel.check()?;
        let event = match &check {
            KeyCheck::Foreign(event) => event,
            KeyCheck::Unique(claim) => {
                return check_claim(claim, txn, self.at_end, &self.cx.cancel).await;
            }
        };
        match &event.change {
            KeyChange::Reference(row) => self.check_reference(event, *row, txn).await,
            KeyChange::Referenced { old, new } => {
                self.key_is_gone(event, old, new.as_deref(), txn).await
            }
        }
    }

    fn queue(&mut self, key: &Arc<ForeignKeyDef>, table: Oid, change: KeyChange) {
        self.queue.push_back(KeyCheck::Foreign(KeyEvent {
            key: Arc::clone(key),
            table,
            change,
        }));
    }
}

/// Only checks can be deferred; what changes rows is done at the end of the statement.
fn waits(check: &KeyCheck) -> bool {
    match check {
        KeyCheck::Foreign(event) => match &event.change {
            KeyChange::Reference(_) => true,
            KeyChange::Referenced { new, .. } => {
                action(&event.key, new.as_deref()) == KeyAction::NoAction
            }
        },
        KeyCheck::Unique(_) => true,
    }
}

/// What is to be done about a key that has gone or become `new`.
fn action(key: &ForeignKeyDef, new: Option<&[Datum]>) -> KeyAction {
    match new {
        Some(_) => key.on_update,
        None => key.on_delete,
    }
}

fn values(row: &[Datum], columns: &[usize]) -> Box<[Datum]> {
    columns.iter().map(|column| row[*column].clone()).collect()
}

/// Whether the values of some columns are equal; NULLs are.
fn same_key(table: &TableDef, columns: &[usize], a: &[Datum], b: &[Datum]) -> bool {
    let mut values = columns.iter().zip(a.iter().zip(b));
    values.all(|(column, (a, b))| match a.is_null() || b.is_null() {
        true => a.is_null() && b.is_null(),
        false => types::compare(table.columns[*column].ty, a, b).is_eq(),
    })
}

/// Whether they are equal and written alike: 1.0 and 1.00 are not, and are passed on as a change.
fn looks_same(table: &TableDef, columns: &[usize], a: &[Datum], b: &[Datum]) -> bool {
    let format = Format::default();
    let text = |column: &usize, value| {
        let mut text = Vec::new();
        types::text_out(table.columns[*column].ty, value, &format, &mut text);
        text
    };
    let mut values = columns.iter().zip(a.iter().zip(b));
    same_key(table, columns, a, b)
        && values.all(|(column, (a, b))| a.is_null() || text(column, a) == text(column, b))
}

/// Makes the checks that were deferred: at the end of the transaction all of them, else those
/// whose constraints are not deferred any more.
pub async fn check_deferred(txn: &mut Txn, cx: &StatementContext, at_end: bool) -> Result<()> {
    let due = txn.take_due(at_end);
    let mut checks = KeyChecks {
        at_end,
        ..KeyChecks::new(cx)
    };
    for check in due {
        if let Err(error) = checks.look_at(check, txn).await {
            // The error tells of rows that may not be durable yet.
            txn.wait_shown().await?;
            return Err(error);
        }
    }
    Ok(())
}
