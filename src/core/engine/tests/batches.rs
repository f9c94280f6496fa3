//! What one turn sends, and what a request may send in all.

use std::string::String;
use std::vec::Vec;

use super::world::World;
use crate::core::event::EventKind;
use crate::core::{
    Bypass, CacheConfig, InvalidationState, Millis, OpId, Outcome, ReadCall, Targets, WriteKind,
};

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| std::format!("k{n}")).collect()
}

/// Reads of one call for many keys, all begun in one turn.
fn many(world: &mut World, request: u32, keys: &[String]) -> Vec<OpId> {
    world.turn(request, |world| {
        keys.iter().map(|key| world.read_call(ReadCall { many: true, ..world.call(request, key) })).collect()
    })
}

fn budget(subrequests: u32, connections: u32) -> World {
    World::configured(CacheConfig { subrequests, connections, ..CacheConfig::default() })
}

#[test]
fn fifty_keys_of_one_turn_are_two_requests_cold_and_one_warm() {
    let mut world = World::new();
    let keys = keys(50);
    let cold = many(&mut world, 1, &keys);
    world.answer();
    assert_eq!(world.sent(), (1, 50));
    assert_eq!(world.running.len(), 50);
    let ended: Vec<(OpId, bool)> = cold.iter().map(|op| (*op, true)).collect();
    world.callbacks_of(1, &ended);
    world.answer();
    assert_eq!(world.sent(), (2, 100));
    let warm = many(&mut world, 2, &keys);
    world.answer();
    assert_eq!(world.sent(), (3, 150));
    assert!(warm.iter().all(|op| world.served[op].outcome == Outcome::Hit));
    world.assert_idle();
}

#[test]
fn what_has_been_compressed_asks_again_whether_its_request_may_send() {
    for size in [Some(2), None] {
        let config = CacheConfig { subrequests: 3, compress: Some(3), ..CacheConfig::default() };
        let mut world = World::configured(config);
        world.read(1, "k");
        world.answer();
        world.callbacks();
        let op = world.compressing[0];
        assert!(world.served.contains_key(&op));
        // Meanwhile its request spends what there is; the third is for invalidations.
        world.read_with(1, "other", false);
        world.answer();
        assert!(world.engine.compressed(op, size, world.now));
        world.pump(1);
        assert_eq!(world.sent(), (2, 2));
        let told =
            |e: &EventKind| matches!(e, EventKind::Fill { reason: Some("budget"), compression: None, .. });
        assert_eq!(world.count(told), 1);
        world.assert_idle();
    }
}

#[test]
fn many_keys_wait_for_no_other_request_and_others_join_them() {
    let mut world =
        World::configured(CacheConfig { lease_wait: Millis::seconds(5), ..CacheConfig::default() });
    let other = world.read(1, "k0");
    world.answer();
    assert_eq!(world.running, [other]);
    let ops = many(&mut world, 2, &keys(2));
    world.answer();
    assert_eq!(world.running.len(), 3, "neither for the callback of a flight nor for a lease");
    // k1 had nobody: whoever comes now takes part.
    let joins = world.read(3, "k1");
    assert_eq!(world.running.len(), 3);
    world.callbacks_of(2, &[(ops[0], true), (ops[1], true)]);
    world.answer();
    assert!(world.served[&joins].shared);
    world.callback(other, true);
    world.answer();
    world.assert_idle();
}

#[test]
fn a_key_without_a_value_is_not_stored_is_asked_for_again_and_holds_up_nobody() {
    let mut world = World::new();
    let ops = many(&mut world, 1, &keys(2));
    world.answer();
    let follower = world.read(2, "k0");
    world.callbacks_of(1, &[(ops[0], false), (ops[1], true)]);
    assert_eq!(world.served[&ops[0]].stored, Some(false));
    assert_eq!(world.running, [follower]);
    world.callback(follower, true);
    world.answer();
    assert!(!world.has("k0") && world.has("k1"));
    let again = world.read(3, "k0");
    world.answer();
    assert_eq!(world.served.get(&again), None, "the key is not passed through");
    world.callbacks();
    world.answer();
    assert!(world.has("k0"));
    world.assert_idle();
}

