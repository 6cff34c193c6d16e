//! Queries as a whole: WITH, set operations, VALUES, and the clauses that follow them.

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{self, Position, QueryBody, SetOp};
use crate::sql::bind::coerce::{column, common_type, common_typmod};
use crate::sql::bind::expr::typed;
use crate::sql::bind::locking::refuse_locking;
use crate::sql::bind::scope::{Column, Item, Namespace, Outside, Place, Scope, Whole};
use crate::sql::bind::sort::Sorted;
use crate::sql::bind::{Binder, Typed};
use crate::sql::ir::{Expr, ExprKind, Field, Rel, RowLocking};
use crate::types::Type;

/// A bound query and what is known of its columns.
#[derive(Clone)]
pub(super) struct Output {
    pub(super) rel: Rel,
    pub(super) columns: Vec<OutColumn>,
}

#[derive(Clone)]
pub(super) struct OutColumn {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) typmod: i32,
    pub(super) at: Position,
    /// The table and column number it comes from, or zeros.
    pub(super) table: Oid,
    pub(super) attnum: i16,
    /// A literal or parameter whose type is still open (`ty` is unknown).
    pub(super) literal: Option<Expr>,
}

/// ORDER BY, LIMIT, OFFSET and FOR UPDATE. Parentheses around the query they follow do not matter.
#[derive(Clone)]
pub(super) struct Tail<'q> {
    pub(super) order_by: &'q [ast::OrderBy],
    pub(super) limit: Option<&'q ast::Expr>,
    pub(super) offset: Option<&'q ast::Expr>,
    pub(super) locking: Vec<ast::Locking>,
    /// The lock that the query around this one asks of it.
    pub(super) asked: Option<RowLocking>,
}

impl Output {
    pub(super) fn fields(&self) -> Vec<Field> {
        let field = |c: &OutColumn| Field {
            name: c.name.clone(),
            ty: c.ty,
            typmod: c.typmod,
            table: c.table,
            attnum: c.attnum,
        };
        self.columns.iter().map(field).collect()
    }

    /// As an entry of FROM.
    pub(super) fn item(&self) -> Item {
        let columns = self.columns.iter().enumerate().map(|(i, c)| Column {
            table: c.table,
            attnum: c.attnum,
            ..Column::plain(&c.name, i, c.ty, c.typmod)
        });
        Item {
            name: None,
            schema: None,
            table_name: None,
            columns: columns.collect(),
            listed: true,
            table: None,
            whole: Whole::Row,
        }
    }
}

impl<'q> Tail<'q> {
    fn of(query: &'q ast::Query) -> Tail<'q> {
        Tail {
            order_by: &query.order_by,
            limit: query.limit.as_ref(),
            offset: query.offset.as_ref(),
            locking: query.locking.clone(),
            asked: None,
        }
    }

    /// All locking clauses that hold for FROM.
    pub(super) fn all_locking(&self) -> Vec<ast::Locking> {
        let asked = self.asked.map(|asked| ast::Locking {
            strength: asked.strength,
            of: Vec::new(),
            wait: asked.wait,
        });
        self.locking.iter().cloned().chain(asked).collect()
    }

    /// `(inner) self`: a clause may be given once.
    fn around(self, inner: Tail<'q>) -> Result<Tail<'q>> {
        let given = |tail: &Tail<'q>| {
            let order_by = tail.order_by.first().map(|key| &key.expr);
            [
                (order_by, "ORDER BY"),
                (tail.offset, "OFFSET"),
                (tail.limit, "LIMIT"),
            ]
        };
        for ((outer, what), (inner, _)) in given(&self).into_iter().zip(given(&inner)) {
            if let (Some(again), Some(_)) = (outer, inner) {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("multiple {what} clauses not allowed"),
                )
                .at(again.position));
            }
        }
        Ok(Tail {
            order_by: match self.order_by {
                [] => inner.order_by,
                given => given,
            },
            limit: self.limit.or(inner.limit),
            offset: self.offset.or(inner.offset),
            locking: [inner.locking, self.locking].concat(),
            asked: self.asked,
        })
    }
}

