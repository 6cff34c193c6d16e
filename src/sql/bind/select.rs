//! One SELECT: its clauses in the order in which PostgreSQL binds them, which is the order in which
//! their errors come and in which parameters get their types.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, Distinct, JoinKind, SelectItem};
use crate::sql::bind::Binder;
use crate::sql::bind::expr::typed;
use crate::sql::bind::from::Source;
use crate::sql::bind::group::{Grouping, place_aggregates, place_set, strip_tags};
use crate::sql::bind::locking::check_locking;
use crate::sql::bind::naming::column_name;
use crate::sql::bind::query::{OutColumn, Output, Tail, first_columns, limit_rel};
use crate::sql::bind::scope::{Outside, Place, Scope};
use crate::sql::bind::sort::{Sorted, Target};
use crate::sql::bind::walk::move_inwards;
use crate::sql::ir::{Expr, ExprKind, Rel, SortKey};
use crate::types::Type;

/// The clauses, bound over the row of FROM.
struct Clauses {
    targets: Vec<Target>,
    filter: Option<Expr>,
    having: Option<Expr>,
    sort: Vec<Sorted>,
    /// Places in `targets`.
    group: Vec<usize>,
    distinct: Option<Vec<usize>>,
    distinct_on: bool,
    limit: Option<Expr>,
    offset: Option<Expr>,
}

