use super::world::World;
use crate::core::event::EventKind;
use crate::core::redis::script::{Dialect, Script};
use crate::core::{Bypass, CacheConfig, InvalidationState, Millis, Outcome, Targets, WriteKind};
use std::format;
use std::vec::Vec;

/// A world in which "k" is stored and Redis has been seen.
fn filled() -> World {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world
}

/// The same, and then Redis is gone.
fn in_an_outage() -> World {
    let mut world = filled();
    for request in 2..=4 {
        world.read(request, "other");
        world.refuse();
        world.callbacks();
    }
    assert!(!world.engine.snapshot(world.link).expect("exists").is_ready);
    world
}

#[test]
fn an_invalidation_is_one_command_for_each_key() {
    let mut world = filled();
    let before = world.sent();
    let op = world.invalidate(2, &["k", "k2", "k"]);
    world.answer();
    assert_eq!(world.applied.get(&op), Some(&false));
    assert_eq!(world.sent(), (before.0 + 1, before.1 + 2));
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn a_fill_that_an_invalidation_has_overtaken_is_refused() {
    let mut world = World::new();
    let op = world.read(1, "k");
    world.answer();
    world.invalidate(2, &["k"]);
    world.answer();
    world.callbacks();
    world.answer();
    assert!(!world.has("k"), "the old value is not stored");
    assert_eq!(
        world.count(|e| matches!(e, EventKind::Fill { stored: false, reason: Some("overtaken"), .. })),
        1
    );
    assert!(world.served.contains_key(&op), "its own caller has it all the same");
    world.assert_idle();
}

#[test]
fn who_starts_after_an_invalidation_does_not_join_what_began_before() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    world.invalidate(2, &["k"]);
    world.answer();
    let after = world.read(3, "k");
    assert_eq!(world.wire.len(), 1, "it reads by itself");
    world.answer();
    assert_eq!(world.running.len(), 2);
    world.callbacks();
    world.answer();
    assert!(!world.served[&after].shared);
    world.assert_idle();
}

#[test]
fn who_had_joined_before_an_invalidation_takes_what_the_flight_finds_and_asks_nobody_again() {
    let mut world = filled();
    // Else each would read at once, the key having been used.
    world.now += 11_000.0;
    let reads: Vec<_> = world.turn(2, |world| (0..20).map(|_| world.read(2, "k")).collect());
    let before = world.sent();
    let (batch, _, body) = world.wire.pop().expect("is sent");
    let found = world.execute(&body);
    world.invalidate(3, &["k"]);
    world.answer();
    world.engine.reply(batch, 200, found.as_bytes(), world.now);
    world.pump(2);
    assert!(reads.iter().all(|op| world.served[op].outcome == Outcome::Hit));
    assert_eq!(reads.iter().filter(|op| world.served[op].shared).count(), 19);
    assert_eq!(world.sent().0, before.0 + 1, "the drop");
    world.assert_idle();
}

#[test]
fn an_invalidation_in_an_outage_is_told_and_nothing_it_covers_is_served() {
    let mut world = in_an_outage();
    let op = world.invalidate(5, &["k"]);
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Pending, false)));
    let read = world.read(6, "k");
    world.callbacks();
    assert_eq!(world.served[&read].outcome, Outcome::Bypass);
    assert!(world.has("k"), "Redis still has it");
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 1);
}

