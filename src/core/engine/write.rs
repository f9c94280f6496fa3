//! Invalidations and expiries; `set` and `mutate` begin and end with one.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::admission::Entry;
use super::budget::Purpose;
use super::drop::{Drop, DropRole, Mark};
use super::lane::Lane;
use super::op::{KeyState, Kind, Mutate, MutatePhase, Op, Set, SetHow, Write, WriteStep, WriteTarget};
use super::{Effect, Engine, Life, Named, OpId, Targets, WriteCall, WriteKind};
use crate::core::basis::Basis;
use crate::core::config::MAX_TTL;
use crate::core::event::{EventKind, InvalidationState};
use crate::core::journal::Depth;
use crate::core::key::{Key, KeyKind};
use crate::core::seen::Look;
use crate::core::time::{Millis, Timestamp};

/// How long a refused invalidation keeps its fence: the longest that anything stored before can live, and a little.
pub(super) const REFUSED: Millis = Millis::new(2 * MAX_TTL.get() + 600_000);

/// More than what a drop's command is long, without its key and without a script's text.
const DROP_BYTES: usize = 256;

/// How long after a failed drop it is sent again.
const RETRY: Millis = Millis::new(100);

impl Engine {
    /// Begins a write. Fences are up and journaled when this returns. `None`: there are too many operations.
    pub fn begin_write(&mut self, call: WriteCall<'_>, host: f64) -> Option<OpId> {
        let now = self.now(host);
        let config = self.config(call.cache)?;
        let deadline = now.after(config.write);
        let targets = targets(&config.prefix, call.space, call.targets);
        let jitter = config.jitter;
        let default = Life { ttl: config.ttl, swr: config.swr, stale_if_error: config.stale_if_error };
        let prefix = config.prefix.clone();
        let start = self.tick();
        let token = self.random.nonce();
        let peer = self.peers.get_mut(call.connection.0 as usize)?;
        let enabled = peer.endpoint.is_some();
        let depth = if matches!(call.kind, WriteKind::Expire) { Depth::Soft } else { Depth::Hard };
        let (mut set, mut mutate) = (None, None);
        match call.kind {
            WriteKind::Invalidate | WriteKind::Expire => {}
            WriteKind::Set { encoded, tags, ttl, swr, stale_if_error, jitter: given } => {
                // Each once: the read script counts those on the entry that a reader names.
                let named = tags.iter().map(|tag| Key::tag(&prefix, call.space, tag));
                let mut tags: Vec<Key> = Vec::with_capacity(tags.len());
                for tag in named {
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
                let key = targets.keys().next();
                let (how, basis) = match key.map(|key| peer.seen.look(call.request, key)) {
                    Some(Look::Exact(basis)) => match basis.narrow(&tags) {
                        Some(basis) => (SetHow::Exact, basis),
                        None => (SetHow::Not, Basis::default()),
                    },
                    Some(Look::Spoiled) => (SetHow::Not, Basis::default()),
                    Some(Look::Unread) | None => (SetHow::Renewing, Basis::default()),
                };
                let life = Life {
                    ttl: self.random.jittered(ttl.unwrap_or(default.ttl), given.unwrap_or(jitter)),
                    swr: swr.unwrap_or(default.swr),
                    stale_if_error: stale_if_error.unwrap_or(default.stale_if_error),
                };
                set = Some(Set { encoded, plain: None, life, tags, basis, how, resent: false });
            }
            WriteKind::Mutate { deadline } => {
                let phase = MutatePhase::Marking;
                mutate = Some(Mutate { token, life: deadline, phase, marked: true, failed: false });
            }
        }
        for key in targets.keys().filter(|_| set.is_none() && depth == Depth::Hard) {
            peer.seen.ends(call.request, key);
        }
        if enabled {
            for key in targets.keys() {
                match &mutate {
                    Some(mutate) => peer.journal.hold(key, start, now, now.after(mutate.life)),
                    None => peer.journal.raise(key, depth, start, now, deadline),
                }
                peer.hot.remove(key);
                self.flights.void(call.connection, key);
            }
        }
        let step = WriteStep::Dropping;
        let lane = Lane::new(call.request, call.cache, call.connection, call.anchored);
        let id = self.insert(Op::new(
            lane,
            now,
            start,
            Kind::Write(Write { targets, depth, deadline, step, outstanding: 0, set, mutate }),
        ))?;
        if enabled && self.compresses_set(id) {
            let lane = self.ops.get(&id).map(Op::lane)?;
            self.set_write_step(id, WriteStep::Compressing);
            self.set_due(id, Some(self.compression_deadline(lane, now)));
            self.push(lane.request, Effect::Compress(id));
        } else if enabled {
            self.ask_write(id, false, now);
        } else {
            self.refuse_unconfigured(id, now);
        }
        Some(id)
    }

    fn refuse_unconfigured(&mut self, id: OpId, now: Timestamp) {
        let Some(lane) = self.ops.get(&id).map(Op::lane) else { return };
        self.warn_disabled(lane.request, lane.cache, lane.connection, now);
        if self.mutating(id).is_some_and(|mutate| mutate.phase == MutatePhase::Marking) {
            return self.run_mutate(id, false);
        }
        let keys = self.targets_in(id, |_| true);
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.invalidations_refused += 1;
        }
        self.report_write(lane, &keys, InvalidationState::Refused, Some("unconfigured"), false, now);
        self.answer_write(id, InvalidationState::Refused, true, &keys);
    }