impl Binder<'_> {
    pub(super) fn select(
        &self,
        select: &ast::Select,
        tail: Tail<'_>,
        out: &Outside<'_>,
    ) -> Result<Output> {
        let locking = tail.all_locking();
        let Source { rel, names } = self.source_list(&select.from, &locking, out)?;
        let scope = Scope::new(out, names, Place::SelectList);
        let mut clauses = self.clauses(select, &tail, &scope, out)?;
        let grouped = !select.group_by.is_empty()
            || clauses.having.is_some()
            || !scope.aggregates.borrow().is_empty();
        check_locking(select, &locking, grouped, &scope)?;

        let mut rel = filtered(rel, clauses.filter.take());
        let mut width = scope.namespace().width;
        if grouped {
            (rel, width) = group(rel, &mut clauses, &scope)?;
        } else {
            for target in &mut clauses.targets {
                strip_tags(&mut target.expr);
            }
        }
        rel = with_set(rel, width, &mut clauses.targets, &scope, grouped)?;
        let columns = clauses.targets.iter().filter(|t| !t.hidden);
        let columns: Vec<OutColumn> = columns.map(Target::out_column).collect();
        // Which rows a LIMIT gives depends on those that can be locked. Without one, a lock that
        // the query around asks for is taken there, of fewer rows.
        let limited = clauses.limit.is_some() || clauses.offset.is_some();
        let locks_here = !tail.locking.is_empty() || tail.asked.is_some() && limited;
        let rel = match locks_here {
            false => projected(rel, clauses, &columns),
            true => locked(rel, clauses),
        };
        Ok(Output { rel, columns })
    }

    fn clauses(
        &self,
        select: &ast::Select,
        tail: &Tail<'_>,
        scope: &Scope<'_>,
        out: &Outside<'_>,
    ) -> Result<Clauses> {
        scope.tagging.set(true);
        let mut targets = self.targets(&select.items, scope)?;
        scope.tagging.set(false);
        let filter = select.filter.as_ref().map(|filter| {
            scope.place.set(Place::Where);
            self.boolean(filter, scope, "WHERE")
        });
        let filter = filter.transpose()?;
        scope.tagging.set(true);
        let having = select.having.as_ref().map(|having| {
            scope.place.set(Place::Having);
            self.boolean(having, scope, "HAVING")
        });
        let having = having.transpose()?;
        let mut sort: Vec<Sorted> = Vec::with_capacity(tail.order_by.len());
        for key in tail.order_by {
            let sorted = self.sort_target(key, &mut targets, scope)?;
            // A second key of the same value decides nothing.
            if sort.iter().all(|s| s.target != sorted.target) {
                sort.push(sorted);
            }
        }
        let mut group = Vec::with_capacity(select.group_by.len());
        for key in &select.group_by {
            group.push(self.target(key, Place::GroupBy, &mut targets, scope)?);
        }
        let distinct = self.distinct(&select.distinct, &mut targets, &sort, scope)?;
        scope.tagging.set(false);
        let (limit, offset) = self.limits_of(tail, scope, out)?;
        Ok(Clauses {
            targets,
            filter,
            having,
            sort,
            group,
            distinct,
            distinct_on: matches!(select.distinct, Distinct::On(_)),
            limit,
            offset,
        })
    }

    /// The select list.
    pub(super) fn targets(&self, items: &[SelectItem], scope: &Scope<'_>) -> Result<Vec<Target>> {
        let mut targets = Vec::with_capacity(items.len());
        for item in items {
            match item {
                SelectItem::Expr { expr, alias } => {
                    targets.push(self.one_target(expr, alias.as_ref(), scope)?);
                }
                SelectItem::Wildcard(at) => {
                    if scope.namespace().items.is_empty() {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        )
                        .at(*at));
                    }
                    targets.extend(all_columns(None, *at, scope)?);
                }
                SelectItem::QualifiedWildcard(name) => {
                    let at = name.parts.first().map_or(0, |p| p.position);
                    targets.extend(all_columns(Some(name), at, scope)?);
                }
            }
        }
        Ok(targets)
    }

    fn one_target(
        &self,
        expr: &ast::Expr,
        alias: Option<&ast::Ident>,
        scope: &Scope<'_>,
    ) -> Result<Target> {
        let name = match alias {
            Some(alias) => alias.name.clone(),
            None => column_name(expr),
        };
        // A plain column keeps its origin, which drivers ask for.
        if let ast::ExprKind::Column(column) = &expr.kind {
            let found = scope.resolve(column, &self.cx.session.database)?;
            return Ok(Target {
                expr: found.expr,
                at: expr.position,
                name,
                table: found.table,
                attnum: found.attnum,
                hidden: false,
            });
        }
        let value = self.expr(expr, scope)?;
        Ok(Target {
            expr: value.expr,
            at: value.at,
            name,
            table: crate::base::Oid(0),
            attnum: 0,
            hidden: false,
        })
    }

    /// The places that are distinct; `None` without DISTINCT.
    fn distinct(
        &self,
        distinct: &Distinct,
        targets: &mut Vec<Target>,
        sort: &[Sorted],
        scope: &Scope<'_>,
    ) -> Result<Option<Vec<usize>>> {
        let wrong =
            |message: &str, at| Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(at));
        match distinct {
            Distinct::All => Ok(None),
            Distinct::Distinct => {
                if let Some(key) = sort.iter().find(|s| targets[s.target].hidden) {
                    return wrong(
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        key.at,
                    );
                }
                for target in targets.iter_mut().filter(|t| !t.hidden) {
                    target.expr = self.settle(typed(target.expr.clone(), target.at))?;
                }
                let visible = |i: &usize| !targets[*i].hidden;
                Ok(Some((0..targets.len()).filter(visible).collect()))
            }
            Distinct::On(exprs) => {
                let mut places = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    places.push(self.target(expr, Place::DistinctOn, targets, scope)?);
                }
                let leading = sort.iter().take_while(|s| places.contains(&s.target));
                let leading = leading.count();
                let message = "SELECT DISTINCT ON expressions must match initial ORDER BY \
                               expressions";
                for (place, expr) in places.iter().zip(exprs) {
                    let sorted = sort[..leading].iter().any(|s| s.target == *place);
                    if leading < sort.len() && !sorted {
                        return wrong(message, expr.position);
                    }
                }
                Ok(Some(places))
            }
        }
    }

    /// PostgreSQL binds the counts over the whole scope and then refuses columns.
    fn limits_of(
        &self,
        tail: &Tail<'_>,
        scope: &Scope<'_>,
        out: &Outside<'_>,
    ) -> Result<(Option<Expr>, Option<Expr>)> {
        for (expr, place) in [(tail.offset, Place::Offset), (tail.limit, Place::Limit)] {
            if let Some(expr) = expr
                && let ast::ExprKind::Column(name) = &expr.kind
                && scope.resolve(name, &self.cx.session.database).is_ok()
            {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("argument of {} must not contain variables", place.name()),
                )
                .at(expr.position));
            }
        }
        self.limits(tail, out)
    }
}

fn all_columns(
    table: Option<&ast::Name>,
    at: ast::Position,
    scope: &Scope<'_>,
) -> Result<impl Iterator<Item = Target> + use<>> {
    let columns = scope.wildcard(table, at)?.into_iter();
    Ok(columns.map(move |(name, found)| Target {
        expr: found.expr,
        at,
        name,
        table: found.table,
        attnum: found.attnum,
        hidden: false,
    }))
}

pub(super) fn filtered(rel: Rel, condition: Option<Expr>) -> Rel {
    match condition {
        None => rel,
        Some(condition) => Rel::Filter {
            input: Box::new(rel),
            condition,
        },
    }
}

