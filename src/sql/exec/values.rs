//! Rows that are written out.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::Operator;
use crate::sql::expr::{ExprContext, assign, eval};
use crate::sql::plan::node;
use crate::types::Datum;

/// One row without columns.
#[derive(Default)]
pub(super) struct Unit {
    done: bool,
}

impl Operator for Unit {
    fn next(&mut self, _: &ExprContext<'_>, _: &mut [Datum]) -> Result<bool> {
        Ok(!std::mem::replace(&mut self.done, true))
    }

    fn rewind(&mut self) {
        self.done = false;
    }
}

pub(super) struct Values {
    plan: Arc<node::Values>,
    next: usize,
}

impl Values {
    pub(super) fn new(plan: &Arc<node::Values>) -> Values {
        Values {
            plan: Arc::clone(plan),
            next: 0,
        }
    }
}

impl Operator for Values {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let Some(exprs) = self.plan.rows.get(self.next) else {
            return Ok(false);
        };
        self.next += 1;
        for (slot, expr) in row.iter_mut().zip(exprs) {
            assign(slot, eval(expr, &[], cx)?);
        }
        Ok(true)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}
