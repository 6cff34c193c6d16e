//! Physical plans: what `exec` runs.
//!
//! Each node is shared by `Arc` with the operators that run it, so that starting an execution
//! copies no plan. A join's row is one buffer: its members each own a range of it, in the order
//! the bound tree gave them whatever the order they are joined in.

use std::sync::Arc;

use crate::sql::ast::SetOp;
use crate::sql::func::Function;
use crate::sql::ir::{AggregateCall, Expr, RowLocking, SortKey, SystemRelation};
use crate::table::{IndexDef, TableDef};
use crate::types::{Datum, Type};

/// A planned query with the subqueries of its expressions.
pub(crate) struct Plan {
    pub root: Node,
    /// Columns of the root's rows.
    pub width: usize,
    pub subplans: Vec<SubPlan>,
    /// The stored tables read, each once, in the order of their OIDs.
    pub tables: Vec<Arc<TableDef>>,
    /// FOR UPDATE and the like, innermost first.
    pub locks: Vec<Arc<Lock>>,
    /// The number of places that can be given a row while a lock is re-checked (see [`Rows`] and
    /// [`Member`]).
    pub row_sources: usize,
    /// Reads or computes enough that it should not hold up a worker thread.
    pub heavy: bool,
    /// It may export its snapshot, so it needs one.
    pub exports: bool,
}

pub(crate) struct SubPlan {
    pub kind: SubPlanKind,
    pub node: Node,
    pub width: usize,
    /// The type of its only column, where it has one.
    pub ty: Type,
    pub correlated: bool,
}

pub(crate) enum SubPlanKind {
    Scalar,
    Exists,
    Array,
    AnyAll {
        op: &'static Function,
        all: bool,
        /// `= ANY` or `<> ALL` over types that hash: the values are kept in a set.
        hashed: bool,
        left: Type,
    },
}

#[derive(Clone)]
pub(crate) enum Node {
    Unit,
    SeqScan(Arc<SeqScan>),
    IndexScan(Arc<IndexScan>),
    System(&'static SystemRelation),
    Values(Arc<Values>),
    Function(Arc<FunctionScan>),
    Filter(Arc<Filter>),
    Project(Arc<Project>),
    Place(Arc<Place>),
    NestedLoop(Arc<NestedLoop>),
    IndexJoin(Arc<IndexJoin>),
    HashJoin(Arc<HashJoin>),
    Aggregate(Arc<Aggregate>),
    Sort(Arc<Sort>),
    Limit(Arc<Limit>),
    Distinct(Arc<Distinct>),
    SetOp(Arc<SetOpNode>),
    Lock(Arc<Lock>),
    Member(Arc<Member>),
}

/// The columns of a stored table that a plan looks at.
pub(crate) struct Rows {
    pub table: Arc<TableDef>,
    /// Columns the filter needs, decoded first; ascending.
    pub first: Vec<usize>,
    /// Columns only needed of rows that pass; ascending.
    pub rest: Vec<usize>,
    pub filter: Option<Expr>,
    /// The whole condition, for a row that did not come through the index.
    pub recheck: Option<Expr>,
    /// Its place among the plan's row sources. If it has one, row id and bytes follow the columns.
    pub source: Option<usize>,
}

pub(crate) struct SeqScan {
    pub rows: Rows,
}

pub(crate) struct IndexScan {
    pub rows: Rows,
    pub access: Access,
    pub backward: bool,
}

/// How an index finds rows: equal values for its first columns, then a range of the next.
#[derive(Clone)]
pub(crate) struct Access {
    pub index: Arc<IndexDef>,
    pub equal: Vec<KeyExpr>,
    pub lower: Option<(Expr, bool)>,
    pub upper: Option<(Expr, bool)>,
    /// All columns of a unique index are given: one row at most per key.
    pub unique: bool,
}

#[derive(Clone)]
pub(crate) enum KeyExpr {
    One(Expr),
    /// `column IN (list)`
    List(Vec<Expr>),
    /// `column = ANY (array)`
    Array(Expr),
}

pub(crate) struct Values {
    pub rows: Vec<Vec<Expr>>,
}

pub(crate) struct FunctionScan {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub width: usize,
    pub ordinality: bool,
}

pub(crate) struct Filter {
    pub input: Node,
    pub condition: Expr,
}

pub(crate) struct Project {
    pub input: Node,
    pub input_width: usize,
    pub exprs: Vec<Expr>,
    /// (output, input) columns that are only moved: the input needs them no more.
    pub moves: Vec<(usize, usize)>,
    /// The other outputs.
    pub computed: Vec<usize>,
}

/// Puts a relation's row at its place in the row of a join.
pub(crate) struct Place {
    pub input: Node,
    pub offset: usize,
    pub width: usize,
}

/// Which rows without a partner a join keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    pub left: bool,
    pub right: bool,
}

