//! Constraints: made with a table, added to one, dropped.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{ConstraintKind, Ident, TableConstraint};
use crate::sql::ddl::{Ddl, names};
use crate::sql::expr::{ExprContext, truth};
use crate::sql::plan::columns_of;
use crate::sql::prepared::{bind_context, checks, eval_context};
use crate::table::ddl::{NewIndex, create_index, new_oid, replace};
use crate::table::{CheckDef, Deferral, IndexColumn, TableDef, row, scan};

pub(super) fn multiple_primary_keys(table: &str) -> Error {
    Error::new(
        SqlState::INVALID_TABLE_DEFINITION,
        format!("multiple primary keys for table \"{table}\" are not allowed"),
    )
}

impl Ddl<'_> {
    /// Adds a constraint that the rows there are must meet; gives the table's new definition.
    pub(super) async fn add_constraint(
        &mut self,
        table: Arc<TableDef>,
        constraint: &TableConstraint,
    ) -> Result<Arc<TableDef>> {
        let name = constraint.name.as_ref().map(|ident| ident.name.as_str());
        // The index of a key is found before the constraint of that name.
        let is_key = matches!(
            constraint.kind,
            ConstraintKind::PrimaryKey(..) | ConstraintKind::Unique(..)
        );
        let catalog = self.txn.catalog();
        if let Some(name) = name
            && names::is_constraint(&table, name)
            && !(is_key && names::is_relation(&catalog, &table.schema, name))
        {
            let message = format!(
                "constraint \"{name}\" for relation \"{}\" already exists",
                table.name
            );
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        match &constraint.kind {
            ConstraintKind::PrimaryKey(columns, deferral) => {
                if table.primary_key().is_some() {
                    return Err(multiple_primary_keys(&table.name));
                }
                self.add_key(table, name, columns, *deferral, true).await
            }
            ConstraintKind::Unique(columns, deferral) => {
                self.add_key(table, name, columns, *deferral, false).await
            }
            ConstraintKind::Check(_, text) => self.add_check(&table, name, text),
            ConstraintKind::ForeignKey(key) => self.add_foreign_key(&table, name, key).await,
        }
    }

    async fn add_key(
        &mut self,
        table: Arc<TableDef>,
        name: Option<&str>,
        columns: &[Ident],
        deferral: Deferral,
        primary: bool,
    ) -> Result<Arc<TableDef>> {
        let what = if primary { "primary key" } else { "unique" };
        let places = key_columns(&table, columns, what)?;
        let catalog = self.txn.catalog();
        let is_taken = |name: &str| names::is_relation(&catalog, &table.schema, name);
        let name = match name {
            Some(name) => name.to_owned(),
            None if primary => names::choose(&table.name, None, "pkey", is_taken),
            None => names::choose(&table.name, Some(&joined(columns)), "key", is_taken),
        };
        let key = |column: &usize| IndexColumn {
            column: *column,
            descending: false,
            nulls_first: false,
        };
        let new = NewIndex {
            name,
            columns: places.iter().map(key).collect(),
            unique: !deferral.deferrable,
            deferral,
            primary,
            constraint: true,
        };
        // Duplicates are reported before NULLs, as in PostgreSQL.
        let table = create_index(self.txn, &table, new, &self.cx.cancel).await?;
        if primary {
            return self.set_not_null(&table, &places);
        }
        Ok(table)
    }

    /// Makes columns NOT NULL after a look at the rows.
    pub(super) fn set_not_null(
        &mut self,
        table: &Arc<TableDef>,
        places: &[usize],
    ) -> Result<Arc<TableDef>> {
        let mut new: Vec<usize> = places.to_vec();
        new.retain(|place| !table.columns[*place].not_null);
        if new.is_empty() {
            return Ok(Arc::clone(table));
        }
        new.sort_unstable();
        let mut values = crate::sql::exec::nulls(table.columns.len());
        let mut rows = scan(self.txn, table)?;
        while let Some((_, bytes)) = rows.next()? {
            row::decode(table, bytes, &new, &mut values)?;
            if let Some(place) = new.iter().find(|place| values[**place].is_null()) {
                return Err(contains_nulls(table, &table.columns[*place].name));
            }
        }
        let mut changed = TableDef::clone(table);
        for place in new {
            changed.columns[place].not_null = true;
        }
        replace(self.txn, changed)
    }

    fn add_check(
        &mut self,
        table: &Arc<TableDef>,
        name: Option<&str>,
        text: &str,
    ) -> Result<Arc<TableDef>> {
        let mut changed = TableDef::clone(table);
        changed.checks.push(CheckDef {
            oid: new_oid(self.txn),
            name: String::new(),
            expr: text.to_owned(),
        });
        let catalog = self.txn.catalog();
        let cx = bind_context(self.cx, &catalog);
        // Only the new one is to be looked at.
        let alone = TableDef {
            checks: changed.checks[table.checks.len()..].to_vec(),
            ..changed.clone()
        };
        let mut bound = checks(&alone, &cx)?;
        let Some(check) = bound.pop() else {
            return Ok(Arc::clone(table));
        };
        let columns = columns_of(&check.condition);
        let about = match columns[..] {
            [column] => Some(table.columns[column].name.as_str()),
            _ => None,
        };
        // A name given is this table's affair; one chosen differs from all others.
        let is_taken = |name: &str| names::is_constraint_in(&catalog, &table.schema, name);
        let name = match name {
            Some(name) => name.to_owned(),
            None => names::choose(&table.name, about, "check", is_taken),
        };
        let mut values = crate::sql::exec::nulls(table.columns.len());
        let mut rows = scan(self.txn, table)?;
        let expr_cx = ExprContext::new(eval_context(&cx));
        while let Some((_, bytes)) = rows.next()? {
            row::decode(table, bytes, &columns, &mut values)?;
            if truth(&check.condition, &values, &expr_cx)? == Some(false) {
                let message = format!(
                    "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                    table.name
                );
                return Err(Error::new(SqlState::CHECK_VIOLATION, message)
                    .with_table(&table.schema, &table.name)
                    .with_constraint(&name));
            }
        }
        if let Some(check) = changed.checks.last_mut() {
            check.name = name;
        }
        replace(self.txn, changed)
    }
}

pub(super) fn contains_nulls(table: &TableDef, column: &str) -> Error {
    let message = format!(
        "column \"{column}\" of relation \"{}\" contains null values",
        table.name
    );
    Error::new(SqlState::NOT_NULL_VIOLATION, message)
        .with_table(&table.schema, &table.name)
        .with_column(column)
}

pub(super) fn joined(columns: &[Ident]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join("_")
}

fn key_columns(table: &TableDef, columns: &[Ident], what: &str) -> Result<Vec<usize>> {
    let mut places = Vec::new();
    for ident in columns {
        let Some(place) = table.column(&ident.name) else {
            let message = format!("column \"{}\" named in key does not exist", ident.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(ident.position));
        };
        if places.contains(&place) {
            let message = format!(
                "column \"{}\" appears twice in {what} constraint",
                ident.name
            );
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(ident.position));
        }
        places.push(place);
    }
    Ok(places)
}

/// Whether any row is there.
pub(super) fn has_rows(ddl: &Ddl<'_>, table: &Arc<TableDef>) -> Result<bool> {
    Ok(scan(ddl.txn, table)?.next()?.is_some())
}
