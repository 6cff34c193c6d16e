//! UNION, INTERSECT and EXCEPT.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::Result;
use crate::sql::ast;
use crate::sql::exec::{Operator, nulls, open};
use crate::sql::expr::{ExprContext, hash_key};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct SetOp {
    plan: Arc<node::SetOpNode>,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    /// UNION: the left side has been read.
    on_right: bool,
    /// INTERSECT and EXCEPT: how often each right row was there; read first.
    right_counts: Option<FxHashMap<Vec<u8>, usize>>,
    /// Rows given already, where each may come only once.
    given: FxHashMap<Vec<u8>, ()>,
    key: Vec<u8>,
    ticks: u32,
}

impl SetOp {
    pub(super) fn new(plan: &Arc<node::SetOpNode>) -> SetOp {
        SetOp {
            plan: Arc::clone(plan),
            left: open(&plan.left),
            right: open(&plan.right),
            on_right: false,
            right_counts: None,
            given: FxHashMap::default(),
            key: Vec::new(),
            ticks: 0,
        }
    }

    fn make_key(&mut self, row: &[Datum]) {
        self.key.clear();
        for (ty, value) in self.plan.types.iter().zip(row) {
            hash_key(*ty, value, &mut self.key);
        }
    }

    /// Whether the row at hand comes for the first time.
    fn is_new(&mut self) -> bool {
        if self.given.contains_key(&self.key) {
            return false;
        }
        self.given.insert(self.key.clone(), ());
        true
    }

    fn next_union(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        loop {
            let input = if self.on_right {
                &mut self.right
            } else {
                &mut self.left
            };
            if !input.next(cx, row)? {
                if self.on_right {
                    return Ok(false);
                }
                self.on_right = true;
                continue;
            }
            if self.plan.all {
                return Ok(true);
            }
            self.make_key(row);
            if self.is_new() {
                return Ok(true);
            }
        }
    }

    fn count_right(&mut self, cx: &ExprContext<'_>) -> Result<FxHashMap<Vec<u8>, usize>> {
        let mut counts = FxHashMap::default();
        let mut row = nulls(self.plan.types.len());
        while self.right.next(cx, &mut row)? {
            cx.running()?.tick(&mut self.ticks)?;
            self.make_key(&row);
            *counts.entry(self.key.clone()).or_insert(0) += 1;
        }
        Ok(counts)
    }

    fn next_compared(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if self.right_counts.is_none() {
            self.right_counts = Some(self.count_right(cx)?);
        }
        let intersect = self.plan.op == ast::SetOp::Intersect;
        while self.left.next(cx, row)? {
            cx.running()?.tick(&mut self.ticks)?;
            self.make_key(row);
            let count = self
                .right_counts
                .as_mut()
                .and_then(|counts| counts.get_mut(&self.key));
            let partner = match count {
                Some(count) if self.plan.all && *count > 0 => {
                    *count -= 1;
                    true
                }
                Some(count) => *count > 0,
                None => false,
            };
            if partner == intersect && (self.plan.all || self.is_new()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Operator for SetOp {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        match self.plan.op {
            ast::SetOp::Union => self.next_union(cx, row),
            ast::SetOp::Intersect | ast::SetOp::Except => self.next_compared(cx, row),
        }
    }

    fn rewind(&mut self) {
        self.left.rewind();
        self.right.rewind();
        self.on_right = false;
        self.right_counts = None;
        self.given.clear();
    }
}
