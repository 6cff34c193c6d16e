//! Exact numbers.

/// PostgreSQL's numeric: a big decimal with a display scale, or one of three special values.
#[derive(Clone, Debug)]
pub enum Numeric {
    NaN,
    NegInfinity,
    PosInfinity,
    /// The scale of the decimal (digits after the point, kept as written: `1.50` has 2) is
    /// PostgreSQL's display scale; never negative.
    Finite(bigdecimal::BigDecimal),
}
