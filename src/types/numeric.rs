//! Exact numbers.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, BigUint, Sign};
use bigdecimal::num_traits::{Signed, ToPrimitive, Zero};

use crate::base::{Error, Result, SqlState};

/// PostgreSQL's numeric: a big decimal with a display scale, or one of three special values.
///
/// It is ordered as PostgreSQL orders it: NaN equals itself and is greater than everything,
/// and numbers that differ only in scale are equal.
#[derive(Clone, Debug)]
pub enum Numeric {
    NaN,
    NegInfinity,
    PosInfinity,
    /// The scale of the decimal (digits after the point, kept as written: `1.50` has 2) is
    /// PostgreSQL's display scale; never negative.
    Finite(BigDecimal),
}

/// PostgreSQL's NUMERIC_DSCALE_MAX: digits after the point.
const SCALE_MAX: i64 = 16383;
/// Digits before the point: NUMERIC_WEIGHT_MAX + 1 groups of four.
const INTEGER_DIGITS_MAX: i64 = 131_072;
/// Results of division and of transcendental functions have at least so many significant digits.
pub(super) const MIN_SIG_DIGITS: i64 = 16;
/// … and at most so many after the point.
pub(super) const MAX_DISPLAY_SCALE: i64 = 1000;
/// The most digits after the point that round and trunc are asked for.
const MAX_RESULT_SCALE: i64 = 16_383;

impl Numeric {
    /// The decimal `digits` × 10^-`scale`; 22003 when it is beyond PostgreSQL's limits.
    pub(super) fn new(digits: BigInt, scale: i64) -> Result<Numeric> {
        debug_assert!(scale >= 0, "a display scale is not negative");
        // Fewer than 400 000 bits are fewer than 131 072 digits: no need to count them.
        let too_long = digits.bits() > 400_000 && digit_count(&digits) - scale > INTEGER_DIGITS_MAX;
        if too_long || scale > SCALE_MAX {
            return Err(overflow());
        }
        Ok(Numeric::Finite(BigDecimal::new(digits, scale)))
    }

    pub fn zero() -> Numeric {
        Numeric::from_i64(0)
    }

    pub fn from_i64(value: i64) -> Numeric {
        Numeric::Finite(BigDecimal::new(BigInt::from(value), 0))
    }

    pub fn from_i128(value: i128) -> Numeric {
        Numeric::Finite(BigDecimal::new(BigInt::from(value), 0))
    }

    /// `value` × 10^-`scale`, as `extract` builds seconds from microseconds.
    pub fn from_scaled(value: i128, scale: u32) -> Numeric {
        Numeric::Finite(BigDecimal::new(BigInt::from(value), i64::from(scale)))
    }

    /// As PostgreSQL casts double precision: 15 significant digits.
    pub fn from_f64(value: f64) -> Numeric {
        Numeric::from_float(value, 15)
    }

    /// As PostgreSQL casts real: 6 significant digits.
    pub fn from_f32(value: f32) -> Numeric {
        Numeric::from_float(f64::from(value), 6)
    }

    fn from_float(value: f64, significant: usize) -> Numeric {
        if value.is_nan() {
            return Numeric::NaN;
        }
        if value.is_infinite() {
            return if value > 0.0 {
                Numeric::PosInfinity
            } else {
                Numeric::NegInfinity
            };
        }
        let text = format!("{value:.*e}", significant - 1);
        let (mantissa, exponent) = text.split_once('e').expect("{:e} writes an exponent");
        let exponent: i64 = exponent.parse().expect("{:e} writes a number as exponent");
        let mut digits: i64 = mantissa
            .replace('.', "")
            .parse()
            .expect("{:e} writes digits, 15 at most");
        let mut scale = significant as i64 - 1 - exponent;
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        if digits == 0 {
            scale = 0;
        }
        let mut digits = BigInt::from(digits);
        if scale < 0 {
            digits *= pow10(-scale);
            scale = 0;
        }
        Numeric::Finite(BigDecimal::new(digits, scale))
    }

