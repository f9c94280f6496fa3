//! The three scripts. Every key they touch is declared; they run on the primary.

/// One of the scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Gives the fresh entry, or the generation to fill under.
    Read,
    /// Stores an entry, unless an invalidation has overtaken it.
    Fill,
    /// Ends all entries of a key, whichever build wrote them.
    Drop,
}

/// What the first element of a read's reply says: the version of the layout, and (see `reply`) how texts are encoded.
pub const MARKER: &str = "lw1";

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
    pub const fn sha(self) -> &'static str {
        match self {
            Self::Read => "c4f05762968fbf105a9abf3b32d1f1ce5a0db8a4",
            Self::Fill => "5dba4fecef8e77f69d9b8f9760bc4ad52b4eafac",
            Self::Drop => "df4686011ec72a3119cdec9d5c74b5de589c4648",
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
    use alloc::string::ToString as _;

    #[test]
    fn each_sha_is_the_one_of_its_text() {
        for script in Script::ALL {
            assert_eq!(
                sha1_smol::Sha1::from(script.source()).digest().to_string(),
                script.sha(),
                "{script:?}"
            );
        }
    }
}
