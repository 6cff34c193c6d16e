//! What the catalog says of objects, and the reg* types, whose text is an object's name.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::database::DatabaseDef;
use crate::sql::func::define::{eval, function, text, wrong_argument};
use crate::sql::func::text::quote_ident;
use crate::sql::func::{Eval, EvalContext, Function};
use crate::sql::system::names::{self, Relation};
use crate::sql::system::{definitions, procs, roles};
use crate::types::Type::{Any, Bool, Int4, Int8, Name, Oid, Regclass, Regtype, Text};
use crate::types::{Datum, Type, format_type};

/// Forms of a privilege check: with or without the role, by name or OID, object by name or OID.
macro_rules! privilege {
    ($name:literal, $check:ident) => {
        &[
            function(
                $name,
                &[Text, Text],
                Bool,
                Eval::F2(|cx, x, p| $check(cx, x, p)),
            )
            .stable(),
            function(
                $name,
                &[Oid, Text],
                Bool,
                Eval::F2(|cx, x, p| $check(cx, x, p)),
            )
            .stable(),
            function(
                $name,
                &[Name, Text, Text],
                Bool,
                Eval::F3(|cx, _, x, p| $check(cx, x, p)),
            )
            .stable(),
            function(
                $name,
                &[Name, Oid, Text],
                Bool,
                Eval::F3(|cx, _, x, p| $check(cx, x, p)),
            )
            .stable(),
            function(
                $name,
                &[Oid, Text, Text],
                Bool,
                Eval::F3(|cx, _, x, p| $check(cx, x, p)),
            )
            .stable(),
            function(
                $name,
                &[Oid, Oid, Text],
                Bool,
                Eval::F3(|cx, _, x, p| $check(cx, x, p)),
            )
            .stable(),
        ]
    };
}

const UNKNOWN_SIZE: Eval = Eval::F1(|_, _| Ok(Datum::Null));

/// There are no comments on objects.
const NO_COMMENT: Eval = Eval::N(|_, _| Ok(Datum::Null));

