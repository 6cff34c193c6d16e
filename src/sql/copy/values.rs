//! Fields of a line, read and written.

use crate::sql::copy::options::Options;

/// The fields of one line, unescaped; the buffers are reused from line to line.
#[derive(Default)]
pub(super) struct Fields {
    data: Vec<u8>,
    fields: Vec<Field>,
}

struct Field {
    start: usize,
    end: usize,
    null: bool,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field's bytes; `None`: NULL.
    pub(super) fn get(&self, place: usize) -> Option<&[u8]> {
        let field = &self.fields[place];
        (!field.null).then(|| &self.data[field.start..field.end])
    }

    /// A field's bytes even if they stand for NULL.
    pub(super) fn raw(&self, place: usize) -> &[u8] {
        let field = &self.fields[place];
        &self.data[field.start..field.end]
    }

    pub(super) fn read(&mut self, line: &[u8], options: &Options) {
        self.data.clear();
        self.fields.clear();
        if options.csv {
            self.read_csv(line, options);
        } else {
            self.read_text(line, options);
        }
    }

    fn add(&mut self, start: usize, null: bool) {
        self.fields.push(Field {
            start,
            end: self.data.len(),
            null,
        });
    }

    fn read_text(&mut self, line: &[u8], options: &Options) {
        let mut at = 0;
        loop {
            let (start, raw_start) = (self.data.len(), at);
            let mut escaped = false;
            while at < line.len() && line[at] != options.delimiter {
                if line[at] == b'\\' && at + 1 < line.len() {
                    escaped = true;
                    at = self.unescape(line, at + 1);
                } else {
                    self.data.push(line[at]);
                    at += 1;
                }
            }
            let raw = &line[raw_start..at];
            let null = raw == options.null;
            if null && escaped {
                self.data.truncate(start);
            }
            self.add(start, null);
            if at == line.len() {
                return;
            }
            at += 1;
        }
    }

    /// Appends what the escape whose letter is at `at` stands for; gives the place behind it.
    fn unescape(&mut self, line: &[u8], at: usize) -> usize {
        let digits = |from: usize, max: usize, radix: u32| {
            let rest = line[from..].iter().take(max);
            rest.take_while(|b| char::from(**b).is_digit(radix)).count()
        };
        let number = |from: usize, count: usize, radix: u32| {
            line[from..from + count].iter().fold(0u32, |value, digit| {
                value * radix + char::from(*digit).to_digit(radix).unwrap_or(0)
            })
        };
        let byte = match line[at] {
            b'0'..=b'7' => {
                let count = digits(at, 3, 8);
                self.data.push(low_byte(number(at, count, 8)));
                return at + count;
            }
            b'x' => match digits(at + 1, 2, 16) {
                0 => b'x',
                count => {
                    self.data.push(low_byte(number(at + 1, count, 16)));
                    return at + 1 + count;
                }
            },
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        };
        self.data.push(byte);
        at + 1
    }

    fn read_csv(&mut self, line: &[u8], options: &Options) {
        let mut at = 0;
        loop {
            let (start, raw_start) = (self.data.len(), at);
            let mut quoted = false;
            let mut in_quote = false;
            while at < line.len() {
                let byte = line[at];
                if !in_quote && byte == options.delimiter {
                    break;
                }
                if in_quote && byte == options.escape {
                    let next = line.get(at + 1).copied();
                    if let Some(next) = next.filter(|n| *n == options.escape || *n == options.quote)
                    {
                        self.data.push(next);
                        at += 2;
                        continue;
                    }
                }
                if byte == options.quote {
                    in_quote = !in_quote;
                    quoted = true;
                } else {
                    self.data.push(byte);
                }
                at += 1;
            }
            let null = !quoted && line[raw_start..at] == options.null;
            self.add(start, null);
            if at == line.len() {
                return;
            }
            at += 1;
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "as PostgreSQL: only the low bits count"
)]
fn low_byte(value: u32) -> u8 {
    value as u8
}

/// Appends a value in text format.
pub(super) fn write_text(value: &[u8], options: &Options, out: &mut Vec<u8>) {
    for byte in value {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            other if *other == options.delimiter => *other,
            other => {
                out.push(*other);
                continue;
            }
        };
        out.extend([b'\\', letter]);
    }
}

/// Appends a value in csv format. `alone`: it is the line's only one.
pub(super) fn write_csv(
    value: &[u8],
    force_quote: bool,
    alone: bool,
    options: &Options,
    out: &mut Vec<u8>,
) {
    let special =
        |b: &u8| *b == options.delimiter || *b == options.quote || *b == b'\n' || *b == b'\r';
    let quote = force_quote
        || value == options.null
        || (alone && value == b"\\.")
        || value.iter().any(special);
    if !quote {
        out.extend_from_slice(value);
        return;
    }
    out.push(options.quote);
    for byte in value {
        if *byte == options.quote || *byte == options.escape {
            out.push(options.escape);
        }
        out.push(*byte);
    }
    out.push(options.quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(csv: bool, null: &str) -> Options {
        Options {
            csv,
            delimiter: if csv { b',' } else { b'\t' },
            null: null.as_bytes().to_vec(),
            header: false,
            header_match: false,
            quote: b'"',
            escape: b'"',
        }
    }

    fn read(line: &str, csv: bool, null: &str) -> Vec<Option<String>> {
        let mut fields = Fields::default();
        fields.read(line.as_bytes(), &options(csv, null));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (0..fields.len()).map(|i| fields.get(i).map(text)).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn text_fields_are_unescaped() {
        assert_eq!(
            read("1\t\\N\ta\\tb\\\\", false, "\\N"),
            [some("1"), None, some("a\tb\\")]
        );
        assert_eq!(read("\\x41\\101\\q", false, "\\N"), [some("AAq")]);
        assert_eq!(read("", false, "\\N"), [some("")]);
        assert_eq!(read("\t", false, ""), [None, None]);
    }

    #[test]
    fn csv_tells_empty_strings_from_nulls() {
        assert_eq!(read("1,,\"\"", true, ""), [some("1"), None, some("")]);
        assert_eq!(
            read("\"a,b\"\"c\",x\"y\"z", true, ""),
            [some("a,b\"c"), some("xyz")]
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        for value in ["a\tb\\\n", "x,\"y\"\r\n", "", "\\."] {
            for csv in [false, true] {
                let options = options(csv, if csv { "" } else { "\\N" });
                let mut line = Vec::new();
                match csv {
                    true => write_csv(value.as_bytes(), false, true, &options, &mut line),
                    false => write_text(value.as_bytes(), &options, &mut line),
                }
                let mut fields = Fields::default();
                fields.read(&line, &options);
                assert_eq!(fields.get(0), Some(value.as_bytes()));
            }
        }
    }
}
