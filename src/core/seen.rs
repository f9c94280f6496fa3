//! What a request has read, so that its `set` of the same key can be exact: stored only if nothing has been invalidated since.
//!
//! A value that a request stores may follow from what it has read. So a request that has read a key, and of whose read the stamps
//! are not known any more, or which has ended the key itself since, ends what is stored and stores nothing.

use hashbrown::HashMap;

use super::basis::Basis;
use super::engine::RequestId;
use super::key::Key;

/// So many reads are remembered at least, and twice as many at most.
const MAX: usize = 2048;

type Reads = HashMap<(RequestId, Key), Option<Basis>>;

/// Reads of requests, the youngest and those before them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    young: Reads,
    old: Reads,
    /// Requests up to this one may have read what has been forgotten: they are numbered as they come.
    forgotten: Option<RequestId>,
    /// The same for what is forgotten next.
    leaving: Option<RequestId>,
}

/// What is known of a request's reads of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has not read it.
    Unread,
    /// It has, and this is what it read.
    Exact(Basis),
    /// It has, or may have, and nothing can be stored under that.
    Spoiled,
}

impl Seen {
    pub(crate) fn note(&mut self, request: RequestId, basis: &Basis) {
        if let Some(key) = basis.entry() {
            self.put((request, key.clone()), Some(basis.clone()));
        }
    }

    /// The same for a read whose value the request has not got yet: what it may have got before is older, and counts until then.
    pub(crate) fn note_first(&mut self, request: RequestId, basis: &Basis) {
        if basis.entry().is_some_and(|key| self.look(request, key) == Look::Unread) {
            self.note(request, basis);
        }
    }

    /// What the request has read of a key is no longer of use.
    pub(crate) fn spoil(&mut self, request: RequestId, key: &Key) {
        self.put((request, key.clone()), None);
    }

    /// The request ends this: so it does with what it has read that depends on it.
    pub(crate) fn ends(&mut self, request: RequestId, target: &Key) {
        for ((of, key), basis) in self.young.iter_mut().chain(&mut self.old) {
            let depends =
                key == target || basis.as_ref().is_some_and(|basis| basis.keys().any(|key| key == target));
            if *of == request && depends {
                *basis = None;
            }
        }
    }

    pub(crate) fn look(&self, request: RequestId, key: &Key) -> Look {
        let at = (request, key.clone());
        match self.young.get(&at).or_else(|| self.old.get(&at)) {
            Some(Some(basis)) => Look::Exact(basis.clone()),
            Some(None) => Look::Spoiled,
            None if self.forgotten.is_some_and(|last| request <= last) => Look::Spoiled,
            None => Look::Unread,
        }
    }

    fn put(&mut self, at: (RequestId, Key), basis: Option<Basis>) {
        if self.young.len() >= MAX && !self.young.contains_key(&at) {
            self.forgotten = self.forgotten.max(self.leaving);
            self.old = core::mem::take(&mut self.young);
            self.leaving = self.old.keys().map(|(request, _)| *request).max();
        }
        self.young.insert(at, basis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::Stamp;
    use alloc::string::{String, ToString as _};
    use alloc::vec::Vec;

    fn key(name: &str) -> Key {
        Key::entry("p", "", name)
    }

    fn basis(name: &str) -> Basis {
        let stamp = Stamp { version: String::from("g"), soft: String::from("x") };
        let key = key(name);
        let spaces = key.namespaces();
        let tag = Key::tag("p", "", "t");
        let all = core::iter::once(key).chain(spaces).chain([tag]);
        Basis::new(all.map(|key| (key, stamp.clone())).collect())
    }

    #[test]
    fn until_the_next_value_is_there_the_last_one_counts() {
        let mut seen = Seen::default();
        let other = Basis::new(Vec::from([(key("k"), Stamp { version: "h".into(), soft: "y".into() })]));
        seen.note_first(RequestId(1), &basis("k"));
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Exact(basis("k")), "what its callback may set");
        seen.note_first(RequestId(1), &other);
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Exact(basis("k")));
        seen.note(RequestId(1), &other);
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Exact(other.clone()));
        seen.spoil(RequestId(1), &key("k"));
        seen.note_first(RequestId(1), &other);
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Spoiled);
    }

    #[test]
    fn a_read_is_its_own_requests() {
        let mut seen = Seen::default();
        seen.note(RequestId(1), &basis("k"));
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Exact(basis("k")));
        assert_eq!(seen.look(RequestId(1), &key("l")), Look::Unread);
        assert_eq!(seen.look(RequestId(2), &key("k")), Look::Unread);
        seen.spoil(RequestId(1), &key("k"));
        assert_eq!(seen.look(RequestId(1), &key("k")), Look::Spoiled);
    }

    #[test]
    fn what_a_request_ends_it_has_not_read_newest() {
        for target in [key("k"), Key::tag("p", "", "t"), Key::namespace("p", "")] {
            let mut seen = Seen::default();
            seen.note(RequestId(1), &basis("k"));
            seen.note(RequestId(2), &basis("k"));
            seen.ends(RequestId(1), &Key::tag("p", "", "other"));
            assert_ne!(seen.look(RequestId(1), &key("k")), Look::Spoiled);
            seen.ends(RequestId(1), &target);
            assert_eq!(seen.look(RequestId(1), &key("k")), Look::Spoiled);
            assert_ne!(seen.look(RequestId(2), &key("k")), Look::Spoiled);
        }
    }

    #[test]
    fn it_is_bounded_and_knows_who_may_have_read_what_it_forgot() {
        let mut seen = Seen::default();
        for n in 1..=10_000_u32 {
            seen.note(RequestId(n), &basis(&n.to_string()));
            assert!(seen.young.len() <= MAX && seen.old.len() <= MAX);
            let looks: Vec<Look> = [n, n.saturating_sub(2000).max(1)]
                .map(|n| seen.look(RequestId(n), &key(&n.to_string())))
                .to_vec();
            assert!(looks.iter().all(|look| matches!(look, Look::Exact(_))), "{n}");
        }
        assert_eq!(seen.look(RequestId(1), &key("1")), Look::Spoiled);
        assert_eq!(seen.look(RequestId(1), &key("never read")), Look::Spoiled, "it may have");
        assert_eq!(seen.look(RequestId(9_999), &key("never read")), Look::Unread);
    }
}