pub(super) static FUNCTIONS: &[&[Function]] = &[
    &[
        function(
            "pg_typeof",
            &[Any],
            Regtype,
            Eval::Typed(|_, types, _| match types {
                [ty] => Ok(Datum::Oid(ty.oid().0)),
                _ => wrong_argument(),
            }),
        )
        .sees_null()
        .stable(),
        function("format_type", &[Oid, Int4], Text, Eval::F2(type_name))
            .sees_null()
            .stable(),
        function(
            "pg_table_is_visible",
            &[Oid],
            Bool,
            eval!(cx; |oid: Oid| {
                let relation = names::by_oid(cx.catalog, *oid);
                Ok(relation.map_or(Datum::Null, |r| Datum::Bool(names::is_visible(cx, &r))))
            }),
        )
        .stable(),
        function(
            "pg_type_is_visible",
            &[Oid],
            Bool,
            eval!(|oid: Oid| { Ok(type_of(*oid).map_or(Datum::Null, |_| Datum::Bool(true))) }),
        )
        .stable(),
        function(
            "pg_function_is_visible",
            &[Oid],
            Bool,
            eval!(|oid: Oid| { Ok(procs::name(*oid).map_or(Datum::Null, |_| Datum::Bool(true))) }),
        )
        .stable(),
        function(
            "pg_operator_is_visible",
            &[Oid],
            Bool,
            eval!(|_oid: Oid| Ok(Datum::Bool(true))),
        )
        .stable(),
        function(
            "pg_get_function_result",
            &[Oid],
            Text,
            eval!(|oid: Oid| Ok(procs::result(*oid).map_or(Datum::Null, Datum::Text))),
        )
        .stable(),
        function(
            "pg_get_function_arguments",
            &[Oid],
            Text,
            eval!(|oid: Oid| Ok(procs::arguments(*oid).map_or(Datum::Null, Datum::Text))),
        )
        .stable(),
        function(
            "pg_get_function_identity_arguments",
            &[Oid],
            Text,
            eval!(|oid: Oid| Ok(procs::arguments(*oid).map_or(Datum::Null, Datum::Text))),
        )
        .stable(),
        // Extended statistics do not exist.
        function(
            "pg_get_statisticsobjdef_columns",
            &[Oid],
            Text,
            Eval::F1(|_, _| Ok(Datum::Null)),
        )
        .stable(),
        function(
            "pg_size_pretty",
            &[Int8],
            Text,
            eval!(|size: Int8| text(size_pretty(*size))),
        ),
        // The catalog does not know how many pages a table takes.
        function("pg_database_size", &[Name], Int8, Eval::F1(database_size)).volatile(),
        function("pg_database_size", &[Oid], Int8, Eval::F1(database_size)).volatile(),
        function("pg_table_size", &[Regclass], Int8, UNKNOWN_SIZE).volatile(),
        function("pg_total_relation_size", &[Regclass], Int8, UNKNOWN_SIZE).volatile(),
        function("pg_relation_size", &[Regclass], Int8, UNKNOWN_SIZE).volatile(),
        function("pg_indexes_size", &[Regclass], Int8, UNKNOWN_SIZE).volatile(),
        function(
            "pg_tablespace_location",
            &[Oid],
            Text,
            eval!(|_oid: Oid| text("")),
        )
        .stable(),
        function(
            "pg_get_userbyid",
            &[Oid],
            Name,
            eval!(cx; |oid: Oid| {
                match roles::name(cx, *oid) {
                    Some(name) => text(name),
                    None => text(format!("unknown (OID={oid})")),
                }
            }),
        )
        .stable(),
        // Expressions are kept as SQL text, with the OIDs of sequences.
        function(
            "pg_get_expr",
            &[Text, Oid],
            Text,
            eval!(cx; |expr: Text, _table: Oid| text(definitions::default_text(cx, expr))),
        )
        .stable(),
        function(
            "pg_get_expr",
            &[Text, Oid, Bool],
            Text,
            eval!(cx; |expr: Text, _table: Oid, _pretty: Bool| {
                text(definitions::default_text(cx, expr))
            }),
        )
        .stable(),
        function(
            "pg_get_constraintdef",
            &[Oid],
            Text,
            eval!(cx; |oid: Oid| Ok(definitions::constraint(cx, *oid, false))),
        )
        .stable(),
        function(
            "pg_get_constraintdef",
            &[Oid, Bool],
            Text,
            eval!(cx; |oid: Oid, pretty: Bool| Ok(definitions::constraint(cx, *oid, *pretty))),
        )
        .stable(),
        // There are neither triggers nor partitions.
        function(
            "pg_get_triggerdef",
            &[Oid],
            Text,
            eval!(|_trigger: Oid| Ok(Datum::Null)),
        )
        .stable(),
        function(
            "pg_get_triggerdef",
            &[Oid, Bool],
            Text,
            eval!(|_trigger: Oid, _pretty: Bool| Ok(Datum::Null)),
        )
        .stable(),
        function(
            "pg_partition_ancestors",
            &[Regclass],
            Regclass,
            Eval::Set(|_, _| Ok(Box::new(std::iter::empty()))),
        ),
        function(
            "pg_get_indexdef",
            &[Oid],
            Text,
            eval!(cx; |oid: Oid| Ok(definitions::index(cx, *oid, 0, false))),
        )
        .stable(),
        function(
            "pg_get_indexdef",
            &[Oid, Int4, Bool],
            Text,
            eval!(cx; |oid: Oid, column: Int4, pretty: Bool| {
                Ok(definitions::index(cx, *oid, *column, *pretty))
            }),
        )
        .stable(),
        // Partitions do not exist.
        function(
            "pg_get_partkeydef",
            &[Oid],
            Text,
            Eval::F1(|_, _| Ok(Datum::Null)),
        )
        .stable(),
        function(
            "pg_get_serial_sequence",
            &[Text, Text],
            Text,
            eval!(cx; |table: Text, column: Text| {
                serial_sequence(cx, table, column)
            }),
        )
        .stable(),
        function(
            "pg_relation_is_publishable",
            &[Regclass],
            Bool,
            eval!(cx; |oid: Oid| {
                let relation = names::by_oid(cx.catalog, *oid);
                Ok(relation.map_or(Datum::Null, |r| {
                    Datum::Bool(matches!(r, Relation::Table(t) if !t.unlogged))
                }))
            }),
        )
        .stable(),
        function("obj_description", &[Oid], Text, NO_COMMENT).stable(),
        function("obj_description", &[Oid, Name], Text, NO_COMMENT).stable(),
        function("shobj_description", &[Oid, Name], Text, NO_COMMENT).stable(),
        function("col_description", &[Oid, Int4], Text, NO_COMMENT).stable(),
        function(
            "to_regclass",
            &[Text],
            Regclass,
            eval!(cx; |name: Text| or_null(reg_from_text(cx, Regclass, name))),
        )
        .stable(),
        function(
            "to_regtype",
            &[Text],
            Regtype,
            eval!(cx; |name: Text| or_null(reg_from_text(cx, Regtype, name))),
        )
        .stable(),
    ],
    privilege!("has_table_privilege", table_privilege),
    privilege!("has_sequence_privilege", sequence_privilege),
    privilege!("has_schema_privilege", schema_privilege),
    privilege!("has_database_privilege", database_privilege),
];

