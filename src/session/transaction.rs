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
use crate::txn;

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
        let format = Arc::make_mut(&mut self.cx.format);
        format.now = format.statement_start;
        if self.quick.defaults != self.modes() {
            let defaults = self.quick.defaults.clone();
            // Nothing has been asked yet, so all modes may be set.
            let _ = self.set_modes(&defaults);
        }
    }

    /// The engine's transaction, begun if need be.
    pub(super) fn txn(&mut self) -> &mut Txn {
        self.enter();
        self.txn.get_or_insert_with(|| {
            let mut txn = self.connected.begin_in(&self.backend.locks);
            txn.depend_on(self.unawaited);
            txn.set_isolation(engine_isolation(self.quick.isolation));
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

    /// The modes of the transaction at hand.
    fn modes(&self) -> TransactionModes {
        TransactionModes {
            isolation: Some(self.quick.isolation),
            read_only: Some(self.quick.read_only),
            deferrable: Some(self.quick.deferrable),
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
        self.backend.locks.end_transaction();
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
            // The client knows of it, if only how many rows it has changed.
            self.unawaited = self.unawaited.max(txn.depends_on());
            txn.rollback();
        }
        self.backend.locks.end_transaction();
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
        if session {
            self.enter();
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
    ///
    /// # Errors
    /// 25001 for a change that comes too late.
    pub(super) fn set_modes(&mut self, modes: &TransactionModes) -> Result<()> {
        let now = self.modes();
        let too_late = |message: &str| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        let is_nested = !self.savepoints.is_empty();
        if modes.isolation.is_some() && modes.isolation != now.isolation {
            if self.has_queried {
                return too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if is_nested {
                return too_late(
                    "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction",
                );
            }
        }
        if modes.read_only == Some(false) && self.quick.read_only {
            if is_nested {
                return too_late(
                    "cannot set transaction read-write mode inside a read-only transaction",
                );
            }
            if self.has_queried {
                return too_late("transaction read-write mode must be set before any query");
            }
        }
        if modes.deferrable.is_some() {
            if is_nested {
                return too_late(
                    "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction",
                );
            }
            if self.has_queried {
                return too_late(
                    "SET TRANSACTION [NOT] DEFERRABLE must be called before any query",
                );
            }
        }
        let on_off = |on| if on { "on" } else { "off" };
        let values = [
            ("transaction_isolation", modes.isolation.map(isolation_name)),
            ("transaction_read_only", modes.read_only.map(on_off)),
            ("transaction_deferrable", modes.deferrable.map(on_off)),
        ];
        for (name, value) in values {
            if let Some(value) = value
                && value != self.settings.raw(name)
            {
                self.settings.set(name, &[value.to_owned()], true)?;
            }
        }
        self.apply_settings();
        if let Some(txn) = &mut self.txn
            && modes.isolation.is_some()
            && modes.isolation != now.isolation
        {
            txn.set_isolation(engine_isolation(self.quick.isolation));
        }
        Ok(())
    }
}

pub(super) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadUncommitted => "read uncommitted",
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

/// The level of a setting's value, which has been checked.
pub(super) fn isolation_of(name: &str) -> Isolation {
    match name {
        "read uncommitted" => Isolation::ReadUncommitted,
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    }
}

fn engine_isolation(isolation: Isolation) -> txn::Isolation {
    match isolation {
        Isolation::ReadUncommitted | Isolation::ReadCommitted => txn::Isolation::ReadCommitted,
        Isolation::RepeatableRead => txn::Isolation::RepeatableRead,
        Isolation::Serializable => txn::Isolation::Serializable,
    }
}
