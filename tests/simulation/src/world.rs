//! The world of one schedule: isolates, requests, the wire, Redis, and the one who watches.

use leeward::core::{
    BodyPart, CallbackEnd, Effect, ErrorKind, Event as Told, EventKind, Freshness, InvalidationState,
    LeaseOutcome, Millis, OpId, Outcome, ReadCall, RequestId, Served, Source, StateName, Targets, WriteCall,
    WriteKind,
};
use leeward_redis_model::{Model, Permissions};

use crate::coverage::Coverage;
use crate::isolate::{Clock, EPOCH, Isolate, Promise};
use crate::mutants::LuaMutant;
use crate::oracle::{Aim, Oracle, Reader, Rule, Standing};
use crate::plan::{MS, Micros, Plan};
use crate::queue::{Event, Queue};
use crate::rng::Rng;
use crate::trace::Trace;
use crate::values::{Moment, Value, Values, encoded};
use crate::visit::{self, Kind, Message, Op, Request, Step};

/// After so many events a schedule does not end.
const MAX_EVENTS: u64 = 100_000;

/// What a schedule showed.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What was wrong, in the order in which it was seen.
    pub violations: Vec<String>,
    /// A request was never answered.
    pub hung: bool,
    /// What happened.
    pub coverage: Coverage,
    /// What happened, line by line, if that was asked for.
    pub trace: Vec<String>,
}

/// The world.
pub struct World {
    rng: Rng,
    plan: Plan,
    queue: Queue,
    moment: Moment,
    redis: Model,
    redis_clock: Clock,
    down: bool,
    healed: bool,
    isolates: Vec<Isolate>,
    requests: Vec<Request>,
    messages: Vec<Message>,
    values: Values,
    oracle: Oracle,
    verdict: Verdict,
    trace: Trace,
    /// The reply that is being handled.
    body: String,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("plan", &self.plan)
            .field("moment", &self.moment)
            .finish_non_exhaustive()
    }
}

/// Runs the schedule of a seed to its end.
#[must_use]
pub fn run(seed: u64, mutant: Option<&LuaMutant>, traced: bool) -> Verdict {
    let mut rng = Rng::new(seed);
    let plan = Plan::of(&mut rng);
    let mut redis = Model::new(EPOCH * 1000);
    if let Some(mutant) = mutant
        && let Err(error) = redis.replace_script(mutant.original, &mutant.text)
    {
        return Verdict {
            violations: vec![format!("the mutant does not compile: {error}")],
            ..Verdict::default()
        };
    }
    let mut isolates = Vec::new();
    for build in &plan.builds {
        let Some(isolate) = Isolate::new(&mut rng, &plan.config, build) else { return Verdict::default() };
        isolates.push(isolate);
    }
    let mut world = World {
        rng,
        plan,
        queue: Queue::default(),
        moment: 0,
        redis,
        redis_clock: Clock::default(),
        down: false,
        healed: false,
        isolates,
        requests: Vec::new(),
        messages: Vec::new(),
        values: Values::default(),
        oracle: Oracle::default(),
        verdict: Verdict::default(),
        trace: Trace::new(traced),
        body: String::new(),
    };
    world.plan_all();
    let mut events = 0;
    while let Some(event) = world.queue.next() {
        world.moment += 1;
        events += 1;
        if events > MAX_EVENTS {
            world.verdict.hung = true;
            world.violation(String::from("it does not end"));
            break;
        }
        world.happen(event);
        if world.verdict.violations.len() > 3 {
            break;
        }
    }
    world.finish()
}

impl World {
    fn plan_all(&mut self) {
        for n in 0..self.plan.requests {
            let at = self.rng.below(self.plan.span);
            let number = self.requests.len();
            let isolate = usize::try_from(self.rng.below(self.plan.isolates as u64)).unwrap_or(0);
            let steps = visit::steps(&mut self.rng);
            let anchored = self.rng.percent(92);
            self.add_request(n, isolate, anchored, steps);
            self.queue.after(at, Event::Arrive(number));
        }
        for _ in 0..6 {
            let at = self.rng.below(self.plan.span + 500 * MS);
            self.queue.after(at, Event::Fault);
        }
        let healed = self.plan.span + 12_000 * MS;
        self.queue.after(healed, Event::Heal);
        // Who comes when all is well again, and sees what is left of it; and once more, much later.
        for wait in [1_000, 15_000, 60_000, 90_000] {
            for isolate in 0..self.plan.isolates {
                let mut steps = Vec::new();
                for space in visit::SPACES {
                    for key in visit::KEYS {
                        let freshness = Freshness::Normal;
                        steps.push(Step::Read { space, key, tags: Vec::new(), freshness, load: true });
                    }
                }
                let number = self.requests.len();
                self.add_request(number as u64, isolate, true, steps);
                self.queue.after(healed + wait * MS, Event::Arrive(number));
            }
        }
    }

