//! The values of a session's settings, and what becomes of them when a transaction ends.
//!
//! Three sets of values: `current` is what counts now; `on_commit` is what will count once the
//! transaction has committed (SET LOCAL does not go there); `committed` is what comes back after a
//! rollback. Outside a transaction all three are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::session::definitions::{Change, DEFINITIONS, Definition, find};
use crate::session::identifiers;
use crate::types::{ByteaOutput, DateOrder, Format};

#[derive(Clone, Debug, Default)]
struct Values {
    /// In the order of [`DEFINITIONS`].
    known: Vec<Arc<str>>,
    /// Names with a dot, which belong to nobody.
    custom: BTreeMap<String, Arc<str>>,
}

/// The values at a savepoint.
pub(super) struct Mark {
    current: Arc<Values>,
    on_commit: Arc<Values>,
}

#[derive(Debug)]
pub(super) struct Settings {
    /// What RESET goes back to: the defaults with the options of the connection.
    defaults: Arc<Values>,
    committed: Arc<Values>,
    on_commit: Arc<Values>,
    current: Arc<Values>,
    /// The last values told to the client of the settings it is kept informed of.
    told: Vec<(usize, Arc<str>)>,
    /// The names with a dot that were ever set: without a value they are empty, not unknown.
    placeholders: BTreeSet<String>,
    /// `current` differs from what was last told or taken by [`Settings::take_changed`].
    changed: bool,
}

/// What a setting, which has the value `now`, would show if it were set to a text.
///
/// # Errors
/// When there is no such setting, it cannot be changed, or not to this.
pub(super) fn checked(name: &str, value: &str, now: &str) -> Result<String> {
    let Some(place) = find(name) else {
        return check_custom_name(name).map(|()| value.to_owned());
    };
    let definition = &DEFINITIONS[place];
    check_changeable(definition)?;
    if definition.name.starts_with("transaction_") {
        let what = format_args!("set_config of {} is", definition.name);
        return Err(Error::unsupported(what));
    }
    Ok(definition.show(&definition.check(value, now)?))
}

/// Settings of one transaction.
pub(super) const TRANSACTION_MODES: [&str; 3] = [
    "transaction_isolation",
    "transaction_read_only",
    "transaction_deferrable",
];

impl Settings {
    /// The defaults, with the facts of this server (`port`, `max_connections`…) by name.
    pub(super) fn new(facts: &[(&str, String)]) -> Settings {
        let mut known: Vec<Arc<str>> = DEFINITIONS.iter().map(|d| d.default.into()).collect();
        for (name, value) in facts {
            if let Some(place) = find(name) {
                known[place] = value.as_str().into();
            }
        }
        let values = Arc::new(Values {
            known,
            custom: BTreeMap::new(),
        });
        Settings {
            defaults: values.clone(),
            committed: values.clone(),
            on_commit: values.clone(),
            current: values,
            told: Vec::new(),
            placeholders: BTreeSet::new(),
            changed: true,
        }
    }

    /// A setting of the startup message: it becomes the value that RESET restores.
    pub(super) fn set_at_startup(&mut self, name: &str, value: &str) -> Result<()> {
        self.set_text(name, value, false)?;
        self.defaults = self.current.clone();
        self.committed = self.current.clone();
        Ok(())
    }

