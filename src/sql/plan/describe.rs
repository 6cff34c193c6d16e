//! Plans and expressions as EXPLAIN writes them.

use crate::sql::ast::{JoinKind, SetOp};
use crate::sql::expr::to_text;
use crate::sql::func;
use crate::sql::ir::{Expr, ExprKind, SortKey};
use crate::sql::plan::node::{Access, Keep, KeyExpr, Node, Plan, Rows};
use crate::sql::plan::{ChangePlan, ConflictPlan, InsertPlan, Target};
use crate::table::IndexDef;
use crate::types::{Datum, Format, Type, format_type};

/// One node: what it is and what is said of it.
pub(crate) struct Line {
    pub depth: usize,
    pub title: String,
    pub details: Vec<String>,
}

struct Describer<'p> {
    plan: &'p Plan,
    /// Columns are written with their table's name.
    qualify: bool,
    format: Format,
    lines: Vec<Line>,
}

pub(crate) fn describe(plan: &Plan) -> Vec<Line> {
    let mut describer = Describer::new(plan);
    describer.node(&plan.root, 0);
    describer.subplans(0);
    describer.lines
}

pub(crate) fn describe_insert(plan: &InsertPlan) -> Vec<Line> {
    let mut describer = Describer::new(&plan.plan);
    describer.add(0, format!("Insert on {}", quoted(&plan.table.name)));
    if let Some(conflict) = &plan.conflict {
        describer.conflict(plan, conflict);
    }
    describer.node(&plan.plan.root, 1);
    describer.subplans(1);
    describer.lines
}

pub(crate) fn describe_change(plan: &ChangePlan) -> Vec<Line> {
    let mut describer = Describer::new(&plan.plan);
    let change = &plan.change;
    let verb = if change.assignments.is_some() {
        "Update"
    } else {
        "Delete"
    };
    let table = quoted(&change.table.name);
    describer.add(0, format!("{verb} on {table}"));
    match &plan.target {
        Target::Scan => describer.node(&plan.plan.root, 1),
        Target::Unique { index, key } => {
            let title = format!("Index Scan using {} on {table}", quoted(&index.name));
            let columns = change.table.columns.iter();
            let names: Vec<String> = columns.map(|c| quoted(&c.name)).collect();
            let conditions = index.columns.iter().zip(key).map(|(column, value)| {
                let value = describer.expr(value, &names);
                format!("({} = {value})", names[column.column])
            });
            let condition = conditions.collect::<Vec<_>>().join(" AND ");
            let condition = parenthesised(condition, key.len());
            let line = describer.add(1, title);
            line.details.push(format!("Index Cond: {condition}"));
        }
    }
    describer.subplans(1);
    describer.lines
}

fn parenthesised(text: String, parts: usize) -> String {
    if parts > 1 { format!("({text})") } else { text }
}

/// A name as it would have to be written.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

