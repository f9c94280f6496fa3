//! Waiting for another isolate that computes the value: opt-in (`leaseWait`), with polls by the read script, and bounded.

use super::batch::Slot;
use super::budget::Purpose;
use super::op::{Op, ReadStep};
use super::read::{KEEP, LEASE_LIFE};
use super::{Effect, Engine, OpId};
use crate::core::event::{EventKind, LeaseOutcome};
use crate::core::redis::command::Command;
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

/// The wait before the first poll, doubled with each up to a bound.
const FIRST_POLL: u64 = 50;
const MAX_POLL: u64 = 400;

impl Engine {
    /// Another one has the lease for `left` more: waits, or gives up and runs the callback.
    pub(super) fn await_lease(&mut self, id: OpId, left: Millis, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let (since, polls) = read.lease.since.unwrap_or((now, 0));
        read.lease.since = Some((since, polls.saturating_add(1)));
        let until = since.after(read.lease.wait);
        if until <= now {
            self.end_lease_wait(id, LeaseOutcome::TimedOut, now);
            return self.run(id, None, now);
        }
        read.step = ReadStep::AwaitingLease;
        // Not long after it runs out, either: then it may be taken over.
        let poll = Millis::new((FIRST_POLL << polls.min(8)).min(MAX_POLL)).min(left);
        self.set_due(id, Some(now.after(poll.max(Millis::new(1))).min(until)));
        self.await_callback(id, true, now);
    }

    pub(super) fn poll_lease(&mut self, id: OpId, now: Timestamp) {
        self.ask_read(id, self.read_deadline(id, now), true, now);
    }

    /// No value will come of an operation. Those who wait for it in other isolates are freed together: one after the other each
    /// would wait for another callback like this one. Where nobody is told to wait it would be a command for nothing.
    pub(super) fn end_without_value(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let ready = self.peer(lane.connection).is_some_and(|peer| peer.connection.is_ready());
        if !read.lease.taken
            || read.lease.wait == Millis::ZERO
            || !ready
            || !self.affords(lane, Purpose::Any, 0)
        {
            return self.finish(id);
        }
        let (key, token) = (read.key.clone(), read.lease.token.clone());
        let build = self.build(lane);
        let how = self.how(lane, Script::Read, false);
        let args = ["", &build, KEEP, "0", "0", "", &token, LEASE_LIFE, "release"];
        let command = Command::script(Script::Read, how, [key.redis()], &args);
        let batch = self.enqueue(lane, None, 0, command, Slot::Release { op: id });
        self.set_step(id, ReadStep::Releasing { batch });
        self.set_due(
            id,
            Some(now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.write))),
        );
        if lane.anchored {
            self.push(lane.request, Effect::Background(id));
        }
    }

    /// The lease is given back, or will run out.
    pub(super) fn released(&mut self, id: OpId) {
        if self.reading(id).is_some_and(|(_, read)| matches!(read.step, ReadStep::Releasing { .. })) {
            self.finish(id);
        }
    }

    /// Tells how the wait has ended, if there was one.
    pub(super) fn end_lease_wait(&mut self, id: OpId, outcome: LeaseOutcome, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let Some((since, _)) = read.lease.since.take() else { return };
        let Some((lane, read)) = self.reading(id) else { return };
        let key = self.name(lane.cache, &read.key);
        let waited = now.since(since).get();
        self.report(lane.request, lane.cache, now, EventKind::Lease { key, waited, outcome });
    }
}
