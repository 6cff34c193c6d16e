//! Conditions that are more than one operator: BETWEEN, IN, ANY, rows, LIKE, subqueries.

use std::cmp::Ordering;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, ExprKind as Ast, Position};
use crate::sql::bind::coerce::{column, constant, try_common_type};
use crate::sql::bind::expr::{boolean, typed};
use crate::sql::bind::query::Output;
use crate::sql::bind::resolve;
use crate::sql::bind::scope::{AGGREGATE, Place, Scope};
use crate::sql::bind::walk::{is_volatile, map_columns, move_inwards};
use crate::sql::bind::{Binder, Typed};
use crate::sql::func::{CastContext, Function};
use crate::sql::ir::{Expr, ExprKind, Rel, Subquery, SubqueryKind};
use crate::types::{Datum, Type};

impl Binder<'_> {
    /// Two comparisons; `flags` are (negated, symmetric).
    pub(super) fn between(
        &self,
        arg: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        flags: (bool, bool),
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let (negated, symmetric) = flags;
        let mut start = at;
        let mut compare = |op: &str, bound: &ast::Expr| {
            let left = self.expr(arg, s)?;
            start = left.at;
            let right = self.expr(bound, s)?;
            self.operator(op, Some(left), right, at)
        };
        let (above, below) = if negated { ("<", ">") } else { (">=", "<=") };
        let join = |tests| match negated {
            true => boolean(ExprKind::Or(tests)),
            false => boolean(ExprKind::And(tests)),
        };
        let expr = if symmetric {
            let one = join(vec![compare(above, low)?, compare(below, high)?]);
            let other = join(vec![compare(above, high)?, compare(below, low)?]);
            // NOT BETWEEN SYMMETRIC is outside of both.
            match negated {
                true => boolean(ExprKind::And(vec![one, other])),
                false => boolean(ExprKind::Or(vec![one, other])),
            }
        } else {
            join(vec![compare(above, low)?, compare(below, high)?])
        };
        Ok(typed(expr, start))
    }

    pub(super) fn is_distinct(
        &self,
        left: &ast::Expr,
        right: &ast::Expr,
        negated: bool,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        if let (Ast::Row(left), Ast::Row(right)) = (&left.kind, &right.kind) {
            same_length(left, right, at)?;
            let tests = left.iter().zip(right).map(|(l, r)| {
                let test = self.is_distinct(l, r, negated, at, s)?;
                Ok(test.expr)
            });
            let tests = tests.collect::<Result<_>>()?;
            return Ok(typed(
                boolean(match negated {
                    true => ExprKind::And(tests),
                    false => ExprKind::Or(tests),
                }),
                at,
            ));
        }
        let (left, right) = (self.expr(left, s)?, self.expr(right, s)?);
        let start = left.at;
        let (equal, left, right) = self.equality(left, right, at)?;
        let kind = ExprKind::IsDistinct {
            equal,
            left: Box::new(left),
            right: Box::new(right),
            negated,
        };
        Ok(typed(boolean(kind), start))
    }

    /// The function behind `left = right`, and both sides as it takes them.
    pub(super) fn equality(
        &self,
        left: Typed,
        right: Typed,
        at: Position,
    ) -> Result<(&'static Function, Expr, Expr)> {
        let chosen = resolve::operator("=", Some(left.expr.ty), right.expr.ty, at)?;
        let left_type = chosen.left.unwrap_or(chosen.right);
        let left = self.coerce(left, left_type, CastContext::Implicit)?;
        let right = self.coerce(right, chosen.right, CastContext::Implicit)?;
        Ok((chosen.function, left, right))
    }

    pub(super) fn in_list(
        &self,
        arg: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        if let Ast::Row(fields) = &arg.kind {
            return self.row_in_list(fields, list, negated, at, s);
        }
        let arg = self.expr(arg, s)?;
        let items = self.exprs(list, s)?;
        let start = arg.at;
        let types = std::iter::once(&arg).chain(&items);
        let common = try_common_type(types.map(|v| (v.expr.ty, v.at)));
        if let Ok(ty) = common
            && items.len() > 1
            && ty != Type::Record
        {
            return self.in_common_type(arg, items, ty, negated, at);
        }
        // No type fits all: each item is compared by an operator of its own.
        let op = if negated { "<>" } else { "=" };
        let tests = items
            .into_iter()
            .map(|item| self.operator(op, Some(arg.clone()), item, at));
        let mut tests: Vec<Expr> = tests.collect::<Result<_>>()?;
        let kind = match (tests.pop(), tests.is_empty()) {
            (Some(only), true) => return Ok(typed(only, start)),
            (last, _) => {
                tests.extend(last);
                match negated {
                    true => ExprKind::And(tests),
                    false => ExprKind::Or(tests),
                }
            }
        };
        Ok(typed(boolean(kind), start))
    }

    fn in_common_type(
        &self,
        arg: Typed,
        items: Vec<Typed>,
        ty: Type,
        negated: bool,
        at: Position,
    ) -> Result<Typed> {
        let start = arg.at;
        let chosen = resolve::operator("=", Some(arg.expr.ty), ty, at)?;
        let left_type = chosen.left.unwrap_or(ty);
        let arg = self.coerce(arg, left_type, CastContext::Implicit)?;
        let items = items.into_iter().map(|item| {
            let item_at = item.at;
            let common = self.to_common(item, ty, "IN")?;
            self.coerce(typed(common, item_at), chosen.right, CastContext::Implicit)
        });
        let kind = ExprKind::In {
            equal: chosen.function,
            arg: Box::new(arg),
            list: items.collect::<Result<_>>()?,
            negated,
        };
        Ok(typed(boolean(kind), start))
    }

    fn row_in_list(
        &self,
        fields: &[ast::Expr],
        list: &[ast::Expr],
        negated: bool,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let op = if negated { "<>" } else { "=" };
        let tests = list.iter().map(|item| match &item.kind {
            Ast::Row(other) => Ok(self.compare_rows(op, fields, other, at, s)?.expr),
            _ => Err(Error::unsupported("comparison of a row and a value is").at(at)),
        });
        let tests = tests.collect::<Result<_>>()?;
        let kind = match negated {
            true => ExprKind::And(tests),
            false => ExprKind::Or(tests),
        };
        Ok(typed(boolean(kind), at))
    }

    /// Field by field, left to right (9.24.5).
    pub(super) fn compare_rows(
        &self,
        op: &str,
        left: &[ast::Expr],
        right: &[ast::Expr],
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        same_length(left, right, at)?;
        let fields = |i: usize| Ok((self.expr(&left[i], s)?, self.expr(&right[i], s)?));
        Ok(typed(self.compare_fields(op, left.len(), &fields, at)?, at))
    }

    fn compare_fields(
        &self,
        op: &str,
        count: usize,
        fields: &dyn Fn(usize) -> Result<(Typed, Typed)>,
        at: Position,
    ) -> Result<Expr> {
        let compare = |op: &str, i: usize| {
            let (left, right) = fields(i)?;
            self.operator(op, Some(left), right, at)
        };
        let each = |op: &str| -> Result<Vec<Expr>> { (0..count).map(|i| compare(op, i)).collect() };
        let kind = match op {
            "=" => ExprKind::And(each("=")?),
            "<>" | "!=" => ExprKind::Or(each("<>")?),
            "<" | "<=" | ">" | ">=" => {
                let strict = op.trim_end_matches('=');
                let last = count - 1;
                let mut test = compare(op, last)?;
                for i in (0..last).rev() {
                    let tie = boolean(ExprKind::And(vec![compare("=", i)?, test]));
                    test = boolean(ExprKind::Or(vec![compare(strict, i)?, tie]));
                }
                test.kind
            }
            _ => {
                return Err(Error::unsupported(format_args!("operator {op} for rows is")).at(at));
            }
        };
        Ok(boolean(kind))
    }

    pub(super) fn like(
        &self,
        op: &str,
        arg: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let arg = self.expr(arg, s)?;
        let start = arg.at;
        let mut pattern = self.expr(pattern, s)?;
        if let Some(escape) = escape {
            let pattern_at = pattern.at;
            let args = vec![pattern, self.expr(escape, s)?];
            let escaped = self.function_call("like_escape", args, at, s)?;
            pattern = typed(escaped, pattern_at);
        }
        Ok(typed(self.operator(op, Some(arg), pattern, at)?, start))
    }

    /// `left op ANY/ALL (array)`.
    pub(super) fn any_all(
        &self,
        left: &ast::Expr,
        op: &str,
        all: bool,
        array: &ast::Expr,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let left = self.expr(left, s)?;
        let array = self.expr(array, s)?;
        let start = left.at;
        let element = match array.expr.ty {
            Type::Unknown => Type::Unknown,
            ty => ty.element().ok_or_else(|| {
                Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                )
                .at(at)
            })?,
        };
        let chosen = resolve::operator(op, Some(left.expr.ty), element, at)?;
        check_boolean(
            chosen.returns,
            "op ANY/ALL (array) requires operator to yield boolean",
            at,
        )?;
        let array_type = chosen.right.array().ok_or_else(|| {
            let name = chosen.right.sql_name();
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {name}"),
            )
            .at(at)
        })?;
        let left_type = chosen.left.unwrap_or(chosen.right);
        let kind = ExprKind::AnyAll {
            op: chosen.function,
            all,
            left: Box::new(self.coerce(left, left_type, CastContext::Implicit)?),
            array: Box::new(self.coerce(array, array_type, CastContext::Implicit)?),
        };
        Ok(typed(boolean(kind), start))
    }

    /// `left op ANY/ALL (SELECT …)`.
    pub(super) fn any_all_subquery(
        &self,
        left: &ast::Expr,
        op: &str,
        all: bool,
        query: &ast::Query,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        if let Ast::Row(fields) = &left.kind {
            return self.row_any_all(fields, op, all, query, at, s);
        }
        let left = self.expr(left, s)?;
        let start = left.at;
        let (output, correlated) = self.subquery(query, at, s)?;
        match output.columns.len() {
            1 => {}
            0 => return Err(wrong_columns("subquery has too few columns", at)),
            _ => return Err(wrong_columns("subquery has too many columns", at)),
        }
        let of_query = &output.columns[0];
        let chosen = resolve::operator(op, Some(left.expr.ty), of_query.ty, at)?;
        check_boolean(
            chosen.returns,
            &format!(
                "operator {op} must return type boolean, not type {}",
                chosen.returns.sql_name()
            ),
            at,
        )?;
        let mut value = column(0, of_query.ty);
        value.typmod = of_query.typmod;
        let rel = match value.ty == chosen.right {
            true => output.rel,
            false => Rel::Project {
                exprs: vec![self.coerce(typed(value, at), chosen.right, CastContext::Implicit)?],
                input: Box::new(output.rel),
            },
        };
        let left_type = chosen.left.unwrap_or(chosen.right);
        let left = Box::new(self.coerce(left, left_type, CastContext::Implicit)?);
        let kind = SubqueryKind::AnyAll {
            op: chosen.function,
            all,
            left,
        };
        Ok(typed(
            subquery(kind, rel, correlated, Type::Bool, -1),
            start,
        ))
    }

    /// `(a, b) op ANY/ALL (SELECT …)`: whether the comparison, made for each row of the query, is
    /// ever or always true.
    fn row_any_all(
        &self,
        fields: &[ast::Expr],
        op: &str,
        all: bool,
        query: &ast::Query,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let left = fields.iter().map(|field| {
            let mut value = self.expr(field, s)?;
            let mut special = false;
            map_columns(&mut value.expr, &mut |c| {
                special |= c >= AGGREGATE;
                c
            });
            if special || is_volatile(&value.expr) {
                return Err(Error::unsupported(
                    "aggregates and volatile functions in a row compared with a subquery are",
                )
                .at(at));
            }
            // Its row is outside of the query's.
            move_inwards(&mut value.expr, 1);
            Ok(value)
        });
        let left: Vec<Typed> = left.collect::<Result<_>>()?;
        let (output, _) = self.subquery(query, at, s)?;
        match output.columns.len().cmp(&left.len()) {
            Ordering::Equal => {}
            Ordering::Less => return Err(wrong_columns("subquery has too few columns", at)),
            Ordering::Greater => return Err(wrong_columns("subquery has too many columns", at)),
        }
        let pair = |i: usize| {
            let of_query = &output.columns[i];
            let mut right = column(i, of_query.ty);
            right.typmod = of_query.typmod;
            Ok((left[i].clone(), typed(right, at)))
        };
        let test = self.compare_fields(op, left.len(), &pair, at)?;
        let truth = || typed(constant(Datum::Bool(true), Type::Bool), at);
        let (equal, yes, _) = self.equality(truth(), truth(), at)?;
        let rel = Rel::Project {
            input: Box::new(output.rel),
            exprs: vec![test],
        };
        let kind = SubqueryKind::AnyAll {
            op: equal,
            all,
            left: Box::new(yes),
        };
        Ok(typed(subquery(kind, rel, true, Type::Bool, -1), at))
    }

    pub(super) fn exists(&self, query: &ast::Query, at: Position, s: &Scope<'_>) -> Result<Typed> {
        let (output, correlated) = self.subquery(query, at, s)?;
        let kind = SubqueryKind::Exists;
        Ok(typed(
            subquery(kind, output.rel, correlated, Type::Bool, -1),
            at,
        ))
    }

    pub(super) fn scalar_subquery(
        &self,
        query: &ast::Query,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let (output, correlated) = self.subquery(query, at, s)?;
        let (ty, typmod) = only_column(&output, at)?;
        let kind = SubqueryKind::Scalar;
        Ok(typed(
            subquery(kind, output.rel, correlated, ty, typmod),
            at,
        ))
    }

    pub(super) fn array_subquery(
        &self,
        query: &ast::Query,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let (output, correlated) = self.subquery(query, at, s)?;
        let (element, typmod) = only_column(&output, at)?;
        let Some(ty) = element.array() else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!(
                    "could not find array type for data type {}",
                    element.sql_name()
                ),
            )
            .at(at));
        };
        let kind = SubqueryKind::Array;
        Ok(typed(
            subquery(kind, output.rel, correlated, ty, typmod),
            at,
        ))
    }

    /// Binds a subquery in an expression; whether it refers to rows around it.
    pub(super) fn subquery(
        &self,
        query: &ast::Query,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<(Output, bool)> {
        let refused = match s.place.get() {
            Place::Check => Some("cannot use subquery in check constraint"),
            Place::Default => Some("cannot use subquery in DEFAULT expression"),
            Place::IndexExpression => Some("cannot use subquery in index expression"),
            Place::IndexPredicate => Some("cannot use subquery in index predicate"),
            _ => None,
        };
        if let Some(message) = refused {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at));
        }
        s.watch_crossing(|| self.query(query, &s.outside()))
    }

    /// NULLIF: the left value, unless both are equal.
    pub(super) fn nullif(&self, left: Typed, right: Typed, at: Position) -> Result<Expr> {
        let chosen = resolve::operator("=", Some(left.expr.ty), right.expr.ty, at)?;
        check_boolean(
            chosen.returns,
            "NULLIF requires = operator to yield boolean",
            at,
        )?;
        let (equal, left, right) = self.equality(left, right, at)?;
        Ok(Expr {
            ty: left.ty,
            typmod: left.typmod,
            kind: ExprKind::NullIf {
                equal,
                left: Box::new(left),
                right: Box::new(right),
            },
        })
    }
}

pub(super) fn subquery(
    kind: SubqueryKind,
    rel: Rel,
    correlated: bool,
    ty: Type,
    typmod: i32,
) -> Expr {
    Expr {
        kind: ExprKind::Subquery(Box::new(Subquery {
            kind,
            rel,
            correlated,
        })),
        ty,
        typmod,
    }
}

fn only_column(output: &Output, at: Position) -> Result<(Type, i32)> {
    match output.columns.as_slice() {
        [only] => Ok((only.ty, only.typmod)),
        _ => Err(wrong_columns("subquery must return only one column", at)),
    }
}

fn wrong_columns(message: &str, at: Position) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message).at(at)
}

fn same_length(left: &[ast::Expr], right: &[ast::Expr], at: Position) -> Result<()> {
    if left.len() != right.len() || left.is_empty() {
        let message = match left.len() == right.len() {
            true => "cannot compare rows of zero length",
            false => "unequal number of entries in row expressions",
        };
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
    }
    Ok(())
}

fn check_boolean(ty: Type, message: &str, at: Position) -> Result<()> {
    match ty {
        Type::Bool => Ok(()),
        _ => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(at)),
    }
}
