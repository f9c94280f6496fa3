//! Invalidations, and `set`, which is one that stores a value behind it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::admission::Entry;
use super::exchange::{DropRole, Lane, Slot, found};
use super::fill::MAX_VALUE;
use super::op::{KeyState, Kind, Op, Set, Write, WriteKey, WriteStep};
use super::read::GENERATION_LIFE;
use super::{Effect, Engine, OpId, WriteCall};
use crate::core::config::MAX_TTL;
use crate::core::event::{EventKind, InvalidationState};
use crate::core::journal::Seq;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

/// How long a refused invalidation keeps its fence: the longest that anything stored before can live, and a little.
pub(super) const REFUSED: Millis = Millis::new(MAX_TTL.get() + 600_000);

/// How long after a failed drop it is sent again.
const RETRY: Millis = Millis::new(100);

impl Engine {
    /// Begins a write. Fences are up and journaled when this returns. `None`: there are too many operations.
    pub fn begin_write(&mut self, call: WriteCall<'_>, host: f64) -> Option<OpId> {
        let now = self.now(host);
        let config = self.config(call.cache)?;
        let (default_ttl, deadline) = (config.ttl, now.after(config.write));
        let mut keys: BTreeMap<Key, WriteKey> = BTreeMap::new();
        for (place, key) in call.keys.iter().enumerate() {
            let unsent = WriteKey { state: KeyState::Open, listed: true, place };
            keys.entry(Key::new(&config.prefix, key)).or_insert(unsent);
        }
        let start = self.tick();
        let peer = self.peers.get_mut(call.connection.0 as usize)?;
        let enabled = peer.endpoint.is_some();
        if enabled {
            for (key, known) in &mut keys {
                known.listed = peer.journal.raise(key, start, now, deadline);
                peer.hot.remove(key);
                self.flights.void(call.connection, key);
            }
        }
        let set = call.set.map(|(encoded, ttl)| Set {
            encoded,
            ttl: ttl.unwrap_or(default_ttl),
            generation: None,
            resent: false,
        });
        let write = Write { keys, deadline, step: WriteStep::Dropping, outstanding: 0, set };
        let id = self.insert(Op {
            request: call.request,
            cache: call.cache,
            connection: call.connection,
            anchored: call.anchored,
            began: now,
            start,
            due: None,
            kind: Kind::Write(write),
        })?;
        if enabled {
            self.ask_write(id, false, now);
        } else {
            self.refuse_unconfigured(id, now);
        }
        Some(id)
    }

