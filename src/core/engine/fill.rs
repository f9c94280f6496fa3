//! Fills: the callback's value, encoded and stored behind the answer.

use alloc::format;
use alloc::string::String;

use super::batch::Slot;
use super::budget::Purpose;
use super::lane::Lane;
use super::op::{Kind, Op, ReadStep, Write, WriteStep};
use super::read::count;
use super::{Effect, Encoded, Engine, Life, OpId, Served};
use crate::core::basis::Basis;
use crate::core::entry::Header;
use crate::core::error::ErrorKind;
use crate::core::event::{Compression, EventKind};
use crate::core::flight::Stage;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// The callback's value is encoded.
    pub fn encoded(&mut self, id: OpId, encoded: Encoded, host: f64) -> bool {
        let now = self.now(host);
        let Some((lane, read)) = self.reading(id) else { return false };
        let ReadStep::Encoding { life, cost } = read.step else { return true };
        let (tags, basis) = (read.tags(), read.basis.clone());
        let limit = self.max_value(lane);
        if encoded.size > limit {
            return self.unencodable(id, "$", &format!("it is over {limit} bytes when encoded"), host);
        }
        if let Some(flight) = read.flight
            && let Some(flight) = self.flights.get_mut(flight)
        {
            flight.stage = Stage::Computed;
            flight.value_tags = tags;
            flight.basis = basis;
            let value = flight.value;
            self.push(lane.request, Effect::Share(id, value));
            self.push(lane.request, Effect::Settle(value));
        }
        let storable =
            life.ttl > Millis::ZERO && self.reading(id).is_some_and(|(_, read)| !read.basis.is_empty());
        let ready = self.peer(lane.connection).is_some_and(|peer| peer.connection.is_ready());
        let affords = !storable || self.affords_or_tells(lane, Purpose::Any, encoded.size, now);
        if storable && ready && affords {
            if lane.anchored {
                self.push(lane.request, Effect::Background(id));
            }
            self.serve_computed(id, None, now);
            if self.compresses(lane, encoded) {
                // Behind the answer, and no longer than half of what a write may take: then it is stored as it is.
                self.set_step(id, ReadStep::Compressing { encoded, life, cost });
                self.set_due(id, Some(self.compression_deadline(lane, now)));
                self.push(lane.request, Effect::Compress(id));
            } else {
                self.send_fill(id, encoded, life, cost, now);
            }
        } else {
            let reason = if ready { "budget" } else { "down" };
            self.leave_unstored(id, storable.then_some(reason), now);
        }
        true
    }

    /// The value is the caller's alone; `reason`: why it is not stored though it could be.
    fn leave_unstored(&mut self, id: OpId, reason: Option<&'static str>, now: Timestamp) {
        self.serve_computed(id, Some(false), now);
        if reason.is_some() {
            self.note_fill(id, false, reason, now);
        }
        self.end_own_flight(id, Stage::NotStored);
        self.end_without_value(id, now);
    }

    /// The callback's value cannot be encoded: where in it, and why.
    pub fn unencodable(&mut self, id: OpId, path: &str, reason: &str, host: f64) -> bool {
        let now = self.now(host);
        let Some((lane, read)) = self.reading(id) else { return false };
        if !matches!(read.step, ReadStep::Encoding { .. }) {
            return true;
        }
        let key = read.key.clone();
        let event = EventKind::Unstorable {
            key: self.name(lane.cache, &key),
            path: String::from(path),
            reason: String::from(reason),
        };
        self.report(lane.request, lane.cache, now, event);
        self.unstorable(id, now);
        true
    }

    /// Whether a value is to be compressed before it is stored.
    pub(super) fn compresses(&self, lane: Lane, encoded: Encoded) -> bool {
        let threshold = self.config(lane.cache).and_then(|config| config.compress);
        threshold.is_some_and(|threshold| encoded.size >= threshold) && encoded.kind.compressed().is_some()
    }

    pub(super) fn compression_deadline(&self, lane: Lane, now: Timestamp) -> Timestamp {
        now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| Millis::new(config.write.get() / 2)))
    }

    /// The text is compressed, to so many bytes; `None`: it cannot be. It is stored so if that is less.
    pub fn compressed(&mut self, id: OpId, size: Option<usize>, host: f64) -> bool {
        let now = self.now(host);
        let Some(op) = self.ops.get(&id) else { return false };
        let lane = op.lane();
        let plain = match &op.kind {
            Kind::Read(read) => match read.step {
                ReadStep::Compressing { encoded, .. } => encoded,
                _ => return true,
            },
            Kind::Write(write) => match (&write.step, &write.set) {
                (WriteStep::Compressing, Some(set)) => set.encoded,
                _ => return true,
            },
            Kind::Replay(_) | Kind::Raw(_) => return true,
        };
        let smaller = size.filter(|size| *size < plain.size).zip(plain.kind.compressed());
        let Some((size, kind)) = smaller else {
            self.store_plain(id, now);
            return true;
        };
        self.push(lane.request, Effect::UseCompressed(id));
        let encoded = Encoded { kind, size };
        match self.ops.get_mut(&id).map(|op| &mut op.kind) {
            Some(Kind::Read(read)) => {
                read.plain = Some(plain.size);
                if let ReadStep::Compressing { life, cost, .. } = read.step {
                    self.store_computed(id, encoded, life, cost, now);
                }
            }
            Some(Kind::Write(Write { set: Some(set), .. })) => {
                (set.encoded, set.plain) = (encoded, Some(plain.size));
                self.ask_write(id, false, now);
            }
            _ => {}
        }
        true
    }

    /// What could not be compressed, or not in time, is stored as it is.
    pub(super) fn store_plain(&mut self, id: OpId, now: Timestamp) {
        match self.ops.get(&id).map(|op| &op.kind) {
            Some(Kind::Read(read)) => {
                if let ReadStep::Compressing { encoded, life, cost } = read.step {
                    self.store_computed(id, encoded, life, cost, now);
                }
            }
            Some(Kind::Write(_)) => self.ask_write(id, false, now),
            _ => {}
        }
    }

    /// Stores what has been compressed, if Redis is still there, and its request may still ask it.
    fn store_computed(&mut self, id: OpId, encoded: Encoded, life: Life, cost: Millis, now: Timestamp) {
        let Some((lane, _)) = self.reading(id) else { return };
        if !self.peer(lane.connection).is_some_and(|peer| peer.connection.is_ready()) {
            self.leave_unstored(id, Some("down"), now);
        } else if !self.affords_or_tells(lane, Purpose::Any, encoded.size, now) {
            self.leave_unstored(id, Some("budget"), now);
        } else {
            self.send_fill(id, encoded, life, cost, now);
        }
    }

    pub(super) fn send_fill(&mut self, id: OpId, encoded: Encoded, life: Life, cost: Millis, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let resent = read.resent;
        // What the callback declared has been looked at: it is all in there.
        let Some(basis) = read.basis.narrow(&read.tags()) else {
            return self.conclude_fill(id, Stage::NotStored, Some("late tags"), now);
        };
        let command = self.fill_command(lane, &basis, encoded, life, cost, "", resent);
        let batch = self.enqueue(lane, None, encoded.size, command, Slot::Fill { op: id });
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.write));
        self.set_step(id, ReadStep::Filling { batch, encoded, life, cost });
        self.set_due(id, Some(deadline));
    }

    /// The fill script's command; with a nonce it is that of a `set`.
    #[allow(clippy::too_many_arguments, reason = "they are the script's")]
    pub(super) fn fill_command(
        &mut self,
        lane: Lane,
        basis: &Basis,
        encoded: Encoded,
        life: Life,
        cost: Millis,
        nonce: &str,
        resent: bool,
    ) -> Command {
        let how = self.how(lane, Script::Fill, resent);
        let build = self.build(lane);
        let span = |span: Millis| alloc::format!("{}", span.get());
        let (ttl, swr, stale_if_error) = (span(life.ttl), span(life.swr), span(life.stale_if_error));
        let kind_and_cost = Header::kind_and_cost(encoded.kind, cost);
        let (stamps, namespaces) = (basis.text(), count(basis.namespaces()));
        let begin = basis.entry().map(Key::tags_begin).unwrap_or_default();
        let before =
            [build.as_str(), &stamps, &namespaces, &begin, &ttl, &swr, &stale_if_error, &kind_and_cost];
        Command::script_with_value(Script::Fill, how, basis.keys().map(Key::redis), &before, &[nonce])
    }

    pub(super) fn fill_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let ReadStep::Filling { encoded, life, cost, .. } = read.step else { return };
        let (key, tags, resent) = (read.key.clone(), read.tags(), read.resent);
        match reply {
            reply if reply::is_ok(body, reply) => {
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.hot.insert(&key, now);
                }
                self.offer(id, &tags, life.ttl, Millis::ZERO, now);
                self.conclude_fill(id, Stage::Stored, None, now);
            }
            Reply::Error(CommandError::NoScript | CommandError::ScriptFlag)
                if !resent && self.affords(lane, Purpose::Any, encoded.size) =>
            {
                if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                    read.resent = true;
                }
                self.send_fill(id, encoded, life, cost, now);
            }
            Reply::Error(error) => {
                self.report_command(lane, *error, now);
                self.conclude_fill(id, Stage::NotStored, Some(error.name()), now);
            }
            reply if reply::says(body, reply, "overtaken").is_some() => {
                self.conclude_fill(id, Stage::NotStored, Some("overtaken"), now);
            }
            reply if reply::says(body, reply, "marked").is_some() => {
                self.conclude_fill(id, Stage::NotStored, Some("marked"), now);
            }
            _ => self.conclude_fill(id, Stage::NotStored, Some("malformed reply"), now),
        }
    }

    pub(super) fn fill_failed(&mut self, id: OpId, kind: ErrorKind, now: Timestamp) {
        let Some((_, read)) = self.reading(id) else { return };
        if matches!(read.step, ReadStep::Filling { .. }) {
            self.conclude_fill(id, Stage::NotStored, Some(kind.name()), now);
        }
    }

    fn conclude_fill(&mut self, id: OpId, stage: Stage, reason: Option<&'static str>, now: Timestamp) {
        self.note_fill(id, stage == Stage::Stored, reason, now);
        self.end_own_flight(id, stage);
        let held = self.ops.get_mut(&id).and_then(Op::read_mut).and_then(|read| read.held.take());
        if let Some(served) = held {
            self.serve(id, Served { stored: Some(stage == Stage::Stored), ..served }, now);
        }
        self.finish(id);
    }

    pub(super) fn note_fill(&mut self, id: OpId, stored: bool, reason: Option<&'static str>, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        let compression = match (&read.step, read.plain) {
            (ReadStep::Filling { encoded, .. }, Some(from)) => Some(Compression { from, to: encoded.size }),
            _ => None,
        };
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.compressed(compression.filter(|_| stored));
            match (stored, reason) {
                (true, _) => peer.stats.fills += 1,
                (false, Some("overtaken" | "marked")) => peer.stats.fills_refused += 1,
                (false, _) => peer.stats.fills_failed += 1,
            }
        }
        let event = EventKind::Fill { key: self.name(lane.cache, &key), stored, reason, compression };
        self.report(lane.request, lane.cache, now, event);
    }

    /// The value is the caller's alone; the key is passed through for a while.
    pub(super) fn unstorable(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.barred.insert(&key, now);
            peer.stats.unstorable += 1;
        }
        self.serve_computed(id, Some(false), now);
        self.end_own_flight(id, Stage::Unstorable);
        self.end_without_value(id, now);
    }
}
