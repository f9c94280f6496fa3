//! Random numbers from a seed that the driver gives once: jitter, and nonces that no other instance makes.

use alloc::format;
use alloc::string::String;

use super::ratio::Ratio;
use super::time::Millis;

/// `SplitMix64` (Steele, Lea, Flood 2014). For spreading load and for telling instances apart, not for secrets.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
    instance: u64,
    nonces: u64,
}

impl Random {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        let [instance, state] = seed;
        Self { state, instance, nonces: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        }
    }

    /// A span that is shorter by at most this part of it, each span equally likely; never nothing where it was something.
    pub(crate) fn jittered(&mut self, span: Millis, jitter: Ratio) -> Millis {
        let most = jitter.of(span).get();
        if most == 0 {
            return span;
        }
        Millis::new(span.get().saturating_sub(self.up_to(most)).max(1))
    }

    /// A text that no other call gives: the instance's 64 random bits, a fresh 64, and a count.
    pub(crate) fn nonce(&mut self) -> String {
        self.nonces = self.nonces.wrapping_add(1);
        let fresh = self.next();
        format!("{:x}.{fresh:x}.{:x}", self.instance, self.nonces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ_within_and_between_instances() {
        let mut a = Random::new([1, 7]);
        let mut b = Random::new([2, 7]);
        let all = [a.nonce(), a.nonce(), b.nonce(), b.nonce()];
        for (i, x) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(x), "{all:?}");
        }
    }

    #[test]
    fn a_span_is_only_ever_shortened_and_evenly_so() {
        let mut random = Random::new([1, 2]);
        let tenth = Ratio::millionths(100_000);
        let mut counts = [0_u32; 11];
        for _ in 0..11_000 {
            let span = random.jittered(Millis::new(100), tenth).get();
            counts[usize::try_from(100 - span).expect("shortened")] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        let before = random.state;
        assert_eq!(random.jittered(Millis::new(100), Ratio::ZERO), Millis::new(100));
        assert_eq!(random.jittered(Millis::new(1), Ratio::millionths(500_000)), Millis::new(1));
        assert_eq!(random.state, before, "nothing is drawn where there is nothing to choose");
    }

    #[test]
    fn up_to_keeps_its_bound() {
        let mut random = Random::new([0, 0]);
        assert!((0..1000).all(|_| random.up_to(3) <= 3));
        assert_eq!(random.up_to(0), 0);
        random.up_to(u64::MAX);
    }
}