#[test]
fn a_pending_invalidation_is_applied_before_a_read_of_its_key() {
    let mut world = in_an_outage();
    world.invalidate(5, &["k"]);
    world.now += 30_000.0;
    let read = world.read(6, "k");
    assert!(
        world.wire[0].2.contains("drop"),
        "the drop goes first, in the same request: {}",
        world.wire[0].2
    );
    world.answer();
    assert_eq!(world.running.len(), 1, "the entry of before is gone");
    world.callbacks();
    world.answer();
    assert_eq!((world.served[&read].outcome, world.served[&read].reason), (Outcome::Miss, None));
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn a_pending_invalidation_is_replayed_in_the_background() {
    let mut world = in_an_outage();
    world.invalidate(5, &["k"]);
    for _ in 0..40 {
        world.pass(1000.0, 5..=5, false);
        world.answer();
    }
    assert!(!world.has("k"));
    assert_eq!(
        world.count(|e| matches!(
            e,
            EventKind::Invalidation { state: InvalidationState::Applied, replay: true, .. }
        )),
        1
    );
    world.assert_idle();
}

#[test]
fn it_is_replayed_also_where_writes_wait_longer_than_a_replay_may() {
    let mut world = World::configured(CacheConfig { write: Millis::seconds(30), ..CacheConfig::default() });
    world.read_with(1, "connect", false);
    world.answer();
    world.invalidate_tags(1, &["t"]);
    world.refuse();
    assert_eq!(world.not_applied.len(), 1);
    for n in 0..10 {
        world.pass(1000.0, 1..=20, false);
        world.answer_all();
        world.read_with(2 + n, "other", false);
        world.answer_all();
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn when_the_replaying_request_dies_the_next_success_starts_another() {
    let mut world = in_an_outage();
    world.invalidate(5, &["k"]);
    // Request 5 is never driven again.
    world.now += 60_000.0;
    world.read(6, "unrelated");
    world.answer();
    world.callbacks();
    world.pass(1000.0, 6..=6, false);
    world.answer();
    assert!(!world.has("k"));
}

#[test]
fn a_lost_reply_is_not_an_acknowledgement() {
    let mut world = filled();
    let op = world.invalidate(2, &["k"]);
    world.lose_replies();
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Pending, false)));
    world.pass(1000.0, 2..=2, false);
    world.answer();
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0, "repeated, and acknowledged then");
    world.assert_idle();
}

#[test]
fn a_read_whose_own_drop_has_failed_is_covered_though_a_replay_has_ended_the_fence_since() {
    let mut world = filled();
    world.read_with(2, "k", false);
    let body = world.wire[0].2.clone();
    let found = world.execute(&body);
    world.answer();
    world.invalidate(3, &["k"]);
    world.refuse();
    let read = world.read(4, "k");
    let (batch, _, body) = world.wire.pop().expect("is sent");
    assert!(body.contains("drop") && body.contains("read"), "{body}");
    world.pass(240.0, 3..=3, false);
    world.answer();
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0, "the replay's is acknowledged");
    // Redis had looked before that.
    let replies = format!(r#"[{{"error":"NOSCRIPT No matching script"}},{}"#, found.trim_start_matches('['));
    world.engine.reply(batch, 200, replies.as_bytes(), world.now);
    world.pump(4);
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::PendingInvalidation));
    world.answer_all();
    world.assert_idle();
}

#[test]
fn a_write_past_its_deadline_is_pending() {
    let mut world = filled();
    let op = world.invalidate(2, &["k"]);
    world.pass(1000.0, 2..=2, false);
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Pending, false)));
    assert_eq!(world.aborted.len(), 1);
}

#[test]
fn refused_scripts_fall_back_to_ending_the_generation() {
    let mut world = filled();
    let op = world.invalidate(2, &["k"]);
    world.answer_with(
        200,
        r#"[{"error":"NOPERM this user has no permissions to run the 'evalsha' command"}]"#,
    );
    assert!(!world.applied.contains_key(&op));
    world.answer();
    assert!(world.applied.contains_key(&op));
    world.assert_idle();
}

#[test]
fn a_read_only_token_refuses_and_the_fence_stays() {
    let mut world = filled();
    let op = world.invalidate(2, &["k"]);
    let noperm = r#"[{"error":"NOPERM this user has no permissions to run the 'evalsha' command"}]"#;
    world.answer_with(200, noperm);
    world.answer_with(200, noperm);
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Refused, false)));
    let read = world.read(3, "k");
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::PendingInvalidation));
    world.assert_idle();
}

