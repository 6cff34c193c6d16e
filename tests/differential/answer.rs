//! What a server said to a statement, and where two of them said different things.

use std::fmt::Write as _;

use crate::common::raw::{self, Message};

/// Everything a client sees, without what must differ (OIDs of tables, the source's lines).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Columns, rows and tags in the order in which they came.
    pub said: Vec<String>,
    rows: Vec<Range>,
    pub notices: Vec<String>,
    pub error: Option<Failure>,
    /// What ReadyForQuery says: I, T or E.
    pub status: u8,
    /// The types of a prepared statement's parameters.
    pub parameters: Vec<u32>,
}

/// Rows between two other lines: their order may mean nothing.
type Range = std::ops::Range<usize>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: String,
    pub message: String,
    /// Detail, hint, position, and the named table, column, type and constraint.
    rest: Vec<(char, String)>,
}

/// How closely two answers must agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// An ORDER BY, or the nature of the statement, decides the order of the rows.
    pub ordered: bool,
    /// Several rows are gone through in an order that nothing decides: which of several that fail
    /// is reported is chance.
    pub loose: bool,
    /// Nested calls without rows: PostgreSQL's planner computes constants that are never reached
    /// (a branch of CASE), and beside a NULL not even those that are stable. One may fail alone.
    pub constant: bool,
    /// A prepared statement runs again: PostgreSQL says where in it a missing table or
    /// column stands, and what else there is.
    pub again: bool,
}

/// What an answer may fail with when chance decides which row comes first. (An infinity that no
/// integer holds is 0A000.)
const OF_A_ROW: [&str; 5] = ["21", "22", "23", "0A", "54"];

impl Answer {
    pub fn take(&mut self, messages: &[Message]) {
        for (kind, body) in messages {
            match kind {
                b'T' => {
                    let of_statement = messages.iter().any(|m| m.0 == b't');
                    self.said.push(columns(body, of_statement));
                }
                b'D' => self.row(body),
                b'C' => self.said.push(zero_ended(body)),
                b't' => self.parameters = oids(body),
                b'E' => self.error = Some(failure(body)),
                b'N' => self.notices.push(format!("{:?}", failure(body))),
                b'Z' => self.status = body[0],
                b'n' => self.said.push("no data".to_owned()),
                b'I' => self.said.push("empty query".to_owned()),
                _ => {}
            }
        }
    }

    fn row(&mut self, body: &[u8]) {
        let at = self.said.len();
        self.said.push(row(body));
        match self.rows.last_mut() {
            Some(range) if range.end == at => range.end += 1,
            _ => self.rows.push(at..at + 1),
        }
    }

    /// What is not supported, if that is the answer. (Where PostgreSQL says 0A000 itself, it means
    /// something else, and so does Walnut.)
    pub fn unsupported(&self) -> Option<String> {
        let error = self.error.as_ref().filter(|e| e.code == "0A000")?;
        let is_ours = error.message.contains("not supported yet");
        is_ours.then(|| error.message.clone())
    }

    /// How many rows came back.
    pub fn row_count(&self) -> usize {
        self.rows.iter().map(ExactSizeIterator::len).sum()
    }

    fn comparable(&self, terms: Terms) -> Answer {
        let mut answer = self.clone();
        if answer.error.is_some() {
            // How many rows came before an error is a matter of chance, too, and whether columns
            // did: PostgreSQL fails sooner by what is constant.
            for range in answer.rows.drain(..).rev() {
                answer.said.drain(range);
            }
            // Which errors come before a statement is described is not the same either.
            answer
                .said
                .retain(|line| !line.starts_with("columns:") && line != "no data");
            answer.parameters.clear();
            if terms.again
                && let Some(error) = &mut answer.error
            {
                error.rest.retain(|(name, _)| !['P', 'H'].contains(name));
            }
        }
        if !terms.ordered {
            for range in &answer.rows {
                answer.said[range.clone()].sort_unstable();
            }
        }
        answer
    }

