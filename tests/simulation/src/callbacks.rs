//! Callbacks: what reads the source, and what changes it.

use crate::oracle::{Aim, Rule, Standing};
use crate::plan::{MS, Micros};
use crate::queue::Event;
use crate::values::Value;
use crate::visit::Kind;
use crate::world::World;
use leeward::core::{Adapted, CallbackEnd, OpId};

impl World {
    pub(crate) fn callback_wait(&mut self) -> Micros {
        if self.plan.narrow {
            return self.rng.below(30 * MS);
        }
        match self.rng.below(100) {
            0..70 => self.rng.below(6 * MS),
            70..95 => self.rng.below(300 * MS),
            _ => self.rng.below(3_000 * MS),
        }
    }

    pub(crate) fn start_callback(&mut self, number: usize, id: OpId, stale: bool) {
        if let Some(Kind::Read { group: Some(group), .. }) = self.kind_mut(number, id) {
            let group = *group;
            return self.member_missing(group, id);
        }
        let drags = self.drags();
        let chance = self.plan.chance.clone();
        let hangs = self.rng.percent(chance.callback_hangs) && !self.healed;
        let awaits = self.rng.percent(60);
        let wait = self.callback_wait() + drags;
        let Some(request) = self.requests.get_mut(number) else { return };
        let (index, Some(op)) = (request.isolate, request.op_mut(id)) else {
            return self.violation(format!("r{number} runs the callback of {id:?}, which it does not know"));
        };
        if op.hit
            && let Kind::Read { reader, .. } = &op.kind
        {
            let key = format!("p:k:{}:{}", reader.space, reader.key);
            self.verdict.coverage.count("refreshed early");
            if !self.leases.used(number, &key) {
                return self.violation(format!("r{number} {id:?} refreshes early, and has no lease"));
            }
        }
        if hangs && matches!(op.kind, Kind::Read { .. }) {
            op.hangs = true;
            self.verdict.coverage.count("callback hung");
            return;
        }
        match &mut op.kind {
            Kind::Read { began: true, .. } => {
                self.violation(format!("r{number} {id:?} runs its callback twice"))
            }
            Kind::Read { late, awaiting, began, shown, .. } => {
                *began = true;
                *shown = stale;
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

    pub(crate) fn read_source(&mut self, number: usize, id: OpId) {
        if !self.alive(number) {
            return;
        }
        let read = self.moment;
        let at = self.queue.now();
        let Some(Kind::Read { reader, late, .. }) = self.kind_mut(number, id) else { return };
        let tags = reader.tags.iter().chain(late.iter()).copied().collect();
        let (space, key, build) = (reader.space, reader.key, reader.build);
        let (life, negative) = (reader.life, reader.negative);
        let none = self.more.percent(self.plan.chance.none);
        let life = negative.filter(|_| none).unwrap_or(life);
        let made = Value { read, at, space, key, tags, build, none, life };
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

    pub(crate) fn end_callback(&mut self, number: usize, id: OpId) {
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
        let Some(Kind::Read { late, value, .. }) = request.op_mut(id).map(|op| &op.kind) else { return };
        let none = value.and_then(|value| self.values.get(value)).is_some_and(|value| value.none);
        let tags: Vec<String> = late.iter().map(|tag| String::from(*tag)).collect();
        if !tags.is_empty() {
            self.verdict.coverage.count("late tags declared");
        }
        let end = if fails {
            self.verdict.coverage.count("callback failed");
            CallbackEnd::Err
        } else {
            if none {
                self.verdict.coverage.count("there was none");
            }
            self.ends(number, id, skip, none, tags)
        };
        self.trace.say(self.queue.now(), self.moment, || format!("r{number} {id:?} callback ends {end:?}"));
        self.callback(number, index, id, end);
    }

    pub(crate) fn callback(&mut self, number: usize, index: usize, id: OpId, end: CallbackEnd) {
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            if !isolate.engine.callback(id, end, host) {
                self.violation(format!("r{number} {id:?} is not known any more"));
            }
        }
        self.drive(number);
    }

    pub(crate) fn write_source(&mut self, number: usize, id: OpId) {
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
    pub(crate) fn is_marked(&mut self, aim: &Aim) -> bool {
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

    pub(crate) fn end_mutate(&mut self, number: usize, id: OpId) {
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
            let (life, skip, none, not_modified) = (Adapted::default(), false, false, false);
            CallbackEnd::Ok { life, skip, none, not_modified, tags: Vec::new() }
        };
        self.callback(number, index, id, end);
    }
}
