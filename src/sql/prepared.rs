//! Statements ready to run, and running them.

use std::sync::Arc;

use crate::base::{Error, Oid, Report, Result, SqlState};
use crate::sql::ast::{self, Statement};
use crate::sql::bind::{bind, bind_expr};
use crate::sql::context::StatementContext;
use crate::sql::copy::{self, CopyIn, CopyOut};
use crate::sql::ddl;
use crate::sql::exec::{Run, change, explain, gather_locked, insert};
use crate::sql::func::EvalContext;
use crate::sql::ir::{BindContext, Bound, Field};
use crate::sql::parse::parse_expr;
use crate::sql::plan::node::{LockMemberKind, Plan};
use crate::sql::plan::{
    ChangePlan, Check, InsertPlan, Target, plan_delete, plan_expr, plan_insert, plan_query,
    plan_update,
};
use crate::sql::rows::Rows;
use crate::table::{Catalog, TableDef, Txn, lock_table};
use crate::txn::{LockMode, LockWait};
use crate::types::{Datum, Type};

/// A statement bound and planned against one version of the catalog.
pub struct Prepared {
    /// The types of its parameters, given or inferred.
    pub params: Vec<Type>,
    /// The columns it returns; `None`: no rows.
    pub fields: Option<Vec<Field>>,
    pub catalog_version: u64,
    pub(super) kind: Kind,
    /// The tables it uses, in the order in which they are locked.
    locks: Vec<(Oid, LockMode)>,
    statement: Statement,
    text: Arc<str>,
    given: Vec<Option<Type>>,
}

pub(super) enum Kind {
    Query(Arc<Plan>),
    Insert(InsertPlan),
    Change(ChangePlan),
    Explain {
        options: explain::Options,
        inner: Arc<Prepared>,
    },
    Copy,
    /// Definitions and maintenance: run from the statement itself.
    Ddl,
    Empty,
}

impl Kind {
    /// Of the statements whose effects are rows, and nothing else.
    fn is_change_or_query(&self) -> bool {
        matches!(self, Kind::Query(_) | Kind::Insert(_) | Kind::Change(_))
    }
}

/// What a statement comes to.
pub enum Outcome {
    Rows(Rows),
    Done {
        /// As PostgreSQL's CommandComplete has it: `INSERT 0 1`.
        tag: String,
        /// To be sent before the tag.
        notices: Vec<Report>,
    },
    CopyIn(CopyIn),
    CopyOut(CopyOut),
}

impl Outcome {
    pub(super) fn done(tag: impl Into<String>) -> Outcome {
        Outcome::Done {
            tag: tag.into(),
            notices: Vec::new(),
        }
    }
}

/// Binds and plans a statement. `text` is what it was parsed from; `params` are the types that
/// the client gave. Statements about the session itself are not for this function.
pub fn prepare(
    statement: &Statement,
    text: &str,
    params: &[Option<Type>],
    cx: &BindContext<'_>,
) -> Result<Prepared> {
    prepare_shared(statement, Arc::from(text), params, cx)
}

fn prepare_shared(
    statement: &Statement,
    text: Arc<str>,
    given: &[Option<Type>],
    cx: &BindContext<'_>,
) -> Result<Prepared> {
    let (kind, params, fields) = match statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_) => prepare_bound(statement, given, cx)?,
        Statement::Explain {
            analyze,
            options,
            statement: inner,
        } => {
            let options = explain::Options::new(*analyze, options)?;
            let inner = prepare_shared(inner, Arc::clone(&text), given, cx)?;
            let params = inner.params.clone();
            let inner = Arc::new(inner);
            let fields = vec![explain::field()];
            (Kind::Explain { options, inner }, params, Some(fields))
        }
        Statement::Copy(_) => (Kind::Copy, Vec::new(), None),
        Statement::CreateTable(_)
        | Statement::CreateTableAs { .. }
        | Statement::CreateIndex(_)
        | Statement::CreateSequence(_)
        | Statement::AlterSequence(_)
        | Statement::AlterTable(_)
        | Statement::Drop { .. }
        | Statement::Truncate { .. }
        | Statement::LockTable { .. }
        | Statement::SetConstraints { .. }
        | Statement::Vacuum { .. }
        | Statement::Analyze { .. } => (Kind::Ddl, Vec::new(), None),
        Statement::Empty => (Kind::Empty, Vec::new(), None),
        Statement::Unsupported(what) => return Err(Error::unsupported(format!("{what} is"))),
        _ => {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a statement about the session reached the planner",
            ));
        }
    };
    Ok(Prepared {
        params,
        fields,
        catalog_version: cx.catalog.version,
        locks: table_locks(&kind),
        kind,
        statement: statement.clone(),
        text,
        given: given.to_vec(),
    })
}

