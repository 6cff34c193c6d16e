//! What a function means to an index or a hash table.

use crate::sql::func::{self, Comparison, Function};

/// The comparison a function computes, if it is behind a comparison operator.
pub(crate) fn strategy(function: &'static Function) -> Option<Comparison> {
    ["=", "<", "<=", ">", ">="].iter().find_map(|symbol| {
        let behind = func::operators(symbol).find(|op| std::ptr::eq(op.function, function));
        behind.and_then(|op| op.strategy)
    })
}

pub(crate) fn is_equality(function: &'static Function) -> bool {
    strategy(function) == Some(Comparison::Equal)
}

pub(crate) fn is_inequality(function: &'static Function) -> bool {
    func::operators("<>").any(|op| std::ptr::eq(op.function, function))
}

/// The comparison with its sides exchanged.
pub(crate) fn flipped(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Equal => Comparison::Equal,
        Comparison::GreaterEqual => Comparison::LessEqual,
        Comparison::Greater => Comparison::Less,
    }
}
