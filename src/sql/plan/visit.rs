//! Walks over expressions and the relations nested in them, and the rewriting of references to
//! rows that planning is made of.
//!
//! Depth counts the queries between an expression and the one a reference is seen from: inside a
//! subquery (or the right side of a LATERAL join) at depth 1, `Outer { level: 1 }` is the row of
//! the expression the walk started at.

use crate::sql::ir::{Expr, ExprKind, Rel, SubqueryKind};
use crate::types::Datum;

/// A reference to a row, as seen from where the walk started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ref {
    /// A column of the row at hand.
    Own(usize),
    /// A column of an enclosing query's row.
    Up { level: usize, column: usize },
}

macro_rules! walker {
    ($children:ident, $rel_exprs:ident, $sub_rels:ident $(, $mut:tt)?) => {
        /// The expressions directly within `expr` that are evaluated over the same row.
        pub(crate) fn $children<'a>(expr: &'a $($mut)? Expr, f: &mut dyn FnMut(&'a $($mut)? Expr)) {
            match & $($mut)? expr.kind {
                ExprKind::Const(_)
                | ExprKind::Param(_)
                | ExprKind::Column(_)
                | ExprKind::Outer { .. } => {}
                ExprKind::Call { args, .. }
                | ExprKind::And(args)
                | ExprKind::Or(args)
                | ExprKind::Coalesce(args)
                | ExprKind::MinMax { args, .. }
                | ExprKind::Array(args)
                | ExprKind::Row(args) => {
                    for arg in args {
                        f(arg);
                    }
                }
                ExprKind::Not(arg)
                | ExprKind::IsNull { arg, .. }
                | ExprKind::IsBool { arg, .. }
                | ExprKind::InOut(arg)
                | ExprKind::Relabel(arg)
                | ExprKind::ArrayCast { arg, .. }
                | ExprKind::Typmod { arg, .. } => f(arg),
                ExprKind::IsDistinct { left, right, .. }
                | ExprKind::NullIf { left, right, .. } => {
                    f(left);
                    f(right);
                }
                ExprKind::Case { branches, default } => {
                    for (condition, value) in branches {
                        f(condition);
                        f(value);
                    }
                    f(default);
                }
                ExprKind::In { arg, list, .. } => {
                    f(arg);
                    for item in list {
                        f(item);
                    }
                }
                ExprKind::AnyAll { left, array, .. } => {
                    f(left);
                    f(array);
                }
                ExprKind::Subscript { array, index } => {
                    f(array);
                    f(index);
                }
                ExprKind::Subquery(subquery) => {
                    if let SubqueryKind::AnyAll { left, .. } = & $($mut)? subquery.kind {
                        f(left);
                    }
                }
                ExprKind::SubPlan { left, .. } => {
                    if let Some(left) = left {
                        f(left);
                    }
                }
            }
        }

        /// The expressions directly within `rel`.
        pub(crate) fn $rel_exprs<'a>(rel: &'a $($mut)? Rel, f: &mut dyn FnMut(&'a $($mut)? Expr)) {
            match rel {
                Rel::Unit
                | Rel::Table { .. }
                | Rel::TableRows { .. }
                | Rel::System { .. }
                | Rel::Distinct { .. }
                | Rel::SetOp { .. }
                | Rel::Lock { .. }
                | Rel::Member { .. } => {}
                Rel::Values { rows, .. } => {
                    for row in rows {
                        for expr in row {
                            f(expr);
                        }
                    }
                }
                Rel::Function { args, .. } => {
                    for arg in args {
                        f(arg);
                    }
                }
                Rel::Filter { condition, .. } => f(condition),
                Rel::Project { exprs, .. } => {
                    for expr in exprs {
                        f(expr);
                    }
                }
                Rel::Join { condition, .. } => {
                    if let Some(condition) = condition {
                        f(condition);
                    }
                }
                Rel::Aggregate { keys, aggregates, .. } => {
                    for key in keys {
                        f(key);
                    }
                    for call in aggregates {
                        for arg in & $($mut)? call.args {
                            f(arg);
                        }
                        for key in & $($mut)? call.order_by {
                            f(& $($mut)? key.expr);
                        }
                        if let Some(filter) = & $($mut)? call.filter {
                            f(filter);
                        }
                    }
                }
                Rel::Sort { keys, .. } => {
                    for key in keys {
                        f(& $($mut)? key.expr);
                    }
                }
                Rel::Limit { limit, offset, .. } => {
                    for count in [limit, offset] {
                        if let Some(count) = count {
                            f(count);
                        }
                    }
                }
            }
        }

        /// The relations directly within `rel`, with the depth each adds.
        pub(crate) fn $sub_rels<'a>(
            rel: &'a $($mut)? Rel,
            f: &mut dyn FnMut(&'a $($mut)? Rel, usize),
        ) {
            match rel {
                Rel::Unit
                | Rel::Table { .. }
                | Rel::TableRows { .. }
                | Rel::System { .. }
                | Rel::Values { .. }
                | Rel::Function { .. } => {}
                Rel::Filter { input, .. }
                | Rel::Project { input, .. }
                | Rel::Aggregate { input, .. }
                | Rel::Sort { input, .. }
                | Rel::Limit { input, .. }
                | Rel::Distinct { input, .. }
                | Rel::Lock { input }
                | Rel::Member { input, .. } => f(input, 0),
                Rel::Join { left, right, lateral, .. } => {
                    f(left, 0);
                    f(right, usize::from(*lateral));
                }
                Rel::SetOp { left, right, .. } => {
                    f(left, 0);
                    f(right, 0);
                }
            }
        }
    };
}

