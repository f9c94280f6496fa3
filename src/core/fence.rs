//! A fence: what is known of the invalidations of one key, tag or namespace that Redis has not acknowledged.

use alloc::string::String;
use core::fmt::Write as _;

use super::time::Timestamp;

/// A place in the order of steps of this instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seq(pub(crate) u64);

/// What an invalidation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// The soft half: what is stored becomes stale.
    Soft,
    /// Everything.
    Hard,
}

/// How something is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cover {
    /// What is stored is stale; the expiry must be acknowledged first.
    Soft,
    /// A drop must be acknowledged first.
    Pending,
    /// Nothing can be served: Redis will not take the drop, or it must not be sent yet.
    Refused,
}

/// A fence. Several calls may be behind it; it stands as long as one of its parts does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence {
    /// When it was first raised: reads that began later are covered.
    first: Seq,
    /// When it was raised last: only what was sent later acknowledges it.
    last: Seq,
    pub(crate) depth: Depth,
    /// A drop is to be sent, at that time at the latest.
    pending: Option<Timestamp>,
    /// So many mutates are under way; one whose request has died falls due at that time.
    held: Option<(u32, Timestamp)>,
    /// Redis will not take it; nothing of before can be alive after that time.
    refused: Option<Timestamp>,
    /// A drop has been sent. Not kept: whoever goes on from a record has sent none.
    tried: bool,
}

impl Fence {
    pub(crate) const fn pending(depth: Depth, raised: Seq, due: Timestamp) -> Self {
        Self {
            first: raised,
            last: raised,
            depth,
            pending: Some(due),
            held: None,
            refused: None,
            tried: false,
        }
    }

    pub(crate) const fn held(raised: Seq, due: Timestamp) -> Self {
        let held = Some((1, due));
        Self {
            first: raised,
            last: raised,
            depth: Depth::Hard,
            pending: None,
            held,
            refused: None,
            tried: false,
        }
    }

