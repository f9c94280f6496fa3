//! How long callers wait for callbacks, and what callbacks say about stale values.

use std::string::String;
use std::vec::Vec;

use super::world::World;
use crate::core::event::{Bound, EventKind};
use crate::core::{
    Adapted, CacheConfig, CallbackEnd, Freshness, Gone, Millis, OpId, Outcome, ReadCall, Targets, Waits,
    WriteKind,
};

const SOFT: Waits = Waits { read: None, soft: Some(Millis::new(100)), hard: None };
const HARD: Waits = Waits { read: None, soft: None, hard: Some(Millis::new(400)) };
const LATE: Gone = Gone::Late(Millis::new(400));

/// A world in which a stale entry of "k" may be served for ten minutes in place of a callback.
fn stale_for(minutes: u64) -> World {
    let stale_if_error = Millis::seconds(60 * minutes);
    let mut world = World::configured(CacheConfig { stale_if_error, ..CacheConfig::default() });
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.now += 61_000.0;
    world
}

/// Reads so, and gets Redis' answer.
fn read(world: &mut World, request: u32, waits: Waits) -> OpId {
    let op = world.read_call(ReadCall { waits, ..world.call(request, "k") });
    world.answer();
    op
}

fn timeouts(world: &World) -> Vec<(Bound, bool)> {
    let told = world.events.iter().filter_map(|event| match event.kind {
        EventKind::Timeout { bound, stale, .. } => Some((bound, stale)),
        _ => None,
    });
    told.collect()
}

fn not_modified(world: &mut World, op: OpId) {
    let (life, tags) = (Adapted::default(), Vec::new());
    world.callback_end(op, CallbackEnd::Ok { life, skip: false, none: false, not_modified: true, tags });
}

#[test]
fn at_the_soft_bound_a_stale_value_is_served_and_the_callback_goes_on_behind_it() {
    for frozen in [false, true] {
        let mut world = stale_for(10);
        let op = read(&mut world, 2, SOFT);
        world.pass(99.0, 2..=2, frozen);
        assert!(!world.served.contains_key(&op));
        world.pass(1.0, 2..=2, frozen);
        world.pass(100.0, 2..=2, frozen);
        assert_eq!((world.served[&op].outcome, world.stashed.as_slice()), (Outcome::Stale, [op].as_slice()));
        assert_eq!(world.running, [op], "the refresh goes on");
        assert!(world.background.contains(&op), "and its request is kept alive");
        assert!(world.cancelled.is_empty());
        world.callback(op, true);
        world.answer();
        assert_eq!(world.engine.stats(world.link).expect("exists").fills, 2);
        assert_eq!(timeouts(&world), [(Bound::Soft, true)]);
        assert_eq!(world.sent().1, 4, "two for the first miss, and two for this");
        world.assert_idle();
    }
}

#[test]
fn a_stale_value_that_waited_is_so_much_older() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, SOFT);
    world.pass(100.0, 2..=2, false);
    assert_eq!(world.served[&op].age, Millis::new(61_100));
    assert_eq!(world.shown[&op], Millis::new(61_000));
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn without_a_stale_value_the_soft_bound_changes_nothing() {
    let mut world = World::new();
    let op = read(&mut world, 1, SOFT);
    world.pass(1_000.0, 1..=1, false);
    assert_eq!(world.running, [op]);
    world.callbacks();
    assert_eq!(world.served[&op].outcome, Outcome::Miss);
    world.answer();
    assert_eq!(timeouts(&world), []);
    world.assert_idle();
}

