//! Reads: look in Redis, else run the callback and fill.

use alloc::string::String;
use alloc::vec::Vec;

use super::admission::Entry;
use super::exchange::Slot;
use super::found::{Found, Source as FoundSource, State};
use super::lane::Lane;
use super::op::{Kind, Lease, Op, Read, ReadStep};
use super::{CallbackEnd, Effect, Engine, Freshness, Life, MAX_JOINS, OpId, ReadCall, Served, Source};
use crate::core::basis::Basis;
use crate::core::entry::Header;
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::{Bypass, EventKind, LeaseOutcome, Outcome};
use crate::core::flight::{Joiner, Stage};
use crate::core::journal::{Cover, Depth};
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

/// How long a generation is kept for a fill that may come: the longest callback whose value can still be stored, unless
/// another entry keeps the hash alive.
pub(super) const KEEP: &str = "120000";
/// The least life of a lease: one that is older may be taken over, as may one older than twice the recompute time.
pub(super) const LEASE_LIFE: &str = "1000";

/// Scripts that were refused are tried again so much later: a token's rights may change.
const REFUSED_AGAIN: Millis = Millis::seconds(60);

impl Engine {
    /// Begins a read. `None`: there are too many operations; run the callback.
    pub fn begin_read(&mut self, call: ReadCall<'_>, host: f64) -> Option<OpId> {
        let now = self.now(host);
        let config = self.config(call.cache)?;
        let key = Key::entry(&config.prefix, call.space, call.key);
        let mut named: Vec<Key> = Vec::with_capacity(call.tags.len());
        for tag in call.tags {
            let tag = Key::tag(&config.prefix, call.space, tag);
            if !named.contains(&tag) {
                named.push(tag);
            }
        }
        let life = Life {
            ttl: call.ttl.unwrap_or(config.ttl),
            swr: call.swr.unwrap_or(config.swr),
            stale_if_error: call.stale_if_error.unwrap_or(config.stale_if_error),
        };
        let wait = call.lease_wait.unwrap_or(config.lease_wait);
        let remembered = self.peer(call.connection).map(|peer| peer.tagged.of(&key)).unwrap_or_default();
        let hinted = remembered.iter().filter(|tag| !named.contains(tag)).cloned().collect();
        let start = self.tick();
        let token = if call.load { self.random.nonce() } else { String::new() };
        let read = Read {
            spaces: key.namespaces(),
            key,
            named,
            hinted,
            late: Vec::new(),
            life,
            freshness: call.freshness,
            load: call.load,
            step: ReadStep::Starting,
            joins: 0,
            flight: None,
            basis: Basis::default(),
            bypass: None,
            marked: false,
            resent: false,
            retagged: false,
            spoiled: false,
            lease: Lease { token, wait, since: None },
            callback_began: now,
            versions: Vec::new(),
            held: None,
            stale: None,
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
            bytes: 0,
            kind: Kind::Read(read),
        })?;
        self.start_read(id, now);
        Some(id)
    }

    /// The callback has ended.
    pub fn callback(&mut self, id: OpId, end: CallbackEnd, host: f64) -> bool {
        let now = self.now(host);
        if self.ops.get(&id).is_some_and(|op| op.write().is_some()) {
            self.mutated(id, matches!(end, CallbackEnd::Ok { .. }), now);
            return true;
        }
        let Some((lane, read)) = self.reading(id) else { return false };
        if read.step != ReadStep::Running {
            return true;
        }
        let cost = now.since(read.callback_began);
        match end {
            CallbackEnd::Err => self.callback_failed(id, now),
            CallbackEnd::Ok { skip: true, .. } => self.unstorable(id, now),
            CallbackEnd::Ok { ttl, skip: false, tags } => {
                let ttl = ttl.unwrap_or(read.life.ttl);
                let wanted = read
                    .flight
                    .and_then(|f| self.flights.get(f))
                    .is_some_and(|f| f.followers > 0 || f.unverified);
                self.declare(id, &tags, now);
                let storable = self.reading(id).is_some_and(|(_, read)| !read.basis.is_empty());
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

    /// The callback failed: its error, or a stale value in its place.
    fn callback_failed(&mut self, id: OpId, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let (stale, served) = (read.stale.take(), read.served);
        let Some((lane, _)) = self.reading(id) else { return };
        // It has been kept for a while: what was invalidated meanwhile is not served any more.
        let stale = stale.filter(|(_, tags)| self.cover_of(id, tags, now).is_none());
        if served || stale.is_some() {
            let message = "the callback failed; a stale value was served";
            self.report_failure(lane.request, lane.cache, now, &Failure::new(ErrorKind::Callback, message));
        }
        match stale {
            _ if served => {}
            Some((served, _)) => self.serve_as(id, served, now, Effect::ServeStash),
            None => self.push(lane.request, Effect::Throw(id)),
        }
        self.finish(id);
    }

    /// The value at the source is decoded, or (`ok` is false) cannot be.
    pub fn decoded(&mut self, id: OpId, ok: bool, host: f64) -> bool {
        let now = self.now(host);
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return false };
        let step = core::mem::replace(&mut read.step, ReadStep::Starting);
        let shared = matches!(&step, ReadStep::Decoding { served, .. } if served.shared);
        match step {
            ReadStep::Decoding { served, tags, refresh, staleness } if ok => {
                self.serve_stored(id, served, tags, (refresh, staleness), now);
            }
            ReadStep::Stashing { served, tags } if ok => {
                read.stale = Some((served, tags));
                self.run(id, None, now);
            }
            ReadStep::Decoding { .. } | ReadStep::Stashing { .. } => {
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

    /// Serves what Redis had, and shares it with those who follow; refreshes it behind the answer if it is to.
    fn serve_stored(
        &mut self,
        id: OpId,
        served: Served,
        tags: Vec<Key>,
        (refresh, staleness): (bool, Option<Millis>),
        now: Timestamp,
    ) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
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
            let value = flight.value;
            self.push(lane.request, Effect::Share(id, value));
            self.end_own_flight(id, Stage::Hit);
        }
        self.serve(id, served, now);
        if refresh {
            self.push(lane.request, Effect::Background(id));
            self.run(id, None, now);
        } else {
            self.finish(id);
        }
    }

    /// The caller has gone. The operation goes on for those who follow it; if nobody does, it ends, or its callback is told.
    pub fn aborted(&mut self, id: OpId) -> bool {
        let Some((lane, read)) = self.reading(id) else { return self.ops.contains_key(&id) };
        let followed =
            read.flight.and_then(|f| self.flights.get(f)).is_some_and(|flight| flight.followers > 0);
        match read.step {
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
        let (key, load, forced) = (read.key.clone(), read.load, read.freshness == Freshness::Forced);
        let Some(peer) = self.peer(lane.connection) else { return };
        if peer.endpoint.is_none() {
            self.warn_disabled(lane.request, lane.cache, lane.connection, now);
            return self.run(id, Some(Bypass::Disabled), now);
        }
        if load && peer.barred.contains(&key, now) {
            return self.run(id, Some(Bypass::PassThrough), now);
        }
        let hot = peer.hot.contains(&key, now) && !forced;
        let cover = self.cover_of(id, &[], now);
        if self.may_share(id) {
            let at = (lane.connection, key, lane.cache);
            match self.flights.joinable(&at, forced, now) {
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
        self.ask_read(id, self.read_deadline(lane, now), false, now);
    }

    pub(super) fn read_deadline(&self, lane: Lane, now: Timestamp) -> Timestamp {
        now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.read))
    }

    /// How a read is covered by fences, with these tags besides its own.
    pub(super) fn cover_of(&self, id: OpId, tags: &[Key], now: Timestamp) -> Option<Cover> {
        let op = self.ops.get(&id)?;
        let peer = self.peer(op.connection)?;
        peer.journal.cover(op.read()?.depends().chain(tags), op.start, now)
    }

    /// Asks the connection; `waited` if it has been asked before.
    pub(super) fn ask_read(&mut self, id: OpId, deadline: Timestamp, waited: bool, now: Timestamp) {
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
        let depends: Vec<Key> = read.depends().cloned().collect();
        let (resent, namespaces, required) = (read.resent, read.spaces.len(), read.named.len());
        let (forced, spoiled) = (read.freshness == Freshness::Forced, read.spoiled);
        let token = if forced { String::new() } else { read.lease.token.clone() };
        let stale_will_do = read.freshness == Freshness::Normal
            && read.life.swr.max(read.life.stale_if_error) > Millis::ZERO
            && read.load;
        self.send_cover(id, attempt, &depends, now);
        if self
            .peer(lane.connection)
            .is_some_and(|peer| peer.scripts_refused.is_some_and(|until| now < until))
        {
            return self.send_plain_read(id, attempt, &depends, deadline);
        }
        let how = self.how(lane, Script::Read, resent);
        let nonce = self.random.nonce();
        let build = self.build(lane);
        let want = match (forced || spoiled, stale_will_do) {
            (true, _) => "none",
            (false, true) => "stale",
            (false, false) => "fresh",
        };
        let begin = depends.first().map(Key::tags_begin).unwrap_or_default();
        let (namespaces, required) = (count(namespaces), count(required));
        let args = [&nonce, &build, KEEP, &namespaces, &required, &begin, &token, LEASE_LIFE, want];
        let command = Command::script(Script::Read, how, depends.iter().map(Key::redis), &args);
        let batch = self.enqueue(lane, attempt, 0, command, Slot::Read { op: id });
        self.set_step(id, ReadStep::Reading { batch });
        self.set_due(id, Some(deadline));
    }

    /// What is pending and covers a read goes before it, in the same request.
    fn send_cover(&mut self, id: OpId, attempt: Option<u32>, depends: &[Key], now: Timestamp) {
        let Some(op) = self.ops.get(&id) else { return };
        let (lane, start) = (op.lane(), op.start);
        for key in depends {
            let Some(peer) = self.peer_mut(lane.connection) else { return };
            if peer.journal.covered(key, start, now).is_some() && peer.journal.release(key, now) {
                let depth = peer.journal.depth(key);
                self.enqueue_drop(lane, attempt, id, super::exchange::DropRole::Cover, key, depth, None);
            }
        }
    }

    pub(super) fn read_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let ReadStep::Reading { batch } = read.step else { return };
        let resent = read.resent;
        let deadline = self.ops.get(&id).and_then(|op| op.due).unwrap_or(now);
        if let Reply::Error(error) = reply {
            let again = match error {
                CommandError::NoScript | CommandError::ScriptFlag if !resent => {
                    if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                        read.resent = true;
                    }
                    true
                }
                CommandError::Refused => {
                    self.refuse_scripts(lane, now);
                    true
                }
                _ => false,
            };
            if again {
                return self.ask_read(id, deadline, true, now);
            }
            self.report_command(lane, *error, now);
            return self.run(id, Some(Bypass::Failed), now);
        }
        let count = read.depends().count();
        match Found::read(reply, body, count) {
            Ok(found) => self.judge(id, batch, found, deadline, now),
            Err(failure) => {
                self.report_failure(lane.request, lane.cache, now, &failure);
                self.run(id, Some(Bypass::Failed), now);
            }
        }
    }

    /// What is done about what Redis has.
    pub(super) fn judge(
        &mut self,
        id: OpId,
        batch: super::BatchId,
        found: Found,
        deadline: Timestamp,
        now: Timestamp,
    ) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        let tags: Vec<Key> = found
            .header
            .iter()
            .flat_map(|header| &header.tags)
            .map(|(name, _)| key.sibling_tag(name))
            .collect();
        if found.state == State::Tags {
            return self.ask_with_tags(id, &tags, deadline, now);
        }
        if found.state == State::Spoiled && !read.spoiled {
            let failure = Failure::new(ErrorKind::Decode, "the stored entry cannot be read");
            self.report_failure(lane.request, lane.cache, now, &failure);
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.spoiled = true;
            }
            return self.ask_read(id, deadline, true, now);
        }
        let cover = self.cover_of(id, &tags, now);
        if matches!(cover, Some(Cover::Pending | Cover::Refused)) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        let marked = found.state == State::Marked;
        self.take_basis(id, &found, &tags);
        if marked {
            // Nobody waits for what is marked.
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.marked = true;
            }
            self.end_own_flight(id, Stage::Unstorable);
            return self.run(id, None, now);
        }
        let Some((_, read)) = self.reading(id) else { return };
        if let (Some(header), Some(place)) = (&found.header, &found.place) {
            let kind = header.kind;
            let source = Source::Reply { batch, place: place.clone(), encoding: found.encoding, kind };
            match fit(read, header, &found, cover == Some(Cover::Soft), lane.anchored) {
                Fit::Serve { served, refresh } => {
                    self.end_lease_wait(id, LeaseOutcome::Filled, now);
                    let stale = served.outcome == Outcome::Stale;
                    let staleness = stale.then(|| header.staleness(found.now));
                    self.set_step(id, ReadStep::Decoding { served, tags, refresh, staleness });
                    self.set_due(id, None);
                    return self.push(lane.request, Effect::Decode(id, source));
                }
                Fit::Keep(served) => {
                    self.set_step(id, ReadStep::Stashing { served, tags });
                    self.set_due(id, None);
                    return self.push(lane.request, Effect::Stash(id, source));
                }
                Fit::No => {}
            }
        }
        let waits = read.load && read.lease.wait > Millis::ZERO && read.freshness != Freshness::Forced;
        if waits && found.lease > Millis::ZERO {
            return self.await_lease(id, found.lease, now);
        }
        self.end_lease_wait(id, LeaseOutcome::Taken, now);
        self.run(id, None, now);
    }

    /// The entry carries tags that were not named: their versions are asked for, once.
    fn ask_with_tags(&mut self, id: OpId, tags: &[Key], deadline: Timestamp, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        if read.retagged {
            return self.run(id, None, now);
        }
        read.retagged = true;
        for tag in tags {
            if !read.named.contains(tag) && !read.hinted.contains(tag) {
                read.hinted.push(tag.clone());
            }
        }
        self.remember_tags(id, tags);
        if self.cover_of(id, &[], now) == Some(Cover::Refused) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        self.ask_read(id, deadline, true, now);
    }

    /// Remembers which tags the value carries besides those that are named.
    pub(super) fn remember_tags(&mut self, id: OpId, tags: &[Key]) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        let more: Vec<Key> = tags.iter().filter(|tag| !read.named.contains(tag)).cloned().collect();
        if let Some(peer) = self.peer_mut(lane.connection)
            && peer.tagged.of(&key) != more
        {
            peer.tagged.learn(&key, more);
        }
    }

    /// Keeps what a fill must name, and what a `set` of this request can be exact by.
    fn take_basis(&mut self, id: OpId, found: &Found, tags: &[Key]) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let (request, connection, began) = (op.request, op.connection, op.began);
        let Some(read) = op.read_mut() else { return };
        if found.source == FoundSource::Plain || found.state == State::Marked {
            // Nothing can be stored, or must not be.
            return;
        }
        read.basis = if let (State::Fresh, Some(header)) = (found.state, &found.header) {
            let own = core::iter::once(&read.key).chain(&read.spaces).cloned();
            let own = own.zip(header.stamps.iter().cloned());
            let tags = tags.iter().cloned().zip(header.tags.iter().map(|(_, stamp)| stamp.clone()));
            Basis::new(own.chain(tags).collect())
        } else {
            Basis::new(read.depends().cloned().zip(found.stamps.iter().cloned()).collect())
        };
        let basis = read.basis.clone();
        if let Some(peer) = self.peers.get_mut(connection.0 as usize)
            && !basis.is_empty()
        {
            peer.seen.note(request, &basis, began);
        }
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
            ReadStep::AwaitingLease => self.poll_lease(id, now),
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
            ReadStep::Running if read.versions.iter().any(|asked| asked.deadline <= now) => {
                self.versions_late(id, now);
            }
            _ => {
                self.set_due(id, None);
                let Some((lane, _)) = self.reading(id) else { return };
                let flight = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.flight.take());
                if let Some(flight) = flight {
                    self.abandon_flight(lane.request, flight);
                }
                self.set_running_due(id);
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
        let forced = read.freshness == Freshness::Forced;
        let shareable = !matches!(bypass, Some(Bypass::Disabled | Bypass::PassThrough)) && !read.marked;
        if read.flight.is_none() && !read.served && shareable && self.may_share(id) {
            let key = read.key.clone();
            match self.flights.joinable(&(lane.connection, key, lane.cache), forced, now) {
                Some(flight) => return self.follow(id, flight, now),
                None => self.lead(id, now),
            }
        }
        let started = self.tick();
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        read.step = ReadStep::Running;
        read.bypass = bypass;
        read.callback_began = now;
        let storable = !read.basis.is_empty();
        if let Some(flight) = read.flight
            && let Some(flight) = self.flights.get_mut(flight)
        {
            flight.stage = Stage::Running;
            flight.callback_started = Some(started);
            flight.storable = storable;
            flight.unverified = bypass == Some(Bypass::Down);
            flight.outcome = (if bypass.is_some() { Outcome::Bypass } else { Outcome::Miss }, bypass);
        }
        self.set_running_due(id);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.callbacks += 1;
        }
        self.push(lane.request, Effect::Run(id));
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
        self.serve_as(id, served, now, Effect::Serve);
    }

    /// Answers the caller, unless it has been answered: a value that is refreshed is served before.
    fn serve_as(&mut self, id: OpId, served: Served, now: Timestamp, effect: fn(OpId, Served) -> Effect) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        if core::mem::replace(&mut read.served, true) {
            return;
        }
        if let Some(peer) = self.peer_mut(lane.connection) {
            match served.outcome {
                Outcome::Hit => peer.stats.hits += 1,
                Outcome::Stale => peer.stats.stale += 1,
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
        self.push(lane.request, effect(id, served));
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

    /// What an operation can take from a flight that it joined at this place.
    pub(super) fn joiner(read: &Read, joined: crate::core::journal::Seq) -> Joiner<'_> {
        let swr = if read.freshness == Freshness::Normal { read.life.swr } else { Millis::ZERO };
        let verified = read.freshness != Freshness::Normal;
        let forced = read.freshness == Freshness::Forced;
        Joiner { joined, tags: &read.named, swr, verified, forced }
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

    /// The build that writes entries.
    pub(super) fn build(&self, lane: Lane) -> String {
        self.config(lane.cache).map(|config| config.build.clone()).unwrap_or_default()
    }

    /// Scripts are refused: what is stored is read plainly for a while. Told once.
    fn refuse_scripts(&mut self, lane: Lane, now: Timestamp) {
        let Some(peer) = self.peer_mut(lane.connection) else { return };
        if peer.scripts_refused.replace(now.after(REFUSED_AGAIN)).is_some() {
            return;
        }
        let message = String::from(
            "redis refuses scripts for this token: what is stored is served, with no promise about invalidations, and nothing is stored",
        );
        self.report(lane.request, lane.cache, now, EventKind::Warning { code: "scripts-refused", message });
    }

    /// What an expiry or an invalidation of this depth is sent as, without a script.
    pub(super) fn plain_drop(key: &Key, depth: Depth, build: &str) -> Command {
        use crate::core::key::KeyKind;
        let lease = alloc::format!("l:{build}");
        match (depth, key.kind()) {
            (Depth::Soft, _) => Command::plain(&["HDEL", key.redis(), "x"]),
            (Depth::Hard, KeyKind::Entry) => Command::plain(&["HDEL", key.redis(), "g", "x", &lease]),
            (Depth::Hard, _) => Command::plain(&["HDEL", key.redis(), "v", "x"]),
        }
    }
}

/// What an entry is good for.
enum Fit {
    /// It is served; and refreshed behind the answer.
    Serve { served: Served, refresh: bool },
    /// It is kept, in case that the callback fails.
    Keep(Served),
    /// Nothing.
    No,
}

/// What a valid entry is good for; `expired`: an expiry of it has not been acknowledged.
fn fit(read: &Read, header: &Header, found: &Found, expired: bool, anchored: bool) -> Fit {
    let served = |outcome| Served {
        outcome,
        reason: None,
        shared: false,
        age: header.age(found.now),
        stored: Some(true),
    };
    if read.freshness == Freshness::Forced {
        return Fit::No;
    }
    if found.state == State::Fresh && !expired {
        return Fit::Serve { served: served(Outcome::Hit), refresh: false };
    }
    if read.freshness != Freshness::Normal || !read.load {
        return Fit::No;
    }
    let staleness = header.staleness(found.now);
    // Who got the lease refreshes, behind its answer, or at once if it cannot behind; the others need not.
    let refresh = found.lease == Millis::ZERO;
    if staleness < header.swr.min(read.life.swr) && (anchored || !refresh) {
        return Fit::Serve { served: served(Outcome::Stale), refresh };
    }
    if staleness < header.stale_if_error.min(read.life.stale_if_error) {
        return Fit::Keep(served(Outcome::Stale));
    }
    Fit::No
}

/// A number as an argument.
pub(super) fn count(n: usize) -> String {
    alloc::format!("{n}")
}
