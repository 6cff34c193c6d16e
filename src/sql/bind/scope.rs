//! What a name may mean at a place of the statement.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{Ident, Name, Position};
use crate::sql::bind::cte::Ctes;
use crate::sql::bind::expr::check_fields;
use crate::sql::bind::similar;
use crate::sql::bind::walk::{map_columns, move_inwards};
use crate::sql::func::Function;
use crate::sql::ir::{AggregateCall, Expr, ExprKind};
use crate::table::TableDef;
use crate::types::Type;

/// Column numbers from here up stand for something else while a SELECT is bound: the reference
/// number times `TAG` is added to a column so that a later error can point at it.
pub(super) const TAG: usize = 1 << 24;
/// The i-th aggregate of the SELECT.
pub(super) const AGGREGATE: usize = 1 << 60;
/// The i-th set-returning function of the select list.
pub(super) const SET: usize = 1 << 61;

/// The column behind a tagged number.
pub(super) fn untagged(column: usize) -> usize {
    if column >= AGGREGATE {
        column
    } else {
        column % TAG
    }
}

/// A column that can be named.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Over the row of the namespace. A plain column but for merged ones of FULL JOIN … USING.
    pub(super) value: Expr,
    /// The table and column number it comes from, or zeros.
    pub(super) table: Oid,
    pub(super) attnum: i16,
}

/// An entry of FROM.
#[derive(Clone)]
pub(super) struct Item {
    /// `None` for the merged columns of a join, which have no qualifier.
    pub(super) name: Option<String>,
    /// The schema, when the table is not hidden by an alias.
    pub(super) schema: Option<String>,
    /// The table's own name, for hints.
    pub(super) table_name: Option<String>,
    pub(super) columns: Vec<Column>,
    /// Columns can be named without qualifier and belong to `*`.
    pub(super) listed: bool,
    pub(super) table: Option<Arc<TableDef>>,
    pub(super) whole: Whole,
}

/// What an entry's name alone stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    /// The row of its columns.
    Row,
    /// The value of a function.
    Value,
    /// A row, or NULL where an outer join found none.
    Nullable,
}

/// The entries of FROM over one row.
#[derive(Clone, Default)]
pub(super) struct Namespace {
    pub(super) items: Vec<Item>,
    /// Of the row.
    pub(super) width: usize,
}

/// Which clause is bound, for what may not be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    SelectList,
    Where,
    Having,
    GroupBy,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    JoinOn,
    FromFunction,
    Values,
    UpdateSource,
    Returning,
    Filter,
    AggregateArgument,
    Check,
    Default,
    IndexExpression,
    IndexPredicate,
}

impl Place {
    pub(super) fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Place::SelectList | Place::Having | Place::OrderBy | Place::DistinctOn
        )
    }

    /// As PostgreSQL's messages say: "aggregate functions are not allowed in …".
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::SelectList => "SELECT",
            Place::Where => "WHERE",
            Place::Having => "HAVING",
            Place::GroupBy => "GROUP BY",
            Place::OrderBy => "ORDER BY",
            Place::DistinctOn => "DISTINCT ON",
            Place::Limit => "LIMIT",
            Place::Offset => "OFFSET",
            Place::JoinOn => "JOIN conditions",
            Place::FromFunction => "functions in FROM",
            Place::Values => "VALUES",
            Place::UpdateSource => "UPDATE",
            Place::Returning => "RETURNING",
            Place::Filter => "FILTER",
            Place::AggregateArgument => "aggregate arguments",
            Place::Check => "check constraints",
            Place::Default => "DEFAULT expressions",
            Place::IndexExpression => "index expressions",
            Place::IndexPredicate => "index predicates",
        }
    }
}

/// What surrounds a query: the rows it may refer to and the WITH queries it may name.
#[derive(Clone)]
pub(super) struct Outside<'s> {
    pub(super) scope: Option<&'s Scope<'s>>,
    /// Does not see the left sides of the lateral joins it is in.
    pub(super) blind: bool,
    pub(super) ctes: Ctes,
}

impl Outside<'_> {
    pub(super) fn nothing() -> Outside<'static> {
        Outside {
            scope: None,
            blind: false,
            ctes: Ctes::default(),
        }
    }

    /// The number of enclosing rows.
    pub(super) fn depth(&self) -> usize {
        self.scope.map_or(0, |scope| scope.depth + 1)
    }
}

