//! What COPY's options come to, and which of them go together.

use crate::base::{Error, Result, SqlState};
use crate::sql::ast::{Copy, CopyFormat};

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub csv: bool,
    pub delimiter: u8,
    pub null: Vec<u8>,
    pub header: bool,
    pub header_match: bool,
    pub quote: u8,
    pub escape: u8,
}

impl Options {
    pub(super) fn new(copy: &Copy) -> Result<Options> {
        let csv = match copy.format {
            CopyFormat::Text => false,
            CopyFormat::Csv => true,
            CopyFormat::Binary => return Err(Error::unsupported("COPY in binary format is")),
        };
        let delimiter = match &copy.delimiter {
            Some(text) => one_byte(text, "delimiter")?,
            None if csv => b',',
            None => b'\t',
        };
        if matches!(delimiter, b'\n' | b'\r') {
            return Err(invalid(
                "COPY delimiter cannot be newline or carriage return",
            ));
        }
        let null = match &copy.null {
            Some(text) => text.clone(),
            None if csv => String::new(),
            None => "\\N".to_owned(),
        };
        if null.contains(['\n', '\r']) {
            return Err(invalid(
                "COPY null representation cannot use newline or carriage return",
            ));
        }
        let reserved = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if !csv && reserved.contains(&delimiter) {
            let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
            return Err(invalid(&message));
        }
        for (given, what) in [
            (copy.quote.is_some(), "quote"),
            (copy.escape.is_some(), "escape"),
            (
                !copy.force_quote.is_empty() || copy.force_quote_all,
                "force quote",
            ),
            (!copy.force_not_null.is_empty(), "force not null"),
            (!copy.force_null.is_empty(), "force null"),
        ] {
            if given && !csv {
                return Err(unavailable(format!(
                    "COPY {what} available only in CSV mode"
                )));
            }
        }
        let quote = match &copy.quote {
            Some(text) => one_byte(text, "quote")?,
            None => b'"',
        };
        if csv && quote == delimiter {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        let escape = match &copy.escape {
            Some(text) => one_byte(text, "escape")?,
            None => quote,
        };
        if copy.from_stdin && (!copy.force_quote.is_empty() || copy.force_quote_all) {
            return Err(unavailable(
                "COPY force quote only available using COPY TO".to_owned(),
            ));
        }
        for (given, what) in [
            (!copy.force_not_null.is_empty(), "force not null"),
            (!copy.force_null.is_empty(), "force null"),
        ] {
            if given && !copy.from_stdin {
                let message = format!("COPY {what} only available using COPY FROM");
                return Err(unavailable(message));
            }
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(unavailable(
                "COPY delimiter must not appear in the NULL specification".to_owned(),
            ));
        }
        if csv && null.as_bytes().contains(&quote) {
            return Err(unavailable(
                "CSV quote character must not appear in the NULL specification".to_owned(),
            ));
        }
        Ok(Options {
            csv,
            delimiter,
            null: null.into_bytes(),
            header: copy.header || copy.header_match,
            header_match: copy.header_match,
            quote,
            escape,
        })
    }
}

fn one_byte(text: &str, what: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => {
            let message = format!("COPY {what} must be a single one-byte character");
            Err(unavailable(message))
        }
    }
}

fn invalid(message: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn unavailable(message: String) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}
