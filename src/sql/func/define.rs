//! The small language in which the tables of this folder are written.

use std::cmp::Ordering;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::{Eval, EvalContext, Function, Rows, Volatility};
use crate::types::{Datum, Type};

/// An immutable, strict function; the methods below say otherwise.
pub(super) const fn function(
    name: &'static str,
    args: &'static [Type],
    returns: Type,
    eval: Eval,
) -> Function {
    Function {
        name,
        args,
        variadic: false,
        returns,
        strict: true,
        volatility: Volatility::Immutable,
        eval,
    }
}

impl Function {
    pub(super) const fn stable(mut self) -> Function {
        self.volatility = Volatility::Stable;
        self
    }

    pub(super) const fn volatile(mut self) -> Function {
        self.volatility = Volatility::Volatile;
        self
    }

    /// Called with NULLs too.
    pub(super) const fn sees_null(mut self) -> Function {
        self.strict = false;
        self
    }

    pub(super) const fn variadic(mut self) -> Function {
        self.variadic = true;
        self
    }
}

/// The code of a strict function: `eval!(|a: Int4, b: Int4| …)` names the datum variants and binds
/// references to their contents. `eval!(cx; |…| …)` sees the context too.
macro_rules! eval {
    (|$a:ident: $A:ident| $body:expr) => {
        eval!(_cx; |$a: $A| $body)
    };
    (|$a:ident: $A:ident, $b:ident: $B:ident| $body:expr) => {
        eval!(_cx; |$a: $A, $b: $B| $body)
    };
    (|$a:ident: $A:ident, $b:ident: $B:ident, $c:ident: $C:ident| $body:expr) => {
        eval!(_cx; |$a: $A, $b: $B, $c: $C| $body)
    };
    (|$($x:ident: $X:ident),+| $body:expr) => {
        eval!(_cx; |$($x: $X),+| $body)
    };
    ($cx:ident; |$a:ident: $A:ident| $body:expr) => {
        $crate::sql::func::Eval::F1(|$cx, a| match a {
            $crate::types::Datum::$A($a) => $body,
            _ => $crate::sql::func::define::wrong_argument(),
        })
    };
    ($cx:ident; |$a:ident: $A:ident, $b:ident: $B:ident| $body:expr) => {
        $crate::sql::func::Eval::F2(|$cx, a, b| match (a, b) {
            ($crate::types::Datum::$A($a), $crate::types::Datum::$B($b)) => $body,
            _ => $crate::sql::func::define::wrong_argument(),
        })
    };
    ($cx:ident; |$a:ident: $A:ident, $b:ident: $B:ident, $c:ident: $C:ident| $body:expr) => {
        $crate::sql::func::Eval::F3(|$cx, a, b, c| match (a, b, c) {
            (
                $crate::types::Datum::$A($a),
                $crate::types::Datum::$B($b),
                $crate::types::Datum::$C($c),
            ) => $body,
            _ => $crate::sql::func::define::wrong_argument(),
        })
    };
    ($cx:ident; |$($x:ident: $X:ident),+| $body:expr) => {
        $crate::sql::func::Eval::N(|$cx, args| match args {
            [$($crate::types::Datum::$X($x)),+] => $body,
            _ => $crate::sql::func::define::wrong_argument(),
        })
    };
}

/// One operator: `operator!(Int4 "+" Int4 => Int4, "int4pl", eval; commutator "+")`; the left type
/// is left out for a prefix operator. A method of `Function` (`stable`) may stand in front.
macro_rules! operator {
    ($left:ident $symbol:literal $($rest:tt)*) => {
        operator!(@infix [] $left $symbol $($rest)*)
    };
    ($method:ident $left:ident $symbol:literal $($rest:tt)*) => {
        operator!(@infix [$method] $left $symbol $($rest)*)
    };
    ($symbol:literal $right:ident => $returns:ident, $name:expr, $eval:expr) => {
        operator!(@ [] None, &[$crate::types::Type::$right],
            $symbol $right => $returns, $name, $eval)
    };
    (@infix [$($method:ident)?] $left:ident $symbol:literal $right:ident => $returns:ident,
        $name:expr, $eval:expr $(; commutator $commutator:literal $(, $strategy:ident)?)?) => {
        operator!(@ [$($method)?] Some($crate::types::Type::$left),
            &[$crate::types::Type::$left, $crate::types::Type::$right],
            $symbol $right => $returns, $name, $eval
            $(; commutator $commutator $(, $strategy)?)?)
    };
    (@ [$($method:ident)?] $left:expr, $args:expr, $symbol:literal $right:ident => $returns:ident,
        $name:expr, $eval:expr $(; commutator $commutator:literal $(, $strategy:ident)?)?) => {
        $crate::sql::func::Operator {
            symbol: $symbol,
            left: $left,
            right: $crate::types::Type::$right,
            function: &$crate::sql::func::define::function(
                $name,
                $args,
                $crate::types::Type::$returns,
                $eval,
            )$(.$method())?,
            commutator: operator!(@option $($commutator)?),
            strategy: operator!(@strategy $($($strategy)?)?),
        }
    };
    (@option) => { None };
    (@option $x:literal) => { Some($x) };
    (@strategy) => { None };
    (@strategy $x:ident) => { Some($crate::sql::func::Comparison::$x) };
}

