//! Who waits for whom: deadlocks, and what others are told of waits.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::sync::Ordering;
use crate::base::{Error, Result, SqlState, TxnId};
use crate::txn::lock_mode::LockMode;
use crate::txn::locks::{LockTarget, Locks, Owner, Wait, Who};

/// One owner waits for another.
struct Edge {
    waiting: Owner,
    wait: Wait,
    blocker: Who,
}

type Waits = FxHashMap<Owner, Wait>;

impl Locks {
    /// Enters the wait into the graph, unless that closes a cycle.
    ///
    /// Edges only ever come into being here, under one mutex, so the last of the owners of a
    /// cycle to enter finds it.
    pub(super) fn refuse_cycle(&self, who: Who, wait: Wait) -> Result<()> {
        let mut waits = self.waits.lock();
        waits.insert(who.owner, wait);
        let mut path = Vec::new();
        let mut seen = FxHashSet::default();
        if !self.reaches(who.owner, who.owner, &waits, &mut seen, &mut path) {
            return Ok(());
        }
        waits.remove(&who.owner);
        let database = self.database.load(Ordering::Relaxed);
        let lines: Vec<String> = path.iter().map(|edge| describe(edge, database)).collect();
        Err(Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .with_detail(lines.join("\n"))
            .with_hint("See server log for query details."))
    }

    /// Whether `goal` is among those that `from` waits for, directly or through others; `path` is
    /// the way there.
    fn reaches(
        &self,
        from: Owner,
        goal: Owner,
        waits: &Waits,
        seen: &mut FxHashSet<Owner>,
        path: &mut Vec<Edge>,
    ) -> bool {
        let Some(&wait) = waits.get(&from) else {
            return false;
        };
        for blocker in self.in_the_way(from, wait).all() {
            path.push(Edge {
                waiting: from,
                wait,
                blocker,
            });
            let found = blocker.owner == goal
                || (seen.insert(blocker.owner)
                    && self.reaches(blocker.owner, goal, waits, seen, path));
            if found {
                return true;
            }
            path.pop();
        }
        false
    }

    fn in_the_way(&self, owner: Owner, wait: Wait) -> InTheWay {
        let mut found = InTheWay::default();
        let shard = self.shard(wait.target).lock();
        let Some(entry) = shard.get(&wait.target) else {
            return found;
        };
        // Granted already, if not in the queue: its owner has yet to wake up.
        let mut queue = entry.queue.iter();
        let Some(place) = queue.position(|w| w.who.owner == owner) else {
            return found;
        };
        found.holders.extend(entry.opponents(owner, wait.mode));
        let ahead = entry.queue.iter().take(place);
        let ahead = ahead.filter(|w| wait.mode.conflicts_with(w.mode));
        found.ahead.extend(ahead.map(|w| w.who));
        found
    }

    /// Those an owner waits for, as PostgreSQL's `pg_blocking_pids` would have it: there, only the
    /// first who waits for a row waits for its holders, the others wait for those before them, and
    /// who waits for a key waits for whoever inserted it.
    pub(super) fn blocking(&self, owner: Owner) -> Vec<Owner> {
        let Some(wait) = self.waits.lock().get(&owner).copied() else {
            return Vec::new();
        };
        let mut found = self.in_the_way(owner, wait);
        match wait.target {
            LockTarget::Row(..) if !found.ahead.is_empty() => found.holders.clear(),
            LockTarget::Key(..) | LockTarget::Name(_) if !found.holders.is_empty() => {
                found.ahead.clear();
            }
            _ => {}
        }
        found.all().map(|who| who.owner).collect()
    }
}

#[derive(Default)]
struct InTheWay {
    holders: Vec<Who>,
    /// Before the owner in the queue.
    ahead: Vec<Who>,
}

impl InTheWay {
    fn all(self) -> impl Iterator<Item = Who> {
        self.holders.into_iter().chain(self.ahead)
    }
}

/// In PostgreSQL's words. It knows row and key locks as locks on the transaction that has them.
fn describe(edge: &Edge, database: u32) -> String {
    let mode = match edge.wait.target.has_modes() {
        true => edge.wait.mode,
        false => LockMode::Share,
    };
    format!(
        "Process {} waits for {} on {}; blocked by process {}.",
        edge.waiting.pid(),
        mode.name(),
        describe_target(edge.wait.target, edge.blocker.txn, database),
        edge.blocker.owner.pid(),
    )
}

fn describe_target(target: LockTarget, holder: TxnId, database: u32) -> String {
    match target {
        LockTarget::Table(table) => format!("relation {} of database {database}", table.0),
        LockTarget::Advisory(_) | LockTarget::AdvisoryPair(..) => {
            let (a, b, c) = advisory_parts(target);
            format!("advisory lock [{database},{a},{b},{c}]")
        }
        _ => format!("transaction {}", holder.0),
    }
}

/// PostgreSQL's classid, objid and objsubid of an advisory lock.
pub(super) fn advisory_parts(target: LockTarget) -> (u32, u32, i16) {
    match target {
        LockTarget::Advisory(key) => {
            let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
            let half = |bytes| u32::from_be_bytes(bytes);
            (half([a, b, c, d]), half([e, f, g, h]), 1)
        }
        LockTarget::AdvisoryPair(a, b) => (a.cast_unsigned(), b.cast_unsigned(), 2),
        _ => (0, 0, 0),
    }
}
