//! Roots, powers, exponentials and logarithms of numerics.
//!
//! The scale of a result is PostgreSQL's (estimated from the weight of the result, so that it has
//! at least 16 significant digits); its digits are the correctly rounded ones, computed in binary
//! fixed point with guard bits.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::{One, Signed, ToPrimitive, Zero};

use crate::base::{Error, Result, SqlState};
use crate::types::numeric::{
    MAX_DISPLAY_SCALE, MIN_SIG_DIGITS, Numeric, digit_count, division_by_zero, leading_groups,
    overflow, parts, pow10, rescale, scale_of,
};

/// Powers with more digits than this are not computed exactly.
const EXACT_DIGITS_MAX: i64 = 200_000;
/// The series below take time that grows with the square of the digits.
const SERIES_DIGITS_MAX: i64 = 10_000;
/// exp of anything beyond this over- or underflows (PostgreSQL's NUMERIC_MAX_RESULT_SCALE * 3).
const EXP_MAX: f64 = 6000.0;
const GUARD_BITS: i64 = 96;
/// log10(e), with the digits that PostgreSQL uses for its estimates.
#[expect(clippy::approx_constant, reason = "the estimate must be PostgreSQL's")]
const LOG10_E: f64 = 0.434294481903252;

impl Numeric {
    pub fn sqrt(&self) -> Result<Numeric> {
        match self.signum() {
            None => return Ok(Numeric::NaN),
            Some(-1) => {
                return Err(Error::new(
                    SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
                    "cannot take square root of a negative number",
                ));
            }
            _ => {}
        }
        let Numeric::Finite(decimal) = self else {
            return Ok(self.clone());
        };
        let (weight, _) = leading_groups(self, 1);
        let scale = result_scale(weight * 2 + 1, &[self]);
        let (digits, from) = parts(decimal);
        // The root is taken at a scale where its square is an integer.
        let work = scale.max(from);
        let square = &*digits * pow10(2 * work - from);
        let mut root = square.sqrt();
        if work == scale && &square - &root * &root > root {
            root += 1;
        }
        Numeric::new(rescale(&root, work, scale), scale)
    }

    pub fn exp(&self) -> Result<Numeric> {
        let Numeric::Finite(decimal) = self else {
            return Ok(match self.signum() {
                Some(-1) => Numeric::zero(),
                _ => self.clone(),
            });
        };
        let value = self.to_f64();
        let weight = truncated((value * LOG10_E).clamp(-2000.0, 2000.0));
        let scale = result_scale(weight, &[self]);
        if value.abs() >= EXP_MAX {
            return if value > 0.0 {
                Err(overflow())
            } else {
                Numeric::new(BigInt::zero(), scale)
            };
        }
        let (digits, from) = parts(decimal);
        let bits = bits_for(scale + truncated(value * LOG10_E).max(0));
        let x = shifted(&digits, from, bits);
        Numeric::new(from_fixed(&exp_fixed(&x, bits), bits, scale), scale)
    }

    pub fn ln(&self) -> Result<Numeric> {
        check_logarithm(self)?;
        let Numeric::Finite(decimal) = self else {
            return Ok(self.clone());
        };
        let scale = result_scale(ln_weight(self), &[self]);
        let (digits, from) = parts(decimal);
        let bits = bits_for(scale);
        Numeric::new(
            from_fixed(&ln_fixed(&digits, from, bits)?, bits, scale),
            scale,
        )
    }

    /// PostgreSQL's `log(base, number)`.
    pub fn log(&self, number: &Numeric) -> Result<Numeric> {
        if self.is_nan() || number.is_nan() {
            return Ok(Numeric::NaN);
        }
        // PostgreSQL looks at the base first only where both are finite.
        if self.is_finite() && number.is_finite() || number.signum() != Some(-1) {
            check_logarithm(self)?;
        }
        check_logarithm(number)?;
        check_logarithm(self)?;
        let (Numeric::Finite(base), Numeric::Finite(decimal)) = (self, number) else {
            return Ok(match (self.is_finite(), number.is_finite()) {
                (true, _) => Numeric::PosInfinity,
                (false, true) => Numeric::zero(),
                (false, false) => Numeric::NaN,
            });
        };
        let (base_weight, weight) = (ln_weight(self), ln_weight(number));
        let scale = result_scale(weight - base_weight, &[self, number]);
        let bits = bits_for(scale + 2 * base_weight.abs() + weight.abs());
        let (base, base_scale) = parts(base);
        let (digits, from) = parts(decimal);
        let divisor = ln_fixed(&base, base_scale, bits)?;
        if divisor.is_zero() {
            return Err(division_by_zero());
        }
        let quotient = (ln_fixed(&digits, from, bits)? << bits) / divisor;
        Numeric::new(from_fixed(&quotient, bits, scale), scale)
    }

