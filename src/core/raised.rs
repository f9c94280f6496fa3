//! When what an isolate holds was last invalidated by itself: also after the fence has fallen, what was read before it was
//! raised is older than the invalidation, and what was read while it was up may be.

use alloc::vec::Vec;

use super::fence::Seq;
use super::key::Key;

/// So many places, two bytes each to name.
const PLACES: usize = 4096;

/// When a fence was last raised, or fell, for each of a fixed number of places, which keys, tags and namespaces share by their hashes.
/// Two that share one cost a read of Redis, never a wrong answer; and nothing is ever full. The places are made when
/// somebody asks for the first of them: without L1 there are none.
#[derive(Debug)]
pub(crate) struct Raised {
    places: Vec<Seq>,
    newest: Seq,
}

/// Where to look for fences of a key, tag or namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    pub(crate) fn of(key: &Key) -> Self {
        let hash = key.hash();
        // The lower bits of FNV alone are no good mixture.
        let place = (hash ^ hash >> 20 ^ hash >> 40) % PLACES as u64;
        Self(u16::try_from(place).unwrap_or(0))
    }
}

impl Raised {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), newest: Seq(0) }
    }

    /// A fence is raised, or falls.
    pub(crate) fn note(&mut self, key: &Key, at: Seq) {
        self.newest = self.newest.max(at);
        if let Some(place) = self.places.get_mut(usize::from(Place::of(key).0)) {
            *place = (*place).max(at);
        }
    }

    /// When that was last, of all.
    pub(crate) const fn newest(&self) -> Seq {
        self.newest
    }

    /// Whether that was after `since` for one of these.
    pub(crate) fn any_since(&mut self, places: &[Place], since: Seq) -> bool {
        if self.places.is_empty() {
            // Of which ones it was so far is not known: all may have been.
            self.places.resize(PLACES, self.newest);
        }
        self.newest > since
            && places
                .iter()
                .any(|place| self.places.get(usize::from(place.0)).is_none_or(|raised| *raised > since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::entry("p", "", name)
    }

    #[test]
    fn what_was_raised_later_counts_and_nothing_else_does() {
        let mut raised = Raised::new();
        let places = [Place::of(&key("a")), Place::of(&Key::namespace("p", ""))];
        raised.note(&key("other"), Seq(3));
        assert!(raised.any_since(&places, Seq(2)), "nobody had asked by then: it may have been any");
        assert!(!raised.any_since(&places, Seq(3)));
        raised.note(&key("b"), Seq(5));
        assert!(!raised.any_since(&places, Seq(3)), "another key");
        raised.note(&Key::namespace("p", ""), Seq(7));
        assert!(raised.any_since(&places, Seq(6)) && !raised.any_since(&places, Seq(7)));
        assert_eq!(raised.newest(), Seq(7));
    }

    #[test]
    fn keys_spread_over_the_places() {
        let places: std::collections::BTreeSet<u16> =
            (0..PLACES).map(|n| Place::of(&key(&std::format!("learner:{n}"))).0).collect();
        assert!(places.len() > PLACES / 2, "{}", places.len());
    }
}
