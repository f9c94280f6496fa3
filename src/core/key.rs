//! Keys: what has a hash in Redis (an entry, a tag, a namespace), what the user calls it, and where it lies.
//!
//! | what | Redis key |
//! |---|---|
//! | entry | `<prefix>:k:<namespace>:<key>`; of a long key `<prefix>:h:<namespace>:<SHA-256>` |
//! | tag | `<prefix>:t:<namespace>:<tag>` |
//! | namespace | `<prefix>:n:<namespace>` |
//!
//! Prefix and the names of namespaces are percent-encoded where they hold what parts them, so that no two of (prefix,
//! namespace, key) meet; what comes last stays as it is (a tag without spaces, since an entry's header lists tags).
//! Namespaces nest: `a/b` lies in `a`, which lies in the one without a name.
//!
//! A key of more than 512 bytes stands there as its SHA-256, in base64url without padding, under a letter of its own: so no short
//! key, whatever its text, can meet a long one, and no table holds more of it than its beginning, for events.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::Write as _;
use core::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A longer key, in bytes, is stored under its hash.
const MAX_PLAIN: usize = 512;
/// So many characters of a long key are kept, to name it in events.
const MAX_SHOWN: usize = 64;
/// What stands for an entry whose key is hashed, where the others have the letter of their kind.
const HASHED: char = 'h';

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// An entry.
    Entry,
    /// A tag.
    Tag,
    /// A namespace.
    Namespace,
}

impl KeyKind {
    const fn letter(self) -> char {
        match self {
            Self::Entry => 'k',
            Self::Tag => 't',
            Self::Namespace => 'n',
        }
    }
}

/// Something that has a hash in Redis. Two are the same if their Redis keys are.
#[derive(Clone, Debug)]
pub struct Key {
    redis: Rc<str>,
    kind: KeyKind,
    /// Where the prefix ends, and where the user's own name begins.
    prefix: usize,
    name: usize,
    /// How a key that is stored under its hash begins, where that is known.
    shown: Option<Rc<str>>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.redis == other.redis
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.redis.hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.redis.cmp(&other.redis)
    }
}

impl Key {
    fn build(kind: KeyKind, letter: char, prefix: &str, space: &str, name: impl FnOnce(&mut String)) -> Self {
        let mut redis = String::with_capacity(prefix.len() + space.len() + 24);
        escape_into(&mut redis, prefix, |c| matches!(c, '%' | ':'));
        let prefix = redis.len();
        redis.push(':');
        redis.push(letter);
        redis.push(':');
        redis.push_str(space);
        if kind != KeyKind::Namespace {
            redis.push(':');
        }
        let start = redis.len();
        name(&mut redis);
        Self { redis: redis.into(), kind, prefix, name: start, shown: None }
    }

    /// The entry `key` of a namespace of the cache whose keys begin with `prefix`. `space` is a path that `nest` made, or
    /// empty.
    #[must_use]
    pub fn entry(prefix: &str, space: &str, key: &str) -> Self {
        let kind = KeyKind::Entry;
        if key.len() <= MAX_PLAIN {
            return Self::build(kind, kind.letter(), prefix, space, |redis| redis.push_str(key));
        }
        let mut shown: String = key.chars().take(MAX_SHOWN).collect();
        shown.push_str("...");
        let hashed = Self::build(kind, HASHED, prefix, space, |redis| {
            BASE64_URL_SAFE_NO_PAD.encode_string(Sha256::digest(key.as_bytes()), redis);
        });
        Self { shown: Some(shown.into()), ..hashed }
    }

    /// A tag, as the user names it.
    #[must_use]
    pub fn tag(prefix: &str, space: &str, tag: &str) -> Self {
        let kind = KeyKind::Tag;
        Self::build(kind, kind.letter(), prefix, space, |redis| redis.push_str(&Self::encode_tag(tag)))
    }

    /// A tag as an entry's header names it.
    pub(crate) fn encode_tag(tag: &str) -> String {
        let mut encoded = String::with_capacity(tag.len());
        escape_into(&mut encoded, tag, |c| c == '%' || c == ' ' || c.is_ascii_control());
        encoded
    }

