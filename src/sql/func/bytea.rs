//! bytea.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::{Error, Result, SqlState};
use crate::sql::func::define::{comparisons, eval, function, operator, text};
use crate::sql::func::text::range;
use crate::sql::func::{Function, Operator};
use crate::types::Type::{Bytea, Int4, Text};
use crate::types::{Datum, Type, checked_text};

pub(super) static OPERATORS: &[&[Operator]] = &[
    comparisons!(Bytea(Bytea) Bytea(Bytea), "bytea"; |_, a, b| a.cmp(b)),
    &[operator!(Bytea "||" Bytea => Bytea, "byteacat",
        eval!(|a: Bytea, b: Bytea| bytea([&**a, &**b].concat())))],
];

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function("length", &[Bytea], Int4, eval!(|b: Bytea| count(b.len()))),
    function(
        "octet_length",
        &[Bytea],
        Int4,
        eval!(|b: Bytea| count(b.len())),
    ),
    function(
        "bit_length",
        &[Bytea],
        Int4,
        eval!(|b: Bytea| count(b.len() * 8)),
    ),
    function(
        "substr",
        &[Bytea, Int4],
        Bytea,
        eval!(|b: Bytea, n: Int4| part(b, *n, None)),
    ),
    function(
        "substr",
        &[Bytea, Int4, Int4],
        Bytea,
        eval!(|b: Bytea, n: Int4, length: Int4| part(b, *n, Some(*length))),
    ),
    function(
        "substring",
        &[Bytea, Int4],
        Bytea,
        eval!(|b: Bytea, n: Int4| part(b, *n, None)),
    ),
    function(
        "substring",
        &[Bytea, Int4, Int4],
        Bytea,
        eval!(|b: Bytea, n: Int4, length: Int4| part(b, *n, Some(*length))),
    ),
    function(
        "position",
        &[Bytea, Bytea],
        Int4,
        eval!(|b: Bytea, x: Bytea| position(b, x)),
    ),
    function(
        "ltrim",
        &[Bytea, Bytea],
        Bytea,
        eval!(|b: Bytea, set: Bytea| bytea(trimmed(b, set, true, false))),
    ),
    function(
        "rtrim",
        &[Bytea, Bytea],
        Bytea,
        eval!(|b: Bytea, set: Bytea| bytea(trimmed(b, set, false, true))),
    ),
    function(
        "btrim",
        &[Bytea, Bytea],
        Bytea,
        eval!(|b: Bytea, set: Bytea| bytea(trimmed(b, set, true, true))),
    ),
    function(
        "get_byte",
        &[Bytea, Int4],
        Int4,
        eval!(|b: Bytea, n: Int4| Ok(Datum::Int4(i32::from(b[index(b, *n)?])))),
    ),
    function(
        "set_byte",
        &[Bytea, Int4, Int4],
        Bytea,
        eval!(|b: Bytea, n: Int4, new: Int4| {
            let at = index(b, *n)?;
            let mut bytes = b.to_vec();
            bytes[at] = new.to_le_bytes()[0];
            bytea(bytes)
        }),
    ),
    function(
        "encode",
        &[Bytea, Text],
        Text,
        eval!(|b: Bytea, as_: Text| encode(b, as_)),
    ),
    function(
        "decode",
        &[Text, Text],
        Bytea,
        eval!(|s: Text, from: Text| decode(s, from)),
    ),
    function(
        "convert_from",
        &[Bytea, Type::Name],
        Text,
        eval!(|b: Bytea, encoding: Text| {
            check_utf8_name(encoding, "source")?;
            checked_text(b).map(Datum::text)
        }),
    ),
    function(
        "convert_to",
        &[Text, Type::Name],
        Bytea,
        eval!(|s: Text, encoding: Text| {
            check_utf8_name(encoding, "destination")?;
            bytea(s.as_bytes())
        }),
    ),
]];

fn bytea(bytes: impl Into<Box<[u8]>>) -> Result<Datum> {
    Ok(Datum::Bytea(bytes.into()))
}

fn count(n: usize) -> Result<Datum> {
    match i32::try_from(n) {
        Ok(n) => Ok(Datum::Int4(n)),
        Err(_) => super::define::out_of_range("integer"),
    }
}

