//! Reads: look in Redis, else run the callback and fill.

use alloc::string::String;
use alloc::vec::Vec;

use super::admission::Entry;
use super::batch::Slot;
use super::bounds::Bounds;
use super::budget::Purpose;
use super::found::Found;
use super::lane::Lane;
use super::op::{Kind, Lease, Op, Read, ReadStep};
use super::{BatchId, Effect, Engine, Freshness, Life, MAX_JOINS, OpId, ReadCall};
use crate::core::basis::Basis;
use crate::core::config::MAX_VALUE;
use crate::core::error::ErrorKind;
use crate::core::event::{Bypass, EventKind};
use crate::core::flight::{Joiner, Stage};
use crate::core::journal::{Cover, Seq};
use crate::core::key::Key;
use crate::core::ratio::Ratio;
use crate::core::redis::command::{Command, How};
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
        let patience = call.waits.read.unwrap_or(config.read);
        let bounds = Bounds::new(call.waits.soft.or(config.soft), call.waits.hard.or(config.hard));
        // Many do not wait for one, and are asked for once: not again for what might be refreshed.
        let (wait, early_refresh) = if call.many {
            (Millis::ZERO, Ratio::ZERO)
        } else {
            (call.lease_wait.unwrap_or(config.lease_wait), call.early_refresh.unwrap_or(config.early_refresh))
        };
        let jitter = call.jitter.unwrap_or(config.jitter);
        // Where there is no value, there is nothing to stand in for, unless the call says so itself.
        let negative = call.negative_ttl.or(config.negative_ttl).map(|ttl| Life {
            ttl,
            swr: call.swr.unwrap_or(Millis::ZERO),
            stale_if_error: call.stale_if_error.unwrap_or(Millis::ZERO),
        });
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
            negative,
            jitter,
            early_refresh,
            freshness: call.freshness,
            load: call.load,
            l1: call.l1,
            patience,
            bounds,
            many: call.many,
            step: ReadStep::Starting,
            joins: 0,
            flight: None,
            basis: Basis::default(),
            entry: Basis::default(),
            bypass: None,
            sent: None,
            fresh: None,
            marked: false,
            resent: false,
            retagged: false,
            spoiled: false,
            ahead: Vec::new(),
            lease: Lease { token, wait, taken: false, since: None },
            callback_began: now,
            not_modified: false,
            versions: Vec::new(),
            versions_resent: false,
            held: None,
            plain: None,
            stale: None,
            served: false,
            gone: None,
        };
        let lane = Lane::new(call.request, call.cache, call.connection, call.anchored);
        let id = self.insert(Op::new(lane, now, start, Kind::Read(read)))?;
        self.start_read(id, now);
        Some(id)
    }

    /// From the start, or again after a flight that had nothing for it.
    pub(super) fn start_read(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, load, many) = (read.key.clone(), read.load, read.many);
        let forced = read.freshness == Freshness::Forced;
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
                // The others of a call for many keys would wait with it.
                Some(_) if many => {}
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
            self.run(id, Some(Bypass::PendingInvalidation), now);
            // Where all reads go by, no answer would remind of what else is pending. Last, since room for it may be made by forgetting
            // the oldest operations.
            return self.replay_if_due(lane, now);
        }
        self.ask_read(id, self.read_deadline(id, now), false, now);
    }

    pub(super) fn read_deadline(&self, id: OpId, now: Timestamp) -> Timestamp {
        now.after(self.reading(id).map_or(Millis::ZERO, |(_, read)| read.patience))
    }

    /// How a read is covered by fences, with these tags besides its own.
    pub(super) fn cover_of(&self, id: OpId, tags: &[Key], now: Timestamp) -> Option<Cover> {
        self.cover(id, tags, self.ops.get(&id)?.start, now)
    }

    /// The same, by fences that were raised since it began as well.
    pub(super) fn covered_by_now(&self, id: OpId, tags: &[Key], now: Timestamp) -> Option<Cover> {
        self.cover(id, tags, Seq(u64::MAX), now)
    }

    fn cover(&self, id: OpId, tags: &[Key], began: Seq, now: Timestamp) -> Option<Cover> {
        let op = self.ops.get(&id)?;
        self.peer(op.connection)?.journal.cover(op.read()?.depends().chain(tags), began, now)
    }

    /// Asks the connection; `waited` if it has been asked before.
    pub(super) fn ask_read(&mut self, id: OpId, deadline: Timestamp, waited: bool, now: Timestamp) {
        let Some((lane, _)) = self.reading(id) else { return };
        // An attempt that begins now would be over at once.
        if deadline <= now {
            return self.run(id, Some(Bypass::Timeout), now);
        }
        if !self.affords_or_tells(lane, Purpose::Any, 0, now) {
            return self.run(id, Some(Bypass::Budget), now);
        }
        match self.admit(lane, waited, now) {
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
        let resent = read.resent;
        let (forced, spoiled) = (read.freshness == Freshness::Forced, read.spoiled);
        let token = if forced { String::new() } else { read.lease.token.clone() };
        // For the caller, or for the callback to look at; who takes nothing stale and waits for a lease would wait as one who has
        // something in hand.
        let stale_will_do = read.freshness == Freshness::Normal
            && (read.life.swr.max(read.life.stale_if_error) > Millis::ZERO
                || read.lease.wait == Millis::ZERO)
            && read.load;
        self.send_cover(id, attempt, &depends, now);
        if self
            .peer(lane.connection)
            .is_some_and(|peer| peer.scripts_refused.is_some_and(|until| now < until))
        {
            return self.send_plain_read(id, attempt, &depends, deadline);
        }
        let how = self.how(lane, Script::Read, resent);
        let want = match (forced || spoiled, stale_will_do) {
            (true, _) => "none",
            (false, true) => "stale",
            (false, false) => "fresh",
        };
        let Some(command) = self.read_command(id, how, &token, want) else { return };
        let batch = self.enqueue(lane, attempt, 0, command, Slot::Read { op: id });
        self.set_step(id, ReadStep::Reading { batch });
        self.set_due(id, Some(deadline));
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.sent = Some(now);
            read.fresh = None;
        }
    }

    /// The read script's command for all that a read depends on.
    pub(super) fn read_command(&mut self, id: OpId, how: How, token: &str, want: &str) -> Option<Command> {
        let nonce = self.random.nonce();
        let (lane, read) = self.reading(id)?;
        let build = self.build(lane);
        let (namespaces, required) = (count(read.spaces.len()), count(read.named.len()));
        let begin = read.key.tags_begin();
        let args = [&nonce, &build, KEEP, &namespaces, &required, &begin, token, LEASE_LIFE, want];
        Some(Command::script(Script::Read, how, read.depends().map(Key::redis), &args))
    }

    /// What is pending and covers a read goes before it, in the same request.
    fn send_cover(&mut self, id: OpId, attempt: Option<u32>, depends: &[Key], now: Timestamp) {
        let Some(op) = self.ops.get(&id) else { return };
        let (lane, start) = (op.lane(), op.start);
        let mut ahead = Vec::new();
        for key in depends {
            let Some(peer) = self.peer_mut(lane.connection) else { return };
            let Some(cover) = peer.journal.covered(key, start, now) else { continue };
            if peer.journal.release(key, now) {
                let depth = peer.journal.depth(key);
                self.enqueue_drop(lane, attempt, id, super::drop::DropRole::Cover, key, depth, None);
            }
            ahead.push((key.clone(), cover));
        }
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.ahead = ahead;
        }
    }

    /// What goes before a read was carried out, in that batch: if it is the read's own, Redis has looked after that.
    pub(super) fn cover_applied(&mut self, id: OpId, batch: BatchId, key: &Key) {
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut)
            && read.step == (ReadStep::Reading { batch })
        {
            read.ahead.retain(|(ahead, _)| ahead != key);
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
            ReadStep::Decoding { .. } | ReadStep::Stashing { .. } => self.value_late(id, now),
            ReadStep::Compressing { .. } => self.store_plain(id, now),
            ReadStep::Following { flight, .. } => {
                self.flights.detach(flight);
                self.again(id, now);
            }
            ReadStep::Reading { batch } => {
                self.leave_batch(batch, id, now);
                self.run(id, Some(Bypass::Timeout), now);
            }
            ReadStep::Releasing { batch } | ReadStep::Leasing { batch } => {
                self.leave_batch(batch, id, now);
                self.finish(id);
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
                // Those who waited have given up by now, too.
                let gone = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.gone.take());
                if let Some(gone) = gone {
                    self.push(lane.request, Effect::Cancel(id, gone));
                }
            }
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

    /// The largest text of a value that is stored, or taken.
    pub(super) fn max_value(&self, lane: Lane) -> usize {
        self.config(lane.cache).map_or(MAX_VALUE, |config| config.max_value)
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
}

/// A number as an argument.
pub(super) fn count(n: usize) -> String {
    alloc::format!("{n}")
}
