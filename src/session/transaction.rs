//! Beginning and ending transactions.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, Command, Step, only_in_blocks_warning};
use crate::session::client::Client;
use crate::sql::ast;
use crate::sql::ast::{Isolation, TransactionModes};
use crate::sql::check_deferred;
use crate::table::Txn;
use crate::types::datetime::now_micros;

impl Session {
    /// Goes into an implicit transaction, unless there is a transaction.
    pub(super) fn enter(&mut self) {
        if self.block == Block::Idle {
            self.block = Block::Implicit;
            self.start_transaction();
        }
    }

    /// The transaction's time and modes; the engine's part begins when it is needed.
    fn start_transaction(&mut self) {
        Arc::make_mut(&mut self.cx.format).now = now_micros();
        if self.quick.default_read_only || self.quick.default_isolation != "read committed" {
            let modes = TransactionModes {
                isolation: (self.quick.default_isolation == "read uncommitted")
                    .then_some(Isolation::ReadUncommitted),
                read_only: Some(self.quick.default_read_only),
                deferrable: None,
            };
            // Both values come from settings that allow only what works.
            let _ = self.set_modes(&modes);
        }
    }

    /// The engine's transaction, begun if need be.
    pub(super) fn txn(&mut self) -> &mut Txn {
        self.enter();
        self.txn.get_or_insert_with(|| {
            let mut txn = self.connected.begin_in(&self.backend.locks);
            txn.depend_on(self.unawaited);
            txn
        })
    }

