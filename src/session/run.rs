//! Running one statement, whichever protocol it came by.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use crate::base::CancelFlag;
use crate::base::blocking;
use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, not_in_blocks, only_in_blocks, only_in_blocks_warning};
use crate::session::client::{Client, Formats};
use crate::session::portal::Source;
use crate::session::statement::{Class, Statement, writes};
use crate::session::timer::Timer;
use crate::sql::ast;
use crate::sql::func::EvalContext;
use crate::sql::func::catalog::with_names;
use crate::sql::ir::Field;
use crate::sql::{CopyIn, CopyOut, Outcome, execute};
use crate::table::Catalog;
use crate::types::{Datum, Type};

/// What running a statement has come to.
pub(super) enum Progress {
    Rows(Source),
    /// With its command tag.
    Done(Cow<'static, str>),
    CopyIn(CopyIn),
    CopyOut(CopyOut),
}

/// How a statement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Alone in a query string.
    Alone,
    OneOfSeveral,
    /// The client may know the columns of its result.
    Prepared,
}

/// How many rows are sent between looks at the cancel flag and at other tasks.
const ROWS_PER_TURN: u64 = 256;

impl Session {
    /// Starts a statement.
    pub(super) async fn start<C: Client>(
        &mut self,
        statement: &Statement,
        params: Arc<[Datum]>,
        way: Way,
        client: &mut C,
    ) -> Result<Progress> {
        self.apply_settings();
        self.check_not_aborted(statement)?;
        match statement.class {
            Class::Empty => Ok(Progress::Done("".into())),
            Class::Transaction => {
                let ast::Statement::Transaction(command) = &*statement.ast else {
                    return Err(Error::new(
                        SqlState::INTERNAL_ERROR,
                        "not a transaction command",
                    ));
                };
                let tag = self.transaction_command(command, client).await?;
                Ok(Progress::Done(tag))
            }
            Class::Session => Box::pin(self.session_command(statement, way, client)).await,
            Class::Engine => self.start_engine(statement, params, way, client).await,
        }
    }

