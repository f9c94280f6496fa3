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

/// At most so many keys.
pub(crate) const MAX_KEYS: usize = 4096;
/// At most so many bytes of keys.
const MAX_BYTES: usize = 1 << 20;

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
///
/// A key that no longer fits is `unlisted`: its drop is sent all the same, and until it is acknowledged everything is fenced.
/// If it is not, nobody would send it again: it is refused, and everything stays fenced until nothing of before can be alive.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    fences: BTreeMap<Key, Fence>,
    bytes: usize,
    unlisted: usize,
    overflow: Option<Timestamp>,
}

impl Journal {
    /// Raises a fence, or raises it anew; the call that does sends the drop, a replay is due at `due`. `false`: there is no
    /// room, and the key is unlisted until `settle_unlisted`.
    pub(crate) fn raise(&mut self, key: &Key, raised: Seq, now: Timestamp, due: Timestamp) -> bool {
        if !self.fences.contains_key(key) {
            if !self.has_room(key) {
                self.sweep(now);
            }
            if !self.has_room(key) {
                self.unlisted += 1;
                return false;
            }
            self.bytes += key.len();
        }
        self.fences.insert(key.clone(), Fence { raised, state: FenceState::Pending { due } });
        true
    }

    fn has_room(&self, key: &Key) -> bool {
        self.fences.len() < MAX_KEYS && self.bytes + key.len() <= MAX_BYTES
    }

    /// The drop of an unlisted key was acknowledged, or (`refused_until`) was not.
    pub(crate) fn settle_unlisted(&mut self, refused_until: Option<Timestamp>) {
        self.unlisted = self.unlisted.saturating_sub(1);
        self.overflow = self.overflow.max(refused_until);
    }

    /// How a read that began at `began` is covered. A fence raised after it does not concern it: it began before the
    /// invalidation did.
    pub(crate) fn cover(&self, key: &Key, began: Seq, now: Timestamp) -> Option<Cover> {
        if self.unlisted > 0 || self.overflow.is_some_and(|until| now < until) {
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
            self.bytes -= key.len();
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
    fn sweep(&mut self, now: Timestamp) {
        let bytes = &mut self.bytes;
        self.fences.retain(|key, fence| {
            let over = matches!(fence.state, FenceState::Refused { until } if until <= now);
            *bytes -= if over { key.len() } else { 0 };
            !over
        });
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
        journal.raise(&key("a"), Seq(5), NOW, NOW);
        journal.acknowledge(&key("a"), Seq(4));
        assert_eq!(journal.cover(&key("a"), Seq(9), NOW), Some(Cover::Pending));
        journal.raise(&key("a"), Seq(8), NOW, NOW);
        journal.acknowledge(&key("a"), Seq(6));
        assert_eq!(journal.cover(&key("a"), Seq(9), NOW), Some(Cover::Pending));
        journal.acknowledge(&key("a"), Seq(10));
        assert_eq!(journal.cover(&key("a"), Seq(11), NOW), None);
        assert_eq!(journal.pending(), 0);
    }

    #[test]
    fn a_fence_covers_only_reads_that_begin_after_it() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(5), NOW, NOW);
        assert_eq!(journal.cover(&key("a"), Seq(4), NOW), None);
        assert_eq!(journal.cover(&key("a"), Seq(6), NOW), Some(Cover::Pending));
        assert_eq!(journal.cover(&key("b"), Seq(6), NOW), None);
    }

    #[test]
    fn a_refused_fence_stays_until_its_time() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(5), NOW, NOW);
        journal.refuse(&key("a"), LATER);
        assert_eq!(journal.cover(&key("a"), Seq(6), NOW), Some(Cover::Refused));
        assert!(journal.due(LATER, 10).is_empty());
        journal.sweep(LATER);
        assert_eq!(journal.cover(&key("a"), Seq(6), LATER), None);
    }

    #[test]
    fn a_full_journal_fences_everything_until_the_key_without_room_is_acknowledged() {
        let mut journal = Journal::default();
        for n in 0..MAX_KEYS {
            assert!(journal.raise(&key(&format!("{n}")), Seq(1), NOW, NOW));
        }
        assert!(!journal.raise(&key("one more"), Seq(2), NOW, NOW));
        assert_eq!(journal.cover(&key("any"), Seq(3), NOW), Some(Cover::Refused));
        journal.settle_unlisted(None);
        assert_eq!(journal.cover(&key("any"), Seq(3), NOW), None);
        assert!(!journal.raise(&key("one more"), Seq(2), NOW, NOW));
        journal.settle_unlisted(Some(LATER));
        assert_eq!(journal.cover(&key("any"), Seq(3), NOW), Some(Cover::Refused));
        assert_eq!(journal.cover(&key("any"), Seq(3), LATER), None);
        assert_eq!(journal.pending(), MAX_KEYS, "nothing is dropped");
    }

    #[test]
    fn the_bytes_of_keys_are_bounded_and_given_back() {
        let mut journal = Journal::default();
        let long = |n: usize| key(&format!("{n}{}", "x".repeat(30_000)));
        let count = (0..100).take_while(|n| journal.raise(&long(*n), Seq(1), NOW, NOW)).count();
        assert!((30..40).contains(&count), "{count}");
        for n in 0..count {
            journal.acknowledge(&long(n), Seq(2));
        }
        assert_eq!(journal.bytes, 0);
        journal.raise(&long(0), Seq(3), NOW, NOW);
        journal.refuse(&long(0), LATER);
        journal.sweep(LATER);
        assert_eq!(journal.bytes, 0);
    }

    #[test]
    fn a_postponed_drop_is_due_later() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Seq(1), NOW, NOW);
        assert_eq!(journal.due(NOW, 10), [key("a")]);
        journal.postpone(&key("a"), NOW, Millis::new(10));
        assert!(journal.due(NOW, 10).is_empty());
        assert_eq!(journal.next_due(), Some(NOW.after(Millis::new(10))));
    }
}