/// The names of one row, within those of the rows around it.
pub(super) struct Scope<'s> {
    parent: Option<&'s Scope<'s>>,
    namespace: Namespace,
    /// The left side of a join, seen from its right side.
    lateral: Lateral,
    /// Does not see the lateral scopes right above it.
    blind: bool,
    depth: usize,
    pub(super) ctes: Ctes,
    pub(super) place: Cell<Place>,
    /// References are tagged and their places kept.
    pub(super) tagging: Cell<bool>,
    tags: RefCell<Vec<Position>>,
    pub(super) aggregates: RefCell<Vec<AggregateCall>>,
    /// Set-returning functions of the select list.
    pub(super) sets: RefCell<Vec<(&'static Function, Vec<Expr>)>>,
    /// A scope below refers to this row.
    pub(super) referred: Cell<bool>,
    /// A scope below refers to this row or to one further out.
    pub(super) crossed: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lateral {
    No,
    Yes,
    /// The join is RIGHT or FULL.
    Refused,
}

/// A resolved column reference.
pub(super) struct Found {
    pub(super) expr: Expr,
    pub(super) table: Oid,
    pub(super) attnum: i16,
}

impl Column {
    pub(super) fn plain(name: &str, column: usize, ty: Type, typmod: i32) -> Column {
        Column {
            name: name.to_owned(),
            value: Expr {
                kind: ExprKind::Column(column),
                ty,
                typmod,
            },
            table: Oid(0),
            attnum: 0,
        }
    }
}

/// A column's number as `pg_attribute.attnum`.
pub(super) fn attnum(column: usize) -> i16 {
    i16::try_from(column + 1).unwrap_or(0)
}

impl Item {
    /// A stored table whose row begins at `first`.
    pub(super) fn table(
        table: &Arc<TableDef>,
        alias: Option<&crate::sql::ast::Alias>,
        first: usize,
    ) -> Result<Item> {
        let columns = table.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        let columns = columns
            .map(|(i, c)| Column {
                table: table.oid,
                attnum: attnum(i),
                ..Column::plain(&c.name, first + i, c.ty, c.typmod)
            })
            .collect();
        let item = Item {
            name: Some(table.name.clone()),
            schema: Some(table.schema.clone()),
            table_name: Some(table.name.clone()),
            columns,
            listed: true,
            table: Some(table.clone()),
            whole: Whole::Row,
        };
        item.aliased(alias)
    }

    /// Renamed by `AS name (columns)`.
    pub(super) fn aliased(mut self, alias: Option<&crate::sql::ast::Alias>) -> Result<Item> {
        let Some(alias) = alias else {
            return Ok(self);
        };
        self.name = Some(alias.name.name.clone());
        self.schema = None;
        if alias.columns.len() > self.columns.len() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "table \"{}\" has {} columns available but {} columns specified",
                    alias.name.name,
                    self.columns.len(),
                    alias.columns.len()
                ),
            ));
        }
        for (column, name) in self.columns.iter_mut().zip(&alias.columns) {
            column.name.clone_from(&name.name);
        }
        Ok(self)
    }

    fn column(&self, name: &str, at: Position) -> Result<Option<&Column>> {
        let mut named = self.columns.iter().filter(|c| c.name == name);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(ambiguous(name, at)),
            (found, None) => Ok(found),
        }
    }

    fn is_named(&self, schema: Option<&str>, name: &str) -> bool {
        self.name.as_deref() == Some(name) && (schema.is_none() || self.schema.as_deref() == schema)
    }
}

impl Namespace {
    pub(super) fn of(item: Item) -> Namespace {
        let width = match &item.table {
            Some(table) => table.columns.len(),
            None => item.columns.len(),
        };
        Namespace {
            items: vec![item],
            width,
        }
    }

    /// An outer join may put nulls for this row.
    pub(super) fn may_be_absent(&mut self) {
        for item in &mut self.items {
            item.whole = Whole::Nullable;
        }
    }

