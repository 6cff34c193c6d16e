//! How a session writes and reads values.

/// Settings that steer text forms, and the transaction's time.
#[derive(Clone, Debug)]
pub struct Format {
    pub time_zone: jiff::tz::TimeZone,
    pub date_order: DateOrder,
    pub extra_float_digits: i32,
    pub bytea_output: ByteaOutput,
    /// Start of the transaction: microseconds since 2000-01-01 UTC (`now`, `today`).
    pub now: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteaOutput {
    Hex,
    Escape,
}

impl Default for Format {
    fn default() -> Format {
        Format {
            time_zone: jiff::tz::TimeZone::UTC,
            date_order: DateOrder::Mdy,
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            now: 0,
        }
    }
}
