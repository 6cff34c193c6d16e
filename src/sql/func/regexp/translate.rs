//! From PostgreSQL's advanced regular expressions to the syntax of the `regex` crate.
//!
//! See <https://www.postgresql.org/docs/15/functions-matching.html#POSIX-SYNTAX-DETAILS>.

use std::iter::Peekable;
use std::str::Chars;

use crate::base::{Error, Result};

use super::{Flags, invalid};

pub(super) struct Translated {
    pub(super) pattern: String,
    /// With the options at the head of the expression.
    pub(super) flags: Flags,
    pub(super) preference: Preference,
}

/// Which of the matches that begin at one place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    Longest,
    /// All quantifiers are non-greedy: the crate's choice is PostgreSQL's.
    First,
    /// Greedy and non-greedy quantifiers: PostgreSQL's choice cannot be had.
    Mixed,
}

pub(super) fn translate(pattern: &str, flags: Flags) -> Result<Translated> {
    let mut flags = flags;
    let mut rest = pattern;
    if let Some(after) = rest.strip_prefix("***=") {
        rest = after;
        flags.literal = true;
    } else if !flags.literal {
        rest = rest.strip_prefix("***:").unwrap_or(rest);
        rest = embedded_options(rest, &mut flags)?;
    }
    if flags.literal {
        return Ok(Translated {
            pattern: regex::escape(rest),
            flags,
            preference: Preference::First,
        });
    }
    let mut translator = Translator {
        chars: rest.chars().peekable(),
        out: String::with_capacity(rest.len() + 8),
        flags,
        greedy: false,
        lazy: false,
        alternatives: false,
    };
    translator.run()?;
    let preference = match (translator.greedy, translator.lazy) {
        (_, false) => Preference::Longest,
        (false, true) if !translator.alternatives => Preference::First,
        _ => Preference::Mixed,
    };
    Ok(Translated {
        pattern: translator.out,
        flags,
        preference,
    })
}

/// Options in `(?letters)` at the head.
fn embedded_options<'a>(pattern: &'a str, flags: &mut Flags) -> Result<&'a str> {
    let Some(inner) = pattern.strip_prefix("(?") else {
        return Ok(pattern);
    };
    let letters = inner
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(inner.len());
    if letters == 0 || !inner[letters..].starts_with(')') {
        return Ok(pattern);
    }
    for option in inner[..letters].chars() {
        if option == 'g' {
            return Err(invalid("invalid embedded option"));
        }
        flags.set(option)?;
    }
    Ok(&inner[letters + 1..])
}

struct Translator<'a> {
    chars: Peekable<Chars<'a>>,
    out: String,
    flags: Flags,
    /// There is a quantifier that prefers more, or one that prefers less.
    greedy: bool,
    lazy: bool,
    alternatives: bool,
}

/// The largest count in braces (DUPMAX).
const REPEAT_MAX: u32 = 255;

