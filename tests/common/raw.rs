//! The wire protocol by hand, for what no well-behaved client would send.

use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// A connection on which a test writes whatever bytes it likes.
pub struct Raw {
    pub stream: TcpStream,
}

/// A message from the server: type and body.
pub type Message = (u8, Vec<u8>);

impl Raw {
    pub fn connect(port: u16) -> Option<Raw> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Raw { stream })
    }

    /// A session of user postgres, past authentication.
    pub fn session(port: u16) -> Raw {
        let mut raw = Raw::connect(port).expect("a connection");
        raw.start_session().expect("a session");
        raw
    }

    /// Startup message; gives what comes up to ReadyForQuery.
    pub fn start_session(&mut self) -> Result<Vec<Message>> {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
        let mut bytes = length(&body).to_vec();
        bytes.extend_from_slice(&body);
        self.stream.write_all(&bytes)?;
        self.until(b'Z')
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// A whole message with its right length.
    pub fn send_message(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.send(&message(kind, body))
    }

    pub fn receive(&mut self) -> Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.saturating_sub(4)];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }

    /// All messages up to and including one of this type. A fatal error is an error.
    pub fn until(&mut self, kind: u8) -> Result<Vec<Message>> {
        let mut all = Vec::new();
        loop {
            let message = self.receive()?;
            if message.0 == b'E' && field(&message.1, b'S').as_deref() == Some("FATAL") {
                let text = field(&message.1, b'M').unwrap_or_default();
                return Err(std::io::Error::other(text));
            }
            let last = message.0 == kind;
            all.push(message);
            if last {
                return Ok(all);
            }
        }
    }

    /// Everything until the server closes the connection.
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset after the close is a close too.
        let _ = self.stream.read_to_end(&mut all);
        all
    }

    pub fn query(&mut self, sql: &str) -> Result<Vec<Message>> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send_message(b'Q', &body)?;
        self.until(b'Z')
    }
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&length(body));
    bytes.extend_from_slice(body);
    bytes
}

/// A field of an ErrorResponse or NoticeResponse.
pub fn field(body: &[u8], name: u8) -> Option<String> {
    body.split(|b| *b == 0)
        .find(|field| field.first() == Some(&name))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

/// The types of these messages, as text: `12D` and so on read well in a failed assertion.
pub fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|m| m.0 as char).collect()
}

/// A message's length counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).unwrap().to_be_bytes()
}
