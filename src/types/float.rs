//! Text forms of real and double precision.

use std::io::Write;

use crate::base::{Error, Result, SqlState};
use crate::types::text::is_space;

/// What the code below needs to know of a float type.
pub(super) trait Float:
    Copy + PartialEq + std::str::FromStr + std::fmt::LowerExp + Into<f64>
{
    const NAME: &'static str;
    /// Digits that survive a trip from text and back (FLT_DIG and DBL_DIG).
    const DIGITS: i32;
    /// Digits that suffice to tell two floats apart.
    const DIGITS_MAX: usize;
    /// The shortest form turns scientific at this exponent.
    const FIXED_MAX: i32;

    fn from_f64(value: f64) -> Self;
    fn is_infinite(self) -> bool;
    /// Mantissa and exponent: the magnitude is m × 2^e.
    fn decompose(self) -> (u64, i32);
}

impl Float for f64 {
    const NAME: &'static str = "double precision";
    const DIGITS: i32 = 15;
    const DIGITS_MAX: usize = 17;
    const FIXED_MAX: i32 = 15;

    fn from_f64(value: f64) -> f64 {
        value
    }

    fn is_infinite(self) -> bool {
        f64::is_infinite(self)
    }

    fn decompose(self) -> (u64, i32) {
        let bits = self.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        match (bits >> 52) & 0x7ff {
            0 => (fraction, -1074),
            #[expect(clippy::cast_possible_truncation, reason = "11 bits")]
            exponent => (fraction | 1 << 52, exponent as i32 - 1075),
        }
    }
}

impl Float for f32 {
    const NAME: &'static str = "real";
    const DIGITS: i32 = 6;
    const DIGITS_MAX: usize = 9;
    const FIXED_MAX: i32 = 6;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only NaN and the infinities"
    )]
    fn from_f64(value: f64) -> f32 {
        value as f32
    }

    fn is_infinite(self) -> bool {
        f32::is_infinite(self)
    }

    fn decompose(self) -> (u64, i32) {
        let bits = self.to_bits();
        let fraction = u64::from(bits & ((1 << 23) - 1));
        match (bits >> 23) & 0xff {
            0 => (fraction, -149),
            exponent => (fraction | 1 << 23, exponent as i32 - 150),
        }
    }
}

pub(super) fn float_in<F: Float>(text: &str) -> Result<F> {
    let bad = || {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {}: \"{text}\"", F::NAME),
        )
    };
    let trimmed = text.trim_matches(is_space);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return special(trimmed, unsigned).map(F::from_f64).ok_or_else(bad);
    }
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return match hex_integer(&unsigned[2..]) {
            Some(value) if trimmed.starts_with('-') => Ok(F::from_f64(-value)),
            Some(value) => Ok(F::from_f64(value)),
            None => Err(Error::unsupported("this form of hexadecimal floats is")),
        };
    }
    // Trailing characters that are no number make a syntax error only after the number before
    // them was found to be in range.
    let number = &trimmed[..number_len(trimmed)];
    let value: F = number.parse().map_err(|_| bad())?;
    let is_zero = value == F::from_f64(0.0);
    let underflow = is_zero
        && number
            .bytes()
            .take_while(|b| !matches!(b, b'e' | b'E'))
            .any(|b| matches!(b, b'1'..=b'9'));
    if value.is_infinite() || underflow {
        // As PostgreSQL has it: the number alone for one type, the whole text for the other.
        let shown = match F::DIGITS {
            <f64 as Float>::DIGITS => number,
            _ => text,
        };
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{shown}\" is out of range for type {}", F::NAME),
        ));
    }
    if number.len() < trimmed.len() {
        return Err(bad());
    }
    Ok(value)
}

/// C reads hexadecimal digits, too. Only what both float types hold exactly is taken here.
fn hex_integer(digits: &str) -> Option<f64> {
    let value = u32::from_str_radix(digits, 16).ok()?;
    let exact = !digits.starts_with('+') && value < 1 << 24;
    exact.then(|| f64::from(value))
}

fn special(signed: &str, unsigned: &str) -> Option<f64> {
    if unsigned.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if !unsigned.eq_ignore_ascii_case("infinity") && !unsigned.eq_ignore_ascii_case("inf") {
        return None;
    }
    Some(match signed.starts_with('-') {
        true => f64::NEG_INFINITY,
        false => f64::INFINITY,
    })
}

/// The length of the longest prefix that is a decimal number.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let sign = |at: usize| at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
    let mut end = digits(sign(0));
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = sign(end + 1);
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    end
}

pub(super) fn float_out<F: Float>(value: F, extra_float_digits: i32, out: &mut Vec<u8>) {
    let double: f64 = value.into();
    if double.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if double < 0.0 || (double == 0.0 && double.is_sign_negative()) {
        out.push(b'-');
    }
    if double.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    if double == 0.0 {
        return out.push(b'0');
    }
    let (digits, exponent, fixed_max) = if extra_float_digits > 0 {
        let (digits, exponent) = shortest(value);
        (digits, exponent, F::FIXED_MAX)
    } else {
        let precision = (F::DIGITS + extra_float_digits).max(1);
        let places = usize::try_from(precision - 1).unwrap_or(0);
        let (digits, exponent) = scientific(value, Some(places));
        (digits, exponent, precision)
    };
    write_digits(&digits, exponent, fixed_max, out);
}

/// Decimal digits, most significant first, without trailing zeros.
struct Digits {
    bytes: [u8; 20],
    len: usize,
}