impl Binder<'_> {
    /// A query whose columns all have types.
    pub(super) fn query(&self, query: &ast::Query, out: &Outside<'_>) -> Result<Output> {
        let output = self.open_query(query, out)?;
        self.settle_columns(output)
    }

    /// A query in FROM, of whose tables a lock may be asked.
    pub(super) fn query_in_from(
        &self,
        query: &ast::Query,
        asked: Option<RowLocking>,
        out: &Outside<'_>,
    ) -> Result<Output> {
        let inner = self.with(&query.with, query.recursive, out)?;
        let tail = Tail {
            asked,
            ..Tail::of(query)
        };
        let output = self.body(&query.body, tail, &inner)?;
        self.settle_columns(output)
    }

    /// A query whose literals may still get their types from where it stands.
    pub(super) fn open_query(&self, query: &ast::Query, out: &Outside<'_>) -> Result<Output> {
        let inner = self.with(&query.with, query.recursive, out)?;
        self.body(&query.body, Tail::of(query), &inner)
    }

    fn body(&self, body: &QueryBody, tail: Tail<'_>, out: &Outside<'_>) -> Result<Output> {
        let _level = self.deeper()?;
        match body {
            QueryBody::Select(select) => self.select(select, tail, out),
            QueryBody::Values(rows) => {
                refuse_locking(&tail.locking, "cannot be applied to VALUES")?;
                let output = self.values(rows, out)?;
                self.apply_tail(output, tail, true, out)
            }
            QueryBody::Query(query) => {
                let inner = self.with(&query.with, query.recursive, out)?;
                self.body(&query.body, tail.around(Tail::of(query))?, &inner)
            }
            QueryBody::SetOp {
                op,
                all,
                left,
                right,
            } => {
                let why = "is not allowed with UNION/INTERSECT/EXCEPT";
                refuse_locking(&tail.all_locking(), why)?;
                let output = self.set_op(*op, *all, left, right, out)?;
                self.apply_tail(output, tail, false, out)
            }
        }
    }

    fn set_op(
        &self,
        op: SetOp,
        all: bool,
        left: &QueryBody,
        right: &QueryBody,
        out: &Outside<'_>,
    ) -> Result<Output> {
        let nothing = || Tail {
            order_by: &[],
            limit: None,
            offset: None,
            locking: Vec::new(),
            asked: None,
        };
        let left = self.body(left, nothing(), out)?;
        let right = self.body(right, nothing(), out)?;
        let what = match op {
            SetOp::Union => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        };
        if left.columns.len() != right.columns.len() {
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                format!("each {what} query must have the same number of columns"),
            );
            return Err(match right.columns.first() {
                Some(first) => error.at(first.at),
                None => error,
            });
        }
        let mut types = Vec::with_capacity(left.columns.len());
        for (l, r) in left.columns.iter().zip(&right.columns) {
            let ty = common_type([(l.ty, l.at), (r.ty, r.at)].into_iter(), what)?;
            types.push(ty);
        }
        let columns = left.columns.iter().zip(&right.columns).zip(&types);
        let columns = columns.map(|((l, r), &ty)| OutColumn {
            name: l.name.clone(),
            ty,
            typmod: match l.ty == r.ty && l.typmod == r.typmod {
                true => l.typmod,
                false => -1,
            },
            at: l.at,
            table: Oid(0),
            attnum: 0,
            literal: None,
        });
        Ok(Output {
            columns: columns.collect(),
            rel: Rel::SetOp {
                op,
                all,
                left: Box::new(self.retype(left, &types, what)?),
                right: Box::new(self.retype(right, &types, what)?),
            },
        })
    }

    /// Text for the columns that nothing gave a type.
    fn settle_columns(&self, mut output: Output) -> Result<Output> {
        if output.columns.iter().all(|c| c.ty != Type::Unknown) {
            return Ok(output);
        }
        let settled = |c: &OutColumn| match c.ty {
            Type::Unknown => Type::Text,
            known => known,
        };
        let types: Vec<Type> = output.columns.iter().map(settled).collect();
        output.rel = self.retype(output.clone(), &types, "SELECT")?;
        for (column, ty) in output.columns.iter_mut().zip(types) {
            column.ty = ty;
            column.literal = None;
        }
        Ok(output)
    }

    /// The rows with their columns converted.
    fn retype(&self, output: Output, types: &[Type], what: &str) -> Result<Rel> {
        if output.columns.iter().zip(types).all(|(c, ty)| c.ty == *ty) {
            return Ok(output.rel);
        }
        self.project(output, |i, value| {
            self.to_common(typed(value.expr, value.at), types[i], what)
        })
    }

    /// The rows with each column replaced by what `f` makes of it.
    pub(super) fn project(
        &self,
        output: Output,
        f: impl Fn(usize, Typed) -> Result<Expr>,
    ) -> Result<Rel> {
        let Output { mut rel, columns } = output;
        let mut typed_below: Vec<Option<(Type, i32)>> = vec![None; columns.len()];
        for (i, c) in columns.iter().enumerate() {
            if let Some(literal) = &c.literal {
                let value = f(i, typed(literal.clone(), c.at))?;
                typed_below[i] = Some(replace_literal(&mut rel, i, value));
            }
        }
        let (input, values) = match rel {
            // A projection on a projection would compute every row twice.
            Rel::Project { input, exprs } => (input, exprs),
            rel => {
                let plain = |(i, c): (usize, &OutColumn)| {
                    let (ty, typmod) = typed_below[i].unwrap_or((c.ty, c.typmod));
                    let value = column(i, ty);
                    Expr { typmod, ..value }
                };
                let values = columns.iter().enumerate().map(plain).collect();
                (Box::new(rel), values)
            }
        };
        let mut exprs: Vec<Expr> = Vec::with_capacity(values.len());
        for ((i, value), c) in values.into_iter().enumerate().zip(&columns) {
            exprs.push(match typed_below[i] {
                Some(_) => value,
                None => f(i, typed(value, c.at))?,
            });
        }
        Ok(Rel::Project { input, exprs })
    }

    fn values(&self, rows: &[Vec<ast::Expr>], out: &Outside<'_>) -> Result<Output> {
        let scope = Scope::new(out, Namespace::default(), Place::Values);
        let width = rows.first().map_or(0, Vec::len);
        let mut columns: Vec<Vec<Typed>> = vec![Vec::new(); width];
        for row in rows {
            check_row_length(row, width)?;
            for (column, expr) in columns.iter_mut().zip(row) {
                column.push(self.expr(expr, &scope)?);
            }
        }
        let mut described = Vec::with_capacity(width);
        let mut bound: Vec<Vec<Expr>> = vec![Vec::with_capacity(width); rows.len()];
        for (i, column) in columns.into_iter().enumerate() {
            let at = column.first().map_or(0, |c| c.at);
            let (values, ty) = self.unify_values(column, "VALUES")?;
            described.push(OutColumn {
                name: format!("column{}", i + 1),
                ty,
                typmod: common_typmod(values.iter()),
                at,
                table: Oid(0),
                attnum: 0,
                literal: None,
            });
            for (row, value) in bound.iter_mut().zip(values) {
                row.push(value);
            }
        }
        Ok(Output {
            rel: Rel::Values { rows: bound, width },
            columns: described,
        })
    }

    /// ORDER BY, LIMIT and OFFSET over the result of VALUES (`exprs` may be sorted by) or of a set
    /// operation (only its columns).
    fn apply_tail(
        &self,
        output: Output,
        tail: Tail<'_>,
        exprs: bool,
        out: &Outside<'_>,
    ) -> Result<Output> {
        let Output { mut rel, columns } = output;
        if !tail.order_by.is_empty() {
            let described = Output {
                rel: Rel::Unit,
                columns: columns.clone(),
            };
            let namespace = Namespace::of(described.item());
            let scope = Scope::new(out, namespace, Place::OrderBy);
            let mut targets = described.as_targets();
            let keys = tail.order_by.iter().map(|key| {
                if !exprs && !is_output_name(&key.expr, &columns) {
                    return Err(not_an_output(self.expr(&key.expr, &scope)?.at));
                }
                self.sort_target(key, &mut targets, &scope)
            });
            let keys: Vec<Sorted> = keys.collect::<Result<_>>()?;
            let width = columns.len();
            let all = targets.into_iter().map(|t| t.expr).collect::<Vec<_>>();
            let grown = all.len() > width;
            let types: Vec<Type> = all.iter().map(|e| e.ty).collect();
            if grown {
                rel = Rel::Project {
                    input: Box::new(rel),
                    exprs: all,
                };
            }
            rel = Rel::Sort {
                input: Box::new(rel),
                keys: keys.iter().map(|k| k.key(types[k.target])).collect(),
            };
            if grown {
                rel = first_columns(rel, &columns);
            }
        }
        let rel = self.limited(rel, &tail, out)?;
        Ok(Output { rel, columns })
    }

    /// LIMIT and OFFSET, if given.
    pub(super) fn limited(&self, rel: Rel, tail: &Tail<'_>, out: &Outside<'_>) -> Result<Rel> {
        let (limit, offset) = self.limits(tail, out)?;
        Ok(limit_rel(rel, limit, offset))
    }

    /// The bound LIMIT and OFFSET, in that order.
    pub(super) fn limits(
        &self,
        tail: &Tail<'_>,
        out: &Outside<'_>,
    ) -> Result<(Option<Expr>, Option<Expr>)> {
        let count = |expr: Option<&ast::Expr>, place: Place| {
            let Some(expr) = expr else {
                return Ok(None);
            };
            let scope = Scope::new(out, Namespace::default(), place);
            let value = self.expr(expr, &scope)?;
            self.to_specific(value, Type::Int8, place.name()).map(Some)
        };
        let offset = count(tail.offset, Place::Offset)?;
        let limit = count(tail.limit, Place::Limit)?;
        Ok((limit, offset))
    }
}

