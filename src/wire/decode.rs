//! From a message's body to a request. Nothing is copied; what does not fit is an error.

use smallvec::SmallVec;

use crate::base::{Error, Result, SqlState};
use crate::session::{Bind, Formats, Request, Target};
use crate::types::checked_text;
use crate::wire::frame::Kind;

/// A cursor over a body; integers are big-endian.
pub(super) struct Body<'a>(pub &'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let split = self.0.split_at_checked(length);
        let (head, rest) = split.ok_or_else(|| violation("insufficient data left in message"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let split = self.0.split_first_chunk::<N>();
        let (head, rest) = split.ok_or_else(|| violation("insufficient data left in message"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// A number of things of at least `size` bytes each, so many as may still come.
    fn count(&mut self, size: usize) -> Result<usize> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count * size > self.0.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    /// A string up to its NUL, as valid UTF-8.
    pub(super) fn string(&mut self) -> Result<&'a str> {
        let end = self.0.iter().position(|b| *b == 0);
        let end = end.ok_or_else(|| violation("invalid string in message"))?;
        let text = checked_text(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        text
    }

    fn formats(&mut self) -> Result<SmallVec<[i16; 8]>> {
        let count = self.count(2)?;
        (0..count).map(|_| self.i16()).collect()
    }

    pub(super) fn end(&self) -> Result<()> {
        match self.0 {
            [] => Ok(()),
            _ => Err(violation("invalid message format")),
        }
    }
}

/// The request in a message other than those of COPY and Terminate.
pub(super) fn decode(kind: Kind, body: &[u8]) -> Result<Request<'_>> {
    let mut body = Body(body);
    let request = match kind {
        Kind::Query => Request::Query(body.string()?),
        Kind::Parse => Request::Parse {
            name: body.string()?,
            text: body.string()?,
            types: type_oids(&mut body)?,
        },
        Kind::Bind => Request::Bind(bind(&mut body)?),
        Kind::Describe => Request::Describe(target(&mut body, "DESCRIBE")?),
        Kind::Close => Request::Close(target(&mut body, "CLOSE")?),
        Kind::Execute => Request::Execute {
            portal: body.string()?,
            max_rows: body.i32()?,
        },
        Kind::Flush => Request::Flush,
        Kind::Sync => Request::Sync,
        Kind::FunctionCall => return Err(Error::unsupported("the function call message is")),
        Kind::CopyData | Kind::CopyDone | Kind::CopyFail | Kind::Terminate => {
            return Err(violation("unexpected message"));
        }
    };
    body.end()?;
    Ok(request)
}

fn type_oids(body: &mut Body<'_>) -> Result<SmallVec<[u32; 8]>> {
    let count = body.count(4)?;
    (0..count)
        .map(|_| body.array().map(u32::from_be_bytes))
        .collect()
}

fn bind<'a>(body: &mut Body<'a>) -> Result<Bind<'a>> {
    Ok(Bind {
        portal: body.string()?,
        statement: body.string()?,
        param_formats: body.formats()?,
        params: params(body)?,
        result_formats: Formats(body.formats()?),
    })
}

fn params<'a>(body: &mut Body<'a>) -> Result<SmallVec<[Option<&'a [u8]>; 8]>> {
    let count = body.count(4)?;
    let one = |_| match body.i32()? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) => body.take(length).map(Some),
            Err(_) => Err(violation("insufficient data left in message")),
        },
    };
    (0..count).map(one).collect()
}

fn target<'a>(body: &mut Body<'a>, message: &str) -> Result<Target<'a>> {
    let [kind] = body.array()?;
    let name = body.string()?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        other => Err(violation(&format!(
            "invalid {message} message subtype {other}"
        ))),
    }
}

fn violation(message: &str) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIND: &[u8] = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x02\0\x01\0\0";

    #[test]
    fn a_bind_message_decodes_to_its_parts() {
        let Request::Bind(bind) = decode(Kind::Bind, BIND).unwrap() else {
            panic!("not a bind")
        };
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        assert_eq!(bind.param_formats.as_slice(), [1]);
        assert_eq!(bind.params.as_slice(), [Some(&b"ab"[..]), None]);
        assert_eq!(bind.result_formats.0.as_slice(), [1, 0]);
    }

    #[test]
    fn a_body_cut_anywhere_is_an_error_and_never_a_panic() {
        let parse: &[u8] = b"s\0select 1\0\0\x02\0\0\0\x17\0\0\0\0";
        let execute: &[u8] = b"p\0\xff\xff\xff\xff";
        let describe: &[u8] = b"Sname\0";
        for (kind, body) in [
            (Kind::Bind, BIND),
            (Kind::Parse, parse),
            (Kind::Execute, execute),
            (Kind::Describe, describe),
            (Kind::Close, describe),
            (Kind::Query, b"select 1\0"),
        ] {
            decode(kind, body).unwrap();
            for cut in 0..body.len() {
                let error = decode(kind, &body[..cut]).unwrap_err();
                assert_eq!(
                    error.sqlstate(),
                    SqlState::PROTOCOL_VIOLATION,
                    "{kind:?} at {cut}"
                );
            }
            let longer = [body, b"x"].concat();
            assert!(
                decode(kind, &longer).is_err(),
                "{kind:?} with a byte too many"
            );
        }
    }

    #[test]
    fn counts_and_lengths_that_lie_are_errors() {
        for body in [
            &b"\0\0\xff\xff"[..],
            b"\0\0\0\0\xff\xff",
            b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0",
            b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
        ] {
            let error = decode(Kind::Bind, body).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::PROTOCOL_VIOLATION);
        }
        assert!(decode(Kind::Describe, b"Xname\0").is_err());
    }

    #[test]
    fn a_negative_row_limit_is_passed_on_as_it_is() {
        let request = decode(Kind::Execute, b"\0\xff\xff\xff\xff").unwrap();
        assert!(matches!(request, Request::Execute { max_rows: -1, .. }));
    }

    #[test]
    fn invalid_utf8_is_reported_and_not_altered() {
        let error = decode(Kind::Query, b"select '\xff'\0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid byte sequence for encoding \"UTF8\": 0xff (22021)"
        );
    }
}
