//! The dialogue: calls and events go in, effects come out.
//!
//! A driver calls `begin_*` for an operation of a request, then `poll`s that request until it gives `None` and performs
//! what it is told, feeding what happened back in (`reply`, `callback`, `timer`, ...) and polling again. It holds one timer for
//! each request, for `wait`. An event for an operation that is no longer known gives `false`: the driver then finishes the
//! call by itself, with the callback's value or by running the callback.
//!
//! `read`, `follow`, `bounds`, `lease`, `early`, `late`, `fill`, `l1`, `write`, `set`, `mutate`, `replay` and `exchange` hold the
//! steps of the operations; this file holds what they share.

mod admission;
mod batch;
mod bounds;
mod budget;
mod dialogue;
mod drop;
mod early;
mod exchange;
mod fill;
mod follow;
mod found;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod judge;
mod l1;
mod lane;
mod late;
mod lease;
mod mutate;
mod op;
mod owed;
mod plain;
mod raw;
mod read;
mod replay;
mod report;
mod run;
mod set;
#[cfg(test)]
mod tests;
mod verdict;
mod write;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::HashMap;

use self::batch::Batch;
use self::budget::Spent;
pub use self::dialogue::{
    Adapted, BatchId, BodyPart, CacheId, CallbackEnd, ConnectionId, Effect, Encoded, Freshness, Gone, Life,
    Named, OpId, Origin, ReadCall, RequestId, Served, SharedId, Source, Targets, Waits, WriteCall, WriteKind,
};
use self::op::{Kind, Op, Read};
pub use self::raw::{RawCall, RawError, RawOutcome, refusal};
use super::config::CacheConfig;
use super::connection::{Connection, Snapshot};
use super::endpoint::Endpoint;
use super::error::{ErrorKind, Failure};

use super::flight::{FlightId, Flights, SWEEP};
use super::journal::{Journal, MAX_KEYS, Seq};
use super::key::Key;
use super::l1::L1;
use super::random::Random;
use super::recent::Recent;
use super::redis::script::Dialect;
use super::retries::Retries;
use super::seen::Seen;
use super::stats::Stats;
use super::tagged::Tagged;
use super::time::{Clock, Millis, Timestamp};

/// At most so many operations under way; beyond, the driver runs callbacks by itself.
const MAX_OPS: usize = 8192;
/// From so many on it is looked now and then which of them belong to requests that were ended. The table doubles beyond 224, takes half
/// a megabyte then, and never becomes smaller again.
const MANY_OPS: usize = 192;
/// At most so many bytes of keys in them: a client may be able to choose keys, and memory is limited.
const MAX_HELD: usize = 4 << 20;
/// An operation this late belongs to a request that was ended: a living one would have acted.
const LATE: Millis = Millis::seconds(10);
/// An operation older than this belongs to a request that was ended, or to a callback that never settles. It is forgotten
/// when room is needed; should its callback settle after all, the driver returns the value by itself.
const OP_LIFE: Millis = Millis::seconds(600);
/// At most so many caches and connections in an isolate.
const MAX_CACHES: usize = 256;
const MAX_CONNECTIONS: usize = 64;
/// A key that was a hit this lately is read at once, without joining a flight: the flight's hit could not be taken.
const HOT: Millis = Millis::seconds(10);
/// How long a key whose value could not be stored is passed through.
const BARRED: Millis = Millis::seconds(60);
/// At most so many keys are remembered as hot, as many as passed through, and as many as asked for.
const MAX_RECENT: usize = 4096;
/// An operation joins at most so many flights, then does its own work.
const MAX_JOINS: u8 = 2;

/// All that belongs to one connection.
#[derive(Debug)]
struct Peer {
    endpoint: Option<Endpoint>,
    connection: Connection,
    /// The promise of the attempt under way, if its owner could anchor one.
    attempt: Option<SharedId>,
    journal: Journal,
    /// The replay under way, and until when it is believed in.
    replay: Option<(OpId, Timestamp)>,
    hot: Recent,
    /// Keys whose lease was asked for lately, for an early refresh.
    asked: Recent,
    barred: Recent,
    tagged: Tagged,
    seen: Seen,
    /// Which words its server takes at the top of a script.
    dialect: Dialect,
    /// The server refuses scripts: until then reads are plain, and nothing is stored.
    scripts_refused: Option<Timestamp>,
    retries: Retries,
    /// That a request had used up its budget has been told.
    budget_told: bool,
    stats: Stats,
    /// Why it is disabled, until that has been told.
    warning: Option<String>,
}

