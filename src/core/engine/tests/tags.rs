//! Tags, namespaces and late tags.

use std::vec::Vec;

use super::world::World;
use crate::core::event::EventKind;
use crate::core::{
    CacheConfig, Freshness, InvalidationState, Millis, OpId, Outcome, ReadCall, Targets, WriteKind,
};

/// A world in which "k" is stored with the tag "t".
fn tagged() -> World {
    let mut world = World::new();
    world.read_tagged(1, "k", &["t"]);
    world.answer();
    world.callbacks();
    world.answer();
    world
}

#[test]
fn tags_cost_nothing_more_and_a_changed_one_is_a_miss_of_two_commands() {
    let mut world = tagged();
    assert_eq!(world.sent(), (2, 2));
    let hit = world.read_tagged(2, "k", &["t"]);
    world.answer();
    assert_eq!(world.sent(), (3, 3));
    world.invalidate_tags(3, &["t"]);
    world.answer();
    assert_eq!(world.sent(), (4, 4));
    let miss = world.read_tagged(4, "k", &["t"]);
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.sent(), (6, 6));
    assert_eq!((world.served[&hit].outcome, world.served[&miss].outcome), (Outcome::Hit, Outcome::Miss));
    world.assert_idle();
}

#[test]
fn tags_that_the_caller_does_not_name_are_asked_for_once() {
    let mut world = tagged();
    world.now += 20_000.0; // no longer remembered as hot
    let first = world.read(2, "k");
    world.answer();
    assert!(!world.served.contains_key(&first), "their versions are not known yet");
    world.answer();
    assert_eq!(world.served[&first].outcome, Outcome::Hit);
    let before = world.sent();
    let second = world.read(3, "k");
    world.answer();
    assert_eq!(world.served[&second].outcome, Outcome::Hit);
    assert_eq!(world.sent(), (before.0 + 1, before.1 + 1), "they are remembered");
    world.assert_idle();
}

#[test]
fn readers_who_name_different_tags_do_not_make_each_other_ask_again() {
    let mut world = World::new();
    world.read_tagged(1, "k", &["s", "t", "u"]);
    world.answer();
    world.callbacks();
    world.answer();
    let mut costs = Vec::new();
    for (request, tags) in (2..).zip([["s"], ["t"], ["u"], ["s"]]) {
        let before = world.sent().0;
        let hit = world.read_tagged(request, "k", &tags);
        world.answer_all();
        assert_eq!(world.served[&hit].outcome, Outcome::Hit);
        costs.push(world.sent().0 - before);
    }
    assert_eq!(costs, [2, 1, 1, 1]);
    world.assert_idle();
}

#[test]
fn an_entry_without_a_tag_that_the_reader_names_is_none() {
    let mut world = tagged();
    let op = world.read_tagged(2, "k", &["t", "u"]);
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert_eq!(world.served[&op].outcome, Outcome::Miss);
    world.assert_idle();
}

#[test]
fn a_pending_invalidation_of_a_tag_that_the_entry_turns_out_to_carry_goes_before_it_is_read_again() {
    let mut world = tagged();
    world.invalidate_tags(2, &["t"]);
    world.lose_replies();
    let op = world.read(3, "k");
    world.answer();
    let drops = world.wire.iter().filter(|(.., body)| body.contains("leeward:t::t\",\"\",\"0\"")).count();
    assert_eq!(drops, 1, "{:?}", world.wire);
    world.answer();
    world.callbacks();
    world.answer();
    assert_eq!(world.served[&op].outcome, Outcome::Miss);
}

