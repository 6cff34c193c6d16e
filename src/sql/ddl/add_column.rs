//! ALTER TABLE … ADD COLUMN.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{ColumnDef, ConstraintKind};
use crate::sql::bind::bind_default;
use crate::sql::ddl::Ddl;
use crate::sql::ddl::alter::already_there;
use crate::sql::ddl::constraint::{contains_nulls, has_rows, multiple_primary_keys};
use crate::sql::expr::{ExprContext, eval, to_text};
use crate::sql::ir::Expr;
use crate::sql::parse::parse_expr;
use crate::sql::plan::{plan_expr, uses_volatile};
use crate::sql::prepared::{bind_context, eval_context};
use crate::table::ddl::replace;
use crate::table::{self, TableDef, scan, update};
use crate::types::{Datum, Format};

impl Ddl<'_> {
    pub(super) async fn add_column(
        &mut self,
        table: Arc<TableDef>,
        column: &ColumnDef,
        if_not_exists: bool,
    ) -> Result<Arc<TableDef>> {
        let name = &column.name.name;
        if table.column(name).is_some() {
            let message = already_there(&table, name);
            if if_not_exists {
                self.notice(SqlState::DUPLICATE_COLUMN, format!("{message}, skipping"));
                return Ok(table);
            }
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if table.columns.len() == table::row::COLUMNS_MAX {
            return Err(Error::new(
                SqlState::TOO_MANY_COLUMNS,
                "tables can have at most 1600 columns",
            ));
        }
        let is_key = |kind: &ConstraintKind| matches!(kind, ConstraintKind::PrimaryKey(..));
        let has_key = column.constraints.iter().any(|c| is_key(&c.kind));
        if has_key && table.primary_key().is_some() {
            return Err(multiple_primary_keys(&table.name));
        }
        let (mut def, wanted) = self.column(column, &table.name)?;
        let mut sequence = None;
        if let Some(wanted) = wanted {
            let of = (table.schema.as_str(), table.name.as_str());
            sequence = Some(self.make_wanted(wanted, of, &mut def).await?);
        }
        let required = def.not_null || has_key;
        let default = self.default_of(&def)?;
        let is_volatile = default.as_ref().is_some_and(uses_volatile);
        if let Some(default) = default.filter(|_| !is_volatile) {
            def.missing = self.missing_value(&def, default)?;
        }
        if required && def.missing.is_none() && !is_volatile && has_rows(self, &table)? {
            return Err(contains_nulls(&table, name));
        }
        def.not_null = required;
        let mut changed = TableDef::clone(&table);
        changed.columns.push(def);
        let mut table = replace(self.txn, changed)?;
        if let Some(sequence) = sequence {
            self.give_to(&sequence, &table, table.columns.len() - 1)?;
        }
        if is_volatile {
            self.fill(&table).await?;
        }
        for constraint in &column.constraints {
            table = self.add_constraint(table, constraint).await?;
        }
        Ok(table)
    }

    /// What a row has in a column that is given no value.
    fn default_of(&self, column: &table::ColumnDef) -> Result<Option<Expr>> {
        let Some(text) = column.default_sql() else {
            return Ok(None);
        };
        let catalog = self.txn.catalog();
        let (name, ty, typmod) = (&column.name, column.ty, column.typmod);
        let cx = bind_context(self.cx, &catalog);
        bind_default(&parse_expr(&text)?, name, ty, typmod, &cx).map(Some)
    }

    /// Gives each row that is there already a value of its own in the last column, which is new.
    async fn fill(&mut self, table: &Arc<TableDef>) -> Result<()> {
        let place = table.columns.len() - 1;
        let Some(default) = self.default_of(&table.columns[place])? else {
            return Ok(());
        };
        let catalog = self.txn.catalog();
        let cx = bind_context(self.cx, &catalog);
        let expr = plan_expr(default, eval_context(&cx))?;
        let mut row = vec![Datum::Null; place + 1];
        let old: Vec<usize> = (0..place).filter(|p| !table.columns[*p].dropped).collect();
        let mut rows = scan(self.txn, table)?;
        while let Some((id, bytes)) = rows.next()? {
            table.layout.decode(bytes, &old, &mut row)?;
            row[place] = eval(&expr, &[], &ExprContext::new(eval_context(&cx)))?.into_owned();
            update(self.txn, table, id, bytes, &row, &self.cx.cancel).await?;
            self.cx.cancel.check()?;
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    /// What rows that are there already have in a new column: the default, computed once.
    fn missing_value(&self, column: &table::ColumnDef, default: Expr) -> Result<Option<String>> {
        let catalog = self.txn.catalog();
        let cx = bind_context(self.cx, &catalog);
        let expr = plan_expr(default, eval_context(&cx))?;
        let value = eval(&expr, &[], &ExprContext::new(eval_context(&cx)))?;
        // The catalog keeps values in the form of the default settings.
        let format = Format::default();
        Ok((!value.is_null()).then(|| to_text(&value, column.ty, &format)))
    }
}
