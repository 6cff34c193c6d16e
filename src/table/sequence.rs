//! Sequences: their definitions, and the values they give.
//!
//! A definition is a row of the catalog, changed by transactions like any other. Where a sequence
//! stands is one entry of a tree of its own, which changes outside transactions: a blob sets some
//! values aside, then they are given out from memory (D5). A restart gives the sequence a new tree,
//! so that it is undone with its transaction.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::bytes::Reader;
use crate::base::sync::Mutex;
use crate::base::{Error, Lsn, Oid, Result, SqlState, TreeId};
use crate::table::Tables;
use crate::txn::{Level, LockMode, LockTarget, SessionLocks, Transactions};
use crate::types::Type;

/// The only key of a sequence's tree.
pub(super) const KEY: &[u8] = &[0];

/// How many values a blob sets aside: as PostgreSQL, and more while blobs come faster than the
/// log is written.
const AHEAD: u64 = 32;
const AHEAD_MAX: u64 = 1024;

/// A sequence. Immutable once made: DDL makes a new one.
#[derive(Clone, Debug)]
pub struct SequenceDef {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub tree: TreeId,
    pub params: SequenceParams,
    pub owner: Option<SequenceOwner>,
    /// Shared by all definitions with this tree.
    pub state: Arc<SequenceState>,
}

/// Which values a sequence gives, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceParams {
    /// smallint, integer or bigint.
    pub ty: Type,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    /// How many values a session takes at once.
    pub cache: u64,
    pub cycle: bool,
}

/// The column that a sequence is dropped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceOwner {
    pub table: Oid,
    /// Its place in the table.
    pub column: usize,
}

/// Where a sequence stands: the value given last, or, if it is not called, the one to give next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub last: i64,
    pub is_called: bool,
}

impl Position {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = self.last.to_le_bytes().to_vec();
        bytes.push(self.is_called.into());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Position> {
        let mut reader = Reader::new(bytes);
        let last = reader.u64()?.cast_signed();
        let is_called = reader.u8()? != 0;
        (reader.remaining() == 0).then_some(Position { last, is_called })
    }
}

impl SequenceParams {
    /// The value that follows another; `None` at the end of a sequence that does not cycle.
    fn after(&self, value: i64) -> Option<i64> {
        let next = value.checked_add(self.increment);
        let (first, is_inside) = match self.increment > 0 {
            true => (self.min, next.is_some_and(|next| next <= self.max)),
            false => (self.max, next.is_some_and(|next| next >= self.min)),
        };
        if is_inside {
            return next;
        }
        self.cycle.then_some(first)
    }

    /// How many values follow one before the end.
    fn steps(&self, value: i64) -> u64 {
        let room = match self.increment > 0 {
            true => i128::from(self.max) - i128::from(value),
            false => i128::from(value) - i128::from(self.min),
        };
        let steps = room.max(0) / i128::from(self.increment).abs();
        u64::try_from(steps).unwrap_or(u64::MAX)
    }

    /// The value that follows as the `steps`th: there must be so many.
    fn stepped(&self, value: i64, steps: u64) -> i64 {
        value.wrapping_add(self.increment.wrapping_mul(steps.cast_signed()))
    }
}

impl SequenceDef {
    pub(super) fn full_name(&self) -> (String, String) {
        (self.schema.clone(), self.name.clone())
    }

    /// How a sequence stands in the default of a column: its name may change.
    pub fn reference(oid: Oid) -> String {
        format!("'{oid}'::regclass")
    }

    /// Reads where the sequence stands in its tree.
    ///
    /// # Errors
    /// XX001 when the tree does not say it.
    fn stored(&self, transactions: &Transactions) -> Result<(Position, Lsn)> {
        let (value, lsn) = transactions.newest(self.tree, KEY)?;
        let position = value.as_deref().and_then(Position::decode);
        let position = position.ok_or_else(|| {
            let message = format!("sequence \"{}\" is damaged", self.name);
            Error::new(SqlState::DATA_CORRUPTED, message)
        })?;
        Ok((position, lsn))
    }

