//! Which tags a key's value was seen to carry, where a reader had not named them all: the next read asks for their versions at
//! once, where it would need a second exchange, or could not store what its callback declares.

use alloc::vec::Vec;

use hashbrown::HashMap;

use super::key::Key;

/// At most so many keys, and so many bytes of tags. When it is full, everything is forgotten, which costs an exchange each.
const MAX_KEYS: usize = 4096;
const MAX_BYTES: usize = 512 << 10;

/// Keys, by their hashes, with their tags. Two keys with one hash cost a few bytes in a request.
#[derive(Debug, Default)]
pub(crate) struct Tagged {
    tags: HashMap<u64, Vec<Key>>,
    bytes: usize,
}

impl Tagged {
    pub(crate) fn of(&self, key: &Key) -> &[Key] {
        self.tags.get(&key.hash()).map_or(&[], Vec::as_slice)
    }

    /// The key's value carries these, too.
    pub(crate) fn learn(&mut self, key: &Key, tags: Vec<Key>) {
        let bytes: usize = tags.iter().map(Key::len).sum();
        let known = self.tags.remove(&key.hash()).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(known.iter().map(Key::len).sum());
        if tags.is_empty() || bytes > MAX_BYTES {
            return;
        }
        if self.tags.len() >= MAX_KEYS || self.bytes + bytes > MAX_BYTES {
            self.tags.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.tags.insert(key.hash(), tags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    #[test]
    fn the_last_that_was_learned_counts() {
        let mut tagged = Tagged::default();
        let key = Key::entry("p", "", "k");
        let tag = |name: &str| Key::tag("p", "", name);
        tagged.learn(&key, Vec::from([tag("a"), tag("b")]));
        tagged.learn(&key, Vec::from([tag("c")]));
        assert_eq!(tagged.of(&key), [tag("c")]);
        tagged.learn(&key, Vec::new());
        assert!(tagged.of(&key).is_empty());
        assert_eq!(tagged.bytes, 0);
    }

    #[test]
    fn too_many_at_once_are_not_remembered() {
        let mut tagged = Tagged::default();
        let key = Key::entry("p", "", "k");
        tagged.learn(&key, Vec::from([Key::tag("p", "", &"x".repeat(MAX_BYTES))]));
        assert!(tagged.of(&key).is_empty() && tagged.bytes == 0);
    }

    #[test]
    fn it_is_bounded() {
        let mut tagged = Tagged::default();
        for n in 0..3 * MAX_KEYS {
            let tag = Key::tag("p", "", &format!("{n}{}", "x".repeat(n % 300)));
            tagged.learn(&Key::entry("p", "", &n.to_string()), Vec::from([tag]));
            assert!(tagged.tags.len() <= MAX_KEYS && tagged.bytes <= MAX_BYTES);
        }
    }
}
