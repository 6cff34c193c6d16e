//! Time zones by name, and offsets of moments that jiff's calendar (years -9999 to 9999) may not
//! reach.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::base::{Error, Result, SqlState};
use crate::types::datetime::SECOND_MICROS;

/// Seconds from 1970 to 2000.
pub(super) const UNIX_TO_2000: i64 = 946_684_800;
/// The calendar and the rules of every zone repeat after 400 years of this many seconds.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// The moments that jiff can convert in every zone, with a day to spare.
const JIFF_SECONDS_MIN: i64 = -377_705_023_201 + 86_400;
const JIFF_SECONDS_MAX: i64 = 253_402_207_200 - 86_400;

/// Abbreviations with their offset from UTC in seconds (PostgreSQL's "Default" set).
static FIXED: &[(&str, i32)] = &[
    ("acdt", 37_800),
    ("acsst", 37_800),
    ("acst", 34_200),
    ("act", -18_000),
    ("acwst", 31_500),
    ("adt", -10_800),
    ("aedt", 39_600),
    ("aesst", 39_600),
    ("aest", 36_000),
    ("aft", 16_200),
    ("akdt", -28_800),
    ("akst", -32_400),
    ("almst", 25_200),
    ("almt", 21_600),
    ("amt", -14_400),
    ("ast", -14_400),
    ("awsst", 32_400),
    ("awst", 28_800),
    ("azost", 0),
    ("azot", -3_600),
    ("bdst", 7_200),
    ("bdt", 21_600),
    ("bnt", 28_800),
    ("bort", 28_800),
    ("bot", -14_400),
    ("bra", -10_800),
    ("brst", -7_200),
    ("brt", -10_800),
    ("bst", 3_600),
    ("btt", 21_600),
    ("cadt", 37_800),
    ("cast", 34_200),
    ("cct", 28_800),
    ("cdt", -18_000),
    ("cest", 7_200),
    ("cet", 3_600),
    ("cetdst", 7_200),
    ("chadt", 49_500),
    ("chast", 45_900),
    ("chut", 36_000),
    ("clst", -10_800),
    ("cot", -18_000),
    ("cst", -21_600),
    ("cxt", 25_200),
    ("ddut", 36_000),
    ("eat", 10_800),
    ("edt", -14_400),
    ("eest", 10_800),
    ("eet", 7_200),
    ("eetdst", 10_800),
    ("egst", 0),
    ("egt", -3_600),
    ("est", -18_000),
    ("fet", 10_800),
    ("fjst", 46_800),
    ("fjt", 43_200),
    ("fnst", -3_600),
    ("fnt", -7_200),
    ("galt", -21_600),
    ("gamt", -32_400),
    ("gft", -10_800),
    ("gilt", 43_200),
    ("gmt", 0),
    ("hkt", 28_800),
    ("hst", -36_000),
    ("ict", 25_200),
    ("idt", 10_800),
    ("irt", 12_600),
    ("ist", 7_200),
    ("jayt", 32_400),
    ("jst", 32_400),
    ("kdt", 36_000),
    ("kgst", 21_600),
    ("kst", 32_400),
    ("lhst", 37_800),
    ("ligt", 36_000),
    ("mart", -34_200),
    ("mdt", -21_600),
    ("mest", 7_200),
    ("mesz", 7_200),
    ("met", 3_600),
    ("metdst", 7_200),
    ("mez", 3_600),
    ("mht", 43_200),
    ("mmt", 23_400),
    ("mpt", 36_000),
    ("msd", 14_400),
    ("mst", -25_200),
    ("must", 18_000),
    ("mut", 14_400),
    ("mvt", 18_000),
    ("myt", 28_800),
    ("ndt", -9_000),
    ("nft", -12_600),
    ("npt", 20_700),
    ("nst", -12_600),
    ("nzdt", 46_800),
    ("nzst", 43_200),
    ("nzt", 43_200),
    ("pdt", -25_200),
    ("pet", -18_000),
    ("pgt", 36_000),
    ("pht", 28_800),
    ("pkst", 21_600),
    ("pkt", 18_000),
    ("pmdt", -7_200),
    ("pmst", -10_800),
    ("pont", 39_600),
    ("pst", -28_800),
    ("pwt", 32_400),
    ("pyst", -10_800),
    ("ret", 14_400),
    ("sadt", 37_800),
    ("sast", 7_200),
    ("sct", 14_400),
    ("taht", -36_000),
    ("tft", 18_000),
    ("tjt", 18_000),
    ("tot", 46_800),
    ("trut", 36_000),
    ("tvt", 43_200),
    ("uct", 0),
    ("ulast", 32_400),
    ("ut", 0),
    ("utc", 0),
    ("uyst", -7_200),
    ("uyt", -10_800),
    ("uzst", 21_600),
    ("uzt", 18_000),
    ("vut", 39_600),
    ("wadt", 28_800),
    ("wakt", 43_200),
    ("wast", 25_200),
    ("wat", 3_600),
    ("wdt", 32_400),
    ("wet", 0),
    ("wetdst", 3_600),
    ("wft", 43_200),
    ("wgst", -7_200),
    ("wgt", -10_800),
    ("xjt", 21_600),
    ("yapt", 36_000),
    ("yekst", 21_600),
    ("z", 0),
    ("zulu", 0),
];

