//! The retry budget: how often what was sent in vain is sent again, in proportion to what succeeds.
//!
//! A bucket of tokens, as gRPC's retry throttling and the AWS SDKs have it: each exchange that repeats something takes one, and
//! gives it back if that succeeds; other exchanges that are answered earn a little. So a Redis that is back gets all that is
//! pending at once, and one that answers badly gets no more requests because of that. It bounds repetitions alone: what is sent
//! for the first time never asks, and what is put off is not lost.

use super::time::{Millis, Timestamp};

/// Tenths of a token that it holds at most.
const MAX: u32 = 100;
/// What a repetition costs.
const COST: u32 = 10;
/// What an exchange that is no repetition earns.
const EARNED: u32 = 1;
/// Without any traffic a token comes back in this time: what is put off must be sent some day.
pub(crate) const REFILL: Millis = Millis::seconds(5);

/// The tokens of a connection.
#[derive(Debug)]
pub(crate) struct Retries {
    tenths: u32,
    /// Up to when it has been refilled.
    refilled: Option<Timestamp>,
}

impl Default for Retries {
    fn default() -> Self {
        Self { tenths: MAX, refilled: None }
    }
}

impl Retries {
    /// Takes a token for an exchange that repeats something. `false`: there is none; not now.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        let since = *self.refilled.get_or_insert(now);
        let tokens = now.since(since).get() / REFILL.get();
        if tokens > 0 {
            self.refilled = Some(now);
            self.earn(u32::try_from(tokens).unwrap_or(MAX).saturating_mul(COST));
        }
        let enough = self.tenths >= COST;
        if enough {
            self.tenths -= COST;
        }
        enough
    }

    /// An exchange was answered; `repeated`: it had taken a token.
    pub(crate) fn succeeded(&mut self, repeated: bool) {
        self.earn(if repeated { COST } else { EARNED });
    }

    fn earn(&mut self, tenths: u32) {
        self.tenths = self.tenths.saturating_add(tenths).min(MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn takes(retries: &mut Retries, now: Timestamp) -> usize {
        (0..100).take_while(|_| retries.take(now)).count()
    }

    #[test]
    fn repetitions_that_fail_are_a_tenth_of_what_succeeds() {
        let mut retries = Retries::default();
        assert_eq!(takes(&mut retries, at(0)), 10);
        for _ in 0..50 {
            retries.succeeded(false);
        }
        assert_eq!(takes(&mut retries, at(0)), 5);
    }

    #[test]
    fn a_repetition_that_is_answered_costs_nothing() {
        let mut retries = Retries::default();
        for _ in 0..1000 {
            assert!(retries.take(at(0)));
            retries.succeeded(true);
        }
    }

    #[test]
    fn without_traffic_a_token_comes_back_in_time_and_never_more_than_there_is_room_for() {
        let mut retries = Retries::default();
        assert_eq!(takes(&mut retries, at(0)), 10);
        assert!(!retries.take(at(4_999)) && retries.take(at(5_000)) && !retries.take(at(9_999)));
        assert_eq!(takes(&mut retries, at(9_000_000)), 10);
    }
}
