//! INSERT, UPDATE and DELETE: values assigned to the columns of a table.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    self, Alias, ExprKind as Ast, Overriding, Position, QueryBody, SelectItem, TargetColumn,
};
use crate::sql::bind::coerce::{REWRITE, column, constant};
use crate::sql::bind::conflict::around_proposed;
use crate::sql::bind::expr::typed;
use crate::sql::bind::from::Source;
use crate::sql::bind::names;
use crate::sql::bind::predicate::subquery;
use crate::sql::bind::query::{OutColumn, check_row_length};
use crate::sql::bind::scope::{Item, Namespace, Outside, Place, Scope};
use crate::sql::bind::walk::is_volatile_rel;
use crate::sql::bind::{Binder, Typed};
use crate::sql::ir::{Delete, Expr, Field, Insert, Rel, Returning, SubqueryKind, Update};
use crate::sql::parse::parse_expr;
use crate::table::TableDef;
use crate::types::Datum;

impl Binder<'_> {
    pub(super) fn insert(&self, insert: &ast::Insert) -> Result<Insert> {
        let out = self.with(&insert.with, false, &Outside::nothing())?;
        let table = names::target(&insert.table, self.cx)?;
        let columns = insert_columns(table, &insert.columns)?;
        let (source, given) = match &insert.source {
            None => (Rel::Unit, Vec::new()),
            Some(query) => self.insert_source(query, table, &columns, insert, &out)?,
        };
        let given = given.into_iter().zip(&columns);
        let given = given.filter(|(_, i)| !is_overridden(table, **i, insert.overriding));
        let values = self.whole_row(table, given)?;
        let alias = insert.alias.as_ref().map(|name| Alias {
            name: name.clone(),
            columns: Vec::new(),
        });
        let names = Namespace::of(Item::table(table, alias.as_ref(), 0)?);
        let (conflict, returning) = match &insert.on_conflict {
            None => (None, self.returning(&insert.returning, names, &out)?),
            Some(clause) => {
                let proposed = around_proposed(clause, table, &out)?;
                let out = Outside {
                    blind: true,
                    ..proposed.outside()
                };
                let conflict = self.conflict(clause, table, &names, &out)?;
                let returning = self.returning(&insert.returning, names, &out)?;
                (Some(conflict), returning)
            }
        };
        Ok(Insert {
            table: table.clone(),
            source,
            values,
            conflict,
            returning,
        })
    }

    /// The rows to insert and, over them, the values of the first of `columns`.
    fn insert_source(
        &self,
        query: &ast::Query,
        table: &TableDef,
        columns: &[usize],
        insert: &ast::Insert,
        out: &Outside<'_>,
    ) -> Result<(Rel, Vec<Expr>)> {
        if let QueryBody::Values(rows) = &query.body
            && query.order_by.is_empty()
            && query.limit.is_none()
            && query.offset.is_none()
            && query.locking.is_empty()
        {
            let out = self.with(&query.with, query.recursive, out)?;
            return self.insert_values(rows, table, columns, insert, &out);
        }
        let output = self.open_query(query, out)?;
        let positions: Vec<Position> = output.columns.iter().map(|c| c.at).collect();
        check_count(&positions, columns, insert)?;
        let used = &columns[..positions.len()];
        let mut used_columns = used.iter();
        used_columns.try_for_each(|i| check_identity(table, *i, insert.overriding))?;
        let rel = self.project(output, |i, value| self.assign(value, table, used[i]))?;
        Ok((rel, plain_columns(table, used)))
    }

    fn insert_values(
        &self,
        rows: &[Vec<ast::Expr>],
        table: &TableDef,
        columns: &[usize],
        insert: &ast::Insert,
        out: &Outside<'_>,
    ) -> Result<(Rel, Vec<Expr>)> {
        let scope = Scope::new(out, Namespace::default(), Place::Values);
        let width = rows.first().map_or(0, Vec::len);
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            check_row_length(row, width)?;
            let positions: Vec<Position> = row.iter().map(|e| e.position).collect();
            check_count(&positions, columns, insert)?;
            for (expr, i) in row.iter().zip(columns) {
                if !matches!(expr.kind, Ast::Default) {
                    check_identity(table, *i, insert.overriding)?;
                }
            }
            let values = row.iter().zip(columns).map(|(expr, &i)| match &expr.kind {
                Ast::Default if is_overridden(table, i, insert.overriding) => {
                    self.null_of(table, i)
                }
                Ast::Default => self.default_of(table, i),
                _ => {
                    // What is not taken must be right all the same, and may name parameters.
                    let value = self.assign(self.expr(expr, &scope)?, table, i)?;
                    match is_overridden(table, i, insert.overriding) {
                        true => self.null_of(table, i),
                        false => Ok(value),
                    }
                }
            });
            bound.push(values.collect::<Result<Vec<Expr>>>()?);
        }
        let rel = Rel::Values { rows: bound, width };
        Ok((rel, plain_columns(table, &columns[..width])))
    }

    /// One value per column of the table: what is given, else the default.
    fn whole_row<'a>(
        &self,
        table: &TableDef,
        given: impl Iterator<Item = (Expr, &'a usize)>,
    ) -> Result<Vec<Expr>> {
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (value, &i) in given {
            row[i] = Some(value);
        }
        let fill = |(i, value): (usize, Option<Expr>)| match value {
            Some(value) => Ok(value),
            None => self.default_of(table, i),
        };
        row.into_iter().enumerate().map(fill).collect()
    }

    /// The default of a column, or NULL.
    pub(super) fn default_of(&self, table: &TableDef, i: usize) -> Result<Expr> {
        let definition = &table.columns[i];
        match definition.default_sql() {
            Some(text) => {
                let expr = parse_expr(&text)?;
                crate::sql::bind::bind_expr(
                    &expr,
                    None,
                    Some((definition.ty, definition.typmod)),
                    self.cx,
                )
            }
            None => self.null_of(table, i),
        }
    }

    fn null_of(&self, table: &TableDef, i: usize) -> Result<Expr> {
        let definition = &table.columns[i];
        Ok(Expr {
            typmod: definition.typmod,
            ..constant(Datum::Null, definition.ty)
        })
    }

    /// The value as the column takes it.
    fn assign(&self, value: Typed, table: &TableDef, i: usize) -> Result<Expr> {
        let definition = &table.columns[i];
        let (from, at) = (value.expr.ty, value.at);
        let assigned = self.assignable(value, definition.ty, definition.typmod)?;
        assigned.ok_or_else(|| {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    definition.name,
                    definition.ty.sql_name(),
                    from.sql_name()
                ),
            )
            .with_hint(REWRITE)
            .at(at)
        })
    }

    pub(super) fn update(&self, update: &ast::Update) -> Result<Update> {
        let out = self.with(&update.with, false, &Outside::nothing())?;
        let table = names::target(&update.table, self.cx)?;
        let (names, from) = self.target_and_others(table, &update.alias, &update.from, &out)?;
        let scope = Scope::new(&out, names, Place::UpdateSource);
        let filter = self.dml_filter(update.filter.as_ref(), &scope)?;
        let assignments = self.assignments(&update.assignments, table, &scope)?;
        let names = scope.into_namespace();
        let returning = self.returning(&update.returning, names, &out)?;
        check_once(&assignments, table)?;
        Ok(Update {
            table: table.clone(),
            from,
            filter,
            assignments,
            returning,
        })
    }

    /// The columns that SET names, with their new values.
    pub(super) fn assignments(
        &self,
        set: &[ast::Assignment],
        table: &TableDef,
        scope: &Scope<'_>,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut assignments = Vec::with_capacity(set.len());
        for assignment in set {
            for (column, value) in self.assigned(assignment, scope)? {
                let i = known_column(table, column)?;
                let value = match value {
                    None => self.default_of(table, i)?,
                    Some(_) if is_always(table, i) => {
                        let column = &table.columns[i].name;
                        let message = format!("column \"{column}\" can only be updated to DEFAULT");
                        return Err(generated_always(table, i, message));
                    }
                    Some(value) => self.assign(value, table, i)?,
                };
                assignments.push((i, value));
            }
        }
        Ok(assignments)
    }

    /// The columns of an assignment with their values; `None` is DEFAULT.
    fn assigned<'a>(
        &self,
        assignment: &'a ast::Assignment,
        scope: &Scope<'_>,
    ) -> Result<Vec<(&'a TargetColumn, Option<Typed>)>> {
        let at = assignment.value.position;
        let columns = &assignment.columns;
        let one = |value: &ast::Expr| match value.kind {
            Ast::Default => Ok(None),
            _ => self.expr(value, scope).map(Some),
        };
        let values: Vec<Option<Typed>> = match &assignment.value.kind {
            _ if !assignment.row => vec![one(&assignment.value)?],
            Ast::Row(values) if values.len() == columns.len() => {
                values.iter().map(one).collect::<Result<_>>()?
            }
            Ast::Row(_) => return Err(wrong_number(at)),
            Ast::Scalar(query) => {
                let values = self.columns_of_query(query, columns.len(), at, scope)?;
                values.into_iter().map(Some).collect()
            }
            _ => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() \
                     expression",
                )
                .at(at));
            }
        };
        Ok(columns.iter().zip(values).collect())
    }

    /// The columns of a query's only row, each by a subquery of its own.
    fn columns_of_query(
        &self,
        query: &ast::Query,
        count: usize,
        at: Position,
        scope: &Scope<'_>,
    ) -> Result<Vec<Typed>> {
        let (output, correlated) = self.subquery(query, at, scope)?;
        if output.columns.len() != count {
            return Err(wrong_number(at));
        }
        if count > 1 && is_volatile_rel(&output.rel) {
            let what = "assigning a query with volatile functions to several columns is";
            return Err(Error::unsupported(what).at(at));
        }
        let one = |(i, of_query): (usize, &OutColumn)| {
            let value = Expr {
                typmod: of_query.typmod,
                ..column(i, of_query.ty)
            };
            let rel = Rel::Project {
                exprs: vec![value],
                input: Box::new(output.rel.clone()),
            };
            let kind = SubqueryKind::Scalar;
            let expr = subquery(kind, rel, correlated, of_query.ty, of_query.typmod);
            typed(expr, at)
        };
        Ok(output.columns.iter().enumerate().map(one).collect())
    }

    pub(super) fn delete(&self, delete: &ast::Delete) -> Result<Delete> {
        let out = self.with(&delete.with, false, &Outside::nothing())?;
        let table = names::target(&delete.table, self.cx)?;
        let (names, using) = self.target_and_others(table, &delete.alias, &delete.using, &out)?;
        let scope = Scope::new(&out, names, Place::Where);
        let filter = self.dml_filter(delete.filter.as_ref(), &scope)?;
        let names = scope.into_namespace();
        Ok(Delete {
            table: table.clone(),
            using,
            filter,
            returning: self.returning(&delete.returning, names, &out)?,
        })
    }

    /// The names of the target's row followed by those of FROM or USING, which does not see the
    /// target.
    fn target_and_others(
        &self,
        table: &Arc<TableDef>,
        alias: &Option<Alias>,
        others: &[ast::TableRef],
        out: &Outside<'_>,
    ) -> Result<(Namespace, Option<Rel>)> {
        let mut names = Namespace::of(Item::table(table, alias.as_ref(), 0)?);
        if others.is_empty() {
            return Ok((names, None));
        }
        let Source { rel, names: more } = self.source_list(others, &[], out)?;
        names.append(more)?;
        Ok((names, Some(rel)))
    }

    pub(super) fn dml_filter(
        &self,
        filter: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> Result<Option<Expr>> {
        let place = scope.place.replace(Place::Where);
        let bound = filter.map(|filter| self.boolean(filter, scope, "WHERE"));
        scope.place.set(place);
        bound.transpose()
    }

    fn returning(
        &self,
        items: &[SelectItem],
        names: Namespace,
        out: &Outside<'_>,
    ) -> Result<Option<Returning>> {
        if items.is_empty() {
            return Ok(None);
        }
        let scope = Scope::new(out, names, Place::Returning);
        let mut returning = Returning {
            exprs: Vec::new(),
            fields: Vec::new(),
        };
        for target in self.targets(items, &scope)? {
            let (table, attnum) = (target.table, target.attnum);
            let expr = self.settle(Typed {
                expr: target.expr,
                at: target.at,
            })?;
            returning.fields.push(Field {
                name: target.name,
                ty: expr.ty,
                typmod: expr.typmod,
                table,
                attnum,
            });
            returning.exprs.push(expr);
        }
        Ok(Some(returning))
    }
}