    pub(super) fn ask_write(&mut self, id: OpId, waited: bool, now: Timestamp) {
        let Some((lane, write)) = self.writing(id) else { return };
        let deadline = write.deadline;
        let disabled = self.peer(lane.connection).is_none_or(|peer| peer.endpoint.is_none());
        if !disabled && !self.affords_or_tells(lane, Purpose::Invalidation, 0, now) {
            return self.conclude_write(id, Some("budget"), now);
        }
        match self.admit(lane, waited, now) {
            Entry::Send(attempt) => match self.set_of(id).map(|set| set.how) {
                Some(SetHow::Exact) => self.send_set_fill(id, attempt, now),
                Some(SetHow::Renewing) => self.send_renewal(id, attempt),
                Some(SetHow::Not) | None => self.send_drops(id, attempt, now),
            },
            Entry::Wait { verdict, until } => {
                self.set_write_step(id, WriteStep::AwaitingAttempt { deadline });
                self.set_due(id, Some(deadline.min(until)));
                if let Some(verdict) = verdict {
                    self.push(lane.request, Effect::Await(id, verdict));
                }
            }
            Entry::Down(_) => self.conclude_write(id, Some("down"), now),
            Entry::Disabled => self.refuse_unconfigured(id, now),
        }
    }

    pub(super) fn send_drops(&mut self, id: OpId, attempt: Option<u32>, now: Timestamp) {
        let Some((lane, write)) = self.writing(id) else { return };
        let (depth, deadline) = (write.depth, write.deadline);
        let began = self.ops.get(&id).map(|op| op.began).unwrap_or_default();
        let mark = self.mutating(id).map(|mutate| match mutate.phase {
            MutatePhase::Marking => {
                let life = Millis::new(mutate.life.get().saturating_sub(now.since(began).get()));
                Mark::Add { token: mutate.token.clone(), life }
            }
            MutatePhase::Ending => Mark::Remove { token: mutate.token.clone() },
        });
        let keys = self.targets_in(id, |state| state == KeyState::Open);
        let mut outstanding = 0;
        for key in &keys {
            // More than one request's worth of them may be more than there is left. What is not sent is pending.
            if !self.affords_or_tells(lane, Purpose::Invalidation, key.len() + DROP_BYTES, now) {
                break;
            }
            self.enqueue_drop(lane, attempt, id, DropRole::Write, key, depth, mark.clone());
            outstanding += 1;
        }
        if let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {
            write.step = WriteStep::Dropping;
            write.outstanding = outstanding;
        }
        self.set_due(id, Some(deadline));
        if outstanding == 0 {
            self.conclude_write(id, Some("budget"), now);
        }
    }

    pub(super) fn target_settled(&mut self, drop: &Drop, state: KeyState, marked: bool, now: Timestamp) {
        let Some(write) = self.ops.get_mut(&drop.op).and_then(Op::write_mut) else { return };
        if !write.awaits(drop.mark.as_ref()) {
            return;
        }
        if let Some(mutate) = &mut write.mutate {
            mutate.marked &= marked || mutate.phase == MutatePhase::Ending;
        }
        if let Some(target) = write.targets.get_mut(&drop.key) {
            target.state = state;
        }
        self.command_settled(drop.op, now);
    }

    pub(super) fn command_settled(&mut self, id: OpId, now: Timestamp) {
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        write.outstanding = write.outstanding.saturating_sub(1);
        if write.outstanding == 0 {
            self.conclude_write(id, None, now);
        }
    }

    /// All replies are there, or will not come.
    pub(super) fn conclude_write(&mut self, id: OpId, reason: Option<&'static str>, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let missing = self.targets_in(id, |state| state != KeyState::Applied);
        if let Some(mutate) = self.mutating(id)
            && mutate.phase == MutatePhase::Marking
        {
            let marked = mutate.marked && missing.is_empty();
            return self.run_mutate(id, marked);
        }
        let applied = self.targets_in(id, |state| state == KeyState::Applied);
        let pending = self.targets_in(id, |state| state == KeyState::Open);
        let refused = self.targets_in(id, |state| state == KeyState::Refused);
        if !applied.is_empty() {
            self.report_write(lane, &applied, InvalidationState::Applied, None, false, now);
        }
        if missing.is_empty() {
            if self.set_of(id).is_some() {
                return self.fill_set(id, now);
            }
            return self.answer_write(id, InvalidationState::Applied, false, &[]);
        }
        let state = if refused.is_empty() { InvalidationState::Pending } else { InvalidationState::Refused };
        // A request that has nothing left to spend does not send it again: whoever comes next may at once.
        let retry = if self.affords(lane, Purpose::Any, 0) { RETRY } else { Millis::ZERO };
        if let Some(peer) = self.peer_mut(lane.connection) {
            match state {
                InvalidationState::Pending => peer.stats.invalidations_pending += 1,
                _ => peer.stats.invalidations_refused += 1,
            }
            for key in &pending {
                peer.journal.postpone(key, now, retry);
            }
        }
        if !pending.is_empty() {
            let reason = reason.or(Some("not acknowledged"));
            self.report_write(lane, &pending, InvalidationState::Pending, reason, false, now);
            self.start_replay(lane, now);
        }
        if !refused.is_empty() {
            let reason = Some("not permitted");
            self.report_write(lane, &refused, InvalidationState::Refused, reason, false, now);
        }
        self.answer_write(id, state, false, &missing);
    }