impl<'p> Describer<'p> {
    fn new(plan: &'p Plan) -> Describer<'p> {
        Describer {
            plan,
            qualify: plan.tables.len() > 1,
            format: Format::default(),
            lines: Vec::new(),
        }
    }

    fn conflict(&mut self, insert: &InsertPlan, conflict: &ConflictPlan) {
        let table = &insert.table;
        let action = match conflict.update {
            Some(_) => "UPDATE",
            None => "NOTHING",
        };
        self.detail(0, "Conflict Resolution", action.to_owned());
        if conflict.is_targeted {
            let arbiters = conflict.arbiters.iter();
            let names = arbiters.map(|&place| quoted(&table.indexes[place].name));
            let names = names.collect::<Vec<_>>().join(", ");
            self.detail(0, "Conflict Arbiter Indexes", names);
        }
        if let Some(filter) = conflict.update.as_ref().and_then(|u| u.filter.as_ref()) {
            let rows = [quoted(&table.name), "excluded".to_owned()];
            let columns = rows.iter().flat_map(|row| {
                let columns = table.columns.iter();
                columns.map(move |column| format!("{row}.{}", quoted(&column.name)))
            });
            let names: Vec<String> = columns.collect();
            let filter = self.expr(filter, &names);
            self.detail(0, "Conflict Filter", filter);
        }
    }

    fn add(&mut self, depth: usize, title: String) -> &mut Line {
        let place = self.lines.len();
        self.lines.push(Line {
            depth,
            title,
            details: Vec::new(),
        });
        &mut self.lines[place]
    }

    fn detail(&mut self, line: usize, label: &str, text: String) {
        self.lines[line].details.push(format!("{label}: {text}"));
    }

    fn subplans(&mut self, depth: usize) {
        for (number, subplan) in self.plan.subplans.iter().enumerate() {
            let kind = if subplan.correlated {
                "SubPlan"
            } else {
                "InitPlan"
            };
            self.add(depth + 1, format!("{kind} {}", number + 1));
            self.node(&subplan.node, depth + 2);
        }
    }

    fn node(&mut self, node: &Node, depth: usize) {
        let line = self.lines.len();
        match node {
            Node::Unit => {
                self.add(depth, "Result".to_owned());
            }
            Node::SeqScan(scan) => {
                self.add(
                    depth,
                    format!("Seq Scan on {}", quoted(&scan.rows.table.name)),
                );
                self.filter(line, &scan.rows);
            }
            Node::IndexScan(scan) => {
                self.index(depth, &scan.rows, &scan.access.index, scan.backward);
                let names = self.row_names(&scan.rows);
                self.index_condition(line, &scan.access, &scan.rows, &names, 0);
                self.filter(line, &scan.rows);
            }
            Node::System(relation) => {
                self.add(depth, format!("Seq Scan on {}", relation.name));
            }
            Node::Values(values) => {
                let title = match values.rows.len() {
                    0 | 1 => "Result",
                    _ => "Values Scan on \"*VALUES*\"",
                };
                self.add(depth, title.to_owned());
                if values.rows.is_empty() {
                    self.detail(line, "One-Time Filter", "false".to_owned());
                }
            }
            Node::Function(scan) => {
                self.add(depth, format!("Function Scan on {}", scan.function.name));
            }
            // PostgreSQL has no node for these: they are part of the node below.
            Node::Filter(filter) => {
                self.node(&filter.input, depth);
                let names = self.names(&filter.input);
                let condition = self.expr(&filter.condition, &names);
                self.detail(line, "Filter", condition);
            }
            Node::Project(project) => self.node(&project.input, depth),
            Node::Member(member) => self.node(&member.input, depth),
            Node::Place(place) => self.node(&place.input, depth),
            Node::NestedLoop(join) => {
                self.add(depth, format!("Nested Loop{}", join_suffix(join.keep)));
                let names = self.names(node);
                if let Some(condition) = &join.condition {
                    let condition = self.expr(condition, &names);
                    self.detail(line, "Join Filter", condition);
                }
                self.node(&join.left, depth + 1);
                self.node(&join.right, depth + 1);
            }
            Node::IndexJoin(join) => {
                let keep = Keep {
                    left: join.keep_left,
                    right: false,
                };
                self.add(depth, format!("Nested Loop{}", join_suffix(keep)));
                let names = self.names(node);
                if let Some(condition) = &join.condition {
                    let condition = self.expr(condition, &names);
                    self.detail(line, "Join Filter", condition);
                }
                self.node(&join.left, depth + 1);
                let inner = self.lines.len();
                self.index(depth + 1, &join.rows, &join.access.index, false);
                self.index_condition(inner, &join.access, &join.rows, &names, join.offset);
                self.filter(inner, &join.rows);
            }
            Node::HashJoin(join) => {
                self.add(
                    depth,
                    format!(
                        "Hash{} Join",
                        join_suffix(join.keep).trim_end_matches(" Join")
                    ),
                );
                let names = self.names(node);
                let right = self.names(&join.right);
                let keys: Vec<String> = join
                    .keys
                    .iter()
                    .map(|(l, r)| format!("({} = {})", self.expr(l, &names), self.expr(r, &right)))
                    .collect();
                let count = keys.len();
                self.detail(line, "Hash Cond", parenthesised(keys.join(" AND "), count));
                if let Some(condition) = &join.condition {
                    let condition = self.expr(condition, &names);
                    self.detail(line, "Join Filter", condition);
                }
                self.node(&join.left, depth + 1);
                self.add(depth + 1, "Hash".to_owned());
                self.node(&join.right, depth + 2);
            }
            Node::Aggregate(aggregate) => {
                let title = if aggregate.keys.is_empty() {
                    "Aggregate"
                } else {
                    "HashAggregate"
                };
                self.add(depth, title.to_owned());
                if !aggregate.keys.is_empty() {
                    let names = self.names(&aggregate.input);
                    let keys = aggregate.keys.iter().map(|key| self.expr(key, &names));
                    let keys = keys.collect::<Vec<_>>().join(", ");
                    self.detail(line, "Group Key", keys);
                }
                self.node(&aggregate.input, depth + 1);
            }
            Node::Sort(sort) => {
                self.add(depth, "Sort".to_owned());
                let names = self.names(&sort.input);
                let keys = sort.keys.iter().map(|key| self.sort_key(key, &names));
                let keys = keys.collect::<Vec<_>>().join(", ");
                self.detail(line, "Sort Key", keys);
                self.node(&sort.input, depth + 1);
            }
            Node::Limit(limit) => {
                self.add(depth, "Limit".to_owned());
                self.node(&limit.input, depth + 1);
            }
            Node::Distinct(distinct) => {
                let title = if distinct.on {
                    "Unique"
                } else {
                    "HashAggregate"
                };
                self.add(depth, title.to_owned());
                if !distinct.on {
                    let names = self.names(&distinct.input);
                    let keys = distinct.columns.iter().map(|(c, _)| names[*c].as_str());
                    let keys = keys.collect::<Vec<_>>().join(", ");
                    self.detail(line, "Group Key", keys);
                }
                self.node(&distinct.input, depth + 1);
            }
            Node::SetOp(set_op) => {
                let title = match (set_op.op, set_op.all) {
                    (SetOp::Union, true) => "Append",
                    (SetOp::Union, false) => "HashAggregate",
                    (SetOp::Intersect, true) => "HashSetOp Intersect All",
                    (SetOp::Intersect, false) => "HashSetOp Intersect",
                    (SetOp::Except, true) => "HashSetOp Except All",
                    (SetOp::Except, false) => "HashSetOp Except",
                };
                self.add(depth, title.to_owned());
                let mut below = depth + 1;
                if !(set_op.op == SetOp::Union && set_op.all) {
                    self.add(below, "Append".to_owned());
                    below += 1;
                }
                self.node(&set_op.left, below);
                self.node(&set_op.right, below);
            }
            Node::Lock(lock) => {
                self.add(depth, "LockRows".to_owned());
                self.node(&lock.input, depth + 1);
            }
        }
    }

    fn index(&mut self, depth: usize, rows: &Rows, index: &IndexDef, backward: bool) {
        let direction = if backward { " Backward" } else { "" };
        let (index, table) = (quoted(&index.name), quoted(&rows.table.name));
        self.add(
            depth,
            format!("Index Scan{direction} using {index} on {table}"),
        );
    }

    fn filter(&mut self, line: usize, rows: &Rows) {
        if let Some(filter) = &rows.filter {
            let names = self.row_names(rows);
            let filter = self.expr(filter, &names);
            self.detail(line, "Filter", filter);
        }
    }

    /// The condition from the keys, over the row they are computed from.
    fn index_condition(
        &mut self,
        line: usize,
        access: &Access,
        rows: &Rows,
        names: &[String],
        offset: usize,
    ) {
        let own = self.row_names(rows);
        let _ = offset;
        let mut parts = Vec::new();
        for (key, column) in access.equal.iter().zip(&access.index.columns) {
            let name = &own[column.column];
            let ty = rows.table.columns[column.column].ty;
            parts.push(match key {
                KeyExpr::One(value) => format!("({name} = {})", self.expr(value, names)),
                KeyExpr::Array(array) => format!("({name} = ANY ({}))", self.expr(array, names)),
                KeyExpr::List(list) => {
                    format!("({name} = ANY ({}))", self.list(list, ty, names))
                }
            });
        }
        if let Some(column) = access.index.columns.get(access.equal.len()) {
            let name = &own[column.column];
            for (bound, symbol) in [(&access.lower, ">"), (&access.upper, "<")] {
                if let Some((value, inclusive)) = bound {
                    let equal = if *inclusive { "=" } else { "" };
                    parts.push(format!(
                        "({name} {symbol}{equal} {})",
                        self.expr(value, names)
                    ));
                }
            }
        }
        if !parts.is_empty() {
            let count = parts.len();
            self.detail(
                line,
                "Index Cond",
                parenthesised(parts.join(" AND "), count),
            );
        }
    }

    fn row_names(&self, rows: &Rows) -> Vec<String> {
        let column = |name: &str| {
            if self.qualify {
                format!("{}.{}", quoted(&rows.table.name), quoted(name))
            } else {
                quoted(name)
            }
        };
        let mut names: Vec<String> = rows.table.columns.iter().map(|c| column(&c.name)).collect();
        names.extend(["ctid".to_owned(), "row".to_owned()]);
        names.truncate(rows.width());
        names
    }

    /// What the columns of a node's rows are called.
    fn names(&self, node: &Node) -> Vec<String> {
        match node {
            Node::Unit => Vec::new(),
            Node::SeqScan(scan) => self.row_names(&scan.rows),
            Node::IndexScan(scan) => self.row_names(&scan.rows),
            Node::System(relation) => relation.columns.iter().map(|c| c.0.to_owned()).collect(),
            Node::Values(values) => {
                let width = values.rows.first().map_or(0, Vec::len);
                (1..=width)
                    .map(|n| format!("\"*VALUES*\".column{n}"))
                    .collect()
            }
            Node::Function(scan) => {
                let mut names = vec![scan.function.name.to_owned(); scan.width];
                names.push("ordinality".to_owned());
                names
            }
            Node::Filter(filter) => self.names(&filter.input),
            Node::Project(project) => {
                let names = self.names(&project.input);
                project
                    .exprs
                    .iter()
                    .map(|expr| self.expr(expr, &names))
                    .collect()
            }
            Node::Place(place) => joined(Vec::new(), self.names(&place.input), place.offset),
            Node::NestedLoop(join) => {
                joined(self.names(&join.left), self.names(&join.right), join.offset)
            }
            Node::IndexJoin(join) => joined(
                self.names(&join.left),
                self.row_names(&join.rows),
                join.offset,
            ),
            Node::HashJoin(join) => {
                joined(self.names(&join.left), self.names(&join.right), join.offset)
            }
            Node::Aggregate(aggregate) => {
                let names = self.names(&aggregate.input);
                let keys = aggregate.keys.iter().map(|key| self.expr(key, &names));
                let calls = aggregate.calls.iter().map(|call| {
                    let args = call.args.iter().map(|arg| self.expr(arg, &names));
                    let args = args.collect::<Vec<_>>().join(", ");
                    let args = if call.aggregate.args.is_empty() {
                        "*".to_owned()
                    } else {
                        args
                    };
                    let distinct = if call.distinct { "DISTINCT " } else { "" };
                    format!("{}({distinct}{args})", call.aggregate.name)
                });
                keys.chain(calls).collect()
            }
            Node::Sort(sort) => self.names(&sort.input),
            Node::Member(member) => {
                let mut names = self.names(&member.input);
                names.push("present".to_owned());
                names
            }
            Node::Limit(limit) => self.names(&limit.input),
            Node::Distinct(distinct) => self.names(&distinct.input),
            Node::SetOp(set_op) => self.names(&set_op.left),
            Node::Lock(lock) => {
                let names = self.names(&lock.input);
                lock.output
                    .iter()
                    .map(|column| names[*column].clone())
                    .collect()
            }
        }
    }

    fn sort_key(&self, key: &SortKey, names: &[String]) -> String {
        let mut text = self.expr(&key.expr, names);
        if key.descending {
            text.push_str(" DESC");
        }
        if key.nulls_first != key.descending {
            text.push_str(if key.nulls_first {
                " NULLS FIRST"
            } else {
                " NULLS LAST"
            });
        }
        text
    }

    fn list(&self, list: &[Expr], ty: Type, names: &[String]) -> String {
        let constants: Option<Vec<String>> = list
            .iter()
            .map(|item| match &item.kind {
                ExprKind::Const(Datum::Null) => Some("NULL".to_owned()),
                ExprKind::Const(value) => Some(to_text(value, item.ty, &self.format)),
                _ => None,
            })
            .collect();
        match constants {
            Some(values) => format!("'{{{}}}'::{}[]", values.join(","), format_type(ty, -1)),
            None => {
                let items = list.iter().map(|item| self.expr(item, names));
                format!("ARRAY[{}]", items.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn exprs(&self, exprs: &[Expr], names: &[String], between: &str) -> String {
        let texts = exprs.iter().map(|expr| self.expr(expr, names));
        texts.collect::<Vec<_>>().join(between)
    }

    fn expr(&self, expr: &Expr, names: &[String]) -> String {
        match &expr.kind {
            ExprKind::Const(value) => self.constant(value, expr.ty),
            ExprKind::Param(index) => format!("${}", index + 1),
            ExprKind::Column(column) => match names.get(*column) {
                Some(name) => name.clone(),
                None => format!("column{}", column + 1),
            },
            ExprKind::Outer { column, .. } => format!("outer.column{}", column + 1),
            ExprKind::Call { function, args } => self.call(function, args, names),
            ExprKind::And(args) => format!("({})", self.exprs(args, names, " AND ")),
            ExprKind::Or(args) => format!("({})", self.exprs(args, names, " OR ")),
            ExprKind::Not(arg) => format!("(NOT {})", self.expr(arg, names)),
            ExprKind::IsNull { arg, negated } => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} IS {not}NULL)", self.expr(arg, names))
            }
            ExprKind::IsBool {
                arg,
                value,
                negated,
            } => {
                let not = if *negated { "NOT " } else { "" };
                let value = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                format!("({} IS {not}{value})", self.expr(arg, names))
            }
            ExprKind::IsDistinct {
                left,
                right,
                negated,
                ..
            } => {
                let not = if *negated { "NOT " } else { "" };
                let (left, right) = (self.expr(left, names), self.expr(right, names));
                format!("({left} IS {not}DISTINCT FROM {right})")
            }
            ExprKind::Case { branches, default } => {
                let mut text = "CASE".to_owned();
                for (condition, value) in branches {
                    let (condition, value) = (self.expr(condition, names), self.expr(value, names));
                    text.push_str(&format!(" WHEN {condition} THEN {value}"));
                }
                format!("{text} ELSE {} END", self.expr(default, names))
            }
            ExprKind::Coalesce(args) => format!("COALESCE({})", self.exprs(args, names, ", ")),
            ExprKind::NullIf { left, right, .. } => {
                format!(
                    "NULLIF({}, {})",
                    self.expr(left, names),
                    self.expr(right, names)
                )
            }
            ExprKind::MinMax { greatest, args } => {
                let name = if *greatest { "GREATEST" } else { "LEAST" };
                format!("{name}({})", self.exprs(args, names, ", "))
            }
            ExprKind::In {
                arg, list, negated, ..
            } => {
                let (symbol, which) = if *negated {
                    ("<>", "ALL")
                } else {
                    ("=", "ANY")
                };
                let arg_text = self.expr(arg, names);
                format!(
                    "({arg_text} {symbol} {which} ({}))",
                    self.list(list, arg.ty, names)
                )
            }
            ExprKind::AnyAll {
                op,
                all,
                left,
                array,
            } => {
                let which = if *all { "ALL" } else { "ANY" };
                let (left, array) = (self.expr(left, names), self.expr(array, names));
                format!(
                    "({left} {} {which} ({array}))",
                    symbol(op).unwrap_or(op.name)
                )
            }
            ExprKind::InOut(arg) | ExprKind::Relabel(arg) | ExprKind::ArrayCast { arg, .. } => {
                cast(self.expr(arg, names), expr.ty, -1)
            }
            ExprKind::Typmod { arg, .. } => cast(self.expr(arg, names), expr.ty, expr.typmod),
            ExprKind::Array(items) => format!("ARRAY[{}]", self.exprs(items, names, ", ")),
            ExprKind::Row(items) => format!("ROW({})", self.exprs(items, names, ", ")),
            ExprKind::Subscript { array, index } => {
                format!("{}[{}]", self.expr(array, names), self.expr(index, names))
            }
            ExprKind::SubPlan { index, .. } => format!("(SubPlan {})", index + 1),
            ExprKind::Subquery(_) => "(SubPlan)".to_owned(),
        }
    }

    fn call(&self, function: &'static func::Function, args: &[Expr], names: &[String]) -> String {
        match (symbol(function), args) {
            (Some(symbol), [left, right]) => {
                format!(
                    "({} {symbol} {})",
                    self.expr(left, names),
                    self.expr(right, names)
                )
            }
            (Some(symbol), [arg]) => format!("({symbol} {})", self.expr(arg, names)),
            (None, [arg]) if is_cast(function) => cast(self.expr(arg, names), function.returns, -1),
            _ => format!("{}({})", function.name, self.exprs(args, names, ", ")),
        }
    }

    fn constant(&self, value: &Datum, ty: Type) -> String {
        match value {
            Datum::Null => format!("NULL::{}", format_type(ty, -1)),
            Datum::Bool(value) => value.to_string(),
            Datum::Int4(value) if *value >= 0 => value.to_string(),
            value => {
                let text = to_text(value, ty, &self.format);
                if matches!(ty, Type::Numeric) && !text.starts_with('-') {
                    return text;
                }
                format!("'{}'::{}", text.replace('\'', "''"), format_type(ty, -1))
            }
        }
    }
}

fn cast(text: String, ty: Type, typmod: i32) -> String {
    if text.starts_with('(') && text.ends_with(')') {
        format!("{text}::{}", format_type(ty, typmod))
    } else {
        format!("({text})::{}", format_type(ty, typmod))
    }
}

/// The operator that a function is behind.
fn symbol(function: &'static func::Function) -> Option<&'static str> {
    let mut operators = func::all_operators();
    operators
        .find(|op| std::ptr::eq(op.function, function))
        .map(|op| op.symbol)
}

fn is_cast(function: &'static func::Function) -> bool {
    func::all_casts().any(|cast| match cast.method {
        func::CastMethod::Function(behind) => std::ptr::eq(behind, function),
        _ => false,
    })
}

fn joined(mut left: Vec<String>, right: Vec<String>, offset: usize) -> Vec<String> {
    let end = offset + right.len();
    if left.len() < end {
        left.resize(end, String::new());
    }
    for (slot, name) in left[offset..].iter_mut().zip(right) {
        *slot = name;
    }
    left
}

fn join_suffix(keep: Keep) -> &'static str {
    match join_kind(keep) {
        JoinKind::Left => " Left Join",
        JoinKind::Right => " Right Join",
        JoinKind::Full => " Full Join",
        JoinKind::Inner | JoinKind::Cross => "",
    }
}

fn join_kind(keep: Keep) -> JoinKind {
    match (keep.left, keep.right) {
        (false, false) => JoinKind::Inner,
        (true, false) => JoinKind::Left,
        (false, true) => JoinKind::Right,
        (true, true) => JoinKind::Full,
    }
}