#[test]
fn an_invalidation_that_comes_while_many_are_loaded_keeps_the_one_key_from_being_stored() {
    let mut world = World::new();
    let ops = many(&mut world, 1, &keys(2));
    world.answer();
    world.invalidate(2, &["k0"]);
    world.answer();
    world.callbacks_of(1, &[(ops[0], true), (ops[1], true)]);
    world.answer();
    assert!(!world.has("k0") && world.has("k1"));
    world.assert_idle();
}

#[test]
fn at_its_limit_a_request_runs_callbacks_stores_nothing_and_keeps_room_for_invalidations() {
    let mut world = budget(16, 4);
    // An eighth is for invalidations.
    for n in 0..14 {
        world.read_with(1, &std::format!("k{n}"), false);
        world.answer();
    }
    assert_eq!(world.sent(), (14, 14));
    let read = world.read(1, "k");
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::Budget));
    let looked = world.read_with(1, "k", false);
    assert_eq!(world.served[&looked].reason, Some(Bypass::Budget));
    let first = world.invalidate(1, &["k"]);
    world.answer();
    assert!(world.applied.contains_key(&first));
    world.invalidate(1, &["k"]);
    world.answer();
    assert_eq!(world.sent(), (16, 16));
    let late = world.invalidate(1, &["k"]);
    assert_eq!(world.not_applied[&late], (InvalidationState::Pending, false));
    assert_eq!(world.count(|e| matches!(e, EventKind::Warning { code: "budget", .. })), 1, "told once");
    world.pass(60_000.0, 1..=1, false);
    assert_eq!(world.sent(), (16, 16), "nothing more by this request, not behind its answers either");
    // It is lost to nobody: the next request sends it.
    world.read(2, "other");
    for _ in 0..4 {
        world.answer_all();
        world.callbacks();
        world.pass(1000.0, 1..=2, false);
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
    world.assert_idle();
}

#[test]
fn a_fill_at_the_limit_is_told_and_the_value_returned() {
    let mut world = budget(2, 4);
    let read = world.read(1, "k");
    world.answer();
    world.callbacks();
    assert_eq!(world.served[&read].stored, Some(false));
    assert_eq!(world.sent(), (1, 1));
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { reason: Some("budget"), .. })), 1);
    world.assert_idle();
}

#[test]
fn of_an_invalidation_that_is_too_large_for_the_budget_what_was_not_sent_is_pending() {
    let mut world = budget(2, 4);
    let keys = keys(2000);
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let op = world.invalidate(1, &names);
    world.answer_all();
    assert_eq!(world.sent(), (2, 1024));
    assert_eq!(world.not_applied[&op], (InvalidationState::Pending, false));
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 2000 - 1024);
}

#[test]
fn at_the_limit_of_connections_batches_wait_for_their_own_and_fill_up_meanwhile() {
    let mut world = budget(40, 2);
    world.read_with(1, "connect", false);
    world.answer();
    let ops: Vec<OpId> = keys(10).iter().map(|key| world.read_with(1, key, false)).collect();
    assert_eq!(world.sent().0, 3, "two at a time");
    let other = world.read_with(2, "k", false);
    assert_eq!(world.sent().0, 4, "another request has its own");
    world.answer();
    // All that waited is one batch.
    assert_eq!(world.sent().0, 5);
    world.answer();
    assert_eq!(world.sent(), (5, 12));
    assert!(ops.iter().chain([&other]).all(|op| world.served.contains_key(op)));
    world.assert_idle();
}

#[test]
fn who_waits_for_a_connection_waits_no_longer_than_its_deadline_and_redis_is_not_blamed() {
    let mut world = budget(40, 1);
    world.read_with(1, "connect", false);
    world.answer();
    world.invalidate(1, &["slow"]);
    let read = world.read(1, "k");
    let early = world.raw(1, &["SET", "early", "1"]);
    world.pass(250.0, 1..=1, false);
    assert_eq!(world.running, [read], "past redis");
    assert_eq!(world.engine.snapshot(world.link).expect("exists").failures, 0);
    let late = world.raw(1, &["SET", "late", "1"]);
    world.pass(750.0, 1..=1, false);
    // The first one's time is up in the moment in which the batch may go: it goes without it.
    assert!(world.raw_failed[&early].retryable);
    world.answer_all();
    assert_eq!(world.replied[&late], "\"OK\"");
    assert_eq!(world.redis.execute(&["EXISTS", "early", "late"]), leeward_redis_model::Reply::Integer(1));
}

