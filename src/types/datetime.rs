//! The calendar, the text of dates and timestamps, and their parts.
//!
//! Years here are astronomical: year 0 is 1 BC. Days and microseconds count from 2000-01-01.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::base::{Error, Result, SqlState};
use crate::types::numeric::Numeric;
use crate::types::text::{floor_boundary, write_u64};
use crate::types::{Datum, Format, Type};

pub use crate::types::zone::{Zone, offset_at, offset_of_local, time_zone};

pub const SECOND_MICROS: i64 = 1_000_000;
pub const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

/// 4714-11-24 BC, Julian day 0: the first date and the first day of timestamps.
const DAY_MIN: i64 = -2_451_545;
/// 5874898-01-01: the first date that is too late.
const DAY_END: i64 = 2_145_031_949;
const TIMESTAMP_MIN: i64 = DAY_MIN * DAY_MICROS;
/// 294277-01-01: the first timestamp that is too late.
const TIMESTAMP_END: i64 = 106_751_983 * DAY_MICROS;
/// 1970-01-01.
const UNIX_EPOCH_DAY: i64 = -10_957;

/// A date of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical: 0 is 1 BC.
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

impl Civil {
    pub fn new(year: i64, month: i64, day: i64) -> Civil {
        Civil { year, month, day }
    }

    /// The date so many days after 2000-01-01.
    pub fn from_days(days: i64) -> Civil {
        // Years begin in March here, so that the leap day is the last of its year.
        let shifted = days + 730_425;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
        }
    }

    /// Days after 2000-01-01. The day may be beyond the month's end: it counts on.
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (self.month + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 730_425
    }
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Sunday is 0.
pub fn day_of_week(days: i64) -> i64 {
    (days + 6).rem_euclid(7)
}

/// Year (astronomical) and number of the ISO 8601 week.
fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days + 3 - (days + 5).rem_euclid(7);
    let year = Civil::from_days(thursday).year;
    (year, (thursday - Civil::new(year, 1, 1).days()) / 7 + 1)
}

/// The system's clock, in microseconds since 2000-01-01 UTC.
pub fn now_micros() -> i64 {
    micros_at(SystemTime::now())
}

/// A time of the system's clock, in microseconds since 2000-01-01 UTC.
pub fn micros_at(time: SystemTime) -> i64 {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX / 2),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX / 2),
    };
    micros + UNIX_EPOCH_DAY * DAY_MICROS
}

fn out_of_range(what: &str) -> Error {
    Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{what} out of range"),
    )
}

/// A date of so many days, infinite ones included; 22008 outside PostgreSQL's range.
pub fn check_date(days: i64) -> Result<i32> {
    date_in_range(days).ok_or_else(|| out_of_range("date"))
}

pub(super) fn date_in_range(days: i64) -> Option<i32> {
    let date = i32::try_from(days).ok()?;
    let infinite = matches!(date, DATE_INFINITY | DATE_NEG_INFINITY);
    (infinite || (DAY_MIN..DAY_END).contains(&days)).then_some(date)
}

/// The timestamp itself, infinite ones included; 22008 outside PostgreSQL's range.
pub fn check_timestamp(micros: i64) -> Result<i64> {
    timestamp_in_range(i128::from(micros)).ok_or_else(|| out_of_range("timestamp"))
}

pub(super) fn timestamp_in_range(micros: i128) -> Option<i64> {
    let micros = i64::try_from(micros).ok()?;
    let infinite = matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY);
    (infinite || (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros)).then_some(micros)
}

