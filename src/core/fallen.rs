//! Fences of tags and namespaces that have fallen lately. Who began while one was up must not be given what was read before it was
//! raised, and a flight that has been under way all the time may still have that, if nobody knew that it depends on the tag: else
//! the invalidation would have voided it.

use alloc::collections::VecDeque;

use super::fence::Seq;
use super::key::{Key, KeyKind};

/// So many are remembered; who was under way when an older one fell is told that he may be concerned.
const MOST: usize = 64;

/// One of them.
#[derive(Debug)]
struct Past {
    key: Key,
    raised: Seq,
    fell: Seq,
}

/// The last of them, in the order in which they fell.
#[derive(Debug, Default)]
pub(crate) struct Fallen {
    lately: VecDeque<Past>,
    /// When the last one fell that is not among them.
    forgotten: Seq,
}

impl Fallen {
    pub(crate) const fn new() -> Self {
        Self { lately: VecDeque::new(), forgotten: Seq(0) }
    }

    /// A fence falls that had been raised first at `raised`.
    pub(crate) fn note(&mut self, key: &Key, raised: Seq, fell: Seq) {
        if key.kind() == KeyKind::Entry {
            return;
        }
        if self.lately.len() == MOST
            && let Some(oldest) = self.lately.pop_front()
        {
            self.forgotten = oldest.fell;
        }
        self.lately.push_back(Past { key: key.clone(), raised, fell });
    }

    /// Whether one of these was up when somebody began at `began`, and has fallen after `since`.
    pub(crate) fn covered<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        began: Seq,
        since: Seq,
    ) -> bool {
        let covers = |key: &Key| {
            self.lately.iter().any(|past| past.key == *key && past.raised < began && since < past.fell)
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
    fn one_that_was_raised_before_somebody_began_and_fell_while_the_other_was_under_way_counts() {
        let mut fallen = Fallen::new();
        fallen.note(&tag("t"), Seq(10), Seq(20));
        let covered = |tags: &[Key], began, since| fallen.covered(tags, Seq(began), Seq(since));
        assert!(covered(&[tag("s"), tag("t")], 11, 19));
        assert!(!covered(&[tag("t")], 10, 5), "he began before it was raised");
        assert!(!covered(&[tag("t")], 21, 20), "the other began after it had fallen");
        assert!(!covered(&[tag("s")], 11, 5), "another tag");
    }

    #[test]
    fn each_counts_by_itself_and_what_is_forgotten_may_have_been_any() {
        let mut fallen = Fallen::new();
        fallen.note(&tag("t"), Seq(10), Seq(20));
        fallen.note(&tag("t"), Seq(30), Seq(40));
        assert!(fallen.covered(&[tag("t")], Seq(11), Seq(5)), "the first");
        assert!(!fallen.covered(&[tag("t")], Seq(21), Seq(20)), "neither");
        assert!(fallen.covered(&[tag("t")], Seq(31), Seq(20)), "the second");
        fallen.note(&Key::entry("p", "", "k"), Seq(1), Seq(45));
        assert!(
            !fallen.covered(&[Key::entry("p", "", "k")], Seq(41), Seq(41)),
            "what depends on a key is known"
        );
        for n in 0..64 {
            fallen.note(&tag("other"), Seq(50 + n), Seq(51 + n));
        }
        assert_eq!(fallen.lately.len(), MOST);
        assert!(
            fallen.covered(&[tag("s")], Seq(99), Seq(39)) && !fallen.covered(&[tag("s")], Seq(99), Seq(40))
        );
    }
}