/// Abbreviations whose offset depends on the history of a zone.
static BY_ZONE: &[(&str, &str)] = &[
    ("amst", "Asia/Yerevan"),
    ("anast", "Asia/Anadyr"),
    ("anat", "Asia/Anadyr"),
    ("arst", "America/Argentina/Buenos_Aires"),
    ("art", "America/Argentina/Buenos_Aires"),
    ("azst", "Asia/Baku"),
    ("azt", "Asia/Baku"),
    ("ckt", "Pacific/Rarotonga"),
    ("clt", "America/Santiago"),
    ("davt", "Antarctica/Davis"),
    ("easst", "Pacific/Easter"),
    ("east", "Pacific/Easter"),
    ("fkst", "Atlantic/Stanley"),
    ("fkt", "Atlantic/Stanley"),
    ("gest", "Asia/Tbilisi"),
    ("get", "Asia/Tbilisi"),
    ("gyt", "America/Guyana"),
    ("iot", "Indian/Chagos"),
    ("irkst", "Asia/Irkutsk"),
    ("irkt", "Asia/Irkutsk"),
    ("kgt", "Asia/Bishkek"),
    ("kost", "Pacific/Kosrae"),
    ("krast", "Asia/Krasnoyarsk"),
    ("krat", "Asia/Krasnoyarsk"),
    ("lhdt", "Australia/Lord_Howe"),
    ("lint", "Pacific/Kiritimati"),
    ("lkt", "Asia/Colombo"),
    ("magst", "Asia/Magadan"),
    ("magt", "Asia/Magadan"),
    ("mawt", "Antarctica/Mawson"),
    ("msk", "Europe/Moscow"),
    ("novst", "Asia/Novosibirsk"),
    ("novt", "Asia/Novosibirsk"),
    ("nut", "Pacific/Niue"),
    ("omsst", "Asia/Omsk"),
    ("omst", "Asia/Omsk"),
    ("petst", "Asia/Kamchatka"),
    ("pett", "Asia/Kamchatka"),
    ("pyt", "America/Asuncion"),
    ("sgt", "Asia/Singapore"),
    ("tkt", "Pacific/Fakaofo"),
    ("tmt", "Asia/Ashgabat"),
    ("ulat", "Asia/Ulaanbaatar"),
    ("vet", "America/Caracas"),
    ("vlast", "Asia/Vladivostok"),
    ("vlat", "Asia/Vladivostok"),
    ("volt", "Europe/Volgograd"),
    ("yakst", "Asia/Yakutsk"),
    ("yakt", "Asia/Yakutsk"),
    ("yekt", "Asia/Yekaterinburg"),
];

/// A time zone as a date's text or AT TIME ZONE names it.
#[derive(Clone, Debug)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Named(TimeZone),
    /// The offset that this zone has under this abbreviation.
    Abbreviation(&'static str, TimeZone),
}

impl Zone {
    /// A zone name or one of PostgreSQL's abbreviations, as AT TIME ZONE takes them; 22023 when it
    /// is neither.
    pub fn from_name(name: &str) -> Result<Zone> {
        match abbreviation(&name.to_ascii_lowercase())? {
            Some(zone) => Ok(zone),
            None => Ok(Zone::Named(time_zone(name)?)),
        }
    }

    /// Seconds east of UTC at a local time (microseconds since 2000-01-01 on the zone's clock).
    pub fn offset_of_local(&self, local: i64) -> i32 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(zone) => offset_of_local(zone, local),
            Zone::Abbreviation(name, zone) => {
                let offset = offset_of_local(zone, local);
                abbreviated_offset(name, zone, local - i64::from(offset) * SECOND_MICROS)
                    .unwrap_or(offset)
            }
        }
    }

    /// Seconds east of UTC at a moment (microseconds since 2000-01-01 UTC).
    pub fn offset_at(&self, micros: i64) -> i32 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(zone) => offset_at(zone, micros),
            Zone::Abbreviation(name, zone) => {
                abbreviated_offset(name, zone, micros).unwrap_or_else(|| offset_at(zone, micros))
            }
        }
    }
}

