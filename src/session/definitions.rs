//! The table of settings: name, type, default, who may change it, and the check of new values.
//!
//! A value that would change behaviour which this server does not have is refused with 0A000;
//! it is never taken and ignored. Settings that only allow something (less durable commits) or
//! advise on how to work (plans, memory) are taken.

use std::borrow::Cow;

use jiff::tz::{Offset, TimeZone};

use crate::base::{Error, Result, SqlState};
use crate::session::identifiers;
use crate::session::settings::{cannot_change, unrecognized};
use crate::types::datetime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Session,
    /// PostgreSQL takes a new value when it reads its configuration anew.
    Reload,
    Restart,
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Bool,
    /// A boolean of which only this value works here.
    OnlyBool(bool),
    Text,
    /// A text of which only the default works here.
    OnlyText,
    Integer(i64, i64),
    /// Kilobytes, the least and the most.
    Memory(i64, i64),
    /// Kilobytes, the least and the most; a number without a unit counts so many of them.
    MemoryOf(i64, i64, i64),
    /// Milliseconds, the least and the most; a number without a unit means seconds.
    Seconds(i64, i64),
    /// Milliseconds, this or more.
    Timeout(i64),
    Enum(&'static [&'static str]),
    NameList,
    Encoding,
    DateStyle,
    TimeZone,
}

#[derive(Debug)]
pub(super) struct Definition {
    pub name: &'static str,
    pub default: &'static str,
    pub change: Change,
    /// Told to the client whenever it changes (ParameterStatus).
    pub reported: bool,
    pub about: &'static str,
    kind: Kind,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Definition {
    Definition {
        name,
        default,
        change: Change::Session,
        reported: false,
        about,
        kind,
    }
}

const fn fixed(name: &'static str, default: &'static str, about: &'static str) -> Definition {
    Definition {
        change: Change::Never,
        ..setting(name, Kind::Text, default, about)
    }
}

const fn restart(name: &'static str, default: &'static str, about: &'static str) -> Definition {
    Definition {
        change: Change::Restart,
        ..setting(name, Kind::Text, default, about)
    }
}

const fn reported(definition: Definition) -> Definition {
    Definition {
        reported: true,
        ..definition
    }
}

/// `server_version`: PostgreSQL's major version whose behaviour this server follows. Its minor
/// version is 0, so that no client thinks the server newer than itself.
pub const SERVER_VERSION: &str = concat!("15.0 (Walnut ", env!("CARGO_PKG_VERSION"), ")");

const LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
];
const ISOLATION: &[&str] = &[
    "serializable",
    "repeatable read",
    "read committed",
    "read uncommitted",
];

