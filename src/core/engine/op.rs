//! Operations under way.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::bounds::Bounds;
use super::drop::Mark;
use super::raw::Raw;
use super::{
    BatchId, CacheId, ConnectionId, Encoded, Freshness, Gone, LATE, Life, OP_LIFE, RequestId, Served,
};
use crate::core::basis::Basis;
use crate::core::event::{Bypass, Outcome};
use crate::core::flight::FlightId;
use crate::core::journal::{Cover, Depth, Seq};
use crate::core::key::Key;
use crate::core::ratio::Ratio;
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
    /// Bytes of keys that are counted for it.
    pub(super) bytes: usize,
    /// How far the clock had leapt when it was taken in.
    pub(super) leapt: Millis,
    pub(super) kind: Kind,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most operations are the large one")]
pub(super) enum Kind {
    Read(Read),
    Write(Write),
    Replay(Replay),
    Raw(Raw),
}

/// A read and the fill behind it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) key: Key,
    /// The namespaces that it lies in.
    pub(super) spaces: Vec<Key>,
    /// The tags that the caller names.
    pub(super) named: Vec<Key>,
    /// Tags that the value was seen to carry, too.
    pub(super) hinted: Vec<Key>,
    /// Tags that the callback has declared.
    pub(super) late: Vec<Key>,
    pub(super) life: Life,
    /// How long it lives that there is no value, where that is not as of any other.
    pub(super) negative: Option<Life>,
    /// By how much of it the time to live is shortened at most.
    pub(super) jitter: Ratio,
    pub(super) early_refresh: Ratio,
    pub(super) freshness: Freshness,
    pub(super) load: bool,
    /// What it finds, or stores, may be held in L1.
    pub(super) l1: bool,
    /// How long it waits for Redis.
    pub(super) patience: Millis,
    pub(super) bounds: Bounds,
    /// Its callback is for many keys, and must not wait for other requests.
    pub(super) many: bool,
    pub(super) step: ReadStep,
    /// How many flights it has joined.
    pub(super) joins: u8,
    /// The flight it leads.
    pub(super) flight: Option<FlightId>,
    /// From replies that arrived before the callback started: what a fill is stored under.
    pub(super) basis: Basis,
    /// What the entry that was found is stored under, if there was one. An expiry since then is not in it.
    pub(super) entry: Basis,
    pub(super) bypass: Option<Bypass>,
    /// What covered it when its read was sent, and has not been seen to end ahead of it, in the same batch.
    pub(super) ahead: Vec<(Key, Cover)>,
    /// When its read was sent.
    pub(super) sent: Option<Timestamp>,
    /// How long what it found in Redis is fresh, from then on; `None`: nobody says so, or it is not.
    pub(super) fresh: Option<Millis>,
    /// A mutate is running: nothing is stored, and nobody waits.
    pub(super) marked: bool,
    /// The script was unknown and has been sent again with its text.
    pub(super) resent: bool,
    /// The entry's own tags have been asked for.
    pub(super) retagged: bool,
    /// What is stored cannot be read: it is not asked for again.
    pub(super) spoiled: bool,
    pub(super) lease: Lease,
    pub(super) callback_began: Timestamp,
    /// The callback says that the stale value is still good.
    pub(super) not_modified: bool,
    /// The versions of late tags that the callback waits for.
    pub(super) versions: Vec<Versions>,
    /// As `resent`, for these.
    pub(super) versions_resent: bool,
    /// Held back until the fill's verdict, where nothing keeps the request alive behind the answer.
    pub(super) held: Option<Served>,
    /// What the value's text was before it was compressed.
    pub(super) plain: Option<usize>,
    /// A stale value that the driver keeps.
    pub(super) stale: Option<Kept>,
    /// The caller has been answered.
    pub(super) served: bool,
    /// The caller does not wait for the callback any more.
    pub(super) gone: Option<Gone>,
}

/// A stale value: for the callback to look at, and for the caller if the callback fails or is late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) served: Served,
    /// The tags that it carries.
    pub(super) tags: Vec<Key>,
    /// When it was read.
    pub(super) at: Timestamp,
    /// For how long after that the caller may be given it.
    pub(super) left: Millis,
}

impl Kept {
    /// As what the caller may be given it now.
    pub(super) fn served(&self, now: Timestamp) -> Option<Served> {
        let waited = now.since(self.at);
        (waited < self.left).then_some(Served { age: self.age(now), ..self.served })
    }

    pub(super) fn age(&self, now: Timestamp) -> Millis {
        Millis::new(self.served.age.get().saturating_add(now.since(self.at).get()))
    }
}

/// Versions that have been asked for while the callback runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    pub(super) ticket: Seq,
    pub(super) batch: BatchId,
    pub(super) deadline: Timestamp,
}

/// The lease of a key, which one of those who could compute its value has.
#[derive(Debug)]
pub(super) struct Lease {
    /// Tells its holder from others.
    pub(super) token: String,
    /// How long another one's is waited for.
    pub(super) wait: Millis,
    /// It has it.
    pub(super) taken: bool,
    /// When the wait began, and how many polls ago.
    pub(super) since: Option<(Timestamp, u8)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// Just begun, or about to read again.
    Starting,
    /// Waiting for the verdict of an attempt.
    AwaitingAttempt { deadline: Timestamp },
    /// Waiting for a flight that it joined at this place.
    Following { flight: FlightId, joined: Seq },
    /// Its read is in a batch.
    Reading { batch: BatchId },
    /// Waiting for the holder of the lease.
    AwaitingLease,
    /// The driver decodes; then it is to be served so.
    Decoding { served: Served, tags: Vec<Key>, refresh: Refresh, staleness: Option<Millis> },
    /// The driver decodes a stale value, to be kept; then the callback runs.
    Stashing(Kept),
    /// The callback runs.
    Running,
    /// The driver encodes the callback's value.
    Encoding { life: Life, cost: Millis },
    /// The driver compresses what is to be stored.
    Compressing { encoded: Encoded, life: Life, cost: Millis },
    /// It is giving its lease back.
    Releasing { batch: BatchId },
    /// The hit is served; it is asking for the lease, to refresh it.
    Leasing { batch: BatchId },
    /// Its fill is in a batch.
    Filling { batch: BatchId, encoded: Encoded, life: Life, cost: Millis },
}