#[derive(Debug, Default)]
struct Request {
    effects: VecDeque<Effect>,
    ops: Vec<OpId>,
    open: Option<BatchId>,
    /// Batches that wait until others of the request have ended, the oldest first.
    held: VecDeque<BatchId>,
    /// A token has been taken for the batch that the next command goes into.
    repeats: bool,
    /// The deadline that the driver's timer is set for.
    armed: Option<Timestamp>,
}

/// What an instance has room for, where a test wants less.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fences in the journal of a connection.
    pub journal: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { journal: MAX_KEYS }
    }
}

/// One instance of the core.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    clock: Clock,
    random: Random,
    seq: Seq,
    caches: Vec<CacheConfig>,
    peers: Vec<Peer>,
    requests: HashMap<RequestId, Request>,
    ops: HashMap<OpId, Op>,
    batches: HashMap<BatchId, Batch>,
    flights: Flights,
    /// What is held for each cache.
    l1s: Vec<Option<L1>>,
    next_held: u32,
    spent: Spent,
    next_op: u32,
    next_batch: u32,
    next_shared: u32,
    swept: Option<Timestamp>,
    /// Bytes of the keys of all operations.
    held: usize,
}

impl Engine {
    /// An instance; `seed` must be random, so that no two isolates make the same nonces.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Self {
        Self::with_limits(seed, Limits::default())
    }

    /// As `new`, with less room.
    #[must_use]
    pub fn with_limits(seed: [u64; 2], limits: Limits) -> Self {
        Self {
            limits,
            clock: Clock::default(),
            random: Random::new(seed),
            seq: Seq::default(),
            caches: Vec::new(),
            peers: Vec::new(),
            requests: HashMap::new(),
            ops: HashMap::new(),
            batches: HashMap::new(),
            flights: Flights::default(),
            l1s: Vec::new(),
            // What a driver held for another instance is nothing to this one.
            next_held: Random::number(seed),
            spent: Spent::default(),
            next_op: 0,
            next_batch: 0,
            next_shared: 0,
            swept: None,
            held: 0,
        }
    }

    /// The number of a cache with these settings; the same for the same settings. `None`: there are too many.
    pub fn cache(&mut self, config: CacheConfig) -> Option<CacheId> {
        let index = match self.caches.iter().position(|known| *known == config) {
            Some(index) => index,
            None if self.caches.len() < MAX_CACHES => {
                self.add_l1(config.l1);
                self.caches.push(config);
                self.caches.len() - 1
            }
            None => return None,
        };
        u32::try_from(index).ok().map(CacheId)
    }

    /// A connection to an endpoint, without I/O; with an error in its place, one that is disabled for good and warns once with
    /// this text. `None`: there are too many.
    pub fn open(&mut self, endpoint: Result<Endpoint, String>) -> Option<ConnectionId> {
        if self.peers.len() >= MAX_CONNECTIONS {
            return None;
        }
        self.peers.push(Peer {
            connection: Connection::new(endpoint.is_ok()),
            warning: endpoint.as_ref().err().cloned(),
            dialect: endpoint.as_ref().map(Endpoint::dialect).unwrap_or_default(),
            endpoint: endpoint.ok(),
            attempt: None,
            journal: Journal::with_room(self.limits.journal),
            replay: None,
            hot: Recent::new(HOT, MAX_RECENT),
            asked: Recent::new(early::ASK_AGAIN, MAX_RECENT),
            barred: Recent::new(BARRED, MAX_RECENT),
            tagged: Tagged::default(),
            seen: Seen::default(),
            scripts_refused: None,
            retries: Retries::default(),
            budget_told: false,
            stats: Stats::default(),
        });
        u32::try_from(self.peers.len() - 1).ok().map(ConnectionId)
    }

    /// Where the connection's batches go.
    #[must_use]
    pub fn url(&self, connection: ConnectionId) -> Option<String> {
        self.peer(connection)?.endpoint.as_ref().map(Endpoint::pipeline_url)
    }

    /// The connection's state.
    #[must_use]
    pub fn snapshot(&self, connection: ConnectionId) -> Option<Snapshot> {
        Some(self.peer(connection)?.connection.snapshot(|time| self.clock.host(time)))
    }

    /// The connection's counters.
    #[must_use]
    pub fn stats(&self, connection: ConnectionId) -> Option<Stats> {
        let peer = self.peer(connection)?;
        let held = self.l1s.iter().flatten().map(L1::size);
        let (l1_entries, l1_bytes) =
            held.fold((0, 0), |(n, sum), (entries, bytes)| (n + entries, sum + bytes));
        Some(Stats { journal: peer.journal.pending() as u64, l1_entries, l1_bytes, ..peer.stats })
    }

    /// The next thing to do in a request; `None`: nothing until something happens.
    pub fn poll(&mut self, request: RequestId) -> Option<Effect> {
        if let Some(change) = self.take_change() {
            return Some(change);
        }
        let entry = self.requests.get_mut(&request)?;
        let effect = entry.effects.pop_front();
        if effect.is_none() && entry.ops.is_empty() && entry.open.is_none() {
            self.requests.remove(&request);
        }
        effect
    }

    /// How long the request's timer is to wait, if it needs one. The driver sets its only timer for it, in place of an
    /// earlier one.
    pub fn wait(&mut self, request: RequestId, host: f64) -> Option<Millis> {
        let now = self.now(host);
        let entry = self.requests.get_mut(&request)?;
        let ops = &self.ops;
        entry.armed = entry.ops.iter().filter_map(|op| ops.get(op)?.next()).min();
        entry.armed.map(|due| due.since(now))
    }

    /// The request's timer has fired. That it has counts as its time having come, whatever the clock shows: a clock may stand
    /// still.
    pub fn timer(&mut self, request: RequestId, host: f64) {
        let now = self.now(host);
        let Some(entry) = self.requests.get_mut(&request) else { return };
        let reached = entry.armed.take().map_or(now, |armed| armed.max(now));
        let ops: Vec<OpId> = entry.ops.clone();
        for id in ops {
            let bound = self.ops.get(&id).and_then(Op::read).and_then(Read::bound);
            if bound.is_some_and(|bound| bound <= reached) {
                self.bound_passed(id, now);
            }
            if self.ops.get(&id).is_some_and(|op| op.due.is_some_and(|due| due <= reached)) {
                self.expire(id, now);
            }
        }
    }

    /// The promise that an operation waited for has settled.
    pub fn woken(&mut self, op: OpId, host: f64) -> bool {
        let now = self.now(host);
        self.resume(op, now)
    }

    /// The promise that an operation waited for is lost: the request that made it has ended. What can be done without it is
    /// done at once, all else when the operation's own wait ends.
    pub fn lost(&mut self, op: OpId, host: f64) -> bool {
        let now = self.now(host);
        if let Some(flight) = self.ops.get(&op).and_then(Op::follows) {
            self.flights.detach(flight);
            self.again(op, now);
        }
        self.ops.contains_key(&op)
    }

    /// Whether anything that Redis has not acknowledged stands over a Redis key.
    #[must_use]
    pub fn is_fenced(&self, connection: ConnectionId, redis: &str) -> bool {
        let key = Key::parse(redis);
        key.zip(self.peer(connection)).is_some_and(|(key, peer)| peer.journal.is_fenced(&key))
    }

    /// The tables' sizes (operations, requests, batches, flights): all 0 when nothing is under way.
    #[must_use]
    pub fn under_way(&self) -> [usize; 4] {
        [self.ops.len(), self.requests.len(), self.batches.len(), self.flights.len()]
    }

    fn now(&mut self, host: f64) -> Timestamp {
        self.clock.read(Timestamp::from_host(host))
    }

    fn tick(&mut self) -> Seq {
        self.seq.0 += 1;
        self.seq
    }

    fn peer(&self, connection: ConnectionId) -> Option<&Peer> {
        self.peers.get(connection.0 as usize)
    }

    fn peer_mut(&mut self, connection: ConnectionId) -> Option<&mut Peer> {
        self.peers.get_mut(connection.0 as usize)
    }

    fn config(&self, cache: CacheId) -> Option<&CacheConfig> {
        self.caches.get(cache.0 as usize)
    }

    fn shared(&mut self) -> SharedId {
        self.next_shared = self.next_shared.wrapping_add(1);
        SharedId(self.next_shared)
    }

    fn push(&mut self, request: RequestId, effect: Effect) {
        self.requests.entry(request).or_default().effects.push_back(effect);
    }

    /// Takes an operation in. `None`: no room, even without those whose requests have surely ended.
    fn insert(&mut self, mut op: Op) -> Option<OpId> {
        let bytes = op.key_bytes();
        let leapt = self.clock.leapt();
        (op.bytes, op.leapt) = (bytes, leapt);
        let now = op.began;
        let many = self.ops.len() >= MANY_OPS || self.held + bytes > MAX_HELD;
        if many && self.swept.is_none_or(|swept| now.since(swept) > SWEEP) {
            self.swept = Some(now);
            // Without any room, nobody is given the benefit of the doubt.
            let leapt = if self.ops.len() >= MAX_OPS { Millis::ZERO } else { leapt };
            let old: Vec<OpId> =
                self.ops.iter().filter(|(_, op)| op.is_dead(now, leapt)).map(|(id, _)| *id).collect();
            for id in old {
                self.forget(id);
            }
            self.sweep(op.request);
        }
        if self.ops.len() >= MAX_OPS || self.held + bytes > MAX_HELD {
            return None;
        }
        self.next_op = self.next_op.wrapping_add(1);
        let id = OpId(self.next_op);
        self.held += bytes;
        self.requests.entry(op.request).or_default().ops.push(id);
        self.ops.insert(id, op);
        Some(id)
    }

    /// Forgets what only forgotten operations had to do with. `present` may be in the middle of something.
    fn sweep(&mut self, present: RequestId) {
        let ops = &self.ops;
        self.batches.retain(|_, batch| batch.is_awaited(|op| ops.contains_key(&op)));
        self.requests.retain(|id, request| *id == present || !request.ops.is_empty());
    }

    /// The operation is over.
    fn finish(&mut self, id: OpId) {
        if let Some(op) = self.ops.get(&id) {
            let request = op.request;
            self.push(request, Effect::Finished(id));
        }
        self.forget(id);
    }

    /// Removes an operation from the tables, whatever it was doing.
    fn forget(&mut self, id: OpId) {
        let Some(op) = self.ops.remove(&id) else { return };
        self.held = self.held.saturating_sub(op.bytes);
        if let Some(request) = self.requests.get_mut(&op.request) {
            request.ops.retain(|other| *other != id);
        }
        if let Some(flight) = op.follows() {
            self.flights.leave(flight);
        }
        if let Some(flight) = op.leads() {
            self.end_flight(op.request, flight, super::flight::Stage::Failed);
        }
    }

    fn resume(&mut self, id: OpId, now: Timestamp) -> bool {
        match self.ops.get(&id).map(|op| &op.kind) {
            None => return false,
            Some(Kind::Read(_)) => self.resume_read(id, now),
            Some(Kind::Write(_)) => self.resume_write(id, now),
            Some(Kind::Replay(_)) => self.resume_replay(id, now),
            Some(Kind::Raw(_)) => self.resume_raw(id, now),
        }
        true
    }

    fn expire(&mut self, id: OpId, now: Timestamp) {
        match self.ops.get(&id).map(|op| &op.kind) {
            None => {}
            Some(Kind::Read(_)) => self.expire_read(id, now),
            Some(Kind::Write(_)) => self.expire_write(id, now),
            Some(Kind::Replay(_)) => self.expire_replay(id, now),
            Some(Kind::Raw(_)) => self.expire_raw(id, now),
        }
    }

    /// Ends a flight and settles its promises, which the request made that leads it.
    fn end_flight(&mut self, leader: RequestId, id: FlightId, stage: super::flight::Stage) {
        let Some(flight) = self.flights.get(id) else { return };
        let promises = [flight.value, flight.verdict];
        self.flights.end(id, stage);
        for promise in promises {
            self.push(leader, Effect::Settle(promise));
        }
    }

    /// Gives up a flight at its deadline: those who follow it have the same one.
    fn abandon_flight(&mut self, leader: RequestId, id: FlightId) {
        let Some(flight) = self.flights.get(id) else { return };
        let promises = [flight.value, flight.verdict];
        self.flights.end(id, super::flight::Stage::Failed);
        for promise in promises {
            self.push(leader, Effect::Abandon(promise));
        }
    }
}

/// A failure of the protocol, with what was expected.
fn malformed(message: &str) -> Failure {
    Failure::new(ErrorKind::Protocol, message)
}