    /// SET with the values as written. Checks them as PostgreSQL does.
    pub(super) fn set(&mut self, name: &str, values: &[String], local: bool) -> Result<()> {
        let is_list = find(name).is_some_and(|place| DEFINITIONS[place].is_name_list());
        if is_list {
            let quoted: Vec<_> = values.iter().map(|v| identifiers::quote(v)).collect();
            return self.set_text(name, &quoted.join(", "), local);
        }
        match values {
            [value] => self.set_text(name, value, local),
            _ if find(name).is_some_and(|place| DEFINITIONS[place].name == "DateStyle") => {
                self.set_text(name, &values.join(", "), local)
            }
            _ => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("SET {name} takes only one argument"),
            )),
        }
    }

    /// One value, as its text.
    pub(super) fn set_text(&mut self, name: &str, value: &str, local: bool) -> Result<()> {
        let Some(place) = find(name) else {
            return self.set_custom(name, value, local);
        };
        let definition = &DEFINITIONS[place];
        check_changeable(definition)?;
        let canonical: Arc<str> = definition.check(value, &self.current.known[place])?.into();
        self.put(local, |values| values.known[place] = canonical.clone());
        Ok(())
    }

    fn set_custom(&mut self, name: &str, value: &str, local: bool) -> Result<()> {
        check_custom_name(name)?;
        self.placeholders.insert(name.to_ascii_lowercase());
        let value: Arc<str> = value.into();
        self.put(local, |values| {
            values
                .custom
                .insert(name.to_ascii_lowercase(), value.clone());
        });
        Ok(())
    }

    pub(super) fn reset(&mut self, name: &str, local: bool) -> Result<()> {
        let Some(place) = find(name) else {
            check_custom_name(name)?;
            self.put(local, |values| {
                values.custom.remove(&name.to_ascii_lowercase());
            });
            return Ok(());
        };
        check_changeable(&DEFINITIONS[place])?;
        let default = self.defaults.known[place].clone();
        self.put(local, |values| values.known[place] = default.clone());
        Ok(())
    }

    /// The modes of the transaction at hand stay.
    pub(super) fn reset_all(&mut self) {
        let before = std::mem::replace(&mut self.current, self.defaults.clone());
        for name in TRANSACTION_MODES {
            if let Some(place) = find(name) {
                Arc::make_mut(&mut self.current).known[place] = before.known[place].clone();
            }
        }
        self.on_commit = self.defaults.clone();
        self.changed = true;
    }

    fn put(&mut self, local: bool, change: impl Fn(&mut Values)) {
        change(Arc::make_mut(&mut self.current));
        if !local {
            change(Arc::make_mut(&mut self.on_commit));
        }
        self.changed = true;
    }

    pub(super) fn commit(&mut self) {
        self.end(self.on_commit.clone());
    }

    pub(super) fn rollback(&mut self) {
        self.end(self.committed.clone());
    }

    /// For [`Self::go_back`].
    pub(super) fn mark(&self) -> Mark {
        Mark {
            current: self.current.clone(),
            on_commit: self.on_commit.clone(),
        }
    }

    /// Undoes what the transaction has set since a mark.
    pub(super) fn go_back(&mut self, mark: &Mark) {
        if !Arc::ptr_eq(&mark.current, &self.current) {
            self.current = mark.current.clone();
            self.changed = true;
        }
        self.on_commit = mark.on_commit.clone();
    }

    fn end(&mut self, values: Arc<Values>) {
        if !Arc::ptr_eq(&values, &self.current) {
            self.current = values.clone();
            self.changed = true;
        }
        self.on_commit = values.clone();
        self.committed = values;
    }

    /// The name as PostgreSQL writes it, and the value.
    pub(super) fn show(&self, name: &str) -> Result<(String, String)> {
        if let Some(place) = find(name) {
            let definition = &DEFINITIONS[place];
            let value = definition.show(&self.current.known[place]);
            return Ok((definition.name.to_owned(), value));
        }
        let lower = name.to_ascii_lowercase();
        match self.current.custom.get(&lower) {
            Some(value) => Ok((lower, value.to_string())),
            None if self.placeholders.contains(&lower) => Ok((lower, String::new())),
            None => Err(unrecognized(name)),
        }
    }

    /// Name, value and description of every setting, in PostgreSQL's order.
    pub(super) fn all(&self) -> Vec<(String, String, &'static str)> {
        let known = DEFINITIONS.iter().zip(&self.current.known);
        let known = known.map(|(d, value)| (d.name.to_owned(), d.show(value), d.about));
        let custom = self.placeholders.iter().map(|name| {
            let value = self.current.custom.get(name);
            (
                name.clone(),
                value.map_or(String::new(), |v| v.to_string()),
                "",
            )
        });
        let mut all: Vec<_> = known.chain(custom).collect();
        all.sort_by_key(|(name, ..)| name.to_ascii_lowercase());
        all
    }

    /// The value as it is kept: integers without unit, lists as written.
    pub(super) fn raw(&self, name: &str) -> &str {
        find(name).map_or("", |place| &self.current.known[place])
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.raw(name) == "on"
    }

    /// An integer setting, in its base unit.
    pub(super) fn integer(&self, name: &str) -> u64 {
        self.raw(name).parse().unwrap_or(0)
    }

    /// The schemas to search, with `$user` replaced.
    pub(super) fn search_path(&self, user: &str) -> Vec<String> {
        let names = identifiers::split(self.raw("search_path")).unwrap_or_default();
        let replace = |name: String| match name.as_str() {
            "$user" => user.to_owned(),
            _ => name,
        };
        names.into_iter().map(replace).collect()
    }

    /// How values are written and read now; `now` is left at 0.
    pub(super) fn format(&self) -> Format {
        let date_order = match self.raw("DateStyle").rsplit(", ").next() {
            Some("DMY") => DateOrder::Dmy,
            Some("YMD") => DateOrder::Ymd,
            _ => DateOrder::Mdy,
        };
        let bytea_output = match self.raw("bytea_output") {
            "escape" => ByteaOutput::Escape,
            _ => ByteaOutput::Hex,
        };
        Format {
            time_zone: crate::session::definitions::time_zone(self.raw("TimeZone"))
                .map_or(jiff::tz::TimeZone::UTC, |(zone, _)| zone),
            date_order,
            extra_float_digits: self.raw("extra_float_digits").parse().unwrap_or(1),
            bytea_output,
            ..Format::default()
        }
    }

    /// Whether anything changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Calls `tell` with every reported setting whose value the client does not know yet.
    pub(super) fn report(&mut self, mut tell: impl FnMut(&str, &str)) {
        for (place, definition) in DEFINITIONS.iter().enumerate() {
            if !definition.reported {
                continue;
            }
            let value = &self.current.known[place];
            match self.told.iter_mut().find(|(p, _)| *p == place) {
                Some((_, told)) if told == value => continue,
                Some((_, told)) => *told = value.clone(),
                None => self.told.push((place, value.clone())),
            }
            tell(definition.name, value);
        }
    }
}

