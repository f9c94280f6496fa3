//! What can go wrong between here and Redis.

use alloc::string::String;
use core::fmt;

use serde::Serialize;

/// The kind of a failure: stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is missing or wrong.
    Config,
    /// No answer within the deadline.
    Timeout,
    /// The exchange broke: refused, reset, no such host. A write may have been carried out.
    Transport,
    /// The answer is not what the protocol allows.
    Protocol,
    /// Redis, or what stands before it, answered that it cannot.
    Server,
    /// The credentials are not accepted, or not for this.
    Auth,
    /// What is stored cannot be read.
    Decode,
    /// Over a size limit.
    TooLarge,
    /// A request has used up what it may spend.
    Budget,
    /// An invalidation is not applied.
    Invalidation,
    /// The callback failed, and what is stored was served in its place.
    Callback,
}

impl ErrorKind {
    /// The kind as programs see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Timeout => "timeout",
            Self::Transport => "transport",
            Self::Protocol => "protocol",
            Self::Server => "server",
            Self::Auth => "auth",
            Self::Decode => "decode",
            Self::TooLarge => "too-large",
            Self::Budget => "budget",
            Self::Invalidation => "invalidation",
            Self::Callback => "callback",
        }
    }
}

/// A failed exchange: its kind, and a text that holds nothing but what this code wrote itself. What a server or a runtime
/// says is not repeated, since it may hold a value or a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// Lower case, no full stop.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Failure {}
