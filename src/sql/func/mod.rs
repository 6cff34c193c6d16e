//! Functions, operators, casts and aggregates: what they are called, which types they take, and
//! the code that computes them.
//!
//! The tables carry the signatures of PostgreSQL 15's `pg_proc`, `pg_operator` and `pg_cast`, so
//! that overloads resolved by PostgreSQL's rules give PostgreSQL's choice. Each group of types has
//! a file with one line per entry; the look-ups below gather them once.
//!
//! F1: a strict function never sees NULL; its caller checks.
//! F2: a datum's variant is that of its declared type. The code of a function that is called with
//! another answers XX000, since `bind` must have erred.
//! F3: `AnyElement` stands for PostgreSQL's anyelement, anynonarray and anycompatible, `AnyArray`
//! for anyarray and anycompatiblearray. In `text || any` and `any || text` it is anynonarray.

mod advisory;
mod aggregate;
mod array;
mod backends;
mod boolean;
mod bytea;
mod cast;
pub mod catalog;
mod check;
mod datetime;
mod define;
mod float;
mod int;
mod like;
mod lsn;
mod numeric;
mod regexp;
pub mod sequence;
mod session;
pub mod text;

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::base::Result;
use crate::sql::context::SessionInfo;
use crate::table::Catalog;
use crate::types::{Datum, Format, Type};

/// The function that gives away the snapshot of its statement, which must have one then.
pub(crate) const EXPORT_SNAPSHOT: &str = "pg_export_snapshot";

/// What an evaluation may ask of its surroundings.
pub struct EvalContext<'a> {
    /// How values are read and written, and the transaction's time.
    pub format: &'a Format,
    pub session: &'a SessionInfo,
    pub catalog: &'a Catalog,
    /// Values of `$1`…, in the types that `bind` inferred.
    pub params: &'a [Datum],
}

/// The rows of a set-returning function, made one by one: there may be more than fit into memory.
pub type Rows = Box<dyn Iterator<Item = Result<Vec<Datum>>> + Send + Sync>;

/// The code of a function, by the number of its arguments.
#[derive(Clone, Copy)]
pub enum Eval {
    F0(fn(&EvalContext<'_>) -> Result<Datum>),
    F1(fn(&EvalContext<'_>, &Datum) -> Result<Datum>),
    F2(fn(&EvalContext<'_>, &Datum, &Datum) -> Result<Datum>),
    F3(fn(&EvalContext<'_>, &Datum, &Datum, &Datum) -> Result<Datum>),
    N(fn(&EvalContext<'_>, &[Datum]) -> Result<Datum>),
    /// As `N`, for functions whose result depends on the types of the argument expressions
    /// (`pg_typeof`, `concat`, comparison of arrays).
    Typed(fn(&EvalContext<'_>, &[Type], &[Datum]) -> Result<Datum>),
    /// A set-returning function: all its rows (each of one or more columns).
    Set(fn(&EvalContext<'_>, &[Datum]) -> Result<Rows>),
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

/// Functions of that name, set-returning ones and those behind operators and casts included.
pub fn functions(name: &str) -> impl Iterator<Item = &'static Function> + use<> {
    REGISTRY.functions.get(name).into_iter().flatten().copied()
}

/// Operators of that symbol; prefix ones have no left type.
pub fn operators(symbol: &str) -> impl Iterator<Item = &'static Operator> + use<> {
    REGISTRY
        .operators
        .get(symbol)
        .into_iter()
        .flatten()
        .copied()
}

/// How a value of one type becomes one of another. Arrays are cast by element, which is the
/// caller's work: there is no entry for two array types.
pub fn cast(from: Type, to: Type) -> Option<&'static Cast> {
    REGISTRY.casts.get(&(from, to))
}

pub fn aggregates(name: &str) -> impl Iterator<Item = &'static Aggregate> + use<> {
    REGISTRY.aggregates.get(name).into_iter().flatten().copied()
}

/// Every function, in the order of the tables; `pg_proc` lists them.
pub fn all_functions() -> &'static [&'static Function] {
    &REGISTRY.all_functions
}

pub fn all_operators() -> impl Iterator<Item = &'static Operator> {
    operator_groups().flatten()
}

pub fn all_casts() -> impl Iterator<Item = &'static Cast> {
    cast::CASTS.iter()
}

pub fn all_aggregates() -> impl Iterator<Item = &'static Aggregate> {
    aggregate::AGGREGATES.iter().copied().flatten()
}

struct Registry {
    all_functions: Vec<&'static Function>,
    functions: FxHashMap<&'static str, Vec<&'static Function>>,
    operators: FxHashMap<&'static str, Vec<&'static Operator>>,
    casts: FxHashMap<(Type, Type), Cast>,
    aggregates: FxHashMap<&'static str, Vec<&'static Aggregate>>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry {
        all_functions: Vec::new(),
        functions: FxHashMap::default(),
        operators: FxHashMap::default(),
        casts: cast::all(),
        aggregates: FxHashMap::default(),
    };
    let of_operators = all_operators().map(|o| o.function);
    let of_casts = cast::CASTS.iter().filter_map(|c| match &c.method {
        CastMethod::Function(f) => Some(*f),
        CastMethod::Relabel | CastMethod::InOut => None,
    });
    for f in function_groups()
        .flatten()
        .chain(of_operators)
        .chain(of_casts)
    {
        // Some casts have code but no function that can be called.
        if f.name.is_empty() {
            continue;
        }
        let named = registry.functions.entry(f.name).or_default();
        // A function may stand behind several operators and have a line of its own.
        if named.iter().all(|g| g.args != f.args) {
            named.push(f);
            registry.all_functions.push(f);
        }
    }
    for o in all_operators() {
        registry.operators.entry(o.symbol).or_default().push(o);
    }
    for a in all_aggregates() {
        registry.aggregates.entry(a.name).or_default().push(a);
    }
    registry
});

fn function_groups() -> impl Iterator<Item = &'static [Function]> {
    [
        int::FUNCTIONS,
        float::FUNCTIONS,
        numeric::FUNCTIONS,
        text::FUNCTIONS,
        like::FUNCTIONS,
        regexp::FUNCTIONS,
        datetime::FUNCTIONS,
        boolean::FUNCTIONS,
        bytea::FUNCTIONS,
        array::FUNCTIONS,
        session::FUNCTIONS,
        check::FUNCTIONS,
        lsn::FUNCTIONS,
        catalog::FUNCTIONS,
        advisory::FUNCTIONS,
        backends::FUNCTIONS,
        sequence::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

fn operator_groups() -> impl Iterator<Item = &'static [Operator]> {
    [
        int::OPERATORS,
        float::OPERATORS,
        numeric::OPERATORS,
        text::OPERATORS,
        like::OPERATORS,
        regexp::OPERATORS,
        datetime::OPERATORS,
        boolean::OPERATORS,
        bytea::OPERATORS,
        array::OPERATORS,
        lsn::OPERATORS,
    ]
    .into_iter()
    .flatten()
    .copied()
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

#[derive(Clone, Copy)]
pub enum CastMethod {
    /// Same datum.
    Relabel,
    Function(&'static Function),
    /// Through the text form.
    InOut,
}

#[derive(Clone, Copy)]
pub struct Cast {
    pub from: Type,
    pub to: Type,
    pub context: CastContext,
    pub method: CastMethod,
}

/// Gathers the rows of one group. NULL arguments of strict aggregates are skipped by the caller.
pub trait Accumulator: Send + Sync {
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

#[cfg(test)]
mod tests;
