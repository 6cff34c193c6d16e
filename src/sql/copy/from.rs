//! COPY … FROM STDIN.

use std::ops::Range;
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Copy, Ident, Name};
use crate::sql::bind::bind_default;
use crate::sql::context::StatementContext;
use crate::sql::copy::lines::{Lines, bad};
use crate::sql::copy::options::Options;
use crate::sql::copy::values::Fields;
use crate::sql::copy::{column_list, named_columns, table_to_copy};
use crate::sql::exec::{check_row, nulls};
use crate::sql::expr::{ExprContext, eval};
use crate::sql::foreign_key::{ForeignKeys, KeyChecks};
use crate::sql::func::EvalContext;
use crate::sql::ir::Expr;
use crate::sql::parse::parse_expr;
use crate::sql::plan::{Check, plan_expr};
use crate::sql::prepared::{bind_context, checks, eval_context};
use crate::table::{self, Catalog, TableDef, Txn, lock_table};
use crate::txn::{LockMode, LockWait};
use crate::types::{self, Datum, Type};

/// How much of a value is shown in an error's context.
const SHOWN_BYTES_MAX: usize = 100;

/// A COPY that takes rows from the client.
pub struct CopyIn {
    table: Arc<TableDef>,
    /// Places of the columns that the lines have, in their order.
    columns: Vec<usize>,
    options: Options,
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    /// The other columns that have a default.
    defaults: Vec<(usize, Expr)>,
    checks: Vec<Check>,
    cx: StatementContext,
    catalog: Arc<Catalog>,
    lines: Lines,
    line_number: u64,
    header_pending: bool,
    fields: Fields,
    row: Vec<Datum>,
    count: u64,
    foreign_keys: ForeignKeys,
    key_checks: KeyChecks,
}

impl CopyIn {
    pub(super) async fn start(
        name: &Name,
        columns: &[Ident],
        options: Options,
        statement: &Copy,
        txn: &mut Txn,
        cx: &StatementContext,
    ) -> Result<CopyIn> {
        let (table, catalog) = locked_table(name, txn, cx).await?;
        let columns = column_list(&table, columns)?;
        let names: Vec<String> = columns
            .iter()
            .map(|place| table.columns[*place].name.clone())
            .collect();
        let bind_cx = bind_context(cx, &catalog);
        let mut defaults = Vec::new();
        for (place, column) in table.columns.iter().enumerate() {
            let Some(text) = column.default_sql() else {
                continue;
            };
            if columns.contains(&place) {
                continue;
            }
            let expr = parse_expr(&text)?;
            let bound = bind_default(&expr, &column.name, column.ty, column.typmod, &bind_cx)?;
            defaults.push((place, plan_expr(bound, eval_context(&bind_cx))?));
        }
        let checks = checks(&table, &bind_cx)?;
        txn.begin_point_statement().await?;
        Ok(CopyIn {
            force_not_null: named_columns("FORCE_NOT_NULL", &statement.force_not_null, &names)?,
            force_null: named_columns("FORCE_NULL", &statement.force_null, &names)?,
            lines: Lines::new(&options),
            header_pending: options.header,
            row: nulls(table.columns.len()),
            defaults,
            checks,
            foreign_keys: ForeignKeys::of_insert(&table),
            table,
            columns,
            options,
            cx: cx.clone(),
            catalog,
            line_number: 0,
            fields: Fields::default(),
            count: 0,
            key_checks: KeyChecks::new(cx),
        })
    }