    /// Parses PostgreSQL's input: decimal or scientific notation, `NaN`, `inf`, `infinity`, with
    /// white space around.
    pub fn parse(text: &str) -> Result<Numeric> {
        let bad = || {
            Error::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            )
        };
        let trimmed = text.trim_matches(super::text::is_space);
        let (negative, unsigned) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        match unsigned.as_bytes().first() {
            Some(b'0'..=b'9' | b'.') => parse_digits(negative, unsigned, bad),
            _ if trimmed.eq_ignore_ascii_case("nan") => Ok(Numeric::NaN),
            _ if unsigned.eq_ignore_ascii_case("inf")
                || unsigned.eq_ignore_ascii_case("infinity") =>
            {
                Ok(if negative {
                    Numeric::NegInfinity
                } else {
                    Numeric::PosInfinity
                })
            }
            _ => Err(bad()),
        }
    }

    /// Appends the text that `Display` writes.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let decimal = match self {
            Numeric::NaN => return out.extend_from_slice(b"NaN"),
            Numeric::NegInfinity => return out.extend_from_slice(b"-Infinity"),
            Numeric::PosInfinity => return out.extend_from_slice(b"Infinity"),
            Numeric::Finite(decimal) => decimal,
        };
        let (digits, scale) = parts(decimal);
        let scale = usize::try_from(scale).unwrap_or(0);
        if digits.is_negative() {
            out.push(b'-');
        }
        let start = out.len();
        match digits.magnitude().to_u64() {
            Some(small) => super::text::write_u64(small, out),
            None => out.extend_from_slice(digits.magnitude().to_str_radix(10).as_bytes()),
        }
        if scale > 0 {
            let len = out.len() - start;
            if len <= scale {
                let zeros = scale + 1 - len;
                out.splice(start..start, std::iter::repeat_n(b'0', zeros));
            }
            out.insert(out.len() - scale, b'.');
        }
    }

    /// The nearest integer, halves away from zero; `None` when it does not fit or is special.
    pub fn to_i64(&self) -> Option<i64> {
        self.to_i128()?.try_into().ok()
    }

    /// As [`Numeric::to_i64`].
    pub fn to_i128(&self) -> Option<i128> {
        let Numeric::Finite(decimal) = self else {
            return None;
        };
        let (digits, scale) = parts(decimal);
        if scale == 0 {
            return digits.to_i128();
        }
        rescale(&digits, scale, 0).to_i128()
    }

    /// The nearest double; infinite also for a finite number beyond its range.
    pub fn to_f64(&self) -> f64 {
        let decimal = match self {
            Numeric::NaN => return f64::NAN,
            Numeric::NegInfinity => return f64::NEG_INFINITY,
            Numeric::PosInfinity => return f64::INFINITY,
            Numeric::Finite(decimal) => decimal,
        };
        let (digits, scale) = parts(decimal);
        // Both operands are exact doubles, so the quotient is correctly rounded.
        let small = digits.to_i64().filter(|n| n.unsigned_abs() < 1 << 53);
        if let (Some(digits), Ok(scale @ 0..=22)) = (small, i32::try_from(scale)) {
            return digits as f64 / 10f64.powi(scale);
        }
        format!("{digits}e-{scale}")
            .parse()
            .expect("digits and an exponent are a float")
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, Numeric::NaN)
    }

    pub fn is_finite(&self) -> bool {
        matches!(self, Numeric::Finite(_))
    }

    /// Digits after the point as displayed; `None` for the special values.
    pub fn scale(&self) -> Option<i32> {
        match self {
            Numeric::Finite(decimal) => i32::try_from(decimal.fractional_digit_count()).ok(),
            _ => None,
        }
    }

    /// -1, 0 or 1; `None` for NaN.
    pub(super) fn signum(&self) -> Option<i32> {
        match self {
            Numeric::NaN => None,
            Numeric::NegInfinity => Some(-1),
            Numeric::PosInfinity => Some(1),
            Numeric::Finite(decimal) => Some(match decimal.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            }),
        }
    }

    /// PostgreSQL's `sign`: -1, 0, 1 or NaN.
    pub fn sign(&self) -> Numeric {
        self.signum()
            .map_or(Numeric::NaN, |sign| Numeric::from_i64(i64::from(sign)))
    }

    pub fn neg(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            Numeric::NegInfinity => Numeric::PosInfinity,
            Numeric::PosInfinity => Numeric::NegInfinity,
            Numeric::Finite(decimal) => Numeric::Finite(-decimal),
        }
    }

    pub fn abs(&self) -> Numeric {
        match self {
            Numeric::NegInfinity => Numeric::PosInfinity,
            Numeric::Finite(decimal) => Numeric::Finite(decimal.abs()),
            other => other.clone(),
        }
    }

    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return Ok(match (self.signum(), other.signum()) {
                (Some(_), Some(_)) if !self.is_finite() && !other.is_finite() => {
                    match self.cmp(other) {
                        Ordering::Equal => self.clone(),
                        _ => Numeric::NaN,
                    }
                }
                (Some(_), Some(_)) if self.is_finite() => other.clone(),
                (Some(_), Some(_)) => self.clone(),
                _ => Numeric::NaN,
            });
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        let scale = a_scale.max(b_scale);
        let sum = &*rescaled(a, a_scale, scale) + &*rescaled(b, b_scale, scale);
        Numeric::new(sum, scale)
    }

    /// Adds in place: what an aggregate does for each row.
    pub fn add_assign(&mut self, other: &Numeric) -> Result<()> {
        *self = self.add(other)?;
        Ok(())
    }

    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        self.add(&other.neg())
    }

    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return Ok(match (self.signum(), other.signum()) {
                (Some(a), Some(b)) => infinity(a * b),
                _ => Numeric::NaN,
            });
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        let product = &*a * &*b;
        let scale = a_scale + b_scale;
        if scale > SCALE_MAX {
            return Numeric::new(rescale(&product, scale, SCALE_MAX), SCALE_MAX);
        }
        Numeric::new(product, scale)
    }

    /// The quotient with the scale that PostgreSQL gives it.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        match self.special_quotient(other)? {
            Some(result) => Ok(result),
            None => self.div_to(other, div_scale(self, other)),
        }
    }

    /// PostgreSQL's `div`: the quotient cut to an integer.
    pub fn div_trunc(&self, other: &Numeric) -> Result<Numeric> {
        if let Some(result) = self.special_quotient(other)? {
            return Ok(result);
        }
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return Ok(Numeric::NaN);
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        let scale = a_scale.max(b_scale);
        let quotient = &*rescaled(a, a_scale, scale) / &*rescaled(b, b_scale, scale);
        Numeric::new(quotient, 0)
    }

    /// The quotient when an operand is special; an error when the divisor is zero.
    fn special_quotient(&self, other: &Numeric) -> Result<Option<Numeric>> {
        Ok(match (self.signum(), other.signum()) {
            (None, _) | (_, None) => Some(Numeric::NaN),
            (_, Some(0)) => return Err(division_by_zero()),
            (Some(a), Some(b)) => match (self.is_finite(), other.is_finite()) {
                (true, true) => None,
                (false, false) => Some(Numeric::NaN),
                (false, true) => Some(infinity(a * b)),
                (true, false) => Some(Numeric::zero()),
            },
        })
    }

    /// The quotient of two finite numbers at a scale, halves away from zero.
    pub(super) fn div_to(&self, other: &Numeric, scale: i64) -> Result<Numeric> {
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return Ok(Numeric::NaN);
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        let shift = scale - a_scale + b_scale;
        let quotient = if shift >= 0 {
            div_round(&(&*a * pow10(shift)), &b)
        } else {
            div_round(&a, &(&*b * pow10(-shift)))
        };
        Numeric::new(quotient, scale)
    }

    /// The remainder, with the sign of the dividend.
    pub fn rem(&self, other: &Numeric) -> Result<Numeric> {
        match (self.signum(), other.signum()) {
            (None, _) | (_, None) => return Ok(Numeric::NaN),
            (_, Some(0)) => return Err(division_by_zero()),
            _ => {}
        }
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return Ok(if self.is_finite() {
                self.clone()
            } else {
                Numeric::NaN
            });
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        let scale = a_scale.max(b_scale);
        Numeric::new(
            &*rescaled(a, a_scale, scale) % &*rescaled(b, b_scale, scale),
            scale,
        )
    }

    /// PostgreSQL's `round`: halves away from zero; a negative scale rounds before the point.
    pub fn round(&self, scale: i32) -> Result<Numeric> {
        self.to_scale(scale, rescale)
    }

    /// PostgreSQL's `trunc`: towards zero.
    pub fn trunc(&self, scale: i32) -> Result<Numeric> {
        self.to_scale(scale, |digits, from, to| {
            if to >= from {
                digits * pow10(to - from)
            } else {
                digits / pow10(from - to)
            }
        })
    }

    fn to_scale(
        &self,
        scale: i32,
        rescale: impl Fn(&BigInt, i64, i64) -> BigInt,
    ) -> Result<Numeric> {
        let Numeric::Finite(decimal) = self else {
            return Ok(self.clone());
        };
        let to = i64::from(scale).clamp(-INTEGER_DIGITS_MAX, MAX_RESULT_SCALE);
        let (digits, from) = parts(decimal);
        let cut = rescale(&digits, from, to);
        if to < 0 {
            return Numeric::new(cut * pow10(-to), 0);
        }
        Numeric::new(cut, to)
    }

    pub fn ceil(&self) -> Numeric {
        self.neg().floor().neg()
    }

    pub fn floor(&self) -> Numeric {
        let Numeric::Finite(decimal) = self else {
            return self.clone();
        };
        let (digits, scale) = parts(decimal);
        let unit = pow10(scale);
        let mut floor = &*digits / &unit;
        if digits.is_negative() && !(&*digits % &unit).is_zero() {
            floor -= 1;
        }
        Numeric::Finite(BigDecimal::new(floor, 0))
    }

    /// Without trailing zeros after the point (`trim_scale`).
    pub fn trim_scale(&self) -> Numeric {
        let Numeric::Finite(decimal) = self else {
            return self.clone();
        };
        let (digits, mut scale) = parts(decimal);
        let mut digits = digits.into_owned();
        let ten = BigInt::from(10);
        while scale > 0 && (&digits % &ten).is_zero() {
            digits /= &ten;
            scale -= 1;
        }
        Numeric::Finite(BigDecimal::new(digits, scale))
    }

    /// The number is finite and has no fraction.
    pub(super) fn is_integer(&self) -> bool {
        match self {
            Numeric::Finite(decimal) => {
                let (digits, scale) = parts(decimal);
                scale == 0 || (&*digits % pow10(scale)).is_zero()
            }
            _ => false,
        }
    }
}