    fn add_request(&mut self, number: u64, isolate: usize, anchored: bool, steps: Vec<Step>) {
        self.requests.push(Request {
            isolate,
            id: RequestId(u32::try_from(number).unwrap_or(0) + 1),
            alive: true,
            anchored,
            steps,
            ops: Vec::new(),
            timer: (0, None),
            reads: Vec::new(),
        });
        // Numbers of requests are the host's own.
        let id = RequestId(u32::try_from(self.requests.len()).unwrap_or(0));
        if let Some(request) = self.requests.last_mut() {
            request.id = id;
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(request) | Event::Step(request) => self.step(request),
            Event::Timer(request, number) => self.timer(request, number),
            Event::Wake(request, op, promise) => self.wake(request, op, promise, true),
            Event::Lost(request, op, promise) => self.wake(request, op, promise, false),
            Event::ReadSource(request, op) => self.read_source(request, op),
            Event::EndCallback(request, op) => self.end_callback(request, op),
            Event::WriteSource(request, op) => self.write_source(request, op),
            Event::EndMutate(request, op) => self.end_mutate(request, op),
            Event::Execute(message, answered) => self.execute(message, answered),
            Event::Reply(message) => self.reply(message),
            Event::Break(message) => self.break_off(message),
            Event::Fault => self.fault(),
            Event::Heal => self.heal(),
        }
    }

    // ---- requests ----

    fn alive(&self, request: usize) -> bool {
        self.requests.get(request).is_some_and(|request| request.alive)
    }

    /// The request's next step, if none is under way.
    fn step(&mut self, request: usize) {
        if !self.alive(request) {
            return;
        }
        let chance = self.plan.chance.kill;
        if !self.healed && self.rng.percent(chance / 3) {
            return self.kill(request);
        }
        let Some(step) = self.requests.get_mut(request).and_then(|request| request.steps.pop()) else {
            return;
        };
        self.trace.say(self.queue.now(), self.moment, || format!("r{request} {step:?}"));
        match step {
            Step::Pause(wait) => return self.queue.after(wait, Event::Step(request)),
            Step::Read { space, key, tags, freshness, load } => {
                self.begin_read(request, space, key, tags, freshness, load);
            }
            Step::Invalidate(aim) => self.begin_end(request, aim, false),
            Step::Expire(aim) => self.begin_end(request, aim, true),
            Step::Set { space, key, tags } => self.begin_set(request, space, key, tags),
            Step::Mutate(aim, deadline) => self.begin_mutate(request, aim, deadline),
        }
        // Sometimes the next begins in the same turn.
        if self.rng.percent(20) {
            self.step(request);
        }
        self.drive(request);
    }

    fn kill(&mut self, request: usize) {
        self.trace.say(self.queue.now(), self.moment, || format!("r{request} is ended"));
        self.verdict.coverage.count("request killed");
        let Some(dead) = self.requests.get_mut(request) else { return };
        dead.alive = false;
        if dead.ops.iter().any(|op| matches!(op.kind, Kind::Mutate { .. }) && !op.settled) {
            self.verdict.coverage.count("mutate killed");
        }
        let isolate = dead.isolate;
        let Some(isolate) = self.isolates.get_mut(isolate) else { return };
        for (id, promise) in &mut isolate.promises {
            if promise.owner == request && !promise.settled {
                promise.abandoned = true;
                for (waiter, op) in promise.waiters.drain(..) {
                    if self.plan.tells_of_lost {
                        self.queue.after(1, Event::Lost(waiter, op, *id));
                    }
                }
            }
        }
    }

    fn begin_read(
        &mut self,
        number: usize,
        space: &'static str,
        key: &'static str,
        tags: Vec<&'static str>,
        freshness: Freshness,
        load: bool,
    ) {
        let Some(request) = self.requests.get(number) else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        match freshness {
            Freshness::Forced => self.verdict.coverage.count("forced"),
            Freshness::Strict => self.verdict.coverage.count("strict"),
            Freshness::Normal => {}
        }
        let host = isolate.host(self.queue.now());
        let reader = Reader {
            isolate: request.isolate,
            started: self.moment,
            space,
            key,
            tags: tags.clone(),
            freshness,
            build: isolate.build,
        };
        let call = ReadCall {
            request: request.id,
            cache: isolate.cache,
            connection: isolate.link,
            space,
            key,
            tags: &tags,
            ttl: None,
            swr: None,
            stale_if_error: None,
            lease_wait: None,
            freshness,
            load,
            anchored: request.anchored,
        };
        let Some(id) = isolate.engine.begin_read(call, host) else {
            return self.violation(String::from("no room for a read"));
        };
        let chance = &self.plan.chance;
        let late =
            if self.rng.percent(chance.late_tags) { self.rng.some(visit::TAGS, 60) } else { Vec::new() };
        let late: Vec<&'static str> = late.into_iter().filter(|tag| !tags.contains(tag)).collect();
        let kind = Kind::Read { reader, value: None, stash: None, late, awaiting: false, began: false };
        self.add_op(number, id, kind);
    }

    fn add_op(&mut self, request: usize, id: OpId, kind: Kind) {
        if let Some(request) = self.requests.get_mut(request) {
            request.ops.push(Op { id, kind, settled: false, hangs: false, waits: None });
        }
    }

