//! LIMIT and OFFSET.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::exec::{Operator, open};
use crate::sql::expr::{ExprContext, eval};
use crate::sql::ir::Expr;
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Limit {
    plan: Arc<node::Limit>,
    input: Box<dyn Operator>,
    started: bool,
    /// Rows still to come; `None`: all.
    left: Option<usize>,
}

impl Limit {
    pub(super) fn new(plan: &Arc<node::Limit>) -> Limit {
        Limit {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            started: false,
            left: None,
        }
    }
}

/// A count given by an expression; NULL or absent: none.
pub(super) fn count(expr: Option<&Expr>, cx: &ExprContext<'_>) -> Result<Option<usize>> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    let count = match &*eval(expr, &[], cx)? {
        Datum::Int8(count) => *count,
        Datum::Int4(count) => i64::from(*count),
        Datum::Int2(count) => i64::from(*count),
        _ => return Ok(None),
    };
    match usize::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(Error::new(
            SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
            "LIMIT must not be negative",
        )),
    }
}

impl Operator for Limit {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if !self.started {
            self.started = true;
            let offset = offset(self.plan.offset.as_ref(), cx)?;
            self.left = count(self.plan.limit.as_ref(), cx)?;
            if self.left == Some(0) {
                return Ok(false);
            }
            for _ in 0..offset {
                if !self.input.next(cx, row)? {
                    self.left = Some(0);
                    break;
                }
            }
        }
        match &mut self.left {
            Some(0) => return Ok(false),
            Some(left) => *left -= 1,
            None => {}
        }
        self.input.next(cx, row)
    }

    fn rewind(&mut self) {
        self.input.rewind();
        self.started = false;
    }
}

/// The number of rows to skip.
pub(super) fn offset(expr: Option<&Expr>, cx: &ExprContext<'_>) -> Result<usize> {
    match count(expr, cx) {
        Ok(count) => Ok(count.unwrap_or(0)),
        Err(e) if e.sqlstate() == SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE => Err(Error::new(
            SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
            "OFFSET must not be negative",
        )),
        Err(e) => Err(e),
    }
}
