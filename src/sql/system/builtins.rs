//! Rows that are the same in every database: operators, casts, collations, access methods.

use crate::sql::func::{
    CastContext, CastMethod, Comparison, EvalContext, Operator, all_casts, all_operators, operators,
};
use crate::types::Type;

use super::names::PG_CATALOG_OID;
use super::roles::ROLE_OID;
use super::values::{NULL, array, boolean, int4, letter, oid, text};
use super::{Rows, procs};

pub(super) const HEAP_OID: u32 = 2;
pub(super) const BTREE_OID: u32 = 403;
pub(super) const PG_DEFAULT_OID: u32 = 1663;
pub(super) const COLLATION_DEFAULT_OID: u32 = 100;
pub(super) const COLLATION_C_OID: u32 = 950;

const FIRST_OPERATOR_OID: u32 = 12000;
const FIRST_CAST_OID: u32 = 13500;

pub(super) fn pg_am(_: &EvalContext<'_>) -> Rows {
    let row = |number, name: &str, handler, kind| {
        vec![oid(number), text(name), oid(handler), letter(kind)]
    };
    vec![
        row(HEAP_OID, "heap", 3, b't'),
        row(BTREE_OID, "btree", 330, b'i'),
    ]
}

pub(super) fn pg_collation(_: &EvalContext<'_>) -> Rows {
    let row = |number, name: &str, provider, locale: Option<&str>| {
        let locale = locale.map_or(NULL, text);
        vec![
            oid(number),
            text(name),
            oid(PG_CATALOG_OID),
            oid(ROLE_OID),
            letter(provider),
            boolean(true), // collisdeterministic
            int4(-1),      // collencoding
            locale.clone(),
            locale,
            NULL, // colliculocale
            NULL, // collversion
        ]
    };
    vec![
        row(COLLATION_DEFAULT_OID, "default", b'd', None),
        row(COLLATION_C_OID, "C", b'c', Some("C")),
        row(951, "POSIX", b'c', Some("POSIX")),
    ]
}

pub(super) fn pg_language(_: &EvalContext<'_>) -> Rows {
    vec![vec![
        oid(procs::INTERNAL_LANGUAGE_OID),
        text("internal"),
        oid(ROLE_OID),
        boolean(false), // lanispl
        boolean(false), // lanpltrusted
        oid(0),         // lanplcallfoid
        oid(0),         // laninline
        oid(0),         // lanvalidator
        NULL,           // lanacl
    ]]
}

pub(super) fn pg_tablespace(_: &EvalContext<'_>) -> Rows {
    let row = |number, name: &str| vec![oid(number), text(name), oid(ROLE_OID), NULL, NULL];
    vec![row(PG_DEFAULT_OID, "pg_default"), row(1664, "pg_global")]
}

/// The operators that answer the opposite.
static NEGATORS: &[(&str, &str)] = &[
    ("=", "<>"),
    ("<", ">="),
    (">", "<="),
    ("~~", "!~~"),
    ("~~*", "!~~*"),
    ("~", "!~"),
    ("~*", "!~*"),
    ("~<~", "~>=~"),
    ("~>~", "~<=~"),
];

fn negator(symbol: &str) -> Option<&'static str> {
    NEGATORS.iter().find_map(|(a, b)| match symbol {
        s if s == *a => Some(*b),
        s if s == *b => Some(*a),
        _ => None,
    })
}

pub(super) fn pg_operator(_: &EvalContext<'_>) -> Rows {
    let numbered = || all_operators().zip(FIRST_OPERATOR_OID..);
    // By address, since operators are static.
    let oids: rustc_hash::FxHashMap<*const Operator, u32> = numbered()
        .map(|(o, number)| (std::ptr::from_ref(o), number))
        .collect();
    let find = |symbol: Option<&str>, left: Option<Type>, right: Type| {
        let mut found = symbol.into_iter().flat_map(operators);
        let found = found.find(|o| o.left == left && o.right == right);
        found
            .and_then(|o| oids.get(&std::ptr::from_ref(o)).copied())
            .unwrap_or(0)
    };
    numbered()
        .map(|(operator, number)| {
            let (left, right) = (operator.left, operator.right);
            let negator =
                negator(operator.symbol).filter(|_| operator.function.returns == Type::Bool);
            let commutator = left.map_or(0, |left| find(operator.commutator, Some(right), left));
            let equal = operator.strategy == Some(Comparison::Equal);
            vec![
                oid(number),
                text(operator.symbol),
                oid(PG_CATALOG_OID),
                oid(ROLE_OID),
                letter(if left.is_some() { b'b' } else { b'l' }),
                boolean(equal), // oprcanmerge
                boolean(equal), // oprcanhash
                oid(left.map_or(0, |ty| ty.oid().0)),
                oid(right.oid().0),
                oid(operator.function.returns.oid().0),
                oid(commutator),
                oid(find(negator, left, right)),
                oid(procs::oid(operator.function)),
                oid(0), // oprrest
                oid(0), // oprjoin
            ]
        })
        .collect()
}

pub(super) fn pg_cast(_: &EvalContext<'_>) -> Rows {
    all_casts()
        .zip(FIRST_CAST_OID..)
        .map(|(cast, number)| {
            let function = match &cast.method {
                CastMethod::Function(function) if !function.name.is_empty() => procs::oid(function),
                _ => 0,
            };
            vec![
                oid(number),
                oid(cast.from.oid().0),
                oid(cast.to.oid().0),
                oid(function),
                letter(match cast.context {
                    CastContext::Implicit => b'i',
                    CastContext::Assignment => b'a',
                    CastContext::Explicit => b'e',
                }),
                letter(if function == 0 { b'b' } else { b'f' }),
            ]
        })
        .collect()
}

/// An array of zeros where PostgreSQL names objects that have no rows here (operator classes).
pub(super) fn zeros(n: usize) -> crate::types::Datum {
    array((0..n).map(|_| oid(0)))
}
