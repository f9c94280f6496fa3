//! Callbacks of reads, and the answers to their callers.

use alloc::string::String;
use alloc::vec::Vec;

use super::op::{Kept, Op, ReadStep, Refresh};
use super::{CallbackEnd, Effect, Engine, Freshness, Gone, Life, OpId, Served};
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::{Bypass, EventKind, Outcome, Rejection};
use crate::core::flight::Stage;
use crate::core::key::Key;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// The callback has ended.
    pub fn callback(&mut self, id: OpId, end: CallbackEnd, host: f64) -> bool {
        let now = self.now(host);
        if self.ops.get(&id).is_some_and(|op| op.write().is_some()) {
            self.mutated(id, matches!(end, CallbackEnd::Ok { .. }), now);
            return true;
        }
        let Some((_, read)) = self.reading(id) else { return false };
        if read.step != ReadStep::Running {
            return true;
        }
        let cost = now.since(read.callback_began);
        if matches!(end, CallbackEnd::Ok { not_modified: true, .. }) {
            self.revalidated(id);
        }
        let Some((lane, read)) = self.reading(id) else { return false };
        match end {
            CallbackEnd::Err => self.callback_failed(id, now),
            CallbackEnd::Nothing => self.end_with_nothing(id, now),
            CallbackEnd::Ok { skip: true, .. } => self.unstorable(id, now),
            CallbackEnd::Ok { life, skip: false, none, tags, .. } => {
                let (own, jitter) = (read.negative.filter(|_| none).unwrap_or(read.life), read.jitter);
                let life = life.of(own);
                let ttl = life.ttl;
                let wanted = read
                    .flight
                    .and_then(|f| self.flights.get(f))
                    .is_some_and(|f| f.followers > 0 || f.unverified);
                self.declare(id, &tags, now);
                let lives = ttl > Millis::ZERO;
                let storable = lives && self.reading(id).is_some_and(|(_, read)| !read.basis.is_empty());
                if storable || wanted {
                    let life = Life { ttl: self.random.jittered(ttl, jitter), ..life };
                    self.set_step(id, ReadStep::Encoding { life, cost });
                    self.push(lane.request, Effect::Encode(id));
                } else {
                    self.serve_computed(id, Some(false), now);
                    self.end_own_flight(id, Stage::NotStored);
                    self.end_without_value(id, now);
                }
            }
        }
        true
    }

    /// The value is the stale one that the callback was shown.
    fn revalidated(&mut self, id: OpId) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        read.not_modified = true;
        let outcome = read.outcome();
        if let Some(flight) = read.flight
            && let Some(flight) = self.flights.get_mut(flight)
        {
            flight.outcome = (outcome, flight.outcome.1);
        }
    }

    /// The callback has no value for this key: nothing is stored, and those who wait for one run their own at once.
    fn end_with_nothing(&mut self, id: OpId, now: Timestamp) {
        self.serve_computed(id, Some(false), now);
        self.end_own_flight(id, Stage::Unstorable);
        self.end_without_value(id, now);
    }

    /// The callback failed: its error, or a stale value in its place.
    fn callback_failed(&mut self, id: OpId, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let (stale, served) = (read.stale.take(), read.served);
        let Some((lane, _)) = self.reading(id) else { return };
        // It has been kept for a while: nothing is served that a fence covers by now, whenever that was raised.
        let stale = stale
            .filter(|kept| self.covered_by_now(id, &kept.tags, now).is_none())
            .and_then(|kept| kept.served(now));
        if served || stale.is_some() {
            let message = "the callback failed; its caller has had an answer without it";
            self.report_failure(lane.request, lane.cache, now, &Failure::new(ErrorKind::Callback, message));
        }
        match stale {
            _ if served => {}
            Some(served) => self.serve_as(id, served, now, Effect::ServeStash),
            None => self.push(lane.request, Effect::Throw(id)),
        }
        self.end_own_flight(id, Stage::Failed);
        self.end_without_value(id, now);
    }

    /// The value at the source is decoded and will do, or (`ok` is false) cannot be decoded.
    pub fn decoded(&mut self, id: OpId, ok: bool, host: f64) -> bool {
        let now = self.now(host);
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return false };
        let step = core::mem::replace(&mut read.step, ReadStep::Starting);
        let shared = matches!(&step, ReadStep::Decoding { served, .. } if served.shared);
        match step {
            ReadStep::Decoding { served, tags, refresh, staleness } if ok => {
                self.serve_stored(id, served, tags, (refresh, staleness), now);
            }
            ReadStep::Stashing(kept) if ok => {
                read.stale = Some(kept);
                self.run(id, None, now);
            }
            ReadStep::Decoding { .. } | ReadStep::Stashing(_) => {
                let Some((lane, _)) = self.reading(id) else { return true };
                let failure = Failure::new(ErrorKind::Decode, "the stored value cannot be decoded");
                self.report_failure(lane.request, lane.cache, now, &failure);
                if shared {
                    self.read_alone(id, now);
                } else {
                    self.run(id, None, now);
                }
            }
            other => read.step = other,
        }
        true
    }

    /// The stored value at the source will not do for the caller: for it, that is a miss. The callback's value is stored in its
    /// place, under the stamps that came with it.
    pub fn rejected(&mut self, id: OpId, path: Option<String>, reason: Rejection, host: f64) -> bool {
        let now = self.now(host);
        let Some((lane, read)) = self.reading(id) else { return false };
        let shared = match &read.step {
            ReadStep::Decoding { served, .. } => served.shared,
            ReadStep::Stashing { .. } => false,
            _ => return true,
        };
        let key = self.name(lane.cache, &read.key);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.rejected += 1;
        }
        self.report(lane.request, lane.cache, now, EventKind::Rejected { key, path, reason });
        if shared {
            // Whom it does not do for, either, may share the callback of one of them.
            self.again(id, now);
        } else {
            self.run(id, None, now);
        }
        true
    }

    /// The driver has not decoded a stored value, or the caller's schema has not looked at it, within the read's deadline.
    pub(super) fn value_late(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let bypass = matches!(read.step, ReadStep::Decoding { .. }).then_some(Bypass::Timeout);
        let message = "the stored value was not decoded and checked within the deadline";
        self.report_failure(lane.request, lane.cache, now, &Failure::new(ErrorKind::Timeout, message));
        self.run(id, bypass, now);
    }

    /// Serves what Redis had, and shares it with those who follow; refreshes it behind the answer if it is to.
    fn serve_stored(
        &mut self,
        id: OpId,
        served: Served,
        tags: Vec<Key>,
        (refresh, staleness): (Refresh, Option<Millis>),
        now: Timestamp,
    ) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, basis, fresh) = (read.key.clone(), read.basis_of(served).clone(), read.fresh);
        // The callback may look at it; its caller has it.
        let kept = (refresh == Refresh::Leased).then(|| Kept {
            served,
            tags: tags.clone(),
            at: now,
            left: Millis::ZERO,
        });
        if let Some(fresh) = fresh
            && served.outcome == Outcome::Hit
            && !served.shared
        {
            self.offer(id, &tags, fresh, served.age, now);
        }
        if served.outcome == Outcome::Hit
            && !served.shared
            && let Some(peer) = self.peer_mut(lane.connection)
        {
            peer.hot.insert(&key, now);
        }
        if let Some(flight) = self.ops.get(&id).and_then(Op::leads)
            && let Some(flight) = self.flights.get_mut(flight)
        {
            flight.outcome = (served.outcome, None);
            flight.age = served.age;
            flight.staleness = staleness;
            flight.value_tags = tags;
            flight.basis = basis;
            let value = flight.value;
            self.push(lane.request, Effect::Share(id, value));
            self.end_own_flight(id, Stage::Hit);
        }
        self.serve(id, served, now);
        match refresh {
            Refresh::No => self.finish(id),
            Refresh::Leased => {
                self.push(lane.request, Effect::Background(id));
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.stale = kept;
                }
                self.run(id, None, now);
            }
            Refresh::Early => self.ask_early(id, now),
        }
    }

    /// The caller has gone. The operation goes on for those who follow it; if nobody does, it ends, or its callback is told.
    pub fn aborted(&mut self, id: OpId) -> bool {
        if self.reading(id).is_none() {
            return self.ops.contains_key(&id);
        }
        self.depart(id, Gone::Aborted);
        true
    }

    /// The caller waits for no callback any more.
    pub(super) fn depart(&mut self, id: OpId, gone: Gone) {
        let Some((lane, read)) = self.reading(id) else { return };
        let followed =
            read.flight.and_then(|f| self.flights.get(f)).is_some_and(|flight| flight.followers > 0);
        match read.step {
            // Its callback is told when they have gone, too: at the flight's deadline at the latest.
            _ if followed => {
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.gone = Some(gone);
                }
            }
            ReadStep::Running => {
                // Nobody is to join what is told to stop.
                if let Some(flight) = read.flight {
                    self.flights.detach(flight);
                }
                self.push(lane.request, Effect::Cancel(id, gone));
            }
            // The exchange goes on, for what it tells of the connection; there is just no callback behind it any more.
            ReadStep::Reading { .. } => {
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.load = false;
                }
            }
            ReadStep::Encoding { .. } | ReadStep::Compressing { .. } | ReadStep::Filling { .. } => {}
            _ => self.finish(id),
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
        let (forced, many) = (read.freshness == Freshness::Forced, read.many);
        let shareable = !matches!(bypass, Some(Bypass::Disabled | Bypass::PassThrough)) && !read.marked;
        if read.flight.is_none() && !read.served && shareable && self.may_share(id) {
            let key = read.key.clone();
            match self.flights.joinable(&(lane.connection, key, lane.cache), forced, now) {
                Some(_) if many => {}
                Some(flight) => return self.follow(id, flight, now),
                None => self.lead(id, now),
            }
        }
        let started = self.tick();
        // What is fenced by now is not shown, either.
        let stale = self.ops.get(&id).and_then(Op::read).and_then(|read| read.stale.as_ref());
        let shown = stale.filter(|kept| self.covered_by_now(id, &kept.tags, now).is_none());
        let age = shown.map(|kept| kept.age(now));
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        read.step = ReadStep::Running;
        read.bypass = bypass;
        read.callback_began = now;
        let (key, storable) = (read.key.clone(), !read.basis.is_empty());
        let outcome = read.outcome();
        if let Some(flight) = read.flight
            && let Some(flight) = self.flights.get_mut(flight)
        {
            flight.stage = Stage::Running;
            flight.callback_started = Some(started);
            flight.running_since = Some(now);
            flight.storable = storable;
            flight.unverified = bypass == Some(Bypass::Down);
            flight.outcome = (outcome, bypass);
        }
        self.set_running_due(id);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.callbacks += 1;
            if !storable {
                peer.seen.spoil(lane.request, &key);
            }
        }
        self.await_callback(id, true, now);
        self.push(lane.request, Effect::Run(id, age));
    }

    /// While the callback runs: its flight's promises are not kept open longer than anybody waits for them, however long the
    /// callback takes, and the versions that it waits for have a deadline.
    pub(super) fn set_running_due(&mut self, id: OpId) {
        let Some((_, read)) = self.reading(id) else { return };
        let flight = read.flight.and_then(|flight| self.flights.get(flight)).map(|flight| flight.deadline);
        let versions = read.versions.iter().map(|asked| asked.deadline).min();
        let due = match (flight, versions) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.set_due(id, due);
    }

    pub(super) fn serve_computed(&mut self, id: OpId, stored: Option<bool>, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let served =
            Served { outcome: read.outcome(), reason: read.bypass, shared: false, age: Millis::ZERO, stored };
        if stored.is_none() && !lane.anchored {
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.held = Some(served);
            }
            return;
        }
        self.serve(id, served, now);
    }

    pub(super) fn serve(&mut self, id: OpId, served: Served, now: Timestamp) {
        self.serve_as(id, served, now, Effect::Serve);
    }

    /// Answers the caller, unless it has been answered: a value that is refreshed is served before.
    pub(super) fn serve_as(
        &mut self,
        id: OpId,
        served: Served,
        now: Timestamp,
        effect: fn(OpId, Served) -> Effect,
    ) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, basis, load) = (read.key.clone(), read.basis_of(served).clone(), read.load);
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        if core::mem::replace(&mut read.served, true) {
            return;
        }
        if let Some(peer) = self.peer_mut(lane.connection) {
            // What it stores may follow from what it has got now. What is of another flight has been noted.
            if !served.shared && !basis.is_empty() {
                peer.seen.note(lane.request, &basis);
            } else if !served.shared && load && served.outcome == Outcome::Bypass {
                peer.seen.spoil(lane.request, &key);
            }
            match served.outcome {
                Outcome::Hit => peer.stats.hits += 1,
                Outcome::Stale => peer.stats.stale += 1,
                Outcome::Revalidated => peer.stats.revalidated += 1,
                Outcome::Miss => peer.stats.misses += 1,
                Outcome::Bypass => peer.stats.bypasses += 1,
            }
            peer.stats.shared += u64::from(served.shared);
        }
        let event = EventKind::Read {
            key: self.name(lane.cache, &key),
            outcome: served.outcome,
            shared: served.shared,
            l1: false,
            reason: served.reason,
        };
        self.report(lane.request, lane.cache, now, event);
        self.push(lane.request, effect(id, served));
    }

    pub(super) fn end_own_flight(&mut self, id: OpId, stage: Stage) {
        let Some((lane, _)) = self.reading(id) else { return };
        let flight = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.flight.take());
        if let Some(flight) = flight {
            self.end_flight(lane.request, flight, stage);
        }
    }
}
