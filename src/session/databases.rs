//! CREATE, ALTER and DROP DATABASE: what their options ask for, and whether that can be had.
//!
//! All databases are the same but for their content: UTF8, sorted by code points, owned by the one
//! role. Options that ask for that are accepted, others refused.

use crate::base::error::Severity;
use crate::base::{Error, Report, Result, SqlState};
use crate::database::{DatabaseChange, NewDatabase};
use crate::session::Session;
use crate::session::client::Client;
use crate::session::run::{Way, while_connected};
use crate::sql::ast;
use crate::sql::ast::{AlterDatabase, DatabaseOption, OptionValue};

/// PostgreSQL's encodings of servers, each at its number.
const ENCODINGS: [&str; 35] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
];
const UTF8: &str = "UTF8";

impl Session {
    pub(super) async fn database_command<C: Client>(
        &mut self,
        statement: &ast::Statement,
        way: Way,
        client: &mut C,
    ) -> Result<&'static str> {
        self.enter();
        let what = match statement {
            ast::Statement::CreateDatabase { .. } => "CREATE DATABASE",
            ast::Statement::DropDatabase { .. } => "DROP DATABASE",
            _ => "ALTER DATABASE",
        };
        self.check_writable(what)?;
        self.check_database_alone(what, way)?;
        self.has_queried = true;
        match statement {
            ast::Statement::CreateDatabase { name, options } => {
                let new = self.new_database(name, options)?;
                let (me, cancel) = (&self.connected, &self.cx.cancel);
                let work = me.database().create_database(new, me, cancel);
                while_connected(work, cancel, client).await?;
            }
            ast::Statement::DropDatabase {
                name,
                if_exists,
                force,
            } => self.drop_database(name, *if_exists, *force, client).await?,
            ast::Statement::AlterDatabase { name, action } => {
                let change = self.database_change(action)?;
                let (me, cancel) = (&self.connected, &self.cx.cancel);
                let work = me.database().alter_database(name, change, me, cancel);
                while_connected(work, cancel, client).await?;
            }
            _ => return Err(Error::new(SqlState::INTERNAL_ERROR, "not about a database")),
        }
        Ok(what)
    }

    /// PostgreSQL allows ALTER DATABASE in a block and takes it back with it; here each of these
    /// is durable at once.
    fn check_database_alone(&self, what: &str, way: Way) -> Result<()> {
        let is_alone = self.check_alone(what, way);
        match what {
            "ALTER DATABASE" if is_alone.is_err() => Err(Error::unsupported(
                "ALTER DATABASE inside a transaction block is",
            )),
            _ => is_alone,
        }
    }

    async fn drop_database<C: Client>(
        &mut self,
        name: &str,
        if_exists: bool,
        force: bool,
        client: &mut C,
    ) -> Result<()> {
        let (me, cancel) = (&self.connected, &self.cx.cancel);
        let work = me.database().drop_database(name, force, me, cancel);
        if while_connected(work, cancel, client).await? {
            return Ok(());
        }
        let message = format!("database \"{name}\" does not exist");
        if !if_exists {
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, message));
        }
        let message = format!("{message}, skipping");
        let notice = Report::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message);
        self.notice(&notice, client);
        Ok(())
    }

    fn new_database(&self, name: &str, options: &[DatabaseOption]) -> Result<NewDatabase> {
        check_options(options, CREATE_OPTIONS)?;
        let mut new = NewDatabase {
            name: name.to_owned(),
            template: None,
            allows_connections: true,
            is_template: false,
            connection_limit: -1,
        };
        for (option, value) in given(options) {
            match option.name.as_str() {
                "template" => new.template = Some(value.text().to_owned()),
                "owner" => self.check_owner(value.text())?,
                "encoding" => check_encoding(option, value)?,
                "locale" | "lc_collate" | "lc_ctype" => check_locale(value.text())?,
                "locale_provider" => check_provider(value.text())?,
                "strategy" => check_strategy(value.text())?,
                "tablespace" => check_tablespace(value.text())?,
                "allow_connections" => new.allows_connections = boolean(option, value)?,
                "is_template" => new.is_template = boolean(option, value)?,
                "connection_limit" => new.connection_limit = limit(option, value)?,
                "icu_locale" => {
                    return Err(Error::new(
                        SqlState::INVALID_OBJECT_DEFINITION,
                        "ICU locale cannot be specified unless locale provider is ICU",
                    ));
                }
                other => {
                    let what = other.to_uppercase();
                    return Err(Error::unsupported(format_args!(
                        "CREATE DATABASE {what} is"
                    )));
                }
            }
        }
        Ok(new)
    }

    fn database_change(&self, action: &AlterDatabase) -> Result<DatabaseChange> {
        let mut change = DatabaseChange::default();
        match action {
            AlterDatabase::Rename(to) => change.name = Some(to.clone()),
            AlterDatabase::Owner(role) => self.check_owner(role)?,
            AlterDatabase::Options(options) => {
                check_options(options, ALTER_OPTIONS)?;
                if let [_, _, ..] = &options[..]
                    && let Some(option) = options.iter().find(|o| o.name == "tablespace")
                {
                    let message = "option \"tablespace\" cannot be specified with other options";
                    let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
                    return Err(error.at(option.position));
                }
                for (option, value) in given(options) {
                    match option.name.as_str() {
                        "allow_connections" => {
                            change.allows_connections = Some(boolean(option, value)?);
                        }
                        "is_template" => change.is_template = Some(boolean(option, value)?),
                        "connection_limit" => {
                            change.connection_limit = Some(limit(option, value)?);
                        }
                        _ => check_tablespace(value.text())?,
                    }
                }
            }
        }
        Ok(change)
    }

    /// There is one role, whatever name its session came with, and `postgres` is another name for
    /// it.
    fn check_owner(&self, role: &str) -> Result<()> {
        let words = ["postgres", "current_user", "current_role", "session_user"];
        if words.contains(&role) || role == self.cx.session.user {
            return Ok(());
        }
        Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("role \"{role}\" does not exist"),
        ))
    }
}

