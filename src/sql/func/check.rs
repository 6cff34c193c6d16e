//! walnut_check(): verifies the database beside running sessions.

use crate::base::Result;
use crate::base::blocking;
use crate::sql::func::define::function;
use crate::sql::func::{Eval, EvalContext, Function};
use crate::types::Datum;
use crate::types::Type::Int8;

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    // The rows of all tables, each found in all its indexes; XX001 naming the first damage.
    function("walnut_check", &[], Int8, Eval::F0(check)).volatile(),
]];

fn check(cx: &EvalContext<'_>) -> Result<Datum> {
    let Some(server) = &cx.session.server else {
        return Ok(Datum::Null);
    };
    let rows = blocking(true, || server.verify_all())?;
    Ok(Datum::Int8(i64::try_from(rows).unwrap_or(i64::MAX)))
}
