//! Planning of stored tables.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::ir::Expr;
use crate::sql::plan::access::{Choice, Sight, TABLE_ROWS, choose};
use crate::sql::plan::node::{IndexScan, KeyExpr, Node, Rows, SeqScan};
use crate::sql::plan::visit::{Ref, columns, refs};
use crate::sql::plan::{OrderColumn, Planned, Planner, Want};
use crate::table::TableDef;

impl Planner<'_> {
    /// A scan of the table's rows that meet `filters`.
    pub(super) fn table(
        &mut self,
        table: Arc<TableDef>,
        source: Option<usize>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let choice = self.choose(&table, &filters, &want.order, want.limited);
        let used = choice.as_ref().map_or(&[][..], |choice| &choice.used);
        let rows = self.rows(table, source, filters, used, &want.needed)?;
        let Some(choice) = choice else {
            self.heavy = true;
            return Ok(Planned {
                rows: if rows.filter.is_some() {
                    TABLE_ROWS * 0.3
                } else {
                    TABLE_ROWS
                },
                node: Node::SeqScan(Arc::new(SeqScan { rows })),
                ordered: false,
            });
        };
        // Under a LIMIT it gives about as many rows as it reads.
        let in_order = want.order.is_empty() || choice.ordered;
        let is_short = want.limited && in_order && rows.filter.is_none();
        if !choice.whole_key && !is_short {
            self.heavy = true;
        }
        let access = self.finish_access(choice.access)?;
        Ok(Planned {
            node: Node::IndexScan(Arc::new(IndexScan {
                rows,
                access,
                backward: choice.backward,
            })),
            rows: choice.rows,
            ordered: choice.ordered,
        })
    }

    pub(super) fn choose(
        &self,
        table: &TableDef,
        conditions: &[Expr],
        order: &[OrderColumn],
        limited: bool,
    ) -> Option<Choice> {
        let sight = Sight {
            own: &Some,
            known: &|expr| {
                let mut known = true;
                refs(expr, &mut |r| known &= !matches!(r, Ref::Own(_)));
                known
            },
        };
        choose(table, conditions, &sight, order, limited)
    }

    /// How the rows of a table are read: the conditions in `used` are met by the way there.
    pub(super) fn rows(
        &mut self,
        table: Arc<TableDef>,
        source: Option<usize>,
        conditions: Vec<Expr>,
        used: &[usize],
        needed: &[bool],
    ) -> Result<Rows> {
        self.tables.insert(table.oid, Arc::clone(&table));
        let width = table.columns.len();
        let recheck = if source.is_some() {
            self.finish_condition(conditions.clone())?
        } else {
            None
        };
        let mut residual = Vec::new();
        for (place, condition) in conditions.into_iter().enumerate() {
            if !used.contains(&place) {
                residual.push(condition);
            }
        }
        let mut in_filter = vec![false; width + 2];
        for condition in &residual {
            columns(condition, |column| in_filter[column] = true);
        }
        let live = |column: &usize| !table.columns[*column].dropped;
        let first: Vec<usize> = (0..width).filter(live).filter(|c| in_filter[*c]).collect();
        let rest = (0..width)
            .filter(live)
            .filter(|column| needed[*column] && !in_filter[*column])
            .collect();
        let filter = self.finish_condition(residual)?;
        Ok(Rows {
            table,
            first,
            rest,
            filter,
            recheck,
            source,
        })
    }

    pub(super) fn finish_access(
        &mut self,
        mut access: super::node::Access,
    ) -> Result<super::node::Access> {
        for key in &mut access.equal {
            match key {
                KeyExpr::One(expr) | KeyExpr::Array(expr) => self.finish(expr)?,
                KeyExpr::List(list) => self.finish_all(list)?,
            }
        }
        for (bound, _) in access.lower.iter_mut().chain(&mut access.upper) {
            self.finish(bound)?;
        }
        Ok(access)
    }
}