pub(super) static DEFINITIONS: &[Definition] = &[
    reported(setting(
        "application_name",
        Kind::Text,
        "",
        "Sets the application name to be reported in statistics and logs.",
    )),
    fixed("block_size", "8192", "Shows the size of a disk block."),
    setting(
        "bytea_output",
        Kind::Enum(&["escape", "hex"]),
        "hex",
        "Sets the output format for bytea.",
    ),
    setting(
        "check_function_bodies",
        Kind::Bool,
        "on",
        "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.",
    ),
    Definition {
        change: Change::Restart,
        ..setting(
            "checkpoint_timeout",
            Kind::Seconds(30_000, 86_400_000),
            "300000",
            "Sets the maximum time between automatic WAL checkpoints.",
        )
    },
    reported(setting(
        "client_encoding",
        Kind::Encoding,
        "UTF8",
        "Sets the client's character set encoding.",
    )),
    setting(
        "client_min_messages",
        Kind::Enum(LEVELS),
        "notice",
        "Sets the message levels that are sent to the client.",
    ),
    restart("data_directory", "", "Sets the server's data directory."),
    reported(setting(
        "DateStyle",
        Kind::DateStyle,
        "ISO, MDY",
        "Sets the display format for date and time values.",
    )),
    // Deadlocks are found when they come about; nothing is waited for.
    setting(
        "deadlock_timeout",
        Kind::Timeout(1),
        "1000",
        "Sets the time to wait on a lock before checking for deadlock.",
    ),
    setting(
        "default_table_access_method",
        Kind::OnlyText,
        "heap",
        "Sets the default table access method for new tables.",
    ),
    setting(
        "default_tablespace",
        Kind::OnlyText,
        "",
        "Sets the default tablespace to create tables and indexes in.",
    ),
    setting(
        "default_transaction_deferrable",
        Kind::Bool,
        "off",
        "Sets the default deferrable status of new transactions.",
    ),
    setting(
        "default_transaction_isolation",
        Kind::Enum(ISOLATION),
        "read committed",
        "Sets the transaction isolation level of each new transaction.",
    ),
    reported(setting(
        "default_transaction_read_only",
        Kind::Bool,
        "off",
        "Sets the default read-only status of new transactions.",
    )),
    // Preferences among plans of equal results; this planner has its own.
    setting(
        "enable_bitmapscan",
        Kind::Bool,
        "on",
        "Enables the planner's use of bitmap-scan plans.",
    ),
    setting(
        "enable_hashagg",
        Kind::Bool,
        "on",
        "Enables the planner's use of hashed aggregation plans.",
    ),
    setting(
        "enable_hashjoin",
        Kind::Bool,
        "on",
        "Enables the planner's use of hash join plans.",
    ),
    setting(
        "enable_indexonlyscan",
        Kind::Bool,
        "on",
        "Enables the planner's use of index-only-scan plans.",
    ),
    setting(
        "enable_indexscan",
        Kind::Bool,
        "on",
        "Enables the planner's use of index-scan plans.",
    ),
    setting(
        "enable_material",
        Kind::Bool,
        "on",
        "Enables the planner's use of materialization.",
    ),
    setting(
        "enable_mergejoin",
        Kind::Bool,
        "on",
        "Enables the planner's use of merge join plans.",
    ),
    setting(
        "enable_nestloop",
        Kind::Bool,
        "on",
        "Enables the planner's use of nested-loop join plans.",
    ),
    setting(
        "enable_seqscan",
        Kind::Bool,
        "on",
        "Enables the planner's use of sequential-scan plans.",
    ),
    setting(
        "enable_sort",
        Kind::Bool,
        "on",
        "Enables the planner's use of explicit sort steps.",
    ),
    setting(
        "extra_float_digits",
        Kind::Integer(-15, 3),
        "1",
        "Sets the number of digits displayed for floating-point values.",
    ),
    Definition {
        change: Change::Reload,
        ..setting(
            "fsync",
            Kind::Bool,
            "on",
            "Forces synchronization of updates to disk.",
        )
    },
    setting(
        "idle_in_transaction_session_timeout",
        Kind::Timeout(0),
        "0",
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    ),
    setting(
        "idle_session_timeout",
        Kind::Timeout(0),
        "0",
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
    ),
    reported(fixed(
        "in_hot_standby",
        "off",
        "Shows whether hot standby is currently active.",
    )),
    reported(fixed(
        "integer_datetimes",
        "on",
        "Shows whether datetimes are integer based.",
    )),
    reported(setting(
        "IntervalStyle",
        Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "postgres",
        "Sets the display format for interval values.",
    )),
    reported(fixed(
        "is_superuser",
        "on",
        "Shows whether the current user is a superuser.",
    )),
    setting(
        "jit",
        Kind::OnlyBool(false),
        "off",
        "Allow JIT compilation.",
    ),
    fixed("lc_collate", "C", "Shows the collation order locale."),
    fixed(
        "lc_ctype",
        "C",
        "Shows the character classification and case conversion locale.",
    ),
    restart(
        "listen_addresses",
        "",
        "Sets the host name or IP address(es) to listen to.",
    ),
    setting(
        "lock_timeout",
        Kind::Timeout(0),
        "0",
        "Sets the maximum allowed duration of any wait for a lock.",
    ),
    // Memory is bounded by other means.
    setting(
        "maintenance_work_mem",
        Kind::Memory(1024, i32::MAX as i64),
        "65536",
        "Sets the maximum memory to be used for maintenance operations.",
    ),
    restart(
        "max_connections",
        "100",
        "Sets the maximum number of concurrent connections.",
    ),
    fixed(
        "max_identifier_length",
        "63",
        "Shows the maximum identifier length.",
    ),
    fixed(
        "max_index_keys",
        "32",
        "Shows the maximum number of index keys.",
    ),
    restart("port", "5432", "Sets the TCP port the server listens on."),
    Definition {
        change: Change::Restart,
        ..setting(
            "max_transaction_memory",
            Kind::Memory(64, i32::MAX as i64 * 8),
            "1048576",
            "Sets what a transaction may hold in memory until it commits.",
        )
    },
    Definition {
        change: Change::Restart,
        ..setting(
            "max_wal_size",
            Kind::MemoryOf(1 << 10, 2 << 10, i32::MAX as i64 * 1024),
            "1048576",
            "Sets the WAL size that triggers a checkpoint.",
        )
    },
    setting("role", Kind::OnlyText, "none", "Sets the current role."),
    setting("row_security", Kind::Bool, "on", "Enable row security."),
    setting(
        "search_path",
        Kind::NameList,
        "\"$user\", public",
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    reported(fixed(
        "server_encoding",
        "UTF8",
        "Shows the server (database) character set encoding.",
    )),
    reported(fixed(
        "server_version",
        SERVER_VERSION,
        "Shows the server version.",
    )),
    fixed(
        "server_version_num",
        "150000",
        "Shows the server version as an integer.",
    ),
    reported(fixed(
        "session_authorization",
        "",
        "Sets the session user name.",
    )),
    Definition {
        change: Change::Restart,
        ..setting(
            "shared_buffers",
            Kind::MemoryOf(8, 128, i32::MAX as i64 * 8),
            "131072",
            "Sets the number of shared memory buffers used by the server.",
        )
    },
    reported(setting(
        "standard_conforming_strings",
        Kind::OnlyBool(true),
        "on",
        "Causes '...' strings to treat backslashes literally.",
    )),
    setting(
        "statement_timeout",
        Kind::Timeout(0),
        "0",
        "Sets the maximum allowed duration of any statement.",
    ),
    // There are no standbys for the levels beyond "local" to wait for.
    setting(
        "synchronous_commit",
        Kind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]),
        "on",
        "Sets the current transaction's synchronization level.",
    ),
    reported(setting(
        "TimeZone",
        Kind::TimeZone,
        "UTC",
        "Sets the time zone for displaying and interpreting time stamps.",
    )),
    setting(
        "transaction_deferrable",
        Kind::Bool,
        "off",
        "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.",
    ),
    setting(
        "transaction_isolation",
        Kind::Enum(ISOLATION),
        "read committed",
        "Sets the current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        Kind::Bool,
        "off",
        "Sets the current transaction's read-only status.",
    ),
    setting(
        "work_mem",
        Kind::Memory(64, i32::MAX as i64),
        "4096",
        "Sets the maximum memory to be used for query workspaces.",
    ),
    Definition {
        change: Change::Restart,
        ..setting(
            "wal_segment_size",
            Kind::Memory(1 << 10, 1 << 20),
            "16384",
            "Shows the size of write ahead log segments.",
        )
    },
    setting(
        "xmloption",
        Kind::Enum(&["content", "document"]),
        "content",
        "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.",
    ),
];

