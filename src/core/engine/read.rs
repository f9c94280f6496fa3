//! Reads: look in Redis, else run the callback and fill.

use super::admission::Entry;
use super::exchange::{Lane, Slot, found};
use super::op::{Kind, Op, Read, ReadStep};
use super::{CallbackEnd, Effect, Engine, MAX_JOINS, OpId, ReadCall, Served, Source};
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::{Bypass, EventKind, Outcome};
use crate::core::flight::Stage;
use crate::core::journal::Cover;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

/// How long a generation is kept for a fill that may come: the longest callback whose value can still be stored, unless
/// another entry keeps the hash alive.
pub(super) const GENERATION_LIFE: &str = "120000";

impl Engine {
    /// Begins a read. `None`: there are too many operations; run the callback.
    pub fn begin_read(&mut self, call: ReadCall<'_>, host: f64) -> Option<OpId> {
        let now = self.now(host);
        let config = self.config(call.cache)?;
        let key = Key::new(&config.prefix, call.key);
        let ttl = call.ttl.unwrap_or(config.ttl);
        let start = self.tick();
        let read = Read {
            key,
            ttl,
            load: call.load,
            step: ReadStep::Starting,
            joins: 0,
            flight: None,
            generation: None,
            bypass: None,
            resent: false,
            callback_began: now,
            held: None,
            served: false,
        };
        let id = self.insert(Op {
            request: call.request,
            cache: call.cache,
            connection: call.connection,
            anchored: call.anchored,
            began: now,
            start,
            due: None,
            kind: Kind::Read(read),
        })?;
        self.start_read(id, now);
        Some(id)
    }

    /// The callback has ended.
    pub fn callback(&mut self, id: OpId, end: CallbackEnd, host: f64) -> bool {
        let now = self.now(host);
        let Some((lane, read)) = self.reading(id) else { return false };
        if read.step != ReadStep::Running {
            return true;
        }
        let cost = now.since(read.callback_began);
        match end {
            CallbackEnd::Err => {
                self.push(lane.request, Effect::Throw(id));
                self.finish(id);
            }
            CallbackEnd::Ok { skip: true, .. } => self.unstorable(id, now),
            CallbackEnd::Ok { ttl, skip: false } => {
                let ttl = ttl.unwrap_or(read.ttl);
                let storable = read.generation.is_some();
                let wanted = read
                    .flight
                    .and_then(|f| self.flights.get(f))
                    .is_some_and(|f| f.followers > 0 || f.unverified);
                if storable || wanted {
                    self.set_step(id, ReadStep::Encoding { ttl, cost });
                    self.push(lane.request, Effect::Encode(id));
                } else {
                    self.serve_computed(id, Some(false), now);
                    self.end_own_flight(id, Stage::NotStored);
                    self.finish(id);
                }
            }
        }
        true
    }

    /// The value at the source is decoded, or (`ok` is false) cannot be.
    pub fn decoded(&mut self, id: OpId, ok: bool, host: f64) -> bool {
        let now = self.now(host);
        let Some((lane, read)) = self.reading(id) else { return false };
        let ReadStep::Decoding { served } = read.step else { return true };
        let key = read.key.clone();
        if ok {
            if served.outcome == Outcome::Hit
                && let Some(peer) = self.peer_mut(lane.connection)
            {
                peer.hot.insert(&key, now);
            }
            if let Some(id_of_flight) = self.ops.get(&id).and_then(Op::leads)
                && let Some(flight) = self.flights.get_mut(id_of_flight)
            {
                flight.outcome = (Outcome::Hit, None);
                flight.age = served.age;
                let value = flight.value;
                self.push(lane.request, Effect::Share(id, value));
                self.end_own_flight(id, Stage::Hit);
            }
            self.serve(id, served, now);
            self.finish(id);
        } else {
            self.report_failure(
                lane.request,
                lane.cache,
                now,
                &Failure::new(ErrorKind::Decode, "the stored value cannot be decoded"),
            );
            if served.shared {
                self.read_alone(id, now);
            } else {
                self.run(id, None, now);
            }
        }
        true
    }