#[test]
fn who_takes_nothing_stale_is_served_nothing_stale_at_any_bound() {
    for freshness in [Freshness::Strict, Freshness::Forced] {
        let mut world = stale_for(10);
        let waits = Waits { soft: SOFT.soft, ..HARD };
        let op = world.read_call(ReadCall { waits, freshness, ..world.call(2, "k") });
        world.answer();
        assert!(!world.shown.contains_key(&op), "nor is its callback shown anything");
        world.pass(100.0, 2..=2, false);
        assert_eq!(world.running, [op]);
        world.pass(300.0, 2..=2, false);
        assert_eq!((world.timed_out.as_slice(), world.stashed.len()), ([op].as_slice(), 0));
        world.callbacks();
        world.answer();
        world.assert_idle();
    }
}

#[test]
fn what_an_invalidation_covers_is_not_served_at_the_soft_bound() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, Waits { soft: SOFT.soft, ..HARD });
    world.invalidate(3, &["k"]);
    world.lose_replies();
    world.pass(100.0, 2..=2, false);
    assert!(!world.served.contains_key(&op), "it is fenced");
    world.pass(300.0, 2..=2, false);
    assert_eq!(
        (timeouts(&world).as_slice(), world.timed_out.as_slice()),
        ([(Bound::Hard, false)].as_slice(), [op].as_slice())
    );
}

#[test]
fn a_stale_value_is_served_no_longer_than_entry_and_reader_allow() {
    let mut world = stale_for(10);
    let op = world.read_call(ReadCall {
        waits: Waits { soft: SOFT.soft, ..HARD },
        stale_if_error: Some(Millis::new(1_050)),
        ..world.call(2, "k")
    });
    world.answer();
    world.pass(100.0, 2..=2, false);
    assert!(!world.served.contains_key(&op), "its time has run out in the 100 ms");
    world.callback(op, false);
    assert_eq!(world.thrown, [op], "for an error, too");
    world.assert_idle();
}

#[test]
fn at_the_hard_bound_the_caller_gets_an_error_and_the_callback_is_told() {
    let mut world = World::new();
    let op = read(&mut world, 1, HARD);
    world.pass(400.0, 1..=1, false);
    assert_eq!(
        (world.timed_out.as_slice(), world.cancelled.as_slice()),
        ([op].as_slice(), [(op, LATE)].as_slice())
    );
    assert_eq!(timeouts(&world), [(Bound::Hard, false)]);
    // Nobody joins what is told to stop.
    let next = world.read(2, "k");
    world.answer();
    assert_eq!(world.running, [op, next]);
    // It gives a value all the same: that is stored.
    world.callback(op, true);
    world.answer();
    assert!(world.has("k") && world.background.contains(&op));
    assert_eq!(world.engine.stats(world.link).expect("exists").misses, 0, "nobody was answered by it");
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn a_callback_that_fails_when_it_is_told_throws_at_nobody() {
    let mut world = World::new();
    let op = read(&mut world, 1, HARD);
    world.pass(400.0, 1..=1, false);
    world.callback(op, false);
    assert_eq!((world.thrown.len(), world.timed_out.len()), (0, 1));
    world.assert_idle();
}

#[test]
fn what_a_request_sets_after_a_read_that_was_given_up_is_not_stored() {
    for given_up in [false, true] {
        let mut world = World::new();
        let op = read(&mut world, 1, HARD);
        if given_up {
            world.pass(400.0, 1..=1, false);
        }
        let set = world.set(1, "k");
        world.answer();
        // It would follow from what was read before that, and the stamps are newer.
        assert_eq!(world.applied[&set], !given_up);
        world.callback(op, true);
        world.answer();
        world.assert_idle();
    }
}

#[test]
fn at_the_hard_bound_a_stale_value_is_served_and_the_callback_is_told() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, HARD);
    world.pass(400.0, 2..=2, false);
    assert_eq!((world.served[&op].outcome, world.timed_out.len()), (Outcome::Stale, 0));
    assert_eq!(world.cancelled, [(op, LATE)]);
    assert_eq!(timeouts(&world), [(Bound::Hard, true)]);
    world.callback(op, true);
    world.answer();
    world.assert_idle();
}

