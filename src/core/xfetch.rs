//! `XFetch` (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015): each reader of a fresh
//! entry decides by itself, by chance, whether to refresh it before its time. The nearer the end, and the longer the callback
//! takes, the likelier; with no word between the readers, about one of them has done it when the entry expires.

use super::ratio::Ratio;
use super::time::Millis;

/// Whether to refresh an entry that is fresh for `left` more and took `cost` to compute: if `-cost * beta * ln(u) >= left`, where `u`
/// is drawn evenly from (0, 1] by `random`. So the probability is `exp(-left / (cost * beta))`.
pub(crate) fn is_due(left: Millis, cost: Millis, beta: Ratio, random: u64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
    let (left, cost) = (left.get() as f64, cost.get() as f64);
    // Where nothing is known to take time, nothing is gained.
    let reach = cost * beta.get();
    reach > 0.0 && reach * minus_ln(random) >= left
}

/// `-ln((random + 1) / 2^64)`, to nine digits. By hand: the logarithm of the library is larger than all of this.
fn minus_ln(random: u64) -> f64 {
    let Some(n) = random.checked_add(1) else { return 0.0 };
    let zeros = n.leading_zeros();
    // n = m * 2^(63 - zeros), with m in [1, 2).
    #[allow(clippy::cast_precision_loss, reason = "53 bits will do")]
    let m = (n << zeros) as f64 / (1_u64 << 63) as f64;
    // ln m = 2 artanh s, and s is in [0, 1/3).
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let mut sum = 0.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * q + 1.0 / odd;
    }
    f64::from(zeros + 1) * core::f64::consts::LN_2 - 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::random::Random;

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        let mut random = Random::new([3, 4]);
        let edges = [0, 1, 2, 3, u64::MAX, u64::MAX - 1, u64::MAX / 2, u64::MAX / 2 + 1];
        for n in edges.into_iter().chain((0..10_000).map(|i| random.next() >> (i % 64))) {
            let expected = -((n as f64 + 1.0) / 2_f64.powi(64)).ln();
            let got = minus_ln(n);
            assert!((got - expected).abs() <= 1e-9 * expected.max(1.0), "{n}: {got}, not {expected}");
        }
    }

    #[test]
    fn the_probability_is_that_of_the_paper() {
        const DRAWS: u32 = 200_000;
        let mut random = Random::new([1, 2]);
        for (left, cost, beta) in [
            (1000, 1000, 1.0),
            (100, 1000, 1.0),
            (3000, 1000, 1.0),
            (1000, 1000, 2.0),
            (1000, 100, 10.0),
            (500, 1000, 0.25),
        ] {
            let ratio = Ratio::from_number(beta).expect("in range");
            let due =
                (0..DRAWS).filter(|_| is_due(Millis::new(left), Millis::new(cost), ratio, random.next()));
            let share = due.count() as f64 / f64::from(DRAWS);
            let expected = (-(left as f64) / (cost as f64 * beta)).exp();
            // Four standard deviations; the seed is fixed.
            let tolerance = 4.0 * (expected * (1.0 - expected) / f64::from(DRAWS)).sqrt();
            assert!((share - expected).abs() < tolerance, "{left} {cost} {beta}: {share}, not {expected}");
        }
    }

    #[test]
    fn nothing_is_due_that_is_off_or_takes_no_time() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!is_due(Millis::ZERO, Millis::seconds(9), Ratio::ZERO, random));
            assert!(!is_due(Millis::ZERO, Millis::ZERO, Ratio::millionths(10_000_000), random));
        }
        let one = Ratio::millionths(1_000_000);
        // The least that can be drawn is 2^-64: 44.4 times the cost.
        assert!(is_due(Millis::new(44_361), Millis::seconds(1), one, 0));
        assert!(!is_due(Millis::new(44_362), Millis::seconds(1), one, 0));
    }
}
