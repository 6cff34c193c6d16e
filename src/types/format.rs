//! The session settings that the text forms of values depend on.

use jiff::tz::TimeZone;

/// How values are written and read in a session. Dates are always written in ISO style.
#[derive(Clone, Debug)]
pub struct Format {
    pub time_zone: TimeZone,
    pub date_order: DateOrder,
    /// 1 or more: the shortest text that reads back as the same float; 0 or less: that many
    /// digits more than the type always keeps (15 and 6).
    pub extra_float_digits: i32,
    pub bytea_output: ByteaOutput,
    /// When the transaction began, in microseconds since 2000-01-01 UTC: what 'now' and 'today'
    /// mean.
    pub now: i64,
    /// When the statement's message came.
    pub statement_start: i64,
}

/// How `1/2/2003` is read (the second part of DateStyle).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

impl Default for Format {
    fn default() -> Format {
        Format {
            time_zone: TimeZone::UTC,
            date_order: DateOrder::default(),
            extra_float_digits: 1,
            bytea_output: ByteaOutput::default(),
            now: 0,
            statement_start: 0,
        }
    }
}
