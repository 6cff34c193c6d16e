//! Planning of each kind of relation.

use std::sync::Arc;

use crate::base::Result;
use crate::sql::ast::SetOp;
use crate::sql::ir::{AggregateCall, Expr, ExprKind, Rel, SortKey};
use crate::sql::plan::node::{
    Aggregate, Distinct, Filter, FunctionScan, Limit, Node, Project, SetOpNode, Sort, Values,
};
use crate::sql::plan::visit::{columns, conjuncts, contains, substitute, width};
use crate::sql::plan::{OrderColumn, Planned, Planner, Want, has_subquery, is_never, is_volatile};
use crate::types::{Datum, Type};

/// What is volatile in a select list is computed in the order of the sorted rows, and only for those
/// that LIMIT asks for, unless they are sorted by it.
fn postponed(rel: Rel) -> Rel {
    let Rel::Sort { input, mut keys } = rel else {
        return rel;
    };
    let (input, exprs) = match *input {
        Rel::Project { input, exprs } => (input, exprs),
        input => {
            let input = Box::new(input);
            return Rel::Sort { input, keys };
        }
    };
    let mut is_key = vec![false; exprs.len()];
    for key in &keys {
        columns(&key.expr, |column| is_key[column] = true);
    }
    let volatile = |wanted: bool| {
        let exprs = is_key.iter().zip(&exprs);
        let mut exprs = exprs.filter(|(is_key, _)| **is_key == wanted);
        exprs.any(|(_, expr)| contains(expr, &is_volatile))
    };
    if !volatile(false) || volatile(true) {
        let input = Box::new(Rel::Project { input, exprs });
        return Rel::Sort { input, keys };
    }
    for key in &mut keys {
        substitute(&mut key.expr, &exprs);
    }
    let input = Box::new(Rel::Sort { input, keys });
    Rel::Project { input, exprs }
}