fn infinite_timestamp(date: i32) -> Option<i64> {
    match date {
        DATE_INFINITY => Some(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Some(TIMESTAMP_NEG_INFINITY),
        _ => None,
    }
}

fn is_infinite(micros: i64) -> bool {
    matches!(micros, TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY)
}

/// Midnight of a date.
pub fn date_to_timestamp(date: i32) -> Result<i64> {
    if let Some(infinite) = infinite_timestamp(date) {
        return Ok(infinite);
    }
    timestamp_in_range(i128::from(date) * i128::from(DAY_MICROS)).ok_or_else(date_too_far)
}

/// Midnight of a date in a zone.
pub fn date_to_timestamptz(date: i32, zone: &TimeZone) -> Result<i64> {
    timestamp_to_timestamptz(date_to_timestamp(date)?, zone).map_err(|_| date_too_far())
}

fn date_too_far() -> Error {
    Error::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        "date out of range for timestamp",
    )
}

pub fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        _ => i32::try_from(micros.div_euclid(DAY_MICROS))
            .expect("2^63 microseconds are fewer than 2^31 days"),
    }
}

pub fn timestamptz_to_date(micros: i64, zone: &TimeZone) -> Result<i32> {
    Ok(timestamp_to_date(timestamptz_to_timestamp(micros, zone)?))
}

/// The moment at which the zone's clock shows a local time.
pub fn timestamp_to_timestamptz(local: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    shift(local, -offset_of_local(zone, local))
}

/// What the zone's clock shows at a moment.
pub fn timestamptz_to_timestamp(micros: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    shift(micros, offset_at(zone, micros))
}

/// `timestamp AT TIME ZONE zone`.
pub fn timestamp_at_zone(local: i64, zone: &Zone) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    shift(local, -zone.offset_of_local(local))
}

/// `timestamptz AT TIME ZONE zone`.
pub fn timestamptz_at_zone(micros: i64, zone: &Zone) -> Result<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    shift(micros, zone.offset_at(micros))
}

fn shift(micros: i64, seconds: i32) -> Result<i64> {
    timestamp_in_range(i128::from(micros) + i128::from(seconds) * i128::from(SECOND_MICROS))
        .ok_or_else(|| out_of_range("timestamp"))
}

pub(super) fn date_out(date: i32, out: &mut Vec<u8>) {
    match date {
        DATE_INFINITY => out.extend_from_slice(b"infinity"),
        DATE_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => {
            let civil = Civil::from_days(i64::from(date));
            write_date(civil, out);
            write_era(civil, out);
        }
    }
}

pub(super) fn timestamp_out(micros: i64, out: &mut Vec<u8>) {
    if write_infinite(micros, out) {
        return;
    }
    let civil = write_timestamp(i128::from(micros), out);
    write_era(civil, out);
}

pub(super) fn timestamptz_out(micros: i64, zone: &TimeZone, out: &mut Vec<u8>) {
    if write_infinite(micros, out) {
        return;
    }
    let offset = offset_at(zone, micros);
    let local = i128::from(micros) + i128::from(offset) * i128::from(SECOND_MICROS);
    let civil = write_timestamp(local, out);
    write_offset(offset, out);
    write_era(civil, out);
}

