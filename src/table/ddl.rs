//! Making, changing and dropping tables, indexes and sequences. All of it is transactional; the
//! callers hold the exclusive locks of what they change.

use std::sync::Arc;

use crate::base::{CancelFlag, Error, Oid, Result, SqlState};
use crate::table::access::{describe_key, row_key, scan};
use crate::table::def::IndexColumn;
use crate::table::key::{IndexKey, is_indexable};
use crate::table::recheck::find_shared;
use crate::table::{
    CheckDef, ColumnDef, Deferral, IndexDef, Layout, Position, SequenceDef, SequenceParams,
    SequenceState, TableDef, TableState, Txn, lock_table,
};
use crate::txn::{Key, LockMode, LockTarget, LockWait, Transaction};
use crate::types::Datum;

/// A table to be made.
#[derive(Clone, Debug)]
pub struct NewTable {
    pub schema: String,
    pub name: String,
    pub columns: Vec<ColumnDef>,
    /// Name and condition.
    pub checks: Vec<(String, String)>,
    pub unlogged: bool,
    pub options: Vec<(String, String)>,
}

/// An index to be made.
#[derive(Clone, Debug)]
pub struct NewIndex {
    pub name: String,
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
    /// As in [`IndexDef`].
    pub deferral: Deferral,
    pub primary: bool,
    pub constraint: bool,
}

/// Makes a table and locks it exclusively.
///
/// # Errors
/// 42P07 when the name is taken.
pub async fn create_table(
    txn: &mut Txn,
    new: NewTable,
    cancel: &CancelFlag,
) -> Result<Arc<TableDef>> {
    claim_name(txn, &new.schema, &new.name, cancel).await?;
    let checks = new.checks.into_iter();
    let checks = checks
        .map(|(name, expr)| CheckDef {
            oid: txn.next_oid(),
            name,
            expr,
        })
        .collect();
    let table = Arc::new(TableDef {
        oid: txn.next_oid(),
        schema: new.schema,
        name: new.name,
        tree: txn.base.create_tree(),
        layout: Layout::of(&new.columns)?,
        columns: new.columns,
        indexes: Vec::new(),
        checks,
        foreign_keys: Vec::new(),
        unlogged: new.unlogged,
        options: new.options,
        state: Arc::new(TableState::default()),
    });
    let mode = LockMode::AccessExclusive;
    lock_table(txn, table.oid, mode, LockWait::Wait, cancel).await?;
    txn.set_table(table.oid, Some(table.clone()))?;
    Ok(table)
}

/// Waits for whoever is making a relation of that name, then checks that there is none.
async fn claim_name(txn: &mut Txn, schema: &str, name: &str, cancel: &CancelFlag) -> Result<()> {
    let target = LockTarget::name(schema, name);
    txn.lock(target, LockMode::AccessExclusive, cancel).await?;
    let catalog = txn.catalog();
    if catalog.is_relation(schema, name) {
        let message = format!("relation \"{name}\" already exists");
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
    }
    Ok(())
}

pub fn drop_table(txn: &mut Txn, table: &Arc<TableDef>) -> Result<()> {
    for index in &table.indexes {
        txn.base.drop_tree(index.tree);
    }
    txn.base.drop_tree(table.tree);
    txn.set_table(table.oid, None)
}

/// Replaces the definition by one that needs no row moved.
pub fn replace(txn: &mut Txn, table: TableDef) -> Result<Arc<TableDef>> {
    let table = Arc::new(TableDef {
        layout: Layout::of(&table.columns)?,
        ..table
    });
    txn.set_table(table.oid, Some(table.clone()))?;
    Ok(table)
}

/// An OID for a constraint that a caller adds with [`replace`].
pub fn new_oid(txn: &Txn) -> Oid {
    txn.next_oid()
}

