//! sqlparser's queries into ours. Whatever of sqlparser's tree has no place in ours is an error:
//! nothing written is dropped.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{
    Alias, Cte, Distinct, Expr, ExprKind, Ident, JoinCondition, JoinKind, Name, OrderBy, Query,
    QueryBody, Select, SelectItem, SetOp, TableRef,
};
use crate::sql::parse::cursor::{Cursor, NameKind, allowed, check_dots};
use crate::sql::parse::dialect::{Postgres, unsupported};
use crate::sql::parse::lex::start_of;
use sqlparser::ast as sp;
use sqlparser::parser::Parser;

impl Cursor<'_, '_> {
    /// A whole query: SELECT, VALUES, TABLE, WITH.
    pub(super) fn query(&mut self) -> Result<Query> {
        self.pg.enter()?;
        let parsed = self.p.parse_query().map_err(|e| self.pg.failed(&e));
        self.pg.leave();
        let query = *parsed?;
        self.pg.make(|| self.pg.query(query))
    }

    pub(super) fn order_by_list(&mut self) -> Result<Vec<OrderBy>> {
        let parsed = self.p.parse_comma_separated(Parser::parse_order_by_expr);
        let items = parsed.map_err(|e| self.pg.failed(&e))?;
        let pg = self.pg;
        pg.make(|| items.into_iter().map(|item| pg.order_by(item)).collect())
    }

    /// The tables of FROM in UPDATE and of USING in DELETE.
    pub(super) fn table_refs(&mut self) -> Result<Vec<TableRef>> {
        self.comma_separated(|c| {
            let parsed = c.p.parse_table_and_joins();
            let parsed = parsed.map_err(|e| c.pg.failed(&e))?;
            c.pg.make(|| c.pg.table_with_joins(parsed))
        })
    }

    pub(super) fn select_items(&mut self) -> Result<Vec<SelectItem>> {
        self.comma_separated(|c| {
            let parsed = c.p.parse_select_item().map_err(|e| c.pg.failed(&e))?;
            c.pg.make(|| c.pg.select_item(parsed))
        })
    }

    /// `name [(columns)] AS (query)`, after WITH.
    pub(super) fn ctes(&mut self) -> Result<Vec<Cte>> {
        self.comma_separated(|c| {
            let parsed = c.p.parse_cte().map_err(|e| c.pg.failed(&e))?;
            c.pg.make(|| c.pg.cte(parsed))
        })
    }
}

/// The right side of a set operation.
type Operand = (sp::SetOperator, sp::SetQuantifier, sp::SetExpr);

/// Refuses what only other dialects have.
fn refuse(present: bool, what: &str) -> Result<()> {
    if present {
        Err(unsupported(what))
    } else {
        Ok(())
    }
}

impl Postgres {
    fn ident(&self, ident: sp::Ident, kind: NameKind) -> Result<Ident> {
        let position = start_of(ident.span);
        let plain = ident.quote_style.is_none();
        if plain && !allowed(&ident.value, kind) {
            return Err(self.stuck(self.index_at(position)));
        }
        let name = ident.value;
        Ok(Ident { name, position })
    }

    fn column_ident(&self, ident: sp::Ident) -> Result<Ident> {
        self.ident(ident, NameKind::Column)
    }

    fn name(&self, name: sp::ObjectName, first: NameKind) -> Result<Name> {
        let mut parts = Vec::with_capacity(name.0.len());
        for part in name.0 {
            let sp::ObjectNamePart::Identifier(ident) = part else {
                return Err(unsupported("a computed name"));
            };
            let kind = if parts.is_empty() {
                first
            } else {
                NameKind::Label
            };
            parts.push(self.ident(ident, kind)?);
        }
        Ok(Name { parts })
    }

    fn exprs(&self, exprs: &[sp::Expr]) -> Result<Vec<Expr>> {
        exprs.iter().map(|e| self.take(e)).collect()
    }

