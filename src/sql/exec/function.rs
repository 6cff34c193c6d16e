//! Rows that a function makes: set-returning functions and system relations.

use std::iter::{empty, once};
use std::sync::Arc;
use std::vec::IntoIter;

use crate::base::Result;
use crate::sql::exec::Operator;
use crate::sql::expr::{ExprContext, eval, eval_all};
use crate::sql::func::{Eval, Rows};
use crate::sql::ir::{Expr, ExprKind, SystemRelation};
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct FunctionScan {
    plan: Arc<node::FunctionScan>,
    rows: Option<Rows>,
    ordinal: i64,
    ticks: u32,
}

impl FunctionScan {
    pub(super) fn new(plan: &Arc<node::FunctionScan>) -> FunctionScan {
        FunctionScan {
            plan: Arc::clone(plan),
            rows: None,
            ordinal: 0,
            ticks: 0,
        }
    }

    fn start(&self, cx: &ExprContext<'_>) -> Result<Rows> {
        let plan = &*self.plan;
        let Eval::Set(function) = plan.function.eval else {
            // A plain function gives one row.
            let call = Expr {
                kind: ExprKind::Call {
                    function: plan.function,
                    args: plan.args.clone(),
                },
                ty: plan.function.returns,
                typmod: -1,
            };
            let row = vec![eval(&call, &[], cx)?.into_owned()];
            return Ok(Box::new(once(Ok(row))));
        };
        let args = eval_all(&plan.args, &[], cx)?;
        if plan.function.strict && args.iter().any(Datum::is_null) {
            return Ok(Box::new(empty()));
        }
        function(&cx.eval, &args)
    }
}

impl Operator for FunctionScan {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                let rows = self.start(cx)?;
                self.rows.insert(rows)
            }
        };
        cx.running()?.tick(&mut self.ticks)?;
        let Some(values) = rows.next().transpose()? else {
            return Ok(false);
        };
        for (slot, value) in row.iter_mut().zip(values) {
            *slot = value;
        }
        self.ordinal += 1;
        if self.plan.ordinality {
            row[self.plan.width] = Datum::Int8(self.ordinal);
        }
        Ok(true)
    }

    fn rewind(&mut self) {
        self.rows = None;
        self.ordinal = 0;
    }
}

pub(super) struct System {
    relation: &'static SystemRelation,
    rows: Option<IntoIter<Vec<Datum>>>,
}

impl System {
    pub(super) fn new(relation: &'static SystemRelation) -> System {
        System {
            relation,
            rows: None,
        }
    }
}

impl Operator for System {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => self.rows.insert((self.relation.rows)(&cx.eval).into_iter()),
        };
        let Some(values) = rows.next() else {
            return Ok(false);
        };
        for (slot, value) in row.iter_mut().zip(values) {
            *slot = value;
        }
        Ok(true)
    }

    fn rewind(&mut self) {
        self.rows = None;
    }
}