/// Makes an index and builds it from the rows; gives the table's new definition.
///
/// # Errors
/// 42P07 when the name is taken, 23505 when a unique index meets a duplicate.
pub async fn create_index(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    new: NewIndex,
    cancel: &CancelFlag,
) -> Result<Arc<TableDef>> {
    for column in &new.columns {
        let ty = table.columns[column.column].ty;
        if !is_indexable(ty) {
            return Err(Error::unsupported(format_args!(
                "an index over {} is",
                ty.sql_name()
            )));
        }
    }
    claim_name(txn, &table.schema, &new.name, cancel).await?;
    let index = IndexDef {
        oid: txn.next_oid(),
        name: new.name,
        tree: txn.base.create_tree(),
        columns: new.columns,
        unique: new.unique,
        deferral: new.deferral,
        primary: new.primary,
        constraint: new.constraint,
    };
    build(txn, table, &index, cancel)?;
    if index.deferral.deferrable
        && let Some(row) = find_shared(txn, table, &index, cancel)?
    {
        return Err(duplicated(&txn.base, table, &index, &row_key(row)));
    }
    let mut table = TableDef::clone(table);
    table.indexes.push(Arc::new(index));
    replace(txn, table)
}

/// An index entry in memory: its key, and the row id as the tree has it.
type IndexEntry = (Key, [u8; 8]);

/// Fills an index that this transaction made from the rows of its table: entries are sorted as
/// many at a time as memory allows, and the sorted runs merged.
fn build(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    index: &IndexDef,
    cancel: &CancelFlag,
) -> Result<()> {
    const ROWS_PER_CANCEL_CHECK: usize = 1000;
    let mut columns: Vec<usize> = index.columns.iter().map(|c| c.column).collect();
    columns.sort_unstable();
    let mut row = vec![Datum::Null; table.columns.len()];
    let mut rows = scan(txn, table)?;
    let mut entries: Vec<IndexEntry> = Vec::new();
    let check = &mut |base: &Transaction, row: &[u8]| match index.unique {
        true => Err(duplicated(base, table, index, row)),
        false => Ok(()),
    };
    let mut bytes_in_memory = 0;
    let mut count = 0;
    while let Some((id, bytes)) = rows.next()? {
        table.layout.decode(bytes, &columns, &mut row)?;
        let key = IndexKey::of(table, index, &row)?.entry(index, id);
        let key_bytes = if key.spilled() { key.len() } else { 0 };
        bytes_in_memory += (size_of::<IndexEntry>() + key_bytes) as u64;
        entries.push((key, id.0.to_be_bytes()));
        if bytes_in_memory >= txn.base.run_bytes() {
            load(txn, table, index, &mut entries)?;
            txn.base.merge_if_many(index.tree, cancel, check)?;
            bytes_in_memory = 0;
        }
        count += 1;
        if count % ROWS_PER_CANCEL_CHECK == 0 {
            cancel.check()?;
        }
    }
    load(txn, table, index, &mut entries)?;
    txn.base.merge_runs(index.tree, cancel, check)
}

/// Adds entries to a new index, in a run of their own if they are many. In a unique one only those
/// with nulls carry their row id, so entries with the same key are duplicates.
fn load(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    entries: &mut Vec<IndexEntry>,
) -> Result<()> {
    entries.sort_unstable_by(|a, b| (head(&a.0), &a.0).cmp(&(head(&b.0), &b.0)));
    let mut pairs = entries.windows(2);
    if let Some(pair) = pairs.find(|pair| index.unique && pair[0].0 == pair[1].0) {
        return Err(duplicated(&txn.base, table, index, &pair[0].1));
    }
    let is_large = (entries.len() * size_of::<IndexEntry>()) as u64 >= txn.base.append_bytes();
    let mut entries = entries.drain(..);
    if is_large {
        return txn.base.load(index.tree, entries);
    }
    entries.try_for_each(|(key, row)| txn.base.put(index.tree, key, row.to_vec()))
}

/// The first bytes of a key as a number, which is in the order of keys and quick to compare.
fn head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = key.len().min(head.len());
    head[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(head)
}

