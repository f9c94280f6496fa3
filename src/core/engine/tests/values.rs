//! What is stored and does not do, and how values are stored.

use std::string::String;
use std::vec::Vec;

use super::world::{Decoding, World};
use crate::core::{
    Bypass, CacheConfig, CallbackEnd, Compression, EventKind, Millis, OpId, Origin, Outcome, Rejection,
    Source,
};

/// A world in which "k" is stored.
fn stored(config: CacheConfig) -> World {
    let mut world = World::configured(config);
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.assert_idle();
    world.decoding = Decoding::Later;
    world
}

fn reject(world: &mut World, request: u32, op: OpId) {
    let path = Some(String::from("$.name"));
    assert!(world.engine.rejected(op, path, Rejection::Schema, world.now));
    world.pump(request);
}

#[test]
fn a_rejected_hit_is_a_miss_whose_value_is_stored_in_two_requests() {
    let mut world = stored(CacheConfig::default());
    let before = world.sent();
    let op = world.read(2, "k");
    world.answer();
    assert_eq!(world.undecoded.len(), 1);
    assert!(world.running.is_empty() && !world.served.contains_key(&op));
    reject(&mut world, 2, op);
    world.callbacks();
    assert_eq!(world.served[&op].outcome, Outcome::Miss);
    world.answer();
    assert_eq!(world.sent(), (before.0 + 2, before.1 + 2), "one read and one fill");
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { stored: true, .. })), 2);
    let rejected = |e: &EventKind| matches!(e, EventKind::Rejected { path: Some(path), reason: Rejection::Schema, .. } if path == "$.name");
    assert_eq!(world.count(rejected), 1);
    let stats = world.engine.stats(world.link).expect("exists");
    assert_eq!((stats.rejected, stats.hits, stats.misses, stats.callbacks), (1, 0, 2, 2));
    world.assert_idle();
}

#[test]
fn an_invalidation_overtakes_the_fill_after_a_rejected_hit() {
    let mut world = stored(CacheConfig::default());
    let op = world.read(2, "k");
    world.answer();
    reject(&mut world, 2, op);
    world.redis.execute(&["DEL", "leeward:k::k"]);
    world.callbacks();
    world.answer();
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { reason: Some("overtaken"), .. })), 1);
    world.assert_idle();
}

#[test]
fn without_a_callback_a_rejected_value_is_none() {
    let mut world = stored(CacheConfig::default());
    let op = world.read_with(2, "k", false);
    world.answer();
    reject(&mut world, 2, op);
    assert_eq!((world.served[&op].outcome, world.served[&op].stored), (Outcome::Miss, Some(false)));
    world.assert_idle();
}

#[test]
fn who_follows_a_rejected_hit_gets_what_the_leader_computes() {
    let mut world = stored(CacheConfig::default());
    // No longer hot: flights are joined.
    world.now += 11_000.0;
    let leader = world.read(2, "k");
    let follower = world.read(3, "k");
    world.answer();
    reject(&mut world, 2, leader);
    assert_eq!(world.running, [leader]);
    world.callbacks();
    let Some((op, Source::Shared(_, Origin::Callback))) = world.undecoded.pop() else {
        panic!("{:?}", world.undecoded)
    };
    assert_eq!(op, follower);
    world.engine.decoded(op, true, world.now);
    world.pump(3);
    assert!(world.served[&follower].shared);
    world.answer();
    world.assert_idle();
}

#[test]
fn who_will_not_have_a_shared_hit_reads_again_and_shares_with_others_like_it() {
    let mut world = stored(CacheConfig::default());
    world.now += 11_000.0;
    let leader = world.read(2, "k");
    let followers = [world.read(3, "k"), world.read(4, "k")];
    world.answer();
    world.undecoded.clear();
    world.engine.decoded(leader, true, world.now);
    world.pump(2);
    let shared: Vec<_> = world.undecoded.drain(..).collect();
    assert!(shared.iter().all(|(_, source)| matches!(source, Source::Shared(_, Origin::Redis))));
    for (request, op) in (3..).zip(followers) {
        reject(&mut world, request, op);
    }
    world.answer();
    let again: Vec<_> = world.undecoded.drain(..).map(|(op, _)| op).collect();
    for (request, op) in (3..).zip(followers) {
        if again.contains(&op) {
            reject(&mut world, request, op);
        }
    }
    assert_eq!(world.running.len(), 1, "one of them computes");
    world.decoding = Decoding::AtOnce;
    world.callbacks();
    world.answer();
    assert!(followers.iter().all(|op| world.served[op].outcome == Outcome::Miss));
    world.assert_idle();
}

