//! What the session and the server say of themselves.

use crate::base::{Error, Result, SqlState};
use crate::sql::func::array::array;
use crate::sql::func::define::{eval, function, text, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function};
use crate::types::Datum;
use crate::types::Type::{Bool, Int4, Name, NameArray, Oid, Text};

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "version",
        &[],
        Text,
        Eval::F0(|cx| {
            text(format!(
                "PostgreSQL {} on {}-{}, 64-bit",
                cx.session.server_version,
                std::env::consts::ARCH,
                std::env::consts::OS,
            ))
        }),
    )
    .stable(),
    function(
        "current_database",
        &[],
        Name,
        Eval::F0(|cx| text(&cx.session.database)),
    )
    .stable(),
    function(
        "current_catalog",
        &[],
        Name,
        Eval::F0(|cx| text(&cx.session.database)),
    )
    .stable(),
    function(
        "current_user",
        &[],
        Name,
        Eval::F0(|cx| text(&cx.session.user)),
    )
    .stable(),
    function(
        "current_role",
        &[],
        Name,
        Eval::F0(|cx| text(&cx.session.user)),
    )
    .stable(),
    function(
        "session_user",
        &[],
        Name,
        Eval::F0(|cx| text(&cx.session.user)),
    )
    .stable(),
    function("user", &[], Name, Eval::F0(|cx| text(&cx.session.user))).stable(),
    function(
        "current_schema",
        &[],
        Name,
        Eval::F0(|cx| Ok(search_path(cx).next().map_or(Datum::Null, Datum::text))),
    )
    .stable(),
    function(
        "current_schemas",
        &[Bool],
        NameArray,
        eval!(cx; |implicit: Bool| {
            let named = cx.session.search_path.iter().any(|s| s == "pg_catalog");
            let catalog = (*implicit && !named).then_some("pg_catalog");
            Ok(array(catalog.into_iter().chain(search_path(cx)).map(Datum::text).collect()))
        }),
    )
    .stable(),
    function(
        "pg_backend_pid",
        &[],
        Int4,
        Eval::F0(|cx| Ok(Datum::Int4(cx.session.backend_pid))),
    )
    .stable(),
    function(
        "current_setting",
        &[Text],
        Text,
        eval!(cx; |name: Text| setting(cx, name, false)),
    )
    .stable(),
    function(
        "current_setting",
        &[Text, Bool],
        Text,
        eval!(cx; |name: Text, missing: Bool| setting(cx, name, *missing)),
    )
    .stable(),
    function(
        "set_config",
        &[Text, Text, Bool],
        Text,
        Eval::F3(set_config),
    )
    .volatile()
    .sees_null(),
    function("pg_client_encoding", &[], Name, Eval::F0(|_| text("UTF8"))).stable(),
    function("getdatabaseencoding", &[], Name, Eval::F0(|_| text("UTF8"))).stable(),
    function(
        "pg_encoding_to_char",
        &[Int4],
        Name,
        eval!(|n: Int4| {
            let known = ENCODINGS.iter().find(|(_, number)| number == n);
            text(known.map_or("", |(name, _)| *name))
        }),
    )
    .stable(),
    function(
        "pg_char_to_encoding",
        &[Name],
        Int4,
        eval!(|name: Text| {
            let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            let known = ENCODINGS
                .iter()
                .find(|(name, _)| plain.eq_ignore_ascii_case(&name.replace('_', "")));
            Ok(Datum::Int4(known.map_or(-1, |(_, number)| *number)))
        }),
    )
    .stable(),
    function(
        "pg_is_in_recovery",
        &[],
        Bool,
        Eval::F0(|_| Ok(Datum::Bool(false))),
    )
    .volatile(),
    function(
        "pg_my_temp_schema",
        &[],
        Oid,
        Eval::F0(|_| Ok(Datum::Oid(0))),
    )
    .stable(),
]];

/// PostgreSQL's numbers of the server encodings that clients ask for.
static ENCODINGS: &[(&str, i32)] = &[
    ("SQL_ASCII", 0),
    ("UTF8", 6),
    ("LATIN1", 8),
    ("WIN1252", 24),
];

/// The schemas of the search path that exist.
fn search_path<'a>(cx: &'a EvalContext<'_>) -> impl Iterator<Item = &'a str> {
    cx.session
        .search_path
        .iter()
        .map(String::as_str)
        .filter(|name| {
            matches!(*name, "pg_catalog" | "information_schema")
                || cx.catalog.schemas.iter().any(|(_, schema)| schema == name)
        })
}

/// The setting changes when the statement ends.
fn set_config(
    cx: &EvalContext<'_>,
    name: &Datum,
    value: &Datum,
    is_local: &Datum,
) -> Result<Datum> {
    let (name, value) = match (name, value) {
        (Datum::Text(name), Datum::Text(value)) => (name, value),
        (Datum::Text(_), Datum::Null) => {
            return Err(Error::unsupported("set_config to null is"));
        }
        (Datum::Null, _) => {
            let message = "SET requires parameter name";
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        _ => return wrong_argument(),
    };
    let settings = &cx.session.settings;
    let now = settings.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    let now = now.map_or("", |(_, now)| now.as_str());
    let shown = (cx.session.changes.check)(name, value, now)?;
    let is_local = matches!(is_local, Datum::Bool(true));
    let change = (name.to_string(), value.to_string(), is_local);
    cx.session.changes.push(change);
    text(&shown)
}

fn setting(cx: &EvalContext<'_>, name: &str, missing_ok: bool) -> Result<Datum> {
    let found = cx
        .session
        .settings
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name));
    match found {
        Some((_, value)) => text(value),
        None if missing_ok => Ok(Datum::Null),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}
