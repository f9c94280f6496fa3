//! What a seed makes happen: which faults there are, how often, and what the visitors do. Each seed has its own choice of
//! faults: with all of them at once, some would hide others.

use leeward::core::{CacheConfig, L1Config, L1Values, Millis, Ratio};

use crate::rng::Rng;

/// Microseconds of the simulation's time.
pub type Micros = u64;
/// A millisecond.
pub const MS: Micros = 1000;

/// How a schedule is set.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many isolates there are.
    pub isolates: usize,
    /// The build of each.
    pub builds: Vec<&'static str>,
    /// How many requests come, one after the other at random times.
    pub requests: u64,
    /// Within what time they come.
    pub span: Micros,
    /// The settings of the caches, but for the build.
    pub config: CacheConfig,
    /// Everybody is after the same key and the same tag at the same time.
    pub narrow: bool,
    /// For how many invalidations the journal has room.
    pub journal: usize,
    /// Chances in a hundred.
    pub chance: Chance,
    /// Chances in a hundred that a request also asks for many keys, or sends a raw command.
    pub many: u64,
    pub raw: u64,
    /// Whether a runtime tells those who wait that a promise's owner has ended.
    pub tells_of_lost: bool,
    /// Whether callers wait for callbacks only so long, and callbacks look at stale values.
    pub patience: bool,
}

/// How often things happen, in a hundred of what they can happen to; 0: never in this schedule.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "each is named in `Coverage`")]
pub struct Chance {
    pub kill: u64,
    pub lose_request: u64,
    pub lose_reply: u64,
    pub hang: u64,
    pub late: u64,
    pub twice: u64,
    pub slow: u64,
    pub flushall: u64,
    pub evict: u64,
    pub spoil: u64,
    pub script_flush: u64,
    pub restart: u64,
    pub oom: u64,
    pub trap: u64,
    pub rollback: u64,
    pub refuse_scripts: u64,
    pub down: u64,
    pub isolate_clock: u64,
    pub redis_clock: u64,
    pub callback_fails: u64,
    pub callback_hangs: u64,
    pub unstorable: u64,
    pub late_tags: u64,
    pub outruns: u64,
    pub none: u64,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(rng: &mut Rng) -> Self {
        let isolates = usize::try_from(rng.between(1, 3)).unwrap_or(1);
        let two_builds = rng.percent(50);
        let builds = (0..isolates).map(|i| if two_builds && i % 2 == 1 { "b" } else { "a" }).collect();
        let stale = rng.percent(40);
        let ttls = if stale { [60_000, 2_000, 300, 60] } else { [60_000, 60_000, 60_000, 2_000] };
        let ttl = rng.pick(&ttls).unwrap_or(60_000);
        let mut config = CacheConfig {
            prefix: String::from("p"),
            ttl: Millis::new(ttl),
            swr: Millis::new(if stale && rng.percent(50) { 5_000 } else { 0 }),
            stale_if_error: Millis::new(if stale && rng.percent(70) { 20_000 } else { 0 }),
            lease_wait: Millis::new(if rng.percent(25) { 1_500 } else { 0 }),
            observed: true,
            debug: true,
            ..CacheConfig::default()
        };
        let mut chance = Chance::of(rng);
        if config.stale_if_error > Millis::ZERO {
            chance.callback_fails = 25;
        }
        let narrow = rng.percent(25);
        if narrow {
            chance.late_tags = rng.pick(&[0, 30, 70]).unwrap_or(0);
            chance.lose_request = rng.pick(&[0, 25]).unwrap_or(0);
            chance.slow = rng.pick(&[0, 50]).unwrap_or(0);
            if rng.percent(30) {
                // Stale values, kept while callbacks run that fail.
                config.ttl = Millis::new(10);
                config.swr = Millis::ZERO;
                config.stale_if_error = Millis::new(20_000);
                chance.callback_fails = 40;
            }
        }
        let requests = rng.between(6, 26);
        let spans = if narrow { [20, 40, 80, 200] } else { [20, 200, 1_500, 8_000] };
        let span = rng.pick(&spans).unwrap_or(200) * MS;
        Self {
            isolates,
            builds,
            requests,
            span,
            config,
            narrow,
            journal: rng.pick(&[4096, 4096, 2, 1]).unwrap_or(4096),
            chance,
            many: 0,
            raw: 0,
            tells_of_lost: rng.percent(50),
            patience: false,
        }
    }

    /// What came later, by chance of its own: the seeds keep their meaning.
    pub fn extend(&mut self, more: &mut Rng) {
        if more.percent(50) {
            return;
        }
        self.many = more.pick(&[0, 30, 60]).unwrap_or(0);
        self.raw = more.pick(&[0, 30]).unwrap_or(0);
        if more.percent(40) {
            self.config.subrequests = more.pick(&[3, 4, 6]).unwrap_or(40);
        }
        if more.percent(40) {
            self.config.connections = more.pick(&[1, 1, 2]).unwrap_or(4);
        }
    }
}

impl Plan {
    /// Lets the isolates of some schedules hold values.
    pub fn hold(&mut self, rng: &mut Rng) {
        if rng.percent(35) {
            let ttl = Millis::new(rng.pick(&[30, 400, 5_000, 60_000]).unwrap_or(1_000));
            self.config.l1 = Some(L1Config { ttl, max_bytes: 1 << 16, values: L1Values::Frozen });
        }
    }

    /// In a part of the schedules: early refresh, jitter, and callbacks that say that there is none.
    pub fn renew(&mut self, rng: &mut Rng) {
        if !rng.percent(25) {
            return;
        }
        let config = &mut self.config;
        if rng.percent(70) {
            config.early_refresh = Ratio::millionths(rng.pick(&[1, 10, 10]).unwrap_or(1) * 1_000_000);
            config.ttl = Millis::new(rng.pick(&[30, 60, 300, 2_000]).unwrap_or(300));
        }
        if rng.percent(50) {
            config.jitter = Ratio::millionths(rng.pick(&[100_000, 500_000]).unwrap_or(0));
        }
        if rng.percent(50) {
            config.negative_ttl = Some(Millis::new(rng.pick(&[0, 20, 20_000]).unwrap_or(0)));
            self.chance.none = 40;
        }
    }
}

impl Chance {
    fn of(rng: &mut Rng) -> Self {
        if rng.percent(15) {
            // Nothing fails: what is left is the order of things.
            return Self { late_tags: 20, slow: 20, ..Self::default() };
        }
        let rollback = if rng.percent(4) { 10 } else { 0 };
        let share = rng.pick(&[15, 30, 60]).unwrap_or(30);
        let mut some = |often: u64| if rng.percent(share) { often } else { 0 };
        Self {
            kill: some(12),
            lose_request: some(10),
            lose_reply: some(12),
            hang: some(8),
            late: some(10),
            twice: some(15),
            slow: some(30),
            flushall: some(3),
            evict: some(8),
            spoil: some(4),
            script_flush: some(4),
            restart: some(3),
            oom: some(3),
            trap: some(3),
            rollback,
            refuse_scripts: some(2),
            down: some(4),
            isolate_clock: some(8),
            redis_clock: some(5),
            callback_fails: some(20),
            callback_hangs: some(4),
            unstorable: some(8),
            late_tags: some(25),
            outruns: some(10),
            none: 0,
        }
    }
}
