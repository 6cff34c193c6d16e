//! SQL text of indexes and constraints, as PostgreSQL's `pg_get_…def` functions write it.

use crate::sql::func::EvalContext;
use crate::sql::func::text::quote_ident;
use crate::table::{Deferral, ForeignKeyDef, IndexColumn, IndexDef, KeyAction, TableDef};
use crate::types::Datum;

use super::names::{self, Relation};

/// `pg_get_indexdef`: the whole statement, or the column of that number; NULL when there is none.
pub(crate) fn index(cx: &EvalContext<'_>, oid: u32, column: i32, pretty: bool) -> Datum {
    let Some(Relation::Index(table, index)) = names::by_oid(cx.catalog, oid) else {
        return Datum::Null;
    };
    match usize::try_from(column) {
        Ok(0) => Datum::Text(create_index(cx, table, index, pretty)),
        Ok(n) if n <= index.columns.len() => {
            Datum::Text(column_name(table, index.columns[n - 1].column))
        }
        _ => Datum::text(""),
    }
}

pub(super) fn create_index(
    cx: &EvalContext<'_>,
    table: &TableDef,
    index: &IndexDef,
    pretty: bool,
) -> String {
    let unique = if index.is_unique() { "UNIQUE " } else { "" };
    // The pretty form names the schema only where it is needed.
    let on = if pretty {
        names::shown(cx, &Relation::Table(table))
    } else {
        format!(
            "{}.{}",
            quote_ident(&table.schema),
            quote_ident(&table.name)
        )
    };
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|c| index_column(table, c))
        .collect();
    let name = quote_ident(&index.name);
    format!(
        "CREATE {unique}INDEX {name} ON {on} USING btree ({})",
        columns.join(", ")
    )
}

fn index_column(table: &TableDef, column: &IndexColumn) -> String {
    let order = match (column.descending, column.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    column_name(table, column.column) + order
}

fn column_name(table: &TableDef, place: usize) -> String {
    table
        .columns
        .get(place)
        .map_or_else(String::new, |c| quote_ident(&c.name))
}

/// A default as it is shown: the catalog has the OIDs of sequences in it, here stand their names.
pub(crate) fn default_text(cx: &EvalContext<'_>, stored: &str) -> String {
    const END: &str = "'::regclass";
    let mut shown = String::new();
    let mut rest = stored;
    while let Some(end) = rest.find(END) {
        let digits = rest[..end].bytes().rev();
        let start = end - digits.take_while(u8::is_ascii_digit).count();
        let sequence = rest[start..end].parse().ok();
        let sequence = sequence.and_then(|oid| names::by_oid(cx.catalog, oid));
        let named = match sequence {
            Some(sequence) if rest[..start].ends_with('\'') => names::shown(cx, &sequence),
            _ => rest[start..end].to_owned(),
        };
        shown.push_str(&rest[..start]);
        shown.push_str(&named.replace('\'', "''"));
        shown.push_str(END);
        rest = &rest[end + END.len()..];
    }
    shown + rest
}

fn column_list(table: &TableDef, places: impl IntoIterator<Item = usize>) -> String {
    let names: Vec<String> = places.into_iter().map(|p| column_name(table, p)).collect();
    names.join(", ")
}

/// `pg_get_constraintdef`; NULL when there is no such constraint.
pub(crate) fn constraint(cx: &EvalContext<'_>, oid: u32, pretty: bool) -> Datum {
    let found = cx
        .catalog
        .tables
        .values()
        .find_map(|t| of_table(cx, t, oid, pretty));
    found.map_or(Datum::Null, Datum::Text)
}

fn of_table(cx: &EvalContext<'_>, table: &TableDef, oid: u32, pretty: bool) -> Option<String> {
    if let Some(index) = table
        .indexes
        .iter()
        .find(|i| i.constraint && i.oid.0 == oid)
    {
        let kind = if index.primary {
            "PRIMARY KEY"
        } else {
            "UNIQUE"
        };
        let columns = column_list(table, index.columns.iter().map(|c| c.column));
        let deferral = deferral(index.deferral);
        return Some(format!("{kind} ({columns}){deferral}"));
    }
    if let Some(check) = table.checks.iter().find(|c| c.oid.0 == oid) {
        let expr = &check.expr;
        return Some(if pretty {
            format!("CHECK ({expr})")
        } else {
            format!("CHECK (({expr}))")
        });
    }
    let key = table.foreign_keys.iter().find(|k| k.oid.0 == oid)?;
    Some(foreign_key(cx, table, key))
}

fn foreign_key(cx: &EvalContext<'_>, table: &TableDef, key: &ForeignKeyDef) -> String {
    let columns = column_list(table, key.columns.iter().copied());
    let (name, references) = match cx.catalog.tables.get(&key.table) {
        Some(other) => (
            names::shown(cx, &Relation::Table(other)),
            column_list(other, key.references.iter().copied()),
        ),
        None => (key.table.to_string(), String::new()),
    };
    let mut text = format!("FOREIGN KEY ({columns}) REFERENCES {name}({references})");
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    for (verb, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        if action != KeyAction::NoAction {
            text.push_str(&format!(" ON {verb} {}", action_words(action)));
        }
    }
    if !key.delete_sets.is_empty() {
        let columns = column_list(table, key.delete_sets.iter().copied());
        text.push_str(&format!(" ({columns})"));
    }
    text.push_str(deferral(key.deferral));
    if !key.validated {
        text.push_str(" NOT VALID");
    }
    text
}

fn deferral(deferral: Deferral) -> &'static str {
    match (deferral.deferrable, deferral.initially_deferred) {
        (false, _) => "",
        (true, false) => " DEFERRABLE",
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
    }
}

pub(super) fn action_words(action: KeyAction) -> &'static str {
    match action {
        KeyAction::NoAction => "NO ACTION",
        KeyAction::Restrict => "RESTRICT",
        KeyAction::Cascade => "CASCADE",
        KeyAction::SetNull => "SET NULL",
        KeyAction::SetDefault => "SET DEFAULT",
    }
}
