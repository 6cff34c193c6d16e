//! One execution of a plan: what its operators share.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::base::sync::Mutex;
use crate::base::{Error, Oid, Result, RowId, SqlState};
use crate::sql::context::StatementContext;
use crate::sql::exec::{nulls, open};
use crate::sql::expr::{ExprContext, OuterRow, any_all, call2, hash_key};
use crate::sql::func::EvalContext;
use crate::sql::plan::node::{OwnedRow, Plan, SubPlan, SubPlanKind};
use crate::table::{Catalog, TableReader, Txn, reader};
use crate::types::{Array, Datum};

/// How many rows a loop handles between two looks at the cancel flag.
const ROWS_PER_CHECK: u32 = 256;

/// Everything an execution carries with it; it can outlive the call that started it.
pub(crate) struct Run {
    pub(crate) plan: Arc<Plan>,
    pub(crate) params: Arc<[Datum]>,
    pub(crate) statement: StatementContext,
    pub(crate) catalog: Arc<Catalog>,
    /// One per table of the plan, in its order; none if the statement reads by key only.
    readers: Vec<TableReader>,
    /// Results of the subqueries that do not depend on a row.
    subqueries: Vec<Mutex<Option<Arc<Found>>>>,
    /// By row source, while a lock is re-checked; else empty.
    pub(crate) stand_ins: Vec<Option<StandIn>>,
    /// What the plan's locks have gathered.
    pub(crate) locked: Vec<Arc<Vec<OwnedRow>>>,
}

/// The only row of a relation while a lock is re-checked.
pub(crate) enum StandIn {
    /// Of a stored table.
    Stored(RowId, Vec<u8>),
    /// Of another relation.
    Row(OwnedRow),
    /// None: an outer join has put nulls.
    Absent,
}

/// The result of a subquery that is run once.
enum Found {
    Value(Datum),
    List(Vec<Datum>),
    Set {
        keys: FxHashSet<Vec<u8>>,
        has_null: bool,
        is_empty: bool,
    },
}

