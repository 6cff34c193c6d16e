//! Arrays of any element type. They have one dimension with lower bound 1, or none when empty.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{eval, function, operator, rows, text, wrong_argument};
use crate::sql::func::text::output;
use crate::sql::func::{Eval, EvalContext, Function, Operator, Rows};
use crate::types::Type::{AnyArray, AnyElement, Bool, Int4, Int4Array, Text, TextArray};
use crate::types::{Array, Datum, Type, compare};

/// A comparison of two arrays of one type.
macro_rules! comparison {
    ($symbol:literal, $name:literal, $is:ident; commutator $commutator:literal $(, $strategy:ident)?) => {
        operator!(AnyArray $symbol AnyArray => Bool, $name,
            Eval::Typed(|_, types, args| Ok(Datum::Bool(order(types, args)?.$is())));
            commutator $commutator $(, $strategy)?)
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[&[
    comparison!("=", "array_eq", is_eq; commutator "=", Equal),
    comparison!("<>", "array_ne", is_ne; commutator "<>"),
    comparison!("<", "array_lt", is_lt; commutator ">", Less),
    comparison!("<=", "array_le", is_le; commutator ">=", LessEqual),
    comparison!(">", "array_gt", is_gt; commutator "<", Greater),
    comparison!(">=", "array_ge", is_ge; commutator "<=", GreaterEqual),
    operator!(AnyArray "@>" AnyArray => Bool, "arraycontains",
        Eval::Typed(|_, types, args| contains(types, args, false)); commutator "<@"),
    operator!(AnyArray "<@" AnyArray => Bool, "arraycontained",
        Eval::Typed(|_, types, args| contains(types, args, true)); commutator "@>"),
    operator!(AnyArray "&&" AnyArray => Bool, "arrayoverlap", Eval::Typed(overlap);
        commutator "&&"),
    operator!(sees_null AnyArray "||" AnyElement => AnyArray, "array_append", Eval::F2(append)),
    operator!(sees_null AnyElement "||" AnyArray => AnyArray, "array_prepend", Eval::F2(prepend)),
    operator!(sees_null AnyArray "||" AnyArray => AnyArray, "array_cat", Eval::F2(cat)),
]];

pub(super) static FUNCTIONS: &[&[Function]] = &[
    &[
        function(
            "array_length",
            &[AnyArray, Int4],
            Int4,
            eval!(|a: Array, n: Int4| Ok(bound(a, *n, length(a)))),
        ),
        function(
            "array_upper",
            &[AnyArray, Int4],
            Int4,
            eval!(|a: Array, n: Int4| Ok(bound(a, *n, length(a)))),
        ),
        function(
            "array_lower",
            &[AnyArray, Int4],
            Int4,
            eval!(|a: Array, n: Int4| Ok(bound(a, *n, 1))),
        ),
        function(
            "array_ndims",
            &[AnyArray],
            Int4,
            eval!(|a: Array| Ok(bound(a, 1, 1))),
        ),
        function(
            "array_dims",
            &[AnyArray],
            Text,
            eval!(|a: Array| match length(a) {
                0 => Ok(Datum::Null),
                n => text(format!("[1:{n}]")),
            }),
        ),
        function(
            "cardinality",
            &[AnyArray],
            Int4,
            eval!(|a: Array| Ok(Datum::Int4(length(a)))),
        ),
        function(
            "array_position",
            &[AnyArray, AnyElement],
            Int4,
            Eval::Typed(position),
        )
        .sees_null(),
        function(
            "array_position",
            &[AnyArray, AnyElement, Int4],
            Int4,
            Eval::Typed(position),
        )
        .sees_null(),
        function(
            "array_positions",
            &[AnyArray, AnyElement],
            Int4Array,
            Eval::Typed(positions),
        )
        .sees_null(),
        function(
            "array_remove",
            &[AnyArray, AnyElement],
            AnyArray,
            Eval::Typed(remove),
        )
        .sees_null(),
        function(
            "array_replace",
            &[AnyArray, AnyElement, AnyElement],
            AnyArray,
            Eval::Typed(replace),
        )
        .sees_null(),
    ],
    &[
        function(
            "array_to_string",
            &[AnyArray, Text],
            Text,
            Eval::Typed(to_string),
        )
        .stable(),
        function(
            "array_to_string",
            &[AnyArray, Text, Text],
            Text,
            Eval::Typed(to_string),
        )
        .sees_null()
        .stable(),
        function(
            "string_to_array",
            &[Text, Text],
            TextArray,
            Eval::F2(|_, s, by| from_string(s, by, &Datum::Null)),
        )
        .sees_null(),
        function(
            "string_to_array",
            &[Text, Text, Text],
            TextArray,
            Eval::F3(|_, s, by, null| from_string(s, by, null)),
        )
        .sees_null(),
        function(
            "string_to_table",
            &[Text, Text],
            Text,
            Eval::Set(string_to_table),
        )
        .sees_null(),
        function(
            "string_to_table",
            &[Text, Text, Text],
            Text,
            Eval::Set(string_to_table),
        )
        .sees_null(),
        function("unnest", &[AnyArray], AnyElement, Eval::Set(unnest)),
        function(
            "generate_subscripts",
            &[AnyArray, Int4],
            Int4,
            Eval::Set(subscripts),
        ),
        function(
            "generate_subscripts",
            &[AnyArray, Int4, Bool],
            Int4,
            Eval::Set(subscripts),
        ),
    ],
];

pub(super) fn array(elements: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(Array { elements }))
}

fn length(a: &Array) -> i32 {
    i32::try_from(a.elements.len()).unwrap_or(i32::MAX)
}

/// A fact about dimension `n`: NULL unless it is the only one.
fn bound(a: &Array, n: i32, value: i32) -> Datum {
    if n == 1 && !a.elements.is_empty() {
        Datum::Int4(value)
    } else {
        Datum::Null
    }
}

fn element_type(types: &[Type]) -> Result<Type> {
    match types.first().and_then(|ty| ty.element()) {
        Some(ty) => Ok(ty),
        None => wrong_argument(),
    }
}

/// NULLs are equal and above everything else.
fn compare_elements(ty: Type, a: &Datum, b: &Datum) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => compare(ty, a, b),
        (a_null, b_null) => a_null.cmp(&b_null),
    }
}

