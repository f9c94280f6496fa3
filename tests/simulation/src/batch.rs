//! Many schedules, on all cores, and what they add up to.

use std::thread;

use crate::coverage::{Coverage, REQUIRED};
use crate::mutants::MUTANTS;
use crate::world;

/// Of a hundred misses of a healthy connection so many must end stored: never to cache would keep every promise.
const STORED_SHARE: u64 = 30;

/// What schedules add up to.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many there were.
    pub schedules: u64,
    /// How many of them had something wrong.
    pub violations: u64,
    /// How many had a request that was never answered.
    pub hung: u64,
    /// What happened in them.
    pub coverage: Coverage,
    /// Seeds of those with something wrong.
    pub failing: Vec<u64>,
}

impl Batch {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.violations += other.violations;
        self.hung += other.hung;
        self.coverage.add(&other.coverage);
        self.failing.extend(other.failing);
    }

    fn run(&mut self, seed: u64) {
        let verdict = world::run(seed, &[], false);
        self.schedules += 1;
        self.hung += u64::from(verdict.hung);
        self.coverage.add(&verdict.coverage);
        if !verdict.violations.is_empty() {
            self.violations += 1;
            self.failing.push(seed);
        }
    }
}

/// Seeds that are not the same schedule each time, of the first `count` and those that showed mistakes: what they show could not
/// be looked into.
#[must_use]
pub fn unsteady(count: u64) -> Vec<u64> {
    let trace = |seed| world::run(seed, &[], true).trace;
    let known = MUTANTS.iter().map(|mutant| mutant.seed);
    (0..count).chain(known).filter(|seed| trace(*seed) != trace(*seed)).collect()
}

/// Runs the schedules of `count` seeds from `first` on.
#[must_use]
pub fn run(first: u64, count: u64) -> Batch {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            thread::spawn(move || {
                let mut batch = Batch::default();
                let mut seed = first + part;
                while seed < first + count {
                    batch.run(seed);
                    seed += threads;
                }
                batch
            })
        })
        .collect();
    let mut all = Batch::default();
    for part in parts {
        // A thread that panicked is worth no less than a violation.
        match part.join() {
            Ok(batch) => all.add(batch),
            Err(_) => all.violations += 1,
        }
    }
    all.failing.sort_unstable();
    all
}

/// The seeds that showed a deliberate mistake once: without the mistake they must show nothing.
#[must_use]
pub fn regressions() -> Batch {
    let mut batch = Batch::default();
    for mutant in MUTANTS.iter() {
        batch.run(mutant.seed);
    }
    batch
}

/// What has not happened in so many schedules, though it must have.
#[must_use]
pub fn missing(coverage: &Coverage) -> Vec<&'static str> {
    REQUIRED.iter().copied().filter(|what| coverage.get(what) == 0).collect()
}

/// Whether enough of what could be stored was, and the share in a hundred.
#[must_use]
pub fn stored_share(coverage: &Coverage) -> (bool, u64) {
    let share = 100 * coverage.get("fill stored") / coverage.get("served miss").max(1);
    (share >= STORED_SHARE, share)
}