    pub fn shown(&self) -> String {
        let mut text = String::new();
        for line in self.said.iter().chain(&self.notices) {
            writeln!(text, "    {line}").unwrap();
        }
        if let Some(error) = &self.error {
            writeln!(
                text,
                "    {}: {} {:?}",
                error.code, error.message, error.rest
            )
            .unwrap();
        }
        writeln!(text, "    status {}", self.status as char).unwrap();
        text
    }
}

/// How two answers compare.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// Both failed, each by a row that it came upon.
    SameByChance,
    Different(String),
}

pub fn compare(ours: &Answer, theirs: &Answer, terms: Terms) -> Verdict {
    let (a, b) = (ours.comparable(terms), theirs.comparable(terms));
    if a == b {
        return Verdict::Same;
    }
    let one_fails = |x: &Answer, y: &Answer| x.error.is_none() && fails_by_value(y);
    let may_be_skipped = terms.constant && (one_fails(&a, &b) || one_fails(&b, &a));
    if terms.loose && (may_be_skipped || a.status == b.status && by_chance(&a, &b)) {
        return Verdict::SameByChance;
    }
    let what = match (&a.error, &b.error) {
        (None, Some(y)) => return Verdict::Different(format!("PostgreSQL fails by {}", y.code)),
        (Some(x), None) => return Verdict::Different(format!("Walnut fails by {}", x.code)),
        (Some(x), Some(y)) if x.code != y.code => {
            return Verdict::Different(format!("{} instead of {}", x.code, y.code));
        }
        (Some(x), Some(y)) if x.message != y.message => "message",
        (Some(x), Some(y)) if x != y => "fields of the error",
        _ if a.status != b.status => "status",
        _ if a.parameters != b.parameters => "parameters",
        _ if a.notices != b.notices => "notices",
        _ => "what is returned",
    };
    Verdict::Different(what.to_owned())
}

fn by_chance(a: &Answer, b: &Answer) -> bool {
    fails_by_value(a) && fails_by_value(b)
}

fn fails_by_value(answer: &Answer) -> bool {
    let error = answer.error.as_ref();
    error.is_some_and(|e| OF_A_ROW.iter().any(|class| e.code.starts_with(class)))
}

fn failure(body: &[u8]) -> Failure {
    let get = |name| raw::field(body, name);
    Failure {
        code: get(b'C').unwrap_or_default(),
        message: get(b'M').unwrap_or_default(),
        rest: b"SDHPWstcdn"
            .iter()
            .filter_map(|&name| Some((name as char, get(name)?)))
            // That a function of PostgreSQL's is written in SQL.
            .filter(|(_, text)| !text.starts_with("SQL function"))
            .collect(),
    }
}

fn zero_ended(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()
}

/// Each column's name, whether it is one of a table, its number there, type, modifier and format.
///
/// Modifiers of what is no column are those of the statement as it was written, which Describe
/// tells of a statement; a plan's depend on what PostgreSQL's planner has simplified.
fn columns(body: &[u8], of_statement: bool) -> String {
    let mut text = String::from("columns:");
    let mut rest = &body[2..];
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == 0).unwrap();
        let name = String::from_utf8_lossy(&rest[..end]);
        let fixed = &rest[end + 1..end + 19];
        let number = |from: usize, to: usize| {
            fixed[from..to]
                .iter()
                .fold(0_i64, |n, &b| n << 8 | i64::from(b))
        };
        let (of_table, ty, typmod) = (number(0, 4) != 0, number(6, 10), number(12, 16));
        write!(text, " {name}:{ty}").unwrap();
        if of_table {
            write!(text, " of a table's {}", number(4, 6)).unwrap();
        }
        if of_table || of_statement {
            write!(text, "({typmod})").unwrap();
        }
        rest = &rest[end + 19..];
    }
    text
}

fn oids(body: &[u8]) -> Vec<u32> {
    body[2..]
        .chunks(4)
        .map(|four| u32::from_be_bytes(four.try_into().unwrap()))
        .collect()
}

fn row(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            values.push("NULL".to_owned());
            continue;
        };
        values.push(match std::str::from_utf8(&rest[..length]) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("{:x?}", &rest[..length]),
        });
        rest = &rest[length..];
    }
    values.join(" | ")
}
