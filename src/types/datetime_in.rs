//! Reading dates and timestamps in the forms that PostgreSQL accepts.
//!
//! The text is split into tokens by their shape ([`split`]); each token then fills fields
//! ([`Reader`]), where the meaning of a number depends on what is known already; at the end the
//! fields must make a date.

use crate::base::{Error, Result, SqlState};
use crate::types::datetime::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DAY_MICROS, SECOND_MICROS, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, Zone, date_in_range, days_in_month, offset_at, offset_of_local,
    time_zone, timestamp_in_range,
};
use crate::types::zone::abbreviation;
use crate::types::{DateOrder, Format, Type};

const TOKENS_MAX: usize = 25;
/// Julian day 0, in days since 2000-01-01.
const JULIAN_ZERO: i64 = -2_451_545;
const UNIX_EPOCH_DAY: i32 = -10_957;

pub(super) fn date_in(s: &str, format: &Format) -> Result<i32> {
    if let Some((days, [])) = iso_date(s.as_bytes()) {
        return Ok(days);
    }
    match read(s, format).map_err(|wrong| wrong.into_error(Type::Date, s))? {
        Moment::Infinity => Ok(DATE_INFINITY),
        Moment::NegInfinity => Ok(DATE_NEG_INFINITY),
        Moment::Epoch => Ok(UNIX_EPOCH_DAY),
        Moment::At { days, .. } => date_in_range(days).ok_or_else(|| out_of_range("date", s)),
    }
}

/// Reads a timestamp, or a timestamptz; a timestamp ignores the zone in its text.
pub(super) fn timestamp_in(ty: Type, s: &str, format: &Format) -> Result<i64> {
    let moment = match iso_timestamp(s.as_bytes()) {
        Some(moment) => moment,
        None => read(s, format).map_err(|wrong| wrong.into_error(ty, s))?,
    };
    let (days, time, zone) = match moment {
        Moment::Infinity => return Ok(TIMESTAMP_INFINITY),
        Moment::NegInfinity => return Ok(TIMESTAMP_NEG_INFINITY),
        Moment::Epoch => return Ok(i64::from(UNIX_EPOCH_DAY) * DAY_MICROS),
        Moment::At { days, time, zone } => (days, time, zone),
    };
    let range = || out_of_range("timestamp", s);
    let local = i128::from(days) * i128::from(DAY_MICROS) + i128::from(time);
    if ty == Type::Timestamp {
        return timestamp_in_range(local).ok_or_else(range);
    }
    let clamped = i64::try_from(local).map_err(|_| range())?;
    let offset = match &zone {
        Some(zone) => zone.offset_of_local(clamped),
        None => offset_of_local(&format.time_zone, clamped),
    };
    timestamp_in_range(local - i128::from(offset) * i128::from(SECOND_MICROS)).ok_or_else(range)
}

fn out_of_range(what: &str, s: &str) -> Error {
    Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{what} out of range: \"{s}\""),
    )
}

enum Moment {
    Infinity,
    NegInfinity,
    Epoch,
    At {
        /// Since 2000-01-01.
        days: i64,
        /// Microseconds since midnight; may be a day and more.
        time: i64,
        zone: Option<Zone>,
    },
}

/// Why a text is no date.
enum Wrong {
    Format,
    Field,
    MonthOrDay,
    ZoneOffset,
    Other(Error),
}

type Read<T> = std::result::Result<T, Wrong>;

impl Wrong {
    fn into_error(self, ty: Type, s: &str) -> Error {
        let field = || {
            Error::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{s}\""),
            )
        };
        match self {
            Wrong::Format => Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!(
                    "invalid input syntax for type {}: \"{s}\"",
                    match ty {
                        Type::Timestamp => "timestamp",
                        other => other.sql_name(),
                    }
                ),
            ),
            Wrong::Field => field(),
            Wrong::MonthOrDay => {
                field().with_hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Wrong::ZoneOffset => Error::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!("time zone displacement out of range: \"{s}\""),
            ),
            Wrong::Other(error) => error,
        }
    }
}

/// The common form `YYYY-MM-DD`, without going through tokens.
fn iso_date(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (date, rest) = bytes.split_first_chunk::<10>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let valid = year > 0 && (1..=12).contains(&month) && day > 0;
    if !valid || day > days_in_month(year, month) {
        return None;
    }
    let days = Civil::new(year, month, day).days();
    Some((i32::try_from(days).ok()?, rest))
}

