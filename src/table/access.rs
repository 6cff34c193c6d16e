//! Reading and changing rows, with the indexes kept in step.

use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::sync::Ordering;
use crate::base::{CancelFlag, Error, Oid, Result, RowId, SqlState, TreeId};
use crate::btree::{Near, Value};
use crate::table::key::{IndexKey, KeyRange};
use crate::table::{IndexDef, TableDef, Txn, newest_row};
use crate::txn::{
    Key, LockMode, LockTarget, LockWait, Reader, Scan, bound_bytes, could_not_serialize,
    read_write_conflict,
};
use crate::types::{self, Datum, Format};

pub(super) fn row_key(row: RowId) -> Key {
    Key::from_slice(&row.0.to_be_bytes())
}

pub(super) fn row_id(bytes: &[u8]) -> Result<RowId> {
    let bytes = <[u8; 8]>::try_from(bytes);
    bytes.map(|b| RowId(u64::from_be_bytes(b))).map_err(|_| {
        Error::new(
            SqlState::DATA_CORRUPTED,
            "a row id of the wrong length in a table or index",
        )
    })
}

/// All rows of a table at the statement's snapshot, own changes included, in row id order.
pub struct TableScan {
    scan: Scan,
}

pub fn scan(txn: &Txn, table: &Arc<TableDef>) -> Result<TableScan> {
    let scan = txn
        .base
        .scan(table.tree, Bound::Unbounded, Bound::Unbounded, false)?;
    Ok(TableScan { scan })
}

impl TableScan {
    /// The next row and its bytes, borrowed until the call after.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the scan"
    )]
    pub fn next(&mut self) -> Result<Option<(RowId, &[u8])>> {
        let Some((key, row)) = self.scan.next()? else {
            return Ok(None);
        };
        Ok(Some((row_id(key)?, row)))
    }
}

/// The rows whose index keys are in a range, in key order or against it.
pub struct IndexScan {
    index: Scan,
    rows: Reader,
    near: Near,
    row: Option<(RowId, Value)>,
}

pub fn index_scan(
    txn: &Txn,
    table: &Arc<TableDef>,
    index: &Arc<IndexDef>,
    range: KeyRange,
    backward: bool,
) -> Result<IndexScan> {
    let (lower, upper) = (bound_bytes(&range.lower), bound_bytes(&range.upper));
    let index = txn.base.scan(index.tree, lower, upper, backward)?;
    Ok(IndexScan {
        index,
        rows: txn.base.reader(table.tree)?,
        near: Near::default(),
        row: None,
    })
}

/// Opens scans of one table at the statement's snapshot, as often as a plan asks for them and
/// after the call that made it is over.
pub struct TableReader {
    rows: Reader,
    indexes: Vec<(TreeId, Reader)>,
}

/// A reader of a table and some of its indexes.
pub fn reader(txn: &Txn, table: &TableDef, indexes: &[Arc<IndexDef>]) -> Result<TableReader> {
    let index = |index: &Arc<IndexDef>| Ok((index.tree, txn.base.reader(index.tree)?));
    Ok(TableReader {
        rows: txn.base.reader(table.tree)?,
        indexes: indexes.iter().map(index).collect::<Result<_>>()?,
    })
}

impl TableReader {
    pub fn scan(&self) -> TableScan {
        TableScan {
            scan: self.rows.scan(Bound::Unbounded, Bound::Unbounded, false),
        }
    }

    /// As the function [`index_scan`].
    pub fn index_scan(
        &self,
        index: &IndexDef,
        range: &KeyRange,
        backward: bool,
    ) -> Result<IndexScan> {
        let (lower, upper) = (bound_bytes(&range.lower), bound_bytes(&range.upper));
        Ok(IndexScan {
            index: self.index(index)?.scan(lower, upper, backward),
            rows: self.rows.clone(),
            near: Near::default(),
            row: None,
        })
    }

    /// As the function [`get_unique`].
    pub fn get_unique(
        &self,
        table: &TableDef,
        index: &IndexDef,
        key: &[Datum],
    ) -> Result<Option<(RowId, Value)>> {
        let Some(key) = unique_key(table, index, key) else {
            return Ok(None);
        };
        let Some(value) = self.index(index)?.get(&key)? else {
            return Ok(None);
        };
        let row = row_id(&value)?;
        match self.rows.get(&value)? {
            Some(bytes) => Ok(Some((row, bytes))),
            None => Err(dangling(row)),
        }
    }

