//! How long a connection that failed is left alone: exponential, with full jitter, capped.
//!
//! Full jitter (Brooker, "Exponential Backoff and Jitter", 2015): many isolates lose the same Redis at the same moment, and
//! must not all come back at the same moment.

use super::random::Random;
use super::time::Millis;

/// No delay is shorter, or the jitter would allow a hot loop.
const FLOOR: u64 = 50;
/// The first delay's upper bound.
const BASE: u64 = 500;
/// No delay is longer: the longest time that a recovered Redis goes unnoticed.
pub(crate) const CAP: u64 = 10_000;

/// Consecutive failures, and the delay that follows from them.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One after so many failures.
    pub(crate) const fn after(failures: u32) -> Self {
        Self { failures }
    }

    /// How many failures there have been in a row.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// One more failure: how long to wait.
    pub(crate) fn failed(&mut self, random: &mut Random) -> Millis {
        let bound = BASE.saturating_mul(1_u64 << self.failures.min(16)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        Millis::new(FLOOR.max(random.up_to(bound)))
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delays_stay_between_floor_and_cap(seed: u64, failures in 0_u32..200) {
            let mut random = Random::new([0, seed]);
            let mut backoff = Backoff::default();
            for n in 0..failures {
                let delay = backoff.failed(&mut random).get();
                prop_assert!((FLOOR..=CAP).contains(&delay));
                prop_assert!(delay <= (BASE << n.min(10)).max(FLOOR));
            }
        }
    }

    #[test]
    fn success_starts_over() {
        let mut random = Random::new([0, 1]);
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.failed(&mut random);
        }
        backoff.succeeded();
        assert!(backoff.failed(&mut random).get() <= BASE);
    }
}
