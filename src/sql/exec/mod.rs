//! Execution: pull operators over physical plans, and the asynchronous drivers of statements that
//! lock or change rows.
//!
//! - [`Operator::next`] fills the caller's row and says whether there was one. The row buffer is
//!   reused; a join's members each fill their range of it.
//! - Operators own what they need, so that a suspended portal can keep them.
//!
//! X1: what `next` filled in stays untouched until the next call, unless the plan says that the
//!     operator fills every needed column anew each time ([`refills`]).
//! X2: cancellation is looked at every few hundred rows.
//! X3: a statement never sees its own changes: scans stand on the snapshot and write set they
//!     started with, and target rows are collected before the first is changed.

mod aggregate;
mod change;
mod constraints;
mod distinct;
pub(crate) mod explain;
mod filter;
mod function;
mod hash_join;
mod index_join;
mod index_scan;
mod insert;
mod limit;
mod lock;
mod lookup;
mod member;
mod nested_loop;
mod place;
mod project;
mod row_table;
mod run;
mod scan;
mod set_op;
mod sort;
mod source;
mod values;

use crate::base::Result;
use crate::sql::expr::ExprContext;
use crate::sql::plan::node::Node;
use crate::types::Datum;

pub(crate) use change::change;
pub(crate) use constraints::check_row;
pub(crate) use insert::insert;
pub(crate) use lock::gather_locked;
pub(crate) use run::Run;

/// A running part of a plan.
pub(crate) trait Operator: Send + Sync {
    /// Fills in the next row; `false` when there are no more.
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool>;

    /// Starts over; rows of enclosing queries may have changed.
    fn rewind(&mut self);
}

/// The operator for a node, not yet started.
pub(crate) fn open(node: &Node) -> Box<dyn Operator> {
    match node {
        Node::Unit => Box::new(values::Unit::default()),
        Node::SeqScan(plan) => Box::new(scan::SeqScan::new(plan)),
        Node::IndexScan(plan) => Box::new(index_scan::IndexScan::new(plan)),
        Node::System(relation) => Box::new(function::System::new(relation)),
        Node::Values(plan) => Box::new(values::Values::new(plan)),
        Node::Function(plan) => Box::new(function::FunctionScan::new(plan)),
        Node::Filter(plan) => Box::new(filter::Filter::new(plan)),
        Node::Project(plan) => Box::new(project::Project::new(plan)),
        Node::Place(plan) => Box::new(place::Place::new(plan)),
        Node::NestedLoop(plan) => Box::new(nested_loop::NestedLoop::new(plan)),
        Node::IndexJoin(plan) => Box::new(index_join::IndexJoin::new(plan)),
        Node::HashJoin(plan) => Box::new(hash_join::HashJoin::new(plan)),
        Node::Aggregate(plan) => Box::new(aggregate::Aggregate::new(plan)),
        Node::Sort(plan) => Box::new(sort::Sort::new(plan)),
        Node::Limit(plan) => Box::new(limit::Limit::new(plan)),
        Node::Distinct(plan) => Box::new(distinct::Distinct::new(plan)),
        Node::SetOp(plan) => Box::new(set_op::SetOp::new(plan)),
        Node::Lock(plan) => Box::new(lock::Locked::new(plan)),
        Node::Member(plan) => Box::new(member::Member::new(plan)),
    }
}

/// Whether an operator fills in every needed column at each call, so that its reader may take
/// values out of the row.
pub(crate) fn refills(node: &Node) -> bool {
    match node {
        Node::Filter(plan) => refills(&plan.input),
        Node::Limit(plan) => refills(&plan.input),
        Node::Distinct(plan) => refills(&plan.input),
        Node::Member(plan) => refills(&plan.input),
        Node::SetOp(plan) => refills(&plan.left) && refills(&plan.right),
        Node::Place(_) | Node::NestedLoop(_) | Node::IndexJoin(_) | Node::HashJoin(_) => false,
        _ => true,
    }
}

/// A row buffer.
pub(crate) fn nulls(width: usize) -> Vec<Datum> {
    let mut row = Vec::new();
    row.resize_with(width, Datum::default);
    row
}

/// Copies values over others, keeping the allocations of texts.
pub(crate) fn copy_row(from: &[Datum], to: &mut [Datum]) {
    for (slot, value) in to.iter_mut().zip(from) {
        crate::sql::expr::assign(slot, std::borrow::Cow::Borrowed(value));
    }
}
