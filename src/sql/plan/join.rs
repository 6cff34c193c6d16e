//! Joins: the order of inner joins, and how each pair is found.

use std::ops::Range;
use std::sync::Arc;

use crate::base::Result;
use crate::sql::ast::JoinKind;
use crate::sql::expr::hashable;
use crate::sql::ir::{Expr, ExprKind, Rel};
use crate::sql::plan::access::{Choice, Sight, TABLE_ROWS, choose};
use crate::sql::plan::comparison::is_equality;
use crate::sql::plan::node::{HashJoin, IndexJoin, Keep, NestedLoop, Node, Place};
use crate::sql::plan::visit::{columns, conjuncts, contains, renumber, width};
use crate::sql::plan::{OrderColumn, Planned, Planner, Want, is_never, is_volatile};

/// Fewer rows than this make looking up each in an index cheaper than hashing a whole table.
const FEW_ROWS: f64 = 200.0;

/// One member of a group of inner joins, and its place in the group's row.
struct Item {
    rel: Rel,
    range: Range<usize>,
    /// Over its own columns.
    filters: Vec<Expr>,
}

impl Planner<'_> {
    #[expect(clippy::too_many_arguments, reason = "the parts of a join")]
    pub(super) fn join(
        &mut self,
        kind: JoinKind,
        left: Rel,
        right: Rel,
        condition: Option<Expr>,
        lateral: bool,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let inner = matches!(kind, JoinKind::Inner | JoinKind::Cross);
        if inner && !lateral {
            return self.group(left, right, condition, filters, want);
        }
        self.outer_join(kind, left, right, condition, lateral, filters, want)
    }

    /// A tree of inner joins, joined in an order of its own.
    fn group(
        &mut self,
        left: Rel,
        right: Rel,
        condition: Option<Expr>,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let mut items = Vec::new();
        let mut conditions = filters;
        let left_width = width(&left);
        let total = left_width + width(&right);
        flatten(left, 0, &mut items, &mut conditions);
        flatten(right, left_width, &mut items, &mut conditions);
        if let Some(condition) = condition {
            conjuncts(condition, &mut conditions);
        }
        conditions
            .iter_mut()
            .for_each(|condition| self.fold(condition));
        if conditions.iter().any(is_never) {
            let nothing = Rel::Values {
                rows: Vec::new(),
                width: total,
            };
            return self.rel(nothing, Vec::new(), want);
        }
        let mut pool = Vec::new();
        for condition in conditions {
            match item_of(&condition, &items) {
                Some(place) => {
                    let item = &mut items[place];
                    item.filters.push(moved(condition, &item.range));
                }
                None => pool.push(condition),
            }
        }
        let needed = want.clone().and_of(&pool).needed;
        self.join_items(items, pool, &needed, total, want)
    }

    fn join_items(
        &mut self,
        mut items: Vec<Item>,
        mut pool: Vec<Expr>,
        needed: &[bool],
        total: usize,
        want: &Want,
    ) -> Result<Planned> {
        let start = self.start(&items, want);
        let first = items.remove(start);
        let mut bound = vec![false; total];
        bound[first.range.clone()].fill(true);
        let mut item_want = Want::columns(needed[first.range.clone()].to_vec());
        item_want.order = order_within(&want.order, &first.range);
        item_want.limited = want.limited;
        let range = first.range.clone();
        let planned = self.rel(first.rel, first.filters, &item_want)?;
        let mut joined = Planned {
            node: place(planned.node, &range),
            rows: planned.rows,
            ordered: planned.ordered && !item_want.order.is_empty(),
        };
        while !items.is_empty() {
            let next = self.next_item(&items, &pool, &bound, joined.rows);
            let item = items.remove(next);
            bound[item.range.clone()].fill(true);
            let now = take_bound(&mut pool, &bound);
            joined = self.join_item(joined, item, now, needed, &bound)?;
        }
        // What is left refers to no column at all.
        self.filter_above(joined, pool)
    }

    /// The most selective member if one is, else the first as written.
    fn start(&self, items: &[Item], want: &Want) -> usize {
        let mut best = 0;
        let mut best_rows = FEW_ROWS;
        for (place, item) in items.iter().enumerate() {
            let rows = self.guess(item);
            if rows < best_rows {
                (best, best_rows) = (place, rows);
            }
        }
        if best_rows >= FEW_ROWS
            && want.limited
            && let Some(first) = want.order.first()
        {
            let in_order = items
                .iter()
                .position(|item| item.range.contains(&first.column));
            return in_order.unwrap_or(0);
        }
        best
    }

    fn guess(&self, item: &Item) -> f64 {
        match &item.rel {
            Rel::Table { table, .. } | Rel::TableRows { table, .. } => {
                let choice = self.choose(table, &item.filters, &[], false);
                choice.map_or(TABLE_ROWS, |choice| choice.rows)
            }
            Rel::Values { rows, .. } => u32::try_from(rows.len()).map_or(TABLE_ROWS, f64::from),
            Rel::Unit => 1.0,
            _ => 1000.0,
        }
    }

    /// A member reached by index from few rows, else one with a condition, else the first.
    fn next_item(&self, items: &[Item], pool: &[Expr], bound: &[bool], rows: f64) -> usize {
        let mut best = 0;
        let mut best_cost = f64::INFINITY;
        for (place, item) in items.iter().enumerate() {
            let mut with_item = bound.to_vec();
            with_item[item.range.clone()].fill(true);
            let connected = pool.iter().any(|condition| {
                let mut within = true;
                columns(condition, |column| within &= with_item[column]);
                within
            });
            let cost = match self.by_index(item, pool, bound, rows) {
                Some(choice) => rows * choice.rows,
                None if connected => rows + self.guess(item),
                None => 1e6 + rows * self.guess(item),
            };
            if cost < best_cost {
                (best, best_cost) = (place, cost);
            }
        }
        best
    }

    /// The index that finds a member's rows for each row of what is joined already.
    fn by_index(
        &self,
        item: &Item,
        conditions: &[Expr],
        bound: &[bool],
        rows: f64,
    ) -> Option<Choice> {
        let (Rel::Table { table, .. } | Rel::TableRows { table, .. }) = &item.rel else {
            return None;
        };
        if rows > FEW_ROWS {
            return None;
        }
        let mut all = conditions.to_vec();
        all.extend(item.filters.iter().map(|filter| {
            let mut filter = filter.clone();
            renumber(&mut filter, |column| column + item.range.start);
            filter
        }));
        let own = |column: usize| {
            let inside = item.range.contains(&column);
            let column = column.wrapping_sub(item.range.start);
            (inside && column < table.columns.len()).then_some(column)
        };
        let sight = Sight {
            own: &own,
            known: &|expr| {
                let mut known = true;
                columns(expr, |column| {
                    known &= bound[column] && !item.range.contains(&column);
                });
                known
            },
        };
        let choice = choose(table, &all, &sight, &[], false)?;
        let uses_left = choice.used.iter().any(|place| *place < conditions.len());
        let found_alone = self.guess(item) < FEW_ROWS;
        (uses_left && (!found_alone || choice.whole_key)).then_some(choice)
    }

    fn join_item(
        &mut self,
        left: Planned,
        item: Item,
        conditions: Vec<Expr>,
        needed: &[bool],
        bound: &[bool],
    ) -> Result<Planned> {
        let keep = Keep {
            left: false,
            right: false,
        };
        if let Some(choice) = self.by_index(&item, &conditions, bound, left.rows) {
            return self.index_join(left, item, choice, conditions, needed, false);
        }
        let item_needed = needed[item.range.clone()].to_vec();
        let range = item.range.clone();
        let right = self.rel(item.rel, item.filters, &Want::columns(item_needed))?;
        self.pair(left, right, range, conditions, keep)
    }

    fn index_join(
        &mut self,
        left: Planned,
        item: Item,
        choice: Choice,
        conditions: Vec<Expr>,
        needed: &[bool],
        keep_left: bool,
    ) -> Result<Planned> {
        let (table, source) = match item.rel {
            Rel::TableRows { table, source } => (table, Some(source)),
            Rel::Table { table, .. } => (table, None),
            other => return self.unexpected_item(other),
        };
        let split = conditions.len();
        let filters_used: Vec<usize> = choice
            .used
            .iter()
            .filter(|place| **place >= split)
            .map(|place| place - split)
            .collect();
        let needed = &needed[item.range.clone()];
        let rows = self.rows(table, source, item.filters, &filters_used, needed)?;
        let recheck = if source.is_some() {
            self.finish_condition(conditions.clone())?
        } else {
            None
        };
        let mut rest = Vec::new();
        for (place, condition) in conditions.into_iter().enumerate() {
            if !choice.used.contains(&place) {
                rest.push(condition);
            }
        }
        let condition = self.finish_condition(rest)?;
        let access = self.finish_access(choice.access)?;
        self.heavy = true;
        Ok(Planned {
            node: Node::IndexJoin(Arc::new(IndexJoin {
                left: left.node,
                offset: item.range.start,
                width: item.range.len(),
                rows,
                access,
                keep_left,
                condition,
                recheck,
            })),
            rows: left.rows * choice.rows,
            ordered: left.ordered,
        })
    }

    /// `by_index` answers for stored tables only.
    fn unexpected_item(&mut self, rel: Rel) -> Result<Planned> {
        let want = Want::all(width(&rel));
        self.rel(rel, Vec::new(), &want)
    }

    /// Joins two planned sides by hash where a condition allows it.
    fn pair(
        &mut self,
        left: Planned,
        right: Planned,
        range: Range<usize>,
        conditions: Vec<Expr>,
        keep: Keep,
    ) -> Result<Planned> {
        self.heavy = true;
        let mut keys = Vec::new();
        let mut rest = Vec::new();
        for condition in conditions {
            match equal_sides(&condition, &range) {
                Some(sides) => keys.push(sides),
                None => rest.push(condition),
            }
        }
        let hashed = !keys.is_empty();
        let rows = if hashed {
            left.rows.max(right.rows)
        } else {
            left.rows * right.rows
        };
        for (left, right) in &mut keys {
            self.finish(left)?;
            self.finish(right)?;
        }
        let condition = self.finish_condition(rest)?;
        let ordered = left.ordered && !keep.right;
        let node = if hashed {
            Node::HashJoin(Arc::new(HashJoin {
                left: left.node,
                right: right.node,
                offset: range.start,
                width: range.len(),
                keys,
                keep,
                condition,
            }))
        } else {
            Node::NestedLoop(Arc::new(NestedLoop {
                left: left.node,
                right: right.node,
                offset: range.start,
                width: range.len(),
                keep,
                condition,
                lateral: false,
            }))
        };
        Ok(Planned {
            node,
            rows,
            ordered,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a join")]
    fn outer_join(
        &mut self,
        kind: JoinKind,
        left: Rel,
        right: Rel,
        condition: Option<Expr>,
        lateral: bool,
        filters: Vec<Expr>,
        want: &Want,
    ) -> Result<Planned> {
        let split = width(&left);
        let range = split..split + width(&right);
        let mut keep = Keep {
            left: matches!(kind, JoinKind::Left | JoinKind::Full),
            right: matches!(kind, JoinKind::Right | JoinKind::Full),
        };
        // A condition that no NULL-extended row meets makes the join keep fewer rows.
        let rejects = |side: &dyn Fn(usize) -> bool| filters.iter().any(|f| is_strict(f, side));
        if keep.left && rejects(&|column| column >= split) {
            keep.left = false;
        }
        if keep.right && rejects(&|column| column < split) {
            keep.right = false;
        }
        if !keep.left && !keep.right && !lateral {
            return self.group(left, right, condition, filters, want);
        }

        let mut on = Vec::new();
        if let Some(condition) = condition {
            conjuncts(condition, &mut on);
        }
        on.iter_mut().for_each(|condition| self.fold(condition));
        let is_left = |expr: &Expr| within(expr, &(0..split));
        let is_right = |expr: &Expr| within(expr, &range);
        let (mut left_filters, mut right_filters) = (Vec::new(), Vec::new());
        let (mut above, mut pairs) = (Vec::new(), Vec::new());
        for filter in filters {
            if contains(&filter, &is_volatile) {
                above.push(filter);
            } else if is_left(&filter) && !keep.right {
                left_filters.push(filter);
            } else if is_right(&filter) && !keep.left {
                right_filters.push(moved_into(filter, &range, lateral));
            } else {
                above.push(filter);
            }
        }
        for condition in on {
            if contains(&condition, &is_volatile) {
                pairs.push(condition);
            } else if is_right(&condition) && !keep.right {
                right_filters.push(moved_into(condition, &range, lateral));
            } else if is_left(&condition) && !keep.left {
                left_filters.push(condition);
            } else {
                pairs.push(condition);
            }
        }
        let mut used = want.clone().and_of(above.iter().chain(&pairs));
        if lateral {
            mark_outer(&right, &mut used.needed);
        }
        let mut left_want = Want::columns(used.needed[..split].to_vec());
        if !keep.right {
            left_want.order = order_within(&want.order, &(0..split));
            left_want.limited = want.limited;
        }
        let left = self.rel(left, left_filters, &left_want)?;
        let left = Planned {
            ordered: left.ordered && !left_want.order.is_empty(),
            ..left
        };
        let joined = if lateral {
            let right_want = Want::columns(used.needed[range.clone()].to_vec());
            let right = self.rel(right, right_filters, &right_want)?;
            self.heavy = true;
            Planned {
                node: Node::NestedLoop(Arc::new(NestedLoop {
                    left: left.node,
                    right: right.node,
                    offset: range.start,
                    width: range.len(),
                    keep,
                    condition: self.finish_condition(pairs)?,
                    lateral: true,
                })),
                rows: left.rows * right.rows,
                ordered: left.ordered,
            }
        } else {
            let item = Item {
                rel: right,
                range: range.clone(),
                filters: right_filters,
            };
            self.outer_pair(left, item, pairs, &used.needed, keep)?
        };
        self.filter_above(joined, above)
    }

    fn outer_pair(
        &mut self,
        left: Planned,
        item: Item,
        pairs: Vec<Expr>,
        needed: &[bool],
        keep: Keep,
    ) -> Result<Planned> {
        let bound = vec![true; item.range.end];
        if !keep.right
            && let Some(choice) = self.by_index(&item, &pairs, &bound, left.rows)
        {
            return self.index_join(left, item, choice, pairs, needed, keep.left);
        }
        let right_want = Want::columns(needed[item.range.clone()].to_vec());
        let right = self.rel(item.rel, item.filters, &right_want)?;
        self.pair(left, right, item.range, pairs, keep)
    }
}

/// Takes a tree of inner joins apart.
fn flatten(rel: Rel, offset: usize, items: &mut Vec<Item>, conditions: &mut Vec<Expr>) {
    let shifted = |condition: Expr, out: &mut Vec<Expr>| {
        let mut own = Vec::new();
        conjuncts(condition, &mut own);
        for mut condition in own {
            renumber(&mut condition, |column| column + offset);
            out.push(condition);
        }
    };
    match rel {
        Rel::Join {
            kind: JoinKind::Inner | JoinKind::Cross,
            left,
            right,
            condition,
            lateral: false,
        } => {
            let left_width = width(&left);
            flatten(*left, offset, items, conditions);
            flatten(*right, offset + left_width, items, conditions);
            if let Some(condition) = condition {
                shifted(condition, conditions);
            }
        }
        Rel::Filter { input, condition } => {
            shifted(condition, conditions);
            flatten(*input, offset, items, conditions);
        }
        rel => {
            let range = offset..offset + width(&rel);
            items.push(Item {
                rel,
                range,
                filters: Vec::new(),
            });
        }
    }
}

/// The only member a condition is about.
fn item_of(condition: &Expr, items: &[Item]) -> Option<usize> {
    let mut first = None;
    columns(condition, |column| {
        first.get_or_insert(column);
    });
    let place = items
        .iter()
        .position(|item| first.is_some_and(|c| item.range.contains(&c)))?;
    (within(condition, &items[place].range) && !contains(condition, &is_volatile)).then_some(place)
}

/// Uses columns, and only of this range.
fn within(expr: &Expr, range: &Range<usize>) -> bool {
    let mut any = false;
    let mut all = true;
    columns(expr, |column| {
        any = true;
        all &= range.contains(&column);
    });
    any && all
}

/// A condition over one range as one over that range's own row.
fn moved(mut condition: Expr, range: &Range<usize>) -> Expr {
    renumber(&mut condition, |column| column - range.start);
    condition
}

/// As [`moved`], into a relation that may stand one query further in.
fn moved_into(condition: Expr, range: &Range<usize>, lateral: bool) -> Expr {
    let mut condition = moved(condition, range);
    if lateral {
        super::visit::rewrite(&mut condition, &mut |reference, depth| match reference {
            super::visit::Ref::Own(_) => None,
            super::visit::Ref::Up { level, column } => Some(ExprKind::Outer {
                level: level + depth + 1,
                column,
            }),
        });
    }
    condition
}

fn place(node: Node, range: &Range<usize>) -> Node {
    if range.start == 0 {
        return node;
    }
    Node::Place(Arc::new(Place {
        input: node,
        offset: range.start,
        width: range.len(),
    }))
}

/// Removes the conditions whose columns are all there.
fn take_bound(pool: &mut Vec<Expr>, bound: &[bool]) -> Vec<Expr> {
    let (now, later) = std::mem::take(pool).into_iter().partition(|condition| {
        let mut all = true;
        columns(condition, |column| all &= bound[column]);
        all
    });
    *pool = later;
    now
}

/// The order wanted as one of a range's own row; empty unless it is about that range alone.
fn order_within(order: &[OrderColumn], range: &Range<usize>) -> Vec<OrderColumn> {
    if !order.iter().all(|o| range.contains(&o.column)) {
        return Vec::new();
    }
    let moved = order.iter().map(|o| OrderColumn {
        column: o.column - range.start,
        ..*o
    });
    moved.collect()
}

/// The sides of an equality between the right range and the rest: over the joined row, and over
/// the right row.
fn equal_sides(condition: &Expr, range: &Range<usize>) -> Option<(Expr, Expr)> {
    let ExprKind::Call { function, args } = &condition.kind else {
        return None;
    };
    let [a, b] = args.as_slice() else {
        return None;
    };
    if !is_equality(function) || !hashable(a.ty, b.ty) || contains(condition, &is_volatile) {
        return None;
    }
    let outside = |expr: &Expr| {
        let mut any = false;
        let mut outside = true;
        columns(expr, |column| {
            any = true;
            outside &= !range.contains(&column);
        });
        any && outside
    };
    if outside(a) && within(b, range) {
        return Some((a.clone(), moved(b.clone(), range)));
    }
    if outside(b) && within(a, range) {
        return Some((b.clone(), moved(a.clone(), range)));
    }
    None
}

/// Whether a condition cannot hold when the columns of one side are all NULL.
fn is_strict(condition: &Expr, side: &dyn Fn(usize) -> bool) -> bool {
    match &condition.kind {
        ExprKind::And(args) => args.iter().any(|arg| is_strict(arg, side)),
        ExprKind::Or(args) => args.iter().all(|arg| is_strict(arg, side)),
        ExprKind::IsNull { arg, negated: true } => null_in_null_out(arg, side),
        _ => null_in_null_out(condition, side),
    }
}

fn null_in_null_out(expr: &Expr, side: &dyn Fn(usize) -> bool) -> bool {
    match &expr.kind {
        ExprKind::Column(column) => side(*column),
        ExprKind::Call { function, args } => {
            function.strict && args.iter().any(|arg| null_in_null_out(arg, side))
        }
        ExprKind::Relabel(arg)
        | ExprKind::InOut(arg)
        | ExprKind::Not(arg)
        | ExprKind::Typmod { arg, .. } => null_in_null_out(arg, side),
        ExprKind::In { arg, .. } => null_in_null_out(arg, side),
        _ => false,
    }
}

/// Marks the columns of the left row that a LATERAL right side reads.
fn mark_outer(right: &Rel, needed: &mut [bool]) {
    super::visit::refs_rel(right, 1, &mut |reference| {
        if let super::visit::Ref::Own(column) = reference {
            needed[column] = true;
        }
    });
}