impl Digits {
    #[expect(clippy::cast_possible_truncation, reason = "at most 20")]
    fn count(&self) -> i32 {
        self.len as i32
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Digits and exponent of the magnitude: shortest, or rounded to so many places.
fn scientific<F: Float>(value: F, places: Option<usize>) -> (Digits, i32) {
    let mut text = [0u8; 32];
    let mut rest = &mut text[..];
    match places {
        Some(places) => write!(rest, "{value:.places$e}"),
        None => write!(rest, "{value:e}"),
    }
    .expect("a float of 17 digits fits 32 bytes");
    let len = 32 - rest.len();
    let mut digits = Digits {
        bytes: [0; 20],
        len: 0,
    };
    let mut exponent = 0i32;
    let mut in_exponent = false;
    let mut negative = false;
    for &byte in &text[..len] {
        match byte {
            b'e' => in_exponent = true,
            b'-' => negative = in_exponent,
            b'0'..=b'9' if in_exponent => exponent = exponent * 10 + i32::from(byte - b'0'),
            b'0'..=b'9' => {
                digits.bytes[digits.len] = byte;
                digits.len += 1;
            }
            _ => {}
        }
    }
    while digits.len > 1 && digits.bytes[digits.len - 1] == b'0' {
        digits.len -= 1;
    }
    (digits, if negative { -exponent } else { exponent })
}

/// The shortest digits that read back as this float whichever way the reader rounds halves.
///
/// Rust takes a decimal half way between two floats when it rounds to the right one; PostgreSQL
/// does not (`1e23` prints as `9.999999999999999e+22`).
fn shortest<F: Float>(value: F) -> (Digits, i32) {
    let (digits, exponent) = scientific(value, None);
    let even = even_of_tie(value, digits.len)
        .filter(|(digits, exponent)| reads_back(value, digits, *exponent))
        .filter(|(digits, exponent)| !is_half_way(value, digits, *exponent));
    if let Some(even) = even {
        return even;
    }
    if !is_half_way(value, &digits, exponent) {
        return (digits, exponent);
    }
    let first = digits.len.saturating_sub(1);
    for places in first..F::DIGITS_MAX {
        let (digits, exponent) = scientific(value, Some(places));
        if reads_back(value, &digits, exponent) && !is_half_way(value, &digits, exponent) {
            return (digits, exponent);
        }
    }
    scientific(value, Some(F::DIGITS_MAX - 1))
}

fn reads_back<F: Float>(value: F, digits: &Digits, exponent: i32) -> bool {
    let text = String::from_utf8_lossy(digits.as_slice());
    let shift = exponent - digits.count() + 1;
    let magnitude: f64 = value.into();
    format!("{text}e{shift}")
        .parse::<F>()
        .is_ok_and(|read| Into::<f64>::into(read) == magnitude.abs())
}

/// Where the float itself is half way between two decimals of `len` digits: the even one, which
/// PostgreSQL prints (Rust prints the greater).
fn even_of_tie<F: Float>(value: F, len: usize) -> Option<(Digits, i32)> {
    let (mantissa, e) = value.decompose();
    let twos = mantissa.trailing_zeros();
    let fraction_digits = u32::try_from(-(e + twos as i32)).ok().filter(|n| *n > 0)?;
    // All digits of the float: an odd number times a power of five ends in 5.
    let all = u128::from(mantissa >> twos).checked_mul(5u128.checked_pow(fraction_digits)?)?;
    if all.ilog10() as usize != len {
        return None;
    }
    let half = all / 10;
    let even = half + half % 2;
    let mut digits = Digits {
        bytes: [0; 20],
        len: 0,
    };
    let mut rest = &mut digits.bytes[..];
    write!(rest, "{even}").ok()?;
    digits.len = 20 - rest.len();
    let exponent = digits.count() - fraction_digits.cast_signed();
    while digits.len > 1 && digits.bytes[digits.len - 1] == b'0' {
        digits.len -= 1;
    }
    Some((digits, exponent))
}

/// The decimal is exactly between the float and a neighbour: D × 10^k = (2m ± 1) × 2^(e-1).
fn is_half_way<F: Float>(value: F, digits: &Digits, exponent: i32) -> bool {
    let (mantissa, e) = value.decompose();
    let mut decimal = 0u128;
    for byte in digits.as_slice() {
        decimal = decimal * 10 + u128::from(byte - b'0');
    }
    let k = exponent - digits.count() + 1;
    // Compare odd parts and powers of two, with the fives on the side where they multiply.
    let fives = |count: i32| u32::try_from(count).ok().and_then(|n| 5u128.checked_pow(n));
    let twos = decimal.trailing_zeros() as i32;
    let odd = decimal >> twos;
    if twos + k != e - 1 {
        return false;
    }
    let double = u128::from(mantissa) * 2;
    [double - 1, double + 1].into_iter().any(|middle| {
        if k >= 0 {
            fives(k).and_then(|f| odd.checked_mul(f)) == Some(middle)
        } else {
            fives(-k).and_then(|f| middle.checked_mul(f)) == Some(odd)
        }
    })
}

/// Writes as C's `%g` does: scientific below 10^-4 and from 10^`fixed_max` up.
fn write_digits(digits: &Digits, exponent: i32, fixed_max: i32, out: &mut Vec<u8>) {
    let digits = digits.as_slice();
    if exponent < -4 || exponent >= fixed_max {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        if size < 10 {
            out.push(b'0');
        }
        return super::text::write_u64(u64::from(size), out);
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
        return out.extend_from_slice(digits);
    }
    let integer = exponent.unsigned_abs() as usize + 1;
    if digits.len() <= integer {
        out.extend_from_slice(digits);
        out.resize(out.len() + integer - digits.len(), b'0');
    } else {
        out.extend_from_slice(&digits[..integer]);
        out.push(b'.');
        out.extend_from_slice(&digits[integer..]);
    }
}