impl Translator<'_> {
    fn run(&mut self) -> Result<()> {
        let mut depth = 0_u32;
        // Whether a quantifier may follow.
        let mut atom = false;
        while let Some(c) = self.chars.next() {
            match c {
                '(' => {
                    depth += 1;
                    self.open()?;
                    atom = false;
                }
                ')' if depth == 0 => return Err(invalid("parentheses () not balanced")),
                ')' => {
                    depth -= 1;
                    self.out.push(')');
                    atom = true;
                }
                '|' => {
                    self.alternatives = true;
                    self.out.push('|');
                    atom = false;
                }
                '^' | '$' => {
                    self.out.push(c);
                    atom = false;
                }
                '.' => {
                    self.out.push('.');
                    atom = true;
                }
                '[' => atom = self.bracket()?,
                '\\' => atom = self.escape()?,
                '*' | '+' | '?' => {
                    self.quantifier(atom, c)?;
                    atom = false;
                }
                '{' if self.chars.peek().is_some_and(char::is_ascii_digit) => {
                    self.bound(atom)?;
                    atom = false;
                }
                c if self.flags.expanded && c.is_whitespace() => {}
                '#' if self.flags.expanded => while self.chars.next().is_some_and(|c| c != '\n') {},
                c => {
                    self.literal(c);
                    atom = true;
                }
            }
        }
        if depth > 0 {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        let mut buffer = [0; 4];
        self.out
            .push_str(&regex::escape(c.encode_utf8(&mut buffer)));
    }

    /// After `(`.
    fn open(&mut self) -> Result<()> {
        if self.chars.peek() != Some(&'?') {
            self.out.push('(');
            return Ok(());
        }
        self.chars.next();
        match self.chars.next() {
            Some(':') => self.out.push_str("(?:"),
            Some('=' | '!' | '<') => {
                return Err(Error::unsupported("look-around in a regular expression"));
            }
            Some('#') => {
                // A comment; an empty group keeps the parentheses paired.
                while self.chars.peek().is_some_and(|c| *c != ')') {
                    self.chars.next();
                }
                self.out.push_str("(?:");
            }
            _ => return Err(invalid("quantifier operand invalid")),
        }
        Ok(())
    }

    fn quantifier(&mut self, atom: bool, c: char) -> Result<()> {
        if !atom {
            return Err(invalid("quantifier operand invalid"));
        }
        self.out.push(c);
        self.preference(true);
        Ok(())
    }

    /// Reads the `?` of a non-greedy quantifier.
    fn preference(&mut self, variable: bool) {
        if self.chars.next_if_eq(&'?').is_some() {
            self.out.push('?');
            self.lazy |= variable;
        } else {
            self.greedy |= variable;
        }
    }

    /// After `{`: `{m}`, `{m,}` or `{m,n}`.
    fn bound(&mut self, atom: bool) -> Result<()> {
        let wrong = || invalid("invalid repetition count(s)");
        if !atom {
            return Err(invalid("quantifier operand invalid"));
        }
        let low = self.count().ok_or_else(wrong)?;
        let mut high = Some(low);
        if self.chars.next_if_eq(&',').is_some() {
            high = match self.chars.peek() {
                Some('}') => None,
                _ => Some(self.count().ok_or_else(wrong)?),
            };
        }
        match self.chars.next() {
            Some('}') => {}
            Some(_) => return Err(wrong()),
            None => return Err(invalid("braces {} not balanced")),
        }
        if low > REPEAT_MAX || high.is_some_and(|h| h > REPEAT_MAX || h < low) {
            return Err(wrong());
        }
        match high {
            Some(high) => self.out.push_str(&format!("{{{low},{high}}}")),
            None => self.out.push_str(&format!("{{{low},}}")),
        }
        self.preference(high != Some(low));
        Ok(())
    }

    fn count(&mut self) -> Option<u32> {
        let mut digits = String::new();
        while let Some(digit) = self.chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok()
    }

    /// After a backslash outside brackets; tells whether it was an atom.
    fn escape(&mut self) -> Result<bool> {
        let wrong = || invalid("invalid escape \\ sequence");
        let c = self.chars.next().ok_or_else(wrong)?;
        let constraint = match c {
            'A' => "\\A",
            'Z' => "\\z",
            'm' => "\\b{start}",
            'M' => "\\b{end}",
            'y' => "\\b",
            'Y' => "\\B",
            'd' => return Ok(self.class("[0-9]")),
            'D' => return Ok(self.class("[^0-9]")),
            's' | 'S' | 'w' | 'W' => return Ok(self.class(&format!("\\{c}"))),
            '1'..='9' => {
                return Err(Error::unsupported(
                    "back-references in a regular expression",
                ));
            }
            _ => {
                let c = self.character(c)?;
                self.literal(c);
                return Ok(true);
            }
        };
        self.out.push_str(constraint);
        Ok(false)
    }

    fn class(&mut self, class: &str) -> bool {
        self.out.push_str(class);
        true
    }

    /// The character that an escape names, `c` being what follows the backslash.
    fn character(&mut self, c: char) -> Result<char> {
        let wrong = || invalid("invalid escape \\ sequence");
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'B' => '\\',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => '\0',
            'c' => {
                let control = self.chars.next().ok_or_else(wrong)?;
                char::from_u32(u32::from(control) & 0x1F).ok_or_else(wrong)?
            }
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            'x' => {
                let mut code = 0_u32;
                let mut digits = 0;
                while let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(16)) {
                    code = code.checked_mul(16).ok_or_else(wrong)? | digit;
                    digits += 1;
                    self.chars.next();
                }
                let c = char::from_u32(code).filter(|_| digits > 0);
                c.ok_or_else(wrong)?
            }
            c if c.is_ascii_alphanumeric() => return Err(wrong()),
            c => c,
        })
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char> {
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.chars.next().and_then(|c| c.to_digit(16));
            code = (code << 4) | digit.ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        }
        char::from_u32(code).ok_or_else(|| invalid("invalid escape \\ sequence"))
    }

    /// After `[`; tells whether it was an atom (`[[:<:]]` is none).
    fn bracket(&mut self) -> Result<bool> {
        for (word, constraint) in [("[:<:]]", "\\b{start}"), ("[:>:]]", "\\b{end}")] {
            if self.chars.clone().take(6).eq(word.chars()) {
                self.chars.by_ref().take(6).for_each(drop);
                self.out.push_str(constraint);
                return Ok(false);
            }
        }
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
            if self.flags.newline {
                self.out.push_str("\\n");
            }
        }
        let mut first = true;
        loop {
            let unbalanced = || invalid("brackets [] not balanced");
            let c = self.chars.next().ok_or_else(unbalanced)?;
            if c == ']' && !first {
                self.out.push(']');
                return Ok(true);
            }
            first = false;
            if let Some(low) = self.bracket_item(c)? {
                self.range(low)?;
            }
        }
    }

    /// An item of a bracket expression: a character that may begin a range, or a class, which is
    /// written at once.
    fn bracket_item(&mut self, c: char) -> Result<Option<char>> {
        match (c, self.chars.peek()) {
            ('[', Some(':')) => {
                let name = self.delimited(':')?;
                self.out.push_str(named_class(&name)?);
                Ok(None)
            }
            ('[', Some(&delimiter @ ('.' | '='))) => {
                let name = self.delimited(delimiter)?;
                let mut chars = name.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Ok(Some(c)),
                    _ => Err(invalid("invalid collating element")),
                }
            }
            ('\\', Some(_)) => match self.chars.next() {
                Some('d') => Ok(self.written("0-9")),
                Some(c @ ('s' | 'w')) => Ok(self.written(&format!("\\{c}"))),
                Some(c) => self.character(c).map(Some),
                None => Err(invalid("invalid escape \\ sequence")),
            },
            ('\\', None) => Err(invalid("invalid escape \\ sequence")),
            _ => Ok(Some(c)),
        }
    }

    fn written(&mut self, class: &str) -> Option<char> {
        self.out.push_str(class);
        None
    }

    /// The name in `[:name:]`, the chars standing at the first delimiter.
    fn delimited(&mut self, delimiter: char) -> Result<String> {
        self.chars.next();
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some(c) if c == delimiter && self.chars.next_if_eq(&']').is_some() => {
                    return Ok(name);
                }
                Some(c) => name.push(c),
                None => return Err(invalid("brackets [] not balanced")),
            }
        }
    }

    /// A character and, behind a hyphen, the end of a range that it begins.
    fn range(&mut self, low: char) -> Result<()> {
        self.bracket_literal(low);
        let mut ahead = self.chars.clone();
        if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
            return Ok(());
        }
        self.chars = ahead;
        let end = self
            .chars
            .next()
            .ok_or_else(|| invalid("brackets [] not balanced"))?;
        self.out.push('-');
        match self.bracket_item(end)? {
            Some(high) if high >= low => self.bracket_literal(high),
            _ => return Err(invalid("invalid character range")),
        }
        Ok(())
    }

    fn bracket_literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        self.out.push(c);
    }
}

fn named_class(name: &str) -> Result<&'static str> {
    Ok(match name {
        "alnum" => "\\p{Alphabetic}\\p{N}",
        "alpha" => "\\p{Alphabetic}",
        "ascii" => "\\x00-\\x7f",
        "blank" => "\\t\\p{Zs}",
        "cntrl" => "\\p{Cc}",
        "digit" => "0-9",
        "graph" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}",
        "lower" => "\\p{Lowercase}",
        "print" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Zs}",
        "punct" => "\\p{P}\\p{S}",
        "space" => "\\s",
        "upper" => "\\p{Uppercase}",
        "word" => "\\w",
        "xdigit" => "0-9A-Fa-f",
        _ => return Err(invalid("invalid character class")),
    })
}
