//! Planning: from bound trees to physical plans.
//!
//! P1: a condition is evaluated as near to the rows as its meaning allows: below projections and
//!     inner joins, on the preserved side of outer joins; never below LIMIT or a lock.
//! P2: a plan computes only what is used: scans decode the columns that something above reads.
//! P3: a plan depends on the catalog's definitions alone. There are no statistics: row counts are
//!     guesses from the shape of the conditions, and only their order matters.
//! P4: expressions in a plan are finished: constants folded, subqueries planned.

mod access;
mod comparison;
mod describe;
mod dml;
mod join;
mod lock;
pub(crate) mod node;
mod rel;
mod table;
mod visit;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Oid, Result};
use crate::sql::expr::{ExprContext, eval, hashable};
use crate::sql::func::{EvalContext, Volatility};
use crate::sql::ir::{Expr, ExprKind, Rel, Subquery, SubqueryKind};
use crate::table::TableDef;
use crate::types::{Datum, Type};

use node::{Lock, Node, Plan, SubPlan, SubPlanKind};

pub(crate) use describe::{Line, describe, describe_change, describe_insert};
pub(crate) use dml::{
    ChangePlan, Check, ConflictPlan, InsertPlan, ReturningPlan, RowChange, Target, plan_delete,
    plan_insert, plan_update,
};

/// A column of the order in which rows are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderColumn {
    pub column: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

/// What the operator above makes of the rows.
#[derive(Clone)]
struct Want {
    /// Columns it reads.
    needed: Vec<bool>,
    /// An order that would spare it a sort.
    order: Vec<OrderColumn>,
    /// It may stop after a few rows.
    limited: bool,
}

impl Want {
    fn all(width: usize) -> Want {
        Want {
            needed: vec![true; width],
            order: Vec::new(),
            limited: false,
        }
    }

    fn columns(needed: Vec<bool>) -> Want {
        Want {
            needed,
            order: Vec::new(),
            limited: false,
        }
    }

    /// Also the columns that these expressions use.
    fn and_of<'e>(mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> Want {
        for expr in exprs {
            visit::columns(expr, |column| self.needed[column] = true);
        }
        self
    }
}

struct Planned {
    node: Node,
    /// A guess.
    rows: f64,
    /// In the order wanted.
    ordered: bool,
}

struct Planner<'a> {
    cx: EvalContext<'a>,
    subplans: Vec<SubPlan>,
    tables: BTreeMap<Oid, Arc<TableDef>>,
    locks: Vec<Arc<Lock>>,
    row_sources: usize,
    heavy: bool,
    /// The limit right above the lock that is planned next.
    lock_limit: Option<(Option<Expr>, Option<Expr>)>,
}

/// Plans a query. `cx` serves to fold constants.
pub(crate) fn plan_query(rel: Rel, cx: EvalContext<'_>) -> Result<Plan> {
    let mut planner = Planner::new(cx);
    let want = Want::all(visit::width(&rel));
    planner.plan_of(rel, want)
}

/// Finishes an expression that stands alone: a default, a CHECK.
pub(crate) fn plan_expr(mut expr: Expr, cx: EvalContext<'_>) -> Result<Expr> {
    Planner::new(cx).finish(&mut expr)?;
    Ok(expr)
}

/// The columns that an expression over a table's row uses, ascending.
pub(crate) fn columns_of(expr: &Expr) -> Vec<usize> {
    let mut columns = Vec::new();
    visit::columns(expr, |column| columns.push(column));
    columns.sort_unstable();
    columns.dedup();
    columns
}

pub(crate) fn uses_volatile(expr: &Expr) -> bool {
    visit::contains(expr, &is_volatile)
}