    /// The key behind a Redis key that this code made.
    pub(crate) fn parse(redis: &str) -> Option<Self> {
        let prefix = redis.find(':')?;
        let mut letters = redis.get(prefix + 1..)?.chars();
        let kind = match letters.next()? {
            HASHED => KeyKind::Entry,
            letter => [KeyKind::Entry, KeyKind::Tag, KeyKind::Namespace]
                .into_iter()
                .find(|kind| kind.letter() == letter)?,
        };
        let space = letters.as_str().strip_prefix(':')?;
        let name = match kind {
            KeyKind::Namespace => redis.len(),
            KeyKind::Entry | KeyKind::Tag => prefix + 4 + space.find(':')?,
        };
        Some(Self { redis: redis.into(), kind, prefix, name, shown: None })
    }

    /// A tag of the same namespace, as an entry's header names it.
    pub(crate) fn sibling_tag(&self, encoded: &str) -> Self {
        let start = self.tags_begin();
        let name = start.len();
        let redis: Rc<str> = format!("{start}{encoded}").into();
        Self { redis, kind: KeyKind::Tag, prefix: self.prefix, name, shown: None }
    }

    /// A namespace; the empty path is the one without a name, which is all there is.
    #[must_use]
    pub fn namespace(prefix: &str, space: &str) -> Self {
        let kind = KeyKind::Namespace;
        Self::build(kind, kind.letter(), prefix, space, |_| {})
    }

    /// The path of the namespace `name` in the namespace `space`.
    #[must_use]
    pub fn nest(space: &str, name: &str) -> String {
        let mut path = String::with_capacity(space.len() + name.len() + 1);
        path.push_str(space);
        if !space.is_empty() {
            path.push('/');
        }
        escape_into(&mut path, name, |c| matches!(c, '%' | ':' | '/'));
        path
    }

    /// The namespaces that it lies in, the widest first.
    pub(crate) fn namespaces(&self) -> Vec<Self> {
        let space = self.space();
        let mut paths: Vec<&str> = Vec::from([""]);
        paths.extend(space.match_indices('/').filter_map(|(at, _)| space.get(..at)));
        if !space.is_empty() {
            paths.push(space);
        }
        let prefix = self.redis.get(..self.prefix).unwrap_or("");
        let made = paths.into_iter().map(|path| {
            let redis: Rc<str> = format!("{prefix}:n:{path}").into();
            Self { name: redis.len(), redis, kind: KeyKind::Namespace, prefix: self.prefix, shown: None }
        });
        made.collect()
    }

    /// What the Redis keys of its namespace's tags begin with.
    pub(crate) fn tags_begin(&self) -> String {
        format!("{}:t:{}:", self.redis.get(..self.prefix).unwrap_or(""), self.space())
    }

    /// The path of its namespace.
    fn space(&self) -> &str {
        let end = if self.kind == KeyKind::Namespace { self.name } else { self.name.saturating_sub(1) };
        self.redis.get(self.prefix + 3..end).unwrap_or("")
    }

    /// The Redis key.
    #[must_use]
    pub fn redis(&self) -> &str {
        &self.redis
    }

    /// What it stands for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
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

    /// An entry's key as the user gave it, or its hash if it is long; a tag as it is encoded; a namespace's path.
    #[must_use]
    pub fn user(&self) -> &str {
        match self.kind {
            KeyKind::Namespace => self.space(),
            KeyKind::Entry | KeyKind::Tag => self.redis.get(self.name..).unwrap_or(""),
        }
    }

    /// As `user`, with a tag decoded: as the user wrote it.
    #[must_use]
    pub fn display(&self) -> String {
        match self.kind {
            KeyKind::Tag => unescape(self.user()),
            KeyKind::Entry | KeyKind::Namespace => String::from(self.user()),
        }
    }

    /// As `display`, for people: a long key by how it begins, where that is known.
    #[must_use]
    pub fn shown(&self) -> String {
        self.shown.as_deref().map_or_else(|| self.display(), String::from)
    }
}

