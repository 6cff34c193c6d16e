//! Planning of INSERT, UPDATE and DELETE.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::ast::JoinKind;
use crate::sql::foreign_key::ForeignKeys;
use crate::sql::func::EvalContext;
use crate::sql::ir::{
    Conflict, ConflictUpdate, Delete, Expr, ExprKind, Field, Insert, Rel, Returning, Update,
};
use crate::sql::plan::node::{KeyExpr, Node, Plan};
use crate::sql::plan::visit::{columns, conjuncts, renumber, width};
use crate::sql::plan::{Planner, Want};
use crate::table::{Catalog, IndexDef, TableDef};

/// A CHECK constraint, its condition over the table's row.
#[derive(Clone)]
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
    pub conflict: Option<ConflictPlan>,
    pub checks: Vec<Check>,
    pub foreign_keys: ForeignKeys,
    pub returning: Option<ReturningPlan>,
}

/// ON CONFLICT.
pub(crate) struct ConflictPlan {
    /// Places of unique indexes in the table, ascending.
    pub arbiters: Vec<usize>,
    /// They are not simply all.
    pub is_targeted: bool,
    /// DO UPDATE; the proposed row is its FROM row.
    pub update: Option<RowChange>,
}

#[derive(Clone)]
pub(crate) struct ReturningPlan {
    pub exprs: Vec<Expr>,
    pub fields: Vec<Field>,
}

/// An UPDATE or a DELETE.
pub(crate) struct ChangePlan {
    pub target: Target,
    /// With [`Target::Scan`] its rows: the target's columns, row id and bytes, then FROM's.
    pub plan: Arc<Plan>,
    pub change: RowChange,
}

/// What happens to a row that is found: an update or (without `assignments`) its deletion.
pub(crate) struct RowChange {
    pub table: Arc<TableDef>,
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
    let catalog = cx.catalog;
    let mut planner = Planner::new(cx);
    let mut values = insert.values;
    let source_width = width(&insert.source);
    let want = Want::columns(vec![false; source_width]).and_of(&values);
    planner.finish_all(&mut values)?;
    let mut conflict = insert.conflict;
    if let Some(Conflict {
        update: Some(update),
        ..
    }) = &mut conflict
    {
        planner.finish_update(update)?;
    }
    let returning = planner.returning(insert.returning)?;
    let planned = planner.rel(insert.source, Vec::new(), &want)?;
    let mut plan = planner.take_plan(planned.node, source_width);
    let reads_tables = !plan.tables.is_empty() || plan.exports;
    plan.add_table(&insert.table);
    let mut insert = InsertPlan {
        foreign_keys: ForeignKeys::of_insert(&insert.table),
        table: insert.table,
        reads_tables,
        plan: Arc::new(plan),
        values,
        conflict: None,
        checks,
        returning,
    };
    insert.conflict = conflict.map(|conflict| insert.on_conflict(conflict, catalog));
    Ok(insert)
}

impl InsertPlan {
    fn on_conflict(&self, conflict: Conflict, catalog: &Catalog) -> ConflictPlan {
        let indexes = self.table.indexes.iter().enumerate();
        let all = || {
            indexes
                .filter(|(_, index)| index.is_unique())
                .map(|(i, _)| i)
        };
        ConflictPlan {
            is_targeted: conflict.arbiters.is_some(),
            arbiters: conflict.arbiters.unwrap_or_else(|| all().collect()),
            update: conflict.update.map(|update| RowChange {
                table: self.table.clone(),
                filter: update.filter,
                unique_columns: unique_columns(&self.table, &update.assignments),
                foreign_keys: keys_of_update(&self.table, &update.assignments, catalog),
                assignments: Some(update.assignments),
                checks: self.checks.clone(),
                returning: self.returning.clone(),
            }),
        }
    }
}

/// The columns of unique indexes among those assigned to, unless it is their own value.
fn unique_columns(table: &TableDef, assignments: &[(usize, Expr)]) -> Vec<usize> {
    let in_unique = |place: usize| {
        let mut unique = table.indexes.iter().filter(|index| index.is_unique());
        unique.any(|index| index.columns.iter().any(|key| key.column == place))
    };
    let is_itself = |column: usize, value: &Expr| match value.kind {
        ExprKind::Column(same) => same == column,
        _ => false,
    };
    let changed = assignments.iter();
    let changed = changed.filter(|(column, value)| !is_itself(*column, value));
    let places = changed.map(|(column, _)| *column);
    places.filter(|place| in_unique(*place)).collect()
}

fn keys_of_update(
    table: &TableDef,
    assignments: &[(usize, Expr)],
    catalog: &Catalog,
) -> ForeignKeys {
    let assigned = |place: usize| assignments.iter().any(|(column, _)| *column == place);
    ForeignKeys::of_update(catalog, table, assigned)
}

pub(crate) fn plan_update(
    update: Update,
    checks: Vec<Check>,
    cx: EvalContext<'_>,
) -> Result<ChangePlan> {
    let catalog = cx.catalog;
    let mut planner = Planner::new(cx);
    let mut assignments = update.assignments;
    let unique_columns = unique_columns(&update.table, &assignments);
    let foreign_keys = keys_of_update(&update.table, &assignments, catalog);
    let used: Vec<&Expr> = assignments.iter().map(|(_, value)| value).collect();
    let from_used = used_of_from(&update.table, used, update.returning.as_ref());
    for (_, value) in &mut assignments {
        planner.finish(value)?;
    }
    planner.change(Change {
        table: update.table,
        from: update.from,
        from_used,
        filter: update.filter,
        assignments: Some(assignments),
        unique_columns,
        checks,
        foreign_keys,
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

    fn finish_update(&mut self, update: &mut ConflictUpdate) -> Result<()> {
        if let Some(filter) = &mut update.filter {
            self.finish(filter)?;
        }
        let mut assignments = update.assignments.iter_mut();
        assignments.try_for_each(|(_, value)| self.finish(value))
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
            None if self.subplans.is_empty() && !self.exports => {
                self.whole_key(&table, &conditions)?
            }
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
            target,
            plan: Arc::new(plan),
            change: RowChange {
                table,
                filter,
                assignments: change.assignments,
                unique_columns: change.unique_columns,
                checks: change.checks,
                foreign_keys: change.foreign_keys,
                returning,
            },
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
            source: self.next_source(),
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
