//! The transaction block state machine.
//!
//! ```text
//!                    a statement outside a block
//!            ┌─────────────────────────────────────────┐
//!            │                                         ▼
//!        ┌───┴──┐   Sync, end of the string,      ┌──────────┐
//!   ────►│ Idle │◄── an error, COMMIT, ROLLBACK ──┤ Implicit │
//!        └┬──▲──┘                                 └────┬─────┘
//!         │  │                                         │ BEGIN
//!   BEGIN │  │ COMMIT, ROLLBACK                        ▼
//!         │  │                                    ┌──────────┐
//!         └──┼───────────────────────────────────►│ InBlock  │──┐ BEGIN (warning),
//!            ├────────────────────────────────────┤          │◄─┘ COMMIT/ROLLBACK AND CHAIN
//!            │                                    └────┬─────┘
//!            │ COMMIT (says ROLLBACK), ROLLBACK        │ an error
//!            │                                    ┌────▼─────┐
//!            └────────────────────────────────────┤  Failed  │
//!                                                 └──────────┘
//! ```
//!
//! [`Block::on`] is the whole table; the session carries out the [`Step`] it names. AND CHAIN in a
//! failed block starts a new block, too.

use crate::base::error::Severity;
use crate::base::{Error, Report, Result, SqlState};
use crate::session::client::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "InBlock is what PostgreSQL calls it"
)]
pub(super) enum Block {
    /// No transaction.
    Idle,
    /// A transaction that ends by itself, with the query string or at Sync.
    Implicit,
    /// Between BEGIN and COMMIT.
    InBlock,
    /// After an error in a block: everything is refused until it ends.
    Failed,
}

/// A transaction command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Begin,
    Commit { chain: bool },
    Rollback { chain: bool },
}

/// What the session has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Go on in the transaction at hand, or start one.
    Enter,
    Commit,
    Rollback,
    CommitAndChain,
    RollbackAndChain,
}

/// A step, the warning that comes with it, and the state after it.
#[derive(Debug)]
pub(super) struct Move {
    pub step: Step,
    pub warning: Option<Report>,
    pub tag: &'static str,
    pub next: Block,
}

impl Block {
    /// What a transaction command does in this state.
    pub(super) fn on(self, command: Command) -> Result<Move> {
        use Block::{Failed, Idle, Implicit, InBlock};
        let moved = |step, tag, next| Move {
            step,
            warning: None,
            tag,
            next,
        };
        Ok(match (self, command) {
            (Idle | Implicit, Command::Begin) => moved(Step::Enter, "BEGIN", InBlock),
            (InBlock, Command::Begin) => Move {
                warning: Some(already_in_progress()),
                ..moved(Step::Enter, "BEGIN", InBlock)
            },
            (Failed, Command::Begin) => return Err(aborted()),

            (Idle | Implicit, Command::Commit { chain: true }) => {
                return Err(only_in_blocks("COMMIT AND CHAIN"));
            }
            (Idle | Implicit, Command::Rollback { chain: true }) => {
                return Err(only_in_blocks("ROLLBACK AND CHAIN"));
            }
            (Idle | Implicit, Command::Commit { chain: false }) => Move {
                warning: Some(none_in_progress()),
                ..moved(Step::Commit, "COMMIT", Idle)
            },
            (Idle | Implicit, Command::Rollback { chain: false }) => Move {
                warning: Some(none_in_progress()),
                ..moved(Step::Rollback, "ROLLBACK", Idle)
            },

            (InBlock, Command::Commit { chain: false }) => moved(Step::Commit, "COMMIT", Idle),
            (InBlock, Command::Commit { chain: true }) => {
                moved(Step::CommitAndChain, "COMMIT", InBlock)
            }
            (Failed, Command::Commit { chain: false })
            | (InBlock | Failed, Command::Rollback { chain: false }) => {
                moved(Step::Rollback, "ROLLBACK", Idle)
            }
            (Failed, Command::Commit { chain: true })
            | (InBlock | Failed, Command::Rollback { chain: true }) => {
                moved(Step::RollbackAndChain, "ROLLBACK", InBlock)
            }
        })
    }