fn two(a: u8, b: u8) -> Option<i64> {
    (a.is_ascii_digit() && b.is_ascii_digit())
        .then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
}

/// `YYYY-MM-DD`, perhaps with `HH:MM:SS` and up to six digits of a fraction.
fn iso_timestamp(bytes: &[u8]) -> Option<Moment> {
    let (days, rest) = iso_date(bytes)?;
    let at = |time| {
        Some(Moment::At {
            days: i64::from(days),
            time,
            zone: None,
        })
    };
    if rest.is_empty() {
        return at(0);
    }
    let (time, fraction) = rest.split_first_chunk::<9>()?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2] = *time else {
        return None;
    };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = ((hour * 60 + minute) * 60 + second) * SECOND_MICROS;
    match fraction {
        [] => {}
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let mut unit = SECOND_MICROS;
            for digit in digits {
                if !digit.is_ascii_digit() {
                    return None;
                }
                unit /= 10;
                micros += i64::from(digit - b'0') * unit;
            }
        }
        _ => return None,
    }
    at(micros)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Digits, perhaps with one point.
    Number,
    /// Digits or letters with `-`, `/` or `.` between: a date, or the name of a zone.
    Date,
    /// Digits with colons.
    Time,
    /// Letters.
    Word,
    /// A sign and digits: a zone.
    Offset,
    /// A sign and letters.
    SignedWord,
}

struct Token {
    shape: Shape,
    /// In lower case, ASCII.
    text: String,
}

