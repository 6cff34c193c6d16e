//! FROM: tables, subqueries, functions and joins, as one relation with its names.

use crate::base::{Error, Oid, Result, SqlState};
use crate::sql::ast::{self, Alias, JoinCondition, JoinKind, TableRef};
use crate::sql::bind::Binder;
use crate::sql::bind::call::FromCall;
use crate::sql::bind::coerce::{common_type, constant};
use crate::sql::bind::expr::{boolean, int8, typed};
use crate::sql::bind::locking::lock_of;
use crate::sql::bind::names::{self, Relation};
use crate::sql::bind::query::Output;
use crate::sql::bind::scope::{
    Column, Item, Lateral, Namespace, Outside, Place, Scope, Whole, attnum,
};
use crate::sql::bind::walk::{map_columns, shift};
use crate::sql::func::sequence;
use crate::sql::ir::{Expr, ExprKind, Rel, RowLocking};
use crate::types::{Datum, Type};

/// A relation and what its columns are called.
pub(super) struct Source {
    pub(super) rel: Rel,
    pub(super) names: Namespace,
}

impl Binder<'_> {
    /// The entries of FROM, each seen by the lateral ones that follow.
    pub(super) fn source_list(
        &self,
        items: &[TableRef],
        locking: &[ast::Locking],
        out: &Outside<'_>,
    ) -> Result<Source> {
        let mut all: Option<Source> = None;
        for item in items {
            all = Some(match all {
                None => self.source(item, locking, out)?,
                Some(left) => {
                    let join = self.beside(left, item, JoinKind::Cross, locking, out)?;
                    join.into_source(None)?
                }
            });
        }
        Ok(all.unwrap_or(Source {
            rel: Rel::Unit,
            names: Namespace::default(),
        }))
    }

    fn source(
        &self,
        item: &TableRef,
        locking: &[ast::Locking],
        out: &Outside<'_>,
    ) -> Result<Source> {
        let _level = self.deeper()?;
        match item {
            TableRef::Table { name, alias } => {
                let lock = lock_of(item, locking);
                self.table_source(name, alias.as_ref(), lock, out)
            }
            TableRef::Subquery {
                query,
                lateral,
                alias,
            } => {
                let inner = Outside {
                    blind: !lateral,
                    ..out.clone()
                };
                let asked = lock_of(item, locking);
                let output = self.query_in_from(query, asked, &inner)?;
                named_output(output, alias.as_ref(), None)
            }
            TableRef::Function {
                name,
                args,
                with_ordinality,
                alias,
                ..
            } => self.function_source(name, args, *with_ordinality, alias.as_ref(), out),
            TableRef::Join {
                kind,
                left,
                right,
                condition,
                alias,
                ..
            } => {
                let left = self.source(left, locking, out)?;
                let join = self.beside(left, right, *kind, locking, out)?;
                let source = self.join(join, condition, out)?;
                match alias {
                    Some(alias) => named_join(source, alias),
                    None => Ok(source),
                }
            }
        }
    }

    fn table_source(
        &self,
        name: &ast::Name,
        alias: Option<&Alias>,
        lock: Option<RowLocking>,
        out: &Outside<'_>,
    ) -> Result<Source> {
        if let [only] = name.parts.as_slice()
            && let Some(output) = out.ctes.mention(only, out)?
        {
            return named_output(output, alias, Some(&only.name));
        }
        match names::relation(name, self.cx)? {
            Relation::Table(table) => Ok(Source {
                names: Namespace::of(Item::table(table, alias, 0)?),
                rel: Rel::Table {
                    table: table.clone(),
                    lock,
                },
            }),
            Relation::System(relation) => {
                let (oid, columns) = (Oid(relation.oid), relation.columns);
                let item = fixed_item(oid, relation.schema, relation.name, columns);
                Ok(Source {
                    names: Namespace::of(item.aliased(alias)?),
                    rel: Rel::System { relation },
                })
            }
            Relation::Sequence(def) if lock.is_some() => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot lock rows in sequence \"{}\"", def.name),
            )),
            Relation::Sequence(def) => {
                let columns = &sequence::COLUMNS;
                let item = fixed_item(def.oid, &def.schema, &def.name, columns);
                let oid = constant(Datum::Oid(def.oid.0), Type::Regclass);
                Ok(Source {
                    names: Namespace::of(item.aliased(alias)?),
                    rel: Rel::Function {
                        function: &sequence::ROW,
                        args: vec![oid],
                        width: columns.len(),
                        ordinality: false,
                    },
                })
            }
            Relation::Index => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "an index cannot be read",
            )),
        }
    }

    fn function_source(
        &self,
        name: &ast::Name,
        args: &[ast::Expr],
        ordinality: bool,
        alias: Option<&Alias>,
        out: &Outside<'_>,
    ) -> Result<Source> {
        let at = name.parts.first().map_or(0, |p| p.position);
        let scope = Scope::new(out, Namespace::default(), Place::FromFunction);
        let call = self.call_in_from(name, args, at, &scope)?;
        let (rel, ty) = match call {
            FromCall::Scalar(value) => {
                let ty = value.ty;
                let mut exprs = vec![value];
                exprs.extend(ordinality.then(|| int8(1)));
                let input = Box::new(Rel::Unit);
                (Rel::Project { input, exprs }, ty)
            }
            FromCall::Set {
                function,
                args,
                returns,
            } => {
                let rel = Rel::Function {
                    function,
                    args,
                    width: 1,
                    ordinality,
                };
                (rel, returns)
            }
        };
        if ty == Type::Record {
            return Err(Error::unsupported("functions of several columns in FROM are").at(at));
        }
        let last = name.parts.last().map_or("", |p| p.name.as_str());
        // The only column is called as the function's alias.
        let column_name = alias.map_or(last, |a| &a.name.name);
        let mut columns = vec![Column::plain(column_name, 0, ty, -1)];
        columns.extend(ordinality.then(|| Column::plain("ordinality", 1, Type::Int8, -1)));
        let item = Item {
            name: Some(last.to_owned()),
            schema: None,
            table_name: None,
            columns,
            listed: true,
            table: None,
            whole: Whole::Value,
        };
        Ok(Source {
            names: Namespace::of(item.aliased(alias)?),
            rel,
        })
    }

    /// Binds the right side of a join, which may see the left.
    fn beside(
        &self,
        left: Source,
        right: &TableRef,
        kind: JoinKind,
        locking: &[ast::Locking],
        out: &Outside<'_>,
    ) -> Result<Join> {
        let lateral = match kind {
            JoinKind::Right | JoinKind::Full => Lateral::Refused,
            _ => Lateral::Yes,
        };
        let scope = Scope::beside(out, left.names, lateral);
        let mut right = self.source(right, locking, &scope.outside())?;
        let lateral = scope.referred.get();
        if !lateral && scope.crossed.get() {
            // The left row does not count after all.
            shift(&mut right.rel, 2, -1);
        }
        Ok(Join {
            kind,
            lateral,
            left: Source {
                rel: left.rel,
                names: scope.into_namespace(),
            },
            right,
        })
    }

    fn join(&self, join: Join, condition: &JoinCondition, out: &Outside<'_>) -> Result<Source> {
        let shared = match condition {
            JoinCondition::None => return join.into_source(None),
            JoinCondition::On(condition) => {
                let mut names = join.left.names.clone();
                names.append(join.right.names.clone())?;
                let out = Outside {
                    blind: true,
                    ..out.clone()
                };
                let scope = Scope::new(&out, names, Place::JoinOn);
                let condition = self.boolean(condition, &scope, "JOIN/ON")?;
                return join.into_source(Some(condition));
            }
            JoinCondition::Using(columns) => columns.iter().map(|c| c.name.clone()).collect(),
            JoinCondition::Natural => common_names(&join),
        };
        self.join_using(join, &shared)
    }

    /// Equal values of the shared columns, which appear once.
    fn join_using(&self, join: Join, shared: &[String]) -> Result<Source> {
        let kind = join.kind;
        let width = join.left.names.width;
        let mut tests = Vec::with_capacity(shared.len());
        let mut merged = Vec::with_capacity(shared.len());
        for (i, name) in shared.iter().enumerate() {
            if shared[..i].contains(name) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column name \"{name}\" appears more than once in USING clause"),
                ));
            }
            let left = using_column(&join.left.names, name, "left")?.clone();
            let mut right = using_column(&join.right.names, name, "right")?.clone();
            map_columns(&mut right.value, &mut |c| c + width);
            let pair = (typed(left.value.clone(), 0), typed(right.value.clone(), 0));
            tests.push(self.operator("=", Some(pair.0), pair.1, 0)?);
            merged.push(self.merged(kind, left, right)?);
        }
        let left_rest = rest(&join.left.names, shared, 0);
        let right_rest = rest(&join.right.names, shared, width);
        let condition = match (tests.pop(), tests.is_empty()) {
            (last, true) => last,
            (last, false) => {
                tests.extend(last);
                Some(boolean(ExprKind::And(tests)))
            }
        };
        let mut source = join.into_source(condition)?;
        for item in &mut source.names.items {
            item.listed = false;
        }
        source.names.items.push(Item {
            name: None,
            schema: None,
            table_name: None,
            columns: merged
                .into_iter()
                .chain(left_rest)
                .chain(right_rest)
                .collect(),
            listed: true,
            table: None,
            whole: Whole::Row,
        });
        Ok(source)
    }

    /// The one column that stands for both: the side that is never made of nulls.
    fn merged(&self, kind: JoinKind, left: Column, right: Column) -> Result<Column> {
        let types = [(left.value.ty, 0), (right.value.ty, 0)];
        let ty = common_type(types.into_iter(), "JOIN/USING")?;
        let convert = |c: &Column| self.to_common(typed(c.value.clone(), 0), ty, "JOIN/USING");
        let (l, r) = (convert(&left)?, convert(&right)?);
        let (value, origin) = match kind {
            JoinKind::Right => (r, right),
            JoinKind::Full => {
                let typmod = if l.typmod == r.typmod { l.typmod } else { -1 };
                let kind = ExprKind::Coalesce(vec![l, r]);
                (
                    Expr { kind, ty, typmod },
                    Column::plain(&left.name, 0, ty, -1),
                )
            }
            _ => (l, left),
        };
        Ok(Column { value, ..origin })
    }
}