impl Planner<'_> {
    /// Plans a relation whose rows must meet `filters` besides.
    pub(super) fn rel(&mut self, rel: Rel, filters: Vec<Expr>, want: &Want) -> Result<Planned> {
        match postponed(rel) {
            Rel::Unit => self.filtered(Node::Unit, 1.0, filters),
            Rel::Table { table, .. } => self.table(table, None, filters, want),
            Rel::TableRows { table, source } => self.table(table, Some(source), filters, want),
            Rel::Member { input, source } => self.member(*input, source, filters, want),
            Rel::System { relation } => self.filtered(Node::System(relation), 100.0, filters),
            Rel::Values { mut rows, .. } => {
                for row in &mut rows {
                    self.finish_all(row)?;
                }
                let count = row_count(rows.len());
                self.filtered(Node::Values(Arc::new(Values { rows })), count, filters)
            }
            Rel::Function {
                function,
                mut args,
                width,
                ordinality,
            } => {
                self.finish_all(&mut args)?;
                self.heavy = true;
                let scan = FunctionScan {
                    function,
                    args,
                    width,
                    ordinality,
                };
                self.filtered(Node::Function(Arc::new(scan)), 1000.0, filters)
            }
            Rel::Filter { input, condition } => self.filter(*input, condition, filters, want),
            Rel::Project { input, exprs } => self.project(*input, exprs, filters, want),
            Rel::Join {
                kind,
                left,
                right,
                condition,
                lateral,
            } => self.join(kind, *left, *right, condition, lateral, filters, want),
            Rel::Aggregate {
                input,
                keys,
                aggregates,
            } => self.aggregate(*input, keys, aggregates, filters, want),
            Rel::Sort { input, keys } => self.sort(*input, keys, filters, want, None),
            Rel::Limit {
                input,
                limit,
                offset,
            } => self.limit(*input, limit, offset, filters, want),
            Rel::Distinct { input, columns } => self.distinct(*input, columns, filters, want),
            Rel::SetOp {
                op,
                all,
                left,
                right,
            } => self.set_op(op, all, *left, *right, filters),
            Rel::Lock { input } => {
                let planned = self.lock(*input)?;
                self.filter_above(planned, filters)
            }
        }
    }

    /// Evaluates `filters` above `node`.
    pub(super) fn filtered(
        &mut self,
        node: Node,
        rows: f64,
        filters: Vec<Expr>,
    ) -> Result<Planned> {
        let planned = Planned {
            node,
            rows,
            ordered: false,
        };
        self.filter_above(planned, filters)
    }

    pub(super) fn filter_above(&mut self, input: Planned, filters: Vec<Expr>) -> Result<Planned> {
        Ok(match self.finish_condition(filters)? {
            None => input,
            Some(condition) => Planned {
                node: Node::Filter(Arc::new(Filter {
                    input: input.node,
                    condition,
                })),
                rows: (input.rows * 0.3).max(1.0),
                ordered: input.ordered,
            },
        })
    }

    fn filter(
        &mut self,
        input: Rel,
        condition: Expr,
        mut filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let mut own = Vec::new();
        conjuncts(condition, &mut own);
        for mut condition in own {
            self.fold(&mut condition);
            conjuncts(condition, &mut filters);
        }
        if filters.iter().any(is_never) {
            return Ok(Planned {
                node: Node::Values(Arc::new(Values { rows: Vec::new() })),
                rows: 1.0,
                ordered: true,
            });
        }
        self.rel(input, filters, want)
    }

    fn project(
        &mut self,
        input: Rel,
        mut exprs: Vec<Expr>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let fixed = |expr: &Expr| !contains(expr, &is_volatile) && !has_subquery(expr);
        let (mut below, above): (Vec<Expr>, Vec<Expr>) = filters.into_iter().partition(|filter| {
            let mut pushable = true;
            columns(filter, |column| pushable &= fixed(&exprs[column]));
            pushable
        });
        for filter in &mut below {
            substitute(filter, &exprs);
        }
        let want = want.clone().and_of(&above);
        for (expr, needed) in exprs.iter_mut().zip(&want.needed) {
            if !needed && !contains(expr, &is_volatile) {
                expr.kind = ExprKind::Const(Datum::Null);
            }
        }
        let input_width = width(&input);
        let mut input_want = Want::columns(vec![false; input_width]).and_of(&exprs);
        input_want.order = through_projection(&want.order, &exprs);
        input_want.limited = want.limited;
        let planned = self.rel(input, below, &input_want)?;
        let ordered = planned.ordered && !input_want.order.is_empty();
        self.finish_all(&mut exprs)?;
        let projected = Planned {
            node: projection(planned.node, input_width, exprs),
            rows: planned.rows,
            ordered,
        };
        self.filter_above(projected, above)
    }

    fn aggregate(
        &mut self,
        input: Rel,
        mut keys: Vec<Expr>,
        mut calls: Vec<AggregateCall>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        // A condition on the keys alone decides on whole groups.
        let (mut below, above): (Vec<Expr>, Vec<Expr>) = filters.into_iter().partition(|filter| {
            let mut on_keys = !keys.is_empty() && !contains(filter, &is_volatile);
            columns(filter, |column| on_keys &= column < keys.len());
            on_keys
        });
        for filter in &mut below {
            substitute(filter, &keys);
        }
        let mut input = input;
        if keys.is_empty()
            && let Some(shortened) = self.first_row_only(&input, &calls)
        {
            input = shortened;
        }
        let input_width = width(&input);
        let mut used: Vec<&Expr> = keys.iter().collect();
        for call in &calls {
            used.extend(call.args.iter().chain(&call.filter));
            used.extend(call.order_by.iter().map(|key| &key.expr));
        }
        let input_want = Want::columns(vec![false; input_width]).and_of(used);
        let _ = want;
        let planned = self.rel(input, below, &input_want)?;
        self.finish_all(&mut keys)?;
        for call in &mut calls {
            self.finish_all(&mut call.args)?;
            if let Some(filter) = &mut call.filter {
                self.finish(filter)?;
            }
            for key in &mut call.order_by {
                self.finish(&mut key.expr)?;
            }
        }
        let rows = if keys.is_empty() {
            1.0
        } else {
            (planned.rows * 0.1).max(1.0)
        };
        let node = Node::Aggregate(Arc::new(Aggregate {
            input: planned.node,
            input_width,
            keys,
            calls,
        }));
        self.filtered(node, rows, above)
    }

    /// min and max need only the first row in the order of an index: the input cut to it.
    fn first_row_only(&mut self, input: &Rel, calls: &[AggregateCall]) -> Option<Rel> {
        let [call] = calls else {
            return None;
        };
        let descending = match call.aggregate.name {
            "min" => false,
            "max" => true,
            _ => return None,
        };
        let [arg] = call.args.as_slice() else {
            return None;
        };
        let ExprKind::Column(column) = arg.kind else {
            return None;
        };
        if call.filter.is_some() {
            return None;
        }
        let order = OrderColumn {
            column,
            descending,
            nulls_first: descending,
        };
        let not_null = Expr {
            kind: ExprKind::IsNull {
                arg: Box::new(arg.clone()),
                negated: true,
            },
            ty: Type::Bool,
            typmod: -1,
        };
        let filtered = Rel::Filter {
            input: Box::new(input.clone()),
            condition: not_null,
        };
        self.has_order(&filtered, &order).then(|| Rel::Limit {
            input: Box::new(Rel::Sort {
                input: Box::new(filtered),
                keys: vec![SortKey {
                    expr: arg.clone(),
                    descending,
                    nulls_first: descending,
                }],
            }),
            limit: Some(Expr {
                kind: ExprKind::Const(Datum::Int8(1)),
                ty: Type::Int8,
                typmod: -1,
            }),
            offset: None,
        })
    }

    /// Whether filters over a stored table can be read in this order through an index.
    fn has_order(&self, rel: &Rel, order: &OrderColumn) -> bool {
        let mut conditions = Vec::new();
        let mut rel = rel;
        while let Rel::Filter { input, condition } = rel {
            conjuncts(condition.clone(), &mut conditions);
            rel = input;
        }
        let Rel::Table { table, .. } = rel else {
            return false;
        };
        self.choose(table, &conditions, &[*order], true)
            .is_some_and(|choice| choice.ordered)
    }

    fn sort(
        &mut self,
        input: Rel,
        mut keys: Vec<SortKey>,
        filters: Vec<Expr>,
        want: &Want,
        top: Option<(Expr, Option<Expr>)>,
    ) -> Result<Planned> {
        let order = keys
            .iter()
            .map(|key| match key.expr.kind {
                ExprKind::Column(column) => Some(OrderColumn {
                    column,
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                }),
                _ => None,
            })
            .collect::<Option<Vec<_>>>();
        let width = width(&input);
        let mut input_want =
            Want::columns(want.needed.clone()).and_of(keys.iter().map(|key| &key.expr));
        input_want.order = order.unwrap_or_default();
        input_want.limited = top.is_some() || want.limited;
        let planned = self.rel(input, filters, &input_want)?;
        if planned.ordered && !input_want.order.is_empty() {
            return Ok(planned);
        }
        for key in &mut keys {
            self.finish(&mut key.expr)?;
        }
        Ok(Planned {
            node: Node::Sort(Arc::new(Sort {
                input: planned.node,
                width,
                keys,
                top,
            })),
            rows: planned.rows,
            ordered: false,
        })
    }

    fn limit(
        &mut self,
        input: Rel,
        mut limit: Option<Expr>,
        mut offset: Option<Expr>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        for count in limit.iter_mut().chain(&mut offset) {
            self.finish(count)?;
        }
        let mut input_want = want.clone().and_of(&filters);
        input_want.limited = limit.is_some();
        // A lock stops at the limit: rows beyond it stay free.
        if reaches_lock(&input) {
            self.lock_limit = Some((limit.clone(), offset.clone()));
        }
        let planned = match (postponed(input), &limit) {
            (Rel::Sort { input, keys }, Some(limit)) => {
                let top = Some((limit.clone(), offset.clone()));
                self.sort(*input, keys, Vec::new(), &input_want, top)?
            }
            (Rel::Project { input, exprs }, Some(limit)) => match *input {
                Rel::Sort { input, keys } => {
                    let top = Some((limit.clone(), offset.clone()));
                    self.project_over_top(*input, keys, exprs, &input_want, top)?
                }
                input => self.project(input, exprs, Vec::new(), &input_want)?,
            },
            (input, _) => self.rel(input, Vec::new(), &input_want)?,
        };
        let rows = planned.rows.min(100.0);
        let ordered = planned.ordered;
        let limited = Planned {
            node: Node::Limit(Arc::new(Limit {
                input: planned.node,
                limit,
                offset,
            })),
            rows,
            ordered,
        };
        self.filter_above(limited, filters)
    }

    /// A projection of the first rows of a sort.
    fn project_over_top(
        &mut self,
        input: Rel,
        keys: Vec<SortKey>,
        mut exprs: Vec<Expr>,
        want: &Want,
        top: Option<(Expr, Option<Expr>)>,
    ) -> Result<Planned> {
        for (expr, needed) in exprs.iter_mut().zip(&want.needed) {
            if !needed && !contains(expr, &is_volatile) {
                expr.kind = ExprKind::Const(Datum::Null);
            }
        }
        let input_width = width(&input);
        let input_want = Want::columns(vec![false; input_width]).and_of(&exprs);
        let planned = self.sort(input, keys, Vec::new(), &input_want, top)?;
        self.finish_all(&mut exprs)?;
        Ok(Planned {
            node: projection(planned.node, input_width, exprs),
            rows: planned.rows,
            ordered: false,
        })
    }

    fn distinct(
        &mut self,
        input: Rel,
        columns: Vec<usize>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let all = (0..width(&input)).all(|column| columns.contains(&column));
        let (below, above) = if all {
            (filters, Vec::new())
        } else {
            (Vec::new(), filters)
        };
        let mut input_want = want.clone().and_of(&above);
        for column in &columns {
            input_want.needed[*column] = true;
        }
        let types = types(&input);
        let planned = self.rel(input, below, &input_want)?;
        let distinct = Planned {
            node: Node::Distinct(Arc::new(Distinct {
                input: planned.node,
                columns: columns.into_iter().map(|c| (c, types[c])).collect(),
                on: !all,
            })),
            rows: planned.rows,
            ordered: planned.ordered,
        };
        self.filter_above(distinct, above)
    }

    fn set_op(
        &mut self,
        op: SetOp,
        all: bool,
        left: Rel,
        right: Rel,
        filters: Vec<Expr>,
    ) -> Result<Planned> {
        let (below, above): (Vec<Expr>, Vec<Expr>) = filters
            .into_iter()
            .partition(|filter| !contains(filter, &is_volatile));
        let types = types(&left);
        let want = Want::all(width(&left));
        let left = self.rel(left, below.clone(), &want)?;
        let right = self.rel(right, below, &want)?;
        let rows = left.rows + right.rows;
        let node = Node::SetOp(Arc::new(SetOpNode {
            op,
            all,
            left: left.node,
            right: right.node,
            types,
        }));
        self.filtered(node, rows, above)
    }
}

