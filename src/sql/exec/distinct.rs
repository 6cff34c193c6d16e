//! The first row of each combination of values.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::base::Result;
use crate::sql::exec::{Operator, open};
use crate::sql::expr::{ExprContext, hash_key};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Distinct {
    plan: Arc<node::Distinct>,
    input: Box<dyn Operator>,
    seen: FxHashSet<Vec<u8>>,
    key: Vec<u8>,
}

impl Distinct {
    pub(super) fn new(plan: &Arc<node::Distinct>) -> Distinct {
        Distinct {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            seen: FxHashSet::default(),
            key: Vec::new(),
        }
    }
}

impl Operator for Distinct {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        while self.input.next(cx, row)? {
            self.key.clear();
            for (column, ty) in &self.plan.columns {
                hash_key(*ty, &row[*column], &mut self.key);
            }
            if !self.seen.contains(&self.key) {
                self.seen.insert(self.key.clone());
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn rewind(&mut self) {
        self.input.rewind();
        self.seen.clear();
    }
}
