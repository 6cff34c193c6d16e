//! Regular expressions: PostgreSQL's syntax (advanced regular expressions) in front of the `regex`
//! crate, which knows no back-references and no look-around: those are 0A000.
//!
//! PostgreSQL prefers the longest of the matches that begin leftmost, unless the expression is
//! non-greedy; the crate prefers the alternative written first. Where the extent of a match is
//! seen, its end is therefore searched again for the longest.

mod translate;

use std::cell::RefCell;
use std::sync::Arc;

use regex_automata::util::captures::Captures;
use regex_automata::{Anchored, Input, MatchKind, meta, util::syntax};

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{eval, function, operator, rows, text, wrong_argument};
use crate::sql::func::{Eval, EvalContext, Function, Operator, Rows};
use crate::types::Type::{Bool, Int4, TextArray};
use crate::types::{Array, Datum, Type};

use translate::{Preference, translate};

const TEXT: Type = Type::Text;

macro_rules! matches {
    ($T:ident, $prefix:literal, $ic:literal) => {
        &[
            operator!($T "~" Text => Bool, concat!($prefix, "regexeq"),
                eval!(|s: Text, p: Text| is_match(s, p, false).map(Datum::Bool))),
            operator!($T "!~" Text => Bool, concat!($prefix, "regexne"),
                eval!(|s: Text, p: Text| is_match(s, p, false).map(|x| Datum::Bool(!x)))),
            operator!($T "~*" Text => Bool, concat!($ic, "regexeq"),
                eval!(|s: Text, p: Text| is_match(s, p, true).map(Datum::Bool))),
            operator!($T "!~*" Text => Bool, concat!($ic, "regexne"),
                eval!(|s: Text, p: Text| is_match(s, p, true).map(|x| Datum::Bool(!x)))),
        ]
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[
    matches!(Text, "text", "textic"),
    matches!(Name, "name", "nameic"),
    matches!(Bpchar, "bpchar", "bpcharic"),
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "substring",
        &[TEXT, TEXT],
        TEXT,
        eval!(|s: Text, p: Text| substring(s, p)),
    ),
    function(
        "regexp_substr",
        &[TEXT, TEXT],
        TEXT,
        eval!(|s: Text, p: Text| substr(s, p)),
    ),
    function(
        "similar_to_escape",
        &[TEXT],
        TEXT,
        eval!(|p: Text| similar(p, "\\").map(Datum::Text)),
    ),
    function(
        "similar_to_escape",
        &[TEXT, TEXT],
        TEXT,
        eval!(|p: Text, e: Text| similar(p, e).map(Datum::Text)),
    ),
    function(
        "regexp_replace",
        &[TEXT, TEXT, TEXT],
        TEXT,
        eval!(|s: Text, p: Text, new: Text| replace(s, p, new, "")),
    ),
    function(
        "regexp_replace",
        &[TEXT, TEXT, TEXT, TEXT],
        TEXT,
        eval!(|s: Text, p: Text, new: Text, flags: Text| replace(s, p, new, flags)),
    ),
    function(
        "regexp_match",
        &[TEXT, TEXT],
        TextArray,
        eval!(|s: Text, p: Text| first_match(s, p, "")),
    ),
    function(
        "regexp_match",
        &[TEXT, TEXT, TEXT],
        TextArray,
        eval!(|s: Text, p: Text, flags: Text| first_match(s, p, flags)),
    ),
    function(
        "regexp_matches",
        &[TEXT, TEXT],
        TextArray,
        Eval::Set(all_matches),
    ),
    function(
        "regexp_matches",
        &[TEXT, TEXT, TEXT],
        TextArray,
        Eval::Set(all_matches),
    ),
    function(
        "regexp_like",
        &[TEXT, TEXT],
        Bool,
        eval!(|s: Text, p: Text| is_match(s, p, false).map(Datum::Bool)),
    ),
    function(
        "regexp_like",
        &[TEXT, TEXT, TEXT],
        Bool,
        eval!(|s: Text, p: Text, flags: Text| {
            let compiled = compile(p, local_flags("regexp_like", flags)?)?;
            Ok(Datum::Bool(compiled.first.is_match(s.as_str())))
        }),
    ),
    function(
        "regexp_count",
        &[TEXT, TEXT],
        Int4,
        eval!(|s: Text, p: Text| {
            let found = compile(p, Flags::default())?.all(s)?.len();
            Ok(Datum::Int4(i32::try_from(found).unwrap_or(i32::MAX)))
        }),
    ),
    function(
        "regexp_split_to_array",
        &[TEXT, TEXT],
        TextArray,
        eval!(|s: Text, p: Text| {
            Ok(text_array(split(
                s,
                p,
                local_flags("regexp_split_to_array", "")?,
            )?))
        }),
    ),
    function(
        "regexp_split_to_array",
        &[TEXT, TEXT, TEXT],
        TextArray,
        eval!(|s: Text, p: Text, flags: Text| {
            Ok(text_array(split(
                s,
                p,
                local_flags("regexp_split_to_array", flags)?,
            )?))
        }),
    ),
    function(
        "regexp_split_to_table",
        &[TEXT, TEXT],
        TEXT,
        Eval::Set(split_to_table),
    ),
    function(
        "regexp_split_to_table",
        &[TEXT, TEXT, TEXT],
        TEXT,
        Eval::Set(split_to_table),
    ),
]];

