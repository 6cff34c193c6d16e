//! Statements from text to result, against the golden files in `testdata`, which are checked
//! against PostgreSQL 15 when `WALNUT_ORACLE` names a server (`127.0.0.1:54015`).

use std::fmt::Write;
use std::sync::Arc;

use crate::base::{CancelFlag, Error, Report, Result};
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
            search_path: vec!["public".to_owned()],
            backend_pid: 1,
            client_address: None,
            server_version: "15.0",
            settings: Vec::new(),
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
        let outcome = execute(&prepared, Arc::from(params), txn, &self.cx).await?;
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
    let text = without_comments.map(|line| format!("{line}\n")).collect::<String>();
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks
        .map(|block| {
            let (head, shown) = block.split_once("----\n").unwrap_or((block, ""));
            let (statement, input) = head.split_once("<<<<\n").unwrap_or((head, ""));
            Case {
                statement: statement.trim().to_owned(),
                input: input.to_owned(),
                shown: format!("{}\n", shown.trim_end()).trim_start_matches('\n').to_owned(),
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
            let shown = session.run(&case.statement, &case.input).await;
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