walker!(children, rel_exprs, sub_rels);
walker!(children_mut, rel_exprs_mut, sub_rels_mut, mut);

/// Replaces references: `f` is given each with the depth it stands at, and answers with an
/// expression for that place (see [`lift`]) or nothing to leave it.
pub(crate) fn rewrite(expr: &mut Expr, f: &mut dyn FnMut(Ref, usize) -> Option<ExprKind>) {
    rewrite_at(expr, 0, f);
}

fn rewrite_at(expr: &mut Expr, depth: usize, f: &mut dyn FnMut(Ref, usize) -> Option<ExprKind>) {
    if let Some(reference) = reference(expr, depth) {
        if let Some(kind) = f(reference, depth) {
            expr.kind = kind;
        }
        return;
    }
    children_mut(expr, &mut |child| rewrite_at(child, depth, f));
    if let ExprKind::Subquery(subquery) = &mut expr.kind {
        rewrite_rel(&mut subquery.rel, depth + 1, f);
    }
}

/// As [`rewrite`], for every expression in a relation that stands `depth` queries further in.
pub(crate) fn rewrite_rel(
    rel: &mut Rel,
    depth: usize,
    f: &mut dyn FnMut(Ref, usize) -> Option<ExprKind>,
) {
    rel_exprs_mut(rel, &mut |expr| rewrite_at(expr, depth, f));
    sub_rels_mut(rel, &mut |input, more| rewrite_rel(input, depth + more, f));
}

fn reference(expr: &Expr, depth: usize) -> Option<Ref> {
    match expr.kind {
        ExprKind::Column(column) if depth == 0 => Some(Ref::Own(column)),
        ExprKind::Outer { level, column } if depth > 0 && level == depth => Some(Ref::Own(column)),
        ExprKind::Outer { level, column } if level > depth => Some(Ref::Up {
            level: level - depth,
            column,
        }),
        _ => None,
    }
}

/// Tells `f` of every reference in `expr` to its own row or an enclosing one.
pub(crate) fn refs(expr: &Expr, f: &mut dyn FnMut(Ref)) {
    refs_at(expr, 0, f);
}

fn refs_at(expr: &Expr, depth: usize, f: &mut dyn FnMut(Ref)) {
    if let Some(reference) = reference(expr, depth) {
        f(reference);
        return;
    }
    children(expr, &mut |child| refs_at(child, depth, f));
    if let ExprKind::Subquery(subquery) = &expr.kind {
        refs_rel(&subquery.rel, depth + 1, f);
    }
}

pub(crate) fn refs_rel(rel: &Rel, depth: usize, f: &mut dyn FnMut(Ref)) {
    rel_exprs(rel, &mut |expr| refs_at(expr, depth, f));
    sub_rels(rel, &mut |input, more| refs_rel(input, depth + more, f));
}

