//! Keys, what they hold, and when that ends.

use std::collections::BTreeMap;

/// A hash: fields and their values, in the order of the fields' names.
pub type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A plain string.
    Text(Vec<u8>),
    /// A hash; never empty.
    Hash(Hash),
}

/// What is stored at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the key holds.
    pub value: Value,
    /// The last millisecond (Unix time) at which it is there; for good if there is none.
    pub expires_ms: Option<i64>,
}

impl Entry {
    fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|at| now_ms > at)
    }
}

/// The key holds something else.
#[derive(Debug)]
pub(crate) struct WrongType;

/// How long a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    NoKey,
    Endless,
    Ms(i64),
}

/// All keys, and the clock by which they expire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    entries: BTreeMap<Vec<u8>, Entry>,
    pub(crate) now_us: u64,
}

impl Store {
    pub(crate) fn at(now_us: u64) -> Self {
        Self { entries: BTreeMap::new(), now_us }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.now_us / 1000).unwrap_or(i64::MAX)
    }

    /// As in Redis, an expired key goes when it is next looked at: a clock that jumps back can bring back one that was not.
    fn live(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = self.now_ms();
        if self.entries.get(key)?.is_expired(now) {
            self.entries.remove(key);
            return None;
        }
        self.entries.get_mut(key)
    }

    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        self.live(key).is_some()
    }

    pub(crate) fn hash(&mut self, key: &[u8]) -> Result<Option<&mut Hash>, WrongType> {
        match self.live(key).map(|entry| &mut entry.value) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(Value::Text(_)) => Err(WrongType),
        }
    }

    /// The hash at a key, made if there is nothing; the caller puts a field in.
    pub(crate) fn hash_to_fill(&mut self, key: &[u8]) -> Result<&mut Hash, WrongType> {
        if self.live(key).is_none() {
            let entry = Entry { value: Value::Hash(Hash::new()), expires_ms: None };
            self.entries.insert(key.to_vec(), entry);
        }
        match self.entries.get_mut(key).map(|entry| &mut entry.value) {
            Some(Value::Hash(hash)) => Ok(hash),
            _ => Err(WrongType),
        }
    }

    pub(crate) fn text(&mut self, key: &[u8]) -> Result<Option<&[u8]>, WrongType> {
        match self.live(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Hash(_)) => Err(WrongType),
        }
    }

    pub(crate) fn set_text(&mut self, key: &[u8], text: &[u8]) {
        self.entries.insert(key.to_vec(), Entry { value: Value::Text(text.to_vec()), expires_ms: None });
    }

    /// Whether there was such a key.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        self.live(key).is_some() && self.entries.remove(key).is_some()
    }

    pub(crate) fn life(&mut self, key: &[u8]) -> Life {
        let now = self.now_ms();
        match self.live(key).map(|entry| entry.expires_ms) {
            None => Life::NoKey,
            Some(None) => Life::Endless,
            Some(Some(at)) => Life::Ms(at.saturating_sub(now).max(0)),
        }
    }

    /// Whether there was such a key. A time that is not in the future ends it at once.
    pub(crate) fn expire_at(&mut self, key: &[u8], at_ms: i64) -> bool {
        let now = self.now_ms();
        let Some(entry) = self.live(key) else { return false };
        if at_ms <= now {
            self.entries.remove(key);
        } else {
            entry.expires_ms = Some(at_ms);
        }
        true
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Keys that live, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        let now = self.now_ms();
        self.entries
            .iter()
            .filter(move |(_, entry)| !entry.is_expired(now))
            .map(|(key, entry)| (key.as_slice(), entry))
    }

    /// What is stored, expired or not.
    pub(crate) fn contents(&self) -> &BTreeMap<Vec<u8>, Entry> {
        &self.entries
    }

    pub(crate) fn set_contents(&mut self, entries: BTreeMap<Vec<u8>, Entry>) {
        self.entries = entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_through_its_last_millisecond() {
        let mut store = Store::at(1_000_000);
        store.set_text(b"k", b"v");
        assert!(store.expire_at(b"k", 1_005));
        store.now_us = 1_005_999;
        assert_eq!(store.life(b"k"), Life::Ms(0));
        store.now_us = 1_006_000;
        assert_eq!(store.entries().count(), 0);
        assert_eq!(store.life(b"k"), Life::NoKey);
        store.now_us = 1_000_000;
        assert!(!store.exists(b"k"), "it was looked at when it had expired");
    }

    #[test]
    fn a_clock_that_jumps_back_brings_back_what_nobody_saw_expire() {
        let mut store = Store::at(1_000_000);
        store.set_text(b"k", b"v");
        store.expire_at(b"k", 1_005);
        store.now_us = 2_000_000;
        store.now_us = 1_000_000;
        assert!(store.exists(b"k"));
    }

    #[test]
    fn an_expiry_that_is_not_in_the_future_deletes() {
        let mut store = Store::at(1_000_000);
        store.set_text(b"k", b"v");
        assert!(store.expire_at(b"k", 1_000));
        assert!(!store.exists(b"k"));
        assert!(!store.expire_at(b"k", 2_000));
    }

    #[test]
    fn a_set_ends_the_expiry() {
        let mut store = Store::at(1_000_000);
        store.set_text(b"k", b"v");
        store.expire_at(b"k", 1_005);
        store.set_text(b"k", b"w");
        assert_eq!(store.life(b"k"), Life::Endless);
    }
}