/// A setting given to the server for all sessions: its name and its value as they are kept.
///
/// # Errors
/// As SET gives them: 42704 for an unknown name, 22023 for a bad value, 55P02 for one that cannot
/// be set.
pub fn server_setting(name: &str, value: &str) -> Result<(&'static str, String)> {
    let place = find(name).ok_or_else(|| unrecognized(name))?;
    let definition = &DEFINITIONS[place];
    if definition.change == Change::Never {
        return Err(cannot_change(definition, "cannot be changed"));
    }
    Ok((
        definition.name,
        definition.check(value, definition.default)?,
    ))
}

/// The place of a setting in [`DEFINITIONS`], whatever the case of the name.
pub(super) fn find(name: &str) -> Option<usize> {
    DEFINITIONS
        .iter()
        .position(|d| d.name.eq_ignore_ascii_case(name))
}

impl Definition {
    pub(super) fn is_name_list(&self) -> bool {
        matches!(self.kind, Kind::NameList)
    }

    /// The value as it is kept, or PostgreSQL's error. `old` is the value until now.
    pub(super) fn check(&self, value: &str, old: &str) -> Result<String> {
        match self.kind {
            Kind::Bool => self.boolean(value).map(on_off),
            Kind::OnlyBool(only) => match self.boolean(value)? {
                b if b == only => Ok(on_off(b)),
                b => Err(self.cannot(&on_off(b))),
            },
            Kind::Text => Ok(value.to_owned()),
            Kind::OnlyText if value == self.default => Ok(value.to_owned()),
            Kind::OnlyText => Err(self.cannot(value)),
            Kind::Integer(min, max) => self.integer(value, min, max, None),
            Kind::Memory(min, max) => self.integer(value, min, max, Some(&MEMORY)),
            Kind::MemoryOf(unit, min, max) => {
                self.integer(&times(value, unit), min, max, Some(&MEMORY))
            }
            Kind::Seconds(min, max) => self.integer(&times(value, 1000), min, max, Some(&TIME)),
            Kind::Timeout(min) => self.integer(value, min, i32::MAX.into(), Some(&TIME)),
            Kind::Enum(values) => self.one_of(value, values),
            Kind::NameList => match identifiers::split(value) {
                Some(_) => Ok(value.to_owned()),
                None => Err(self.invalid(value).with_detail("List syntax is invalid.")),
            },
            Kind::Encoding => self.encoding(value),
            Kind::DateStyle => self.date_style(value, old),
            Kind::TimeZone => match time_zone(value) {
                Some((_, name)) => Ok(name),
                None => Err(self.invalid(value)),
            },
        }
    }

