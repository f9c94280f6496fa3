//! An isolate: an instance of the core, its clock, and the promises that its requests share.

use std::collections::BTreeMap;

use leeward::core::{CacheConfig, CacheId, ConnectionId, Endpoint, Engine, Limits, OpId, SharedId, Ticket};

use crate::plan::{Micros, Plan};
use crate::rng::Rng;

/// When the simulation starts, Unix ms.
pub const EPOCH: u64 = 1_700_000_000_000;

/// A clock that may jump and stand still.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead: i64,
    frozen: Option<Micros>,
}

impl Clock {
    /// What it shows, in microseconds of Unix time.
    #[must_use]
    pub fn at(&self, now: Micros) -> u64 {
        let seen = self.frozen.unwrap_or(now);
        (EPOCH * 1000 + seen).saturating_add_signed(self.ahead)
    }

    /// From now on it shows so much more, or less.
    pub fn jump(&mut self, by: i64) {
        self.ahead += by;
    }

    /// It stands still from now on, or goes on from where it stood.
    pub fn toggle(&mut self, now: Micros) {
        match self.frozen.take() {
            Some(stood) => self.ahead -= i64::try_from(now - stood).unwrap_or(0),
            None => self.frozen = Some(now),
        }
    }

    /// Whether it stands still.
    #[must_use]
    pub const fn stands(&self) -> bool {
        self.frozen.is_some()
    }
}

/// A promise that requests share.
#[derive(Debug)]
pub struct Promise {
    /// The request that made it.
    pub owner: usize,
    /// It has settled.
    pub settled: bool,
    /// Nobody will settle it.
    pub abandoned: bool,
    /// The number of the value under it.
    pub value: Option<usize>,
    /// Who waits.
    pub waiters: Vec<(usize, OpId)>,
}

/// The number and the name of something that an isolate holds, and the value.
pub type InL1 = (Ticket, usize);

/// An isolate.
#[derive(Debug)]
pub struct Isolate {
    /// Its instance of the core.
    pub engine: Engine,
    /// Its cache.
    pub cache: CacheId,
    /// Its connection.
    pub link: ConnectionId,
    /// The build that it runs.
    pub build: &'static str,
    /// Its clock.
    pub clock: Clock,
    /// Its clock has jumped or stood still.
    pub odd_clock: bool,
    /// Its promises.
    pub promises: BTreeMap<SharedId, Promise>,
    /// Until when the attempt under way is the only one, if one is: host ms.
    pub attempt: Option<f64>,
    /// What outlives its instance of the core.
    pub kept: Vec<(String, String)>,
    /// Redis refused something for good.
    pub refused: bool,
    /// What it holds, by namespace and key: the core's number and name, and the value. Of instances that have failed as well:
    /// the next one must know that it is nothing of its own.
    pub held: BTreeMap<(&'static str, &'static str), InL1>,
    /// Its instance is not the first.
    pub trapped: bool,
}

impl Isolate {
    /// An isolate of a build; `None` if the core has no room, which it must have.
    #[must_use]
    pub fn new(rng: &mut Rng, plan: &Plan, build: &'static str) -> Option<Self> {
        let (engine, cache, link) = instance(rng, plan, build)?;
        Some(Self {
            engine,
            cache,
            link,
            build,
            clock: Clock::default(),
            odd_clock: false,
            promises: BTreeMap::new(),
            attempt: None,
            kept: Vec::new(),
            refused: false,
            held: BTreeMap::new(),
            trapped: false,
        })
    }

    /// Its instance fails, and another one takes its place, with what was kept.
    pub fn trap(&mut self, rng: &mut Rng, plan: &Plan, now: Micros) -> Option<()> {
        let host = self.host(now);
        let (engine, cache, link) = instance(rng, plan, self.build)?;
        self.engine = engine;
        self.cache = cache;
        self.link = link;
        self.attempt = None;
        self.trapped = true;
        self.promises.clear();
        for (name, record) in &self.kept {
            if !self.engine.restore(self.link, name, record, host) {
                return None;
            }
        }
        Some(())
    }

    /// What the core hands out to be kept: as in the driver's table, what is there already stays in its place.
    pub fn keep(&mut self, name: String, record: Option<String>) {
        let known = self.kept.iter_mut().find(|(known, _)| *known == name);
        match (known, record) {
            (Some((_, kept)), Some(record)) => *kept = record,
            (None, Some(record)) => self.kept.push((name, record)),
            (_, None) => self.kept.retain(|(known, _)| *known != name),
        }
    }

    /// What the host's clock shows, ms.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "well below 2^53")]
    pub fn host(&self, now: Micros) -> f64 {
        (self.clock.at(now) / 1000) as f64
    }
}

fn instance(rng: &mut Rng, plan: &Plan, build: &str) -> Option<(Engine, CacheId, ConnectionId)> {
    let limits = Limits { journal: plan.journal };
    let mut engine = Engine::with_limits([rng.next(), rng.next()], limits);
    let cache = engine.cache(CacheConfig { build: String::from(build), ..plan.config.clone() })?;
    let endpoint = Endpoint::new("https://redis.test", "token").map_err(|error| error.to_string());
    let link = engine.open(endpoint)?;
    Some((engine, cache, link))
}
