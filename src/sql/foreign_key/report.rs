//! What violations say, as PostgreSQL says it.

use crate::base::{Error, SqlState};
use crate::sql::foreign_key::open::Opened;
use crate::table::TableDef;
use crate::types::{self, Datum, Format};

/// A row refers to a key that is not there.
pub(super) fn not_present(opened: &Opened, values: &[Datum], format: &Format) -> Error {
    let key = describe(&opened.table, &opened.key.columns, values, format);
    let detail = format!(
        "{key} is not present in table \"{}\".",
        opened.referenced.name
    );
    new_reference(opened).with_detail(detail)
}

/// MATCH FULL: some columns are NULL, some are not.
pub(super) fn in_part(opened: &Opened) -> Error {
    new_reference(opened)
        .with_detail("MATCH FULL does not allow mixing of null and nonnull key values.")
}

fn new_reference(opened: &Opened) -> Error {
    let (table, key) = (&opened.table, &opened.key);
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        table.name, key.name
    );
    violation(opened, message)
}

/// A key goes that rows refer to.
pub(super) fn still_referenced(opened: &Opened, values: &[Datum], format: &Format) -> Error {
    let (table, key) = (&opened.table, &opened.key);
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
        opened.referenced.name, key.name, table.name
    );
    let described = describe(&opened.referenced, &key.references, values, format);
    let detail = format!(
        "{described} is still referenced from table \"{}\".",
        table.name
    );
    violation(opened, message).with_detail(detail)
}

fn violation(opened: &Opened, message: String) -> Error {
    Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .with_table(&opened.table.schema, &opened.table.name)
        .with_constraint(&opened.key.name)
}

/// `Key (a, b)=(1, x)`
fn describe(table: &TableDef, columns: &[usize], values: &[Datum], format: &Format) -> String {
    let columns = columns.iter().map(|column| &table.columns[*column]);
    let names: Vec<&str> = columns.clone().map(|column| column.name.as_str()).collect();
    let texts = columns.zip(values).map(|(column, value)| {
        let mut text = Vec::new();
        types::text_out(column.ty, value, format, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let texts: Vec<String> = texts.collect();
    format!("Key ({})=({})", names.join(", "), texts.join(", "))
}