/// A join whose sides are bound.
struct Join {
    kind: JoinKind,
    lateral: bool,
    left: Source,
    right: Source,
}

impl Join {
    fn into_source(self, condition: Option<Expr>) -> Result<Source> {
        let (mut names, mut right) = (self.left.names, self.right.names);
        if matches!(self.kind, JoinKind::Right | JoinKind::Full) {
            names.may_be_absent();
        }
        if matches!(self.kind, JoinKind::Left | JoinKind::Full) {
            right.may_be_absent();
        }
        names.append(right)?;
        let rel = Rel::Join {
            kind: self.kind,
            left: Box::new(self.left.rel),
            right: Box::new(self.right.rel),
            condition,
            lateral: self.lateral,
        };
        Ok(Source { rel, names })
    }
}

/// The names of a relation whose columns are the same in every database.
fn fixed_item(oid: Oid, schema: &str, name: &str, columns: &[(&str, Type)]) -> Item {
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(i, (name, ty))| Column {
        table: oid,
        attnum: attnum(i),
        ..Column::plain(name, i, *ty, -1)
    });
    Item {
        name: Some(name.to_owned()),
        schema: Some(schema.to_owned()),
        table_name: Some(name.to_owned()),
        columns: columns.collect(),
        listed: true,
        table: None,
        whole: Whole::Row,
    }
}

