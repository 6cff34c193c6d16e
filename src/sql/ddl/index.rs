//! CREATE INDEX.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{CreateIndex, ExprKind};
use crate::sql::ddl::{Ddl, names};
use crate::table::ddl::{NewIndex, create_index};
use crate::table::{Deferral, IndexColumn, TableDef};
use crate::txn::LockMode;

/// PostgreSQL's INDEX_MAX_KEYS.
const KEY_COLUMNS_MAX: usize = 32;

impl Ddl<'_> {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> Result<String> {
        let tag = "CREATE INDEX".to_owned();
        match create.method.as_deref() {
            None | Some("btree") => {}
            Some(method @ ("hash" | "gist" | "gin" | "spgist" | "brin")) => {
                return Err(Error::unsupported(format!("access method \"{method}\" is")));
            }
            Some(method) => {
                let message = format!("access method \"{method}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
        }
        if create.filter.is_some() {
            return Err(Error::unsupported("partial indexes are"));
        }
        if !create.include.is_empty() {
            return Err(Error::unsupported("indexes with INCLUDE are"));
        }
        if let Some(sequence) = self.find_sequence(&create.table) {
            let message = format!("cannot create index on relation \"{}\"", sequence.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_detail("This operation is not supported for sequences."));
        }
        let table = self.lock_in(LockMode::Share, &create.table).await?;
        self.refuse_deferred(&table, "CREATE INDEX")?;
        let catalog = self.txn.catalog();
        let columns = index_columns(create, &table)?;
        let is_taken = |name: &str| names::is_relation(&catalog, &table.schema, name);
        let name = match &create.name {
            Some(ident) => ident.name.clone(),
            None => {
                let parts = columns
                    .iter()
                    .map(|c| table.columns[c.column].name.as_str());
                let parts = parts.collect::<Vec<_>>().join("_");
                names::choose(&table.name, Some(&parts), "idx", is_taken)
            }
        };
        if is_taken(&name) && create.if_not_exists {
            let message = format!("relation \"{name}\" already exists, skipping");
            self.notice(SqlState::DUPLICATE_TABLE, message);
            return Ok(tag);
        }
        let new = NewIndex {
            name,
            columns,
            unique: create.unique,
            deferral: Deferral::default(),
            primary: false,
            constraint: false,
        };
        create_index(self.txn, &table, new, &self.cx.cancel).await?;
        Ok(tag)
    }
}

fn index_columns(create: &CreateIndex, table: &TableDef) -> Result<Vec<IndexColumn>> {
    if create.columns.len() > KEY_COLUMNS_MAX {
        let message = format!("cannot use more than {KEY_COLUMNS_MAX} columns in an index");
        return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    let column = |column: &crate::sql::ast::IndexColumn| {
        let ExprKind::Column(name) = &column.expr.kind else {
            return Err(Error::unsupported("index expressions are"));
        };
        let [ident] = name.parts.as_slice() else {
            return Err(Error::unsupported("index expressions are"));
        };
        let Some(place) = table.column(&ident.name) else {
            let message = format!("column \"{}\" does not exist", ident.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
        };
        let descending = column.descending.unwrap_or(false);
        Ok(IndexColumn {
            column: place,
            descending,
            nulls_first: column.nulls_first.unwrap_or(descending),
        })
    };
    create.columns.iter().map(column).collect()
}
