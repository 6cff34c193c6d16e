//! Statements from text to result, against the golden files in `testdata`. What these say was
//! made by PostgreSQL 15 (collation C) running the same statements.

use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::base::{CancelFlag, Error, Oid, Report, Result};
use crate::database::{Database, Options};
use crate::sql::context::{SessionInfo, StatementContext};
use crate::sql::ir::BindContext;
use crate::sql::parse::parse;
use crate::sql::{Outcome, execute, expr, prepare};
use crate::table::Txn;
use crate::types::{Datum, Format};

/// A database in a directory of its own, and one session.
struct Session {
    database: Arc<Database>,
    cx: StatementContext,
    _directory: tempfile::TempDir,
}

impl Session {
    fn new() -> Session {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let (database, _) = Database::open(&path, Options::default()).unwrap();
        let session = SessionInfo {
            user: "postgres".to_owned(),
            database: "postgres".to_owned(),
            database_oid: Oid(5),
            search_path: vec!["public".to_owned()],
            backend_pid: 1,
            server_version: "15.0",
            settings: Vec::new(),
            changes: crate::sql::context::SettingChanges::none(),
            server: Some(database.clone()),
            backend: None,
        };
        Session {
            database,
            cx: StatementContext {
                session: Arc::new(session),
                format: Arc::new(Format::default()),
                cancel: Arc::new(CancelFlag::default()),
            },
            _directory: directory,
        }
    }

    /// Runs one statement in a transaction of its own; what it shows, line by line. `input` is
    /// what COPY reads.
    async fn run(&self, text: &str, input: &str) -> String {
        let mut txn = self.database.begin();
        let mut shown = String::new();
        match self.run_in(&mut txn, text, &[], input, &mut shown).await {
            Ok(()) => match txn.commit().await {
                Ok(()) => shown,
                Err(e) => error_text(&e),
            },
            Err(e) => {
                txn.rollback();
                error_text(&e)
            }
        }
    }

    async fn run_in(
        &self,
        txn: &mut Txn,
        text: &str,
        params: &[Datum],
        input: &str,
        shown: &mut String,
    ) -> Result<()> {
        let parsed = parse(text)?;
        let catalog = txn.catalog();
        let cx = BindContext {
            catalog: &catalog,
            session: &self.cx.session,
            format: &self.cx.format,
        };
        let prepared = Arc::new(prepare(&parsed[0].statement, text, &[], &cx)?);
        let outcome = execute(&prepared, Arc::from(params), true, txn, &self.cx).await?;
        match outcome {
            Outcome::Rows(mut rows) => {
                let types: Vec<_> = rows.fields().iter().map(|f| f.ty).collect();
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    let values = row.iter().zip(&types).map(|(value, ty)| match value {
                        Datum::Null => "NULL".to_owned(),
                        value => expr::to_text(value, *ty, &self.cx.format),
                    });
                    let line = values.collect::<Vec<_>>().join("|");
                    writeln!(shown, "{line}").unwrap();
                    count += 1;
                }
                writeln!(shown, "{}", rows.tag(count)).unwrap();
            }
            Outcome::Done { tag, notices } => {
                for notice in notices {
                    writeln!(shown, "NOTICE: {}", notice.message).unwrap();
                }
                writeln!(shown, "{tag}").unwrap();
            }
            Outcome::CopyIn(mut copy) => {
                for piece in input.as_bytes().chunks(7) {
                    copy.push(txn, piece).await?;
                }
                writeln!(shown, "{}", copy.finish(txn).await?).unwrap();
            }
            Outcome::CopyOut(mut copy) => {
                let mut out = Vec::new();
                while copy.next(&mut out)? {}
                shown.push_str(&String::from_utf8(out).unwrap());
                writeln!(shown, "{}", copy.tag()).unwrap();
            }
        }
        Ok(())
    }
}

fn error_text(error: &Error) -> String {
    report_text(&error.report())
}

