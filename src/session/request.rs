//! What a client asks, already taken out of its bytes.

use smallvec::SmallVec;

use crate::base::{Error, Result, SqlState};
use crate::session::client::Formats;

#[derive(Debug)]
pub enum Request<'a> {
    Query(&'a str),
    Parse {
        name: &'a str,
        text: &'a str,
        /// Type OIDs; 0 leaves a parameter's type to be inferred.
        types: SmallVec<[u32; 8]>,
    },
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Close(Target<'a>),
    Execute {
        portal: &'a str,
        /// 0 and less: all.
        max_rows: i32,
    },
    Flush,
    Sync,
}

#[derive(Debug)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    /// None (all text), one for all, or one for each parameter.
    pub param_formats: SmallVec<[i16; 8]>,
    pub params: SmallVec<[Option<&'a [u8]>; 8]>,
    pub result_formats: Formats,
}

#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}

/// UTF-8 without NUL, or 22021.
pub fn checked_text(bytes: &[u8]) -> Result<&str> {
    let (valid, rest) = match std::str::from_utf8(bytes) {
        Ok(text) => match text.bytes().position(|b| b == 0) {
            None => return Ok(text),
            Some(at) => (at, 1),
        },
        Err(error) => (
            error.valid_up_to(),
            error.error_len().unwrap_or(bytes.len()),
        ),
    };
    let end = bytes.len().min(valid + rest);
    let shown: SmallVec<[String; 4]> = bytes[valid..end]
        .iter()
        .map(|b| format!("0x{b:02x}"))
        .collect();
    Err(Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!(
            "invalid byte sequence for encoding \"UTF8\": {}",
            shown.join(" ")
        ),
    ))
}
