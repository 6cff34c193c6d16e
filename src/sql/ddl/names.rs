//! Names that statements leave out, as PostgreSQL makes them, and where new objects go.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::Name;
use crate::sql::context::SessionInfo;
use crate::table::{Catalog, TableDef};

/// PostgreSQL's NAMEDATALEN less its terminator.
const NAME_BYTES_MAX: usize = 63;

/// `{first}_{second}_{label}`, the longer of the first two shortened until it fits.
fn object_name(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(second.is_some());
    let available = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut a, mut b) = (first.len(), second.map_or(0, str::len));
    while a + b > available {
        if a > b {
            a -= 1;
        } else {
            b -= 1;
        }
    }
    let mut name = clipped(first, a).to_owned();
    if let Some(second) = second {
        name.push('_');
        name.push_str(clipped(second, b));
    }
    name.push('_');
    name.push_str(label);
    name
}

fn clipped(text: &str, mut end: usize) -> &str {
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A name that is free: a number is appended to the label until `is_taken` is content.
pub(super) fn choose(
    first: &str,
    second: Option<&str>,
    label: &str,
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let mut name = object_name(first, second, label);
    let mut pass = 0;
    while is_taken(&name) {
        pass += 1;
        name = object_name(first, second, &format!("{label}{pass}"));
    }
    name
}

/// Whether a table, index or sequence of that name exists in a schema.
pub(super) fn is_relation(catalog: &Catalog, schema: &str, name: &str) -> bool {
    catalog.is_relation(schema, name)
}

/// A name as messages show it in the description of an object.
pub(super) fn quoted(name: &str) -> String {
    crate::sql::func::text::quote_ident(name)
}

pub(super) fn is_constraint(table: &TableDef, name: &str) -> bool {
    table.checks.iter().any(|check| check.name == name)
        || table.foreign_keys.iter().any(|key| key.name == name)
        || table
            .indexes
            .iter()
            .any(|index| index.constraint && index.name == name)
}

/// Whether a table in a schema has a constraint of that name.
pub(super) fn is_constraint_in(catalog: &Catalog, schema: &str, name: &str) -> bool {
    let mut tables = catalog
        .tables
        .values()
        .filter(|table| table.schema == schema);
    tables.any(|table| is_constraint(table, name))
}

/// The schema and name of an object to be made.
pub(super) fn new_name(
    name: &Name,
    catalog: &Catalog,
    session: &SessionInfo,
) -> Result<(String, String)> {
    let exists = |schema: &str| catalog.schemas.iter().any(|(_, name)| name == schema);
    let parts: Vec<&str> = name.parts.iter().map(|part| part.name.as_str()).collect();
    let (schema, object) = match parts[..] {
        [object] => {
            let own = |schema: &&String| exists(schema) && !is_system(schema);
            let schema = session.search_path.iter().find(own);
            let schema = schema.ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    "no schema has been selected to create in",
                )
            })?;
            (schema.as_str(), object)
        }
        [schema, object] => (schema, object),
        [database, schema, object] if database == session.database => (schema, object),
        _ => {
            let message = format!(
                "cross-database references are not implemented: \"{}\"",
                parts.join(".")
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    };
    if !exists(schema) {
        let message = format!("schema \"{schema}\" does not exist");
        let position = name.parts.first().map_or(0, |part| part.position);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message).at(position));
    }
    if is_system(schema) {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to create \"{schema}.{object}\""),
        )
        .with_detail("System catalog modifications are currently disallowed."));
    }
    Ok((schema.to_owned(), object.to_owned()))
}

fn is_system(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_postgresqls() {
        assert_eq!(choose("t", None, "pkey", |_| false), "t_pkey");
        assert_eq!(choose("t", Some("a_b"), "key", |_| false), "t_a_b_key");
        assert_eq!(
            choose("t", Some("a"), "idx", |name| name == "t_a_idx"),
            "t_a_idx1"
        );
        let long = "x".repeat(63);
        let name = choose(&long, Some(&"y".repeat(40)), "idx", |_| false);
        assert_eq!(name, format!("{}_{}_idx", "x".repeat(29), "y".repeat(29)));
    }
}
