//! Evaluation of bound expressions.
//!
//! E1: columns, constants and parameters are returned by reference; nothing is copied to look at it.
//! E2: a strict function never sees a NULL.
//! E3: only the branch that is taken is evaluated (CASE, COALESCE, AND, OR).

mod key;
mod value;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::{Error, Result, SqlState};
use crate::sql::exec::Run;
use crate::sql::func::{Eval, EvalContext, Function};
use crate::sql::ir::{Expr, ExprKind};
use crate::types::{Array, Datum, Type};

pub use key::{hash_key, hashable};
pub use value::{assign, compare, text_in, text_out, to_text};

/// What an expression is evaluated against, besides its row.
pub struct ExprContext<'a> {
    pub eval: EvalContext<'a>,
    /// The rows of the enclosing queries, nearest first.
    pub outer: Option<&'a OuterRow<'a>>,
    /// The execution whose subqueries may be asked for; `None` where none can occur.
    pub(crate) run: Option<&'a Run>,
}

/// A row of an enclosing query.
pub struct OuterRow<'a> {
    pub row: &'a [Datum],
    pub next: Option<&'a OuterRow<'a>>,
}

impl<'a> ExprContext<'a> {
    /// For expressions without subqueries and outer rows: defaults, CHECKs, EXECUTE arguments.
    pub fn new(eval: EvalContext<'a>) -> ExprContext<'a> {
        ExprContext {
            eval,
            outer: None,
            run: None,
        }
    }

    /// The execution that operators are part of.
    pub(crate) fn running(&self) -> Result<&'a Run> {
        self.run.ok_or_else(no_subquery)
    }

    /// The same context inside a query whose enclosing row is `outer`.
    pub(crate) fn inside(&self, outer: &'a OuterRow<'a>) -> ExprContext<'a> {
        ExprContext {
            eval: EvalContext { ..self.eval },
            outer: Some(outer),
            run: self.run,
        }
    }
}

/// The value of `expr` over `row`.
pub fn eval<'a>(expr: &'a Expr, row: &'a [Datum], cx: &ExprContext<'a>) -> Result<Cow<'a, Datum>> {
    match &expr.kind {
        ExprKind::Const(datum) => Ok(Cow::Borrowed(datum)),
        ExprKind::Param(index) => param(*index, cx).map(Cow::Borrowed),
        ExprKind::Column(column) => Ok(Cow::Borrowed(&row[*column])),
        ExprKind::Outer { level, column } => Ok(Cow::Borrowed(&outer(*level, cx)?[*column])),
        ExprKind::Relabel(arg) => eval(arg, row, cx),
        ExprKind::Case { branches, default } => {
            for (condition, value) in branches {
                if is_true(condition, row, cx)? {
                    return eval(value, row, cx);
                }
            }
            eval(default, row, cx)
        }
        ExprKind::Coalesce(args) => {
            for arg in args {
                let value = eval(arg, row, cx)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Cow::Owned(Datum::Null))
        }
        ExprKind::MinMax { greatest, args } => min_max(*greatest, args, row, cx),
        ExprKind::NullIf { equal, left, right } => {
            let types = [left.ty, right.ty];
            let left = eval(left, row, cx)?;
            let right = eval(right, row, cx)?;
            match call2(equal, cx, types, &left, &right)? {
                Datum::Bool(true) => Ok(Cow::Owned(Datum::Null)),
                _ => Ok(left),
            }
        }
        _ => compute(expr, row, cx).map(Cow::Owned),
    }
}

/// Whether a condition holds: NULL does not.
pub fn is_true(expr: &Expr, row: &[Datum], cx: &ExprContext<'_>) -> Result<bool> {
    Ok(truth(expr, row, cx)? == Some(true))
}

/// The three-valued truth of a boolean expression.
pub fn truth(expr: &Expr, row: &[Datum], cx: &ExprContext<'_>) -> Result<Option<bool>> {
    match &expr.kind {
        ExprKind::And(args) => junction(args, false, row, cx),
        ExprKind::Or(args) => junction(args, true, row, cx),
        ExprKind::Not(arg) => Ok(truth(arg, row, cx)?.map(|t| !t)),
        _ => match &*eval(expr, row, cx)? {
            Datum::Bool(value) => Ok(Some(*value)),
            _ => Ok(None),
        },
    }
}