    /// PostgreSQL's `log(number)`: base 10.
    pub fn log10(&self) -> Result<Numeric> {
        Numeric::from_i64(10).log(self)
    }

    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        let one = Numeric::from_i64(1);
        if !self.is_finite() || !exponent.is_finite() {
            return special_power(self, exponent, &one);
        }
        check_power(self, exponent)?;
        let integer = exponent.to_i64().filter(|_| exponent.is_integer());
        if let Some(n) = integer.filter(|n| i32::try_from(*n).is_ok()) {
            return integer_power(self, n);
        }
        if self.signum() == Some(0) {
            return Numeric::new(BigInt::zero(), MIN_SIG_DIGITS);
        }
        let negative = self.signum() == Some(-1) && is_odd(exponent);
        let result = real_power(&self.abs(), exponent)?;
        Ok(if negative { result.neg() } else { result })
    }
}

/// The scale of a result whose first digit is at 10^`weight`, not less than its operands'.
fn result_scale(weight: i64, operands: &[&Numeric]) -> i64 {
    operands
        .iter()
        .fold(MIN_SIG_DIGITS - weight, |scale, n| scale.max(scale_of(n)))
        .clamp(0, MAX_DISPLAY_SCALE)
}

fn check_logarithm(n: &Numeric) -> Result<()> {
    let what = match n.signum() {
        Some(-1) => "a negative number",
        Some(0) => "zero",
        _ => return Ok(()),
    };
    Err(Error::new(
        SqlState::INVALID_ARGUMENT_FOR_LOGARITHM,
        format!("cannot take logarithm of {what}"),
    ))
}

fn check_power(base: &Numeric, exponent: &Numeric) -> Result<()> {
    let error = |what| {
        Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            what,
        ))
    };
    match base.signum() {
        Some(0) if exponent.signum() == Some(-1) => {
            error("zero raised to a negative power is undefined")
        }
        Some(-1) if exponent.is_finite() && !exponent.is_integer() => {
            error("a negative number raised to a non-integer power yields a complex result")
        }
        _ => Ok(()),
    }
}

/// POSIX's rules for pow when an operand is NaN or infinite.
fn special_power(base: &Numeric, exponent: &Numeric, one: &Numeric) -> Result<Numeric> {
    let (Some(base_sign), Some(exponent_sign)) = (base.signum(), exponent.signum()) else {
        let is_one = exponent.signum() == Some(0) || base == one;
        return Ok(if is_one { one.clone() } else { Numeric::NaN });
    };
    check_power(base, exponent)?;
    if base == one || exponent_sign == 0 {
        return Ok(one.clone());
    }
    if base_sign == 0 {
        return Ok(Numeric::zero());
    }
    if !exponent.is_finite() {
        return Ok(match base.abs().cmp(one) {
            std::cmp::Ordering::Equal => one.clone(),
            size => match size.is_gt() == (exponent_sign > 0) {
                true => Numeric::PosInfinity,
                false => Numeric::zero(),
            },
        });
    }
    Ok(match (base_sign, exponent_sign) {
        (_, -1) => Numeric::zero(),
        (-1, _) if is_odd(exponent) => Numeric::NegInfinity,
        _ => Numeric::PosInfinity,
    })
}

/// A finite integer that is not even.
fn is_odd(n: &Numeric) -> bool {
    match n {
        Numeric::Finite(decimal) => {
            let (digits, scale) = parts(decimal);
            rescale(&digits, scale, 0).bit(0)
        }
        _ => false,
    }
}