/// What an option string or an embedded `(?…)` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    global: bool,
    ignore_case: bool,
    /// `.` and `[^…]` stop at newlines, `^` and `$` match at them.
    newline: bool,
    expanded: bool,
    literal: bool,
}

impl Flags {
    fn set(&mut self, option: char) -> Result<()> {
        match option {
            'g' => self.global = true,
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => self.newline = true,
            's' => self.newline = false,
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' => {}
            'b' | 'p' | 'w' => {
                return Err(Error::unsupported(format_args!(
                    "regular expression option \"{option}\""
                )));
            }
            _ => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{option}\""),
                ));
            }
        }
        Ok(())
    }

    fn parse(options: &str) -> Result<Flags> {
        let mut flags = Flags::default();
        options.chars().try_for_each(|option| flags.set(option))?;
        Ok(flags)
    }
}

/// Options of a function for which "global" makes no sense.
fn local_flags(function: &str, options: &str) -> Result<Flags> {
    let flags = Flags::parse(options)?;
    if flags.global {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{function}() does not support the \"global\" option"),
        ));
    }
    Ok(flags)
}

struct Compiled {
    /// Finds whether and where a match begins.
    first: meta::Regex,
    /// Finds the longest match at a given place, if that is what PostgreSQL prefers.
    longest: Option<meta::Regex>,
    preference: Preference,
}

const CACHE_ENTRIES_MAX: usize = 32;

thread_local! {
    /// The expressions used last, the newest first.
    static CACHE: RefCell<Vec<(String, Flags, Arc<Compiled>)>> = const { RefCell::new(Vec::new()) };
}