/// The six comparison operators of two types, as a slice. The functions are called
/// `$prefix` + eq, ne, lt, le, gt, ge + `$suffix`, or as listed in that order; `$compare` takes
/// references to the contents of the datums and gives an `Ordering`.
macro_rules! comparisons {
    ([$($method:ident)?] $left:ident($L:ident) $right:ident($R:ident),
        $prefix:literal $(, $suffix:literal)?; $compare:expr) => {
        comparisons!(@all [$($method)?] $left($L) $right($R), [
            concat!($prefix, "eq" $(, $suffix)?),
            concat!($prefix, "ne" $(, $suffix)?),
            concat!($prefix, "lt" $(, $suffix)?),
            concat!($prefix, "le" $(, $suffix)?),
            concat!($prefix, "gt" $(, $suffix)?),
            concat!($prefix, "ge" $(, $suffix)?)
        ]; $compare)
    };
    (@all $method:tt $left:ident($L:ident) $right:ident($R:ident),
        [$eq:expr, $ne:expr, $lt:expr, $le:expr, $gt:expr, $ge:expr]; $compare:expr) => {
        &[
            comparisons!(@ $method $left($L) "=" $right($R), $eq, is_eq, $compare, "=", Equal),
            comparisons!(@ $method $left($L) "<>" $right($R), $ne, is_ne, $compare, "<>"),
            comparisons!(@ $method $left($L) "<" $right($R), $lt, is_lt, $compare, ">", Less),
            comparisons!(@ $method $left($L) "<=" $right($R), $le, is_le, $compare, ">=", LessEqual),
            comparisons!(@ $method $left($L) ">" $right($R), $gt, is_gt, $compare, "<", Greater),
            comparisons!(@ $method $left($L) ">=" $right($R), $ge, is_ge, $compare, "<=",
                GreaterEqual),
        ]
    };
    (@ [$($method:ident)?] $left:ident($L:ident) $symbol:literal $right:ident($R:ident),
        $name:expr, $is:ident, $compare:expr, $commutator:literal $(, $strategy:ident)?) => {
        operator!($($method)? $left $symbol $right => Bool, $name,
            eval!(cx; |a: $L, b: $R| {
                let order = $crate::sql::func::define::order(cx, a, b, $compare);
                Ok($crate::types::Datum::Bool(order.$is()))
            });
            commutator $commutator $(, $strategy)?)
    };
    ($left:ident($L:ident) $right:ident($R:ident), [$($names:tt)*]; $compare:expr) => {
        comparisons!(@all [] $left($L) $right($R), [$($names)*]; $compare)
    };
    ($left:ident($L:ident) $($rest:tt)*) => {
        comparisons!([] $left($L) $($rest)*)
    };
}

pub(super) use {comparisons, eval, operator};

/// Calls `compare`; the arguments tell the types of the closure's parameters.
#[inline(always)]
pub(super) fn order<L, R>(
    cx: &EvalContext<'_>,
    a: &L,
    b: &R,
    compare: impl Fn(&EvalContext<'_>, &L, &R) -> Ordering,
) -> Ordering {
    compare(cx, a, b)
}

/// A datum that is not of the declared type: `bind` or the caller has erred.
#[cold]
pub(super) fn wrong_argument<T>() -> Result<T> {
    Err(Error::new(
        SqlState::INTERNAL_ERROR,
        "function called with an argument of another type",
    ))
}

#[cold]
pub(super) fn out_of_range<T>(what: &str) -> Result<T> {
    Err(Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("{what} out of range"),
    ))
}

#[cold]
pub(super) fn division_by_zero<T>() -> Result<T> {
    Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"))
}

/// Rows of one value each.
pub(super) fn rows<I>(values: I) -> Rows
where
    I: IntoIterator<Item = Datum, IntoIter: Send + Sync + 'static>,
{
    Box::new(values.into_iter().map(|value| Ok(vec![value])))
}

pub(super) fn text(s: impl Into<String>) -> Result<Datum> {
    Ok(Datum::Text(s.into()))
}