    async fn start_engine<C: Client>(
        &mut self,
        statement: &Statement,
        params: Arc<[Datum]>,
        way: Way,
        client: &mut C,
    ) -> Result<Progress> {
        self.enter();
        self.check_place(&statement.ast, way)?;
        writes(&statement.ast).map_or(Ok(()), |what| self.check_writable(what))?;
        if let ast::Statement::SetConstraints { .. } = &*statement.ast
            && self.block != Block::InBlock
        {
            self.notice(&only_in_blocks_warning("SET CONSTRAINTS"), client);
        }
        self.has_queried |= !matches!(*statement.ast, ast::Statement::LockTable { .. });
        let Some(prepared) = &statement.prepared else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "the statement is not prepared",
            ));
        };
        self.txn();
        let Some(txn) = &mut self.txn else {
            return Err(Error::new(SqlState::INTERNAL_ERROR, "no transaction"));
        };
        let is_told = way == Way::Prepared;
        let work = execute(prepared, params, is_told, txn, &self.cx);
        let outcome = while_connected(work, &self.cx.cancel, client).await;
        self.warn(client);
        Ok(match outcome? {
            Outcome::Rows(rows) => {
                // S5
                if let Some(txn) = &self.txn {
                    txn.wait_shown().await?;
                }
                Progress::Rows(Source::Engine(rows))
            }
            Outcome::Done { tag, notices } => {
                self.take_changes()?;
                notices
                    .iter()
                    .for_each(|notice| self.notice(notice, client));
                Progress::Done(tag.into())
            }
            Outcome::CopyIn(copy) => Progress::CopyIn(copy),
            Outcome::CopyOut(copy) => Progress::CopyOut(copy),
        })
    }

    /// 25006 for what a READ ONLY transaction may not run.
    pub(super) fn check_writable(&self, what: &str) -> Result<()> {
        match self.quick.read_only {
            false => Ok(()),
            true => Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            )),
        }
    }

    /// 25001 for what must be a transaction of its own, 25P01 for what must be in a block.
    fn check_place(&self, statement: &ast::Statement, way: Way) -> Result<()> {
        let what = match statement {
            ast::Statement::LockTable { .. } if self.block == Block::InBlock => return Ok(()),
            ast::Statement::LockTable { .. } => return Err(only_in_blocks("LOCK TABLE")),
            ast::Statement::Vacuum { .. } => "VACUUM",
            ast::Statement::CreateIndex(index) if index.concurrently => "CREATE INDEX CONCURRENTLY",
            _ => return Ok(()),
        };
        self.check_alone(what, way)
    }

    pub(super) fn check_alone(&self, what: &str, way: Way) -> Result<()> {
        if self.block == Block::InBlock || way == Way::OneOfSeveral {
            return Err(not_in_blocks(what));
        }
        if self.has_queried {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{what} cannot be executed within a pipeline"),
            ));
        }
        Ok(())
    }

    /// Sends rows until there are no more or `limit` is reached: how many, and whether all.
    pub(super) async fn send_rows<C: Client>(
        &mut self,
        source: &mut Source,
        fields: &[Field],
        formats: &Formats,
        limit: Option<u64>,
        client: &mut C,
    ) -> Result<(u64, bool)> {
        let heavy = source.is_heavy();
        let mut sent = 0;
        loop {
            let turn = limit.map_or(ROWS_PER_TURN, |limit| ROWS_PER_TURN.min(limit - sent));
            let (count, at_end) = blocking(heavy, || {
                self.send_some_rows(source, fields, formats, turn, client)
            })?;
            sent += count;
            self.cx.cancel.check()?;
            if at_end {
                self.take_changes()?;
            }
            let is_done = at_end || limit == Some(sent);
            if is_done || client.is_full() {
                self.wait_shown().await?;
            }
            if is_done {
                return Ok((sent, at_end));
            }
            if client.is_full() {
                client.flush().await?;
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Before rows leave: functions in them may have shown what is not durable yet.
    pub(super) async fn wait_shown(&self) -> Result<()> {
        match &self.txn {
            Some(txn) => txn.wait_shown().await,
            None => Ok(()),
        }
    }

    /// Sends rows until `most` have gone or the buffer is full: how many, and whether these were
    /// the last.
    fn send_some_rows<C: Client>(
        &self,
        source: &mut Source,
        fields: &[Field],
        formats: &Formats,
        most: u64,
        client: &mut C,
    ) -> Result<(u64, bool)> {
        let mut sent = 0;
        let names = self.name_columns(fields, formats);
        while sent < most && !client.is_full() {
            let next = source.next();
            self.warn(client);
            let Some(row) = next? else {
                return Ok((sent, true));
            };
            match &names {
                None => client.send_row(row, fields, formats, &self.cx.format)?,
                Some((catalog, types)) => {
                    let cx = EvalContext {
                        format: &self.cx.format,
                        session: &self.cx.session,
                        catalog,
                        params: &[],
                    };
                    let row = with_names(&cx, types, row)?;
                    client.send_row(&row, fields, formats, &self.cx.format)?;
                }
            }
            sent += 1;
        }
        Ok((sent, false))
    }

    /// If some columns are sent as names that only the catalog knows (regclass and the like in
    /// text): the types, with `Any` for columns that are sent as they are.
    fn name_columns(
        &self,
        fields: &[Field],
        formats: &Formats,
    ) -> Option<(Arc<Catalog>, Vec<Type>)> {
        let named = |(i, field): (usize, &Field)| field.ty.is_reg() && !formats.is_binary(i);
        if !fields.iter().enumerate().any(named) {
            return None;
        }
        let catalog = self.txn.as_ref()?.catalog();
        let types = fields
            .iter()
            .enumerate()
            .map(|(i, field)| match named((i, field)) {
                true => field.ty,
                false => Type::Any,
            });
        Some((catalog, types.collect()))
    }

    /// Starts `statement_timeout`, unless it runs already.
    pub(super) fn start_timer(&mut self) {
        if let Some(limit) = self.quick.statement_timeout
            && self.timer.is_none()
        {
            self.timer = Some(Timer::start(limit, self.cx.cancel.clone()));
        }
    }
}

/// Awaits `work`, and cancels it if the client goes away meanwhile. It is never dropped half-way.
pub(super) async fn while_connected<T, C: Client>(
    work: impl Future<Output = Result<T>>,
    cancel: &CancelFlag,
    client: &mut C,
) -> Result<T> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return result,
        () = client.gone() => cancel.cancel(),
    }
    work.await
}