fn row_count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// Whether the rows of `rel` are those of a lock, one for one.
fn reaches_lock(rel: &Rel) -> bool {
    match rel {
        Rel::Lock { .. } => true,
        Rel::Project { input, .. } => reaches_lock(input),
        _ => false,
    }
}

/// The order wanted of a projection as one of its input; empty if it cannot be told.
fn through_projection(order: &[OrderColumn], exprs: &[Expr]) -> Vec<OrderColumn> {
    let mapped = order.iter().map(|o| match exprs[o.column].kind {
        ExprKind::Column(column) => Some(OrderColumn { column, ..*o }),
        _ => None,
    });
    mapped.collect::<Option<_>>().unwrap_or_default()
}

/// A projection that moves the columns it can.
pub(super) fn projection(input: Node, input_width: usize, exprs: Vec<Expr>) -> Node {
    let identity = exprs.len() == input_width
        && exprs
            .iter()
            .enumerate()
            .all(|(i, expr)| matches!(expr.kind, ExprKind::Column(c) if c == i));
    if identity {
        return input;
    }
    let mut uses = vec![0usize; input_width];
    for expr in &exprs {
        columns(expr, |column| uses[column] += 1);
        // A planned subquery may read any column.
        if has_subquery(expr) {
            uses.iter_mut().for_each(|n| *n += 1);
        }
    }
    let mut moves = Vec::new();
    let mut computed = Vec::new();
    for (output, expr) in exprs.iter().enumerate() {
        match expr.kind {
            ExprKind::Column(column) if uses[column] == 1 => moves.push((output, column)),
            _ => computed.push(output),
        }
    }
    Node::Project(Arc::new(Project {
        input,
        input_width,
        exprs,
        moves,
        computed,
    }))
}