const CREATE_OPTIONS: &[&str] = &[
    "template",
    "owner",
    "encoding",
    "locale",
    "lc_collate",
    "lc_ctype",
    "icu_locale",
    "locale_provider",
    "collation_version",
    "strategy",
    "tablespace",
    "allow_connections",
    "is_template",
    "connection_limit",
    "oid",
];
const ALTER_OPTIONS: &[&str] = &[
    "tablespace",
    "allow_connections",
    "is_template",
    "connection_limit",
];

/// Each option is one of `known`, and there once.
fn check_options(options: &[DatabaseOption], known: &[&str]) -> Result<()> {
    for (i, option) in options.iter().enumerate() {
        if !known.contains(&option.name.as_str()) {
            let message = format!("option \"{}\" not recognized", option.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(option.position));
        }
        if options[..i].iter().any(|other| other.name == option.name) {
            let message = "conflicting or redundant options";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(option.position));
        }
    }
    Ok(())
}

/// The options that do not ask for the default.
fn given(options: &[DatabaseOption]) -> impl Iterator<Item = (&DatabaseOption, &OptionValue)> {
    options.iter().filter_map(|o| Some((o, o.value.as_ref()?)))
}

fn boolean(option: &DatabaseOption, value: &OptionValue) -> Result<bool> {
    match (value, value.text().to_ascii_lowercase().as_str()) {
        (OptionValue::Number(_), "1") | (OptionValue::Text(_), "true" | "on") => Ok(true),
        (OptionValue::Number(_), "0") | (OptionValue::Text(_), "false" | "off") => Ok(false),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires a Boolean value", option.name),
        )),
    }
}

fn limit(option: &DatabaseOption, value: &OptionValue) -> Result<i32> {
    let number = match value {
        OptionValue::Number(number) => number.parse::<i32>().ok(),
        OptionValue::Text(_) => None,
    };
    match number {
        Some(limit) if limit >= -1 => Ok(limit),
        Some(limit) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid connection limit: {limit}"),
        )),
        None => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires an integer value", option.name),
        )),
    }
}

fn check_encoding(option: &DatabaseOption, value: &OptionValue) -> Result<()> {
    let plain = |name: &str| -> String {
        let kept = name.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_uppercase()).collect()
    };
    let found = match value {
        OptionValue::Number(number) => {
            let number = number.parse::<usize>().ok();
            number.and_then(|number| ENCODINGS.get(number).copied())
        }
        OptionValue::Text(name) if plain(name) == "UNICODE" => Some(UTF8),
        OptionValue::Text(name) => ENCODINGS.into_iter().find(|e| plain(e) == plain(name)),
    };
    match (found, value) {
        (Some(UTF8), _) => Ok(()),
        (Some(other), _) => {
            let message = format!("encoding \"{other}\" does not match locale \"C.UTF-8\"");
            let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
            Err(error.with_detail("The chosen LC_CTYPE setting requires encoding \"UTF8\"."))
        }
        (None, OptionValue::Number(_)) => {
            let message = format!("{} is not a valid encoding code", value.text());
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(option.position))
        }
        (None, OptionValue::Text(_)) => {
            let message = format!("{} is not a valid encoding name", value.text());
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(option.position))
        }
    }
}

/// The names of the one order that texts have.
fn check_locale(name: &str) -> Result<()> {
    let names = ["c", "posix", "c.utf-8", "c.utf8"];
    if names.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let message = format!("invalid locale name: \"{name}\"");
    let error = Error::new(SqlState::WRONG_OBJECT_TYPE, message);
    Err(error.with_hint("All databases have the locale \"C.UTF-8\"."))
}

fn check_provider(name: &str) -> Result<()> {
    match name.to_ascii_lowercase().as_str() {
        "libc" => Ok(()),
        "icu" => Err(Error::unsupported("the locale provider \"icu\" is")),
        _ => Err(Error::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("unrecognized locale provider: {name}"),
        )),
    }
}

/// Both of PostgreSQL's mean the same content.
fn check_strategy(name: &str) -> Result<()> {
    match name.to_ascii_lowercase().as_str() {
        "wal_log" | "file_copy" => Ok(()),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid create database strategy \"{name}\""),
        )
        .with_hint("Valid strategies are \"wal_log\" and \"file_copy\".")),
    }
}

fn check_tablespace(name: &str) -> Result<()> {
    match name {
        "pg_default" => Ok(()),
        _ => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("tablespace \"{name}\" does not exist"),
        )),
    }
}