fn write_infinite(micros: i64, out: &mut Vec<u8>) -> bool {
    match micros {
        TIMESTAMP_INFINITY => out.extend_from_slice(b"infinity"),
        TIMESTAMP_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

/// Without the era, which comes last.
fn write_timestamp(micros: i128, out: &mut Vec<u8>) -> Civil {
    let days = micros.div_euclid(i128::from(DAY_MICROS));
    let days = i64::try_from(days).expect("fewer days than microseconds");
    let time = micros.rem_euclid(i128::from(DAY_MICROS));
    let time = i64::try_from(time).expect("less than a day");
    let civil = Civil::from_days(days);
    write_date(civil, out);
    let seconds = time / SECOND_MICROS;
    for (separator, part) in [
        (b' ', seconds / 3600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ] {
        out.push(separator);
        write_padded(part, 2, out);
    }
    let fraction = time % SECOND_MICROS;
    if fraction > 0 {
        out.push(b'.');
        write_padded(fraction, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    civil
}

fn write_date(civil: Civil, out: &mut Vec<u8>) {
    let year = if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    };
    write_padded(year, 4, out);
    out.push(b'-');
    write_padded(civil.month, 2, out);
    out.push(b'-');
    write_padded(civil.day, 2, out);
}

fn write_era(civil: Civil, out: &mut Vec<u8>) {
    if civil.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// `+05`, `+05:30`, `-04:56:02`.
fn write_offset(offset: i32, out: &mut Vec<u8>) {
    out.push(if offset < 0 { b'-' } else { b'+' });
    let seconds = i64::from(offset.abs());
    write_padded(seconds / 3600, 2, out);
    if seconds % 3600 != 0 {
        out.push(b':');
        write_padded(seconds / 60 % 60, 2, out);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        write_padded(seconds % 60, 2, out);
    }
}

fn write_padded(value: i64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    write_u64(value.unsigned_abs(), out);
    let len = out.len() - start;
    if len < width {
        out.resize(start + width, b'0');
        out[start..].rotate_right(width - len);
    }
}

/// What `extract` and `date_trunc` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    IsoYear,
    IsoDayOfWeek,
    DayOfWeek,
    DayOfYear,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
}

impl Unit {
    /// PostgreSQL tells words apart by their first ten letters.
    fn from_name(name: &str) -> Option<Unit> {
        let lower = name.to_ascii_lowercase();
        let word = floor_boundary(&lower, 10);
        Some(match word {
            "us" | "usec" | "usecond" | "useconds" | "usecs" | "microsecon" => Unit::Microsecond,
            "ms" | "msec" | "msecond" | "mseconds" | "msecs" | "millisecon" => Unit::Millisecond,
            "s" | "sec" | "second" | "seconds" | "secs" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "qtr" | "quarter" => Unit::Quarter,
            "y" | "year" | "years" | "yr" | "yrs" => Unit::Year,
            "dec" | "decade" | "decades" | "decs" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
            "timezone" => Unit::Zone,
            "timezone_h" => Unit::ZoneHour,
            "timezone_m" => Unit::ZoneMinute,
            _ => return None,
        })
    }

    /// `extract` knows more words.
    fn from_extract_name(name: &str) -> Option<Unit> {
        Unit::from_name(name).or_else(|| {
            Some(match name.to_ascii_lowercase().as_str() {
                "j" | "jd" | "julian" => Unit::Julian,
                "isoyear" => Unit::IsoYear,
                "isodow" => Unit::IsoDayOfWeek,
                "dow" => Unit::DayOfWeek,
                "doy" => Unit::DayOfYear,
                "epoch" => Unit::Epoch,
                "mm" => Unit::Minute,
                _ => return None,
            })
        })
    }

    /// Grows with time, so that it is infinite for infinite values; the others are null then.
    fn is_monotonic(self) -> bool {
        matches!(
            self,
            Unit::Year
                | Unit::Decade
                | Unit::Century
                | Unit::Millennium
                | Unit::Julian
                | Unit::IsoYear
                | Unit::Epoch
        )
    }

    /// A date has it; only a timestamptz has a zone.
    fn is_of(self, ty: Type) -> bool {
        match self {
            Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute => ty == Type::Timestamptz,
            Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour => {
                ty != Type::Date
            }
            _ => true,
        }
    }
}

fn not_recognized(unit: &str, ty: Type) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!(
            "unit \"{}\" not recognized for type {}",
            unit.to_ascii_lowercase(),
            ty.sql_name()
        ),
    )
}

fn not_supported(unit: &str, ty: Type) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "unit \"{}\" not supported for type {}",
            unit.to_ascii_lowercase(),
            ty.sql_name()
        ),
    )
}