fn parse_digits(negative: bool, text: &str, bad: impl Fn() -> Error) -> Result<Numeric> {
    let bytes = text.as_bytes();
    let mut small = 0u64;
    let mut count = 0;
    let mut scale = 0i64;
    let mut seen_point = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => {
                small = small.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                count += 1;
                scale += i64::from(seen_point);
            }
            b'.' if !seen_point => seen_point = true,
            _ => break,
        }
        at += 1;
    }
    if count == 0 {
        return Err(bad());
    }
    let magnitude = if count <= 19 {
        BigUint::from(small)
    } else {
        let digits: Vec<u8> = bytes[..at].iter().copied().filter(|b| *b != b'.').collect();
        BigUint::parse_bytes(&digits, 10).ok_or_else(&bad)?
    };
    let exponent = match bytes.get(at) {
        None => 0,
        Some(b'e' | b'E') => parse_exponent(&bytes[at + 1..]).ok_or_else(&bad)?,
        Some(_) => return Err(bad()),
    };
    if exponent.abs() >= i64::from(i32::MAX / 2) {
        return Err(overflow());
    }
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    let mut digits = BigInt::from_biguint(sign, magnitude);
    scale -= exponent;
    if digits.is_zero() {
        return Numeric::new(digits, scale.max(0));
    }
    if digit_count(&digits) - scale > INTEGER_DIGITS_MAX {
        return Err(overflow());
    }
    if scale < 0 {
        digits *= pow10(-scale);
        scale = 0;
    }
    Numeric::new(digits, scale)
}