    /// The number of columns that a line has.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    pub fn is_csv(&self) -> bool {
        self.options.csv
    }

    /// Takes the next bytes of the stream, cut anywhere, and stores the rows they complete.
    pub async fn push(&mut self, txn: &mut Txn, data: &[u8]) -> Result<()> {
        self.lines.push(data);
        self.store_lines(txn, false).await
    }

    /// The stream is complete: gives the command tag.
    pub async fn finish(mut self, txn: &mut Txn) -> Result<String> {
        self.store_lines(txn, true).await?;
        if let Err(error) = self.key_checks.finish(txn).await {
            txn.wait_shown().await?;
            return Err(error);
        }
        Ok(format!("COPY {}", self.count))
    }

    async fn store_lines(&mut self, txn: &mut Txn, last: bool) -> Result<()> {
        let result = self.try_store_lines(txn, last).await;
        if result.is_err() {
            // The error may tell of rows that are not durable yet.
            txn.wait_shown().await?;
        }
        result
    }

    async fn try_store_lines(&mut self, txn: &mut Txn, last: bool) -> Result<()> {
        self.cx.cancel.check()?;
        while let Some(line) = self.next_line(last)? {
            self.line_number += 1;
            if std::mem::take(&mut self.header_pending) {
                self.check_header(line)?;
                continue;
            }
            self.read_row(&line)?;
            let stored = table::insert(txn, &self.table, &self.row, &self.cx.cancel).await;
            let id = stored.map_err(|e| self.with_line(e, &line))?;
            let (keys, checks) = (&self.foreign_keys, &mut self.key_checks);
            checks
                .inserted(keys, &self.table, id, &self.row, txn)
                .await?;
            self.count += 1;
        }
        Ok(())
    }

    fn next_line(&mut self, last: bool) -> Result<Option<Range<usize>>> {
        self.lines.next(last).map_err(|e| {
            let shown = if last { self.lines.rest() } else { &[] };
            let (table, number) = (&self.table.name, self.line_number + 1);
            e.with_context(match shown {
                [] => format!("COPY {table}, line {number}"),
                shown => format!("COPY {table}, line {number}: \"{}\"", shortened(shown)),
            })
        })
    }

    fn check_header(&mut self, line: Range<usize>) -> Result<()> {
        if !self.options.header_match {
            return Ok(());
        }
        self.fields
            .read(self.lines.bytes(line.clone()), &self.options);
        let (got, expected) = (self.fields.len(), self.columns.len());
        if got != expected {
            let message =
                format!("wrong number of fields in header line: got {got}, expected {expected}");
            return Err(self.with_line(bad(&message), &line));
        }
        for (place, column) in self.columns.iter().enumerate() {
            let expected = &self.table.columns[*column].name;
            let got = String::from_utf8_lossy(self.fields.raw(place)).into_owned();
            if self.fields.get(place).is_none() {
                let message = format!(
                    "column name mismatch in header line field {}: got null value (\"{}\"), \
                     expected \"{expected}\"",
                    place + 1,
                    String::from_utf8_lossy(&self.options.null)
                );
                return Err(self.with_line(bad(&message), &line));
            }
            if got != *expected {
                let message = format!(
                    "column name mismatch in header line field {}: got \"{got}\", \
                     expected \"{expected}\"",
                    place + 1
                );
                return Err(self.with_line(bad(&message), &line));
            }
        }
        Ok(())
    }

    /// Turns a line into the row to store.
    fn read_row(&mut self, line: &Range<usize>) -> Result<()> {
        let bytes = self.lines.bytes(line.clone());
        if let Err(e) = std::str::from_utf8(bytes) {
            let bad = &bytes[e.valid_up_to()..];
            let shown: Vec<String> = bad.iter().take(1).map(|b| format!("0x{b:02x}")).collect();
            let message = format!(
                "invalid byte sequence for encoding \"UTF8\": {}",
                shown.join(" ")
            );
            let error = Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message);
            let context = format!("COPY {}, line {}", self.table.name, self.line_number);
            return Err(error.with_context(context));
        }
        self.fields.read(bytes, &self.options);
        if self.fields.len() > self.columns.len() {
            let error = bad("extra data after last expected column");
            return Err(self.with_line(error, line));
        }
        for place in 0..self.columns.len() {
            if place >= self.fields.len() {
                let column = &self.table.columns[self.columns[place]].name;
                let error = bad(&format!("missing data for column \"{column}\""));
                return Err(self.with_line(error, line));
            }
            self.read_field(place)?;
        }
        let eval_cx = EvalContext {
            format: &self.cx.format,
            session: &self.cx.session,
            catalog: &self.catalog,
            params: &[],
        };
        let cx = ExprContext::new(eval_cx);
        for (place, default) in &self.defaults {
            self.row[*place] = eval(default, &[], &cx)?.into_owned();
        }
        check_row(&self.table, &self.checks, &self.row, &cx).map_err(|e| self.with_line(e, line))
    }

    fn read_field(&mut self, place: usize) -> Result<()> {
        let column = self.columns[place];
        let def = &self.table.columns[column];
        let mut field = self.fields.get(place);
        if self.force_not_null[place] && field.is_none() {
            field = Some(&self.options.null);
        } else if self.force_null[place] && field == Some(&self.options.null) {
            field = None;
        }
        let slot = &mut self.row[column];
        let Some(bytes) = field else {
            *slot = Datum::Null;
            return Ok(());
        };
        // The line was valid, but escapes can spell anything.
        let value = match std::str::from_utf8(bytes) {
            Ok(text) => read_value(def.ty, def.typmod, text, slot, &self.cx.format),
            Err(e) => {
                let byte = bytes[e.valid_up_to()];
                let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
                Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message))
            }
        };
        value.map_err(|e| {
            let shown = shortened(bytes);
            let (table, line) = (&self.table.name, self.line_number);
            e.with_context(format!(
                "COPY {table}, line {line}, column {}: \"{shown}\"",
                def.name
            ))
        })
    }

    fn with_line(&self, error: Error, line: &Range<usize>) -> Error {
        let (table, number) = (&self.table.name, self.line_number);
        // PostgreSQL finds duplicates when the line is no longer at hand.
        if error.sqlstate() == SqlState::UNIQUE_VIOLATION {
            return error.with_context(format!("COPY {table}, line {number}"));
        }
        let shown = shortened(self.lines.bytes(line.clone()));
        error.with_context(format!("COPY {table}, line {number}: \"{shown}\""))
    }
}

async fn locked_table(
    name: &Name,
    txn: &mut Txn,
    cx: &StatementContext,
) -> Result<(Arc<TableDef>, Arc<Catalog>)> {
    loop {
        let find =
            |catalog: &Catalog| table_to_copy(name, "to", &bind_context(cx, catalog)).cloned();
        let table = find(&txn.catalog())?;
        let (mode, cancel) = (LockMode::RowExclusive, &cx.cancel);
        lock_table(txn, table.oid, mode, LockWait::Wait, cancel).await?;
        let catalog = txn.catalog();
        let now = find(&catalog)?;
        if now.oid == table.oid {
            return Ok((now, catalog));
        }
    }
}

/// Reads a value over the one of the row before, keeping its allocation.
fn read_value(
    ty: Type,
    typmod: i32,
    text: &str,
    slot: &mut Datum,
    format: &types::Format,
) -> Result<()> {
    match ty {
        Type::Text | Type::Varchar if typmod < 0 => {
            if text.as_bytes().contains(&0) {
                let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
                return Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message));
            }
            slot.set_text(text);
        }
        _ => *slot = types::text_in(ty, typmod, text, format)?,
    }
    Ok(())
}

/// The start of a text, as far as errors show it.
fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= SHOWN_BYTES_MAX {
        return text.into_owned();
    }
    let mut end = SHOWN_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}
