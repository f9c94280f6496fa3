//! Pending invalidations, sent again behind an answer until Redis acknowledges them.
//!
//! One replay at a time for each connection. It belongs to the request that started it and dies with it; it is believed in
//! only until its next step must have come. Whoever comes next when something is due starts another, and a read of a pending
//! key sends the drop by itself, so that nothing depends on a replay but how soon other isolates see the invalidation.

use alloc::vec::Vec;

use super::admission::Entry;
use super::budget::Purpose;
use super::drop::DropRole;
use super::lane::Lane;
use super::op::{KeyState, Kind, Op, Replay};
use super::{Effect, Engine, OpId};
use crate::core::event::InvalidationState;
use crate::core::journal::Depth;
use crate::core::key::Key;
use crate::core::retries::REFILL;
use crate::core::time::{Millis, Timestamp};

/// So many drops at a time.
const MAX_DROPS: usize = 128;
/// A replay gives up after so many rounds or so long: runtimes end background work after about 30 s.
const MAX_ROUNDS: u8 = 12;
const MAX_LIFE: Millis = Millis::seconds(25);
/// A round that has less time left, and less than `timeout.write`, is not begun.
const LEAST: Millis = Millis::seconds(1);
/// The first wait after a failed drop, doubled with each round.
const FIRST_WAIT: u64 = 100;
const MAX_WAIT: u64 = 5_000;
/// How much later than announced a replay may take its next step and still be believed in.
const GRACE: Millis = Millis::seconds(2);

impl Engine {
    /// Starts a replay if a drop is due and none is under way.
    pub(super) fn replay_if_due(&mut self, lane: Lane, now: Timestamp) {
        let due = self.peer(lane.connection).and_then(|peer| peer.journal.next_due());
        if due.is_some_and(|due| due <= now) {
            self.start_replay(lane, now);
        }
    }

    /// Starts a replay if something is pending and none is under way.
    pub(super) fn start_replay(&mut self, lane: Lane, now: Timestamp) {
        let Some(peer) = self.peer(lane.connection) else { return };
        let Some(due) = peer.journal.next_due() else { return };
        // What is left of a request's budget is for its own.
        if !self.affords(lane, Purpose::Any, 0) {
            return;
        }
        if peer.replay.is_some_and(|(_, believed)| now < believed) {
            return;
        }
        let start = self.tick();
        let op = Op::new(lane, now, start, Kind::Replay(Replay { rounds: 0, sent: Vec::new() }));
        let Some(id) = self.insert(op) else { return };
        self.push(lane.request, Effect::Background(id));
        self.schedule(id, due.max(now));
    }

    fn schedule(&mut self, id: OpId, due: Timestamp) {
        let Some(op) = self.ops.get(&id) else { return };
        let (connection, cache) = (op.connection, op.cache);
        if due > op.began.after(MAX_LIFE) {
            return self.end_replay(id);
        }
        let write = self.config(cache).map_or(Millis::ZERO, |config| config.write);
        if let Some(peer) = self.peer_mut(connection) {
            peer.replay = Some((id, due.after(write).after(GRACE)));
        }
        self.set_due(id, Some(due));
    }

    pub(super) fn resume_replay(&mut self, id: OpId, now: Timestamp) {
        let idle =
            self.ops.get_mut(&id).and_then(Op::replay_mut).is_some_and(|replay| replay.sent.is_empty());
        if idle {
            self.next_round(id, now);
        }
    }

    pub(super) fn expire_replay(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let now = now.max(op.due.unwrap_or(now));
        let Some(replay) = op.replay_mut() else { return };
        let sent = replay.sent.clone();
        if !sent.is_empty() {
            self.leave_batches(id, now);
            for key in sent {
                self.replayed(id, &key, KeyState::Open, now);
            }
            return;
        }
        self.next_round(id, now);
    }

