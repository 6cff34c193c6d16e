//! A checker of bound trees: every column reference must name a column that is there, of the type
//! that the reference claims, and every call must get arguments of its function's types.

use crate::sql::func::Function;
use crate::sql::ir::{Bound, Expr, ExprKind, Rel, Returning, SubqueryKind};
use crate::types::Type;

/// Rows in reach, the row at hand last.
type Rows = Vec<Vec<Type>>;

pub(super) fn bound(sql: &str, bound: &Bound) {
    let table = |t: &crate::table::TableDef| t.columns.iter().map(|c| c.ty).collect::<Vec<_>>();
    let with = |mut row: Vec<Type>, rel: &Option<Rel>| {
        if let Some(rel) = rel {
            row.extend(rel_types(sql, rel, &vec![]));
        }
        row
    };
    let returning = |r: &Option<Returning>, row: Vec<Type>| {
        for (expr, field) in r.iter().flat_map(|r| r.exprs.iter().zip(&r.fields)) {
            check(sql, expr, &vec![row.clone()]);
            assert_eq!(expr.ty, field.ty, "{sql}");
        }
    };
    match bound {
        Bound::Query { rel, fields } => {
            let types: Vec<Type> = fields.iter().map(|f| f.ty).collect();
            assert_eq!(rel_types(sql, rel, &vec![]), types, "{sql}");
        }
        Bound::Insert(i) => {
            let rows = vec![rel_types(sql, &i.source, &vec![])];
            assert_eq!(i.values.len(), i.table.columns.len(), "{sql}");
            for (value, column) in i.values.iter().zip(&i.table.columns) {
                check(sql, value, &rows);
                assert_eq!(value.ty, column.ty, "{sql}");
            }
            returning(&i.returning, table(&i.table));
        }
        Bound::Update(u) => {
            let row = with(table(&u.table), &u.from);
            for (column, value) in &u.assignments {
                check(sql, value, &vec![row.clone()]);
                assert_eq!(value.ty, u.table.columns[*column].ty, "{sql}");
            }
            condition(sql, u.filter.as_ref(), &vec![row.clone()]);
            returning(&u.returning, row);
        }
        Bound::Delete(d) => {
            let row = with(table(&d.table), &d.using);
            condition(sql, d.filter.as_ref(), &vec![row.clone()]);
            returning(&d.returning, row);
        }
    }
}

fn within(rows: &Rows, row: Vec<Type>) -> Rows {
    let mut rows = rows.clone();
    rows.push(row);
    rows
}

fn condition(sql: &str, expr: Option<&Expr>, rows: &Rows) {
    if let Some(expr) = expr {
        check(sql, expr, rows);
        assert_eq!(expr.ty, Type::Bool, "{sql}");
    }
}