impl<'a> Planner<'a> {
    fn new(cx: EvalContext<'a>) -> Planner<'a> {
        Planner {
            cx,
            subplans: Vec::new(),
            tables: BTreeMap::new(),
            locks: Vec::new(),
            row_sources: 0,
            heavy: false,
            lock_limit: None,
        }
    }

    fn plan_of(&mut self, rel: Rel, want: Want) -> Result<Plan> {
        let width = visit::width(&rel);
        let planned = self.rel(rel, Vec::new(), &want)?;
        Ok(self.take_plan(planned.node, width))
    }

    fn take_plan(&mut self, root: Node, width: usize) -> Plan {
        Plan {
            root,
            width,
            subplans: std::mem::take(&mut self.subplans),
            tables: std::mem::take(&mut self.tables).into_values().collect(),
            locks: std::mem::take(&mut self.locks),
            row_sources: self.row_sources,
            heavy: self.heavy,
        }
    }

    /// Folds constants and plans subqueries, the expression's own place being final.
    fn finish(&mut self, expr: &mut Expr) -> Result<()> {
        let mut failed = Ok(());
        visit::children_mut(expr, &mut |child| {
            if failed.is_ok() {
                failed = self.finish(child);
            }
        });
        failed?;
        if let ExprKind::Subquery(subquery) = &mut expr.kind {
            let subquery = std::mem::replace(
                &mut **subquery,
                Subquery {
                    kind: SubqueryKind::Exists,
                    rel: Rel::Unit,
                    correlated: false,
                },
            );
            expr.kind = self.subquery(subquery)?;
        } else {
            self.fold_node(expr);
        }
        Ok(())
    }

    fn finish_all(&mut self, exprs: &mut [Expr]) -> Result<()> {
        exprs.iter_mut().try_for_each(|expr| self.finish(expr))
    }

    /// One finished condition of several.
    fn finish_condition(&mut self, mut conditions: Vec<Expr>) -> Result<Option<Expr>> {
        self.finish_all(&mut conditions)?;
        Ok(match conditions.len() {
            0 => None,
            1 => conditions.pop(),
            _ => Some(Expr {
                kind: ExprKind::And(conditions),
                ty: Type::Bool,
                typmod: -1,
            }),
        })
    }

    /// Folds the constants in an expression whose subqueries are not planned yet.
    fn fold(&self, expr: &mut Expr) {
        visit::children_mut(expr, &mut |child| self.fold(child));
        self.fold_node(expr);
    }

    /// An error is left for the execution, which may never come to it.
    fn fold_node(&self, expr: &mut Expr) {
        let foldable = match &expr.kind {
            ExprKind::Call { function, .. } => function.volatility == Volatility::Immutable,
            ExprKind::And(_)
            | ExprKind::Or(_)
            | ExprKind::Not(_)
            | ExprKind::IsNull { .. }
            | ExprKind::IsBool { .. }
            | ExprKind::Relabel(_)
            | ExprKind::Typmod { .. } => true,
            _ => false,
        };
        if !foldable {
            return;
        }
        let mut constant = true;
        visit::children(expr, &mut |child| {
            constant = constant && matches!(child.kind, ExprKind::Const(_));
        });
        if !constant {
            return;
        }
        let cx = ExprContext::new(EvalContext { ..self.cx });
        let folded = match eval(expr, &[], &cx) {
            Ok(value) => value.into_owned(),
            Err(_) => return,
        };
        expr.kind = ExprKind::Const(folded);
    }

    fn subquery(&mut self, subquery: Subquery) -> Result<ExprKind> {
        let width = visit::width(&subquery.rel);
        let ty = rel::types(&subquery.rel).first().copied();
        let ty = ty.unwrap_or(Type::Any);
        let mut want = Want::all(width);
        let mut left_operand = None;
        let kind = match subquery.kind {
            SubqueryKind::Scalar => SubPlanKind::Scalar,
            SubqueryKind::Exists => {
                want.needed = vec![false; width];
                want.limited = true;
                SubPlanKind::Exists
            }
            SubqueryKind::Array => SubPlanKind::Array,
            SubqueryKind::AnyAll { op, all, mut left } => {
                self.finish(&mut left)?;
                let set_like = if all {
                    comparison::is_inequality(op)
                } else {
                    comparison::is_equality(op)
                };
                let kind = SubPlanKind::AnyAll {
                    op,
                    all,
                    hashed: set_like && !subquery.correlated && hashable(left.ty, ty),
                    left: left.ty,
                };
                left_operand = Some(left);
                kind
            }
        };
        let planned = self.rel(subquery.rel, Vec::new(), &want)?;
        self.subplans.push(SubPlan {
            kind,
            node: planned.node,
            width,
            ty,
            correlated: subquery.correlated,
        });
        Ok(ExprKind::SubPlan {
            index: self.subplans.len() - 1,
            left: left_operand,
        })
    }
}

fn is_volatile(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. }
        if function.volatility == Volatility::Volatile)
}

fn has_subquery(expr: &Expr) -> bool {
    visit::contains(expr, &|e| {
        matches!(e.kind, ExprKind::Subquery(_) | ExprKind::SubPlan { .. })
    })
}

/// A condition that no row meets.
fn is_never(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Datum::Bool(false) | Datum::Null))
}
