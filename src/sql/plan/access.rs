//! Which index finds a table's rows best.

use std::sync::Arc;

use crate::sql::func::Comparison;
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::plan::comparison::{flipped, is_equality, strategy};
use crate::sql::plan::node::{Access, KeyExpr};
use crate::sql::plan::visit::contains;
use crate::sql::plan::{OrderColumn, is_volatile};
use crate::table::{IndexDef, TableDef};
use crate::types::Type;

/// Guesses of row counts, for want of statistics.
pub(crate) const TABLE_ROWS: f64 = 10_000.0;
const EQUAL_ROWS: f64 = 10.0;
const RANGE_FRACTION: f64 = 0.05;

/// A condition on one column that an index can answer.
struct Usable {
    /// Its place among the conditions.
    place: usize,
    column: usize,
    kind: UsableKind,
}

enum UsableKind {
    Compare(Comparison, Expr),
    Any(KeyExpr),
}

/// What is known of the expressions that conditions compare with.
pub(crate) struct Sight<'a> {
    /// The table's column that an expression is, if it is one.
    pub own: &'a dyn Fn(usize) -> Option<usize>,
    /// The value can be computed before the table is looked at.
    pub known: &'a dyn Fn(&Expr) -> bool,
}

pub(crate) struct Choice {
    pub access: Access,
    /// Of a unique index: few rows, if it is deferrable, and else one for each.
    pub whole_key: bool,
    /// Places of the conditions that the index answers in full.
    pub used: Vec<usize>,
    pub backward: bool,
    /// Rows come in the order wanted.
    pub ordered: bool,
    pub rows: f64,
}

/// The best index for the conditions, if any is better than reading the whole table.
pub(crate) fn choose(
    table: &TableDef,
    conditions: &[Expr],
    sight: &Sight<'_>,
    order: &[OrderColumn],
    limited: bool,
) -> Option<Choice> {
    let usable = usable_conditions(table, conditions, sight);
    let mut best: Option<Choice> = None;
    for index in &table.indexes {
        let Some(choice) = with_index(table, index, &usable, order, limited) else {
            continue;
        };
        let better = best.as_ref().is_none_or(|best| {
            // An order that spares a sort decides between paths of the same quality, and between
            // any two that are not selective when only the first rows are wanted.
            let order_decides = limited && best.rows > EQUAL_ROWS && choice.rows > EQUAL_ROWS;
            if order_decides && choice.ordered != best.ordered {
                return choice.ordered;
            }
            choice.rows < best.rows || (choice.rows <= best.rows && choice.ordered && !best.ordered)
        });
        if better {
            best = Some(choice);
        }
    }
    best
}

fn usable_conditions(table: &TableDef, conditions: &[Expr], sight: &Sight<'_>) -> Vec<Usable> {
    let mut usable = Vec::new();
    for (place, condition) in conditions.iter().enumerate() {
        if let Some((column, kind)) = usable_condition(table, condition, sight) {
            usable.push(Usable {
                place,
                column,
                kind,
            });
        }
    }
    usable
}

fn usable_condition(
    table: &TableDef,
    condition: &Expr,
    sight: &Sight<'_>,
) -> Option<(usize, UsableKind)> {
    let own = |expr: &Expr| own_column(expr, sight.own);
    let known = |column: usize, value: &Expr| {
        fits(table.columns[column].ty, value.ty)
            && (sight.known)(value)
            && !contains(value, &is_volatile)
    };
    match &condition.kind {
        ExprKind::Call { function, args } => {
            let [left, right] = args.as_slice() else {
                return None;
            };
            let comparison = strategy(function)?;
            if let Some(column) = own(left)
                && known(column, right)
            {
                return Some((column, UsableKind::Compare(comparison, right.clone())));
            }
            let column = own(right)?;
            if !known(column, left) {
                return None;
            }
            let comparison = flipped(comparison);
            Some((column, UsableKind::Compare(comparison, left.clone())))
        }
        ExprKind::In {
            equal,
            arg,
            list,
            negated: false,
        } if is_equality(equal) => {
            let column = own(arg)?;
            list.iter()
                .all(|item| known(column, item))
                .then(|| (column, UsableKind::Any(KeyExpr::List(list.clone()))))
        }
        ExprKind::AnyAll {
            op,
            all: false,
            left,
            array,
        } if is_equality(op) => {
            let column = own(left)?;
            let element = array.ty.element()?;
            let usable = fits(table.columns[column].ty, element)
                && (sight.known)(array)
                && !contains(array, &is_volatile);
            usable.then(|| {
                let array = (**array).clone();
                (column, UsableKind::Any(KeyExpr::Array(array)))
            })
        }
        _ => None,
    }
}

