//! SELECT … FOR UPDATE and its kin: which tables a clause means, and where there can be none.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, Distinct, JoinKind, LockStrength, LockWait, Locking, TableRef};
use crate::sql::bind::scope::Scope;
use crate::sql::ir::RowLocking;

/// How the rows of an entry of FROM are locked: of several clauses the strongest counts, and the
/// one that waits least.
pub(super) fn lock_of(item: &TableRef, locking: &[Locking]) -> Option<RowLocking> {
    let applies = |lock: &&Locking| lock.of.is_empty() || lock.of.iter().any(|of| is(item, of));
    let locks = || locking.iter().filter(applies);
    Some(RowLocking {
        strength: locks().map(|lock| lock.strength).max_by_key(|s| *s as u8)?,
        wait: locks()
            .map(|lock| lock.wait)
            .max_by_key(|wait| match wait {
                LockWait::Wait => 0,
                LockWait::SkipLocked => 1,
                LockWait::Nowait => 2,
            })?,
    })
}

fn is(item: &TableRef, name: &ast::Ident) -> bool {
    let (alias, own) = match item {
        TableRef::Table { name, alias } | TableRef::Function { name, alias, .. } => {
            (alias, name.parts.last())
        }
        TableRef::Subquery { alias, .. } | TableRef::Join { alias, .. } => (alias, None),
    };
    let called = alias.as_ref().map_or(own, |alias| Some(&alias.name));
    called.is_some_and(|called| called.name == name.name)
}

/// Refuses locking clauses where rows are not those of tables. `grouped`: by GROUP BY or
/// aggregates.
pub(super) fn check_locking(
    select: &ast::Select,
    locking: &[Locking],
    grouped: bool,
    scope: &Scope<'_>,
) -> Result<()> {
    let reasons = [
        (
            !matches!(select.distinct, Distinct::All),
            "is not allowed with DISTINCT clause",
        ),
        (
            !select.group_by.is_empty(),
            "is not allowed with GROUP BY clause",
        ),
        (select.having.is_some(), "is not allowed with HAVING clause"),
        (grouped, "is not allowed with aggregate functions"),
        (
            !scope.sets.borrow().is_empty(),
            "is not allowed with set-returning functions in the target list",
        ),
    ];
    if let Some((_, why)) = reasons.iter().find(|(refused, _)| *refused) {
        refuse_locking(locking, why)?;
    }
    for lock in locking {
        for of in &lock.of {
            check_named(&select.from, of, lock.strength, scope)?;
        }
    }
    let mut items = select.from.iter();
    items.try_for_each(|item| refuse_nullable(item, locking, false, scope))
}

pub(super) fn refuse_locking(locking: &[Locking], why: &str) -> Result<()> {
    match locking.first() {
        None => Ok(()),
        Some(first) => Err(refused(first.strength, why)),
    }
}

fn refused(strength: LockStrength, why: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{} {why}", lock_name(strength)),
    )
}

fn lock_name(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::KeyShare => "FOR KEY SHARE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Update => "FOR UPDATE",
    }
}

/// A name after OF is that of an entry whose rows can be locked.
fn check_named(
    from: &[TableRef],
    of: &ast::Ident,
    strength: LockStrength,
    scope: &Scope<'_>,
) -> Result<()> {
    let what = match from.iter().find_map(|item| named(item, of)) {
        None => {
            let message = format!(
                "relation \"{}\" in {} clause not found in FROM clause",
                of.name,
                lock_name(strength)
            );
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message).at(of.position));
        }
        Some(item) if is_with_query(item, scope) => "a WITH query",
        Some(TableRef::Function { .. }) => "a function",
        Some(TableRef::Join { .. }) => "a join",
        Some(TableRef::Table { .. } | TableRef::Subquery { .. }) => return Ok(()),
    };
    Err(refused(strength, &format!("cannot be applied to {what}")).at(of.position))
}

fn named<'a>(item: &'a TableRef, of: &ast::Ident) -> Option<&'a TableRef> {
    let within = || match item {
        TableRef::Join { left, right, .. } => named(left, of).or_else(|| named(right, of)),
        _ => None,
    };
    if is(item, of) { Some(item) } else { within() }
}

fn is_with_query(item: &TableRef, scope: &Scope<'_>) -> bool {
    match item {
        TableRef::Table { name, .. } => match name.parts.as_slice() {
            [only] => scope.ctes.has(&only.name),
            _ => false,
        },
        _ => false,
    }
}

/// PostgreSQL cannot lock rows that may be made of nulls.
fn refuse_nullable(
    item: &TableRef,
    locking: &[Locking],
    nullable: bool,
    scope: &Scope<'_>,
) -> Result<()> {
    match item {
        TableRef::Join {
            kind, left, right, ..
        } => {
            let left_too = matches!(kind, JoinKind::Right | JoinKind::Full);
            let right_too = matches!(kind, JoinKind::Left | JoinKind::Full);
            refuse_nullable(left, locking, nullable || left_too, scope)?;
            refuse_nullable(right, locking, nullable || right_too, scope)
        }
        TableRef::Function { .. } => Ok(()),
        _ if !nullable || is_with_query(item, scope) => Ok(()),
        _ => match lock_of(item, locking) {
            None => Ok(()),
            Some(lock) => Err(refused(
                lock.strength,
                "cannot be applied to the nullable side of an outer join",
            )),
        },
    }
}