    fn refuse_unconfigured(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get(&id) else { return };
        let lane = op.lane();
        self.warn_disabled(lane.request, lane.cache, lane.connection, now);
        let keys = self.open_keys(id);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.invalidations_refused += 1;
        }
        self.report_write(lane, &keys, InvalidationState::Refused, Some("unconfigured"), false, now);
        let keys = keys.iter().map(|key| String::from(key.user())).collect();
        let state = InvalidationState::Refused;
        self.push(lane.request, Effect::NotApplied { op: id, state, disabled: true, keys });
        self.finish(id);
    }

    fn ask_write(&mut self, id: OpId, waited: bool, now: Timestamp) {
        let Some((lane, deadline)) = self.writing(id) else { return };
        match self.admit(lane, deadline, waited, now) {
            Entry::Send(attempt) => self.send_drops(id, attempt),
            Entry::Wait { verdict, until } => {
                if let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {
                    write.step = WriteStep::AwaitingAttempt { deadline };
                }
                self.set_due(id, Some(deadline.min(until)));
                if let Some(verdict) = verdict {
                    self.push(lane.request, Effect::Await(id, verdict));
                }
            }
            Entry::Down(_) | Entry::Disabled => self.conclude_write(id, Some("down"), now),
        }
    }

    fn send_drops(&mut self, id: OpId, attempt: Option<u32>) {
        let Some((lane, deadline)) = self.writing(id) else { return };
        let keys = self.open_keys(id);
        for key in &keys {
            self.enqueue_drop(lane, attempt, id, DropRole::Write, key);
        }
        let mut outstanding = keys.len();
        if self.is_set(id)
            && let Some(key) = keys.first()
        {
            self.send_set_read(lane, id, key);
            outstanding += 1;
        }
        if let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {
            write.step = WriteStep::Dropping;
            write.outstanding = outstanding;
        }
        self.set_due(id, Some(deadline));
    }

    fn send_set_read(&mut self, lane: Lane, id: OpId, key: &Key) {
        let build = self.config(lane.cache).map(|config| config.build.clone()).unwrap_or_default();
        let resent = self.set_of(id).is_some_and(|set| set.resent);
        let by_hash = self.by_hash(lane, Script::Read) && !resent;
        let nonce = self.random.nonce();
        let command = Command::script(Script::Read, by_hash, key.redis(), &[&nonce, &build, GENERATION_LIFE]);
        self.enqueue(lane, None, 0, command, Slot::SetRead { op: id });
    }

    /// A drop was answered: of an invalidation, a replay, or before a read.
    #[allow(clippy::too_many_arguments, reason = "all that its slot holds")]
    pub(super) fn drop_replied(
        &mut self,
        lane: Lane,
        sent: Seq,
        op: OpId,
        role: DropRole,
        key: Key,
        (plain, resent): (bool, bool),
        reply: &Reply,
        now: Timestamp,
    ) {
        let state = match reply {
            Reply::Integer(0..) => {
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.journal.acknowledge(&key, sent);
                    peer.stats.invalidations_applied += 1;
                }
                KeyState::Applied
            }
            // Nobody waits for this one by itself: what it did not do, it leaves to a replay.
            Reply::Error(_) if role == DropRole::Cover || !self.ops.contains_key(&op) => KeyState::Open,
            Reply::Error(CommandError::NoScript) if !resent => {
                let command = Command::script(Script::Drop, false, key.redis(), &[]);
                self.enqueue(
                    lane,
                    None,
                    0,
                    command,
                    Slot::Drop { op, role, key: key.clone(), plain, resent: true },
                );
                // The read behind the first drop made a generation that this one ends.
                if role == DropRole::Write && self.is_set(op) {
                    self.send_set_read(lane, op, &key);
                    if let Some(write) = self.ops.get_mut(&op).and_then(Op::write_mut) {
                        write.outstanding += 1;
                    }
                }
                return;
            }
            // Scripts are refused, but HDEL may not be: without its generation no entry is valid.
            Reply::Error(CommandError::Refused) if !plain => {
                let command = Command::plain(&["HDEL", key.redis(), "g"]);
                self.enqueue(lane, None, 0, command, Slot::Drop { op, role, key, plain: true, resent });
                return;
            }
            Reply::Error(CommandError::Refused) => {
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.journal.refuse(&key, now.after(REFUSED));
                }
                KeyState::Refused
            }
            _ => {
                if let Reply::Error(error) = reply {
                    self.report_command(lane, *error, now);
                }
                KeyState::Open
            }
        };
        match role {
            DropRole::Cover => {}
            DropRole::Write => self.key_settled(op, &key, state, now),
            DropRole::Replay => self.replayed(op, &key, state, now),
        }
    }

    pub(super) fn drop_failed(&mut self, op: OpId, role: DropRole, key: &Key, now: Timestamp) {
        match role {
            DropRole::Cover => {}
            DropRole::Write => self.key_settled(op, key, KeyState::Open, now),
            DropRole::Replay => self.replayed(op, key, KeyState::Open, now),
        }
    }

    fn key_settled(&mut self, id: OpId, key: &Key, state: KeyState, now: Timestamp) {
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        if let Some(known) = write.keys.get_mut(key) {
            known.state = state;
        }
        self.command_settled(id, now);
    }

    fn command_settled(&mut self, id: OpId, now: Timestamp) {
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        write.outstanding = write.outstanding.saturating_sub(1);
        if write.outstanding == 0 {
            self.conclude_write(id, None, now);
        }
    }

    pub(super) fn set_read_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let key = self.ops.get_mut(&id).and_then(Op::write_mut).and_then(|w| w.keys.keys().next().cloned());
        let Some(set) = self.ops.get_mut(&id).and_then(Op::write_mut).and_then(|write| write.set.as_mut())
        else {
            return;
        };
        if *reply == Reply::Error(CommandError::NoScript)
            && !set.resent
            && let Some(key) = key
        {
            set.resent = true;
            return self.send_set_read(lane, id, &key);
        }
        set.generation = found(reply, body).ok().and_then(|found| found.generation);
        if let Reply::Error(error) = reply {
            self.report_command(lane, *error, now);
        }
        self.command_settled(id, now);
    }

    pub(super) fn set_fill_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let Some(set) = self.ops.get_mut(&id).and_then(Op::write_mut).and_then(|write| write.set.as_mut())
        else {
            return;
        };
        match reply {
            Reply::Error(CommandError::NoScript) if !set.resent => {
                set.resent = true;
                self.send_set_fill(id, now);
            }
            reply if reply::is_ok(body, reply) => self.conclude_set(id, true, None, now),
            Reply::Error(error) => {
                self.report_command(lane, *error, now);
                self.conclude_set(id, false, Some(error.name()), now);
            }
            _ => self.conclude_set(id, false, Some("overtaken"), now),
        }
    }

    /// The exchange with the read or fill of a `set` failed.
    pub(super) fn set_failed(&mut self, id: OpId, now: Timestamp) {
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        match write.step {
            WriteStep::Filling => self.conclude_set(id, false, Some("failed"), now),
            _ => self.command_settled(id, now),
        }
    }

    fn conclude_write(&mut self, id: OpId, reason: Option<&'static str>, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        let applied: Vec<Key> = keys_in(write, |known| known.state == KeyState::Applied);
        let missing: Vec<Key> = keys_in(write, |known| known.state != KeyState::Applied);
        let storable = write.set.as_ref().is_some_and(|set| set.generation.is_some());
        let too_large = write.set.as_ref().is_some_and(|set| set.encoded.size > MAX_VALUE);
        // What is not in the journal will not be sent again.
        let pending = keys_in(write, |known| known.state == KeyState::Open && known.listed);
        let not_permitted = keys_in(write, |known| known.state == KeyState::Refused);
        let without_room = keys_in(write, |known| known.state == KeyState::Open && !known.listed);
        let mut unlisted = Vec::new();
        for known in write.keys.values_mut().filter(|known| !known.listed) {
            known.listed = true;
            unlisted.push((known.state != KeyState::Applied).then_some(now.after(REFUSED)));
        }
        if let Some(peer) = self.peer_mut(lane.connection) {
            for refused_until in unlisted {
                peer.journal.settle_unlisted(refused_until);
            }
            for key in &pending {
                peer.journal.postpone(key, now, RETRY);
            }
        }
        if missing.is_empty() {
            self.report_write(lane, &applied, InvalidationState::Applied, None, false, now);
            return match (self.is_set(id), storable) {
                (true, _) if too_large => self.conclude_set(id, false, Some("too large"), now),
                (true, true) => self.send_set_fill(id, now),
                (true, false) => self.conclude_set(id, false, Some("no generation"), now),
                (false, _) => self.conclude_set(id, false, None, now),
            };
        }
        let lost = !not_permitted.is_empty() || !without_room.is_empty();
        let state = if lost { InvalidationState::Refused } else { InvalidationState::Pending };
        if let Some(peer) = self.peer_mut(lane.connection) {
            match state {
                InvalidationState::Pending => peer.stats.invalidations_pending += 1,
                _ => peer.stats.invalidations_refused += 1,
            }
        }
        if !applied.is_empty() {
            self.report_write(lane, &applied, InvalidationState::Applied, None, false, now);
        }
        if !pending.is_empty() {
            let reason = reason.or(Some("not acknowledged"));
            self.report_write(lane, &pending, InvalidationState::Pending, reason, false, now);
            self.start_replay(lane, now);
        }
        for (keys, reason) in [(not_permitted, "not permitted"), (without_room, "no room in the journal")] {
            if !keys.is_empty() {
                self.report_write(lane, &keys, InvalidationState::Refused, Some(reason), false, now);
            }
        }
        let keys = missing.iter().map(|key| String::from(key.user())).collect();
        self.push(lane.request, Effect::NotApplied { op: id, state, disabled: false, keys });
        self.finish(id);
    }

    fn send_set_fill(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let nonce = self.random.nonce();
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        write.step = WriteStep::Filling;
        let (Some(known), Some(set)) = (write.keys.keys().next(), write.set.as_ref()) else { return };
        let (key, encoded, ttl, resent) = (known.clone(), set.encoded, set.ttl, set.resent);
        let generation = set.generation.clone().unwrap_or_default();
        let command = self.fill_command(lane, &key, &generation, encoded, ttl, Millis::ZERO, &nonce, resent);
        self.enqueue(lane, None, encoded.size, command, Slot::SetFill { op: id });
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.write));
        self.set_due(id, Some(deadline));
    }

    fn conclude_set(&mut self, id: OpId, stored: bool, reason: Option<&'static str>, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        if self.is_set(id) {
            let key =
                self.ops.get_mut(&id).and_then(Op::write_mut).and_then(|w| w.keys.keys().next().cloned());
            if let (Some(peer), Some(key)) = (self.peer_mut(lane.connection), &key) {
                match (stored, reason) {
                    (true, _) => {
                        peer.stats.fills += 1;
                        peer.barred.remove(key);
                    }
                    (false, Some("overtaken")) => peer.stats.fills_refused += 1,
                    (false, _) => peer.stats.fills_failed += 1,
                }
            }
            if let Some(key) = key {
                let event = EventKind::Fill { key: self.name(lane.cache, &key), stored, reason };
                self.report(lane.request, lane.cache, now, event);
            }
        }
        self.push(lane.request, Effect::Applied { op: id, stored });
        self.finish(id);
    }

    pub(super) fn report_write(
        &mut self,
        lane: Lane,
        keys: &[Key],
        state: InvalidationState,
        reason: Option<&'static str>,
        replay: bool,
        now: Timestamp,
    ) {
        let keys = keys.iter().map(|key| self.name(lane.cache, key)).collect();
        self.report(lane.request, lane.cache, now, EventKind::Invalidation { keys, state, reason, replay });
    }

    pub(super) fn resume_write(&mut self, id: OpId, now: Timestamp) {
        let step = self.ops.get_mut(&id).and_then(Op::write_mut).map(|write| write.step);
        let Some(step) = step else { return };
        match step {
            WriteStep::AwaitingAttempt { deadline } if now < deadline && !self.was_in_vain(id, now) => {
                self.ask_write(id, true, now)
            }
            WriteStep::AwaitingAttempt { .. } => self.conclude_write(id, Some("timeout"), now),
            WriteStep::Dropping | WriteStep::Filling => {}
        }
    }

    pub(super) fn expire_write(&mut self, id: OpId, now: Timestamp) {
        let due = self.ops.get(&id).and_then(|op| op.due);
        let now = now.max(due.unwrap_or(now));
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        match write.step {
            WriteStep::AwaitingAttempt { .. } => return self.resume_write(id, now),
            WriteStep::Dropping => self.conclude_write(id, Some("timeout"), now),
            WriteStep::Filling => self.conclude_set(id, false, Some("timeout"), now),
        }
        self.leave_batches(id, now);
    }

    fn writing(&self, id: OpId) -> Option<(Lane, Timestamp)> {
        let op = self.ops.get(&id)?;
        if let Kind::Write(write) = &op.kind { Some((op.lane(), write.deadline)) } else { None }
    }

    fn open_keys(&self, id: OpId) -> Vec<Key> {
        match self.ops.get(&id).map(|op| &op.kind) {
            Some(Kind::Write(write)) => keys_in(write, |known| known.state == KeyState::Open),
            _ => Vec::new(),
        }
    }

    fn set_of(&self, id: OpId) -> Option<&Set> {
        match &self.ops.get(&id)?.kind {
            Kind::Write(write) => write.set.as_ref(),
            _ => None,
        }
    }

    fn is_set(&self, id: OpId) -> bool {
        self.set_of(id).is_some()
    }
}

/// The keys in such a state, in the order in which they were given.
fn keys_in(write: &Write, pick: impl Fn(&WriteKey) -> bool) -> Vec<Key> {
    let mut keys: Vec<(usize, &Key)> =
        write.keys.iter().filter(|(_, known)| pick(known)).map(|(key, known)| (known.place, key)).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, key)| key.clone()).collect()
}