    fn optional(&self, expr: Option<&sp::Expr>) -> Result<Option<Expr>> {
        expr.map(|e| self.take(e)).transpose()
    }

    pub(super) fn query(&self, query: sp::Query) -> Result<Query> {
        let sp::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let foreign = for_clause.is_some() || settings.is_some() || format_clause.is_some();
        refuse(foreign || !pipe_operators.is_empty(), "this clause")?;
        let (mut limit, offset) = self.limit(limit_clause)?;
        if let Some(fetch) = fetch {
            refuse(limit.is_some(), "LIMIT and FETCH together")?;
            limit = Some(self.fetch(fetch)?);
        }
        let mut locking = Vec::with_capacity(locks.len());
        for lock in locks {
            refuse(lock.nonblock.is_some(), "this locking clause")?;
            let name = lock.of.as_ref().and_then(|name| name.0.first());
            let number = name.and_then(|part| part.as_ident()?.value.parse::<usize>().ok());
            let lock = number.and_then(|n| self.locks.get(n).cloned());
            locking.push(lock.ok_or_else(|| unsupported("this locking clause"))?);
        }
        let recursive = with.as_ref().is_some_and(|with| with.recursive);
        let ctes = with.map_or(Vec::new(), |with| with.cte_tables);
        Ok(Query {
            with: ctes
                .into_iter()
                .map(|cte| self.cte(cte))
                .collect::<Result<_>>()?,
            recursive,
            body: self.body(*body)?,
            order_by: self.order_by_clause(order_by)?,
            limit,
            offset,
            locking,
        })
    }

    fn cte(&self, cte: sp::Cte) -> Result<Cte> {
        let sp::Cte {
            alias,
            query,
            from,
            // A hint to the planner, which may ignore it.
            materialized: _,
            closing_paren_token: _,
        } = cte;
        refuse(from.is_some(), "this clause")?;
        let Alias { name, columns } = self.alias(alias)?;
        let query = self.deeper(1, || self.query(*query))?;
        Ok(Cte {
            name,
            columns,
            query,
        })
    }

