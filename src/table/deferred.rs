//! Checks of keys that wait for the end of the transaction, and which constraints wait.
//!
//! Rolling back to a savepoint drops the checks that came since and brings back those that were
//! made since; SET CONSTRAINTS is undone with it, too.

use std::sync::Arc;

use crate::base::{Oid, RowId};
use crate::table::{Deferral, ForeignKeyDef, KeyClaim};
use crate::types::Datum;

/// A check that a change has made necessary.
#[derive(Clone, Debug)]
pub enum KeyCheck {
    Foreign(KeyEvent),
    Unique(KeyClaim),
}

impl KeyCheck {
    fn is_deferred(&self, modes: &Modes) -> bool {
        match self {
            KeyCheck::Foreign(event) => modes.is_deferred(event.key.oid, event.key.deferral),
            KeyCheck::Unique(claim) => modes.is_deferred(claim.index.oid, claim.index.deferral),
        }
    }

    /// Whether a change of the table itself brought it about.
    fn concerns(&self, table: Oid) -> bool {
        match self {
            KeyCheck::Foreign(event) => match event.change {
                KeyChange::Reference(_) => event.table == table,
                KeyChange::Referenced { .. } => event.key.table == table,
            },
            KeyCheck::Unique(claim) => claim.table == table,
        }
    }
}

/// A change that a foreign key is to be checked after.
#[derive(Clone, Debug)]
pub struct KeyEvent {
    pub key: Arc<ForeignKeyDef>,
    /// The table that the key belongs to.
    pub table: Oid,
    pub change: KeyChange,
}

#[derive(Clone, Debug)]
pub enum KeyChange {
    /// A row of the table is new or refers to something else than before.
    Reference(RowId),
    /// A key of the table referred to, in the order of the foreign key's columns, is gone (`new`
    /// is `None`) or has become another.
    Referenced {
        old: Box<[Datum]>,
        new: Option<Box<[Datum]>>,
    },
}

#[derive(Default)]
pub(super) struct Deferred {
    checks: Vec<Waiting>,
    modes: Modes,
    /// Of each open savepoint, what there was.
    savepoints: Vec<(usize, Modes)>,
}

struct Waiting {
    check: KeyCheck,
    /// It has been looked at, when so many savepoints were open.
    done: Option<usize>,
}

/// What SET CONSTRAINTS has said: whether all constraints are deferred, then the exceptions.
#[derive(Clone, Default)]
struct Modes {
    all: Option<bool>,
    each: Vec<(Oid, bool)>,
}

impl Modes {
    fn is_deferred(&self, constraint: Oid, deferral: Deferral) -> bool {
        let own = self.each.iter().find(|(oid, _)| *oid == constraint);
        let own = own.map(|(_, deferred)| *deferred);
        deferral.deferrable && own.or(self.all).unwrap_or(deferral.initially_deferred)
    }
}

impl Deferred {
    pub(super) fn is_deferred(&self, constraint: Oid, deferral: Deferral) -> bool {
        self.modes.is_deferred(constraint, deferral)
    }

    /// Takes a check if it waits; gives it back if it is to be made now.
    pub(super) fn push(&mut self, check: KeyCheck) -> Option<KeyCheck> {
        if !check.is_deferred(&self.modes) {
            return Some(check);
        }
        self.checks.push(Waiting { check, done: None });
        None
    }

    /// `constraints`: none means all.
    pub(super) fn set(&mut self, constraints: Option<&[Oid]>, deferred: bool) {
        let Some(constraints) = constraints else {
            self.modes = Modes {
                all: Some(deferred),
                each: Vec::new(),
            };
            return;
        };
        let each = &mut self.modes.each;
        each.retain(|(oid, _)| !constraints.contains(oid));
        each.extend(constraints.iter().map(|oid| (*oid, deferred)));
    }

    /// Takes what waits no longer; `at_end`: nothing does.
    pub(super) fn take_due(&mut self, at_end: bool) -> Vec<KeyCheck> {
        let (open, modes) = (self.savepoints.len(), &self.modes);
        let is_due = |waiting: &&mut Waiting| {
            waiting.done.is_none() && (at_end || !waiting.check.is_deferred(modes))
        };
        let due = self.checks.iter_mut().filter(is_due);
        due.map(|waiting| {
            waiting.done = Some(open);
            waiting.check.clone()
        })
        .collect()
    }

    /// Forgets what waits.
    pub(super) fn forget(&mut self) {
        self.checks.clear();
    }

    /// Whether checks wait that a change of the table itself brought about.
    pub(super) fn concern(&self, table: Oid) -> bool {
        let mut waiting = self.checks.iter().filter(|waiting| waiting.done.is_none());
        waiting.any(|waiting| waiting.check.concerns(table))
    }

    pub(super) fn savepoint(&mut self) {
        self.savepoints
            .push((self.checks.len(), self.modes.clone()));
    }

    pub(super) fn release_savepoint(&mut self, number: usize) {
        self.savepoints.truncate(number);
        for waiting in &mut self.checks {
            waiting.done = waiting.done.map(|open| open.min(number));
        }
    }

    pub(super) fn roll_back_to_savepoint(&mut self, number: usize) {
        self.savepoints.truncate(number + 1);
        let Some((checks, modes)) = self.savepoints.last() else {
            return;
        };
        self.checks.truncate(*checks);
        self.modes = modes.clone();
        for waiting in &mut self.checks {
            waiting.done = waiting.done.filter(|open| *open <= number);
        }
    }
}
