//! Function and aggregate calls.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{self, Position};
use crate::sql::bind::coerce::{column, common_typmod, constant};
use crate::sql::bind::expr::typed;
use crate::sql::bind::names::schema_exists;
use crate::sql::bind::resolve::{self, Candidate, Choice};
use crate::sql::bind::scope::{AGGREGATE, Place, SET, Scope, dotted, untagged};
use crate::sql::bind::walk::{references, same, same_keys};
use crate::sql::bind::{Binder, Typed};
use crate::sql::func::{self, Aggregate, CastContext, Eval, Function};
use crate::sql::ir::{AggregateCall, Expr, ExprKind, SortKey};
use crate::types::{Datum, Type};

/// What a name with arguments may mean.
#[derive(Clone, Copy)]
enum Callee {
    Function(&'static Function),
    Aggregate(&'static Aggregate),
}

/// A callee with arguments as it takes them.
struct Chosen {
    callee: Callee,
    args: Vec<Expr>,
    returns: Type,
}

/// A call in FROM.
pub(super) enum FromCall {
    /// One row with the value.
    Scalar(Expr),
    Set {
        function: &'static Function,
        args: Vec<Expr>,
        returns: Type,
    },
}

impl Binder<'_> {
    pub(super) fn call(&self, call: &ast::Call, at: Position, s: &Scope<'_>) -> Result<Typed> {
        if call.over {
            return Err(Error::unsupported("window functions are").at(at));
        }
        let name = self.callee_name(call, at)?;
        if let Some(expr) = self.special_form(name, call, at, s)? {
            return Ok(typed(expr, at));
        }
        if is_aggregate(name) {
            return Ok(typed(self.aggregate_call(name, call, at, s)?, at));
        }
        not_an_aggregate(name, call, at)?;
        let args = self.exprs(&call.args, s)?;
        let bound = self.function_call(name, args, at, s);
        Ok(typed(bound.map_err(|e| qualified(e, name, call))?, at))
    }

    /// The name without `pg_catalog`, where all functions are.
    fn callee_name<'c>(&self, call: &'c ast::Call, at: Position) -> Result<&'c str> {
        match call.name.parts.as_slice() {
            [name] => Ok(&name.name),
            [schema, name] if schema.name == "pg_catalog" => Ok(&name.name),
            [schema, _] if !schema_exists(self.cx.catalog, &schema.name) => Err(Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{}\" does not exist", schema.name),
            )
            .at(at)),
            _ => Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {} does not exist", dotted(&call.name)),
            )
            .at(at)),
        }
    }

    /// Forms with the syntax of a function but rules of their own.
    fn special_form(
        &self,
        name: &str,
        call: &ast::Call,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Option<Expr>> {
        let what = match name {
            "coalesce" => "COALESCE",
            "greatest" => "GREATEST",
            "least" => "LEAST",
            "nullif" if call.args.len() == 2 => {
                let (left, right) = (self.expr(&call.args[0], s)?, self.expr(&call.args[1], s)?);
                return Ok(Some(self.nullif(left, right, at)?));
            }
            "pg_typeof" if call.args.len() == 1 => {
                let value = self.expr(&call.args[0], s)?;
                let oid = value.expr.ty.oid().0;
                return Ok(Some(constant(Datum::Oid(oid), Type::Regtype)));
            }
            _ => return Ok(None),
        };
        if call.args.is_empty() {
            return Ok(None);
        }
        let values = self.exprs(&call.args, s)?;
        let (args, ty) = self.unify_values(values, what)?;
        let typmod = common_typmod(args.iter());
        let kind = match what {
            "COALESCE" => ExprKind::Coalesce(args),
            _ => ExprKind::MinMax {
                greatest: what == "GREATEST",
                args,
            },
        };
        Ok(Some(Expr { kind, ty, typmod }))
    }

    /// A call of a plain function by name; the arguments are bound.
    pub(super) fn function_call(
        &self,
        name: &str,
        args: Vec<Typed>,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Expr> {
        if let Some(cast) = self.call_as_cast(name, &args)? {
            return Ok(cast);
        }
        let chosen = self.choose(name, args, at)?;
        let Callee::Function(function) = chosen.callee else {
            return Err(no_function(name, &[], at));
        };
        match function.eval {
            Eval::Set(_) => self.set_in_expression(function, chosen, at, s),
            _ => Ok(self.call_or_constant(function, chosen.args, chosen.returns)),
        }
    }

    /// `text(x)`, `int4('5')`: a type's name as a function, where there is no such function.
    fn call_as_cast(&self, name: &str, args: &[Typed]) -> Result<Option<Expr>> {
        let [arg] = args else {
            return Ok(None);
        };
        let Some(ty) = Type::all().find(|t| t.name() == name) else {
            return Ok(None);
        };
        let exact = func::functions(name).any(|f| f.args == [arg.expr.ty]);
        let relabels = arg.expr.ty == Type::Unknown
            || func::cast(arg.expr.ty, ty)
                .is_some_and(|c| !matches!(c.method, func::CastMethod::Function(_)));
        if exact || !relabels {
            return Ok(None);
        }
        self.convert(arg.clone(), ty, -1, CastContext::Explicit)
    }

    /// A set-returning function of the select list: `select` joins its rows.
    fn set_in_expression(
        &self,
        function: &'static Function,
        chosen: Chosen,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Expr> {
        let place = s.place.get();
        if place != Place::SelectList {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "set-returning functions are not allowed in {}",
                    place.name()
                ),
            )
            .at(at));
        }
        if chosen.returns == Type::Record {
            return Err(Error::unsupported("a function of several columns here is").at(at));
        }
        let mut sets = s.sets.borrow_mut();
        if !sets.is_empty() {
            return Err(Error::unsupported(
                "more than one set-returning function in a select list is",
            )
            .at(at));
        }
        sets.push((function, chosen.args));
        Ok(column(SET, chosen.returns))
    }

    /// A function in FROM. `s` holds the rows that it may refer to.
    pub(super) fn call_in_from(
        &self,
        name: &ast::Name,
        args: &[ast::Expr],
        at: Position,
        s: &Scope<'_>,
    ) -> Result<FromCall> {
        let call = ast::Call {
            name: name.clone(),
            args: args.to_vec(),
            star: false,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            over: false,
            variadic: false,
        };
        let plain = self.callee_name(&call, at)?;
        let sets = func::functions(plain).any(|f| matches!(f.eval, Eval::Set(_)));
        if !sets {
            return Ok(FromCall::Scalar(self.call(&call, at, s)?.expr));
        }
        let chosen = self.choose(plain, self.exprs(args, s)?, at)?;
        match chosen.callee {
            Callee::Function(function) if matches!(function.eval, Eval::Set(_)) => {
                Ok(FromCall::Set {
                    function,
                    args: chosen.args,
                    returns: chosen.returns,
                })
            }
            Callee::Function(function) => Ok(FromCall::Scalar(self.call_or_constant(
                function,
                chosen.args,
                chosen.returns,
            ))),
            Callee::Aggregate(_) => Err(not_allowed(Place::FromFunction, at)),
        }
    }

    /// Picks among all functions and aggregates of a name.
    fn choose(&self, name: &str, args: Vec<Typed>, at: Position) -> Result<Chosen> {
        let inputs: Vec<Type> = args.iter().map(|a| a.expr.ty).collect();
        let functions = func::functions(name).filter_map(|f| {
            let args = stretched(f, inputs.len())?;
            let what = Callee::Function(f);
            Some(Candidate { what, args })
        });
        let aggregates = func::aggregates(name).map(|a| Candidate {
            what: Callee::Aggregate(a),
            args: a.args.to_vec(),
        });
        let candidates: Vec<Candidate<Callee>> = functions.chain(aggregates).collect();
        let exact = candidates.iter().find(|c| c.args == inputs);
        let choice = match exact {
            Some(exact) => Choice::One(Candidate {
                what: exact.what,
                args: exact.args.clone(),
            }),
            None if resolve::takes_interval_too(name, &inputs) => Choice::Ambiguous,
            None => resolve::choose(candidates, &inputs),
        };
        let chosen = match choice {
            Choice::One(chosen) => chosen,
            Choice::Nothing => return Err(no_function(name, &inputs, at)),
            Choice::Ambiguous => return Err(ambiguous_function(name, &inputs, at)),
        };
        let concrete =
            resolve::unify(&chosen.args, &inputs).ok_or_else(|| no_function(name, &inputs, at))?;
        let types = concrete.args(&chosen.args, &inputs, at)?;
        let convert = |(arg, ty)| self.coerce(arg, ty, CastContext::Implicit);
        let args = args
            .into_iter()
            .zip(types)
            .map(convert)
            .collect::<Result<_>>()?;
        let declared = match chosen.what {
            Callee::Function(f) => f.returns,
            Callee::Aggregate(a) => a.returns,
        };
        Ok(Chosen {
            callee: chosen.what,
            args,
            returns: concrete.result(declared, at)?,
        })
    }

    /// Records an aggregate with its SELECT; the result stands for its value.
    fn aggregate_call(
        &self,
        name: &str,
        call: &ast::Call,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<Expr> {
        let place = s.place.replace(Place::AggregateArgument);
        let bound = self.aggregate_parts(name, call, at, s);
        s.place.set(place);
        let (chosen, order_by, filter) = bound?;
        let Callee::Aggregate(aggregate) = chosen.callee else {
            not_an_aggregate(name, call, at)?;
            let Callee::Function(function) = chosen.callee else {
                return Err(no_function(name, &[], at));
            };
            return Ok(self.call_or_constant(function, chosen.args, chosen.returns));
        };
        if place == Place::AggregateArgument {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate function calls cannot be nested",
            )
            .at(at));
        }
        let record = AggregateCall {
            aggregate,
            args: chosen.args,
            distinct: call.distinct,
            order_by,
            filter,
        };
        if belongs_outside(&record) {
            return Err(Error::unsupported("aggregates over rows of an outer query are").at(at));
        }
        if !place.allows_aggregates() {
            return Err(not_allowed(place, at));
        }
        if record.distinct {
            check_distinct_order(&record, call, at)?;
        }
        Ok(column(
            AGGREGATE + add_aggregate(&mut s.aggregates.borrow_mut(), record),
            chosen.returns,
        ))
    }

    fn aggregate_parts(
        &self,
        name: &str,
        call: &ast::Call,
        at: Position,
        s: &Scope<'_>,
    ) -> Result<(Chosen, Vec<SortKey>, Option<Expr>)> {
        let args = self.exprs(&call.args, s)?;
        if args.is_empty() && !call.star && func::aggregates(name).any(|a| a.args.is_empty()) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) must be used to call a parameterless aggregate function"),
            )
            .at(at));
        }
        let chosen = self.choose(name, args, at)?;
        let order_by = call.order_by.iter().map(|key| {
            let value = self.expr(&key.expr, s)?;
            Ok(SortKey {
                expr: self.settle(value)?,
                descending: key.descending,
                nulls_first: key.nulls_first.unwrap_or(key.descending),
            })
        });
        let order_by = order_by.collect::<Result<_>>()?;
        let filter = call.filter.as_ref().map(|filter| {
            let place = s.place.replace(Place::Filter);
            let filter = self.boolean(filter, s, "FILTER");
            s.place.set(place);
            filter
        });
        Ok((chosen, order_by, filter.transpose()?))
    }
}

