//! Invalidations that Redis has not acknowledged, and the fences they are: until one falls, nothing that it covers is served
//! by this isolate.
//!
//! A fence is raised before the first command of its invalidation leaves and carries its place in the isolate's order of
//! steps. It falls with the acknowledgement of a drop that was sent after it was raised: the answer to an older one says
//! nothing about what was written in between.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::fallen::Fallen;
use super::fence::Fence;
pub(crate) use super::fence::{Cover, Depth, Seq};
use super::key::Key;
use super::raised::Raised;
use super::time::{Millis, Timestamp};

/// At most so many fences.
pub(crate) const MAX_KEYS: usize = 4096;
/// At most so many bytes of keys.
const MAX_BYTES: usize = 1 << 20;

/// The journal of one connection.
///
/// When it is full, the fences of each namespace collapse to one of the namespace, and if that is not enough, all of a prefix to
/// one of everything. What collapses covers more than it must, never less; nothing is dropped.
#[derive(Debug)]
pub(crate) struct Journal {
    fences: BTreeMap<Key, Fence>,
    bytes: usize,
    room: usize,
    /// What has changed and has not been handed out, see `take_change`.
    changed: BTreeSet<Key>,
    raised: Raised,
    fallen: Fallen,
}

impl Default for Journal {
    fn default() -> Self {
        Self::with_room(MAX_KEYS)
    }
}

impl Journal {
    /// One for so many fences.
    pub(crate) const fn with_room(room: usize) -> Self {
        Self {
            fences: BTreeMap::new(),
            bytes: 0,
            room,
            changed: BTreeSet::new(),
            raised: Raised::new(),
            fallen: Fallen::new(),
        }
    }

    /// Raises a fence, or raises it anew; the call that does sends the drop, a replay is due at `due`.
    pub(crate) fn raise(&mut self, key: &Key, depth: Depth, raised: Seq, now: Timestamp, due: Timestamp) {
        self.raised.note(key, raised);
        self.insert(key, Fence::pending(depth, raised, due), now);
    }

    /// Raises a fence that no acknowledgement ends before `let_go`, or before `due`.
    pub(crate) fn hold(&mut self, key: &Key, raised: Seq, now: Timestamp, due: Timestamp) {
        self.raised.note(key, raised);
        self.insert(key, Fence::held(raised, due), now);
    }

    /// A mutate that held it has ended.
    pub(crate) fn let_go(&mut self, key: &Key) {
        if let Some(fence) = self.fences.get_mut(key) {
            fence.let_go();
        }
    }

    fn insert(&mut self, key: &Key, fence: Fence, now: Timestamp) {
        if !self.fences.contains_key(key) {
            if !self.has_room(key) {
                self.sweep(now);
            }
            if !self.has_room(key) {
                self.collapse(|key| key.namespaces().pop());
            }
            if !self.has_room(key) {
                self.collapse(|key| key.namespaces().into_iter().next());
            }
        }
        // Those of everything, one for each prefix, are few: there are at most so many caches.
        self.changed.insert(key.clone());
        match self.fences.get_mut(key) {
            Some(known) => known.join(fence),
            None => {
                self.bytes += key.len();
                self.fences.insert(key.clone(), fence);
            }
        }
    }

    fn has_room(&self, key: &Key) -> bool {
        self.fences.len() < self.room && self.bytes + key.len() <= MAX_BYTES
    }

    /// Puts one fence of `wider` in the place of each.
    fn collapse(&mut self, wider: impl Fn(&Key) -> Option<Key>) {
        let narrow = core::mem::take(&mut self.fences);
        for (key, mut fence) in narrow {
            let Some(wide) = wider(&key) else { continue };
            self.changed.insert(key.clone());
            self.changed.insert(wide.clone());
            if key != wide {
                fence.widen();
            }
            self.fences.entry(wide).and_modify(|known| known.join(fence)).or_insert(fence);
        }
        self.bytes = self.fences.keys().map(Key::len).sum();
    }

