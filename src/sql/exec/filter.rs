//! Rows that meet a condition.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::{Operator, open};
use crate::sql::expr::{ExprContext, is_true};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Filter {
    plan: Arc<node::Filter>,
    input: Box<dyn Operator>,
}

impl Filter {
    pub(super) fn new(plan: &Arc<node::Filter>) -> Filter {
        Filter {
            plan: Arc::clone(plan),
            input: open(&plan.input),
        }
    }
}

impl Operator for Filter {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        while self.input.next(cx, row)? {
            if is_true(&self.plan.condition, row, cx)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rewind(&mut self) {
        self.input.rewind();
    }
}
