//! Rows in order, all of them or the first.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::Result;
use crate::sql::exec::limit::{count, offset};
use crate::sql::exec::row_table::RowTable;
use crate::sql::exec::{Operator, nulls, open, refills};
use crate::sql::expr::{ExprContext, compare, eval};
use crate::sql::ir::SortKey;
use crate::sql::plan::node;
use crate::types::Datum;

/// Beyond this many wanted rows everything is sorted.
const TOP_ROWS_MAX: usize = 10_000;

pub(super) struct Sort {
    plan: Arc<node::Sort>,
    input: Box<dyn Operator>,
    sorted: Option<Sorted>,
    ticks: u32,
}

struct Sorted {
    rows: RowTable,
    order: std::vec::IntoIter<usize>,
}

impl Sort {
    pub(super) fn new(plan: &Arc<node::Sort>) -> Sort {
        Sort {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            sorted: None,
            ticks: 0,
        }
    }

    fn sort(&mut self, cx: &ExprContext<'_>) -> Result<Sorted> {
        if let Some(wanted) = self.wanted(cx)? {
            return self.sort_top(wanted, cx);
        }
        let plan = Arc::clone(&self.plan);
        let mut rows = RowTable::new(plan.width);
        let mut keys = RowTable::new(plan.keys.len());
        let mut row = nulls(plan.width);
        let mut key = nulls(plan.keys.len());
        let take = refills(&plan.input);
        while self.input.next(cx, &mut row)? {
            cx.running()?.tick(&mut self.ticks)?;
            make_key(&plan.keys, &row, cx, &mut key)?;
            keys.push(&mut key, true);
            rows.push(&mut row, take);
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| compare_keys(&plan.keys, keys.get(*a), keys.get(*b)));
        Ok(Sorted {
            rows,
            order: order.into_iter(),
        })
    }

    /// How many rows are wanted, if few.
    fn wanted(&self, cx: &ExprContext<'_>) -> Result<Option<usize>> {
        let Some((limit, offset)) = &self.plan.top else {
            return Ok(None);
        };
        let Some(limit) = count(Some(limit), cx)? else {
            return Ok(None);
        };
        let offset = self::offset(offset.as_ref(), cx)?;
        Ok(limit
            .checked_add(offset)
            .filter(|wanted| *wanted <= TOP_ROWS_MAX))
    }

    /// Keeps the best rows seen, pruned whenever twice as many as wanted have gathered.
    fn sort_top(&mut self, wanted: usize, cx: &ExprContext<'_>) -> Result<Sorted> {
        type Entry = (Vec<Datum>, Vec<Datum>);
        let plan = Arc::clone(&self.plan);
        let mut best: Vec<Entry> = Vec::new();
        let mut pruned = false;
        let order = |a: &Entry, b: &Entry| compare_keys(&plan.keys, &a.0, &b.0);
        let mut row = nulls(plan.width);
        let mut key = nulls(plan.keys.len());
        while wanted > 0 && self.input.next(cx, &mut row)? {
            cx.running()?.tick(&mut self.ticks)?;
            make_key(&plan.keys, &row, cx, &mut key)?;
            // Once pruned, the last of the wanted rows bounds all that may still come.
            if pruned && compare_keys(&plan.keys, &key, &best[wanted - 1].0) != Ordering::Less {
                continue;
            }
            best.push((key.clone(), row.clone()));
            if best.len() >= 2 * wanted + 64 {
                best.sort_by(order);
                best.truncate(wanted);
                pruned = true;
            }
        }
        best.sort_by(order);
        best.truncate(wanted);
        let mut rows = RowTable::new(plan.width);
        for (_, mut row) in best {
            rows.push(&mut row, true);
        }
        let order: Vec<usize> = (0..rows.len()).collect();
        Ok(Sorted {
            rows,
            order: order.into_iter(),
        })
    }
}

pub(super) fn make_key(
    keys: &[SortKey],
    row: &[Datum],
    cx: &ExprContext<'_>,
    out: &mut [Datum],
) -> Result<()> {
    for (slot, key) in out.iter_mut().zip(keys) {
        *slot = eval(&key.expr, row, cx)?.into_owned();
    }
    Ok(())
}

pub(super) fn compare_keys(keys: &[SortKey], a: &[Datum], b: &[Datum]) -> Ordering {
    for (key, (a, b)) in keys.iter().zip(a.iter().zip(b)) {
        let order = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let order = compare(key.expr.ty, a, b);
                if key.descending {
                    order.reverse()
                } else {
                    order
                }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

impl Operator for Sort {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(cx)?);
        }
        let Some(sorted) = &mut self.sorted else {
            return Ok(false);
        };
        let Some(place) = sorted.order.next() else {
            return Ok(false);
        };
        sorted.rows.take(place, row);
        Ok(true)
    }

    fn rewind(&mut self) {
        self.input.rewind();
        self.sorted = None;
    }
}