    /// Answers the caller of a write that stores nothing.
    fn answer_write(&mut self, id: OpId, state: InvalidationState, disabled: bool, missing: &[Key]) {
        let Some((lane, write)) = self.writing(id) else { return };
        let what = named(missing, &write.targets);
        let effect = match self.mutating(id) {
            Some(mutate) if mutate.failed => Effect::Throw(id),
            Some(mutate) => Effect::Mutated { op: id, state, disabled, marked: mutate.marked, what },
            None if state == InvalidationState::Applied => Effect::Applied { op: id, stored: false },
            None => Effect::NotApplied { op: id, state, disabled, what },
        };
        self.push(lane.request, effect);
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
        let name = |kind: KeyKind| -> Vec<String> {
            keys.iter().filter(|key| key.kind() == kind).map(|key| self.name(lane.cache, key)).collect()
        };
        let (entries, tags) = (name(KeyKind::Entry), name(KeyKind::Tag));
        let namespace = keys.iter().find(|key| key.kind() == KeyKind::Namespace);
        // The one without a name has nothing to hide.
        let namespace = namespace
            .map(|key| if key.user().is_empty() { String::new() } else { self.name(lane.cache, key) });
        let kind = EventKind::Invalidation { keys: entries, tags, namespace, state, reason, replay };
        self.report(lane.request, lane.cache, now, kind);
    }

    pub(super) fn resume_write(&mut self, id: OpId, now: Timestamp) {
        let Some((_, write)) = self.writing(id) else { return };
        match write.step {
            WriteStep::AwaitingAttempt { deadline } if now < deadline && !self.was_in_vain(id, now) => {
                self.ask_write(id, true, now)
            }
            WriteStep::AwaitingAttempt { .. } => self.conclude_write(id, Some("timeout"), now),
            WriteStep::Compressing | WriteStep::Dropping | WriteStep::Running | WriteStep::Filling => {}
        }
    }

    pub(super) fn expire_write(&mut self, id: OpId, now: Timestamp) {
        let due = self.ops.get(&id).and_then(|op| op.due);
        let now = now.max(due.unwrap_or(now));
        let Some((_, write)) = self.writing(id) else { return };
        match write.step {
            WriteStep::AwaitingAttempt { .. } => return self.resume_write(id, now),
            WriteStep::Running => return self.set_due(id, None),
            WriteStep::Compressing => return self.store_plain(id, now),
            WriteStep::Dropping => self.conclude_write(id, Some("timeout"), now),
            WriteStep::Filling => self.set_failed(id, now),
        }
        self.leave_batches(id, now);
    }

    pub(super) fn writing(&self, id: OpId) -> Option<(Lane, &Write)> {
        let op = self.ops.get(&id)?;
        Some((op.lane(), op.write()?))
    }

    pub(super) fn set_write_step(&mut self, id: OpId, step: WriteStep) {
        if let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {
            write.step = step;
        }
    }

    /// The targets in such a state, in the order in which they were given.
    pub(super) fn targets_in(&self, id: OpId, pick: impl Fn(KeyState) -> bool) -> Vec<Key> {
        let Some((_, write)) = self.writing(id) else { return Vec::new() };
        let picked = write.targets.iter().filter(|(_, target)| pick(target.state));
        let mut keys: Vec<(usize, &Key)> = picked.map(|(key, target)| (target.place, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }
}

/// What a call is about, each once.
pub(super) fn targets(prefix: &str, space: &str, given: Targets<'_>) -> BTreeMap<Key, WriteTarget> {
    let keys = given.keys.iter().map(|key| Key::entry(prefix, space, key));
    let tags = given.tags.iter().map(|tag| Key::tag(prefix, space, tag));
    let all = given.all.then(|| Key::namespace(prefix, space));
    let mut targets = BTreeMap::new();
    for (place, key) in keys.chain(tags).chain(all).enumerate() {
        targets.entry(key).or_insert(WriteTarget { state: KeyState::Open, place });
    }
    targets
}

/// Some of a call's targets, as the driver finds them there.
fn named(keys: &[Key], targets: &BTreeMap<Key, WriteTarget>) -> Named {
    let of = |kind: KeyKind| keys.iter().filter(move |key| key.kind() == kind);
    Named {
        keys: of(KeyKind::Entry).filter_map(|key| Some(targets.get(key)?.place)).collect(),
        tags: of(KeyKind::Tag).map(Key::display).collect(),
        all: of(KeyKind::Namespace).next().is_some(),
    }
}