/// The error of a function that does not exist names it as it was written.
fn qualified(error: Error, name: &str, call: &ast::Call) -> Error {
    if call.name.parts.len() < 2 || error.sqlstate() != SqlState::UNDEFINED_FUNCTION {
        return error;
    }
    let inner = format!("function {name}(");
    let Error::Report(mut report) = error else {
        return error;
    };
    if let Some(rest) = report.message.strip_prefix(&inner) {
        report.message = format!("function {}({rest}", dotted(&call.name));
    }
    Error::Report(report)
}

fn is_aggregate(name: &str) -> bool {
    func::aggregates(name).next().is_some()
}

/// The signature for `count` arguments: the last type of a variadic one is repeated.
fn stretched(function: &Function, count: usize) -> Option<Vec<Type>> {
    let mut args = function.args.to_vec();
    if function.variadic && count > args.len() {
        let last = *args.last()?;
        args.resize(count, last);
    }
    (args.len() == count).then_some(args)
}

fn not_an_aggregate(name: &str, call: &ast::Call, at: Position) -> Result<()> {
    let what = match call {
        _ if call.variadic => return Err(Error::unsupported("VARIADIC arguments are").at(at)),
        _ if call.star => "(*)",
        _ if call.distinct => "DISTINCT",
        _ if !call.order_by.is_empty() => "ORDER BY",
        _ if call.filter.is_some() => "FILTER",
        _ => return Ok(()),
    };
    if func::functions(name).next().is_none() {
        return Ok(());
    }
    let message = match what {
        "(*)" => format!("{name}(*) specified, but {name} is not an aggregate function"),
        _ => format!("{what} specified, but {name} is not an aggregate function"),
    };
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(at))
}