/// OR is true at the first true, AND false at the first false; otherwise a NULL makes it NULL.
fn junction(
    args: &[Expr],
    decisive: bool,
    row: &[Datum],
    cx: &ExprContext<'_>,
) -> Result<Option<bool>> {
    let mut result = Some(!decisive);
    for arg in args {
        match truth(arg, row, cx)? {
            Some(value) if value == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn compute(expr: &Expr, row: &[Datum], cx: &ExprContext<'_>) -> Result<Datum> {
    match &expr.kind {
        ExprKind::Call { function, args } => call(function, args, row, cx),
        ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) => {
            Ok(truth(expr, row, cx)?.map_or(Datum::Null, Datum::Bool))
        }
        ExprKind::IsNull { arg, negated } => {
            Ok(Datum::Bool(eval(arg, row, cx)?.is_null() != *negated))
        }
        ExprKind::IsBool {
            arg,
            value,
            negated,
        } => Ok(Datum::Bool((truth(arg, row, cx)? == *value) != *negated)),
        ExprKind::IsDistinct {
            equal,
            left,
            right,
            negated,
        } => {
            let types = [left.ty, right.ty];
            let left = eval(left, row, cx)?;
            let right = eval(right, row, cx)?;
            let distinct = match (left.is_null(), right.is_null()) {
                (true, true) => false,
                (false, false) => {
                    !matches!(call2(equal, cx, types, &left, &right)?, Datum::Bool(true))
                }
                _ => true,
            };
            Ok(Datum::Bool(distinct != *negated))
        }
        ExprKind::In {
            equal,
            arg,
            list,
            negated,
        } => {
            let ty = arg.ty;
            let arg = eval(arg, row, cx)?;
            let found = any(list.iter().map(|item| {
                let types = [ty, item.ty];
                let item = eval(item, row, cx)?;
                call2(equal, cx, types, &arg, &item)
            }))?;
            Ok(found.map_or(Datum::Null, |found| Datum::Bool(found != *negated)))
        }
        ExprKind::AnyAll {
            op,
            all,
            left,
            array,
        } => {
            let types = [left.ty, array.ty.element().unwrap_or(Type::Any)];
            let array = eval(array, row, cx)?;
            let Datum::Array(array) = &*array else {
                return Ok(Datum::Null);
            };
            let left = eval(left, row, cx)?;
            let elements = array.elements.iter();
            any_all(*all, elements.map(|e| call2(op, cx, types, &left, e)))
        }
        ExprKind::InOut(arg) => {
            let value = eval(arg, row, cx)?;
            value::in_out(&value, arg.ty, expr.ty, &cx.eval)
        }
        ExprKind::ArrayCast { arg, element } => match &*eval(arg, row, cx)? {
            Datum::Array(array) => {
                let elements = array.elements.iter();
                let converted = elements
                    .map(|e| Ok(eval(element, std::slice::from_ref(e), cx)?.into_owned()))
                    .collect::<Result<_>>()?;
                Ok(array_of(converted))
            }
            _ => Ok(Datum::Null),
        },
        ExprKind::Typmod { arg, explicit } => {
            let value = eval(arg, row, cx)?;
            value::apply_typmod(value, expr.ty, expr.typmod, *explicit)
        }
        ExprKind::Array(items) | ExprKind::Row(items) => {
            let elements = items
                .iter()
                .map(|item| Ok(eval(item, row, cx)?.into_owned()))
                .collect::<Result<_>>()?;
            Ok(array_of(elements))
        }
        ExprKind::Subscript { array, index } => subscript(array, index, row, cx),
        ExprKind::SubPlan { index, left } => {
            let run = cx.running()?;
            let left = left.as_deref().map(|l| eval(l, row, cx)).transpose()?;
            run.subquery(*index, left.as_deref(), row, cx)
        }
        ExprKind::Subquery(_) => Err(no_subquery()),
        ExprKind::Const(_)
        | ExprKind::Param(_)
        | ExprKind::Column(_)
        | ExprKind::Outer { .. }
        | ExprKind::Relabel(_)
        | ExprKind::Case { .. }
        | ExprKind::Coalesce(_)
        | ExprKind::MinMax { .. }
        | ExprKind::NullIf { .. } => Ok(eval(expr, row, cx)?.into_owned()),
    }
}

fn no_subquery() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot use subquery in this expression",
    )
}

fn array_of(elements: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(Array { elements }))
}

fn param<'a>(index: usize, cx: &ExprContext<'a>) -> Result<&'a Datum> {
    cx.eval.params.get(index).ok_or_else(|| {
        let message = format!("no value found for parameter {}", index + 1);
        Error::new(SqlState::UNDEFINED_PARAMETER, message)
    })
}

fn outer<'a>(level: usize, cx: &ExprContext<'a>) -> Result<&'a [Datum]> {
    let mut frame = cx.outer;
    for _ in 1..level {
        frame = frame.and_then(|f| f.next);
    }
    match frame {
        Some(frame) => Ok(frame.row),
        None => Err(Error::new(
            SqlState::INTERNAL_ERROR,
            "reference to a row of a query that is not running",
        )),
    }
}

