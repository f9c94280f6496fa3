//! The world of one schedule: isolates, requests, the wire, Redis, and the one who watches.

use leeward::core::{Freshness, RequestId};
use leeward_redis_model::{Model, Snapshot};

use crate::coverage::Coverage;
use crate::isolate::{Clock, EPOCH, Isolate};
use crate::lives::Leases;
use crate::many::Group;
use crate::marks::Marks;
use crate::mutants::LuaMutant;
use crate::oracle::Oracle;
use crate::plan::{MS, Plan};
use crate::queue::{Event, Queue};
use crate::raw::Raws;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::values::{Moment, Values};
use crate::visit::{self, Message, Request, Step};

/// What else is drawn for a seed: whether isolates hold values, and how long.
const HOLDS: u64 = 0x6c31;

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
    pub(crate) rng: Rng,
    /// What readers' schemas think of stored values: of a stream of its own.
    pub(crate) tastes: Rng,
    /// How often, of a hundred, a stored value will not do.
    pub(crate) picky: u64,
    /// For what the plan's `extend` brings in, and for what its `renew` does: so that all else means what it meant.
    pub(crate) crowd: Rng,
    /// See `crowd`.
    pub(crate) more: Rng,
    /// The same for `patience`.
    pub(crate) extra: Rng,
    pub(crate) plan: Plan,
    pub(crate) queue: Queue,
    pub(crate) moment: Moment,
    pub(crate) redis: Model,
    pub(crate) redis_clock: Clock,
    pub(crate) down: bool,
    pub(crate) healed: bool,
    pub(crate) isolates: Vec<Isolate>,
    pub(crate) requests: Vec<Request>,
    pub(crate) messages: Vec<Message>,
    pub(crate) values: Values,
    pub(crate) oracle: Oracle,
    pub(crate) marks: Marks,
    pub(crate) groups: Vec<Group>,
    pub(crate) raws: Raws,
    pub(crate) leases: Leases,
    /// What Redis held a while ago, in schedules in which it may come back.
    pub(crate) older: Option<Snapshot>,
    /// It has.
    pub(crate) rolled_back: bool,
    pub(crate) verdict: Verdict,
    pub(crate) trace: Trace,
    /// The reply that is being handled.
    pub(crate) body: String,
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
pub fn run(seed: u64, scripts: &[LuaMutant], traced: bool) -> Verdict {
    let mut rng = Rng::new(seed);
    let mut tastes = Rng::new(!seed);
    let mut plan = Plan::of(&mut rng);
    plan.hold(&mut Rng::new(seed ^ HOLDS));
    let mut crowd = Rng::new(seed ^ 0x6d61_6e79_5f61_6e64);
    plan.extend(&mut crowd);
    let mut more = Rng::new(seed ^ 0x72_65_6e_65_77);
    plan.renew(&mut more);
    let mut extra = Rng::new(seed ^ 0x7061_7469_656e_6365);
    World::set_patience(&mut plan, &mut extra);
    let mut redis = Model::new(EPOCH * 1000);
    for script in scripts {
        if let Err(error) = redis.replace_script(script.original, &script.text) {
            let violations = vec![format!("the mistaken script does not compile: {error}")];
            return Verdict { violations, ..Verdict::default() };
        }
    }
    let mut isolates = Vec::new();
    for build in &plan.builds {
        let Some(isolate) = Isolate::new(&mut rng, &plan, build) else { return Verdict::default() };
        isolates.push(isolate);
    }
    let mut oracle = Oracle::new(plan.config.flight.get() * MS);
    oracle.tick(0);
    let mut world = World {
        rng,
        crowd,
        picky: if tastes.percent(30) { 15 } else { 0 },
        tastes,
        more,
        extra,
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
        oracle,
        marks: Marks::default(),
        groups: Vec::new(),
        raws: Raws::default(),
        leases: Leases::default(),
        older: None,
        rolled_back: false,
        verdict: Verdict::default(),
        trace: Trace::new(traced),
        body: String::new(),
    };
    world.plan_all();
    let mut events = 0;
    while let Some(event) = world.queue.pop() {
        world.moment += 1;
        world.oracle.tick(world.queue.now());
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
            let mut steps = visit::steps(&mut self.rng, self.plan.narrow);
            visit::add_more(&mut steps, &mut self.crowd, &self.plan);
            let anchored = self.rng.percent(92);
            self.add_request(n, isolate, anchored, steps);
            self.queue.after(at, Event::Arrive(number));
        }
        self.add_readers();
        for _ in 0..6 {
            let at = self.rng.below(self.plan.span + 500 * MS);
            self.queue.after(at, Event::Fault);
        }
        let healed = self.plan.span + 12_000 * MS;
        self.queue.after(healed, Event::Heal);
        // Who comes when all is well again, and sees what is left of it; and once more, much later.
        // Those who may spend little come more often.
        let little = self.plan.config.subrequests < 10;
        let waits: &[u64] =
            if little { &[1_000, 2_000, 3_000, 4_000, 70_000, 71_000] } else { &[1_000, 70_000] };
        for wait in waits {
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

    pub(crate) fn add_request(&mut self, number: u64, isolate: usize, anchored: bool, steps: Vec<Step>) {
        self.requests.push(Request {
            isolate,
            id: RequestId(u32::try_from(number).unwrap_or(0) + 1),
            alive: true,
            anchored,
            steps,
            ops: Vec::new(),
            timer: (0, None),
            reads: Vec::new(),
            taken: Vec::new(),
            outlived: false,
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
            Event::AskMany(group) => self.ask_many(group),
            Event::LoadMany(group) => self.load_many(group),
            Event::EndMany(group) => self.end_many(group),
            Event::WriteSource(request, op) => self.write_source(request, op),
            Event::EndMutate(request, op) => self.end_mutate(request, op),
            Event::Execute(message, answered) => self.execute(message, answered),
            Event::Reply(message) => self.reply(message),
            Event::Break(message) => self.break_off(message),
            Event::Fault => self.fault(),
            Event::Heal => self.heal(),
        }
    }
}