    pub(super) async fn transaction_command<C: Client>(
        &mut self,
        command: &ast::Transaction,
        client: &mut C,
    ) -> Result<Cow<'static, str>> {
        use ast::Transaction as T;
        match command {
            T::Begin { is_start, modes } => {
                check_modes(modes)?;
                let tag = self.carry_out(Command::Begin, client).await?;
                self.set_modes(modes)?;
                Ok(if *is_start { "START TRANSACTION" } else { tag }.into())
            }
            T::Commit { chain } => {
                let command = Command::Commit { chain: *chain };
                Ok(self.carry_out(command, client).await?.into())
            }
            T::Rollback { chain } => {
                let command = Command::Rollback { chain: *chain };
                Ok(self.carry_out(command, client).await?.into())
            }
            T::SetTransaction { session, modes } => {
                self.set_transaction(*session, modes, client)?;
                Ok("SET".into())
            }
            T::Savepoint(name) => self.savepoint(name).map(|()| "SAVEPOINT".into()),
            T::Release(name) => self.release_savepoint(name).map(|()| "RELEASE".into()),
            T::RollbackTo(name) => self.roll_back_to(name).map(|()| "ROLLBACK".into()),
        }
    }

    async fn carry_out<C: Client>(
        &mut self,
        command: Command,
        client: &mut C,
    ) -> Result<&'static str> {
        let step = self.block.on(command)?;
        if let Some(warning) = &step.warning {
            self.notice(warning, client);
        }
        match step.step {
            Step::Enter => self.enter(),
            Step::Commit => self.commit().await?,
            Step::Rollback => self.rollback(),
            Step::CommitAndChain => {
                let modes = self.modes();
                self.commit().await?;
                self.enter();
                self.set_modes(&modes)?;
            }
            Step::RollbackAndChain => {
                let modes = self.modes();
                self.rollback();
                self.enter();
                self.set_modes(&modes)?;
            }
        }
        self.block = step.next;
        Ok(step.tag)
    }

    /// The modes of the transaction at hand, for AND CHAIN.
    fn modes(&self) -> TransactionModes {
        let is_uncommitted = self.settings.raw("transaction_isolation") == "read uncommitted";
        TransactionModes {
            isolation: is_uncommitted.then_some(Isolation::ReadUncommitted),
            read_only: Some(self.quick.read_only),
            deferrable: None,
        }
    }

    /// Ends the transaction well: when this returns, it is durable, unless `synchronous_commit`
    /// is off. Advisory locks are kept until it is: who takes them next sees what it did.
    pub(super) async fn commit(&mut self) -> Result<()> {
        self.apply_settings();
        let result = match self.leave() {
            Some(txn) => self.commit_txn(txn).await,
            None => Ok(()),
        };
        self.backend.locks.release_from(0);
        match result {
            Ok(()) => self.settings.commit(),
            Err(_) => self.settings.rollback(),
        }
        result
    }

    async fn commit_txn(&mut self, mut txn: Txn) -> Result<()> {
        check_deferred(&mut txn, &self.cx, true).await?;
        txn.prepare(&self.cx.cancel)?;
        if self.quick.synchronous_commit || self.backend.locks.holds_any() {
            return txn.commit().await;
        }
        let lsn = txn.commit_soon().await?;
        self.unawaited = self.unawaited.max(lsn);
        Ok(())
    }

    pub(super) fn rollback(&mut self) {
        if let Some(txn) = self.leave() {
            txn.rollback();
        }
        self.backend.locks.release_from(0);
        self.settings.rollback();
    }

    /// [`Session::rollback`] after an error.
    pub(super) fn end_now(&mut self) {
        self.rollback();
    }

    /// S2: portals go before their transaction does.
    fn leave(&mut self) -> Option<Txn> {
        if !self.portals.is_empty() {
            self.portals.clear();
        }
        self.savepoints.clear();
        self.has_queried = false;
        self.ended += 1;
        self.block = Block::Idle;
        self.txn.take()
    }

    /// The end of a query string or Sync.
    pub(super) async fn end_implicit(&mut self) -> Result<()> {
        match self.block {
            Block::Implicit => self.commit().await,
            _ => Ok(()),
        }
    }

    fn set_transaction<C: Client>(
        &mut self,
        session: bool,
        modes: &TransactionModes,
        client: &mut C,
    ) -> Result<()> {
        check_modes(modes)?;
        if session {
            return self.set_session_modes(modes);
        }
        if self.block != Block::InBlock {
            self.notice(&only_in_blocks_warning("SET TRANSACTION"), client);
        }
        self.enter();
        self.set_modes(modes)
    }

    fn set_session_modes(&mut self, modes: &TransactionModes) -> Result<()> {
        let mut set = |name: &str, value: &str| self.settings.set(name, &[value.into()], false);
        if let Some(isolation) = modes.isolation {
            set("default_transaction_isolation", isolation_name(isolation))?;
        }
        if let Some(read_only) = modes.read_only {
            set(
                "default_transaction_read_only",
                if read_only { "on" } else { "off" },
            )?;
        }
        if let Some(deferrable) = modes.deferrable {
            set(
                "default_transaction_deferrable",
                if deferrable { "on" } else { "off" },
            )?;
        }
        Ok(())
    }

    /// Sets the modes of the transaction at hand; they end with it.
    pub(super) fn set_modes(&mut self, modes: &TransactionModes) -> Result<()> {
        check_modes(modes)?;
        if modes.read_only == Some(false) && self.quick.read_only && self.has_queried {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "transaction read-write mode must be set before any query",
            ));
        }
        if let Some(isolation) = modes.isolation
            && isolation_name(isolation) != self.settings.raw("transaction_isolation")
        {
            let value = isolation_name(isolation).to_owned();
            self.settings.set("transaction_isolation", &[value], true)?;
        }
        if let Some(read_only) = modes.read_only
            && read_only != self.quick.read_only
        {
            let value = if read_only { "on" } else { "off" }.to_owned();
            self.settings.set("transaction_read_only", &[value], true)?;
        }
        self.apply_settings();
        Ok(())
    }
}

fn check_modes(modes: &TransactionModes) -> Result<()> {
    match modes.isolation {
        Some(level @ (Isolation::RepeatableRead | Isolation::Serializable)) => {
            let name = isolation_name(level).to_uppercase();
            Err(Error::unsupported(format_args!(
                "isolation level {name} is"
            )))
        }
        _ => Ok(()),
    }
}

fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadUncommitted => "read uncommitted",
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}