/// Cuts a text into tokens; `None` where something is no token.
fn split(s: &str) -> Option<Vec<Token>> {
    let mut cursor = Cursor {
        bytes: s.as_bytes(),
        at: 0,
        text: String::new(),
    };
    let mut tokens = Vec::new();
    while let Some(byte) = cursor.peek() {
        let shape = match byte {
            b' ' | b'\t'..=b'\r' => {
                cursor.at += 1;
                continue;
            }
            b'0'..=b'9' => cursor.digits_first(),
            b'.' => {
                cursor.push();
                cursor.push_while(|b| b.is_ascii_digit());
                Shape::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' => cursor.letters_first(),
            b'+' | b'-' => cursor.sign_first()?,
            _ if byte.is_ascii_punctuation() => {
                cursor.at += 1;
                continue;
            }
            _ => return None,
        };
        if tokens.len() == TOKENS_MAX {
            return None;
        }
        tokens.push(Token {
            shape,
            text: std::mem::take(&mut cursor.text),
        });
    }
    Some(tokens)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The token so far.
    text: String,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn push(&mut self) {
        if let Some(byte) = self.peek() {
            self.text.push(char::from(byte.to_ascii_lowercase()));
            self.at += 1;
        }
    }

    fn push_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.push();
        }
    }

    fn digits_first(&mut self) -> Shape {
        self.push_while(|b| b.is_ascii_digit());
        match self.peek() {
            Some(b':') => {
                self.push_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                Shape::Time
            }
            Some(delimiter @ (b'-' | b'/' | b'.')) => {
                self.push();
                if !self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    // A month in letters may follow.
                    self.push_while(|b| b.is_ascii_alphanumeric() || b == delimiter);
                    return Shape::Date;
                }
                self.push_while(|b| b.is_ascii_digit());
                if self.peek() == Some(delimiter) {
                    self.push_while(|b| b.is_ascii_digit() || b == delimiter);
                    return Shape::Date;
                }
                match delimiter {
                    b'.' => Shape::Number,
                    _ => Shape::Date,
                }
            }
            _ => Shape::Number,
        }
    }

    fn letters_first(&mut self) -> Shape {
        self.push_while(|b| b.is_ascii_alphabetic());
        let goes_on = match self.peek() {
            Some(b'-' | b'/' | b'.') => true,
            // `T10:20` and `jan2` are two tokens, `utc+3` is one.
            Some(b'+' | b'0'..=b'9') => keyword(&self.text).is_none(),
            _ => false,
        };
        if !goes_on {
            return Shape::Word;
        }
        self.push_while(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Shape::Date
    }

    fn sign_first(&mut self) -> Option<Shape> {
        self.push();
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
        match self.peek()? {
            b'0'..=b'9' => {
                self.push_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
                Some(Shape::Offset)
            }
            b'a'..=b'z' | b'A'..=b'Z' => {
                self.push_while(|b| b.is_ascii_alphabetic());
                Some(Shape::SignedWord)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyword {
    Month(i64),
    /// `at`, `on`.
    Ignored,
    Weekday,
    Am,
    Pm,
    Ad,
    Bc,
    Epoch,
    Infinity,
    NegInfinity,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Allballs,
    Label(Label),
    /// Known to PostgreSQL, but no part of a date.
    Other,
}

/// A word that says what the number after it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Julian,
    /// The `T` of ISO 8601.
    Time,
}

fn keyword(word: &str) -> Option<Keyword> {
    use Keyword as K;
    Some(match &word[..word.len().min(10)] {
        "jan" | "january" => K::Month(1),
        "feb" | "february" => K::Month(2),
        "mar" | "march" => K::Month(3),
        "apr" | "april" => K::Month(4),
        "may" => K::Month(5),
        "jun" | "june" => K::Month(6),
        "jul" | "july" => K::Month(7),
        "aug" | "august" => K::Month(8),
        "sep" | "sept" | "september" => K::Month(9),
        "oct" | "october" => K::Month(10),
        "nov" | "november" => K::Month(11),
        "dec" | "december" => K::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => K::Weekday,
        "at" | "on" => K::Ignored,
        "am" => K::Am,
        "pm" => K::Pm,
        "ad" => K::Ad,
        "bc" => K::Bc,
        "epoch" => K::Epoch,
        "infinity" => K::Infinity,
        "-infinity" => K::NegInfinity,
        "now" => K::Now,
        "today" => K::Today,
        "tomorrow" => K::Tomorrow,
        "yesterday" => K::Yesterday,
        "allballs" => K::Allballs,
        "y" => K::Label(Label::Year),
        "m" => K::Label(Label::Month),
        "d" => K::Label(Label::Day),
        "h" => K::Label(Label::Hour),
        "mm" => K::Label(Label::Minute),
        "s" => K::Label(Label::Second),
        "j" | "jd" | "julian" => K::Label(Label::Julian),
        "t" => K::Label(Label::Time),
        "dow" | "doy" | "dst" | "isodow" | "isoyear" => K::Other,
        _ => return None,
    })
}

const YEAR: u32 = 1;
const MONTH: u32 = 2;
const DAY: u32 = 4;
const DATE: u32 = YEAR | MONTH | DAY;
const DAY_OF_YEAR: u32 = 8;
const HOUR: u32 = 16;
const MINUTE: u32 = 32;
const SECOND: u32 = 64;
const TIME: u32 = HOUR | MINUTE | SECOND;
const ZONE: u32 = 128;
const HALF: u32 = 256;
const ERA: u32 = 512;
const WEEKDAY: u32 = 1024;

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Am,
    Pm,
}

/// What the tokens have told so far.
struct Reader<'a> {
    format: &'a Format,
    known: u32,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    zone: Option<Zone>,
    special: Option<Moment>,
    half: Option<Half>,
    is_bc: bool,
    is_julian: bool,
    /// The year was written with one or two digits.
    has_short_year: bool,
    has_text_month: bool,
    label: Option<Label>,
}

fn read(s: &str, format: &Format) -> Read<Moment> {
    let tokens = split(s).ok_or(Wrong::Format)?;
    let mut reader = Reader {
        format,
        known: 0,
        year: 0,
        month: 0,
        day: 0,
        day_of_year: 0,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
        zone: None,
        special: None,
        half: None,
        is_bc: false,
        is_julian: false,
        has_short_year: false,
        has_text_month: false,
        label: None,
    };
    for (i, token) in tokens.iter().enumerate() {
        let text = token.text.as_str();
        let told = match token.shape {
            Shape::Date => reader.date_or_zone(text)?,
            Shape::Time => reader.time(text)?,
            Shape::Offset => {
                reader.zone = Some(Zone::Fixed(parse_offset(text)?));
                ZONE
            }
            Shape::Number => reader.number(text)?,
            Shape::Word | Shape::SignedWord => {
                let next = tokens.get(i + 1).map(|token| token.shape);
                reader.word(text, next)?
            }
        };
        reader.tell(told)?;
    }
    reader.finish()
}

/// The number at the front, and what follows it.
fn leading_number(text: &str) -> Read<(i64, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Err(Wrong::Format);
    }
    let value: i32 = text[..len].parse().map_err(|_| Wrong::Field)?;
    Ok((i64::from(value), &text[len..]))
}

