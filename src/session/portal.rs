//! Portals: statements bound to parameters, which may have given some of their rows. SQL cursors
//! are portals, too.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::{Error, Result, SqlState};
use crate::session::client::Formats;
use crate::session::statement::Statement;
use crate::sql::Rows;
use crate::sql::ir::Field;
use crate::types::Datum;

pub(super) struct Portal {
    pub statement: Arc<Statement>,
    pub params: Arc<[Datum]>,
    pub formats: Formats,
    pub state: State,
    /// Made by DECLARE … SCROLL.
    pub scroll: bool,
    /// Rows given so far.
    pub position: u64,
    /// How many savepoints were open when it was made.
    pub savepoints: usize,
}

pub(super) enum State {
    Ready,
    Running(Source),
    /// All rows given.
    Finished(Source),
    /// Ran a statement that returns no rows.
    Done,
}

/// Where rows come from.
pub(super) enum Source {
    Engine(Rows),
    Fixed(Fixed),
}

/// Rows that the session has made itself.
pub(super) struct Fixed {
    pub fields: Vec<Field>,
    pub rows: Vec<Vec<Datum>>,
    pub next: usize,
    pub tag: Cow<'static, str>,
}

impl Source {
    pub(super) fn fields(&self) -> &[Field] {
        match self {
            Source::Engine(rows) => rows.fields(),
            Source::Fixed(fixed) => &fixed.fields,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<&[Datum]>> {
        match self {
            Source::Engine(rows) => rows.next(),
            Source::Fixed(fixed) => {
                let row = fixed.rows.get(fixed.next);
                fixed.next += 1;
                Ok(row.map(Vec::as_slice))
            }
        }
    }

    /// Whether `next` may take long.
    pub(super) fn is_heavy(&self) -> bool {
        match self {
            Source::Engine(rows) => rows.is_heavy(),
            Source::Fixed(_) => false,
        }
    }

    pub(super) fn tag(&self, returned: u64) -> Cow<'static, str> {
        match self {
            Source::Engine(rows) => Cow::Owned(rows.tag(returned)),
            Source::Fixed(fixed) => fixed.tag.clone(),
        }
    }
}

#[derive(Default)]
pub(super) struct Portals {
    unnamed: Option<Portal>,
    named: FxHashMap<String, Portal>,
}

impl Portals {
    pub(super) fn get(&self, name: &str) -> Option<&Portal> {
        match name {
            "" => self.unnamed.as_ref(),
            _ => self.named.get(name),
        }
    }

    /// The portal, taken out; it is put back after it has run.
    pub(super) fn take(&mut self, name: &str) -> Option<Portal> {
        match name {
            "" => self.unnamed.take(),
            _ => self.named.remove(name),
        }
    }

    pub(super) fn put(&mut self, name: &str, portal: Portal) {
        match name {
            "" => self.unnamed = Some(portal),
            _ => {
                self.named.insert(name.to_owned(), portal);
            }
        }
    }

    /// 42P03. The unnamed portal is simply replaced.
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        if name.is_empty() || !self.named.contains_key(name) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DUPLICATE_CURSOR,
            format!("cursor \"{name}\" already exists"),
        ))
    }

    /// Drops what was made within a savepoint.
    pub(super) fn drop_within(&mut self, savepoint: usize) {
        self.unnamed.take_if(|portal| portal.savepoints > savepoint);
        self.named
            .retain(|_, portal| portal.savepoints <= savepoint);
    }

    /// What was made within a savepoint belongs to what is around it.
    pub(super) fn release(&mut self, savepoint: usize) {
        for portal in self.unnamed.iter_mut().chain(self.named.values_mut()) {
            portal.savepoints = portal.savepoints.min(savepoint);
        }
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }
}

/// 34000 for the protocol's messages; SQL says "cursor".
pub(super) fn no_portal(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_CURSOR_NAME,
        format!("portal \"{name}\" does not exist"),
    )
}