/// The error about a key that two rows have, given the id of one of them.
fn duplicated(base: &Transaction, table: &TableDef, index: &IndexDef, row: &[u8]) -> Error {
    let mut values = vec![Datum::Null; table.columns.len()];
    let columns: Vec<usize> = index.columns.iter().map(|c| c.column).collect();
    let described = base.get(table.tree, row).and_then(|bytes| {
        let bytes = bytes.as_deref().unwrap_or_default();
        let mut columns = columns.iter();
        columns.try_for_each(|column| table.layout.decode(bytes, &[*column], &mut values))
    });
    if let Err(error) = described {
        return error;
    }
    let message = format!("could not create unique index \"{}\"", index.name);
    Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(format!(
            "{} is duplicated.",
            describe_key(table, index, &values)
        ))
        .with_table(&table.schema, &table.name)
        .with_constraint(&index.name)
}

/// Makes a sequence that stands at `at`, and locks it exclusively.
///
/// # Errors
/// 42P07 when the name is taken.
pub async fn create_sequence(
    txn: &mut Txn,
    name: (String, String),
    params: SequenceParams,
    at: Position,
    cancel: &CancelFlag,
) -> Result<Arc<SequenceDef>> {
    let (schema, name) = name;
    claim_name(txn, &schema, &name, cancel).await?;
    let sequence = SequenceDef {
        oid: txn.next_oid(),
        schema,
        name,
        tree: txn.base.create_tree(),
        params,
        owner: None,
        state: SequenceState::new(at),
    };
    let mode = LockMode::AccessExclusive;
    lock_table(txn, sequence.oid, mode, LockWait::Wait, cancel).await?;
    replace_sequence(txn, sequence)
}

/// Replaces the definition by one that goes on in the same tree.
pub fn replace_sequence(txn: &mut Txn, sequence: SequenceDef) -> Result<Arc<SequenceDef>> {
    let sequence = Arc::new(sequence);
    txn.set_sequence(sequence.oid, Some(sequence.clone()))?;
    Ok(sequence)
}

/// Has a sequence go on elsewhere, with other parameters perhaps: a new tree takes the place of the
/// old one.
pub fn restart_sequence(
    txn: &mut Txn,
    sequence: &SequenceDef,
    params: SequenceParams,
    at: Position,
) -> Result<Arc<SequenceDef>> {
    txn.base.drop_tree(sequence.tree);
    let sequence = SequenceDef {
        tree: txn.base.create_tree(),
        params,
        state: SequenceState::new(at),
        ..sequence.clone()
    };
    replace_sequence(txn, sequence)
}

pub fn drop_sequence(txn: &mut Txn, sequence: &SequenceDef) -> Result<()> {
    txn.base.drop_tree(sequence.tree);
    txn.set_sequence(sequence.oid, None)
}

/// Drops one index of a table; gives the table's new definition.
pub fn drop_index(txn: &mut Txn, table: &Arc<TableDef>, index: Oid) -> Result<Arc<TableDef>> {
    let mut table = TableDef::clone(table);
    if let Some(place) = table.indexes.iter().position(|i| i.oid == index) {
        txn.base.drop_tree(table.indexes.remove(place).tree);
    }
    replace(txn, table)
}

/// Empties a table: new trees take the place of the old ones.
pub fn truncate(txn: &mut Txn, table: &Arc<TableDef>) -> Result<Arc<TableDef>> {
    let mut table = TableDef::clone(table);
    txn.base.drop_tree(table.tree);
    table.tree = txn.base.create_tree();
    table.state = Arc::new(TableState::default());
    let indexes = std::mem::take(&mut table.indexes);
    for index in indexes {
        txn.base.drop_tree(index.tree);
        let tree = txn.base.create_tree();
        table.indexes.push(Arc::new(IndexDef {
            tree,
            ..IndexDef::clone(&index)
        }));
    }
    replace(txn, table)
}