fn check_changeable(definition: &Definition) -> Result<()> {
    let why = match definition.change {
        Change::Session => return Ok(()),
        Change::Reload => "cannot be changed now",
        Change::Never => "cannot be changed",
        Change::Restart => "cannot be changed without restarting the server",
    };
    Err(cannot_change(definition, why))
}

pub(super) fn cannot_change(definition: &Definition, why: &str) -> Error {
    let message = format!("parameter \"{}\" {why}", definition.name);
    Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message)
}

/// Custom settings have two or more simple identifiers in their names.
fn check_custom_name(name: &str) -> Result<()> {
    if !name.contains('.') {
        return Err(unrecognized(name));
    }
    let is_identifier = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    if name.split('.').all(is_identifier) {
        return Ok(());
    }
    let detail = "Custom parameter names must be two or more simple identifiers separated by dots.";
    Err(Error::new(
        SqlState::INVALID_NAME,
        format!("invalid configuration parameter name \"{name}\""),
    )
    .with_detail(detail))
}

pub(super) fn unrecognized(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, name: &str, value: &str) -> Result<()> {
        settings.set(name, &[value.to_owned()], false)
    }

    fn value(settings: &Settings, name: &str) -> String {
        settings.show(name).unwrap().1
    }

    fn refused(name: &str, value: &str) -> String {
        let mut settings = Settings::new(&[]);
        settings
            .set(name, &[value.to_owned()], false)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_rollback_undoes_set_and_a_commit_keeps_it() {
        let mut settings = Settings::new(&[]);
        set(&mut settings, "application_name", "a").unwrap();
        settings.rollback();
        assert_eq!(value(&settings, "application_name"), "");
        set(&mut settings, "application_name", "a").unwrap();
        settings.commit();
        settings.rollback();
        assert_eq!(value(&settings, "application_name"), "a");
    }

    #[test]
    fn set_local_ends_with_its_transaction_either_way() {
        let mut settings = Settings::new(&[]);
        set(&mut settings, "a.b", "session").unwrap();
        settings.set("a.b", &["local".into()], true).unwrap();
        assert_eq!(value(&settings, "a.b"), "local");
        settings.commit();
        assert_eq!(value(&settings, "a.b"), "session");
    }

    #[test]
    fn reset_goes_back_to_the_options_of_the_connection() {
        let mut settings = Settings::new(&[]);
        settings.set_at_startup("DateStyle", "ISO, DMY").unwrap();
        set(&mut settings, "datestyle", "iso, ymd").unwrap();
        assert_eq!(value(&settings, "DateStyle"), "ISO, YMD");
        settings.reset("datestyle", false).unwrap();
        assert_eq!(value(&settings, "DateStyle"), "ISO, DMY");
    }

    #[test]
    fn only_changed_reported_settings_are_told_again() {
        let mut settings = Settings::new(&[]);
        let mut first = 0;
        settings.report(|_, _| first += 1);
        assert!(first >= 13, "every reported setting at first, got {first}");
        set(&mut settings, "application_name", "x").unwrap();
        set(&mut settings, "search_path", "x").unwrap();
        let mut again = Vec::new();
        settings.report(|name, value| again.push(format!("{name}={value}")));
        assert_eq!(again, ["application_name=x"]);
    }

    #[test]
    fn wrong_values_are_refused_in_postgresqls_words() {
        for (name, value, expected) in [
            (
                "foo",
                "1",
                "unrecognized configuration parameter \"foo\" (42704)",
            ),
            (
                "server_version",
                "4",
                "parameter \"server_version\" cannot be changed (55P02)",
            ),
            (
                "max_connections",
                "4",
                "parameter \"max_connections\" cannot be changed without restarting the server (55P02)",
            ),
            (
                "statement_timeout",
                "abc",
                "invalid value for parameter \"statement_timeout\": \"abc\" (22023)",
            ),
            (
                "statement_timeout",
                "-5",
                "-5 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647) (22023)",
            ),
            (
                "deadlock_timeout",
                "0",
                "0 ms is outside the valid range for parameter \"deadlock_timeout\" (1 .. 2147483647) (22023)",
            ),
            (
                "extra_float_digits",
                "9",
                "9 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3) (22023)",
            ),
            (
                "bytea_output",
                "q",
                "invalid value for parameter \"bytea_output\": \"q\" (22023)",
            ),
            (
                "TimeZone",
                "foo",
                "invalid value for parameter \"TimeZone\": \"foo\" (22023)",
            ),
            (
                "standard_conforming_strings",
                "9",
                "parameter \"standard_conforming_strings\" requires a Boolean value (22023)",
            ),
            (
                "a-b.c",
                "1",
                "invalid configuration parameter name \"a-b.c\" (42602)",
            ),
        ] {
            assert_eq!(refused(name, value), expected);
        }
        for (name, value) in [
            ("standard_conforming_strings", "off"),
            ("DateStyle", "German"),
            ("client_encoding", "LATIN1"),
        ] {
            assert!(refused(name, value).ends_with("(0A000)"), "{name}");
        }
    }

    #[test]
    fn values_show_as_postgresql_shows_them() {
        let mut settings = Settings::new(&[]);
        for (name, given, shown) in [
            ("statement_timeout", "60000", "1min"),
            ("statement_timeout", "1500ms", "1500ms"),
            ("statement_timeout", "1h", "1h"),
            ("statement_timeout", "0", "0"),
            ("default_transaction_read_only", "tr", "on"),
            ("client_encoding", "unicode", "UTF8"),
            ("bytea_output", "ESCAPE", "escape"),
            ("timezone", "3", "<+03>-03"),
            ("timezone", "utc", "UTC"),
            ("datestyle", "european", "ISO, DMY"),
            ("extra_float_digits", "3", "3"),
            ("work_mem", "8MB", "8MB"),
            ("work_mem", "1025", "1025kB"),
            ("maintenance_work_mem", "1048576", "1GB"),
            ("synchronous_commit", "OFF", "off"),
        ] {
            set(&mut settings, name, given).unwrap();
            assert_eq!(value(&settings, name), shown, "{name} = {given}");
        }
        let path = [
            "a b".to_owned(),
            "C".to_owned(),
            "public".to_owned(),
            "$user".to_owned(),
        ];
        settings.set("search_path", &path, false).unwrap();
        assert_eq!(
            value(&settings, "search_path"),
            r#""a b", "C", public, "$user""#
        );
        assert_eq!(settings.search_path("me"), ["a b", "C", "public", "me"]);
    }
}