    #[cold]
    fn exhausted(&self) -> Error {
        let (what, bound) = match self.params.increment > 0 {
            true => ("maximum", self.params.max),
            false => ("minimum", self.params.min),
        };
        let name = &self.name;
        let message = format!("nextval: reached {what} value of sequence \"{name}\" ({bound})");
        Error::new(SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED, message)
    }

    #[cold]
    fn gone(&self) -> Error {
        let message = format!("could not open relation with OID {}", self.oid);
        Error::new(SqlState::INTERNAL_ERROR, message)
    }
}

/// What memory knows of a sequence.
///
/// ```text
/// New ── set_stored ──► Stored ── set_ended ──► Ended
/// ```
#[derive(Debug)]
pub struct SequenceState {
    values: Mutex<Values>,
}

#[derive(Debug)]
struct Values {
    stage: Stage,
    /// `None`: not read from the tree yet.
    at: Option<Position>,
    /// How many more values the log has set aside.
    ahead: u64,
    /// How many it set aside last.
    ahead_last: u64,
    /// What is given out depends on the log up to here.
    lsn: Lsn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its tree is not committed: only one transaction knows it, whose commit writes where it
    /// stands then.
    New,
    /// The tree holds what has been set aside.
    Stored,
    /// It has been dropped, or goes on in another tree: who comes late looks for the newest
    /// definition.
    Ended,
}

/// Some values: `first` and the `rest` that follow.
struct Given {
    first: i64,
    rest: u64,
    lsn: Lsn,
}

impl SequenceState {
    pub(super) fn new(at: Position) -> Arc<SequenceState> {
        SequenceState::at(Stage::New, Some(at))
    }

    pub(super) fn recovered() -> Arc<SequenceState> {
        SequenceState::at(Stage::Stored, None)
    }

    fn at(stage: Stage, at: Option<Position>) -> Arc<SequenceState> {
        let values = Values {
            stage,
            at,
            ahead: 0,
            ahead_last: AHEAD,
            lsn: Lsn::ZERO,
        };
        Arc::new(SequenceState {
            values: Mutex::new(values),
        })
    }

    pub(super) fn set_stored(&self) {
        self.values.lock().stage = Stage::Stored;
    }

    pub(super) fn set_ended(&self) {
        self.values.lock().stage = Stage::Ended;
    }

    fn is_ended(&self) -> bool {
        self.values.lock().stage == Stage::Ended
    }

    /// Where a new sequence stands.
    pub(super) fn new_position(&self) -> Option<Position> {
        self.values.lock().at
    }

    /// Gives the next value, and as many more as a session takes at once.
    fn give(&self, def: &SequenceDef, transactions: &Transactions) -> Result<Given> {
        let params = &def.params;
        let mut values = self.values.lock();
        let at = values.load(def, transactions)?;
        let first = match at.is_called {
            true => params.after(at.last).ok_or_else(|| def.exhausted())?,
            false => at.last,
        };
        let rest = params.steps(first).min(params.cache - 1);
        let last = params.stepped(first, rest);
        match values.ahead.checked_sub(1 + rest) {
            Some(left) => values.ahead = left,
            None => values.set_aside(def, last, transactions)?,
        }
        values.at = Some(Position {
            last,
            is_called: true,
        });
        let lsn = values.lsn;
        Ok(Given { first, rest, lsn })
    }

    fn set(&self, def: &SequenceDef, at: Position, transactions: &Transactions) -> Result<Lsn> {
        let mut values = self.values.lock();
        values.store(def, at, transactions)?;
        values.at = Some(at);
        values.ahead = 0;
        Ok(values.lsn)
    }

    /// Takes back what is set aside and not given out.
    pub(super) fn settle(&self, def: &SequenceDef, transactions: &Transactions) -> Result<()> {
        let mut values = self.values.lock();
        if let Some(at) = values.at
            && values.ahead > 0
            && values.stage == Stage::Stored
        {
            values.store(def, at, transactions)?;
            values.ahead = 0;
        }
        Ok(())
    }
}

impl Values {
    fn load(&mut self, def: &SequenceDef, transactions: &Transactions) -> Result<Position> {
        if let Some(at) = self.at {
            return Ok(at);
        }
        let (at, lsn) = def.stored(transactions)?;
        self.lsn = lsn;
        Ok(*self.at.insert(at))
    }