fn part(b: &[u8], from: i32, length: Option<i32>) -> Result<Datum> {
    let (start, end) = range(b.len(), from, length)?;
    bytea(&b[start..end.max(start)])
}

fn position(b: &[u8], x: &[u8]) -> Result<Datum> {
    if x.is_empty() {
        return Ok(Datum::Int4(1));
    }
    count(
        b.windows(x.len())
            .position(|w| w == x)
            .map_or(0, |at| at + 1),
    )
}

fn trimmed(b: &[u8], set: &[u8], left: bool, right: bool) -> Vec<u8> {
    let kept = |c: &u8| !set.contains(c);
    let start = if left {
        b.iter().position(kept).unwrap_or(b.len())
    } else {
        0
    };
    let end = if right {
        b.iter().rposition(kept).map_or(0, |at| at + 1)
    } else {
        b.len()
    };
    b[start..end.max(start)].to_vec()
}

fn index(b: &[u8], n: i32) -> Result<usize> {
    match usize::try_from(n) {
        Ok(at) if at < b.len() => Ok(at),
        _ => Err(Error::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!(
                "index {n} out of valid range, 0..{}",
                i64::try_from(b.len()).unwrap_or(i64::MAX) - 1
            ),
        )),
    }
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, what)
}

/// Base64 has at most 76 characters to a line.
const BASE64_LINE: usize = 76;

fn encode(b: &[u8], form: &str) -> Result<Datum> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => text(b.iter().map(|c| format!("{c:02x}")).collect::<String>()),
        "base64" => {
            let encoded = STANDARD.encode(b);
            let mut out = String::with_capacity(encoded.len() + encoded.len() / BASE64_LINE);
            for (i, c) in encoded.chars().enumerate() {
                if i > 0 && i % BASE64_LINE == 0 {
                    out.push('\n');
                }
                out.push(c);
            }
            text(out)
        }
        "escape" => {
            let mut out = String::with_capacity(b.len());
            for &c in b {
                match c {
                    b'\\' => out.push_str("\\\\"),
                    0 | 0x80.. => out.push_str(&format!("\\{c:03o}")),
                    c => out.push(char::from(c)),
                }
            }
            text(out)
        }
        _ => Err(wrong(format!("unrecognized encoding: \"{form}\""))),
    }
}

/// UTF8 is the only encoding; its name is read as PostgreSQL reads it.
fn check_utf8_name(name: &str, what: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if ["utf8", "unicode"].contains(&plain.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::unsupported(format_args!(
        "the {what} encoding \"{name}\" is"
    )))
}

fn decode(s: &str, form: &str) -> Result<Datum> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(s),
        "base64" => decode_base64(s),
        "escape" => decode_escape(s),
        _ => Err(wrong(format!("unrecognized encoding: \"{form}\""))),
    }
}

fn decode_hex(s: &str) -> Result<Datum> {
    let mut digits = Vec::with_capacity(s.len());
    for c in s.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        match c.to_digit(16).and_then(|d| u8::try_from(d).ok()) {
            Some(digit) => digits.push(digit),
            None => return Err(wrong(format!("invalid hexadecimal digit: \"{c}\""))),
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong("invalid hexadecimal data: odd number of digits"));
    }
    bytea(
        pairs
            .iter()
            .map(|[high, low]| high << 4 | low)
            .collect::<Vec<u8>>(),
    )
}

fn decode_base64(s: &str) -> Result<Datum> {
    let symbols: String = s
        .chars()
        .filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r'))
        .collect();
    let is_symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    if let Some(c) = symbols.chars().find(|c| !is_symbol(*c)) {
        return Err(wrong(format!(
            "invalid symbol \"{c}\" found while decoding base64 sequence"
        )));
    }
    STANDARD.decode(symbols).map_or_else(
        |_| {
            Err(wrong("invalid base64 end sequence").with_hint(
                "Input data is missing padding, is truncated, or is otherwise corrupted.",
            ))
        },
        bytea,
    )
}

fn decode_escape(s: &str) -> Result<Datum> {
    let value = crate::types::text_in(Type::Bytea, -1, s, &crate::types::Format::default());
    match s.starts_with("\\x") {
        // The input function would read it as hexadecimal.
        true => Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type bytea",
        )),
        false => value,
    }
}
