//! Calls whose result is known already.

use crate::base::Result;
use crate::sql::bind::Binder;
use crate::sql::func::{Eval, EvalContext, Function, Volatility};
use crate::sql::ir::{Expr, ExprKind};
use crate::types::{Datum, Type};

impl Binder<'_> {
    /// A call, or its value if the function is immutable and its arguments are constants. A call
    /// that fails is kept: it fails when the statement runs, if it is reached.
    pub(super) fn call_or_constant(
        &self,
        function: &'static Function,
        args: Vec<Expr>,
        ty: Type,
    ) -> Expr {
        let kind = match self.fold(function, &args) {
            Some(value) => ExprKind::Const(value),
            None => ExprKind::Call { function, args },
        };
        Expr {
            kind,
            ty,
            typmod: -1,
        }
    }

    fn fold(&self, function: &'static Function, args: &[Expr]) -> Option<Datum> {
        if function.volatility != Volatility::Immutable {
            return None;
        }
        let constant = |e: &Expr| match &e.kind {
            ExprKind::Const(value) => Some(value.clone()),
            _ => None,
        };
        let values: Vec<Datum> = args.iter().map(constant).collect::<Option<_>>()?;
        if function.strict && values.iter().any(Datum::is_null) {
            return match function.eval {
                Eval::Set(_) => None,
                _ => Some(Datum::Null),
            };
        }
        let types: Vec<Type> = args.iter().map(|e| e.ty).collect();
        self.evaluate(function, &types, &values)?.ok()
    }

    pub(super) fn eval_context(&self) -> EvalContext<'_> {
        EvalContext {
            format: self.cx.format,
            session: self.cx.session,
            catalog: self.cx.catalog,
            params: &[],
        }
    }

    fn evaluate(
        &self,
        function: &Function,
        types: &[Type],
        values: &[Datum],
    ) -> Option<Result<Datum>> {
        let cx = self.eval_context();
        Some(match (function.eval, values) {
            (Eval::F0(f), []) => f(&cx),
            (Eval::F1(f), [a]) => f(&cx, a),
            (Eval::F2(f), [a, b]) => f(&cx, a, b),
            (Eval::F3(f), [a, b, c]) => f(&cx, a, b, c),
            (Eval::N(f), values) => f(&cx, values),
            (Eval::Typed(f), values) => f(&cx, types, values),
            _ => return None,
        })
    }
}
