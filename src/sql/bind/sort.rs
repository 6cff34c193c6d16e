//! ORDER BY, GROUP BY and DISTINCT ON name entries of the select list, by name, by number or by
//! expression, or add hidden entries to it.

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{self, ExprKind as Ast, Position};
use crate::sql::bind::Binder;
use crate::sql::bind::coerce::column;
use crate::sql::bind::expr::typed;
use crate::sql::bind::query::{OutColumn, Output, open_literal};
use crate::sql::bind::scope::{Place, Scope, untagged};
use crate::sql::bind::walk::same;
use crate::sql::ir::{Expr, SortKey};
use crate::types::Type;

/// An entry of the select list, or a hidden one for sorting and grouping.
pub(super) struct Target {
    pub(super) expr: Expr,
    pub(super) at: Position,
    pub(super) name: String,
    pub(super) table: Oid,
    pub(super) attnum: i16,
    pub(super) hidden: bool,
}

/// A sort key by its place in the select list.
pub(super) struct Sorted {
    pub(super) target: usize,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
    pub(super) at: Position,
}

impl Sorted {
    /// Over the projected row.
    pub(super) fn key(&self, ty: Type) -> SortKey {
        self.over(column(self.target, ty))
    }

    pub(super) fn over(&self, expr: Expr) -> SortKey {
        SortKey {
            expr,
            descending: self.descending,
            nulls_first: self.nulls_first,
        }
    }
}

impl Target {
    pub(super) fn out_column(&self) -> OutColumn {
        OutColumn {
            name: self.name.clone(),
            ty: self.expr.ty,
            typmod: self.expr.typmod,
            at: self.at,
            table: self.table,
            attnum: self.attnum,
            literal: open_literal(&self.expr),
        }
    }
}

impl Output {
    /// The columns as a select list over the output's row.
    pub(super) fn as_targets(&self) -> Vec<Target> {
        let target = |(i, c): (usize, &OutColumn)| Target {
            expr: Expr {
                typmod: c.typmod,
                ..column(i, c.ty)
            },
            at: c.at,
            name: c.name.clone(),
            table: c.table,
            attnum: c.attnum,
            hidden: false,
        };
        self.columns.iter().enumerate().map(target).collect()
    }
}

impl Binder<'_> {
    pub(super) fn sort_target(
        &self,
        key: &ast::OrderBy,
        targets: &mut Vec<Target>,
        s: &Scope<'_>,
    ) -> Result<Sorted> {
        Ok(Sorted {
            target: self.target(&key.expr, Place::OrderBy, targets, s)?,
            descending: key.descending,
            nulls_first: key.nulls_first.unwrap_or(key.descending),
            at: key.expr.position,
        })
    }

    /// The entry that an expression of this clause means. PostgreSQL's documentation of SELECT,
    /// "ORDER BY Clause" and "GROUP BY Clause", has the rules.
    pub(super) fn target(
        &self,
        expr: &ast::Expr,
        place: Place,
        targets: &mut Vec<Target>,
        s: &Scope<'_>,
    ) -> Result<usize> {
        let place_before = s.place.replace(place);
        let found = self.named_target(expr, place, targets, s);
        let found = match found {
            Ok(None) => self.target_by_value(expr, targets, s),
            Ok(Some(i)) => Ok(i),
            Err(e) => Err(e),
        };
        s.place.set(place_before);
        let found = found?;
        let target = &mut targets[found];
        if target.expr.ty == Type::Unknown {
            target.expr = self.settle(typed(target.expr.clone(), target.at))?;
        }
        Ok(found)
    }

    fn named_target(
        &self,
        expr: &ast::Expr,
        place: Place,
        targets: &[Target],
        s: &Scope<'_>,
    ) -> Result<Option<usize>> {
        let at = expr.position;
        match &expr.kind {
            Ast::Column(name) => {
                let [name] = name.parts.as_slice() else {
                    return Ok(None);
                };
                // Standard SQL groups by input columns; output names are PostgreSQL's addition.
                if place == Place::GroupBy && s.has_column(&name.name, at)? {
                    return Ok(None);
                }
                by_name(&name.name, place, targets, at)
            }
            Ast::Number(text) => by_number(text, place, targets, at).map(Some),
            Ast::Unary { op, arg } if op == "-" && matches!(arg.kind, Ast::Number(_)) => {
                let Ast::Number(text) = &arg.kind else {
                    return Ok(None);
                };
                by_number(&format!("-{text}"), place, targets, at).map(Some)
            }
            Ast::String(_) | Ast::Null | Ast::Bool(_) => Err(not_an_integer(place, at)),
            _ => Ok(None),
        }
    }

    fn target_by_value(
        &self,
        expr: &ast::Expr,
        targets: &mut Vec<Target>,
        s: &Scope<'_>,
    ) -> Result<usize> {
        let value = self.expr(expr, s)?;
        if let Some(i) = targets
            .iter()
            .position(|t| same(&t.expr, &value.expr, &untagged))
        {
            return Ok(i);
        }
        targets.push(Target {
            expr: value.expr,
            at: value.at,
            name: String::new(),
            table: Oid(0),
            attnum: 0,
            hidden: true,
        });
        Ok(targets.len() - 1)
    }
}

fn by_name(name: &str, place: Place, targets: &[Target], at: Position) -> Result<Option<usize>> {
    let named = |t: &&(usize, &Target)| !t.1.hidden && t.1.name == name;
    let all: Vec<(usize, &Target)> = targets.iter().enumerate().collect();
    let mut found = all.iter().filter(named);
    let Some((first, target)) = found.next() else {
        return Ok(None);
    };
    if found.any(|(_, other)| !same(&target.expr, &other.expr, &untagged)) {
        return Err(Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("{} \"{name}\" is ambiguous", place.name()),
        )
        .at(at));
    }
    Ok(Some(*first))
}

fn by_number(text: &str, place: Place, targets: &[Target], at: Position) -> Result<usize> {
    let number: i32 = text.parse().map_err(|_| not_an_integer(place, at))?;
    let visible = targets.iter().filter(|t| !t.hidden).count();
    match usize::try_from(number) {
        Ok(n) if (1..=visible).contains(&n) => Ok(n - 1),
        _ => Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("{} position {number} is not in select list", place.name()),
        )
        .at(at)),
    }
}

fn not_an_integer(place: Place, at: Position) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        format!("non-integer constant in {}", place.name()),
    )
    .at(at)
}
