//! WITH queries: bound where they are written, copied to where they are named.

use std::cell::Cell;
use std::rc::Rc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast;
use crate::sql::bind::Binder;
use crate::sql::bind::query::Output;
use crate::sql::bind::scope::Outside;
use crate::sql::bind::walk::{is_volatile_rel, shift};

/// The WITH queries in reach, innermost first.
#[derive(Clone, Default)]
pub(super) struct Ctes(Option<Rc<Entry>>);

struct Entry {
    name: String,
    meaning: Meaning,
    outer: Ctes,
}

enum Meaning {
    Query {
        output: Output,
        /// Enclosing rows at the definition.
        depth: usize,
        /// Refers to an enclosing row.
        correlated: bool,
        /// Gives other rows each time, so one mention is all there can be.
        volatile: bool,
        mentioned: Cell<bool>,
    },
    /// Of WITH RECURSIVE: itself, or one that follows.
    Pending,
}

impl Ctes {
    fn with(&self, name: &str, meaning: Meaning) -> Ctes {
        Ctes(Some(Rc::new(Entry {
            name: name.to_owned(),
            meaning,
            outer: self.clone(),
        })))
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let entries = std::iter::successors(self.0.as_deref(), |e| e.outer.0.as_deref());
        entries.into_iter().find(|e| e.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The query of that name as a relation at a place with `out` around it.
    pub(super) fn mention(&self, name: &ast::Ident, out: &Outside<'_>) -> Result<Option<Output>> {
        let Some(entry) = self.find(&name.name) else {
            return Ok(None);
        };
        let Meaning::Query {
            output,
            depth,
            correlated,
            volatile,
            mentioned,
        } = &entry.meaning
        else {
            return Err(Error::unsupported("recursive WITH queries are").at(name.position));
        };
        if mentioned.replace(true) && *volatile {
            return Err(Error::unsupported(
                "naming a WITH query with volatile functions more than once is",
            )
            .at(name.position));
        }
        let mut output = output.clone();
        if *correlated {
            let by = out.depth() - depth;
            shift(&mut output.rel, 1, by.cast_signed());
            if let Some(scope) = out.scope {
                scope.refer_to_all();
            }
        }
        Ok(Some(output))
    }
}

impl Binder<'_> {
    /// `out` with the queries of a WITH clause added.
    pub(super) fn with<'s>(
        &self,
        ctes: &[ast::Cte],
        recursive: bool,
        out: &Outside<'s>,
    ) -> Result<Outside<'s>> {
        let mut inner = out.clone();
        for (i, cte) in ctes.iter().enumerate() {
            let same = |other: &ast::Cte| other.name.name == cte.name.name;
            if ctes[..i].iter().any(same) {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!(
                        "WITH query name \"{}\" specified more than once",
                        cte.name.name
                    ),
                )
                .at(cte.name.position));
            }
        }
        for (i, cte) in ctes.iter().enumerate() {
            let mut seen = inner.clone();
            if recursive {
                for later in &ctes[i..] {
                    seen.ctes = seen.ctes.with(&later.name.name, Meaning::Pending);
                }
            }
            let bind = || self.query(&cte.query, &seen);
            let (mut output, correlated) = match seen.scope {
                Some(scope) => scope.watch_crossing(bind)?,
                None => (bind()?, false),
            };
            rename(&mut output, cte)?;
            let meaning = Meaning::Query {
                volatile: is_volatile_rel(&output.rel),
                output,
                depth: out.depth(),
                correlated,
                mentioned: Cell::new(false),
            };
            inner.ctes = inner.ctes.with(&cte.name.name, meaning);
        }
        Ok(inner)
    }
}

fn rename(output: &mut Output, cte: &ast::Cte) -> Result<()> {
    if cte.columns.len() > output.columns.len() {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                cte.name.name,
                output.columns.len(),
                cte.columns.len()
            ),
        )
        .at(cte.name.position));
    }
    for (column, name) in output.columns.iter_mut().zip(&cte.columns) {
        column.name.clone_from(&name.name);
    }
    Ok(())
}