    /// As SHOW writes a value that is kept.
    pub(super) fn show(&self, value: &str) -> String {
        match self.kind {
            Kind::Timeout(_) | Kind::Seconds(..) => TIME.show(value),
            Kind::Memory(..) | Kind::MemoryOf(..) => MEMORY.show(value),
            _ => value.to_owned(),
        }
    }

    fn invalid(&self, value: &str) -> Error {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
        )
    }

    fn cannot(&self, value: &str) -> Error {
        Error::unsupported(format_args!(
            "the value \"{value}\" of parameter \"{}\" is",
            self.name
        ))
    }

    fn boolean(&self, value: &str) -> Result<bool> {
        let lower = value.trim().to_ascii_lowercase();
        let is = |word: &str, least| lower.len() >= least && word.starts_with(&lower);
        match lower.as_str() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ if is("true", 1) || is("yes", 1) || is("on", 2) => Ok(true),
            _ if is("false", 1) || is("no", 1) || is("off", 2) => Ok(false),
            _ => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("parameter \"{}\" requires a Boolean value", self.name),
            )),
        }
    }

    fn one_of(&self, value: &str, values: &[&str]) -> Result<String> {
        match values.iter().find(|v| v.eq_ignore_ascii_case(value)) {
            Some(found) => Ok((*found).to_owned()),
            None => {
                let hint = format!("Available values: {}.", values.join(", "));
                Err(self.invalid(value).with_hint(hint))
            }
        }
    }

    fn integer(&self, value: &str, min: i64, max: i64, units: Option<&Units>) -> Result<String> {
        let text = value.trim();
        let digits = text.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.'));
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let number: f64 = number.parse().map_err(|_| self.invalid(value))?;
        let factor = match (unit.trim(), units) {
            ("", _) => 1.0,
            (unit, Some(units)) => match units.factors.iter().find(|(name, _)| *name == unit) {
                Some((_, factor)) => *factor,
                None => return Err(self.invalid(value).with_hint(units.hint)),
            },
            (_, None) => return Err(self.invalid(value)),
        };
        let number = (number * factor).round_ties_even();
        #[expect(clippy::cast_precision_loss, reason = "bounds are 32-bit numbers")]
        if number < min as f64 || number > max as f64 {
            let unit = units.map_or(String::new(), |units| format!(" {}", units.base));
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "{number}{unit} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                    self.name
                ),
            ));
        }
        Ok(number.to_string())
    }

    fn encoding(&self, value: &str) -> Result<String> {
        let squeezed: String = value
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match squeezed.as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            "sqlascii" => Err(self.cannot(value)),
            _ if OTHER_ENCODINGS
                .iter()
                .any(|start| squeezed.starts_with(start)) =>
            {
                Err(self.cannot(value))
            }
            _ => Err(self.invalid(value)),
        }
    }

    /// `ISO` and an order of day, month and year; the other output styles are not there.
    fn date_style(&self, value: &str, old: &str) -> Result<String> {
        let mut order = old.rsplit(", ").next().unwrap_or("MDY").to_owned();
        for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
            let upper = word.to_ascii_uppercase();
            match upper.as_str() {
                "ISO" => {}
                "SQL" | "GERMAN" => return Err(self.cannot(word)),
                "DEFAULT" => "MDY".clone_into(&mut order),
                "YMD" => "YMD".clone_into(&mut order),
                "DMY" => "DMY".clone_into(&mut order),
                "MDY" | "US" => "MDY".clone_into(&mut order),
                _ if upper.starts_with("POSTGRES") => return Err(self.cannot(word)),
                _ if upper.starts_with("EURO") => "DMY".clone_into(&mut order),
                _ if upper.starts_with("NONEURO") => "MDY".clone_into(&mut order),
                _ => {
                    let detail = format!("Unrecognized key word: \"{word}\".");
                    return Err(self.invalid(value).with_detail(detail));
                }
            }
        }
        Ok(format!("ISO, {order}"))
    }
}