/// `extract(field from value)` of a date, timestamp or timestamptz: a numeric, or null for a
/// field that an infinite value does not have.
///
/// `date_part` of a date is that of the timestamp at its midnight.
pub fn extract(field: &str, ty: Type, value: &Datum, format: &Format) -> Result<Datum> {
    let numeric = |n: Numeric| Ok(Datum::Numeric(Box::new(n)));
    let unit = Unit::from_extract_name(field).ok_or_else(|| match field {
        // PostgreSQL knows the words.
        "now" | "today" | "tomorrow" | "yesterday" | "allballs" | "infinity" | "-infinity" => {
            not_supported(field, ty)
        }
        _ => not_recognized(field, ty),
    })?;
    // PostgreSQL finds a zone's parts null, not missing, in an infinite timestamp.
    let is_infinite_timestamp =
        ty == Type::Timestamp && matches!(value, Datum::Timestamp(micros) if is_infinite(*micros));
    if !unit.is_of(ty) && !is_infinite_timestamp {
        return Err(not_supported(field, ty));
    }
    let micros = match value {
        Datum::Timestamp(micros) => *micros,
        Datum::Date(date) => match infinite_timestamp(*date) {
            Some(infinite) => infinite,
            None => return numeric(extract_from_date(unit, i64::from(*date))),
        },
        _ => super::wrong_datum(ty, value),
    };
    match micros {
        TIMESTAMP_INFINITY if unit.is_monotonic() => return numeric(Numeric::PosInfinity),
        TIMESTAMP_NEG_INFINITY if unit.is_monotonic() => return numeric(Numeric::NegInfinity),
        TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY => return Ok(Datum::Null),
        _ => {}
    }
    let offset = match ty {
        Type::Timestamptz => offset_at(&format.time_zone, micros),
        _ => 0,
    };
    numeric(extract_from_timestamp(unit, micros, offset)?)
}

fn extract_from_date(unit: Unit, days: i64) -> Numeric {
    Numeric::from_i64(match unit {
        Unit::Epoch => (days - UNIX_EPOCH_DAY) * 86_400,
        Unit::Julian => days - DAY_MIN,
        _ => day_part(unit, days),
    })
}

fn extract_from_timestamp(unit: Unit, micros: i64, offset: i32) -> Result<Numeric> {
    let local = i128::from(micros) + i128::from(offset) * i128::from(SECOND_MICROS);
    let days = i64::try_from(local.div_euclid(i128::from(DAY_MICROS))).expect("few days");
    let time = i64::try_from(local.rem_euclid(i128::from(DAY_MICROS))).expect("less than a day");
    let in_minute = time % (60 * SECOND_MICROS);
    let offset = i64::from(offset);
    Ok(match unit {
        Unit::Microsecond => Numeric::from_i64(in_minute),
        Unit::Millisecond => Numeric::from_scaled(i128::from(in_minute), 3),
        Unit::Second => Numeric::from_scaled(i128::from(in_minute), 6),
        Unit::Minute => Numeric::from_i64(time / (60 * SECOND_MICROS) % 60),
        Unit::Hour => Numeric::from_i64(time / (3600 * SECOND_MICROS)),
        Unit::Zone => Numeric::from_i64(offset),
        Unit::ZoneHour => Numeric::from_i64(offset / 3600),
        Unit::ZoneMinute => Numeric::from_i64(offset / 60 % 60),
        Unit::Epoch => {
            let epoch = i128::from(UNIX_EPOCH_DAY) * i128::from(DAY_MICROS);
            Numeric::from_scaled(i128::from(micros) - epoch, 6)
        }
        Unit::Julian => Numeric::from_i64(days - DAY_MIN)
            .add(&Numeric::from_i64(time).div(&Numeric::from_i64(DAY_MICROS))?)?,
        _ => Numeric::from_i64(day_part(unit, days)),
    })
}