/// Whether a stored value that is served is refreshed behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// No.
    No,
    /// It is stale, and the lease is here.
    Leased,
    /// It is fresh: if the lease can be had.
    Early,
}

/// An invalidation, an expiry, a mutate, or a `set`, which is an invalidation and then a fill.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) targets: BTreeMap<Key, WriteTarget>,
    pub(super) depth: Depth,
    pub(super) deadline: Timestamp,
    pub(super) step: WriteStep,
    /// Commands whose replies are awaited.
    pub(super) outstanding: usize,
    pub(super) set: Option<Set>,
    pub(super) mutate: Option<Mutate>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct WriteTarget {
    pub(super) state: KeyState,
    /// Its place in the call: errors name things in the order in which they were given.
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
    /// The driver compresses the value of a `set`.
    Compressing,
    /// Its drops are in flight.
    Dropping,
    /// The callback of a mutate runs.
    Running,
    /// The fill of a `set` is in flight.
    Filling,
}

/// What a `set` stores.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) encoded: Encoded,
    /// What its text was before it was compressed.
    pub(super) plain: Option<usize>,
    pub(super) life: Life,
    pub(super) tags: Vec<Key>,
    pub(super) basis: Basis,
    pub(super) how: SetHow,
    pub(super) resent: bool,
}

/// How a `set` comes to what it stores under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetHow {
    /// Its request has read the key: one exchange.
    Exact,
    /// It renews the key first.
    Renewing,
    /// Not at all: the value may follow from what is old by now. What is stored ends all the same.
    Not,
}

/// A callback that changes the source.
#[derive(Debug)]
pub(super) struct Mutate {
    /// Its marks' name.
    pub(super) token: String,
    /// How long they live.
    pub(super) life: Millis,
    pub(super) phase: MutatePhase,
    /// Every mark is set.
    pub(super) marked: bool,
    pub(super) failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MutatePhase {
    /// Marks are being set.
    Marking,
    /// The callback runs, or has ended and all is being dropped.
    Ending,
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

    pub(super) fn write(&self) -> Option<&Write> {
        if let Kind::Write(write) = &self.kind { Some(write) } else { None }
    }

    pub(super) fn write_mut(&mut self) -> Option<&mut Write> {
        if let Kind::Write(write) = &mut self.kind { Some(write) } else { None }
    }

    pub(super) fn replay_mut(&mut self) -> Option<&mut Replay> {
        if let Kind::Replay(replay) = &mut self.kind { Some(replay) } else { None }
    }

    pub(super) fn raw(&self) -> Option<&Raw> {
        if let Kind::Raw(raw) = &self.kind { Some(raw) } else { None }
    }

    pub(super) fn raw_mut(&mut self) -> Option<&mut Raw> {
        if let Kind::Raw(raw) = &mut self.kind { Some(raw) } else { None }
    }

    /// Bytes of its keys.
    pub(super) fn key_bytes(&self) -> usize {
        match &self.kind {
            Kind::Read(read) => {
                let tags = read.named.iter().chain(&read.hinted).chain(&read.late);
                read.key.len() + tags.map(Key::len).sum::<usize>()
            }
            Kind::Write(write) => write.targets.keys().map(Key::len).sum(),
            Kind::Replay(_) | Kind::Raw(_) => 0,
        }
    }

    /// When there is something to do for it, if nothing happens before.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.into_iter().chain(self.read().and_then(Read::bound)).min()
    }

    /// Whether its request must have ended without a word. So far the clock may have leapt by `leapt` in all: its timers have not.
    pub(super) fn is_dead(&self, now: Timestamp, leapt: Millis) -> bool {
        let leapt = leapt.get().saturating_sub(self.leapt.get());
        let more_than = |span: Millis, since| now.since(since).get() > span.get().saturating_add(leapt);
        self.due.is_some_and(|due| more_than(LATE, due)) || more_than(OP_LIFE, self.began)
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

impl Read {
    /// Everything that its value depends on, as far as is known.
    pub(super) fn depends(&self) -> impl Iterator<Item = &Key> + Clone {
        core::iter::once(&self.key).chain(&self.spaces).chain(&self.named).chain(&self.hinted)
    }

    /// What the value that is served rests on.
    pub(super) fn basis_of(&self, served: Served) -> &Basis {
        if served.outcome == Outcome::Stale { &self.entry } else { &self.basis }
    }

    /// How the callback's value comes to its caller.
    pub(super) fn outcome(&self) -> Outcome {
        match self.bypass {
            Some(_) => Outcome::Bypass,
            None if self.not_modified => Outcome::Revalidated,
            None => Outcome::Miss,
        }
    }

    /// The tags that the value it computes carries.
    pub(super) fn tags(&self) -> Vec<Key> {
        self.named.iter().chain(&self.late).cloned().collect()
    }
}

impl Write {
    /// Whether it waits for a drop that does this about a mark: not for a mark whose answer comes while the callback runs.
    pub(super) fn awaits(&self, mark: Option<&Mark>) -> bool {
        let marking = self.mutate.as_ref().is_some_and(|mutate| mutate.phase == MutatePhase::Marking);
        self.step == WriteStep::Dropping && marking == matches!(mark, Some(Mark::Add { .. }))
    }
}
