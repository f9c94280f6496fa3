//! What requests do: the steps of one, drawn by chance, and the operations that are under way in it.

use leeward::core::{BatchId, Freshness, Millis, OpId, RequestId, SharedId};

use crate::oracle::{Aim, Reader};
use crate::plan::{Micros, Plan};
use crate::rng::Rng;
use crate::values::Moment;

/// Namespaces, by path.
pub const SPACES: &[&str] = &["", "n"];
/// Keys of each.
pub const KEYS: &[&str] = &["k", "l"];
/// Tags of each.
pub const TAGS: &[&str] = &["s", "t"];

/// What a request does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads; whether it has a callback.
    Read { space: &'static str, key: &'static str, tags: Vec<&'static str>, freshness: Freshness, load: bool },
    /// Reads all keys of a namespace by one call.
    Many { space: &'static str, tags: Vec<&'static str> },
    /// Sends a command of its own.
    Raw,
    /// Ends what is stored.
    Invalidate(Aim),
    /// Makes it stale.
    Expire(Aim),
    /// Stores a value.
    Set { space: &'static str, key: &'static str, tags: Vec<&'static str> },
    /// Changes the source; how long the callback says that it will take, ms.
    Mutate(Aim, u64),
    /// Waits.
    Pause(Micros),
}

/// The steps of a request, the last one first.
#[must_use]
pub fn steps(rng: &mut Rng, narrow: bool) -> Vec<Step> {
    if narrow {
        return narrow_steps(rng);
    }
    let mut steps = Vec::new();
    let space = if rng.percent(75) { "" } else { "n" };
    for _ in 0..rng.between(1, 4) {
        match rng.below(100) {
            0..55 => steps.push(read(rng, space)),
            55..72 => steps.push(Step::Invalidate(aim(rng, space))),
            72..77 => steps.push(Step::Expire(aim(rng, space))),
            77..82 => {
                let Step::Read { key, .. } = read(rng, space) else { continue };
                steps.push(Step::Set { space, key, tags: rng.some(TAGS, 30) });
            }
            82..87 => {
                // As with a counter: read, then store what follows from it.
                let Step::Read { space, key, tags, .. } = read(rng, space) else { continue };
                steps.push(Step::Set { space, key, tags: tags.clone() });
                if rng.percent(30) {
                    steps.push(Step::Pause(rng.between(1, 40) * 1000));
                }
                let freshness = Freshness::Normal;
                steps.push(Step::Read { space, key, tags, freshness, load: true });
            }
            87..95 => {
                steps.push(Step::Mutate(aim(rng, space), rng.pick(&[100, 2_000, 10_000]).unwrap_or(2_000)))
            }
            _ => steps.push(Step::Pause(rng.between(1, 400) * 1000)),
        }
    }
    steps
}

/// Puts calls for many keys and raw commands among the steps of a request.
pub fn add_more(steps: &mut Vec<Step>, more: &mut Rng, plan: &Plan) {
    for (chance, raw) in [(plan.many, false), (plan.raw, true), (plan.raw, true)] {
        if more.percent(chance) {
            let space = if plan.narrow || more.percent(75) { "" } else { "n" };
            let step = if raw { Step::Raw } else { Step::Many { space, tags: more.some(TAGS, 20) } };
            let at = usize::try_from(more.below(steps.len() as u64 + 1)).unwrap_or(0);
            steps.insert(at, step);
        }
    }
}

/// Reads of one key, and invalidations that end it.
fn narrow_steps(rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..rng.between(1, 3) {
        let tags = rng.some(&["s"], 15);
        let freshness = if rng.percent(15) { Freshness::Strict } else { Freshness::Normal };
        let aim = if rng.percent(60) {
            Aim { tags: Vec::from(["s"]), ..Aim::default() }
        } else {
            Aim { keys: Vec::from(["k"]), ..Aim::default() }
        };
        steps.push(match rng.below(100) {
            0..65 => Step::Read { space: "", key: "k", tags, freshness, load: true },
            65..90 => Step::Invalidate(aim),
            90..95 => Step::Mutate(aim, 2_000),
            _ => Step::Set { space: "", key: "k", tags },
        });
    }
    steps
}

/// A read of some key.
#[must_use]
pub fn read(rng: &mut Rng, space: &'static str) -> Step {
    let freshness = match rng.below(100) {
        0..8 => Freshness::Strict,
        8..15 => Freshness::Forced,
        _ => Freshness::Normal,
    };
    // Few keys, so that they meet.
    let key = if rng.percent(70) { "k" } else { "l" };
    Step::Read { space, key, tags: rng.some(TAGS, 30), freshness, load: rng.percent(92) }
}

fn aim(rng: &mut Rng, space: &'static str) -> Aim {
    let mut aim = Aim { space, ..Aim::default() };
    match rng.below(100) {
        0..45 => aim.keys = rng.some(KEYS, 60),
        45..85 => aim.tags = rng.some(TAGS, 60),
        _ => aim.all = true,
    }
    if aim.keys.is_empty() && aim.tags.is_empty() && !aim.all {
        aim.keys = Vec::from(["k"]);
    }
    aim
}

/// What an operation is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A read.
    Read {
        /// For the oracle.
        reader: Reader,
        /// The value that it has, if it has one.
        value: Option<usize>,
        /// The stale value that it keeps.
        stash: Option<usize>,
        /// The tags that its callback declares.
        late: Vec<&'static str>,
        /// It waits for their versions.
        awaiting: bool,
        /// Its callback has begun.
        began: bool,
        /// Its callback is shown a stale value.
        shown: bool,
        /// How long its caller waits for the callback.
        hard: Option<Millis>,
        /// The call for many keys that it belongs to.
        group: Option<usize>,
    },
    /// A raw command, and its name.
    Raw { name: String, command: String },
    /// An invalidation or an expiry, with its rule's number.
    End { rule: usize },
    /// A `set`.
    Set { rule: usize, value: usize, key: String, dropped: bool, based: bool },
    /// A mutate.
    Mutate { aim: Aim, rule: usize, wrote: bool },
    /// The core's own.
    Own,
}

