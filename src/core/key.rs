//! Keys: what the user calls an entry, and where it lies in Redis.

use alloc::rc::Rc;
use alloc::string::String;
use core::fmt::Write as _;

/// A key and the Redis key that follows from it.
///
/// The Redis key is `<prefix>:k::<key>`. Prefix and namespace (the empty part, for later) are percent-encoded where they
/// hold "%" or ":", so that no two of (prefix, namespace, key) meet; the key comes last and stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    redis: Rc<str>,
    start: usize,
}

impl Key {
    /// The key `key` of the cache whose keys begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str, key: &str) -> Self {
        let mut redis = String::with_capacity(prefix.len() + key.len() + 8);
        escape_into(&mut redis, prefix);
        redis.push_str(":k::");
        let start = redis.len();
        redis.push_str(key);
        Self { redis: redis.into(), start }
    }

    /// The Redis key.
    #[must_use]
    pub fn redis(&self) -> &str {
        &self.redis
    }

    /// Bytes of the Redis key.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no Redis key is empty")]
    pub fn len(&self) -> usize {
        self.redis.len()
    }

    /// A hash of the Redis key.
    pub(crate) fn hash(&self) -> u64 {
        fnv1a(&self.redis)
    }

    /// The key as the user gave it.
    #[must_use]
    pub fn user(&self) -> &str {
        self.redis.get(self.start..).unwrap_or("")
    }
}

fn escape_into(out: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            '%' => out.push_str("%25"),
            ':' => out.push_str("%3A"),
            c => out.push(c),
        }
    }
}

/// What stands for a key in events: 12 hexadecimal digits (FNV-1a, 48 bits), enough to follow a key through a log.
#[must_use]
pub fn short_hash(key: &str) -> String {
    let hash = fnv1a(key);
    let mut out = String::with_capacity(12);
    // Folded, so that all 64 bits count. Writing to a String does not fail.
    let _ = write!(out, "{:012x}", (hash ^ (hash >> 48)) & 0xffff_ffff_ffff);
    out
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_two_pairs_of_prefix_and_key_meet(a in "[:%kab]{0,6}", b in "[:%kab]{0,6}", c in "[:%kab]{0,6}", d in "[:%kab]{0,6}") {
            prop_assert_eq!(Key::new(&a, &b) == Key::new(&c, &d), a == c && b == d);
            let key = Key::new(&a, &b);
            prop_assert_eq!(key.user(), b);
        }
    }

    #[test]
    fn the_key_itself_stays_readable() {
        assert_eq!(Key::new("shop", "user:7").redis(), "shop:k::user:7");
        assert_eq!(Key::new("a:b", "").redis(), "a%3Ab:k::");
    }

    #[test]
    fn hashes_are_short_and_differ() {
        assert_eq!(short_hash("user:7").len(), 12);
        assert_ne!(short_hash("user:7"), short_hash("user:8"));
    }
}