/// Its scale depends on the base alone.
fn integer_power(base: &Numeric, exponent: i64) -> Result<Numeric> {
    let Numeric::Finite(decimal) = base else {
        return Ok(Numeric::NaN);
    };
    let (digits, from) = parts(decimal);
    let weight = if digits.is_zero() {
        0.0
    } else {
        let (weight, groups) = leading_groups(base, 4);
        exponent as f64 * ((groups as f64).log10() + ((weight - 3) * 4) as f64)
    };
    if weight > 131_072.0 {
        return Err(overflow());
    }
    let scale = result_scale(0, &[base]);
    if weight + 1.0 < -(scale as f64) {
        return Numeric::new(BigInt::zero(), scale);
    }
    if digits.is_zero() {
        return match exponent {
            0 => Numeric::new(pow10(scale), scale),
            ..0 => Err(division_by_zero()),
            _ => Numeric::new(BigInt::zero(), scale),
        };
    }
    let times = exponent.unsigned_abs();
    let work = digit_count(&digits).saturating_mul(i64::try_from(times).unwrap_or(i64::MAX));
    if work > EXACT_DIGITS_MAX && digits.abs() != pow10(from) {
        let result = real_power(&base.abs(), &Numeric::from_i64(exponent))?
            .round(i32::try_from(scale).expect("a display scale of at most 1000"))?;
        let negative = digits.is_negative() && exponent % 2 != 0;
        return Ok(if negative { result.neg() } else { result });
    }
    let (power, power_scale) = if digits.abs() == pow10(from) {
        // One or minus one: any power costs nothing.
        match digits.is_negative() && exponent % 2 != 0 {
            true => (BigInt::from(-1), 0),
            false => (BigInt::one(), 0),
        }
    } else {
        let times = u32::try_from(times).expect("few times, since the exact result is short");
        (digits.pow(times), from * i64::from(times))
    };
    if exponent >= 0 {
        return Numeric::new(rescale(&power, power_scale, scale), scale);
    }
    let inverse = crate::types::numeric::div_round(&pow10(power_scale + scale), &power);
    Numeric::new(inverse, scale)
}

/// exp(exponent × ln(base)) of a positive base.
fn real_power(base: &Numeric, exponent: &Numeric) -> Result<Numeric> {
    let (Numeric::Finite(b), Numeric::Finite(e)) = (base, exponent) else {
        return Ok(Numeric::NaN);
    };
    let (base_digits, base_scale) = parts(b);
    let (exponent_digits, exponent_scale) = parts(e);
    let exponent_weight = (digit_count(&exponent_digits) - exponent_scale).max(0);
    let product = |bits: i64| -> Result<BigInt> {
        let ln = ln_fixed(&base_digits, base_scale, bits)?;
        Ok(ln * &*exponent_digits / pow10(exponent_scale))
    };
    let rough_bits = bits_for(exponent_weight + ln_weight(base).abs());
    let rough = to_double(&product(rough_bits)?, rough_bits);
    if rough.abs() > EXP_MAX * 1.003_333 {
        return if rough > 0.0 {
            Err(overflow())
        } else {
            Numeric::new(BigInt::zero(), MAX_DISPLAY_SCALE)
        };
    }
    let weight = truncated(rough * LOG10_E);
    let scale = result_scale(weight, &[base, exponent]);
    let bits = bits_for(scale + weight.max(0) + exponent_weight);
    let result = exp_fixed(&product(bits)?, bits);
    Numeric::new(from_fixed(&result, bits, scale), scale)
}

/// PostgreSQL's estimate of the position of the first digit of ln(n).
fn ln_weight(n: &Numeric) -> i64 {
    let near_one = |digits: i64, scale| Numeric::from_scaled(i128::from(digits), scale);
    if *n >= near_one(9, 1) && *n <= near_one(11, 1) {
        let Ok(distance) = n.sub(&Numeric::from_i64(1)) else {
            return 0;
        };
        if distance.signum() == Some(0) {
            return 0;
        }
        let (weight, group) = leading_groups(&distance, 1);
        return weight * 4 + truncated((group as f64).log10());
    }
    let (weight, groups) = leading_groups(n, 2);
    if groups == 0 {
        return 0;
    }
    let ln = (groups as f64).ln() + ((weight - 1) * 4) as f64 * std::f64::consts::LN_10;
    truncated(ln.abs().log10())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the estimates truncate as PostgreSQL's do"
)]
fn truncated(estimate: f64) -> i64 {
    estimate as i64
}

/// Bits after the binary point for so many correct decimal digits after the decimal point.
fn bits_for(digits: i64) -> i64 {
    digits * 10 / 3 + GUARD_BITS
}

/// `digits` × 10^-`scale` in binary fixed point.
fn shifted(digits: &BigInt, scale: i64, bits: i64) -> BigInt {
    (digits << bits) / pow10(scale)
}

fn from_fixed(x: &BigInt, bits: i64, scale: i64) -> BigInt {
    crate::types::numeric::div_round(&(x * pow10(scale)), &(BigInt::one() << bits))
}

fn to_double(x: &BigInt, bits: i64) -> f64 {
    let keep = 64;
    let value = (x >> (bits - keep)).to_f64().unwrap_or(f64::MAX);
    value / 2f64.powi(64)
}

