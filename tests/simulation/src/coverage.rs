//! What has happened so far, counted: a simulation in which something never happens proves nothing about it.

use std::collections::BTreeMap;

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Once more.
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How often so far.
    #[must_use]
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, count)| (*what, *count))
    }
}

/// What must have happened in a run of some thousand schedules, or its result is worth nothing.
pub const REQUIRED: &[&str] = &[
    "request killed",
    "request lost",
    "reply lost",
    "exchange hung",
    "executed late",
    "executed twice",
    "overtook another",
    "flushall",
    "evicted",
    "spoiled",
    "journal collapsed",
    "scripts flushed",
    "restarted",
    "trapped",
    "rolled back",
    "stale after a rollback",
    "out of memory",
    "scripts refused",
    "down",
    "isolate clock jumped",
    "isolate clock stood still",
    "redis clock jumped",
    "callback failed",
    "callback hung",
    "unstorable",
    "stored value rejected",
    "late tags declared",
    "late tags awaited",
    "late tags invalidated while awaited",
    "mutate marked",
    "mutate not marked",
    "mutate outran its deadline",
    "mutate killed",
    "served hit",
    "served from l1",
    "set of what was held",
    "set by who outlived a trap",
    "served stale",
    "served stale for an error",
    "served at the soft bound",
    "served stale at the hard bound",
    "timed out",
    "callback told that it is late",
    "not modified",
    "served revalidated",
    "served miss",
    "served bypass",
    "shared hit",
    "shared computed before the callback",
    "shared stored",
    "shared while down",
    "fill overtaken",
    "invalidation applied",
    "invalidation pending",
    "invalidation refused",
    "replayed",
    "read covered by a pending invalidation",
    "set exact",
    "set exact refused",
    "set blind",
    "forced",
    "strict",
    "waited for a lease",
    "lease taken over",
    "two builds of a key",
    "tags asked for in a second exchange",
    "read plainly",
    "expired",
    "invalidated by tag",
    "invalidated as a whole",
    "many asked for",
    "many of which some were missing",
    "many of which one has no value",
    "raw replied",
    "raw unknown",
    "raw not executed",
    "served over the budget",
    "invalidation over the budget",
    "batch waited for a connection",
    "down by slow answers",
    "early refresh got the lease",
    "early refresh without the lease",
    "refreshed early",
    "there was none",
];
