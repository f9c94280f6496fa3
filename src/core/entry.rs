//! An entry as it lies in Redis: one hash a key, with the generation `g`, its soft half `x`, marks `m`, and for each build a
//! header `h:<build>`, a body `b:<build>` and a lease `l:<build>`.
//!
//! The header is `2 <g> <x> <stored> <ttl> <swr> <sie> <kind> <cost> <n>` and, for each of `n` namespaces and then for each tag,
//! `<name> <v> <x>`: the version of the layout first, so that an entry of another layout is a miss; times in ms; a
//! namespace's name is `-`. The scripts write it and check it; here it is read for what the answer needs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::time::Millis;

/// The longest header that is one, in bytes, and the most tags in it: the scripts know them, too. A read names at most half of
/// the tags, its callback as many.
pub(crate) const MAX_HEADER: usize = 256 << 10;
const MAX_TAGS: usize = 128;

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// JSON.
    Json,
    /// `undefined`; the body is empty.
    Undefined,
    /// A `Uint8Array`, in base64: bodies travel as JSON texts, which cannot carry bytes.
    Bytes,
    /// An `ArrayBuffer`, in base64.
    Buffer,
    /// JSON, as the base64 of its gzip.
    CompressedJson,
    /// A `Uint8Array`, as the base64 of its gzip.
    CompressedBytes,
    /// An `ArrayBuffer`, as the base64 of its gzip.
    CompressedBuffer,
}

impl ValueKind {
    /// The letter in the header.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Json => 'j',
            Self::Undefined => 'u',
            Self::Bytes => 'b',
            Self::Buffer => 'a',
            Self::CompressedJson => 'J',
            Self::CompressedBytes => 'B',
            Self::CompressedBuffer => 'A',
        }
    }

    /// What it is once it is compressed; `None`: it is not compressed, or has been.
    #[must_use]
    pub const fn compressed(self) -> Option<Self> {
        match self {
            Self::Json => Some(Self::CompressedJson),
            Self::Bytes => Some(Self::CompressedBytes),
            Self::Buffer => Some(Self::CompressedBuffer),
            Self::Undefined | Self::CompressedJson | Self::CompressedBytes | Self::CompressedBuffer => None,
        }
    }

    /// The kind behind a letter.
    #[must_use]
    pub const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'j' => Some(Self::Json),
            'u' => Some(Self::Undefined),
            'b' => Some(Self::Bytes),
            'a' => Some(Self::Buffer),
            'J' => Some(Self::CompressedJson),
            'B' => Some(Self::CompressedBytes),
            'A' => Some(Self::CompressedBuffer),
            _ => None,
        }
    }
}

/// What a fill names of one hash: its generation or version, and its soft half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Generation or version; `-` is one that Redis could not make.
    pub version: String,
    /// The soft half, which `expire` ends.
    pub soft: String,
}

impl Stamp {
    /// Whether a fill can name it.
    pub(crate) fn is_made(&self) -> bool {
        self.version != "-"
    }
}

/// Stamps as a script gives them: two words for each hash.
///
/// `None` when the number of words is not `count` times two.
pub(crate) fn stamps(text: &str, count: usize) -> Option<Vec<Stamp>> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let mut stamps = Vec::with_capacity(count);
    while let Some(version) = words.next() {
        stamps.push(Stamp { version: String::from(version), soft: String::from(words.next()?) });
    }
    (stamps.len() == count).then_some(stamps)
}

/// A header, as far as an answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the entry is stamped with: of its own hash, then of its namespaces.
    pub stamps: Vec<Stamp>,
    /// Its tags, encoded as in their Redis keys, with their stamps.
    pub tags: Vec<(String, Stamp)>,
    /// When it was stored, by Redis' clock.
    pub stored: u64,
    /// Time to live.
    pub ttl: Millis,
    /// How long after that it may be served while it is refreshed.
    pub swr: Millis,
    /// How long after that it may be served in place of an error.
    pub stale_if_error: Millis,
    /// What the body is.
    pub kind: ValueKind,
    /// How long the callback took.
    pub cost: Millis,
}

