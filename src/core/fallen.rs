//! Fences of tags and namespaces that have fallen lately. Who began while one was up must not be given what was read before it was
//! raised, and a flight that has been under way since before that may still have it, if nobody knew that it depends on the tag: else
//! the invalidation would have voided it.

use alloc::collections::VecDeque;

use super::fence::Seq;
use super::key::{Key, KeyKind};

/// So many are remembered; of a flight that was under way when an older one was raised, nothing is known.
const MOST: usize = 64;

/// One of them: when it was raised, first and last.
#[derive(Debug)]
struct Past {
    key: Key,
    first: Seq,
    last: Seq,
}

/// The last of them, in the order in which they fell.
#[derive(Debug, Default)]
pub(crate) struct Fallen {
    lately: VecDeque<Past>,
    /// When the latest that is not among them was raised last.
    forgotten: Seq,
}

impl Fallen {
    pub(crate) const fn new() -> Self {
        Self { lately: VecDeque::new(), forgotten: Seq(0) }
    }

    /// A fence falls that had been raised at `first`, and at `last` once more.
    pub(crate) fn note(&mut self, key: &Key, first: Seq, last: Seq) {
        if key.kind() == KeyKind::Entry {
            return;
        }
        if self.lately.len() == MOST
            && let Some(oldest) = self.lately.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest.last);
        }
        self.lately.push_back(Past { key: key.clone(), first, last });
    }

    /// Whether one of these was up when a follower began at `began`, whose flight has been under way since before, from `since` on.
    pub(crate) fn covered<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        began: Seq,
        since: Seq,
    ) -> bool {
        let covers = |key: &Key| {
            self.lately.iter().any(|past| past.key == *key && past.first < began && since < past.last)
        };
        since < self.forgotten || keys.into_iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Key {
        Key::tag("p", "", name)
    }

    #[test]
    fn one_counts_that_was_raised_after_the_flight_and_before_its_follower_began() {
        let mut fallen = Fallen::new();
        fallen.note(&tag("t"), Seq(10), Seq(10));
        let covered = |tags: &[Key], began, since| fallen.covered(tags, Seq(began), Seq(since));
        assert!(covered(&[tag("s"), tag("t")], 11, 9));
        assert!(!covered(&[tag("t")], 10, 9), "the follower began before it was raised");
        assert!(!covered(&[tag("t")], 11, 10), "the flight began after it was raised");
        assert!(!covered(&[tag("s")], 11, 9), "another tag");
    }

    #[test]
    fn each_raise_counts_and_what_is_forgotten_may_have_been_any() {
        let mut fallen = Fallen::new();
        fallen.note(&tag("t"), Seq(10), Seq(15));
        fallen.note(&tag("t"), Seq(30), Seq(30));
        let covered = |fallen: &Fallen, tag, began, since| fallen.covered([&tag], Seq(began), Seq(since));
        assert!(covered(&fallen, tag("t"), 11, 12), "raised anew since");
        assert!(!covered(&fallen, tag("t"), 16, 15), "neither");
        assert!(covered(&fallen, tag("t"), 31, 20), "the second");
        let entry = Key::entry("p", "", "k");
        fallen.note(&entry, Seq(1), Seq(40));
        assert!(!covered(&fallen, entry, 41, 35), "what depends on a key is known");
        for n in 0..64 {
            fallen.note(&tag("other"), Seq(50 + n), Seq(50 + n));
        }
        assert_eq!(fallen.lately.len(), MOST);
        assert!(covered(&fallen, tag("s"), 99, 29) && !covered(&fallen, tag("s"), 99, 30));
    }
}
