//! Walks over bound trees: the few changes that need every column reference of a subtree.

use std::ops::ControlFlow;

use crate::sql::func::Volatility;
use crate::sql::ir::{AggregateCall, Expr, ExprKind, Rel, SortKey, SubqueryKind};
use crate::types::{Array, Datum};

/// Calls `f` with each direct operand, and each expression of a subquery's relation, together
/// with the number of rows between it and the row at hand of `expr` (0 for an operand).
pub(super) fn children<B>(
    expr: &mut Expr,
    f: &mut dyn FnMut(&mut Expr, usize) -> ControlFlow<B>,
) -> ControlFlow<B> {
    match &mut expr.kind {
        ExprKind::Const(_) | ExprKind::Param(_) | ExprKind::Column(_) | ExprKind::Outer { .. } => {}
        ExprKind::Call { args, .. }
        | ExprKind::And(args)
        | ExprKind::Or(args)
        | ExprKind::Coalesce(args)
        | ExprKind::MinMax { args, .. }
        | ExprKind::Array(args)
        | ExprKind::Row(args) => {
            for arg in args {
                f(arg, 0)?;
            }
        }
        // The element expression of an array cast reads the element, not the row.
        ExprKind::ArrayCast { arg, .. }
        | ExprKind::Not(arg)
        | ExprKind::IsNull { arg, .. }
        | ExprKind::IsBool { arg, .. }
        | ExprKind::InOut(arg)
        | ExprKind::Relabel(arg)
        | ExprKind::Typmod { arg, .. } => f(arg, 0)?,
        ExprKind::IsDistinct { left, right, .. } | ExprKind::NullIf { left, right, .. } => {
            f(left, 0)?;
            f(right, 0)?;
        }
        ExprKind::Case { branches, default } => {
            for (condition, value) in branches {
                f(condition, 0)?;
                f(value, 0)?;
            }
            f(default, 0)?;
        }
        ExprKind::In { arg, list, .. } => {
            f(arg, 0)?;
            for item in list {
                f(item, 0)?;
            }
        }
        ExprKind::AnyAll { left, array, .. } => {
            f(left, 0)?;
            f(array, 0)?;
        }
        ExprKind::Subscript { array, index } => {
            f(array, 0)?;
            f(index, 0)?;
        }
        ExprKind::Subquery(subquery) => {
            if let SubqueryKind::AnyAll { left, .. } = &mut subquery.kind {
                f(left, 0)?;
            }
            rel_exprs(&mut subquery.rel, 1, f)?;
        }
        ExprKind::SubPlan { left, .. } => {
            if let Some(left) = left {
                f(left, 0)?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Calls `f` with each expression that stands directly in a relation, and its depth.
fn rel_exprs<B>(
    rel: &mut Rel,
    depth: usize,
    f: &mut dyn FnMut(&mut Expr, usize) -> ControlFlow<B>,
) -> ControlFlow<B> {
    match rel {
        Rel::Unit | Rel::Table { .. } | Rel::TableRows { .. } | Rel::System { .. } => {}
        Rel::Values { rows, .. } => {
            for expr in rows.iter_mut().flatten() {
                f(expr, depth)?;
            }
        }
        Rel::Function { args, .. } => {
            for arg in args {
                f(arg, depth)?;
            }
        }
        Rel::Filter { input, condition } => {
            rel_exprs(input, depth, f)?;
            f(condition, depth)?;
        }
        Rel::Project { input, exprs } => {
            rel_exprs(input, depth, f)?;
            for expr in exprs {
                f(expr, depth)?;
            }
        }
        Rel::Join {
            left,
            right,
            condition,
            lateral,
            ..
        } => {
            rel_exprs(left, depth, f)?;
            rel_exprs(right, depth + usize::from(*lateral), f)?;
            if let Some(condition) = condition {
                f(condition, depth)?;
            }
        }
        Rel::Aggregate {
            input,
            keys,
            aggregates,
        } => {
            rel_exprs(input, depth, f)?;
            for key in keys {
                f(key, depth)?;
            }
            for aggregate in aggregates {
                aggregate_exprs(aggregate, &mut |expr| f(expr, depth))?;
            }
        }
        Rel::Sort { input, keys } => {
            rel_exprs(input, depth, f)?;
            for key in keys {
                f(&mut key.expr, depth)?;
            }
        }
        Rel::Limit {
            input,
            limit,
            offset,
        } => {
            rel_exprs(input, depth, f)?;
            for expr in [limit, offset].into_iter().flatten() {
                f(expr, depth)?;
            }
        }
        Rel::Distinct { input, .. } | Rel::Lock { input } | Rel::Member { input, .. } => {
            rel_exprs(input, depth, f)?;
        }
        Rel::SetOp { left, right, .. } => {
            rel_exprs(left, depth, f)?;
            rel_exprs(right, depth, f)?;
        }
    }
    ControlFlow::Continue(())
}

/// Calls `f` with each expression of an aggregate call.
pub(super) fn aggregate_exprs<B>(
    aggregate: &mut AggregateCall,
    f: &mut dyn FnMut(&mut Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    for arg in &mut aggregate.args {
        f(arg)?;
    }
    for key in &mut aggregate.order_by {
        f(&mut key.expr)?;
    }
    match &mut aggregate.filter {
        Some(filter) => f(filter),
        None => ControlFlow::Continue(()),
    }
}

/// Calls `f` with every column reference at or below `expr`, and how many rows lie between it and
/// the row at hand.
pub(super) fn references(expr: &mut Expr, depth: usize, f: &mut dyn FnMut(&mut Expr, usize)) {
    if let ExprKind::Column(_) | ExprKind::Outer { .. } = expr.kind {
        return f(expr, depth);
    }
    let _ = children::<()>(expr, &mut |child, deeper| {
        references(child, depth + deeper, f);
        ControlFlow::Continue(())
    });
}

fn rel_references(rel: &mut Rel, f: &mut dyn FnMut(&mut Expr, usize)) {
    let _ = rel_exprs::<()>(rel, 0, &mut |expr, depth| {
        references(expr, depth, f);
        ControlFlow::Continue(())
    });
}

/// Renames the columns of the row at hand, wherever below `expr` they are named.
pub(super) fn map_columns(expr: &mut Expr, f: &mut dyn FnMut(usize) -> usize) {
    references(expr, 0, &mut |reference, depth| match &mut reference.kind {
        ExprKind::Column(column) if depth == 0 => *column = f(*column),
        ExprKind::Outer { level, column } if *level == depth => *column = f(*column),
        _ => {}
    });
}

/// Moves an expression over the row at hand to where that row is `level` rows outside.
pub(super) fn move_inwards(expr: &mut Expr, by: usize) {
    if by == 0 {
        return;
    }
    references(expr, 0, &mut |reference, depth| match reference.kind {
        ExprKind::Column(column) if depth == 0 => {
            reference.kind = ExprKind::Outer { level: by, column };
        }
        ExprKind::Outer { ref mut level, .. } if *level >= depth => *level += by,
        _ => {}
    });
}

/// Puts a relation `by` rows deeper (shallower when negative): references that lead out of it over
/// at least `from` rows are renumbered.
pub(super) fn shift(rel: &mut Rel, from: usize, by: isize) {
    rel_references(rel, &mut |reference, depth| {
        if let ExprKind::Outer { level, .. } = &mut reference.kind
            && *level >= depth + from
        {
            *level = level.saturating_add_signed(by);
        }
    });
}

/// Whether evaluating twice may give two results.
pub(super) fn is_volatile(expr: &Expr) -> bool {
    volatile(&mut expr.clone()).is_break()
}

pub(super) fn is_volatile_rel(rel: &Rel) -> bool {
    rel_exprs(&mut rel.clone(), 0, &mut |expr, _| volatile(expr)).is_break()
}

fn volatile(expr: &mut Expr) -> ControlFlow<()> {
    if let ExprKind::Call { function, .. } = &expr.kind
        && function.volatility == Volatility::Volatile
    {
        return ControlFlow::Break(());
    }
    children(expr, &mut |child, _| volatile(child))
}

/// Whether two expressions over the same row are the same; `column` says which columns are.
/// Subqueries are never the same.
pub(super) fn same(a: &Expr, b: &Expr, column: &dyn Fn(usize) -> usize) -> bool {
    if a.ty != b.ty || a.typmod != b.typmod {
        return false;
    }
    let one = |a: &Expr, b: &Expr| same(a, b, column);
    let all =
        |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| one(a, b));
    match (&a.kind, &b.kind) {
        (ExprKind::Const(a), ExprKind::Const(b)) => same_datum(a, b),
        (ExprKind::Param(a), ExprKind::Param(b)) => a == b,
        (ExprKind::Column(a), ExprKind::Column(b)) => column(*a) == column(*b),
        (
            ExprKind::Outer { level, column: c },
            ExprKind::Outer {
                level: level_b,
                column: d,
            },
        ) => level == level_b && column(*c) == column(*d),
        (
            ExprKind::Call { function, args },
            ExprKind::Call {
                function: function_b,
                args: args_b,
            },
        ) => std::ptr::eq(*function, *function_b) && all(args, args_b),
        (ExprKind::And(a), ExprKind::And(b))
        | (ExprKind::Or(a), ExprKind::Or(b))
        | (ExprKind::Coalesce(a), ExprKind::Coalesce(b))
        | (ExprKind::Array(a), ExprKind::Array(b))
        | (ExprKind::Row(a), ExprKind::Row(b)) => all(a, b),
        (
            ExprKind::MinMax { greatest, args },
            ExprKind::MinMax {
                greatest: greatest_b,
                args: args_b,
            },
        ) => greatest == greatest_b && all(args, args_b),
        (ExprKind::Not(a), ExprKind::Not(b))
        | (ExprKind::InOut(a), ExprKind::InOut(b))
        | (ExprKind::Relabel(a), ExprKind::Relabel(b))
        | (ExprKind::ArrayCast { arg: a, .. }, ExprKind::ArrayCast { arg: b, .. }) => one(a, b),
        (
            ExprKind::Typmod { arg, explicit },
            ExprKind::Typmod {
                arg: arg_b,
                explicit: explicit_b,
            },
        ) => explicit == explicit_b && one(arg, arg_b),
        (
            ExprKind::IsNull { arg, negated },
            ExprKind::IsNull {
                arg: arg_b,
                negated: negated_b,
            },
        ) => negated == negated_b && one(arg, arg_b),
        (
            ExprKind::IsBool {
                arg,
                value,
                negated,
            },
            ExprKind::IsBool {
                arg: arg_b,
                value: value_b,
                negated: negated_b,
            },
        ) => value == value_b && negated == negated_b && one(arg, arg_b),
        (
            ExprKind::IsDistinct {
                equal,
                left,
                right,
                negated,
            },
            ExprKind::IsDistinct {
                equal: equal_b,
                left: left_b,
                right: right_b,
                negated: negated_b,
            },
        ) => {
            std::ptr::eq(*equal, *equal_b)
                && negated == negated_b
                && one(left, left_b)
                && one(right, right_b)
        }
        (
            ExprKind::NullIf { equal, left, right },
            ExprKind::NullIf {
                equal: equal_b,
                left: left_b,
                right: right_b,
            },
        ) => std::ptr::eq(*equal, *equal_b) && one(left, left_b) && one(right, right_b),
        (
            ExprKind::Case { branches, default },
            ExprKind::Case {
                branches: branches_b,
                default: default_b,
            },
        ) => {
            branches.len() == branches_b.len()
                && branches
                    .iter()
                    .zip(branches_b)
                    .all(|(a, b)| one(&a.0, &b.0) && one(&a.1, &b.1))
                && one(default, default_b)
        }
        (
            ExprKind::In {
                equal,
                arg,
                list,
                negated,
            },
            ExprKind::In {
                equal: equal_b,
                arg: arg_b,
                list: list_b,
                negated: negated_b,
            },
        ) => {
            std::ptr::eq(*equal, *equal_b)
                && negated == negated_b
                && one(arg, arg_b)
                && all(list, list_b)
        }
        (
            ExprKind::AnyAll {
                op,
                all: every,
                left,
                array,
            },
            ExprKind::AnyAll {
                op: op_b,
                all: every_b,
                left: left_b,
                array: array_b,
            },
        ) => {
            std::ptr::eq(*op, *op_b) && every == every_b && one(left, left_b) && one(array, array_b)
        }
        (
            ExprKind::Subscript { array, index },
            ExprKind::Subscript {
                array: array_b,
                index: index_b,
            },
        ) => one(array, array_b) && one(index, index_b),
        _ => false,
    }
}

pub(super) fn same_keys(a: &[SortKey], b: &[SortKey], column: &dyn Fn(usize) -> usize) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.descending == b.descending
                && a.nulls_first == b.nulls_first
                && same(&a.expr, &b.expr, column)
        })
}

/// Bit for bit; numerics by digits and scale.
fn same_datum(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Null, Datum::Null) => true,
        (Datum::Bool(a), Datum::Bool(b)) => a == b,
        (Datum::Int2(a), Datum::Int2(b)) => a == b,
        (Datum::Int4(a), Datum::Int4(b)) | (Datum::Date(a), Datum::Date(b)) => a == b,
        (Datum::Int8(a), Datum::Int8(b)) | (Datum::Timestamp(a), Datum::Timestamp(b)) => a == b,
        (Datum::Oid(a), Datum::Oid(b)) => a == b,
        (Datum::Lsn(a), Datum::Lsn(b)) => a == b,
        (Datum::Char(a), Datum::Char(b)) => a == b,
        (Datum::Float4(a), Datum::Float4(b)) => a.to_bits() == b.to_bits(),
        (Datum::Float8(a), Datum::Float8(b)) => a.to_bits() == b.to_bits(),
        (Datum::Text(a), Datum::Text(b)) => a == b,
        (Datum::Bytea(a), Datum::Bytea(b)) => a == b,
        (Datum::Numeric(_), Datum::Numeric(_)) => format!("{a:?}") == format!("{b:?}"),
        (Datum::Array(a), Datum::Array(b)) => same_elements(a, b),
        _ => false,
    }
}

fn same_elements(a: &Array, b: &Array) -> bool {
    a.elements.len() == b.elements.len()
        && a.elements
            .iter()
            .zip(&b.elements)
            .all(|(a, b)| same_datum(a, b))
}
