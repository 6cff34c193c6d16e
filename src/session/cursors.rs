//! DECLARE, FETCH, MOVE and CLOSE. Cursors go forward only and end with their transaction.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::session::Session;
use crate::session::block::{Block, only_in_blocks};
use crate::session::client::{Client, Formats};
use crate::session::portal::{Fixed, Portal, Source, State};
use crate::session::run::{Progress, Way};
use crate::session::statement::Statement;
use crate::sql::ast;
use crate::sql::ast::FetchDirection;
use crate::sql::ir::Field;

/// What DECLARE says.
pub(super) struct Cursor<'a> {
    pub name: &'a str,
    pub binary: bool,
    pub scroll: bool,
    pub hold: bool,
    pub query: &'a ast::Query,
}

/// How far to go, and which of the rows passed to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// Up to so many rows, all of them returned.
    Take(u64),
    /// Past so many rows, and the one after them returned.
    SkipThenOne(u64),
}

impl Session {
    pub(super) async fn declare<C: Client>(
        &mut self,
        cursor: Cursor<'_>,
        text: &Arc<str>,
        client: &mut C,
    ) -> Result<Progress> {
        if cursor.hold {
            return Err(Error::unsupported("WITH HOLD cursors are"));
        }
        if self.block != Block::InBlock {
            return Err(only_in_blocks("DECLARE CURSOR"));
        }
        self.portals.check_free(cursor.name)?;
        let query = ast::Statement::Query(Box::new(cursor.query.clone()));
        let statement = Arc::new(self.make_statement(query, text.clone(), Vec::new())?);
        let params = self.no_params.clone();
        let Progress::Rows(source) =
            Box::pin(self.start(&statement, params, Way::Prepared, client)).await?
        else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a cursor needs a query",
            ));
        };
        let formats = match cursor.binary {
            true => Formats::all_binary(),
            false => Formats::default(),
        };
        let portal = Portal {
            statement,
            params: self.no_params.clone(),
            formats,
            state: State::Running(source),
            scroll: cursor.scroll,
            position: 0,
            savepoints: self.savepoints.len(),
        };
        self.portals.put(cursor.name, portal);
        Ok(Progress::Done("DECLARE CURSOR".into()))
    }

    pub(super) async fn fetch<C: Client>(
        &mut self,
        name: &str,
        direction: FetchDirection,
        is_move: bool,
        client: &mut C,
    ) -> Result<Progress> {
        let mut portal = self.portals.take(name).ok_or_else(|| no_cursor(name))?;
        let result = self
            .fetch_from(&mut portal, direction, is_move, client)
            .await;
        self.portals.put(name, portal);
        result
    }

    async fn fetch_from<C: Client>(
        &mut self,
        portal: &mut Portal,
        direction: FetchDirection,
        is_move: bool,
        client: &mut C,
    ) -> Result<Progress> {
        // A portal of the protocol may be fetched from before it was executed.
        if matches!(portal.state, State::Ready) {
            let (statement, params) = (portal.statement.clone(), portal.params.clone());
            let started = Box::pin(self.start(&statement, params, Way::Prepared, client)).await?;
            portal.state = match started {
                Progress::Rows(source) => State::Running(source),
                _ => return Err(Error::unsupported("FETCH from this portal is")),
            };
        }
        let walk = plan_walk(direction, portal.position, portal.scroll)?;
        let state = std::mem::replace(&mut portal.state, State::Done);
        let (mut source, mut at_end) = match state {
            State::Running(source) => (source, false),
            State::Finished(source) => (source, true),
            State::Ready | State::Done => {
                return Err(Error::unsupported("FETCH from this portal is"));
            }
        };
        let fields = source.fields().to_vec();
        let mut rows = Vec::new();
        let (skip, take) = match walk {
            Walk::Take(count) => (0, count),
            Walk::SkipThenOne(skip) => (skip, 1),
        };
        let mut passed = 0;
        while !at_end && passed < skip.saturating_add(take) {
            let Some(row) = source.next()? else {
                at_end = true;
                break;
            };
            passed += 1;
            if passed > skip && !is_move {
                rows.push(row.to_vec());
            }
            if passed.is_multiple_of(256) {
                self.cx.cancel.check()?;
                tokio::task::consume_budget().await;
            }
        }
        portal.position += passed;
        portal.state = match at_end {
            true => State::Finished(source),
            false => State::Running(source),
        };
        if is_move {
            return Ok(Progress::Done(
                format!("MOVE {}", passed.saturating_sub(skip)).into(),
            ));
        }
        let tag = Cow::Owned(format!("FETCH {}", rows.len()));
        Ok(Progress::Rows(Source::Fixed(Fixed {
            fields,
            rows,
            next: 0,
            tag,
        })))
    }

    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Progress> {
        let Some(name) = name else {
            self.portals.clear();
            return Ok(Progress::Done("CLOSE CURSOR ALL".into()));
        };
        match self.portals.take(name) {
            Some(_) => Ok(Progress::Done("CLOSE CURSOR".into())),
            None => Err(no_cursor(name)),
        }
    }

    pub(super) fn cursor_fields(&self, name: &str) -> Result<&[Field]> {
        let portal = self.portals.get(name).ok_or_else(|| no_cursor(name))?;
        Ok(match &portal.state {
            State::Running(source) | State::Finished(source) => source.fields(),
            State::Ready | State::Done => cursor_plan_fields(&portal.statement),
        })
    }
}