/// A number of bytes in the largest unit that leaves some digits. The last bit that is shifted out
/// rounds.
fn size_pretty(mut size: i64) -> String {
    if size.unsigned_abs() < 10 * 1024 {
        return format!("{size} bytes");
    }
    // Twice the size in kB, so that one bit more than is shown is at hand.
    size /= 1 << 9;
    let units = ["kB", "MB", "GB", "TB", "PB"];
    let last = units.len() - 1;
    let mut unit = 0;
    while unit < last && size.unsigned_abs() >= 20 * 1024 - 1 {
        size /= 1 << 10;
        unit += 1;
    }
    format!("{} {}", (size + size.signum()) / 2, units[unit])
}

fn type_of(oid: u32) -> Option<Type> {
    Type::from_oid(crate::base::Oid(oid))
}

fn type_name(_: &EvalContext<'_>, oid: &Datum, typmod: &Datum) -> Result<Datum> {
    let typmod = match typmod {
        Datum::Int4(typmod) => *typmod,
        _ => -1,
    };
    match oid {
        Datum::Null => Ok(Datum::Null),
        Datum::Oid(0) => text("-"),
        Datum::Oid(oid) => {
            text(type_of(*oid).map_or("???".to_owned(), |ty| format_type(ty, typmod)))
        }
        _ => wrong_argument(),
    }
}

/// An object that does not exist is NULL, as the `to_reg…` functions have it.
fn or_null(found: Result<Datum>) -> Result<Datum> {
    match found {
        Err(e)
            if [
                SqlState::UNDEFINED_TABLE,
                SqlState::UNDEFINED_OBJECT,
                SqlState::INVALID_SCHEMA_NAME,
            ]
            .contains(&e.sqlstate()) =>
        {
            Ok(Datum::Null)
        }
        other => other,
    }
}

/// The input of regclass, regtype and regproc: an OID, `-`, or a name. `bind` uses it for literals.
pub fn reg_from_text(cx: &EvalContext<'_>, ty: Type, s: &str) -> Result<Datum> {
    let s = s.trim();
    if s == "-" {
        return Ok(Datum::Oid(0));
    }
    if !s.is_empty() && s.bytes().all(|c| c.is_ascii_digit()) {
        return match s.parse() {
            Ok(oid) => Ok(Datum::Oid(oid)),
            Err(_) => super::define::out_of_range(&format!(
                "value \"{s}\" is out of range for type oid; OID"
            )),
        };
    }
    let oid = match ty {
        Type::Regclass => names::resolve(cx, s)?.oid(),
        Type::Regtype => type_from_name(s)?.oid().0,
        Type::Regproc => procs::resolve(&names::parse(s)?, s)?,
        Type::Regnamespace => schema_from_name(cx, s)?,
        _ => return wrong_argument(),
    };
    Ok(Datum::Oid(oid))
}

