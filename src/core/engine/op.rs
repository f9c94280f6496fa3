//! Operations under way.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{BatchId, CacheId, ConnectionId, Encoded, LATE, OP_LIFE, RequestId, Served};
use crate::core::event::Bypass;
use crate::core::flight::FlightId;
use crate::core::journal::Seq;
use crate::core::key::Key;
use crate::core::time::{Millis, Timestamp};

/// What is common to all operations.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) request: RequestId,
    pub(super) cache: CacheId,
    pub(super) connection: ConnectionId,
    pub(super) anchored: bool,
    pub(super) began: Timestamp,
    /// The operation's place in the order of steps: fences raised before it bind it.
    pub(super) start: Seq,
    /// When its present wait ends.
    pub(super) due: Option<Timestamp>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Read(Read),
    Write(Write),
    Replay(Replay),
}

/// A read and the fill behind it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    pub(super) ttl: Millis,
    pub(super) load: bool,
    pub(super) step: ReadStep,
    /// How many flights it has joined.
    pub(super) joins: u8,
    /// The flight it leads.
    pub(super) flight: Option<FlightId>,
    /// From a reply that arrived before the callback started: what a fill is stored under.
    pub(super) generation: Option<String>,
    pub(super) bypass: Option<Bypass>,
    /// The script was unknown and has been sent again with its text.
    pub(super) resent: bool,
    pub(super) callback_began: Timestamp,
    /// Held back until the fill's verdict, where nothing keeps the request alive behind the answer.
    pub(super) held: Option<Served>,
    /// The caller has been answered.
    pub(super) served: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// Just begun, or about to read again.
    Starting,
    /// Waiting for the verdict of an attempt.
    AwaitingAttempt { deadline: Timestamp },
    /// Waiting for a flight that it joined at this place.
    Following { flight: FlightId, joined: Seq },
    /// Its read is in a batch.
    Reading { batch: BatchId },
    /// The driver decodes; then it is to be served so.
    Decoding { served: Served },
    /// The callback runs.
    Running,
    /// The driver encodes the callback's value.
    Encoding { ttl: Millis, cost: Millis },
    /// Its fill is in a batch.
    Filling { batch: BatchId, encoded: Encoded, ttl: Millis, cost: Millis },
}

/// An invalidation, or a `set`, which is one and then a fill.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) keys: BTreeMap<Key, WriteKey>,
    pub(super) deadline: Timestamp,
    pub(super) step: WriteStep,
    /// Commands whose replies are awaited.
    pub(super) outstanding: usize,
    pub(super) set: Option<Set>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WriteKey {
    pub(super) state: KeyState,
    /// Whether the journal holds it.
    pub(super) listed: bool,
    /// Its place in the call: errors name keys in the order in which they were given.
    pub(super) place: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyState {
    /// Not acknowledged.
    Open,
    Applied,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteStep {
    AwaitingAttempt {
        deadline: Timestamp,
    },
    /// Its drops are in flight.
    Dropping,
    /// The fill of a `set` is.
    Filling,
}

/// What a `set` stores.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) encoded: Encoded,
    pub(super) ttl: Millis,
    /// Made by the read behind its own drop.
    pub(super) generation: Option<String>,
    pub(super) resent: bool,
}

/// Invalidations sent again, behind an answer.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) rounds: u8,
    /// The keys whose drops are awaited.
    pub(super) sent: Vec<Key>,
}

impl Op {
    pub(super) fn read(&self) -> Option<&Read> {
        if let Kind::Read(read) = &self.kind { Some(read) } else { None }
    }

    pub(super) fn read_mut(&mut self) -> Option<&mut Read> {
        if let Kind::Read(read) = &mut self.kind { Some(read) } else { None }
    }

    pub(super) fn write_mut(&mut self) -> Option<&mut Write> {
        if let Kind::Write(write) = &mut self.kind { Some(write) } else { None }
    }

    pub(super) fn replay_mut(&mut self) -> Option<&mut Replay> {
        if let Kind::Replay(replay) = &mut self.kind { Some(replay) } else { None }
    }

    /// Bytes of its keys.
    pub(super) fn key_bytes(&self) -> usize {
        match &self.kind {
            Kind::Read(read) => read.key.len(),
            Kind::Write(write) => write.keys.keys().map(Key::len).sum(),
            Kind::Replay(_) => 0,
        }
    }

    /// Whether its request must have ended without a word.
    pub(super) fn is_dead(&self, now: Timestamp) -> bool {
        let late = self.due.is_some_and(|due| now.since(due) > LATE);
        late || now.since(self.began) > OP_LIFE
    }

    /// The flight it follows.
    pub(super) fn follows(&self) -> Option<FlightId> {
        match self.read()?.step {
            ReadStep::Following { flight, .. } => Some(flight),
            _ => None,
        }
    }

    /// The flight it leads.
    pub(super) fn leads(&self) -> Option<FlightId> {
        self.read()?.flight
    }
}