/// The parts that a day has.
fn day_part(unit: Unit, days: i64) -> i64 {
    let civil = Civil::from_days(days);
    let year = civil.year;
    match unit {
        Unit::Day => civil.day,
        Unit::Month => civil.month,
        Unit::Quarter => (civil.month - 1) / 3 + 1,
        Unit::Week => iso_week(days).1,
        Unit::Year => without_zero(year),
        Unit::IsoYear => without_zero(iso_week(days).0),
        Unit::Decade => year.div_euclid(10),
        Unit::Century => without_zero((year + 99).div_euclid(100)),
        Unit::Millennium => without_zero((year + 999).div_euclid(1000)),
        Unit::DayOfWeek => day_of_week(days),
        Unit::IsoDayOfWeek => (days + 5).rem_euclid(7) + 1,
        Unit::DayOfYear => days - Civil::new(year, 1, 1).days() + 1,
        _ => 0,
    }
}

/// There is no year, century or millennium 0: before 1 comes -1.
fn without_zero(n: i64) -> i64 {
    if n > 0 { n } else { n - 1 }
}

/// `date_trunc(unit, value)` of a timestamp or timestamptz. A date is taken as the timestamptz of
/// its midnight, as PostgreSQL resolves the call.
pub fn date_trunc(unit: &str, ty: Type, value: &Datum, format: &Format) -> Result<Datum> {
    let zone = &format.time_zone;
    let (ty, micros) = match value {
        Datum::Timestamp(micros) => (ty, *micros),
        Datum::Date(date) => (Type::Timestamptz, date_to_timestamptz(*date, zone)?),
        _ => super::wrong_datum(ty, value),
    };
    if is_infinite(micros) {
        return Ok(Datum::Timestamp(micros));
    }
    let known = Unit::from_name(unit).ok_or_else(|| not_recognized(unit, ty))?;
    if matches!(known, Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute) {
        return Err(not_supported(unit, ty));
    }
    if ty == Type::Timestamp {
        return Ok(Datum::Timestamp(truncate(known, micros)?));
    }
    let offset = offset_at(zone, micros);
    let local = truncate(known, shift(micros, offset)?)?;
    // The clock may have changed between the start of the day and the moment.
    let is_days = !matches!(
        known,
        Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour
    );
    let offset = if is_days {
        offset_of_local(zone, local)
    } else {
        offset
    };
    Ok(Datum::Timestamp(shift(local, -offset)?))
}

fn truncate(unit: Unit, micros: i64) -> Result<i64> {
    let floor_to = |size: i64| Ok(micros - micros.rem_euclid(size));
    let days = micros.div_euclid(DAY_MICROS);
    let civil = Civil::from_days(days);
    // The first year of a group of so many, which begins in a year 1, 101, 1001…
    let first_of = |size: i64| (civil.year - 1).div_euclid(size) * size + 1;
    let day = match unit {
        Unit::Microsecond => return Ok(micros),
        Unit::Millisecond => return floor_to(1000),
        Unit::Second => return floor_to(SECOND_MICROS),
        Unit::Minute => return floor_to(60 * SECOND_MICROS),
        Unit::Hour => return floor_to(3600 * SECOND_MICROS),
        Unit::Week => days - (days + 5).rem_euclid(7),
        Unit::Month => Civil::new(civil.year, civil.month, 1).days(),
        Unit::Quarter => Civil::new(civil.year, (civil.month - 1) / 3 * 3 + 1, 1).days(),
        Unit::Year => Civil::new(civil.year, 1, 1).days(),
        Unit::Decade => Civil::new(civil.year.div_euclid(10) * 10, 1, 1).days(),
        Unit::Century => Civil::new(first_of(100), 1, 1).days(),
        Unit::Millennium => Civil::new(first_of(1000), 1, 1).days(),
        _ => days,
    };
    timestamp_in_range(i128::from(day) * i128::from(DAY_MICROS))
        .ok_or_else(|| out_of_range("timestamp"))
}

#[cfg(test)]
mod tests {
    use super::{Civil, date_trunc, extract, time_zone};
    use crate::base::Result;
    use crate::types::{Datum, Format, Type, text_in, text_out};

