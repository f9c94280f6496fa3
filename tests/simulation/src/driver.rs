//! The driver: performs what the core decides for a request, as the drivers of the package do.

use crate::isolate::Promise;
use crate::plan::MS;
use crate::queue::Event;
use crate::values::encoded;
use crate::visit::Kind;
use crate::world::World;
use leeward::core::{Effect, InvalidationState, OpId, Origin, Rejection, SharedId, Source};

impl World {
    /// Performs what the core decides for a request.
    pub(crate) fn drive(&mut self, number: usize) {
        let Some(request) = self.requests.get(number) else { return };
        let (index, id) = (request.isolate, request.id);
        let mut flushes = Vec::new();
        while let Some(effect) = self.isolates.get_mut(index).and_then(|isolate| isolate.engine.poll(id)) {
            match effect {
                Effect::Flush(batch) => flushes.push(batch),
                effect => self.perform(number, index, effect),
            }
        }
        for batch in flushes {
            self.send(number, index, batch);
        }
        self.arm(number, index);
        if let Some(isolate) = self.isolates.get(index)
            && isolate.engine.stats(isolate.link).is_some_and(|stats| stats.journal == 0)
            && !isolate.refused
        {
            self.oracle.all_applied(index, self.moment);
        }
    }

    pub(crate) fn arm(&mut self, number: usize, index: usize) {
        let (Some(isolate), Some(request)) = (self.isolates.get_mut(index), self.requests.get_mut(number))
        else {
            return;
        };
        let host = isolate.host(self.queue.now());
        let wait = isolate.engine.wait(request.id, host);
        #[allow(clippy::cast_precision_loss, reason = "short")]
        let target = wait.map(|wait| host + wait.get() as f64);
        if target == request.timer.1 {
            return;
        }
        request.timer = (request.timer.0 + 1, target);
        if let Some(wait) = wait {
            self.queue.after(wait.get() * MS, Event::Timer(number, request.timer.0));
        }
    }