    fn limit(&self, clause: Option<sp::LimitClause>) -> Result<(Option<Expr>, Option<Expr>)> {
        match clause {
            None => Ok((None, None)),
            Some(sp::LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            }) => {
                refuse(!limit_by.is_empty(), "LIMIT BY")?;
                let offset = offset.map(|offset| offset.value);
                Ok((
                    self.optional(limit.as_ref())?,
                    self.optional(offset.as_ref())?,
                ))
            }
            Some(sp::LimitClause::OffsetCommaLimit { .. }) => Err(unsupported("LIMIT #,#")),
        }
    }

    /// FETCH FIRST n ROWS ONLY is LIMIT n; n is a literal to sqlparser, not a placeholder.
    fn fetch(&self, fetch: sp::Fetch) -> Result<Expr> {
        refuse(fetch.with_ties, "WITH TIES")?;
        refuse(fetch.percent, "FETCH with PERCENT")?;
        let (kind, position) = match fetch.quantity {
            None => (ExprKind::Number("1".into()), 0),
            Some(sp::Expr::Value(value)) => match value.value {
                sp::Value::Number(number, _) => (ExprKind::Number(number), start_of(value.span)),
                sp::Value::Placeholder(number) => {
                    let number = number.trim_start_matches('$').parse();
                    let number = number.map_err(|_| unsupported("this FETCH count"))?;
                    (ExprKind::Param(number), start_of(value.span))
                }
                _ => return Err(self.syntax_error_at(start_of(value.span))),
            },
            Some(_) => return Err(unsupported("this FETCH count")),
        };
        Ok(Expr { kind, position })
    }

    fn order_by_clause(&self, clause: Option<sp::OrderBy>) -> Result<Vec<OrderBy>> {
        let Some(sp::OrderBy { kind, interpolate }) = clause else {
            return Ok(Vec::new());
        };
        refuse(interpolate.is_some(), "INTERPOLATE")?;
        match kind {
            sp::OrderByKind::Expressions(items) => {
                items.into_iter().map(|item| self.order_by(item)).collect()
            }
            sp::OrderByKind::All(_) => Err(unsupported("ORDER BY ALL")),
        }
    }

    fn order_by(&self, item: sp::OrderByExpr) -> Result<OrderBy> {
        refuse(item.with_fill.is_some(), "WITH FILL")?;
        let expr = self.take(&item.expr)?;
        let descending = match &item.options.sort {
            None | Some(sp::OrderBySort::Asc) => false,
            Some(sp::OrderBySort::Desc) => true,
            Some(sp::OrderBySort::Using(operator)) => match operator.to_string().as_str() {
                "<" => false,
                ">" => true,
                _ => return Err(unsupported("ordering by this operator")),
            },
        };
        Ok(OrderBy {
            expr,
            descending,
            nulls_first: item.options.nulls_first,
        })
    }

    fn body(&self, body: sp::SetExpr) -> Result<QueryBody> {
        Ok(match body {
            sp::SetExpr::Select(select) => QueryBody::Select(Box::new(self.select(*select)?)),
            sp::SetExpr::Query(query) => {
                QueryBody::Query(Box::new(self.deeper(1, || self.query(*query))?))
            }
            sp::SetExpr::Values(values) => QueryBody::Values(self.values(values)?),
            sp::SetExpr::SetOperation { .. } => self.set_operations(body)?,
            sp::SetExpr::Insert(_)
            | sp::SetExpr::Update(_)
            | sp::SetExpr::Delete(_)
            | sp::SetExpr::Merge(_) => return Err(unsupported("data-modifying WITH")),
            sp::SetExpr::Table(_) => return Err(unsupported("TABLE")),
        })
    }

    /// A chain of set operations nests to the left: unwound here without recursion.
    fn set_operations(&self, mut body: sp::SetExpr) -> Result<QueryBody> {
        let mut rights = Vec::new();
        while let sp::SetExpr::SetOperation {
            left,
            op,
            set_quantifier,
            right,
        } = body
        {
            rights.push((op, set_quantifier, *right));
            body = *left;
        }
        self.deeper(rights.len(), || self.joined_bodies(body, rights))
    }

    fn joined_bodies(&self, first: sp::SetExpr, rights: Vec<Operand>) -> Result<QueryBody> {
        let mut left = self.body(first)?;
        for (op, quantifier, right) in rights.into_iter().rev() {
            let op = match op {
                sp::SetOperator::Union => SetOp::Union,
                sp::SetOperator::Except => SetOp::Except,
                sp::SetOperator::Intersect => SetOp::Intersect,
                sp::SetOperator::Minus => return Err(unsupported("MINUS")),
            };
            let all = match quantifier {
                sp::SetQuantifier::All => true,
                sp::SetQuantifier::Distinct | sp::SetQuantifier::None => false,
                _ => return Err(unsupported("BY NAME")),
            };
            left = QueryBody::SetOp {
                op,
                all,
                left: Box::new(left),
                right: Box::new(self.body(right)?),
            };
        }
        Ok(left)
    }

    fn values(&self, values: sp::Values) -> Result<Vec<Vec<Expr>>> {
        let sp::Values {
            explicit_row,
            value_keyword,
            rows,
        } = values;
        if explicit_row || value_keyword {
            let open = rows
                .first()
                .map_or(0, |row| start_of(row.opening_token.0.span));
            return Err(self.syntax_error(self.index_at(open).saturating_sub(1)));
        }
        rows.iter().map(|row| self.exprs(&row.content)).collect()
    }

    fn select(&self, select: sp::Select) -> Result<Select> {
        let sp::Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        refuse(into.is_some(), "SELECT INTO")?;
        refuse(!named_window.is_empty(), "WINDOW clauses")?;
        let foreign = !optimizer_hints.is_empty()
            || select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some();
        refuse(foreign, "this clause")?;
        let distinct = match distinct {
            None | Some(sp::Distinct::All) => Distinct::All,
            Some(sp::Distinct::Distinct) => Distinct::Distinct,
            Some(sp::Distinct::On(exprs)) if exprs.is_empty() => {
                let on = (0..).find(|&i| self.word(i) == "on" && self.word(i + 2) == ")");
                return Err(self.syntax_error(on.unwrap_or(0) + 2));
            }
            Some(sp::Distinct::On(exprs)) => Distinct::On(self.exprs(&exprs)?),
        };
        let group_by = match group_by {
            sp::GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                self.exprs(&exprs)?
            }
            _ => return Err(unsupported("this form of GROUP BY")),
        };
        let items = projection.into_iter().filter(|item| !is_no_item(item));
        let items = items.map(|item| self.select_item(item));
        Ok(Select {
            distinct,
            items: items.collect::<Result<_>>()?,
            from: from
                .into_iter()
                .map(|table| self.table_with_joins(table))
                .collect::<Result<_>>()?,
            filter: self.optional(selection.as_ref())?,
            group_by,
            having: self.optional(having.as_ref())?,
        })
    }

    fn select_item(&self, item: sp::SelectItem) -> Result<SelectItem> {
        Ok(match item {
            sp::SelectItem::UnnamedExpr(expr) => SelectItem::Expr {
                expr: self.take(&expr)?,
                alias: None,
            },
            sp::SelectItem::ExprWithAlias { expr, alias } => SelectItem::Expr {
                expr: self.take(&expr)?,
                alias: Some(self.ident(alias, NameKind::Label)?),
            },
            sp::SelectItem::ExprWithAliases { .. } => {
                return Err(unsupported("several names for one column"));
            }
            sp::SelectItem::Wildcard(options) => {
                let position = start_of(options.wildcard_token.0.span);
                let index = self.index_at(position);
                let before = index.checked_sub(1).map(|i| self.word(i));
                if self.word(index) == "*" && before.as_deref() == Some("(") {
                    return Err(self.syntax_error(index));
                }
                self.plain_wildcard(&options)?;
                SelectItem::Wildcard(position)
            }
            sp::SelectItem::QualifiedWildcard(kind, options) => {
                self.plain_wildcard(&options)?;
                match kind {
                    sp::SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        SelectItem::QualifiedWildcard(self.name(name, NameKind::Column)?)
                    }
                    sp::SelectItemQualifiedWildcardKind::Expr(_) => {
                        return Err(unsupported("row expansion with .*"));
                    }
                }
            }
        })
    }

    fn plain_wildcard(&self, options: &sp::WildcardAdditionalOptions) -> Result<()> {
        let sp::WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let any = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        refuse(any, "options of *")
    }

    fn table_with_joins(&self, table: sp::TableWithJoins) -> Result<TableRef> {
        self.deeper(table.joins.len(), || {
            let mut left = self.table_factor(table.relation)?;
            for join in table.joins {
                refuse(join.global, "GLOBAL JOIN")?;
                left = self.join(left, join)?;
            }
            Ok(left)
        })
    }

    fn join(&self, left: TableRef, join: sp::Join) -> Result<TableRef> {
        use sp::JoinOperator as Op;
        let right = self.table_factor(join.relation)?;
        let position = table_position(&right);
        let (kind, constraint) = match join.join_operator {
            Op::Join(constraint) | Op::Inner(constraint) => (JoinKind::Inner, constraint),
            Op::Left(constraint) | Op::LeftOuter(constraint) => (JoinKind::Left, constraint),
            Op::Right(constraint) | Op::RightOuter(constraint) => (JoinKind::Right, constraint),
            Op::FullOuter(constraint) => (JoinKind::Full, constraint),
            Op::CrossJoin(constraint) => (JoinKind::Cross, constraint),
            _ => return Err(unsupported("this kind of join")),
        };
        let condition = match constraint {
            sp::JoinConstraint::On(expr) => JoinCondition::On(self.take(&expr)?),
            sp::JoinConstraint::Natural => JoinCondition::Natural,
            sp::JoinConstraint::None => JoinCondition::None,
            sp::JoinConstraint::Using(names) => JoinCondition::Using(self.using(names)?),
        };
        // Only a cross join goes without a condition; the token after the table is the culprit.
        let bare = matches!(condition, JoinCondition::None);
        if bare != (kind == JoinKind::Cross) {
            return Err(self.missing_condition(position));
        }
        Ok(TableRef::Join {
            kind,
            left: Box::new(left),
            right: Box::new(right),
            condition,
            position,
            alias: None,
        })
    }

    /// The first token after the joined table at `position` that cannot belong to it.
    fn missing_condition(&self, position: usize) -> Error {
        let mut index = self.index_at(position);
        let mut depth = 0usize;
        loop {
            let word = self.word(index);
            let name = allowed(&word, NameKind::Column) && !word.is_empty();
            match word.as_str() {
                "(" => depth += 1,
                ")" if depth > 0 => depth -= 1,
                "" | ")" | "," | ";" => return self.syntax_error(index),
                "as" | "." | "lateral" => {}
                _ if depth == 0 && !name => return self.syntax_error(index),
                _ => {}
            }
            index += 1;
        }
    }

    fn using(&self, names: Vec<sp::ObjectName>) -> Result<Vec<Ident>> {
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let mut name = self.name(name, NameKind::Column)?;
            match (name.parts.pop(), name.parts.is_empty()) {
                (Some(column), true) => columns.push(column),
                (Some(column), false) => {
                    let dot = self.index_at(column.position).saturating_sub(1);
                    return Err(self.syntax_error(dot));
                }
                (None, _) => return Err(unsupported("this USING")),
            }
        }
        Ok(columns)
    }

    fn table_factor(&self, factor: sp::TableFactor) -> Result<TableRef> {
        match factor {
            sp::TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if let Some(hint) = with_hints.first() {
                    let position = self.take(hint)?.position;
                    let with = self.index_at(position).saturating_sub(2);
                    return Err(self.syntax_error(with));
                }
                let foreign = version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_hints.is_empty();
                refuse(foreign, "table hints")?;
                refuse(sample.is_some(), "TABLESAMPLE")?;
                let Some(args) = args else {
                    let name = self.name(name, NameKind::Column)?;
                    check_dots(&name)?;
                    let after = name.parts.last().map_or(0, |part| part.position);
                    if with_ordinality {
                        return Err(self.syntax_error(self.index_at(after) + 1));
                    }
                    let alias = self.optional_alias(alias)?;
                    return Ok(TableRef::Table { name, alias });
                };
                refuse(args.settings.is_some(), "SETTINGS")?;
                self.table_function(name, args.args, with_ordinality, false, alias)
            }
            sp::TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                refuse(sample.is_some(), "TABLESAMPLE")?;
                if alias.is_none() {
                    return Err(self.nameless(&subquery));
                }
                Ok(TableRef::Subquery {
                    query: Box::new(self.deeper(1, || self.query(*subquery))?),
                    lateral,
                    alias: self.optional_alias(alias)?,
                })
            }
            sp::TableFactor::Function {
                lateral,
                name,
                args,
                with_ordinality,
                alias,
            } => self.table_function(name, args, with_ordinality, lateral, alias),
            sp::TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let mut table = self.deeper(1, || self.table_with_joins(*table_with_joins))?;
                let Some(given) = self.optional_alias(alias)? else {
                    return Ok(table);
                };
                match &mut table {
                    TableRef::Join { alias, .. } if alias.is_none() => *alias = Some(given),
                    _ => return Err(self.syntax_error_at(given.name.position)),
                }
                Ok(table)
            }
            _ => Err(unsupported("this kind of table expression")),
        }
    }

    fn nameless(&self, query: &sp::Query) -> Error {
        let what = match *query.body {
            sp::SetExpr::Values(_) => "VALUES",
            _ => "subquery",
        };
        let sample = match what {
            "VALUES" => "(VALUES ...)",
            _ => "(SELECT ...)",
        };
        let parenthesis = self.start_index(query).saturating_sub(1);
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{what} in FROM must have an alias"),
        )
        .with_hint(format!("For example, FROM {sample} [AS] foo."))
        .at(self.start(parenthesis))
    }

    /// The index of a query's first token.
    fn start_index(&self, query: &sp::Query) -> usize {
        if let Some(with) = &query.with {
            return self.index_at(start_of(with.with_token.0.span));
        }
        let mut body = &*query.body;
        while let sp::SetExpr::SetOperation { left, .. } = body {
            body = left;
        }
        match body {
            sp::SetExpr::Select(select) => self.index_at(start_of(select.select_token.0.span)),
            sp::SetExpr::Query(query) => self.start_index(query).saturating_sub(1),
            sp::SetExpr::Values(values) => {
                let first = values.rows.first();
                let open = first.map_or(0, |row| start_of(row.opening_token.0.span));
                self.index_at(open).saturating_sub(1)
            }
            _ => 0,
        }
    }

    fn table_function(
        &self,
        name: sp::ObjectName,
        args: Vec<sp::FunctionArg>,
        with_ordinality: bool,
        lateral: bool,
        alias: Option<sp::TableAlias>,
    ) -> Result<TableRef> {
        let name = self.name(name, NameKind::TypeFunction)?;
        let args = args.iter().map(|arg| match arg {
            sp::FunctionArg::Unnamed(sp::FunctionArgExpr::Expr(expr)) => self.take(expr),
            sp::FunctionArg::Unnamed(_) => Err(unsupported("* as an argument in FROM")),
            _ => Err(unsupported("named arguments")),
        });
        Ok(TableRef::Function {
            args: args.collect::<Result<_>>()?,
            name,
            with_ordinality,
            lateral,
            alias: self.optional_alias(alias)?,
        })
    }

    fn optional_alias(&self, alias: Option<sp::TableAlias>) -> Result<Option<Alias>> {
        alias.map(|alias| self.alias(alias)).transpose()
    }

    fn alias(&self, alias: sp::TableAlias) -> Result<Alias> {
        let sp::TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        refuse(at.is_some(), "AT in an alias")?;
        let columns = columns.into_iter().map(|column| {
            refuse(column.data_type.is_some(), "column definitions in FROM")?;
            self.column_ident(column.name)
        });
        Ok(Alias {
            columns: columns.collect::<Result<_>>()?,
            name: self.column_ident(name)?,
        })
    }
}

