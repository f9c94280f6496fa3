use std::vec::Vec;

use super::world::World;
use crate::core::{
    CacheConfig, Freshness, Held, Kept, L1Config, L1Values, Millis, OpId, Outcome, ReadCall, RequestId,
    Targets, Ticket, WriteKind,
};

fn config(ttl: u64) -> CacheConfig {
    let l1 = L1Config { ttl: Millis::new(ttl), max_bytes: 1 << 20, values: L1Values::Frozen };
    CacheConfig { l1: Some(l1), ..CacheConfig::default() }
}

fn world() -> World {
    World::configured(config(5_000))
}

/// What the driver holds since the last answer.
fn newest(world: &World) -> Ticket {
    world.offered.last().and_then(|(_, kept)| kept.ticket).expect("something is held")
}

fn get(world: &mut World, held: Ticket) -> Held {
    world.engine.held(world.cache, world.link, held, world.now)
}

/// The key is computed and stored, and then held.
fn filled(world: &mut World, key: &str, tags: &[&str]) -> Ticket {
    world.read_tagged(900, key, tags);
    world.answer();
    world.callbacks();
    assert_eq!(world.offered.len(), 0, "not before Redis has stored it");
    world.answer();
    newest(world)
}

#[test]
fn a_stored_value_is_held_and_served_with_its_age_until_its_time_is_over() {
    let mut world = world();
    let held = filled(&mut world, "k", &[]);
    let sent = world.sent();
    world.now += 1_200.0;
    assert_eq!(get(&mut world, held), Held::Serve(Millis::new(1_200)));
    assert_eq!(world.sent(), sent, "without Redis");
    world.now += 3_799.0;
    assert_eq!(get(&mut world, held), Held::Serve(Millis::new(4_999)));
    world.now += 1.0;
    assert_eq!(get(&mut world, held), Held::Gone);
    world.now -= 1_000.0;
    assert_eq!(get(&mut world, held), Held::Gone, "once gone, for good");
    let stats = world.engine.stats(world.link).expect("known");
    assert_eq!((stats.hits, stats.l1_hits, stats.l1_entries), (0, 2, 1));
    world.assert_idle();
}

