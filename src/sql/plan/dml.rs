//! Planning of INSERT, UPDATE and DELETE.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::ast::JoinKind;
use crate::sql::foreign_key::ForeignKeys;
use crate::sql::func::EvalContext;
use crate::sql::ir::{Delete, Expr, ExprKind, Field, Insert, Rel, Returning, Update};
use crate::sql::plan::node::{KeyExpr, Node, Plan};
use crate::sql::plan::visit::{columns, conjuncts, renumber, width};
use crate::sql::plan::{Planner, Want};
use crate::table::{IndexDef, TableDef};

/// A CHECK constraint, its condition over the table's row.
pub(crate) struct Check {
    pub name: String,
    pub condition: Expr,
}

pub(crate) struct InsertPlan {
    pub table: Arc<TableDef>,
    /// The source's rows.
    pub plan: Arc<Plan>,
    /// The source or a subquery reads stored tables.
    pub reads_tables: bool,
    /// One per column, over a source row.
    pub values: Vec<Expr>,
    pub checks: Vec<Check>,
    pub foreign_keys: ForeignKeys,
    pub returning: Option<ReturningPlan>,
}

pub(crate) struct ReturningPlan {
    pub exprs: Vec<Expr>,
    pub fields: Vec<Field>,
}

/// An UPDATE or (without `assignments`) a DELETE.
pub(crate) struct ChangePlan {
    pub table: Arc<TableDef>,
    pub target: Target,
    /// With [`Target::Scan`] its rows: the target's columns, row id and bytes, then FROM's.
    pub plan: Arc<Plan>,
    /// Over target row ++ FROM row, as everything below.
    pub filter: Option<Expr>,
    pub assignments: Option<Vec<(usize, Expr)>>,
    /// The columns of unique indexes that are given something else than their own value.
    pub unique_columns: Vec<usize>,
    pub checks: Vec<Check>,
    pub foreign_keys: ForeignKeys,
    pub returning: Option<ReturningPlan>,
}

/// How the rows to change are found.
pub(crate) enum Target {
    /// By a whole unique key, in the newest state.
    Unique {
        index: Arc<IndexDef>,
        key: Vec<Expr>,
    },
    /// At the snapshot.
    Scan,
}

pub(crate) fn plan_insert(
    insert: Insert,
    checks: Vec<Check>,
    cx: EvalContext<'_>,
) -> Result<InsertPlan> {
    let mut planner = Planner::new(cx);
    let mut values = insert.values;
    let source_width = width(&insert.source);
    let want = Want::columns(vec![false; source_width]).and_of(&values);
    planner.finish_all(&mut values)?;
    let returning = planner.returning(insert.returning)?;
    let planned = planner.rel(insert.source, Vec::new(), &want)?;
    let mut plan = planner.take_plan(planned.node, source_width);
    let reads_tables = !plan.tables.is_empty();
    plan.add_table(&insert.table);
    Ok(InsertPlan {
        foreign_keys: ForeignKeys::of_insert(&insert.table),
        table: insert.table,
        reads_tables,
        plan: Arc::new(plan),
        values,
        checks,
        returning,
    })
}

pub(crate) fn plan_update(
    update: Update,
    checks: Vec<Check>,
    cx: EvalContext<'_>,
) -> Result<ChangePlan> {
    let catalog = cx.catalog;
    let mut planner = Planner::new(cx);
    let mut assignments = update.assignments;
    let in_unique = |place: usize| {
        let mut unique = update.table.indexes.iter().filter(|index| index.unique);
        unique.any(|index| index.columns.iter().any(|key| key.column == place))
    };
    let is_itself = |column: usize, value: &Expr| match value.kind {
        ExprKind::Column(same) => same == column,
        _ => false,
    };
    let changed = assignments
        .iter()
        .filter(|(column, value)| !is_itself(*column, value));
    let places = changed.map(|(column, _)| *column);
    let unique_columns = places.filter(|place| in_unique(*place)).collect();
    let used: Vec<&Expr> = assignments.iter().map(|(_, value)| value).collect();
    let from_used = used_of_from(&update.table, used, update.returning.as_ref());
    for (_, value) in &mut assignments {
        planner.finish(value)?;
    }
    let assigned = |place: usize| assignments.iter().any(|(column, _)| *column == place);
    let foreign_keys = ForeignKeys::of_update(catalog, &update.table, assigned);
    planner.change(Change {
        foreign_keys,
        table: update.table,
        from: update.from,
        from_used,
        filter: update.filter,
        assignments: Some(assignments),
        unique_columns,
        checks,
        returning: update.returning,
    })
}

pub(crate) fn plan_delete(delete: Delete, cx: EvalContext<'_>) -> Result<ChangePlan> {
    let from_used = used_of_from(&delete.table, Vec::new(), delete.returning.as_ref());
    let foreign_keys = ForeignKeys::of_delete(cx.catalog, &delete.table);
    Planner::new(cx).change(Change {
        foreign_keys,
        table: delete.table,
        from: delete.using,
        from_used,
        filter: delete.filter,
        assignments: None,
        unique_columns: Vec::new(),
        checks: Vec::new(),
        returning: delete.returning,
    })
}