fn report_text(report: &Report) -> String {
    let mut text = format!("ERROR {}: {}\n", report.code, report.message);
    for (label, field) in [
        ("DETAIL", &report.detail),
        ("HINT", &report.hint),
        ("CONTEXT", &report.context),
    ] {
        if let Some(field) = field {
            writeln!(text, "{label}: {field}").unwrap();
        }
    }
    text
}

/// One statement of a golden file: statement, `<<<<` and COPY input if any, `----`, and what is
/// shown; an empty line ends it.
struct Case {
    statement: String,
    input: String,
    shown: String,
}

fn cases(text: &str) -> Vec<Case> {
    let without_comments = text.lines().filter(|line| !line.starts_with('#'));
    let text = without_comments
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .map(|block| {
            let (head, shown) = block.split_once("----\n").unwrap_or((block, ""));
            let (statement, input) = head.split_once("<<<<\n").unwrap_or((head, ""));
            Case {
                statement: statement.trim().to_owned(),
                input: input.to_owned(),
                shown: format!("{}\n", shown.trim_end())
                    .trim_start_matches('\n')
                    .to_owned(),
            }
        })
        .collect()
}

const GOLDEN: [(&str, &str); 4] = [
    ("query", include_str!("testdata/query.txt")),
    ("change", include_str!("testdata/change.txt")),
    ("define", include_str!("testdata/define.txt")),
    ("copy", include_str!("testdata/copy.txt")),
];

