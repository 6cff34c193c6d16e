//! COPY between a table or query and the client, in PostgreSQL's text and csv formats
//! (PostgreSQL's documentation, COPY, "File Formats").
//!
//! - [`CopyIn`] takes bytes as they come, cut anywhere, and stores the rows.
//! - [`CopyOut`] gives one line at a time.

mod from;
mod lines;
mod options;
mod to;
mod values;

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Copy, CopySource, Ident, Name};
use crate::sql::bind::{resolve_sequence, resolve_table};
use crate::sql::context::StatementContext;
use crate::sql::ir::BindContext;
use crate::sql::prepared::Outcome;
use crate::table::{TableDef, Txn};

pub use from::CopyIn;
pub use to::CopyOut;

use options::Options;

/// Starts a COPY.
pub(super) async fn start(
    statement: &Copy,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Outcome> {
    let options = Options::new(statement)?;
    if statement.from_stdin {
        let CopySource::Table { name, columns } = &statement.source else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "COPY FROM needs a table",
            ));
        };
        let copy = CopyIn::start(name, columns, options, statement, txn, cx).await?;
        return Ok(Outcome::CopyIn(copy));
    }
    let copy = CopyOut::start(statement, options, txn, cx).await?;
    Ok(Outcome::CopyOut(copy))
}

/// The table of that name; `way` says how it is copied, for the error about a sequence.
fn table_to_copy<'a>(name: &Name, way: &str, cx: &BindContext<'a>) -> Result<&'a Arc<TableDef>> {
    if let Ok(sequence) = resolve_sequence(name, cx) {
        let message = format!("cannot copy {way} sequence \"{}\"", sequence.name);
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    resolve_table(name, cx)
}

/// The places of the columns copied: those listed, or all.
fn column_list(table: &TableDef, columns: &[Ident]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        let live = |place: &usize| !table.columns[*place].dropped;
        return Ok((0..table.columns.len()).filter(live).collect());
    }
    let mut places = Vec::new();
    for ident in columns {
        let Some(place) = table.column(&ident.name) else {
            let message = format!(
                "column \"{}\" of relation \"{}\" does not exist",
                ident.name, table.name
            );
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        if places.contains(&place) {
            let message = format!("column \"{}\" specified more than once", ident.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        places.push(place);
    }
    Ok(places)
}

/// Which of the copied columns an option such as FORCE_NULL names.
fn named_columns(option: &str, names: &[Ident], copied: &[String]) -> Result<Vec<bool>> {
    let mut named = vec![false; copied.len()];
    for ident in names {
        let Some(place) = copied.iter().position(|name| *name == ident.name) else {
            let message = format!("{option} column \"{}\" not referenced by COPY", ident.name);
            return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
        };
        named[place] = true;
    }
    Ok(named)
}
