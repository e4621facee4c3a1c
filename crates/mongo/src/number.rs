//! Numbers of any BSON type, compared by value: exactly, never by rounding one to the other's type.

use std::cmp::Ordering;

/// 2^63, the first double above every 64-bit integer.
const LONG_LIMIT: f64 = 9_223_372_036_854_775_808.0;
/// The smallest coefficient of 34 digits, which is how many a decimal has at most.
const SCALE: u128 = 10u128.pow(33);
/// The largest coefficient of a decimal; a greater one stands for zero (IEEE 754-2008, 3.5.2).
const COEFFICIENT_MAX: u128 = 10u128.pow(34) - 1;
/// What is added to a decimal's exponent to store it.
pub(crate) const EXPONENT_BIAS: i32 = 6176;
/// The greatest stored exponent of a decimal.
pub(crate) const STORED_EXPONENT_MAX: i32 = 12_287;

/// A number as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
    Decimal(Decimal),
}

/// A 128-bit decimal floating point number, in binary encoding of its coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decimal {
    NotANumber,
    Infinite {
        negative: bool,
    },
    Finite {
        negative: bool,
        coefficient: u128,
        exponent: i32,
    },
}

impl Decimal {
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        let negative = bits >> 127 == 1;
        match (bits >> 122) & 0x1F {
            0x1F => return Decimal::NotANumber,
            0x1E => return Decimal::Infinite { negative },
            _ => {}
        }
        // Two leading ones move the exponent by two bits; every such coefficient is too large.
        let large = (bits >> 125) & 3 == 3;
        let stored = (bits >> if large { 111 } else { 113 }) & 0x3FFF;
        let coefficient = bits & ((1 << 113) - 1);
        let canonical = !large && coefficient <= COEFFICIENT_MAX;
        Decimal::Finite {
            negative,
            coefficient: if canonical { coefficient } else { 0 },
            exponent: i32::try_from(stored).expect("it has 14 bits") - EXPONENT_BIAS,
        }
    }

    /// Returns the number without its fraction, if it fits in 64 bits.
    fn truncated(self) -> Option<i64> {
        let Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } = self
        else {
            return None;
        };
        let power = 10u128.checked_pow(exponent.unsigned_abs());
        let whole = match power {
            Some(power) if exponent >= 0 => coefficient.checked_mul(power),
            Some(power) => Some(coefficient / power),
            None => (coefficient == 0 || exponent < 0).then_some(0),
        };
        let whole = i128::try_from(whole?).ok()?;
        i64::try_from(if negative { -whole } else { whole }).ok()
    }

    fn has_fraction(self) -> bool {
        match self {
            Decimal::Finite {
                coefficient,
                exponent,
                ..
            } if exponent < 0 => match 10u128.checked_pow(exponent.unsigned_abs()) {
                Some(power) => coefficient % power != 0,
                None => coefficient != 0,
            },
            _ => false,
        }
    }
}

impl Number {
    pub(crate) fn is_nan(self) -> bool {
        match self {
            Number::Int(_) => false,
            Number::Double(double) => double.is_nan(),
            Number::Decimal(decimal) => decimal == Decimal::NotANumber,
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.compare(Number::Int(0)) == Ordering::Equal
    }

    /// Returns the number without its fraction, if it fits in 64 bits.
    pub(crate) fn truncated(self) -> Option<i64> {
        match self {
            Number::Int(int) => Some(int),
            Number::Double(double) => truncated(double),
            Number::Decimal(decimal) => decimal.truncated(),
        }
    }

    /// Returns the number if it is a whole one of 64 bits.
    pub(crate) fn whole(self) -> Option<i64> {
        let fraction = match self {
            Number::Int(_) => false,
            Number::Double(double) => double.fract() != 0.0,
            Number::Decimal(decimal) => decimal.has_fraction(),
        };
        self.truncated().filter(|_| !fraction)
    }

    /// Compares by value. What is not a number is equal to itself and less than all others.
    pub(crate) fn compare(self, other: Number) -> Ordering {
        match (self, other) {
            (Number::Int(left), Number::Int(right)) => left.cmp(&right),
            (Number::Double(left), Number::Double(right)) => doubles(left, right),
            (Number::Int(left), Number::Double(right)) => int_to_double(left, right),
            (Number::Double(left), Number::Int(right)) => int_to_double(right, left).reverse(),
            (left, right) => Exact::of(left).cmp(&Exact::of(right)),
        }
    }
}

fn doubles(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right)
        .unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

fn int_to_double(int: i64, double: f64) -> Ordering {
    match truncated(double) {
        Some(whole) => int
            .cmp(&whole)
            .then_with(|| doubles(0.0, double - double.trunc())),
        None if double > 0.0 => Ordering::Less,
        None => Ordering::Greater,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the range was just compared; the fraction is to go"
)]
fn truncated(double: f64) -> Option<i64> {
    (-LONG_LIMIT..LONG_LIMIT)
        .contains(&double)
        .then_some(double as i64)
}

/// A number in an order that is exact across all types: the variants are in ascending order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Exact {
    NotANumber,
    NegativeInfinity,
    Negative(std::cmp::Reverse<Magnitude>),
    Zero,
    Positive(Magnitude),
    PositiveInfinity,
}

/// A positive number as `coefficient` × 10^`exponent`, and whether digits follow that were cut off.
///
/// The coefficient has 34 digits always, so the fields in their order order the numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Magnitude {
    exponent: i32,
    coefficient: u128,
    more: bool,
}

