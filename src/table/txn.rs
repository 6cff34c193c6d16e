//! A transaction that knows tables: the catalog with its own changes, and the commit that makes
//! them known.

use std::ops::Bound;
use std::sync::Arc;

use crate::base::sync::{AtomicU32, Mutex, Ordering, RwLock};
use crate::base::{CancelFlag, Error, Lsn, Oid, Result, SqlState, TreeId, blocking};
use crate::table::def::Object;
use crate::table::deferred::Deferred;
use crate::table::{Catalog, Deferral, KeyCheck, KeyClaim, SequenceDef, TableDef, codec, sequence};
use crate::txn::{
    Exported, Isolation, Key, LockMode, LockTarget, LockWait, Owner, SessionLocks, Transaction,
    Transactions,
};

/// PostgreSQL's first OID for user objects.
const FIRST_OID: u32 = 16384;

/// The tables of one database.
pub struct Tables {
    transactions: Arc<Transactions>,
    /// The newest durable catalog.
    catalog: RwLock<Arc<Catalog>>,
    /// One at a time changes `catalog`.
    publishing: Mutex<()>,
    next_oid: AtomicU32,
}

impl Tables {
    /// Reads the catalog of a recovered database.
    pub fn open(transactions: Arc<Transactions>) -> Result<Arc<Tables>> {
        let mut catalog = Catalog::new();
        let transaction = transactions.begin_recovered();
        let (low, high) = (Bound::Unbounded, Bound::Unbounded);
        let mut scan = transaction.scan(TreeId::CATALOG, low, high, false)?;
        while let Some((_, value)) = scan.next()? {
            let object = codec::decode(value)?;
            catalog.set(object.oid(), Some(object));
        }
        let next_oid = AtomicU32::new(catalog.last_oid().map_or(FIRST_OID, |oid| oid.0 + 1));
        Ok(Arc::new(Tables {
            transactions,
            catalog: RwLock::new(Arc::new(catalog)),
            publishing: Mutex::new(()),
            next_oid,
        }))
    }

    pub(super) fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    pub fn begin(self: &Arc<Self>) -> Txn {
        self.begin_with(self.transactions.begin())
    }

    /// A transaction of a session.
    pub fn begin_in(self: &Arc<Self>, session: &SessionLocks) -> Txn {
        self.begin_with(session.begin())
    }

    fn begin_with(self: &Arc<Self>, base: Transaction) -> Txn {
        Txn {
            tables: self.clone(),
            base,
            changes: Vec::new(),
            own: None,
            savepoints: Vec::new(),
            deferred: Deferred::default(),
            claims: Vec::new(),
        }
    }

    /// What a session of the database, by its process number, locks beside its transactions;
    /// `cancel` stops it.
    pub fn session_locks(&self, database: Oid, pid: i32, cancel: Arc<CancelFlag>) -> SessionLocks {
        let owner = Owner::session(pid);
        SessionLocks::new(self.transactions.clone(), database, owner, cancel)
    }

    /// The newest durable catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().clone()
    }

    fn publish(&self, changes: &[Change]) {
        let _publishing = self.publishing.lock();
        let old = self.catalog();
        let catalog = old.with(changes);
        for (oid, _) in changes {
            let (old, new) = (old.sequences.get(oid), catalog.sequences.get(oid));
            if let Some(new) = new {
                new.state.set_stored();
            }
            if let Some(old) = old
                && new.is_none_or(|new| new.tree != old.tree)
            {
                old.state.set_ended();
            }
        }
        *self.catalog.write() = Arc::new(catalog);
    }

    /// Takes back what is set aside of sequences and not given out, so that who reads them from
    /// the log or the data file goes on without a gap. Values given out stay so.
    ///
    /// # Errors
    /// When the log takes nothing.
    pub fn settle_sequences(&self) -> Result<()> {
        for def in self.catalog().sequences.values() {
            let (target, mode) = (LockTarget::Table(def.oid), LockMode::RowExclusive);
            // Who changes it right now has it go on from what it stands at, or drops it.
            if let Some(_held) = self.transactions.begin_holding(target, mode) {
                def.state.settle(def, &self.transactions)?;
            }
        }
        Ok(())
    }
}

/// An object as a transaction leaves it; `None`: dropped.
type Change = (Oid, Option<Object>);

/// One transaction of a session. Dropping it rolls back.
pub struct Txn {
    tables: Arc<Tables>,
    pub(super) base: Transaction,
    changes: Vec<Change>,
    /// The catalog with `changes`, made when first asked for.
    own: Option<Arc<Catalog>>,
    /// `changes` and `own` as they were at each open savepoint.
    savepoints: Vec<(usize, Option<Arc<Catalog>>)>,
    deferred: Deferred,
    /// What the statement under way is to check of deferrable unique constraints.
    pub(super) claims: Vec<KeyClaim>,
}

