//! All rows of a table.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::{Operator, source};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node;
use crate::table::TableScan;
use crate::types::Datum;

pub(super) struct SeqScan {
    plan: Arc<node::SeqScan>,
    scan: Option<TableScan>,
    rows: u32,
    done: bool,
}

impl SeqScan {
    pub(super) fn new(plan: &Arc<node::SeqScan>) -> SeqScan {
        SeqScan {
            plan: Arc::clone(plan),
            scan: None,
            rows: 0,
            done: false,
        }
    }
}

impl Operator for SeqScan {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let run = cx.running()?;
        let rows = &self.plan.rows;
        if let Some(stand_in) = source::stand_in(rows, run) {
            let first = !std::mem::replace(&mut self.done, true);
            return Ok(first && source::take_stand_in(rows, stand_in, row, cx)?);
        }
        if self.done {
            return Ok(false);
        }
        let scan = match &mut self.scan {
            Some(scan) => scan,
            None => self.scan.insert(run.reader(rows.table.oid)?.scan()),
        };
        while let Some((id, bytes)) = scan.next()? {
            run.tick(&mut self.rows)?;
            if source::take(rows, id, bytes, row, cx)? {
                return Ok(true);
            }
        }
        self.done = true;
        Ok(false)
    }

    fn rewind(&mut self) {
        self.scan = None;
        self.done = false;
    }
}
