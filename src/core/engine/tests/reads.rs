use std::string::String;
use std::vec::Vec;

use super::world::World;
use crate::core::event::EventKind;
use crate::core::{Bypass, OpId, Outcome};

fn outcomes(world: &World, ops: &[OpId]) -> Vec<(Outcome, Option<Bypass>, bool)> {
    ops.iter()
        .map(|op| world.served.get(op).map(|s| (s.outcome, s.reason, s.shared)).expect("is served"))
        .collect()
}

#[test]
fn a_miss_costs_two_requests_and_two_commands_and_a_hit_one_and_one() {
    let mut world = World::new();
    let miss = world.read(1, "k");
    world.answer();
    assert_eq!(world.callbacks(), 1);
    assert_eq!(world.served[&miss].stored, None, "it is answered before the fill");
    world.answer();
    assert_eq!(world.sent(), (2, 2));
    world.now += 1000.0;
    let hit = world.read(2, "k");
    world.answer();
    assert_eq!(world.sent(), (3, 3));
    assert_eq!(outcomes(&world, &[miss, hit]), [(Outcome::Miss, None, false), (Outcome::Hit, None, false)]);
    assert_eq!(world.served[&hit].age.get(), 1000);
    world.assert_idle();
}

#[test]
fn a_hundred_first_requests_of_one_key_are_one_attempt_one_callback_and_two_requests() {
    let mut world = World::new();
    let ops: Vec<OpId> = (1..=100).map(|request| world.read(request, "k")).collect();
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert_eq!(world.sent().0, 2);
    assert_eq!(world.count(|e| matches!(e, EventKind::Attempt { .. })), 1);
    assert_eq!(outcomes(&world, &ops).iter().filter(|(_, _, shared)| *shared).count(), 99);
    world.assert_idle();
}

#[test]
fn of_a_hundred_keys_with_a_hung_redis_one_request_is_sent_and_all_are_answered() {
    let mut world = World::new();
    let keys: Vec<String> = (1..=100).map(|n| std::format!("k{n}")).collect();
    let ops: Vec<OpId> = (1..).zip(&keys).map(|(request, key)| world.read(request, key)).collect();
    world.pass(250.0, 1..=100, false);
    assert_eq!(world.callbacks(), 100);
    assert_eq!(world.sent().0, 1);
    assert_eq!(outcomes(&world, &ops).len(), 100);
    assert_eq!(world.aborted.len(), 1);
    assert_eq!(world.engine.snapshot(world.link).expect("exists").reuses, 99);
    world.assert_idle();
}

#[test]
fn a_wait_ends_though_the_clock_stands_still() {
    let mut world = World::new();
    let op = world.read(1, "k");
    world.pass(250.0, 1..=1, true);
    assert_eq!(world.callbacks(), 1);
    assert_eq!(outcomes(&world, &[op]), [(Outcome::Bypass, Some(Bypass::Timeout), false)]);
    world.assert_idle();
}

#[test]
fn what_came_late_is_not_stored() {
    let mut world = World::new();
    world.read(1, "k");
    let late = world.wire.clone();
    world.pass(250.0, 1..=1, false);
    let (batch, ..) = late[0];
    assert!(
        !world.engine.reply(batch, 200, br#"[{"result":["lw2",5000,"miss","g x n x",0]}]"#, world.now),
        "the batch is over"
    );
    world.callbacks();
    assert_eq!(world.sent().0, 1, "no fill");
    world.assert_idle();
}

#[test]
fn followers_of_a_leader_that_died_do_their_own_work_and_share_it() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    let dead = world.running.remove(0);
    let ops: Vec<OpId> = (2..=16).map(|request| world.read(request, "k")).collect();
    assert!(world.running.is_empty() && world.wire.is_empty());
    world.pass(2000.0, 2..=16, false);
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert_eq!(outcomes(&world, &ops).len(), 15);
    // Should its callback settle after all, its own caller gets the value.
    world.callback(dead, true);
    world.answer();
    assert!(world.served.contains_key(&dead));
    world.assert_idle();
}

#[test]
fn who_joins_after_the_callback_began_waits_for_the_verdict() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    let late = world.read(2, "k");
    world.callbacks();
    assert!(!world.served.contains_key(&late), "the value alone proves nothing to it");
    world.answer();
    assert_eq!(outcomes(&world, &[late]), [(Outcome::Miss, None, true)]);
    assert_eq!(world.served[&late].stored, Some(true));
    world.assert_idle();
}

