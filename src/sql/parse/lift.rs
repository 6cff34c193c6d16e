//! Literals of a plain statement lifted into parameters, so that statements that differ only in
//! them share one plan. One pass over the bytes, no tokens.
//!
//! A literal is lifted where its type does not depend on being a literal and nothing but its
//! value matters: after a comparison or arithmetic operator, or as a row of VALUES. Anything out
//! of the ordinary ends the attempt: the statement is then parsed as it is.

/// A statement text with `$n` for its literals, and the literals.
#[derive(Clone, Debug, PartialEq)]
pub struct Lifted {
    pub text: String,
    pub literals: Vec<Literal>,
}

/// A literal taken out of a statement, without its sign.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Without point and exponent: int4 if it fits, else int8.
    Integer(i64),
    /// Any other number, as written: numeric.
    Number(String),
    /// Unescaped; its type is still unknown.
    String(String),
}

/// What stands before a literal, as far as it matters.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Operator,
    /// `(` or `,` of a row of VALUES.
    Row,
    Other,
}

/// The longest text worth the attempt.
const TEXT_BYTES_MAX: usize = 8192;

/// Lifts the literals of a single SELECT, INSERT, UPDATE or DELETE without parameters, comments
/// and unusual quotes; `None` if the text is anything else or has nothing to lift.
pub fn lift(text: &str) -> Option<Lifted> {
    let bytes = text.as_bytes();
    if bytes.len() > TEXT_BYTES_MAX || !starts_well(bytes) {
        return None;
    }
    let mut lifter = Lifter {
        text,
        bytes,
        at: 0,
        copied: 0,
        out: String::with_capacity(text.len() + 8),
        literals: Vec::new(),
        before: Before::Other,
        depth: 0,
        values: None,
        stopped: false,
    };
    while lifter.step()? {}
    if lifter.literals.is_empty() {
        return None;
    }
    lifter.out.push_str(&text[lifter.copied..]);
    Some(Lifted {
        text: lifter.out,
        literals: lifter.literals,
    })
}

fn starts_well(bytes: &[u8]) -> bool {
    let blank = bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
    let word = bytes.get(blank..blank + 6).unwrap_or_default();
    let known: [&[u8]; 4] = [b"select", b"insert", b"update", b"delete"];
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

struct Lifter<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Up to here the text is in `out`.
    copied: usize,
    out: String,
    literals: Vec<Literal>,
    before: Before,
    /// Open parentheses.
    depth: u32,
    /// The depth at which VALUES stands, while its rows last.
    values: Option<u32>,
    /// After ORDER and the like nothing is lifted any more.
    stopped: bool,
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || b >= 0x80
}

