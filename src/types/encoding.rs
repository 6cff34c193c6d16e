//! The one encoding: UTF-8 without NUL, as PostgreSQL's texts are.

use crate::base::{Error, Result, SqlState};

/// UTF-8 without NUL, or 22021.
pub fn checked_text(bytes: &[u8]) -> Result<&str> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => match text.bytes().position(|b| b == 0) {
            None => return Ok(text),
            Some(at) => at,
        },
        Err(error) => error.valid_up_to(),
    };
    // As many bytes as the first one announces.
    let length = match bytes[bad] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    let shown = bytes[bad..]
        .iter()
        .take(length)
        .map(|b| format!("0x{b:02x}"));
    let shown = shown.collect::<Vec<_>>().join(" ");
    Err(Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {shown}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_that_are_wrong_are_named_as_postgresql_names_them() {
        for (bytes, shown) in [
            (&b"a\0b"[..], "0x00"),
            (b"\xc3(", "0xc3 0x28"),
            (b"ab\xff\xfe", "0xff"),
            (b"\xe2(\xa1x", "0xe2 0x28 0xa1"),
            (b"\xf0\x9f", "0xf0 0x9f"),
        ] {
            let message = checked_text(bytes).unwrap_err().report().message;
            assert_eq!(
                message,
                format!("invalid byte sequence for encoding \"UTF8\": {shown}")
            );
        }
        assert_eq!(checked_text("é".as_bytes()).unwrap(), "é");
    }
}
