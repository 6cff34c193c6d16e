//! Text form of arrays: `{1,NULL,"a b"}`.

use std::sync::Arc;

use crate::base::{Error, Result, SqlState};
use crate::types::datum::Array;
use crate::types::text::{text_in, text_out};
use crate::types::{Datum, Format, Type};

/// Reads a one-dimensional array whose lower bound is 1.
pub(super) fn array_in(element: Type, typmod: i32, s: &str, format: &Format) -> Result<Datum> {
    let (bounds, body) = split_bounds(s)?;
    let items = split_items(s, body)?;
    if bounds.is_some_and(|upper| upper != items.len()) {
        return Err(malformed(
            s,
            "Specified array dimensions do not match array contents.",
        ));
    }
    let elements = items
        .into_iter()
        .map(|item| match item {
            None => Ok(Datum::Null),
            Some(text) => text_in(element, typmod, &text, format),
        })
        .collect::<Result<_>>()?;
    Ok(Datum::Array(Arc::new(Array { elements })))
}

fn malformed(s: &str, detail: impl Into<String>) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{s}\""),
    )
    .with_detail(detail)
}

fn is_space(byte: u8) -> bool {
    super::text::is_space(char::from(byte))
}

/// Takes `[1:n]=` off the front.
fn split_bounds(s: &str) -> Result<(Option<usize>, &str)> {
    let trimmed = s.trim_start_matches(super::text::is_space);
    let Some(rest) = trimmed.strip_prefix('[') else {
        if !trimmed.starts_with('{') {
            return Err(malformed(
                s,
                "Array value must start with \"{\" or dimension information.",
            ));
        }
        return Ok((None, trimmed));
    };
    let Some((bounds, rest)) = rest.split_once(']') else {
        return Err(malformed(s, "Missing \"]\" after array dimensions."));
    };
    if rest.starts_with('[') {
        return Err(Error::unsupported("arrays of several dimensions are"));
    }
    let (lower, upper) = bounds.split_once(':').unwrap_or(("1", bounds));
    let (Ok(lower), Ok(upper)) = (lower.parse::<i32>(), upper.parse::<i32>()) else {
        return Err(malformed(
            s,
            "\"[\" must introduce explicitly-specified array dimensions.",
        ));
    };
    let rest = rest.trim_start_matches(super::text::is_space);
    let Some(rest) = rest.strip_prefix('=') else {
        return Err(malformed(s, "Missing \"=\" after array dimensions."));
    };
    let rest = rest.trim_start_matches(super::text::is_space);
    if !rest.starts_with('{') {
        return Err(malformed(s, "Array contents must start with \"{\"."));
    }
    if lower != 1 {
        return Err(Error::unsupported("array lower bounds other than 1 are"));
    }
    Ok((Some(usize::try_from(upper).unwrap_or(0)), rest))
}

/// What may come next in the text.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// After `{`: an item or `}`.
    Start,
    /// After a comma: an item.
    Comma,
    /// In or after an unquoted item.
    Item,
    /// After the closing quote of an item.
    Quoted,
}

/// The items of `{…}` with quotes and escapes resolved; `None` is NULL.
fn split_items(s: &str, body: &str) -> Result<Vec<Option<String>>> {
    let bytes = body.as_bytes();
    let unexpected = |c: u8| malformed(s, format!("Unexpected \"{}\" character.", char::from(c)));
    let element = || malformed(s, "Unexpected array element.");
    let end = || malformed(s, "Unexpected end of input.");
    let mut items = Vec::new();
    let mut item: Vec<u8> = Vec::new();
    // How much of the item trailing white space must leave: what was escaped.
    let mut keep = 0;
    let mut literal = false;
    let mut state = State::Start;
    let mut at = 1;
    loop {
        let byte = *bytes.get(at).ok_or_else(end)?;
        at += 1;
        match byte {
            b'{' if state == State::Start => {
                return Err(Error::unsupported("arrays of several dimensions are"));
            }
            b'{' => return Err(unexpected(byte)),
            b'}' if state == State::Comma => return Err(unexpected(byte)),
            b',' if matches!(state, State::Start | State::Comma) => {
                return Err(unexpected(byte));
            }
            b'}' | b',' => {
                if state != State::Start {
                    items.push(finish(std::mem::take(&mut item), state, keep, literal));
                    (keep, literal) = (0, false);
                }
                state = State::Comma;
                if byte == b'}' {
                    break;
                }
            }
            b'"' if matches!(state, State::Start | State::Comma) => {
                at = read_quoted(bytes, at, &mut item).ok_or_else(end)?;
                state = State::Quoted;
            }
            b'"' => return Err(element()),
            b'\\' if state == State::Quoted => return Err(unexpected(byte)),
            b'\\' => {
                item.push(*bytes.get(at).ok_or_else(end)?);
                at += 1;
                (keep, literal) = (item.len(), true);
                state = State::Item;
            }
            _ if is_space(byte) => {
                if state == State::Item {
                    item.push(byte);
                }
            }
            _ if state == State::Quoted => return Err(element()),
            _ => {
                item.push(byte);
                state = State::Item;
            }
        }
    }
    if bytes[at..].iter().any(|b| !is_space(*b)) {
        return Err(malformed(s, "Junk after closing right brace."));
    }
    Ok(items)
}

/// Reads up to the closing quote; `None` when there is none.
fn read_quoted(bytes: &[u8], mut at: usize, item: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some(at),
            b'\\' => {
                item.push(*bytes.get(at)?);
                at += 1;
            }
            _ => item.push(byte),
        }
    }
}

fn finish(mut item: Vec<u8>, state: State, keep: usize, literal: bool) -> Option<String> {
    if state == State::Item {
        while item.len() > keep && item.last().is_some_and(|b| is_space(*b)) {
            item.pop();
        }
        if !literal && item.eq_ignore_ascii_case(b"null") {
            return None;
        }
    }
    // Only whole characters and single ASCII bytes were moved.
    Some(String::from_utf8_lossy(&item).into_owned())
}

pub(super) fn array_out(element: Type, array: &Array, format: &Format, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, item) in array.elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if item.is_null() {
            out.extend_from_slice(b"NULL");
            continue;
        }
        let start = out.len();
        text_out(element, item, format, out);
        if needs_quotes(&out[start..]) {
            let text = out.split_off(start);
            out.push(b'"');
            for byte in text {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
    out.push(b'}');
}

fn needs_quotes(text: &[u8]) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case(b"null")
        || text
            .iter()
            .any(|b| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(*b))
}
