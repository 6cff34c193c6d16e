//! What may stand above an aggregation, and its rewriting over groups.

use std::ops::ControlFlow;

use crate::base::{Error, Result, SqlState};
use crate::sql::bind::coerce::column;
use crate::sql::bind::scope::{AGGREGATE, SET, Scope, untagged};
use crate::sql::bind::walk::{aggregate_exprs, children, map_columns, same};
use crate::sql::ir::{AggregateCall, Expr, ExprKind, Rel};

/// Rewrites expressions over the input row to expressions over the row of keys and aggregates.
pub(super) struct Grouping<'s> {
    scope: &'s Scope<'s>,
    /// The written keys, then columns that depend on them.
    keys: Vec<Expr>,
    written: usize,
}

impl<'s> Grouping<'s> {
    pub(super) fn new(scope: &'s Scope<'s>, keys: Vec<Expr>) -> Grouping<'s> {
        Grouping {
            scope,
            written: keys.len(),
            keys,
        }
    }

    /// Afterwards aggregates still have their own numbers: the number of keys is not known before
    /// the last expression has been rewritten.
    pub(super) fn rewrite(&mut self, expr: &mut Expr) -> Result<()> {
        match self.rewrite_at(expr, 0) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    fn rewrite_at(&mut self, expr: &mut Expr, depth: usize) -> ControlFlow<Error> {
        if depth == 0
            && let Some(key) = self.keys.iter().position(|k| same(k, expr, &untagged))
        {
            expr.kind = ExprKind::Column(key);
            return ControlFlow::Continue(());
        }
        match &mut expr.kind {
            ExprKind::Column(number) if depth == 0 => {
                if *number < AGGREGATE {
                    match self.key_of(*number, expr.ty, expr.typmod, false) {
                        Ok(key) => *number = key,
                        Err(error) => return ControlFlow::Break(error),
                    }
                }
                ControlFlow::Continue(())
            }
            ExprKind::Outer { level, column } if *level == depth && depth > 0 => {
                match self.key_of(*column, expr.ty, expr.typmod, true) {
                    Ok(key) => *column = key,
                    Err(error) => return ControlFlow::Break(error),
                }
                ControlFlow::Continue(())
            }
            _ => children(expr, &mut |child, deeper| {
                self.rewrite_at(child, depth + deeper)
            }),
        }
    }

    /// The key that is this column, which is added if it depends on the others.
    fn key_of(
        &mut self,
        number: usize,
        ty: crate::types::Type,
        typmod: i32,
        in_subquery: bool,
    ) -> Result<usize> {
        let plain = untagged(number);
        if let Some(key) = self.plain_key(plain, self.keys.len()) {
            return Ok(key);
        }
        if self.depends_on_keys(plain) {
            let mut key = column(plain, ty);
            key.typmod = typmod;
            self.keys.push(key);
            return Ok(self.keys.len() - 1);
        }
        Err(self.ungrouped(number, in_subquery))
    }

    fn plain_key(&self, plain: usize, among: usize) -> Option<usize> {
        let is_it = |k: &Expr| matches!(k.kind, ExprKind::Column(c) if untagged(c) == plain);
        self.keys[..among].iter().position(is_it)
    }

    /// Grouping by a table's whole primary key groups by all its columns.
    fn depends_on_keys(&self, plain: usize) -> bool {
        let items = &self.scope.namespace().items;
        items.iter().any(|item| {
            let Some(table) = &item.table else {
                return false;
            };
            let Some(primary) = table.primary_key().filter(|key| key.unique) else {
                return false;
            };
            let number = |attnum: usize| {
                let of_table = |c: &&crate::sql::bind::scope::Column| {
                    usize::try_from(c.attnum).is_ok_and(|a| a == attnum + 1)
                };
                let column = item.columns.iter().find(of_table)?;
                plain_number(&column.value)
            };
            item.columns
                .iter()
                .any(|c| plain_number(&c.value) == Some(plain))
                && primary.columns.iter().all(|key| {
                    number(key.column).is_some_and(|n| self.plain_key(n, self.written).is_some())
                })
        })
    }

    fn ungrouped(&self, number: usize, in_subquery: bool) -> Error {
        let plain = untagged(number);
        let name = self.column_name(plain);
        let message = match in_subquery {
            false => format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate \
                 function"
            ),
            true => format!("subquery uses ungrouped column \"{name}\" from outer query"),
        };
        let error = Error::new(SqlState::GROUPING_ERROR, message);
        match self.scope.tag_position(number) {
            Some(at) => error.at(at),
            None => error,
        }
    }

    fn column_name(&self, plain: usize) -> String {
        let items = &self.scope.namespace().items;
        let named = items.iter().filter(|i| i.name.is_some());
        let mut columns = named.flat_map(|i| i.columns.iter().map(move |c| (i, c)));
        match columns.find(|(_, c)| plain_number(&c.value) == Some(plain)) {
            Some((item, column)) => {
                format!(
                    "{}.{}",
                    item.name.as_deref().unwrap_or_default(),
                    column.name
                )
            }
            None => "?column?".to_owned(),
        }
    }

    /// The aggregation, and how many keys precede its aggregates.
    pub(super) fn finish(self, input: Rel, mut aggregates: Vec<AggregateCall>) -> (Rel, usize) {
        let mut keys = self.keys;
        for key in &mut keys {
            strip_tags(key);
        }
        for aggregate in &mut aggregates {
            let _ = aggregate_exprs::<()>(aggregate, &mut |expr| {
                strip_tags(expr);
                ControlFlow::Continue(())
            });
        }
        let count = keys.len();
        let rel = Rel::Aggregate {
            input: Box::new(input),
            keys,
            aggregates,
        };
        (rel, count)
    }
}

fn plain_number(expr: &Expr) -> Option<usize> {
    match expr.kind {
        ExprKind::Column(column) => Some(column),
        _ => None,
    }
}

/// Aggregates get the places after the keys.
pub(super) fn place_aggregates(expr: &mut Expr, keys: usize) {
    map_columns(expr, &mut |c| match c {
        AGGREGATE..SET => c - AGGREGATE + keys,
        _ => c,
    });
}

pub(super) fn strip_tags(expr: &mut Expr) {
    map_columns(expr, &mut untagged);
}

/// The column of the set-returning function gets its place.
pub(super) fn place_set(expr: &mut Expr, place: usize) {
    map_columns(expr, &mut |c| if c >= SET { place } else { c });
}
