//! How the last exchanges of a ready connection went: enough for an isolate that sees a few of them in a minute.
//!
//! Failures in a row do not tell of a Redis that answers every other time, or late each time: such a one costs most reads
//! their whole wait. The terms are those of resilience4j (sliding window by count, slow call rate); a window by time would be
//! empty in an isolate with little traffic.

use super::time::{Millis, Timestamp};

/// So many exchanges are looked at.
const SIZE: u32 = 8;
/// So many of them, slow or failed, and the connection is down. So it takes at least as many to trip.
const BAD: u32 = 5;

/// How an exchange that was answered went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Good,
    Slow,
}

impl Pace {
    /// Slow is what took more than four fifths of the time that a read waits: most that are slower are not waited for at all.
    pub(crate) fn of(sent: Timestamp, now: Timestamp, read: Millis) -> Self {
        if now.since(sent).get().saturating_mul(5) > read.get().saturating_mul(4) {
            Self::Slow
        } else {
            Self::Good
        }
    }
}

/// The last exchanges, the youngest in the lowest bit: set if it was slow or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window(u32);

impl Window {
    /// One that was handed out.
    pub(crate) const fn of(bits: u32) -> Self {
        Self(bits & ((1 << SIZE) - 1))
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// One more exchange, slow or failed if `bad`. Gives whether the connection is to go down.
    pub(crate) fn note(&mut self, bad: bool) -> bool {
        *self = Self::of(self.0 << 1 | u32::from(bad));
        self.0.count_ones() >= BAD
    }

    pub(crate) fn clear(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_the_last_eight_trip_and_fewer_do_not() {
        let mut window = Window::default();
        let trips: alloc::vec::Vec<bool> =
            [true, false, true, false, true, false, true, false, true].map(|bad| window.note(bad)).into();
        assert!(trips.iter().all(|trips| !trips), "four of eight, again and again");
        let mut window = Window::default();
        assert_eq!([true; 5].map(|bad| window.note(bad)), [false, false, false, false, true]);
        window.clear();
        assert!(!window.note(true));
        assert_eq!(Window::of(window.bits()), window);
    }

    #[test]
    fn slow_is_what_takes_more_than_four_fifths_of_a_reads_wait() {
        let at = Timestamp::from_ms;
        let read = Millis::new(250);
        assert_eq!(Pace::of(at(0), at(200), read), Pace::Good);
        assert_eq!(Pace::of(at(0), at(201), read), Pace::Slow);
        assert_eq!(Pace::of(at(500), at(0), read), Pace::Good, "a clock that went backwards");
    }
}
