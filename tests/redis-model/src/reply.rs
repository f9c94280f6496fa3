//! Replies, as Redis' protocol has them.

/// The reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A status such as OK.
    Status(String),
    /// A text of any bytes.
    Bulk(Vec<u8>),
    /// A list.
    Array(Vec<Reply>),
    /// The command failed; the text begins with the error's word, such as `WRONGTYPE`.
    Error(String),
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::Status(String::from("OK"))
    }

    /// An error of one line, as the protocol wants it.
    pub(crate) fn error(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.contains(['\r', '\n']) {
            return Self::Error(text.trim_end_matches(['\r', '\n']).replace(['\r', '\n'], " "));
        }
        Self::Error(text)
    }

    pub(crate) fn wrong_type() -> Self {
        Self::error("WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    pub(crate) fn out_of_memory() -> Self {
        Self::error("OOM command not allowed when used memory > 'maxmemory'.")
    }

    pub(crate) fn arity(command: &str) -> Self {
        Self::error(format!("ERR wrong number of arguments for '{command}' command"))
    }

    pub(crate) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}
