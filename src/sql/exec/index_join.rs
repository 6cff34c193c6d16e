//! For each left row, the right table's rows by index.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::lookup::Lookup;
use crate::sql::exec::run::StandIn;
use crate::sql::exec::{Operator, open, source};
use crate::sql::expr::{ExprContext, is_true};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct IndexJoin {
    plan: Arc<node::IndexJoin>,
    left: Box<dyn Operator>,
    /// The walk over the partners of the left row at hand.
    lookup: Option<Lookup>,
    matched: bool,
    rows: u32,
}

impl IndexJoin {
    pub(super) fn new(plan: &Arc<node::IndexJoin>) -> IndexJoin {
        IndexJoin {
            plan: Arc::clone(plan),
            left: open(&plan.left),
            lookup: None,
            matched: false,
            rows: 0,
        }
    }

    /// A left row with the row that stands in for the right table.
    fn next_stand_in(
        &mut self,
        stand_in: &StandIn,
        cx: &ExprContext<'_>,
        row: &mut [Datum],
    ) -> Result<bool> {
        let plan = &*self.plan;
        let range = plan.offset..plan.offset + plan.width;
        while self.left.next(cx, row)? {
            let pair = source::take_stand_in(&plan.rows, stand_in, &mut row[range.clone()], cx)?;
            let holds = |row: &[Datum]| match &plan.recheck {
                Some(condition) => is_true(condition, row, cx),
                None => Ok(true),
            };
            if pair && holds(row)? {
                return Ok(true);
            }
            if plan.keep_left {
                row[range].fill(Datum::Null);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Operator for IndexJoin {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let run = cx.running()?;
        if let Some(stand_in) = source::stand_in(&self.plan.rows, run) {
            return self.next_stand_in(stand_in, cx, row);
        }
        let plan = &*self.plan;
        let range = plan.offset..plan.offset + plan.width;
        let reader = run.reader(plan.rows.table.oid)?;
        loop {
            let lookup = match &mut self.lookup {
                Some(lookup) => lookup,
                None => {
                    if !self.left.next(cx, row)? {
                        return Ok(false);
                    }
                    self.matched = false;
                    self.lookup
                        .insert(Lookup::new(&plan.access, &plan.rows, row, cx)?)
                }
            };
            while let Some((id, bytes)) = lookup.next(&plan.access, &plan.rows, false, reader)? {
                run.tick(&mut self.rows)?;
                if !source::take(&plan.rows, id, bytes, &mut row[range.clone()], cx)? {
                    continue;
                }
                if let Some(condition) = &plan.condition
                    && !is_true(condition, row, cx)?
                {
                    continue;
                }
                self.matched = true;
                return Ok(true);
            }
            self.lookup = None;
            if plan.keep_left && !self.matched {
                row[range].fill(Datum::Null);
                return Ok(true);
            }
        }
    }

    fn rewind(&mut self) {
        self.left.rewind();
        self.lookup = None;
    }
}
