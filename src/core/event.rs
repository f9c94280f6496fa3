//! What is told to the user: one tagged union for logs, metrics and tests. No value and no credential ever gets in here.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::connection::StateName;
use super::error::ErrorKind;

/// How a read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// From Redis, fresh.
    Hit,
    /// From Redis, no longer fresh: while it is refreshed, or in place of the callback's error.
    Stale,
    /// From Redis, no longer fresh, and by the callback's word as good as new.
    Revalidated,
    /// By the callback, after a look in Redis.
    Miss,
    /// Without Redis.
    Bypass,
}

/// Why a read went past Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bypass {
    /// There is no usable configuration.
    Disabled,
    /// The connection is down.
    Down,
    /// Redis did not answer within the read's deadline.
    Timeout,
    /// The exchange failed, or the answer was an error.
    Failed,
    /// An invalidation of the key has not been acknowledged.
    PendingInvalidation,
    /// The key's value could not be stored lately.
    PassThrough,
    /// The request has made as many HTTP requests to Redis as it may.
    Budget,
}

/// How an invalidation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidationState {
    /// Acknowledged.
    Applied,
    /// Will be sent again.
    Pending,
    /// Will not.
    Refused,
}

/// How the wait for another isolate's callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseOutcome {
    /// Its value is there.
    Filled,
    /// It gave up its lease, or lost it: this isolate has it now.
    Taken,
    /// The wait is over.
    TimedOut,
}

/// What ended the wait for a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The caller takes a stale value in its place.
    Soft,
    /// The caller waits no longer at all.
    Hard,
}

/// Why a stored value did not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// The schema found issues.
    Schema,
    /// The schema failed over it.
    SchemaFailed,
}

/// What compression has made of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Compression {
    /// Before.
    pub from: usize,
    /// After.
    pub to: usize,
}

/// An event and where it belongs.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unix ms by the host's clock.
    pub at: u64,
    /// Which request of this isolate.
    pub request: u32,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "documented in the published types")]
pub enum EventKind {
    Attempt {
        attempt: u32,
        probe: bool,
    },
    Reuse {
        attempt: u32,
    },
    Connection {
        from: StateName,
        to: StateName,
        error: Option<ErrorKind>,
        message: Option<String>,
        until: Option<u64>,
    },
    Failure {
        error: ErrorKind,
        message: String,
    },
    Read {
        key: String,
        outcome: Outcome,
        shared: bool,
        l1: bool,
        reason: Option<Bypass>,
    },
    Fill {
        key: String,
        stored: bool,
        reason: Option<&'static str>,
        compression: Option<Compression>,
    },
    Unstorable {
        key: String,
        path: String,
        reason: String,
    },
    Rejected {
        key: String,
        /// Where in the value, if the schema says it.
        path: Option<String>,
        reason: Rejection,
    },
    Invalidation {
        keys: Vec<String>,
        tags: Vec<String>,
        /// The path of the namespace that is ended as a whole.
        namespace: Option<String>,
        state: InvalidationState,
        reason: Option<&'static str>,
        replay: bool,
    },
    Lease {
        key: String,
        waited: u64,
        outcome: LeaseOutcome,
    },
    Timeout {
        key: String,
        bound: Bound,
        /// Whether a stale value was the answer.
        stale: bool,
    },
    Warning {
        code: &'static str,
        message: String,
    },
}