#[test]
fn a_verdict_that_is_lost_frees_those_who_waited_for_it() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    let late = world.read(2, "k");
    world.callbacks();
    world.lose_replies();
    assert!(!world.served.contains_key(&late));
    world.answer();
    assert_eq!(outcomes(&world, &[late]), [(Outcome::Hit, None, false)], "it has read again");
    world.assert_idle();
}

#[test]
fn a_hit_is_not_given_to_who_joined_after_the_read_was_sent() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.now += 20_000.0; // no longer remembered as hot
    world.read(2, "k");
    let late = world.read(3, "k");
    assert_eq!(world.wire.len(), 1);
    world.answer();
    assert!(!world.served.contains_key(&late));
    world.answer();
    assert_eq!(outcomes(&world, &[late]), [(Outcome::Hit, None, false)]);
    world.assert_idle();
}

#[test]
fn a_key_that_was_a_hit_lately_is_read_at_once_by_everybody() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    let ops: Vec<OpId> = (2..=11).map(|request| world.read(request, "k")).collect();
    assert_eq!(world.wire.len(), 10);
    world.redis.execute(&["FLUSHALL"]);
    world.answer();
    assert_eq!(world.running.len(), 1, "when it turns out to be gone, one callback does for all");
    world.callbacks();
    world.answer();
    assert_eq!(outcomes(&world, &ops).len(), 10);
    world.assert_idle();
}

#[test]
fn an_unstorable_value_frees_all_at_once_and_the_key_is_passed_through() {
    let mut world = World::new();
    world.encodable = false;
    let ops: Vec<OpId> = (1..=50).map(|request| world.read(request, "k")).collect();
    world.answer();
    let leader = world.running[0];
    world.callback(leader, true);
    assert_eq!(world.running.len(), 49, "nobody waits for another's callback");
    world.callbacks();
    assert_eq!(outcomes(&world, &ops).len(), 50);
    let before = world.sent();
    let next = world.read(51, "k");
    world.callbacks();
    assert_eq!(outcomes(&world, &[next]), [(Outcome::Bypass, Some(Bypass::PassThrough), false)]);
    assert_eq!(world.sent(), before);
    assert_eq!(world.count(|e| matches!(e, EventKind::Unstorable { path, .. } if path == "$.at")), 1);
    world.assert_idle();
}