    fn shown(ty: Type, result: Result<Datum>, format: &Format) -> String {
        match result {
            Ok(Datum::Null) => "null".to_owned(),
            Ok(value) => {
                let mut out = Vec::new();
                text_out(ty, &value, format, &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(error) => format!("{} {}", error.sqlstate(), error.report().message),
        }
    }

    fn part(field: &str, ty: Type, text: &str) -> String {
        let format = Format {
            time_zone: time_zone("Asia/Kolkata").unwrap(),
            ..Format::default()
        };
        let value = text_in(ty, -1, text, &format).unwrap();
        shown(Type::Numeric, extract(field, ty, &value, &format), &format)
    }

    #[test]
    fn the_calendar_counts_every_day_once() {
        let mut expected = Civil::from_days(-800_000);
        for days in -800_000..800_000 {
            let civil = Civil::from_days(days);
            assert_eq!(civil, expected);
            assert_eq!(civil.days(), days);
            expected.day += 1;
            if expected.day > super::days_in_month(expected.year, expected.month) {
                expected.day = 1;
                expected.month += 1;
            }
            if expected.month > 12 {
                expected.month = 1;
                expected.year += 1;
            }
        }
        assert_eq!(Civil::new(2000, 1, 1).days(), 0);
    }

    #[test]
    fn parts_have_postgresqls_scale() {
        let ts = "2024-02-29 13:14:15.123456";
        for (field, value) in [
            ("second", "15.123456"),
            ("milliseconds", "15123.456"),
            ("microseconds", "15123456"),
            ("epoch", "1709212455.123456"),
            ("julian", "2460370.55156392888888888889"),
            ("week", "9"),
            ("doy", "60"),
            ("isodow", "4"),
            ("century", "21"),
            ("hour", "13"),
        ] {
            assert_eq!(part(field, Type::Timestamp, ts), value, "{field}");
        }
        assert_eq!(part("timezone", Type::Timestamptz, ts), "19800");
        assert_eq!(part("timezone_minute", Type::Timestamptz, ts), "30");
        assert_eq!(part("epoch", Type::Date, "2024-02-29"), "1709164800");
        assert_eq!(part("century", Type::Date, "0001-01-01 BC"), "-1");
        assert_eq!(part("year", Type::Timestamp, "-infinity"), "-Infinity");
        assert_eq!(part("day", Type::Timestamp, "infinity"), "null");
        assert_eq!(
            part("hour", Type::Date, "2024-02-29"),
            "0A000 unit \"hour\" not supported for type date"
        );
        assert_eq!(
            part("foo", Type::Timestamp, ts),
            "22023 unit \"foo\" not recognized for type timestamp without time zone"
        );
    }

    #[test]
    fn truncation_follows_the_clock_of_the_zone() {
        let format = Format {
            time_zone: time_zone("America/New_York").unwrap(),
            ..Format::default()
        };
        let trunc = |unit, ty, text| {
            let value = text_in(ty, -1, text, &format).unwrap();
            shown(ty, date_trunc(unit, ty, &value, &format), &format)
        };
        let tz = Type::Timestamptz;
        assert_eq!(
            trunc("day", tz, "2024-03-10 12:00"),
            "2024-03-10 00:00:00-05"
        );
        assert_eq!(
            trunc("hour", tz, "2024-03-10 12:34"),
            "2024-03-10 12:00:00-04"
        );
        let ts = Type::Timestamp;
        assert_eq!(trunc("week", ts, "2024-03-10"), "2024-03-04 00:00:00");
        assert_eq!(trunc("century", ts, "2000-12-31"), "1901-01-01 00:00:00");
        assert_eq!(trunc("decade", ts, "1999-12-31"), "1990-01-01 00:00:00");
        assert_eq!(trunc("foo", ts, "infinity"), "infinity");
        assert_eq!(
            trunc("dow", ts, "2024-01-01"),
            "22023 unit \"dow\" not recognized for type timestamp without time zone"
        );
    }
}