impl Header {
    /// Reads a header; `None` for anything that this version did not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if text.len() > MAX_HEADER || words.next() != Some("2") {
            return None;
        }
        let mut word = || words.next().filter(|word| !word.is_empty());
        let mut stamps = Vec::from([Stamp { version: String::from(word()?), soft: String::from(word()?) }]);
        let stored = word()?.parse().ok()?;
        let mut span = || word()?.parse().ok().map(Millis::new);
        let (ttl, swr, stale_if_error) = (span()?, span()?, span()?);
        let mut letters = word()?.chars();
        let kind = ValueKind::from_letter(letters.next()?).filter(|_| letters.next().is_none())?;
        let cost = Millis::new(word()?.parse().ok()?);
        let namespaces: usize = word()?.parse().ok()?;
        let mut tags = Vec::new();
        while let Some(name) = word() {
            let stamp = Stamp { version: String::from(word()?), soft: String::from(word()?) };
            if stamps.len() <= namespaces {
                stamps.push(stamp);
            } else if tags.len() == MAX_TAGS {
                return None;
            } else {
                tags.push((String::from(name), stamp));
            }
        }
        let whole = stamps.len() == namespaces.checked_add(1)?;
        whole.then_some(Self { stamps, tags, stored, ttl, swr, stale_if_error, kind, cost })
    }

    /// The part of the header that only the writer knows; the fill script puts the rest around it.
    pub(crate) fn kind_and_cost(kind: ValueKind, cost: Millis) -> String {
        format!("{} {}", kind.letter(), cost.get())
    }

    /// How old the entry is at `now`, by Redis' clock; none if that clock has gone backwards.
    #[must_use]
    pub const fn age(&self, now: u64) -> Millis {
        Millis::new(now.saturating_sub(self.stored))
    }

    /// How long it is still fresh, as far as that goes by time; a clock that has gone backwards counts as if it had gone forwards.
    #[must_use]
    pub const fn left(&self, now: u64) -> Millis {
        Millis::new(self.ttl.get().saturating_sub(now.abs_diff(self.stored)))
    }

    /// How long ago it ceased to be fresh.
    #[must_use]
    pub const fn staleness(&self, now: u64) -> Millis {
        Millis::new(now.saturating_sub(self.stored).saturating_sub(self.ttl.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_is_read_as_the_script_writes_it() {
        let kind_and_cost = Header::kind_and_cost(ValueKind::Json, Millis::new(42));
        let text = format!("2 n@1.2 x 1700000000000 60000 5000 0 {kind_and_cost} 1 - v1 x1 a%20b v2 x2");
        let header = Header::parse(&text).expect("well-formed");
        assert_eq!(header.stamps[0].version, "n@1.2");
        assert_eq!(header.stamps[1].version, "v1");
        assert_eq!(header.tags[0].0, "a%20b");
        assert_eq!(header.tags[0].1.soft, "x2");
        assert_eq!(
            (header.ttl, header.swr, header.kind, header.cost),
            (Millis::seconds(60), Millis::seconds(5), ValueKind::Json, Millis::new(42))
        );
        assert_eq!(header.age(1_700_000_000_500), Millis::new(500));
        assert_eq!(header.age(1), Millis::ZERO);
        assert_eq!(header.left(1_700_000_000_500), Millis::new(59_500));
        assert_eq!(header.left(1_700_000_060_700), Millis::ZERO);
        assert_eq!(header.left(1_699_999_999_500), Millis::new(59_500), "as the script counts");
        assert_eq!(header.staleness(1_700_000_060_700), Millis::new(700));
        assert_eq!(header.staleness(1_700_000_000_500), Millis::ZERO);
    }

    #[test]
    fn anything_else_is_no_header() {
        for text in [
            "",
            "2",
            "1 g x 1 1 0 0 j 1 0",
            "2 g x 1 1 0 0 z 1 0",
            "2 g x 1 1 0 0 jj 1 0",
            "2 g x -1 1 0 0 j 1 0",
            "2 g x 1 1 0 0 j 1 1",
            "2 g x 1 1 0 0 j 1 0 tag v",
            "2 g x 1 1 0 0 j 1 18446744073709551615",
            "2  x 1 1 0 0 j 1 0",
            "2 g x 1 1 0 0 j 1",
        ] {
            assert_eq!(Header::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_header_is_bounded() {
        let header = |tags: usize, name: &str| {
            Header::parse(&format!("2 g x 1 1 0 0 j 1 0{}", format!(" {name} v x").repeat(tags)))
        };
        assert_eq!(header(MAX_TAGS, "tag").map(|header| header.tags.len()), Some(MAX_TAGS));
        assert_eq!(header(MAX_TAGS + 1, "tag"), None);
        assert_eq!(header(1, &"x".repeat(MAX_HEADER)), None);
    }

    #[test]
    fn stamps_come_in_pairs_one_for_each_hash() {
        assert_eq!(stamps("a b c d", 2).map(|all| all[1].soft.clone()), Some(String::from("d")));
        assert_eq!(stamps("a b c", 2), None);
        assert_eq!(stamps("a b", 2), None);
        assert!(!stamps("- b", 1).expect("one")[0].is_made());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text: String, rest in "[ 0-9a-z-]{0,60}") {
            let _ = Header::parse(&text);
            let _ = Header::parse(&format!("2 g x {rest}"));
            let _ = stamps(&text, 3);
        }
    }
}