#[test]
fn age_counts_from_when_the_read_was_sent_and_not_from_its_reply() {
    let mut world = world();
    filled(&mut world, "k", &[]);
    let hit = world.read(1, "k");
    world.now += 200.0;
    world.answer();
    assert_eq!(world.served[&hit].outcome, Outcome::Hit);
    let held = newest(&world);
    world.now += 4_799.0;
    assert!(matches!(get(&mut world, held), Held::Serve(_)));
    world.now += 1.0;
    assert_eq!(get(&mut world, held), Held::Gone);
    // A callback takes its time, too: its value is as old as what it was stored under.
    world.read(2, "slow");
    world.answer();
    world.now += 3_000.0;
    world.callbacks();
    world.answer();
    let held = newest(&world);
    world.now += 1_999.0;
    assert_eq!(get(&mut world, held), Held::Serve(Millis::new(1_999)));
    world.now += 1.0;
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn nothing_is_served_after_it_has_ceased_to_be_fresh() {
    let mut world = World::configured(CacheConfig { ttl: Millis::new(2_000), ..config(60_000) });
    filled(&mut world, "k", &[]);
    world.now += 1_500.0;
    world.read(1, "k");
    world.answer();
    let held = newest(&world);
    world.now += 499.0;
    assert_eq!(get(&mut world, held), Held::Serve(Millis::new(1_999)));
    world.now += 1.0;
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn a_fence_puts_out_what_it_covers_and_nothing_else_also_after_it_has_fallen() {
    type Write = fn(&mut World) -> OpId;
    let all = Targets { all: true, ..Targets::default() };
    let covers: [(&str, Write); 6] = [
        ("a key", |world| world.invalidate(1, &["k"])),
        ("a tag", |world| world.invalidate_tags(1, &["t"])),
        ("the namespace", |world| {
            world.write(1, Targets { all: true, ..Targets::default() }, WriteKind::Invalidate)
        }),
        ("an expiry", |world| {
            world.write(1, Targets { keys: &["k"], ..Targets::default() }, WriteKind::Expire)
        }),
        ("a set", |world| world.set(1, "k")),
        ("a mutate", |world| world.mutate(1, Targets { tags: &["t"], ..Targets::default() })),
    ];
    for (what, write) in covers {
        let mut world = world();
        let held = filled(&mut world, "k", &["t"]);
        world.invalidate(2, &["other"]);
        assert!(matches!(get(&mut world, held), Held::Serve(_)), "{what}");
        write(&mut world);
        assert_eq!(get(&mut world, held), Held::Gone, "{what}, before Redis has heard of it");
    }
    for key in ["k", "l"] {
        let mut world = world();
        let held = filled(&mut world, "k", &[]);
        world.invalidate(1, &[key]);
        world.answer();
        let gone = key == "k";
        assert_eq!(get(&mut world, held) == Held::Gone, gone, "{key}, which Redis has acknowledged");
    }
    let mut world = world();
    let held = filled(&mut world, "k", &[]);
    world.write(1, all, WriteKind::Expire);
    world.answer();
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn what_was_read_before_a_fence_was_raised_is_not_held_after_it_has_fallen() {
    let mut world = world();
    filled(&mut world, "k", &[]);
    let hit = world.read(1, "k");
    let late = core::mem::take(&mut world.wire);
    world.invalidate(2, &["k"]);
    world.answer();
    let reply =
        r#"[{"result":["lw2",1000000,"fresh","g x n x",0,"2 g x 1000000 60000 0 0 j 1 1 - n x","1"]}]"#;
    world.wire = late;
    world.answer_with(200, reply);
    assert_eq!(world.served[&hit].outcome, Outcome::Hit, "it had begun before");
    let (of, kept) = world.offered.last().expect("offered");
    assert_eq!((*of, kept.ticket), (hit, None));
}

#[test]
fn what_was_read_before_a_mutates_marks_were_there_is_not_served_once_its_callback_runs() {
    let mut world = world();
    filled(&mut world, "other", &[]);
    let mutate = world.mutate(1, Targets { tags: &["late"], ..Targets::default() });
    let marks = core::mem::take(&mut world.wire);
    // Nobody knows yet that it depends on the tag.
    let read = world.read(2, "k");
    world.answer();
    world.await_tags(read, &["late"]);
    world.answer();
    world.callback_with(read, true, &["late"]);
    world.answer();
    let held = newest(&world);
    assert!(matches!(get(&mut world, held), Held::Serve(_)), "nothing has changed yet");
    world.wire = marks;
    world.answer();
    assert_eq!(world.running, [mutate]);
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn a_computed_value_whose_fill_is_not_acknowledged_is_not_held() {
    let mut world = world();
    world.read(1, "k");
    world.answer();
    world.callbacks();
    world.lose_replies();
    assert!(world.offered.is_empty());
    world.read(2, "l");
    world.answer();
    world.invalidate(3, &["l"]);
    world.answer();
    world.callbacks();
    world.answer();
    assert!(world.offered.is_empty(), "overtaken");
}

#[test]
fn what_another_instance_held_is_nothing_to_this_one_and_what_it_owes_puts_out_at_once() {
    let mut world = world();
    let held = filled(&mut world, "k", &[]);
    let owed = crate::core::Engine::owed(false);
    assert!(world.engine.restore(world.link, "leeward:k::k", &owed, world.now));
    assert_eq!(get(&mut world, held), Held::Gone);
    let held = {
        world.read(2, "k");
        world.answer();
        world.callbacks();
        world.answer();
        world.read(3, "k");
        world.answer();
        newest(&world)
    };
    assert!(matches!(get(&mut world, held), Held::Serve(_)));
    world.trap();
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn a_reader_can_tighten_what_was_stored_and_not_loosen_it() {
    let mut world = world();
    let held = filled(&mut world, "k", &["s", "t"]);
    let ask = |world: &mut World, tags: &[&str], freshness| {
        world.engine.held_for(world.cache, world.link, held, "", tags, freshness, world.now)
    };
    assert!(matches!(ask(&mut world, &["t"], Freshness::Normal), Held::Serve(_)));
    assert_eq!(ask(&mut world, &["t", "u"], Freshness::Normal), Held::NotFor);
    assert_eq!(ask(&mut world, &[], Freshness::Strict), Held::NotFor);
    assert!(matches!(ask(&mut world, &["s", "t"], Freshness::Normal), Held::Serve(_)), "it is still there");
    assert_eq!(ask(&mut world, &[], Freshness::Forced), Held::Gone);
    assert_eq!(ask(&mut world, &[], Freshness::Normal), Held::Gone, "a newer one is on its way");
}

#[test]
fn a_read_that_is_to_go_past_it_offers_nothing() {
    let mut world = world();
    filled(&mut world, "k", &[]);
    world.offered.clear();
    world.read_call(ReadCall { l1: false, ..world.call(1, "k") });
    world.answer();
    world.read_call(ReadCall { freshness: Freshness::Strict, ..world.call(2, "k") });
    assert!(world.offered.is_empty());
    world.answer();
    assert_eq!(world.offered.len(), 1, "what a strict read finds is newer than what is held");
    assert!(World::new().engine.l1(world.cache).is_none(), "off by default");
}

#[test]
fn the_newer_of_two_reads_is_held_whichever_comes_last() {
    let mut world = world();
    filled(&mut world, "k", &[]);
    // A key that was a hit is read by everybody at once.
    world.read(1, "k");
    let first = core::mem::take(&mut world.wire);
    world.read(2, "k");
    world.answer();
    let held = newest(&world);
    world.wire = first;
    world.answer();
    assert_eq!(world.offered.last().map(|(_, kept)| kept), Some(&Kept::default()));
    assert!(matches!(get(&mut world, held), Held::Serve(_)));
    world.read(3, "k");
    world.answer();
    let (_, kept) = world.offered.last().expect("offered");
    assert_eq!(kept.gone, [held.id], "the driver lets the old one go");
    assert_eq!(get(&mut world, held), Held::Gone);
}

#[test]
fn a_set_of_what_came_from_l1_stores_nothing() {
    let mut world = world();
    filled(&mut world, "k", &[]);
    world.engine.took(RequestId(1), world.cache, world.link, "", "k");
    let set = world.set(1, "k");
    world.answer();
    world.answer();
    assert!(!world.applied[&set]);
    let other = world.set(2, "k");
    world.answer();
    world.answer();
    assert!(world.applied[&other], "of a request that has not got it");
}

#[test]
fn caches_beyond_the_fourth_hold_nothing() {
    let mut world = world();
    let more: Vec<bool> = (0..4)
        .map(|n| {
            let prefix = std::format!("p{n}");
            let cache = world.engine.cache(CacheConfig { prefix, ..config(5_000) }).expect("room");
            world.engine.l1(cache).is_some()
        })
        .collect();
    assert_eq!(more, [true, true, true, false]);
}
