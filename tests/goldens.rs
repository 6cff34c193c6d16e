//! The SQL goldens: `tests/sql/*.slt` in sqllogictest format, run against Walnut and, where it is
//! installed, against PostgreSQL 15, from the same files.
//!
//! Rows are what the simple protocol sends, columns joined by `|`; NULL is `NULL`, an empty string
//! `(empty)`, a value with blanks at its ends stands in quotes, a line break is `\n`. The letters
//! after `query` are the types the extended protocol describes (see [`Type`]). An error is
//! `SQLSTATE: message`.
//!
//! Two comments at the start of a statement ask for more: `/* names */` puts the columns' names
//! before the rows, `/* full */` adds position, detail, hint and the named fields to an error.
//!
//! Expectations come from PostgreSQL, never from Walnut:
//! `WALNUT_GOLDENS_UPDATE=1 cargo test --test goldens postgres` rewrites the files (`WALNUT_GOLDENS`
//! names those meant, by a part of the name). What only Walnut answers (statements it does not
//! support yet) is marked `onlyif walnut`; goldens for what it will support wait in
//! `tests/sql/later`, checked against PostgreSQL alone.

// A test fails by its `unwrap`.
#![allow(clippy::unwrap_used)]

mod common;

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use common::{Engine, Server};
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Record, Runner};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

const NOW: &str = "tests/sql";
const LATER: &str = "tests/sql/later";

/// A statement that takes longer hangs.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_goldens_hold_on_walnut() {
    assert!(golden_files(NOW).len() > 20 || std::env::var_os("WALNUT_GOLDENS").is_some());
    let mut failures = Vec::new();
    for file in golden_files(NOW) {
        let server = Server::start();
        check_file(&file, server.engine, server.config(), &mut failures).await;
    }
    report(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_goldens_hold_on_postgres() {
    let Some(server) = Server::start_postgres() else {
        return common::skip("PostgreSQL 15 is not installed");
    };
    let admin = server.connect().await;
    let mut failures = Vec::new();
    let files = [golden_files(NOW), golden_files(LATER)].concat();
    for (number, file) in files.iter().enumerate() {
        let database = format!("golden{number}");
        admin
            .batch_execute(&format!("CREATE DATABASE {database}"))
            .await
            .unwrap();
        let mut config = server.config();
        config.dbname(&database);
        if std::env::var_os("WALNUT_GOLDENS_UPDATE").is_some() {
            update_file(file, config).await;
        } else {
            check_file(file, server.engine, config, &mut failures).await;
        }
    }
    report(&failures);
}

fn golden_files(folder: &str) -> Vec<PathBuf> {
    let wanted = std::env::var("WALNUT_GOLDENS").unwrap_or_default();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "slt"))
            .filter(|path| path.to_string_lossy().contains(&wanted))
            .collect();
    files.sort();
    files
}

/// Runs every record of a file and goes on after a failure, so that one run shows them all.
async fn check_file(file: &Path, engine: Engine, config: Config, failures: &mut Vec<String>) {
    let mut runner = runner(config, engine);
    let records = sqllogictest::parse_file::<Type>(file).unwrap();
    let (mut run, before) = (0, failures.len());
    for record in records {
        run += usize::from(matches!(
            record,
            Record::Statement { .. } | Record::Query { .. }
        ));
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.display(false).to_string());
        }
    }
    eprintln!(
        "{engine:?}: {}: {run} statements, {} failed",
        file.file_name().unwrap().to_string_lossy(),
        failures.len() - before
    );
    runner.shutdown_async().await;
}

async fn update_file(file: &Path, config: Config) {
    let mut runner = runner(config, Engine::Postgres);
    runner
        .update_test_file(
            file,
            "|",
            same_rows,
            |value| value.clone(),
            sqllogictest::strict_column_validator,
        )
        .await
        .unwrap();
    runner.shutdown_async().await;
}

fn report(failures: &[String]) {
    for failure in failures {
        eprintln!("\n{failure}");
    }
    assert!(
        failures.is_empty(),
        "{} golden records failed",
        failures.len()
    );
}

fn runner(
    config: Config,
    engine: Engine,
) -> Runner<Session, impl sqllogictest::MakeConnection<Conn = Session>> {
    let mut runner = Runner::new(move || Session::open(config.clone(), engine));
    runner.add_label(if engine == Engine::Walnut {
        "walnut"
    } else {
        "postgres"
    });
    runner.with_validator(same_rows);
    runner.with_column_validator(same_types);
    runner
}

fn same_rows(_: sqllogictest::Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(row, line)| row.join("|") == *line)
}

#[allow(clippy::ptr_arg)] // the runner's signature
fn same_types(actual: &Vec<Type>, expected: &Vec<Type>) -> bool {
    actual.len() == expected.len()
        && actual
            .iter()
            .zip(expected)
            .all(|(a, e)| a == e || *e == Type::ANY)
}

/// A column's type as one letter, by its OID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Type(char);