/// The `*` that rewriting put into a SELECT of nothing.
fn is_no_item(item: &sp::SelectItem) -> bool {
    match item {
        sp::SelectItem::Wildcard(options) => {
            let span = options.wildcard_token.0.span;
            span.start == span.end
        }
        _ => false,
    }
}

/// Where a table expression begins.
fn table_position(table: &TableRef) -> usize {
    match table {
        TableRef::Table { name, .. } | TableRef::Function { name, .. } => {
            name.parts.first().map_or(0, |part| part.position)
        }
        TableRef::Subquery { query, .. } => body_position(&query.body),
        TableRef::Join { left, .. } => table_position(left),
    }
}

fn body_position(body: &QueryBody) -> usize {
    match body {
        QueryBody::Select(select) => match select.items.first() {
            Some(SelectItem::Wildcard(position)) => *position,
            Some(SelectItem::Expr { expr, .. }) => expr.position,
            Some(SelectItem::QualifiedWildcard(name)) => {
                name.parts.first().map_or(0, |part| part.position)
            }
            None => 0,
        },
        QueryBody::Values(rows) => rows.iter().flatten().next().map_or(0, |e| e.position),
        QueryBody::Query(query) => body_position(&query.body),
        QueryBody::SetOp { left, .. } => body_position(left),
    }
}
