//! The sessions of a server by process number, for those who want to see or stop one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::base::{CancelFlag, Error, Observed, Result, SqlState, terminate_all};

#[derive(Default)]
pub struct Sessions {
    by_pid: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret: i32,
    cancel: Arc<CancelFlag>,
    /// Once it has been let in.
    observed: Option<Arc<dyn Observed>>,
}

/// A session's place among the others; dropping it takes the session out.
pub struct Registration {
    sessions: Arc<Sessions>,
    pub pid: i32,
    pub secret: i32,
    pub cancel: Arc<CancelFlag>,
}

impl Sessions {
    /// Gives a session a process number and a secret, both random.
    pub fn register(self: &Arc<Self>) -> Result<Registration> {
        let cancel = Arc::new(CancelFlag::default());
        let mut by_pid = self.by_pid.lock();
        loop {
            let (pid, secret) = (random()? & i32::MAX, random()?);
            if pid == 0 || by_pid.contains_key(&pid) {
                continue;
            }
            let entry = Entry {
                secret,
                cancel: cancel.clone(),
                observed: None,
            };
            by_pid.insert(pid, entry);
            drop(by_pid);
            return Ok(Registration {
                sessions: self.clone(),
                pid,
                secret,
                cancel,
            });
        }
    }

    /// A cancel request: a wrong key is ignored, and the asker is not told which sessions there are.
    pub fn cancel(&self, pid: i32, secret: i32) {
        if let Some(entry) = self.by_pid.lock().get(&pid)
            && entry.secret == secret
        {
            entry.cancel.cancel();
        }
    }

    /// What stops the session of that number, for one that is allowed to.
    pub fn find(&self, pid: i32) -> Option<Arc<CancelFlag>> {
        let by_pid = self.by_pid.lock();
        by_pid.get(&pid).map(|entry| entry.cancel.clone())
    }

    /// Those that have been let in, by process number.
    pub fn observed(&self) -> Vec<(i32, Arc<dyn Observed>)> {
        let by_pid = self.by_pid.lock();
        let mut observed: Vec<_> = by_pid
            .iter()
            .filter_map(|(pid, entry)| Some((*pid, entry.observed.clone()?)))
            .collect();
        observed.sort_unstable_by_key(|(pid, _)| *pid);
        observed
    }

    pub fn terminate_all(&self) {
        let by_pid = self.by_pid.lock();
        terminate_all(by_pid.values().map(|entry| &*entry.cancel));
    }
}

impl Registration {
    /// Shows the session to the others.
    pub fn show(&self, observed: Arc<dyn Observed>) {
        if let Some(entry) = self.sessions.by_pid.lock().get_mut(&self.pid) {
            entry.observed = Some(observed);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.sessions.by_pid.lock().remove(&self.pid);
    }
}

fn random() -> Result<i32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::new(SqlState::INTERNAL_ERROR, format!("no random numbers: {e}")))?;
    Ok(i32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels_and_only_its_session() {
        let sessions = Arc::new(Sessions::default());
        let (a, b) = (sessions.register().unwrap(), sessions.register().unwrap());
        sessions.cancel(a.pid, a.secret ^ 1);
        sessions.cancel(b.pid ^ 1, a.secret);
        assert!(a.cancel.check().is_ok());
        sessions.cancel(a.pid, a.secret);
        assert!(a.cancel.check().is_err());
        assert!(b.cancel.check().is_ok());
        drop(a);
        assert_eq!(sessions.by_pid.lock().len(), 1);
    }
}
