//! Rows of a table by one of its indexes.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::lookup::Lookup;
use crate::sql::exec::{Operator, source};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct IndexScan {
    plan: Arc<node::IndexScan>,
    lookup: Option<Lookup>,
    rows: u32,
    done: bool,
}

impl IndexScan {
    pub(super) fn new(plan: &Arc<node::IndexScan>) -> IndexScan {
        IndexScan {
            plan: Arc::clone(plan),
            lookup: None,
            rows: 0,
            done: false,
        }
    }
}

impl Operator for IndexScan {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let run = cx.running()?;
        let plan = &*self.plan;
        let rows = &plan.rows;
        if let Some(stand_in) = source::stand_in(rows, run) {
            let first = !std::mem::replace(&mut self.done, true);
            return Ok(first && source::take_stand_in(rows, stand_in, row, cx)?);
        }
        if self.done {
            return Ok(false);
        }
        let lookup = match &mut self.lookup {
            Some(lookup) => lookup,
            None => self
                .lookup
                .insert(Lookup::new(&plan.access, rows, row, cx)?),
        };
        let reader = run.reader(rows.table.oid)?;
        while let Some((id, bytes)) = lookup.next(&plan.access, rows, plan.backward, reader)? {
            run.tick(&mut self.rows)?;
            if source::take(rows, id, bytes, row, cx)? {
                return Ok(true);
            }
        }
        self.done = true;
        Ok(false)
    }

    fn rewind(&mut self) {
        self.lookup = None;
        self.done = false;
    }
}
