//! The referenced side: a key has gone or become another.

use std::sync::Arc;

use crate::base::{Error, Oid, Result, RowId};
use crate::btree::Value;
use crate::sql::bind::{bind_cast, bind_stored_default};
use crate::sql::exec::{check_row, nulls};
use crate::sql::expr::{ExprContext, eval};
use crate::sql::foreign_key::open::Opened;
use crate::sql::foreign_key::{ForeignKeys, KeyChecks, action, report};
use crate::sql::func::CastContext;
use crate::sql::plan::{Check, plan_expr, uses_volatile};
use crate::sql::prepared::{bind_context, checks, eval_context};
use crate::table::{
    self, ForeignKeyDef, KeyAction, KeyChange, KeyEvent, Locked, NewestRows, RowLock, Txn,
    has_unique, lock_row, row,
};
use crate::txn::{LockMode, LockWait};
use crate::types::Datum;

/// Rows looked at between two offers to let other tasks of the thread run.
const ROWS_PER_TURN: usize = 256;

/// What an action does to a referring row.
struct Change {
    /// Column and new value; nothing: the row is deleted.
    sets: Vec<(usize, Datum)>,
    checks: Vec<Check>,
    /// What the change concerns in turn.
    keys: ForeignKeys,
    lock: LockMode,
}

impl KeyChecks {
    /// A key of a row that is locked (F2) has gone or become `new`. Nothing is left to do if no row
    /// refers to it: none can come any more that is not checked itself.
    pub(super) async fn removed(
        &mut self,
        key: &Arc<ForeignKeyDef>,
        table: Oid,
        old: Box<[Datum]>,
        new: Option<Box<[Datum]>>,
        txn: &mut Txn,
    ) -> Result<()> {
        if old.iter().any(Datum::is_null) {
            return Ok(());
        }
        let mode = table_lock(action(key, new.as_deref()));
        let opened = self.open(key, table, table, mode, txn).await?;
        let Some(mut rows) = opened.referring(&old) else {
            return Ok(());
        };
        // Without an index that would be a scan for every row of the statement.
        if opened.has_index() && !self.has_any(&opened, &mut rows, &old, txn)? {
            return Ok(());
        }
        self.queue(key, table, KeyChange::Referenced { old, new });
        Ok(())
    }

    fn has_any(
        &self,
        opened: &Opened,
        rows: &mut NewestRows,
        old: &[Datum],
        txn: &mut Txn,
    ) -> Result<bool> {
        loop {
            // One is enough, unless the index leads to others, too.
            let some = rows.next(txn, &opened.table, 4)?;
            if some.is_empty() {
                return Ok(false);
            }
            for (_, bytes) in some {
                if self.is_to(opened, &bytes, old, txn)? {
                    return Ok(true);
                }
            }
        }
    }

    /// Whether a version of a row refers to a key.
    fn is_to(&self, opened: &Opened, bytes: &[u8], old: &[Datum], txn: &Txn) -> Result<bool> {
        let catalog = txn.catalog();
        let cx = ExprContext::new(eval_context(&bind_context(&self.cx, &catalog)));
        opened.is_to(&opened.decode(bytes)?, old, &cx)
    }