    fn begin_write(&mut self, number: usize, aim: &Aim, kind: WriteKind<'_>) -> Option<OpId> {
        let request = self.requests.get(number)?;
        let isolate = self.isolates.get_mut(request.isolate)?;
        let call = WriteCall {
            request: request.id,
            cache: isolate.cache,
            connection: isolate.link,
            anchored: request.anchored,
            space: aim.space,
            targets: Targets { keys: &aim.keys, tags: &aim.tags, all: aim.all },
            kind,
        };
        let id = isolate.engine.begin_write(call, isolate.host(self.queue.now()));
        if id.is_none() {
            self.violation(String::from("no room for a write"));
        }
        id
    }

    /// A rule from now on, in the isolate of the request.
    fn rule(&mut self, number: usize, aim: &Aim, soft: bool) -> usize {
        let isolate = self.requests.get(number).map_or(0, |request| request.isolate);
        let (begun, standing) = (self.moment, Standing::Pending);
        let aim = aim.clone();
        self.oracle.add(Rule { aim, begun, isolate, standing, soft, stored_only: false, except: None })
    }

    fn begin_end(&mut self, number: usize, aim: Aim, soft: bool) {
        let kind = if soft { WriteKind::Expire } else { WriteKind::Invalidate };
        self.verdict.coverage.count(match (soft, aim.all, aim.tags.is_empty()) {
            (true, ..) => "expired",
            (_, true, _) => "invalidated as a whole",
            (_, _, false) => "invalidated by tag",
            _ => "invalidated by key",
        });
        for request in self.requests.iter().filter(|request| request.alive) {
            for op in &request.ops {
                if let Kind::Read { awaiting: true, late, .. } = &op.kind
                    && late.iter().any(|tag| aim.tags.contains(tag))
                {
                    self.verdict.coverage.count("late tags invalidated while awaited");
                }
            }
        }
        let rule = self.rule(number, &aim, soft);
        if let Some(id) = self.begin_write(number, &aim, kind) {
            self.add_op(number, id, Kind::End { rule });
        }
    }

    fn begin_set(&mut self, number: usize, space: &'static str, key: &'static str, tags: Vec<&'static str>) {
        let aim = Aim { space, keys: vec![key], ..Aim::default() };
        let Some(request) = self.requests.get(number) else { return };
        let build = self.isolates.get(request.isolate).map_or("", |isolate| isolate.build);
        // What the value follows from was read by this request, or counts as read when the drop ran.
        let read = request.reads.iter().rev().find(|read| (read.0, read.1) == (space, key));
        let read = read.map_or(self.moment, |read| read.2);
        let value = self.values.add(Value { read, space, key, tags: tags.clone(), build });
        let rule = self.rule(number, &aim, false);
        if let Some(rule) = self.oracle.rule_mut(rule) {
            rule.except = Some(value);
        }
        let (ttl, swr, stale_if_error) = (None, None, None);
        let kind = WriteKind::Set { encoded: encoded(), tags: &tags, ttl, swr, stale_if_error };
        if let Some(id) = self.begin_write(number, &aim, kind) {
            let key = format!("p:k:{space}:{key}");
            self.add_op(number, id, Kind::Set { rule, value, key, dropped: false });
        }
    }

    fn begin_mutate(&mut self, number: usize, aim: Aim, deadline: u64) {
        let rule = self.rule(number, &aim, false);
        let kind = WriteKind::Mutate { deadline: Millis::new(deadline) };
        if let Some(id) = self.begin_write(number, &aim, kind) {
            self.add_op(number, id, Kind::Mutate { aim, rule, wrote: false });
        }
    }

    // ---- the driver ----

