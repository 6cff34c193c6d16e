//! Cutting a stream of bytes into lines. What ends a line is learnt from the first one and must
//! stay the same; a line end that is escaped or quoted belongs to the data.

use std::ops::Range;

use crate::base::{Error, Result, SqlState};
use crate::sql::copy::options::Options;

pub(super) struct Lines {
    csv: bool,
    quote: u8,
    /// The escape character where it differs from the quote.
    escape: Option<u8>,
    buffer: Vec<u8>,
    /// Where the line at hand starts, and how far it has been looked at.
    start: usize,
    at: usize,
    in_quote: bool,
    after_escape: bool,
    ending: Option<Ending>,
    /// The end marker has been seen: what follows is ignored.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    Return,
    Both,
}

/// What stands at a place in the buffer.
enum Step {
    /// Data, this many bytes.
    Data(usize),
    /// A line end of this many bytes.
    End(usize),
    /// The end marker.
    Marker,
    /// It takes more bytes to tell.
    More,
}

impl Lines {
    pub(super) fn new(options: &Options) -> Lines {
        Lines {
            csv: options.csv,
            quote: options.quote,
            escape: (options.escape != options.quote).then_some(options.escape),
            buffer: Vec::new(),
            start: 0,
            at: 0,
            in_quote: false,
            after_escape: false,
            ending: None,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        if self.ended {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(data);
    }

    /// What has come of a line that is not whole yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) fn bytes(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next whole line, without its end; `last`: no more bytes will come, so what is left is
    /// a line too.
    pub(super) fn next(&mut self, last: bool) -> Result<Option<Range<usize>>> {
        if self.ended {
            return Ok(None);
        }
        while self.at < self.buffer.len() {
            match self.step(last)? {
                Step::Data(bytes) => self.at += bytes,
                Step::End(bytes) => {
                    let line = self.start..self.at;
                    self.at += bytes;
                    self.start = self.at;
                    return Ok(Some(line));
                }
                Step::Marker => {
                    self.ended = true;
                    let line = self.start..self.at;
                    return Ok((!line.is_empty()).then_some(line));
                }
                Step::More => return Ok(None),
            }
        }
        if !last || self.start == self.buffer.len() {
            return Ok(None);
        }
        if self.in_quote {
            return Err(bad("unterminated CSV quoted field"));
        }
        let line = self.start..self.buffer.len();
        self.start = self.buffer.len();
        Ok(Some(line))
    }

    fn step(&mut self, last: bool) -> Result<Step> {
        let byte = self.buffer[self.at];
        if self.csv {
            let escaped = self.in_quote && Some(byte) == self.escape;
            if escaped {
                self.after_escape = !self.after_escape;
            }
            if byte == self.quote && !self.after_escape {
                self.in_quote = !self.in_quote;
            }
            if !escaped {
                self.after_escape = false;
            }
            if self.in_quote {
                return Ok(Step::Data(1));
            }
        }
        match byte {
            b'\n' | b'\r' => self.line_end(byte, last),
            b'\\' if !self.csv || self.at == self.start => self.backslash(last),
            _ => Ok(Step::Data(1)),
        }
    }

    fn line_end(&mut self, byte: u8, last: bool) -> Result<Step> {
        let next = self.buffer.get(self.at + 1).copied();
        match (byte, self.ending) {
            (b'\n', None) => self.ending = Some(Ending::Newline),
            (b'\n', Some(Ending::Newline)) => {}
            (b'\n', Some(_)) => {
                return Err(self.stray("newline", "\\n"));
            }
            (_, Some(Ending::Return)) => {}
            (_, None | Some(Ending::Both)) => match next {
                None if !last => return Ok(Step::More),
                Some(b'\n') => {
                    self.ending = Some(Ending::Both);
                    return Ok(Step::End(2));
                }
                _ if self.ending.is_none() => self.ending = Some(Ending::Return),
                _ => return Err(self.stray("carriage return", "\\r")),
            },
            (_, Some(Ending::Newline)) => return Err(self.stray("carriage return", "\\r")),
        }
        Ok(Step::End(1))
    }

    /// An escape, or the end marker `\.`.
    fn backslash(&self, last: bool) -> Result<Step> {
        let Some(next) = self.buffer.get(self.at + 1) else {
            return Ok(if last { Step::Data(1) } else { Step::More });
        };
        if *next != b'.' {
            return Ok(Step::Data(if self.csv { 1 } else { 2 }));
        }
        match self.buffer.get(self.at + 2) {
            Some(b'\n' | b'\r') => Ok(Step::Marker),
            None if last => Ok(Step::Marker),
            None => Ok(Step::More),
            Some(_) if self.csv => Ok(Step::Data(2)),
            Some(_) => Err(bad("end-of-copy marker corrupt")),
        }
    }

    fn stray(&self, what: &str, escape: &str) -> Error {
        if self.csv {
            bad(&format!("unquoted {what} found in data"))
                .with_hint(format!("Use quoted CSV field to represent {what}."))
        } else {
            bad(&format!("literal {what} found in data"))
                .with_hint(format!("Use \"{escape}\" to represent {what}."))
        }
    }
}

pub(super) fn bad(message: &str) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(csv: bool) -> Options {
        Options {
            csv,
            delimiter: if csv { b',' } else { b'\t' },
            null: Vec::new(),
            header: false,
            header_match: false,
            quote: b'"',
            escape: b'"',
        }
    }

    /// The lines of a text that comes in pieces of `size` bytes.
    fn lines(text: &str, csv: bool, size: usize) -> Result<Vec<String>> {
        let mut lines = Lines::new(&options(csv));
        let mut all = Vec::new();
        let mut take = |lines: &mut Lines, last| -> Result<()> {
            while let Some(line) = lines.next(last)? {
                all.push(String::from_utf8_lossy(lines.bytes(line)).into_owned());
            }
            Ok(())
        };
        for piece in text.as_bytes().chunks(size) {
            lines.push(piece);
            take(&mut lines, false)?;
        }
        take(&mut lines, true)?;
        Ok(all)
    }

    #[test]
    fn lines_are_the_same_wherever_the_stream_is_cut() {
        let cases: [(&str, bool, &[&str]); 7] = [
            ("a\tb\nc\n", false, &["a\tb", "c"]),
            ("a\r\nb\r\n", false, &["a", "b"]),
            ("a\rb\r", false, &["a", "b"]),
            ("a\\\nb\nc", false, &["a\\\nb", "c"]),
            ("a\n\\.\nrest", false, &["a"]),
            (
                "\"x\ny\",1\n2,\"\"\"\"\n",
                true,
                &["\"x\ny\",1", "2,\"\"\"\""],
            ),
            ("a\\.b\n\\.\n", true, &["a\\.b"]),
        ];
        for (text, csv, wanted) in cases {
            for size in 1..=text.len() {
                assert_eq!(
                    lines(text, csv, size).unwrap(),
                    wanted,
                    "{text:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn line_ends_must_not_change() {
        let error = lines("a\nb\rc\n", false, 100).unwrap_err();
        assert_eq!(
            error.report().message,
            "literal carriage return found in data"
        );
        let error = lines("a,\"b\n", true, 2).unwrap_err();
        assert_eq!(error.report().message, "unterminated CSV quoted field");
    }
}
