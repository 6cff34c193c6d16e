//! From the first byte of a connection to its session: what the client asks for, and who it is.
//!
//! ```text
//!   length (4) │ code (4) │ rest
//!              │ SSLRequest, GSSENCRequest → 'N', then once more
//!              │ CancelRequest             → done
//!              │ 3.x, name\0value\0…\0     → a session
//! ```

use bytes::BytesMut;
use pgwire::messages::startup::{GssEncRequest, SslRequest, Startup};

use crate::base::error::Severity;
use crate::base::{Error, Report, Result, SqlState};
use crate::types::checked_text;
use crate::wire::decode::Body;
use crate::wire::encode;
use crate::wire::frame::fatal;
use crate::wire::socket::Socket;

/// No message of a client that has not been let in is longer.
pub const STARTUP_BYTES_MAX: usize = 64 * 1024;
/// pgwire keeps its own to itself.
const CANCEL_REQUEST: i32 = 80_877_102;

/// What a client has come for.
#[derive(Debug)]
pub(super) enum Opening {
    Session(Wish),
    Cancel {
        pid: i32,
        secret: i32,
    },
    /// It has left again.
    Closed,
}

/// The session that a client would like.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub user: String,
    pub database: String,
    pub settings: Vec<(String, String)>,
    /// To be told first, if the client asked for a newer protocol.
    pub negotiation: Option<Vec<u8>>,
}

/// Talks to the client until it says what it wants.
pub(super) async fn open(socket: &mut Socket, input: &mut BytesMut) -> Result<Opening> {
    let (mut ssl_refused, mut gss_refused) = (false, false);
    loop {
        let Some(packet) = read_packet(socket, input).await? else {
            return Ok(Opening::Closed);
        };
        let mut body = Body(&packet);
        let code = body.i32()?;
        let refused = match code {
            SslRequest::BODY_MAGIC_NUMBER => &mut ssl_refused,
            GssEncRequest::BODY_MAGIC_NUMBER => &mut gss_refused,
            CANCEL_REQUEST => {
                let (pid, secret) = (body.i32()?, body.i32()?);
                return Ok(Opening::Cancel { pid, secret });
            }
            _ => return parse_startup(code, body.0).map(Opening::Session),
        };
        if std::mem::replace(refused, true) {
            return Err(unsupported_protocol(code));
        }
        let answered = socket.write_all(b"N").await;
        if answered.is_err() {
            return Ok(Opening::Closed);
        }
    }
}

/// A packet without its length; `None`: the client has left.
async fn read_packet(socket: &mut Socket, input: &mut BytesMut) -> Result<Option<BytesMut>> {
    loop {
        if let Some(packet) = take_packet(input)? {
            return Ok(Some(packet));
        }
        match socket.read(input).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

fn take_packet(input: &mut BytesMut) -> Result<Option<BytesMut>> {
    let Some(length) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    let length = match usize::try_from(length) {
        Ok(length) if (8..=STARTUP_BYTES_MAX).contains(&length) => length,
        _ => return Err(fatal("invalid length of startup packet".to_owned())),
    };
    if input.len() < length {
        return Ok(None);
    }
    let mut packet = input.split_to(length);
    let _ = packet.split_to(4);
    Ok(Some(packet))
}

fn parse_startup(version: i32, body: &[u8]) -> Result<Wish> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != Startup::PROTOCOL_VERSION_3_0 >> 16 {
        return Err(unsupported_protocol(version));
    }
    let mut unknown_options = Vec::new();
    let (mut user, mut database, mut options) = (None, None, None);
    let mut settings = Vec::new();
    for (name, value) in parameters(body)? {
        match name {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "options" => options = Some(value),
            "replication" => refuse_replication(value)?,
            _ if name.starts_with("_pq_.") => unknown_options.push(name),
            _ => settings.push((name.to_owned(), value.to_owned())),
        }
    }
    let user = user.filter(|user| !user.is_empty()).ok_or_else(no_user)?;
    // Settings of `options` come before the others, as in PostgreSQL.
    let mut all = parse_options(options.unwrap_or(""))?;
    all.append(&mut settings);
    let negotiation = (minor > 0 || !unknown_options.is_empty()).then(|| {
        let mut answer = Vec::new();
        encode::negotiate_version(&mut answer, &unknown_options);
        answer
    });
    Ok(Wish {
        user: user.to_owned(),
        database: database
            .filter(|d| !d.is_empty())
            .unwrap_or(user)
            .to_owned(),
        settings: all,
        negotiation,
    })
}

fn parameters(body: &[u8]) -> Result<Vec<(&str, &str)>> {
    let layout = || {
        let message = "invalid startup packet layout: expected terminator as last byte";
        fatal(message.to_owned())
    };
    let list = body.strip_suffix(&[0]).ok_or_else(layout)?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let list = list.strip_suffix(&[0]).ok_or_else(layout)?;
    let parts = list
        .split(|b| *b == 0)
        .map(|part| checked_text(part).map_err(as_fatal));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if !parts.len().is_multiple_of(2) {
        return Err(layout());
    }
    Ok(parts
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}

/// `-c name=value`, `-cname=value` and `--name=value`, separated by spaces; a backslash keeps the
/// character after it.
fn parse_options(options: &str) -> Result<Vec<(String, String)>> {
    let words = split_words(options);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => long.to_owned(),
            (None, Some("")) => words.next().unwrap_or_default(),
            (None, Some(short)) => short.to_owned(),
            (None, None) => return Err(bad_option(&word)),
        };
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| bad_option(&setting))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn refuse_replication(value: &str) -> Result<()> {
    match value {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(as_fatal(Error::unsupported("replication connections are"))),
    }
}

fn no_user() -> Error {
    as_fatal(Error::new(
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        "no PostgreSQL user name specified in startup packet",
    ))
}

fn bad_option(word: &str) -> Error {
    as_fatal(Error::new(
        SqlState::SYNTAX_ERROR,
        format!("invalid command-line argument for server process: {word}"),
    ))
}

fn unsupported_protocol(version: i32) -> Error {
    let (major, minor) = (version >> 16, version & 0xffff);
    as_fatal(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
    ))
}

