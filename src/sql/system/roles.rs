//! The role, the database and the settings, as far as the session knows them.

use crate::sql::func::EvalContext;

use super::Rows;
use super::values::{NULL, boolean, int4, letter, oid, text};

/// The one role: PostgreSQL's bootstrap superuser.
pub(crate) const ROLE_OID: u32 = 10;
/// Transactions have no numbers that age; these say "frozen".
pub(super) const FROZEN_XID: u32 = 2;
pub(super) const FIRST_MULTIXACT: u32 = 1;

pub(crate) fn name<'a>(cx: &'a EvalContext<'_>, role: u32) -> Option<&'a str> {
    (role == ROLE_OID).then_some(cx.session.user.as_str())
}

pub(super) fn pg_roles(cx: &EvalContext<'_>) -> Rows {
    vec![vec![
        text(&cx.session.user),
        boolean(true), // rolsuper
        boolean(true), // rolinherit
        boolean(true), // rolcreaterole
        boolean(true), // rolcreatedb
        boolean(true), // rolcanlogin
        boolean(true), // rolreplication
        int4(-1),      // rolconnlimit
        text("********"),
        NULL,          // rolvaliduntil
        boolean(true), // rolbypassrls
        NULL,          // rolconfig
        oid(ROLE_OID),
    ]]
}

pub(super) fn pg_user(cx: &EvalContext<'_>) -> Rows {
    vec![vec![
        text(&cx.session.user),
        oid(ROLE_OID),
        boolean(true), // usecreatedb
        boolean(true), // usesuper
        boolean(true), // userepl
        boolean(true), // usebypassrls
        text("********"),
        NULL, // valuntil
        NULL, // useconfig
    ]]
}

pub(super) fn pg_database(cx: &EvalContext<'_>) -> Rows {
    let server = cx.session.server.iter();
    let databases = server.flat_map(|server| server.databases());
    databases
        .map(|database| {
            vec![
                oid(database.oid.0),
                text(&database.name),
                oid(ROLE_OID),
                int4(6),      // encoding: UTF8
                letter(b'c'), // datlocprovider: libc
                boolean(database.is_template),
                boolean(database.allows_connections),
                int4(database.connection_limit),
                oid(FROZEN_XID),
                oid(FIRST_MULTIXACT),
                oid(super::builtins::PG_DEFAULT_OID),
                text("C.UTF-8"), // datcollate
                text("C.UTF-8"), // datctype
                NULL,            // daticulocale
                NULL,            // datcollversion
                NULL,            // datacl
            ]
        })
        .collect()
}

/// Names and values; what a setting means is not told.
pub(super) fn pg_settings(cx: &EvalContext<'_>) -> Rows {
    let settings = cx.session.settings.iter();
    settings
        .map(|(name, value)| {
            let mut row = vec![NULL; super::columns::PG_SETTINGS.len()];
            row[0] = text(name);
            row[1] = text(value);
            row[16] = boolean(false); // pending_restart
            row
        })
        .collect()
}