type Parts = (Kind, Vec<Type>, Option<Vec<Field>>);

fn prepare_bound(
    statement: &Statement,
    given: &[Option<Type>],
    cx: &BindContext<'_>,
) -> Result<Parts> {
    let bound = bind(statement, given, cx)?;
    let params = bound.params;
    Ok(match bound.bound {
        Bound::Query { rel, fields } => {
            let plan = plan_query(rel, eval_context(cx))?;
            (Kind::Query(Arc::new(plan)), params, Some(fields))
        }
        Bound::Insert(insert) => {
            let checks = checks(&insert.table, cx)?;
            let plan = plan_insert(insert, checks, eval_context(cx))?;
            let fields = plan.returning.as_ref().map(|r| r.fields.clone());
            (Kind::Insert(plan), params, fields)
        }
        Bound::Update(update) => {
            let checks = checks(&update.table, cx)?;
            change_parts(plan_update(update, checks, eval_context(cx))?, params)
        }
        Bound::Delete(delete) => change_parts(plan_delete(delete, eval_context(cx))?, params),
    })
}

fn change_parts(plan: ChangePlan, params: Vec<Type>) -> Parts {
    let fields = plan.change.returning.as_ref().map(|r| r.fields.clone());
    (Kind::Change(plan), params, fields)
}

pub(super) fn eval_context<'a>(cx: &BindContext<'a>) -> EvalContext<'a> {
    EvalContext {
        format: cx.format,
        session: cx.session,
        catalog: cx.catalog,
        params: &[],
    }
}

/// The CHECK constraints of a table, ready to be evaluated.
pub(super) fn checks(table: &TableDef, cx: &BindContext<'_>) -> Result<Vec<Check>> {
    let check = |check: &crate::table::CheckDef| {
        let expr = parse_expr(&check.expr)?;
        let bound = bind_expr(&expr, Some(table), Some((Type::Bool, -1)), cx)?;
        Ok(Check {
            name: check.name.clone(),
            condition: plan_expr(bound, eval_context(cx))?,
        })
    };
    let mut checks: Vec<_> = table.checks.iter().collect();
    checks.sort_by(|a, b| a.name.cmp(&b.name));
    checks.into_iter().map(check).collect()
}

/// A binding context over a statement's surroundings.
pub(super) fn bind_context<'a>(cx: &'a StatementContext, catalog: &'a Catalog) -> BindContext<'a> {
    BindContext {
        catalog,
        session: &cx.session,
        format: &cx.format,
    }
}

/// The tables of a plan with PostgreSQL's modes: of those a statement reads, of those whose rows
/// it locks, of the one it changes.
fn table_locks(kind: &Kind) -> Vec<(Oid, LockMode)> {
    let (plan, changed) = match kind {
        Kind::Query(plan) => (plan, None),
        Kind::Insert(insert) => (&insert.plan, Some(insert.table.oid)),
        Kind::Change(change) => (&change.plan, Some(change.change.table.oid)),
        Kind::Explain { inner, .. } => return inner.locks.clone(),
        Kind::Copy | Kind::Ddl | Kind::Empty => return Vec::new(),
    };
    let mut locks: Vec<_> = plan
        .tables
        .iter()
        .map(|table| (table.oid, LockMode::AccessShare))
        .collect();
    let members = plan.locks.iter().flat_map(|lock| &lock.members);
    let stronger = members
        .filter_map(|member| match &member.kind {
            LockMemberKind::Table { table, lock } => lock.map(|_| table.oid),
            LockMemberKind::Other { .. } => None,
        })
        .map(|table| (table, LockMode::RowShare))
        .chain(changed.map(|table| (table, LockMode::RowExclusive)));
    for (table, mode) in stronger {
        match locks.iter_mut().find(|(known, _)| *known == table) {
            Some((_, known)) => *known = mode,
            None => locks.push((table, mode)),
        }
    }
    locks
}