/// `None` for a syntax error; a number too large for an i64 is as good as any other too large.
fn parse_exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -value } else { value })
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write_to(&mut text);
        f.pad(&String::from_utf8_lossy(&text))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        let rank = |n: &Numeric| match n {
            Numeric::NegInfinity => 0,
            Numeric::Finite(_) => 1,
            Numeric::PosInfinity => 2,
            Numeric::NaN => 3,
        };
        let (Numeric::Finite(a), Numeric::Finite(b)) = (self, other) else {
            return rank(self).cmp(&rank(other));
        };
        let (a, a_scale) = parts(a);
        let (b, b_scale) = parts(b);
        match a.sign().cmp(&b.sign()) {
            Ordering::Equal if a_scale == b_scale => a.cmp(&b),
            Ordering::Equal => {
                let scale = a_scale.max(b_scale);
                rescaled(a, a_scale, scale).cmp(&rescaled(b, b_scale, scale))
            }
            different => different,
        }
    }
}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let decimal = match self {
            Numeric::NaN => return state.write_u8(0),
            Numeric::NegInfinity => return state.write_u8(1),
            Numeric::PosInfinity => return state.write_u8(2),
            Numeric::Finite(decimal) => decimal,
        };
        let (digits, mut scale) = parts(decimal);
        if let Some(mut small) = digits.to_i128() {
            while small != 0 && small % 10 == 0 {
                small /= 10;
                scale -= 1;
            }
            if small == 0 {
                scale = 0;
            }
            small.hash(state);
        } else {
            // The text without trailing zeros is the same for every scale of one number. Where it
            // fits an i128, that number was hashed above at another scale: write the same.
            let text = digits.to_str_radix(10);
            let trimmed = text.trim_end_matches('0');
            scale -= (text.len() - trimmed.len()) as i64;
            match trimmed.parse::<i128>() {
                Ok(small) => small.hash(state),
                Err(_) => trimmed.hash(state),
            }
        }
        scale.hash(state);
    }
}

