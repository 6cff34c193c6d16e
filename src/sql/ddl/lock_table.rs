//! LOCK TABLE.

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::Name;
use crate::sql::bind::resolve_lockable;
use crate::sql::ddl::Ddl;
use crate::sql::prepared::bind_context;
use crate::table::lock_table;
use crate::txn::{LockMode, LockWait};

impl Ddl<'_> {
    pub(super) async fn lock_tables(
        &mut self,
        names: &[Name],
        mode: LockMode,
        nowait: bool,
    ) -> Result<String> {
        for name in names {
            while !self.lock_named(name, mode, nowait).await? {}
        }
        Ok("LOCK TABLE".to_owned())
    }

    /// `false`: the name came to mean another table during the wait.
    async fn lock_named(&mut self, name: &Name, mode: LockMode, nowait: bool) -> Result<bool> {
        let table = self.resolve_lockable(name)?;
        let wait = match nowait {
            true => LockWait::Nowait,
            false => LockWait::Wait,
        };
        let locked = lock_table(self.txn, table, mode, wait, &self.cx.cancel).await;
        locked.map_err(|error| match nowait {
            true if error.sqlstate() == SqlState::LOCK_NOT_AVAILABLE => not_available(name),
            _ => error,
        })?;
        Ok(self.resolve_lockable(name)? == table)
    }

    fn resolve_lockable(&self, name: &Name) -> Result<Oid> {
        let catalog = self.txn.catalog();
        resolve_lockable(name, &bind_context(self.cx, &catalog))
    }
}

fn not_available(name: &Name) -> Error {
    let last = name.parts.last().map_or("", |part| part.name.as_str());
    Error::new(
        SqlState::LOCK_NOT_AVAILABLE,
        format!("could not obtain lock on relation \"{last}\""),
    )
}