fn order(types: &[Type], args: &[Datum]) -> Result<Ordering> {
    let ty = element_type(types)?;
    let [Datum::Array(a), Datum::Array(b)] = args else {
        return wrong_argument();
    };
    let mut pairs = a.elements.iter().zip(&b.elements);
    let differ = pairs.find_map(|(a, b)| match compare_elements(ty, a, b) {
        Ordering::Equal => None,
        order => Some(order),
    });
    Ok(differ.unwrap_or_else(|| a.elements.len().cmp(&b.elements.len())))
}

/// Whether a value is among the elements; NULL never is.
fn has(ty: Type, elements: &[Datum], value: &Datum) -> bool {
    !value.is_null()
        && elements
            .iter()
            .any(|e| !e.is_null() && compare(ty, e, value).is_eq())
}

fn contains(types: &[Type], args: &[Datum], swapped: bool) -> Result<Datum> {
    let ty = element_type(types)?;
    let [Datum::Array(a), Datum::Array(b)] = args else {
        return wrong_argument();
    };
    let (whole, part) = if swapped { (b, a) } else { (a, b) };
    Ok(Datum::Bool(
        part.elements.iter().all(|x| has(ty, &whole.elements, x)),
    ))
}

fn overlap(_: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    let [Datum::Array(a), Datum::Array(b)] = args else {
        return wrong_argument();
    };
    Ok(Datum::Bool(
        b.elements.iter().any(|x| has(ty, &a.elements, x)),
    ))
}

fn elements(a: &Datum) -> Result<&[Datum]> {
    match a {
        Datum::Array(a) => Ok(&a.elements),
        Datum::Null => Ok(&[]),
        _ => wrong_argument(),
    }
}

fn append(_: &EvalContext<'_>, a: &Datum, x: &Datum) -> Result<Datum> {
    Ok(array([elements(a)?, std::slice::from_ref(x)].concat()))
}

fn prepend(_: &EvalContext<'_>, x: &Datum, a: &Datum) -> Result<Datum> {
    Ok(array([std::slice::from_ref(x), elements(a)?].concat()))
}

fn cat(_: &EvalContext<'_>, a: &Datum, b: &Datum) -> Result<Datum> {
    match (a, b) {
        (Datum::Null, other) | (other, Datum::Null) => Ok(other.clone()),
        _ => Ok(array([elements(a)?, elements(b)?].concat())),
    }
}

/// Here NULL equals NULL.
fn same(ty: Type, a: &Datum, b: &Datum) -> bool {
    compare_elements(ty, a, b).is_eq()
}