#[tokio::test(flavor = "multi_thread")]
async fn statements_show_what_the_golden_files_say() {
    let mut wrong = String::new();
    for (name, text) in GOLDEN {
        let session = Session::new();
        for case in cases(text) {
            let run = AssertUnwindSafe(session.run(&case.statement, &case.input));
            let shown = run
                .catch_unwind()
                .await
                .unwrap_or_else(|_| "panicked\n".to_owned());
            if shown != case.shown {
                writeln!(
                    wrong,
                    "{name}: {}\n-- expected\n{}-- shown\n{shown}",
                    case.statement, case.shown
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What a statement shows within a transaction.
async fn show(session: &Session, txn: &mut Txn, text: &str) -> String {
    let mut shown = String::new();
    match session.run_in(txn, text, &[], "", &mut shown).await {
        Ok(()) => shown,
        Err(e) => error_text(&e),
    }
}

/// A session with `t (a, b)`: (1, 10), (2, 20), (3, 30), and `u (k, t_a)`: (7, 1).
async fn with_rows() -> Arc<Session> {
    let session = Session::new();
    for text in [
        "CREATE TABLE t (a int PRIMARY KEY, b int)",
        "INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)",
        "CREATE TABLE u (k int PRIMARY KEY, t_a int)",
        "INSERT INTO u VALUES (7, 1)",
    ] {
        session.run(text, "").await;
    }
    Arc::new(session)
}

/// Runs `first`, then `second` in another transaction that meets its locks, commits the first and
/// gives what the second shows and what `t` holds then.
async fn race(first: &str, second: &'static str) -> (String, String) {
    let session = with_rows().await;
    let mut one = session.database.begin();
    show(&session, &mut one, first).await;
    let other = Arc::clone(&session);
    let waiting = tokio::spawn(async move { other.run(second, "").await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "{second} should wait");
    one.commit().await.unwrap();
    let shown = waiting.await.unwrap();
    (shown, session.run("SELECT * FROM t ORDER BY a", "").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_waited_works_on_the_newest_row() {
    let (shown, rows) = race(
        "UPDATE t SET b = 11 WHERE a = 1",
        "UPDATE t SET b = b + 1 WHERE a = 1",
    )
    .await;
    assert_eq!(shown, "UPDATE 1\n");
    assert_eq!(rows, "1|12\n2|20\n3|30\nSELECT 3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_checked_again_on_the_newest_row() {
    let update = "UPDATE t SET b = 99 WHERE b = 10";
    let (shown, rows) = race("UPDATE t SET b = 11 WHERE a = 1", update).await;
    assert_eq!(shown, "UPDATE 0\n");
    assert_eq!(rows, "1|11\n2|20\n3|30\nSELECT 3\n");
    let delete = "DELETE FROM t WHERE a = 1 AND b = 10";
    let (shown, rows) = race("UPDATE t SET b = 11 WHERE a = 1", delete).await;
    assert_eq!(shown, "DELETE 0\n");
    assert_eq!(rows, "1|11\n2|20\n3|30\nSELECT 3\n");
    let (shown, _) = race(
        "DELETE FROM t WHERE a = 1",
        "UPDATE t SET b = 0 WHERE b < 25",
    )
    .await;
    assert_eq!(shown, "UPDATE 1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_from_keeps_its_from_row_when_it_checks_again() {
    let second = "UPDATE t SET b = u.k FROM u WHERE u.t_a = t.a AND t.b < 20 RETURNING t.b, u.k";
    let (shown, _) = race("UPDATE t SET b = 15 WHERE a = 1", second).await;
    assert_eq!(shown, "7|7\nUPDATE 1\n");
    let (shown, _) = race("UPDATE t SET b = 25 WHERE a = 1", second).await;
    assert_eq!(shown, "UPDATE 0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_for_update_are_shown_in_their_newest_version() {
    let first = "UPDATE t SET b = 5 WHERE a = 1";
    let (shown, _) = race(first, "SELECT a, b FROM t WHERE a = 1 FOR UPDATE").await;
    assert_eq!(shown, "1|5\nSELECT 1\n");
    let (shown, _) = race(
        first,
        "SELECT a, b FROM t WHERE b >= 10 ORDER BY a FOR UPDATE",
    )
    .await;
    assert_eq!(shown, "2|20\n3|30\nSELECT 2\n");
    let join = "SELECT t.b, u.k FROM t JOIN u ON u.t_a = t.a WHERE t.b < 50 FOR UPDATE";
    let (shown, _) = race(first, join).await;
    assert_eq!(shown, "5|7\nSELECT 1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rows_are_skipped_or_refused_as_asked() {
    let session = with_rows().await;
    let mut one = session.database.begin();
    show(&session, &mut one, "SELECT * FROM t WHERE a = 1 FOR UPDATE").await;
    let shown = session
        .run(
            "SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE SKIP LOCKED",
            "",
        )
        .await;
    assert_eq!(shown, "2\nSELECT 1\n");
    let shown = session
        .run("SELECT a FROM t ORDER BY a LIMIT 1 FOR UPDATE NOWAIT", "")
        .await;
    assert_eq!(
        shown,
        "ERROR 55P03: could not obtain lock on row in relation \"t\"\n"
    );
    one.rollback();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_changes_but_a_statement_does_not() {
    let session = with_rows().await;
    let mut txn = session.database.begin();
    assert_eq!(
        show(&session, &mut txn, "INSERT INTO t SELECT a + 10, b FROM t").await,
        "INSERT 0 3\n"
    );
    assert_eq!(
        show(&session, &mut txn, "UPDATE t SET a = a + 100").await,
        "UPDATE 6\n"
    );
    assert_eq!(
        show(&session, &mut txn, "DELETE FROM t WHERE a > 110").await,
        "DELETE 3\n"
    );
    let rows = show(&session, &mut txn, "SELECT a FROM t ORDER BY a").await;
    assert_eq!(rows, "101\n102\n103\nSELECT 3\n");
    txn.rollback();
    assert_eq!(
        session.run("SELECT count(*) FROM t", "").await,
        "3\nSELECT 1\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_again_when_the_catalog_has_changed() {
    let session = with_rows().await;
    let prepare_now = |text: &str| {
        let catalog = session.database.begin().catalog();
        let cx = BindContext {
            catalog: &catalog,
            session: &session.cx.session,
            format: &session.cx.format,
        };
        let parsed = parse(text).unwrap();
        Arc::new(prepare(&parsed[0].statement, text, &[], &cx).unwrap())
    };
    let all = prepare_now("SELECT * FROM t WHERE a = $1");
    let one = prepare_now("SELECT b FROM t WHERE a = $1");
    session
        .run("ALTER TABLE t ADD COLUMN c int DEFAULT 3", "")
        .await;
    session
        .run("ALTER TABLE t DROP CONSTRAINT t_pkey", "")
        .await;
    let params: Arc<[Datum]> = Arc::from([Datum::Int4(2)]);
    let mut txn = session.database.begin();
    let Ok(Outcome::Rows(mut rows)) =
        execute(&one, params.clone(), true, &mut txn, &session.cx).await
    else {
        panic!("rows")
    };
    assert!(matches!(rows.next().unwrap(), Some([Datum::Int4(20)])));
    assert!(rows.next().unwrap().is_none());
    let error = execute(&all, params, true, &mut txn, &session.cx)
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.report().message,
        "cached plan must not change result type"
    );
}

/// Numbers for the report; run with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_fast_points_and_copies_are() {
    let session = Session::new();
    session
        .run(
            "CREATE TABLE a (aid int, bid int, abalance int, filler char(84))",
            "",
        )
        .await;
    let mut input = String::new();
    for aid in 1..=100_000 {
        writeln!(input, "{aid}\t1\t0\t").unwrap();
    }
    let mut txn = session.database.begin();
    let started = std::time::Instant::now();
    let parsed = parse("COPY a FROM STDIN").unwrap();
    let catalog = txn.catalog();
    let cx = BindContext {
        catalog: &catalog,
        session: &session.cx.session,
        format: &session.cx.format,
    };
    let prepared = Arc::new(prepare(&parsed[0].statement, "", &[], &cx).unwrap());
    let none: Arc<[Datum]> = Arc::from([]);
    let Ok(Outcome::CopyIn(mut copy)) = execute(&prepared, none, true, &mut txn, &session.cx).await
    else {
        panic!("COPY")
    };
    for piece in input.as_bytes().chunks(65536) {
        copy.push(&mut txn, piece).await.unwrap();
    }
    copy.finish(&mut txn).await.unwrap();
    eprintln!("copy 100k rows {:?}", started.elapsed());
    txn.commit().await.unwrap();
    eprintln!("committed {:?}", started.elapsed());
    session.run("ALTER TABLE a ADD PRIMARY KEY (aid)", "").await;
    eprintln!("primary key {:?}", started.elapsed());
    let text = "SELECT abalance FROM a WHERE aid = $1";
    let catalog = session.database.begin().catalog();
    let cx = BindContext {
        catalog: &catalog,
        session: &session.cx.session,
        format: &session.cx.format,
    };
    let prepared = Arc::new(prepare(&parse(text).unwrap()[0].statement, text, &[], &cx).unwrap());
    const COUNT: i32 = 100_000;
    let started = std::time::Instant::now();
    for aid in 1..=COUNT {
        let mut txn = session.database.begin();
        let params: Arc<[Datum]> = Arc::from([Datum::Int4(aid)]);
        let Ok(Outcome::Rows(mut rows)) =
            execute(&prepared, params, true, &mut txn, &session.cx).await
        else {
            panic!("rows")
        };
        assert!(rows.next().unwrap().is_some());
        assert!(rows.next().unwrap().is_none());
    }
    eprintln!(
        "point select {:?} each",
        started.elapsed() / COUNT.unsigned_abs()
    );
    let started = std::time::Instant::now();
    eprintln!(
        "{}",
        session
            .run("SELECT count(*), sum(abalance) FROM a", "")
            .await
    );
    eprintln!("scan {:?}", started.elapsed());
}
