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
            (Self::Read, Dialect::Redis) => "eaadc3ef99643d4034d44025f45d1a169ee1097f",
            (Self::Read, Dialect::Upstash) => "09888cc18a700c8dbed77233c3589796ae75d043",
            (Self::Fill, Dialect::Redis) => "5ea4acac4ee07c2d6004971256d5bc68b776e660",
            (Self::Fill, Dialect::Upstash) => "e3fdeeec87bb6c55403a7ecaf2a7e493d77d838f",
            (Self::Drop, Dialect::Redis) => "e88feefabed687793a182f36cb2a7fda8f13a70f",
            (Self::Drop, Dialect::Upstash) => "5d8dba4ff7db7caaefc32f27bdc05864e9a0cb3f",
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