/// PostgreSQL's choice of the scale of a quotient: at least [`MIN_SIG_DIGITS`] significant digits,
/// estimated from the first base-10000 digit of both operands, and no less than their scales.
fn div_scale(a: &Numeric, b: &Numeric) -> i64 {
    let (a_weight, a_first) = first_group(a);
    let (b_weight, b_first) = first_group(b);
    let weight = a_weight - b_weight - i64::from(a_first <= b_first);
    (MIN_SIG_DIGITS - weight * 4)
        .max(scale_of(a))
        .max(scale_of(b))
        .clamp(0, MAX_DISPLAY_SCALE)
}

/// The display scale, 0 for special values.
pub(super) fn scale_of(n: &Numeric) -> i64 {
    n.scale().map_or(0, i64::from)
}

/// Position and value of the first digit in base 10000, as PostgreSQL stores numbers; zeros for 0.
fn first_group(n: &Numeric) -> (i64, u64) {
    let (weight, group) = leading_groups(n, 1);
    (weight, group)
}

/// The weight of the first base-10000 digit and the value of the first `count` (at most 4) such
/// digits read as one number.
pub(super) fn leading_groups(n: &Numeric, count: i64) -> (i64, u64) {
    let Numeric::Finite(decimal) = n else {
        return (0, 0);
    };
    let (digits, scale) = parts(decimal);
    if digits.is_zero() {
        return (0, 0);
    }
    let len = digit_count(&digits);
    let weight = (len - 1 - scale).div_euclid(4);
    // How many decimal digits the wanted groups hold: the first one may have fewer than 4.
    let wanted = (len - 1 - scale) - weight * 4 + 1 + (count - 1) * 4;
    let magnitude = digits.abs();
    let group = if len >= wanted {
        magnitude / pow10(len - wanted)
    } else {
        magnitude * pow10(wanted - len)
    };
    (weight, group.to_u64().unwrap_or(u64::MAX))
}

