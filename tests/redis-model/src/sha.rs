//! The name of a script: the SHA-1 of its text.

use core::fmt;

/// A SHA-1 in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha([u8; 40]);

impl Sha {
    /// The name of a script.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let digits = sha1_smol::Sha1::from(text).digest().to_string();
        Self::parse(digits.as_bytes()).unwrap_or(Self([b'0'; 40]))
    }

    /// A name as given to EVALSHA, in either case. `None` if it is not 40 digits.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let mut sha: [u8; 40] = digits.try_into().ok()?;
        sha.make_ascii_lowercase();
        sha.iter().all(u8::is_ascii_hexdigit).then_some(Self(sha))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_redis_own() {
        let sha = Sha::of(b"return 1");
        assert_eq!(sha.as_str(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Sha::parse(b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), Some(sha));
        assert_eq!(Sha::parse(b"e0"), None);
        assert_eq!(Sha::parse(&[b'x'; 40]), None);
    }
}
