//! CREATE, DROP and ALTER DATABASE: one at a time, each one transaction of the list of databases.

use std::sync::Arc;
use std::time::Duration;

use super::Database;
use super::databases::{Access, Connected, DatabaseDef, TEMPLATE, unknown};
use crate::base::{CancelFlag, Error, Oid, Result, SqlState, TreeId, blocking};
use crate::pages::SpaceChange;
use crate::txn::Transaction;

/// How long to wait for other sessions to go; as PostgreSQL.
const SESSIONS_GO_SECONDS: u64 = 5;
/// PostgreSQL's first OID for user objects.
const FIRST_OID: u32 = 16384;

/// What CREATE DATABASE asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDatabase {
    pub name: String,
    /// What to copy; `template1` unless told otherwise.
    pub template: Option<String>,
    pub allows_connections: bool,
    pub is_template: bool,
    pub connection_limit: i32,
}

/// What ALTER DATABASE changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseChange {
    pub name: Option<String>,
    pub allows_connections: Option<bool>,
    pub is_template: Option<bool>,
    pub connection_limit: Option<i32>,
}

impl Database {
    /// Makes a database with the content of its template, in a time that does not depend on how
    /// large that is; but if it has changed since the last checkpoint, one is taken first.
    ///
    /// # Errors
    /// 42P04, 3D000, and 55006 while others than `me` are connected to the template.
    pub async fn create_database(
        &self,
        new: NewDatabase,
        me: &Connected,
        cancel: &CancelFlag,
    ) -> Result<()> {
        let _changing = self.change_databases(cancel).await?;
        let template = new.template.as_deref().unwrap_or(TEMPLATE);
        let template = self.databases.find(template).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("template database \"{template}\" does not exist"),
            )
        })?;
        if self.databases.find(&new.name).is_some() {
            return Err(exists(&new.name));
        }
        let used_by_others = || {
            let name = &template.name;
            format!("source database \"{name}\" is being accessed by other users")
        };
        let _closed = self.databases.close(template.oid, Access::Held);
        self.wait_alone(&template, me, cancel, &used_by_others)
            .await?;
        let all = self.databases.all();
        let space = self
            .pages
            .unused_space(|n| all.iter().any(|def| def.space == n))?;
        let def = DatabaseDef {
            oid: next_oid(&all),
            name: new.name,
            space,
            allows_connections: new.allows_connections,
            is_template: new.is_template,
            connection_limit: new.connection_limit,
        };
        let clone = SpaceChange::Clone {
            from: template.space,
            to: space,
        };
        let mut transaction = self.databases.list.begin();
        transaction.put(TreeId::DATABASES, def.key(), def.encode())?;
        transaction.wait_room().await?;
        blocking(true, || {
            self.databases.settle_sequences(Some(template.oid))?;
            self.clean(template.space)?;
            self.commit_space_change(transaction, clone)
        })?;
        self.databases.set(def);
        Ok(())
    }

    /// Drops a database with all it holds; its sessions end before if `force`. `false`: there is
    /// none.
    ///
    /// # Errors
    /// 42809 for a template, 55006 while somebody is connected to it.
    pub async fn drop_database(
        &self,
        name: &str,
        force: bool,
        me: &Connected,
        cancel: &CancelFlag,
    ) -> Result<bool> {
        let _changing = self.change_databases(cancel).await?;
        let Some(def) = self.databases.find(name) else {
            return Ok(false);
        };
        if def.is_template {
            let message = "cannot drop a template database";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if def.oid == me.oid() {
            let message = "cannot drop the currently open database";
            return Err(Error::new(SqlState::OBJECT_IN_USE, message));
        }
        let used_by_others = || format!("database \"{name}\" is being accessed by other users");
        let closed = self.databases.close(def.oid, Access::Leaving);
        if force {
            self.databases.end_sessions(def.oid);
        }
        self.wait_alone(&def, me, cancel, &used_by_others).await?;
        let change = SpaceChange::Drop { space: def.space };
        let mut transaction = self.databases.list.begin();
        transaction.delete(TreeId::DATABASES, def.key())?;
        transaction.wait_room().await?;
        blocking(true, || self.commit_space_change(transaction, change))?;
        self.databases.remove(def.oid);
        drop(closed);
        Ok(true)
    }

    /// Changes what is said of a database.
    ///
    /// # Errors
    /// 3D000; for a new name 42P04, 0A000 for the database of `me`, and 55006 while somebody is
    /// connected to it.
    pub async fn alter_database(
        &self,
        name: &str,
        change: DatabaseChange,
        me: &Connected,
        cancel: &CancelFlag,
    ) -> Result<()> {
        let _changing = self.change_databases(cancel).await?;
        let def = self.databases.find(name).ok_or_else(|| unknown(name))?;
        let mut _closed = None;
        if let Some(new) = &change.name {
            if self.databases.find(new).is_some() {
                return Err(exists(new));
            }
            if def.oid == me.oid() {
                let message = "current database cannot be renamed";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            let used_by_others = || format!("database \"{name}\" is being accessed by other users");
            _closed = Some(self.databases.close(def.oid, Access::Held));
            self.wait_alone(&def, me, cancel, &used_by_others).await?;
        }
        if change.allows_connections == Some(false) && def.oid == me.oid() {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "cannot disallow connections for current database",
            ));
        }
        let old = Arc::unwrap_or_clone(def);
        let def = DatabaseDef {
            name: change.name.unwrap_or(old.name),
            allows_connections: change.allows_connections.unwrap_or(old.allows_connections),
            is_template: change.is_template.unwrap_or(old.is_template),
            connection_limit: change.connection_limit.unwrap_or(old.connection_limit),
            ..old
        };
        let mut transaction = self.databases.list.begin();
        transaction.put(TreeId::DATABASES, def.key(), def.encode())?;
        transaction.wait_room().await?;
        let lsn = transaction.install(true)?;
        // From here on memory has to follow, though the caller may be gone before it is durable.
        blocking(true, || self.log.wait_commit_at_least(lsn))?;
        self.databases.set(def);
        Ok(())
    }

    async fn change_databases(
        &self,
        cancel: &CancelFlag,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        tokio::select! {
            biased;
            changing = self.databases.changing.lock() => Ok(changing),
            () = cancel.cancelled() => Err(cancelled(cancel)),
        }
    }

    /// Waits a little until no other session is connected to a database, which is closed.
    async fn wait_alone(
        &self,
        def: &DatabaseDef,
        me: &Connected,
        cancel: &CancelFlag,
        used_by_others: &(dyn Fn() -> String + Sync),
    ) -> Result<()> {
        let me = (def.oid == me.oid()).then(|| me.session());
        let others = || self.databases.others(def.oid, me);
        let limit = Duration::from_secs(SESSIONS_GO_SECONDS);
        tokio::select! {
            biased;
            () = self.databases.wait_changed(|| others() == 0) => Ok(()),
            () = cancel.cancelled() => Err(cancelled(cancel)),
            () = tokio::time::sleep(limit) => {
                let detail = match others() {
                    1 => "There is 1 other session using the database.".to_owned(),
                    n => format!("There are {n} other sessions using the database."),
                };
                let error = Error::new(SqlState::OBJECT_IN_USE, used_by_others());
                Err(error.with_detail(detail))
            }
        }
    }

    /// Takes a checkpoint unless all of a space, to which nobody writes, is stored.
    fn clean(&self, space: u32) -> Result<()> {
        if self.pages.is_clean(space)? {
            return Ok(());
        }
        self.log
            .wait_commit_at_least(self.pages.newest_lsn(space))?;
        self.checkpointer.request()
    }

    /// Commits a transaction of the list together with the change of a space it is about.
    fn commit_space_change(&self, mut transaction: Transaction, change: SpaceChange) -> Result<()> {
        let prepared = self.pages.prepare_space_change(change)?;
        transaction.change_space(change);
        let lsn = transaction.install(true)?;
        self.log.wait_commit_at_least(lsn)?;
        prepared.apply();
        Ok(())
    }
}

fn next_oid(all: &[Arc<DatabaseDef>]) -> Oid {
    let last = all.iter().map(|def| def.oid.0).max();
    Oid(last.map_or(FIRST_OID, |last| FIRST_OID.max(last + 1)))
}

fn exists(name: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_DATABASE,
        format!("database \"{name}\" already exists"),
    )
}

fn cancelled(cancel: &CancelFlag) -> Error {
    let unexplained = || Error::new(SqlState::INTERNAL_ERROR, "cancelled without a reason");
    cancel.check().err().unwrap_or_else(unexplained)
}