impl Lifter<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Reads one token; `Some(false)` at the end, `None` for anything unusual.
    fn step(&mut self) -> Option<bool> {
        let Some(&b) = self.bytes.get(self.at) else {
            return Some(false);
        };
        match b {
            b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word()?,
            b'0'..=b'9' => self.number()?,
            b'.' if self.peek(1).is_ascii_digit() => return None,
            b'\'' => self.string()?,
            b'(' => {
                let row = self.values == Some(self.depth);
                self.depth += 1;
                self.token(if row { Before::Row } else { Before::Other });
            }
            b')' => {
                self.depth = self.depth.checked_sub(1)?;
                self.token(Before::Other);
            }
            b',' => {
                let row = self.values.is_some_and(|depth| depth + 1 == self.depth);
                self.token(if row { Before::Row } else { Before::Other });
            }
            b'.' => self.token(Before::Other),
            b':' if self.peek(1) == b':' => {
                self.at += 1;
                self.token(Before::Other);
            }
            b'-' if self.peek(1) == b'-' => return None,
            b'/' if self.peek(1) == b'*' => return None,
            b'=' | b'<' | b'>' | b'!' | b'+' | b'-' | b'*' | b'/' | b'%' => self.operator()?,
            b';' => return self.only_blank_follows().then_some(false),
            _ => return None,
        }
        Some(true)
    }

    fn token(&mut self, before: Before) {
        self.at += 1;
        self.before = before;
    }

    fn only_blank_follows(&self) -> bool {
        self.bytes[self.at + 1..]
            .iter()
            .all(u8::is_ascii_whitespace)
    }

    fn operator(&mut self) -> Option<()> {
        let from = self.at;
        while b"=<>!+-*/%".contains(&self.peek(0)) && self.at < self.bytes.len() {
            // `= -1`, `+ -1` and `=-1`: a sign after an operator is its own token.
            if self.at > from && matches!(self.peek(0), b'+' | b'-') {
                break;
            }
            self.at += 1;
        }
        let known: [&[u8]; 11] = [
            b"=", b"<", b">", b"<=", b">=", b"<>", b"+", b"-", b"*", b"/", b"%",
        ];
        let operator = &self.bytes[from..self.at];
        // A `*` without a left operand is `count(*)` or `SELECT *`; no literal follows it.
        let known = known.contains(&operator) || operator == b"!=";
        self.before = Before::Operator;
        known.then_some(())
    }

    fn word(&mut self) -> Option<()> {
        let from = self.at;
        while self.at < self.bytes.len() && is_word(self.peek(0)) {
            self.at += 1;
        }
        // A quote right after a word: E'…', U&'…' and the like.
        if matches!(self.peek(0), b'\'' | b'"' | b'&') {
            return None;
        }
        let word = &self.bytes[from..self.at];
        if matches!(word.len(), 5..=9) {
            self.clause(word);
        }
        self.before = Before::Other;
        Some(())
    }

    fn clause(&mut self, word: &[u8]) {
        let is = |keyword: &[u8]| word.eq_ignore_ascii_case(keyword);
        match word[0] | 0x20 {
            // Elsewhere the types of VALUES are decided among its rows.
            b'v' if is(b"values") && self.depth == 0 => self.values = Some(0),
            b'o' if is(b"order") || is(b"offset") => self.stopped = true,
            b'g' if is(b"group") => self.stopped = true,
            b'l' if is(b"limit") => self.stopped = true,
            b'f' if is(b"fetch") => self.stopped = true,
            b'u' if is(b"union") => self.stopped = true,
            b'i' if is(b"intersect") => self.stopped = true,
            b'e' if is(b"except") => self.stopped = true,
            b'w' if is(b"window") => self.stopped = true,
            b'h' if is(b"having") => self.stopped = true,
            b'r' if is(b"returning") => self.values = None,
            _ => {}
        }
    }

    fn number(&mut self) -> Option<()> {
        let from = self.at;
        let mut plain = true;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        if self.peek(0) == b'.' {
            plain = false;
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            plain = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(0), b'+' | b'-'));
            if !self.peek(0).is_ascii_digit() {
                return None;
            }
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if is_word(self.peek(0)) || self.peek(0) == b'.' {
            return None;
        }
        let digits = &self.text[from..self.at];
        let integer = if plain { digits.parse().ok() } else { None };
        // Together with the sign before it this may be the smallest integer of a type.
        if matches!(digits, "2147483648" | "9223372036854775808") {
            return None;
        }
        if self.may_lift() {
            self.push(from, || match integer {
                Some(integer) => Literal::Integer(integer),
                None => Literal::Number(digits.to_owned()),
            });
        }
        self.before = Before::Other;
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        let from = self.at;
        self.at += 1;
        while self.at < self.bytes.len() && self.peek(0) != b'\'' {
            self.at += 1;
        }
        if self.at >= self.bytes.len() {
            return None;
        }
        self.at += 1;
        // A doubled quote, or a second part on the next line.
        let next = self.bytes[self.at..]
            .iter()
            .find(|b| !b.is_ascii_whitespace());
        if next == Some(&b'\'') {
            return None;
        }
        let value = &self.text[from + 1..self.at - 1];
        if self.may_lift() {
            self.push(from, || Literal::String(value.to_owned()));
        }
        self.before = Before::Other;
        Some(())
    }

    /// Whether the literal that ends here may go: something fit before it, no cast after it.
    fn may_lift(&self) -> bool {
        if self.stopped || self.before == Before::Other {
            return false;
        }
        let mut rest = self.bytes[self.at..].iter();
        let next = rest.find(|b| !b.is_ascii_whitespace()).copied();
        !matches!(next, Some(b':' | b'['))
    }

    fn push(&mut self, from: usize, literal: impl FnOnce() -> Literal) {
        self.out.push_str(&self.text[self.copied..from]);
        self.copied = self.at;
        self.literals.push(literal());
        self.out.push('$');
        push_decimal(&mut self.out, self.literals.len());
    }
}

fn push_decimal(out: &mut String, number: usize) {
    if number >= 10 {
        push_decimal(out, number / 10);
    }
    let digit = u8::try_from(number % 10).unwrap_or(0);
    out.push(char::from(b'0' + digit));
}
