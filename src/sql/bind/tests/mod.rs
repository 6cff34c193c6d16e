//! Bound statements against PostgreSQL 15: the goldens are its answers to the same text.

mod check;
mod golden;

use std::sync::Arc;

use crate::base::{Error, Oid, TreeId};
use crate::sql::ast::Statement;
use crate::sql::bind::{bind, bind_default, bind_expr};
use crate::sql::context::SessionInfo;
use crate::sql::ir::{BindContext, Bound, BoundStatement, Expr, ExprKind, Field, Rel};
use crate::sql::parse::{parse, parse_expr};
use crate::table::{Catalog, ColumnDef, IndexColumn, IndexDef, Layout, TableDef};
use crate::types::{Datum, Format, Type, format_type};

/// `create table t(a int primary key, b text, c numeric(10,2), d varchar(5))`,
/// `create table u(a bigint, e date, f float8, g boolean default true, h timestamptz default now())`,
/// `create table w(x int, y char(3), z int[], v smallint)`, `create index t_b on t(b)`.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.schemas.push((Oid(2200), "public".to_owned()));
    let mut t = table(
        1,
        "t",
        &[
            ("a", Type::Int4, -1, None),
            ("b", Type::Text, -1, None),
            ("c", Type::Numeric, ((10 << 16) | 2) + 4, None),
            ("d", Type::Varchar, 9, None),
        ],
    );
    t.columns[0].not_null = true;
    t.indexes.push(index(11, "t_pkey", 0, true));
    t.indexes.push(index(12, "t_b", 1, false));
    let u = table(
        2,
        "u",
        &[
            ("a", Type::Int8, -1, None),
            ("e", Type::Date, -1, None),
            ("f", Type::Float8, -1, None),
            ("g", Type::Bool, -1, Some("true")),
            ("h", Type::Timestamptz, -1, Some("'2020-01-01'")),
        ],
    );
    let w = table(
        3,
        "w",
        &[
            ("x", Type::Int4, -1, None),
            ("y", Type::Bpchar, 7, None),
            ("z", Type::Int4Array, -1, None),
            ("v", Type::Int2, -1, None),
        ],
    );
    // A table whose first column was dropped.
    let mut gone = table(
        4,
        "gone",
        &[
            ("old", Type::Int4, -1, None),
            ("kept", Type::Int4, -1, None),
        ],
    );
    gone.columns[0].dropped = true;
    for table in [t, u, w, gone] {
        let key = (table.schema.clone(), table.name.clone());
        catalog.by_name.insert(key, table.oid);
        catalog.tables.insert(table.oid, Arc::new(table));
    }
    catalog
}

fn table(oid: u32, name: &str, columns: &[(&str, Type, i32, Option<&str>)]) -> TableDef {
    let column = |&(name, ty, typmod, default): &(&str, Type, i32, Option<&str>)| ColumnDef {
        name: name.to_owned(),
        ty,
        typmod,
        not_null: false,
        default: default.map(str::to_owned),
        identity: None,
        dropped: false,
        missing: None,
    };
    let columns: Vec<ColumnDef> = columns.iter().map(column).collect();
    TableDef {
        layout: Layout::of(&columns).expect("a layout"),
        state: Arc::default(),
        oid: Oid(oid),
        schema: "public".to_owned(),
        name: name.to_owned(),
        tree: TreeId(oid),
        columns,
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        unlogged: false,
        options: Vec::new(),
    }
}

fn index(oid: u32, name: &str, column: usize, primary: bool) -> Arc<IndexDef> {
    Arc::new(IndexDef {
        oid: Oid(oid),
        name: name.to_owned(),
        tree: TreeId(oid),
        columns: vec![IndexColumn {
            column,
            descending: false,
            nulls_first: false,
        }],
        unique: primary,
        primary,
        constraint: primary,
    })
}