fn schema_from_name(cx: &EvalContext<'_>, s: &str) -> Result<u32> {
    let parts = names::parse(s)?;
    let [name] = parts.as_slice() else {
        return Err(Error::new(SqlState::INVALID_NAME, "invalid name syntax"));
    };
    names::schema_oid(cx.catalog, name).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{name}\" does not exist"),
        )
    })
}

/// The output of regclass, regtype and regproc; whoever shows such a value uses it.
pub fn reg_to_text(cx: &EvalContext<'_>, ty: Type, oid: u32) -> Result<Datum> {
    if oid == 0 {
        return text("-");
    }
    let name = match ty {
        Type::Regclass => names::by_oid(cx.catalog, oid).map(|r| names::shown(cx, &r)),
        Type::Regtype => type_of(oid).map(|ty| format_type(ty, -1)),
        Type::Regproc => procs::name(oid).map(quote_ident),
        Type::Regnamespace => names::schemas(cx.catalog)
            .find(|(known, _)| *known == oid)
            .map(|(_, name)| quote_ident(name)),
        _ => return wrong_argument(),
    };
    text(name.unwrap_or_else(|| oid.to_string()))
}

/// A row as it is shown: in the columns of `types` that hold names of objects, the names.
pub fn with_names(cx: &EvalContext<'_>, types: &[Type], row: &[Datum]) -> Result<Vec<Datum>> {
    let shown = row.iter().zip(types).map(|(value, ty)| match value {
        Datum::Oid(oid) if ty.is_reg() => reg_to_text(cx, *ty, *oid),
        value => Ok(value.clone()),
    });
    shown.collect()
}

/// A type as SQL writes it, perhaps with a modifier (which is dropped) and brackets.
fn type_from_name(s: &str) -> Result<Type> {
    let missing = || {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{s}\" does not exist"),
        )
    };
    let (mut base, mut array) = (s.trim(), false);
    while let Some(element) = base.strip_suffix(']') {
        let element = element.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        base = element.strip_suffix('[').ok_or_else(missing)?.trim_end();
        array = true;
    }
    let mut name = base.to_owned();
    if let (Some(open), Some(close)) = (base.find('('), base.find(')')) {
        name = [base[..open].trim_end(), &base[(close + 1).max(open)..]].concat();
    }
    let name = match name.strip_prefix("pg_catalog.") {
        Some(name) => name.to_owned(),
        None => name,
    };
    let lower = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some("char") => "\"char\"".to_owned(),
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name
            .to_lowercase()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    };
    let ty = Type::from_name(&lower).ok_or_else(missing)?;
    if array {
        ty.array().ok_or_else(missing)
    } else {
        Ok(ty)
    }
}

fn serial_sequence(cx: &EvalContext<'_>, table: &str, column: &str) -> Result<Datum> {
    let Relation::Table(def) = names::resolve(cx, table)? else {
        return Ok(Datum::Null);
    };
    let Some(place) = def.column(column) else {
        return Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!(
                "column \"{column}\" of relation \"{}\" does not exist",
                def.name
            ),
        ));
    };
    let mut owned = cx.catalog.owned_sequences(def.oid);
    let of_column = owned.find(|s| s.owner.is_some_and(|owner| owner.column == place));
    Ok(of_column.map_or(Datum::Null, |sequence| {
        let (schema, name) = (&sequence.schema, &sequence.name);
        Datum::Text(format!("{}.{}", quote_ident(schema), quote_ident(name)))
    }))
}

/// Every role may do everything that exists; a privilege must still be one.
fn check_privilege(privileges: &Datum, known: &[&str]) -> Result<()> {
    let Datum::Text(privileges) = privileges else {
        return wrong_argument();
    };
    for privilege in privileges.split(',') {
        let upper = privilege.trim().to_ascii_uppercase();
        let plain = upper.strip_suffix(" WITH GRANT OPTION").unwrap_or(&upper);
        if !known.contains(&plain) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{}\"", privilege.trim()),
            ));
        }
    }
    Ok(())
}