fn escape_into(out: &mut String, part: &str, special: impl Fn(char) -> bool) {
    for c in part.chars() {
        if special(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

/// The inverse of `escape_into`; what it did not write stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| core::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| String::from(text))
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
        fn no_two_of_prefix_namespace_and_key_meet(
            a in ("[:%kab]{0,6}", prop::collection::vec("[:%/ab]{1,3}", 0..3), "[:%/kab]{0,6}"),
            b in ("[:%kab]{0,6}", prop::collection::vec("[:%/ab]{1,3}", 0..3), "[:%/kab]{0,6}"),
        ) {
            let path = |names: &[String]| names.iter().fold(String::new(), |space, name| Key::nest(&space, name));
            let (one, other) = (Key::entry(&a.0, &path(&a.1), &a.2), Key::entry(&b.0, &path(&b.1), &b.2));
            prop_assert_eq!(one.redis() == other.redis(), a == b);
            prop_assert_eq!(one.user(), a.2.as_str());
            let (one, other) = (Key::tag(&a.0, &path(&a.1), &a.2), Key::tag(&b.0, &path(&b.1), &b.2));
            prop_assert_eq!(one.redis() == other.redis(), a == b);
            prop_assert_eq!(one.display(), a.2);
            for key in [Key::entry(&a.0, &path(&a.1), &b.2), one, Key::namespace(&a.0, &path(&a.1))] {
                prop_assert_eq!(Key::parse(key.redis()), Some(key));
            }
        }

        #[test]
        fn parsing_never_panics(text: String, near in "[a%]{0,3}:?[ktnx:]{0,3}[a:/]{0,6}") {
            let _ = Key::parse(&text);
            let _ = Key::parse(&near);
        }

        #[test]
        fn tags_have_no_spaces_and_come_back(tag: String) {
            let key = Key::tag("p", "a", &tag);
            prop_assert!(!key.user().contains(|c: char| c == ' ' || c.is_ascii_control()));
            prop_assert_eq!(key.display(), tag);
            prop_assert_eq!(Key::entry("p", "a", "k").sibling_tag(key.user()), key);
        }
    }

    #[test]
    fn a_long_key_stands_there_as_its_hash_and_meets_no_other() {
        // The SHA-256 of 513 times "x", as any other tool gives it.
        const HASH: &str = "Na3gCQ5k501q0EIEAJwjpONLgr3w9PMX-8xfJvmxAkE";
        let long = "x".repeat(513);
        let key = Key::entry("shop", "eu", &long);
        assert_eq!(key.redis(), format!("shop:h:eu:{HASH}"));
        assert_eq!((key.kind(), key.user(), key.display().as_str()), (KeyKind::Entry, HASH, HASH));
        assert_eq!(key.shown(), format!("{}...", "x".repeat(64)));
        assert_eq!(Key::parse(key.redis()), Some(key.clone()));
        assert_eq!(key.namespaces()[1], Key::namespace("shop", "eu"));
        assert_eq!(key.sibling_tag("t"), Key::tag("shop", "eu", "t"));
        for other in ["x".repeat(514), HASH.into(), format!("h:eu:{HASH}"), "x".repeat(512)] {
            assert_ne!(Key::entry("shop", "eu", &other), key);
        }
        assert_ne!(Key::entry("shop", "", &long), key);
        let short = "x".repeat(512);
        assert_eq!(Key::entry("shop", "eu", &short).redis(), format!("shop:k:eu:{short}"));
    }

    #[test]
    fn a_long_key_is_cut_between_characters() {
        assert_eq!(Key::entry("p", "", &"€".repeat(200)).shown(), format!("{}...", "€".repeat(64)));
    }

    #[test]
    fn the_key_itself_stays_readable() {
        assert_eq!(Key::entry("shop", "", "user:7").redis(), "shop:k::user:7");
        assert_eq!(Key::entry("a:b", "", "").redis(), "a%3Ab:k::");
        assert_eq!(Key::tag("shop", "eu", "big users").redis(), "shop:t:eu:big%20users");
        assert_eq!(Key::namespace("shop", "").redis(), "shop:n:");
    }

    #[test]
    fn a_key_lies_in_its_namespace_and_in_all_around_it() {
        let space = Key::nest(&Key::nest("", "a"), "b/c");
        assert_eq!(space, "a/b%2Fc");
        let names = |key: &Key| -> Vec<String> {
            key.namespaces().iter().map(|space| String::from(space.redis())).collect()
        };
        assert_eq!(names(&Key::entry("p", &space, "k")), ["p:n:", "p:n:a", "p:n:a/b%2Fc"]);
        assert_eq!(names(&Key::entry("p", "", "a/b")), ["p:n:"]);
        let namespace = Key::namespace("p", "a");
        assert_eq!(names(&namespace), ["p:n:", "p:n:a"]);
        assert_eq!(namespace.namespaces()[1], namespace);
        assert_eq!(namespace.user(), "a");
    }

    #[test]
    fn hashes_are_short_and_differ() {
        assert_eq!(short_hash("user:7").len(), 12);
        assert_ne!(short_hash("user:7"), short_hash("user:8"));
    }
}
