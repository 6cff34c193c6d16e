//! Checks D1, D2, the foreign keys, and the trees below.

use std::sync::Arc;

use crate::base::{CancelFlag, Error, Result, SqlState};
use crate::table::key::IndexKey;
use crate::table::recheck::find_shared;
use crate::table::{
    ForeignKeyDef, KeyRange, TableDef, Tables, Txn, as_key_type, get_unique, index_scan, scan,
    sequence,
};
use crate::types::{Datum, Type};

/// Checks every tree and every index against its table; gives the number of rows checked.
///
/// # Errors
/// XX001 naming the first thing that is wrong.
pub async fn verify(tables: &Arc<Tables>) -> Result<u64> {
    tables.transactions().verify()?;
    let mut txn = tables.begin();
    txn.begin_statement().await?;
    let mut rows = 0;
    for table in txn.catalog().tables.values() {
        rows += verify_table(&txn, table)?;
        for key in table.foreign_keys.iter().filter(|key| key.validated) {
            verify_foreign_key(&txn, table, key)?;
        }
    }
    for sequence in txn.catalog().sequences.values() {
        sequence::verify(sequence, tables.transactions())?;
    }
    Ok(rows)
}

fn verify_table(txn: &Txn, table: &Arc<TableDef>) -> Result<u64> {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let mut row = vec![Datum::Null; all.len()];
    let mut rows = 0;
    let mut scan = scan(txn, table)?;
    while let Some((id, bytes)) = scan.next()? {
        table.layout.decode(bytes, &all, &mut row)?;
        for index in &table.indexes {
            let key = IndexKey::of(table, index, &row)?.entry(index, id);
            let entry = txn.base.get(index.tree, &key)?;
            if entry.as_deref() != Some(&id.0.to_be_bytes()[..]) {
                let what = format!(
                    "row {} of \"{}\" is not in \"{}\"",
                    id.0, table.name, index.name
                );
                return Err(Error::new(SqlState::DATA_CORRUPTED, what));
            }
        }
        rows += 1;
    }
    for index in &table.indexes {
        if index.deferral.deferrable
            && let Some(row) = find_shared(txn, table, index, &CancelFlag::default())?
        {
            let what = format!(
                "row {} of \"{}\" shares its key in \"{}\" with another",
                row.0, table.name, index.name
            );
            return Err(Error::new(SqlState::DATA_CORRUPTED, what));
        }
        let mut entries = 0;
        let mut scan = index_scan(txn, table, index, KeyRange::all(), false)?;
        while scan.next()?.is_some() {
            entries += 1;
        }
        if entries != rows {
            let what = format!("\"{}\" has {entries} entries for {rows} rows", index.name);
            return Err(Error::new(SqlState::DATA_CORRUPTED, what));
        }
    }
    Ok(rows)
}

/// Checks that what every row refers to is there. A key whose values must be cast to be compared
/// is left out: casts are SQL's.
fn verify_foreign_key(txn: &Txn, table: &Arc<TableDef>, key: &ForeignKeyDef) -> Result<()> {
    let damaged = |what: String| Err(Error::new(SqlState::DATA_CORRUPTED, what));
    let referenced = txn.catalog().tables.get(&key.table).cloned();
    let index = referenced.as_ref().and_then(|referenced| {
        let mut indexes = referenced.indexes.iter();
        indexes.find(|index| index.oid == key.index).cloned()
    });
    let (Some(referenced), Some(index)) = (referenced, index) else {
        return damaged(format!("foreign key \"{}\" leads to nothing", key.name));
    };
    // For each column of the index, the column that refers to it.
    let own = index.columns.iter().filter_map(|column| {
        let place = key.references.iter().position(|c| *c == column.column)?;
        Some((key.columns[place], referenced.columns[column.column].ty))
    });
    let own: Vec<(usize, Type)> = own.collect();
    if own
        .iter()
        .any(|(column, ty)| !is_alike(table.columns[*column].ty, *ty))
    {
        return Ok(());
    }
    let mut row = vec![Datum::Null; table.columns.len()];
    let mut scan = scan(txn, table)?;
    while let Some((id, bytes)) = scan.next()? {
        let mut columns = key.columns.iter();
        columns.try_for_each(|column| table.layout.decode(bytes, &[*column], &mut row))?;
        if key.columns.iter().any(|column| row[*column].is_null()) {
            continue;
        }
        let values = own
            .iter()
            .map(|(column, ty)| as_key_type(&row[*column], *ty));
        let found = match values.collect::<Option<Vec<_>>>() {
            Some(values) => get_unique(txn, &referenced, &index, &values)?,
            None => None,
        };
        if found.is_none() {
            return damaged(format!(
                "row {} of \"{}\" violates foreign key \"{}\"",
                id.0, table.name, key.name
            ));
        }
    }
    Ok(())
}

/// Whether values of two types have the same form in an index.
fn is_alike(own: Type, other: Type) -> bool {
    let is_integer = |ty| matches!(ty, Type::Int2 | Type::Int4 | Type::Int8);
    let is_float = |ty| matches!(ty, Type::Float4 | Type::Float8);
    own == other || is_integer(own) && is_integer(other) || is_float(own) && is_float(other)
}