fn with_context<T>(f: impl FnOnce(&BindContext<'_>) -> T) -> T {
    let session = SessionInfo {
        user: "postgres".to_owned(),
        database: "postgres".to_owned(),
        database_oid: crate::base::Oid(5),
        search_path: vec!["public".to_owned()],
        backend_pid: 1,
        server_version: "15.0",
        settings: Vec::new(),
        changes: crate::sql::context::SettingChanges::none(),
        server: None,
        backend: None,
    };
    f(&BindContext {
        catalog: &catalog(),
        session: &session,
        format: &Format::default(),
    })
}

fn statement(sql: &str) -> Result<Statement, Error> {
    let mut parsed = parse(sql)?;
    assert_eq!(parsed.len(), 1, "{sql}");
    Ok(parsed.remove(0).statement)
}

fn try_bind(sql: &str, params: &[Option<Type>]) -> Result<BoundStatement, Error> {
    let statement = statement(sql)?;
    with_context(|cx| bind(&statement, params, cx))
}

fn bound(sql: &str) -> Bound {
    match try_bind(sql, &[]) {
        Ok(bound) => bound.bound,
        Err(e) => panic!("{sql}: {e}"),
    }
}

fn query(sql: &str) -> Rel {
    match bound(sql) {
        Bound::Query { rel, .. } => rel,
        _ => panic!("{sql} is not a query"),
    }
}

/// The expressions of the outermost projection.
fn exprs(sql: &str) -> Vec<Expr> {
    match query(sql) {
        Rel::Project { exprs, .. } => exprs,
        _ => panic!("{sql} does not end in a projection"),
    }
}

/// As psql's `\gdesc` tells them.
fn columns(bound: &Bound) -> String {
    let none: &[Field] = &[];
    let fields = match bound {
        Bound::Query { fields, .. } => fields,
        Bound::Insert(i) => i.returning.as_ref().map_or(none, |r| &r.fields),
        Bound::Update(u) => u.returning.as_ref().map_or(none, |r| &r.fields),
        Bound::Delete(d) => d.returning.as_ref().map_or(none, |r| &r.fields),
    };
    let field = |f: &Field| format!("{} {}", f.name, format_type(f.ty, f.typmod));
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

/// `code message @position`, counted from 1.
fn error(sql: &str, params: &[Option<Type>]) -> String {
    let error = match try_bind(sql, params) {
        Ok(bound) => return format!("no error, {}", columns(&bound.bound)),
        Err(e) => e.report(),
    };
    match error.position {
        Some(at) => format!("{} {} @{}", error.code, error.message, at + 1),
        None => format!("{} {}", error.code, error.message),
    }
}

fn params(sql: &str, given: &[Option<Type>]) -> Vec<Type> {
    match try_bind(sql, given) {
        Ok(bound) => bound.params,
        Err(e) => panic!("{sql}: {e}"),
    }
}

#[test]
fn columns_are_named_and_typed_as_postgresql_does() {
    let differs = |&&(sql, expected): &&(&str, &str)| match try_bind(sql, &[]) {
        Ok(bound) => columns(&bound.bound) != expected,
        Err(_) => true,
    };
    let wrong: Vec<String> = golden::COLUMNS
        .iter()
        .filter(differs)
        .map(|(sql, expected)| {
            let got = match try_bind(sql, &[]) {
                Ok(bound) => columns(&bound.bound),
                Err(_) => error(sql, &[]),
            };
            format!("{sql}\n  expected {expected}\n  got      {got}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_are_those_of_postgresql_with_their_positions() {
    let wrong: Vec<String> = golden::ERRORS
        .iter()
        .filter(|(sql, expected)| error(sql, &[]) != *expected)
        .map(|(sql, expected)| {
            let got = error(sql, &[]);
            format!("{sql}\n  expected {expected}\n  got      {got}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_type_is_left_open() {
    for (sql, _) in golden::COLUMNS {
        let Ok(bound) = try_bind(sql, &[]) else {
            continue;
        };
        assert!(!columns(&bound.bound).contains("unknown"), "{sql}");
    }
}

#[test]
fn parameters_get_their_types_from_the_first_use_that_tells() {
    use Type::{Bool, Date, Int4, Int4Array, Int8, Numeric, Text, Varchar};
    let cases: &[(&str, &[Type])] = &[
        ("select $1 + 1", &[Int4]),
        ("select a from t where a = $1", &[Int4]),
        ("select a from t where a = $1 and b = $2", &[Int4, Text]),
        ("select a from t where d = $1", &[Text]),
        ("select $1 = $2", &[Text, Text]),
        ("select $1", &[Text]),
        ("select $1::int, $1::text", &[Int4]),
        ("select $2, $1 + 1.5", &[Numeric, Text]),
        ("select * from t limit $1 offset $2", &[Int8, Int8]),
        (
            "insert into t values ($1, $2, $3, $4)",
            &[Int4, Text, Numeric, Varchar],
        ),
        (
            "insert into t(b, a) values ($1, $2), ($3, 4)",
            &[Text, Int4, Text],
        ),
        ("insert into t(a) select $1", &[Int4]),
        (
            "update t set a = a + $1, b = $2 where a = $3",
            &[Int4, Text, Int4],
        ),
        ("update u set e = $1", &[Date]),
        ("select a from t where a = any($1)", &[Int4Array]),
        ("select a from t where a in ($1, $2)", &[Int4, Int4]),
        ("select a from t where a between $1 and $2", &[Int4, Int4]),
        ("select upper($1)", &[Text]),
        ("select 1 where $1", &[Bool]),
        ("select case when $1 then $2 else 1 end", &[Bool, Int4]),
        ("select coalesce($1, a) from t", &[Int4]),
        ("select a from t union select $1", &[Int4]),
        ("values ($1), (1)", &[Int4]),
        ("select array[$1, 2]", &[Int4]),
        ("select b like $1 from t", &[Text]),
        ("delete from t where a = $1 returning $2", &[Int4, Text]),
    ];
    for (sql, expected) in cases {
        assert_eq!(params(sql, &[]), *expected, "{sql}");
    }
}

#[test]
fn given_parameter_types_are_kept() {
    assert_eq!(params("select $1", &[Some(Type::Int8)]), [Type::Int8]);
    assert_eq!(
        params("select $1 + $2", &[Some(Type::Int8), None]),
        [Type::Int8, Type::Int8]
    );
    assert_eq!(
        params("select 1", &[Some(Type::Date)]),
        [Type::Date],
        "declared but not used"
    );
}

#[test]
fn parameters_without_a_type_are_refused() {
    assert_eq!(
        error("select $2 + 1", &[]),
        "42P18 could not determine data type of parameter $1"
    );
    assert_eq!(
        error(
            "select $1 + 1, $1 || 'a' from t where $1 is null",
            &[Some(Type::Unknown)]
        ),
        "no error, ?column? integer, ?column? text"
    );
    assert_eq!(
        error("select $1 + 1, $1 = 'x'", &[]),
        "22P02 invalid input syntax for type integer: \"x\" @21"
    );
    assert_eq!(error("select $0", &[]), "42P02 there is no parameter $0 @8");
}

#[test]
fn what_is_not_there_yet_is_refused() {
    let cases = [
        "select u from t left join u on t.a = u.a",
        "select sum(a) over () from t",
        "with recursive r as (select 1 as n union all select n + 1 from r) select * from r",
        "select (count(*), 1) in (select a, a from t) from t",
        "update t set (a, b) = (select random(), 'x')",
        "select ctid from t",
        "select null::interval",
    ];
    for sql in cases {
        assert!(
            error(sql, &[]).starts_with("0A000 "),
            "{sql}: {}",
            error(sql, &[])
        );
    }
}

#[test]
fn a_correlated_subquery_counts_the_rows_between() {
    let outer = |e: &Expr| match &e.kind {
        ExprKind::Subquery(s) => (s.correlated, s.rel.clone()),
        _ => panic!("not a subquery"),
    };
    let condition = |rel: &Rel| match rel {
        Rel::Project { input, .. } => match &**input {
            Rel::Filter { condition, .. } => condition.clone(),
            _ => panic!("not a filter"),
        },
        _ => panic!("not a projection"),
    };
    let (correlated, _) = outer(&exprs("select (select 1) from t")[0]);
    assert!(!correlated);
    let (correlated, rel) =
        outer(&exprs("select (select e from u where e = t.c::text::date) from t")[0]);
    assert!(correlated);
    assert!(format!("{:?}", levels(&condition(&rel))).contains("(1, 2)"));
    let twice = exprs("select (select (select t.b) from u where true) from t");
    let (correlated, rel) = outer(&twice[0]);
    assert!(correlated);
    let Rel::Project { exprs, .. } = rel else {
        panic!("not a projection");
    };
    let (correlated, rel) = outer(&exprs[0]);
    assert!(correlated);
    let Rel::Project { exprs, .. } = rel else {
        panic!("not a projection");
    };
    assert_eq!(levels(&exprs[0]), [(2, 1)]);
}

/// (level, column) of the references to outer rows directly in an expression.
fn levels(expr: &Expr) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    super::walk::references(&mut expr.clone(), 0, &mut |e, _| {
        if let ExprKind::Outer { level, column } = e.kind {
            found.push((level, column));
        }
    });
    found
}

#[test]
fn a_lateral_join_is_one_only_if_it_refers_to_its_left_side() {
    let join = |sql: &str| match query(sql) {
        Rel::Project { input, .. } => match *input {
            Rel::Join { lateral, right, .. } => (lateral, *right),
            _ => panic!("{sql} is not a join"),
        },
        _ => panic!("{sql} is not a projection"),
    };
    let (lateral, right) = join("select 1 from t, generate_series(1, t.a) g");
    assert!(lateral);
    let Rel::Function { args, .. } = right else {
        panic!("not a function");
    };
    assert_eq!(levels(&args[1]), [(1, 0)]);
    let (lateral, _) = join("select 1 from t, generate_series(1, 2) g");
    assert!(!lateral);
    let (lateral, _) = join("select 1 from t, (select 1) s");
    assert!(!lateral);
    let (lateral, right) = join("select 1 from t, lateral (select t.b) s");
    assert!(lateral);
    let Rel::Project { exprs, .. } = right else {
        panic!("not a projection");
    };
    assert_eq!(levels(&exprs[0]), [(1, 1)]);
}

#[test]
fn a_join_that_turns_out_not_lateral_does_not_count() {
    // The derived table refers to the row of `u` around the subquery, past the left side `w`.
    let rel = exprs("select (select s.q from w, (select u.e as q) s) from u");
    let ExprKind::Subquery(subquery) = &rel[0].kind else {
        panic!("not a subquery");
    };
    let Rel::Project { input, .. } = &subquery.rel else {
        panic!("not a projection");
    };
    let Rel::Join { lateral, right, .. } = &**input else {
        panic!("not a join");
    };
    let Rel::Project { exprs, .. } = &**right else {
        panic!("not a projection");
    };
    assert!(!lateral);
    assert_eq!(levels(&exprs[0]), [(1, 1)]);
}

#[test]
fn grouping_rewrites_over_keys_and_aggregates() {
    let Rel::Project { input, exprs } =
        query("select count(*), b, max(a) + 1, upper(b) from t group by b having count(*) > 1")
    else {
        panic!("not a projection");
    };
    let Rel::Filter { input, .. } = *input else {
        panic!("no HAVING");
    };
    let Rel::Aggregate {
        keys, aggregates, ..
    } = *input
    else {
        panic!("not an aggregation");
    };
    assert_eq!((keys.len(), aggregates.len()), (1, 2));
    assert!(matches!(keys[0].kind, ExprKind::Column(1)));
    assert!(matches!(exprs[0].kind, ExprKind::Column(1)));
    assert!(matches!(exprs[1].kind, ExprKind::Column(0)));
    let ExprKind::Call { args, .. } = &exprs[2].kind else {
        panic!("not a call");
    };
    assert!(matches!(args[0].kind, ExprKind::Column(2)));
    let ExprKind::Call { args, .. } = &exprs[3].kind else {
        panic!("not a call");
    };
    assert!(matches!(args[0].kind, ExprKind::Column(0)));
}

#[test]
fn every_reference_names_a_column_of_its_type() {
    for (sql, _) in golden::COLUMNS.iter() {
        match try_bind(sql, &[]) {
            Ok(bound) => check::bound(sql, &bound.bound),
            Err(e) => panic!("{sql}: {e}"),
        }
    }
}

#[test]
#[should_panic(expected = "is of type Date")]
fn the_checker_of_references_sees_a_wrong_level() {
    // A planted bug: the reference to `t.b` misses the row around the subquery.
    let sql = "select (select t.b from u) from t";
    let Bound::Query { mut rel, fields } = bound(sql) else {
        panic!("not a query");
    };
    if let Rel::Project { exprs, .. } = &mut rel
        && let ExprKind::Subquery(s) = &mut exprs[0].kind
        && let Rel::Project { exprs, .. } = &mut s.rel
    {
        exprs[0].kind = ExprKind::Column(1);
    }
    check::bound(sql, &Bound::Query { rel, fields });
}

#[test]
fn sorting_by_hidden_columns_drops_them_again() {
    let Rel::Project { input, exprs } = query("select a from t order by b") else {
        panic!("not a projection");
    };
    assert_eq!(exprs.len(), 1);
    let Rel::Sort { input, keys } = *input else {
        panic!("not sorted");
    };
    assert!(matches!(keys[0].expr.kind, ExprKind::Column(1)));
    assert!(matches!(&*input, Rel::Project { exprs, .. } if exprs.len() == 2));
}

#[test]
fn locking_stands_between_sorting_and_limit() {
    let Rel::Project { input, .. } =
        query("select a from t where b = 'x' order by c limit 1 for update skip locked")
    else {
        panic!("not a projection");
    };
    let Rel::Limit { input, .. } = *input else {
        panic!("not limited");
    };
    let Rel::Lock { input, .. } = *input else {
        panic!("not locked");
    };
    let Rel::Sort { input, keys } = *input else {
        panic!("not sorted");
    };
    assert!(matches!(keys[0].expr.kind, ExprKind::Column(2)));
    assert!(matches!(*input, Rel::Filter { .. }));
}

#[test]
fn constants_are_folded_and_failing_calls_are_kept() {
    assert!(matches!(
        exprs("select 1 + 2")[0].kind,
        ExprKind::Const(Datum::Int4(3))
    ));
    assert!(matches!(
        exprs("select -(1 + 2) * 2")[0].kind,
        ExprKind::Const(Datum::Int4(-6))
    ));
    assert!(matches!(
        exprs("select 1 + null")[0].kind,
        ExprKind::Const(Datum::Null)
    ));
    assert!(matches!(
        exprs("select 1 / 0")[0].kind,
        ExprKind::Call { .. }
    ));
    assert!(matches!(
        exprs("select '7'::int")[0].kind,
        ExprKind::Const(Datum::Int4(7))
    ));
}

#[test]
fn an_insert_gives_every_column_a_value_of_its_type() {
    let Bound::Insert(insert) = bound("insert into u(e, a) values ('2020-01-01', 1), (null, 2.5)")
    else {
        panic!("not an insert");
    };
    let types: Vec<Type> = insert.values.iter().map(|v| v.ty).collect();
    assert_eq!(
        types,
        [
            Type::Int8,
            Type::Date,
            Type::Float8,
            Type::Bool,
            Type::Timestamptz
        ]
    );
    assert!(matches!(insert.values[0].kind, ExprKind::Column(1)));
    assert!(matches!(insert.values[1].kind, ExprKind::Column(0)));
    assert!(matches!(
        insert.values[2].kind,
        ExprKind::Const(Datum::Null)
    ));
    assert!(matches!(
        insert.values[3].kind,
        ExprKind::Const(Datum::Bool(true))
    ));
    let Rel::Values { rows, width: 2 } = insert.source else {
        panic!("not two columns of values");
    };
    assert!(
        rows.iter()
            .all(|r| r[0].ty == Type::Date && r[1].ty == Type::Int8)
    );
}

#[test]
fn an_assignment_enforces_the_modifier() {
    let Bound::Update(update) = bound("update t set d = b, c = a where d = 'x'") else {
        panic!("not an update");
    };
    for (_, value) in &update.assignments {
        assert!(matches!(
            value.kind,
            ExprKind::Typmod {
                explicit: false,
                ..
            }
        ));
    }
    let Bound::Update(update) = bound("update t set d = d") else {
        panic!("not an update");
    };
    assert!(matches!(update.assignments[0].1.kind, ExprKind::Column(3)));
}

#[test]
fn dropped_columns_keep_their_places_and_are_never_named() {
    let Bound::Insert(insert) = bound("insert into gone values (7) returning *") else {
        panic!("not an insert");
    };
    assert_eq!(insert.values.len(), 2);
    assert!(matches!(
        insert.values[0].kind,
        ExprKind::Const(Datum::Null)
    ));
    let returning = insert.returning.expect("RETURNING");
    assert!(matches!(
        returning.exprs[..],
        [Expr {
            kind: ExprKind::Column(1),
            ..
        }]
    ));
    assert_eq!(returning.fields[0].attnum, 2);
    assert!(error("select old from gone", &[]).starts_with("42703"));
}

#[test]
fn fields_tell_their_origin() {
    let Bound::Query { fields, .. } = bound("select s.d, u.a, s.a + 1 from (select * from t) s, u")
    else {
        panic!("not a query");
    };
    let origins: Vec<(u32, i16)> = fields.iter().map(|f| (f.table.0, f.attnum)).collect();
    assert_eq!(origins, [(1, 4), (2, 1), (0, 0)]);
}

#[test]
fn in_lists_of_one_type_are_one_test() {
    let list = exprs("select a in (1, 2, 3) from t");
    let ExprKind::In { list, negated, .. } = &list[0].kind else {
        panic!("not IN");
    };
    assert_eq!((list.len(), *negated), (3, false));
    assert!(matches!(
        exprs("select a in (1) from t")[0].kind,
        ExprKind::Call { .. }
    ));
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    let deep = format!("select {}1{}", "abs(".repeat(200), ")".repeat(200));
    assert!(try_bind(&deep, &[]).is_ok());
    let too_deep = format!("select {}1{}", "(1 + ".repeat(5000), ")".repeat(5000));
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let sql = too_deep.clone();
    let result = thread
        .spawn(move || error(&sql, &[]))
        .expect("a thread")
        .join();
    assert!(result.expect("no overflow").starts_with("54001 "));
}

#[test]
fn defaults_and_checks_are_bound_without_a_statement() {
    with_context(|cx| {
        let bind_in = |sql: &str, table: Option<&str>, target| {
            let expr = parse_expr(sql).expect("an expression");
            let table = table.and_then(|t| cx.catalog.table("public", t));
            bind_expr(&expr, table.map(|t| &**t), target, cx)
        };
        let value = bind_in("1", None, Some((Type::Int8, -1))).expect("a bigint");
        assert!(matches!(value.kind, ExprKind::Const(Datum::Int8(1))));
        let check = bind_in("a > 0 and d = 'x'", Some("t"), Some((Type::Bool, -1)));
        assert_eq!(check.expect("a condition").ty, Type::Bool);
        let code = |r: crate::base::Result<Expr>| match r {
            Ok(_) => "no error".to_owned(),
            Err(e) => e.to_string(),
        };
        assert_eq!(
            code(bind_in("a", None, None)),
            "cannot use column reference in DEFAULT expression (0A000)"
        );
        assert_eq!(
            code(bind_in("(select 1)", None, None)),
            "cannot use subquery in DEFAULT expression (0A000)"
        );
        assert_eq!(
            code(bind_in("sum(a) > 0", Some("t"), Some((Type::Bool, -1)))),
            "aggregate functions are not allowed in check constraints (42803)"
        );
        assert_eq!(
            code(bind_in("a", Some("t"), Some((Type::Bool, -1)))),
            "argument of CHECK must be type boolean, not type integer (42804)"
        );
        let now = parse_expr("now()").expect("an expression");
        assert_eq!(
            code(bind_default(&now, "n", Type::Int4, -1, cx)),
            "column \"n\" is of type integer but default expression is of type timestamp with \
             time zone (42804)"
        );
    });
}