#[test]
fn after_the_soft_bound_the_hard_one_ends_nothing_any_more() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, Waits { soft: SOFT.soft, ..HARD });
    world.pass(100.0, 2..=2, false);
    world.pass(1_000.0, 2..=2, false);
    assert!(world.served.contains_key(&op) && world.cancelled.is_empty());
    world.callback(op, true);
    world.answer();
    world.assert_idle();
}

#[test]
fn the_leaders_hard_bound_does_not_end_a_callback_that_others_wait_for() {
    let mut world = World::new();
    let leader = read(&mut world, 1, HARD);
    let follower = world.read(2, "k");
    world.pass(400.0, 1..=2, false);
    assert_eq!((world.timed_out.as_slice(), world.cancelled.len()), ([leader].as_slice(), 0));
    world.callback(leader, true);
    world.answer();
    assert!(world.served[&follower].shared);
    world.assert_idle();
}

#[test]
fn the_callback_is_told_when_the_last_who_waited_has_gone() {
    let mut world = World::new();
    let leader = read(&mut world, 1, HARD);
    let follower = read(&mut world, 2, HARD);
    world.pass(400.0, 1..=2, false);
    assert_eq!(world.timed_out.len(), 2);
    assert!(world.cancelled.is_empty(), "the follower's end is no step of the leader's request");
    world.pass(1_600.0, 1..=1, false);
    assert_eq!(world.cancelled, [(leader, LATE)]);
    assert!(!world.served.contains_key(&follower));
    world.callback(leader, true);
    world.answer();
    world.assert_idle();
}

#[test]
fn a_followers_hard_bound_ends_its_own_wait_alone() {
    let mut world = World::new();
    let leader = world.read(1, "k");
    world.answer();
    let follower = read(&mut world, 2, HARD);
    world.pass(400.0, 1..=2, false);
    assert_eq!((world.timed_out.as_slice(), world.cancelled.len()), ([follower].as_slice(), 0));
    world.callback(leader, true);
    world.answer();
    assert!(world.served.contains_key(&leader) && world.has("k"));
    assert_eq!(world.sent(), (2, 2));
    world.assert_idle();
}

#[test]
fn a_follower_looks_for_a_stale_value_when_its_soft_bound_has_passed() {
    let mut world = stale_for(10);
    let leader = world.read(2, "k");
    world.answer();
    let follower = read(&mut world, 3, SOFT);
    let before = world.sent();
    world.pass(100.0, 2..=3, false);
    assert_eq!(world.sent(), (before.0 + 1, before.1));
    world.answer();
    world.pass(0.0, 3..=3, false);
    assert_eq!(
        (world.served[&follower].outcome, world.running.as_slice()),
        (Outcome::Stale, [leader].as_slice())
    );
    world.callback(leader, true);
    world.answer();
    assert_eq!(world.sent().1 - before.1, 2, "its look, and the leader's fill");
    world.assert_idle();
}

#[test]
fn a_follower_that_finds_nothing_stale_waits_on() {
    let config = CacheConfig { stale_if_error: Millis::seconds(600), ..CacheConfig::default() };
    let mut world = World::configured(config);
    let leader = world.read(1, "k");
    world.answer();
    let follower = read(&mut world, 2, SOFT);
    world.pass(100.0, 1..=2, false);
    world.answer();
    world.pass(500.0, 1..=2, false);
    assert_eq!((world.running.as_slice(), world.wire.len()), ([leader].as_slice(), 0), "it looks once");
    world.callback(leader, true);
    world.answer();
    assert_eq!((world.served[&follower].shared, world.served[&follower].stored), (true, Some(true)));
    world.assert_idle();
}

