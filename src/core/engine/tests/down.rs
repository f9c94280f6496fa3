//! When the connection goes down, what it costs meanwhile, and how it comes back.

use std::format;

use super::world::World;
use crate::core::event::EventKind;
use crate::core::{Bypass, Millis, Outcome, ReadCall, StateName, Waits};

fn state(world: &World) -> StateName {
    world.engine.snapshot(world.link).expect("exists").state
}

/// One read, answered after so long.
fn read_after(world: &mut World, request: u32, ms: f64) -> crate::core::OpId {
    let op = world.read_with(request, "k", false);
    world.now += ms;
    world.answer();
    op
}

#[test]
fn five_slow_answers_of_eight_take_it_down_and_each_is_used_all_the_same() {
    let mut world = World::new();
    read_after(&mut world, 1, 240.0);
    for n in 0..4 {
        let slow = read_after(&mut world, 2 + n, 201.0);
        assert_eq!(world.served[&slow].outcome, Outcome::Miss);
        read_after(&mut world, 12 + n, 200.0);
    }
    assert_eq!(state(&world), StateName::Ready);
    read_after(&mut world, 30, 201.0);
    let last = read_after(&mut world, 31, 201.0);
    assert_eq!(world.served[&last].outcome, Outcome::Miss);
    assert_eq!(state(&world), StateName::Down);
    let told = |e: &EventKind| matches!(e, EventKind::Connection { to: StateName::Down, message: Some(m), .. } if m.contains("slow"));
    assert_eq!(world.count(told), 1);
    let sent = world.sent();
    let read = world.read(40, "k");
    world.callbacks();
    assert_eq!((world.served[&read].reason, world.sent()), (Some(Bypass::Down), sent), "no I/O");
    world.assert_idle();
}

#[test]
fn refused_redis_costs_less_than_a_tenth_of_an_attempt_a_request_and_one_probe_finds_it_again() {
    let mut world = World::new();
    let ready = |world: &mut World, n| {
        world.read_with(n, "k", false);
        world.answer();
    };
    ready(&mut world, 1);
    for n in 0..3 {
        world.read_with(2 + n, "k", false);
        world.refuse();
    }
    assert_eq!(state(&world), StateName::Down);
    let before = world.engine.snapshot(world.link).expect("exists").attempts;
    let (down, _) = world.sent();
    // Half a minute of ten requests a second.
    for n in 0..300 {
        let op = world.read(100 + n, "k");
        world.refuse();
        world.callbacks();
        assert_eq!(world.served[&op].outcome, Outcome::Bypass);
        world.now += 100.0;
    }
    let snapshot = world.engine.snapshot(world.link).expect("exists");
    let attempts = snapshot.attempts - before;
    assert!((1..=30).contains(&attempts), "{attempts} attempts in 300 requests");
    assert_eq!(world.sent().0, down + u64::from(attempts), "and nothing else");
    // It is back: the first request after the backoff is the probe, and its answer is used.
    let until = snapshot.until.expect("is down");
    #[allow(clippy::cast_precision_loss, reason = "a test's time")]
    let until = until as f64;
    assert!(until - world.now <= 10_000.0);
    world.now = until;
    let (sent, _) = world.sent();
    let probe = world.read_with(900, "k", false);
    world.answer();
    assert_eq!((world.served[&probe].outcome, state(&world)), (Outcome::Miss, StateName::Ready));
    assert_eq!(world.sent().0, sent + 1);
    world.assert_idle();
}

#[test]
fn an_attempt_is_the_only_one_for_as_long_as_a_read_has_though_its_own_has_less() {
    let mut world = World::new();
    let call = world.call(1, "k");
    world.read_call(ReadCall { waits: Waits { read: Some(Millis::new(20)), ..call.waits }, ..call });
    let attempts = |world: &World| world.engine.snapshot(world.link).expect("exists").attempts;
    // Its time is up, and its timer has not fired yet.
    world.now += 20.0;
    world.read(2, "l");
    assert_eq!((attempts(&world), world.wire.len()), (1, 1), "waits");
    world.now += 229.0;
    world.read(3, "m");
    assert_eq!((attempts(&world), world.wire.len()), (1, 1), "waits");
    world.now += 1.0;
    world.read(4, "n");
    assert_eq!((attempts(&world), world.wire.len()), (2, 2), "is the next one");
}

#[test]
fn an_attempt_that_is_given_up_has_failed_and_nobody_waits_for_its_time() {
    let mut world = World::new();
    let call = world.call(1, "k");
    world.read_call(ReadCall { waits: Waits { read: Some(Millis::new(20)), ..call.waits }, ..call });
    world.pass(20.0, 1..=1, false);
    assert_eq!(state(&world), StateName::Down);
    let read = world.read(2, "l");
    world.callbacks();
    assert_eq!(world.served[&read].reason, Some(Bypass::Down));
}

#[test]
fn a_clock_that_steps_forwards_makes_nobody_forgotten_who_is_under_way() {
    let mut world = World::new();
    for n in 0..250 {
        world.read(n, &format!("k{n}"));
    }
    world.now += 3_600_000.0;
    world.read(900, "after");
    assert_eq!(world.engine.under_way()[0], 251);
    // Nobody drives them: they are as good as dead.
    for n in 0..5 {
        world.now += 5_000.0;
        world.read(901 + n, "later");
    }
    assert!(world.engine.under_way()[0] <= 6);
}