    /// Has the log say that values up to `last` and some beyond it are given out.
    fn set_aside(
        &mut self,
        def: &SequenceDef,
        last: i64,
        transactions: &Transactions,
    ) -> Result<()> {
        if self.stage == Stage::New {
            return Ok(());
        }
        let count = match transactions.is_durable(self.lsn) {
            true => AHEAD,
            false => (self.ahead_last * 2).min(AHEAD_MAX),
        };
        let ahead = def.params.steps(last).min(count);
        let far = Position {
            last: def.params.stepped(last, ahead),
            is_called: true,
        };
        self.store(def, far, transactions)?;
        (self.ahead, self.ahead_last) = (ahead, count);
        Ok(())
    }

    /// Writes a position to the tree, if that is committed.
    fn store(
        &mut self,
        def: &SequenceDef,
        at: Position,
        transactions: &Transactions,
    ) -> Result<()> {
        match self.stage {
            Stage::New => {}
            Stage::Stored => self.lsn = transactions.put_alone(def.tree, KEY, &at.encode())?,
            Stage::Ended => return Err(def.gone()),
        }
        Ok(())
    }
}

/// What a session has had of sequences, and its way to more.
pub struct Sequences {
    tables: Arc<Tables>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    by_oid: FxHashMap<Oid, Taken>,
    last_used: Option<Oid>,
}

struct Taken {
    /// What the values were taken from: they do not outlive a restart.
    state: Arc<SequenceState>,
    last: i64,
    /// How many values after `last` the session has taken already.
    rest: u64,
}

impl Sequences {
    pub fn new(tables: Arc<Tables>) -> Sequences {
        Sequences {
            tables,
            own: Mutex::default(),
        }
    }

    /// The next value of a sequence. `locks`: the session's.
    ///
    /// # Errors
    /// 2200H at the end of a sequence, and those of [`SessionLocks::lock_sequence`].
    pub fn next(&self, def: &Arc<SequenceDef>, locks: &SessionLocks) -> Result<i64> {
        let def = self.locked(def, locks)?;
        let mut own = self.own.lock();
        let taken = own.by_oid.get_mut(&def.oid);
        let taken = taken.filter(|taken| Arc::ptr_eq(&taken.state, &def.state) && taken.rest > 0);
        let value = if let Some(taken) = taken {
            taken.last = def.params.stepped(taken.last, 1);
            taken.rest -= 1;
            taken.last
        } else {
            let given = def.state.give(&def, self.tables.transactions())?;
            locks.show(given.lsn);
            let taken = Taken {
                state: def.state.clone(),
                last: given.first,
                rest: given.rest,
            };
            own.by_oid.insert(def.oid, taken);
            given.first
        };
        own.last_used = Some(def.oid);
        Ok(value)
    }