    /// After an error: the transaction is gone, but a block stays until its end is asked for.
    pub(super) fn after_error(self) -> Block {
        match self {
            Block::Idle | Block::Implicit => Block::Idle,
            Block::InBlock | Block::Failed => Block::Failed,
        }
    }

    pub(super) fn status(self) -> Status {
        match self {
            Block::Idle | Block::Implicit => Status::Idle,
            Block::InBlock => Status::InBlock,
            Block::Failed => Status::Failed,
        }
    }
}

/// 25P02.
pub(super) fn aborted() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// 25P01, as an error.
pub(super) fn only_in_blocks(what: &str) -> Error {
    Error::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}

/// 25P01, as a warning.
pub(super) fn only_in_blocks_warning(what: &str) -> Report {
    Report::new(
        Severity::Warning,
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{what} can only be used in transaction blocks"),
    )
}

/// 25001: VACUUM and DISCARD ALL.
pub(super) fn not_in_blocks(what: &str) -> Error {
    Error::new(
        SqlState::ACTIVE_SQL_TRANSACTION,
        format!("{what} cannot run inside a transaction block"),
    )
}

fn already_in_progress() -> Report {
    Report::new(
        Severity::Warning,
        SqlState::ACTIVE_SQL_TRANSACTION,
        "there is already a transaction in progress",
    )
}

fn none_in_progress() -> Report {
    Report::new(
        Severity::Warning,
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        "there is no transaction in progress",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(state: Block, command: Command) -> String {
        match state.on(command) {
            Ok(m) => {
                let warning = m.warning.map_or(String::new(), |w| format!(" {}", w.code));
                format!("{:?} {} {:?}{warning}", m.step, m.tag, m.next)
            }
            Err(error) => error.sqlstate().to_string(),
        }
    }

    #[test]
    fn every_command_in_every_state_does_what_postgresql_does() {
        use Block::{Failed, Idle, Implicit, InBlock};
        let begin = Command::Begin;
        let commit = Command::Commit { chain: false };
        let rollback = Command::Rollback { chain: false };
        let commit_chain = Command::Commit { chain: true };
        let rollback_chain = Command::Rollback { chain: true };
        let table = [
            (Idle, begin, "Enter BEGIN InBlock"),
            (Idle, commit, "Commit COMMIT Idle 25P01"),
            (Idle, rollback, "Rollback ROLLBACK Idle 25P01"),
            (Idle, commit_chain, "25P01"),
            (Idle, rollback_chain, "25P01"),
            (Implicit, begin, "Enter BEGIN InBlock"),
            (Implicit, commit, "Commit COMMIT Idle 25P01"),
            (Implicit, rollback, "Rollback ROLLBACK Idle 25P01"),
            (Implicit, commit_chain, "25P01"),
            (Implicit, rollback_chain, "25P01"),
            (InBlock, begin, "Enter BEGIN InBlock 25001"),
            (InBlock, commit, "Commit COMMIT Idle"),
            (InBlock, rollback, "Rollback ROLLBACK Idle"),
            (InBlock, commit_chain, "CommitAndChain COMMIT InBlock"),
            (InBlock, rollback_chain, "RollbackAndChain ROLLBACK InBlock"),
            (Failed, begin, "25P02"),
            (Failed, commit, "Rollback ROLLBACK Idle"),
            (Failed, rollback, "Rollback ROLLBACK Idle"),
            (Failed, commit_chain, "RollbackAndChain ROLLBACK InBlock"),
            (Failed, rollback_chain, "RollbackAndChain ROLLBACK InBlock"),
        ];
        for (state, command, expected) in table {
            assert_eq!(outcome(state, command), expected, "{state:?} {command:?}");
        }
    }

    #[test]
    fn an_error_ends_an_implicit_transaction_and_fails_a_block() {
        assert_eq!(Block::Idle.after_error(), Block::Idle);
        assert_eq!(Block::Implicit.after_error(), Block::Idle);
        assert_eq!(Block::InBlock.after_error(), Block::Failed);
        assert_eq!(Block::Failed.after_error(), Block::Failed);
    }
}
