//! Conversions between types: which are allowed where, and the expressions that make them.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, Position};
use crate::sql::bind::scope::Scope;
use crate::sql::bind::{Binder, Typed};
use crate::sql::func::catalog::reg_from_text;
use crate::sql::func::{self, CastContext, CastMethod};
use crate::sql::ir::{Expr, ExprKind};
use crate::types::{Category, Datum, Type, text_in};

/// The hint of a failed assignment.
pub(super) const REWRITE: &str = "You will need to rewrite or cast the expression.";

/// How a value becomes one of another type.
enum Path {
    Same,
    Cast(CastMethod),
    /// Element by element.
    Array(Type, Type),
}

/// `None` when there is no way in this context.
fn path(from: Type, to: Type, context: CastContext) -> Option<Path> {
    if from == to {
        return Some(Path::Same);
    }
    if let Some(cast) = func::cast(from, to) {
        return (cast.context <= context).then_some(Path::Cast(cast.method));
    }
    if let (Some(from), Some(to)) = (from.element(), to.element()) {
        path(from, to, context)?;
        return Some(Path::Array(from, to));
    }
    // Anything can be assigned to a string type, and a string cast to anything.
    let by_text = match context {
        CastContext::Implicit => false,
        CastContext::Assignment => to.category() == Category::String,
        CastContext::Explicit => {
            to.category() == Category::String || from.category() == Category::String
        }
    };
    let pseudo = |t: Type| t.category() == Category::Pseudo && t != Type::Record;
    (by_text && !pseudo(from) && !pseudo(to)).then_some(Path::Cast(CastMethod::InOut))
}

pub(super) fn can_coerce(from: Type, to: Type, context: CastContext) -> bool {
    match (from, to) {
        (_, Type::Any) | (Type::Unknown, _) => true,
        _ => path(from, to, context).is_some(),
    }
}

impl Binder<'_> {
    /// Converts to a type and modifier, or `None` when that is not allowed in this context.
    pub(super) fn convert(
        &self,
        value: Typed,
        ty: Type,
        typmod: i32,
        context: CastContext,
    ) -> Result<Option<Expr>> {
        if !can_coerce(value.expr.ty, ty, context) {
            return Ok(None);
        }
        let expr = self.coerce(value, ty, context)?;
        Ok(Some(with_typmod(
            expr,
            typmod,
            context == CastContext::Explicit,
        )))
    }

    /// Converts as in an assignment to a column.
    pub(super) fn assignable(&self, value: Typed, ty: Type, typmod: i32) -> Result<Option<Expr>> {
        self.convert(value, ty, typmod, CastContext::Assignment)
    }

    /// Converts without modifier. The caller knows that it can.
    pub(super) fn coerce(&self, value: Typed, ty: Type, context: CastContext) -> Result<Expr> {
        let Typed { expr, at } = value;
        if expr.ty == ty || ty == Type::Any {
            return Ok(expr);
        }
        if expr.ty == Type::Unknown {
            return self.give_type(expr, ty, at);
        }
        match path(expr.ty, ty, context) {
            Some(path) => self.along(expr, ty, path, context, at),
            None => Err(cannot_cast(expr.ty, ty).at(at)),
        }
    }

    fn along(
        &self,
        expr: Expr,
        ty: Type,
        path: Path,
        context: CastContext,
        at: Position,
    ) -> Result<Expr> {
        let kind = match path {
            Path::Same => return Ok(expr),
            Path::Cast(CastMethod::Relabel) => relabel(expr),
            Path::Cast(CastMethod::InOut) => ExprKind::InOut(Box::new(expr)),
            Path::Cast(CastMethod::Function(function)) => {
                let mut args = vec![expr];
                // PostgreSQL's length-taking casts: the modifier is applied by itself, later.
                for extra in &function.args[1..] {
                    args.push(constant(
                        match extra {
                            Type::Bool => Datum::Bool(context == CastContext::Explicit),
                            _ => Datum::Int4(-1),
                        },
                        *extra,
                    ));
                }
                return Ok(self.call_or_constant(function, args, ty));
            }
            Path::Array(from, to) => {
                let element = Typed {
                    expr: column(0, from),
                    at,
                };
                ExprKind::ArrayCast {
                    element: Box::new(self.coerce(element, to, context)?),
                    arg: Box::new(expr),
                }
            }
        };
        Ok(Expr {
            kind,
            ty,
            typmod: -1,
        })
    }

    /// A literal is read, a parameter's type inferred.
    fn give_type(&self, expr: Expr, ty: Type, at: Position) -> Result<Expr> {
        let kind = match expr.kind {
            ExprKind::Const(Datum::Text(text)) => return self.literal(text, ty, at),
            ExprKind::Param(index) => {
                self.params.fix(index, ty, at)?;
                ExprKind::Param(index)
            }
            ExprKind::Const(Datum::Null) => ExprKind::Const(Datum::Null),
            _ => ExprKind::InOut(Box::new(expr)),
        };
        Ok(Expr {
            kind,
            ty,
            typmod: -1,
        })
    }

    fn literal(&self, text: String, ty: Type, at: Position) -> Result<Expr> {
        let value = match ty {
            // A plan holds only for the catalog it was made for.
            ty if ty.is_reg() => {
                reg_from_text(&self.eval_context(), ty, &text).map_err(|e| e.at(at))?
            }
            Type::Text | Type::Varchar | Type::Bpchar => Datum::Text(text),
            _ => text_in(ty, -1, &text, self.cx.format).map_err(|e| e.at(at))?,
        };
        Ok(constant(value, ty))
    }

    /// Text, if nothing has told the type (10.6).
    pub(super) fn settle(&self, value: Typed) -> Result<Expr> {
        match value.expr.ty {
            Type::Unknown => self.coerce(value, Type::Text, CastContext::Implicit),
            _ => Ok(value.expr),
        }
    }

    /// An expression that must be boolean.
    pub(super) fn boolean(&self, expr: &ast::Expr, scope: &Scope<'_>, what: &str) -> Result<Expr> {
        let value = self.expr(expr, scope)?;
        self.to_specific(value, Type::Bool, what)
    }

    /// As `argument of WHERE must be type boolean`.
    pub(super) fn to_specific(&self, value: Typed, ty: Type, what: &str) -> Result<Expr> {
        let Typed { expr, at } = &value;
        let (from, at) = (expr.ty, *at);
        self.assignable(value, ty, -1)?.ok_or_else(|| {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "argument of {what} must be type {}, not type {}",
                    ty.sql_name(),
                    from.sql_name()
                ),
            )
            .at(at)
        })
    }

    /// Converts to the type that `common_type` found.
    pub(super) fn to_common(&self, value: Typed, ty: Type, what: &str) -> Result<Expr> {
        let Typed { expr, at } = &value;
        let (from, at) = (expr.ty, *at);
        if !can_coerce(from, ty, CastContext::Implicit) {
            return Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!(
                    "{what} could not convert type {} to {}",
                    from.sql_name(),
                    ty.sql_name()
                ),
            )
            .at(at));
        }
        self.coerce(value, ty, CastContext::Implicit)
    }

    /// Brings values to one type: CASE, COALESCE, ARRAY, VALUES….
    pub(super) fn unify_values(&self, values: Vec<Typed>, what: &str) -> Result<(Vec<Expr>, Type)> {
        let types = values.iter().map(|v| (v.expr.ty, v.at));
        let ty = common_type(types, what)?;
        let convert = |v| self.to_common(v, ty, what);
        let values = values.into_iter().map(convert).collect::<Result<_>>()?;
        Ok((values, ty))
    }
}

