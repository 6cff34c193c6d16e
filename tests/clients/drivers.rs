//! tokio-postgres: the extended protocol with binary parameters and results.

use std::error::Error;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::future::join_all;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage};

use crate::common::Server;

/// A value's bytes in PostgreSQL's binary form, whatever its type.
#[derive(Debug, PartialEq, Clone)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw, Box<dyn Error + Sync + Send>> {
        Ok(Raw(raw.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

async fn text_of(client: &Client, sql: &str) -> Option<String> {
    let messages = client.simple_query(sql).await.unwrap();
    messages.iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_string)),
        _ => None,
    })?
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A type, a value's text, and its binary form as PostgreSQL 15 sends it.
const BINARY_FORMS: [(&str, &str, &str); 38] = [
    ("boolean", "true", "01"),
    ("boolean", "false", "00"),
    ("smallint", "-2", "fffe"),
    ("integer", "-2147483648", "80000000"),
    ("bigint", "9223372036854775807", "7fffffffffffffff"),
    ("real", "1.5", "3fc00000"),
    ("real", "NaN", "7fc00000"),
    ("double precision", "-0.1", "bfb999999999999a"),
    ("double precision", "Infinity", "7ff0000000000000"),
    ("text", "aä", "61c3a4"),
    ("text", "", ""),
    ("varchar(5)", "abc", "616263"),
    ("char(4)", "ab  ", "61622020"),
    ("bytea", "\\x00ff", "00ff"),
    ("bytea", "\\x", ""),
    ("date", "2000-01-01", "00000000"),
    ("date", "1999-12-31", "ffffffff"),
    ("date", "infinity", "7fffffff"),
    ("date", "-infinity", "80000000"),
    ("date", "4714-11-24 BC", "ffda97a7"),
    (
        "timestamp",
        "2000-01-01 00:00:00.000001",
        "0000000000000001",
    ),
    ("timestamp", "1999-12-31 23:59:59", "fffffffffff0bdc0"),
    ("timestamp", "infinity", "7fffffffffffffff"),
    ("timestamp", "-infinity", "8000000000000000"),
    ("timestamptz", "2020-01-01 10:00:00+00", "00023e0fe886c800"),
    ("numeric", "0", "0000 0000 0000 0000"),
    ("numeric", "0.00", "0000 0000 0000 0002"),
    ("numeric", "1", "0001 0000 0000 0000 0001"),
    ("numeric", "-1.50", "0002 0000 4000 0002 0001 1388"),
    ("numeric", "10000", "0001 0001 0000 0000 0001"),
    (
        "numeric",
        "12345678.9",
        "0003 0001 0000 0001 04d2 162e 2328",
    ),
    ("numeric", "0.0001", "0001 ffff 0000 0004 0001"),
    ("numeric", "0.00000001", "0001 fffe 0000 0008 0001"),
    ("numeric", "NaN", "0000 0000 c000 0000"),
    ("numeric", "Infinity", "0000 0000 d000 0020"),
    ("numeric", "-Infinity", "0000 0000 f000 0020"),
    ("numeric(8,3)", "1.500", "0002 0000 0000 0003 0001 1388"),
    (
        "numeric",
        "100000000000000000000",
        "0001 0005 0000 0000 0001",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_has_postgresqls_binary_form_both_ways() {
    let server = Server::start();
    let client = server.connect().await;
    let mut wrong = Vec::new();
    for (ty, text, bytes) in BINARY_FORMS {
        let bytes = Raw(hex(bytes));
        let out = client
            .query_one(&format!("SELECT '{text}'::{ty}"), &[])
            .await
            .unwrap();
        if out.get::<_, Raw>(0) != bytes {
            wrong.push(format!(
                "{text}::{ty} is sent as {:02x?}",
                out.get::<_, Raw>(0).0
            ));
        }
        match client
            .query_one(&format!("SELECT $1::{ty}, ($1::{ty})::text"), &[&bytes])
            .await
        {
            Ok(back) => {
                if back.get::<_, Raw>(0) != bytes {
                    wrong.push(format!(
                        "{text}::{ty} comes back as {:?}",
                        back.get::<_, Raw>(0)
                    ));
                }
                if back.get::<_, &str>(1).trim_end() != text.trim_end() {
                    wrong.push(format!(
                        "{text}::{ty} is read as {:?}",
                        back.get::<_, &str>(1)
                    ));
                }
            }
            Err(error) => wrong.push(format!("{text}::{ty}: {error:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_every_type_are_stored_and_read_back() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE t (id integer PRIMARY KEY, b boolean, s smallint, l bigint, r real,
                d double precision, t text, v varchar(9), c char(3), y bytea)",
        )
        .await
        .unwrap();
    let insert = client
        .prepare("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .await
        .unwrap();
    let types: Vec<&Type> = insert.params().iter().collect();
    assert_eq!(
        types,
        [
            &Type::INT4,
            &Type::BOOL,
            &Type::INT2,
            &Type::INT8,
            &Type::FLOAT4,
            &Type::FLOAT8,
            &Type::TEXT,
            &Type::VARCHAR,
            &Type::BPCHAR,
            &Type::BYTEA
        ]
    );
    let n = client
        .execute(
            &insert,
            &[
                &1,
                &true,
                &-7i16,
                &i64::MIN,
                &1.25f32,
                &-0.1f64,
                &"ünï\t'x'",
                &"varchar",
                &"c",
                &vec![0u8, 255],
            ],
        )
        .await
        .unwrap();
    assert_eq!(n, 1);
    let nothing: Option<&str> = None;
    let none: [&(dyn ToSql + Sync); 10] = [
        &2,
        &None::<bool>,
        &None::<i16>,
        &None::<i64>,
        &None::<f32>,
        &None::<f64>,
        &nothing,
        &nothing,
        &nothing,
        &None::<Vec<u8>>,
    ];
    assert_eq!(client.execute(&insert, &none).await.unwrap(), 1);
    let select = client
        .prepare("SELECT * FROM t WHERE id = $1")
        .await
        .unwrap();
    let row = client.query_one(&select, &[&1]).await.unwrap();
    assert!(row.get::<_, bool>(1));
    assert_eq!(row.get::<_, i16>("s"), -7);
    assert_eq!(row.get::<_, i64>("l"), i64::MIN);
    assert!((row.get::<_, f32>("r") - 1.25).abs() < f32::EPSILON);
    assert!((row.get::<_, f64>("d") + 0.1).abs() < f64::EPSILON);
    assert_eq!(row.get::<_, &str>("t"), "ünï\t'x'");
    assert_eq!(row.get::<_, &str>("v"), "varchar");
    assert_eq!(row.get::<_, &str>("c"), "c  ");
    assert_eq!(row.get::<_, &[u8]>("y"), [0, 255]);
    let row = client.query_one(&select, &[&2]).await.unwrap();
    for i in 1..10 {
        assert_eq!(row.get::<_, Option<Raw>>(i), None, "column {i}");
    }
    assert_eq!(client.query(&select, &[&3]).await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_take_their_types_from_where_they_stand() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute(
            "CREATE TABLE t (a integer UNIQUE, b text, c numeric, d timestamptz, e bigint)",
        )
        .await
        .unwrap();
    let cases: [(&str, &[Type]); 18] = [
        ("SELECT * FROM t WHERE a = $1", &[Type::INT4]),
        ("SELECT * FROM t WHERE $1 < e", &[Type::INT8]),
        ("SELECT * FROM t WHERE b LIKE $1", &[Type::TEXT]),
        (
            "SELECT * FROM t WHERE a IN ($1, $2)",
            &[Type::INT4, Type::INT4],
        ),
        (
            "SELECT * FROM t WHERE d BETWEEN $1 AND $2",
            &[Type::TIMESTAMPTZ, Type::TIMESTAMPTZ],
        ),
        ("SELECT a + $1 FROM t", &[Type::INT4]),
        ("SELECT $1::bigint", &[Type::INT8]),
        ("SELECT CAST($1 AS date)", &[Type::DATE]),
        ("SELECT $1", &[Type::TEXT]),
        ("SELECT $2, $1::integer", &[Type::INT4, Type::TEXT]),
        ("SELECT upper($1)", &[Type::TEXT]),
        (
            "SELECT * FROM t LIMIT $1 OFFSET $2",
            &[Type::INT8, Type::INT8],
        ),
        (
            "INSERT INTO t (c, e) VALUES ($1, $2)",
            &[Type::NUMERIC, Type::INT8],
        ),
        (
            "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) \
             DO UPDATE SET b = $3, e = t.e + $4 WHERE t.c < $5",
            &[
                Type::INT4,
                Type::TEXT,
                Type::TEXT,
                Type::INT8,
                Type::NUMERIC,
            ],
        ),
        (
            "UPDATE t SET b = $1, a = a + $2 WHERE e = $3",
            &[Type::TEXT, Type::INT4, Type::INT8],
        ),
        (
            "DELETE FROM t WHERE a = $1 AND c > $2",
            &[Type::INT4, Type::NUMERIC],
        ),
        (
            "SELECT CASE WHEN a = 1 THEN $1 ELSE e END FROM t",
            &[Type::INT8],
        ),
        (
            "SELECT coalesce(b, $1) FROM t WHERE a = $2",
            &[Type::TEXT, Type::INT4],
        ),
    ];
    for (sql, expected) in cases {
        let statement = client
            .prepare(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(statement.params(), expected, "{sql}");
    }
    let refused = [
        ("SELECT $1 + $2", Some("42725")),
        ("SELECT -$1", Some("42725")),
        ("SELECT sum($1)", Some("42725")),
        ("SELECT $1 IS NULL", Some("42P18")),
        ("SELECT $1 = $2", None),
        ("SELECT $1 IS NULL OR a = $1 FROM t", Some("42P08")),
        ("SELECT a = $1 OR $1 IS NULL FROM t", None),
    ];
    for (sql, expected) in refused {
        let answer = client.prepare(sql).await;
        let code = answer
            .err()
            .and_then(|e| e.code().map(|c| c.code().to_string()));
        assert_eq!(code.as_deref(), expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn describe_gives_names_types_and_modifiers() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (a integer, b varchar(7), c numeric(8, 3), d char(2))")
        .await
        .unwrap();
    let statement = client
        .prepare("SELECT a, b AS bee, c, d, a + 1, 'x' FROM t")
        .await
        .unwrap();
    let columns: Vec<(&str, Type)> = statement
        .columns()
        .iter()
        .map(|c| (c.name(), c.type_().clone()))
        .collect();
    assert_eq!(
        columns,
        [
            ("a", Type::INT4),
            ("bee", Type::VARCHAR),
            ("c", Type::NUMERIC),
            ("d", Type::BPCHAR),
            ("?column?", Type::INT4),
            ("?column?", Type::TEXT)
        ]
    );
    let modifiers: Vec<i32> = statement
        .columns()
        .iter()
        .map(|c| c.type_modifier())
        .collect();
    assert_eq!(modifiers, [-1, 11, (8 << 16 | 3) + 4, 6, -1, -1]);
    let places: Vec<Option<i16>> = statement.columns().iter().map(|c| c.column_id()).collect();
    assert_eq!(places, [Some(1), Some(2), Some(3), Some(4), None, None]);
    assert!(statement.columns()[0].table_oid().is_some());
    assert_eq!(
        statement.columns()[0].table_oid(),
        statement.columns()[3].table_oid()
    );
    let none = client
        .prepare("INSERT INTO t (a) VALUES ($1)")
        .await
        .unwrap();
    assert!(none.columns().is_empty());
    let returning = client
        .prepare("INSERT INTO t (a) VALUES ($1) RETURNING a")
        .await
        .unwrap();
    assert_eq!(returning.columns().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_their_fields() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (a integer PRIMARY KEY, b integer NOT NULL, CHECK (b > 0))")
        .await
        .unwrap();
    client
        .execute("INSERT INTO t VALUES (1, 1)", &[])
        .await
        .unwrap();
    let fields = async |sql: &str, params: &[&(dyn ToSql + Sync)]| {
        let error = client.execute(sql, params).await.unwrap_err();
        let db = error
            .as_db_error()
            .unwrap_or_else(|| panic!("{sql}: {error:?}"));
        let own = |s: Option<&str>| s.unwrap_or("-").to_string();
        format!(
            "{} {} {} {} {} {}",
            db.severity(),
            db.code().code(),
            own(db.schema()),
            own(db.table()),
            own(db.column()),
            own(db.constraint())
        )
    };
    assert_eq!(
        fields("INSERT INTO t VALUES ($1, $2)", &[&1, &1]).await,
        "ERROR 23505 public t - t_pkey"
    );
    assert_eq!(
        fields("INSERT INTO t VALUES ($1, NULL)", &[&2]).await,
        "ERROR 23502 public t b -"
    );
    assert_eq!(
        fields("INSERT INTO t VALUES ($1, $2)", &[&2, &-1]).await,
        "ERROR 23514 public t - t_b_check"
    );
    assert_eq!(fields("SELECT 1 / $1", &[&0]).await, "ERROR 22012 - - - -");
    assert_eq!(fields("SELECT nope", &[]).await, "ERROR 42703 - - - -");
    // The session goes on.
    assert_eq!(
        client
            .query_one("SELECT 1", &[])
            .await
            .unwrap()
            .get::<_, i32>(0),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_gives_its_rows_in_portions() {
    let server = Server::start();
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute(
            "CREATE TABLE t (n integer); INSERT INTO t SELECT n FROM generate_series(1, 1000) n",
        )
        .await
        .unwrap();
    let select = transaction
        .prepare("SELECT n FROM t WHERE n > $1 ORDER BY n")
        .await
        .unwrap();
    let portal = transaction.bind(&select, &[&10]).await.unwrap();
    let other = transaction.bind(&select, &[&990]).await.unwrap();
    let values =
        |rows: Vec<tokio_postgres::Row>| -> Vec<i32> { rows.iter().map(|r| r.get(0)).collect() };
    assert_eq!(
        values(transaction.query_portal(&portal, 3).await.unwrap()),
        [11, 12, 13]
    );
    assert_eq!(
        values(transaction.query_portal(&other, 2).await.unwrap()),
        [991, 992]
    );
    // What is written meanwhile is not in the portal's snapshot.
    transaction
        .execute("UPDATE t SET n = n + 5000", &[])
        .await
        .unwrap();
    assert_eq!(
        values(transaction.query_portal(&portal, 1).await.unwrap()),
        [14]
    );
    assert_eq!(
        transaction.query_portal(&portal, 0).await.unwrap().len(),
        986
    );
    assert_eq!(transaction.query_portal(&portal, 5).await.unwrap().len(), 0);
    assert_eq!(
        values(transaction.query_portal(&other, 100).await.unwrap()).len(),
        8
    );
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_statements_are_answered_in_order() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (n integer PRIMARY KEY)")
        .await
        .unwrap();
    let insert = client
        .prepare("INSERT INTO t VALUES ($1) RETURNING n")
        .await
        .unwrap();
    let numbers: Vec<i32> = (0..300).map(|n| if n == 150 { 7 } else { n }).collect();
    let answers = join_all(numbers.iter().map(|n| {
        let (client, insert) = (&client, &insert);
        async move {
            client
                .query_one(insert, &[n])
                .await
                .map(|row| row.get::<_, i32>(0))
        }
    }))
    .await;
    for (n, answer) in numbers
        .iter()
        .zip(&answers)
        .enumerate()
        .map(|(i, (n, a))| ((i, n), a))
    {
        match answer {
            Ok(back) => assert_eq!(back, n.1),
            Err(error) => {
                assert_eq!((n.0, error.code().unwrap().code()), (150, "23505"));
            }
        }
    }
    let count = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 299);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_in_one_query_are_one_transaction() {
    let server = Server::start();
    let client = server.connect().await;
    let messages = client
        .simple_query(
            "CREATE TABLE t (n integer); INSERT INTO t VALUES (1), (2); SELECT n FROM t; ; \
             UPDATE t SET n = n + 1; SELECT sum(n) FROM t",
        )
        .await
        .unwrap();
    let shape: Vec<String> = messages
        .iter()
        .map(|m| match m {
            SimpleQueryMessage::Row(row) => format!("row {}", row.get(0).unwrap()),
            SimpleQueryMessage::CommandComplete(n) => format!("done {n}"),
            SimpleQueryMessage::RowDescription(_) => "columns".into(),
            _ => "?".into(),
        })
        .collect();
    assert_eq!(
        shape,
        [
            "done 0", "done 2", "columns", "row 1", "row 2", "done 2", "done 2", "columns",
            "row 5", "done 1"
        ]
    );
    let failed = client
        .simple_query("INSERT INTO t VALUES (9); SELECT 1 / 0; SELECT 1")
        .await;
    assert_eq!(failed.unwrap_err().code().unwrap().code(), "22012");
    assert_eq!(
        text_of(&client, "SELECT count(*) FROM t").await.as_deref(),
        Some("2")
    );
    let syntax = client
        .simple_query("INSERT INTO t VALUES (9); SELEC 1")
        .await;
    assert_eq!(syntax.unwrap_err().code().unwrap().code(), "42601");
    assert_eq!(
        text_of(&client, "SELECT count(*) FROM t").await.as_deref(),
        Some("2")
    );
    assert!(client.simple_query("").await.is_ok());
    assert!(client.simple_query(" ; ;").await.is_ok());
}

/// Cancels a statement, again and again since a request that comes before it does nothing.
async fn cancel<T: std::fmt::Debug>(
    token: CancelToken,
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> tokio_postgres::Error {
    let mut statement = pin!(statement);
    loop {
        match tokio::time::timeout(Duration::from_millis(200), &mut statement).await {
            Ok(result) => return result.unwrap_err(),
            Err(_) => token.cancel_query(NoTls).await.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_can_be_cancelled() {
    let server = Server::start();
    let client = server.connect().await;
    let started = Instant::now();
    let endless = "SELECT count(*) FROM generate_series(1, 20000) a, generate_series(1, 100000) b \
                   WHERE a + b < 0";
    let error = cancel(client.cancel_token(), client.query_one(endless, &[])).await;
    assert_eq!(error.code().unwrap().code(), "57014");
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "canceling statement due to user request"
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(text_of(&client, "SELECT 1").await.as_deref(), Some("1"));
    // A cancel request while nothing runs does nothing later either.
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(text_of(&client, "SELECT 2").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_waiting_for_a_row_can_be_cancelled() {
    let server = Server::start();
    let (holder, waiter) = (server.connect().await, server.connect().await);
    holder
        .batch_execute("CREATE TABLE t (n integer); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    holder
        .batch_execute("BEGIN; UPDATE t SET n = 2")
        .await
        .unwrap();
    let update = waiter.execute("UPDATE t SET n = 3", &[]);
    let failed = cancel(waiter.cancel_token(), update).await;
    assert_eq!(failed.code().unwrap().code(), "57014");
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        text_of(&waiter, "SELECT n FROM t").await.as_deref(),
        Some("2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_survives_ddl_on_its_table() {
    let server = Server::start();
    let client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (a integer, b text); INSERT INTO t VALUES (1, 'x')")
        .await
        .unwrap();
    let select = client
        .prepare("SELECT b FROM t WHERE a = $1")
        .await
        .unwrap();
    let insert = client
        .prepare("INSERT INTO t (a, b) VALUES ($1, $2)")
        .await
        .unwrap();
    let other = server.connect().await;
    other
        .batch_execute("CREATE UNIQUE INDEX t_a ON t (a)")
        .await
        .unwrap();
    assert_eq!(
        client
            .query_one(&select, &[&1])
            .await
            .unwrap()
            .get::<_, &str>(0),
        "x"
    );
    let twice = client.execute(&insert, &[&1, &"y"]).await;
    assert_eq!(twice.unwrap_err().code().unwrap().code(), "23505");
    other
        .batch_execute("ALTER TABLE t ADD COLUMN c integer DEFAULT 3")
        .await
        .unwrap();
    assert_eq!(client.execute(&insert, &[&2, &"z"]).await.unwrap(), 1);
    other.batch_execute("DROP INDEX t_a").await.unwrap();
    assert_eq!(client.execute(&insert, &[&2, &"z"]).await.unwrap(), 1);
    other.batch_execute("DROP TABLE t").await.unwrap();
    let gone = client.query(&select, &[&1]).await;
    assert_eq!(gone.unwrap_err().code().unwrap().code(), "42P01");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_many_rows_streams() {
    let server = Server::start();
    let client = server.connect().await;
    let rows = client
        .query(
            "SELECT n, repeat('x', 100) FROM generate_series(1, 200000) n",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 200_000);
    assert_eq!(rows[199_999].get::<_, i32>(0), 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_parameters_and_long_texts_pass() {
    let server = Server::start();
    let client = server.connect().await;
    let values: Vec<i32> = (0..5000).collect();
    let list: Vec<String> = (1..=values.len())
        .map(|i| format!("${i}::integer"))
        .collect();
    let sql = format!("SELECT 4999 IN ({})", list.join(", "));
    let params: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as _).collect();
    assert!(
        client
            .query_one(&sql, &params)
            .await
            .unwrap()
            .get::<_, bool>(0)
    );
    let long = "ä".repeat(3_000_000);
    let row = client
        .query_one("SELECT length($1), $1", &[&long])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 3_000_000);
    assert_eq!(row.get::<_, &str>(1), long);
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_nest_in_the_extended_protocol_and_in_one_batch() {
    let server = Server::start();
    let mut client = server.connect().await;
    client
        .batch_execute("CREATE TABLE t (id integer PRIMARY KEY)")
        .await
        .unwrap();
    let insert = client.prepare("INSERT INTO t VALUES ($1)").await.unwrap();
    let mut outer = client.transaction().await.unwrap();
    outer.execute(&insert, &[&1]).await.unwrap();
    let mut middle = outer.transaction().await.unwrap();
    middle.execute(&insert, &[&2]).await.unwrap();
    let inner = middle.savepoint("nested").await.unwrap();
    inner.execute(&insert, &[&3]).await.unwrap();
    assert!(inner.execute(&insert, &[&1]).await.is_err());
    inner.rollback().await.unwrap();
    middle.execute(&insert, &[&4]).await.unwrap();
    middle.commit().await.unwrap();
    // Savepoints as prepared statements, sent without waiting for the answers.
    let results = join_all([
        outer.execute("SAVEPOINT a", &[]),
        outer.execute("INSERT INTO t VALUES (5)", &[]),
        outer.execute("ROLLBACK TO a", &[]),
        outer.execute("INSERT INTO t VALUES (6)", &[]),
        outer.execute("RELEASE a", &[]),
    ])
    .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    outer.commit().await.unwrap();
    let rows = client
        .query("SELECT id FROM t ORDER BY id", &[])
        .await
        .unwrap();
    let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [1, 2, 4, 6]);
}
