use super::*;
use crate::sql::ast::{Expr, ExprKind, FetchDirection, QueryBody, SelectItem, SetValue, TableRef};

/// Statements with PostgreSQL 15's answer: `text`, or `text <tab> position <tab> message` of the
/// syntax error. Positions count characters from 0.
const SYNTAX: &str = include_str!("testdata/syntax.tsv");

/// What psql, pgbench and drivers send, each text after a line `-- client`.
const CLIENTS: &str = include_str!("testdata/clients.sql");

fn one(text: &str) -> Statement {
    let mut parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

fn recorded(line: &str) -> (String, Option<(String, usize)>) {
    let mut fields = line.split('\t');
    let text = fields.next().expect("a statement").to_owned();
    let position = fields.next().map(|p| p.parse().expect("a position"));
    let message = fields.next().map(str::to_owned);
    (text, message.zip(position))
}

fn we_say(text: &str) -> Option<(String, usize)> {
    let report = parse(text).err()?.report();
    let position = text[..report.position.unwrap_or(0)].chars().count();
    Some((format!("{}: {}", report.code, report.message), position))
}

#[test]
fn syntax_errors_are_postgresqls_with_its_messages_and_positions() {
    for line in SYNTAX.lines() {
        let (text, answer) = recorded(line);
        assert_eq!(we_say(&text), answer, "{text}");
    }
}

/// Checks the recorded answers themselves, where a PostgreSQL 15 listens on port 54015.
#[tokio::test]
async fn the_recorded_answers_are_postgresqls() {
    let config = "host=127.0.0.1 port=54015 user=postgres";
    let Ok((client, connection)) = tokio_postgres::connect(config, tokio_postgres::NoTls).await
    else {
        eprintln!("skipped: no PostgreSQL 15 on port 54015");
        return;
    };
    tokio::spawn(connection);
    for line in SYNTAX.lines() {
        let (text, answer) = recorded(line);
        // The whole string is parsed before its first statement fails.
        let prefix = "SELECT 1/0;";
        let error = client.simple_query(&format!("{prefix}{text}")).await;
        let error = error.expect_err("divides by zero");
        let error = error.as_db_error().expect("an error of the server");
        let position = match error.position() {
            Some(tokio_postgres::error::ErrorPosition::Original(position)) => *position as usize,
            _ => prefix.len() + 1,
        };
        let message = format!("{}: {}", error.code().code(), error.message());
        let said = Some((message, position - 1 - prefix.len()));
        let said = said.filter(|_| error.code().code() != "22012");
        assert_eq!(said, answer, "{text}");
    }
}

#[test]
fn what_real_clients_send_parses() {
    let known = [
        "PARTITION BY",
        "CREATE TABLE PARTITION OF",
        "UNLISTEN",
        "GENERATED columns",
    ];
    let mut statements = 0;
    for text in CLIENTS.split("-- client\n") {
        for parsed in parse(text).unwrap_or_else(|e| panic!("{text}: {e}")) {
            statements += 1;
            match parsed.statement {
                Statement::Unsupported(what) if known.contains(&what.as_str()) => {}
                statement => {
                    let tree = format!("{statement:?}");
                    assert!(!tree.contains("Unsupported("), "{text}: {tree}");
                }
            }
        }
    }
    assert!(statements > 200, "{statements}");
}

/// The expression with every operator in parentheses.
fn render(expr: &Expr) -> String {
    let list = |exprs: &[Expr], between: &str| {
        let parts: Vec<String> = exprs.iter().map(render).collect();
        parts.join(between)
    };
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    match &expr.kind {
        ExprKind::Column(name) => {
            let parts: Vec<&str> = name.parts.iter().map(|p| p.name.as_str()).collect();
            parts.join(".")
        }
        ExprKind::Null => "NULL".into(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Number(number) => number.clone(),
        ExprKind::String(value) => format!("'{value}'"),
        ExprKind::Param(number) => format!("${number}"),
        ExprKind::Unary { op, arg } => format!("({op} {})", render(arg)),
        ExprKind::Binary { op, left, right } => {
            format!("({} {op} {})", render(left), render(right))
        }
        ExprKind::And(terms) => format!("({})", list(terms, " AND ")),
        ExprKind::Or(terms) => format!("({})", list(terms, " OR ")),
        ExprKind::Not(arg) => format!("(NOT {})", render(arg)),
        ExprKind::IsNull { arg, negated } => format!("({} IS {}NULL)", render(arg), not(negated)),
        ExprKind::IsBool {
            arg,
            value,
            negated,
        } => format!("({} IS {}{value:?})", render(arg), not(negated)),
        ExprKind::IsDistinct {
            left,
            right,
            negated,
        } => {
            let (left, right) = (render(left), render(right));
            format!("({left} IS {}DISTINCT FROM {right})", not(negated))
        }
        ExprKind::Between {
            arg,
            low,
            high,
            negated,
            ..
        } => {
            let (arg, low, high) = (render(arg), render(low), render(high));
            format!("({arg} {}BETWEEN {low} AND {high})", not(negated))
        }
        ExprKind::In {
            arg,
            list: l,
            negated,
        } => {
            format!("({} {}IN ({}))", render(arg), not(negated), list(l, ", "))
        }
        ExprKind::AnyAll {
            left,
            op,
            all,
            array,
        } => {
            let word = if *all { "ALL" } else { "ANY" };
            format!("({} {op} {word} {})", render(left), render(array))
        }
        ExprKind::Like {
            op, arg, pattern, ..
        } => format!("({} {op} {})", render(arg), render(pattern)),
        ExprKind::Cast { arg, ty } => {
            let name = &ty.name.parts.last().expect("a name").name;
            let brackets = "[]".repeat(ty.array_dimensions);
            let modifiers = match ty.modifiers.is_empty() {
                true => String::new(),
                false => format!("{:?}", ty.modifiers).replace(['[', ']'], "|"),
            };
            format!("({}::{name}{modifiers}{brackets})", render(arg))
        }
        ExprKind::Collate { arg, .. } => format!("({} COLLATE)", render(arg)),
        ExprKind::Call(call) => {
            let parts: Vec<&str> = call.name.parts.iter().map(|p| p.name.as_str()).collect();
            format!("{}({})", parts.join("."), list(&call.args, ", "))
        }
        ExprKind::Array(items) => format!("[{}]", list(items, ", ")),
        ExprKind::Row(items) => format!("ROW({})", list(items, ", ")),
        ExprKind::Subscript { arg, index } => format!("{}[{}]", render(arg), render(index)),
        ExprKind::AtTimeZone { arg, zone } => format!("({} AT {})", render(arg), render(zone)),
        ExprKind::Scalar(_) => "(query)".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn operators_bind_as_in_postgresql() {
    let cases = [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("-2 ^ 2", "((- 2) ^ 2)"),
        ("2 ^ 3 ^ 2", "((2 ^ 3) ^ 2)"),
        ("- - 1", "(- (- 1))"),
        ("+ -4811", "(+ (- 4811))"),
        ("-a::int", "(- (a::int4))"),
        ("a || b + c", "(a || (b + c))"),
        ("a || b || c", "((a || b) || c)"),
        ("a -> b + c ->> d", "((a -> (b + c)) ->> d)"),
        ("@ -5 + 1", "(@ ((- 5) + 1))"),
        ("a < b + c AND d", "((a < (b + c)) AND d)"),
        ("NOT a = b", "(NOT (a = b))"),
        ("NOT a AND b OR c", "(((NOT a) AND b) OR c)"),
        ("a OR b OR c AND d AND e", "(a OR b OR (c AND d AND e))"),
        ("(a OR b) OR c", "((a OR b) OR c)"),
        ("a = b IS NULL", "((a = b) IS NULL)"),
        ("a IS NULL = b", "((a IS NULL) = b)"),
        ("a IS NOT TRUE", "(a IS NOT Some(true))"),
        ("NOT a IS NULL", "(NOT (a IS NULL))"),
        ("a || 'x' LIKE b || 'y'", "((a || 'x') ~~ (b || 'y'))"),
        ("a LIKE b = c", "((a ~~ b) = c)"),
        ("a = b LIKE c", "(a = (b ~~ c))"),
        ("a NOT ILIKE b AND c", "((a !~~* b) AND c)"),
        ("a BETWEEN 1 AND 2 AND b", "((a BETWEEN 1 AND 2) AND b)"),
        (
            "a + 1 NOT BETWEEN b AND c + 1",
            "((a + 1) NOT BETWEEN b AND (c + 1))",
        ),
        ("a = b BETWEEN 1 AND 2", "(a = (b BETWEEN 1 AND 2))"),
        ("a IN (1, 2) = b", "((a IN (1, 2)) = b)"),
        (
            "a IS DISTINCT FROM b AND c",
            "((a IS DISTINCT FROM b) AND c)",
        ),
        ("a <> b", "(a <> b)"),
        ("a != b", "(a <> b)"),
        ("a != -1", "(a <> (- 1))"),
        ("a<-1", "(a < (- 1))"),
        ("a*-1", "(a * (- 1))"),
        ("a @- b", "(a @- b)"),
        ("a + b::int[] COLLATE c", "(a + ((b::int4[]) COLLATE))"),
        ("a::int4::text", "((a::int4)::text)"),
        ("CAST(a + 1 AS varchar(10))", "((a + 1)::varchar|10|)"),
        ("a::char", "(a::bpchar|1|)"),
        ("char 'abc'", "('abc'::bpchar)"),
        ("a::\"char\"", "(a::char)"),
        ("date '2020-01-01' + 1", "(('2020-01-01'::date) + 1)"),
        ("timestamp(3) with time zone 'x'", "('x'::timestamptz|3|)"),
        ("a::float(24)", "(a::float4)"),
        ("a AT TIME ZONE 'utc' + b", "((a AT 'utc') + b)"),
        ("a OPERATOR(pg_catalog.+) b * c", "(a + (b * c))"),
        ("a = ANY (b) AND c", "((a = ANY b) AND c)"),
        ("a LIKE ALL (b)", "(a ~~ ALL b)"),
        ("a[1][b + 1]", "a[1][(b + 1)]"),
        ("(a, b) = (1, 2)", "(ROW(a, b) = ROW(1, 2))"),
        ("((a))", "a"),
        ("((SELECT 1) + 2)", "((query) + 2)"),
        ("position('a' IN b)", "position(b, 'a')"),
        ("substring(a FROM 1 FOR 2)", "substring(a, 1, 2)"),
        ("substring(a FOR 2)", "substring(a, 1, 2)"),
        ("trim(TRAILING 'x' FROM a)", "rtrim(a, 'x')"),
        ("trim(a)", "btrim(a)"),
        ("extract(year FROM a)", "extract('year', a)"),
        ("overlay(a PLACING b FROM 1)", "overlay(a, b, 1)"),
        ("CURRENT_TIMESTAMP", "current_timestamp()"),
        ("Pg_Catalog.Lower(\"A\")", "pg_catalog.lower(A)"),
        ("e'\\x41\\u00e9\\101'", "'AéA'"),
        ("'a'\n  'b''c'", "'ab'c'"),
        ("U&'d\\0061t\\+000061'", "'data'"),
        ("$x$a'$$b$x$", "'a'$$b'"),
        ("1.5e-3", "1.5e-3"),
    ];
    for (text, expected) in cases {
        let expr = parse_expr(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(render(&expr), expected, "{text}");
    }
}

#[test]
fn positions_are_where_postgresql_points() {
    let cases = [
        ("a + b", 2),
        ("a.b", 0),
        ("x::int", 1),
        ("  CAST(x AS int)", 2),
        ("lower(x)", 0),
        ("a OPERATOR(pg_catalog.+) b", 2),
        ("a NOT LIKE b", 2),
        ("a BETWEEN 1 AND 2", 2),
        ("(a) * (b)", 4),
        ("- a", 0),
        ("date 'x'", 0),
        ("(SELECT 1)", 0),
    ];
    for (text, position) in cases {
        assert_eq!(parse_expr(text).expect(text).position, position, "{text}");
    }
    let parsed = parse(" SELECT 1 ;; SELECT 'é' , x;").expect("two statements");
    assert_eq!((parsed[0].start, parsed[0].end), (1, 9));
    assert_eq!((parsed[1].start, parsed[1].end), (13, 28));
}

#[test]
fn names_are_folded_unless_quoted_and_cut_at_63_bytes() {
    let long = "x".repeat(70);
    let Statement::Query(query) = one(&format!("SELECT Aä, \"Bc\", {long} FROM T")) else {
        panic!("a query");
    };
    let QueryBody::Select(select) = query.body else {
        panic!("a SELECT");
    };
    let name = |item: &SelectItem| match item {
        SelectItem::Expr { expr, .. } => render(expr),
        _ => String::new(),
    };
    let names: Vec<String> = select.items.iter().map(name).collect();
    assert_eq!(names, ["aä", "Bc", &long[..63]]);
    assert!(matches!(&select.from[0], TableRef::Table { name, .. } if name.parts[0].name == "t"));
}

#[test]
fn empty_texts_have_no_statements() {
    for text in ["", "  ", ";", " ; ;", "-- nothing", "/* /* */ */"] {
        assert!(parse(text).expect(text).is_empty(), "{text}");
    }
}

#[test]
fn locking_clauses_keep_strength_names_and_waiting() {
    use crate::sql::ast::{LockStrength, LockWait};
    let text = "SELECT * FROM t FOR NO KEY UPDATE OF t, u SKIP LOCKED FOR KEY SHARE NOWAIT LIMIT 3";
    let Statement::Query(query) = one(text) else {
        panic!("a query");
    };
    assert!(query.limit.is_some());
    let [first, second] = &query.locking[..] else {
        panic!("two clauses");
    };
    assert_eq!(first.strength, LockStrength::NoKeyUpdate);
    assert_eq!(first.wait, LockWait::SkipLocked);
    assert_eq!(first.of.len(), 2);
    assert_eq!(second.strength, LockStrength::KeyShare);
    assert_eq!(second.wait, LockWait::Nowait);
}

#[test]
fn utility_statements_come_with_their_parts() {
    match one("COPY t (a) FROM STDIN WITH (FREEZE ON, FORMAT csv, HEADER MATCH, DELIMITER ';')") {
        Statement::Copy(copy) => {
            assert!(copy.freeze && copy.header_match && copy.from_stdin);
            assert_eq!(copy.delimiter.as_deref(), Some(";"));
        }
        other => panic!("{other:?}"),
    }
    match one("FETCH BACKWARD ALL IN c") {
        Statement::Fetch { direction, .. } => {
            assert_eq!(direction, FetchDirection::Backward(i64::MAX));
        }
        other => panic!("{other:?}"),
    }
    match one("SET LOCAL search_path TO a, \"B\", 'c'") {
        Statement::Set {
            local: true,
            value: SetValue::Values(values),
            ..
        } => assert_eq!(values, ["a", "B", "c"]),
        other => panic!("{other:?}"),
    }
    match one("CREATE TABLE t (a int DEFAULT 1 + 2 NOT NULL, CHECK (a > 0))") {
        Statement::CreateTable(table) => {
            let default = table.columns[0].default.as_ref().expect("a default");
            assert_eq!(default.1, "1 + 2");
            assert!(table.columns[0].not_null);
            assert_eq!(table.constraints.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(one("CREATE VIEW v AS SELECT 1"), Statement::Unsupported(w) if w == "CREATE VIEW")
    );
}

#[test]
fn deep_statements_are_refused_and_long_ones_work() {
    let deep = [
        format!("SELECT {}1", "1+".repeat(100_000)),
        format!("SELECT {}1", "- ".repeat(100_000)),
        format!("SELECT {}true", "NOT ".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(399), ")".repeat(399)) + &"::int".repeat(3000),
        format!("SELECT {}1{}", "f(".repeat(1000), ")".repeat(1000)),
        format!("SELECT {}1{}", "(SELECT ".repeat(1000), ")".repeat(1000)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN ".repeat(1000),
            " THEN 1 END".repeat(1000)
        ),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(100_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(20_000)),
        format!("SELECT * FROM t{}", " CROSS JOIN t".repeat(1000)),
        format!(
            "SELECT * FROM {}t{}",
            "(SELECT * FROM ".repeat(390),
            ") x".repeat(390)
        ) + &" CROSS JOIN t".repeat(300),
        format!("SELECT a{}", "[1]".repeat(1000)),
        format!("SELECT {}1", "1 = any (".repeat(1000)),
    ];
    for text in deep {
        let head = &text[..40.min(text.len())];
        let error = parse(&text)
            .err()
            .unwrap_or_else(|| panic!("{head} parses"));
        assert_eq!(
            error.sqlstate(),
            SqlState::STATEMENT_TOO_COMPLEX,
            "{head}: {error}"
        );
    }
    let rows = vec!["(1, 'abc', -2.5, now())"; 10_000].join(", ");
    let list: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    let long = [
        format!("INSERT INTO t VALUES {rows}"),
        format!("SELECT * FROM t WHERE a IN ({})", list.join(",")),
        format!(
            "SELECT * FROM t WHERE {}",
            vec!["a = 1"; 20_000].join(" OR ")
        ),
        format!("SELECT {}1", "1+".repeat(300)),
        format!("SELECT {}1{}", "(".repeat(150), ")".repeat(150)),
        "SELECT 1;".repeat(10_000),
    ];
    for text in long {
        parse(&text).unwrap_or_else(|e| panic!("{}: {e}", &text[..40]));
    }
}

fn lifted(text: &str) -> Option<(String, Vec<Literal>)> {
    lift(text).map(|lifted| (lifted.text, lifted.literals))
}

#[test]
fn literals_are_lifted_where_that_changes_nothing() {
    use Literal::{Integer, Number};
    let string = |s: &str| Literal::String(s.to_owned());
    let cases = [
        (
            "UPDATE a SET b = b + -4811 WHERE c = 12;",
            "UPDATE a SET b = b + -$1 WHERE c = $2;",
            vec![Integer(4811), Integer(12)],
        ),
        (
            "INSERT INTO h (a, b) VALUES (5, -1, 'x', CURRENT_TIMESTAMP), (2,f(3),1.5,'')",
            "INSERT INTO h (a, b) VALUES ($1, -$2, $3, CURRENT_TIMESTAMP), ($4,f(3),$5,$6)",
            vec![
                Integer(5),
                Integer(1),
                string("x"),
                Integer(2),
                Number("1.5".into()),
                string(""),
            ],
        ),
        (
            "select a from t where b='é' and c like 'x' and d in (1,2) and e > 99999999999 limit 5",
            "select a from t where b=$1 and c like 'x' and d in (1,2) and e > $2 limit 5",
            vec![string("é"), Integer(99_999_999_999)],
        ),
        (
            "select 1, date '2020-01-01' from t where a = '1'::int and b <= 1e5 group by c - 1",
            "select 1, date '2020-01-01' from t where a = '1'::int and b <= $1 group by c - 1",
            vec![Number("1e5".into())],
        ),
    ];
    for (text, expected, literals) in cases {
        assert_eq!(
            lifted(text),
            Some((expected.to_owned(), literals)),
            "{text}"
        );
    }
}

#[test]
fn unusual_statements_are_not_lifted() {
    let texts = [
        "select 1",
        "select a from t where b = $1 and c = 1",
        "select a from t where b = 'it''s'",
        "select a from t where b = 'a'\n'b'",
        "select a from t where b = E'a'",
        "select a from t where b = 1 -- c",
        "select a from t where b = 1 /* c */",
        "select a from t where \"b\" = 1",
        "select a from t where b = 1; select 2",
        "select a from t where b = 'x",
        "select a from t order by b + 1",
        "select a from t where b = 1)",
        "select a from t where b = 0x10",
        "select a from t where b @> 1",
        "select a from t where b =- 1 and c <-> 2",
        "create table t (a int default 1)",
        "with x as (select 1) select * from x where a = 1",
        "select * from (values (1, 'a')) v",
    ];
    for text in texts {
        assert_eq!(lifted(text), None, "{text}");
    }
}

#[test]
fn a_lifted_statement_is_the_statement() {
    // Put the literals back and compare with the tree of the text as it was.
    for text in CLIENTS.split("-- client\n").flat_map(|t| t.split(';')) {
        let Some(Lifted {
            text: out,
            literals,
        }) = lift(text.trim())
        else {
            continue;
        };
        let mut back = out;
        for (number, literal) in literals.iter().enumerate().rev() {
            let literal = match literal {
                Literal::Integer(value) => value.to_string(),
                Literal::Number(value) => value.clone(),
                Literal::String(value) => format!("'{value}'"),
            };
            back = back.replacen(&format!("${}", number + 1), &literal, 1);
        }
        assert_eq!(back, text.trim());
    }
}
