//! boolean.

use crate::sql::func::define::{comparisons, eval, operator};
use crate::sql::func::{Function, Operator};

pub(super) static OPERATORS: &[&[Operator]] =
    &[comparisons!(Bool(Bool) Bool(Bool), "bool"; |_, a, b| a.cmp(b))];

pub(super) static FUNCTIONS: &[&[Function]] = &[];