#[test]
fn a_whole_namespace_ends_with_one_command() {
    let mut world = World::new();
    let spaces = ["a", "a/b", "c"];
    for (n, space) in (1..).zip(spaces) {
        world.read_call(ReadCall { space, ..world.call(n, "k") });
        world.answer();
        world.callbacks();
        world.answer();
    }
    let before = world.sent();
    let request = crate::core::RequestId(9);
    let call = crate::core::WriteCall {
        request,
        cache: world.cache,
        connection: world.link,
        anchored: true,
        space: "a",
        targets: Targets { all: true, ..Targets::default() },
        kind: WriteKind::Invalidate,
    };
    let op = world.write_call(call);
    world.answer();
    assert_eq!(world.applied.get(&op), Some(&false));
    assert_eq!(world.sent(), (before.0 + 1, before.1 + 1));
    let outcomes: Vec<Outcome> = (11..)
        .zip(spaces)
        .map(|(n, space)| {
            let op = world.read_call(ReadCall { space, load: false, ..world.call(n, "k") });
            world.answer();
            world.served[&op].outcome
        })
        .collect();
    assert_eq!(outcomes, [Outcome::Miss, Outcome::Miss, Outcome::Hit]);
}

#[test]
fn a_late_tag_is_returned_not_stored_and_stored_the_next_time() {
    let mut world = World::new();
    let first = world.read(1, "k");
    world.answer();
    world.callback_with(first, true, &["late"]);
    world.answer();
    assert!(world.served.contains_key(&first) && !world.has("k"));
    assert_eq!(world.count(|e| matches!(e, EventKind::Fill { reason: Some("late tags"), .. })), 1);
    let second = world.read(2, "k");
    world.answer();
    world.callback_with(second, true, &["late"]);
    world.answer();
    assert!(world.has("k"), "its version had been read before");
    world.invalidate_tags(3, &["late"]);
    world.answer();
    let third = world.read_with(4, "k", false);
    world.answer();
    assert_eq!(world.served[&third].outcome, Outcome::Miss);
    world.assert_idle();
}

/// A world in which the callback of "k" waits for the version of the tag "late".
fn awaiting_late() -> (World, OpId) {
    let mut world = World::new();
    let op = world.read(1, "k");
    world.answer();
    world.await_tags(op, &["late"]);
    (world, op)
}

#[test]
fn a_late_tag_that_is_awaited_is_stored_at_once() {
    let (mut world, op) = awaiting_late();
    assert!(world.tagged.is_empty(), "the callback waits");
    world.answer();
    assert_eq!(world.tagged, [op]);
    world.callback_with(op, true, &["late"]);
    world.answer();
    assert!(world.has("k"));
    assert_eq!(world.sent(), (3, 3));
    world.assert_idle();
}

#[test]
fn a_callback_that_awaits_several_goes_on_when_all_are_known() {
    let mut world = World::new();
    let op = world.read(1, "k");
    world.answer();
    world.await_tags(op, &["one"]);
    let first = core::mem::take(&mut world.wire);
    world.await_tags(op, &["two"]);
    let second = core::mem::replace(&mut world.wire, first);
    world.answer();
    assert!(world.tagged.is_empty(), "the second is not known yet");
    world.wire = second;
    world.answer();
    assert_eq!(world.tagged, [op]);
    world.callbacks();
    world.answer();
    world.assert_idle();
}