/// exp(x) = 2^k × exp(r), where r is halved until its series is short.
fn exp_fixed(x: &BigInt, bits: i64) -> BigInt {
    let ln2 = ln2_fixed(bits);
    let k = bigdecimal::num_traits::Euclid::div_euclid(x, &ln2);
    let halvings = 16;
    let bits_inside = bits + 2 * halvings;
    let r: BigInt = ((x - &k * &ln2) << (2 * halvings)) >> halvings;
    let mut sum = BigInt::one() << bits_inside;
    let mut term = sum.clone();
    for n in 1u32.. {
        term = ((&term * &r) >> bits_inside) / n;
        if term.is_zero() {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) >> bits_inside;
    }
    let shift = k.to_i64().unwrap_or(0) - 2 * halvings;
    if shift >= 0 {
        sum << shift
    } else {
        sum >> -shift
    }
}

/// ln of a positive decimal: ln(m × 2^k) with m near 1, by the series of atanh.
fn ln_fixed(digits: &BigInt, scale: i64, bits: i64) -> Result<BigInt> {
    if bits > SERIES_DIGITS_MAX * 10 / 3 {
        return Err(Error::unsupported("logarithms of so many digits are"));
    }
    let unit = pow10(scale);
    let k = bit_length(digits) - bit_length(&unit);
    // m = digits / (unit × 2^k) is in [1/2, 2).
    let (a, b) = if k >= 0 {
        (digits.clone(), unit << k)
    } else {
        (digits << -k, unit)
    };
    let z = ((&a - &b) << bits) / (&a + &b);
    Ok(atanh_series(z, bits) * 2 + ln2_fixed(bits) * k)
}

fn bit_length(n: &BigInt) -> i64 {
    i64::try_from(n.bits()).unwrap_or(i64::MAX)
}

/// z + z³/3 + z⁵/5 + …
fn atanh_series(z: BigInt, bits: i64) -> BigInt {
    let square = (&z * &z) >> bits;
    let mut sum = z.clone();
    let mut power = z;
    for n in (3u32..).step_by(2) {
        power = (power * &square) >> bits;
        let term = &power / n;
        if term.is_zero() || term == BigInt::from(-1) {
            break;
        }
        sum += term;
    }
    sum
}

/// Machin's formula: ln 2 = 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749).
fn ln2_fixed(bits: i64) -> BigInt {
    let bits_inside = bits + 16;
    let atanh = |n: u32| atanh_series((BigInt::one() << bits_inside) / n, bits_inside);
    (atanh(26) * 18 - atanh(4801) * 2 + atanh(8749) * 8) >> 16
}

#[cfg(test)]
mod tests {
    use super::Numeric;
    use crate::base::Result;

    fn shown(result: Result<Numeric>) -> String {
        result.map_or_else(|error| error.report().message, |n| n.to_string())
    }

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    #[test]
    fn functions_have_postgresqls_digits() {
        assert_eq!(shown(n("2").sqrt()), "1.414213562373095");
        assert_eq!(shown(n("0.0001").sqrt()), "0.01000000000000000");
        assert_eq!(shown(n("1.0").exp()), "2.7182818284590452");
        assert_eq!(shown(n("-5999").exp()).len(), 1002);
        assert_eq!(shown(n("2").ln()), "0.6931471805599453");
        assert_eq!(shown(n("1.0000001").ln()), "0.00000009999999500000033");
        assert_eq!(shown(n("2").log10()), "0.3010299956639812");
        assert_eq!(
            shown(n("-1").sqrt()),
            "cannot take square root of a negative number"
        );
        assert_eq!(shown(n("0").ln()), "cannot take logarithm of zero");
        assert_eq!(shown(n("6000").exp()), "value overflows numeric format");
    }

    #[test]
    fn powers_have_postgresqls_digits() {
        for (base, exponent, power) in [
            ("2", "3", "8.0000000000000000"),
            ("2", "0.5", "1.4142135623730950"),
            ("1.5", "-2", "0.4444444444444444"),
            ("-2", "3", "-8.0000000000000000"),
            ("0", "0", "1.0000000000000000"),
            ("0.001", "100", "0.0000000000000000"),
            ("0", "-1", "zero raised to a negative power is undefined"),
            (
                "-1",
                "0.5",
                "a negative number raised to a non-integer power yields a complex result",
            ),
            ("Infinity", "-1", "0"),
            ("NaN", "0", "1"),
            ("10", "1e9", "value overflows numeric format"),
        ] {
            assert_eq!(
                shown(n(base).power(&n(exponent))),
                power,
                "{base} ^ {exponent}"
            );
        }
    }
}