pub(super) fn parts(decimal: &BigDecimal) -> (Cow<'_, BigInt>, i64) {
    decimal.as_bigint_and_scale()
}

/// Decimal digits of the magnitude; 1 for zero.
pub(super) fn digit_count(n: &BigInt) -> i64 {
    if let Some(small) = n.magnitude().to_u128() {
        return i64::from(small.checked_ilog10().unwrap_or(0)) + 1;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an estimate of a length in memory"
    )]
    let estimate = (n.bits() as f64 * std::f64::consts::LOG10_2) as i64;
    // The estimate is the count or one less.
    estimate + i64::from(n.magnitude() >= pow10(estimate).magnitude())
}

pub(super) fn pow10(exponent: i64) -> BigInt {
    let exponent = u32::try_from(exponent).expect("a power of ten that fits in memory");
    match 10u64.checked_pow(exponent) {
        Some(small) => BigInt::from(small),
        None => BigInt::from(10).pow(exponent),
    }
}

/// The quotient rounded to an integer, halves away from zero.
pub(super) fn div_round(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    let remainder: BigInt = a - &quotient * b;
    let twice: BigInt = remainder.abs() << 1;
    if twice >= b.abs() {
        match a.is_negative() == b.is_negative() {
            true => quotient + 1,
            false => quotient - 1,
        }
    } else {
        quotient
    }
}

/// The digits of the same number at another scale, halves away from zero.
pub(super) fn rescale(digits: &BigInt, from: i64, to: i64) -> BigInt {
    match to.cmp(&from) {
        Ordering::Equal => digits.clone(),
        Ordering::Greater => digits * pow10(to - from),
        Ordering::Less => div_round(digits, &pow10(from - to)),
    }
}