struct Change {
    table: Arc<TableDef>,
    from: Option<Rel>,
    /// Columns of the FROM row that assignments and RETURNING read.
    from_used: Vec<usize>,
    filter: Option<Expr>,
    assignments: Option<Vec<(usize, Expr)>>,
    unique_columns: Vec<usize>,
    checks: Vec<Check>,
    foreign_keys: ForeignKeys,
    returning: Option<Returning>,
}

fn used_of_from<'e>(
    table: &TableDef,
    mut exprs: Vec<&'e Expr>,
    returning: Option<&'e Returning>,
) -> Vec<usize> {
    if let Some(returning) = returning {
        exprs.extend(&returning.exprs);
    }
    let mut used = Vec::new();
    for expr in exprs {
        columns(expr, |column| {
            if column >= table.columns.len() {
                used.push(column - table.columns.len());
            }
        });
    }
    used
}

impl Planner<'_> {
    fn returning(&mut self, returning: Option<Returning>) -> Result<Option<ReturningPlan>> {
        let Some(mut returning) = returning else {
            return Ok(None);
        };
        self.finish_all(&mut returning.exprs)?;
        Ok(Some(ReturningPlan {
            exprs: returning.exprs,
            fields: returning.fields,
        }))
    }

    fn change(mut self, change: Change) -> Result<ChangePlan> {
        let table = change.table;
        let mut conditions = Vec::new();
        if let Some(filter) = &change.filter {
            conjuncts(filter.clone(), &mut conditions);
        }
        conditions
            .iter_mut()
            .for_each(|condition| self.fold(condition));
        let returning = self.returning(change.returning)?;
        let filter = self.finish_condition(conditions.clone())?;
        let unique = match change.from {
            None if self.subplans.is_empty() => self.whole_key(&table, &conditions)?,
            _ => None,
        };
        let (target, plan) = match unique {
            Some(target) => (target, self.take_plan(Node::Unit, 0)),
            None => {
                let plan = self.scan_targets(&table, change.from, conditions, &change.from_used)?;
                (Target::Scan, plan)
            }
        };
        let mut plan = plan;
        plan.add_table(&table);
        Ok(ChangePlan {
            table,
            target,
            plan: Arc::new(plan),
            filter,
            assignments: change.assignments,
            unique_columns: change.unique_columns,
            checks: change.checks,
            foreign_keys: change.foreign_keys,
            returning,
        })
    }

    fn whole_key(&mut self, table: &TableDef, conditions: &[Expr]) -> Result<Option<Target>> {
        let Some(choice) = self.choose(table, conditions, &[], false) else {
            return Ok(None);
        };
        let one = |key: &KeyExpr| matches!(key, KeyExpr::One(_));
        if !choice.access.unique || !choice.access.equal.iter().all(one) {
            return Ok(None);
        }
        let access = self.finish_access(choice.access)?;
        let key = access.equal.into_iter().filter_map(|key| match key {
            KeyExpr::One(expr) => Some(expr),
            _ => None,
        });
        Ok(Some(Target::Unique {
            key: key.collect(),
            index: access.index,
        }))
    }

    /// The plan that finds target rows at the snapshot.
    fn scan_targets(
        &mut self,
        table: &Arc<TableDef>,
        from: Option<Rel>,
        mut conditions: Vec<Expr>,
        from_used: &[usize],
    ) -> Result<Plan> {
        let columns = table.columns.len();
        let mut rel = Rel::TableRows {
            table: Arc::clone(table),
        };
        let total = columns + 2 + from.as_ref().map_or(0, width);
        if let Some(from) = from {
            for condition in &mut conditions {
                renumber(condition, |c| if c < columns { c } else { c + 2 });
            }
            rel = Rel::Join {
                kind: JoinKind::Cross,
                left: Box::new(rel),
                right: Box::new(from),
                condition: None,
                lateral: false,
            };
        }
        // The target is decoded from its bytes when it is changed.
        let mut needed = vec![false; total];
        needed[columns] = true;
        needed[columns + 1] = true;
        for column in from_used {
            needed[columns + 2 + column] = true;
        }
        // What the filter reads of FROM is wanted again when it is re-evaluated.
        for condition in &conditions {
            super::visit::columns(condition, |c| needed[c] |= c >= columns + 2);
        }
        let want = Want::columns(needed);
        let planned = if conditions.iter().any(super::is_never) {
            let nothing = Rel::Values {
                rows: Vec::new(),
                width: total,
            };
            self.rel(nothing, Vec::new(), &want)?
        } else {
            self.rel(rel, conditions, &want)?
        };
        Ok(self.take_plan(planned.node, total))
    }
}

impl Plan {
    /// Counts a table that is written among those used.
    fn add_table(&mut self, table: &Arc<TableDef>) {
        if let Err(place) = self.tables.binary_search_by_key(&table.oid, |t| t.oid) {
            self.tables.insert(place, Arc::clone(table));
        }
    }
}
