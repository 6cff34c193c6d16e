//! EXPLAIN in PostgreSQL's text format. Costs are never shown: plans are made without them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::{Error, Oid, Result, SqlState, blocking};
use crate::sql::context::StatementContext;
use crate::sql::exec::{nulls, open};
use crate::sql::ir::Field;
use crate::sql::plan::{Line, describe, describe_change, describe_insert};
use crate::sql::prepared::{Kind, Prepared, run_change, start};
use crate::table::{Catalog, Txn};
use crate::types::{Datum, Type};

pub(crate) struct Options {
    pub analyze: bool,
    timing: bool,
    summary: Option<bool>,
}

/// What EXPLAIN ANALYZE measured at the root.
pub(crate) struct Measured {
    rows: u64,
    first: Duration,
    all: Duration,
}

impl Options {
    pub(crate) fn new(analyze: bool, options: &[(String, String)]) -> Result<Options> {
        let mut known = Options {
            analyze,
            timing: true,
            summary: None,
        };
        for (name, value) in options {
            match name.as_str() {
                "analyze" => known.analyze = boolean(name, value)?,
                "timing" => known.timing = boolean(name, value)?,
                "summary" => known.summary = Some(boolean(name, value)?),
                "verbose" | "costs" | "buffers" | "settings" | "wal" => {
                    boolean(name, value)?;
                }
                "format" if value.eq_ignore_ascii_case("text") => {}
                "format" => {
                    let format = value.to_ascii_uppercase();
                    return Err(Error::unsupported(format!("EXPLAIN (FORMAT {format}) is")));
                }
                _ => {
                    let message = format!("unrecognized EXPLAIN option \"{name}\"");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        Ok(known)
    }
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{name} requires a Boolean value"),
        )),
    }
}

pub(crate) fn field() -> Field {
    Field {
        name: "QUERY PLAN".to_owned(),
        ty: Type::Text,
        typmod: -1,
        table: Oid(0),
        attnum: 0,
    }
}

/// Runs the statement for EXPLAIN ANALYZE; its rows are dropped.
pub(crate) async fn run(
    prepared: &Arc<Prepared>,
    params: &Arc<[Datum]>,
    catalog: &Arc<Catalog>,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<Measured> {
    let started = Instant::now();
    let Kind::Query(plan) = &prepared.kind else {
        run_change(prepared, params, catalog, txn, cx).await?;
        let all = started.elapsed();
        return Ok(Measured {
            rows: 0,
            first: all,
            all,
        });
    };
    let run = start(plan, params, catalog, txn, cx).await?;
    blocking(plan.heavy, || {
        let cx = run.context();
        let mut root = open(&plan.root);
        let mut row = nulls(plan.width);
        let (mut rows, mut first) = (0, None);
        while root.next(&cx, &mut row)? {
            rows += 1;
            first.get_or_insert_with(|| started.elapsed());
        }
        let all = started.elapsed();
        Ok(Measured {
            rows,
            first: first.unwrap_or(all),
            all,
        })
    })
}

/// The lines of the result.
pub(crate) fn explain(
    prepared: &Prepared,
    options: &Options,
    measured: Option<Measured>,
) -> Result<Vec<String>> {
    let nodes = match &prepared.kind {
        Kind::Query(plan) => describe(plan),
        Kind::Insert(plan) => describe_insert(plan),
        Kind::Change(plan) => describe_change(plan),
        _ => return Err(Error::unsupported("EXPLAIN of this statement is")),
    };
    let mut lines = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let root = if place == 0 { measured.as_ref() } else { None };
        write_node(node, root, options, &mut lines);
    }
    if let Some(measured) = &measured
        && options.summary.unwrap_or(true)
    {
        lines.push(format!("Execution Time: {:.3} ms", ms(measured.all)));
    }
    Ok(lines)
}

fn write_node(node: &Line, measured: Option<&Measured>, options: &Options, out: &mut Vec<String>) {
    let mut title = match node.depth {
        0 => String::new(),
        depth => format!("{}->  ", " ".repeat(2 + 6 * (depth - 1))),
    };
    title.push_str(&node.title);
    if let Some(measured) = measured {
        if options.timing {
            let (first, all) = (ms(measured.first), ms(measured.all));
            let rows = measured.rows;
            title.push_str(&format!(
                " (actual time={first:.3}..{all:.3} rows={rows} loops=1)"
            ));
        } else {
            title.push_str(&format!(" (actual rows={} loops=1)", measured.rows));
        }
    }
    out.push(title);
    let indent = " ".repeat(2 + 6 * node.depth);
    out.extend(
        node.details
            .iter()
            .map(|detail| format!("{indent}{detail}")),
    );
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