/// The types of a relation's columns, with `outer` rows around it.
fn rel_types(sql: &str, rel: &Rel, outer: &Rows) -> Vec<Type> {
    match rel {
        Rel::Unit => Vec::new(),
        Rel::TableRows { .. } | Rel::Member { .. } => panic!("{sql}: only the planner makes these"),
        Rel::Table { table, .. } => table.columns.iter().map(|c| c.ty).collect(),
        Rel::System { relation } => relation.columns.iter().map(|c| c.1).collect(),
        Rel::Values { rows, width } => {
            for row in rows {
                assert_eq!(row.len(), *width, "{sql}");
                check_all(sql, row, &within(outer, Vec::new()));
                let types = |row: &[Expr]| row.iter().map(|e| e.ty).collect::<Vec<_>>();
                assert_eq!(types(row), types(&rows[0]), "{sql}");
            }
            rows[0].iter().map(|e| e.ty).collect()
        }
        Rel::Function {
            function,
            args,
            width,
            ordinality,
        } => {
            check_all(sql, args, &within(outer, Vec::new()));
            check_args(sql, function, args);
            assert_eq!(*width, 1, "{sql}");
            let element = args.first().map(|a| a.ty.element().unwrap_or(a.ty));
            let mut types = vec![match function.returns {
                Type::AnyElement => element.expect("an argument"),
                ty => ty,
            }];
            types.extend(ordinality.then_some(Type::Int8));
            types
        }
        Rel::Filter {
            input,
            condition: test,
        } => {
            let row = rel_types(sql, input, outer);
            condition(sql, Some(test), &within(outer, row.clone()));
            row
        }
        Rel::Project { input, exprs } => {
            let rows = within(outer, rel_types(sql, input, outer));
            check_all(sql, exprs, &rows);
            exprs.iter().map(|e| e.ty).collect()
        }
        Rel::Join {
            left,
            right,
            condition: test,
            lateral,
            ..
        } => {
            let mut row = rel_types(sql, left, outer);
            row.extend(match lateral {
                true => rel_types(sql, right, &within(outer, row.clone())),
                false => rel_types(sql, right, outer),
            });
            condition(sql, test.as_ref(), &within(outer, row.clone()));
            row
        }
        Rel::Aggregate {
            input,
            keys,
            aggregates,
        } => {
            let rows = within(outer, rel_types(sql, input, outer));
            check_all(sql, keys, &rows);
            let mut types: Vec<Type> = keys.iter().map(|k| k.ty).collect();
            for call in aggregates {
                check_all(sql, &call.args, &rows);
                call.order_by
                    .iter()
                    .for_each(|k| check(sql, &k.expr, &rows));
                condition(sql, call.filter.as_ref(), &rows);
                let arg = call.args.first().map(|a| a.ty);
                types.push(match call.aggregate.returns {
                    Type::AnyElement => arg.expect("an argument"),
                    Type::AnyArray => arg.and_then(Type::array).expect("an array type"),
                    ty => ty,
                });
            }
            types
        }
        Rel::Sort { input, keys } => {
            let row = rel_types(sql, input, outer);
            let rows = within(outer, row.clone());
            keys.iter().for_each(|k| check(sql, &k.expr, &rows));
            row
        }
        Rel::Limit {
            input,
            limit,
            offset,
        } => {
            for count in [limit, offset].into_iter().flatten() {
                check(sql, count, &within(outer, Vec::new()));
                assert_eq!(count.ty, Type::Int8, "{sql}");
            }
            rel_types(sql, input, outer)
        }
        Rel::Distinct { input, columns } => {
            let row = rel_types(sql, input, outer);
            assert!(columns.iter().all(|c| *c < row.len()), "{sql}");
            row
        }
        Rel::SetOp { left, right, .. } => {
            let types = rel_types(sql, left, outer);
            assert_eq!(types, rel_types(sql, right, outer), "{sql}");
            types
        }
        Rel::Lock { input, .. } => rel_types(sql, input, outer),
    }
}

fn check_all(sql: &str, exprs: &[Expr], rows: &Rows) {
    exprs.iter().for_each(|e| check(sql, e, rows));
}

fn check_args(sql: &str, function: &Function, args: &[Expr]) {
    for (i, arg) in args.iter().enumerate() {
        let declared = function.args[i.min(function.args.len() - 1)];
        let fits = match declared {
            Type::Any | Type::AnyElement => true,
            Type::AnyArray => arg.ty.element().is_some(),
            ty => ty == arg.ty,
        };
        assert!(fits, "{sql}: {} gets a {:?}", function.name, arg.ty);
    }
}

fn check(sql: &str, expr: &Expr, rows: &Rows) {
    assert_ne!(expr.ty, Type::Unknown, "{sql}");
    let row = |level: usize, column: usize| {
        let row = rows.len().checked_sub(level + 1).map(|i| &rows[i]);
        let ty = row.and_then(|r| r.get(column));
        match ty {
            Some(ty) => assert_eq!(*ty, expr.ty, "{sql}: column {column} is of type {ty:?}"),
            None => panic!("{sql}: there is no column {column} at level {level}"),
        }
    };
    match &expr.kind {
        ExprKind::Column(column) => row(0, *column),
        ExprKind::Outer { level, column } => row(*level, *column),
        ExprKind::Call { function, args } => check_args(sql, function, args),
        ExprKind::ArrayCast { arg, element } => {
            let element_type = arg.ty.element().expect("an array");
            check(sql, element, &within(rows, vec![element_type]));
        }
        ExprKind::Subquery(subquery) => {
            let types = rel_types(sql, &subquery.rel, rows);
            match &subquery.kind {
                SubqueryKind::Exists => {}
                SubqueryKind::Scalar => assert_eq!(types, [expr.ty], "{sql}"),
                SubqueryKind::Array => assert_eq!(types[0].array(), Some(expr.ty), "{sql}"),
                SubqueryKind::AnyAll { op, left, .. } => {
                    check(sql, left, rows);
                    assert_eq!(types.len(), 1, "{sql}");
                    assert!([types[0], Type::AnyArray].contains(&op.args[1]), "{sql}");
                }
            }
            return;
        }
        _ => {}
    }
    let mut operands = expr.clone();
    let _ = super::super::walk::children::<()>(&mut operands, &mut |child, _| {
        check(sql, child, rows);
        std::ops::ControlFlow::Continue(())
    });
}
