//! What a part of the schedules has besides: callers that wait for callbacks no longer than they say, and callbacks that look at
//! stale values and say how long theirs live. Drawn from a sequence of chance of its own: the other schedules stay what they were.

use leeward::core::{Adapted, CallbackEnd, Freshness, Gone, Life, Millis, OpId, Outcome, Served, Waits};

use crate::oracle::Reader;
use crate::plan::{MS, Micros, Plan};
use crate::queue::Event;
use crate::rng::Rng;
use crate::visit::{Kind, Step};
use crate::world::World;

/// What a read says of itself in such a schedule.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) waits: Waits,
    pub(crate) life: Adapted,
}

/// A life where nothing else is said.
#[must_use]
pub(crate) fn adapted(life: Life, by: Adapted) -> Life {
    Life {
        ttl: by.ttl.unwrap_or(life.ttl),
        swr: by.swr.unwrap_or(life.swr),
        stale_if_error: by.stale_if_error.unwrap_or(life.stale_if_error),
    }
}

impl World {
    /// The life that the caches give.
    pub(crate) const fn life(&self) -> Life {
        let config = &self.plan.config;
        Life { ttl: config.ttl, swr: config.swr, stale_if_error: config.stale_if_error }
    }

    /// The life that they give to what is not there, where that is set.
    pub(crate) fn negative(&self) -> Option<Life> {
        let (swr, stale_if_error) = (Millis::ZERO, Millis::ZERO);
        self.plan.config.negative_ttl.map(|ttl| Life { ttl, swr, stale_if_error })
    }

    /// What the next read asks for.
    pub(crate) fn asks(&mut self) -> Asked {
        if !self.plan.patience || self.healed {
            return Asked::default();
        }
        let mut one = |of: &[u64]| self.extra.pick(of).filter(|ms| *ms > 0).map(Millis::new);
        let waits =
            Waits { read: one(&[0, 0, 20]), soft: one(&[0, 5, 40, 150]), hard: one(&[0, 0, 60, 400]) };
        let mut life = Adapted { ttl: one(&[0, 0, 20, 100]), swr: one(&[0, 0, 0, 50]), stale_if_error: None };
        life.stale_if_error = self.extra.pick(&[0, 30, 300, 20_000]).map(Millis::new);
        Asked { waits, life }
    }

    /// Entries that do not live long, and are kept: what is stale is what this is about.
    pub(crate) fn set_patience(plan: &mut Plan, extra: &mut Rng) {
        plan.patience = extra.percent(25);
        if plan.patience {
            let config = &mut plan.config;
            config.ttl = Millis::new(extra.pick(&[20, 60, 300]).unwrap_or(60));
            config.stale_if_error = Millis::new(extra.pick(&[300, 20_000]).unwrap_or(300));
            config.swr = Millis::new(extra.pick(&[0, 0, 0, 200]).unwrap_or(0));
            plan.span = plan.span.max(extra.pick(&[100, 400, 2_000]).unwrap_or(400) * MS);
        }
    }

    /// Who reads one key again and again.
    pub(crate) fn add_readers(&mut self) {
        if !self.plan.patience {
            return;
        }
        for n in 0..8 {
            let at = self.extra.below(self.plan.span);
            let isolate = usize::try_from(self.extra.below(self.plan.isolates as u64)).unwrap_or(0);
            let read = || Step::Read {
                space: "",
                key: "k",
                tags: Vec::new(),
                freshness: Freshness::Normal,
                load: true,
            };
            let mut pause = || Step::Pause(self.extra.below(400 * MS));
            let steps = Vec::from([read(), pause(), read(), pause(), read()]);
            let number = self.requests.len();
            self.add_request(n, isolate, true, steps);
            self.queue.after(at, Event::Arrive(number));
        }
    }

    /// How much longer a callback takes.
    pub(crate) fn drags(&mut self) -> Micros {
        if !self.plan.patience || self.healed || !self.extra.percent(50) {
            return 0;
        }
        self.extra.below(250 * MS)
    }

    /// How a callback ends that has read the source as `value`.
    pub(crate) fn ends(
        &mut self,
        number: usize,
        id: OpId,
        skip: bool,
        none: bool,
        tags: Vec<String>,
    ) -> CallbackEnd {
        let Some(Kind::Read { value, shown, .. }) = self.kind_mut(number, id) else {
            return CallbackEnd::Err;
        };
        let (value, shown) = (*value, *shown);
        let (mut life, mut not_modified) = (Adapted::default(), false);
        if self.plan.patience && !self.healed {
            let mut one = |of: &[u64]| {
                self.extra.pick(of).filter(|ms| *ms < 1_000_000).map(|ms| Millis::new(ms.max(1)))
            };
            life = Adapted {
                ttl: one(&[1_000_000, 1_000_000, 30, 60_000]),
                swr: one(&[1_000_000, 1, 500]),
                stale_if_error: one(&[1_000_000, 1, 500, 20_000]),
            };
            // The source holds what it held: the value is as good as read now.
            not_modified = shown && self.extra.percent(50);
        }
        if not_modified {
            self.verdict.coverage.count("not modified");
        }
        if let Some(value) = value.and_then(|value| self.values.get_mut(value)) {
            value.life = adapted(value.life, life);
        }
        CallbackEnd::Ok { life, skip, none, not_modified, tags }
    }

    /// A callback is told to stop. Those here never do, as callbacks may.
    pub(crate) fn cancelled(&mut self, gone: Gone) {
        self.verdict.coverage.count(match gone {
            Gone::Aborted => "callback told of an abort",
            Gone::Late(_) => "callback told that it is late",
        });
    }

    /// A caller is told that its callback is late.
    pub(crate) fn timed_out(&mut self, number: usize, id: OpId, hard: Millis) {
        self.verdict.coverage.count("timed out");
        let now = self.queue.now();
        let Some(Kind::Read { reader, hard: asked, .. }) = self.kind_mut(number, id) else { return };
        let (asked, isolate) = (*asked, reader.isolate);
        let early = reader.at.is_some_and(|at| now + MS < at + hard.get() * MS);
        let odd = self.isolates.get(isolate).is_none_or(|isolate| isolate.odd_clock);
        if asked != Some(hard) || early && !odd {
            self.violation(format!("r{number} {id:?} is told after {hard} that its callback is late"));
        }
        if let Some(Kind::Read { group: Some(group), .. }) = self.kind_mut(number, id) {
            let group = *group;
            self.member_answered(group, id);
        }
        self.settle(number, id, "times out");
    }
}

/// Whether an answer is staler than the entry and its reader allow; `kept`: in place of a callback's own.
#[must_use]
pub(crate) fn too_stale(reader: &Reader, served: &Served, stored: Life, kept: bool) -> bool {
    if served.outcome != Outcome::Stale {
        return false;
    }
    let stale = served.age.get().saturating_sub(stored.ttl.get());
    let bound = if kept {
        stored.stale_if_error.min(reader.life.stale_if_error)
    } else {
        stored.swr.min(reader.life.swr)
    };
    stale >= bound.get()
}
