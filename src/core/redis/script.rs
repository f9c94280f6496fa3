//! The three scripts. Every key they touch is declared; they run on the primary.

/// One of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Gives the valid entry, or what a fill must name.
    Read,
    /// Stores an entry, unless an invalidation has overtaken it.
    Fill,
    /// Ends what is stored for a key, a tag or a namespace, whichever build wrote it; adds or removes a mark.
    Drop,
}

/// What the first element of a read's reply says: the version of the layout, and (see `reply`) how texts are encoded.
pub const MARKER: &str = "lw2";

/// Which words a server takes at the top of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// None.
    #[default]
    Redis,
    /// Upstash locks a script's own keys in place of the whole database if asked to. Redis 7 refuses the word.
    Upstash,
}

impl Dialect {
    /// What comes before a script's text.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Redis => "",
            Self::Upstash => "#!lua flags=allow-key-locking\n",
        }
    }
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Fill, Self::Drop];

    /// The script's text.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Read => include_str!("read.lua"),
            Self::Fill => include_str!("fill.lua"),
            Self::Drop => include_str!("drop.lua"),
        }
    }

    /// The SHA-1 of the text, by which Redis knows it. A test holds the two together.
    #[must_use]
    pub const fn sha(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::Read, Dialect::Redis) => "de81735e50e2b875eb669a2bb14c02a20a575060",
            (Self::Read, Dialect::Upstash) => "97029af73d62fcdd3c1627ed0953ede7df2b16ee",
            (Self::Fill, Dialect::Redis) => "d17ec5a5ebbfa847d4118b9fab5de9239865f0de",
            (Self::Fill, Dialect::Upstash) => "ca7fb203f31f5f7b1b648a38f8be96e39332d960",
            (Self::Drop, Dialect::Redis) => "9515da7d261be8203e34b898d2a9a7cb17675866",
            (Self::Drop, Dialect::Upstash) => "90be3056a203711a8d8fa6d1277cd34ea042a4f1",
        }
    }
}

/// Which scripts a connection's server has seen. A server forgets them at a restart, and then says NOSCRIPT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded(u8);

impl Loaded {
    pub(crate) fn has(self, script: Script) -> bool {
        self.0 & Self::bit(script) != 0
    }

    pub(crate) fn insert(&mut self, script: Script) {
        self.0 |= Self::bit(script);
    }

    pub(crate) fn clear(&mut self) {
        self.0 = 0;
    }

    const fn bit(script: Script) -> u8 {
        match script {
            Script::Read => 1,
            Script::Fill => 2,
            Script::Drop => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    #[test]
    fn each_sha_is_the_one_of_its_text() {
        for script in Script::ALL {
            for dialect in [Dialect::Redis, Dialect::Upstash] {
                let text = format!("{}{}", dialect.header(), script.source());
                assert_eq!(
                    sha1_smol::Sha1::from(text).digest().to_string(),
                    script.sha(dialect),
                    "{script:?} {dialect:?}"
                );
            }
        }
    }
}