/// Puts the typed value of a column in the place of the literal that waited for its type, and
/// tells the projections above.
fn replace_literal(rel: &mut Rel, i: usize, value: Expr) -> (Type, i32) {
    let described = (value.ty, value.typmod);
    match rel {
        Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Lock { input, .. } => replace_literal(input, i, value),
        Rel::Project { input, exprs } => match exprs[i].kind {
            ExprKind::Column(below) => {
                (exprs[i].ty, exprs[i].typmod) = replace_literal(input, below, value);
                described
            }
            _ => {
                exprs[i] = value;
                described
            }
        },
        _ => described,
    }
}

pub(super) fn limit_rel(rel: Rel, limit: Option<Expr>, offset: Option<Expr>) -> Rel {
    if limit.is_none() && offset.is_none() {
        return rel;
    }
    Rel::Limit {
        input: Box::new(rel),
        limit,
        offset,
    }
}

/// Drops the columns that were only sorted by.
pub(super) fn first_columns(rel: Rel, columns: &[OutColumn]) -> Rel {
    let exprs = columns.iter().enumerate().map(|(i, c)| Expr {
        typmod: c.typmod,
        ..column(i, c.ty)
    });
    Rel::Project {
        exprs: exprs.collect(),
        input: Box::new(rel),
    }
}

pub(super) fn check_row_length(row: &[ast::Expr], width: usize) -> Result<()> {
    if row.len() == width {
        return Ok(());
    }
    Err(Error::new(
        SqlState::SYNTAX_ERROR,
        "VALUES lists must all be the same length",
    )
    .at(row.first().map_or(0, |e| e.position)))
}

fn is_output_name(expr: &ast::Expr, columns: &[OutColumn]) -> bool {
    match &expr.kind {
        ast::ExprKind::Column(name) => match name.parts.as_slice() {
            [name] => columns.iter().any(|c| c.name == name.name),
            _ => false,
        },
        ast::ExprKind::Number(_) | ast::ExprKind::String(_) => true,
        _ => false,
    }
}

fn not_an_output(at: Position) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
    )
    .with_detail("Only result column names can be used, not expressions or functions.")
    .with_hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
    .at(at)
}

/// A literal or parameter that still waits for its type.
pub(super) fn open_literal(expr: &Expr) -> Option<Expr> {
    let open =
        expr.ty == Type::Unknown && matches!(expr.kind, ExprKind::Const(_) | ExprKind::Param(_));
    open.then(|| expr.clone())
}