fn call(
    function: &'static Function,
    args: &[Expr],
    row: &[Datum],
    cx: &ExprContext<'_>,
) -> Result<Datum> {
    match (function.eval, args) {
        (Eval::F0(f), []) => f(&cx.eval),
        (Eval::F1(f), [a]) => {
            let a = eval(a, row, cx)?;
            if function.strict && a.is_null() {
                return Ok(Datum::Null);
            }
            f(&cx.eval, &a)
        }
        (Eval::F2(f), [a, b]) => {
            // Also beside a NULL the second may fail.
            let a = eval(a, row, cx)?;
            let b = eval(b, row, cx)?;
            if function.strict && (a.is_null() || b.is_null()) {
                return Ok(Datum::Null);
            }
            f(&cx.eval, &a, &b)
        }
        (Eval::F3(f), [a, b, c]) => {
            let a = eval(a, row, cx)?;
            let b = eval(b, row, cx)?;
            let c = eval(c, row, cx)?;
            if function.strict && (a.is_null() || b.is_null() || c.is_null()) {
                return Ok(Datum::Null);
            }
            f(&cx.eval, &a, &b, &c)
        }
        (Eval::N(f), _) => {
            let values = eval_all(args, row, cx)?;
            if function.strict && values.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            f(&cx.eval, &values)
        }
        (Eval::Typed(f), _) => {
            let values = eval_all(args, row, cx)?;
            if function.strict && values.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            let types: SmallVec<[Type; 4]> = args.iter().map(|arg| arg.ty).collect();
            f(&cx.eval, &types, &values)
        }
        (Eval::Set(_), _) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "set-valued function called in context that cannot accept a set",
        )),
        _ => Err(Error::new(
            SqlState::INTERNAL_ERROR,
            format!("wrong number of arguments for {}", function.name),
        )),
    }
}

/// The values of several expressions, owned.
pub(crate) fn eval_all(
    args: &[Expr],
    row: &[Datum],
    cx: &ExprContext<'_>,
) -> Result<SmallVec<[Datum; 4]>> {
    args.iter()
        .map(|arg| Ok(eval(arg, row, cx)?.into_owned()))
        .collect()
}

/// A function of two arguments on values at hand, of these types.
pub(crate) fn call2(
    function: &'static Function,
    cx: &ExprContext<'_>,
    types: [Type; 2],
    a: &Datum,
    b: &Datum,
) -> Result<Datum> {
    if function.strict && (a.is_null() || b.is_null()) {
        return Ok(Datum::Null);
    }
    match function.eval {
        Eval::F2(f) => f(&cx.eval, a, b),
        Eval::N(f) => f(&cx.eval, &[a.clone(), b.clone()]),
        Eval::Typed(f) => f(&cx.eval, &types, &[a.clone(), b.clone()]),
        _ => Err(Error::new(
            SqlState::INTERNAL_ERROR,
            format!("{} does not take two arguments", function.name),
        )),
    }
}

/// True at the first true; NULL if there was a NULL; else false.
fn any(results: impl Iterator<Item = Result<Datum>>) -> Result<Option<bool>> {
    let mut unknown = false;
    for result in results {
        match result? {
            Datum::Bool(true) => return Ok(Some(true)),
            Datum::Bool(false) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(false) })
}

/// ANY or ALL over the results of single comparisons.
pub(crate) fn any_all(all: bool, results: impl Iterator<Item = Result<Datum>>) -> Result<Datum> {
    let found = if all {
        // ALL is the negation of ANY over the negated comparisons.
        let negated = results.map(|r| {
            r.map(|d| match d {
                Datum::Bool(value) => Datum::Bool(!value),
                other => other,
            })
        });
        any(negated)?.map(|found| !found)
    } else {
        any(results)?
    };
    Ok(found.map_or(Datum::Null, Datum::Bool))
}

fn min_max<'a>(
    greatest: bool,
    args: &'a [Expr],
    row: &'a [Datum],
    cx: &ExprContext<'a>,
) -> Result<Cow<'a, Datum>> {
    let mut best: Cow<'a, Datum> = Cow::Owned(Datum::Null);
    let wanted = if greatest {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    for arg in args {
        let value = eval(arg, row, cx)?;
        if value.is_null() {
            continue;
        }
        if best.is_null() || compare(arg.ty, &value, &best) == wanted {
            best = value;
        }
    }
    Ok(best)
}

fn subscript(array: &Expr, index: &Expr, row: &[Datum], cx: &ExprContext<'_>) -> Result<Datum> {
    let array = eval(array, row, cx)?;
    let index = match &*eval(index, row, cx)? {
        Datum::Int2(i) => i64::from(*i),
        Datum::Int4(i) => i64::from(*i),
        Datum::Int8(i) => *i,
        _ => return Ok(Datum::Null),
    };
    let Datum::Array(array) = &*array else {
        return Ok(Datum::Null);
    };
    let place = usize::try_from(index - 1).ok();
    let element = place.and_then(|place| array.elements.get(place));
    Ok(element.cloned().unwrap_or(Datum::Null))
}
