//! A relation for which one row can stand in while a lock is re-checked.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::run::StandIn;
use crate::sql::exec::{Operator, copy_row, open};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Member {
    plan: Arc<node::Member>,
    input: Box<dyn Operator>,
    /// The row that stands in has been given.
    done: bool,
}

impl Member {
    pub(super) fn new(plan: &Arc<node::Member>) -> Member {
        Member {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            done: false,
        }
    }
}

impl Operator for Member {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let width = self.plan.input_width;
        row[width] = Datum::Bool(true);
        let stand_in = cx.running()?.stand_ins.get(self.plan.source);
        match stand_in.and_then(Option::as_ref) {
            None => self.input.next(cx, &mut row[..width]),
            Some(StandIn::Row(values)) if !self.done => {
                self.done = true;
                copy_row(values, &mut row[..width]);
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    fn rewind(&mut self) {
        self.input.rewind();
        self.done = false;
    }
}