    fn index(&self, index: &IndexDef) -> Result<&Reader> {
        let found = self.indexes.iter().find(|(tree, _)| *tree == index.tree);
        found.map(|(_, reader)| reader).ok_or_else(|| {
            let message = format!("index \"{}\" was not opened", index.name);
            Error::new(SqlState::INTERNAL_ERROR, message)
        })
    }
}

impl IndexScan {
    /// The next row and its bytes, borrowed until the call after.
    ///
    /// # Errors
    /// XX001 when the index names a row that is not there.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the scan"
    )]
    pub fn next(&mut self) -> Result<Option<(RowId, &[u8])>> {
        let Some((_, value)) = self.index.next()? else {
            return Ok(None);
        };
        let row = row_id(value)?;
        let bytes = self.rows.get_near(&mut self.near, value)?;
        let bytes = bytes.ok_or_else(|| dangling(row))?;
        self.row = Some((row, bytes));
        Ok(self.current())
    }

    /// What [`Self::next`] gave last.
    pub fn current(&self) -> Option<(RowId, &[u8])> {
        self.row.as_ref().map(|(row, bytes)| (*row, &**bytes))
    }
}

fn dangling(row: RowId) -> Error {
    let message = format!("an index points to row {}, which does not exist", row.0);
    Error::new(SqlState::DATA_CORRUPTED, message)
}

/// The row of a whole unique key at the statement's snapshot: what an [`IndexScan`] over that key
/// would give, without setting one up.
pub fn get_unique(
    txn: &Txn,
    table: &Arc<TableDef>,
    index: &Arc<IndexDef>,
    key: &[Datum],
) -> Result<Option<(RowId, Value)>> {
    let Some(key) = unique_key(table, index, key) else {
        return Ok(None);
    };
    let Some(value) = txn.base.get(index.tree, &key)? else {
        return Ok(None);
    };
    let row = row_id(&value)?;
    match txn.base.get(table.tree, &value)? {
        Some(bytes) => Ok(Some((row, bytes))),
        None => Err(dangling(row)),
    }
}

/// `None`: a null matches nothing.
pub(super) fn unique_key(table: &TableDef, index: &IndexDef, key: &[Datum]) -> Option<Key> {
    let range = crate::table::key_range(table, index, key, None, None);
    match range.lower {
        Bound::Included(key) if !key.is_empty() => Some(key),
        _ => None,
    }
}

/// A row locked for this transaction, in its newest version.
#[derive(Debug)]
pub struct LockedRow {
    pub bytes: Value,
    /// It differs from the version seen before the lock was taken.
    pub changed: bool,
}

#[derive(Debug)]
pub enum Locked {
    Row(LockedRow),
    /// It has been deleted.
    Gone,
    /// Another transaction holds it and [`LockWait::SkipLocked`] was asked for.
    Skipped,
}

/// How a row is to be locked.
#[derive(Clone, Copy, Debug)]
pub struct RowLock<'a> {
    pub mode: LockMode,
    pub wait: LockWait,
    pub cancel: &'a CancelFlag,
}

/// Locks a row that was `seen` at the snapshot and reads its newest version.
///
/// # Errors
/// 40001 above READ COMMITTED if that is another; those of [`crate::txn::Transaction::lock`].
pub async fn lock_row(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    row: RowId,
    seen: &[u8],
    lock: RowLock<'_>,
) -> Result<Locked> {
    if !lock_row_id(txn, table, row, lock).await? {
        return Ok(Locked::Skipped);
    }
    let key = row_key(row);
    let (newest, lsn) = txn.base.find_newest(table.tree, &key)?;
    let must_be_same = txn.base.has_fixed_snapshot() && !txn.base.has_written(table.tree, &key);
    match newest {
        // Its version is the durable one of the snapshot, however new its page.
        Some(bytes) if *bytes == *seen => {
            let changed = false;
            Ok(Locked::Row(LockedRow { bytes, changed }))
        }
        Some(_) if must_be_same => Err(could_not_serialize("concurrent update")),
        None if must_be_same => Err(could_not_serialize("concurrent delete")),
        // As if the one who deleted it still had its lock, until that is durable.
        None if lock.wait == LockWait::SkipLocked => Ok(Locked::Skipped),
        Some(bytes) => {
            txn.base.depend_on(lsn);
            let changed = true;
            Ok(Locked::Row(LockedRow { bytes, changed }))
        }
        None => {
            txn.base.depend_on(lsn);
            Ok(Locked::Gone)
        }
    }
}

