//! Functions, operators, casts and aggregates: what they are called, which types they take, and
//! the code that computes them.

use crate::base::Result;
use crate::sql::context::SessionInfo;
use crate::table::Catalog;
use crate::types::{Datum, Format, Type};

/// What an evaluation may ask of its surroundings.
pub struct EvalContext<'a> {
    /// How values are read and written, and the transaction's time.
    pub format: &'a Format,
    pub session: &'a SessionInfo,
    pub catalog: &'a Catalog,
    /// Values of `$1`…, in the types that `bind` inferred.
    pub params: &'a [Datum],
}

/// The code of a function, by the number of its arguments.
#[derive(Clone, Copy)]
pub enum Eval {
    F0(fn(&EvalContext<'_>) -> Result<Datum>),
    F1(fn(&EvalContext<'_>, &Datum) -> Result<Datum>),
    F2(fn(&EvalContext<'_>, &Datum, &Datum) -> Result<Datum>),
    F3(fn(&EvalContext<'_>, &Datum, &Datum, &Datum) -> Result<Datum>),
    N(fn(&EvalContext<'_>, &[Datum]) -> Result<Datum>),
    /// A set-returning function: all its rows (each of one or more columns).
    Set(fn(&EvalContext<'_>, &[Datum]) -> Result<Vec<Vec<Datum>>>),
}

/// One row of `pg_proc`, or the function behind an operator or a cast.
pub struct Function {
    pub name: &'static str,
    pub args: &'static [Type],
    /// The last argument may be repeated.
    pub variadic: bool,
    pub returns: Type,
    /// NULL in, NULL out: the caller checks, `eval` never sees a NULL.
    pub strict: bool,
    pub volatility: Volatility,
    pub eval: Eval,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// Same arguments, same result: may be folded when planning.
    Immutable,
    /// Constant within a statement.
    Stable,
    Volatile,
}

/// An infix operator, or a prefix operator (`left: None`).
pub struct Operator {
    pub symbol: &'static str,
    pub left: Option<Type>,
    pub right: Type,
    pub function: &'static Function,
    /// The operator with its arguments exchanged (`<` for `>`).
    pub commutator: Option<&'static str>,
    /// What a B+tree over the left type knows of it.
    pub strategy: Option<Comparison>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Anywhere.
    Implicit,
    /// When a value is assigned to a column, and explicitly.
    Assignment,
    Explicit,
}

pub enum CastMethod {
    /// Same datum.
    Relabel,
    Function(&'static Function),
    /// Through the text form.
    InOut,
}

pub struct Cast {
    pub from: Type,
    pub to: Type,
    pub context: CastContext,
    pub method: CastMethod,
}

/// Gathers the rows of one group. NULL arguments of strict aggregates are skipped by the caller.
pub trait Accumulator: Send {
    fn add(&mut self, cx: &EvalContext<'_>, args: &[Datum]) -> Result<()>;
    fn finish(&mut self, cx: &EvalContext<'_>) -> Result<Datum>;
}

pub struct Aggregate {
    pub name: &'static str,
    /// Empty for `count(*)`.
    pub args: &'static [Type],
    pub returns: Type,
    /// Rows whose arguments hold a NULL are skipped.
    pub strict: bool,
    pub new: fn() -> Box<dyn Accumulator>,
}