    /// The row of `other` follows.
    pub(super) fn append(&mut self, other: Namespace) -> Result<()> {
        for item in &other.items {
            if let Some(name) = &item.name
                && self.items.iter().any(|i| conflict(i, item))
            {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("table name \"{name}\" specified more than once"),
                ));
            }
        }
        self.join(other);
        Ok(())
    }

    /// As [`Self::append`], but a name may come twice. It is ambiguous then.
    pub(super) fn join(&mut self, other: Namespace) {
        let first = self.width;
        for mut item in other.items {
            for column in &mut item.columns {
                map_columns(&mut column.value, &mut |c| c + first);
            }
            self.items.push(item);
        }
        self.width += other.width;
    }

    /// The columns that `*` means.
    pub(super) fn listed(&self) -> impl Iterator<Item = &Column> {
        self.items
            .iter()
            .filter(|i| i.listed)
            .flat_map(|i| &i.columns)
    }

    fn column(&self, name: &str, at: Position) -> Result<Option<&Column>> {
        let mut named = self.listed().filter(|c| c.name == name);
        match (named.next(), named.next()) {
            (_, Some(_)) => Err(ambiguous(name, at)),
            (found, None) => Ok(found),
        }
    }
}

/// Two entries of one name clash, unless both are unaliased tables of different schemas.
fn conflict(a: &Item, b: &Item) -> bool {
    a.name.is_some()
        && a.name == b.name
        && match (&a.schema, &b.schema) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        }
}

fn ambiguous(name: &str, at: Position) -> Error {
    Error::new(
        SqlState::AMBIGUOUS_COLUMN,
        format!("column reference \"{name}\" is ambiguous"),
    )
    .at(at)
}

