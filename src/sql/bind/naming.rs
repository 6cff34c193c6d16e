//! What PostgreSQL calls a column of a select list that has no alias.

use crate::sql::ast::{Expr, ExprKind, Query, QueryBody, SelectItem};
use crate::sql::bind::names::resolve_type;

/// Never empty; `?column?` when nothing better is there.
pub(super) fn column_name(expr: &Expr) -> String {
    match name_of(expr) {
        Some((name, _)) => name,
        None => unnamed(),
    }
}

fn unnamed() -> String {
    "?column?".to_owned()
}

/// The name, and whether it is a strong one: a type's name gives way to a strong one below it.
fn name_of(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match &expr.kind {
        ExprKind::Column(name) => strong(&name.parts.last()?.name),
        ExprKind::Call(call) => strong(&call.name.parts.last()?.name),
        ExprKind::AtTimeZone { .. } => strong("timezone"),
        ExprKind::Exists { .. } => strong("exists"),
        ExprKind::Array(_) | ExprKind::ArraySubquery(_) => strong("array"),
        ExprKind::Row(_) => strong("row"),
        ExprKind::Scalar(query) => strong(&query_name(query).unwrap_or_else(unnamed)),
        ExprKind::Subscript { arg, .. } | ExprKind::Collate { arg, .. } => name_of(arg),
        ExprKind::Cast { arg, ty } => match name_of(arg) {
            Some((name, true)) => Some((name, true)),
            _ => {
                let (resolved, _) = resolve_type(ty).ok()?;
                let element = resolved.element().unwrap_or(resolved);
                Some((element.name().to_owned(), false))
            }
        },
        ExprKind::Case { default, .. } => match default.as_deref().and_then(name_of) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        _ => None,
    }
}

/// A scalar subquery is called as its column, whatever that is called by.
fn query_name(query: &Query) -> Option<String> {
    let mut body = &query.body;
    loop {
        match body {
            QueryBody::Query(inner) => body = &inner.body,
            QueryBody::SetOp { left, .. } => body = left,
            QueryBody::Values(_) => return Some("column1".to_owned()),
            QueryBody::Select(select) => {
                return match select.items.first()? {
                    SelectItem::Expr { alias: Some(a), .. } => Some(a.name.clone()),
                    SelectItem::Expr { expr, alias: None } => Some(column_name(expr)),
                    _ => None,
                };
            }
        }
    }
}
