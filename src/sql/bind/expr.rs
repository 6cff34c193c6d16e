//! Scalar expressions, one function per kind.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, ExprKind as Ast, Position};
use crate::sql::bind::coerce::{self, cannot_cast, common_typmod, constant};
use crate::sql::bind::names::{check_collation, resolve_type};
use crate::sql::bind::resolve;
use crate::sql::bind::scope::{Place, Scope};
use crate::sql::bind::walk::is_volatile;
use crate::sql::bind::{Binder, Typed};
use crate::sql::func::CastContext;
use crate::sql::ir::{Expr, ExprKind};
use crate::types::{Category, Datum, Type, text_in};

impl Binder<'_> {
    pub(super) fn expr(&self, e: &ast::Expr, s: &Scope<'_>) -> Result<Typed> {
        let _level = self.deeper()?;
        let at = e.position;
        match &e.kind {
            Ast::Column(name) => self.column(name, at, s),
            Ast::Null => Ok(typed(constant(Datum::Null, Type::Unknown), at)),
            Ast::Bool(value) => Ok(typed(constant(Datum::Bool(*value), Type::Bool), at)),
            Ast::Number(text) => self.number(text, at),
            Ast::String(text) => Ok(typed(
                constant(Datum::text(text.as_str()), Type::Unknown),
                at,
            )),
            Ast::Param(number) => self.param(*number, at),
            Ast::Unary { op, arg } => self.unary(op, arg, at, s),
            Ast::Binary { op, left, right } => self.binary(op, left, right, at, s),
            Ast::And(args) => self.junction(args, true, s),
            Ast::Or(args) => self.junction(args, false, s),
            Ast::Not(arg) => {
                let arg = self.boolean(arg, s, "NOT")?;
                Ok(typed(boolean(ExprKind::Not(Box::new(arg))), at))
            }
            Ast::IsNull { arg, negated } => self.is_null(arg, *negated, s),
            Ast::IsBool {
                arg,
                value,
                negated,
            } => self.is_bool(arg, *value, *negated, s),
            Ast::IsDistinct {
                left,
                right,
                negated,
            } => self.is_distinct(left, right, *negated, at, s),
            Ast::Between {
                arg,
                low,
                high,
                negated,
                symmetric,
            } => self.between(arg, low, high, (*negated, *symmetric), at, s),
            Ast::In { arg, list, negated } => self.in_list(arg, list, *negated, at, s),
            Ast::InSubquery {
                arg,
                query,
                negated,
            } => {
                let op = if *negated { "<>" } else { "=" };
                self.any_all_subquery(arg, op, *negated, query, at, s)
            }
            Ast::AnyAll {
                left,
                op,
                all,
                array,
            } => self.any_all(left, op, *all, array, at, s),
            Ast::AnyAllSubquery {
                left,
                op,
                all,
                query,
            } => self.any_all_subquery(left, op, *all, query, at, s),
            Ast::Exists { query } => self.exists(query, at, s),
            Ast::Scalar(query) => self.scalar_subquery(query, at, s),
            Ast::ArraySubquery(query) => self.array_subquery(query, at, s),
            Ast::Like {
                op,
                arg,
                pattern,
                escape,
            } => self.like(op, arg, pattern, escape.as_deref(), at, s),
            Ast::Case {
                operand,
                branches,
                default,
            } => self.case(operand.as_deref(), branches, default.as_deref(), at, s),
            Ast::Cast { arg, ty } => self.cast(arg, ty, at, s),
            Ast::Collate { arg, collation } => self.collate(arg, collation, at, s),
            Ast::Call(call) => self.call(call, at, s),
            Ast::Array(items) => self.array(items, at, s),
            Ast::Row(items) => self.row(items, at, s),
            Ast::Subscript { arg, index } => self.subscript(arg, index, s),
            Ast::AtTimeZone { arg, zone } => {
                let args = vec![self.expr(zone, s)?, self.expr(arg, s)?];
                let start = args[1].at;
                let call = self.function_call("timezone", args, at, s)?;
                Ok(typed(call, start))
            }
            Ast::Default => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "DEFAULT is not allowed in this context",
            )
            .at(at)),
            Ast::Unsupported(what) => Err(Error::unsupported(format_args!("{what} is")).at(at)),
        }
    }

    fn column(&self, name: &ast::Name, at: Position, s: &Scope<'_>) -> Result<Typed> {
        if s.place.get() == Place::Default {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(at));
        }
        let found = s.resolve(name, &self.cx.session.database)?;
        Ok(typed(found.expr, at))
    }

    /// The smallest of integer, bigint and numeric that holds it (4.1.2.6).
    fn number(&self, text: &str, at: Position) -> Result<Typed> {
        let integer = text.parse::<i64>().ok();
        let expr = match integer.map(|n| (i32::try_from(n), n)) {
            Some((Ok(small), _)) => constant(Datum::Int4(small), Type::Int4),
            Some((Err(_), n)) => constant(Datum::Int8(n), Type::Int8),
            None => {
                let value = text_in(Type::Numeric, -1, text, self.cx.format);
                constant(value.map_err(|e| e.at(at))?, Type::Numeric)
            }
        };
        Ok(typed(expr, at))
    }

    fn param(&self, number: usize, at: Position) -> Result<Typed> {
        let ty = self.params.mention(number, at)?;
        let expr = Expr {
            kind: ExprKind::Param(number - 1),
            ty,
            typmod: -1,
        };
        Ok(typed(expr, at))
    }

    fn unary(&self, op: &str, arg: &ast::Expr, at: Position, s: &Scope<'_>) -> Result<Typed> {
        // A minus belongs to the literal that follows, so that the smallest integers can be written.
        if op == "-"
            && let Ast::Number(text) = &arg.kind
        {
            return match text.strip_prefix('-') {
                Some(positive) => self.number(positive, at),
                None => self.number(&format!("-{text}"), at),
            };
        }
        let arg = self.expr(arg, s)?;
        let call = self.operator(op, None, arg, at)?;
        Ok(typed(call, at))
    }

    fn binary(
        &self,
        op: &str,
        left: &ast::Expr,
        right: &ast::Expr,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        if let (Ast::Row(left), Ast::Row(right)) = (&left.kind, &right.kind) {
            return self.compare_rows(op, left, right, at, s);
        }
        // PostgreSQL's transform_null_equals is off by default, so `= NULL` is an operator too.
        let left = self.expr(left, s)?;
        let right = self.expr(right, s)?;
        let start = left.at;
        Ok(typed(self.operator(op, Some(left), right, at)?, start))
    }

    /// The call behind an operator.
    pub(super) fn operator(
        &self,
        symbol: &str,
        left: Option<Typed>,
        right: Typed,
        at: Position,
    ) -> Result<Expr> {
        let left_type = left.as_ref().map(|l| l.expr.ty);
        let chosen = resolve::operator(symbol, left_type, right.expr.ty, at)?;
        let mut args = Vec::with_capacity(2);
        if let (Some(left), Some(ty)) = (left, chosen.left) {
            args.push(self.coerce(left, ty, CastContext::Implicit)?);
        }
        args.push(self.coerce(right, chosen.right, CastContext::Implicit)?);
        Ok(self.call_or_constant(chosen.function, args, chosen.returns))
    }

    fn junction(&self, args: &[ast::Expr], and: bool, s: &Scope<'_>) -> Result<Typed> {
        let what = if and { "AND" } else { "OR" };
        let mut flat = Vec::with_capacity(args.len());
        let mut start = None;
        for arg in args {
            let value = self.expr(arg, s)?;
            start.get_or_insert(value.at);
            let value = self.to_specific(value, Type::Bool, what)?;
            match (value.kind, and) {
                (ExprKind::And(inner), true) | (ExprKind::Or(inner), false) => flat.extend(inner),
                (kind, _) => flat.push(boolean(kind)),
            }
        }
        let kind = if and {
            ExprKind::And(flat)
        } else {
            ExprKind::Or(flat)
        };
        Ok(typed(boolean(kind), start.unwrap_or(0)))
    }

    /// A row IS NULL when all its fields are, and IS NOT NULL when none is.
    fn is_null(&self, arg: &ast::Expr, negated: bool, s: &Scope<'_>) -> Result<Typed> {
        if let Ast::Row(items) = &arg.kind {
            let tests = items.iter().map(|item| {
                let test = self.is_null(item, negated, s)?;
                Ok(test.expr)
            });
            let tests = tests.collect::<Result<_>>()?;
            return Ok(typed(boolean(ExprKind::And(tests)), arg.position));
        }
        let value = self.expr(arg, s)?;
        let at = value.at;
        if let (ExprKind::Param(index), Type::Unknown) = (&value.expr.kind, value.expr.ty) {
            self.params.leave_untyped(*index, at);
        }
        let arg = Box::new(match value.expr.kind {
            ExprKind::Param(_) => value.expr,
            _ => self.settle(value)?,
        });
        Ok(typed(boolean(ExprKind::IsNull { arg, negated }), at))
    }

    fn is_bool(
        &self,
        arg: &ast::Expr,
        value: Option<bool>,
        negated: bool,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let what = match (value, negated) {
            (Some(true), false) => "IS TRUE",
            (Some(true), true) => "IS NOT TRUE",
            (Some(false), false) => "IS FALSE",
            (Some(false), true) => "IS NOT FALSE",
            (None, false) => "IS UNKNOWN",
            (None, true) => "IS NOT UNKNOWN",
        };
        let arg = self.expr(arg, s)?;
        let at = arg.at;
        let arg = Box::new(self.to_specific(arg, Type::Bool, what)?);
        let kind = ExprKind::IsBool {
            arg,
            value,
            negated,
        };
        Ok(typed(boolean(kind), at))
    }

    fn case(
        &self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        default: Option<&ast::Expr>,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let operand = operand.map(|o| self.case_operand(o, s)).transpose()?;
        let mut conditions = Vec::with_capacity(branches.len());
        let mut values = Vec::with_capacity(branches.len() + 1);
        for (when, then) in branches {
            conditions.push(match &operand {
                None => self.boolean(when, s, "CASE/WHEN")?,
                Some(operand) => {
                    let when_value = self.expr(when, s)?;
                    let equal =
                        self.operator("=", Some(operand.clone()), when_value, when.position)?;
                    self.to_specific(typed(equal, when.position), Type::Bool, "CASE/WHEN")?
                }
            });
            values.push(self.expr(then, s)?);
        }
        // PostgreSQL puts ELSE first when it looks for the type.
        let default = match default {
            Some(default) => self.expr(default, s)?,
            None => typed(constant(Datum::Null, Type::Unknown), at),
        };
        values.insert(0, default);
        let (mut values, ty) = self.unify_values(values, "CASE")?;
        let typmod = common_typmod(values.iter());
        let default = Box::new(values.remove(0));
        let kind = ExprKind::Case {
            branches: conditions.into_iter().zip(values).collect(),
            default,
        };
        Ok(typed(Expr { kind, ty, typmod }, at))
    }

    /// It is written into every branch's comparison, so it must not change between them.
    fn case_operand(&self, operand: &ast::Expr, s: &Scope<'_>) -> Result<Typed> {
        let value = self.expr(operand, s)?;
        let at = value.at;
        let expr = self.settle(value)?;
        if is_volatile(&expr) {
            return Err(Error::unsupported("CASE over a volatile expression is").at(at));
        }
        Ok(typed(expr, at))
    }

    fn cast(
        &self,
        arg: &ast::Expr,
        ty: &ast::TypeName,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let (to, typmod) = resolve_type(ty)?;
        if let (Ast::Array(items), Some(element)) = (&arg.kind, to.element()) {
            let items = items.iter().map(|item| {
                let value = self.expr(item, s)?;
                self.cast_to(value, element, typmod, item.position)
            });
            let items = items.collect::<Result<_>>()?;
            let expr = array_of(items, to, typmod);
            return Ok(typed(expr, arg.position.min(at)));
        }
        let value = self.expr(arg, s)?;
        let start = value.at.min(at);
        Ok(typed(self.cast_to(value, to, typmod, at)?, start))
    }

    fn cast_to(&self, value: Typed, ty: Type, typmod: i32, at: Position) -> Result<Expr> {
        let from = value.expr.ty;
        let expr = self
            .convert(value, ty, typmod, CastContext::Explicit)?
            .ok_or_else(|| cannot_cast(from, ty).at(at))?;
        Ok(match typmod < 0 && expr.typmod >= 0 {
            // The type without a modifier: no longer the column itself.
            true => Expr {
                ty,
                typmod,
                kind: ExprKind::Relabel(Box::new(expr)),
            },
            false => expr,
        })
    }

    fn collate(
        &self,
        arg: &ast::Expr,
        collation: &ast::Name,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Typed> {
        let value = self.expr(arg, s)?;
        let start = value.at;
        let ty = value.expr.ty;
        let element = ty.element().unwrap_or(ty);
        if element != Type::Unknown && element.category() != Category::String {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("collations are not supported by type {}", ty.sql_name()),
            )
            .at(at));
        }
        check_collation(collation, at)?;
        Ok(typed(value.expr, start))
    }

    fn array(&self, items: &[ast::Expr], at: Position, s: &Scope<'_>) -> Result<Typed> {
        if items.is_empty() {
            return Err(Error::new(
                SqlState::INDETERMINATE_DATATYPE,
                "cannot determine type of empty array",
            )
            .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
            .at(at));
        }
        let values = self.exprs(items, s)?;
        let (items, ty) = self.unify_values(values, "ARRAY")?;
        let Some(array) = ty.array() else {
            let what = match ty.element() {
                Some(_) => "multidimensional arrays are".to_owned(),
                None => format!("arrays of type {} are", ty.sql_name()),
            };
            return Err(Error::unsupported(what).at(at));
        };
        let typmod = common_typmod(items.iter());
        Ok(typed(array_of(items, array, typmod), at))
    }

    fn row(&self, items: &[ast::Expr], at: Position, s: &Scope<'_>) -> Result<Typed> {
        let values = self.exprs(items, s)?.into_iter();
        let values: Vec<Expr> = values.map(|v| self.settle(v)).collect::<Result<_>>()?;
        check_fields(&values, at)?;
        let expr = Expr {
            kind: ExprKind::Row(values),
            ty: Type::Record,
            typmod: -1,
        };
        Ok(typed(expr, at))
    }

    fn subscript(&self, arg: &ast::Expr, index: &ast::Expr, s: &Scope<'_>) -> Result<Typed> {
        let array = self.expr(arg, s)?;
        let Some(element) = array.expr.ty.element() else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    array.expr.ty.sql_name()
                ),
            )
            .at(array.at));
        };
        let index = self.expr(index, s)?;
        let index_at = index.at;
        let index = self.assignable(index, Type::Int4, -1)?.ok_or_else(|| {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                "array subscript must have type integer",
            )
            .at(index_at)
        })?;
        let expr = Expr {
            typmod: array.expr.typmod,
            kind: ExprKind::Subscript {
                array: Box::new(array.expr),
                index: Box::new(index),
            },
            ty: element,
        };
        Ok(typed(expr, array.at))
    }

    pub(super) fn exprs(&self, exprs: &[ast::Expr], s: &Scope<'_>) -> Result<Vec<Typed>> {
        exprs.iter().map(|e| self.expr(e, s)).collect()
    }
}

fn array_of(items: Vec<Expr>, ty: Type, typmod: i32) -> Expr {
    Expr {
        kind: ExprKind::Array(items),
        ty,
        typmod,
    }
}

pub(super) fn typed(expr: Expr, at: Position) -> Typed {
    Typed { expr, at }
}

pub(super) fn boolean(kind: ExprKind) -> Expr {
    Expr {
        kind,
        ty: Type::Bool,
        typmod: -1,
    }
}

pub(super) fn int8(value: i64) -> Expr {
    coerce::constant(Datum::Int8(value), Type::Int8)
}

/// A row's datum keeps no types, and some look like others.
pub(super) fn check_fields(fields: &[Expr], at: Position) -> Result<()> {
    let mixed = |ty: Type| ty == Type::Timestamptz || ty.is_reg() || ty.element().is_some();
    match fields.iter().find(|field| mixed(field.ty)) {
        None => Ok(()),
        Some(field) => {
            let ty = field.ty.sql_name();
            Err(Error::unsupported(format_args!("a row with a {ty} is")).at(at))
        }
    }
}
