//! How long what is stored lives: shortened by chance, and where there is no value.

use std::collections::BTreeSet;
use std::string::ToString as _;
use std::vec::Vec;

use super::world::World;
use crate::core::{CacheConfig, CallbackEnd, Millis, OpId, Outcome, Ratio, ReadCall};

const TENTH: Ratio = Ratio::millionths(100_000);
const SECOND: Millis = Millis::seconds(1);

/// The callback says that there is none; `ttl` is what it set.
fn none(world: &mut World, op: OpId, ttl: Option<Millis>) {
    world.callback_end(op, CallbackEnd::Ok { ttl, skip: false, none: true, tags: Vec::new() });
}

#[test]
fn lives_are_shortened_by_up_to_the_jitter_each_by_its_own_part() {
    let config = CacheConfig { jitter: TENTH, swr: SECOND, stale_if_error: SECOND, ..CacheConfig::default() };
    let mut world = World::configured(config);
    let mut lives = BTreeSet::new();
    for n in 0..50 {
        let key = n.to_string();
        if n % 2 == 0 {
            world.read(n + 1, &key);
            world.answer();
            world.callbacks();
        } else {
            world.set(n + 1, &key);
            world.answer();
        }
        world.answer();
        let header = world.header(&key);
        assert!((54_000..=60_000).contains(&header.ttl.get()), "{:?}", header.ttl);
        assert_eq!((header.swr, header.stale_if_error), (SECOND, SECOND));
        lives.insert(header.ttl);
    }
    assert!(lives.len() > 45, "{lives:?}");
    world.assert_idle();
}

#[test]
fn it_holds_for_what_the_callback_sets_and_the_calls_own_counts() {
    let mut world = World::configured(CacheConfig { jitter: TENTH, ..CacheConfig::default() });
    let op = world.read(1, "k");
    world.answer();
    let end = CallbackEnd::Ok { ttl: Some(Millis::new(1_000)), skip: false, none: false, tags: Vec::new() };
    world.callback_end(op, end);
    world.answer();
    assert!((900..1000).contains(&world.header("k").ttl.get()));
    let call = ReadCall { jitter: Some(Ratio::ZERO), ..world.call(2, "l") };
    world.read_call(call);
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.header("l").ttl, Millis::seconds(60));
}

/// A cache that keeps "there is none" for a second.
fn negative() -> World {
    let config = CacheConfig {
        negative_ttl: Some(SECOND),
        swr: Millis::seconds(5),
        stale_if_error: Millis::seconds(7),
        ..CacheConfig::default()
    };
    World::configured(config)
}

#[test]
fn that_there_is_none_lives_for_its_own_time_and_is_never_stale() {
    let mut world = negative();
    let op = world.read(1, "k");
    world.answer();
    none(&mut world, op, None);
    world.answer();
    let stored = world.header("k");
    assert_eq!((stored.ttl, stored.swr, stored.stale_if_error), (SECOND, Millis::ZERO, Millis::ZERO));
    world.now += 999.0;
    let op = world.read(2, "k");
    world.answer();
    assert_eq!(world.served[&op].outcome, Outcome::Hit);
    world.now += 1.0;
    let op = world.read(3, "k");
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.served[&op].outcome, Outcome::Miss, "a value by now");
    let stored = world.header("k");
    assert_eq!((stored.ttl, stored.swr), (Millis::seconds(60), Millis::seconds(5)));
    world.assert_idle();
}

#[test]
fn what_the_call_and_the_callback_say_counts() {
    let mut world = negative();
    let call = ReadCall { swr: Some(SECOND), negative_ttl: Some(Millis::seconds(9)), ..world.call(1, "k") };
    let op = world.read_call(call);
    world.answer();
    none(&mut world, op, None);
    world.answer();
    let stored = world.header("k");
    assert_eq!((stored.ttl, stored.swr, stored.stale_if_error), (Millis::seconds(9), SECOND, Millis::ZERO));
    let op = world.read(2, "l");
    world.answer();
    none(&mut world, op, Some(Millis::seconds(3)));
    world.answer();
    let stored = world.header("l");
    assert_eq!((stored.ttl, stored.swr), (Millis::seconds(3), Millis::ZERO));
}

#[test]
fn without_the_option_it_is_a_value_as_any_other() {
    let mut world = World::configured(CacheConfig { swr: SECOND, ..CacheConfig::default() });
    let op = world.read(1, "k");
    world.answer();
    none(&mut world, op, None);
    world.answer();
    let stored = world.header("k");
    assert_eq!((stored.ttl, stored.swr), (Millis::seconds(60), SECOND));
}

#[test]
fn of_no_life_it_is_returned_and_shared_not_stored_and_the_key_is_not_passed_through() {
    let mut world =
        World::configured(CacheConfig { negative_ttl: Some(Millis::ZERO), ..CacheConfig::default() });
    let leader = world.read(1, "k");
    let follower = world.read(2, "k");
    world.answer();
    none(&mut world, leader, None);
    for op in [leader, follower] {
        assert_eq!((world.served[&op].outcome, world.served[&op].stored), (Outcome::Miss, Some(false)));
    }
    assert!(world.served[&follower].shared);
    assert!(world.wire.is_empty() && !world.has("k"));
    assert_eq!(world.engine.stats(world.link).expect("exists").unstorable, 0);
    // Whoever finds one next stores it.
    let next = world.read(3, "k");
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.served[&next].outcome, Outcome::Miss);
    assert!(world.has("k"));
    // The callback's own word beats it.
    let op = world.read(4, "l");
    world.answer();
    none(&mut world, op, Some(SECOND));
    world.answer();
    assert_eq!(world.header("l").ttl, SECOND);
    world.assert_idle();
}

#[test]
fn of_no_life_it_frees_those_who_wait_for_the_lease() {
    let config = CacheConfig {
        negative_ttl: Some(Millis::ZERO),
        lease_wait: Millis::seconds(5),
        ..CacheConfig::default()
    };
    let mut world = World::configured(config);
    let op = world.read(1, "k");
    world.answer();
    none(&mut world, op, None);
    assert_eq!(world.wire.len(), 1, "the lease is given back");
    world.answer();
    let lease = world.redis.hash(b"leeward:k::k").and_then(|hash| hash.get(&b"l:"[..]).cloned());
    assert_eq!(lease.as_deref(), Some(&b"-"[..]));
    world.assert_idle();
}
