//! Text to tokens by PostgreSQL's lexical rules (its `scan.l`): identifiers folded and truncated,
//! string forms unescaped and joined, operators split as PostgreSQL splits them. The tokens are
//! sqlparser's; the column of a token's span is its byte offset plus one.

use crate::base::{Error, Result, SqlState};
use crate::sql::parse::words;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

/// The longest identifier in bytes; longer ones are cut.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Where a token begins in the text.
pub(super) fn start_of(span: Span) -> usize {
    offset_of(span.start)
}

/// Where a token ends in the text.
pub(super) fn end_of(span: Span) -> usize {
    offset_of(span.end)
}

fn offset_of(location: Location) -> usize {
    usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// All tokens of `text`, semicolons included.
pub(super) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        at: 0,
        out: Vec::with_capacity(text.len() / 5 + 4),
    };
    while lexer.next()? {}
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: Vec<TokenWithSpan>,
}

fn is_ident_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn is_ident_part(b: u8) -> bool {
    is_ident_start(b) || b.is_ascii_digit() || b == b'$'
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

fn is_operator(b: u8) -> bool {
    b"~!@#^&|`?+-*/%<>=".contains(&b)
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// PostgreSQL's lexical errors quote the text from `start` to where the scanner stopped.
    fn fail<T>(&self, what: &str, start: usize, end: usize) -> Result<T> {
        let near = self.text.get(start..end).unwrap_or("");
        let message = format!("{what} at or near \"{near}\"");
        Err(Error::new(SqlState::SYNTAX_ERROR, message).at(start))
    }

    fn push(&mut self, token: Token, start: usize) {
        let location = |at: usize| Location::new(1, at as u64 + 1);
        let span = Span::new(location(start), location(self.at));
        self.out.push(TokenWithSpan { token, span });
    }

    fn next(&mut self) -> Result<bool> {
        self.skip_blank(&mut false)?;
        let start = self.at;
        let Some(&b) = self.bytes.get(self.at) else {
            return Ok(false);
        };
        match b {
            b'\'' => self.string(start, false)?,
            b'e' | b'E' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.string(start, true)?;
            }
            b'n' | b'N' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.push(word_token("nchar"), start);
                self.string(start, false)?;
            }
            b'b' | b'B' | b'x' | b'X' if self.peek(1) == b'\'' => self.bit_string(start)?,
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'\'' => {
                self.at += 2;
                let raw = self.quoted(start, b'\'', "unterminated quoted string")?;
                let value = self.unicode(&raw, start)?;
                self.push(Token::EscapedStringLiteral(value), start);
            }
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'"' => {
                self.at += 2;
                let raw = self.quoted(start, b'"', "unterminated quoted identifier")?;
                let value = self.unicode(&raw, start)?;
                self.quoted_identifier(value, start)?;
            }
            b'"' => {
                let value = self.quoted(start, b'"', "unterminated quoted identifier")?;
                self.quoted_identifier(value, start)?;
            }
            b'$' => self.dollar(start)?,
            b'0'..=b'9' => self.number(start)?,
            b'.' if self.peek(1).is_ascii_digit() => self.number(start)?,
            _ if is_ident_start(b) => self.identifier(start),
            _ if is_operator(b) => self.operator(start),
            _ => self.punctuation(start)?,
        }
        Ok(true)
    }

    /// Skips white space and comments; `newline` becomes true when a line ended.
    fn skip_blank(&mut self, newline: &mut bool) -> Result<()> {
        loop {
            match self.peek(0) {
                b if is_space(b) => {
                    *newline |= b == b'\n' || b == b'\r';
                    self.at += 1;
                }
                b'-' if self.peek(1) == b'-' => {
                    while self.at < self.bytes.len() && !matches!(self.peek(0), b'\n' | b'\r') {
                        self.at += 1;
                    }
                }
                b'/' if self.peek(1) == b'*' => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<()> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ if self.at >= self.bytes.len() => {
                    return self.fail("unterminated /* comment", start, self.bytes.len());
                }
                _ => self.at += 1,
            }
        }
    }

    /// The inside of a quoted token at the current quote, doubled quotes reduced.
    fn quoted(&mut self, start: usize, quote: u8, unterminated: &str) -> Result<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let from = self.at;
            while self.at < self.bytes.len() && self.peek(0) != quote {
                self.at += 1;
            }
            out.push_str(&self.text[from..self.at]);
            if self.at >= self.bytes.len() {
                return self.fail(unterminated, start, self.bytes.len());
            }
            self.at += 1;
            if self.peek(0) != quote || self.at >= self.bytes.len() {
                return Ok(out);
            }
            out.push(char::from(quote));
            self.at += 1;
        }
    }

    /// `'…'` and, `escapes` given, `E'…'`; parts on further lines are joined.
    fn string(&mut self, start: usize, escapes: bool) -> Result<()> {
        let mut value = String::new();
        loop {
            if escapes {
                self.escaped(start, &mut value)?;
            } else {
                value.push_str(&self.quoted(start, b'\'', "unterminated quoted string")?);
            }
            let end = self.at;
            if !self.continues()? {
                self.at = end;
                break;
            }
        }
        self.push(Token::EscapedStringLiteral(value), start);
        Ok(())
    }

    /// Whether another part of the string follows: a quote after white space with a line end.
    /// Block comments do not join.
    fn continues(&mut self) -> Result<bool> {
        let mut newline = false;
        let from = self.at;
        self.skip_blank(&mut newline)?;
        let blank = &self.text[from..self.at];
        Ok(newline && self.peek(0) == b'\'' && !blank.contains("/*"))
    }

    fn escaped(&mut self, start: usize, out: &mut String) -> Result<()> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            if self.at >= self.bytes.len() {
                return self.fail("unterminated quoted string", start, self.bytes.len());
            }
            let b = self.peek(0);
            self.at += 1;
            match b {
                b'\'' if self.peek(0) == b'\'' => {
                    bytes.push(b'\'');
                    self.at += 1;
                }
                b'\'' => break,
                b'\\' if self.at < self.bytes.len() => self.escape(&mut bytes)?,
                _ => bytes.push(b),
            }
        }
        if bytes.contains(&0) {
            return Err(invalid_bytes(&[0]));
        }
        match String::from_utf8(bytes) {
            Ok(part) => out.push_str(&part),
            Err(e) => {
                let from = e.utf8_error().valid_up_to();
                let length = e.utf8_error().error_len().unwrap_or(1);
                return Err(invalid_bytes(&e.as_bytes()[from..from + length]));
            }
        }
        Ok(())
    }

    /// One backslash escape, the backslash consumed.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let start = self.at - 1;
        let b = self.peek(0);
        self.at += 1;
        match b {
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'n' => bytes.push(10),
            b'r' => bytes.push(13),
            b't' => bytes.push(9),
            b'v' => bytes.push(11),
            b'0'..=b'7' => {
                let mut value = u32::from(b - b'0');
                for _ in 0..2 {
                    if let digit @ b'0'..=b'7' = self.peek(0) {
                        value = value * 8 + u32::from(digit - b'0');
                        self.at += 1;
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            b'x' if self.peek(0).is_ascii_hexdigit() => {
                let mut value = 0;
                for _ in 0..2 {
                    if let Some(digit) = char::from(self.peek(0)).to_digit(16) {
                        value = value * 16 + digit;
                        self.at += 1;
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            b'u' | b'U' => {
                let digits = if b == b'u' { 4 } else { 8 };
                let mut c = self.hex(digits, start)?;
                if (0xd800..0xdc00).contains(&c) {
                    let low = if self.peek(0) == b'\\' && self.peek(1) == b'u' {
                        self.at += 2;
                        self.hex(4, start)?
                    } else {
                        0
                    };
                    c = pair(c, low);
                }
                let Some(c) = char::from_u32(c) else {
                    let end = self.at + self.char_length();
                    return self.fail("invalid Unicode surrogate pair", self.at, end);
                };
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => bytes.push(b),
        }
        Ok(())
    }

    fn hex(&mut self, digits: usize, start: usize) -> Result<u32> {
        let text = self.text.get(self.at..self.at + digits);
        let text = text.filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
        self.at += digits;
        text.and_then(|t| u32::from_str_radix(t, 16).ok())
            .ok_or_else(|| {
                Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape")
                    .with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
                    .at(start)
            })
    }

    /// `U&` text unescaped, after an optional UESCAPE clause.
    fn unicode(&mut self, raw: &str, start: usize) -> Result<String> {
        let mut escape = '\\';
        let end = self.at;
        self.skip_blank(&mut false)?;
        let clause = self.bytes.get(self.at..self.at + 7);
        if clause.is_some_and(|c| c.eq_ignore_ascii_case(b"uescape")) {
            self.at += 7;
            self.skip_blank(&mut false)?;
            let from = self.at;
            if self.peek(0) != b'\'' {
                return self.fail(
                    "UESCAPE must be followed by a simple string literal",
                    from,
                    from,
                );
            }
            let given = self.quoted(from, b'\'', "unterminated quoted string")?;
            let mut chars = given.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None)
                    if !c.is_ascii_hexdigit() && !"+'\"".contains(c) && !c.is_whitespace() =>
                {
                    escape = c;
                }
                _ => return self.fail("invalid Unicode escape character", from, self.at),
            }
        } else {
            self.at = end;
        }
        // Without doubled quotes before it the fault is where it was in the text.
        unescape_unicode(raw, escape).map_err(|at| {
            Error::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
                .with_hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
                .at(start + 3 + at)
        })
    }

    fn quoted_identifier(&mut self, value: String, start: usize) -> Result<()> {
        if value.is_empty() {
            return self.fail("zero-length delimited identifier", start, self.at);
        }
        let token = Token::Word(Word {
            value: truncate(value),
            quote_style: Some('"'),
            keyword: sqlparser::keywords::Keyword::NoKeyword,
        });
        self.push(token, start);
        Ok(())
    }

    fn bit_string(&mut self, start: usize) -> Result<()> {
        let unterminated = match self.peek(0) {
            b'b' | b'B' => "unterminated bit string literal",
            _ => "unterminated hexadecimal string literal",
        };
        self.at += 1;
        let value = self.quoted(start, b'\'', unterminated)?;
        self.push(Token::HexStringLiteral(value), start);
        Ok(())
    }

    /// `$1`, `$$…$$` or `$tag$…$tag$`.
    fn dollar(&mut self, start: usize) -> Result<()> {
        self.at += 1;
        if self.peek(0).is_ascii_digit() {
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
            if is_ident_start(self.peek(0)) {
                let end = self.identifier_end();
                return self.fail("trailing junk after parameter", start, end);
            }
            let value = self.text[start..self.at].to_owned();
            self.push(Token::Placeholder(value), start);
            return Ok(());
        }
        if is_ident_start(self.peek(0)) {
            while is_ident_start(self.peek(0)) || self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if self.peek(0) != b'$' {
            self.at = start + 1;
            return self.fail("syntax error", start, start + 1);
        }
        self.at += 1;
        let tag = &self.text[start..self.at];
        let from = self.at;
        let Some(length) = self.text[from..].find(tag) else {
            return self.fail("unterminated dollar-quoted string", start, self.bytes.len());
        };
        self.at = from + length + tag.len();
        let value = self.text[from..from + length].to_owned();
        self.push(Token::EscapedStringLiteral(value), start);
        Ok(())
    }

    fn char_length(&self) -> usize {
        self.text[self.at..]
            .chars()
            .next()
            .map_or(0, char::len_utf8)
    }

    fn number(&mut self, start: usize) -> Result<()> {
        self.digits();
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.digits();
            } else if sign == 1 {
                let end = self.at + 2;
                return self.fail("trailing junk after numeric literal", start, end);
            }
        }
        if is_ident_start(self.peek(0)) {
            let end = self.identifier_end();
            return self.fail("trailing junk after numeric literal", start, end);
        }
        let value = self.text[start..self.at].to_owned();
        self.push(Token::Number(value, false), start);
        Ok(())
    }

    /// Where an identifier that begins here ends.
    fn identifier_end(&self) -> usize {
        let part = |b: &&u8| is_ident_part(**b);
        self.at + self.bytes[self.at..].iter().take_while(part).count()
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn identifier(&mut self, start: usize) {
        self.at = self.identifier_end();
        let folded = self.text[start..self.at].to_ascii_lowercase();
        self.push(word_token(&truncate(folded)), start);
    }

    fn operator(&mut self, start: usize) {
        let mut end = start;
        while self.bytes.get(end).copied().is_some_and(is_operator) {
            let comment = matches!(self.bytes.get(end..end + 2), Some(b"--" | b"/*"));
            if comment && end > start {
                break;
            }
            end += 1;
        }
        // A trailing + or - belongs to the operator only beside a character no SQL operator has.
        let special = |s: &[u8]| s.iter().any(|b| b"~!@#^&|`?%".contains(b));
        while end > start + 1
            && matches!(self.bytes[end - 1], b'+' | b'-')
            && !special(&self.bytes[start..end - 1])
        {
            end -= 1;
        }
        self.at = end;
        let token = match &self.text[start..end] {
            "+" => Token::Plus,
            "-" => Token::Minus,
            "*" => Token::Mul,
            "/" => Token::Div,
            "%" => Token::Mod,
            "^" => Token::Caret,
            "<" => Token::Lt,
            ">" => Token::Gt,
            "=" => Token::Eq,
            "<=" => Token::LtEq,
            ">=" => Token::GtEq,
            "<>" | "!=" => Token::Neq,
            "=>" => Token::RArrow,
            other => Token::CustomBinaryOperator(other.to_owned()),
        };
        self.push(token, start);
    }

    fn punctuation(&mut self, start: usize) -> Result<()> {
        let (token, length) = match (self.peek(0), self.peek(1)) {
            (b':', b':') => (Token::DoubleColon, 2),
            (b':', b'=') => (Token::Assignment, 2),
            (b':', _) => (Token::Colon, 1),
            // A token of its own, which fits nowhere.
            (b'.', b'.') => (Token::Char('.'), 2),
            (b',', _) => (Token::Comma, 1),
            (b'(', _) => (Token::LParen, 1),
            (b')', _) => (Token::RParen, 1),
            (b'[', _) => (Token::LBracket, 1),
            (b']', _) => (Token::RBracket, 1),
            (b'.', _) => (Token::Period, 1),
            (b';', _) => (Token::SemiColon, 1),
            _ => {
                let end = self.at + self.char_length();
                return self.fail("syntax error", start, end);
            }
        };
        self.at += length;
        self.push(token, start);
        Ok(())
    }
}

/// A word that sqlparser takes for a keyword only if PostgreSQL has that keyword.
pub(super) fn word_token(folded: &str) -> Token {
    if words::category(folded).is_some() {
        Token::make_word(folded, None)
    } else {
        Token::Word(Word {
            value: folded.to_owned(),
            quote_style: None,
            keyword: sqlparser::keywords::Keyword::NoKeyword,
        })
    }
}

fn truncate(mut name: String) -> String {
    if name.len() > IDENTIFIER_BYTES_MAX {
        let mut end = IDENTIFIER_BYTES_MAX;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

fn pair(high: u32, low: u32) -> u32 {
    if (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low) {
        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
    } else {
        u32::MAX
    }
}

/// The text, or where its first bad escape is.
fn unescape_unicode(raw: &str, escape: char) -> Result<String, usize> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut high = None;
    while let Some(c) = rest.chars().next() {
        let at = raw.len() - rest.len();
        rest = &rest[c.len_utf8()..];
        if c != escape || rest.starts_with(escape) {
            if high.is_some() {
                return Err(at);
            }
            if c == escape {
                rest = &rest[c.len_utf8()..];
            }
            out.push(c);
            continue;
        }
        let long = rest.starts_with('+');
        let digits = if long { rest.get(1..7) } else { rest.get(..4) };
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let mut value = value.ok_or(at)?;
        rest = &rest[if long { 7 } else { 4 }..];
        if let Some(high) = high.take() {
            value = pair(high, value);
        } else if (0xd800..0xdc00).contains(&value) {
            high = Some(value);
            continue;
        }
        out.push(char::from_u32(value).filter(|&c| c != '\0').ok_or(at)?);
    }
    match high {
        None => Ok(out),
        Some(_) => Err(raw.len()),
    }
}

fn invalid_bytes(bytes: &[u8]) -> Error {
    let hex: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!(
            "invalid byte sequence for encoding \"UTF8\": {}",
            hex.join(" ")
        ),
    )
}
