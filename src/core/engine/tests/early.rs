//! Early refresh: what it costs, who does it, and what it stores under.

use std::string::ToString as _;
use std::vec::Vec;

use super::world::World;
use crate::core::{CacheConfig, ErrorKind, EventKind, Freshness, Millis, OpId, Outcome, Ratio, ReadCall};

const TTL: f64 = 60_000.0;
const ONE: Ratio = Ratio::millionths(1_000_000);
const TEN: Ratio = Ratio::millionths(10_000_000);

/// A world in which a hit shortly before its end is as good as certainly due.
fn eager() -> World {
    World::configured(CacheConfig { early_refresh: TEN, ..CacheConfig::default() })
}

/// Stores the key, whose callback takes `cost` ms.
fn store(world: &mut World, request: u32, key: &str, cost: f64) {
    world.read(request, key);
    world.answer();
    world.now += cost;
    world.callbacks();
    world.answer();
}

/// As `store`, and comes back 2 s before the entry ends, of which one in 25 hits would think nothing.
fn nearly_over(world: &mut World) {
    store(world, 1, "k", 5_000.0);
    world.now += TTL - 2_000.0;
}

fn outcome(world: &World, op: OpId) -> Outcome {
    world.served[&op].outcome
}

#[test]
fn a_hit_that_is_not_due_costs_one_request_and_one_command() {
    let mut world = eager();
    store(&mut world, 1, "k", 100.0);
    let before = world.sent();
    let op = world.read(2, "k");
    world.answer();
    assert_eq!(outcome(&world, op), Outcome::Hit);
    assert_eq!(world.sent(), (before.0 + 1, before.1 + 1));
    world.assert_idle();
}

#[test]
fn one_that_is_due_is_served_at_once_and_refreshed_behind_the_answer() {
    let mut world = eager();
    nearly_over(&mut world);
    let (before, stored) = (world.sent(), world.header("k").stored);
    let op = world.read(2, "k");
    world.answer();
    assert_eq!(outcome(&world, op), Outcome::Hit);
    assert!(world.running.is_empty(), "it has no lease yet");
    world.answer();
    assert_eq!(world.running, [op]);
    world.now += 700.0;
    world.callbacks();
    world.answer();
    assert_eq!(world.sent(), (before.0 + 3, before.1 + 3), "the hit, the lease, the fill");
    let renewed = world.header("k");
    assert!(renewed.stored > stored && renewed.cost == Millis::new(700), "{renewed:?}");
    assert_eq!(world.served.len(), 2, "nobody is answered twice");
    world.assert_idle();
}