/// A SIMILAR TO pattern as a regular expression.
fn similar(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let (escape, more) = (chars.next(), chars.next());
    if more.is_some() {
        let error = Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string");
        return Err(error.with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::from("^(?:");
    let (mut escaped, mut bracket) = (false, false);
    for c in pattern.chars() {
        match c {
            '"' if escaped && !bracket => {
                return Err(Error::unsupported("a separator in a SIMILAR TO pattern is"));
            }
            _ if escaped => out.extend(['\\', c]),
            _ if Some(c) == escape => {
                escaped = true;
                continue;
            }
            '\\' if bracket => out.push_str("\\\\"),
            _ if bracket => {
                out.push(c);
                bracket = c != ']';
            }
            '[' => {
                out.push(c);
                bracket = true;
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => out.extend(['\\', c]),
            _ => out.push(c),
        }
        escaped = false;
    }
    out.push_str(")$");
    Ok(out)
}

fn compile(pattern: &str, flags: Flags) -> Result<Arc<Compiled>> {
    let flags = Flags {
        global: false,
        ..flags
    };
    let cached = CACHE.with_borrow_mut(|cache| {
        let at = cache
            .iter()
            .position(|(p, f, _)| p == pattern && *f == flags)?;
        cache[..=at].rotate_right(1);
        Some(Arc::clone(&cache[0].2))
    });
    if let Some(compiled) = cached {
        return Ok(compiled);
    }
    let compiled = Arc::new(Compiled::new(pattern, flags)?);
    CACHE.with_borrow_mut(|cache| {
        cache.truncate(CACHE_ENTRIES_MAX - 1);
        cache.insert(0, (pattern.to_owned(), flags, Arc::clone(&compiled)));
    });
    Ok(compiled)
}

impl Compiled {
    fn new(pattern: &str, flags: Flags) -> Result<Compiled> {
        let translated = translate(pattern, flags)?;
        let flags = translated.flags;
        let build = |kind| {
            meta::Regex::builder()
                .configure(
                    meta::Config::new()
                        .match_kind(kind)
                        .nfa_size_limit(Some(10 << 20)),
                )
                .syntax(
                    syntax::Config::new()
                        .case_insensitive(flags.ignore_case)
                        .multi_line(flags.newline)
                        .dot_matches_new_line(!flags.newline),
                )
                .build(&translated.pattern)
                .map_err(|e| match e.size_limit() {
                    Some(_) => invalid("regular expression is too complex"),
                    None => invalid("invalid regular expression"),
                })
        };
        let longest = match translated.preference {
            Preference::Longest => Some(build(MatchKind::All)?),
            Preference::First | Preference::Mixed => None,
        };
        Ok(Compiled {
            first: build(MatchKind::LeftmostFirst)?,
            longest,
            preference: translated.preference,
        })
    }

    /// The first match that begins at `start` or later.
    fn find(&self, s: &str, start: usize) -> Result<Option<Captures>> {
        if self.preference == Preference::Mixed {
            return Err(Error::unsupported(
                "mixing greedy and non-greedy quantifiers in a regular expression",
            ));
        }
        let mut captures = self.first.create_captures();
        let input = Input::new(s).range(start..);
        let Some(longest) = &self.longest else {
            self.first.search_captures(&input, &mut captures);
            return Ok(captures.is_match().then_some(captures));
        };
        let Some(found) = self.first.search(&input) else {
            return Ok(None);
        };
        let input = Input::new(s).range(found.start()..).anchored(Anchored::Yes);
        captures = longest.create_captures();
        longest.search_captures(&input, &mut captures);
        Ok(captures.is_match().then_some(captures))
    }

    /// All matches. After an empty one the search goes on one character later.
    fn all(&self, s: &str) -> Result<Vec<Captures>> {
        let mut matches = Vec::new();
        let mut start = 0;
        while start <= s.len() {
            let Some(captures) = self.find(s, start)? else {
                break;
            };
            start = next_start(s, &captures);
            matches.push(captures);
        }
        Ok(matches)
    }
}

fn whole(captures: &Captures) -> std::ops::Range<usize> {
    captures.get_match().map_or(0..0, |m| m.range())
}

/// Where to search after a match; beyond the end when there is nothing left.
fn next_start(s: &str, captures: &Captures) -> usize {
    let range = whole(captures);
    if range.is_empty() {
        range.end + s[range.end..].chars().next().map_or(1, char::len_utf8)
    } else {
        range.end
    }
}

#[cold]
fn invalid(why: &str) -> Error {
    Error::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {why}"),
    )
}

fn is_match(s: &str, pattern: &str, ignore_case: bool) -> Result<bool> {
    let flags = Flags {
        ignore_case,
        ..Flags::default()
    };
    Ok(compile(pattern, flags)?.first.is_match(s))
}

/// A group of a match as a datum, NULL when it took no part.
fn group(s: &str, captures: &Captures, index: usize) -> Datum {
    captures
        .get_group(index)
        .map_or(Datum::Null, |span| Datum::text(&s[span.range()]))
}

/// The first group, or the whole match when there are none.
fn substring(s: &str, pattern: &str) -> Result<Datum> {
    let found = compile(pattern, Flags::default())?.find(s, 0)?;
    Ok(found.map_or(Datum::Null, |c| {
        group(s, &c, usize::from(c.group_len() > 1))
    }))
}

fn substr(s: &str, pattern: &str) -> Result<Datum> {
    let found = compile(pattern, Flags::default())?.find(s, 0)?;
    Ok(found.map_or(Datum::Null, |c| group(s, &c, 0)))
}

/// The groups as an array, or the whole match when there are none.
fn groups(s: &str, captures: &Captures) -> Datum {
    let elements = match captures.group_len() {
        1 => vec![group(s, captures, 0)],
        n => (1..n).map(|i| group(s, captures, i)).collect(),
    };
    Datum::Array(Arc::new(Array { elements }))
}

fn first_match(s: &str, pattern: &str, options: &str) -> Result<Datum> {
    if Flags::parse(options)?.global {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "regexp_match() does not support the \"global\" option",
        )
        .with_hint("Use the regexp_matches function instead."));
    }
    let flags = Flags::parse(options)?;
    let found = compile(pattern, flags)?.find(s, 0)?;
    Ok(found.map_or(Datum::Null, |c| groups(s, &c)))
}

