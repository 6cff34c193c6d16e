//! Definitions: CREATE, ALTER, DROP and TRUNCATE, and the maintenance statements that have
//! nothing to do here.
//!
//! G1: a table is locked in PostgreSQL's mode before its definition or its rows as a whole change,
//!     and its definition is looked up again under the lock.
//! G2: the snapshot that rows are checked at is taken under the lock, so that it shows all there is.

mod add_column;
mod alter;
mod constraint;
mod create;
mod drop;
mod foreign_key;
mod identity;
mod index;
mod lock_table;
mod names;
mod sequence;
mod sequence_params;

pub(super) use sequence::identity_table;

use std::sync::Arc;

use crate::base::error::Severity;
use crate::base::{Error, Oid, Report, Result, SqlState};
use crate::sql::ast::{Ident, Name, Statement};
use crate::sql::bind::resolve_table;
use crate::sql::context::StatementContext;
use crate::sql::prepared::{Outcome, bind_context};
use crate::table::{TableDef, Txn, lock_definition, lock_table};
use crate::txn::{LockMode, LockWait};

/// One definition statement at work.
struct Ddl<'a> {
    txn: &'a mut Txn,
    cx: &'a StatementContext,
    notices: Vec<Report>,
}

/// Runs a definition or maintenance statement.
pub(super) async fn execute(
    statement: &Statement,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Outcome> {
    let mut ddl = Ddl {
        txn,
        cx,
        notices: Vec::new(),
    };
    let tag = match statement {
        Statement::CreateTable(create) => ddl.create_table(create).await?,
        Statement::CreateTableAs {
            name,
            if_not_exists,
            columns,
            query,
            with_data,
        } => {
            let target = create::Target {
                name,
                if_not_exists: *if_not_exists,
                columns,
            };
            ddl.create_table_as(target, query, *with_data).await?
        }
        Statement::CreateIndex(create) => ddl.create_index(create).await?,
        Statement::CreateSequence(create) => ddl.create_sequence(create).await?,
        Statement::AlterSequence(alter) => ddl.alter_sequence(alter).await?,
        Statement::AlterTable(alter) => ddl.alter_table(alter).await?,
        Statement::Drop {
            kind,
            names,
            if_exists,
            cascade,
        } => ddl.drop(*kind, names, *if_exists, *cascade).await?,
        Statement::Truncate {
            tables,
            restart_identity,
            cascade,
        } => ddl.truncate(tables, *restart_identity, *cascade).await?,
        Statement::LockTable {
            tables,
            mode,
            nowait,
        } => ddl.lock_tables(tables, *mode, *nowait).await?,
        Statement::SetConstraints { names, deferred } => {
            ddl.set_constraints(names, *deferred).await?
        }
        Statement::Vacuum { analyze, tables } => {
            if !analyze && tables.iter().any(|(_, columns)| !columns.is_empty()) {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "ANALYZE option must be specified when a column list is provided",
                ));
            }
            ddl.maintain(tables, "VACUUM")?
        }
        Statement::Analyze { tables } => ddl.maintain(tables, "ANALYZE")?,
        _ => return Err(Error::unsupported("this statement is")),
    };
    Ok(Outcome::Done {
        tag,
        notices: ddl.notices,
    })
}

impl Ddl<'_> {
    fn notice(&mut self, code: SqlState, message: String) {
        self.notices
            .push(Report::new(Severity::Notice, code, message));
    }

    /// The table of that name, which must exist.
    fn resolve(&self, name: &Name) -> Result<Arc<TableDef>> {
        let catalog = self.txn.catalog();
        resolve_table(name, &bind_context(self.cx, &catalog)).cloned()
    }

    /// The table of that name, locked for itself alone (G1), with a snapshot taken after (G2).
    async fn lock(&mut self, name: &Name) -> Result<Arc<TableDef>> {
        self.lock_in(LockMode::AccessExclusive, name).await
    }

    /// The same in a mode that excludes writers; readers may go on.
    async fn lock_in(&mut self, mode: LockMode, name: &Name) -> Result<Arc<TableDef>> {
        loop {
            let table = self.resolve(name)?;
            if mode != LockMode::AccessExclusive {
                // First: who waits for it holds nothing of the table that others could wait for.
                lock_definition(self.txn, table.oid, &self.cx.cancel).await?;
            }
            self.lock_oid(table.oid, mode).await?;
            let now = self.resolve(name)?;
            if now.oid == table.oid {
                self.txn.begin_definition().await?;
                return Ok(now);
            }
        }
    }

    async fn lock_oid(&mut self, table: Oid, mode: LockMode) -> Result<()> {
        lock_table(self.txn, table, mode, LockWait::Wait, &self.cx.cancel).await
    }

    /// Nothing needs doing, but the tables and columns must exist.
    fn maintain(&mut self, tables: &[(Name, Vec<Ident>)], tag: &str) -> Result<String> {
        for (name, columns) in tables {
            if let Some(sequence) = self.find_sequence(name) {
                let (what, name) = (tag.to_lowercase(), &sequence.name);
                let message = format!(
                    "skipping \"{name}\" --- cannot {what} non-tables or special system tables"
                );
                let report = Report::new(Severity::Warning, SqlState::WARNING, message);
                self.notices.push(report);
                continue;
            }
            let table = self.resolve(name)?;
            let unknown = |column: &&Ident| table.column(&column.name).is_none();
            if let Some(column) = columns.iter().find(unknown) {
                let message = format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    column.name, table.name
                );
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            }
        }
        Ok(tag.to_owned())
    }
}