fn table_privilege(cx: &EvalContext<'_>, table: &Datum, privileges: &Datum) -> Result<Datum> {
    let exists = match table {
        Datum::Text(name) => names::resolve(cx, name).map(|_| true)?,
        Datum::Oid(oid) => names::by_oid(cx.catalog, *oid).is_some(),
        _ => return wrong_argument(),
    };
    check_privilege(
        privileges,
        &[
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
            "TRUNCATE",
            "REFERENCES",
            "TRIGGER",
        ],
    )?;
    Ok(if exists {
        Datum::Bool(true)
    } else {
        Datum::Null
    })
}

fn sequence_privilege(cx: &EvalContext<'_>, sequence: &Datum, wanted: &Datum) -> Result<Datum> {
    let relation = match sequence {
        Datum::Text(name) => Some(names::resolve(cx, name)?),
        Datum::Oid(oid) => names::by_oid(cx.catalog, *oid),
        _ => return wrong_argument(),
    };
    if let Some(other) = &relation
        && !matches!(other, Relation::Sequence(_))
    {
        let message = format!("\"{}\" is not a sequence", other.name());
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    check_privilege(wanted, &["USAGE", "SELECT", "UPDATE"])?;
    Ok(relation.map_or(Datum::Null, |_| Datum::Bool(true)))
}

fn schema_privilege(cx: &EvalContext<'_>, schema: &Datum, privileges: &Datum) -> Result<Datum> {
    let exists = match schema {
        Datum::Text(name) => match names::schema_oid(cx.catalog, name) {
            Some(_) => true,
            None => {
                return Err(Error::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{name}\" does not exist"),
                ));
            }
        },
        Datum::Oid(oid) => names::schemas(cx.catalog).any(|(known, _)| known == *oid),
        _ => return wrong_argument(),
    };
    check_privilege(privileges, &["CREATE", "USAGE"])?;
    Ok(if exists {
        Datum::Bool(true)
    } else {
        Datum::Null
    })
}

fn database_privilege(cx: &EvalContext<'_>, database: &Datum, privileges: &Datum) -> Result<Datum> {
    let exists = match database {
        Datum::Text(name) if *name == cx.session.database => true,
        Datum::Text(_) => find_database(cx, database)?.is_some(),
        Datum::Oid(oid) if *oid == cx.session.database_oid.0 => true,
        Datum::Oid(_) => find_database(cx, database)?.is_some(),
        _ => return wrong_argument(),
    };
    check_privilege(privileges, &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])?;
    Ok(if exists {
        Datum::Bool(true)
    } else {
        Datum::Null
    })
}

/// A database by its name, which must be one, or by its OID.
fn find_database(cx: &EvalContext<'_>, wanted: &Datum) -> Result<Option<Arc<DatabaseDef>>> {
    let server = cx.session.server.iter();
    let mut databases = server.flat_map(|server| server.databases());
    match wanted {
        Datum::Text(name) => match databases.find(|d| d.name == **name) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{name}\" does not exist"),
            )),
        },
        Datum::Oid(oid) => Ok(databases.find(|d| d.oid.0 == *oid)),
        _ => wrong_argument(),
    }
}

/// NULL for an OID that no database has.
fn database_size(cx: &EvalContext<'_>, database: &Datum) -> Result<Datum> {
    match (find_database(cx, database)?, &cx.session.server) {
        (Some(database), Some(server)) => {
            let bytes = server.database_bytes(&database)?;
            Ok(Datum::Int8(i64::try_from(bytes).unwrap_or(i64::MAX)))
        }
        _ => Ok(Datum::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::size_pretty;

    #[test]
    fn sizes_are_rounded_as_postgresql_rounds_them() {
        for (size, shown) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_752, "-11 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (123_456_789, "118 MB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(size_pretty(size), shown);
        }
    }
}