    pub(super) async fn key_is_gone(
        &mut self,
        event: &KeyEvent,
        old: &[Datum],
        new: Option<&[Datum]>,
        txn: &mut Txn,
    ) -> Result<()> {
        let action = action(&event.key, new);
        let (key, mode) = (&event.key, table_lock(action));
        let opened = self.open(key, event.table, event.table, mode, txn).await?;
        match action {
            KeyAction::Restrict => return self.refuse(&opened, old, txn).await,
            KeyAction::NoAction => {}
            _ => {
                let change = self.change(&opened, action, new, txn)?;
                let worked = self.change_rows(&opened, &change, old, txn).await;
                worked.map_err(|e| e.with_context(statement_text(&opened, action, &change)))?;
            }
        }
        match action {
            // A default that is what the row had before has changed nothing.
            KeyAction::NoAction | KeyAction::SetDefault => {
                let unique = opened.in_unique_order(old);
                match has_unique(txn, &opened.referenced, &opened.unique, &unique)? {
                    true => Ok(()),
                    false => self.refuse(&opened, old, txn).await,
                }
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// 23503 when a row refers to the key.
    async fn refuse(&mut self, opened: &Opened, old: &[Datum], txn: &mut Txn) -> Result<()> {
        let Some(mut rows) = opened.referring(old) else {
            return Ok(());
        };
        let mode = LockMode::ROW_KEY_SHARE;
        while let Some(found) = self.next_referring(opened, &mut rows, old, txn).await? {
            for (id, seen) in found {
                let locked = self.lock(opened, id, &seen, old, mode, txn).await?;
                if locked.is_some() {
                    return Err(report::still_referenced(opened, old, &self.cx.format));
                }
            }
        }
        Ok(())
    }

    /// The next rows that refer to a key; `None` at the end.
    async fn next_referring(
        &self,
        opened: &Opened,
        rows: &mut NewestRows,
        old: &[Datum],
        txn: &mut Txn,
    ) -> Result<Option<Vec<(RowId, Value)>>> {
        let mut found = rows.next(txn, &opened.table, ROWS_PER_TURN)?;
        if found.is_empty() {
            return Ok(None);
        }
        self.cx.cancel.check()?;
        tokio::task::yield_now().await;
        let mut result = Ok(());
        found.retain(|(_, bytes)| {
            let is_to = self.is_to(opened, bytes, old, txn);
            is_to.unwrap_or_else(|error| {
                result = Err(error);
                false
            })
        });
        result.map(|()| Some(found))
    }

    /// The newest version of a row, locked, if it still refers to the key.
    async fn lock(
        &self,
        opened: &Opened,
        id: RowId,
        seen: &[u8],
        old: &[Datum],
        mode: LockMode,
        txn: &mut Txn,
    ) -> Result<Option<Value>> {
        let lock = RowLock {
            mode,
            wait: LockWait::Wait,
            cancel: &self.cx.cancel,
        };
        let Locked::Row(locked) = lock_row(txn, &opened.table, id, seen, lock).await? else {
            return Ok(None);
        };
        let is_to = self.is_to(opened, &locked.bytes, old, txn)?;
        Ok(is_to.then_some(locked.bytes))
    }

    async fn change_rows(
        &mut self,
        opened: &Opened,
        change: &Change,
        old: &[Datum],
        txn: &mut Txn,
    ) -> Result<()> {
        let Some(mut rows) = opened.referring(old) else {
            return Ok(());
        };
        while let Some(found) = self.next_referring(opened, &mut rows, old, txn).await? {
            for (id, newest) in found {
                let seen = table::changeable(txn, &opened.table, id, newest)?;
                let locked = self.lock(opened, id, &seen, old, change.lock, txn).await?;
                if let Some(bytes) = locked {
                    self.change_row(opened, change, id, &bytes, txn).await?;
                }
            }
        }
        Ok(())
    }

    async fn change_row(
        &mut self,
        opened: &Opened,
        change: &Change,
        id: RowId,
        bytes: &[u8],
        txn: &mut Txn,
    ) -> Result<()> {
        let (table, cancel) = (&opened.table, &self.cx.cancel);
        let columns = table.columns.iter().enumerate();
        let live = columns.filter(|(_, c)| !c.dropped).map(|(i, _)| i);
        let mut before = nulls(table.columns.len());
        row::decode(table, bytes, &live.collect::<Vec<_>>(), &mut before)?;
        if change.sets.is_empty() {
            table::delete(txn, table, id, bytes, cancel).await?;
            return self.deleted(&change.keys, &before, txn).await;
        }
        let mut after = before.clone();
        for (column, value) in &change.sets {
            after[*column] = value.clone();
        }
        {
            let catalog = txn.catalog();
            let cx = ExprContext::new(eval_context(&bind_context(&self.cx, &catalog)));
            check_row(table, &change.checks, &after, &cx)?;
        }
        table::update(txn, table, id, bytes, &after, cancel).await?;
        let rows = (&before[..], &after[..]);
        self.updated(&change.keys, table, id, rows, txn).await
    }

    fn change(
        &self,
        opened: &Opened,
        action: KeyAction,
        new: Option<&[Datum]>,
        txn: &Txn,
    ) -> Result<Change> {
        let catalog = txn.catalog();
        let table = &opened.table;
        let sets = self.sets(opened, action, new, txn)?;
        if sets.is_empty() {
            return Ok(Change {
                sets,
                checks: Vec::new(),
                keys: ForeignKeys::of_delete(&catalog, table),
                lock: LockMode::ROW_UPDATE,
            });
        }
        let is_set = |column: usize| sets.iter().any(|(set, _)| *set == column);
        let mut unique = table.indexes.iter().filter(|index| index.is_unique());
        let lock = match unique.any(|index| index.columns.iter().any(|c| is_set(c.column))) {
            true => LockMode::ROW_UPDATE,
            false => LockMode::ROW_NO_KEY_UPDATE,
        };
        Ok(Change {
            checks: checks(table, &bind_context(&self.cx, &catalog))?,
            keys: ForeignKeys::of_update(&catalog, table, is_set),
            sets,
            lock,
        })
    }

    /// The new values of a referring row; none if it is to go.
    fn sets(
        &self,
        opened: &Opened,
        action: KeyAction,
        new: Option<&[Datum]>,
        txn: &Txn,
    ) -> Result<Vec<(usize, Datum)>> {
        let key = &opened.key;
        let catalog = txn.catalog();
        let cx = bind_context(&self.cx, &catalog);
        let expr_cx = ExprContext::new(eval_context(&cx));
        let columns = match new {
            None if !key.delete_sets.is_empty() => &key.delete_sets,
            _ => &key.columns,
        };
        let value = |place: usize, column: usize| -> Result<Datum> {
            let def = &opened.table.columns[column];
            match (action, new) {
                (KeyAction::Cascade, Some(new)) => {
                    let from = opened.referenced.columns[key.references[place]].ty;
                    let (ty, typmod) = (def.ty, def.typmod);
                    let cast = bind_cast(from, ty, typmod, CastContext::Assignment, &cx)?;
                    let cast = cast
                        .ok_or_else(|| Error::unsupported("this cascade between two types is"))?;
                    let cast = plan_expr(cast, eval_context(&cx))?;
                    Ok(eval(&cast, &new[place..], &expr_cx)?.into_owned())
                }
                (KeyAction::SetDefault, _) => {
                    let bound = bind_stored_default(&opened.table, column, &cx)?;
                    // It would have to be computed for each row.
                    if uses_volatile(&bound) {
                        return Err(Error::unsupported("SET DEFAULT to a volatile default is"));
                    }
                    let expr = plan_expr(bound, eval_context(&cx))?;
                    Ok(eval(&expr, &[], &expr_cx)?.into_owned())
                }
                _ => Ok(Datum::Null),
            }
        };
        if action == KeyAction::Cascade && new.is_none() {
            return Ok(Vec::new());
        }
        let columns = columns.iter().enumerate();
        columns
            .map(|(place, column)| Ok((*column, value(place, *column)?)))
            .collect()
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The mode in which the referring table is locked.
fn table_lock(action: KeyAction) -> LockMode {
    match action {
        KeyAction::NoAction | KeyAction::Restrict => LockMode::RowShare,
        KeyAction::Cascade | KeyAction::SetNull | KeyAction::SetDefault => LockMode::RowExclusive,
    }
}

/// The statement by which PostgreSQL would do it, for the context of errors.
fn statement_text(opened: &Opened, action: KeyAction, change: &Change) -> String {
    let table = &opened.table;
    let name = |column: usize| quoted(&table.columns[column].name);
    let is_cascade = action == KeyAction::Cascade;
    let sets = change.sets.iter().zip(1..).map(|((column, _), number)| {
        let value = match action {
            KeyAction::SetNull => "NULL".to_owned(),
            KeyAction::SetDefault => "DEFAULT".to_owned(),
            _ => format!("${number}"),
        };
        format!("{} = {value}", name(*column))
    });
    let sets: Vec<String> = sets.collect();
    let first = if is_cascade { 1 + sets.len() } else { 1 };
    let conditions = opened
        .key
        .columns
        .iter()
        .zip(first..)
        .map(|(column, number)| format!("${number} OPERATOR(pg_catalog.=) {}", name(*column)));
    let conditions: Vec<String> = conditions.collect();
    let verb = match sets.is_empty() {
        true => "DELETE FROM",
        false => "UPDATE",
    };
    let set = match sets.is_empty() {
        true => String::new(),
        false => format!(" SET {}", sets.join(", ")),
    };
    format!(
        "SQL statement \"{verb} ONLY {}.{}{set} WHERE {}\"",
        quoted(&table.schema),
        quoted(&table.name),
        conditions.join(" AND ")
    )
}
