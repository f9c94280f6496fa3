//! Mutates and their marks, leases, and stale entries.

use super::world::World;
use crate::core::event::{EventKind, LeaseOutcome};
use crate::core::{CacheConfig, InvalidationState, Millis, Outcome, ReadCall, Targets, WriteKind};

const K: Targets<'static> = Targets { keys: &["k"], tags: &[], all: false };

fn filled(config: CacheConfig) -> World {
    let mut world = World::configured(config);
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world
}

#[test]
fn while_a_mutate_runs_nothing_is_served_or_stored_and_nobody_waits() {
    let mut world = filled(CacheConfig::default());
    let op = world.mutate(2, K);
    assert!(world.running.is_empty(), "first the mark");
    world.answer();
    assert_eq!(world.running, [op]);
    // As another isolate sees it: without this one's fence.
    world.read(3, "other");
    world.answer();
    let reply = world.redis.execute(&["HGET", "leeward:k::k", "m"]);
    assert_ne!(reply, leeward_redis_model::Reply::Null);
    world.callback(op, true);
    world.answer();
    assert_eq!(world.mutated.get(&op), Some(&(InvalidationState::Applied, true)));
    assert_eq!(world.redis.execute(&["EXISTS", "leeward:k::k"]), leeward_redis_model::Reply::Integer(0));
    let before = world.sent();
    let read = world.read(4, "k");
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!((world.served[&read].outcome, world.sent().1), (Outcome::Miss, before.1 + 3));
    assert!(world.has("k"));
    world.assert_idle();
}

#[test]
fn a_mark_of_another_isolate_frees_all_who_wait_for_the_key() {
    let mut world = World::new();
    world.redis.execute(&["HSET", "leeward:k::k", "m", "someone 1300000"]);
    let leader = world.read(1, "k");
    let follower = world.read(2, "k");
    world.answer();
    assert_eq!(world.callbacks(), 2);
    assert_eq!(world.wire.len(), 0, "nothing is stored");
    assert!(world.served.contains_key(&leader) && world.served.contains_key(&follower));
    world.assert_idle();
}