    /// The caller has gone. The operation goes on for those who follow it; if nobody does, it ends, or its callback is told.
    pub fn aborted(&mut self, id: OpId) -> bool {
        let Some((lane, read)) = self.reading(id) else { return self.ops.contains_key(&id) };
        let followed =
            read.flight.and_then(|f| self.flights.get(f)).is_some_and(|flight| flight.followers > 0);
        let step = read.step;
        match step {
            _ if followed => {}
            ReadStep::Running => {
                // Nobody is to join what is told to stop.
                if let Some(flight) = read.flight {
                    self.flights.detach(flight);
                }
                self.push(lane.request, Effect::Cancel(id));
            }
            // The exchange goes on, for what it tells of the connection; there is just no callback behind it any more.
            ReadStep::Reading { .. } => {
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.load = false;
                }
            }
            ReadStep::Encoding { .. } | ReadStep::Filling { .. } => {}
            _ => self.finish(id),
        }
        true
    }

    /// From the start, or again after a flight that had nothing for it.
    pub(super) fn start_read(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, load, start) =
            (read.key.clone(), read.load, self.ops.get(&id).map(|op| op.start).unwrap_or_default());
        let Some(peer) = self.peer_mut(lane.connection) else { return };
        if peer.endpoint.is_none() {
            self.warn_disabled(lane.request, lane.cache, lane.connection, now);
            return self.run(id, Some(Bypass::Disabled), now);
        }
        if load && peer.barred.contains(&key, now) {
            return self.run(id, Some(Bypass::PassThrough), now);
        }
        let cover = peer.journal.cover(&key, start, now);
        let hot = peer.hot.contains(&key, now);
        if self.may_share(id) {
            let at = (lane.connection, key, lane.cache);
            match self.flights.joinable(&at, now) {
                Some(flight)
                    if !hot || self.flights.get(flight).is_some_and(|f| f.stage != Stage::Reading) =>
                {
                    return self.follow(id, flight, now);
                }
                None if !hot => self.lead(id, now),
                _ => {}
            }
        }
        if cover == Some(Cover::Refused) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.read));
        self.ask_read(id, deadline, false, now);
    }

    /// Asks the connection; `waited` if it has been asked before.
    fn ask_read(&mut self, id: OpId, deadline: Timestamp, waited: bool, now: Timestamp) {
        let Some((lane, _)) = self.reading(id) else { return };
        match self.admit(lane, deadline, waited, now) {
            Entry::Send(attempt) => self.send_read(id, attempt, deadline, now),
            Entry::Wait { verdict, until } => {
                self.set_step(id, ReadStep::AwaitingAttempt { deadline });
                self.set_due(id, Some(deadline.min(until)));
                if let Some(verdict) = verdict {
                    self.push(lane.request, Effect::Await(id, verdict));
                }
            }
            Entry::Down(_) => self.run(id, Some(Bypass::Down), now),
            Entry::Disabled => self.run(id, Some(Bypass::Disabled), now),
        }
    }

    fn send_read(&mut self, id: OpId, attempt: Option<u32>, deadline: Timestamp, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, resent) = (read.key.clone(), read.resent);
        let start = self.ops.get(&id).map(|op| op.start).unwrap_or_default();
        let build = self.config(lane.cache).map(|config| config.build.clone()).unwrap_or_default();
        let covered = self.peer(lane.connection).and_then(|peer| peer.journal.cover(&key, start, now));
        if covered == Some(Cover::Pending) {
            self.enqueue_drop(lane, attempt, id, super::exchange::DropRole::Cover, &key);
        }
        let by_hash = self.by_hash(lane, Script::Read) && !resent;
        let nonce = self.random.nonce();
        let command = Command::script(Script::Read, by_hash, key.redis(), &[&nonce, &build, GENERATION_LIFE]);
        let batch = self.enqueue(lane, attempt, 0, command, Slot::Read { op: id });
        self.set_step(id, ReadStep::Reading { batch });
        self.set_due(id, Some(deadline));
    }

    pub(super) fn read_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let ReadStep::Reading { batch } = read.step else { return };
        let (key, resent) = (read.key.clone(), read.resent);
        let (start, deadline) = self.ops.get(&id).map(|op| (op.start, op.due)).unwrap_or_default();
        if let Reply::Error(error) = reply {
            if *error == CommandError::NoScript && !resent {
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.resent = true;
                }
                return self.ask_read(id, deadline.unwrap_or(now), true, now);
            }
            self.report_command(lane, *error, now);
            return self.run(id, Some(Bypass::Failed), now);
        }
        let found = match found(reply, body) {
            Ok(found) => found,
            Err(failure) => {
                self.report_failure(lane.request, lane.cache, now, &failure);
                return self.run(id, Some(Bypass::Failed), now);
            }
        };
        if self.peer(lane.connection).is_some_and(|peer| peer.journal.cover(&key, start, now).is_some()) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.generation = found.generation;
        }
        let Some((header, place)) = found.entry else { return self.run(id, None, now) };
        let served = Served {
            outcome: Outcome::Hit,
            reason: None,
            shared: false,
            age: header.age(found.now),
            stored: Some(true),
        };
        self.set_step(id, ReadStep::Decoding { served });
        self.set_due(id, None);
        let source = Source::Reply { batch, place, encoding: found.encoding, kind: header.kind };
        self.push(lane.request, Effect::Decode(id, source));
    }

    pub(super) fn read_failed(&mut self, id: OpId, kind: ErrorKind, now: Timestamp) {
        let Some((_, read)) = self.reading(id) else { return };
        if matches!(read.step, ReadStep::Reading { .. }) {
            let reason = if kind == ErrorKind::Timeout { Bypass::Timeout } else { Bypass::Failed };
            self.run(id, Some(reason), now);
        }
    }

    pub(super) fn resume_read(&mut self, id: OpId, now: Timestamp) {
        let Some((_, read)) = self.reading(id) else { return };
        match read.step {
            ReadStep::AwaitingAttempt { deadline } if now < deadline && !self.was_in_vain(id, now) => {
                self.ask_read(id, deadline, true, now)
            }
            ReadStep::AwaitingAttempt { .. } => self.run(id, Some(Bypass::Timeout), now),
            ReadStep::Following { .. } => self.consider(id, now),
            _ => {}
        }
    }

    pub(super) fn expire_read(&mut self, id: OpId, now: Timestamp) {
        let due = self.ops.get(&id).and_then(|op| op.due);
        let now = now.max(due.unwrap_or(now));
        let Some((_, read)) = self.reading(id) else { return };
        match read.step {
            ReadStep::AwaitingAttempt { .. } => self.resume_read(id, now),
            ReadStep::Following { flight, .. } => {
                self.flights.detach(flight);
                self.again(id, now);
            }
            ReadStep::Reading { batch } => {
                self.leave_batch(batch, id, now);
                self.run(id, Some(Bypass::Timeout), now);
            }
            ReadStep::Filling { batch, .. } => {
                self.leave_batch(batch, id, now);
                self.fill_failed(id, ErrorKind::Timeout, now);
            }
            _ => {
                self.set_due(id, None);
                let Some((lane, _)) = self.reading(id) else { return };
                let flight = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.flight.take());
                if let Some(flight) = flight {
                    self.abandon_flight(lane.request, flight);
                }
            }
        }
    }

    /// Runs the callback, unless somebody else's will do; `bypass` says why Redis has not been of use.
    pub(super) fn run(&mut self, id: OpId, bypass: Option<Bypass>, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        if !read.load {
            let outcome = if bypass.is_some() { Outcome::Bypass } else { Outcome::Miss };
            let served =
                Served { outcome, reason: bypass, shared: false, age: Millis::ZERO, stored: Some(false) };
            self.serve(id, served, now);
            return self.finish(id);
        }
        let shareable = !matches!(bypass, Some(Bypass::Disabled | Bypass::PassThrough));
        if read.flight.is_none() && shareable && self.may_share(id) {
            let key = self.reading(id).map(|(_, read)| read.key.clone());
            let Some(key) = key else { return };
            match self.flights.joinable(&(lane.connection, key, lane.cache), now) {
                Some(flight) => return self.follow(id, flight, now),
                None => self.lead(id, now),
            }
        }
        let started = self.tick();
        let Some(op) = self.ops.get_mut(&id) else { return };
        let Some(read) = op.read_mut() else { return };
        read.step = ReadStep::Running;
        read.bypass = bypass;
        read.callback_began = now;
        let storable = read.generation.is_some();
        let mut op_due = None;
        if let Some(flight) = read.flight
            && let Some(flight) = self.flights.get_mut(flight)
        {
            // Its promises are not kept open longer than anybody waits for them, however long the callback takes.
            op_due = Some(flight.deadline);
            flight.stage = Stage::Running;
            flight.callback_started = Some(started);
            flight.storable = storable;
            flight.unverified = bypass == Some(Bypass::Down);
            flight.outcome = (if bypass.is_some() { Outcome::Bypass } else { Outcome::Miss }, bypass);
        }
        self.set_due(id, op_due);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.callbacks += 1;
        }
        self.push(lane.request, Effect::Run(id));
    }

    pub(super) fn serve_computed(&mut self, id: OpId, stored: Option<bool>, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let outcome = if read.bypass.is_some() { Outcome::Bypass } else { Outcome::Miss };
        let served = Served { outcome, reason: read.bypass, shared: false, age: Millis::ZERO, stored };
        if stored.is_none() && !lane.anchored {
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.held = Some(served);
            }
            return;
        }
        self.serve(id, served, now);
    }

    pub(super) fn serve(&mut self, id: OpId, served: Served, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.served = true;
        }
        if let Some(peer) = self.peer_mut(lane.connection) {
            match served.outcome {
                Outcome::Hit => peer.stats.hits += 1,
                Outcome::Miss => peer.stats.misses += 1,
                Outcome::Bypass => peer.stats.bypasses += 1,
            }
            peer.stats.shared += u64::from(served.shared);
        }
        let event = EventKind::Read {
            key: self.name(lane.cache, &key),
            outcome: served.outcome,
            shared: served.shared,
            reason: served.reason,
        };
        self.report(lane.request, lane.cache, now, event);
        self.push(lane.request, Effect::Serve(id, served));
    }

    pub(super) fn end_own_flight(&mut self, id: OpId, stage: Stage) {
        let Some((lane, _)) = self.reading(id) else { return };
        let flight = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.flight.take());
        if let Some(flight) = flight {
            self.end_flight(lane.request, flight, stage);
        }
    }

    /// Whether an operation may lead or join a flight.
    pub(super) fn may_share(&self, id: OpId) -> bool {
        self.reading(id).is_some_and(|(lane, read)| {
            lane.anchored && read.load && read.flight.is_none() && read.joins < MAX_JOINS
        })
    }

    pub(super) fn reading(&self, id: OpId) -> Option<(Lane, &Read)> {
        let op = self.ops.get(&id)?;
        Some((op.lane(), op.read()?))
    }

    pub(super) fn set_step(&mut self, id: OpId, step: ReadStep) {
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.step = step;
        }
    }

    pub(super) fn set_due(&mut self, id: OpId, due: Option<Timestamp>) {
        if let Some(op) = self.ops.get_mut(&id) {
            op.due = due;
        }
    }
}
