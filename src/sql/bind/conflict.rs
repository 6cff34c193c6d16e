//! INSERT … ON CONFLICT: the unique indexes that are meant, and what DO UPDATE does.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    self, ConflictAction, ConflictTarget, ExprKind as Ast, IndexColumn, OnConflict, Position,
};
use crate::sql::bind::Binder;
use crate::sql::bind::dml::check_once;
use crate::sql::bind::names::check_collation;
use crate::sql::bind::scope::{Item, Lateral, Namespace, Outside, Place, Scope};
use crate::sql::ir::{Conflict, ConflictUpdate, ExprKind};
use crate::table::TableDef;

/// What the row proposed for insertion is called.
const EXCLUDED: &str = "excluded";

/// The surroundings of clauses that come with DO UPDATE and must not name the proposed row: they
/// know of it, for their messages.
pub(super) fn around_proposed<'s>(
    clause: &OnConflict,
    table: &Arc<TableDef>,
    out: &Outside<'s>,
) -> Result<Scope<'s>> {
    let names = match clause.action {
        ConflictAction::Nothing => Namespace::default(),
        ConflictAction::Update { .. } => proposed(table)?,
    };
    Ok(Scope::beside(out, names, Lateral::Yes))
}

fn proposed(table: &Arc<TableDef>) -> Result<Namespace> {
    Ok(Namespace::of(Item {
        name: Some(EXCLUDED.to_owned()),
        schema: None,
        table_name: None,
        ..Item::table(table, None, 0)?
    }))
}

impl Binder<'_> {
    /// `names` are those of the target's row.
    pub(super) fn conflict(
        &self,
        clause: &OnConflict,
        table: &Arc<TableDef>,
        names: &Namespace,
        out: &Outside<'_>,
    ) -> Result<Conflict> {
        let arbiters = match (&clause.target, &clause.action) {
            (Some(target), _) => Some(self.arbiters(target, table, names, out)?),
            (None, ConflictAction::Nothing) => None,
            (None, ConflictAction::Update { .. }) => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                )
                .with_hint("For example, ON CONFLICT (column_name).")
                .at(clause.position));
            }
        };
        let update = match &clause.action {
            ConflictAction::Nothing => None,
            ConflictAction::Update {
                assignments,
                filter,
            } => {
                let mut names = names.clone();
                names.join(proposed(table)?);
                let scope = Scope::new(out, names, Place::UpdateSource);
                let assignments = self.assignments(assignments, table, &scope)?;
                check_once(&assignments, table)?;
                Some(ConflictUpdate {
                    filter: self.dml_filter(filter.as_ref(), &scope)?,
                    assignments,
                })
            }
        };
        Ok(Conflict { arbiters, update })
    }

    /// The places of the unique indexes that a target means: one at least.
    fn arbiters(
        &self,
        target: &ConflictTarget,
        table: &TableDef,
        names: &Namespace,
        out: &Outside<'_>,
    ) -> Result<Vec<usize>> {
        let (columns, filter, at) = match target {
            ConflictTarget::Constraint(name) => return Ok(vec![index_of(name, table)?]),
            ConflictTarget::Columns {
                columns,
                filter,
                position,
            } => (columns, filter, *position),
        };
        let scope = Scope::new(out, names.clone(), Place::IndexExpression);
        let mut wanted = Vec::with_capacity(columns.len());
        for column in columns {
            wanted.push(self.arbiter_column(column, &scope, at)?);
        }
        if let Some(filter) = filter {
            // It may select a partial index; one that is not partial covers whatever it selects.
            scope.place.set(Place::IndexPredicate);
            self.expr(filter, &scope)?;
        }
        let arbiters: Vec<usize> = (0..table.indexes.len())
            .filter(|&place| {
                let index = &table.indexes[place];
                let has = |column: usize| index.columns.iter().any(|c| c.column == column);
                let is_wanted = |column: usize| wanted.contains(&Some(column));
                index.is_unique()
                    && wanted.iter().all(|column| column.is_some_and(has))
                    && index.columns.iter().all(|c| is_wanted(c.column))
            })
            .collect();
        match arbiters.is_empty() {
            false => Ok(arbiters),
            true => Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            )),
        }
    }

    /// The place of a column; `None` for what no index has: an expression, another collation.
    fn arbiter_column(
        &self,
        column: &IndexColumn,
        scope: &Scope<'_>,
        at: Position,
    ) -> Result<Option<usize>> {
        let refuse = |what: &str| {
            let message = format!("{what} is not allowed in ON CONFLICT clause");
            Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(at))
        };
        if column.descending.is_some() {
            return refuse("ASC/DESC");
        }
        if column.nulls_first.is_some() {
            return refuse("NULLS FIRST/LAST");
        }
        let (expr, collation) = match &column.expr.kind {
            Ast::Collate { arg, collation } => (&**arg, Some(collation)),
            _ => (&column.expr, None),
        };
        let bound = match &expr.kind {
            Ast::Column(name) => {
                // PostgreSQL points at the list.
                let mut name = name.clone();
                name.parts.iter_mut().for_each(|part| part.position = at);
                scope.resolve(&name, &self.cx.session.database)?.expr
            }
            _ => self.expr(expr, scope)?.expr,
        };
        if let Some(collation) = collation {
            check_collation(collation, at)?;
            if collation.parts.last().is_none_or(|p| p.name != "default") {
                return Ok(None);
            }
        }
        match bound.kind {
            ExprKind::Column(place) => Ok(Some(place)),
            _ => Ok(None),
        }
    }
}

/// The place of the index behind a constraint.
fn index_of(name: &ast::Ident, table: &TableDef) -> Result<usize> {
    let mut indexes = table.indexes.iter();
    if let Some(place) = indexes.position(|i| i.constraint && i.name == name.name) {
        return Ok(place);
    }
    let is_check = table.checks.iter().any(|c| c.name == name.name);
    let is_foreign_key = table.foreign_keys.iter().any(|k| k.name == name.name);
    if is_check || is_foreign_key {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            "constraint in ON CONFLICT clause has no associated index",
        ));
    }
    let message = format!(
        "constraint \"{}\" for table \"{}\" does not exist",
        name.name, table.name
    );
    Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
}