#[test]
fn a_mutate_runs_though_redis_is_gone_and_is_told_as_unmarked_and_pending() {
    let mut world = World::new();
    let op = world.mutate(1, K);
    world.refuse();
    assert_eq!(world.running, [op]);
    world.callback(op, true);
    assert_eq!(world.mutated.get(&op), Some(&(InvalidationState::Pending, false)));
    for _ in 0..20 {
        world.pass(1000.0, 1..=1, false);
        world.answer();
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
    world.assert_idle();
}

#[test]
fn a_mutate_rejects_with_the_callbacks_error_and_is_invalidated_all_the_same() {
    let mut world = filled(CacheConfig::default());
    let op = world.mutate(2, K);
    world.answer();
    world.callback(op, false);
    world.answer();
    assert_eq!(world.thrown, [op]);
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn a_mutate_whose_request_died_falls_due_at_its_deadline() {
    let mut world = filled(CacheConfig::default());
    world.mutate(2, K);
    world.answer();
    world.running.clear();
    let read = world.read(3, "k");
    world.callbacks();
    assert_eq!(world.served[&read].outcome, Outcome::Bypass, "it may be running still");
    world.now += 10_001.0;
    world.read(4, "other");
    world.answer();
    world.callbacks();
    world.pass(1.0, 4..=4, false);
    world.answer();
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn an_expired_entry_is_served_stale_and_refreshed_once_behind_the_answer() {
    let mut world = filled(CacheConfig { swr: Millis::seconds(60), ..CacheConfig::default() });
    let expired = world.write(2, K, WriteKind::Expire);
    world.answer();
    assert_eq!(world.applied.get(&expired), Some(&false));
    let ops = [world.read(3, "k"), world.read(4, "k")];
    world.answer();
    world.answer();
    for op in ops {
        assert_eq!(world.served[&op].outcome, Outcome::Stale);
    }
    assert_eq!(world.callbacks(), 1, "who has the lease refreshes");
    world.answer();
    let hit = world.read(5, "k");
    world.answer();
    assert_eq!(world.served[&hit].outcome, Outcome::Hit);
    world.assert_idle();
}

#[test]
fn a_stale_value_stands_in_for_the_callbacks_error_unless_it_was_invalidated_meanwhile() {
    let config = CacheConfig { stale_if_error: Millis::seconds(600), ..CacheConfig::default() };
    let mut world = filled(config.clone());
    world.now += 61_000.0;
    let op = world.read(2, "k");
    world.answer();
    world.callback(op, false);
    assert_eq!((world.stashed.as_slice(), world.served[&op].outcome), ([op].as_slice(), Outcome::Stale));
    world.assert_idle();
    let mut world = filled(config);
    world.now += 61_000.0;
    // Begins in the turn of the invalidation's beginning, and reads again: the fence binds it.
    let first = world.read(2, "k");
    world.answer();
    let second = world.read(3, "k");
    world.invalidate(4, &["k"]);
    world.lose_replies();
    world.callback(first, false);
    assert_eq!(world.thrown.len() + world.stashed.len(), 1);
    world.pass(0.0, 2..=4, false);
    for _ in 0..4 {
        world.answer();
        world.pass(200.0, 2..=4, false);
    }
    while let Some(op) = world.running.first().copied() {
        world.callback(op, false);
    }
    assert!(!world.stashed.contains(&second), "it is fenced");
}

#[test]
fn a_reader_waits_for_the_holder_of_the_lease_if_it_is_told_to() {
    let mut world = World::new();
    let wait = Some(Millis::seconds(3));
    world.redis.execute(&["HSET", "leeward:k::k", "l:", "another 1001000"]);
    let op = world.read_call(ReadCall { lease_wait: wait, ..world.call(1, "k") });
    world.answer();
    assert!(world.running.is_empty());
    // The holder stores; the next poll finds it.
    world.pass(50.0, 1..=1, false);
    assert_eq!(world.wire.len(), 1);
    let without = world.read(2, "other");
    world.answer();
    assert!(world.running.contains(&without) || world.served.contains_key(&without), "nobody else waits");
    // It never does: its lease may be taken over.
    for _ in 0..10 {
        world.pass(400.0, 1..=1, false);
        world.answer();
    }
    assert!(world.running.contains(&op));
    let taken = |e: &EventKind| matches!(e, EventKind::Lease { outcome: LeaseOutcome::Taken, .. });
    assert_eq!(world.count(taken), 1);
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn the_wait_for_a_lease_is_bounded() {
    let mut world = World::new();
    world.redis.execute(&["HSET", "leeward:k::k", "l:", "another 1001000"]);
    let op = world.read_call(ReadCall { lease_wait: Some(Millis::new(120)), ..world.call(1, "k") });
    world.answer();
    world.pass(50.0, 1..=1, false);
    world.answer();
    world.pass(70.0, 1..=1, false);
    world.answer();
    assert_eq!(world.running, [op]);
    assert_eq!(world.sent().1, 3);
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn where_scripts_are_refused_what_is_stored_is_read_plainly_and_nothing_is_stored() {
    let mut world = filled(CacheConfig::default());
    world.redis.set_permissions(leeward_redis_model::Permissions::ReadOnly);
    let hit = world.read(2, "k");
    world.answer();
    world.answer();
    assert_eq!(world.served[&hit].outcome, Outcome::Hit);
    let miss = world.read(3, "other");
    world.answer();
    world.callbacks();
    assert_eq!((world.served[&miss].outcome, world.wire.len()), (Outcome::Miss, 0));
    assert_eq!(world.count(|e| matches!(e, EventKind::Warning { code: "scripts-refused", .. })), 1);
    world.redis.set_permissions(leeward_redis_model::Permissions::All);
    world.now += 61_000.0;
    world.read(4, "other");
    world.answer();
    world.callbacks();
    world.answer();
    assert!(world.has("other"), "they are tried again");
    world.assert_idle();
}