    /// It is raised anew, by another call.
    pub(crate) fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.depth = self.depth.max(other.depth);
        self.pending = match (self.pending, other.pending) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.held = match (self.held, other.held) {
            (Some((n, a)), Some((m, b))) => Some((n.saturating_add(m), a.max(b))),
            (a, b) => a.or(b),
        };
        // What is sent anew may be taken this time.
        self.refused = if other.pending.is_some() { None } else { self.refused.max(other.refused) };
    }

    /// One of something wider takes its place. What was refused is tried there.
    pub(crate) fn widen(&mut self) {
        self.depth = Depth::Hard;
        if self.refused.take().is_some() && self.pending.is_none() {
            self.pending = Some(Timestamp::default());
        }
    }

    /// A mutate has ended.
    pub(crate) fn let_go(&mut self) {
        self.held = self.held.and_then(|(n, due)| (n > 1).then_some((n - 1, due)));
    }

    pub(crate) fn cover(&self, began: Seq, now: Timestamp) -> Option<Cover> {
        if began <= self.first {
            return None;
        }
        if self.held.is_some_and(|(_, due)| now < due) {
            return Some(Cover::Refused);
        }
        match self.depth {
            Depth::Hard if self.pending.is_some() || self.held.is_some() => Some(Cover::Pending),
            Depth::Hard => self.refused.filter(|until| now < *until).map(|_| Cover::Refused),
            Depth::Soft => Some(Cover::Soft),
        }
    }

    /// A command of this depth sent at `sent` was acknowledged. Gives whether nothing is left of it.
    pub(crate) fn acknowledge(&mut self, depth: Depth, sent: Seq) -> bool {
        if self.last >= sent || self.depth > depth {
            return false;
        }
        self.pending = None;
        self.refused = None;
        self.held.is_none()
    }

    /// When it was raised first, and last.
    pub(crate) const fn raised(&self) -> (Seq, Seq) {
        (self.first, self.last)
    }

    /// Whether the call that was raised there is all that is behind it.
    pub(crate) fn is_only(&self, raised: Seq) -> bool {
        self.first == raised && self.last == raised && self.held.is_none()
    }

    pub(crate) fn refuse(&mut self, until: Timestamp) {
        if self.pending.take().is_some() {
            self.refused = self.refused.max(Some(until));
        }
    }

    /// A drop failed: the next one is due then.
    pub(crate) fn postpone(&mut self, due: Timestamp) {
        if self.pending.is_some() {
            self.pending = Some(due);
        }
    }

    /// A drop of it is sent.
    pub(crate) fn send(&mut self) {
        self.tried = true;
    }

    /// Whether one has been.
    pub(crate) const fn is_tried(&self) -> bool {
        self.tried
    }

    /// When a drop is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let held = self.held.map(|(_, due)| due);
        match (self.pending, held) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether a drop may be sent now. A mutate that has not ended in its time is from then on like any other.
    pub(crate) fn release(&mut self, now: Timestamp) -> bool {
        if let Some((_, due)) = self.held
            && due <= now
        {
            self.held = None;
            self.pending = Some(self.pending.map_or(due, |pending| pending.min(due)));
        }
        self.pending.is_some()
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.due().is_none() && self.refused.is_none_or(|until| until <= now)
    }

    /// What is to be kept of it for the next instance, in the host's time.
    pub(crate) fn record(&self, host: impl Fn(Timestamp) -> Timestamp) -> String {
        let mut record = String::from(if self.depth == Depth::Soft { "s" } else { "h" });
        let parts = [('p', self.pending), ('w', self.held.map(|(_, due)| due)), ('r', self.refused)];
        for (letter, time) in parts {
            if let Some(time) = time {
                // Writing to a String does not fail.
                let _ = write!(record, " {letter}{}", host(time).as_ms());
            }
        }
        record
    }

    /// The fence of a record, raised before everything that this instance does. What was pending is due at once.
    pub(crate) fn restore(record: &str, now: Timestamp) -> Option<Self> {
        let mut words = record.split(' ');
        let depth = match words.next()? {
            "h" => Depth::Hard,
            "s" => Depth::Soft,
            _ => return None,
        };
        let (first, last) = (Seq::default(), Seq::default());
        let mut fence = Self { first, last, depth, pending: None, held: None, refused: None, tried: false };
        for word in words {
            let mut digits = word.chars();
            let letter = digits.next()?;
            let time = Timestamp::from_ms(digits.as_str().parse().ok()?);
            match letter {
                'p' => fence.pending = Some(now),
                'w' => fence.held = Some((1, time)),
                'r' => fence.refused = Some(time),
                _ => return None,
            }
        }
        (fence.due().is_some() || fence.refused.is_some()).then_some(fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DUE: Timestamp = Timestamp::from_ms(50);
    const NOW: Timestamp = Timestamp::from_ms(10);

    #[test]
    fn an_invalidation_during_a_mutate_leaves_the_mutate_its_fence() {
        let mut fence = Fence::held(Seq(1), DUE);
        fence.join(Fence::pending(Depth::Hard, Seq(2), NOW));
        assert!(!fence.acknowledge(Depth::Hard, Seq(3)), "the mutate is under way");
        assert_eq!(fence.cover(Seq(4), NOW), Some(Cover::Refused));
        fence.let_go();
        fence.join(Fence::pending(Depth::Hard, Seq(5), NOW));
        assert!(fence.acknowledge(Depth::Hard, Seq(6)));
    }

    #[test]
    fn two_mutates_both_hold_it() {
        let mut fence = Fence::held(Seq(1), DUE);
        fence.join(Fence::held(Seq(2), DUE));
        fence.let_go();
        assert_eq!(fence.cover(Seq(4), NOW), Some(Cover::Refused));
        fence.let_go();
        assert!(fence.acknowledge(Depth::Hard, Seq(5)));
    }

    #[test]
    fn what_was_refused_is_tried_again_when_it_is_raised_again() {
        let mut fence = Fence::pending(Depth::Hard, Seq(1), NOW);
        fence.refuse(DUE);
        assert_eq!((fence.due(), fence.cover(Seq(2), NOW)), (None, Some(Cover::Refused)));
        fence.join(Fence::pending(Depth::Hard, Seq(3), NOW));
        assert_eq!(fence.cover(Seq(2), NOW), Some(Cover::Pending));
    }

    proptest! {
        #[test]
        fn restoring_never_panics(record: String, near in "[hs]( [pwr][0-9]{0,22}){0,4}") {
            let _ = Fence::restore(&record, NOW);
            let _ = Fence::restore(&near, NOW);
        }
    }
}