#[test]
fn a_failing_callback_is_its_own_callers_matter() {
    let mut world = World::new();
    let leader = world.read(1, "k");
    let follower = world.read(2, "k");
    world.answer();
    world.callback(leader, false);
    assert_eq!(world.thrown, [leader]);
    world.answer();
    assert_eq!(world.running, [follower], "it runs its own");
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn while_down_there_is_no_io_and_one_callback_for_all() {
    let mut world = World::new();
    world.read(1, "k");
    world.refuse();
    world.callbacks();
    let before = world.sent();
    let ops: Vec<OpId> = (2..=11).map(|request| world.read(request, "k")).collect();
    assert_eq!(world.callbacks(), 1);
    assert_eq!(world.sent(), before);
    let shared = outcomes(&world, &ops).iter().filter(|o| o.2 && o.1 == Some(Bypass::Down)).count();
    assert_eq!(shared, 9, "shared without a verdict, and told");
    world.assert_idle();
}

#[test]
fn a_probe_follows_the_backoff_and_hits_come_back() {
    let mut world = World::new();
    world.read(1, "k");
    world.refuse();
    world.callbacks();
    world.now += 500.0;
    let op = world.read(2, "k");
    assert_eq!(world.wire.len(), 1);
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(outcomes(&world, &[op]), [(Outcome::Miss, None, false)]);
    assert_eq!(world.count(|e| matches!(e, EventKind::Attempt { probe: true, .. })), 1);
    world.assert_idle();
}

#[test]
fn an_unknown_script_is_sent_with_its_text() {
    let mut world = World::new();
    world.read(1, "a");
    world.answer();
    world.callbacks();
    world.answer();
    world.redis.script_flush();
    let op = world.read(2, "a");
    world.answer();
    assert!(!world.served.contains_key(&op));
    world.answer();
    assert_eq!(outcomes(&world, &[op]), [(Outcome::Hit, None, false)]);
    world.assert_idle();
}

#[test]
fn wrong_answers_run_the_callback_and_name_the_cause() {
    for (status, body, reason) in [
        (500, "", "HTTP status 500"),
        (401, "{\"error\":\"WRONGPASS\"}", "credentials"),
        (429, "", "429"),
        (302, "", "redirect"),
        (200, "<html>", "malformed"),
        (200, "[{\"result\":\"OK\"}", "malformed"),
        (200, "[]", "expected 1 replies"),
        (200, "[{\"error\":\"LOADING x\"}]", "unavailable"),
        (200, "[{\"error\":\"WRONGTYPE x\"}]", "wrong type"),
        (200, "[{\"result\":[\"lw2\",5000]}]", "read script"),
        (200, "[{\"result\":[\"lw1\",5000,\"miss\",\"g x n x\",0]}]", "read script"),
        (400, "{\"error\":\"ERR max daily request limit exceeded\"}", "quota"),
        (404, "", "404"),
    ] {
        let mut world = World::new();
        let op = world.read(1, "k");
        world.answer_with(status, body);
        assert_eq!(world.callbacks(), 1, "{status} {body}");
        assert_eq!(
            outcomes(&world, &[op]),
            [(Outcome::Bypass, Some(Bypass::Failed), false)],
            "{status} {body}"
        );
        let named =
            world.count(|e| matches!(e, EventKind::Failure { message, .. } if message.contains(reason)));
        assert_eq!(named, 1, "{status} {body}: {:?}", world.events);
        world.assert_idle();
    }
}

#[test]
fn an_entry_that_cannot_be_read_is_a_miss_and_is_filled_anew() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.now += 20_000.0; // no longer remembered as hot
    let header = world.redis.hash(b"leeward:k::k").and_then(|hash| hash.get(&b"h:"[..])).cloned();
    let header = String::from_utf8(header.expect("is stored")).expect("a text");
    world.redis.execute(&["HSET", "leeward:k::k", "h:", &header.replace(" j ", " ? ")]);
    let op = world.read(2, "k");
    world.answer();
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert_eq!(outcomes(&world, &[op]), [(Outcome::Miss, None, false)]);
    let next = world.read(3, "k");
    world.answer();
    assert_eq!(outcomes(&world, &[next]), [(Outcome::Hit, None, false)]);
    world.assert_idle();
}

#[test]
fn without_configuration_callbacks_run_and_one_warning_says_so() {
    let mut world = World::with(Err(String::from("no Redis is configured")));
    let ops = [world.read(1, "k"), world.read(2, "k")];
    assert_eq!(world.callbacks(), 2);
    assert_eq!(outcomes(&world, &ops), [(Outcome::Bypass, Some(Bypass::Disabled), false); 2]);
    assert_eq!(world.count(|e| matches!(e, EventKind::Warning { .. })), 1);
    assert_eq!(world.sent(), (0, 0));
    world.assert_idle();
}