/// A column whose values the table makes itself.
fn is_always(table: &TableDef, i: usize) -> bool {
    table.columns[i].identity.is_some_and(|i| i.always)
}

/// OVERRIDING USER VALUE: what is given for an identity column is not taken.
fn is_overridden(table: &TableDef, i: usize, overriding: Option<Overriding>) -> bool {
    overriding == Some(Overriding::User) && table.columns[i].identity.is_some()
}

/// Refuses a value for a column that is GENERATED ALWAYS.
fn check_identity(table: &TableDef, i: usize, overriding: Option<Overriding>) -> Result<()> {
    if overriding.is_some() || !is_always(table, i) {
        return Ok(());
    }
    let column = &table.columns[i].name;
    let message = format!("cannot insert a non-DEFAULT value into column \"{column}\"");
    let hint = "Use OVERRIDING SYSTEM VALUE to override.";
    Err(generated_always(table, i, message).with_hint(hint))
}

fn generated_always(table: &TableDef, i: usize, message: String) -> Error {
    let column = &table.columns[i].name;
    let detail = format!("Column \"{column}\" is an identity column defined as GENERATED ALWAYS.");
    Error::new(SqlState::GENERATED_ALWAYS, message).with_detail(detail)
}

/// The columns to fill: those listed, or all.
fn insert_columns(table: &TableDef, listed: &[TargetColumn]) -> Result<Vec<usize>> {
    if listed.is_empty() {
        let live = |i: &usize| !table.columns[*i].dropped;
        return Ok((0..table.columns.len()).filter(live).collect());
    }
    let mut columns = Vec::with_capacity(listed.len());
    for name in listed {
        let i = known_column(table, name)?;
        if columns.contains(&i) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", name.column.name),
            )
            .at(name.column.position));
        }
        columns.push(i);
    }
    Ok(columns)
}

