//! LIKE and ILIKE.

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{eval, function, operator, text};
use crate::sql::func::text::lower;
use crate::sql::func::{Function, Operator};
use crate::types::Datum;
use crate::types::Type::{Bool, Bytea, Name};

const TEXT: crate::types::Type = crate::types::Type::Text;

macro_rules! like {
    ($T:ident, $prefix:literal, $ic:literal) => {
        &[
            operator!($T "~~" Text => Bool, concat!($prefix, "like"),
                eval!(|s: Text, p: Text| like(s, p).map(Datum::Bool))),
            operator!($T "!~~" Text => Bool, concat!($prefix, "nlike"),
                eval!(|s: Text, p: Text| like(s, p).map(|x| Datum::Bool(!x)))),
            operator!($T "~~*" Text => Bool, concat!($ic, "like"),
                eval!(|s: Text, p: Text| like(&lower(s), &lower(p)).map(Datum::Bool))),
            operator!($T "!~~*" Text => Bool, concat!($ic, "nlike"),
                eval!(|s: Text, p: Text| like(&lower(s), &lower(p)).map(|x| Datum::Bool(!x)))),
        ]
    };
}

pub(super) static OPERATORS: &[&[Operator]] = &[
    like!(Text, "text", "textic"),
    like!(Name, "name", "nameic"),
    like!(Bpchar, "bpchar", "bpcharic"),
    &[
        operator!(Bytea "~~" Bytea => Bool, "bytealike",
            eval!(|s: Bytea, p: Bytea| matches(s, p, false).map(Datum::Bool))),
        operator!(Bytea "!~~" Bytea => Bool, "byteanlike",
            eval!(|s: Bytea, p: Bytea| matches(s, p, false).map(|x| Datum::Bool(!x)))),
    ],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        "like",
        &[TEXT, TEXT],
        Bool,
        eval!(|s: Text, p: Text| like(s, p).map(Datum::Bool)),
    ),
    function(
        "like",
        &[Name, TEXT],
        Bool,
        eval!(|s: Text, p: Text| like(s, p).map(Datum::Bool)),
    ),
    function(
        "like",
        &[Bytea, Bytea],
        Bool,
        eval!(|s: Bytea, p: Bytea| matches(s, p, false).map(Datum::Bool)),
    ),
    function(
        "notlike",
        &[TEXT, TEXT],
        Bool,
        eval!(|s: Text, p: Text| like(s, p).map(|x| Datum::Bool(!x))),
    ),
    function(
        "notlike",
        &[Name, TEXT],
        Bool,
        eval!(|s: Text, p: Text| like(s, p).map(|x| Datum::Bool(!x))),
    ),
    function(
        "notlike",
        &[Bytea, Bytea],
        Bool,
        eval!(|s: Bytea, p: Bytea| matches(s, p, false).map(|x| Datum::Bool(!x))),
    ),
    function(
        "like_escape",
        &[TEXT, TEXT],
        TEXT,
        eval!(|p: Text, e: Text| text(with_escape(p, e)?)),
    ),
]];

fn like(s: &str, pattern: &str) -> Result<bool> {
    matches(s.as_bytes(), pattern.as_bytes(), true)
}

/// Greedy with one point of return: when the rest does not match, the last `%` takes one
/// character more. `chars`: `_` and the step of `%` are UTF-8 characters, not bytes.
fn matches(s: &[u8], pattern: &[u8], chars: bool) -> Result<bool> {
    let step = |at: usize| match s.get(at) {
        Some(&c) if chars && c >= 0xF0 => at + 4,
        Some(&c) if chars && c >= 0xE0 => at + 3,
        Some(&c) if chars && c >= 0xC0 => at + 2,
        _ => at + 1,
    };
    let (mut i, mut p) = (0, 0);
    // Where the pattern goes on after the last `%`, and where in `s` that was tried last.
    let mut back: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                if p == pattern.len() {
                    return Ok(true);
                }
                back = Some((p, i));
                continue;
            }
            Some(b'_') if i < s.len() => {
                (i, p) = (step(i), p + 1);
                true
            }
            Some(&c) if i < s.len() => {
                let (c, width) = match c {
                    b'\\' => match pattern.get(p + 1) {
                        Some(&c) => (c, 2),
                        None => return Err(ends_with_escape()),
                    },
                    c => (c, 1),
                };
                let equal = s[i] == c;
                if equal {
                    (i, p) = (i + 1, p + width);
                }
                equal
            }
            Some(_) => return Ok(false),
            None if i == s.len() => return Ok(true),
            None => false,
        };
        if matched {
            continue;
        }
        match back {
            Some((rest, tried)) if tried < s.len() => {
                back = Some((rest, step(tried)));
                (i, p) = (step(tried), rest);
            }
            _ => return Ok(false),
        }
    }
}

#[cold]
fn ends_with_escape() -> Error {
    Error::new(
        SqlState::INVALID_ESCAPE_SEQUENCE,
        "LIKE pattern must not end with escape character",
    )
}

/// The pattern with backslash for its escape character, which `LIKE … ESCAPE` names; an empty one
/// means that nothing escapes.
fn with_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (None, _) => return Ok(pattern.replace('\\', "\\\\")),
        (Some('\\'), None) => return Ok(pattern.to_owned()),
        (Some(c), None) => c,
        (Some(_), Some(_)) => {
            return Err(
                Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                    .with_hint("Escape string must be empty or one character."),
            );
        }
    };
    let mut out = String::with_capacity(pattern.len() + 1);
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            c if c == escape && !escaped => {
                out.push('\\');
                escaped = true;
                continue;
            }
            '\\' if !escaped => out.push_str("\\\\"),
            c => out.push(c),
        }
        escaped = false;
    }
    Ok(out)
}