    fn next_round(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let (lane, end) = (op.lane(), op.began.after(MAX_LIFE));
        let write = self.config(lane.cache).map_or(Millis::ZERO, |config| config.write);
        // What is sent must have an end: nobody else waits for it.
        let deadline = now.after(write).min(end);
        let Some(replay) = self.ops.get_mut(&id).and_then(Op::replay_mut) else { return };
        let worn = replay.rounds >= MAX_ROUNDS || now.after(write.min(LEAST)) > end;
        let worn = worn || !self.affords(lane, Purpose::Invalidation, 0);
        let Some(peer) = self.peer_mut(lane.connection) else { return };
        let keys = if worn { Vec::new() } else { peer.journal.take_due(now, MAX_DROPS) };
        let Some(next) = peer.journal.next_due().filter(|_| !worn) else { return self.end_replay(id) };
        if keys.is_empty() {
            return self.schedule(id, next);
        }
        match self.admit(lane, true, now) {
            // What is an attempt is bounded by the backoff.
            Entry::Send(None)
                if self.peer(lane.connection).is_some_and(|peer| peer.journal.is_repetition(&keys))
                    && !self.may_repeat(lane, now) =>
            {
                self.put_off(id, &keys, now);
            }
            Entry::Send(attempt) => {
                if let Some(replay) = self.ops.get_mut(&id).and_then(Op::replay_mut) {
                    replay.sent.clone_from(&keys);
                    replay.rounds = replay.rounds.saturating_add(1);
                }
                for key in &keys {
                    let depth =
                        self.peer(lane.connection).map_or(Depth::Hard, |peer| peer.journal.depth(key));
                    self.enqueue_drop(lane, attempt, id, DropRole::Replay, key, depth, None);
                }
                self.schedule(id, deadline);
            }
            Entry::Wait { verdict, until } => {
                self.schedule(id, until);
                if let Some(verdict) = verdict {
                    self.push(lane.request, Effect::Await(id, verdict));
                }
            }
            Entry::Down(until) => self.schedule(id, until),
            Entry::Disabled => self.end_replay(id),
        }
    }

    /// The retry budget is used up: not now. Reads that are covered send the drops all the same, ahead of them.
    fn put_off(&mut self, id: OpId, keys: &[Key], now: Timestamp) {
        let Some(lane) = self.ops.get(&id).map(Op::lane) else { return };
        if let Some(peer) = self.peer_mut(lane.connection) {
            for key in keys {
                peer.journal.postpone(key, now, REFILL);
            }
        }
        self.schedule(id, now.after(REFILL));
    }

    /// A drop of a replay has ended so.
    pub(super) fn replayed(&mut self, id: OpId, key: &Key, state: KeyState, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let lane = op.lane();
        let Some(replay) = op.replay_mut() else { return };
        replay.sent.retain(|sent| sent != key);
        let (rounds, over) = (replay.rounds, replay.sent.is_empty());
        let report = match state {
            KeyState::Applied => Some((InvalidationState::Applied, None)),
            KeyState::Refused => Some((InvalidationState::Refused, Some("not permitted"))),
            KeyState::Open => {
                let bound = (FIRST_WAIT << rounds.min(10)).min(MAX_WAIT);
                let wait = Millis::new(FIRST_WAIT + self.random.up_to(bound));
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.journal.postpone(key, now, wait);
                }
                None
            }
        };
        if let Some((state, reason)) = report {
            self.report_write(lane, core::slice::from_ref(key), state, reason, true, now);
        }
        if over {
            let next = self.peer(lane.connection).and_then(|peer| peer.journal.next_due());
            match next {
                Some(next) => self.schedule(id, next.max(now)),
                None => self.end_replay(id),
            }
        }
    }

    fn end_replay(&mut self, id: OpId) {
        let Some(op) = self.ops.get(&id) else { return };
        let connection = op.connection;
        if let Some(peer) = self.peer_mut(connection)
            && peer.replay.is_some_and(|(replay, _)| replay == id)
        {
            peer.replay = None;
        }
        self.finish(id);
    }
}