impl Prepared {
    /// It holds only for the catalog it was made for.
    fn is_planned(&self) -> bool {
        !matches!(self.kind, Kind::Copy | Kind::Ddl | Kind::Empty)
    }

    fn again(&self, txn: &Txn, cx: &StatementContext) -> Result<Prepared> {
        let catalog = txn.catalog();
        prepare_shared(
            &self.statement,
            Arc::clone(&self.text),
            &self.given,
            &bind_context(cx, &catalog),
        )
    }

    fn has_shape_of(&self, other: &Prepared) -> bool {
        let shape = |fields: &Option<Vec<Field>>| -> Option<Vec<(Type, i32)>> {
            fields
                .as_ref()
                .map(|fields| fields.iter().map(|f| (f.ty, f.typmod)).collect())
        };
        shape(&self.fields) == shape(&other.fields)
    }
}

/// Runs a statement in a transaction. It takes its locks and its snapshot itself. `is_told`: the
/// columns of its result are known to the client and cannot change any more.
pub async fn execute(
    prepared: &Arc<Prepared>,
    params: Arc<[Datum]>,
    is_told: bool,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Outcome> {
    // Nothing has been shown of the transaction so far: it may as well begin a little later.
    let may_begin_again = txn.is_untouched() && prepared.kind.is_change_or_query();
    loop {
        let params = params.clone();
        let result = execute_locked(prepared, params, is_told, txn, cx).await;
        let Err(error) = result else {
            return result;
        };
        if may_begin_again && error.sqlstate() == SqlState::SERIALIZATION_FAILURE {
            // With the lock of the row that it met, which therefore does not change again.
            txn.begin_again();
            cx.cancel.check()?;
            continue;
        }
        // The error may tell of rows that are not durable yet (S2).
        txn.wait_shown().await?;
        return Err(error);
    }
}

async fn execute_locked(
    prepared: &Arc<Prepared>,
    params: Arc<[Datum]>,
    is_told: bool,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Outcome> {
    let (prepared, catalog) = lock_tables(prepared, is_told, txn, cx).await?;
    match &prepared.kind {
        Kind::Query(plan) => {
            let run = start(plan, &params, &catalog, txn, cx).await?;
            Ok(Outcome::Rows(Rows::running(&prepared, run)))
        }
        Kind::Insert(_) | Kind::Change(_) => {
            let changed = run_change(&prepared, &params, &catalog, txn, cx).await?;
            Ok(changed)
        }
        Kind::Explain { options, inner } => {
            let measured = if options.analyze {
                Some(explain::run(inner, &params, &catalog, txn, cx).await?)
            } else {
                None
            };
            let lines = explain::explain(inner, options, measured)?;
            let rows = lines
                .into_iter()
                .map(|line| vec![Datum::Text(line)])
                .collect();
            Ok(Outcome::Rows(Rows::ready(
                &prepared,
                rows,
                "EXPLAIN".to_owned(),
            )))
        }
        Kind::Copy => match &prepared.statement {
            Statement::Copy(statement) => copy::start(statement, txn, cx).await,
            _ => Ok(Outcome::done("COPY 0")),
        },
        Kind::Ddl => ddl::execute(&prepared.statement, txn, cx).await,
        Kind::Empty => Ok(Outcome::done("")),
    }
}

/// Locks the tables of a plan and makes sure that it fits the catalog (S1).
async fn lock_tables(
    prepared: &Arc<Prepared>,
    is_told: bool,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<(Arc<Prepared>, Arc<Catalog>)> {
    let mut prepared = Arc::clone(prepared);
    loop {
        for (table, mode) in &prepared.locks {
            lock_table(txn, *table, *mode, LockWait::Wait, &cx.cancel).await?;
        }
        let catalog = txn.catalog();
        if catalog.version == prepared.catalog_version || !prepared.is_planned() {
            return Ok((prepared, catalog));
        }
        let again = prepared.again(txn, cx)?;
        if is_told && !again.has_shape_of(&prepared) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            ));
        }
        prepared = Arc::new(again);
    }
}

