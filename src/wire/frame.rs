//! Slicing the stream of bytes into messages.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | type |
//! | 4 | length, big-endian, counting itself and the body but not the type |
//! | length - 4 | body |

use bytes::BytesMut;
use pgwire::messages::copy::{
    MESSAGE_TYPE_BYTE_COPY_DATA, MESSAGE_TYPE_BYTE_COPY_DONE, MESSAGE_TYPE_BYTE_COPY_FAIL,
};
use pgwire::messages::extendedquery::{
    MESSAGE_TYPE_BYTE_BIND, MESSAGE_TYPE_BYTE_CLOSE, MESSAGE_TYPE_BYTE_DESCRIBE,
    MESSAGE_TYPE_BYTE_EXECUTE, MESSAGE_TYPE_BYTE_FLUSH, MESSAGE_TYPE_BYTE_PARSE,
    MESSAGE_TYPE_BYTE_SYNC,
};
use pgwire::messages::simplequery::MESSAGE_TYPE_BYTE_QUERY;
use pgwire::messages::terminate::MESSAGE_TYPE_BYTE_TERMINATE;

use crate::base::error::Severity;
use crate::base::{Error, Report, SqlState};

/// What a client may send once it has been let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Parse,
    Bind,
    Describe,
    Execute,
    Close,
    Flush,
    Sync,
    FunctionCall,
    CopyData,
    CopyDone,
    CopyFail,
    Terminate,
}

#[derive(Debug)]
pub(super) struct Frame {
    pub kind: Kind,
    /// The type as it came.
    pub byte: u8,
    pub body: BytesMut,
}

const HEADER_BYTES: usize = 5;
const LENGTH_BYTES: usize = 4;
/// Messages that carry no more than a name are never long.
const SMALL_BYTES_MAX: usize = 10_000;

/// PostgreSQL's call of a function by OID, which pgwire does not know.
const MESSAGE_TYPE_BYTE_FUNCTION_CALL: u8 = b'F';

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        Some(match byte {
            MESSAGE_TYPE_BYTE_QUERY => Kind::Query,
            MESSAGE_TYPE_BYTE_PARSE => Kind::Parse,
            MESSAGE_TYPE_BYTE_BIND => Kind::Bind,
            MESSAGE_TYPE_BYTE_DESCRIBE => Kind::Describe,
            MESSAGE_TYPE_BYTE_EXECUTE => Kind::Execute,
            MESSAGE_TYPE_BYTE_CLOSE => Kind::Close,
            MESSAGE_TYPE_BYTE_FLUSH => Kind::Flush,
            MESSAGE_TYPE_BYTE_SYNC => Kind::Sync,
            MESSAGE_TYPE_BYTE_FUNCTION_CALL => Kind::FunctionCall,
            MESSAGE_TYPE_BYTE_COPY_DATA => Kind::CopyData,
            MESSAGE_TYPE_BYTE_COPY_DONE => Kind::CopyDone,
            MESSAGE_TYPE_BYTE_COPY_FAIL => Kind::CopyFail,
            MESSAGE_TYPE_BYTE_TERMINATE => Kind::Terminate,
            _ => return None,
        })
    }

    fn is_large(self) -> bool {
        matches!(
            self,
            Kind::Query | Kind::Parse | Kind::Bind | Kind::FunctionCall | Kind::CopyData
        )
    }
}

/// Takes the first message off `input`; `None`: it has not all arrived. After an error the stream
/// cannot be read any further, so the error is fatal.
pub(super) fn take_frame(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>, Error> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    let kind =
        Kind::of(first).ok_or_else(|| fatal(format!("invalid frontend message type {first}")))?;
    let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [_, length @ ..] = *header;
    let length = i32::from_be_bytes(length);
    let most = if kind.is_large() {
        bytes_max
    } else {
        SMALL_BYTES_MAX.min(bytes_max)
    };
    let length = match usize::try_from(length) {
        Ok(length) if length >= LENGTH_BYTES && length - LENGTH_BYTES <= most => length,
        _ => return Err(fatal(format!("invalid message length {length}"))),
    };
    if input.len() <= length {
        return Ok(None);
    }
    let mut body = input.split_to(1 + length);
    let _ = body.split_to(HEADER_BYTES);
    Ok(Some(Frame {
        kind,
        byte: first,
        body,
    }))
}

pub(super) fn fatal(message: String) -> Error {
    Error::Report(Box::new(Report::new(
        Severity::Fatal,
        SqlState::PROTOCOL_VIOLATION,
        message,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn message(kind: u8, length: i32, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::from(&[kind][..]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn refusal(mut input: BytesMut) -> String {
        take_frame(&mut input, MAX).unwrap_err().to_string()
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_the_body_arrives() {
        for length in [0, 1, 2, 3, -1, i32::MIN, i32::MAX, 5 + (1 << 20)] {
            let error = refusal(message(b'Q', length, b""));
            assert_eq!(error, format!("invalid message length {length} (08P01)"));
        }
        assert!(refusal(message(b'S', 20_000, b"")).contains("20000"));
    }

    #[test]
    fn unknown_types_are_refused_by_their_first_byte() {
        for kind in [0, b'p', b'R', b'Z', 0x16, 0xff] {
            let error = refusal(BytesMut::from(&[kind][..]));
            assert_eq!(
                error,
                format!("invalid frontend message type {kind} (08P01)")
            );
        }
    }

    #[test]
    fn a_message_is_taken_when_its_last_byte_has_come() {
        let whole = message(b'Q', 4 + 3, b"ab\0");
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert!(
                take_frame(&mut part, MAX).unwrap().is_none(),
                "cut at {cut}"
            );
            assert_eq!(part.len(), cut, "nothing is consumed");
        }
        let mut input = whole.clone();
        input.extend_from_slice(&message(b'S', 4, b""));
        let frame = take_frame(&mut input, MAX).unwrap().unwrap();
        assert_eq!((frame.kind, &frame.body[..]), (Kind::Query, &b"ab\0"[..]));
        let frame = take_frame(&mut input, MAX).unwrap().unwrap();
        assert_eq!((frame.kind, frame.body.len()), (Kind::Sync, 0));
        assert!(take_frame(&mut input, MAX).unwrap().is_none());
    }

    #[test]
    fn the_longest_message_allowed_is_waited_for() {
        let mut input = message(b'd', 4 + (1 << 20), b"x");
        assert!(take_frame(&mut input, MAX).unwrap().is_none());
    }
}