impl<'s> Scope<'s> {
    pub(super) fn new(out: &Outside<'s>, namespace: Namespace, place: Place) -> Scope<'s> {
        Scope::with_lateral(out, namespace, place, Lateral::No)
    }

    /// The row of a join's left side, as its right side sees it.
    pub(super) fn beside(out: &Outside<'s>, left: Namespace, lateral: Lateral) -> Scope<'s> {
        Scope::with_lateral(out, left, Place::FromFunction, lateral)
    }

    fn with_lateral(
        out: &Outside<'s>,
        namespace: Namespace,
        place: Place,
        lateral: Lateral,
    ) -> Scope<'s> {
        Scope {
            parent: out.scope,
            namespace,
            lateral,
            blind: out.blind,
            depth: out.depth(),
            ctes: out.ctes.clone(),
            place: Cell::new(place),
            tagging: Cell::new(false),
            tags: RefCell::new(Vec::new()),
            aggregates: RefCell::new(Vec::new()),
            sets: RefCell::new(Vec::new()),
            referred: Cell::new(false),
            crossed: Cell::new(false),
        }
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(super) fn into_namespace(self) -> Namespace {
        self.namespace
    }

    /// What a subquery in an expression of this scope has around it.
    pub(super) fn outside(&'s self) -> Outside<'s> {
        Outside {
            scope: Some(self),
            blind: false,
            ctes: self.ctes.clone(),
        }
    }

    /// The place in the text of a tagged column.
    pub(super) fn tag_position(&self, column: usize) -> Option<Position> {
        let tags = self.tags.borrow();
        tags.get((column / TAG).checked_sub(1)?).copied()
    }

    /// Whether `name` alone is a column of this very row.
    pub(super) fn has_column(&self, name: &str, at: Position) -> Result<bool> {
        Ok(self.namespace.column(name, at)?.is_some())
    }

    /// What a column reference means.
    pub(super) fn resolve(&self, name: &Name, database: &str) -> Result<Found> {
        let at = name.parts.first().map_or(0, |p| p.position);
        match name.parts.as_slice() {
            [column] => self.resolve_bare(column, at),
            [table, column] => self.resolve_qualified(None, table, column, at),
            [schema, table, column] => {
                self.resolve_qualified(Some(schema.name.as_str()), table, column, at)
            }
            [catalog, schema, table, column] if catalog.name == database => {
                self.resolve_qualified(Some(schema.name.as_str()), table, column, at)
            }
            [_, _, _, _] => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "cross-database references are not implemented: {}",
                    dotted(name)
                ),
            )
            .at(at)),
            _ => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "improper qualified name (too many dotted names): {}",
                    dotted(name)
                ),
            )
            .at(at)),
        }
    }

    fn resolve_bare(&self, column: &Ident, at: Position) -> Result<Found> {
        for (level, scope) in self.visible() {
            // Lateral scopes of one query are one list of names.
            if let Some(found) = scope.namespace.column(&column.name, at)? {
                scope.check_lateral(found, at)?;
                return Ok(self.take(level, scope, found, at));
            }
        }
        if let Some((level, scope, item)) = self.find_item(None, &column.name, at)? {
            return self.whole(level, scope, item, at);
        }
        let error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" does not exist", column.name),
        )
        .at(at);
        Err(match self.hidden_column(&column.name) {
            Some(table) => error.with_detail(format!(
                "There is a column named \"{}\" in table \"{table}\", but it cannot be \
                 referenced from this part of the query.",
                column.name
            )),
            None => system_column(&column.name)
                .unwrap_or_else(|| self.with_similar(error, None, &column.name))
                .at(at),
        })
    }

    fn whole(&self, level: usize, scope: &Scope<'_>, item: &Item, at: Position) -> Result<Found> {
        let mut columns = Vec::with_capacity(item.columns.len());
        for column in &item.columns {
            scope.check_lateral(column, at)?;
            columns.push(self.take(level, scope, column, at).expr);
        }
        let kind = match (item.whole, columns.pop()) {
            (Whole::Nullable, _) => {
                let what = "whole rows of the nullable side of an outer join are";
                return Err(Error::unsupported(what).at(at));
            }
            (Whole::Value, Some(value)) if columns.is_empty() => {
                return Ok(Found {
                    expr: value,
                    table: Oid(0),
                    attnum: 0,
                });
            }
            (_, last) => {
                columns.extend(last);
                check_fields(&columns, at)?;
                ExprKind::Row(columns)
            }
        };
        Ok(Found {
            expr: Expr {
                kind,
                ty: Type::Record,
                typmod: -1,
            },
            table: Oid(0),
            attnum: 0,
        })
    }

    fn resolve_qualified(
        &self,
        schema: Option<&str>,
        table: &Ident,
        column: &Ident,
        at: Position,
    ) -> Result<Found> {
        let Some((level, scope, item)) = self.find_item(schema, &table.name, at)? else {
            return Err(self.missing_item(&table.name).at(at));
        };
        if let Some(found) = item.column(&column.name, at)? {
            scope.check_lateral(found, at)?;
            return Ok(self.take(level, scope, found, at));
        }
        if let Some(error) = system_column(&column.name) {
            return Err(error.at(at));
        }
        let error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column {}.{} does not exist", table.name, column.name),
        );
        Err(self
            .with_similar(error, Some(&table.name), &column.name)
            .at(at))
    }

    fn with_similar(&self, error: Error, table: Option<&str>, column: &str) -> Error {
        let items = self.outwards().flat_map(|(_, s)| &s.namespace.items);
        match similar::hint(items, table, column) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The columns of `t.*`, or of `*` without a name.
    pub(super) fn wildcard(
        &self,
        table: Option<&Name>,
        at: Position,
    ) -> Result<Vec<(String, Found)>> {
        let (level, scope, columns): (_, _, Vec<&Column>) = match table {
            None => (0, self, self.namespace.listed().collect()),
            Some(name) => {
                let (schema, table) = match name.parts.as_slice() {
                    [.., schema, table] => (Some(schema.name.as_str()), table),
                    [table] => (None, table),
                    [] => return Ok(Vec::new()),
                };
                let Some((level, scope, item)) = self.find_item(schema, &table.name, at)? else {
                    return Err(self.missing_item(&table.name).at(at));
                };
                (level, scope, item.columns.iter().collect())
            }
        };
        let take = |column: &Column| {
            let found = self.take(level, scope, column, at);
            (column.name.clone(), found)
        };
        Ok(columns.into_iter().map(take).collect())
    }

    /// The scopes from here outwards whose names are in reach, with their distance.
    fn visible(&self) -> impl Iterator<Item = (usize, &Scope<'s>)> {
        let mut blind = false;
        self.outwards().filter(move |(_, scope)| {
            let skipped = blind && scope.lateral != Lateral::No;
            if scope.lateral == Lateral::No {
                blind = scope.blind;
            }
            !skipped
        })
    }

    fn outwards(&self) -> impl Iterator<Item = (usize, &Scope<'s>)> {
        std::iter::successors(Some(self), |scope| scope.parent).enumerate()
    }

    fn find_item(
        &self,
        schema: Option<&str>,
        name: &str,
        at: Position,
    ) -> Result<Option<(usize, &Scope<'s>, &Item)>> {
        for (level, scope) in self.visible() {
            let items = scope.namespace.items.iter();
            let mut named = items.filter(|i| i.is_named(schema, name));
            match (named.next(), named.next()) {
                (None, _) => {}
                (Some(item), None) => return Ok(Some((level, scope, item))),
                (Some(_), Some(_)) => {
                    return Err(Error::new(
                        SqlState::AMBIGUOUS_ALIAS,
                        format!("table reference \"{name}\" is ambiguous"),
                    )
                    .at(at));
                }
            }
        }
        Ok(None)
    }

    fn missing_item(&self, name: &str) -> Error {
        let invalid = || {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("invalid reference to FROM-clause entry for table \"{name}\""),
            )
        };
        let mut items = self.outwards().flat_map(|(_, s)| &s.namespace.items);
        if items.any(|i| i.is_named(None, name)) {
            return invalid().with_hint(format!(
                "There is an entry for table \"{name}\", but it cannot be referenced from this \
                 part of the query."
            ));
        }
        let mut items = self.outwards().flat_map(|(_, s)| &s.namespace.items);
        let renamed = items.find(|i| i.table_name.as_deref() == Some(name));
        match renamed.and_then(|i| i.name.as_ref()) {
            Some(alias) => invalid().with_hint(format!(
                "Perhaps you meant to reference the table alias \"{alias}\"."
            )),
            None => Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("missing FROM-clause entry for table \"{name}\""),
            ),
        }
    }

    /// The entry that has such a column but is out of reach here.
    fn hidden_column(&self, name: &str) -> Option<&str> {
        let mut items = self.outwards().flat_map(|(_, s)| &s.namespace.items);
        let item = items.find(|i| i.name.is_some() && i.columns.iter().any(|c| c.name == name))?;
        item.name.as_deref()
    }

    fn check_lateral(&self, column: &Column, at: Position) -> Result<()> {
        if self.lateral != Lateral::Refused {
            return Ok(());
        }
        let holds = |i: &&Item| i.columns.iter().any(|c| std::ptr::eq(c, column));
        let item = self.namespace.items.iter().find(holds);
        let name = item.and_then(|i| i.name.as_deref()).unwrap_or_default();
        Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("invalid reference to FROM-clause entry for table \"{name}\""),
        )
        .with_detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
        .at(at))
    }

    /// The column as an expression of this scope.
    fn take(&self, level: usize, scope: &Scope<'_>, column: &Column, at: Position) -> Found {
        let mut expr = column.value.clone();
        if scope.tagging.get() {
            let mut tags = scope.tags.borrow_mut();
            tags.push(at);
            let tag = tags.len() * TAG;
            map_columns(&mut expr, &mut |c| c + tag);
        }
        move_inwards(&mut expr, level);
        if level > 0 {
            scope.referred.set(true);
            for (_, crossed) in self.outwards().skip(1).take(level) {
                crossed.crossed.set(true);
            }
        }
        Found {
            expr,
            table: column.table,
            attnum: column.attnum,
        }
    }

    /// Runs `f`, which binds something below this scope, and tells whether that refers to this row
    /// or to one further out.
    pub(super) fn watch_crossing<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<(T, bool)> {
        let before = self.crossed.replace(false);
        let result = f();
        let crossed = self.crossed.get();
        self.crossed.set(before || crossed);
        Ok((result?, crossed))
    }

    /// Everything from here outwards counts as referred to.
    pub(super) fn refer_to_all(&self) {
        for (_, scope) in self.outwards() {
            scope.referred.set(true);
            scope.crossed.set(true);
        }
    }
}

/// PostgreSQL has columns that no table lists.
fn system_column(name: &str) -> Option<Error> {
    matches!(
        name,
        "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid"
    )
    .then(|| Error::unsupported(format_args!("system column \"{name}\" is")))
}

pub(super) fn dotted(name: &Name) -> String {
    let parts: Vec<&str> = name.parts.iter().map(|p| p.name.as_str()).collect();
    parts.join(".")
}