/// Before there is a session, every error ends the connection.
pub(super) fn as_fatal(error: Error) -> Error {
    let report = Report {
        severity: Severity::Fatal,
        ..error.report()
    };
    Error::Report(Box::new(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(body: &[u8]) -> Result<Wish> {
        parse_startup(Startup::PROTOCOL_VERSION_3_0, body)
    }

    #[test]
    fn lengths_of_packets_that_cannot_be_are_refused() {
        for length in [0, 1, 3, 4, 7, -1, i32::MIN, i32::MAX, 65_537] {
            let mut input = BytesMut::from(&length.to_be_bytes()[..]);
            let error = take_packet(&mut input).unwrap_err();
            assert_eq!(
                error.to_string(),
                "invalid length of startup packet (08P01)"
            );
        }
        let mut input = BytesMut::from(&[0, 0, 0, 9, 0, 3, 0, 0][..]);
        assert!(take_packet(&mut input).unwrap().is_none());
        input.extend_from_slice(&[0]);
        assert_eq!(
            &take_packet(&mut input).unwrap().unwrap()[..],
            [0, 3, 0, 0, 0]
        );
    }

    #[test]
    fn the_database_defaults_to_the_user_and_other_parameters_are_settings() {
        let wish = startup(b"user\0me\0DateStyle\0ISO\0\0").unwrap();
        assert_eq!((wish.user.as_str(), wish.database.as_str()), ("me", "me"));
        assert_eq!(wish.settings, [("DateStyle".to_owned(), "ISO".to_owned())]);
        assert_eq!(wish.negotiation, None);
    }

    #[test]
    fn malformed_startup_packets_are_refused() {
        for (body, code) in [
            (&b""[..], "08P01"),
            (b"user\0me\0", "08P01"),
            (b"user\0me", "08P01"),
            (b"user\0\0", "08P01"),
            (b"\0", "28000"),
            (b"user\0\0\0", "28000"),
            (b"user\0\xff\0\0", "22021"),
            (b"user\0a\0options\0-x\0\0", "42601"),
            (b"user\0a\0options\0-c x\0\0", "42601"),
            (b"user\0a\0replication\0database\0\0", "0A000"),
        ] {
            let error = startup(body).unwrap_err();
            assert_eq!(error.sqlstate().as_str(), code, "{body:?}");
            assert_eq!(error.report().severity, Severity::Fatal);
        }
        assert!(parse_startup(2 << 16, b"\0").is_err());
    }

    #[test]
    fn newer_minor_versions_and_unknown_options_are_negotiated() {
        let wish = parse_startup(Startup::PROTOCOL_VERSION_3_2, b"user\0a\0\0").unwrap();
        assert_eq!(wish.negotiation.unwrap(), b"v\0\0\0\x0c\0\x03\0\0\0\0\0\0");
        let wish = startup(b"user\0a\0_pq_.x\x001\0\0").unwrap();
        assert_eq!(
            wish.negotiation.unwrap(),
            b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0"
        );
    }

    #[test]
    fn options_are_split_like_a_command_line() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parse_options(r"-c a=1 -cb=2  --c-d=x\ y --e=\\").unwrap(),
            [
                pair("a", "1"),
                pair("b", "2"),
                pair("c_d", "x y"),
                pair("e", "\\")
            ]
        );
    }
}