async fn lock_row_id(
    txn: &mut Txn,
    table: &TableDef,
    row: RowId,
    lock: RowLock<'_>,
) -> Result<bool> {
    if txn.owns(table) {
        return Ok(true);
    }
    let target = LockTarget::Row(table.tree, row);
    let locked = txn
        .base
        .lock(target, lock.mode, lock.wait, lock.cancel)
        .await;
    locked.map_err(|e| match lock.wait {
        LockWait::Nowait if e.sqlstate() == SqlState::LOCK_NOT_AVAILABLE => Error::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!(
                "could not obtain lock on row in relation \"{}\"",
                table.name
            ),
        ),
        _ => e,
    })
}

/// Locks the row of a whole unique key, found in the newest state (above READ COMMITTED at the
/// snapshot); `None` if there is none (or it is skipped). `changed` is false: there is no older
/// version to differ from.
pub async fn lock_unique(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    index: &Arc<IndexDef>,
    key: &[Datum],
    lock: RowLock<'_>,
) -> Result<Option<(RowId, LockedRow)>> {
    if txn.base.has_fixed_snapshot() {
        let Some((row, seen)) = get_unique(txn, table, index, key)? else {
            return Ok(None);
        };
        return Ok(match lock_row(txn, table, row, &seen, lock).await? {
            Locked::Row(locked) => Some((row, locked)),
            Locked::Gone | Locked::Skipped => None,
        });
    }
    match unique_key(table, index, key) {
        Some(key) => lock_key_row(txn, table, index, &key, lock).await,
        None => Ok(None),
    }
}

/// As [`lock_unique`] at READ COMMITTED.
pub(super) async fn lock_key_row(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    index: &IndexDef,
    key: &[u8],
    lock: RowLock<'_>,
) -> Result<Option<(RowId, LockedRow)>> {
    let Some(row) = hold_key(txn, table, index, key, lock).await? else {
        return Ok(None);
    };
    match newest_row(txn, table, row)? {
        Some(bytes) => Ok(Some((
            row,
            LockedRow {
                bytes,
                changed: false,
            },
        ))),
        None => Err(dangling(row)),
    }
}

/// Locks the row of a key, found in the newest state; `None` if there is none, or it is skipped.
pub(super) async fn hold_key(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &[u8],
    lock: RowLock<'_>,
) -> Result<Option<RowId>> {
    loop {
        let Some(found) = txn.base.get_newest(index.tree, key)? else {
            return Ok(None);
        };
        let row = row_id(&found)?;
        if !lock_row_id(txn, table, row, lock).await? {
            return Ok(None);
        }
        // Before the lock was to be had, the key may have moved to another row.
        let now = txn.base.get_newest(index.tree, key)?;
        if now.as_deref() == Some(&found) {
            return Ok(Some(row));
        }
    }
}

/// Adds a row (one datum per column of the definition).
///
/// # Errors
/// 23502 and 23505 as PostgreSQL reports them. CHECK constraints are the caller's.
pub async fn insert(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    row: &[Datum],
    cancel: &CancelFlag,
) -> Result<RowId> {
    check_not_null(table, row)?;
    let keys = keys_of(table, row)?;
    for (index, key) in table.indexes.iter().zip(&keys) {
        if index.unique && !key.has_null {
            check_unique(txn, table, index, key, row, cancel).await?;
        }
    }
    put_row(txn, table, row, &keys)
}

/// The keys of a row, one for each index.
pub(super) fn keys_of(table: &TableDef, row: &[Datum]) -> Result<SmallVec<[IndexKey; 2]>> {
    let indexes = table.indexes.iter();
    indexes
        .map(|index| IndexKey::of(table, index, row))
        .collect()
}

