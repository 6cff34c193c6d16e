//! A relation's row at its place in the row of a join.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::{Operator, open};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Place {
    plan: Arc<node::Place>,
    input: Box<dyn Operator>,
}

impl Place {
    pub(super) fn new(plan: &Arc<node::Place>) -> Place {
        Place {
            plan: Arc::clone(plan),
            input: open(&plan.input),
        }
    }
}

impl Operator for Place {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let range = self.plan.offset..self.plan.offset + self.plan.width;
        self.input.next(cx, &mut row[range])
    }

    fn rewind(&mut self) {
        self.input.rewind();
    }
}
