//! Stopping a statement, or its session, from outside.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::base::error::Severity;
use crate::base::{Error, Report, Result, SqlState};

/// Set from another thread to stop a statement. Long loops look at it every few hundred rows;
/// waits are woken by it.
///
/// ```text
/// Running ── cancel, time_out ──► Cancelled, TimedOut ── clear ──► Running
///    └──────────── terminate ─────────┴──────► Terminated, for good
/// ```
#[derive(Debug, Default)]
pub struct CancelFlag {
    /// A [`State`]; it only grows until [`CancelFlag::clear`].
    state: AtomicU8,
    /// How long a lock may be waited for; 0: for ever.
    lock_timeout_ms: AtomicU64,
    wake: tokio::sync::Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Running,
    Cancelled,
    TimedOut,
    Terminated,
}

impl CancelFlag {
    /// Because a user asks for it, or is gone.
    pub fn cancel(&self) {
        self.set(State::Cancelled);
    }

    /// Because of `statement_timeout`.
    pub fn time_out(&self) {
        self.set(State::TimedOut);
    }

    /// Ends the session, too.
    pub fn terminate(&self) {
        self.set(State::Terminated);
    }

    fn set(&self, state: State) {
        self.mark(state);
        self.wake.notify_waiters();
    }

    fn mark(&self, state: State) {
        // Release: who gets what another session gave up because it was stopped finds its own
        // flag as set as it was then.
        self.state.fetch_max(state as u8, Ordering::Release);
    }

    /// Before a new statement: what was meant for the last one is void.
    pub fn clear(&self) {
        let clear = |state| (state < State::Terminated as u8).then_some(State::Running as u8);
        let _ = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, clear);
    }

    /// # Errors
    /// 57014 after a cancellation, 57P01 (fatal) after the session's termination.
    pub fn check(&self) -> Result<()> {
        let cancelled = |message| Err(Error::new(SqlState::QUERY_CANCELED, message));
        match self.state.load(Ordering::Acquire) {
            0 => Ok(()),
            state if state == State::Cancelled as u8 => {
                cancelled("canceling statement due to user request")
            }
            state if state == State::TimedOut as u8 => {
                cancelled("canceling statement due to statement timeout")
            }
            _ => Err(terminated()),
        }
    }

    pub fn is_terminated(&self) -> bool {
        self.state.load(Ordering::Acquire) == State::Terminated as u8
    }

    /// Returns when the statement has been cancelled, or the session terminated.
    pub async fn cancelled(&self) {
        self.reached(State::Cancelled).await;
    }

    /// Returns when the session has been terminated.
    pub async fn terminated(&self) {
        self.reached(State::Terminated).await;
    }

    async fn reached(&self, state: State) {
        loop {
            let woken = self.wake.notified();
            if self.state.load(Ordering::Acquire) >= state as u8 {
                return;
            }
            woken.await;
        }
    }

    /// `None`: a lock is waited for without limit.
    pub fn lock_timeout(&self) -> Option<Duration> {
        match self.lock_timeout_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    pub fn set_lock_timeout_ms(&self, ms: u64) {
        self.lock_timeout_ms.store(ms, Ordering::Relaxed);
    }
}

/// Ends sessions, none of which goes on when another has gone.
pub fn terminate_all<'a>(flags: impl Iterator<Item = &'a CancelFlag> + Clone) {
    for flag in flags.clone() {
        flag.mark(State::Terminated);
    }
    for flag in flags {
        flag.wake.notify_waiters();
    }
}

/// 57P01, which ends the session.
pub fn terminated() -> Error {
    Error::Report(Box::new(Report::new(
        Severity::Fatal,
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(flag: &CancelFlag) -> String {
        flag.check().err().map_or(String::new(), |e| e.to_string())
    }

    #[test]
    fn the_reason_is_told_and_only_a_termination_outlasts_the_statement() {
        let flag = CancelFlag::default();
        assert_eq!(outcome(&flag), "");
        flag.cancel();
        assert_eq!(
            outcome(&flag),
            "canceling statement due to user request (57014)"
        );
        flag.clear();
        assert_eq!(outcome(&flag), "");
        flag.time_out();
        flag.cancel();
        assert_eq!(
            outcome(&flag),
            "canceling statement due to statement timeout (57014)"
        );
        flag.terminate();
        flag.clear();
        assert_eq!(
            outcome(&flag),
            "terminating connection due to administrator command (57P01)"
        );
    }
}
