//! Answers: what callers get, and what the one who watches says to it.

use crate::lives;
use crate::oracle::{Reader, Standing};
use crate::patience::too_stale;
use crate::plan::MS;
use crate::queue::Event;
use crate::values::Value;
use crate::visit::Kind;
use crate::world::World;
use leeward::core::{
    Bound, Bypass, ErrorKind, Event as Told, EventKind, InvalidationState, LeaseOutcome, Millis, OpId,
    Outcome, Served, StateName,
};

/// How long an attempt to connect is the only one, unless it has failed before: ms.
const ATTEMPT: f64 = 250.0;

impl World {
    pub(crate) fn serve(
        &mut self,
        number: usize,
        id: OpId,
        served: Served,
        value: Option<usize>,
        kept: bool,
    ) {
        let Some(Kind::Read { reader, group, .. }) = self.kind_mut(number, id) else { return };
        let (reader, group) = (reader.clone(), *group);
        if let Some(group) = group {
            self.member_answered(group, id);
        }
        let value_read = value.and_then(|value| self.values.get(value));
        if let Some(value) = value_read
            && let Some(request) = self.requests.get_mut(number)
        {
            request.reads.push((value.space, value.key, value.read));
            request.taken.retain(|taken| *taken != (value.space, value.key));
        }
        let stored = value_read.map(|value| value.life);
        if stored.is_some_and(|stored| too_stale(&reader, &served, stored, kept)) {
            return self.violation(format!("r{number} {id:?} {served:?}: too stale, stored for {stored:?}"));
        }
        let kept = kept && value_read.is_some_and(|value| self.is_fenced(reader.isolate, value));
        let without = !matches!(served.outcome, Outcome::Hit | Outcome::Stale) && value.is_none();
        let verdict =
            if without { None } else { self.oracle.judge(&reader, &served, value, value_read, kept, None) };
        let coverage = &mut self.verdict.coverage;
        coverage.count(match served.outcome {
            Outcome::Hit => "served hit",
            Outcome::Stale => "served stale",
            Outcome::Revalidated => "served revalidated",
            Outcome::Miss => "served miss",
            Outcome::Bypass => "served bypass",
        });
        if served.shared {
            coverage.count(match (served.outcome, served.reason, served.stored) {
                (Outcome::Hit | Outcome::Stale, ..) => "shared hit",
                (_, Some(Bypass::Down), _) => "shared while down",
                (_, _, Some(true)) => "shared stored",
                _ => "shared computed before the callback",
            });
        }
        if served.reason == Some(Bypass::Budget) {
            coverage.count("served over the budget");
        }
        if served.reason == Some(Bypass::PendingInvalidation) {
            coverage.count("read covered by a pending invalidation");
        }
        if value_read.is_some_and(|value| lives::too_old(&self.plan.config, &served, value)) {
            self.violation(format!("r{number} {id:?} {served:?}: it is over"));
        }
        if self.rolled_back && verdict.is_some() {
            // Outside of what is promised: Redis has lost what it had acknowledged. It is counted.
            self.verdict.coverage.count("stale after a rollback");
        } else if let Some(problem) = verdict {
            self.violation(format!("r{number} {id:?} {served:?} value {value:?}: {problem}"));
        }
        if served.outcome == Outcome::Hit
            && let Some(op) = self.requests.get_mut(number).and_then(|request| request.op_mut(id))
        {
            op.hit = true;
        }
        self.settle(number, id, "is served");
    }

    /// A read is answered with what its isolate holds.
    pub(crate) fn serve_held(&mut self, number: usize, reader: Reader, value: usize, age: Millis) {
        let (outcome, reason, shared, stored) = (Outcome::Hit, None, false, Some(true));
        let served = Served { outcome, reason, shared, age, stored };
        self.verdict.coverage.count("served from l1");
        self.trace
            .say(self.queue.now(), self.moment, || format!("r{number} is served value {value} from l1"));
        let read = self.values.get(value);
        let ttl = self.plan.config.l1.map(|l1| l1.ttl.get() * MS);
        let problem = self.oracle.judge(&reader, &served, Some(value), read, false, ttl);
        if let (Some(read), Some(request)) = (read, self.requests.get_mut(number)) {
            request.reads.push((read.space, read.key, read.read));
            request.taken.push((read.space, read.key));
            if !request.ops.iter().any(|op| !op.settled && !op.hangs && !matches!(op.kind, Kind::Own)) {
                self.queue.after(MS, Event::Step(number));
            }
        }
        if let Some(problem) = problem.filter(|_| !self.rolled_back) {
            self.violation(format!("r{number} from l1, value {value}: {problem}"));
        }
    }

    /// Whether the isolate knows of an invalidation that covers a value and is not acknowledged.
    fn is_fenced(&self, index: usize, value: &Value) -> bool {
        let Some(isolate) = self.isolates.get(index) else { return false };
        let space = value.space;
        let own = [format!("p:k:{space}:{}", value.key), String::from("p:n:"), format!("p:n:{space}")];
        let tags = value.tags.iter().map(|tag| format!("p:t:{space}:{tag}"));
        own.into_iter().chain(tags).any(|key| isolate.engine.is_fenced(isolate.link, &key))
    }

    pub(crate) fn settle(&mut self, number: usize, id: OpId, how: &str) {
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

    pub(crate) fn applied(&mut self, number: usize, id: OpId, stored: bool) {
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

    pub(crate) fn not_applied(&mut self, number: usize, index: usize, id: OpId, state: InvalidationState) {
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

    pub(crate) fn told(&mut self, index: usize, event: Told) {
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
                isolate.attempt = Some(host + ATTEMPT);
            }
            EventKind::Connection { to: StateName::Ready | StateName::Down, message, .. } => {
                isolate.attempt = None;
                if message.is_some_and(|message| message.contains("slow")) {
                    coverage.count("down by slow answers");
                }
            }
            EventKind::Fill { stored: true, .. } => coverage.count("fill stored"),
            EventKind::Fill { reason: Some("overtaken"), .. } => coverage.count("fill overtaken"),
            EventKind::Fill { reason: Some("marked"), .. } => coverage.count("fill marked"),
            EventKind::Failure { error: ErrorKind::Callback, .. } => {
                coverage.count("served stale for an error")
            }
            EventKind::Timeout { bound: Bound::Soft, .. } => coverage.count("served at the soft bound"),
            EventKind::Timeout { stale: true, .. } => coverage.count("served stale at the hard bound"),
            EventKind::Lease { outcome, .. } => {
                coverage.count("waited for a lease");
                if outcome == LeaseOutcome::Taken {
                    coverage.count("lease taken over");
                }
            }
            EventKind::Invalidation { state, replay: true, namespace, .. } => {
                coverage.count("replayed");
                if namespace.is_some() && self.plan.journal < 9 {
                    coverage.count("journal collapsed");
                }
                isolate.refused |= state == InvalidationState::Refused;
            }
            EventKind::Invalidation { state: InvalidationState::Refused, .. } => isolate.refused = true,
            EventKind::Invalidation { reason: Some("budget"), .. } => {
                coverage.count("invalidation over the budget");
            }
            _ => {}
        }
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.trace.say(self.queue.now(), self.moment, || format!("!! {what}"));
        self.verdict.violations.push(what);
    }
}