#[test]
fn without_an_anchor_nothing_is_shared_and_the_answer_waits_for_the_fill() {
    let mut world = World::new();
    world.anchored = false;
    let ops = [world.read(1, "k"), world.read(2, "k")];
    assert_eq!(world.wire.len(), 1, "still one attempt");
    world.answer();
    world.pass(10.0, 1..=2, false);
    world.answer();
    assert_eq!(world.running.len(), 2);
    world.callback(ops[0], true);
    assert!(!world.served.contains_key(&ops[0]));
    world.answer();
    assert_eq!(world.served[&ops[0]].stored, Some(true));
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn a_caller_that_goes_ends_its_own_wait_alone() {
    let mut world = World::new();
    let leader = world.read(1, "k");
    let follower = world.read(2, "k");
    world.engine.aborted(leader);
    world.answer();
    assert_eq!(world.running, [leader], "the callback runs for who follows");
    world.callbacks();
    world.answer();
    assert!(world.served.contains_key(&follower));
    let alone = world.read(3, "other");
    world.answer();
    world.engine.aborted(alone);
    world.pass(0.0, 3..=3, false);
    world.engine.timer(crate::core::RequestId(3), world.now);
    assert_eq!(world.engine.poll(crate::core::RequestId(3)), Some(crate::core::Effect::Cancel(alone)));
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn a_look_without_a_callback_makes_nothing() {
    let mut world = World::new();
    let op = world.read_with(1, "k", false);
    world.answer();
    assert_eq!(outcomes(&world, &[op]), [(Outcome::Miss, None, false)]);
    assert!(world.running.is_empty());
    world.assert_idle();
}

#[test]
fn fifty_reads_of_one_turn_are_one_request() {
    let mut world = World::new();
    for n in 0..50 {
        // One request context, one turn: nothing is flushed in between.
        let key = std::format!("k{n}");
        let call = crate::core::ReadCall { load: false, ..world.call(1, &key) };
        world.engine.begin_read(call, world.now).expect("room");
    }
    world.read_with(1, "last", false);
    assert_eq!(world.wire.len(), 1);
    world.answer();
    assert_eq!(world.sent(), (1, 51));
    world.assert_idle();
}

#[test]
fn requests_that_end_without_a_word_leave_room() {
    let mut world = World::new();
    let mut last = world.read(1, "k");
    for request in 2..=9_000 {
        last = world.read(request, &std::format!("k{request}"));
        if request == 8_192 {
            world.now += 301_000.0;
        }
    }
    let [ops, requests, batches, flights] = world.engine.under_way();
    assert!(
        ops <= 1_000 && requests <= 1_001 && batches <= 1_000 && flights <= 2_048,
        "{:?}",
        world.engine.under_way()
    );
    assert!(!world.served.contains_key(&last), "it waits for Redis as usual");
}

#[test]
fn without_room_the_driver_is_told_to_go_on_alone() {
    let mut world = World::new();
    for request in 1..=8_192 {
        world.read(request, &std::format!("k{request}"));
    }
    let call = world.call(1, "one more");
    assert_eq!(world.engine.begin_read(call, world.now), None);
}

#[test]
fn long_names_are_bounded_by_their_bytes_and_long_keys_count_as_their_hashes() {
    let mut world = World::new();
    let mut refused = 0;
    for request in 1..=300 {
        let key = std::format!("{request}{}", "x".repeat(30_000));
        let call = world.call(request, &key);
        refused += u32::from(world.engine.begin_read(call, world.now).is_none());
    }
    assert_eq!(refused, 0);
    for request in 301..=600 {
        let tags: Vec<_> = (0..60).map(|n| std::format!("{n:0500}")).collect();
        let tags: Vec<&str> = tags.iter().map(std::string::String::as_str).collect();
        let call = crate::core::ReadCall { tags: &tags, ..world.call(request, "k") };
        refused += u32::from(world.engine.begin_read(call, world.now).is_none());
    }
    assert!((100..200).contains(&refused), "{refused}");
}

#[test]
fn a_lost_promise_frees_its_followers_at_once() {
    let mut world = World::new();
    world.read(1, "k");
    world.answer();
    let follower = world.read(2, "k");
    assert!(world.engine.lost(follower, world.now));
    world.pass(0.0, 2..=2, false);
    world.engine.woken(follower, world.now);
    let other = world.read_with(2, "unrelated", false);
    world.answer();
    world.callbacks();
    world.answer();
    assert!(world.served.contains_key(&follower) && world.served.contains_key(&other));
}

#[test]
fn a_reply_over_the_limit_does_not_take_the_connection_down() {
    let mut world = World::new();
    for request in 1..=4 {
        world.read(request, "k");
        for (batch, owner, _) in core::mem::take(&mut world.wire) {
            world.engine.send_failed(batch, crate::core::ErrorKind::TooLarge, world.now);
            assert!(world.engine.snapshot(world.link).expect("exists").is_ready, "{owner:?}");
        }
        world.read_with(request, "other", false);
        world.callbacks();
        world.answer();
    }
}

#[test]
fn who_waited_for_a_hung_attempt_does_not_make_the_next_one() {
    let mut world = World::new();
    for request in 1..=20 {
        world.read(request, &std::format!("k{request}"));
    }
    // The timers of those who wait fire before the one of the request that made the attempt.
    world.pass(250.0, 2..=20, false);
    world.now -= 250.0;
    world.pass(250.0, 1..=1, false);
    assert_eq!(world.callbacks(), 20);
    assert_eq!(world.sent().0, 1);
    assert_eq!(world.engine.snapshot(world.link).expect("exists").attempts, 1);
    world.assert_idle();
}