#[test]
fn an_invalidation_after_the_versions_were_read_keeps_the_value_out() {
    let (mut world, op) = awaiting_late();
    world.answer();
    world.invalidate_tags(2, &["late"]);
    world.answer();
    world.callback_with(op, true, &["late"]);
    world.answer();
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn who_began_after_an_invalidation_does_not_take_what_a_flight_has_stored_before_it_was_carried_out() {
    let (mut world, first) = awaiting_late();
    world.answer();
    world.invalidate_tags(2, &["late"]);
    let (drop, _, drop_body) = world.wire.pop().expect("is sent");
    // Nobody knows yet that the value will carry the tag.
    let second = world.read(3, "k");
    assert!(world.wire.is_empty(), "it joins");
    world.callback_with(first, true, &["late"]);
    let (fill, _, fill_body) = world.wire.pop().expect("is sent");
    // Redis stores it, and then ends it; the answers come the other way round.
    let stored = world.execute(&fill_body);
    let dropped = world.execute(&drop_body);
    world.engine.reply(drop, 200, dropped.as_bytes(), world.now);
    world.pump(2);
    world.engine.reply(fill, 200, stored.as_bytes(), world.now);
    world.pump(1);
    assert!(!world.served.contains_key(&second), "it reads by itself");
    world.answer_all();
    assert_eq!(world.running, [second]);
    world.callbacks();
    world.answer();
    assert!(!world.served[&second].shared);
    world.assert_idle();
}

#[test]
fn what_a_flight_has_computed_that_began_after_an_invalidation_is_for_all_that_follow_it() {
    let (mut world, first) = awaiting_late();
    world.answer();
    world.callback_with(first, true, &["late"]);
    world.answer();
    world.now += 11_000.0;
    world.invalidate_tags(2, &["late"]);
    world.refuse();
    // The drop goes ahead of its read.
    let leader = world.read(3, "k");
    world.answer_all();
    let before = world.sent();
    let followers: Vec<_> = (10..30).map(|request| world.read(request, "k")).collect();
    world.callback_with(leader, true, &["late"]);
    world.answer_all();
    assert!(followers.iter().all(|op| world.served[op].shared));
    assert_eq!(world.sent().0, before.0 + 1, "the fill");
}

#[test]
fn versions_that_do_not_come_free_the_callback_and_are_not_stored() {
    let (mut world, op) = awaiting_late();
    world.pass(250.0, 1..=1, false);
    assert_eq!(world.tagged, [op]);
    world.callback_with(op, true, &["late"]);
    world.answer();
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn who_forces_runs_its_callback_though_there_is_an_entry() {
    let mut world = tagged();
    let freshness = Freshness::Forced;
    let op = world.read_call(ReadCall { freshness, tags: &["t"], ..world.call(2, "k") });
    world.answer();
    assert_eq!(world.callbacks(), 1);
    world.answer();
    assert_eq!((world.served[&op].outcome, world.sent()), (Outcome::Miss, (4, 4)));
    world.assert_idle();
}

#[test]
fn a_set_after_a_read_of_its_own_request_is_one_exchange_and_loses_to_an_invalidation_in_between() {
    let mut world = tagged();
    world.read_tagged(2, "k", &["t"]);
    world.answer();
    let before = world.sent();
    let won = world.set(2, "k");
    world.answer();
    assert_eq!((world.applied.get(&won), world.sent().0), (Some(&true), before.0 + 1));
    world.read_with(3, "k", false);
    world.answer();
    world.invalidate(4, &["k"]);
    world.answer();
    let lost = world.set(3, "k");
    world.answer();
    assert_eq!(world.applied.get(&lost), Some(&false));
    assert!(!world.has("k"));
    world.assert_idle();
}

#[test]
fn a_set_after_a_stale_value_is_as_stale_as_that_was() {
    let mut world = World::configured(CacheConfig { swr: Millis::seconds(60), ..CacheConfig::default() });
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.answer();
    world.write(2, Targets { keys: &["k"], ..Targets::default() }, WriteKind::Expire);
    world.answer();
    let stale = world.read(3, "k");
    world.answer();
    let set = world.set(3, "k");
    world.answer();
    assert_eq!((world.served[&stale].outcome, world.applied.get(&set)), (Outcome::Stale, Some(&true)));
    // What was set may follow from what had been made stale.
    let after = world.read(4, "k");
    world.answer();
    assert_eq!(world.served[&after].outcome, Outcome::Stale);
}

#[test]
fn a_set_whose_verdict_is_lost_is_pending_and_sent_again_as_an_invalidation() {
    let mut world = tagged();
    world.read_tagged(2, "k", &["t"]);
    world.answer();
    let op = world.set(2, "k");
    world.lose_replies();
    assert_eq!(world.not_applied.get(&op), Some(&(InvalidationState::Pending, false)));
    world.pass(1000.0, 2..=2, false);
    world.answer();
    assert!(!world.has("k"));
    world.assert_idle();
}