    /// Performs what the core decides for a request.
    fn drive(&mut self, number: usize) {
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

    fn arm(&mut self, number: usize, index: usize) {
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

    fn timer(&mut self, number: usize, timer: u64) {
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

    fn wake(&mut self, number: usize, op: OpId, promise: leeward::core::SharedId, settled: bool) {
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

    fn perform(&mut self, number: usize, index: usize, effect: Effect) {
        let now = self.queue.now();
        match effect {
            Effect::Flush(_) => {}
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
            Effect::Run(op) => self.start_callback(number, op),
            Effect::Cancel(_) => {}
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
            Effect::Serve(op, served) => {
                let value = self.value_of(number, op);
                self.serve(number, op, served, value);
            }
            Effect::ServeStash(op, served) => {
                self.verdict.coverage.count("served stale for an error");
                let value = match self.kind_mut(number, op) {
                    Some(Kind::Read { stash, .. }) => *stash,
                    _ => None,
                };
                self.serve(number, op, served, value);
            }
            Effect::Tagged(op) => {
                if let Some(Kind::Read { awaiting, .. }) = self.kind_mut(number, op)
                    && core::mem::replace(awaiting, false)
                {
                    let wait = self.callback_wait();
                    self.queue.after(wait, Event::ReadSource(number, op));
                }
            }
            Effect::Throw(op) => self.settle(number, op, "throws"),
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

    fn kind_mut(&mut self, number: usize, op: OpId) -> Option<&mut Kind> {
        Some(&mut self.requests.get_mut(number)?.op_mut(op)?.kind)
    }

    fn value_of(&mut self, number: usize, op: OpId) -> Option<usize> {
        match self.kind_mut(number, op)? {
            Kind::Read { value, .. } => *value,
            Kind::Set { value, .. } => Some(*value),
            _ => None,
        }
    }

    fn decode(&mut self, index: usize, source: &Source) -> Option<usize> {
        match source {
            Source::Reply { place, .. } => self.body.get(place.clone())?.trim_matches('"').parse().ok(),
            Source::Shared(id) => self.isolates.get(index)?.promises.get(id)?.value,
        }
    }

    fn decoded(&mut self, index: usize, op: OpId, ok: bool) {
        let now = self.queue.now();
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(now);
            isolate.engine.decoded(op, ok, host);
        }
    }

    // ---- callbacks ----

    fn callback_wait(&mut self) -> Micros {
        match self.rng.below(100) {
            0..70 => self.rng.below(6 * MS),
            70..95 => self.rng.below(300 * MS),
            _ => self.rng.below(3_000 * MS),
        }
    }

    fn start_callback(&mut self, number: usize, id: OpId) {
        let chance = self.plan.chance.clone();
        let hangs = self.rng.percent(chance.callback_hangs) && !self.healed;
        let awaits = self.rng.percent(60);
        let wait = self.callback_wait();
        let Some(request) = self.requests.get_mut(number) else { return };
        let (index, Some(op)) = (request.isolate, request.op_mut(id)) else {
            return self.violation(format!("r{number} runs the callback of {id:?}, which it does not know"));
        };
        if hangs && matches!(op.kind, Kind::Read { .. }) {
            op.hangs = true;
            self.verdict.coverage.count("callback hung");
            return;
        }
        match &mut op.kind {
            Kind::Read { began: true, .. } => {
                self.violation(format!("r{number} {id:?} runs its callback twice"))
            }
            Kind::Read { late, awaiting, began, .. } => {
                *began = true;
                if late.is_empty() || !awaits {
                    return self.queue.after(wait, Event::ReadSource(number, id));
                }
                *awaiting = true;
                self.verdict.coverage.count("late tags awaited");
                let tags: Vec<String> = late.iter().map(|tag| String::from(*tag)).collect();
                if let Some(isolate) = self.isolates.get_mut(index) {
                    let host = isolate.host(self.queue.now());
                    isolate.engine.tags(id, &tags, host);
                }
            }
            Kind::Mutate { .. } => self.queue.after(wait, Event::WriteSource(number, id)),
            _ => self.violation(format!("r{number} {id:?} has no callback")),
        }
    }

    fn read_source(&mut self, number: usize, id: OpId) {
        if !self.alive(number) {
            return;
        }
        let read = self.moment;
        let Some(Kind::Read { reader, late, .. }) = self.kind_mut(number, id) else { return };
        let tags = reader.tags.iter().chain(late.iter()).copied().collect();
        let made = Value { read, space: reader.space, key: reader.key, tags, build: reader.build };
        let made = self.values.add(made);
        if let Some(Kind::Read { value, .. }) = self.kind_mut(number, id) {
            *value = Some(made);
        }
        self.trace.say(self.queue.now(), self.moment, || {
            format!("r{number} {id:?} reads the source: value {made}")
        });
        let wait = self.callback_wait();
        self.queue.after(wait, Event::EndCallback(number, id));
    }

    fn end_callback(&mut self, number: usize, id: OpId) {
        if !self.alive(number) {
            return;
        }
        let chance = self.plan.chance.clone();
        if !self.healed && self.rng.percent(chance.kill / 2) {
            return self.kill(number);
        }
        let fails = self.rng.percent(chance.callback_fails) && !self.healed;
        let skip = self.rng.percent(chance.unstorable / 2) && !self.healed;
        let Some(request) = self.requests.get_mut(number) else { return };
        let index = request.isolate;
        let Some(Kind::Read { late, .. }) = request.op_mut(id).map(|op| &op.kind) else { return };
        let tags: Vec<String> = late.iter().map(|tag| String::from(*tag)).collect();
        if !tags.is_empty() {
            self.verdict.coverage.count("late tags declared");
        }
        let end = if fails {
            self.verdict.coverage.count("callback failed");
            CallbackEnd::Err
        } else {
            CallbackEnd::Ok { ttl: None, skip, tags }
        };
        self.trace.say(self.queue.now(), self.moment, || format!("r{number} {id:?} callback ends {end:?}"));
        self.callback(number, index, id, end);
    }

    fn callback(&mut self, number: usize, index: usize, id: OpId, end: CallbackEnd) {
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            if !isolate.engine.callback(id, end, host) {
                self.violation(format!("r{number} {id:?} is not known any more"));
            }
        }
        self.drive(number);
    }

    fn write_source(&mut self, number: usize, id: OpId) {
        if !self.alive(number) {
            return;
        }
        let begun = self.moment;
        let Some(Kind::Mutate { aim, wrote, .. }) = self.kind_mut(number, id) else { return };
        *wrote = true;
        let aim = aim.clone();
        self.trace.say(self.queue.now(), self.moment, || format!("r{number} {id:?} changes the source"));
        if self.is_marked(&aim) {
            let isolate = self.requests.get(number).map_or(0, |request| request.isolate);
            let standing = Standing::Applied(begun);
            let rule = Rule { aim, begun, isolate, standing, soft: false, stored_only: true, except: None };
            self.oracle.add(rule);
        }
        let chance = self.plan.chance.outruns;
        let wait = if self.rng.percent(chance) && !self.healed {
            self.verdict.coverage.count("mutate outran its deadline");
            11_000 * MS
        } else {
            self.callback_wait()
        };
        self.queue.after(wait, Event::EndMutate(number, id));
    }

    /// Whether marks on all of it live, by Redis' clock.
    fn is_marked(&mut self, aim: &Aim) -> bool {
        let now = self.redis_clock.at(self.queue.now());
        self.redis.set_time(now);
        let space = aim.space;
        let mut keys: Vec<String> = aim.keys.iter().map(|key| format!("p:k:{space}:{key}")).collect();
        keys.extend(aim.tags.iter().map(|tag| format!("p:t:{space}:{tag}")));
        if aim.all {
            keys.push(format!("p:n:{space}"));
        }
        keys.iter().all(|key| {
            let marks = self.redis.hash(key.as_bytes()).and_then(|hash| hash.get(&b"m"[..]));
            let marks = String::from_utf8(marks.cloned().unwrap_or_default()).unwrap_or_default();
            let mut tills = marks.split(' ').skip(1).step_by(2);
            tills.any(|till| till.parse().is_ok_and(|till: u64| till > now / 1000))
        })
    }

    fn end_mutate(&mut self, number: usize, id: OpId) {
        if !self.alive(number) {
            return;
        }
        let chance = self.plan.chance.clone();
        if !self.healed && self.rng.percent(chance.kill) {
            return self.kill(number);
        }
        let fails = self.rng.percent(chance.callback_fails) && !self.healed;
        let Some(request) = self.requests.get_mut(number) else { return };
        let index = request.isolate;
        let begun = self.moment;
        let Some(Kind::Mutate { rule, .. }) = request.op_mut(id).map(|op| &op.kind) else { return };
        let rule = *rule;
        // What the call promises when it has ended is about all that was read before its callback had.
        if let Some(rule) = self.oracle.rule_mut(rule) {
            let (aim, isolate) = (rule.aim.clone(), rule.isolate);
            let standing = Standing::Pending;
            let ended = Rule { aim, begun, isolate, standing, soft: false, stored_only: false, except: None };
            let ended = self.oracle.add(ended);
            if let Some(Kind::Mutate { rule, .. }) = self.kind_mut(number, id) {
                *rule = ended;
            }
        }
        self.trace.say(self.queue.now(), self.moment, || format!("r{number} {id:?} mutate ends"));
        let end = if fails {
            CallbackEnd::Err
        } else {
            CallbackEnd::Ok { ttl: None, skip: false, tags: Vec::new() }
        };
        self.callback(number, index, id, end);
    }

    // ---- the wire ----

    fn send(&mut self, number: usize, index: usize, batch: leeward::core::BatchId) {
        let Some(parts) = self.isolates.get_mut(index).and_then(|isolate| isolate.engine.seal(batch)) else {
            return;
        };
        let mut body = String::new();
        for part in parts {
            match part {
                BodyPart::Text(text) => body.push_str(&text),
                BodyPart::Value(op) => match self.value_of(number, op) {
                    Some(value) => body.push_str(&format!("\"{value}\"")),
                    None => {
                        self.violation(format!("r{number} {op:?} stores a value that it does not have"));
                        body.push_str("\"\"");
                    }
                },
            }
        }
        let message = self.messages.len();
        self.trace.say(self.queue.now(), self.moment, || {
            format!("r{number} sends m{message}: {}", shortened(&body))
        });
        self.messages.push(Message {
            request: number,
            batch,
            body,
            answer: None,
            aborted: false,
            executed: false,
        });
        let chance = self.plan.chance.clone();
        let faulty = !self.healed;
        let slow = faulty && self.rng.percent(chance.slow);
        let there = if slow { self.rng.below(400 * MS) } else { self.rng.below(2 * MS) };
        let fate = |rng: &mut Rng, chance: u64| faulty && rng.percent(chance);
        if self.down || fate(&mut self.rng, chance.lose_request) {
            self.verdict.coverage.count("request lost");
            return self.queue.after(there, Event::Break(message));
        }
        if fate(&mut self.rng, chance.hang) {
            self.verdict.coverage.count("exchange hung");
            return;
        }
        if fate(&mut self.rng, chance.late) {
            // The client gives up before.
            let wait = self.rng.between(200, 4_000) * MS;
            self.verdict.coverage.count("executed late");
            return self.queue.after(wait, Event::Execute(message, false));
        }
        if fate(&mut self.rng, chance.twice) {
            self.verdict.coverage.count("executed twice");
            let wait = if self.rng.percent(50) { self.rng.below(5 * MS) } else { self.rng.below(2_000 * MS) };
            // Either of the two may be the one that is answered.
            if self.rng.percent(50) {
                self.queue.after(there.saturating_sub(wait.min(there)), Event::Execute(message, false));
            } else {
                self.queue.after(there + wait, Event::Execute(message, false));
            }
        }
        if fate(&mut self.rng, chance.lose_reply) {
            self.verdict.coverage.count("reply lost");
            self.queue.after(there, Event::Execute(message, false));
            let back = self.rng.below(3 * MS);
            return self.queue.after(there + back, Event::Break(message));
        }
        self.queue.after(there, Event::Execute(message, true));
    }

    fn execute(&mut self, number: usize, answered: bool) {
        let down = self.down;
        let now = self.redis_clock.at(self.queue.now());
        let overtook = self.messages.iter().take(number).any(|message| !message.executed && !message.aborted);
        let Some(message) = self.messages.get_mut(number) else { return };
        if down {
            if answered {
                self.queue.after(0, Event::Break(number));
            }
            return;
        }
        if overtook {
            self.verdict.coverage.count("overtook another");
        }
        self.redis.set_time(now);
        let reply = self.redis.pipeline(&message.body);
        message.executed = true;
        self.trace.say(self.queue.now(), self.moment, || format!("redis executes m{number}: {reply}"));
        if answered {
            message.answer = Some((self.moment, reply));
            let chance = self.plan.chance.slow;
            let slow = !self.healed && self.rng.percent(chance);
            let back = if slow { self.rng.below(400 * MS) } else { self.rng.below(2 * MS) };
            self.queue.after(back, Event::Reply(number));
        }
    }

    fn reply(&mut self, number: usize) {
        let Some(message) = self.messages.get_mut(number) else { return };
        let Some((executed, answer)) = message.answer.take() else { return };
        let (request, batch) = (message.request, message.batch);
        if message.aborted || !self.alive(request) {
            return;
        }
        let chance = self.plan.chance.kill;
        if !self.healed && self.rng.percent(chance / 3) {
            return self.kill(request);
        }
        self.note_execution(number, request, executed);
        let Some(index) = self.requests.get(request).map(|request| request.isolate) else { return };
        self.trace.say(self.queue.now(), self.moment, || format!("r{request} gets the answer to m{number}"));
        self.body = answer;
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            isolate.engine.reply(batch, 200, self.body.as_bytes(), host);
        }
        self.drive(request);
    }

    /// When what an answer tells was true.
    fn note_execution(&mut self, message: usize, request: usize, executed: Moment) {
        let Some(body) = self.messages.get(message).map(|message| &message.body) else { return };
        let Some(request) = self.requests.get_mut(request) else { return };
        for op in &mut request.ops {
            match &mut op.kind {
                Kind::Read { reader, began: false, .. } => {
                    request.reads.push((reader.space, reader.key, executed));
                }
                Kind::Set { key, value, dropped, .. } if is_drop_of(body, key) => {
                    *dropped = true;
                    if let Some(value) = self.values.get_mut(*value) {
                        value.read = executed;
                    }
                }
                _ => {}
            }
        }
    }

    fn break_off(&mut self, number: usize) {
        let Some(message) = self.messages.get(number) else { return };
        let (request, batch) = (message.request, message.batch);
        if message.aborted || !self.alive(request) {
            return;
        }
        let Some(index) = self.requests.get(request).map(|request| request.isolate) else { return };
        self.trace.say(self.queue.now(), self.moment, || format!("r{request}: m{number} breaks off"));
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            isolate.engine.send_failed(batch, ErrorKind::Transport, host);
        }
        self.drive(request);
    }

    // ---- faults ----

    fn fault(&mut self) {
        if self.healed {
            return;
        }
        let chance = self.plan.chance.clone();
        // Each is tried more often than once in a schedule, or the rare ones would never meet anything.
        let often = |rng: &mut Rng, chance: u64| rng.percent(chance * 6);
        let now = self.queue.now();
        if often(&mut self.rng, chance.flushall) {
            self.redis.execute(&["FLUSHALL"]);
            self.happened("flushall");
        }
        if often(&mut self.rng, chance.evict) {
            let keys: Vec<Vec<u8>> = self.redis.entries().map(|(key, _)| key.to_vec()).collect();
            let picked = usize::try_from(self.rng.below(keys.len() as u64)).unwrap_or(0);
            if let Some(key) = keys.get(picked) {
                self.redis.evict(key);
                self.happened("evicted");
            }
        }
        if often(&mut self.rng, chance.script_flush) {
            self.redis.script_flush();
            self.happened("scripts flushed");
        }
        if often(&mut self.rng, chance.restart) {
            self.redis.restart();
            self.happened("restarted");
        }
        if often(&mut self.rng, chance.oom) {
            let on = self.rng.percent(60);
            self.redis.set_oom(on);
            self.happened("out of memory");
        }
        if often(&mut self.rng, chance.refuse_scripts) {
            let permissions =
                self.rng.pick(&[Permissions::All, Permissions::NoScripts, Permissions::ReadOnly]);
            self.redis.set_permissions(permissions.unwrap_or_default());
            self.happened("scripts refused");
        }
        if often(&mut self.rng, chance.down) {
            self.down = !self.down;
            self.happened("down");
        }
        if often(&mut self.rng, chance.isolate_clock) {
            let index = usize::try_from(self.rng.below(self.plan.isolates as u64)).unwrap_or(0);
            if let Some(isolate) = self.isolates.get_mut(index) {
                isolate.odd_clock = true;
                if self.rng.percent(40) {
                    isolate.clock.toggle(now);
                    self.happened("isolate clock stood still");
                } else {
                    isolate.clock.jump(jump(&mut self.rng));
                    self.happened("isolate clock jumped");
                }
            }
        }
        if often(&mut self.rng, chance.redis_clock) {
            self.redis_clock.jump(jump(&mut self.rng));
            self.happened("redis clock jumped");
        }
    }

    fn happened(&mut self, what: &'static str) {
        self.verdict.coverage.count(what);
        self.trace.say(self.queue.now(), self.moment, || format!("** {what}"));
    }

    fn heal(&mut self) {
        self.trace.say(self.queue.now(), self.moment, || String::from("** all is well again"));
        self.healed = true;
        self.down = false;
        self.redis.set_oom(false);
        self.redis.set_permissions(Permissions::All);
        let now = self.queue.now();
        for isolate in &mut self.isolates {
            if isolate.clock.stands() {
                isolate.clock.toggle(now);
            }
        }
    }

    // ---- answers ----

    fn serve(&mut self, number: usize, id: OpId, served: Served, value: Option<usize>) {
        let Some(Kind::Read { reader, .. }) = self.kind_mut(number, id) else { return };
        let reader = reader.clone();
        let value_read = value.and_then(|value| self.values.get(value));
        let without = matches!(served.outcome, Outcome::Miss | Outcome::Bypass) && value.is_none();
        let verdict = if without { None } else { self.oracle.judge(&reader, &served, value, value_read) };
        let coverage = &mut self.verdict.coverage;
        coverage.count(match served.outcome {
            Outcome::Hit => "served hit",
            Outcome::Stale => "served stale",
            Outcome::Miss => "served miss",
            Outcome::Bypass => "served bypass",
        });
        if served.shared {
            coverage.count(match (served.outcome, served.reason, served.stored) {
                (Outcome::Hit | Outcome::Stale, ..) => "shared hit",
                (_, Some(leeward::core::Bypass::Down), _) => "shared while down",
                (_, _, Some(true)) => "shared stored",
                _ => "shared computed before the callback",
            });
        }
        if served.reason == Some(leeward::core::Bypass::PendingInvalidation) {
            coverage.count("read covered by a pending invalidation");
        }
        if let Some(problem) = verdict {
            self.violation(format!("r{number} {id:?} {served:?} value {value:?}: {problem}"));
        }
        self.settle(number, id, "is served");
    }

    fn settle(&mut self, number: usize, id: OpId, how: &str) {
        self.trace.say(self.queue.now(), self.moment, || format!("r{number} {id:?} {how}"));
        let Some(request) = self.requests.get_mut(number) else { return };
        let Some(op) = request.op_mut(id) else { return };
        if op.settled {
            return self.violation(format!("r{number} {id:?} is answered twice"));
        }
        op.settled = true;
        let waits = request.ops.iter().any(|op| !op.settled && !op.hangs && !matches!(op.kind, Kind::Own));
        if !waits {
            let wait = self.rng.below(2 * MS);
            self.queue.after(wait, Event::Step(number));
        }
    }

    fn applied(&mut self, number: usize, id: OpId, stored: bool) {
        let now = self.moment;
        let Some(kind) = self.kind_mut(number, id) else { return };
        let (rule, set) = match kind {
            Kind::End { rule } | Kind::Mutate { rule, .. } => (*rule, None),
            Kind::Set { rule, dropped, .. } => (*rule, Some(*dropped)),
            _ => return,
        };
        if let Some(rule) = self.oracle.rule_mut(rule) {
            rule.standing = Standing::Applied(now);
        }
        let coverage = &mut self.verdict.coverage;
        coverage.count("invalidation applied");
        match set {
            Some(true) => coverage.count("set blind"),
            Some(false) if stored => coverage.count("set exact"),
            Some(false) => coverage.count("set exact refused"),
            None => {}
        }
        self.settle(number, id, "is applied");
    }

    fn not_applied(&mut self, number: usize, index: usize, id: OpId, state: InvalidationState) {
        match state {
            InvalidationState::Refused => {
                self.verdict.coverage.count("invalidation refused");
                if let Some(isolate) = self.isolates.get_mut(index) {
                    isolate.refused = true;
                }
            }
            _ => self.verdict.coverage.count("invalidation pending"),
        }
        self.settle(number, id, "is not applied");
    }

    fn told(&mut self, index: usize, event: Told) {
        let now = self.queue.now();
        self.trace.say(now, self.moment, || format!("i{index} tells {:?}", event.kind));
        let coverage = &mut self.verdict.coverage;
        let Some(isolate) = self.isolates.get_mut(index) else { return };
        match event.kind {
            EventKind::Attempt { .. } => {
                let host = isolate.host(now);
                if !isolate.odd_clock && isolate.attempt.is_some_and(|until| host < until) {
                    return self
                        .violation(format!("P2: i{index} makes a second attempt while one is in flight"));
                }
                isolate.attempt = Some(host + 250.0);
            }
            EventKind::Connection { to: StateName::Ready | StateName::Down, .. } => isolate.attempt = None,
            EventKind::Fill { stored: true, .. } => coverage.count("fill stored"),
            EventKind::Fill { reason: Some("overtaken"), .. } => coverage.count("fill overtaken"),
            EventKind::Fill { reason: Some("marked"), .. } => coverage.count("fill marked"),
            EventKind::Lease { outcome, .. } => {
                coverage.count("waited for a lease");
                if outcome == LeaseOutcome::Taken {
                    coverage.count("lease taken over");
                }
            }
            EventKind::Invalidation { state, replay: true, .. } => {
                coverage.count("replayed");
                isolate.refused |= state == InvalidationState::Refused;
            }
            EventKind::Invalidation { state: InvalidationState::Refused, .. } => isolate.refused = true,
            _ => {}
        }
    }

    fn violation(&mut self, what: String) {
        self.trace.say(self.queue.now(), self.moment, || format!("!! {what}"));
        self.verdict.violations.push(what);
    }

    // ---- the end ----

    fn finish(mut self) -> Verdict {
        if self.verdict.violations.is_empty() {
            self.check_the_end();
        }
        let two = self.redis.entries().any(|(_, entry)| match &entry.value {
            leeward_redis_model::Value::Hash(hash) => {
                hash.keys().filter(|field| field.starts_with(b"h:")).count() > 1
            }
            _ => false,
        });
        if two {
            self.verdict.coverage.count("two builds of a key");
        }
        self.verdict.trace = self.trace.lines();
        self.verdict
    }

    /// Everybody has been answered, nothing is left in any table, and every invalidation has been applied.
    fn check_the_end(&mut self) {
        let mut problems = Vec::new();
        for (number, request) in self.requests.iter().enumerate() {
            for op in request.ops.iter().filter(|op| request.alive && !op.settled && !op.hangs) {
                if !matches!(op.kind, Kind::Own) {
                    self.verdict.hung = true;
                    problems.push(format!("r{number} {:?} hangs: {:?}", op.id, op.kind));
                }
            }
        }
        for (index, isolate) in self.isolates.iter().enumerate() {
            let gone = self.requests.iter().filter(|request| request.isolate == index);
            let left: usize =
                gone.map(|r| r.ops.iter().filter(|op| !r.alive || op.hangs || !op.settled).count()).sum();
            let killed = self.requests.iter().any(|request| request.isolate == index && !request.alive);
            let [ops, requests, batches, flights] = isolate.engine.under_way();
            if ops > left || (left == 0 && !killed && requests + batches + flights > 0) {
                problems.push(format!(
                    "i{index} keeps {ops} operations, {requests} requests, {batches} batches, {flights} flights; {left} have a reason"
                ));
            }
            let journal = isolate.engine.stats(isolate.link).map_or(0, |stats| stats.journal);
            if journal > 0 && !isolate.refused {
                problems.push(format!("P6: i{index} still has {journal} invalidations to send"));
            }
        }
        for problem in problems {
            self.violation(problem);
        }
    }
}

/// Some seconds forwards or back.
fn jump(rng: &mut Rng) -> i64 {
    let by = i64::try_from(rng.between(10, 9_000) * MS).unwrap_or(0);
    if rng.percent(50) { -by } else { by }
}

fn is_drop_of(body: &str, key: &str) -> bool {
    use leeward::core::redis::script::{Dialect, Script};
    body.split("],[").any(|command| {
        let drop = command.contains(Script::Drop.sha(Dialect::Redis)) || command.contains("-- drop");
        let ends = drop || command.contains("\"renew\"") || command.starts_with("\"HDEL\"");
        ends && command.contains(&format!("\"{key}\""))
    })
}

/// A body with the scripts' texts left out.
fn shortened(body: &str) -> String {
    use leeward::core::redis::script::{Dialect, Script};
    let mut text = String::from(body);
    for (script, name) in [(Script::Read, "READ"), (Script::Fill, "FILL"), (Script::Drop, "DROP")] {
        text = text.replace(script.sha(Dialect::Redis), name);
        let escaped = script.source().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        text = text.replace(&escaped, name);
    }
    text
}
