//! Leading a flight and following one.

use alloc::vec::Vec;

use super::op::{Op, ReadStep, Refresh};
use super::{Effect, Engine, Freshness, MAX_JOINS, OpId, Origin, Served, Source};
use crate::core::event::{Bypass, Outcome};
use crate::core::flight::{Flight, FlightId, Stage, Take};
use crate::core::journal::Seq;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// Makes an operation the leader of a new flight, if there is room for one.
    pub(super) fn lead(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let at = (lane.connection, read.key.clone(), lane.cache);
        let (forced, named) = (read.freshness == Freshness::Forced, read.named.clone());
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.flight));
        let promises = (self.shared(), self.shared());
        let began = self.ops.get(&id).map_or(Seq(0), |op| op.start);
        let Some(flight) = self.flights.start(&at, began, (forced, &named), deadline, promises, now) else {
            return;
        };
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.flight = Some(flight);
        }
        self.push(lane.request, Effect::Anchor(promises.0));
        self.push(lane.request, Effect::Anchor(promises.1));
    }

    /// Lets an operation wait for a flight, until the flight's deadline.
    pub(super) fn follow(&mut self, id: OpId, flight_id: FlightId, now: Timestamp) {
        let joined = self.tick();
        let Some((lane, _)) = self.reading(id) else { return };
        let Some(flight) = self.flights.get_mut(flight_id) else { return };
        flight.followers += 1;
        let (value, deadline, running) = (flight.value, flight.deadline, flight.running_since.is_some());
        if let Some(op) = self.ops.get_mut(&id) {
            op.due = Some(deadline.max(now));
            if let Some(read) = op.read_mut() {
                read.joins = read.joins.saturating_add(1);
                read.step = ReadStep::Following { flight: flight_id, joined };
            }
        }
        self.await_callback(id, running, now);
        self.push(lane.request, Effect::Await(id, value));
    }

    /// The flight has come further: what there is for this follower.
    pub(super) fn consider(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let ReadStep::Following { flight: flight_id, joined } = read.step else { return };
        let Some(flight) = self.flights.get(flight_id) else { return self.again(id, now) };
        match flight.take(Self::joiner(read, joined)) {
            Take::Wait(promise) => self.push(lane.request, Effect::Await(id, promise)),
            Take::Value if self.may_be_old(id, flight, now) => self.again(id, now),
            Take::Value | Take::Fresh => self.take_shared(id, flight_id, now),
            Take::Again => self.again(id, now),
            Take::PassThrough => {
                self.flights.leave(flight_id);
                self.set_step(id, ReadStep::Starting);
                self.run(id, Some(Bypass::PassThrough), now);
            }
        }
    }

    /// Whether what a flight has read, or computed from before this follower began, may be older than an invalidation that began
    /// before it did, by tags that nobody knew of when it joined: a fence covers it, or has done so until lately.
    fn may_be_old(&self, id: OpId, flight: &Flight, now: Timestamp) -> bool {
        if self.cover_of(id, &flight.value_tags, now).is_some() {
            return true;
        }
        let late = || flight.value_tags.iter().filter(|tag| !flight.named.contains(tag));
        let Some(op) = self.ops.get(&id) else { return true };
        let (Some(read), Some(peer)) = (op.read(), self.peer(op.connection)) else { return true };
        // Who depends on what was known could not have joined: the invalidation has voided the flight.
        late().next().is_some()
            && peer.journal.fallen().covered(late().chain(&read.spaces), op.start, flight.began)
    }

    fn take_shared(&mut self, id: OpId, flight_id: FlightId, now: Timestamp) {
        let Some((lane, _)) = self.reading(id) else { return };
        let Some(flight) = self.flights.get(flight_id) else { return };
        let (outcome, reason) = flight.outcome;
        let stored = match (outcome, flight.stage) {
            (Outcome::Hit | Outcome::Stale, _) | (_, Stage::Stored) => Some(true),
            (_, Stage::NotStored) => Some(false),
            _ => None,
        };
        let served = Served { outcome, reason, shared: true, age: flight.age, stored };
        let (value, key, basis) = (flight.value, flight.at.1.clone(), flight.basis.clone());
        if let Some(peer) = self.peers.get_mut(lane.connection.0 as usize) {
            // What it stores may follow from what it takes.
            if basis.is_empty() {
                peer.seen.spoil(lane.request, &key);
            } else {
                peer.seen.note(lane.request, &basis);
            }
        }
        let (tags, refresh, staleness) = (Vec::new(), Refresh::No, None);
        self.set_step(id, ReadStep::Decoding { served, tags, refresh, staleness });
        self.set_due(id, Some(self.read_deadline(id, now)));
        self.flights.leave(flight_id);
        let stored = matches!(outcome, Outcome::Hit | Outcome::Stale);
        let origin = if stored { Origin::Redis } else { Origin::Callback };
        self.push(lane.request, Effect::Decode(id, Source::Shared(value, origin)));
    }

    /// Nothing in the flight was for it: it reads again.
    pub(super) fn again(&mut self, id: OpId, now: Timestamp) {
        self.restart(id);
        self.start_read(id, now);
    }

    /// Leaves the flight that it follows, as if it began now.
    pub(super) fn restart(&mut self, id: OpId) {
        if let Some(flight) = self.ops.get(&id).and_then(Op::follows) {
            self.flights.leave(flight);
        }
        // It may lead others from here on, who have begun later: fences raised meanwhile bind it, too.
        let start = self.tick();
        if let Some(op) = self.ops.get_mut(&id) {
            op.start = start;
        }
        self.set_step(id, ReadStep::Starting);
        self.set_due(id, None);
    }

    /// Reads again, and joins nobody any more.
    pub(super) fn read_alone(&mut self, id: OpId, now: Timestamp) {
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.joins = MAX_JOINS;
        }
        self.again(id, now);
    }
}
