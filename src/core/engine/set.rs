//! `set`: never a blind write. It stores by a fill, under the generation that its request read before the call, or else under one
//! that its own drop and read have just made. In the same step the fill ends all that was stored before, so that a late or
//! repeated execution stores nothing over what is newer.

use alloc::vec::Vec;

use super::batch::Slot;
use super::budget::Purpose;
use super::found::{Found, State};
use super::op::{KeyState, Op, Set, SetHow, WriteStep};
use super::read::{KEEP, LEASE_LIFE, count};
use super::{Effect, Engine, OpId};
use crate::core::basis::Basis;
use crate::core::event::{Compression, EventKind};
use crate::core::journal::{Depth, Seq};
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// Ends what is stored and makes the generation to store under, in one step: between two, an invalidation could pass.
    pub(super) fn send_renewal(&mut self, id: OpId, attempt: Option<u32>) {
        let Some((lane, write)) = self.writing(id) else { return };
        let deadline = write.deadline;
        let (Some(key), Some(set)) = (self.set_key(id), self.set_of(id)) else { return };
        let resent = set.resent;
        let spaces = key.namespaces();
        let (namespaces, begin) = (count(spaces.len()), key.tags_begin());
        let tags = set.tags.clone();
        let build = self.build(lane);
        let how = self.how(lane, Script::Read, resent);
        let nonce = self.random.nonce();
        let args = [&nonce, &build, KEEP, &namespaces, "0", &begin, "", LEASE_LIFE, "renew"];
        let keys: Vec<&Key> = core::iter::once(&key).chain(&spaces).chain(&tags).collect();
        let command = Command::script(Script::Read, how, keys.iter().map(|key| key.redis()), &args);
        self.enqueue(lane, attempt, 0, command, Slot::Renewal { op: id });
        if let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {
            write.step = WriteStep::Dropping;
            write.outstanding = 1;
        }
        self.set_due(id, Some(deadline));
    }

    pub(super) fn renewed(&mut self, id: OpId, sent: Seq, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, write)) = self.writing(id) else { return };
        if write.step != WriteStep::Dropping {
            return;
        }
        let Some(key) = self.set_key(id) else { return };
        let Some(set) = self.set_mut(id) else { return };
        if matches!(reply, Reply::Error(CommandError::NoScript | CommandError::ScriptFlag)) && !set.resent {
            set.resent = true;
            if self.affords(lane, Purpose::Invalidation, 0) {
                return self.send_renewal(id, None);
            }
            return self.command_settled(id, now);
        }
        let spaces = key.namespaces();
        let depends = core::iter::once(key.clone()).chain(spaces).chain(set.tags.iter().cloned());
        let depends: Vec<Key> = depends.collect();
        let Ok(found) = Found::read(reply, body, depends.len()) else {
            if let Reply::Error(error) = reply {
                self.report_command(lane, *error, now);
            }
            // Nothing will be stored; what was stored must end all the same.
            return self.send_drops(id, None, now);
        };
        if found.state == State::Miss {
            set.basis = Basis::new(depends.into_iter().zip(found.stamps).collect());
        }
        let at = self.tick();
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.journal.acknowledge(&key, Depth::Hard, sent, at);
            peer.stats.invalidations_applied += 1;
        }
        if let Some(target) =
            self.ops.get_mut(&id).and_then(Op::write_mut).and_then(|write| write.targets.get_mut(&key))
        {
            target.state = KeyState::Applied;
        }
        self.command_settled(id, now);
    }

    /// What was stored is gone: stores the new value, if that can be.
    pub(super) fn fill_set(&mut self, id: OpId, now: Timestamp) {
        let Some(set) = self.set_of(id) else { return };
        if self.is_set_too_large(id) {
            self.conclude_set(id, false, Some("too large"), now);
        } else if set.basis.is_empty() {
            let reason = if set.how == SetHow::Not { "read before" } else { "no generation" };
            self.conclude_set(id, false, Some(reason), now);
        } else if !self.may_fill_set(id, now) {
            self.conclude_set(id, false, Some("budget"), now);
        } else {
            self.send_set_fill(id, None, now);
        }
    }

    fn may_fill_set(&mut self, id: OpId, now: Timestamp) -> bool {
        let Some((lane, _)) = self.writing(id) else { return false };
        let size = self.set_of(id).map_or(0, |set| set.encoded.size);
        self.affords_or_tells(lane, Purpose::Invalidation, size, now)
    }

    pub(super) fn send_set_fill(&mut self, id: OpId, attempt: Option<u32>, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let nonce = self.random.nonce();
        let too_large = self.is_set_too_large(id);
        let Some(set) = self.set_of(id) else { return };
        if too_large {
            // Nothing to store: an invalidation is what remains of it.
            if let Some(set) = self.set_mut(id) {
                set.how = SetHow::Not;
                set.basis = Basis::default();
            }
            return self.ask_write(id, true, now);
        }
        let (basis, encoded, life, resent) = (set.basis.clone(), set.encoded, set.life, set.resent);
        let command = self.fill_command(lane, &basis, encoded, life, Millis::ZERO, &nonce, resent);
        self.enqueue(lane, attempt, encoded.size, command, Slot::SetFill { op: id });
        self.set_write_step(id, WriteStep::Filling);
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.write));
        self.set_due(id, Some(deadline));
    }

    pub(super) fn set_fill_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, write)) = self.writing(id) else { return };
        if write.step != WriteStep::Filling {
            return;
        }
        let Some(set) = self.set_mut(id) else { return };
        if matches!(reply, Reply::Error(CommandError::NoScript | CommandError::ScriptFlag)) && !set.resent {
            set.resent = true;
            let size = set.encoded.size;
            if self.affords(lane, Purpose::Invalidation, size) {
                return self.send_set_fill(id, None, now);
            }
            return self.set_failed(id, now);
        }
        let refused =
            ["overtaken", "marked"].into_iter().find(|word| reply::says(body, reply, word).is_some());
        if let Some(reason) = refused {
            // What was stored before is gone all the same.
            self.settle_exact(id, None, now);
            self.conclude_set(id, false, Some(reason), now);
        } else if let Some(generation) = reply::generation(body, reply) {
            self.settle_exact(id, Some(&generation), now);
            self.conclude_set(id, true, None, now);
        } else {
            if let Reply::Error(error) = reply {
                self.report_command(lane, *error, now);
            }
            self.set_failed(id, now);
        }
    }

    /// An exact fill has ended what was stored before: this call's own invalidation is carried out, and no other.
    /// `generation` is what it stored under: another `set` of the request follows from this one.
    fn settle_exact(&mut self, id: OpId, generation: Option<&str>, now: Timestamp) {
        let (Some(op), Some(key)) = (self.ops.get(&id), self.set_key(id)) else { return };
        let (lane, start) = (op.lane(), op.start);
        if !self.set_of(id).is_some_and(|set| set.how == SetHow::Exact) {
            return;
        }
        let basis = self.set_of(id).zip(generation).map(|(set, generation)| set.basis.renewed(generation));
        let at = self.tick();
        if let Some(peer) = self.peer_mut(lane.connection) {
            match basis {
                Some(basis) => peer.seen.note(lane.request, &basis),
                None => peer.seen.spoil(lane.request, &key),
            }
            peer.journal.acknowledge_own(&key, start, at);
            peer.stats.invalidations_applied += 1;
        }
        let state = crate::core::event::InvalidationState::Applied;
        self.report_write(lane, core::slice::from_ref(&key), state, None, false, now);
    }

    /// The exchange with the read or the fill failed.
    pub(super) fn set_failed(&mut self, id: OpId, now: Timestamp) {
        let Some((_, write)) = self.writing(id) else { return };
        let exact = write.set.as_ref().is_some_and(|set| set.how == SetHow::Exact);
        match write.step {
            // Nobody knows whether what was stored before is gone.
            WriteStep::Filling if exact => {
                let lane = self.ops.get(&id).map(Op::lane);
                if let (Some(lane), Some(key)) = (lane, self.set_key(id))
                    && let Some(peer) = self.peer_mut(lane.connection)
                {
                    peer.seen.spoil(lane.request, &key);
                }
                self.conclude_write(id, None, now);
            }
            WriteStep::Filling => self.conclude_set(id, false, Some("not acknowledged"), now),
            _ => self.command_settled(id, now),
        }
    }

    fn conclude_set(&mut self, id: OpId, stored: bool, reason: Option<&'static str>, now: Timestamp) {
        let Some((lane, _)) = self.writing(id) else { return };
        let Some(key) = self.set_key(id) else { return };
        let compression = self
            .set_of(id)
            .and_then(|set| Some(Compression { from: set.plain?, to: set.encoded.size }))
            .filter(|_| !matches!(reason, Some("read before" | "no generation" | "budget")));
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.stats.compressed(compression.filter(|_| stored));
            match (stored, reason) {
                (true, _) => {
                    peer.stats.fills += 1;
                    peer.barred.remove(&key);
                }
                (false, Some("overtaken" | "marked")) => peer.stats.fills_refused += 1,
                (false, _) => peer.stats.fills_failed += 1,
            }
        }
        let event = EventKind::Fill { key: self.name(lane.cache, &key), stored, reason, compression };
        self.report(lane.request, lane.cache, now, event);
        self.push(lane.request, Effect::Applied { op: id, stored });
        self.finish(id);
    }

    /// Whether its value is to be compressed before anything else: the fences are up already.
    pub(super) fn compresses_set(&self, id: OpId) -> bool {
        let Some((lane, _)) = self.writing(id) else { return false };
        let Some(set) = self.set_of(id) else { return false };
        set.how != SetHow::Not && !self.is_set_too_large(id) && self.compresses(lane, set.encoded)
    }

    fn is_set_too_large(&self, id: OpId) -> bool {
        let Some((lane, _)) = self.writing(id) else { return false };
        self.set_of(id).is_some_and(|set| set.plain.unwrap_or(set.encoded.size) > self.max_value(lane))
    }

    pub(super) fn set_of(&self, id: OpId) -> Option<&Set> {
        self.writing(id)?.1.set.as_ref()
    }

    fn set_mut(&mut self, id: OpId) -> Option<&mut Set> {
        self.ops.get_mut(&id).and_then(Op::write_mut)?.set.as_mut()
    }

    /// The one key that a `set` is about.
    fn set_key(&self, id: OpId) -> Option<Key> {
        self.writing(id)?.1.targets.keys().next().cloned()
    }
}