/// The texts among a set-returning function's arguments; options default to none.
fn texts(args: &[Datum]) -> Result<(&str, &str, &str)> {
    match args {
        [Datum::Text(s), Datum::Text(pattern)] => Ok((s, pattern, "")),
        [Datum::Text(s), Datum::Text(pattern), Datum::Text(options)] => Ok((s, pattern, options)),
        _ => wrong_argument(),
    }
}

fn all_matches(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let (s, pattern, options) = texts(args)?;
    let flags = Flags::parse(options)?;
    let compiled = compile(pattern, flags)?;
    let found = if flags.global {
        compiled.all(s)?
    } else {
        compiled.find(s, 0)?.into_iter().collect()
    };
    let found: Vec<Datum> = found.iter().map(|c| groups(s, c)).collect();
    Ok(rows(found))
}

fn split(s: &str, pattern: &str, flags: Flags) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    let (mut copied, mut previous_end) = (0, 0);
    for captures in compile(pattern, flags)?.all(s)? {
        let range = whole(&captures);
        // Empty matches at the ends and just behind another match split nothing.
        if range.start < s.len() && range.end > previous_end {
            parts.push(s[copied..range.start].to_owned());
            copied = range.end;
        }
        previous_end = range.end;
    }
    parts.push(s[copied..].to_owned());
    Ok(parts)
}

fn split_to_table(_: &EvalContext<'_>, args: &[Datum]) -> Result<Rows> {
    let (s, pattern, options) = texts(args)?;
    let parts = split(s, pattern, local_flags("regexp_split_to_table", options)?)?;
    Ok(rows(parts.into_iter().map(Datum::Text)))
}

fn text_array(parts: Vec<String>) -> Datum {
    Datum::Array(Arc::new(Array {
        elements: parts.into_iter().map(Datum::Text).collect(),
    }))
}

fn replace(s: &str, pattern: &str, new: &str, options: &str) -> Result<Datum> {
    if let Some(digit) = options.chars().next().filter(char::is_ascii_digit) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid regular expression option: \"{digit}\""),
        )
        .with_hint(
            "If you meant to use regexp_replace() with a start parameter, cast the fourth \
             argument to integer explicitly.",
        ));
    }
    let flags = Flags::parse(options)?;
    let compiled = compile(pattern, flags)?;
    let mut out = String::with_capacity(s.len());
    let (mut copied, mut start) = (0, 0);
    while start <= s.len() {
        let Some(captures) = compiled.find(s, start)? else {
            break;
        };
        let range = whole(&captures);
        out.push_str(&s[copied..range.start]);
        push_replacement(&mut out, s, &captures, new);
        copied = range.end;
        start = next_start(s, &captures);
        if !flags.global {
            break;
        }
    }
    out.push_str(&s[copied..]);
    text(out)
}

/// `\1` to `\9` are groups, `\&` the whole match, `\\` a backslash.
fn push_replacement(out: &mut String, s: &str, captures: &Captures, new: &str) {
    let mut chars = new.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(digit @ '1'..='9') => {
                let index = digit as usize - '0' as usize;
                if let Some(span) = captures.get_group(index) {
                    out.push_str(&s[span.range()]);
                }
            }
            Some('&') => out.push_str(&s[whole(captures)]),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}