/// Adds a row whose keys no other row has.
pub(super) fn put_row(
    txn: &mut Txn,
    table: &TableDef,
    row: &[Datum],
    keys: &[IndexKey],
) -> Result<RowId> {
    let id = next_row(txn, table)?;
    let mut bytes = Vec::with_capacity(64);
    table.layout.encode(txn.writer(), row, &mut bytes)?;
    for (index, key) in table.indexes.iter().zip(keys) {
        let entry = key.entry(index, id);
        txn.base
            .put(index.tree, entry, id.0.to_be_bytes().to_vec())?;
    }
    txn.base.put(table.tree, row_key(id), bytes)?;
    Ok(id)
}

/// Replaces the locked version `old` of a row.
///
/// # Errors
/// 23502 and 23505 as PostgreSQL reports them. CHECK constraints are the caller's.
pub async fn update(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    id: RowId,
    old: &[u8],
    new: &[Datum],
    cancel: &CancelFlag,
) -> Result<()> {
    check_not_null(table, new)?;
    let mut bytes = Vec::with_capacity(old.len() + 8);
    table.layout.encode(txn.writer(), new, &mut bytes)?;
    let mut old_row = vec![Datum::Null; table.columns.len()];
    for index in &table.indexes {
        decode_key_columns(table, index, old, &mut old_row)?;
        let unchanged = index.columns.iter().all(|c| {
            let (a, b) = (&old_row[c.column], &new[c.column]);
            same(table, c.column, a, b)
        });
        if unchanged {
            continue;
        }
        let (before, after) = (
            IndexKey::of(table, index, &old_row)?,
            IndexKey::of(table, index, new)?,
        );
        if before.key == after.key {
            continue;
        }
        delete_entry(txn, table, index, &before, id, cancel).await?;
        if index.unique && !after.has_null {
            check_unique(txn, table, index, &after, new, cancel).await?;
        }
        txn.base.put(
            index.tree,
            after.entry(index, id),
            id.0.to_be_bytes().to_vec(),
        )?;
    }
    txn.base.put(table.tree, row_key(id), bytes)?;
    Ok(())
}

/// Removes a row whose locked version is `old`.
pub async fn delete(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    id: RowId,
    old: &[u8],
    cancel: &CancelFlag,
) -> Result<()> {
    let mut row = vec![Datum::Null; table.columns.len()];
    for index in &table.indexes {
        decode_key_columns(table, index, old, &mut row)?;
        let key = IndexKey::of(table, index, &row)?;
        delete_entry(txn, table, index, &key, id, cancel).await?;
    }
    txn.base.delete(table.tree, row_key(id))?;
    Ok(())
}

fn same(table: &TableDef, column: usize, a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => types::compare(table.columns[column].ty, a, b).is_eq(),
        (a, b) => a == b,
    }
}

fn decode_key_columns(
    table: &TableDef,
    index: &IndexDef,
    bytes: &[u8],
    out: &mut [Datum],
) -> Result<()> {
    for column in &index.columns {
        table.layout.decode(bytes, &[column.column], out)?;
    }
    Ok(())
}

async fn delete_entry(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &IndexKey,
    row: RowId,
    cancel: &CancelFlag,
) -> Result<()> {
    // Who wants to insert the key waits for the outcome of this deletion.
    if index.unique && !key.has_null {
        lock_key(txn, table, index.tree, &key.key, LockWait::Wait, cancel).await?;
    }
    txn.base.delete(index.tree, key.entry(index, row))?;
    Ok(())
}

pub(super) async fn lock_key(
    txn: &mut Txn,
    table: &TableDef,
    index: TreeId,
    key: &[u8],
    wait: LockWait,
    cancel: &CancelFlag,
) -> Result<bool> {
    if txn.owns(table) {
        return Ok(true);
    }
    let target = LockTarget::key(index, key);
    txn.base
        .lock(target, LockMode::ROW_UPDATE, wait, cancel)
        .await
}

async fn check_unique(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &IndexKey,
    row: &[Datum],
    cancel: &CancelFlag,
) -> Result<()> {
    lock_key(txn, table, index.tree, &key.key, LockWait::Wait, cancel).await?;
    check_free(txn, table, index, key, row)
}

/// Under the key's lock.
pub(super) fn check_free(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &IndexKey,
    row: &[Datum],
) -> Result<()> {
    let is_free = txn.base.get_newest(index.tree, &key.key)?.is_none();
    // What a SERIALIZABLE transaction learns of a key is as its snapshot has it, and counts as
    // read: its lock may go with a savepoint.
    if txn.base.is_serializable() && is_free != txn.base.get(index.tree, &key.key)?.is_none() {
        return Err(read_write_conflict());
    }
    if is_free {
        return Ok(());
    }
    Err(duplicate_key(table, index, row))
}