impl Magnitude {
    fn new(mut coefficient: u128, mut exponent: i32) -> Self {
        while coefficient < SCALE {
            coefficient *= 10;
            exponent -= 1;
        }
        Self {
            exponent,
            coefficient,
            more: false,
        }
    }

    /// Takes a finite double above zero, which has 767 digits at most.
    fn of_double(double: f64) -> Self {
        let written = format!("{double:.766e}");
        let (digits, exponent) = written.split_once('e').expect("it was asked for");
        let mut digits = digits.bytes().filter(u8::is_ascii_digit);
        let coefficient = digits
            .by_ref()
            .take(34)
            .fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'));
        let exponent: i32 = exponent.parse().expect("an exponent is a number");
        Self {
            exponent: exponent - 33,
            coefficient,
            more: digits.any(|digit| digit != b'0'),
        }
    }
}

impl Exact {
    fn of(number: Number) -> Self {
        match number {
            Number::Int(0) => Exact::Zero,
            Number::Int(int) => {
                Exact::signed(int < 0, Magnitude::new(int.unsigned_abs().into(), 0))
            }
            Number::Double(double) if double.is_nan() => Exact::NotANumber,
            Number::Double(double) if double.is_infinite() => Exact::infinite(double < 0.0),
            Number::Double(0.0) => Exact::Zero,
            Number::Double(double) => {
                Exact::signed(double < 0.0, Magnitude::of_double(double.abs()))
            }
            Number::Decimal(Decimal::NotANumber) => Exact::NotANumber,
            Number::Decimal(Decimal::Infinite { negative }) => Exact::infinite(negative),
            Number::Decimal(Decimal::Finite { coefficient: 0, .. }) => Exact::Zero,
            Number::Decimal(Decimal::Finite {
                negative,
                coefficient,
                exponent,
            }) => Exact::signed(negative, Magnitude::new(coefficient, exponent)),
        }
    }

    fn signed(negative: bool, magnitude: Magnitude) -> Self {
        if negative {
            Exact::Negative(std::cmp::Reverse(magnitude))
        } else {
            Exact::Positive(magnitude)
        }
    }

    fn infinite(negative: bool) -> Self {
        if negative {
            Exact::NegativeInfinity
        } else {
            Exact::PositiveInfinity
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Number {
        let decimal: bson::Decimal128 = text.parse().unwrap();
        Number::Decimal(Decimal::from_bytes(decimal.bytes()))
    }

    #[test]
    fn numbers_of_all_types_are_in_one_exact_order() {
        let ascending = [
            Number::Double(f64::NAN),
            Number::Double(f64::NEG_INFINITY),
            decimal("-1E6000"),
            Number::Double(f64::MIN),
            Number::Double(-LONG_LIMIT * 2.0),
            Number::Int(i64::MIN),
            Number::Int(i64::MIN + 1),
            decimal("-2.5"),
            Number::Double(-2.0),
            decimal("-1E-6000"),
            Number::Int(0),
            decimal("1E-6000"),
            Number::Double(f64::from_bits(1)),
            decimal("0.1"),
            // The double next to a tenth is a little more than these 34 digits.
            decimal("0.1000000000000000055511151231257827"),
            Number::Double(0.1),
            decimal("0.1000000000000000055511151231257828"),
            Number::Int(1),
            Number::Double(1.5),
            Number::Int(9_007_199_254_740_992),
            Number::Int(9_007_199_254_740_993),
            Number::Double(9_007_199_254_740_994.0),
            decimal("9007199254740995"),
            Number::Int(i64::MAX),
            Number::Double(LONG_LIMIT),
            decimal("9223372036854775809"),
            decimal("1E6000"),
            Number::Double(f64::INFINITY),
        ];
        for (place, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                let order = left.compare(*right);
                assert_eq!(order, place.cmp(&other), "{left:?} and {right:?}");
            }
        }
    }

    #[test]
    fn equal_values_are_equal_in_every_type() {
        for text in ["0", "-0", "0E5", "0.000"] {
            assert!(decimal(text).is_zero());
            assert_eq!(decimal(text).compare(Number::Double(-0.0)), Ordering::Equal);
        }
        for text in ["250", "2.5E2", "250.00", "25E1"] {
            for number in [Number::Int(250), Number::Double(250.0), decimal("250")] {
                assert_eq!(decimal(text).compare(number), Ordering::Equal, "{text}");
            }
        }
        let not_canonical = Decimal::from_bytes([0xFF; 16].map(|_: u8| 0x6B));
        assert!(Number::Decimal(not_canonical).is_zero());
    }

    #[test]
    fn fractions_are_cut_off_toward_zero_within_64_bits() {
        assert_eq!(decimal("-2.9").truncated(), Some(-2));
        assert_eq!(decimal("1E-6000").truncated(), Some(0));
        assert_eq!(decimal("0E6000").truncated(), Some(0));
        assert_eq!(decimal("1E6000").truncated(), None);
        assert_eq!(decimal("9223372036854775808").truncated(), None);
        assert_eq!(decimal("-9223372036854775808").truncated(), Some(i64::MIN));
        assert_eq!(Number::Double(LONG_LIMIT).truncated(), None);
        assert_eq!(Number::Double(-2.9).truncated(), Some(-2));
        assert_eq!(Number::Double(f64::NAN).truncated(), None);
        assert_eq!(decimal("2.0").whole(), Some(2));
        assert_eq!(decimal("2.5").whole(), None);
        assert_eq!(Number::Double(2.5).whole(), None);
    }
}