impl Txn {
    /// Before the first statement.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        self.base.set_isolation(isolation);
    }

    /// Gives a statement its snapshot: a new one, or above READ COMMITTED that of the first.
    /// Waits until all that the transaction has seen is durable.
    pub async fn begin_statement(&mut self) -> Result<()> {
        self.base.begin_statement().await
    }

    /// A statement that reaches its rows by a whole unique key under row locks: at READ COMMITTED
    /// it reads the newest state only, so it needs no snapshot and waits for nothing.
    pub async fn begin_point_statement(&mut self) -> Result<()> {
        self.base.begin_point_statement().await
    }

    /// Gives a change of a definition, at any level, a snapshot that shows all there is to it.
    pub async fn begin_definition(&mut self) -> Result<()> {
        self.base.take_snapshot().await
    }

    /// The statement's snapshot, for others to read at; `None` if it has none.
    pub fn exportable(&self, database: Oid, read_only: bool) -> Option<Exported> {
        self.base.exportable(database, read_only)
    }

    /// Has all statements read at another transaction's snapshot: see [`Transaction::import`].
    pub fn import(&mut self, exported: &Exported) {
        self.base.import(exported);
    }

    pub fn has_savepoints(&self) -> bool {
        !self.savepoints.is_empty()
    }

    /// Whether [`Self::begin_again`] may be called after the next statement has failed.
    pub fn is_untouched(&self) -> bool {
        self.base.is_untouched() && self.changes.is_empty() && self.savepoints.is_empty()
    }

    /// Forgets all but its locks: the only statement so far found a row changed since its snapshot
    /// (40001), and runs anew at another one.
    pub fn begin_again(&mut self) {
        self.base.begin_again();
        self.deferred.forget();
        self.claims.clear();
    }

    /// Waits until everything this transaction has seen is durable: before rows or errors that
    /// may show it leave.
    pub async fn wait_shown(&self) -> Result<()> {
        self.base.wait_shown().await
    }

    /// The newest catalog, with this transaction's own changes.
    pub fn catalog(&self) -> Arc<Catalog> {
        match &self.own {
            Some(own) => own.clone(),
            None => self.tables.catalog(),
        }
    }

    /// Commits; what it wrote is durable when this returns.
    ///
    /// # Errors
    /// When room in the log or the installation fails, nothing has been committed. When the wait
    /// for durability fails, the outcome is unknown until recovery.
    pub async fn commit(mut self) -> Result<()> {
        if self.base.is_read_only() {
            self.base.release_locks();
            return self.base.wait_shown().await;
        }
        self.put_new_sequences()?;
        self.prepare(&CancelFlag::default())?;
        self.base.wait_room().await?;
        if self.changes.is_empty() {
            let lsn = self.install(false)?;
            return self.base.wait_durable(lsn).await;
        }
        let lsn = self.install(true)?;
        // The catalog must follow even if the session goes away while it waits.
        let finish = tokio::spawn(async move {
            self.base.wait_durable(lsn).await?;
            self.tables.publish(&self.changes);
            Ok(())
        });
        finish
            .await
            .map_err(|e| Error::new(SqlState::INTERNAL_ERROR, e.to_string()))?
    }

    /// Makes durable what a large transaction has stored already. A commit does it if it was not
    /// done, and cannot be cancelled then.
    pub fn prepare(&mut self, cancel: &CancelFlag) -> Result<()> {
        match self.base.needs_prepare() {
            true => blocking(true, || self.base.prepare(cancel)),
            false => Ok(()),
        }
    }

    /// Commits without waiting: what it wrote is being written to the log when this returns, and a
    /// crash before its sync takes it back. Nobody sees it sooner than that; who wrote it must
    /// begin what follows with [`Self::depend_on`] the lsn given. A change of the catalog waits, and
    /// so does who keeps others from writing a table.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_soon(mut self) -> Result<Lsn> {
        let waits = !self.changes.is_empty() || self.base.holds_table_strongly();
        if self.base.is_read_only() || waits {
            self.commit().await?;
            return Ok(Lsn::ZERO);
        }
        self.prepare(&CancelFlag::default())?;
        self.base.wait_room().await?;
        let lsn = self.install(false)?;
        self.base.write_soon();
        Ok(lsn)
    }

    /// The highest lsn this transaction has seen, or needs to be durable, beyond its snapshot.
    pub fn depends_on(&self) -> Lsn {
        self.base.depends_on()
    }

    /// What this transaction reads or shows waits until the log is durable up to an lsn.
    pub fn depend_on(&mut self, lsn: Lsn) {
        self.base.depend_on(lsn);
    }

    pub fn rollback(self) {
        blocking(self.base.is_large(), || drop(self));
    }

    fn install(&mut self, keep_locks: bool) -> Result<Lsn> {
        blocking(self.base.is_large(), || self.base.install(keep_locks))
    }

    /// Opens a savepoint within those that are open; its number is how many those are.
    pub fn savepoint(&mut self) {
        self.base.savepoint();
        self.deferred.savepoint();
        self.savepoints.push((self.changes.len(), self.own.clone()));
    }

    /// Forgets a savepoint and those within it.
    pub fn release_savepoint(&mut self, number: usize) {
        self.base.release_savepoint(number);
        self.deferred.release_savepoint(number);
        self.savepoints.truncate(number);
    }

    /// Undoes all that was done since a savepoint, which stays open.
    pub fn roll_back_to_savepoint(&mut self, number: usize) {
        self.base.roll_back_to_savepoint(number);
        self.deferred.roll_back_to_savepoint(number);
        self.claims.clear();
        self.savepoints.truncate(number + 1);
        if let Some((changes, own)) = self.savepoints.last() {
            self.changes.truncate(*changes);
            self.own = own.clone();
        }
    }

    /// Whether a constraint is checked at the end of the transaction now.
    pub fn is_deferred(&self, constraint: Oid, deferral: Deferral) -> bool {
        self.deferred.is_deferred(constraint, deferral)
    }

    /// Leaves a check to the end of the transaction, or gives it back: it is to be made now.
    pub fn defer(&mut self, check: KeyCheck) -> Option<KeyCheck> {
        self.deferred.push(check)
    }

    /// The keys that rows were given since this was asked last, and that others may have as well:
    /// at the end of its statement, each is to be checked or deferred.
    pub fn take_claims(&mut self) -> Vec<KeyClaim> {
        std::mem::take(&mut self.claims)
    }

    /// SET CONSTRAINTS; without names it means all. [`Self::take_due`] is to follow.
    pub fn set_deferred(&mut self, constraints: Option<&[Oid]>, deferred: bool) {
        self.deferred.set(constraints, deferred);
    }

    /// Checks that were left and wait no longer; `at_end` of the transaction none does.
    pub fn take_due(&mut self, at_end: bool) -> Vec<KeyCheck> {
        self.deferred.take_due(at_end)
    }

    /// Whether checks wait that a change of the table itself brought about.
    pub fn has_deferred(&self, table: Oid) -> bool {
        self.deferred.concern(table)
    }

    /// What a row version keeps of the transaction that wrote it.
    pub(super) fn writer(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the low half")]
        let writer = self.base.id().0 as u32;
        writer
    }

    pub(super) fn next_oid(&self) -> Oid {
        // Relaxed: OIDs need only differ.
        Oid(self.tables.next_oid.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts a table into this transaction's catalog and into the catalog's tree.
    pub(super) fn set_table(&mut self, oid: Oid, table: Option<Arc<TableDef>>) -> Result<()> {
        self.set_object(oid, table.map(Object::Table))
    }

    /// The same with a sequence.
    pub(super) fn set_sequence(&mut self, oid: Oid, new: Option<Arc<SequenceDef>>) -> Result<()> {
        self.set_object(oid, new.map(Object::Sequence))
    }

    fn set_object(&mut self, oid: Oid, object: Option<Object>) -> Result<()> {
        let key = Key::from_slice(&oid.0.to_be_bytes());
        let bytes = match &object {
            Some(Object::Table(table)) => Some(codec::encode(table)?),
            Some(Object::Sequence(sequence)) => Some(codec::encode_sequence(sequence)),
            None => None,
        };
        match bytes {
            Some(bytes) => self.base.put(TreeId::CATALOG, key, bytes)?,
            None => self.base.delete(TreeId::CATALOG, key)?,
        }
        let change = (oid, object);
        self.own = Some(Arc::new(self.catalog().with(std::slice::from_ref(&change))));
        self.changes.push(change);
        Ok(())
    }

    /// Writes where the sequences made here stand to their trees: memory alone has known it.
    fn put_new_sequences(&mut self) -> Result<()> {
        let Some(own) = self.own.clone() else {
            return Ok(());
        };
        for def in own.sequences.values() {
            if self.base.created(def.tree)
                && let Some(at) = def.state.new_position()
            {
                let key = Key::from_slice(sequence::KEY);
                self.base.put(def.tree, key, at.encode())?;
            }
        }
        Ok(())
    }

    /// Whether this transaction alone can use the table, so that its rows need no locks.
    pub(super) fn owns(&self, table: &TableDef) -> bool {
        self.base.created(table.tree)
    }

    pub(super) async fn lock(
        &mut self,
        target: LockTarget,
        mode: LockMode,
        cancel: &CancelFlag,
    ) -> Result<()> {
        self.base.lock(target, mode, LockWait::Wait, cancel).await?;
        Ok(())
    }
}
