//! Bound statements: every name resolved, every expression typed, every implicit cast written out.
//! `bind` makes them, `plan` reads them.
//!
//! Rows are positional. A [`Rel`] produces rows of `width()` datums; an [`Expr`] over it names its
//! inputs by position. A join's row is its left row followed by its right row.

use std::sync::Arc;

use crate::base::Oid;
use crate::sql::ast::{JoinKind, LockStrength, LockWait, SetOp};
use crate::sql::func::{Aggregate, Function};
use crate::table::{Catalog, TableDef};
use crate::types::{Datum, Type};

/// A column of a result, as RowDescription tells it.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub typmod: i32,
    /// The table and column number it comes from, or zeros.
    pub table: Oid,
    pub attnum: i16,
}

#[derive(Clone)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Type,
    pub typmod: i32,
}

#[derive(Clone)]
pub enum ExprKind {
    Const(Datum),
    /// `$n`, from 0.
    Param(usize),
    /// A column of the row at hand.
    Column(usize),
    /// A column of the row of an enclosing query: `level` 1 is the nearest. Correlated subqueries
    /// and LATERAL items use it.
    Outer {
        level: usize,
        column: usize,
    },
    Call {
        function: &'static Function,
        args: Vec<Expr>,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        arg: Box<Expr>,
        negated: bool,
    },
    /// `arg IS [NOT] TRUE/FALSE/UNKNOWN` (`None`).
    IsBool {
        arg: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    /// `equal` compares two non-null values; the result is never null.
    IsDistinct {
        equal: &'static Function,
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Case {
        branches: Vec<(Expr, Expr)>,
        default: Box<Expr>,
    },
    Coalesce(Vec<Expr>),
    NullIf {
        equal: &'static Function,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// GREATEST and LEAST; arguments share the result's type.
    MinMax {
        greatest: bool,
        args: Vec<Expr>,
    },
    /// `arg = ANY (list)` over constants or expressions of one type; `negated` is NOT IN.
    In {
        equal: &'static Function,
        arg: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    /// `left op ANY/ALL (array)`.
    AnyAll {
        op: &'static Function,
        all: bool,
        left: Box<Expr>,
        array: Box<Expr>,
    },
    /// Conversion through the text form (or from an unknown-typed parameter's text).
    InOut(Box<Expr>),
    /// Same datum, other type (text to varchar).
    Relabel(Box<Expr>),
    /// Each element of an array converted by `element`, which reads the element as column 0.
    ArrayCast {
        arg: Box<Expr>,
        element: Box<Expr>,
    },
    /// The length or precision of `typmod` enforced.
    Typmod {
        arg: Box<Expr>,
        explicit: bool,
    },
    Array(Vec<Expr>),
    Row(Vec<Expr>),
    Subscript {
        array: Box<Expr>,
        index: Box<Expr>,
    },
    /// A subquery as an expression. In `rel`, `Outer { level: 1 }` is the row at hand here.
    Subquery(Box<Subquery>),
    /// A subquery that has been planned: its place in the plan's list, and the left operand of
    /// ANY/ALL. Only `plan` makes it.
    SubPlan {
        index: usize,
        left: Option<Box<Expr>>,
    },
}

#[derive(Clone)]
pub struct Subquery {
    pub kind: SubqueryKind,
    pub rel: Rel,
    /// Uses a row of an enclosing query; otherwise it is run once per execution.
    pub correlated: bool,
}

#[derive(Clone)]
pub enum SubqueryKind {
    /// One column; no row gives NULL, two are 21000.
    Scalar,
    Exists,
    /// One column, gathered.
    Array,
    /// `left op ANY/ALL (subquery)`; IN is `= ANY`, NOT IN is `<> ALL`.
    AnyAll {
        op: &'static Function,
        all: bool,
        left: Box<Expr>,
    },
}

/// A relational expression.
#[derive(Clone)]
pub enum Rel {
    /// One row without columns: SELECT without FROM.
    Unit,
    /// A stored table: one datum per column of the definition, dropped columns included.
    Table {
        table: Arc<TableDef>,
        /// For the [`Rel::Lock`] above.
        lock: Option<RowLocking>,
    },
    /// A stored table whose row is followed by its row id (bigint) and its bytes (bytea), for
    /// statements that lock or change what they read. Only `plan` makes it.
    TableRows {
        table: Arc<TableDef>,
        /// By which a row can stand in for it while a lock is re-checked.
        source: usize,
    },
    /// The rows of `input`, each followed by true, for which one can stand in while a lock is
    /// re-checked. Only `plan` makes it.
    Member {
        input: Box<Rel>,
        source: usize,
    },
    /// A system relation computed from the catalog and the session.
    System {
        relation: &'static SystemRelation,
    },
    Values {
        rows: Vec<Vec<Expr>>,
        width: usize,
    },
    /// A set-returning function in FROM; `ordinality` appends a bigint from 1.
    Function {
        function: &'static Function,
        args: Vec<Expr>,
        width: usize,
        ordinality: bool,
    },
    Filter {
        input: Box<Rel>,
        condition: Expr,
    },
    Project {
        input: Box<Rel>,
        exprs: Vec<Expr>,
    },
    /// `lateral`: the right side reads the left row as `Outer { level: 1 }`.
    Join {
        kind: JoinKind,
        left: Box<Rel>,
        right: Box<Rel>,
        condition: Option<Expr>,
        lateral: bool,
    },
    /// Groups by equal `keys`; the row is keys, then aggregates. No keys: one group, always.
    Aggregate {
        input: Box<Rel>,
        keys: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
    },
    Sort {
        input: Box<Rel>,
        keys: Vec<SortKey>,
    },
    /// NULL or absent: no limit; counts are bigint.
    Limit {
        input: Box<Rel>,
        limit: Option<Expr>,
        offset: Option<Expr>,
    },
    /// Distinct on the given positions (DISTINCT ON keeps the first of each; DISTINCT names all).
    Distinct {
        input: Box<Rel>,
        columns: Vec<usize>,
    },
    SetOp {
        op: SetOp,
        all: bool,
        left: Box<Rel>,
        right: Box<Rel>,
    },
    /// Locks the rows that reach it of tables that are to be locked (SELECT … FOR UPDATE).
    Lock {
        input: Box<Rel>,
    },
}

/// How the rows of a table are locked.
#[derive(Clone, Copy, Debug)]
pub struct RowLocking {
    pub strength: LockStrength,
    pub wait: LockWait,
}

#[derive(Clone)]
pub struct AggregateCall {
    pub aggregate: &'static Aggregate,
    pub args: Vec<Expr>,
    pub distinct: bool,
    pub order_by: Vec<SortKey>,
    pub filter: Option<Expr>,
}

#[derive(Clone)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A relation of `pg_catalog` or `information_schema` whose rows are computed.
pub struct SystemRelation {
    pub oid: u32,
    pub schema: &'static str,
    pub name: &'static str,
    pub columns: &'static [(&'static str, Type)],
    pub rows: fn(&super::func::EvalContext<'_>) -> Vec<Vec<Datum>>,
}

/// A bound statement that `plan` turns into something to run.
#[derive(Clone)]
pub enum Bound {
    Query { rel: Rel, fields: Vec<Field> },
    Insert(Insert),
    Update(Update),
    Delete(Delete),
}

#[derive(Clone)]
pub struct Insert {
    pub table: Arc<TableDef>,
    /// One expression per column of the table, over a row of `source`; defaults filled in, types
    /// and modifiers applied.
    pub source: Rel,
    pub values: Vec<Expr>,
    pub conflict: Option<Conflict>,
    pub returning: Option<Returning>,
}

/// ON CONFLICT.
#[derive(Clone)]
pub struct Conflict {
    /// The unique indexes meant, by their places in the table; `None`: all.
    pub arbiters: Option<Vec<usize>>,
    /// `None`: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// DO UPDATE: over the row that is there ++ the row that was to be inserted.
#[derive(Clone)]
pub struct ConflictUpdate {
    pub filter: Option<Expr>,
    pub assignments: Vec<(usize, Expr)>,
}

#[derive(Clone)]
pub struct Update {
    pub table: Arc<TableDef>,
    /// The other relations of UPDATE … FROM; their row follows the target's.
    pub from: Option<Rel>,
    /// Over target row ++ from row.
    pub filter: Option<Expr>,
    /// (column, new value over target row ++ from row).
    pub assignments: Vec<(usize, Expr)>,
    /// Over new target row ++ from row.
    pub returning: Option<Returning>,
}

#[derive(Clone)]
pub struct Delete {
    pub table: Arc<TableDef>,
    pub using: Option<Rel>,
    pub filter: Option<Expr>,
    pub returning: Option<Returning>,
}

#[derive(Clone)]
pub struct Returning {
    pub exprs: Vec<Expr>,
    pub fields: Vec<Field>,
}

/// What binding needs to know.
pub struct BindContext<'a> {
    pub catalog: &'a Catalog,
    pub session: &'a crate::sql::context::SessionInfo,
    pub format: &'a crate::types::Format,
}

/// A bound statement with the types of its parameters, given or inferred.
pub struct BoundStatement {
    pub bound: Bound,
    pub params: Vec<Type>,
}