fn not_allowed(place: Place, at: Position) -> Error {
    Error::new(
        SqlState::GROUPING_ERROR,
        format!("aggregate functions are not allowed in {}", place.name()),
    )
    .at(at)
}

/// An aggregate belongs to the innermost query whose columns its arguments name.
fn belongs_outside(call: &AggregateCall) -> bool {
    let (mut own, mut outer) = (false, false);
    for arg in &call.args {
        references(
            &mut arg.clone(),
            0,
            &mut |reference, depth| match reference.kind {
                ExprKind::Outer { level, .. } if level > depth => outer = true,
                ExprKind::Outer { level, .. } => own |= level == depth,
                _ => own |= depth == 0,
            },
        );
    }
    outer && !own
}

fn check_distinct_order(call: &AggregateCall, written: &ast::Call, at: Position) -> Result<()> {
    let is_arg = |key: &SortKey| call.args.iter().any(|a| same(a, &key.expr, &untagged));
    match call.order_by.iter().position(|key| !is_arg(key)) {
        None => Ok(()),
        Some(i) => Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
        )
        .at(written.order_by.get(i).map_or(at, |key| key.expr.position))),
    }
}

/// Equal aggregates are computed once. The place of this one.
fn add_aggregate(aggregates: &mut Vec<AggregateCall>, call: AggregateCall) -> usize {
    let equal = |other: &AggregateCall| {
        std::ptr::eq(other.aggregate, call.aggregate)
            && other.distinct == call.distinct
            && other.args.len() == call.args.len()
            && other
                .args
                .iter()
                .zip(&call.args)
                .all(|(a, b)| same(a, b, &untagged))
            && same_keys(&other.order_by, &call.order_by, &untagged)
            && match (&other.filter, &call.filter) {
                (None, None) => true,
                (Some(a), Some(b)) => same(a, b, &untagged),
                _ => false,
            }
    };
    match aggregates.iter().position(equal) {
        Some(i) => i,
        None => {
            aggregates.push(call);
            aggregates.len() - 1
        }
    }
}

fn signature(name: &str, inputs: &[Type]) -> String {
    let types: Vec<&str> = inputs.iter().map(|t| t.sql_name()).collect();
    format!("{name}({})", types.join(", "))
}

fn no_function(name: &str, inputs: &[Type], at: Position) -> Error {
    Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {} does not exist", signature(name, inputs)),
    )
    .with_hint(
        "No function matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
    .at(at)
}

fn ambiguous_function(name: &str, inputs: &[Type], at: Position) -> Error {
    Error::new(
        SqlState::AMBIGUOUS_FUNCTION,
        format!("function {} is not unique", signature(name, inputs)),
    )
    .with_hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
    .at(at)
}
