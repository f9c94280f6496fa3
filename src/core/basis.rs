//! What a value rests on: the generation of its key and the versions of its namespaces and tags, as they were before its
//! callback started. Only under these may it be stored.

use alloc::string::String;
use alloc::vec::Vec;

use super::entry::Stamp;
use super::key::{Key, KeyKind};

/// The stamps of an entry's own hash, of its namespaces, and of tags, in this order. Empty: nothing may be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Basis {
    stamps: Vec<(Key, Stamp)>,
}

impl Basis {
    /// One that Redis could not make in full holds nothing.
    pub(crate) fn new(stamps: Vec<(Key, Stamp)>) -> Self {
        if stamps.iter().all(|(_, stamp)| stamp.is_made()) { Self { stamps } } else { Self::default() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.stamps.clear();
    }

    /// The entry's own key.
    pub(crate) fn entry(&self) -> Option<&Key> {
        self.stamps.first().map(|(key, _)| key)
    }

    /// The tags that it holds the versions of.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &Key> {
        self.keys().filter(|key| key.kind() == KeyKind::Tag)
    }

    /// Whether it holds the version of a tag.
    pub(crate) fn has(&self, tag: &Key) -> bool {
        self.stamps.iter().any(|(key, _)| key == tag)
    }

    /// Takes versions of more tags in.
    pub(crate) fn extend(&mut self, tags: impl IntoIterator<Item = (Key, Stamp)>) {
        if self.is_empty() {
            return;
        }
        for (tag, stamp) in tags {
            if !stamp.is_made() {
                return self.clear();
            }
            if !self.has(&tag) {
                self.stamps.push((tag, stamp));
            }
        }
    }

    /// The keys and stamps for a value with just these tags; `None` if one of them is not known.
    pub(crate) fn narrow(&self, tags: &[Key]) -> Option<Self> {
        if self.is_empty() {
            return None;
        }
        let own = self.stamps.iter().filter(|(key, _)| key.kind() != KeyKind::Tag).cloned();
        let mut stamps: Vec<(Key, Stamp)> = own.collect();
        for tag in tags {
            stamps.push(self.stamps.iter().find(|(key, _)| key == tag)?.clone());
        }
        Some(Self { stamps })
    }

    /// The same under another generation of the entry.
    pub(crate) fn renewed(&self, generation: &str) -> Self {
        let mut basis = self.clone();
        if let Some((_, stamp)) = basis.stamps.first_mut() {
            stamp.version = String::from(generation);
        }
        basis
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> + Clone {
        self.stamps.iter().map(|(key, _)| key)
    }

    /// How many namespaces it holds.
    pub(crate) fn namespaces(&self) -> usize {
        self.stamps.iter().filter(|(key, _)| key.kind() == KeyKind::Namespace).count()
    }

    /// The stamps as the fill script takes them.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (_, stamp) in &self.stamps {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&stamp.version);
            text.push(' ');
            text.push_str(&stamp.soft);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(version: &str) -> Stamp {
        Stamp { version: String::from(version), soft: String::from("x") }
    }

    fn basis() -> Basis {
        let key = Key::entry("p", "", "k");
        let spaces = key.namespaces();
        let tag = Key::tag("p", "", "a");
        let mut stamps = Vec::from([(key, stamp("g"))]);
        stamps.extend(spaces.into_iter().map(|space| (space, stamp("n"))));
        stamps.push((tag, stamp("v")));
        Basis::new(stamps)
    }

    #[test]
    fn a_value_is_stored_under_the_tags_that_it_has_and_no_others() {
        let tag = |name: &str| Key::tag("p", "", name);
        assert_eq!(basis().narrow(&[]).map(|b| b.text()), Some(String::from("g x n x")));
        assert_eq!(basis().narrow(&[tag("a")]).map(|b| b.text()), Some(String::from("g x n x v x")));
        assert_eq!(basis().narrow(&[tag("b")]), None);
        assert_eq!(basis().namespaces(), 1);
    }

    #[test]
    fn what_redis_could_not_make_makes_the_value_unstorable() {
        let mut basis = basis();
        basis.extend([(Key::tag("p", "", "b"), stamp("w"))]);
        assert!(basis.has(&Key::tag("p", "", "b")));
        basis.extend([(Key::tag("p", "", "c"), stamp("-"))]);
        assert!(basis.is_empty());
        assert!(Basis::new(Vec::from([(Key::entry("p", "", "k"), stamp("-"))])).is_empty());
    }
}