/// The columns of its own row that an expression uses.
pub(crate) fn columns(expr: &Expr, mut f: impl FnMut(usize)) {
    refs(expr, &mut |reference| {
        if let Ref::Own(column) = reference {
            f(column);
        }
    });
}

/// A column of the row at hand, as an expression `depth` queries further in names it.
pub(crate) fn column_at(column: usize, depth: usize) -> ExprKind {
    match depth {
        0 => ExprKind::Column(column),
        level => ExprKind::Outer { level, column },
    }
}

/// Moves an expression `depth` queries further in.
pub(crate) fn lift(mut expr: Expr, depth: usize) -> Expr {
    if depth > 0 {
        rewrite(&mut expr, &mut |reference, inner| {
            Some(match reference {
                Ref::Own(column) => ExprKind::Outer {
                    level: depth + inner,
                    column,
                },
                Ref::Up { level, column } => ExprKind::Outer {
                    level: level + depth + inner,
                    column,
                },
            })
        });
    }
    expr
}

/// Renumbers the columns of the row at hand.
pub(crate) fn renumber(expr: &mut Expr, map: impl Fn(usize) -> usize) {
    rewrite(expr, &mut |reference, depth| match reference {
        Ref::Own(column) => Some(column_at(map(column), depth)),
        Ref::Up { .. } => None,
    });
}

/// Replaces each column of the row at hand by the expression that makes it.
pub(crate) fn substitute(expr: &mut Expr, made_by: &[Expr]) {
    rewrite(expr, &mut |reference, depth| match reference {
        Ref::Own(column) => Some(lift(made_by[column].clone(), depth).kind),
        Ref::Up { .. } => None,
    });
}

/// Whether `test` holds for the expression or one within it (not within its subqueries).
pub(crate) fn contains(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    let mut found = test(expr);
    children(expr, &mut |child| found = found || contains(child, test));
    found
}

/// Splits a condition at its ANDs.
pub(crate) fn conjuncts(condition: Expr, out: &mut Vec<Expr>) {
    match condition.kind {
        ExprKind::And(args) => args.into_iter().for_each(|arg| conjuncts(arg, out)),
        ExprKind::Const(Datum::Bool(true)) => {}
        _ => out.push(condition),
    }
}

/// The number of columns of a relation's rows.
pub(crate) fn width(rel: &Rel) -> usize {
    match rel {
        Rel::Unit => 0,
        Rel::Table { table, .. } => table.columns.len(),
        Rel::TableRows { table, .. } => table.columns.len() + 2,
        Rel::Member { input, .. } => width(input) + 1,
        Rel::System { relation } => relation.columns.len(),
        Rel::Values { width, .. } => *width,
        Rel::Function {
            width, ordinality, ..
        } => width + usize::from(*ordinality),
        Rel::Project { exprs, .. } => exprs.len(),
        Rel::Aggregate {
            keys, aggregates, ..
        } => keys.len() + aggregates.len(),
        Rel::Join { left, right, .. } => width(left) + width(right),
        Rel::Filter { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Lock { input } => width(input),
        Rel::SetOp { left, .. } => width(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Type;

    fn expr(kind: ExprKind) -> Expr {
        Expr {
            kind,
            ty: Type::Int4,
            typmod: -1,
        }
    }

    #[test]
    fn lifting_turns_own_columns_into_outer_ones() {
        let lifted = lift(expr(ExprKind::Not(Box::new(expr(ExprKind::Column(3))))), 2);
        let ExprKind::Not(arg) = lifted.kind else {
            panic!("shape kept")
        };
        assert!(matches!(
            arg.kind,
            ExprKind::Outer {
                level: 2,
                column: 3
            }
        ));
    }

    #[test]
    fn references_from_inside_a_subquery_count_as_own() {
        let rel = Rel::Filter {
            input: Box::new(Rel::Unit),
            condition: expr(ExprKind::Or(vec![
                expr(ExprKind::Column(9)),
                expr(ExprKind::Outer {
                    level: 1,
                    column: 4,
                }),
                expr(ExprKind::Outer {
                    level: 2,
                    column: 5,
                }),
            ])),
        };
        let mut found = Vec::new();
        refs_rel(&rel, 1, &mut |r| found.push(r));
        let up = Ref::Up {
            level: 1,
            column: 5,
        };
        assert_eq!(found, [Ref::Own(4), up]);
    }
}
