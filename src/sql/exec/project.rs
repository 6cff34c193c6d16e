//! Rows of computed columns.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::{Operator, nulls, open, refills};
use crate::sql::expr::{ExprContext, assign, eval};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Project {
    plan: Arc<node::Project>,
    input: Box<dyn Operator>,
    row: Vec<Datum>,
    /// Columns may be taken out of the input's row.
    take: bool,
}

impl Project {
    pub(super) fn new(plan: &Arc<node::Project>) -> Project {
        Project {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            row: nulls(plan.input_width),
            take: refills(&plan.input),
        }
    }
}

impl Operator for Project {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if !self.input.next(cx, &mut self.row)? {
            return Ok(false);
        }
        let plan = &*self.plan;
        for output in &plan.computed {
            assign(
                &mut row[*output],
                eval(&plan.exprs[*output], &self.row, cx)?,
            );
        }
        for (output, input) in &plan.moves {
            if self.take {
                std::mem::swap(&mut row[*output], &mut self.row[*input]);
            } else {
                row[*output].clone_from(&self.row[*input]);
            }
        }
        Ok(true)
    }

    fn rewind(&mut self) {
        self.input.rewind();
    }
}
