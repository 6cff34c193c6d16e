//! Values that change outside transactions, each change in a blob of its own: who reads them waits
//! for nobody, and no rollback takes them back.

use std::sync::Arc;

use crate::base::{Lsn, PageId, Result, TreeId};
use crate::btree::{self, Value};
use crate::pages::Batch;
use crate::txn::locks::{TryLock, Who};
use crate::txn::{Level, LockMode, LockTarget, Transaction, Transactions, commit_under, internal};

impl Transactions {
    /// Sets the value of a key of a committed tree, which no transaction writes; gives the lsn at
    /// which that is durable.
    ///
    /// # Errors
    /// Nothing has been changed.
    pub fn put_alone(&self, tree: TreeId, key: &[u8], value: &[u8]) -> Result<Lsn> {
        self.log.check_room()?;
        let root = self.root_of(tree)?;
        self.touch(root, [key]);
        let latch = self.pages.latch(root).write();
        let mut batch = Batch::new(&self.pages);
        btree::put(&mut batch, root, key, value)?;
        commit_under(&self.log, batch, latch)
    }

    /// The newest value of a key of a committed tree, and the lsn at which it is durable.
    ///
    /// # Errors
    /// When the tree does not exist, or cannot be read.
    pub fn newest(&self, tree: TreeId, key: &[u8]) -> Result<(Option<Value>, Lsn)> {
        let root = self.root_of(tree)?;
        let _latch = self.pages.latch(root).read();
        let found = btree::get(&self.pages, root, Lsn::NEWEST, key)?;
        Ok((found.value, found.lsn))
    }

    /// A transaction that holds a lock, if that is free now.
    pub fn begin_holding(
        self: &Arc<Self>,
        target: LockTarget,
        mode: LockMode,
    ) -> Option<Transaction> {
        let mut transaction = self.begin();
        let who = Who {
            owner: transaction.owner,
            txn: transaction.id,
        };
        match self.locks.try_lock(who, target, mode, Level::Transaction) {
            TryLock::Conflict => None,
            TryLock::Granted | TryLock::Held => {
                transaction.note_lock(target, mode);
                Some(transaction)
            }
        }
    }

    /// Whether the log is durable up to an lsn.
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        self.log.durable_lsn() >= lsn
    }

    fn root_of(&self, tree: TreeId) -> Result<PageId> {
        let root = self.trees.root(tree).map(|root| root.page);
        root.ok_or_else(|| internal(format!("tree {} does not exist", tree.0)))
    }
}