pub(crate) struct NestedLoop {
    pub left: Node,
    /// Gives rows for `offset..offset + width`.
    pub right: Node,
    pub offset: usize,
    pub width: usize,
    pub keep: Keep,
    pub condition: Option<Expr>,
    /// The right side reads the left row and is run anew for each; otherwise its rows are kept.
    pub lateral: bool,
}

/// For each left row, the right table's rows by index.
pub(crate) struct IndexJoin {
    pub left: Node,
    pub offset: usize,
    pub width: usize,
    /// Its filter is over the table's own columns.
    pub rows: Rows,
    /// Keys are over the joined row.
    pub access: Access,
    pub keep_left: bool,
    /// Over the joined row.
    pub condition: Option<Expr>,
    /// All that makes a pair, for a right row that did not come through the index.
    pub recheck: Option<Expr>,
}

/// Builds a table of the right rows, looks the left ones up.
pub(crate) struct HashJoin {
    pub left: Node,
    pub right: Node,
    pub offset: usize,
    pub width: usize,
    /// (over the joined row, over the right row)
    pub keys: Vec<(Expr, Expr)>,
    pub keep: Keep,
    /// Over the joined row.
    pub condition: Option<Expr>,
}

pub(crate) struct Aggregate {
    pub input: Node,
    pub input_width: usize,
    pub keys: Vec<Expr>,
    pub calls: Vec<AggregateCall>,
}

pub(crate) struct Sort {
    pub input: Node,
    pub width: usize,
    pub keys: Vec<SortKey>,
    /// Only the first rows are wanted: (limit, offset).
    pub top: Option<(Expr, Option<Expr>)>,
}

pub(crate) struct Limit {
    pub input: Node,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
}

pub(crate) struct Distinct {
    pub input: Node,
    pub columns: Vec<(usize, Type)>,
    /// DISTINCT ON over sorted rows: equal rows are neighbours, but this does not rely on it.
    pub on: bool,
}

pub(crate) struct SetOpNode {
    pub op: SetOp,
    pub all: bool,
    pub left: Node,
    pub right: Node,
    pub types: Vec<Type>,
}

/// Locks rows as they come out of `input`, whose hidden columns say which they are. It is run by
/// an asynchronous driver before the plan's other operators; these read what it gathered.
pub(crate) struct Lock {
    pub number: usize,
    pub input: Node,
    pub input_width: usize,
    pub members: Vec<LockMember>,
    /// The place in the input's row of each output column.
    pub output: Vec<usize>,
    /// No more rows are wanted: (limit, offset).
    pub limit: Option<(Option<Expr>, Option<Expr>)>,
}

/// One of the relations whose rows make a row that is locked.
#[derive(Clone)]
pub(crate) struct LockMember {
    pub kind: LockMemberKind,
    /// Where its hidden columns begin in the input's row.
    pub column: usize,
    pub source: usize,
}

#[derive(Clone)]
pub(crate) enum LockMemberKind {
    /// Hidden are the row id and the bytes. It need not be locked.
    Table {
        table: Arc<TableDef>,
        lock: Option<RowLocking>,
    },
    /// What a [`Member`] gives: a copy of it is hidden.
    Other { width: usize },
}

/// A relation of a locked row that is no stored table: rows are followed by true, so that they
/// can be told from those that an outer join makes of nulls.
pub(crate) struct Member {
    pub input: Node,
    pub input_width: usize,
    pub source: usize,
}

impl Rows {
    pub(crate) fn width(&self) -> usize {
        self.table.columns.len() + if self.source.is_some() { 2 } else { 0 }
    }
}

/// A row of datums that owns them.
pub(crate) type OwnedRow = Vec<Datum>;
