//! The choice among overloads: PostgreSQL's documentation, 10.2 (operators) and 10.3 (functions).

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::Position;
use crate::sql::bind::coerce::can_coerce;
use crate::sql::func::{self, CastContext, Function};
use crate::types::{Category, Type};

/// Something that may be meant, with its signature stretched to the number of arguments.
pub(super) struct Candidate<T> {
    pub(super) what: T,
    pub(super) args: Vec<Type>,
}

pub(super) enum Choice<T> {
    One(Candidate<T>),
    Ambiguous,
    Nothing,
}

/// An operator with the types its operands are to be converted to.
pub(super) struct ChosenOperator {
    pub(super) function: &'static Function,
    pub(super) left: Option<Type>,
    pub(super) right: Type,
    pub(super) returns: Type,
}

/// Picks an operator for operands of these types; `left: None` is a prefix operator.
pub(super) fn operator(
    symbol: &str,
    left: Option<Type>,
    right: Type,
    at: Position,
) -> Result<ChosenOperator> {
    let symbol = if symbol == "!=" { "<>" } else { symbol };
    let inputs: Vec<Type> = left.into_iter().chain([right]).collect();
    let candidates: Vec<Candidate<&'static Function>> = func::operators(symbol)
        .filter(|o| o.left.is_some() == left.is_some())
        .filter(|o| !appends_array_to_text(symbol, (o.left, o.right), (left, right)))
        .map(|o| Candidate {
            what: o.function,
            args: o.left.into_iter().chain([o.right]).collect(),
        })
        .collect();
    let assumed = assume_same(&inputs);
    let exact = candidates.iter().position(|c| c.args == assumed);
    let choice = match exact {
        Some(i) => Choice::One(Candidate {
            what: candidates[i].what,
            args: candidates[i].args.clone(),
        }),
        None if takes_interval_too(symbol, &inputs) => Choice::Ambiguous,
        None => choose(candidates, &inputs),
    };
    let chosen = match choice {
        Choice::One(chosen) => chosen,
        Choice::Ambiguous => return Err(ambiguous_operator(symbol, left, right, at)),
        Choice::Nothing => return Err(no_operator(symbol, left, right, at)),
    };
    let concrete =
        unify(&chosen.args, &inputs).ok_or_else(|| no_operator(symbol, left, right, at))?;
    let args = concrete.args(&chosen.args, &inputs, at)?;
    Ok(ChosenOperator {
        function: chosen.what,
        left: left.map(|_| args[0]),
        right: args[args.len() - 1],
        returns: concrete.result(chosen.what.returns, at)?,
    })
}

/// `text || any` takes any value but an array (PostgreSQL's anynonarray).
fn appends_array_to_text(
    symbol: &str,
    declared: (Option<Type>, Type),
    given: (Option<Type>, Type),
) -> bool {
    let is_array = |ty: Type| ty.element().is_some();
    symbol == "||"
        && match declared {
            (Some(Type::Text), Type::AnyElement) => is_array(given.1),
            (Some(Type::AnyElement), Type::Text) => given.0.is_some_and(is_array),
            _ => false,
        }
}

/// A literal beside a typed operand is assumed to be of its type (10.2, rule 2a).
fn assume_same(inputs: &[Type]) -> Vec<Type> {
    match *inputs {
        [Type::Unknown, right] => vec![right, right],
        [left, Type::Unknown] => vec![left, left],
        _ => inputs.to_vec(),
    }
}

/// Whether PostgreSQL has this for numbers and for intervals, so that a literal alone does not tell
/// which is meant. There are no intervals here to be candidates.
pub(super) fn takes_interval_too(name: &str, inputs: &[Type]) -> bool {
    inputs == [Type::Unknown] && matches!(name, "-" | "sum" | "avg")
}

/// Among the candidates that implicit casts reach, the best by PostgreSQL's rules. The caller has
/// looked for an exact match.
pub(super) fn choose<T>(mut candidates: Vec<Candidate<T>>, inputs: &[Type]) -> Choice<T> {
    candidates.retain(|c| accepts(&c.args, inputs));
    if candidates.len() > 1 {
        keep_best(&mut candidates, |c| {
            count(c, inputs, |arg, input| arg == input)
        });
    }
    if candidates.len() > 1 {
        keep_best(&mut candidates, |c| {
            count(c, inputs, |arg, input| {
                arg == input || (arg.is_preferred() && arg.category() == input.category())
            })
        });
    }
    if candidates.len() > 1 {
        keep_likely_literals(&mut candidates, inputs);
    }
    if candidates.len() > 1 {
        keep_known_type(&mut candidates, inputs);
    }
    match candidates.len() {
        0 => Choice::Nothing,
        1 => candidates.pop().map_or(Choice::Nothing, Choice::One),
        _ => Choice::Ambiguous,
    }
}

fn count<T>(c: &Candidate<T>, inputs: &[Type], matches: impl Fn(Type, Type) -> bool) -> usize {
    let known = c
        .args
        .iter()
        .zip(inputs)
        .filter(|(_, i)| **i != Type::Unknown);
    known.filter(|(arg, input)| matches(**arg, **input)).count()
}