/// An operation under way.
#[derive(Clone, Debug)]
pub struct Op {
    /// Which.
    pub id: OpId,
    /// What it is.
    pub kind: Kind,
    /// Its caller has been answered.
    pub settled: bool,
    /// By a fresh hit.
    pub hit: bool,
    /// Its callback never settles.
    pub hangs: bool,
    /// The promise that it waits for.
    pub waits: Option<SharedId>,
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Where.
    pub isolate: usize,
    /// How the core knows it.
    pub id: RequestId,
    /// It has not been ended.
    pub alive: bool,
    /// The host keeps its promises alive.
    pub anchored: bool,
    /// What it will do, the last step first.
    pub steps: Vec<Step>,
    /// What it has under way.
    pub ops: Vec<Op>,
    /// Its timer: its number, and what it is set for, host ms.
    pub timer: (u64, Option<f64>),
    /// When the data was read that it got by its reads, or stored by its sets.
    pub reads: Vec<(&'static str, &'static str, Moment)>,
    /// The keys that it has got from what its isolate holds, and not otherwise since.
    pub taken: Vec<(&'static str, &'static str)>,
    /// It has read what the present instance knows nothing of.
    pub outlived: bool,
}

impl Request {
    /// An operation of its own.
    pub fn op_mut(&mut self, id: OpId) -> Option<&mut Op> {
        self.ops.iter_mut().find(|op| op.id == id)
    }
}

/// One HTTP request on its way, or what has become of it.
#[derive(Debug)]
pub struct Message {
    /// Whose.
    pub request: usize,
    /// Which.
    pub batch: BatchId,
    /// Its commands.
    pub body: String,
    /// When it was executed so that it is answered, and the answer.
    pub answer: Option<(Moment, String)>,
    /// The client has given up.
    pub aborted: bool,
    /// The client has its answer, or knows that there is none.
    pub over: bool,
    /// It has been executed at least once.
    pub executed: bool,
}