/// A time zone by its full name or POSIX specification, as SET TimeZone takes it; 22023 when there
/// is none.
pub fn time_zone(name: &str) -> Result<TimeZone> {
    let not_recognized = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("time zone \"{name}\" not recognized"),
        )
    };
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Ok(zone);
    }
    if let Some(zone) = posix_without_dst(name) {
        return Ok(zone);
    }
    if !name.contains(|c: char| c.is_ascii_digit()) {
        return Err(not_recognized());
    }
    TimeZone::posix(&name.to_ascii_uppercase()).map_err(|_| not_recognized())
}

/// `EST5`, `UTC-05:30`, `+03`: an abbreviation, perhaps empty, and hours west of UTC.
fn posix_without_dst(name: &str) -> Option<TimeZone> {
    let offset = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let (is_west, digits) = match offset.strip_prefix('-') {
        Some(digits) => (false, digits),
        None => (true, offset.strip_prefix('+').unwrap_or(offset)),
    };
    let mut seconds = 0;
    for (i, part) in digits.split(':').enumerate() {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let value: i32 = part.parse().ok().filter(|_| is_number)?;
        seconds += match i {
            0 => value * 3600,
            1 if value < 60 => value * 60,
            2 if value < 60 => value,
            _ => return None,
        };
    }
    let offset = Offset::from_seconds(if is_west { -seconds } else { seconds }).ok()?;
    Some(TimeZone::fixed(offset))
}

/// Looks up an abbreviation in lower case.
pub(super) fn abbreviation(name: &str) -> Result<Option<Zone>> {
    if let Ok(at) = FIXED.binary_search_by_key(&name, |entry| entry.0) {
        return Ok(Some(Zone::Fixed(FIXED[at].1)));
    }
    match BY_ZONE.binary_search_by_key(&name, |entry| entry.0) {
        Ok(at) => {
            let (name, zone) = BY_ZONE[at];
            Ok(Some(Zone::Abbreviation(name, time_zone(zone)?)))
        }
        Err(_) => Ok(None),
    }
}

/// Seconds east of UTC at a moment in microseconds since 2000-01-01 UTC.
pub fn offset_at(zone: &TimeZone, micros: i64) -> i32 {
    match zone.to_fixed_offset() {
        Ok(fixed) => fixed.seconds(),
        Err(_) => zone.to_offset(in_reach(micros)).seconds(),
    }
}

/// Seconds east of UTC at a time on the zone's clock (microseconds since 2000-01-01 there).
///
/// A time that a change of the clock skipped counts from before the change, one that occurs twice
/// is the later.
pub fn offset_of_local(zone: &TimeZone, local: i64) -> i32 {
    if let Ok(fixed) = zone.to_fixed_offset() {
        return fixed.seconds();
    }
    let civil = Offset::UTC.to_datetime(in_reach(local));
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
        AmbiguousOffset::Gap { before, .. } => before.seconds(),
        AmbiguousOffset::Fold { after, .. } => after.seconds(),
    }
}

/// The offset that the zone last had under this abbreviation, or else first will have.
fn abbreviated_offset(name: &str, zone: &TimeZone, micros: i64) -> Option<i32> {
    let moment = in_reach(micros);
    let now = zone.to_offset_info(moment);
    if now.abbreviation().eq_ignore_ascii_case(name) {
        return Some(now.offset().seconds());
    }
    // Rules that repeat for ever make endless changes; all abbreviations occur in the first few.
    zone.preceding(moment)
        .chain(zone.following(moment).take(100))
        .find(|change| change.abbreviation().eq_ignore_ascii_case(name))
        .map(|change| change.offset().seconds())
}

/// The same moment for a zone's rules, within jiff's calendar.
fn in_reach(micros: i64) -> Timestamp {
    let mut seconds = micros.div_euclid(SECOND_MICROS) + UNIX_TO_2000;
    if seconds > JIFF_SECONDS_MAX {
        let cycles = (seconds - JIFF_SECONDS_MAX).div_euclid(CYCLE_SECONDS) + 1;
        seconds -= cycles * CYCLE_SECONDS;
    }
    // Before the first change of its clock a zone has one offset.
    Timestamp::from_second(seconds.max(JIFF_SECONDS_MIN)).unwrap_or(Timestamp::MIN)
}