const LETTERS: [(u32, char); 20] = [
    (16, 'B'),   // boolean
    (21, 'S'),   // smallint
    (23, 'I'),   // integer
    (20, 'L'),   // bigint
    (700, 'F'),  // real
    (701, 'D'),  // double precision
    (1700, 'N'), // numeric
    (25, 'T'),   // text
    (1043, 'V'), // varchar
    (1042, 'C'), // char(n)
    (17, 'Y'),   // bytea
    (1082, 'd'), // date
    (1114, 'p'), // timestamp
    (1184, 'z'), // timestamptz
    (1083, 't'), // time
    (1186, 'i'), // interval
    (19, 'n'),   // name
    (26, 'O'),   // oid
    (705, 'u'),  // unknown
    (2278, 'v'), // void
];

impl Type {
    const ANY: Type = Type('?');

    fn of(oid: u32) -> Type {
        Type(
            LETTERS
                .iter()
                .find(|(o, _)| *o == oid)
                .map_or('x', |(_, letter)| *letter),
        )
    }
}

impl ColumnType for Type {
    fn from_char(letter: char) -> Option<Type> {
        let known = LETTERS.iter().any(|(_, l)| *l == letter) || ['?', 'x'].contains(&letter);
        known.then_some(Type(letter))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

/// One session of the server under test.
struct Session {
    client: Client,
    engine: Engine,
}

#[derive(Debug)]
struct SessionError(String);

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SessionError {}

impl Session {
    async fn open(config: Config, engine: Engine) -> Result<Session, SessionError> {
        let (client, connection) = config
            .connect(NoTls)
            .await
            .map_err(|e| SessionError(e.to_string()))?;
        tokio::spawn(connection);
        Ok(Session { client, engine })
    }

    async fn output(&self, sql: &str) -> Result<DBOutput<Type>, SessionError> {
        let with_names = sql.starts_with("/* names */");
        let full = sql.starts_with("/* full */");
        let answer = tokio::time::timeout(STATEMENT_LIMIT, self.client.simple_query(sql))
            .await
            .map_err(|_| SessionError(format!("no answer within {STATEMENT_LIMIT:?}")))?;
        let mut columns = None;
        let (mut rows, mut count) = (Vec::new(), 0);
        for message in answer.map_err(|e| describe(&e, full))? {
            match message {
                SimpleQueryMessage::RowDescription(description) => {
                    if with_names {
                        rows.push(description.iter().map(|c| c.name().to_string()).collect());
                    }
                    columns = Some(description);
                }
                SimpleQueryMessage::Row(row) => rows.push(render(&row)),
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        Ok(match columns {
            Some(columns) => {
                let types = self.types(sql, columns.len()).await;
                DBOutput::Rows { types, rows }
            }
            None => DBOutput::StatementComplete(count),
        })
    }

    /// The types that Describe gives for a statement.
    async fn types(&self, sql: &str, columns: usize) -> Vec<Type> {
        match tokio::time::timeout(STATEMENT_LIMIT, self.client.prepare(sql)).await {
            Ok(Ok(statement)) => statement
                .columns()
                .iter()
                .map(|c| Type::of(c.type_().oid()))
                .collect(),
            _ => vec![Type::ANY; columns],
        }
    }
}

fn render(row: &SimpleQueryRow) -> Vec<String> {
    (0..row.len())
        .map(|i| match row.get(i) {
            None => "NULL".into(),
            Some("") => "(empty)".into(),
            Some(value) => {
                let value = value
                    .replace('\n', "\\n")
                    .replace('\t', "\\t")
                    .replace('\r', "\\r");
                if value.trim() == value {
                    value
                } else {
                    format!("'{value}'")
                }
            }
        })
        .collect()
}

fn describe(error: &tokio_postgres::Error, full: bool) -> SessionError {
    use tokio_postgres::error::ErrorPosition;
    let Some(db) = error.as_db_error() else {
        return SessionError(format!("connection: {error}"));
    };
    // A regular expression on the line of `error` cannot hold two blanks in a row.
    let blanks = |text: &str| {
        text.split(' ')
            .filter(|w| !w.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut text = format!("{}: {}", db.code().code(), db.message());
    if full {
        if let Some(ErrorPosition::Original(position)) = db.position() {
            text += &format!(" AT {position}");
        }
        for (name, value) in [
            ("DETAIL", db.detail()),
            ("HINT", db.hint()),
            ("TABLE", db.table()),
            ("COLUMN", db.column()),
            ("CONSTRAINT", db.constraint()),
        ] {
            if let Some(value) = value {
                text += &format!(" {name} {value}");
            }
        }
    }
    SessionError(blanks(&text.replace('\n', "\\n")))
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AsyncDB for Session {
    type Error = SessionError;
    type ColumnType = Type;

    fn run<'life0, 'life1, 'async_trait>(
        &'life0 mut self,
        sql: &'life1 str,
    ) -> Boxed<'async_trait, Result<DBOutput<Type>, SessionError>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.output(sql))
    }

    fn shutdown<'life0, 'async_trait>(&'life0 mut self) -> Boxed<'async_trait, ()>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async {})
    }

    fn engine_name(&self) -> &str {
        if self.engine == Engine::Walnut {
            "walnut"
        } else {
            "postgres"
        }
    }

    fn error_sql_state(error: &SessionError) -> Option<String> {
        error.0.split(':').next().map(str::to_string)
    }
}