/// How the names of PostgreSQL's other encodings begin.
const OTHER_ENCODINGS: &[&str] = &[
    "latin", "iso8859", "win", "koi8", "euc", "sjis", "shiftjis", "mskanji", "big5", "gbk",
    "gb18030", "uhc", "johab", "mule", "abc", "alt", "tcvn", "vscii",
];

fn on_off(value: bool) -> String {
    if value { "on" } else { "off" }.to_owned()
}

/// What a number may be followed by.
/// A number without a unit, in the unit that values are kept in.
fn times(value: &str, unit: i64) -> Cow<'_, str> {
    let plain = value.trim().parse::<i64>().ok();
    let kept = plain.and_then(|number| number.checked_mul(unit));
    kept.map_or(value.into(), |number| number.to_string().into())
}

struct Units {
    /// The unit that values are kept in.
    base: &'static str,
    factors: &'static [(&'static str, f64)],
    /// Larger units, the largest first.
    larger: &'static [(u64, &'static str)],
    hint: &'static str,
}

static TIME: Units = Units {
    base: "ms",
    factors: &[
        ("us", 0.001),
        ("ms", 1.0),
        ("s", 1e3),
        ("min", 60e3),
        ("h", 3_600e3),
        ("d", 86_400e3),
    ],
    larger: &[
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ],
    hint: "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
};

static MEMORY: Units = Units {
    base: "kB",
    factors: &[
        ("B", 1.0 / 1024.0),
        ("kB", 1.0),
        ("MB", 1024.0),
        ("GB", 1_048_576.0),
        ("TB", 1_073_741_824.0),
    ],
    larger: &[(1 << 30, "TB"), (1 << 20, "GB"), (1 << 10, "MB")],
    hint: "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
};

impl Units {
    /// In the largest unit that needs no fraction.
    fn show(&self, value: &str) -> String {
        let number: u64 = value.parse().unwrap_or(0);
        if number == 0 {
            return "0".to_owned();
        }
        match self
            .larger
            .iter()
            .find(|(size, _)| number.is_multiple_of(*size))
        {
            Some((size, unit)) => format!("{}{unit}", number / size),
            None => format!("{number}{}", self.base),
        }
    }
}

/// A time zone and its name: a name of the time zone database, hours east of Greenwich, a POSIX
/// specification, or the `<+03>-03` that hours are shown as.
pub(super) fn time_zone(text: &str) -> Option<(TimeZone, String)> {
    let text = text.trim();
    if let Ok(hours) = text.parse::<f64>() {
        return hours_east(hours);
    }
    let zone = datetime::time_zone(text).ok()?;
    let name = zone.iana_name().unwrap_or(text).to_owned();
    Some((zone, name))
}

fn hours_east(hours: f64) -> Option<(TimeZone, String)> {
    if !hours.is_finite() || hours.abs() > 167.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against 167 hours")]
    let seconds = (hours * 3600.0).round() as i32;
    let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
    let (h, m) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    let digits = match m {
        0 => format!("{h:02}"),
        _ => format!("{h:02}:{m:02}"),
    };
    let (east, west) = if seconds < 0 { ('-', '+') } else { ('+', '-') };
    Some((zone, format!("<{east}{digits}>{west}{digits}")))
}