/// Puts the aggregation above `rel` and the select list and HAVING above that. The width of the
/// row of groups is returned.
fn group(rel: Rel, clauses: &mut Clauses, scope: &Scope<'_>) -> Result<(Rel, usize)> {
    let keys = clauses.group.iter();
    let keys = keys.map(|&i| clauses.targets[i].expr.clone()).collect();
    let mut grouping = Grouping::new(scope, keys);
    for (i, target) in clauses.targets.iter_mut().enumerate() {
        // A key is itself, even where it cannot be told from another of its kind.
        match clauses.group.iter().position(|&key| key == i) {
            Some(key) => target.expr.kind = ExprKind::Column(key),
            None => grouping.rewrite(&mut target.expr)?,
        }
    }
    if let Some(having) = &mut clauses.having {
        grouping.rewrite(having)?;
    }
    for (_, args) in scope.sets.borrow_mut().iter_mut() {
        for arg in args {
            grouping.rewrite(arg)?;
        }
    }
    let aggregates = scope.aggregates.take();
    let count = aggregates.len();
    let (rel, keys) = grouping.finish(rel, aggregates);
    for target in &mut clauses.targets {
        place_aggregates(&mut target.expr, keys);
    }
    for (_, args) in scope.sets.borrow_mut().iter_mut() {
        for arg in args {
            place_aggregates(arg, keys);
        }
    }
    if let Some(having) = &mut clauses.having {
        place_aggregates(having, keys);
    }
    Ok((filtered(rel, clauses.having.take()), keys + count))
}

/// Each row joined with the rows of the select list's set-returning function.
fn with_set(
    rel: Rel,
    width: usize,
    targets: &mut [Target],
    scope: &Scope<'_>,
    grouped: bool,
) -> Result<Rel> {
    let Some((function, mut args)) = scope.sets.borrow_mut().pop() else {
        return Ok(rel);
    };
    for arg in &mut args {
        if !grouped {
            strip_tags(arg);
        }
        move_inwards(arg, 1);
    }
    for target in targets {
        place_set(&mut target.expr, width);
    }
    let right = Rel::Function {
        function,
        args,
        width: 1,
        ordinality: false,
    };
    Ok(Rel::Join {
        kind: JoinKind::Cross,
        left: Box::new(rel),
        right: Box::new(right),
        condition: None,
        lateral: true,
    })
}

/// Project, make distinct, sort, limit, and drop what was only sorted by.
fn projected(rel: Rel, clauses: Clauses, columns: &[OutColumn]) -> Rel {
    let types: Vec<Type> = clauses.targets.iter().map(|t| t.expr.ty).collect();
    let grown = types.len() > columns.len();
    let exprs = clauses.targets.into_iter().map(|t| t.expr).collect();
    let mut rel = Rel::Project {
        input: Box::new(rel),
        exprs,
    };
    let keys: Vec<SortKey> = clauses
        .sort
        .iter()
        .map(|s| s.key(types[s.target]))
        .collect();
    let distinct = |rel, columns: Option<Vec<usize>>| match columns {
        None => rel,
        Some(columns) => Rel::Distinct {
            input: Box::new(rel),
            columns,
        },
    };
    let sorted = |rel| match keys.is_empty() {
        true => rel,
        false => Rel::Sort {
            input: Box::new(rel),
            keys: keys.clone(),
        },
    };
    // DISTINCT ON keeps the first row of each in the order asked for.
    rel = match clauses.distinct_on {
        true => distinct(sorted(rel), clauses.distinct),
        false => sorted(distinct(rel, clauses.distinct)),
    };
    rel = limit_rel(rel, clauses.limit, clauses.offset);
    match grown {
        true => first_columns(rel, columns),
        false => rel,
    }
}

/// Rows are locked after sorting and before LIMIT, so that only those returned are; the select
/// list is computed last, over the rows as locked.
fn locked(rel: Rel, clauses: Clauses) -> Rel {
    let mut rel = rel;
    if !clauses.sort.is_empty() {
        let key = |s: &Sorted| s.over(clauses.targets[s.target].expr.clone());
        rel = Rel::Sort {
            keys: clauses.sort.iter().map(key).collect(),
            input: Box::new(rel),
        };
    }
    rel = Rel::Lock {
        input: Box::new(rel),
    };
    rel = limit_rel(rel, clauses.limit, clauses.offset);
    let visible = clauses.targets.into_iter().filter(|t| !t.hidden);
    Rel::Project {
        exprs: visible.map(|t| t.expr).collect(),
        input: Box::new(rel),
    }
}
