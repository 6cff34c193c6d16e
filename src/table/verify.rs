//! Checks D1 and the trees below it.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::table::key::IndexKey;
use crate::table::{KeyRange, TableDef, Tables, index_scan, scan, sequence};
use crate::types::Datum;

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
    }
    for sequence in txn.catalog().sequences.values() {
        sequence::verify(sequence, tables.transactions())?;
    }
    Ok(rows)
}

fn verify_table(txn: &crate::table::Txn, table: &Arc<TableDef>) -> Result<u64> {
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