/// The same where nothing means 0, as in `10:`.
fn number_or_zero(text: &str) -> Read<(i64, &str)> {
    match text.bytes().next() {
        Some(b'0'..=b'9') => leading_number(text),
        _ => Ok((0, text)),
    }
}

/// Microseconds of `.25`.
fn parse_fraction(text: &str) -> Read<i64> {
    let digits = text.strip_prefix('.').ok_or(Wrong::Format)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::Format);
    }
    let fraction: f64 = format!("0.{digits}0").parse().map_err(|_| Wrong::Format)?;
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1000000")]
    let micros = (fraction * 1e6).round_ties_even() as i64;
    Ok(micros)
}

/// Seconds east of UTC of `+5`, `-0530`, `+05:30`, `+05:30:15`.
fn parse_offset(text: &str) -> Read<i32> {
    let is_west = text.starts_with('-');
    let unsigned = &text[1..];
    let range = |wrong| match wrong {
        Wrong::Field => Wrong::ZoneOffset,
        other => other,
    };
    let (mut hour, mut rest) = number_or_zero(unsigned).map_err(range)?;
    let (mut minute, mut second) = (0, 0);
    if let Some(minutes) = rest.strip_prefix(':') {
        (minute, rest) = number_or_zero(minutes).map_err(range)?;
        if let Some(seconds) = rest.strip_prefix(':') {
            (second, rest) = number_or_zero(seconds).map_err(range)?;
        }
    } else if rest.is_empty() && unsigned.len() > 2 {
        (hour, minute) = (hour / 100, hour % 100);
    }
    if hour > 15 || minute > 59 || second > 59 {
        return Err(Wrong::ZoneOffset);
    }
    if !rest.is_empty() {
        return Err(Wrong::Format);
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    let seconds = i32::try_from(seconds).map_err(|_| Wrong::ZoneOffset)?;
    Ok(if is_west { -seconds } else { seconds })
}

impl Reader<'_> {
    fn knows(&self, all: u32) -> bool {
        self.known & all == all
    }

    /// Nothing may be told twice.
    fn tell(&mut self, fields: u32) -> Read<()> {
        if self.known & fields != 0 {
            return Err(Wrong::Format);
        }
        self.known |= fields;
        Ok(())
    }

    /// A date; after one, the name of a zone, or a time run together with its zone (`0405-08`).
    fn date_or_zone(&mut self, text: &str) -> Read<u32> {
        if self.label == Some(Label::Julian) {
            self.label = None;
            let (days, rest) = leading_number(text)?;
            self.set_julian(days);
            if !rest.starts_with(['+', '-']) {
                return Err(Wrong::Format);
            }
            self.zone = Some(Zone::Fixed(parse_offset(rest)?));
            return Ok(DATE | TIME | ZONE);
        }
        if self.label.is_none() && !self.knows(MONTH | DAY) {
            return self.date(text);
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) || self.label.is_some() {
            if self.label.take().is_some_and(|label| label != Label::Time) || self.knows(TIME) {
                return Err(Wrong::Format);
            }
            let at = text.find('-').ok_or(Wrong::Format)?;
            let (time, offset) = text.split_at(at);
            self.zone = Some(Zone::Fixed(parse_offset(offset)?));
            return Ok(self.run_together(time, self.known)? | ZONE);
        }
        self.zone = Some(Zone::Named(time_zone(text).map_err(Wrong::Other)?));
        Ok(ZONE)
    }

    /// Numbers and perhaps a month in letters, with delimiters between.
    fn date(&mut self, text: &str) -> Read<u32> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let first = rest.bytes().next().ok_or(Wrong::Format)?;
            let is_digit = first.is_ascii_digit();
            let len = rest
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() && b.is_ascii_digit() == is_digit)
                .count();
            parts.push(&rest[..len]);
            // One delimiter, whatever it is, ends a part.
            rest = rest.get(len + 1..).unwrap_or_default();
        }
        let mut told = 0;
        let mut has_text_month = false;
        let is_word = |part: &&str| part.starts_with(|c: char| c.is_ascii_alphabetic());
        for part in parts.iter().filter(|part| is_word(part)) {
            match keyword(part) {
                Some(Keyword::Ignored) => {}
                Some(Keyword::Month(month)) => {
                    if (self.known | told) & MONTH != 0 {
                        return Err(Wrong::Format);
                    }
                    self.month = month;
                    has_text_month = true;
                    told |= MONTH;
                }
                _ => return Err(Wrong::Format),
            }
        }
        for part in parts.iter().filter(|part| !is_word(part)) {
            let field = self.plain_number(part, self.known | told, has_text_month)?;
            if (self.known | told) & field != 0 {
                return Err(Wrong::Format);
            }
            told |= field;
        }
        match (self.known | told) & !(DAY_OF_YEAR | ZONE) {
            DATE => Ok(told),
            _ => Err(Wrong::Format),
        }
    }

    fn time(&mut self, text: &str) -> Read<u32> {
        if self.label.take().is_some_and(|label| label != Label::Time) {
            return Err(Wrong::Format);
        }
        let (first, rest) = leading_number(text)?;
        let rest = rest.strip_prefix(':').ok_or(Wrong::Format)?;
        let (second, rest) = number_or_zero(rest)?;
        (self.hour, self.minute, self.second, self.micros) = (first, second, 0, 0);
        if rest.starts_with('.') {
            // Two numbers and a fraction are minutes and seconds.
            self.micros = parse_fraction(rest)?;
            (self.hour, self.minute, self.second) = (0, first, second);
        } else if let Some(rest) = rest.strip_prefix(':') {
            let (third, rest) = number_or_zero(rest)?;
            self.second = third;
            if !rest.is_empty() {
                self.micros = parse_fraction(rest)?;
            }
        } else if !rest.is_empty() {
            return Err(Wrong::Format);
        }
        if self.minute > 59 || self.second > 60 || self.hour > 24 {
            return Err(Wrong::Field);
        }
        if self.hour == 24 && (self.minute, self.second, self.micros) != (0, 0, 0) {
            return Err(Wrong::Field);
        }
        Ok(TIME)
    }

    fn number(&mut self, text: &str) -> Read<u32> {
        if let Some(label) = self.label.take() {
            return self.labelled_number(label, text);
        }
        match text.find('.') {
            Some(_) if self.known & DATE == 0 => self.date(text),
            Some(at) if at > 2 => self.run_together(text, self.known),
            // Six digits and more are a date or a time run together, or else a long year.
            _ if text.len() >= 6 && (self.known & DATE == 0 || self.known & TIME == 0) => {
                self.run_together(text, self.known)
            }
            _ => self.plain_number(text, self.known, self.has_text_month),
        }
    }

    fn labelled_number(&mut self, label: Label, text: &str) -> Read<u32> {
        if label == Label::Time {
            return match self.run_together(text, self.known | DATE)? {
                TIME => Ok(TIME),
                _ => Err(Wrong::Format),
            };
        }
        let (value, rest) = leading_number(text)?;
        let has_fraction = rest.starts_with('.');
        if has_fraction && !matches!(label, Label::Julian | Label::Second) {
            return Err(Wrong::Format);
        }
        Ok(match label {
            Label::Year => {
                self.year = value;
                YEAR
            }
            // After an hour, `m` means minutes.
            Label::Month if self.knows(MONTH | HOUR) => {
                self.minute = value;
                MINUTE
            }
            Label::Month => {
                self.month = value;
                MONTH
            }
            Label::Day => {
                self.day = value;
                DAY
            }
            Label::Hour => {
                self.hour = value;
                HOUR
            }
            Label::Minute => {
                self.minute = value;
                MINUTE
            }
            Label::Second => {
                self.second = value;
                if has_fraction {
                    self.micros = parse_fraction(rest)?;
                }
                SECOND
            }
            Label::Julian => {
                self.set_julian(value);
                if !has_fraction {
                    return Ok(DATE);
                }
                let fraction: f64 = format!("0{rest}0").parse().map_err(|_| Wrong::Format)?;
                #[expect(clippy::cast_possible_truncation, reason = "less than a day")]
                let time = (fraction * DAY_MICROS as f64) as i64;
                self.set_time(time);
                DATE | TIME
            }
            Label::Time => return Err(Wrong::Format),
        })
    }

    fn set_julian(&mut self, days: i64) {
        let civil = Civil::from_days(days + JULIAN_ZERO);
        (self.year, self.month, self.day) = (civil.year, civil.month, civil.day);
        self.is_julian = true;
    }

    fn set_time(&mut self, time: i64) {
        let seconds = time / SECOND_MICROS;
        (self.hour, self.minute, self.second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        self.micros = time % SECOND_MICROS;
    }

    /// One number of a date: which one depends on those before it.
    fn plain_number(&mut self, text: &str, known: u32, has_text_month: bool) -> Read<u32> {
        let (value, rest) = leading_number(text)?;
        let len = text.len();
        if !rest.is_empty() {
            if len - rest.len() > 2 {
                return self.run_together(text, known | DATE);
            }
            self.micros = parse_fraction(rest)?;
        } else if len == 3 && known & DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let is_ymd = self.format.date_order == DateOrder::Ymd;
        let field = match known & DATE {
            0 if len >= 3 || is_ymd => YEAR,
            0 if self.format.date_order == DateOrder::Dmy => DAY,
            0 => MONTH,
            YEAR => MONTH,
            MONTH if has_text_month && (len >= 3 || is_ymd) => YEAR,
            MONTH => DAY,
            fields if fields == YEAR | MONTH => {
                if has_text_month && len >= 3 && self.has_short_year {
                    // The first number was not the year but the day: 02-Jan-2024 read year first.
                    self.day = self.year;
                    self.year = value;
                    self.has_short_year = false;
                    return Ok(DAY);
                }
                DAY
            }
            DAY => MONTH,
            fields if fields == MONTH | DAY => YEAR,
            DATE => return self.run_together(text, known),
            _ => return Err(Wrong::Format),
        };
        match field {
            YEAR => {
                self.year = value;
                self.has_short_year = len <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(field)
    }

    /// Digits without delimiters: `20240131`, `240131`, `102030.25`, `1020`.
    fn run_together(&mut self, text: &str, known: u32) -> Read<u32> {
        let mut digits = text;
        let number = |digits: &str| digits.parse::<i64>().map_err(|_| Wrong::Format);
        if let Some(at) = text.find('.') {
            self.micros = parse_fraction(&text[at..])?;
            digits = &text[..at];
        } else if known & DATE != DATE && digits.len() >= 6 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            self.has_short_year = year.len() == 2;
            (self.year, self.month, self.day) = (number(year)?, number(month)?, number(day)?);
            return Ok(DATE);
        }
        if known & TIME == TIME {
            return Err(Wrong::Format);
        }
        match digits.len() {
            6 => self.second = number(&digits[4..])?,
            4 => self.second = 0,
            _ => return Err(Wrong::Format),
        }
        self.hour = number(&digits[..2])?;
        self.minute = number(&digits[2..4])?;
        Ok(TIME)
    }

    fn word(&mut self, text: &str, next: Option<Shape>) -> Read<u32> {
        if let Some(zone) = abbreviation(text).map_err(Wrong::Other)? {
            self.zone = Some(zone);
            return Ok(ZONE);
        }
        let Some(keyword) = keyword(text) else {
            // A zone may have a name of letters only.
            let zone = time_zone(text).map_err(|_| Wrong::Format)?;
            self.zone = Some(Zone::Named(zone));
            return Ok(ZONE);
        };
        Ok(match keyword {
            Keyword::Ignored => 0,
            Keyword::Weekday => WEEKDAY,
            Keyword::Month(month) => {
                // `2 January`: the number before was the day after all.
                let is_day = self.knows(MONTH)
                    && !self.has_text_month
                    && !self.knows(DAY)
                    && (1..=31).contains(&self.month);
                if is_day {
                    self.day = self.month;
                }
                self.month = month;
                self.has_text_month = true;
                if is_day { DAY } else { MONTH }
            }
            Keyword::Am => {
                self.half = Some(Half::Am);
                HALF
            }
            Keyword::Pm => {
                self.half = Some(Half::Pm);
                HALF
            }
            Keyword::Ad | Keyword::Bc => {
                self.is_bc = keyword == Keyword::Bc;
                ERA
            }
            Keyword::Epoch => self.set_special(Moment::Epoch),
            Keyword::Infinity => self.set_special(Moment::Infinity),
            Keyword::NegInfinity => self.set_special(Moment::NegInfinity),
            Keyword::Now => {
                self.set_now(0);
                DATE | TIME | ZONE
            }
            Keyword::Today | Keyword::Tomorrow | Keyword::Yesterday => {
                self.set_now(match keyword {
                    Keyword::Tomorrow => 1,
                    Keyword::Yesterday => -1,
                    _ => 0,
                });
                self.zone = None;
                self.set_time(0);
                DATE
            }
            Keyword::Allballs => {
                self.set_time(0);
                self.zone = Some(Zone::Fixed(0));
                TIME | ZONE
            }
            Keyword::Label(label) => {
                let is_followed = matches!(next, Some(Shape::Number | Shape::Time | Shape::Date));
                if label == Label::Time && !(self.knows(DATE) && is_followed) {
                    return Err(Wrong::Format);
                }
                self.label = Some(label);
                0
            }
            Keyword::Other => return Err(Wrong::Format),
        })
    }

    fn set_special(&mut self, moment: Moment) -> u32 {
        self.special = Some(moment);
        DATE
    }

    /// Date, time and zone of the transaction's start, so many days later.
    fn set_now(&mut self, days: i64) {
        let now = self.format.now;
        let offset = offset_at(&self.format.time_zone, now);
        let local = now + i64::from(offset) * SECOND_MICROS;
        let civil = Civil::from_days(local.div_euclid(DAY_MICROS) + days);
        (self.year, self.month, self.day) = (civil.year, civil.month, civil.day);
        // Years in a text are not astronomical; a clock is never before year 1.
        self.set_time(local.rem_euclid(DAY_MICROS));
        self.zone = Some(Zone::Fixed(offset));
        self.has_short_year = false;
    }

    fn finish(mut self) -> Read<Moment> {
        if let Some(special) = self.special {
            return Ok(special);
        }
        self.check_date()?;
        match self.half {
            Some(_) if self.hour > 12 => return Err(Wrong::Field),
            Some(Half::Am) if self.hour == 12 => self.hour = 0,
            Some(Half::Pm) if self.hour != 12 => self.hour += 12,
            _ => {}
        }
        if !self.knows(DATE) {
            return Err(Wrong::Format);
        }
        let days = Civil::new(self.year, self.month, self.day).days();
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        Ok(Moment::At {
            days,
            time: seconds * SECOND_MICROS + self.micros,
            zone: self.zone,
        })
    }

    fn check_date(&mut self) -> Read<()> {
        if self.knows(YEAR) && !self.is_julian {
            self.year = match self.year {
                year if self.is_bc && year > 0 => 1 - year,
                _ if self.is_bc => return Err(Wrong::Field),
                year if self.has_short_year && year < 70 => year + 2000,
                year if self.has_short_year && year < 100 => year + 1900,
                year if year <= 0 => return Err(Wrong::Field),
                year => year,
            };
        }
        if self.knows(DAY_OF_YEAR) {
            let first = Civil::new(self.year, 1, 1).days();
            let civil = Civil::from_days(first + self.day_of_year - 1);
            (self.year, self.month, self.day) = (civil.year, civil.month, civil.day);
        }
        if self.knows(MONTH) && !(1..=12).contains(&self.month) {
            return Err(Wrong::MonthOrDay);
        }
        if self.knows(DAY) && !(1..=31).contains(&self.day) {
            return Err(Wrong::MonthOrDay);
        }
        if self.knows(DATE) && self.day > days_in_month(self.year, self.month) {
            return Err(Wrong::Field);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::types::datetime::time_zone;
    use crate::types::{DateOrder, Format, Type, text_in, text_out};

    fn echo(ty: Type, s: &str, format: &Format) -> String {
        match text_in(ty, -1, s, format) {
            Ok(value) => {
                let mut out = Vec::new();
                text_out(ty, &value, format, &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(error) => format!("{} {}", error.sqlstate(), error.report().message),
        }
    }

    #[test]
    fn dates_are_read_in_every_usual_form() {
        let format = Format::default();
        for (input, output) in [
            ("2024-01-31", "2024-01-31"),
            ("20240131", "2024-01-31"),
            ("240131", "2024-01-31"),
            ("Jan 2, 2024", "2024-01-02"),
            ("2 Jan 2024", "2024-01-02"),
            (
                "99-Jan-02",
                "22008 date/time field value out of range: \"99-Jan-02\"",
            ),
            ("1/2/2024", "2024-01-02"),
            ("1/2/69", "2069-01-02"),
            ("1/2/70", "1970-01-02"),
            ("2024.123", "2024-05-02"),
            ("J2451187", "1999-01-08"),
            ("March 15, 44 BC", "0044-03-15 BC"),
            ("0001-01-01 BC", "0001-01-01 BC"),
            ("4714-11-24 BC", "4714-11-24 BC"),
            ("5874897-12-31", "5874897-12-31"),
            ("-infinity", "-infinity"),
            ("epoch", "1970-01-01"),
            ("Fri Feb 7 1997", "1997-02-07"),
            ("today", "2000-01-01"),
            ("tomorrow", "2000-01-02"),
            (
                "2024-02-30",
                "22008 date/time field value out of range: \"2024-02-30\"",
            ),
            (
                "5874898-01-01",
                "22008 date out of range: \"5874898-01-01\"",
            ),
            ("", "22007 invalid input syntax for type date: \"\""),
        ] {
            assert_eq!(echo(Type::Date, input, &format), output, "{input}");
        }
    }

    #[test]
    fn the_date_order_tells_day_from_month() {
        let read = |date_order, s| {
            let format = Format {
                date_order,
                ..Format::default()
            };
            echo(Type::Date, s, &format)
        };
        assert_eq!(read(DateOrder::Mdy, "1/2/2024"), "2024-01-02");
        assert_eq!(read(DateOrder::Dmy, "1/2/2024"), "2024-02-01");
        assert_eq!(read(DateOrder::Ymd, "24/2/1"), "2024-02-01");
        let error = text_in(Type::Date, -1, "13/13/2024", &Format::default()).unwrap_err();
        assert_eq!(
            error.report().hint.as_deref(),
            Some("Perhaps you need a different \"datestyle\" setting.")
        );
    }

    #[test]
    fn timestamps_are_read_with_their_zones() {
        let format = Format {
            time_zone: time_zone("America/New_York").unwrap(),
            ..Format::default()
        };
        for (input, output) in [
            (
                "2024-01-31 10:20:30.1234567",
                "2024-01-31 10:20:30.123457-05",
            ),
            ("2024-01-31T10:20:30Z", "2024-01-31 05:20:30-05"),
            ("20240131T102030.5+0530", "2024-01-30 23:50:30.5-05"),
            ("Jan 2, 2024 3:04 PM PST", "2024-01-02 18:04:00-05"),
            ("2024-06-01 10:00 Asia/Kolkata", "2024-06-01 00:30:00-04"),
            ("2024-06-01 10:00 utc+3", "2024-06-01 09:00:00-04"),
            ("2010-06-01 10:00 MSK", "2010-06-01 03:00:00-04"),
            // Skipped by the clock, and shown twice by it.
            ("2024-03-10 02:30", "2024-03-10 03:30:00-04"),
            ("2024-11-03 01:30", "2024-11-03 01:30:00-05"),
            ("1800-01-01", "1800-01-01 00:00:00-04:56:02"),
            ("50000-07-01", "50000-07-01 00:00:00-04"),
            ("2024-01-01 24:00", "2024-01-02 00:00:00-05"),
            (
                "2024-01-01 10:00+16",
                "22009 time zone displacement out of range: \"2024-01-01 10:00+16\"",
            ),
            (
                "2024-01-01 0:0 foo/bar",
                "22023 time zone \"foo/bar\" not recognized",
            ),
            (
                "2024-01-01 foo",
                "22007 invalid input syntax for type timestamp with time zone: \"2024-01-01 foo\"",
            ),
        ] {
            assert_eq!(echo(Type::Timestamptz, input, &format), output, "{input}");
        }
        assert_eq!(
            echo(Type::Timestamp, "2024-01-31 10:20+05", &format),
            "2024-01-31 10:20:00"
        );
        assert_eq!(
            echo(Type::Timestamp, "294277-01-01", &format),
            "22008 timestamp out of range: \"294277-01-01\""
        );
    }

    #[test]
    fn the_short_way_agrees_with_the_tokens() {
        let format = Format::default();
        for s in [
            "2024-02-29 23:59:59.5",
            "0099-12-31 00:00:00",
            "9999-01-01 01:02:03.000001",
        ] {
            // A blank at the end makes a text too unusual for the short way.
            assert_eq!(
                echo(Type::Timestamp, s, &format),
                echo(Type::Timestamp, &format!("{s} "), &format)
            );
        }
    }
}
