//! Durations as users write them: `500` (milliseconds), `"250ms"`, `"5m"`.

use super::time::Millis;

/// The units, longest name first so that "ms" is not read as "m".
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A number of milliseconds; `None` unless it is a whole, finite, non-negative number.
pub(crate) fn from_number(ms: f64) -> Option<Millis> {
    // 2^53: above it a number no longer tells neighbouring milliseconds apart.
    let exact = (0.0..=9_007_199_254_740_992.0).contains(&ms) && ms.trunc() == ms;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    exact.then_some(Millis::new(ms as u64))
}

/// A decimal number followed by its unit, as `"1.5s"`; what is smaller than a millisecond does not count. In whole numbers:
/// reading floating-point numbers would take a tenth of the module.
pub(crate) fn from_text(text: &str) -> Option<Millis> {
    let (digits, factor) =
        UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (digits, ""),
    };
    let mut ms = number(whole)?.checked_mul(factor)?;
    let mut unit = factor;
    for digit in fraction.bytes() {
        unit /= 10;
        ms = ms.checked_add(u64::from(value(digit)?).checked_mul(unit)?)?;
    }
    Some(Millis::new(ms))
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0_u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(value(digit)?)))
}

fn value(digit: u8) -> Option<u8> {
    digit.is_ascii_digit().then(|| digit - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_carry_their_unit() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(from_text(text), Some(Millis::new(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1e3s",
            "inf s",
            "infs",
            "NaNs",
            ".5s",
            "1.2.3s",
            "5.s",
            "99999999999999999999d",
            "5S",
            "٣s",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        for number in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(from_number(number), None, "{number}");
        }
        assert_eq!(from_number(0.0), Some(Millis::ZERO));
    }
}
