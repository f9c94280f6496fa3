//! One HTTP request to be: its commands, what each is for, and who waits for it.

use alloc::vec::Vec;

use super::drop::Drop;
use super::lane::Lane;
use super::{CacheId, ConnectionId, OpId, RequestId, SharedId};
use crate::core::journal::Seq;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::script::Loaded;
use crate::core::time::Timestamp;

/// Limits of one HTTP request; what is over goes into a second one.
const MAX_COMMANDS: usize = 512;
const MAX_BYTES: usize = 4 << 20;

/// What a command of a batch is for.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// The read of an operation.
    Read {
        op: OpId,
    },
    /// The fill behind a read.
    Fill {
        op: OpId,
    },
    /// A lease that is given back.
    Release {
        op: OpId,
    },
    /// A lease that is asked for, for an early refresh.
    Lease {
        op: OpId,
    },
    /// The first step of a `set`.
    Renewal {
        op: OpId,
    },
    /// The fill of a `set`.
    SetFill {
        op: OpId,
    },
    /// The versions of tags that a callback waits for.
    Versions {
        op: OpId,
        ticket: Seq,
        tags: Vec<Key>,
    },
    /// The first of the commands that a read is without scripts, and one of those that follow it.
    Plain {
        op: OpId,
    },
    PlainMore {
        op: OpId,
    },
    /// A command of the user's.
    Raw {
        op: OpId,
    },
    /// A drop, or an expiry.
    Drop(Drop),
}

impl Slot {
    pub(super) const fn op(&self) -> OpId {
        match self {
            Self::Read { op }
            | Self::Fill { op }
            | Self::Release { op }
            | Self::Lease { op }
            | Self::Renewal { op }
            | Self::SetFill { op }
            | Self::Versions { op, .. }
            | Self::Plain { op }
            | Self::PlainMore { op }
            | Self::Raw { op }
            | Self::Drop(Drop { op, .. }) => *op,
        }
    }
}

/// One HTTP request to Redis.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) request: RequestId,
    pub(super) cache: CacheId,
    pub(super) connection: ConnectionId,
    pub(super) anchored: bool,
    /// Its number, if it is an attempt.
    pub(super) attempt: Option<u32>,
    /// The promise that carries the attempt's verdict.
    pub(super) verdict: Option<SharedId>,
    pub(super) commands: Vec<(Command, Slot)>,
    pub(super) bytes: usize,
    pub(super) introduces: Loaded,
    pub(super) sent: Option<(Seq, Timestamp)>,
    /// It repeats something, and has taken a token for that.
    pub(super) repeats: bool,
    /// The operations that still wait for it.
    pub(super) waiting: Vec<OpId>,
}

impl Batch {
    /// Whether any of those who wait for it is known.
    pub(super) fn is_awaited(&self, known: impl Fn(OpId) -> bool) -> bool {
        self.waiting.iter().any(|op| known(*op))
    }

    /// Whether so many more commands fit.
    pub(super) fn has_room(&self, commands: usize, bytes: usize) -> bool {
        self.commands.len() + commands <= MAX_COMMANDS && self.bytes + bytes <= MAX_BYTES
    }

    pub(super) const fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    pub(super) const fn lane(&self) -> Lane {
        Lane::new(self.request, self.cache, self.connection, self.anchored)
    }
}