    pub(crate) fn timer(&mut self, number: usize, timer: u64) {
        let Some(request) = self.requests.get_mut(number) else { return };
        if !request.alive || request.timer.0 != timer {
            return;
        }
        request.timer.1 = None;
        let (index, id) = (request.isolate, request.id);
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            isolate.engine.timer(id, host);
        }
        self.drive(number);
    }

    pub(crate) fn wake(&mut self, number: usize, op: OpId, promise: SharedId, settled: bool) {
        let Some(request) = self.requests.get_mut(number) else { return };
        let index = request.isolate;
        if !request.alive || request.op_mut(op).is_none_or(|op| op.waits != Some(promise)) {
            return;
        }
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            if settled {
                isolate.engine.woken(op, host);
            } else {
                isolate.engine.lost(op, host);
            }
        }
        self.drive(number);
    }

    pub(crate) fn perform(&mut self, number: usize, index: usize, effect: Effect) {
        let now = self.queue.now();
        match effect {
            Effect::Flush(_) => {}
            Effect::Persist(_, name, record) => {
                if let Some(isolate) = self.isolates.get_mut(index) {
                    isolate.keep(name, record);
                }
            }
            Effect::Abort(batch) => {
                for message in &mut self.messages {
                    if message.request == number && message.batch == batch {
                        message.aborted = true;
                    }
                }
            }
            Effect::Anchor(id) => {
                if let Some(isolate) = self.isolates.get_mut(index) {
                    let promise = Promise {
                        owner: number,
                        settled: false,
                        abandoned: false,
                        value: None,
                        waiters: Vec::new(),
                    };
                    isolate.promises.insert(id, promise);
                }
            }
            Effect::Settle(id) => {
                if let Some(promise) = self.isolates.get_mut(index).and_then(|i| i.promises.get_mut(&id)) {
                    promise.settled = true;
                    for (waiter, op) in promise.waiters.drain(..) {
                        let wait = self.rng.below(300);
                        self.queue.after(wait, Event::Wake(waiter, op, id));
                    }
                }
            }
            Effect::Abandon(id) => {
                if let Some(promise) = self.isolates.get_mut(index).and_then(|i| i.promises.get_mut(&id)) {
                    promise.abandoned = true;
                    promise.waiters.clear();
                }
            }
            Effect::Share(op, id) => {
                let value = self.value_of(number, op);
                if let Some(promise) = self.isolates.get_mut(index).and_then(|i| i.promises.get_mut(&id)) {
                    promise.value = value;
                }
            }
            Effect::Await(op, id) => {
                if let Some(op) = self.requests.get_mut(number).and_then(|request| request.op_mut(op)) {
                    op.waits = Some(id);
                } else {
                    // The core's own: a replay that waits for an attempt.
                    self.add_op(number, op, Kind::Own);
                    if let Some(op) = self.requests.get_mut(number).and_then(|request| request.op_mut(op)) {
                        op.waits = Some(id);
                    }
                }
                let tells = self.plan.tells_of_lost;
                match self.isolates.get_mut(index).and_then(|isolate| isolate.promises.get_mut(&id)) {
                    Some(promise) if promise.settled => self.queue.after(0, Event::Wake(number, op, id)),
                    Some(promise) if promise.abandoned => {
                        if tells {
                            self.queue.after(1, Event::Lost(number, op, id));
                        }
                    }
                    Some(promise) => promise.waiters.push((number, op)),
                    None => self.queue.after(0, Event::Lost(number, op, id)),
                }
            }
            Effect::Run(op, stale) => self.start_callback(number, op, stale.is_some()),
            Effect::Cancel(_, gone) => self.cancelled(gone),
            // No cache of the simulation compresses.
            Effect::Compress(_) | Effect::UseCompressed(_) => {}
            Effect::Decode(op, source) | Effect::Stash(op, source) if self.is_rejected(&source) => {
                self.verdict.coverage.count("stored value rejected");
                if let Some(isolate) = self.isolates.get_mut(index) {
                    let host = isolate.host(now);
                    isolate.engine.rejected(op, None, Rejection::Schema, host);
                }
            }
            Effect::Decode(op, source) => {
                let value = self.decode(index, &source);
                if let Some(Kind::Read { value: slot, .. }) = self.kind_mut(number, op) {
                    *slot = value.or(*slot);
                }
                self.decoded(index, op, value.is_some());
            }
            Effect::Stash(op, source) => {
                let value = self.decode(index, &source);
                if let Some(Kind::Read { stash, .. }) = self.kind_mut(number, op) {
                    *stash = value;
                }
                self.decoded(index, op, value.is_some());
            }
            Effect::Encode(op) => {
                let chance = self.plan.chance.unstorable;
                let unstorable = self.rng.percent(chance) && !self.healed;
                if let Some(isolate) = self.isolates.get_mut(index) {
                    let host = isolate.host(now);
                    if unstorable {
                        self.verdict.coverage.count("unstorable");
                        isolate.engine.unencodable(op, "$.at", "a Date", host);
                    } else {
                        isolate.engine.encoded(op, encoded(), host);
                    }
                }
            }
            Effect::Keep(op, offer) => {
                let value = self.value_of(number, op);
                let at = match self.kind_mut(number, op) {
                    Some(Kind::Read { reader, .. }) => (reader.space, reader.key),
                    _ => return,
                };
                let Some(isolate) = self.isolates.get_mut(index) else { return };
                let kept = isolate.engine.keep(*offer, 100);
                // What is not to be held any more may be another key's; the core says so when it is asked for.
                if let (Some(held), Some(value)) = (kept.ticket, value) {
                    self.verdict.coverage.count("held");
                    isolate.held.insert(at, (held, value));
                }
            }
            Effect::Serve(op, served) => {
                let value = self.value_of(number, op);
                self.serve(number, op, served, value, false);
            }
            Effect::ServeStash(op, served) => {
                let value = match self.kind_mut(number, op) {
                    Some(Kind::Read { stash, .. }) => *stash,
                    _ => None,
                };
                self.serve(number, op, served, value, true);
            }
            Effect::Tagged(op) => {
                if let Some(Kind::Read { awaiting, .. }) = self.kind_mut(number, op)
                    && core::mem::replace(awaiting, false)
                {
                    let wait = self.callback_wait();
                    self.queue.after(wait, Event::ReadSource(number, op));
                }
            }
            Effect::Throw(op) => {
                if let Some(Kind::Read { group: Some(group), .. }) = self.kind_mut(number, op) {
                    let group = *group;
                    self.member_answered(group, op);
                }
                self.settle(number, op, "throws");
            }
            Effect::TimeOut(op, hard) => self.timed_out(number, op, hard),
            Effect::Replied { op, place, .. } => {
                let reply = self.body.get(place).map(String::from);
                self.replied(number, op, reply);
            }
            Effect::RawFailed { op, error } => self.raw_failed(number, op, &error),
            Effect::Applied { op, stored } => self.applied(number, op, stored),
            Effect::NotApplied { op, state, .. } => self.not_applied(number, index, op, state),
            Effect::Mutated { op, state, marked, .. } => {
                self.verdict.coverage.count(if marked { "mutate marked" } else { "mutate not marked" });
                if state == InvalidationState::Applied {
                    self.applied(number, op, false);
                } else {
                    self.not_applied(number, index, op, state);
                }
            }
            Effect::Background(op) => {
                if self.kind_mut(number, op).is_none() {
                    self.add_op(number, op, Kind::Own);
                }
            }
            Effect::Finished(op) => {
                if let Some(request) = self.requests.get_mut(number) {
                    request
                        .ops
                        .retain(|known| known.id != op || !known.settled && !matches!(known.kind, Kind::Own));
                    if request.op_mut(op).is_some() {
                        self.violation(format!("r{number} {op:?} is over, and was not answered"));
                    }
                }
            }
            Effect::Report(_, event) => self.told(index, event),
        }
    }

    /// Whether the reader's schema will not have what is stored.
    fn is_rejected(&mut self, source: &Source) -> bool {
        let stored = !matches!(source, Source::Shared(_, Origin::Callback));
        stored && self.tastes.percent(self.picky)
    }

    pub(crate) fn kind_mut(&mut self, number: usize, op: OpId) -> Option<&mut Kind> {
        Some(&mut self.requests.get_mut(number)?.op_mut(op)?.kind)
    }

    pub(crate) fn value_of(&mut self, number: usize, op: OpId) -> Option<usize> {
        match self.kind_mut(number, op)? {
            Kind::Read { value, .. } => *value,
            Kind::Set { value, .. } => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn decode(&mut self, index: usize, source: &Source) -> Option<usize> {
        match source {
            Source::Reply { place, .. } => self.body.get(place.clone())?.trim_matches('"').parse().ok(),
            Source::Shared(id, _) => self.isolates.get(index)?.promises.get(id)?.value,
        }
    }

    pub(crate) fn decoded(&mut self, index: usize, op: OpId, ok: bool) {
        let now = self.queue.now();
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(now);
            isolate.engine.decoded(op, ok, host);
        }
    }
}