fn refuse_all_and_leave_a_tag_pending(world: &mut World) {
    world.write(801, Targets { all: true, ..Targets::default() }, WriteKind::Invalidate);
    for command in ["evalsha", "hdel"] {
        let noperm = format!(r#"[{{"error":"NOPERM this user has no permissions to run '{command}'"}}]"#);
        world.answer_with(200, &noperm);
    }
    world.invalidate_tags(802, &["t"]);
    world.refuse();
}

#[test]
fn what_is_pending_is_sent_though_reads_go_by_for_what_is_refused() {
    let mut world = filled();
    refuse_all_and_leave_a_tag_pending(&mut world);
    // Those requests are never driven again.
    world.now += 60_000.0;
    let read = world.read(4, "k");
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::PendingInvalidation));
    world.pass(1000.0, 4..=4, false);
    world.answer_all();
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn a_read_that_goes_by_is_not_forgotten_for_the_replay_that_it_starts() {
    let mut world = World::configured(CacheConfig { flight: Millis::seconds(300), ..CacheConfig::default() });
    world.read(1, "z");
    world.answer();
    world.callbacks();
    world.answer();
    // Its callback never ends.
    world.read(2, "k");
    world.answer();
    let follower = world.read(3, "k");
    for n in 0..250 {
        world.read(1000 + n, &format!("busy {n}"));
        world.answer();
    }
    refuse_all_and_leave_a_tag_pending(&mut world);
    for _ in 0..121 {
        world.now += 5_000.0;
        world.engine.timer(crate::core::RequestId(999), world.now);
    }
    world.engine.timer(crate::core::RequestId(3), world.now);
    world.pump(3);
    assert!(world.running.contains(&follower));
}

#[test]
fn a_set_ends_what_is_stored_first_and_stores_under_a_generation_of_its_own() {
    let mut world = filled();
    let before = world.generation("k");
    let op = world.set(2, "k");
    world.answer();
    assert!(!world.applied.contains_key(&op));
    world.answer();
    assert_eq!(world.applied.get(&op), Some(&true));
    assert_ne!(world.generation("k"), before);
    assert!(world.has("k"));
    world.assert_idle();
}

#[test]
fn a_set_that_an_invalidation_has_overtaken_stores_nothing() {
    let mut world = filled();
    let op = world.set(2, "k");
    world.answer();
    let fill = world.wire.remove(0);
    world.invalidate(3, &["k"]);
    world.answer();
    world.wire.push(fill);
    world.answer();
    assert_eq!(world.applied.get(&op), Some(&false));
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn without_configuration_a_write_is_refused() {
    let mut world = World::with(Err(std::string::String::from("nothing")));
    let op = world.invalidate(1, &["k"]);
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Refused, true)));
    world.assert_idle();
}

#[test]
fn a_replica_in_a_failover_leaves_an_invalidation_pending() {
    let mut world = in_an_outage();
    world.invalidate(5, &["k"]);
    world.now += 30_000.0;
    world.read(6, "k");
    let replica = r#"{"error":"READONLY You can't write against a read only replica."}"#;
    world.answer_with(200, &std::format!("[{replica},{replica}]"));
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 1, "it is not given up");
    world.callbacks();
    for _ in 0..5 {
        world.pass(1000.0, 5..=6, false);
        world.answer();
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
    assert!(!world.has("k"));
}

