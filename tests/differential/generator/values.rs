//! Types by a letter, as the templates have them, and their values.

use super::Generator;

/// Letter, name in SQL, name in the catalog.
pub const TYPES: [(char, &str, &str); 18] = [
    ('i', "int", "integer"),
    ('l', "bigint", "bigint"),
    ('s', "smallint", "smallint"),
    ('t', "text", "text"),
    ('v', "varchar(5)", "character varying(5)"),
    ('c', "char(4)", "character(4)"),
    ('m', "numeric(8,2)", "numeric(8,2)"),
    ('n', "numeric", "numeric"),
    ('d', "float8", "double precision"),
    ('r', "real", "real"),
    ('b', "bool", "boolean"),
    ('D', "date", "date"),
    ('S', "timestamp", "timestamp without time zone"),
    ('Z', "timestamptz", "timestamp with time zone"),
    ('I', "int[]", "integer[]"),
    ('T', "text[]", "text[]"),
    ('x', "bytea", "bytea"),
    ('L', "bigint[]", "bigint[]"),
];

pub fn letter_of(catalog_name: &str) -> Option<char> {
    TYPES.iter().find(|t| t.2 == catalog_name).map(|t| t.0)
}

pub fn sql_name(letter: char) -> &'static str {
    TYPES.iter().find(|t| t.0 == letter).unwrap().1
}

pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Generator {
    pub fn column_type(&mut self) -> char {
        *self.pick(&[
            'i', 'i', 'i', 'i', 'i', 'l', 's', 't', 't', 'v', 'c', 'm', 'm', 'n', 'd', 'r', 'b',
            'D', 'S', 'Z', 'I', 'T', 'x',
        ])
    }

    /// A type that is worth an expression of its own.
    pub fn some_type(&mut self) -> char {
        *self.pick(&[
            'i', 'i', 'i', 'i', 'l', 's', 't', 't', 't', 'm', 'n', 'd', 'b', 'b', 'D', 'S', 'Z',
            'I', 'T', 'x', 'r', 'v', 'c',
        ])
    }

    /// A value's text; none is NULL.
    pub fn value(&mut self, letter: char) -> Option<String> {
        if self.chance(10) {
            return None;
        }
        if self.is_extreme
            && self.chance(40)
            && let Some(text) = self.extreme_value(letter)
        {
            return Some(text);
        }
        Some(match letter {
            'i' | 'l' | 's' => match self.number(0, 30) {
                0 => "100".to_owned(),
                1 => "-100".to_owned(),
                _ => self.number(-1, 9).to_string(),
            },
            't' => (*self.pick(&[
                "", "a", "b", "ab", "abc", "A", "x%y", "_", "ä", "zz", " p ", "it's", "B\\c", "12",
            ]))
            .to_owned(),
            'v' => (*self.pick(&["", "a", "b", "ab", "abcde", "A", "ä", "zz", "a  "])).to_owned(),
            'c' => (*self.pick(&["", "a", "b", "ab", "abcd", "A", "ä", "a  "])).to_owned(),
            'm' | 'n' => {
                let whole = self.number(-3, 12);
                match self.number(0, 4) {
                    0 => whole.to_string(),
                    1 => format!("{whole}.5"),
                    2 => format!("{whole}.25"),
                    _ => format!("{whole}.00"),
                }
            }
            'd' | 'r' => {
                let whole = self.number(-3, 12);
                (*self.pick(&[
                    format!("{whole}"),
                    format!("{whole}.5"),
                    format!("{whole}.25"),
                ]))
                .clone()
            }
            'b' => (*self.pick(&["true", "false"])).to_owned(),
            'D' => (*self.pick(&[
                "2024-02-29",
                "2023-12-31",
                "2000-01-01",
                "1999-06-15",
                "2024-03-01",
            ]))
            .to_owned(),
            'S' => (*self.pick(&[
                "2024-02-29 12:34:56",
                "2023-12-31 23:59:59.999999",
                "2000-01-01 00:00:00",
                "1999-06-15 01:02:03.5",
            ]))
            .to_owned(),
            'Z' => (*self.pick(&[
                "2024-02-29 12:34:56+00",
                "2024-02-29 14:34:56+02",
                "2000-01-01 00:00:00-08",
                "1999-06-15 01:02:03.5+05:30",
            ]))
            .to_owned(),
            'I' | 'L' => {
                (*self.pick(&["{}", "{1}", "{1,2}", "{2,1,NULL}", "{3,3}", "{-1,0,7}"])).to_owned()
            }
            'T' => (*self.pick(&["{}", "{a}", "{a,b}", "{NULL,\"x y\"}", "{\"\",a}"])).to_owned(),
            'x' => (*self.pick(&["\\x", "\\x00ff", "\\x61", "\\x6162"])).to_owned(),
            _ => unreachable!("{letter}"),
        })
    }

    fn extreme_value(&mut self, letter: char) -> Option<String> {
        let from: &[&str] = match letter {
            's' => &["32767", "-32768", "255"],
            'i' => &["2147483647", "-2147483648", "65536", "46341"],
            'l' => &[
                "9223372036854775807",
                "-9223372036854775808",
                "4294967296",
                "3037000500",
            ],
            'n' => &[
                "NaN",
                "Infinity",
                "-Infinity",
                "99999999999999999999.999999",
                "0.0000000000000000000001",
                "1e30",
                "-0.5",
                "1.005",
            ],
            'm' => &["999999.99", "-999999.99", "0.01"],
            'd' => &[
                "NaN",
                "Infinity",
                "-Infinity",
                "1e308",
                "-1e308",
                "5e-324",
                "0.1",
                "-0",
                "1e15",
                "123456789.125",
            ],
            'r' => &["NaN", "Infinity", "3e38", "1e-45", "0.1", "-0", "16777217"],
            't' => &[
                "  1 ",
                "-5",
                "1e2",
                "true",
                "2024-02-30",
                "{1,2}",
                "äöü€😀",
                "%",
                "\\",
                "NaN",
                "0x1F",
                "aAbB",
                "a,b,,c",
                "2147483648",
            ],
            'D' => &[
                "infinity",
                "-infinity",
                "0044-03-15 BC",
                "5874897-12-31",
                "4713-01-01 BC",
            ],
            'S' => &[
                "infinity",
                "-infinity",
                "294276-12-31 23:59:59.999999",
                "0001-01-01 00:00:00",
            ],
            'Z' => &["infinity", "-infinity", "294276-12-31 23:59:59+00"],
            'I' => &["{2147483647}", "[3:4]={1,2}", "{NULL,NULL}"],
            _ => return None,
        };
        Some((*self.pick(from)).to_owned())
    }

    /// In an expression: with its type, or a parameter.
    pub fn literal(&mut self, letter: char) -> String {
        let value = self.value(letter);
        let name = sql_name(letter);
        if let Some(parameter) = self.parameter(value.as_ref()) {
            return format!("{parameter}::{name}");
        }
        let Some(text) = value else {
            return format!("NULL::{name}");
        };
        match letter {
            'i' if text == "-2147483648" => format!("'{text}'::int"),
            'i' if text.starts_with('-') => format!("({text})"),
            'i' | 'b' => text,
            't' if self.chance(50) => quoted(&text),
            'n' if !text.contains(['N', 'I', '-', 'e']) && text.contains('.') => text,
            _ => format!("{}::{name}", quoted(&text)),
        }
    }

    /// Forgets parameters that are not used after all.
    pub fn forget_values(&mut self, count: usize) {
        if let Some(values) = &mut self.values {
            values.truncate(count);
        }
    }

    pub fn value_count(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
    }

    /// As a value of a column: what it is follows from there.
    pub fn bare_literal(&mut self, letter: char) -> String {
        let value = self.value(letter);
        if let Some(parameter) = self.parameter(value.as_ref()) {
            return parameter;
        }
        match value {
            None => "NULL".to_owned(),
            Some(text) if "ilsmndrb".contains(letter) && self.chance(80) => text,
            Some(text) => quoted(&text),
        }
    }

    fn parameter(&mut self, value: Option<&String>) -> Option<String> {
        if self.values.is_none() || !self.chance(50) {
            return None;
        }
        let values = self.values.as_mut()?;
        values.push(value.cloned());
        Some(format!("${}", values.len()))
    }
}
