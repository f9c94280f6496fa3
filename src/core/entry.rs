//! An entry as it lies in Redis: one hash a key, with the generation `g` and, for each build, a header `h:<build>` and a
//! body `b:<build>`.
//!
//! The header is `1 <generation> <stored, ms> <ttl, ms> <kind> <cost, ms>`: the version of the layout first, so that an entry
//! of another layout is a miss. The scripts write it and check generation and freshness; here it is read for what the answer
//! needs.

use alloc::format;
use alloc::string::String;

use super::time::Millis;

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
            _ => None,
        }
    }
}

/// A header, as far as an answer needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The generation that the entry belongs to.
    pub generation: String,
    /// When it was stored, by Redis' clock.
    pub stored: u64,
    /// Time to live.
    pub ttl: Millis,
    /// What the body is.
    pub kind: ValueKind,
    /// How long the callback took.
    pub cost: Millis,
}

impl Header {
    /// Reads a header; `None` for anything that this version did not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        if parts.next() != Some("1") {
            return None;
        }
        let generation = parts.next().filter(|g| !g.is_empty())?;
        let header = Self {
            generation: String::from(generation),
            stored: parts.next()?.parse().ok()?,
            ttl: Millis::new(parts.next()?.parse().ok()?),
            kind: {
                let mut letters = parts.next()?.chars();
                let kind = ValueKind::from_letter(letters.next()?)?;
                letters.next().is_none().then_some(kind)?
            },
            cost: Millis::new(parts.next()?.parse().ok()?),
        };
        parts.next().is_none().then_some(header)
    }

    /// The part of the header that the writer knows; the fill script puts generation and times before it.
    pub(crate) fn suffix(kind: ValueKind, cost: Millis) -> String {
        format!("{} {}", kind.letter(), cost.get())
    }

    /// How old the entry is at `now`, by Redis' clock; none if that clock has gone backwards.
    #[must_use]
    pub const fn age(&self, now: u64) -> Millis {
        Millis::new(now.saturating_sub(self.stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_is_read_as_the_script_writes_it() {
        let suffix = Header::suffix(ValueKind::Json, Millis::new(42));
        let header = Header::parse(&format!("1 n@1.2 1700000000000 60000 {suffix}")).expect("well-formed");
        assert_eq!(header.generation, "n@1.2");
        assert_eq!(
            (header.ttl, header.kind, header.cost),
            (Millis::seconds(60), ValueKind::Json, Millis::new(42))
        );
        assert_eq!(header.age(1_700_000_000_500), Millis::new(500));
        assert_eq!(header.age(1), Millis::ZERO);
    }

    #[test]
    fn anything_else_is_no_header() {
        for text in [
            "",
            "1",
            "2 g 1 1 j 1",
            "1 g 1 1 x 1",
            "1 g 1 1 jj 1",
            "1 g -1 1 j 1",
            "1 g 1 1 j 1 more",
            "1  1 1 j 1",
            "1 g 1 1 j",
        ] {
            assert_eq!(Header::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text: String) {
            let _ = Header::parse(&text);
        }
    }
}
