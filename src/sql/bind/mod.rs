//! Names, types, implicit casts and operators, resolved by PostgreSQL's rules: a statement as
//! written becomes a statement as meant.
//!
//! The life of a SELECT: [`bind`] makes a `Binder`; `query` walks WITH, set operations and
//! VALUES; `from` binds the FROM list to a relation and a namespace; `select` binds the clauses
//! over that namespace in PostgreSQL's order, `group` checks and rewrites what stands above an
//! aggregation; `expr`, `call` and `predicate` bind expressions, `resolve` chooses among
//! overloads, `coerce` writes casts; `dml` assigns to columns, `conflict` binds ON CONFLICT,
//! `locking` the clauses that lock rows.
//!
//! Invariants:
//! - B1: no expression of a bound statement has the type unknown; a literal or parameter left
//!   without a type becomes text.
//! - B2: every `Outer { level, .. }` counts the rows between it and the row it names: one for each
//!   enclosing query and one for each lateral join on the way.
//! - B3: the numbers above `scope::TAG`, which stand for references and aggregates while a
//!   SELECT is bound, never leave `select`.
//! - B4: a statement too deep for the stack is refused with 54001.
//!
//! See also PostgreSQL's documentation, chapter 10 (type conversion) and section 7.2 (table
//! expressions).

mod call;
mod coerce;
mod conflict;
mod cte;
mod dml;
mod expr;
mod fold;
mod from;
mod group;
mod locking;
mod names;
mod naming;
mod params;
mod predicate;
mod query;
mod resolve;
mod scope;
mod select;
mod similar;
mod sort;
mod walk;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast;
use crate::sql::bind::params::Params;
use crate::sql::bind::scope::{Item, Namespace, Outside, Place, Scope};
use crate::sql::func::CastContext;
use crate::sql::ir::{BindContext, Bound, BoundStatement, Expr};
use crate::table::TableDef;
use crate::types::Type;

pub use names::{resolve_lockable, resolve_sequence, resolve_table, resolve_type};

/// Binds a query or a data-modifying statement. `params` are the types that the client gave;
/// the others are inferred from their use.
pub fn bind(
    statement: &ast::Statement,
    params: &[Option<Type>],
    cx: &BindContext<'_>,
) -> Result<BoundStatement> {
    let binder = Binder::new(cx, Params::new(params));
    let bound = match statement {
        ast::Statement::Query(query) => {
            let output = binder.query(query, &Outside::nothing())?;
            Bound::Query {
                fields: output.fields(),
                rel: output.rel,
            }
        }
        ast::Statement::Insert(insert) => Bound::Insert(binder.insert(insert)?),
        ast::Statement::Update(update) => Bound::Update(binder.update(update)?),
        ast::Statement::Delete(delete) => Bound::Delete(binder.delete(delete)?),
        ast::Statement::Unsupported(what) => {
            return Err(Error::unsupported(format_args!("{what} is")));
        }
        _ => {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "this statement is not bound",
            ));
        }
    };
    Ok(BoundStatement {
        bound,
        params: binder.params.finish()?,
    })
}

/// Binds an expression outside a statement: a DEFAULT or an argument of EXECUTE (no table), or a
/// CHECK (over the table's columns). With a `target` the value is converted as if assigned to it.
pub fn bind_expr(
    expr: &ast::Expr,
    table: Option<&TableDef>,
    target: Option<(Type, i32)>,
    cx: &BindContext<'_>,
) -> Result<Expr> {
    let binder = Binder::new(cx, Params::none());
    let (place, namespace) = match table {
        Some(table) => {
            let item = Item::table(&Arc::new(table.clone()), None, 0)?;
            (Place::Check, Namespace::of(item))
        }
        None => (Place::Default, Namespace::default()),
    };
    let scope = Scope::new(&Outside::nothing(), namespace, place);
    match target {
        Some((Type::Bool, _)) if table.is_some() => binder.boolean(expr, &scope, "CHECK"),
        Some((ty, typmod)) => {
            let value = binder.expr(expr, &scope)?;
            let from = value.expr.ty;
            binder.assignable(value, ty, typmod)?.ok_or_else(|| {
                Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "expression is of type {} but the value is of type {}",
                        from.sql_name(),
                        ty.sql_name()
                    ),
                )
                .with_hint(coerce::REWRITE)
            })
        }
        None => {
            let value = binder.expr(expr, &scope)?;
            binder.settle(value)
        }
    }
}

/// Binds the DEFAULT of a column, with PostgreSQL's error when the types do not fit.
pub fn bind_default(
    expr: &ast::Expr,
    column: &str,
    ty: Type,
    typmod: i32,
    cx: &BindContext<'_>,
) -> Result<Expr> {
    let binder = Binder::new(cx, Params::none());
    let scope = Scope::new(&Outside::nothing(), Namespace::default(), Place::Default);
    let value = binder.expr(expr, &scope)?;
    let from = value.expr.ty;
    binder.assignable(value, ty, typmod)?.ok_or_else(|| {
        Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "column \"{column}\" is of type {} but default expression is of type {}",
                ty.sql_name(),
                from.sql_name()
            ),
        )
        .with_hint(coerce::REWRITE)
    })
}

/// What a column has when nothing is given: its default, or NULL.
pub fn bind_stored_default(table: &TableDef, column: usize, cx: &BindContext<'_>) -> Result<Expr> {
    Binder::new(cx, Params::none()).default_of(table, column)
}

/// The conversion of a value, which is column 0 of a row, to a type and modifier; `None` where
/// there is none in that context.
pub fn bind_cast(
    from: Type,
    to: Type,
    typmod: i32,
    context: CastContext,
    cx: &BindContext<'_>,
) -> Result<Option<Expr>> {
    let value = Typed {
        expr: coerce::column(0, from),
        at: 0,
    };
    Binder::new(cx, Params::none()).convert(value, to, typmod, context)
}

/// An expression and where PostgreSQL points for it: its leftmost part.
#[derive(Clone)]
struct Typed {
    expr: Expr,
    at: ast::Position,
}

/// What is common to the binding of one statement.
struct Binder<'a> {
    cx: &'a BindContext<'a>,
    params: Params,
    depth: Cell<usize>,
}

/// Deepest nesting of expressions and queries that is bound. A level takes up to 3 kB of stack in
/// a build for debugging, and threads have 2 MB; evaluating and dropping take less per level.
const DEPTH_MAX: usize = 400;

impl<'a> Binder<'a> {
    fn new(cx: &'a BindContext<'a>, params: Params) -> Binder<'a> {
        Binder {
            cx,
            params,
            depth: Cell::new(0),
        }
    }

    /// Counts one level of nesting while the result lives.
    fn deeper(&self) -> Result<Level<'_>> {
        if self.depth.get() >= DEPTH_MAX {
            return Err(Error::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            ));
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Level(&self.depth))
    }
}

struct Level<'a>(&'a Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
