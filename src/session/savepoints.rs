//! Savepoints of a transaction block.

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, only_in_blocks};
use crate::session::settings;

/// What a session goes back to, beside what its transaction does. The place in the stack is the
/// number the transaction knows it by.
pub(super) struct Savepoint {
    name: String,
    settings: settings::Mark,
    advisory_locks: usize,
}

impl Session {
    pub(super) fn savepoint(&mut self, name: &str) -> Result<()> {
        self.check_in_block("SAVEPOINT")?;
        self.txn().savepoint();
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            settings: self.settings.mark(),
            advisory_locks: self.backend.locks.mark(),
        });
        Ok(())
    }

    pub(super) fn release_savepoint(&mut self, name: &str) -> Result<()> {
        self.check_in_block("RELEASE SAVEPOINT")?;
        let number = self.find_savepoint(name)?;
        self.txn().release_savepoint(number);
        self.savepoints.truncate(number);
        self.portals.release(number);
        Ok(())
    }

    /// In a failed block, too, which goes on then.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<()> {
        self.check_in_block("ROLLBACK TO SAVEPOINT")?;
        let number = self.find_savepoint(name)?;
        self.undo_to_savepoint(number);
        self.block = Block::InBlock;
        Ok(())
    }

    fn check_in_block(&self, what: &str) -> Result<()> {
        match self.block {
            Block::Idle | Block::Implicit => Err(only_in_blocks(what)),
            Block::InBlock | Block::Failed => Ok(()),
        }
    }

    /// The newest of that name.
    fn find_savepoint(&self, name: &str) -> Result<usize> {
        let found = self.savepoints.iter().rposition(|s| s.name == name);
        found.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }

    /// Undoes what was done since a savepoint, which stays; S2 holds of savepoints, too.
    pub(super) fn undo_to_savepoint(&mut self, number: usize) {
        self.savepoints.truncate(number + 1);
        self.portals.drop_within(number);
        if let Some(txn) = &mut self.txn {
            txn.roll_back_to_savepoint(number);
        }
        if let Some(savepoint) = self.savepoints.last() {
            self.backend.locks.release_from(savepoint.advisory_locks);
            self.settings.go_back(&savepoint.settings);
        }
        self.apply_settings();
    }
}