fn cursor_plan_fields(statement: &Statement) -> &[Field] {
    let planned = statement
        .prepared
        .as_ref()
        .and_then(|p| p.fields.as_deref());
    planned.unwrap_or_default()
}

/// What a direction means from `position`, the number of rows given so far.
fn plan_walk(direction: FetchDirection, position: u64, scroll: bool) -> Result<Walk> {
    let backward = || match scroll {
        true => Error::unsupported("backward scans of cursors are"),
        false => Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cursor can only scan forward",
        )
        .with_hint("Declare it with SCROLL option to enable backward scan."),
    };
    let again = || Error::unsupported("fetching the current row of a cursor again is");
    let count = |n: i64| u64::try_from(n).map_err(|_| backward());
    match direction {
        FetchDirection::Forward(i64::MAX) => Ok(Walk::Take(u64::MAX)),
        FetchDirection::Forward(0) | FetchDirection::Relative(0) | FetchDirection::Backward(0) => {
            match position {
                0 => Ok(Walk::Take(0)),
                _ => Err(again()),
            }
        }
        FetchDirection::Forward(n) => Ok(Walk::Take(count(n)?)),
        FetchDirection::Relative(n) => Ok(Walk::SkipThenOne(count(n)?.saturating_sub(1))),
        FetchDirection::Absolute(n) => match count(n)?.checked_sub(position) {
            Some(0) if position == 0 => Ok(Walk::Take(0)),
            Some(0) => Err(again()),
            Some(ahead) => Ok(Walk::SkipThenOne(ahead - 1)),
            None => Err(backward()),
        },
        FetchDirection::Backward(n) if n < 0 => Ok(Walk::Take(n.unsigned_abs())),
        FetchDirection::Backward(_) => Err(backward()),
    }
}

fn no_cursor(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_become_walks_forward_or_errors() {
        use FetchDirection::{Absolute, Backward, Forward, Relative};
        for (direction, position, expected) in [
            (Forward(3), 5, Ok(Walk::Take(3))),
            (Forward(i64::MAX), 5, Ok(Walk::Take(u64::MAX))),
            (Forward(0), 0, Ok(Walk::Take(0))),
            (Forward(0), 1, Err("0A000")),
            (Forward(-1), 1, Err("55000")),
            (Relative(2), 5, Ok(Walk::SkipThenOne(1))),
            (Absolute(1), 0, Ok(Walk::SkipThenOne(0))),
            (Absolute(7), 5, Ok(Walk::SkipThenOne(1))),
            (Absolute(5), 5, Err("0A000")),
            (Absolute(4), 5, Err("55000")),
            (Absolute(-1), 0, Err("55000")),
            (Backward(1), 5, Err("55000")),
            (Backward(-2), 5, Ok(Walk::Take(2))),
        ] {
            let walk = plan_walk(direction, position, false);
            let walk = walk.map_err(|e| e.sqlstate().to_string());
            assert_eq!(
                walk,
                expected.map_err(str::to_owned),
                "{direction:?} at {position}"
            );
        }
        assert_eq!(
            plan_walk(Backward(1), 5, true).unwrap_err().sqlstate(),
            SqlState::FEATURE_NOT_SUPPORTED
        );
    }
}
