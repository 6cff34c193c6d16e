//! Each left row with each right row.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::row_table::RowTable;
use crate::sql::exec::{Operator, nulls, open, refills};
use crate::sql::expr::{ExprContext, OuterRow, is_true};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct NestedLoop {
    plan: Arc<node::NestedLoop>,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    /// The right rows, unless they depend on the left one.
    kept: Option<Kept>,
    state: State,
    matched: bool,
    ticks: u32,
}

struct Kept {
    rows: RowTable,
    matched: Vec<bool>,
}

enum State {
    /// A new left row is to be fetched.
    Left,
    /// Pairs with the left row at hand, from this right row on.
    Right(usize),
    /// Right rows without a partner, from this one on.
    Rest(usize),
}

impl NestedLoop {
    pub(super) fn new(plan: &Arc<node::NestedLoop>) -> NestedLoop {
        NestedLoop {
            plan: Arc::clone(plan),
            left: open(&plan.left),
            right: open(&plan.right),
            kept: None,
            state: State::Left,
            matched: false,
            ticks: 0,
        }
    }

    fn keep_right(&mut self, cx: &ExprContext<'_>) -> Result<Kept> {
        let mut rows = RowTable::new(self.plan.width);
        let mut row = nulls(self.plan.width);
        let take = refills(&self.plan.right);
        while self.right.next(cx, &mut row)? {
            rows.push(&mut row, take);
        }
        let matched = vec![false; rows.len()];
        Ok(Kept { rows, matched })
    }

    /// The next right row for the left row at hand.
    fn next_right(
        &mut self,
        place: usize,
        cx: &ExprContext<'_>,
        row: &mut [Datum],
    ) -> Result<bool> {
        let (offset, width) = (self.plan.offset, self.plan.width);
        if let Some(kept) = &self.kept {
            if place == kept.rows.len() {
                return Ok(false);
            }
            kept.rows.copy(place, &mut row[offset..offset + width]);
            return Ok(true);
        }
        let (left, right) = row.split_at_mut(offset);
        let outer = OuterRow {
            row: left,
            next: cx.outer,
        };
        self.right.next(&cx.inside(&outer), &mut right[..width])
    }
}

impl Operator for NestedLoop {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if !self.plan.lateral && self.kept.is_none() {
            self.kept = Some(self.keep_right(cx)?);
        }
        let run = cx.running()?;
        let range = self.plan.offset..self.plan.offset + self.plan.width;
        loop {
            match self.state {
                State::Left => {
                    if self.left.next(cx, row)? {
                        self.matched = false;
                        if self.plan.lateral {
                            self.right.rewind();
                        }
                        self.state = State::Right(0);
                    } else {
                        self.state = State::Rest(0);
                    }
                }
                State::Right(place) => {
                    run.tick(&mut self.ticks)?;
                    if !self.next_right(place, cx, row)? {
                        self.state = State::Left;
                        if self.plan.keep.left && !self.matched {
                            row[range].fill(Datum::Null);
                            return Ok(true);
                        }
                        continue;
                    }
                    self.state = State::Right(place + 1);
                    if let Some(condition) = &self.plan.condition
                        && !is_true(condition, row, cx)?
                    {
                        continue;
                    }
                    self.matched = true;
                    if let Some(kept) = &mut self.kept {
                        kept.matched[place] = true;
                    }
                    return Ok(true);
                }
                State::Rest(place) => {
                    let Some(kept) = self.kept.as_ref().filter(|_| self.plan.keep.right) else {
                        return Ok(false);
                    };
                    if place == kept.rows.len() {
                        return Ok(false);
                    }
                    self.state = State::Rest(place + 1);
                    if !kept.matched[place] {
                        row.fill(Datum::Null);
                        kept.rows.copy(place, &mut row[range]);
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn rewind(&mut self) {
        self.left.rewind();
        self.right.rewind();
        self.kept = None;
        self.state = State::Left;
    }
}
