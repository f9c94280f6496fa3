//! How long a caller waits for callbacks, where it has set bounds: for its own, and for those of others whose values it would take.
//! Time in which Redis is asked does not count, be it by the caller or by whom it follows: a slow Redis makes no callback late.
//!
//! * soft: a stale value is served in the callback's place, if there is one; the callback goes on behind the answer;
//! * hard: the caller gets the stale value or an error; the callback is told to stop unless others wait for it.
//!
//! Who has joined a flight at once has not looked in Redis and has no stale value. It looks by itself when its soft bound has
//! passed, or in time before its hard one, and joins again if there is nothing for it.

use super::op::{Op, Read, ReadStep};
use super::{Effect, Engine, Freshness, Gone, MAX_JOINS, OpId};
use crate::core::event::{Bound, Bypass, EventKind};
use crate::core::journal::Cover;
use crate::core::time::{Millis, Timestamp};

/// While the one that it follows asks Redis, a caller with bounds looks so often whether the callback has begun.
const LOOK_AGAIN: Millis = Millis::new(20);

/// A read's bounds, and how far it is with them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    soft: Option<Millis>,
    hard: Option<Millis>,
    /// Since when a callback runs that it waits for.
    since: Option<Timestamp>,
    /// When there is something to be decided.
    next: Option<Timestamp>,
    /// It has looked in Redis.
    looked: bool,
}

impl Bounds {
    pub(super) fn new(soft: Option<Millis>, hard: Option<Millis>) -> Self {
        Self { soft, hard, ..Self::default() }
    }

    /// It need not look any more: it has, or is about to.
    pub(super) const fn looked(&mut self) {
        self.looked = true;
    }
}

impl Read {
    /// When something is to be decided about how long its caller waits.
    pub(super) fn bound(&self) -> Option<Timestamp> {
        let computed = matches!(
            self.step,
            ReadStep::Decoding { .. }
                | ReadStep::Encoding { .. }
                | ReadStep::Releasing { .. }
                | ReadStep::Filling { .. }
        );
        if self.served || computed { None } else { self.bounds.next }
    }

    fn next_bound(&self, now: Timestamp) -> Option<Timestamp> {
        let Bounds { soft, hard, since, .. } = self.bounds;
        let Some(from) = since else {
            // Nobody says when the callback begins: it looks.
            return soft.or(hard).map(|_| now.after(LOOK_AGAIN));
        };
        let stale = self.stale.as_ref().and_then(|kept| kept.served(now));
        let soft = soft.filter(|_| stale.is_some()).map(|soft| from.after(soft));
        [soft, hard.map(|hard| from.after(hard)), self.look_at(from)].into_iter().flatten().min()
    }

    /// When a follower looks for a stale value by itself, if it is to.
    fn look_at(&self, from: Timestamp) -> Option<Timestamp> {
        let may_take = self.freshness == Freshness::Normal && self.life.stale_if_error > Millis::ZERO;
        let follows = matches!(self.step, ReadStep::Following { .. });
        if !follows || !may_take || self.bounds.looked || self.joins >= MAX_JOINS {
            return None;
        }
        let before = |hard: Millis| Millis::new(hard.get().saturating_sub(self.patience.get()));
        let wait = self.bounds.soft.into_iter().chain(self.bounds.hard.map(before)).min()?;
        Some(from.after(wait))
    }
}

impl Engine {
    /// From now on the caller waits for a callback that runs, or (`running` is false) that will run if Redis has nothing.
    pub(super) fn await_callback(&mut self, id: OpId, running: bool, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        if running {
            read.bounds.since.get_or_insert(now);
        }
        read.bounds.next = read.next_bound(now);
    }

    /// A moment for which `Read::bound` asked has come.
    pub(super) fn bound_passed(&mut self, id: OpId, now: Timestamp) {
        let Some((_, read)) = self.reading(id) else { return };
        let Some(next) = read.bound() else { return };
        let now = now.max(next);
        let follows = self.ops.get(&id).and_then(Op::follows).and_then(|flight| self.flights.get(flight));
        let running_since = follows.and_then(|flight| flight.running_since);
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        // It had joined before that callback began.
        read.bounds.since = read.bounds.since.or(running_since);
        let Some(since) = read.bounds.since else { return self.await_callback(id, false, now) };
        let passed = |bound: Option<Millis>| bound.filter(|bound| since.after(*bound) <= now);
        let (soft, hard) = (passed(read.bounds.soft), passed(read.bounds.hard));
        let look = read.look_at(since).is_some_and(|at| at <= now);
        if let Some(hard) = hard {
            return self.time_out(id, hard, now);
        }
        if soft.is_some() && self.serve_kept(id, Bound::Soft, now) {
            if self.ops.get(&id).and_then(Op::follows).is_some() {
                return self.finish(id);
            }
            return self.go_on_behind(id);
        }
        if look {
            return self.look(id, now);
        }
        self.await_callback(id, true, now);
    }

    /// Serves the stale value that is kept, in place of one that is late; `false`: there is none that may be.
    fn serve_kept(&mut self, id: OpId, bound: Bound, now: Timestamp) -> bool {
        let Some((_, read)) = self.reading(id) else { return false };
        let Some(kept) = read.stale.clone() else { return false };
        let Some(served) = kept.served(now) else { return false };
        // It has been kept for a while: nothing is served that a fence covers by now, whenever that was raised.
        if self.covered_by_now(id, &kept.tags, now).is_some() {
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.stale = None;
            }
            self.await_callback(id, true, now);
            return false;
        }
        self.note_timeout(id, bound, true, now);
        self.serve_as(id, served, now, Effect::ServeStash);
        true
    }

    /// The caller waits no longer.
    fn time_out(&mut self, id: OpId, hard: Millis, now: Timestamp) {
        if !self.serve_kept(id, Bound::Hard, now) {
            self.note_timeout(id, Bound::Hard, false, now);
            let Some(op) = self.ops.get_mut(&id) else { return };
            let (request, connection) = (op.request, op.connection);
            let Some(read) = op.read_mut() else { return };
            read.served = true;
            let key = read.key.clone();
            // What it stores now follows from something older, if from anything.
            if let Some(peer) = self.peer_mut(connection) {
                peer.seen.spoil(request, &key);
            }
            self.push(request, Effect::TimeOut(id, hard));
        }
        self.depart(id, Gone::Late(hard));
        self.go_on_behind(id);
    }

    /// What the callback gives after the answer is stored all the same.
    fn go_on_behind(&mut self, id: OpId) {
        if let Some((lane, _)) = self.reading(id)
            && lane.anchored
        {
            self.push(lane.request, Effect::Background(id));
        }
    }

    /// Leaves the flight that it follows, and looks for a stale value.
    fn look(&mut self, id: OpId, now: Timestamp) {
        self.restart(id);
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.bounds.looked();
        }
        self.await_callback(id, true, now);
        if self.cover_of(id, &[], now) == Some(Cover::Refused) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        self.ask_read(id, self.read_deadline(id, now), false, now);
    }

    fn note_timeout(&mut self, id: OpId, bound: Bound, stale: bool, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = self.name(lane.cache, &read.key);
        self.report(lane.request, lane.cache, now, EventKind::Timeout { key, bound, stale });
    }
}