#[test]
fn a_value_that_is_not_decoded_by_the_reads_deadline_is_past_it() {
    let mut world = stored(CacheConfig::default());
    let op = world.read(2, "k");
    world.answer();
    world.pass(251.0, 2..=2, true);
    assert_eq!(world.running, [op]);
    // Too late: of no effect.
    assert!(world.engine.decoded(op, true, world.now));
    world.pump(2);
    assert!(!world.served.contains_key(&op));
    world.callbacks();
    assert_eq!(
        (world.served[&op].outcome, world.served[&op].reason),
        (Outcome::Bypass, Some(Bypass::Timeout))
    );
    world.answer();
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { stored: true, .. })), 2, "stored all the same");
    world.assert_idle();
}

#[test]
fn a_rejected_stale_value_is_not_kept_for_an_error() {
    let config = CacheConfig { stale_if_error: Millis::seconds(600), ..CacheConfig::default() };
    let mut world = stored(config);
    world.now += 61_000.0;
    let op = world.read(2, "k");
    world.answer();
    reject(&mut world, 2, op);
    world.running.clear();
    world.engine.callback(op, CallbackEnd::Err, world.now);
    world.pump(2);
    assert_eq!(world.thrown, [op]);
    assert!(world.stashed.is_empty());
    world.assert_idle();
}

fn compressing() -> CacheConfig {
    CacheConfig { compress: Some(3), ..CacheConfig::default() }
}

#[test]
fn compression_is_behind_the_answer_and_kept_if_it_gains() {
    for (size, kind, gain) in
        [(Some(2), 'J', Some(Compression { from: 3, to: 2 })), (Some(3), 'j', None), (None, 'j', None)]
    {
        let mut world = World::configured(compressing());
        let op = world.read(1, "k");
        world.answer();
        world.callbacks();
        assert!(world.served.contains_key(&op), "nobody waits for it");
        assert_eq!((world.compressing.as_slice(), world.wire.len()), (&[op][..], 0));
        assert!(world.engine.compressed(op, size, world.now));
        world.pump(1);
        assert_eq!(world.replaced.contains(&op), gain.is_some());
        world.answer();
        let header = world.redis.hash(b"leeward:k::k").and_then(|hash| hash.get(&b"h:"[..])).cloned();
        let header = String::from_utf8(header.expect("stored")).expect("text");
        assert_eq!(header.split(' ').nth(7), Some(std::format!("{kind}").as_str()));
        let told = |e: &EventKind| matches!(e, EventKind::Fill { compression, .. } if *compression == gain);
        assert_eq!(world.count(told), 1);
        let stats = world.engine.stats(world.link).expect("exists");
        let (from, to) = gain.map_or((0, 0), |gain| (gain.from as u64, gain.to as u64));
        assert_eq!((stats.compressed_from, stats.compressed_to), (from, to));
        world.assert_idle();
    }
}

#[test]
fn what_is_not_compressed_in_time_is_stored_as_it_is() {
    let mut world = World::configured(compressing());
    let op = world.read(1, "k");
    world.answer();
    world.callbacks();
    world.pass(501.0, 1..=1, true);
    assert!(world.engine.compressed(op, Some(1), world.now), "it is known, and too late");
    world.pump(1);
    assert!(world.replaced.is_empty());
    world.answer();
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { stored: true, compression: None, .. })), 1);
    world.assert_idle();
}

#[test]
fn a_set_compresses_first_with_its_fences_up() {
    for size in [Some(2), None] {
        let mut world = World::configured(compressing());
        let op = world.set(1, "k");
        assert_eq!((world.compressing.as_slice(), world.wire.len()), (&[op][..], 0));
        assert!(world.engine.is_fenced(world.link, "leeward:k::k"));
        match size {
            Some(_) => assert!(world.engine.compressed(op, size, world.now)),
            None => world.pass(501.0, 1..=1, true),
        }
        world.pump(1);
        world.answer();
        world.answer();
        assert_eq!(world.applied.get(&op), Some(&true));
        assert_eq!(world.replaced.contains(&op), size.is_some());
        let gained = |e: &EventKind| matches!(e, EventKind::Fill { compression: Some(_), .. });
        assert_eq!(world.count(gained), u32::from(size.is_some()) as usize);
        world.assert_idle();
    }
}

#[test]
fn a_value_over_the_limit_is_not_stored() {
    let config = CacheConfig { max_value: 2, compress: Some(1), ..CacheConfig::default() };
    let mut world = World::configured(config);
    let op = world.read(1, "k");
    world.answer();
    world.callbacks();
    assert_eq!(world.served[&op].stored, Some(false));
    assert!(world.compressing.is_empty());
    assert_eq!(world.count(|e| matches!(e, EventKind::Unstorable { .. })), 1);
    world.assert_idle();
}