fn position(_: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    let (a, x, start) = match args {
        [Datum::Null, ..] => return Ok(Datum::Null),
        [Datum::Array(a), x] => (a, x, 1),
        [Datum::Array(a), x, Datum::Int4(start)] => (a, x, *start),
        [Datum::Array(_), _, Datum::Null] => {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "initial position must not be null",
            ));
        }
        _ => return wrong_argument(),
    };
    let numbered = a.elements.iter().zip(1..);
    let found = numbered
        .skip_while(|(_, n)| *n < start)
        .find(|(e, _)| same(ty, e, x));
    Ok(found.map_or(Datum::Null, |(_, n)| Datum::Int4(n)))
}

fn positions(_: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    match args {
        [Datum::Null, _] => Ok(Datum::Null),
        [Datum::Array(a), x] => {
            let numbered = a.elements.iter().zip(1..);
            let found = numbered.filter(|(e, _)| same(ty, e, x));
            Ok(array(found.map(|(_, n)| Datum::Int4(n)).collect()))
        }
        _ => wrong_argument(),
    }
}

fn remove(_: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    match args {
        [Datum::Null, _] => Ok(Datum::Null),
        [Datum::Array(a), x] => {
            let kept = a.elements.iter().filter(|e| !same(ty, e, x));
            Ok(array(kept.cloned().collect()))
        }
        _ => wrong_argument(),
    }
}

fn replace(_: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    match args {
        [Datum::Null, _, _] => Ok(Datum::Null),
        [Datum::Array(a), old, new] => {
            let replaced = a
                .elements
                .iter()
                .map(|e| if same(ty, e, old) { new } else { e });
            Ok(array(replaced.cloned().collect()))
        }
        _ => wrong_argument(),
    }
}

/// NULL elements are left out, or written as the third argument says.
fn to_string(cx: &EvalContext<'_>, types: &[Type], args: &[Datum]) -> Result<Datum> {
    let ty = element_type(types)?;
    let [Datum::Array(a), Datum::Text(by), rest @ ..] = args else {
        return Ok(Datum::Null);
    };
    let mut parts = Vec::with_capacity(a.elements.len());
    for element in &a.elements {
        match (element, rest.first()) {
            (Datum::Null, Some(Datum::Text(null))) => parts.push(null.clone()),
            (Datum::Null, _) => {}
            _ => parts.push(output(cx, ty, element)?),
        }
    }
    text(parts.join(by))
}

/// NULL splits into characters, an empty separator splits nothing.
fn split(s: &str, by: &Datum, null: &Datum) -> Result<Vec<Datum>> {
    let parts: Vec<String> = match by {
        _ if s.is_empty() => Vec::new(),
        Datum::Null => s.chars().map(String::from).collect(),
        Datum::Text(by) if by.is_empty() => vec![s.to_owned()],
        Datum::Text(by) => s.split(by.as_str()).map(str::to_owned).collect(),
        _ => return wrong_argument(),
    };
    Ok(parts
        .into_iter()
        .map(|part| match null {
            Datum::Text(null) if *null == part => Datum::Null,
            _ => Datum::Text(part),
        })
        .collect())
}

fn from_string(s: &Datum, by: &Datum, null: &Datum) -> Result<Datum> {
    match s {
        Datum::Null => Ok(Datum::Null),
        Datum::Text(s) => split(s, by, null).map(array),
        _ => wrong_argument(),
    }
}

fn string_to_table(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let (s, by, null) = match args {
        [Datum::Null, ..] => return Ok(rows([])),
        [Datum::Text(s), by] => (s, by, &Datum::Null),
        [Datum::Text(s), by, null] => (s, by, null),
        _ => return wrong_argument(),
    };
    Ok(rows(split(s, by, null)?))
}

fn unnest(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    match args {
        [Datum::Array(a)] => Ok(rows(a.elements.clone())),
        _ => wrong_argument(),
    }
}

fn subscripts(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let (a, dimension, reverse) = match args {
        [Datum::Array(a), Datum::Int4(n)] => (a, *n, false),
        [Datum::Array(a), Datum::Int4(n), Datum::Bool(reverse)] => (a, *n, *reverse),
        _ => return wrong_argument(),
    };
    if dimension != 1 {
        return Ok(rows([]));
    }
    let subscripts = (1..=length(a)).map(Datum::Int4);
    Ok(match reverse {
        true => rows(subscripts.rev()),
        false => rows(subscripts),
    })
}