    /// Sets where a sequence stands, whatever becomes of the transaction.
    ///
    /// # Errors
    /// 22003 for a value beyond the limits, and those of [`SessionLocks::lock_sequence`].
    pub fn set(&self, def: &Arc<SequenceDef>, at: Position, locks: &SessionLocks) -> Result<()> {
        let def = self.locked(def, locks)?;
        let (min, max, value) = (def.params.min, def.params.max, at.last);
        if value < min || value > max {
            let message = format!(
                "setval: value {value} is out of bounds for sequence \"{}\" ({min}..{max})",
                def.name
            );
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        locks.show(def.state.set(&def, at, self.tables.transactions())?);
        let mut own = self.own.lock();
        if at.is_called {
            let taken = Taken {
                state: def.state.clone(),
                last: value,
                rest: 0,
            };
            own.by_oid.insert(def.oid, taken);
        } else if let Some(taken) = own.by_oid.get_mut(&def.oid) {
            taken.rest = 0;
        }
        Ok(())
    }

    /// Where a sequence stands, and how many values beyond that are set aside. It is not dropped
    /// by others until the transaction ends.
    ///
    /// # Errors
    /// When the sequence cannot be read, and those of [`SessionLocks::lock`].
    pub fn position(
        &self,
        def: &Arc<SequenceDef>,
        locks: &SessionLocks,
    ) -> Result<(Position, u64)> {
        let (target, mode) = (LockTarget::Table(def.oid), LockMode::AccessShare);
        locks.lock(target, mode, Level::Transaction)?;
        let def = self.newest(def)?;
        let mut values = def.state.values.lock();
        // Who restarts a sequence has come by here before: its old tree is not read any more.
        let at = values.load(&def, self.tables.transactions())?;
        locks.show(values.lsn);
        Ok((at, values.ahead))
    }

    /// The value that the session has had last of a sequence, which stays as it is until the
    /// transaction ends.
    ///
    /// # Errors
    /// Those of [`SessionLocks::lock_sequence`].
    pub fn current(&self, def: &Arc<SequenceDef>, locks: &SessionLocks) -> Result<Option<i64>> {
        let def = self.locked(def, locks)?;
        Ok(self.last_of(def.oid))
    }

    fn last_of(&self, sequence: Oid) -> Option<i64> {
        let own = self.own.lock();
        own.by_oid.get(&sequence).map(|taken| taken.last)
    }

    /// The sequence that the session has had a value of last, and that value.
    pub fn last_used(&self) -> Option<(Oid, i64)> {
        let sequence = self.own.lock().last_used?;
        Some((sequence, self.last_of(sequence)?))
    }

    /// Forgets all values the session has had (DISCARD SEQUENCES).
    pub fn forget(&self) {
        *self.own.lock() = Own::default();
    }

    /// The newest definition, which nobody else changes until the transaction ends.
    fn locked(&self, def: &Arc<SequenceDef>, locks: &SessionLocks) -> Result<Arc<SequenceDef>> {
        locks.lock_sequence(def.oid)?;
        self.newest(def)
    }

    fn newest(&self, def: &Arc<SequenceDef>) -> Result<Arc<SequenceDef>> {
        if !def.state.is_ended() {
            return Ok(def.clone());
        }
        let newest = self.tables.catalog().sequences.get(&def.oid).cloned();
        newest.ok_or_else(|| def.gone())
    }
}

/// Checks that a sequence's tree says where it stands, within its limits.
///
/// # Errors
/// XX001 when it does not.
pub(super) fn verify(def: &SequenceDef, transactions: &Transactions) -> Result<()> {
    let (at, _) = def.stored(transactions)?;
    if (def.params.min..=def.params.max).contains(&at.last) {
        return Ok(());
    }
    let message = format!("sequence \"{}\" stands at {}", def.name, at.last);
    Err(Error::new(SqlState::DATA_CORRUPTED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(increment: i64, min: i64, max: i64, cycle: bool) -> SequenceParams {
        SequenceParams {
            ty: Type::Int8,
            start: min,
            increment,
            min,
            max,
            cache: 1,
            cycle,
        }
    }

    #[test]
    fn a_sequence_ends_or_begins_anew_at_its_limits() {
        let up = params(2, 1, 4, false);
        assert_eq!(up.after(1), Some(3));
        assert_eq!(up.after(3), None);
        assert_eq!(params(2, 1, 4, true).after(3), Some(1));
        assert_eq!(params(-2, 1, 4, true).after(2), Some(4));
        assert_eq!(params(1, 1, i64::MAX, false).after(i64::MAX), None);
        assert_eq!(params(-1, i64::MIN, -1, false).after(i64::MIN), None);
    }

    #[test]
    fn steps_are_counted_up_to_the_limit_and_not_beyond() {
        let up = params(2, 1, 6, false);
        assert_eq!((up.steps(1), up.stepped(1, 2)), (2, 5));
        assert_eq!((up.steps(5), up.steps(6)), (0, 0));
        let widest = params(i64::MIN, i64::MIN, i64::MAX, false);
        assert_eq!((widest.steps(i64::MAX), widest.steps(0)), (1, 1));
        assert_eq!(widest.stepped(0, 1), i64::MIN);
        assert_eq!(
            params(1, i64::MIN, i64::MAX, false).steps(i64::MIN),
            u64::MAX
        );
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let at = Position {
            last: -7,
            is_called: true,
        };
        assert_eq!(Position::decode(&at.encode()), Some(at));
        assert_eq!(Position::decode(&at.encode()[1..]), None);
    }
}