#[test]
fn a_follower_without_a_soft_bound_looks_in_time_before_its_hard_one() {
    let mut world = stale_for(10);
    let leader = world.read(2, "k");
    world.answer();
    let follower = read(&mut world, 3, HARD);
    world.pass(150.0, 2..=3, false);
    assert_eq!(world.wire.len(), 1, "timeout.read before it");
    world.answer();
    world.pass(249.0, 2..=3, false);
    assert!(!world.served.contains_key(&follower), "the bound has not passed");
    world.pass(1.0, 2..=3, false);
    assert_eq!((world.served[&follower].outcome, world.timed_out.len()), (Outcome::Stale, 0));
    world.callback(leader, true);
    world.answer();
    world.assert_idle();
}

#[test]
fn time_in_which_redis_is_asked_does_not_count() {
    let mut world = World::new();
    let waits = Waits { hard: Some(Millis::new(100)), ..Waits::default() };
    let leader = world.read_call(ReadCall { waits, ..world.call(1, "k") });
    let follower = world.read_call(ReadCall { waits, ..world.call(2, "k") });
    world.pass(200.0, 2..=2, false);
    world.pass(40.0, 2..=2, false);
    assert!(world.timed_out.is_empty());
    world.answer();
    assert_eq!(world.running, [leader]);
    world.pass(60.0, 1..=2, false);
    assert!(world.timed_out.is_empty());
    world.pass(20.0, 1..=2, false);
    assert!(world.timed_out.is_empty(), "the follower's wait counts from where the callback began");
    world.pass(20.0, 1..=2, false);
    world.pass(0.0, 1..=2, false);
    assert_eq!(world.timed_out.len(), 2);
    world.callback(leader, true);
    world.answer();
    assert!(!world.served.contains_key(&follower));
    world.pass(2_000.0, 1..=1, false);
    world.assert_idle();
}

#[test]
fn a_value_that_is_there_is_not_late() {
    let mut world = World::new();
    world.anchored = false;
    let op = read(&mut world, 1, HARD);
    world.callback(op, true);
    world.pass(400.0, 1..=1, false);
    assert!(world.timed_out.is_empty());
    world.answer();
    assert_eq!(world.served[&op].stored, Some(true));
    world.assert_idle();
}

#[test]
fn a_hard_bound_holds_without_redis_and_while_another_isolate_is_waited_for() {
    let mut world = World::with(Err(String::from("no url")));
    let op = read(&mut world, 1, HARD);
    world.pass(400.0, 1..=1, false);
    assert_eq!(
        (world.timed_out.as_slice(), world.cancelled.as_slice()),
        ([op].as_slice(), [(op, LATE)].as_slice())
    );
    world.callback(op, true);
    world.assert_idle();
    let mut world = World::new();
    world.redis.execute(&["HSET", "leeward:k::k", "l:", "another 1001000"]);
    let lease_wait = Some(Millis::seconds(3));
    let op = world.read_call(ReadCall { lease_wait, waits: HARD, ..world.call(1, "k") });
    world.answer();
    for _ in 0..8 {
        world.pass(50.0, 1..=1, false);
        world.answer();
    }
    assert_eq!((world.timed_out.as_slice(), world.running.len()), ([op].as_slice(), 0));
    world.answer();
    world.assert_idle();
}

#[test]
fn a_read_waits_for_redis_as_long_as_it_says() {
    let mut world = World::new();
    let waits = Waits { read: Some(Millis::new(20)), ..Waits::default() };
    let op = world.read_call(ReadCall { waits, ..world.call(1, "k") });
    world.pass(20.0, 1..=1, false);
    assert_eq!(world.running, [op]);
    world.callbacks();
    world.assert_idle();
}