fn known_column(table: &TableDef, target: &TargetColumn) -> Result<usize> {
    let name = &target.column.name;
    let at = target.column.position;
    let Some(i) = table.column(name) else {
        return Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!(
                "column \"{name}\" of relation \"{}\" does not exist",
                table.name
            ),
        )
        .at(at));
    };
    match &target.field {
        None => Ok(i),
        Some(field) => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "cannot assign to field \"{}\" of column \"{name}\" because its type {} is not a \
                 composite type",
                field.name,
                table.columns[i].ty.sql_name()
            ),
        )
        .at(at)),
    }
}

pub(super) fn check_once(assignments: &[(usize, Expr)], table: &TableDef) -> Result<()> {
    let again = |&(place, (column, _)): &(usize, &(usize, Expr))| {
        assignments[..place]
            .iter()
            .any(|(other, _)| other == column)
    };
    match assignments.iter().enumerate().find(again) {
        None => Ok(()),
        Some((_, (column, _))) => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "multiple assignments to same column \"{}\"",
                table.columns[*column].name
            ),
        )),
    }
}

fn wrong_number(at: Position) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        "number of columns does not match number of values",
    )
    .at(at)
}

/// As many values as columns; without a column list the last columns may be left out.
fn check_count(values: &[Position], columns: &[usize], insert: &ast::Insert) -> Result<()> {
    if let Some(extra) = values.get(columns.len()) {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "INSERT has more expressions than target columns",
        )
        .at(*extra));
    }
    if let Some(missing) = insert.columns.get(values.len()) {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "INSERT has more target columns than expressions",
        )
        .at(missing.column.position));
    }
    Ok(())
}

/// The source's columns, which have the types of the table's.
fn plain_columns(table: &TableDef, columns: &[usize]) -> Vec<Expr> {
    let plain = |(place, &i): (usize, &usize)| {
        let definition = &table.columns[i];
        Expr {
            typmod: definition.typmod,
            ..column(place, definition.ty)
        }
    };
    columns.iter().enumerate().map(plain).collect()
}