#[test]
fn who_does_not_get_the_lease_does_not_refresh() {
    let mut world = eager();
    nearly_over(&mut world);
    let first = world.read(2, "k");
    world.answer();
    world.answer();
    assert_eq!(world.running, [first]);
    for (wait, asks) in [(999.0, 0), (1.0, 1)] {
        world.now += wait;
        let before = world.sent();
        let op = world.read(3, "k");
        world.answer();
        world.answer();
        assert_eq!(outcome(&world, op), Outcome::Hit);
        assert_eq!(world.sent(), (before.0 + 1 + asks, before.1 + 1 + asks), "once a second");
        assert_eq!(world.running, [first]);
    }
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn another_isolate_that_has_the_lease_keeps_this_one_from_refreshing() {
    let mut world = eager();
    nearly_over(&mut world);
    let till = std::format!("another {}", world.now + 9_000.0);
    world.redis.execute(&["HSET", "leeward:k::k", "l:", &till]);
    let op = world.read(2, "k");
    world.answer();
    assert_eq!(world.wire.len(), 1);
    world.answer();
    assert_eq!(outcome(&world, op), Outcome::Hit);
    assert!(world.running.is_empty());
    world.assert_idle();
}

#[test]
fn a_burst_asks_for_the_lease_once() {
    let mut world = eager();
    nearly_over(&mut world);
    let before = world.sent();
    let ops: Vec<OpId> = (2..52).map(|request| world.read(request, "k")).collect();
    world.answer();
    world.answer();
    assert!(ops.iter().all(|op| outcome(&world, *op) == Outcome::Hit));
    assert_eq!(world.callbacks(), 1);
    world.answer();
    // None was in time for the read of another one: fifty reads, one lease, one fill.
    assert_eq!(world.sent(), (before.0 + 52, before.1 + 52));
    world.assert_idle();
}

#[test]
fn what_is_invalidated_meanwhile_is_not_stored() {
    let mut world = eager();
    nearly_over(&mut world);
    world.read(2, "k");
    world.answer();
    world.answer();
    world.invalidate(3, &["k"]);
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert!(!world.has("k"));
    assert_eq!(world.count(|kind| matches!(kind, EventKind::Fill { reason: Some("overtaken"), .. })), 1);
    world.assert_idle();
}

#[test]
fn a_set_follows_from_the_hit_not_from_what_the_refresh_was_told() {
    let mut world = eager();
    nearly_over(&mut world);
    world.read(2, "k");
    world.answer();
    // The hit is served; an invalidation comes in before the lease is asked for.
    let asking = core::mem::take(&mut world.wire);
    world.invalidate(3, &["k"]);
    world.answer();
    world.wire = asking;
    world.answer();
    let set = world.set(2, "k");
    world.answer();
    assert_eq!(world.applied.get(&set), Some(&false), "it may follow from the old value");
}

#[test]
fn an_exchange_that_fails_or_hangs_costs_no_more_than_itself() {
    for hangs in [false, true] {
        let mut world = eager();
        nearly_over(&mut world);
        let op = world.read(2, "k");
        world.answer();
        assert_eq!(world.wire.len(), 1);
        if hangs {
            world.pass(250.0, 2..=2, false);
        } else {
            world.refuse();
        }
        assert_eq!(outcome(&world, op), Outcome::Hit);
        assert!(world.running.is_empty() && world.thrown.is_empty());
        world.assert_idle();
    }
}

#[test]
fn a_mutate_under_way_keeps_it_from_refreshing() {
    let mut world = eager();
    nearly_over(&mut world);
    world.read(2, "k");
    world.answer();
    let asking = core::mem::take(&mut world.wire);
    let targets = crate::core::Targets { keys: &["k"], ..crate::core::Targets::default() };
    let mutate = world.mutate(3, targets);
    world.answer();
    world.wire = asking;
    world.answer();
    assert_eq!(world.running, [mutate]);
}

#[test]
fn a_callback_that_fails_leaves_the_entry_and_the_lease() {
    let config = CacheConfig { early_refresh: TEN, lease_wait: Millis::seconds(1), ..CacheConfig::default() };
    let mut world = World::configured(config);
    nearly_over(&mut world);
    let op = world.read(2, "k");
    world.answer();
    world.answer();
    world.callback(op, false);
    assert!(world.wire.is_empty(), "it tries again when the lease has run out, and nobody else before");
    assert!(world.thrown.is_empty());
    let failed = |kind: &EventKind| matches!(kind, EventKind::Failure { error: ErrorKind::Callback, .. });
    assert_eq!(world.count(failed), 1);
    assert!(world.has("k"));
    world.assert_idle();
}

#[test]
fn nobody_refreshes_who_cannot_or_does_not_want_to() {
    for (anchored, load, beta) in [(false, true, TEN), (true, false, TEN), (true, true, Ratio::ZERO)] {
        let mut world = eager();
        nearly_over(&mut world);
        let before = world.sent();
        let call = ReadCall { anchored, load, early_refresh: Some(beta), ..world.call(2, "k") };
        let op = world.read_call(call);
        world.answer();
        assert_eq!(outcome(&world, op), Outcome::Hit);
        assert_eq!(world.sent(), (before.0 + 1, before.1 + 1));
        world.assert_idle();
    }
    let mut world = World::new();
    nearly_over(&mut world);
    let freshness = Freshness::Strict;
    world.read_call(ReadCall { early_refresh: Some(TEN), freshness, ..world.call(2, "k") });
    world.answer();
    world.answer();
    assert_eq!(world.callbacks(), 1, "a fresh hit is fresh for the strict, too, and by a read's own option");
}

#[test]
fn so_many_are_due_as_the_formula_says() {
    const KEYS: u32 = 800;
    // took 1 s, beta 1: exp(-left / 1 s).
    for (left, expected) in [(250.0, 0.7788), (1_000.0, 0.3679), (3_000.0, 0.0498)] {
        let config = CacheConfig { early_refresh: ONE, ..CacheConfig::default() };
        let mut world = World::configured(config);
        store(&mut world, 9_999, "connect", 0.0);
        for n in 0..KEYS {
            world.read(n + 1, &n.to_string());
        }
        world.answer();
        world.now += 1_000.0;
        world.callbacks();
        world.answer();
        world.now += TTL - left;
        let before = world.sent().1;
        for n in 0..KEYS {
            world.read(KEYS + n + 1, &n.to_string());
        }
        world.answer();
        world.answer();
        let asked = world.sent().1 - before - u64::from(KEYS);
        assert_eq!(world.callbacks() as u64, asked, "each of them has got its lease");
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        let share = asked as f64 / f64::from(KEYS);
        let tolerance = 4.0 * (expected * (1.0 - expected) / f64::from(KEYS)).sqrt();
        assert!((share - expected).abs() < tolerance, "{left} ms left: {share}, not {expected}");
    }
}