#[test]
fn the_settings_of_the_cache_hold_where_a_call_says_nothing() {
    let config = CacheConfig { hard: Some(Millis::new(400)), ..CacheConfig::default() };
    let mut world = World::configured(config);
    let ops = [Waits::default(), Waits { hard: Some(Millis::seconds(1)), ..Waits::default() }]
        .map(|waits| read(&mut world, 1, waits));
    world.pass(400.0, 1..=1, false);
    assert_eq!(world.timed_out, [ops[0]]);
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn what_is_not_modified_is_the_answer_and_lives_anew() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, Waits::default());
    let follower = world.read(3, "k");
    assert_eq!(world.shown[&op], Millis::new(61_000));
    let before = world.sent();
    not_modified(&mut world, op);
    assert_eq!((world.served[&op].outcome, world.served[&op].age), (Outcome::Revalidated, Millis::ZERO));
    world.answer();
    assert_eq!(
        (world.served[&follower].outcome, world.served[&follower].shared),
        (Outcome::Revalidated, true)
    );
    assert_eq!(world.sent().0 - before.0, 1);
    let hit = world.read(4, "k");
    world.answer();
    assert_eq!((world.served[&hit].outcome, world.served[&hit].age), (Outcome::Hit, Millis::ZERO));
    assert_eq!(world.engine.stats(world.link).expect("exists").revalidated, 2);
    world.assert_idle();
}

#[test]
fn what_is_not_modified_is_not_stored_over_a_newer_invalidation() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, Waits::default());
    world.invalidate(3, &["k"]);
    world.answer();
    not_modified(&mut world, op);
    world.answer();
    assert!(!world.has("k"));
    let overtaken = |kind: &EventKind| matches!(kind, EventKind::Fill { reason: Some("overtaken"), .. });
    assert_eq!(world.count(overtaken), 1);
    world.assert_idle();
}

#[test]
fn a_refresh_behind_the_answer_is_shown_what_was_served() {
    let mut world = World::configured(CacheConfig { swr: Millis::seconds(60), ..CacheConfig::default() });
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.now += 61_000.0;
    let op = read(&mut world, 2, Waits::default());
    assert_eq!((world.served[&op].outcome, world.shown[&op]), (Outcome::Stale, Millis::new(61_000)));
    not_modified(&mut world, op);
    world.answer();
    let hit = world.read(3, "k");
    world.answer();
    assert_eq!(world.served[&hit].outcome, Outcome::Hit);
    world.assert_idle();
}

#[test]
fn a_callback_is_shown_what_its_caller_may_not_be_served() {
    let mut world = stale_for(10);
    let stale_if_error = Some(Millis::ZERO);
    let op = world.read_call(ReadCall { stale_if_error, waits: SOFT, ..world.call(2, "k") });
    world.answer();
    assert_eq!(world.shown[&op], Millis::new(61_000));
    world.pass(100.0, 2..=2, false);
    world.callback(op, false);
    assert_eq!((world.stashed.len(), world.thrown.as_slice()), (0, [op].as_slice()));
    world.assert_idle();
}

#[test]
fn a_callback_says_how_long_its_value_lives() {
    let mut world = World::new();
    let op = read(&mut world, 1, Waits::default());
    let span = |ms| Some(Millis::new(ms));
    let life = Adapted { ttl: span(5_000), swr: span(1_000), stale_if_error: span(7_000) };
    world.callback_end(
        op,
        CallbackEnd::Ok { life, skip: false, none: false, not_modified: false, tags: Vec::new() },
    );
    world.answer();
    let hash = world.redis.hash(b"leeward:k::k").expect("is stored");
    let header = String::from_utf8(hash[&b"h:"[..]].clone()).expect("a text");
    assert!(header.contains(" 5000 1000 7000 j "), "{header}");
    world.assert_idle();
}

#[test]
fn what_has_been_expired_meanwhile_is_served_at_the_soft_bound() {
    let mut world = stale_for(10);
    let op = read(&mut world, 2, Waits { soft: SOFT.soft, ..HARD });
    world.write(3, Targets { keys: &["k"], ..Targets::default() }, WriteKind::Expire);
    world.answer();
    world.pass(100.0, 2..=2, false);
    world.callback(op, true);
    world.answer();
    assert_eq!(world.served[&op].outcome, Outcome::Stale, "it is stale in any case");
    world.assert_idle();
}