fn rescaled(digits: Cow<'_, BigInt>, from: i64, to: i64) -> Cow<'_, BigInt> {
    if from == to {
        return digits;
    }
    Cow::Owned(rescale(&digits, from, to))
}

/// The infinity of this sign; NaN (zero times infinity) for 0.
fn infinity(sign: i32) -> Numeric {
    match sign {
        0 => Numeric::NaN,
        1.. => Numeric::PosInfinity,
        _ => Numeric::NegInfinity,
    }
}

pub(super) fn overflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

pub(super) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

#[cfg(test)]
mod tests {
    use super::Numeric;
    use crate::base::Result;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    /// Applies an operation to two texts.
    fn op(f: fn(&Numeric, &Numeric) -> Result<Numeric>, a: &str, b: &str) -> String {
        match f(&n(a), &n(b)) {
            Ok(result) => result.to_string(),
            Err(error) => error.report().message,
        }
    }

    #[test]
    fn texts_keep_their_scale() {
        for (input, output) in [
            (" 1.50 ", "1.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0.00", "0.00"),
            ("1.5e3", "1500"),
            ("12e-3", "0.012"),
            ("00012.500", "12.500"),
            ("-inf", "-Infinity"),
            (
                "123456789012345678901234567890.12",
                "123456789012345678901234567890.12",
            ),
        ] {
            assert_eq!(n(input).to_string(), output);
        }
        for wrong in ["", ".", "1.2.3", "1e", "1_0", "0x10", "-NaN", "1 2"] {
            let report = Numeric::parse(wrong).unwrap_err().report();
            assert_eq!(
                report.message,
                format!("invalid input syntax for type numeric: \"{wrong}\"")
            );
        }
        assert!(Numeric::parse("1e131071").is_ok());
        for wrong in ["1e131072", "1e-16384", "1e99999999999"] {
            let report = Numeric::parse(wrong).unwrap_err().report();
            assert_eq!(report.message, "value overflows numeric format");
        }
    }

    #[test]
    fn quotients_have_postgresqls_scale() {
        for (a, b, quotient) in [
            ("1", "3", "0.33333333333333333333"),
            ("10", "3", "3.3333333333333333"),
            ("2", "3", "0.66666666666666666667"),
            ("100000", "3", "33333.333333333333"),
            ("1.00", "0.0003", "3333.3333333333333333"),
            ("0", "5", "0.00000000000000000000"),
            ("-7", "2", "-3.5000000000000000"),
            ("1", "0", "division by zero"),
            ("NaN", "0", "NaN"),
            ("Infinity", "-2", "-Infinity"),
            ("1", "Infinity", "0"),
        ] {
            assert_eq!(op(Numeric::div, a, b), quotient, "{a} / {b}");
        }
    }

    #[test]
    fn sums_products_and_remainders_have_postgresqls_scale() {
        assert_eq!(op(Numeric::add, "1.50", "2.25000"), "3.75000");
        assert_eq!(op(Numeric::sub, "1", "1.000"), "0.000");
        assert_eq!(op(Numeric::add, "Infinity", "-Infinity"), "NaN");
        assert_eq!(op(Numeric::mul, "1.50", "-2.0"), "-3.000");
        assert_eq!(op(Numeric::mul, "0", "Infinity"), "NaN");
        assert_eq!(op(Numeric::rem, "-7.5", "2"), "-1.5");
        assert_eq!(op(Numeric::rem, "5", "Infinity"), "5");
        assert_eq!(op(Numeric::div_trunc, "-7.5", "2"), "-3");
        assert_eq!(
            op(Numeric::mul, "1e100000", "1e100000"),
            "value overflows numeric format"
        );
    }

    #[test]
    fn rounding_is_away_from_zero() {
        assert_eq!(n("2.5").round(0).unwrap().to_string(), "3");
        assert_eq!(n("-2.5").round(0).unwrap().to_string(), "-3");
        assert_eq!(n("155").round(-1).unwrap().to_string(), "160");
        assert_eq!(n("1.5").round(3).unwrap().to_string(), "1.500");
        assert_eq!(n("-1.59").trunc(1).unwrap().to_string(), "-1.5");
        assert_eq!(n("-1.5").floor().to_string(), "-2");
        assert_eq!(n("-1.5").ceil().to_string(), "-1");
        assert_eq!(n("-0.5").to_i64(), Some(-1));
        assert_eq!(n("9223372036854775807.5").to_i64(), None);
        assert_eq!(n("1.500").trim_scale().to_string(), "1.5");
    }

    #[test]
    fn floats_become_numerics_of_fifteen_or_six_digits() {
        assert_eq!(Numeric::from_f64(0.1).to_string(), "0.1");
        assert_eq!(Numeric::from_f64(1e20).to_string(), "100000000000000000000");
        assert_eq!(
            Numeric::from_f64(1_234_567.123_456_789).to_string(),
            "1234567.12345679"
        );
        assert_eq!(Numeric::from_f32(0.1).to_string(), "0.1");
        assert_eq!(Numeric::from_f32(16777216.0).to_string(), "16777200");
        assert_eq!(
            Numeric::from_f64(f64::NEG_INFINITY).to_string(),
            "-Infinity"
        );
        assert_eq!(n("0.1").to_f64(), 0.1);
        assert_eq!(n("1e400").to_f64(), f64::INFINITY);
    }
}