#[test]
fn a_restarted_server_costs_each_batch_one_more_request_however_often_it_is() {
    let mut world = World::new();
    let keys = keys(50);
    many(&mut world, 1, &keys);
    world.answer();
    world.callbacks();
    world.answer_all();
    assert!(world.has("k49"));
    for request in 2..32 {
        world.redis.script_flush();
        let before = world.sent();
        let ops = many(&mut world, request, &keys);
        world.answer_all();
        assert!(ops.iter().all(|op| world.served[op].outcome == Outcome::Hit));
        assert_eq!(world.sent(), (before.0 + 2, before.1 + 100));
    }
}

#[test]
fn repetitions_that_fail_are_put_off_and_no_invalidation_is_lost() {
    let mut world = World::new();
    world.read_with(1, "connect", false);
    world.answer();
    // Its drop is answered READONLY, again and again, as during a failover; reads go well, so that it never trips.
    world.invalidate(2, &["k"]);
    let mut repeated = 0;
    for n in 0..600_u32 {
        let wire = core::mem::take(&mut world.wire);
        for (batch, request, body) in wire {
            let drop = body.contains("\"leeward:k::k\"");
            repeated += u32::from(drop);
            world.wire.push((batch, request, body));
            if drop {
                world.answer_with(
                    200,
                    r#"[{"error":"READONLY You can't write against a read only replica."}]"#,
                );
            } else {
                world.answer();
            }
        }
        world.pass(100.0, 1..=700, false);
        if n % 10 == 0 {
            world.read_with(10 + n, "other", false);
        }
    }
    // A minute: without a budget some 60 of them.
    assert!((5..40).contains(&repeated), "{repeated}");
    for n in 0..20 {
        world.answer_all();
        world.pass(1000.0, 1..=800, false);
        world.read_with(700 + n, "other", false);
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn a_mutate_of_a_request_without_budget_runs_unmarked_and_is_pending() {
    let mut world = budget(2, 4);
    for _ in 0..2 {
        world.invalidate(1, &["x"]);
        world.answer();
    }
    let op = world.mutate(1, Targets { keys: &["k"], ..Targets::default() });
    assert_eq!(world.running, [op]);
    world.callback(op, true);
    assert_eq!(world.mutated[&op], (InvalidationState::Pending, false));
    let set = world.write(1, Targets { keys: &["k"], ..Targets::default() }, WriteKind::Invalidate);
    assert_eq!(world.not_applied[&set], (InvalidationState::Pending, false));
}

#[test]
fn a_read_is_not_served_for_a_drop_that_was_carried_out_in_another_batch() {
    let mut world = World::new();
    let keys: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
    for (request, key) in (1000..).zip(&keys) {
        world.read_tagged(request, key, &["t"]);
        world.answer();
        world.callbacks();
        world.answer();
    }
    world.served.clear();
    world.now += 11_000.0;
    world.invalidate_tags(2, &["t"]);
    world.refuse();
    world.write(2, Targets { all: true, ..Targets::default() }, WriteKind::Invalidate);
    world.refuse();
    world.turn(3, |world| {
        for key in &keys {
            world.read_call(ReadCall { many: true, tags: &["t"], ..world.call(3, key) });
        }
    });
    // Two drops and a read for each key: one key's drops end a batch, and its read begins the next, which Redis executes first.
    let (second, _, body) = world.wire.pop().expect("is split");
    let found = world.execute(&body);
    world.answer();
    world.engine.reply(second, 200, found.as_bytes(), world.now);
    world.pump(3);
    world.callbacks();
    assert_eq!(world.served.len(), 200);
    assert!(world.served.values().all(|served| served.outcome != Outcome::Hit));
}
