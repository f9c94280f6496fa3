//! Raw commands beside the cache's own.

use std::vec::Vec;

use super::world::World;
use crate::core::{CacheConfig, ErrorKind, InvalidationState, Outcome, RawOutcome, refusal};

#[test]
fn a_raw_command_travels_with_all_else_of_its_turn_and_its_reply_is_passed_on_as_it_is() {
    let mut world = World::new();
    let (incr, read, get) = world.turn(1, |world| {
        (world.raw(1, &["SET", "n", "1"]), world.read_with(1, "k", false), world.raw(1, &["GET", "n"]))
    });
    world.answer();
    assert_eq!(world.sent(), (1, 3));
    assert_eq!((world.replied[&incr].as_str(), world.replied[&get].as_str()), ("\"OK\"", "\"1\""));
    assert_eq!(world.served[&read].outcome, Outcome::Miss);
    world.assert_idle();
}

#[test]
fn one_that_fails_fails_alone_and_says_no_more_than_a_word() {
    let mut world = World::new();
    let (raw, read) = world.turn(1, |world| (world.raw(1, &["X"]), world.read_with(1, "k", false)));
    let rest = r#"{"result":["lw2",5000,"miss","g x n x",0]}]"#;
    let body = |message| std::format!(r#"[{{"error":"{message}"}},{rest}"#);
    world.answer_with(200, &body("WRONGTYPE Operation against secret-value"));
    assert_eq!(world.served[&read].outcome, Outcome::Miss);
    let error = &world.raw_failed[&raw];
    assert_eq!((error.outcome, error.kind, error.retryable), (RawOutcome::Failed, ErrorKind::Server, false));
    assert_eq!((error.word.as_deref(), error.message.as_deref()), (Some("WRONGTYPE"), None));
    // Words that would tell of a server that is down tell nothing in what a user's own script says.
    for (message, word) in
        [("LOADING not so", Some("LOADING")), ("my-secret: 5", None), ("NOAUTH", Some("NOAUTH"))]
    {
        let (raw, read) = world.turn(1, |world| (world.raw(1, &["X"]), world.read_with(1, "k", false)));
        world.answer_with(200, &body(message));
        assert_eq!(world.served[&read].outcome, Outcome::Miss, "{message}");
        assert_eq!(world.raw_failed[&raw].word.as_deref(), word, "{message}");
    }
    world.assert_idle();
}

#[test]
fn with_debug_the_whole_message_is_told() {
    let mut world = World::configured(CacheConfig { debug: true, ..CacheConfig::default() });
    let raw = world.raw(1, &["X"]);
    world.answer_with(200, r#"[{"error":"ERR wrong number of arguments"}]"#);
    assert_eq!(world.raw_failed[&raw].message.as_deref(), Some("ERR wrong number of arguments"));
}

#[test]
fn a_reply_of_any_shape_harms_nobody_else() {
    for reply in ["true", "1.5e3", "{\"a\":[1,{}]}", "[[[[[[[[1]]]]]]]]", "\"]\\\"\"", "null", "[]", "-0.1"] {
        let mut world = World::new();
        let (raw, read) = world.turn(1, |world| (world.raw(1, &["X"]), world.read_with(1, "k", false)));
        let body = std::format!(r#"[{{"result": {reply} }},{{"result":["lw2",5000,"miss","g x n x",0]}}]"#);
        world.answer_with(200, &body);
        assert_eq!(world.replied[&raw], reply);
        assert_eq!(world.served[&read].outcome, Outcome::Miss);
    }
}

#[test]
fn one_whose_reply_is_lost_is_never_sent_again_and_its_outcome_is_unknown() {
    let mut world = World::new();
    let raw = world.raw(1, &["SET", "n", "1"]);
    world.lose_replies();
    assert_eq!(world.raw_failed[&raw].outcome, RawOutcome::Unknown);
    assert!(!world.raw_failed[&raw].retryable);
    world.pass(60_000.0, 1..=1, false);
    assert_eq!(world.sent(), (1, 1));
    let hung = world.raw(2, &["SET", "n", "1"]);
    world.pass(1_000.0, 2..=2, false);
    assert_eq!(world.raw_failed[&hung].outcome, RawOutcome::Unknown);
    world.assert_idle();
}

#[test]
fn while_it_is_down_it_is_rejected_at_once_and_has_not_been_executed() {
    let mut world = World::new();
    world.read_with(1, "k", false);
    world.refuse();
    let raw = world.raw(2, &["SET", "n", "1"]);
    let error = &world.raw_failed[&raw];
    assert_eq!((error.outcome, error.kind), (RawOutcome::NotExecuted, ErrorKind::Transport));
    assert!(error.retryable);
    assert_eq!(world.sent().0, 1);
    world.assert_idle();
}

#[test]
fn it_may_be_the_attempt_that_others_wait_for() {
    let mut world = World::new();
    let raw = world.raw(1, &["SET", "n", "1"]);
    let read = world.read_with(2, "k", false);
    world.answer_all();
    assert_eq!(world.sent(), (2, 2));
    assert_eq!((world.replied[&raw].as_str(), world.served[&read].outcome), ("\"OK\"", Outcome::Miss));
    world.assert_idle();
}

#[test]
fn without_configuration_it_is_refused() {
    let mut world = World::with(Err("no url".into()));
    let raw = world.raw(1, &["GET", "n"]);
    assert_eq!(world.raw_failed[&raw].outcome, RawOutcome::Unconfigured);
    let write = world.invalidate(1, &["k"]);
    assert_eq!(world.not_applied[&write], (InvalidationState::Refused, true));
}

#[test]
fn what_would_take_the_pipeline_from_the_others_is_refused() {
    for words in
        ["MULTI", "subscribe a", "Monitor", "BLPOP k 0", "SELECT 1", "XREAD COUNT 2 block 0 STREAMS s 0"]
    {
        let words: Vec<&str> = words.split(' ').collect();
        let why = refusal(&words).expect("refused");
        assert!(why.starts_with(&words[0].to_ascii_uppercase()), "{why}");
    }
    for words in ["GET k", "XREAD STREAMS BLOCK 0", "EVAL x", "XADD s * BLOCK 1", "PING", "EVALSHA x 0"] {
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(refusal(&words), None, "{words:?}");
    }
    assert_eq!(refusal(&[]), None);
}