/// The type of UNION, CASE and related constructs (10.5).
pub(super) fn common_type(
    types: impl Iterator<Item = (Type, Position)>,
    what: &str,
) -> Result<Type> {
    match try_common_type(types) {
        Ok(ty) => Ok(ty),
        Err((left, right, at)) => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "{what} types {} and {} cannot be matched",
                left.sql_name(),
                right.sql_name()
            ),
        )
        .at(at)),
    }
}

/// `Err`: two types of different categories.
pub(super) fn try_common_type(
    types: impl Iterator<Item = (Type, Position)>,
) -> Result<Type, (Type, Type, Position)> {
    let mut best = Type::Unknown;
    for (ty, at) in types {
        if ty == Type::Unknown || ty == best {
            continue;
        }
        if best == Type::Unknown {
            best = ty;
        } else if ty.category() != best.category() {
            return Err((best, ty, at));
        } else if !best.is_preferred()
            && can_coerce(best, ty, CastContext::Implicit)
            && !can_coerce(ty, best, CastContext::Implicit)
        {
            best = ty;
        }
    }
    Ok(match best {
        Type::Unknown => Type::Text,
        known => known,
    })
}

/// The modifier that all share, or none.
pub(super) fn common_typmod<'e>(mut exprs: impl Iterator<Item = &'e Expr>) -> i32 {
    let Some(first) = exprs.next() else {
        return -1;
    };
    let typmod = first.typmod;
    match exprs.all(|e| e.typmod == typmod && e.ty == first.ty) {
        true => typmod,
        false => -1,
    }
}

/// Enforces a length or precision unless the value is known to keep it.
pub(super) fn with_typmod(expr: Expr, typmod: i32, explicit: bool) -> Expr {
    if typmod < 0 || expr.typmod == typmod {
        return expr;
    }
    let ty = expr.ty;
    let kind = match ty.element() {
        None => ExprKind::Typmod {
            arg: Box::new(expr),
            explicit,
        },
        Some(element) => ExprKind::ArrayCast {
            arg: Box::new(expr),
            element: Box::new(with_typmod(column(0, element), typmod, explicit)),
        },
    };
    Expr { kind, ty, typmod }
}

pub(super) fn cannot_cast(from: Type, to: Type) -> Error {
    Error::new(
        SqlState::CANNOT_COERCE,
        format!("cannot cast type {} to {}", from.sql_name(), to.sql_name()),
    )
}

pub(super) fn constant(value: Datum, ty: Type) -> Expr {
    Expr {
        kind: ExprKind::Const(value),
        ty,
        typmod: -1,
    }
}

pub(super) fn column(column: usize, ty: Type) -> Expr {
    Expr {
        kind: ExprKind::Column(column),
        ty,
        typmod: -1,
    }
}

fn relabel(expr: Expr) -> ExprKind {
    match expr.kind {
        ExprKind::Const(value) => ExprKind::Const(value),
        kind => ExprKind::Relabel(Box::new(Expr { kind, ..expr })),
    }
}