/// The types of a relation's columns.
pub(super) fn types(rel: &Rel) -> Vec<Type> {
    match rel {
        Rel::Unit => Vec::new(),
        Rel::Table { table, .. } => table.columns.iter().map(|c| c.ty).collect(),
        Rel::TableRows { table, .. } => {
            let hidden = [Type::Int8, Type::Bytea];
            table.columns.iter().map(|c| c.ty).chain(hidden).collect()
        }
        Rel::Member { input, .. } => {
            let mut all = types(input);
            all.push(Type::Bool);
            all
        }
        Rel::System { relation } => relation.columns.iter().map(|c| c.1).collect(),
        Rel::Values { rows, width } => match rows.first() {
            Some(row) => row.iter().map(|expr| expr.ty).collect(),
            None => vec![Type::Any; *width],
        },
        Rel::Function {
            function,
            width,
            ordinality,
            ..
        } => {
            let mut types = vec![function.returns; *width];
            if *ordinality {
                types.push(Type::Int8);
            }
            types
        }
        Rel::Project { exprs, .. } => exprs.iter().map(|expr| expr.ty).collect(),
        Rel::Aggregate {
            keys, aggregates, ..
        } => {
            let aggregates = aggregates.iter().map(|call| call.aggregate.returns);
            keys.iter().map(|key| key.ty).chain(aggregates).collect()
        }
        Rel::Join { left, right, .. } => {
            let mut all = types(left);
            all.extend(types(right));
            all
        }
        Rel::Filter { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Lock { input } => types(input),
        Rel::SetOp { left, .. } => types(left),
    }
}
