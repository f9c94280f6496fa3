//! Numbers that are no spans of time: how eagerly, by which part.

use super::time::Millis;

/// A number in millionths: settings are compared with each other, which floats are not made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u32);

const ONE: u32 = 1_000_000;

impl Ratio {
    /// 0.
    pub const ZERO: Self = Self(0);

    /// Takes millionths.
    #[must_use]
    pub const fn millionths(n: u32) -> Self {
        Self(n)
    }

    /// The nearest one; `None` for what is negative, over 4,000 or not a number.
    #[must_use]
    pub fn from_number(number: f64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (0.0..=4000.0).contains(&number).then_some(Self((number * f64::from(ONE) + 0.5) as u32))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(ONE)
    }

    /// So much of a span, rounded down.
    #[must_use]
    pub const fn of(self, span: Millis) -> Millis {
        Millis::new(span.get().saturating_mul(self.0 as u64) / ONE as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_to_the_millionth() {
        for number in [0.0, 0.000_001, 0.1, 0.5, 1.0, 10.0, 4000.0] {
            let ratio = Ratio::from_number(number).expect("in range");
            assert!((ratio.get() - number).abs() < 1e-6, "{number} {ratio:?}");
        }
        for number in [-0.1, 4000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Ratio::from_number(number), None, "{number}");
        }
    }

    #[test]
    fn a_part_of_the_longest_span_does_not_overflow() {
        let half = Ratio::millionths(500_000);
        assert_eq!(half.of(crate::core::MAX_TTL), Millis::seconds(15 * 86_400));
        assert_eq!(half.of(Millis::new(1)), Millis::ZERO);
    }
}
