//! A session on one of the two servers, at the level of messages: what a driver hides is compared
//! as well.

use std::io::Result;

use crate::answer::Answer;
use crate::common::raw::{Message, Raw};
use crate::program::{Ask, Value};

pub struct Link {
    raw: Raw,
}

impl Link {
    pub fn open(port: u16) -> Link {
        let mut raw = Raw::session(port);
        raw.query("SET client_min_messages = notice; SET lock_timeout = '5s'")
            .expect("settings");
        Link { raw }
    }

    /// An error is the end of the connection.
    pub fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        let mut answer = Answer::default();
        match ask {
            Ask::Simple(sql) => answer.take(&self.raw.query(sql)?),
            Ask::Prepared {
                name,
                sql,
                values,
                binary,
            } => self.prepared(&mut answer, name, sql.as_deref(), values, *binary)?,
        }
        Ok(answer)
    }

    pub fn query(&mut self, sql: &str) -> Result<Answer> {
        self.ask(&Ask::Simple(sql.to_owned()))
    }

    /// Parses (unless the statement is there already) and asks for its types; then binds and runs.
    fn prepared(
        &mut self,
        answer: &mut Answer,
        name: &str,
        sql: Option<&str>,
        values: &[Value],
        binary: bool,
    ) -> Result<()> {
        if let Some(sql) = sql {
            self.raw.send_message(b'C', &zero_ended(&["S", name]))?;
            let parse = [&zero_ended(&[name])[..], &zero_ended(&[sql]), &[0, 0]].concat();
            self.raw.send_message(b'P', &parse)?;
        }
        self.raw.send_message(b'D', &zero_ended(&["S", name]))?;
        answer.take(&self.sync()?);
        if answer.error.is_some() {
            return Ok(());
        }
        let bind = bind(name, &answer.parameters, values, binary);
        self.raw.send_message(b'B', &bind)?;
        self.raw.send_message(b'D', b"P\0")?;
        self.raw.send_message(b'E', &[0, 0, 0, 0, 0])?;
        answer.take(&self.sync()?);
        Ok(())
    }

    fn sync(&mut self) -> Result<Vec<Message>> {
        self.raw.send_message(b'S', b"")?;
        self.raw.until(b'Z')
    }
}

/// The first letter of a Close or Describe stands without a zero.
fn zero_ended(words: &[&str]) -> Vec<u8> {
    let mut bytes = words.concat().into_bytes();
    bytes.push(0);
    bytes
}

fn bind(name: &str, types: &[u32], values: &[Value], binary: bool) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(zero_ended(&[name]));
    let encoded: Vec<(u16, Option<Vec<u8>>)> = values
        .iter()
        .enumerate()
        .map(|(i, value)| encode(types.get(i).copied().filter(|_| binary), value))
        .collect();
    body.extend(count(encoded.len()));
    for (format, _) in &encoded {
        body.extend(format.to_be_bytes());
    }
    body.extend(count(encoded.len()));
    for (_, value) in encoded {
        match value {
            None => body.extend((-1_i32).to_be_bytes()),
            Some(bytes) => {
                body.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend(bytes);
            }
        }
    }
    body.extend(count(1));
    body.extend(u16::from(binary).to_be_bytes());
    body
}

fn count(n: usize) -> [u8; 2] {
    u16::try_from(n).unwrap().to_be_bytes()
}

/// In binary where the type is known here and the text is one of it, else as text.
fn encode(oid: Option<u32>, value: &Value) -> (u16, Option<Vec<u8>>) {
    let Some(text) = value else { return (0, None) };
    let bytes = match oid {
        Some(16) => match &text[..] {
            "true" => Some(vec![1]),
            "false" => Some(vec![0]),
            _ => None,
        },
        Some(21) => text.parse::<i16>().ok().map(|n| n.to_be_bytes().to_vec()),
        Some(23) => text.parse::<i32>().ok().map(|n| n.to_be_bytes().to_vec()),
        Some(20) => text.parse::<i64>().ok().map(|n| n.to_be_bytes().to_vec()),
        Some(700) => text.parse::<f32>().ok().map(|n| n.to_be_bytes().to_vec()),
        Some(701) => text.parse::<f64>().ok().map(|n| n.to_be_bytes().to_vec()),
        Some(25 | 1043 | 1042) => Some(text.clone().into_bytes()),
        _ => None,
    };
    match bytes {
        Some(bytes) => (1, Some(bytes)),
        None => (0, Some(text.clone().into_bytes())),
    }
}