impl Run {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        params: &Arc<[Datum]>,
        statement: &StatementContext,
        catalog: &Arc<Catalog>,
    ) -> Run {
        Run {
            plan: Arc::clone(plan),
            params: Arc::clone(params),
            statement: statement.clone(),
            catalog: Arc::clone(catalog),
            readers: Vec::new(),
            subqueries: plan.subplans.iter().map(|_| Mutex::new(None)).collect(),
            stand_ins: Vec::new(),
            locked: Vec::new(),
        }
    }

    /// Lets the plan read tables at the statement's snapshot.
    pub(crate) fn open_tables(&mut self, txn: &Txn) -> Result<()> {
        let tables = self.plan.tables.iter();
        let readers = tables.map(|table| reader(txn, table, &table.indexes));
        self.readers = readers.collect::<Result<_>>()?;
        Ok(())
    }

    pub(crate) fn reader(&self, table: Oid) -> Result<&TableReader> {
        let place = self.plan.tables.binary_search_by_key(&table, |t| t.oid);
        let reader = place.ok().and_then(|place| self.readers.get(place));
        reader.ok_or_else(|| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                "a table was not opened for reading",
            )
        })
    }

    pub(crate) fn context(&self) -> ExprContext<'_> {
        ExprContext {
            eval: self.eval_context(),
            outer: None,
            run: Some(self),
        }
    }

    pub(crate) fn eval_context(&self) -> EvalContext<'_> {
        EvalContext {
            format: &self.statement.format,
            session: &self.statement.session,
            catalog: &self.catalog,
            params: &self.params,
        }
    }

    /// Counts a row of a long loop (X2).
    pub(crate) fn tick(&self, rows: &mut u32) -> Result<()> {
        *rows = rows.wrapping_add(1);
        if rows.is_multiple_of(ROWS_PER_CHECK) {
            self.statement.cancel.check()?;
        }
        Ok(())
    }

    /// The value of a subquery at a row.
    pub(crate) fn subquery(
        &self,
        index: usize,
        left: Option<&Datum>,
        row: &[Datum],
        cx: &ExprContext<'_>,
    ) -> Result<Datum> {
        let plan = &self.plan.subplans[index];
        if plan.correlated {
            let outer = OuterRow {
                row,
                next: cx.outer,
            };
            return self.run_correlated(plan, left, &cx.inside(&outer), cx);
        }
        let found = self.run_once(index, plan, cx)?;
        match &plan.kind {
            SubPlanKind::AnyAll {
                op, all, left: ty, ..
            } => {
                let left = left.unwrap_or(&Datum::Null);
                match &*found {
                    Found::Set {
                        keys,
                        has_null,
                        is_empty,
                    } => {
                        let mut key = Vec::new();
                        hash_key(*ty, left, &mut key);
                        let any = if *is_empty {
                            Some(false)
                        } else if left.is_null() {
                            None
                        } else if keys.contains(&key) {
                            Some(true)
                        } else if *has_null {
                            None
                        } else {
                            Some(false)
                        };
                        Ok(any.map_or(Datum::Null, |any| Datum::Bool(any != *all)))
                    }
                    Found::List(values) => {
                        let types = [*ty, plan.ty];
                        let values = values.iter();
                        any_all(*all, values.map(|value| call2(op, cx, types, left, value)))
                    }
                    Found::Value(value) => Ok(value.clone()),
                }
            }
            _ => match &*found {
                Found::Value(value) => Ok(value.clone()),
                _ => Ok(Datum::Null),
            },
        }
    }

    fn run_once(&self, index: usize, plan: &SubPlan, cx: &ExprContext<'_>) -> Result<Arc<Found>> {
        let cache = &self.subqueries[index];
        if let Some(found) = &*cache.lock() {
            return Ok(Arc::clone(found));
        }
        let found = match &plan.kind {
            SubPlanKind::AnyAll { hashed, .. } => {
                let values = first_column(plan, cx)?;
                if *hashed {
                    set_of(plan, &values)
                } else {
                    Found::List(values)
                }
            }
            _ => Found::Value(single(plan, cx)?),
        };
        let found = Arc::new(found);
        *cache.lock() = Some(Arc::clone(&found));
        Ok(found)
    }

    fn run_correlated(
        &self,
        plan: &SubPlan,
        left: Option<&Datum>,
        inner: &ExprContext<'_>,
        cx: &ExprContext<'_>,
    ) -> Result<Datum> {
        match &plan.kind {
            SubPlanKind::AnyAll {
                op, all, left: ty, ..
            } => {
                let left = left.unwrap_or(&Datum::Null);
                let values = first_column(plan, inner)?;
                let (types, values) = ([*ty, plan.ty], values.iter());
                any_all(*all, values.map(|value| call2(op, cx, types, left, value)))
            }
            _ => single(plan, inner),
        }
    }
}

/// The value of a scalar, EXISTS or ARRAY subquery.
fn single(plan: &SubPlan, cx: &ExprContext<'_>) -> Result<Datum> {
    match plan.kind {
        SubPlanKind::Array => Ok(Datum::Array(Arc::new(Array {
            elements: first_column(plan, cx)?,
        }))),
        SubPlanKind::Exists => {
            let mut row = nulls(plan.width);
            Ok(Datum::Bool(open(&plan.node).next(cx, &mut row)?))
        }
        SubPlanKind::Scalar | SubPlanKind::AnyAll { .. } => {
            let mut row = nulls(plan.width);
            let mut operator = open(&plan.node);
            if !operator.next(cx, &mut row)? {
                return Ok(Datum::Null);
            }
            let value = row[0].clone();
            if operator.next(cx, &mut row)? {
                return Err(Error::new(
                    SqlState::CARDINALITY_VIOLATION,
                    "more than one row returned by a subquery used as an expression",
                ));
            }
            Ok(value)
        }
    }
}

fn first_column(plan: &SubPlan, cx: &ExprContext<'_>) -> Result<Vec<Datum>> {
    let mut row = nulls(plan.width);
    let mut operator = open(&plan.node);
    let mut values = Vec::new();
    while operator.next(cx, &mut row)? {
        values.push(row[0].clone());
    }
    Ok(values)
}

fn set_of(plan: &SubPlan, values: &[Datum]) -> Found {
    let mut keys = FxHashSet::default();
    let mut has_null = false;
    for value in values {
        if value.is_null() {
            has_null = true;
            continue;
        }
        let mut key = Vec::new();
        hash_key(plan.ty, value, &mut key);
        keys.insert(key);
    }
    Found::Set {
        keys,
        has_null,
        is_empty: values.is_empty(),
    }
}