fn named_output(output: Output, alias: Option<&Alias>, name: Option<&str>) -> Result<Source> {
    let item = Item {
        name: name.map(str::to_owned),
        ..output.item()
    };
    Ok(Source {
        names: Namespace::of(item.aliased(alias)?),
        rel: output.rel,
    })
}

/// The join's columns under one name, which hides those of its sides.
fn named_join(source: Source, alias: &Alias) -> Result<Source> {
    let columns: Vec<Column> = source.names.listed().cloned().collect();
    if alias.columns.len() > columns.len() {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "join expression \"{}\" has {} columns available but {} columns specified",
                alias.name.name,
                columns.len(),
                alias.columns.len()
            ),
        ));
    }
    let item = Item {
        name: None,
        schema: None,
        table_name: None,
        columns,
        listed: true,
        table: None,
        whole: Whole::Row,
    };
    Ok(Source {
        names: Namespace {
            items: vec![item.aliased(Some(alias))?],
            width: source.names.width,
        },
        rel: source.rel,
    })
}

fn common_names(join: &Join) -> Vec<String> {
    let right: Vec<&str> = join.right.names.listed().map(|c| c.name.as_str()).collect();
    let left = join.left.names.listed();
    left.filter(|c| right.contains(&c.name.as_str()))
        .map(|c| c.name.clone())
        .collect()
}

fn using_column<'n>(names: &'n Namespace, name: &str, side: &str) -> Result<&'n Column> {
    let mut named = names.listed().filter(|c| c.name == name);
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
        (Some(_), Some(_)) => Err(Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
    }
}

fn rest(names: &Namespace, shared: &[String], first: usize) -> Vec<Column> {
    let mut rest: Vec<Column> = names
        .listed()
        .filter(|c| !shared.contains(&c.name))
        .cloned()
        .collect();
    for column in &mut rest {
        map_columns(&mut column.value, &mut |c| c + first);
    }
    rest
}
