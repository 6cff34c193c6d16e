//! Pairs with equal keys: a hash table of the right rows, looked up for each left row.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::Result;
use crate::sql::exec::row_table::RowTable;
use crate::sql::exec::{Operator, nulls, open, refills};
use crate::sql::expr::{ExprContext, eval, hash_key, is_true};
use crate::sql::ir::Expr;
use crate::sql::plan::node;
use crate::types::Datum;

/// The end of a chain of rows with the same key.
const END: usize = usize::MAX;

pub(super) struct HashJoin {
    plan: Arc<node::HashJoin>,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    table: Option<Table>,
    state: State,
    matched: bool,
    key: Vec<u8>,
    ticks: u32,
}

struct Table {
    rows: RowTable,
    /// The first row of each key.
    heads: FxHashMap<Vec<u8>, usize>,
    /// For each row the next with its key.
    next: Vec<usize>,
    matched: Vec<bool>,
}

enum State {
    Left,
    /// The chain of partners of the left row at hand.
    Chain(usize),
    /// Right rows without a partner, from this one on.
    Rest(usize),
}

impl HashJoin {
    pub(super) fn new(plan: &Arc<node::HashJoin>) -> HashJoin {
        HashJoin {
            plan: Arc::clone(plan),
            left: open(&plan.left),
            right: open(&plan.right),
            table: None,
            state: State::Left,
            matched: false,
            key: Vec::new(),
            ticks: 0,
        }
    }

    fn build(&mut self, cx: &ExprContext<'_>) -> Result<Table> {
        let plan = &*self.plan;
        let mut table = Table {
            rows: RowTable::new(plan.width),
            heads: FxHashMap::default(),
            next: Vec::new(),
            matched: Vec::new(),
        };
        let take = refills(&plan.right);
        let mut row = nulls(plan.width);
        while self.right.next(cx, &mut row)? {
            let exprs = plan.keys.iter().map(|(_, right)| right);
            let has_key = make_key(exprs, &row, cx, &mut self.key)?;
            if !has_key && !plan.keep.right {
                continue;
            }
            let place = table.rows.len();
            let mut next = END;
            if has_key {
                match table.heads.get_mut(&self.key) {
                    Some(head) => next = std::mem::replace(head, place),
                    None => {
                        table.heads.insert(self.key.clone(), place);
                    }
                }
            }
            table.rows.push(&mut row, take);
            table.next.push(next);
        }
        table.matched = vec![false; if plan.keep.right { table.rows.len() } else { 0 }];
        Ok(table)
    }
}

/// Writes the hash key of a row; `false`: it holds a NULL, which equals nothing.
fn make_key<'e>(
    exprs: impl Iterator<Item = &'e Expr>,
    row: &[Datum],
    cx: &ExprContext<'_>,
    key: &mut Vec<u8>,
) -> Result<bool> {
    key.clear();
    for expr in exprs {
        let value = eval_in(expr, row, cx, key)?;
        if !value {
            return Ok(false);
        }
    }
    Ok(true)
}

fn eval_in(expr: &Expr, row: &[Datum], cx: &ExprContext<'_>, key: &mut Vec<u8>) -> Result<bool> {
    let value = eval(expr, row, cx)?;
    hash_key(expr.ty, &value, key);
    Ok(!value.is_null())
}

impl Operator for HashJoin {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if self.table.is_none() {
            self.table = Some(self.build(cx)?);
        }
        let Some(table) = &mut self.table else {
            return Ok(false);
        };
        let plan = &*self.plan;
        let run = cx.running()?;
        let range = plan.offset..plan.offset + plan.width;
        loop {
            match self.state {
                State::Left => {
                    run.tick(&mut self.ticks)?;
                    if !self.left.next(cx, row)? {
                        self.state = State::Rest(0);
                        continue;
                    }
                    self.matched = false;
                    let exprs = plan.keys.iter().map(|(left, _)| left);
                    let head = if make_key(exprs, row, cx, &mut self.key)? {
                        table.heads.get(&self.key).copied()
                    } else {
                        None
                    };
                    self.state = State::Chain(head.unwrap_or(END));
                }
                State::Chain(END) => {
                    self.state = State::Left;
                    if plan.keep.left && !self.matched {
                        row[range].fill(Datum::Null);
                        return Ok(true);
                    }
                }
                State::Chain(place) => {
                    self.state = State::Chain(table.next[place]);
                    table.rows.copy(place, &mut row[range.clone()]);
                    if let Some(condition) = &plan.condition
                        && !is_true(condition, row, cx)?
                    {
                        continue;
                    }
                    self.matched = true;
                    if plan.keep.right {
                        table.matched[place] = true;
                    }
                    return Ok(true);
                }
                State::Rest(place) => {
                    if !plan.keep.right || place == table.rows.len() {
                        return Ok(false);
                    }
                    self.state = State::Rest(place + 1);
                    if !table.matched[place] {
                        row.fill(Datum::Null);
                        table.rows.copy(place, &mut row[range]);
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn rewind(&mut self) {
        self.left.rewind();
        self.right.rewind();
        self.table = None;
        self.state = State::Left;
    }
}
