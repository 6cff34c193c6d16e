//! The sessions of a schedule: each has a thread that reads what its server says.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use crate::common::raw::{self, Message, Raw};

/// What a session has come to: the end of a statement, or of the session.
pub struct Event {
    pub session: String,
    pub lines: Vec<String>,
    pub closed: bool,
}

pub struct Session {
    pub name: String,
    pub pid: i32,
    raw: Raw,
    reader: Option<JoinHandle<()>>,
    /// A statement has been sent and has not ended yet.
    pub busy: bool,
    pub closed: bool,
}

impl Session {
    pub fn open(port: u16, name: &str, events: Sender<Event>) -> Session {
        let mut raw = Raw::connect(port).expect("a connection");
        let greeting = raw.start_session().expect("a session");
        let key = greeting
            .iter()
            .find(|message| message.0 == b'K')
            .expect("a key");
        let pid = i32::from_be_bytes(key.1[..4].try_into().unwrap());
        let mut reading = Raw {
            stream: raw.stream.try_clone().unwrap(),
        };
        reading.stream.set_read_timeout(None).unwrap();
        let owner = name.to_owned();
        let reader = thread::spawn(move || read(&mut reading, &owner, &events));
        Session {
            name: name.to_owned(),
            pid,
            raw,
            reader: Some(reader),
            busy: false,
            closed: false,
        }
    }

    pub fn send(&mut self, sql: &str) {
        let body = [sql.as_bytes(), b"\0"].concat();
        self.raw.send_message(b'Q', &body).unwrap();
        self.raw.stream.flush().unwrap();
        self.busy = true;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.raw.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Gathers messages into events until the connection ends.
fn read(raw: &mut Raw, session: &str, events: &Sender<Event>) {
    let mut lines = Vec::new();
    loop {
        let message = raw.receive();
        let closed = message.is_err();
        match &message {
            Ok(message) => lines.extend(shown(message)),
            Err(_) => lines.push("connection closed".to_owned()),
        }
        if closed || matches!(message, Ok((b'Z', _))) {
            let event = Event {
                session: session.to_owned(),
                lines: std::mem::take(&mut lines),
                closed,
            };
            if events.send(event).is_err() || closed {
                return;
            }
        }
    }
}

/// A message as a schedule has it; some say nothing that matters.
fn shown((kind, body): &Message) -> Vec<String> {
    match kind {
        b'D' => vec![row(body)],
        b'C' => vec![String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()],
        b'E' | b'N' => report(body),
        _ => Vec::new(),
    }
}

fn row(body: &[u8]) -> String {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut values = Vec::new();
    for _ in 0..count {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        match usize::try_from(length) {
            Ok(length) => {
                let value = String::from_utf8_lossy(&rest[..length]);
                values.push(if value.is_empty() {
                    "(empty)".to_owned()
                } else {
                    value.into_owned()
                });
                rest = &rest[length..];
            }
            Err(_) => values.push("NULL".to_owned()),
        }
    }
    values.join(" | ")
}

/// Details are shown of deadlocks alone: those of serialization failures speak of PostgreSQL's
/// way of finding them, and the others are for the goldens.
fn report(body: &[u8]) -> Vec<String> {
    let field = |name| raw::field(body, name).unwrap_or_default();
    let code = field(b'C');
    let mut lines = vec![format!("{} {code}: {}", field(b'S'), field(b'M'))];
    if code == "40P01" {
        lines.extend(field(b'D').lines().map(|line| format!("DETAIL: {line}")));
    }
    lines
}
