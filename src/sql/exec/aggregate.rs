//! Groups of equal keys and what their rows add up to.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::Result;
use crate::sql::exec::sort::{compare_keys, make_key};
use crate::sql::exec::{Operator, nulls, open};
use crate::sql::expr::{ExprContext, assign, eval, hash_key, is_true};
use crate::sql::func::Accumulator;
use crate::sql::ir::AggregateCall;
use crate::sql::plan::node;
use crate::types::Datum;

pub(super) struct Aggregate {
    plan: Arc<node::Aggregate>,
    input: Box<dyn Operator>,
    groups: Option<std::vec::IntoIter<Group>>,
    ticks: u32,
}

struct Group {
    keys: Vec<Datum>,
    calls: Vec<Gathering>,
}

/// One aggregate of one group.
struct Gathering {
    accumulator: Box<dyn Accumulator>,
    /// DISTINCT: the arguments seen.
    seen: Option<FxHashSet<Vec<u8>>>,
    /// ORDER BY: (sort keys, arguments) of the rows, added at the end.
    waiting: Vec<(Vec<Datum>, Vec<Datum>)>,
}

impl Aggregate {
    pub(super) fn new(plan: &Arc<node::Aggregate>) -> Aggregate {
        Aggregate {
            plan: Arc::clone(plan),
            input: open(&plan.input),
            groups: None,
            ticks: 0,
        }
    }

    fn gather(&mut self, cx: &ExprContext<'_>) -> Result<Vec<Group>> {
        let plan = Arc::clone(&self.plan);
        let mut groups = Vec::new();
        let mut places: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
        if plan.keys.is_empty() {
            groups.push(Group::new(&plan, Vec::new()));
        }
        let mut row = nulls(plan.input_width);
        let mut hash = Vec::new();
        let mut args = Vec::new();
        while self.input.next(cx, &mut row)? {
            cx.running()?.tick(&mut self.ticks)?;
            let place = if plan.keys.is_empty() {
                0
            } else {
                hash.clear();
                for key in &plan.keys {
                    hash_key(key.ty, &*eval(key, &row, cx)?, &mut hash);
                }
                match places.get(&hash) {
                    Some(place) => *place,
                    None => {
                        let keys = plan.keys.iter();
                        let keys = keys.map(|key| Ok(eval(key, &row, cx)?.into_owned()));
                        groups.push(Group::new(&plan, keys.collect::<Result<_>>()?));
                        places.insert(hash.clone(), groups.len() - 1);
                        groups.len() - 1
                    }
                }
            };
            for (call, gathering) in plan.calls.iter().zip(&mut groups[place].calls) {
                gathering.add(call, &row, &mut args, cx)?;
            }
        }
        Ok(groups)
    }
}

impl Group {
    fn new(plan: &node::Aggregate, keys: Vec<Datum>) -> Group {
        let calls = plan.calls.iter().map(|call| Gathering {
            accumulator: (call.aggregate.new)(),
            seen: call.distinct.then(FxHashSet::default),
            waiting: Vec::new(),
        });
        Group {
            keys,
            calls: calls.collect(),
        }
    }
}

impl Gathering {
    fn add(
        &mut self,
        call: &AggregateCall,
        row: &[Datum],
        args: &mut Vec<Datum>,
        cx: &ExprContext<'_>,
    ) -> Result<()> {
        if let Some(filter) = &call.filter
            && !is_true(filter, row, cx)?
        {
            return Ok(());
        }
        args.resize_with(call.args.len(), Datum::default);
        for (slot, arg) in args.iter_mut().zip(&call.args) {
            assign(slot, eval(arg, row, cx)?);
        }
        if call.aggregate.strict && args.iter().any(Datum::is_null) {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen {
            let mut key = Vec::new();
            for (value, arg) in args.iter().zip(&call.args) {
                hash_key(arg.ty, value, &mut key);
            }
            if !seen.insert(key) {
                return Ok(());
            }
        }
        if call.order_by.is_empty() {
            return self.accumulator.add(&cx.eval, args);
        }
        let mut key = nulls(call.order_by.len());
        make_key(&call.order_by, row, cx, &mut key)?;
        self.waiting.push((key, args.clone()));
        Ok(())
    }

    fn finish(mut self, call: &AggregateCall, cx: &ExprContext<'_>) -> Result<Datum> {
        self.waiting
            .sort_by(|a, b| compare_keys(&call.order_by, &a.0, &b.0));
        for (_, args) in &self.waiting {
            self.accumulator.add(&cx.eval, args)?;
        }
        self.accumulator.finish(&cx.eval)
    }
}

impl Operator for Aggregate {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        if self.groups.is_none() {
            self.groups = Some(self.gather(cx)?.into_iter());
        }
        let Some(group) = self.groups.as_mut().and_then(Iterator::next) else {
            return Ok(false);
        };
        let (keys, results) = row.split_at_mut(group.keys.len());
        for (slot, key) in keys.iter_mut().zip(group.keys) {
            *slot = key;
        }
        for (slot, (gathering, call)) in results
            .iter_mut()
            .zip(group.calls.into_iter().zip(&self.plan.calls))
        {
            *slot = gathering.finish(call, cx)?;
        }
        Ok(true)
    }

    fn rewind(&mut self) {
        self.input.rewind();
        self.groups = None;
    }
}