/// An execution of a plan that reads at a snapshot.
pub(super) async fn start(
    plan: &Arc<Plan>,
    params: &Arc<[Datum]>,
    catalog: &Arc<Catalog>,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Run> {
    let mut run = Run::new(plan, params, cx, catalog);
    if !plan.tables.is_empty() || plan.exports {
        txn.begin_statement().await?;
        run.open_tables(txn)?;
        if plan.exports
            && let Some(backend) = &cx.session.backend
        {
            backend.offer_snapshot(txn, cx.session.database_oid);
        }
    } else {
        txn.begin_point_statement().await?;
    }
    if !plan.locks.is_empty() {
        gather_locked(&mut run, txn).await?;
        txn.wait_shown().await?;
    }
    Ok(run)
}

/// Runs an INSERT, UPDATE or DELETE.
pub(super) async fn run_change(
    prepared: &Arc<Prepared>,
    params: &Arc<[Datum]>,
    catalog: &Arc<Catalog>,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Outcome> {
    let (changed, verb, returns) = match &prepared.kind {
        Kind::Insert(plan) => {
            let run = if plan.reads_tables {
                start(&plan.plan, params, catalog, txn, cx).await?
            } else {
                txn.begin_point_statement().await?;
                Run::new(&plan.plan, params, cx, catalog)
            };
            (
                insert(plan, &run, txn).await?,
                "INSERT 0",
                plan.returning.is_some(),
            )
        }
        Kind::Change(plan) => {
            let run = match plan.target {
                Target::Unique { .. } => {
                    txn.begin_point_statement().await?;
                    Run::new(&plan.plan, params, cx, catalog)
                }
                Target::Scan => start(&plan.plan, params, catalog, txn, cx).await?,
            };
            let verb = match plan.change.assignments {
                Some(_) => "UPDATE",
                None => "DELETE",
            };
            (
                change(plan, &run, txn).await?,
                verb,
                plan.change.returning.is_some(),
            )
        }
        _ => return Ok(Outcome::done("")),
    };
    let tag = format!("{verb} {}", changed.count);
    // That there was nothing to change is shown, too (S2).
    if returns || changed.count == 0 {
        txn.wait_shown().await?;
    }
    if !returns {
        return Ok(Outcome::done(tag));
    }
    Ok(Outcome::Rows(Rows::ready(prepared, changed.returned, tag)))
}

/// Plans a query that is part of another statement (COPY, CREATE TABLE AS) and locks its tables.
pub(super) async fn prepare_inner(
    query: &ast::Query,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<(Arc<Prepared>, Arc<Catalog>)> {
    let statement = Statement::Query(Box::new(query.clone()));
    let catalog = txn.catalog();
    let prepared = prepare(&statement, "", &[], &bind_context(cx, &catalog))?;
    lock_tables(&Arc::new(prepared), false, txn, cx).await
}

/// Starts the query of such a statement.
pub(super) async fn start_inner(
    prepared: &Arc<Prepared>,
    catalog: &Arc<Catalog>,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Rows> {
    let params: Arc<[Datum]> = Arc::from([]);
    match &prepared.kind {
        Kind::Query(plan) => {
            let run = start(plan, &params, catalog, txn, cx).await?;
            Ok(Rows::running(prepared, run))
        }
        _ => Err(Error::new(SqlState::INTERNAL_ERROR, "not a query")),
    }
}
