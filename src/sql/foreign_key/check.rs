//! The referring side: rows must refer to keys that are there.

use std::sync::Arc;

use crate::base::{Error, Result, RowId};
use crate::sql::context::StatementContext;
use crate::sql::expr::ExprContext;
use crate::sql::foreign_key::open::{Opened, Refers, refers};
use crate::sql::foreign_key::{KeyChecks, report, same_key};
use crate::sql::prepared::{bind_context, eval_context};
use crate::table::{
    ForeignKeyDef, KeyChange, KeyEvent, RowLock, TableDef, Txn, get_unique, has_fixed, hold_unique,
    newest_row, scan,
};
use crate::txn::{LockMode, LockWait, could_not_serialize};
use crate::types::Datum;

const ROWS_PER_CANCEL_CHECK: u64 = 1000;

impl KeyChecks {
    /// A row is new or refers to something new. `at_once`: nothing that the statement does later
    /// can take away what it refers to, so that need not be looked at again.
    pub(super) async fn refers(
        &mut self,
        key: &Arc<ForeignKeyDef>,
        table: &TableDef,
        id: RowId,
        row: &[Datum],
        at_once: bool,
        txn: &mut Txn,
    ) -> Result<()> {
        let values = match refers(key, row) {
            Refers::ToNothing => return Ok(()),
            Refers::InPart => None,
            Refers::To(values) => Some(values),
        };
        if let Some(values) = values
            && at_once
            && !txn.is_deferred(key.oid, key.deferral)
            && self.is_held(key, table, &values, txn).await?
        {
            return Ok(());
        }
        self.queue(key, table.oid, KeyChange::Reference(id));
        Ok(())
    }

    /// Whether the row referred to is there and held, without waiting for it.
    async fn is_held(
        &mut self,
        key: &Arc<ForeignKeyDef>,
        table: &TableDef,
        values: &[Datum],
        txn: &mut Txn,
    ) -> Result<bool> {
        let place = self.held.iter().position(|(oid, _)| *oid == key.oid);
        if let Some(place) = place
            && same_key(table, &key.columns, &self.held[place].1, values)
        {
            return Ok(true);
        }
        let mode = LockMode::RowShare;
        let opened = self.open(key, table.oid, key.table, mode, txn).await?;
        let is_held = self
            .hold(&opened, values, LockWait::SkipLocked, txn)
            .await?;
        if is_held {
            match place {
                Some(place) => self.held[place].1 = values.into(),
                None => self.held.push((key.oid, values.into())),
            }
        }
        Ok(is_held)
    }

    /// Locks the row that a key is of (F1).
    async fn hold(
        &self,
        opened: &Opened,
        values: &[Datum],
        wait: LockWait,
        txn: &mut Txn,
    ) -> Result<bool> {
        let Some(unique) = unique_key(opened, values, txn, &self.cx)? else {
            return Ok(false);
        };
        let lock = RowLock {
            mode: LockMode::ROW_KEY_SHARE,
            wait,
            cancel: &self.cx.cancel,
        };
        hold_unique(txn, &opened.referenced, &opened.unique, &unique, lock).await
    }

    /// The check of a row, which may be gone by now.
    pub(super) async fn check_reference(
        &mut self,
        event: &KeyEvent,
        id: RowId,
        txn: &mut Txn,
    ) -> Result<()> {
        let (key, mode) = (&event.key, LockMode::RowShare);
        let opened = self.open(key, event.table, key.table, mode, txn).await?;
        let Some(bytes) = newest_row(txn, &opened.table, id)? else {
            return Ok(());
        };
        let row = opened.decode(&bytes)?;
        match opened.refers(&row) {
            Refers::ToNothing => Ok(()),
            Refers::InPart => Err(report::in_part(&opened)),
            Refers::To(values) => match self.hold(&opened, &values, LockWait::Wait, txn).await? {
                true => Ok(()),
                false => Err(self.missing(&opened, &values, txn)?),
            },
        }
    }

    fn missing(&self, opened: &Opened, values: &[Datum], txn: &Txn) -> Result<Error> {
        let unique = unique_key(opened, values, txn, &self.cx)?;
        let (table, index) = (&opened.referenced, &opened.unique);
        // What the transaction goes on seeing it must not be told to be missing.
        let is_seen = match unique {
            Some(unique) => has_fixed(txn, table, index, &unique)?,
            None => false,
        };
        Ok(match is_seen {
            true => could_not_serialize("concurrent update"),
            false => report::not_present(opened, values, &self.cx.format),
        })
    }
}

fn unique_key(
    opened: &Opened,
    values: &[Datum],
    txn: &Txn,
    cx: &StatementContext,
) -> Result<Option<Vec<Datum>>> {
    let catalog = txn.catalog();
    let expr_cx = ExprContext::new(eval_context(&bind_context(cx, &catalog)));
    opened.unique_key(values, &expr_cx)
}

/// Checks that all rows of a table, as the snapshot has them, meet a foreign key. Both tables are
/// locked against writers.
///
/// # Errors
/// 23503 as for a new row.
pub(crate) fn validate(
    key: &Arc<ForeignKeyDef>,
    table: &Arc<TableDef>,
    txn: &Txn,
    cx: &StatementContext,
) -> Result<()> {
    let catalog = txn.catalog();
    let opened = Opened::new(key, table.oid, &catalog, cx)?;
    let expr_cx = ExprContext::new(eval_context(&bind_context(cx, &catalog)));
    let mut rows = scan(txn, table)?;
    let mut found: Option<Box<[Datum]>> = None;
    let mut count = 0_u64;
    while let Some((_, bytes)) = rows.next()? {
        count += 1;
        if count.is_multiple_of(ROWS_PER_CANCEL_CHECK) {
            cx.cancel.check()?;
        }
        let values = match opened.refers(&opened.decode(bytes)?) {
            Refers::ToNothing => continue,
            Refers::InPart => return Err(report::in_part(&opened)),
            Refers::To(values) => values,
        };
        // Neighbours often refer to the same.
        let is_same = |found: &[Datum]| same_key(table, &key.columns, found, &values);
        if found.as_deref().is_some_and(is_same) {
            continue;
        }
        if !is_there(&opened, &values, txn, &expr_cx)? {
            return Err(report::not_present(&opened, &values, &cx.format));
        }
        found = Some(values);
    }
    Ok(())
}

fn is_there(opened: &Opened, values: &[Datum], txn: &Txn, cx: &ExprContext<'_>) -> Result<bool> {
    let Some(unique) = opened.unique_key(values, cx)? else {
        return Ok(false);
    };
    let found = get_unique(txn, &opened.referenced, &opened.unique, &unique)?;
    Ok(found.is_some())
}
