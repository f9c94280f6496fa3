//! Invalidations that Redis has not acknowledged, and the fences they are: until one falls, nothing stored for its key is
//! served by this isolate.
//!
//! A fence is raised before the first drop leaves and carries its place in the isolate's order of steps. It falls with the
//! acknowledgement of a drop that was sent after it was raised: the answer to an older one says nothing about what was
//! written in between.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::key::Key;
use super::time::{Millis, Timestamp};

/// A place in the order of steps of this instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seq(pub(crate) u64);

/// At most so many keys. When one more comes, every key counts as refused (see `overflow`): told, fenced, never dropped.
pub(crate) const MAX_KEYS: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Fence {
    raised: Seq,
    state: FenceState,
}

#[derive(Clone, Copy, Debug)]
enum FenceState {
    Pending { due: Timestamp },
    Refused { until: Timestamp },
}

/// How a key is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// A drop must be acknowledged first.
    Pending,
    /// Redis will not take it: nothing can be served.
    Refused,
}

/// The journal of one connection.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    fences: BTreeMap<Key, Fence>,
    overflow: Option<Timestamp>,
}

impl Journal {
    /// Raises a fence, or raises it anew; the call that does sends the drop, a replay is due at `due`. `false`: the journal is
    /// full, and everything is fenced until `until`.
    pub(crate) fn raise(&mut self, key: &Key, raised: Seq, due: Timestamp, until: Timestamp) -> bool {
        if self.fences.len() >= MAX_KEYS && !self.fences.contains_key(key) {
            self.overflow = self.overflow.max(Some(until));
            return false;
        }
        self.fences.insert(key.clone(), Fence { raised, state: FenceState::Pending { due } });
        true
    }

    /// How a read that began at `began` is covered. A fence raised after it does not concern it: it began before the
    /// invalidation did.
    pub(crate) fn cover(&self, key: &Key, began: Seq, now: Timestamp) -> Option<Cover> {
        if self.overflow.is_some_and(|until| now < until) {
            return Some(Cover::Refused);
        }
        let fence = self.fences.get(key).filter(|fence| fence.raised < began)?;
        match fence.state {
            FenceState::Pending { .. } => Some(Cover::Pending),
            FenceState::Refused { until } => (now < until).then_some(Cover::Refused),
        }
    }

    /// A drop sent at `sent` was acknowledged.
    pub(crate) fn acknowledge(&mut self, key: &Key, sent: Seq) {
        if self.fences.get(key).is_some_and(|fence| fence.raised < sent) {
            self.fences.remove(key);
        }
    }

    /// A drop was refused for good: the fence stays until nothing of before can be alive.
    pub(crate) fn refuse(&mut self, key: &Key, until: Timestamp) {
        if let Some(fence) = self.fences.get_mut(key) {
            fence.state = FenceState::Refused { until };
        }
    }

    /// A drop failed: the next one is due after `wait`.
    pub(crate) fn postpone(&mut self, key: &Key, now: Timestamp, wait: Millis) {
        if let Some(Fence { state: FenceState::Pending { due }, .. }) = self.fences.get_mut(key) {
            *due = now.after(wait);
        }
    }

    /// The pending keys whose drop is due, at most `max`.
    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<Key> {
        let pending =
            self.fences.iter().filter(|(_, f)| matches!(f.state, FenceState::Pending { due } if due <= now));
        pending.map(|(key, _)| key.clone()).take(max).collect()
    }

    /// When the next drop is due; `None` if nothing is pending.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let due = |f: &Fence| if let FenceState::Pending { due } = f.state { Some(due) } else { None };
        self.fences.values().filter_map(due).min()
    }

    /// Forgets refused fences that have run out.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.fences.retain(|_, f| !matches!(f.state, FenceState::Refused { until } if until <= now));
        self.overflow = self.overflow.filter(|until| now < *until);
    }

    /// How many invalidations wait for Redis.
    pub(crate) fn pending(&self) -> usize {
        self.fences.values().filter(|f| matches!(f.state, FenceState::Pending { .. })).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const NOW: Timestamp = Timestamp::from_ms(1000);
    const LATER: Timestamp = Timestamp::from_ms(9000);

    fn key(name: &str) -> Key {
        Key::new("p", name)
    }

    #[test]
    fn the_acknowledgement_of_an_older_drop_does_not_count() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(5), NOW, LATER);
        journal.acknowledge(&key("a"), Seq(4));
        assert_eq!(journal.cover(&key("a"), Seq(9), NOW), Some(Cover::Pending));
        journal.raise(&key("a"), Seq(8), NOW, LATER);
        journal.acknowledge(&key("a"), Seq(6));
        assert_eq!(journal.cover(&key("a"), Seq(9), NOW), Some(Cover::Pending));
        journal.acknowledge(&key("a"), Seq(10));
        assert_eq!(journal.cover(&key("a"), Seq(11), NOW), None);
        assert_eq!(journal.pending(), 0);
    }

    #[test]
    fn a_fence_covers_only_reads_that_begin_after_it() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(5), NOW, LATER);
        assert_eq!(journal.cover(&key("a"), Seq(4), NOW), None);
        assert_eq!(journal.cover(&key("a"), Seq(6), NOW), Some(Cover::Pending));
        assert_eq!(journal.cover(&key("b"), Seq(6), NOW), None);
    }

    #[test]
    fn a_refused_fence_stays_until_its_time() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(5), NOW, LATER);
        journal.refuse(&key("a"), LATER);
        assert_eq!(journal.cover(&key("a"), Seq(6), NOW), Some(Cover::Refused));
        assert!(journal.due(LATER, 10).is_empty());
        journal.sweep(LATER);
        assert_eq!(journal.cover(&key("a"), Seq(6), LATER), None);
    }

    #[test]
    fn a_full_journal_fences_everything_and_drops_nothing() {
        let mut journal = Journal::default();
        for n in 0..MAX_KEYS {
            assert!(journal.raise(&key(&format!("{n}")), Seq(1), NOW, LATER));
        }
        assert!(!journal.raise(&key("one more"), Seq(2), NOW, LATER));
        assert_eq!(journal.cover(&key("one more"), Seq(3), NOW), Some(Cover::Refused));
        assert_eq!(journal.cover(&key("any"), Seq(3), NOW), Some(Cover::Refused));
        assert_eq!(journal.pending(), MAX_KEYS);
    }

    #[test]
    fn a_postponed_drop_is_due_later() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(1), NOW, LATER);
        assert_eq!(journal.due(NOW, 10), [key("a")]);
        journal.postpone(&key("a"), NOW, Millis::new(10));
        assert!(journal.due(NOW, 10).is_empty());
        assert_eq!(journal.next_due(), Some(NOW.after(Millis::new(10))));
    }
}
