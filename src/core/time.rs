//! Time as data: it comes in as an argument and is never read here.

use core::fmt;

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// A span of `s` seconds.
    #[must_use]
    pub const fn seconds(s: u64) -> Self {
        Self(s.saturating_mul(1000))
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A point in time, Unix milliseconds. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// `ms` milliseconds after the epoch.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// What a host's clock gives; not a number or negative counts as the epoch.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is what is wanted"
    )]
    pub fn from_host(ms: f64) -> Self {
        Self(ms as u64)
    }

    /// Unix milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; none when the clock has gone backwards.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// The point `span` later.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// More than that between two readings may be a step of the clock.
const STEP: u64 = 5_000;

/// Turns readings of a clock that may go backwards into a time that does not.
///
/// A step backwards counts as no time: from there on the clock's progress counts again. A step forwards is taken as it is,
/// since it cannot be told from an isolate that had nothing to do; all that it can do is end waits early. Whether a request is
/// alive must not be judged by it: see `leapt`.
#[derive(Debug, Default)]
pub struct Clock {
    last: u64,
    behind: u64,
    leapt: u64,
}

impl Clock {
    /// The time at a reading of the host's clock.
    pub fn read(&mut self, host: Timestamp) -> Timestamp {
        if host.0 < self.last {
            self.behind = self.behind.saturating_add(self.last - host.0);
        }
        self.leapt = self.leapt.saturating_add(host.0.saturating_sub(self.last).saturating_sub(STEP));
        self.last = host.0;
        Timestamp(host.0.saturating_add(self.behind))
    }

    /// The time at the last reading.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        Timestamp(self.last.saturating_add(self.behind))
    }

    /// How much of the time so far may have been steps: in it nobody can have been expected to act.
    #[must_use]
    pub const fn leapt(&self) -> Millis {
        Millis(self.leapt)
    }

    /// What the host's clock shows, or will show, at `time`.
    #[must_use]
    pub fn host(&self, time: Timestamp) -> Timestamp {
        Timestamp(time.0.saturating_sub(self.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_backwards_counts_as_no_time() {
        let mut clock = Clock::default();
        let a = clock.read(Timestamp::from_ms(1000));
        let b = clock.read(Timestamp::from_ms(400));
        let c = clock.read(Timestamp::from_ms(410));
        assert_eq!(b.since(a), Millis::ZERO);
        assert_eq!(c.since(b), Millis::new(10));
        assert_eq!(clock.host(c), Timestamp::from_ms(410));
    }

    #[test]
    fn a_step_forwards_counts_and_is_told_and_a_pause_counts_a_little() {
        let mut clock = Clock::default();
        let a = clock.read(Timestamp::from_ms(1_000_000));
        let before = clock.leapt();
        let b = clock.read(Timestamp::from_ms(1_005_000));
        assert_eq!((b.since(a), clock.leapt()), (Millis::new(5_000), before));
        let c = clock.read(Timestamp::from_ms(4_605_000));
        assert_eq!(c.since(b), Millis::new(3_600_000));
        assert_eq!(clock.leapt().get() - before.get(), 3_595_000);
        clock.read(Timestamp::from_ms(1_000_000));
        assert_eq!(clock.leapt().get() - before.get(), 3_595_000, "backwards");
    }

    #[test]
    fn garbage_from_the_host_is_the_epoch() {
        assert_eq!(Timestamp::from_host(f64::NAN), Timestamp::from_ms(0));
        assert_eq!(Timestamp::from_host(-5.0), Timestamp::from_ms(0));
        assert_eq!(Timestamp::from_host(f64::INFINITY).after(Millis::new(1)).as_ms(), u64::MAX);
    }
}
