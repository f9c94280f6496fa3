//! Requests: their steps, and the operations that they begin.

use crate::oracle::{Aim, Reader, Rule, Standing};
use crate::patience;
use crate::queue::Event;
use crate::values::{Value, encoded};
use crate::visit::{self, Kind, Op, Step};
use crate::world::World;
use leeward::core::{Adapted, Freshness, Held, Millis, OpId, ReadCall, Targets, WriteCall, WriteKind};

impl World {
    pub(crate) fn alive(&self, request: usize) -> bool {
        self.requests.get(request).is_some_and(|request| request.alive)
    }

    /// The request's next step, if none is under way.
    pub(crate) fn step(&mut self, request: usize) {
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
                self.begin_read(request, space, key, tags, freshness, load, None);
            }
            Step::Many { space, tags } => self.begin_many(request, space, &tags),
            Step::Raw => self.begin_raw(request),
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

    pub(crate) fn kill(&mut self, request: usize) {
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

    #[allow(clippy::too_many_arguments, reason = "a read has so many")]
    pub(crate) fn begin_read(
        &mut self,
        number: usize,
        space: &'static str,
        key: &'static str,
        tags: Vec<&'static str>,
        freshness: Freshness,
        load: bool,
        group: Option<usize>,
    ) {
        let (asked, own, negative) = (self.asks(), self.life(), self.negative());
        let Some(request) = self.requests.get(number) else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        match freshness {
            Freshness::Forced => self.verdict.coverage.count("forced"),
            Freshness::Strict => self.verdict.coverage.count("strict"),
            Freshness::Normal => {}
        }
        let host = isolate.host(self.queue.now());
        let (waits, life) = (asked.waits, asked.life);
        let reader = Reader {
            isolate: request.isolate,
            started: self.moment,
            at: (!isolate.odd_clock).then_some(self.queue.now()),
            space,
            key,
            tags: tags.clone(),
            freshness,
            build: isolate.build,
            life: patience::adapted(own, life),
            negative: negative.map(|negative| patience::adapted(negative, Adapted { ttl: None, ..life })),
        };
        // A call for many asks Redis.
        let held = isolate.held.get(&(space, key)).copied().filter(|_| group.is_none());
        if let Some((held, value)) = held {
            match isolate.engine.held_for(isolate.cache, isolate.link, held, space, &tags, freshness, host) {
                Held::Serve(age) => return self.serve_held(number, reader, value, age),
                Held::NotFor => {}
                Held::Gone => {
                    isolate.held.remove(&(space, key));
                }
            }
        }
        let Some(request) = self.requests.get(number) else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        let call = ReadCall {
            request: request.id,
            cache: isolate.cache,
            connection: isolate.link,
            space,
            key,
            tags: &tags,
            ttl: life.ttl,
            swr: life.swr,
            stale_if_error: life.stale_if_error,
            lease_wait: None,
            waits,
            early_refresh: None,
            jitter: None,
            negative_ttl: None,
            freshness,
            load,
            l1: true,
            many: group.is_some(),
            anchored: request.anchored,
        };
        let Some(id) = isolate.engine.begin_read(call, host) else {
            return self.violation(String::from("no room for a read"));
        };
        let chance = &self.plan.chance;
        let late = if group.is_none() && self.rng.percent(chance.late_tags) {
            if self.plan.narrow { Vec::from(["s"]) } else { self.rng.some(visit::TAGS, 60) }
        } else {
            Vec::new()
        };
        let late: Vec<&'static str> = late.into_iter().filter(|tag| !tags.contains(tag)).collect();
        let (value, stash, awaiting, began, shown) = (None, None, false, false, false);
        let hard = waits.hard;
        let kind = Kind::Read { reader, value, stash, late, awaiting, began, shown, hard, group };
        self.add_op(number, id, kind);
    }

    pub(crate) fn add_op(&mut self, request: usize, id: OpId, kind: Kind) {
        if let Some(request) = self.requests.get_mut(request) {
            request.ops.push(Op { id, kind, settled: false, hit: false, hangs: false, waits: None });
        }
    }

    pub(crate) fn begin_write(&mut self, number: usize, aim: &Aim, kind: WriteKind<'_>) -> Option<OpId> {
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
    pub(crate) fn rule(&mut self, number: usize, aim: &Aim, soft: bool) -> usize {
        let isolate = self.requests.get(number).map_or(0, |request| request.isolate);
        let (begun, standing) = (self.moment, Standing::Pending);
        let aim = aim.clone();
        self.oracle.add(Rule { aim, begun, isolate, standing, soft, stored_only: false, except: None })
    }

    pub(crate) fn begin_end(&mut self, number: usize, aim: Aim, soft: bool) {
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

    pub(crate) fn begin_set(
        &mut self,
        number: usize,
        space: &'static str,
        key: &'static str,
        tags: Vec<&'static str>,
    ) {
        let aim = Aim { space, keys: vec![key], ..Aim::default() };
        let Some(request) = self.requests.get(number) else { return };
        let build = self.isolates.get(request.isolate).map_or("", |isolate| isolate.build);
        // The value follows from what this request has got for the key, or counts as read when the drop ran.
        let read = request.reads.iter().rev().find(|read| (read.0, read.1) == (space, key));
        let based = read.is_some();
        let read = read.map_or(self.moment, |read| read.2);
        let life = self.life();
        let value = self.values.add(Value {
            read,
            at: self.queue.now(),
            space,
            key,
            tags: tags.clone(),
            build,
            life,
            none: false,
        });
        let rule = self.rule(number, &aim, false);
        if let Some(rule) = self.oracle.rule_mut(rule) {
            rule.except = Some(value);
        }
        if let Some(request) = self.requests.get(number)
            && (request.outlived || request.taken.contains(&(space, key)))
            && let Some(isolate) = self.isolates.get_mut(request.isolate)
        {
            let what = if request.outlived { "set by who outlived a trap" } else { "set of what was held" };
            self.verdict.coverage.count(what);
            isolate.engine.took(request.id, isolate.cache, isolate.link, space, key);
        }
        let (ttl, swr, stale_if_error, jitter) = (None, None, None, None);
        let kind = WriteKind::Set { encoded: encoded(), tags: &tags, ttl, swr, stale_if_error, jitter };
        if let Some(id) = self.begin_write(number, &aim, kind) {
            let key = format!("p:k:{space}:{key}");
            self.add_op(number, id, Kind::Set { rule, value, key, dropped: false, based });
        }
    }

    pub(crate) fn begin_mutate(&mut self, number: usize, aim: Aim, deadline: u64) {
        let rule = self.rule(number, &aim, false);
        let kind = WriteKind::Mutate { deadline: Millis::new(deadline) };
        if let Some(id) = self.begin_write(number, &aim, kind) {
            self.add_op(number, id, Kind::Mutate { aim, rule, wrote: false });
        }
    }
}