#[test]
fn who_reads_again_is_bound_by_what_was_invalidated_meanwhile() {
    let mut world = filled();
    world.now += 20_000.0; // no longer remembered as hot
    let dead = world.read(2, "k");
    let old = world.read(3, "k");
    world.wire.clear(); // request 2 has died, and its batch with it
    let invalidation = world.invalidate(4, &["k"]);
    world.refuse();
    assert_eq!(world.not_applied.get(&invalidation), Some(&(InvalidationState::Pending, false)));
    world.pass(2000.0, 3..=3, false);
    let young = world.read(5, "k");
    let drop = Script::Drop.sha(Dialect::Redis);
    assert!(
        world.wire.iter().any(|(.., body)| body.contains("drop") || body.contains(drop)),
        "{:?}",
        world.wire
    );
    world.answer();
    world.callbacks();
    world.answer();
    for op in [old, young] {
        assert_ne!(world.served[&op].outcome, Outcome::Hit, "the entry of before was served");
    }
    assert!(!world.served.contains_key(&dead));
}

#[test]
fn thousands_of_keys_are_invalidated_at_once_and_the_cache_goes_on() {
    let mut world = filled();
    let keys: std::vec::Vec<std::string::String> = (0..5_000).map(|n| std::format!("k{n}")).collect();
    let keys: std::vec::Vec<&str> = keys.iter().map(std::string::String::as_str).collect();
    let op = world.invalidate(2, &keys);
    world.answer_all();
    assert!(world.applied.contains_key(&op));
    // More than the journal has room for: it has become one fence of everything, which ends "k", too.
    let miss = world.read(3, "k");
    world.answer();
    world.callbacks();
    world.answer();
    let hit = world.read(4, "k");
    world.answer();
    assert_eq!((world.served[&miss].outcome, world.served[&hit].outcome), (Outcome::Miss, Outcome::Hit));
}

#[test]
fn a_full_journal_collapses_to_one_fence_of_everything_that_is_pending_like_any_other() {
    let mut world = in_an_outage();
    let keys: std::vec::Vec<std::string::String> = (0..5_000).map(|n| std::format!("k{n}")).collect();
    let keys: std::vec::Vec<&str> = keys.iter().map(std::string::String::as_str).collect();
    let op = world.invalidate(5, &keys);
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Pending, false)));
    assert!(world.engine.stats(world.link).expect("exists").journal < 1_000);
    let read = world.read(6, "unrelated");
    world.callbacks();
    assert_eq!(world.served[&read].outcome, Outcome::Bypass);
    world.now += 60_000.0;
    world.read(7, "k");
    for _ in 0..40 {
        world.answer();
        world.callbacks();
        world.pass(1000.0, 5..=7, false);
    }
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
}

#[test]
fn a_set_is_stored_though_the_server_has_forgotten_its_scripts() {
    let mut world = filled();
    world.invalidate(2, &["other"]);
    world.answer();
    world.redis.script_flush();
    let op = world.set(3, "k");
    for _ in 0..4 {
        world.answer();
    }
    assert_eq!(world.applied.get(&op), Some(&true));
    world.assert_idle();
}

#[test]
fn what_is_pending_and_what_is_down_outlive_the_instance() {
    let mut world = in_an_outage();
    world.invalidate(5, &["k"]);
    let before = world.engine.snapshot(world.link).expect("exists");
    world.trap();
    let after = world.engine.snapshot(world.link).expect("exists");
    assert_eq!((after.state, after.until, after.attempts), (before.state, before.until, before.attempts));
    let read = world.read(6, "k");
    world.callbacks();
    assert_eq!(world.served[&read].outcome, Outcome::Bypass, "no I/O while it is down");
    assert!(world.has("k") && world.wire.is_empty());
    world.now += 30_000.0;
    let read = world.read(7, "k");
    assert!(world.wire[0].2.contains("drop"), "first the invalidation: {}", world.wire[0].2);
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.served[&read].outcome, Outcome::Miss);
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0);
    world.trap();
    assert_eq!(world.engine.stats(world.link).expect("exists").journal, 0, "what was applied is not kept");
}

#[test]
fn a_mutate_under_way_outlives_the_instance() {
    let mut world = filled();
    world.mutate(2, crate::core::Targets { keys: &["k"], ..crate::core::Targets::default() });
    world.answer();
    world.trap();
    let read = world.read(3, "k");
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::PendingInvalidation));
}