fn duplicate_key(table: &TableDef, index: &IndexDef, row: &[Datum]) -> Error {
    let message = format!(
        "duplicate key value violates unique constraint \"{}\"",
        index.name
    );
    Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(format!(
            "{} already exists.",
            describe_key(table, index, row)
        ))
        .with_table(&table.schema, &table.name)
        .with_constraint(&index.name)
}

/// `Key (a, b)=(1, x)`, as PostgreSQL writes it in details.
pub(super) fn describe_key(table: &TableDef, index: &IndexDef, row: &[Datum]) -> String {
    let format = Format::default();
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in &index.columns {
        let def = &table.columns[column.column];
        names.push(def.name.as_str());
        let mut text = Vec::new();
        types::text_out(def.ty, &row[column.column], &format, &mut text);
        values.push(String::from_utf8_lossy(&text).into_owned());
    }
    format!("Key ({})=({})", names.join(", "), values.join(", "))
}

pub(super) fn check_not_null(table: &TableDef, row: &[Datum]) -> Result<()> {
    let columns = table.columns.iter().zip(row);
    match columns
        .into_iter()
        .find(|(c, value)| c.not_null && !c.dropped && value.is_null())
    {
        Some((column, _)) => Err(null_violation(table, &column.name, row)),
        None => Ok(()),
    }
}

fn null_violation(table: &TableDef, column: &str, row: &[Datum]) -> Error {
    let message = format!(
        "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
        table.name
    );
    Error::new(SqlState::NOT_NULL_VIOLATION, message)
        .with_detail(failing_row(table, row))
        .with_table(&table.schema, &table.name)
        .with_column(column)
}

/// `Failing row contains (1, null).`, as PostgreSQL's details say.
pub fn failing_row(table: &TableDef, row: &[Datum]) -> String {
    const VALUE_CHARS_MAX: usize = 64;
    let format = Format::default();
    let columns = table
        .columns
        .iter()
        .zip(row)
        .filter(|(column, _)| !column.dropped);
    let values = columns.map(|(column, value)| {
        if value.is_null() {
            return "null".to_owned();
        }
        let mut text = Vec::new();
        types::text_out(column.ty, value, &format, &mut text);
        let text = String::from_utf8_lossy(&text);
        match text.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.into_owned(),
        }
    });
    format!(
        "Failing row contains ({}).",
        values.collect::<Vec<_>>().join(", ")
    )
}

/// A row id that no row of the table has had while this process lives.
fn next_row(txn: &mut Txn, table: &TableDef) -> Result<RowId> {
    let next = &table.state.next_row;
    // Relaxed throughout: ids need only differ.
    if next.load(Ordering::Relaxed) == 0 {
        let last = txn.base.last_key(table.tree)?;
        let first = match last {
            Some(key) => row_id(&key)?.0 + 1,
            None => 1,
        };
        // Whoever comes first sets it: later ones may have read newer rows, but all of those got
        // their ids from here.
        let _ = next.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
    }
    Ok(RowId(next.fetch_add(1, Ordering::Relaxed)))
}

/// Locks a table until the end of the transaction.
///
/// With a lock that excludes writers comes a new snapshot: their changes may be installed and not
/// yet durable, and whoever keeps them out must see all rows.
///
/// # Errors
/// 55P03 if the table is not free and `wait` says not to wait.
pub async fn lock_table(
    txn: &mut Txn,
    table: Oid,
    mode: LockMode,
    wait: LockWait,
    cancel: &CancelFlag,
) -> Result<()> {
    let target = LockTarget::Table(table);
    txn.base.lock(target, mode, wait, cancel).await?;
    if mode.excludes_writers() {
        txn.base.depend_on_installed();
        txn.base.take_snapshot().await?;
    }
    Ok(())
}

/// Takes the right to change a table's definition beside others that read the table. Who locks
/// the table in a mode that readers do not share needs none.
pub async fn lock_definition(txn: &mut Txn, table: Oid, cancel: &CancelFlag) -> Result<()> {
    let target = LockTarget::Definition(table);
    txn.lock(target, LockMode::AccessExclusive, cancel).await
}