/// A column, perhaps under another name for its type.
pub(crate) fn own_column(expr: &Expr, own: &dyn Fn(usize) -> Option<usize>) -> Option<usize> {
    match &expr.kind {
        ExprKind::Column(column) => own(*column),
        ExprKind::Relabel(arg) => own_column(arg, own),
        _ => None,
    }
}

/// Whether values of the type `value` can be looked up among keys of the type `column`. Those of
/// other types in a class are converted when the key is made.
fn fits(column: Type, value: Type) -> bool {
    let text = |ty: Type| ty.is_text() && ty != Type::Bpchar;
    let integer = |ty| matches!(ty, Type::Int2 | Type::Int4 | Type::Int8);
    column == value
        || (text(column) && text(value))
        || (integer(column) && integer(value))
        || (column == Type::Float8 && value == Type::Float4)
}

fn with_index(
    table: &TableDef,
    index: &Arc<IndexDef>,
    usable: &[Usable],
    order: &[OrderColumn],
    limited: bool,
) -> Option<Choice> {
    let mut used = Vec::new();
    let mut equal = Vec::new();
    let mut several = false;
    for key in &index.columns {
        let found = usable.iter().find_map(|u| match &u.kind {
            UsableKind::Compare(Comparison::Equal, value) if u.column == key.column => {
                Some((u.place, KeyExpr::One(value.clone())))
            }
            _ => None,
        });
        // One list of values is enough: two would need their product.
        let found = found.or_else(|| {
            usable.iter().find_map(|u| match &u.kind {
                UsableKind::Any(key_expr) if u.column == key.column && !several => {
                    Some((u.place, key_expr.clone()))
                }
                _ => None,
            })
        });
        let Some((place, key_expr)) = found else {
            break;
        };
        several |= !matches!(key_expr, KeyExpr::One(_));
        used.push(place);
        equal.push(key_expr);
    }
    let bound = |wanted: &dyn Fn(Comparison) -> Option<bool>| {
        let next = index.columns.get(equal.len())?;
        usable.iter().find_map(|u| match &u.kind {
            UsableKind::Compare(comparison, value) if u.column == next.column => {
                wanted(*comparison).map(|inclusive| (u.place, (value.clone(), inclusive)))
            }
            _ => None,
        })
    };
    let lower = bound(&|comparison| match comparison {
        Comparison::Greater => Some(false),
        Comparison::GreaterEqual => Some(true),
        _ => None,
    });
    let upper = bound(&|comparison| match comparison {
        Comparison::Less => Some(false),
        Comparison::LessEqual => Some(true),
        _ => None,
    });
    used.extend(lower.iter().chain(&upper).map(|(place, _)| *place));

    let whole_key = index.is_unique() && equal.len() == index.columns.len();
    let direction = if several {
        None
    } else {
        order_direction(table, index, equal.len(), order)
    };
    if equal.is_empty() && lower.is_none() && upper.is_none() && !(limited && direction.is_some()) {
        return None;
    }
    let mut rows = TABLE_ROWS;
    if whole_key {
        rows = 1.0;
    } else {
        for _ in &equal {
            rows = if rows > EQUAL_ROWS {
                EQUAL_ROWS
            } else {
                rows / 2.0
            };
        }
        for _ in lower.iter().chain(&upper) {
            rows *= RANGE_FRACTION;
        }
        rows = rows.max(1.5);
    }
    if several {
        rows *= 5.0;
    }
    Some(Choice {
        access: Access {
            index: Arc::clone(index),
            equal,
            lower: lower.map(|(_, bound)| bound),
            upper: upper.map(|(_, bound)| bound),
            unique: whole_key && index.unique,
        },
        whole_key,
        used,
        backward: direction == Some(true),
        ordered: direction.is_some() && !order.is_empty(),
        rows,
    })
}

/// Whether the index gives the order wanted once its first columns are fixed: forwards (`false`)
/// or backwards (`true`).
fn order_direction(
    table: &TableDef,
    index: &IndexDef,
    fixed: usize,
    order: &[OrderColumn],
) -> Option<bool> {
    let is_fixed = |column: usize| index.columns[..fixed].iter().any(|k| k.column == column);
    let mut keys = index.columns[fixed..].iter();
    let mut direction = None;
    for wanted in order.iter().filter(|o| !is_fixed(o.column)) {
        let key = keys.next().filter(|key| key.column == wanted.column)?;
        let backward = key.descending != wanted.descending;
        let nulls_agree = (key.nulls_first != backward) == wanted.nulls_first;
        if !nulls_agree && !table.columns[key.column].not_null {
            return None;
        }
        if direction.is_some_and(|d| d != backward) {
            return None;
        }
        direction = Some(backward);
    }
    Some(direction.unwrap_or(false))
}