fn keep_best<T>(candidates: &mut Vec<Candidate<T>>, score: impl Fn(&Candidate<T>) -> usize) {
    let best = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.retain(|c| score(c) == best);
}

/// At each literal: strings if a candidate takes one, else the category that all agree on; within
/// it the preferred type if a candidate takes it (10.3, rule 4e).
fn keep_likely_literals<T>(candidates: &mut Vec<Candidate<T>>, inputs: &[Type]) {
    let literals = || (0..inputs.len()).filter(|&i| inputs[i] == Type::Unknown);
    let mut wanted: Vec<(usize, Category, bool)> = Vec::new();
    for i in literals() {
        let slot: Vec<Type> = candidates.iter().map(|c| c.args[i]).collect();
        let string = slot.iter().any(|t| t.category() == Category::String);
        let category = if string {
            Category::String
        } else {
            slot[0].category()
        };
        if !string && slot.iter().any(|t| t.category() != category) {
            return;
        }
        let preferred = slot
            .iter()
            .any(|t| t.category() == category && t.is_preferred());
        wanted.push((i, category, preferred));
    }
    let fits = |c: &Candidate<T>| {
        wanted.iter().all(|&(i, category, preferred)| {
            c.args[i].category() == category && (!preferred || c.args[i].is_preferred())
        })
    };
    if candidates.iter().any(fits) {
        candidates.retain(fits);
    }
}

/// If all typed arguments are of one type, the literals are assumed to be too (10.3, rule 4f).
fn keep_known_type<T>(candidates: &mut Vec<Candidate<T>>, inputs: &[Type]) {
    let mut known = inputs.iter().filter(|t| **t != Type::Unknown);
    let Some(&first) = known.next() else {
        return;
    };
    if known.any(|t| *t != first) || !inputs.contains(&Type::Unknown) {
        return;
    }
    let assumed = vec![first; inputs.len()];
    let fits = |c: &Candidate<T>| accepts(&c.args, &assumed);
    if candidates.iter().filter(|c| fits(c)).count() == 1 {
        candidates.retain(fits);
    }
}

fn accepts(args: &[Type], inputs: &[Type]) -> bool {
    args.len() == inputs.len()
        && unify(args, inputs).is_some()
        && args.iter().zip(inputs).all(|(&arg, &input)| {
            is_polymorphic(arg) || can_coerce(input, arg, CastContext::Implicit)
        })
}

fn is_polymorphic(ty: Type) -> bool {
    matches!(ty, Type::AnyElement | Type::AnyArray | Type::Any)
}

/// What the polymorphic types of a signature stand for in one call.
pub(super) struct Concrete {
    element: Option<Type>,
}

/// `None` when the arguments do not agree.
pub(super) fn unify(args: &[Type], inputs: &[Type]) -> Option<Concrete> {
    let mut element = None;
    for (&arg, &input) in args.iter().zip(inputs) {
        if input == Type::Unknown {
            continue;
        }
        let of_input = match arg {
            Type::AnyElement => input,
            Type::AnyArray => input.element()?,
            _ => continue,
        };
        if *element.get_or_insert(of_input) != of_input {
            return None;
        }
    }
    Some(Concrete { element })
}

impl Concrete {
    /// The types to convert the arguments to.
    pub(super) fn args(&self, args: &[Type], inputs: &[Type], at: Position) -> Result<Vec<Type>> {
        let concrete = |(&arg, &input): (&Type, &Type)| match (arg, input) {
            (Type::Any, Type::Unknown) => Ok(Type::Text),
            (Type::Any, known) => Ok(known),
            _ => self.result(arg, at),
        };
        args.iter().zip(inputs).map(concrete).collect()
    }

    pub(super) fn result(&self, declared: Type, at: Position) -> Result<Type> {
        let concrete = match declared {
            Type::AnyElement => self.element,
            Type::AnyArray => self
                .element
                .map(|e| e.array().ok_or(e))
                .transpose()
                .map_err(|e| {
                    Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("could not find array type for data type {}", e.sql_name()),
                    )
                    .at(at)
                })?,
            _ => Some(declared),
        };
        concrete.ok_or_else(|| {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                "could not determine polymorphic type because input has type unknown",
            )
        })
    }
}

fn shown(symbol: &str, left: Option<Type>, right: Type) -> String {
    match left {
        Some(left) => format!("{} {symbol} {}", left.sql_name(), right.sql_name()),
        None => format!("{symbol} {}", right.sql_name()),
    }
}

fn no_operator(symbol: &str, left: Option<Type>, right: Type, at: Position) -> Error {
    let hint = match left {
        Some(_) => {
            "No operator matches the given name and argument types. You might need to add \
             explicit type casts."
        }
        None => {
            "No operator matches the given name and argument type. You might need to add an \
             explicit type cast."
        }
    };
    Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {}", shown(symbol, left, right)),
    )
    .with_hint(hint)
    .at(at)
}

fn ambiguous_operator(symbol: &str, left: Option<Type>, right: Type, at: Position) -> Error {
    Error::new(
        SqlState::AMBIGUOUS_FUNCTION,
        format!("operator is not unique: {}", shown(symbol, left, right)),
    )
    .with_hint(
        "Could not choose a best candidate operator. You might need to add explicit type casts.",
    )
    .at(at)
}