    /// How a read that began at `began` is covered, which depends on these. A fence raised after it does not concern it: it
    /// began before the invalidation did.
    pub(crate) fn cover<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        began: Seq,
        now: Timestamp,
    ) -> Option<Cover> {
        if self.fences.is_empty() {
            return None;
        }
        keys.into_iter().filter_map(|key| self.covered(key, began, now)).max()
    }

    /// How one of them is covered.
    pub(crate) fn covered(&self, key: &Key, began: Seq, now: Timestamp) -> Option<Cover> {
        self.fences.get(key)?.cover(began, now)
    }

    /// Whether anything is known of it that Redis has not acknowledged.
    pub(crate) fn is_fenced(&self, key: &Key) -> bool {
        self.fences.contains_key(key)
    }

    /// What a drop of it must end.
    pub(crate) fn depth(&self, key: &Key) -> Depth {
        self.fences.get(key).map_or(Depth::Hard, |fence| fence.depth)
    }

    /// A command of this depth sent at `sent` was acknowledged at `at`. Gives whether the fence has fallen.
    pub(crate) fn acknowledge(&mut self, key: &Key, depth: Depth, sent: Seq, at: Seq) -> bool {
        let falls = self.fences.get_mut(key).is_some_and(|fence| fence.acknowledge(depth, sent));
        if falls {
            self.remove(key, at);
        }
        falls
    }

    /// The one invalidation that was raised at that place has been carried out, which says nothing about any other.
    pub(crate) fn acknowledge_own(&mut self, key: &Key, raised: Seq, at: Seq) {
        if self.fences.get(key).is_some_and(|fence| fence.is_only(raised)) {
            self.remove(key, at);
        }
    }

    /// What was read while it was up may have been read before Redis has heard of it.
    fn remove(&mut self, key: &Key, at: Seq) {
        if let Some(fence) = self.fences.remove(key) {
            self.raised.note(key, at);
            let (first, last) = fence.raised();
            self.fallen.note(key, first, last);
            self.changed.insert(key.clone());
            self.bytes = self.bytes.saturating_sub(key.len());
        }
    }

    /// A drop was refused for good: the fence stays until nothing of before can be alive.
    pub(crate) fn refuse(&mut self, key: &Key, until: Timestamp) {
        if let Some(fence) = self.fences.get_mut(key) {
            fence.refuse(until);
            self.changed.insert(key.clone());
        }
    }

    /// A drop failed: the next one is due after `wait`.
    pub(crate) fn postpone(&mut self, key: &Key, now: Timestamp, wait: Millis) {
        if let Some(fence) = self.fences.get_mut(key) {
            fence.postpone(now.after(wait));
        }
    }

    /// A drop is sent.
    pub(crate) fn send(&mut self, key: &Key) {
        if let Some(fence) = self.fences.get_mut(key) {
            fence.send();
        }
    }

    /// Whether all of these have been sent before.
    pub(crate) fn is_repetition(&self, keys: &[Key]) -> bool {
        keys.iter().all(|key| self.fences.get(key).is_none_or(Fence::is_tried))
    }

    /// Those whose drop is due, at most `max`.
    pub(crate) fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Key> {
        let due = self.fences.iter_mut().filter(|(_, fence)| fence.due().is_some_and(|due| due <= now));
        due.filter_map(|(key, fence)| fence.release(now).then(|| key.clone())).take(max).collect()
    }

    /// Whether the drop of something that a read depends on may be sent now.
    pub(crate) fn release(&mut self, key: &Key, now: Timestamp) -> bool {
        self.fences.get_mut(key).is_some_and(|fence| fence.release(now))
    }

    /// When the next drop is due; `None` if nothing is pending.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.fences.values().filter_map(Fence::due).min()
    }

    /// Forgets refused fences that have run out.
    fn sweep(&mut self, now: Timestamp) {
        let changed = &mut self.changed;
        self.fences.retain(|key, fence| {
            let over = fence.is_over(now);
            if over {
                changed.insert(key.clone());
            }
            !over
        });
        self.bytes = self.fences.keys().map(Key::len).sum();
    }

    /// Something that has changed since it was handed out last, and what is to be kept of it, in the host's time: should this
    /// instance fail, the next one goes on from there.
    pub(crate) fn take_change(
        &mut self,
        host: impl Fn(Timestamp) -> Timestamp,
    ) -> Option<(Key, Option<String>)> {
        let key = self.changed.pop_first()?;
        let record = self.fences.get(&key).map(|fence| fence.record(host));
        Some((key, record))
    }

    /// Takes in what an earlier instance has handed out; `at`: when.
    pub(crate) fn restore(&mut self, key: &Key, record: &str, at: Seq, now: Timestamp) -> Option<()> {
        let fence = Fence::restore(record, now)?;
        self.raised.note(key, at);
        self.insert(key, fence, now);
        Some(())
    }

    /// Those that have fallen lately.
    pub(crate) const fn fallen(&self) -> &Fallen {
        &self.fallen
    }

    /// When fences were raised, and when they fell.
    pub(crate) const fn raised(&mut self) -> &mut Raised {
        &mut self.raised
    }

    /// How many invalidations wait for Redis.
    pub(crate) fn pending(&self) -> usize {
        self.fences.values().filter(|fence| fence.due().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    const NOW: Timestamp = Timestamp::from_ms(1000);
    const LATER: Timestamp = Timestamp::from_ms(9000);
    /// When something is acknowledged.
    const AT: Seq = Seq(99);

    fn key(name: &str) -> Key {
        Key::entry("p", "", name)
    }

    fn raised(names: &[&str], at: u64) -> Journal {
        let mut journal = Journal::default();
        for name in names {
            journal.raise(&key(name), Depth::Hard, Seq(at), NOW, NOW);
        }
        journal
    }

    fn cover(journal: &Journal, name: &str, began: u64) -> Option<Cover> {
        journal.covered(&key(name), Seq(began), NOW)
    }

    #[test]
    fn the_acknowledgement_of_an_older_drop_does_not_count() {
        let mut journal = raised(&["a"], 5);
        assert!(!journal.acknowledge(&key("a"), Depth::Hard, Seq(4), AT));
        assert_eq!(cover(&journal, "a", 9), Some(Cover::Pending));
        journal.raise(&key("a"), Depth::Hard, Seq(8), NOW, NOW);
        assert!(!journal.acknowledge(&key("a"), Depth::Hard, Seq(6), AT));
        assert_eq!(cover(&journal, "a", 7), Some(Cover::Pending), "the first raise covers it");
        assert!(journal.acknowledge(&key("a"), Depth::Hard, Seq(10), AT));
        assert_eq!((cover(&journal, "a", 11), journal.pending(), journal.bytes), (None, 0, 0));
    }

    #[test]
    fn a_fence_covers_only_reads_that_begin_after_it() {
        let journal = raised(&["a"], 5);
        assert_eq!(cover(&journal, "a", 4), None);
        assert_eq!(cover(&journal, "a", 6), Some(Cover::Pending));
        assert_eq!(cover(&journal, "b", 6), None);
        assert_eq!(journal.cover([&key("b"), &key("a")], Seq(6), NOW), Some(Cover::Pending));
    }

    #[test]
    fn an_expiry_is_not_enough_for_an_invalidation() {
        let mut journal = Journal::default();
        journal.raise(&key("a"), Depth::Soft, Seq(5), NOW, NOW);
        assert_eq!(cover(&journal, "a", 6), Some(Cover::Soft));
        journal.raise(&key("a"), Depth::Hard, Seq(7), NOW, NOW);
        journal.raise(&key("a"), Depth::Soft, Seq(9), NOW, NOW);
        assert_eq!(cover(&journal, "a", 8), Some(Cover::Pending));
        assert!(!journal.acknowledge(&key("a"), Depth::Soft, Seq(10), AT));
        assert!(journal.acknowledge(&key("a"), Depth::Hard, Seq(10), AT));
    }

    #[test]
    fn a_mutate_under_way_is_not_acknowledged_before_its_deadline() {
        let mut journal = Journal::default();
        journal.hold(&key("a"), Seq(5), NOW, LATER);
        assert!(!journal.acknowledge(&key("a"), Depth::Hard, Seq(6), AT));
        assert_eq!(cover(&journal, "a", 7), Some(Cover::Refused));
        journal.refuse(&key("a"), LATER);
        assert!(!journal.release(&key("a"), NOW) && journal.take_due(NOW, 9).is_empty());
        assert_eq!(journal.take_due(LATER, 9), [key("a")]);
        assert!(journal.acknowledge(&key("a"), Depth::Hard, Seq(9), AT));
    }

    #[test]
    fn the_end_of_a_mutate_takes_its_place() {
        let mut journal = Journal::default();
        journal.hold(&key("a"), Seq(5), NOW, LATER);
        journal.let_go(&key("a"));
        journal.raise(&key("a"), Depth::Hard, Seq(8), NOW, NOW);
        assert_eq!(cover(&journal, "a", 6), Some(Cover::Pending));
        assert!(!journal.acknowledge(&key("a"), Depth::Hard, Seq(7), AT));
        assert!(journal.acknowledge(&key("a"), Depth::Hard, Seq(9), AT));
    }

    #[test]
    fn a_verdict_of_its_own_acknowledges_no_other() {
        let mut journal = raised(&["a"], 5);
        journal.raise(&key("a"), Depth::Hard, Seq(7), NOW, NOW);
        journal.acknowledge_own(&key("a"), Seq(7), AT);
        assert!(journal.covered(&key("a"), Seq(9), NOW).is_some());
        let mut journal = raised(&["a"], 5);
        journal.acknowledge_own(&key("a"), Seq(5), AT);
        assert!(journal.covered(&key("a"), Seq(9), NOW).is_none());
    }

    #[test]
    fn a_refused_fence_stays_until_its_time() {
        let mut journal = raised(&["a"], 5);
        journal.refuse(&key("a"), LATER);
        assert_eq!(cover(&journal, "a", 6), Some(Cover::Refused));
        assert!(journal.take_due(LATER, 10).is_empty());
        assert_eq!(journal.covered(&key("a"), Seq(6), LATER), None);
        journal.sweep(LATER);
        assert_eq!(journal.bytes, 0);
    }

    #[test]
    fn a_full_journal_collapses_and_covers_more_never_less() {
        let mut journal = Journal::default();
        let name = |n: usize| Key::entry("p", if n.is_multiple_of(2) { "even" } else { "" }, &n.to_string());
        for n in 0..=MAX_KEYS {
            journal.raise(&name(n), Depth::Hard, Seq(1 + n as u64), NOW, NOW);
        }
        assert!(journal.fences.len() <= 3, "{:?}", journal.fences);
        let all = |key: &Key| {
            let spaces = key.namespaces();
            journal.cover(spaces.iter().chain([key]), Seq(9_999_999), NOW)
        };
        for n in 0..=MAX_KEYS {
            assert_eq!(all(&name(n)), Some(Cover::Pending), "{n}");
        }
        let mut one = Journal::default();
        for n in 0..=MAX_KEYS {
            one.raise(&Key::entry("p", &n.to_string(), "k"), Depth::Hard, Seq(5), NOW, NOW);
        }
        assert_eq!(one.fences.len(), 2, "one of everything, and the newest: {:?}", one.fences);
        assert_eq!(one.covered(&Key::namespace("p", ""), Seq(6), NOW), Some(Cover::Pending));
    }

    #[test]
    fn a_collapse_to_what_is_raised_itself_keeps_what_was_there() {
        let mut journal = Journal::with_room(1);
        journal.hold(&key("held"), Seq(1), NOW, LATER);
        let all = Key::namespace("p", "");
        journal.raise(&all, Depth::Soft, Seq(2), NOW, NOW);
        assert!(!journal.acknowledge(&all, Depth::Soft, Seq(3), AT));
        assert_eq!(journal.covered(&all, Seq(4), NOW), Some(Cover::Refused));
    }

    #[test]
    fn a_mutate_is_still_held_when_the_journal_collapses() {
        let mut journal = Journal::default();
        journal.hold(&key("held"), Seq(1), NOW, LATER);
        for n in 0..=MAX_KEYS {
            journal.raise(&key(&format!("{n}")), Depth::Hard, Seq(2), NOW, NOW);
        }
        let all = Key::namespace("p", "");
        assert_eq!(journal.covered(&all, Seq(3), NOW), Some(Cover::Refused));
        assert!(!journal.acknowledge(&all, Depth::Hard, Seq(9), AT));
        assert!(journal.take_due(LATER, 9).contains(&all));
    }

    #[test]
    fn the_bytes_of_keys_are_bounded() {
        let mut journal = Journal::default();
        for n in 0..100 {
            let long = key(&format!("{n}{}", "x".repeat(30_000)));
            journal.raise(&long, Depth::Hard, Seq(1), NOW, NOW);
            assert!(journal.bytes <= MAX_BYTES + long.len(), "{}", journal.bytes);
        }
    }

    #[test]
    fn what_is_handed_out_makes_the_same_journal_again() {
        let mut journal = raised(&["pending", "gone", "refused"], 5);
        journal.hold(&key("held"), Seq(6), NOW, LATER);
        journal.raise(&key("soft"), Depth::Soft, Seq(6), NOW, NOW);
        journal.refuse(&key("refused"), LATER);
        journal.acknowledge(&key("gone"), Depth::Hard, Seq(9), AT);
        let mut kept: BTreeMap<Key, String> = BTreeMap::new();
        while let Some((key, record)) = journal.take_change(|time| time) {
            match record {
                Some(record) => kept.insert(key, record),
                None => kept.remove(&key),
            };
        }
        assert_eq!(journal.take_change(|time| time), None, "each is handed out once");
        let mut next = Journal::default();
        for (key, record) in &kept {
            next.restore(key, record, Seq(0), NOW).expect("a record of ours");
        }
        for (name, expected) in [
            ("pending", Some(Cover::Pending)),
            ("gone", None),
            ("refused", Some(Cover::Refused)),
            ("held", Some(Cover::Refused)),
            ("soft", Some(Cover::Soft)),
        ] {
            assert_eq!(cover(&next, name, 1), expected, "{name}");
        }
        assert_eq!(next.covered(&key("held"), Seq(1), LATER), Some(Cover::Pending));
        assert_eq!(next.covered(&key("refused"), Seq(1), LATER), None);
        assert_eq!(next.restore(&key("x"), "garbage", Seq(0), NOW), None);
        assert_eq!(next.restore(&key("x"), "h px", Seq(0), NOW), None);
    }

    #[test]
    fn a_collapse_is_handed_out_in_full() {
        let mut journal = Journal::with_room(2);
        for n in 0..5 {
            journal.raise(&key(&format!("{n}")), Depth::Hard, Seq(n), NOW, NOW);
        }
        let mut kept: BTreeMap<Key, String> = BTreeMap::new();
        while let Some((key, record)) = journal.take_change(|time| time) {
            match record {
                Some(record) => kept.insert(key, record),
                None => kept.remove(&key),
            };
        }
        assert_eq!(kept.keys().collect::<Vec<_>>(), journal.fences.keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_postponed_drop_is_due_later() {
        let mut journal = raised(&["a"], 1);
        journal.postpone(&key("a"), NOW, Millis::new(10));
        assert!(journal.take_due(NOW, 10).is_empty());
        assert_eq!(journal.next_due(), Some(NOW.after(Millis::new(10))));
    }
}
