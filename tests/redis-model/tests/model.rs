//! What the model does beyond a real server: clocks, faults, rollbacks, mutants and the JSON of pipelines.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says thus that it failed"
)]

use leeward_redis_model::{Model, Permissions, Reply, Sha};

const READ: &str = include_str!("../../../src/core/redis/read.lua");
const FILL: &str = include_str!("../../../src/core/redis/fill.lua");
const START: u64 = 1_790_000_000_123_456;

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn eval(model: &mut Model, text: &str) -> Reply {
    model.execute(&["EVAL", text, "0"])
}

fn read(model: &mut Model, want: &str) -> Vec<Reply> {
    let reply = model.execute(&["EVAL", READ, "1", "e", "n", "b", "60000", "0", "0", "t:", "", "5000", want]);
    match reply {
        Reply::Array(parts) => parts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_entry_is_missed_filled_and_fresh() {
    let mut model = Model::new(START);
    let miss = read(&mut model, "fresh");
    assert_eq!(miss[1..3], [Reply::Integer(1_790_000_000_123), bulk("miss")]);
    assert_eq!(miss[3], bulk("n@1790000000.123456 n@1790000000.123456"));
    let Reply::Bulk(stamps) = &miss[3] else { panic!("stamps") };
    let stamps = String::from_utf8(stamps.clone()).expect("text");
    let fill = ["EVAL", FILL, "1", "e", "b", &stamps, "0", "t:", "1000", "500", "0", "v 1", "body", ""];
    assert_eq!(model.execute(&fill), Reply::Status("OK".into()));
    model.set_time(START + 999_000);
    let fresh = read(&mut model, "fresh");
    assert_eq!((&fresh[2], &fresh[6]), (&bulk("fresh"), &bulk("body")));
    model.set_time(START + 1_000_000);
    assert_eq!(read(&mut model, "stale")[2], bulk("stale"));
    model.set_time(START + 1_500_000);
    assert_eq!(read(&mut model, "stale")[2], bulk("miss"));
}

#[test]
fn the_clock_may_jump_back() {
    let mut model = Model::new(START);
    assert_eq!(model.execute(&["TIME"]), Reply::Array(vec![bulk("1790000000"), bulk("123456")]));
    model.set_time(5);
    assert_eq!(model.execute(&["TIME"]), Reply::Array(vec![bulk("0"), bulk("5")]));
    assert_eq!(model.now_us(), 5);
}

#[test]
fn a_restart_loses_keys_and_scripts_and_a_flush_of_scripts_only_these() {
    let mut model = Model::new(START);
    assert_eq!(eval(&mut model, "return redis.call('HSET', 'h', 'f', 1)"), Reply::Integer(1));
    assert_eq!(eval(&mut model, "return 1"), Reply::Integer(1));
    let sha = Sha::of(b"return 1");
    let by_hash = ["EVALSHA", sha.as_str(), "0"];
    let unknown = Reply::Error("NOSCRIPT No matching script. Please use EVAL.".into());
    assert_eq!(model.execute(&by_hash), Reply::Integer(1));
    model.script_flush();
    assert_eq!(model.execute(&by_hash), unknown);
    assert_eq!(model.execute(&["DBSIZE"]), Reply::Integer(1));
    assert_eq!(model.execute(&["SCRIPT", "LOAD", "return 1"]), bulk(sha.as_str()));
    assert_eq!(model.execute(&by_hash), Reply::Integer(1));
    model.restart();
    assert_eq!(model.execute(&by_hash), unknown);
    assert_eq!(model.execute(&["DBSIZE"]), Reply::Integer(0));
    assert_eq!(model.now_us(), START);
}

#[test]
fn another_model_on_the_thread_does_not_know_a_script_or_see_its_keys() {
    let mut one = Model::new(START);
    let mut other = Model::new(START);
    assert_eq!(eval(&mut one, "redis.call('SET', 'k', 'v') return #KEYS"), Reply::Integer(0));
    let sha = Sha::of(b"redis.call('SET', 'k', 'v') return #KEYS");
    assert!(matches!(other.execute(&["EVALSHA", sha.as_str(), "0"]), Reply::Error(_)));
    assert_eq!(other.execute(&["GET", "k"]), Reply::Null);
    assert_eq!(one.execute(&["GET", "k"]), bulk("v"));
}

#[test]
fn a_script_leaves_nothing_for_the_next() {
    let mut model = Model::new(START);
    for text in ["leak = 1", "redis = nil", "KEYS = 1", "_G.leak = 1", "string = nil"] {
        let Reply::Error(error) = eval(&mut model, text) else { panic!("{text}") };
        assert!(
            error.starts_with("ERR user_script:1: Attempt to modify a readonly table script: "),
            "{error}"
        );
    }
    let Reply::Error(error) = eval(&mut model, "return leak") else { panic!("it leaked") };
    assert!(error.contains("nonexistent global variable 'leak'"), "{error}");
}

#[test]
fn without_memory_a_script_may_go_on_once_it_has_written() {
    let mut model = Model::new(START);
    model.set_oom(true);
    let oom = Reply::Error("OOM command not allowed when used memory > 'maxmemory'.".into());
    assert_eq!(model.execute(&["HSET", "h", "f", "v"]), oom);
    assert_eq!(model.execute(&["SET", "k", "v"]), oom);
    assert_eq!(eval(&mut model, "return redis.pcall('HSET', 'h', 'f', 'v')"), oom);
    let text = "redis.call('DEL', 'none') return redis.call('HSET', 'h', 'f', 'v')";
    assert_eq!(eval(&mut model, text), Reply::Integer(1));
    assert_eq!(eval(&mut model, "return redis.pcall('HSET', 'h', 'f', 'v')"), oom, "the next begins anew");
    model.set_oom(false);
    assert_eq!(model.execute(&["SET", "k", "v"]), Reply::Status("OK".into()));
}

#[test]
fn permissions_refuse_by_command() {
    let mut model = Model::new(START);
    let refused = |command: &str| {
        Reply::Error(format!("NOPERM this user has no permissions to run the '{command}' command"))
    };
    model.set_permissions(Permissions::NoScripts);
    assert_eq!(eval(&mut model, "return 1"), refused("eval"));
    assert_eq!(model.execute(&["script", "flush"]), refused("script|flush"));
    assert_eq!(model.execute(&["HSET", "h", "f", "v"]), Reply::Integer(1));
    model.set_permissions(Permissions::ReadOnly);
    assert_eq!(model.execute(&["HSET", "h", "f", "v"]), refused("hset"));
    assert_eq!(model.execute(&["HGET", "h", "f"]), bulk("v"));
    assert!(model.evict(b"h"), "what the simulation does needs no permission");
}

#[test]
fn a_rollback_brings_back_what_was_there() {
    let mut model = Model::new(START);
    model.execute(&["HSET", "h", "f", "old"]);
    model.execute(&["PEXPIRE", "h", "5000"]);
    let before = model.snapshot();
    model.execute(&["HSET", "h", "f", "new"]);
    model.execute(&["SET", "k", "v"]);
    assert_ne!(model.snapshot(), before);
    model.set_time(START + 1_000_000);
    model.restore(&before);
    assert_eq!(model.snapshot(), before);
    assert_eq!(model.execute(&["HGET", "h", "f"]), bulk("old"));
    assert_eq!(model.execute(&["PTTL", "h"]), Reply::Integer(4000));
    let keys: Vec<_> = model.entries().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"h"]);
    assert_eq!(model.hash(b"h").expect("a hash").len(), 1);
}

#[test]
fn a_mutant_runs_in_place_of_its_original() {
    let mut model = Model::new(START);
    model.replace_script("return 1", "return 2").expect("it compiles");
    assert!(model.replace_script("return 1", "return (").is_err());
    assert_eq!(eval(&mut model, "return 1"), Reply::Integer(2));
    let sha = Sha::of(b"return 1");
    assert_eq!(model.execute(&["EVALSHA", sha.as_str(), "0"]), Reply::Integer(2));
    assert!(matches!(model.execute(&["EVALSHA", Sha::of(b"return 2").as_str(), "0"]), Reply::Error(_)));
    model.replace_script(sha.as_str(), "error('x')").expect("it compiles");
    let Reply::Error(error) = eval(&mut model, "return 1") else { panic!("no error") };
    assert_eq!(error, format!("ERR user_script:1: x script: {sha}, on @user_script:1."));
    assert_eq!(eval(&mut Model::new(START), "return 1"), Reply::Integer(1));
}

#[test]
fn a_pipeline_is_answered_in_order_and_goes_on_after_an_error() {
    let mut model = Model::new(START);
    let body = r#"[["set","k","a\"é"],["GET","k"],["HGET","k","f"],["EVAL","return {1,'x',false,{ok='y'}}",0],["GET","none"]]"#;
    assert_eq!(
        model.pipeline(body),
        r#"[{"result":"OK"},{"result":"a\"é"},{"error":"WRONGTYPE Operation against a key holding the wrong kind of value"},{"result":[1,"x",null,"y"]},{"result":null}]"#
    );
    assert_eq!(model.commands(), 5);
    assert_eq!(model.script_commands(), 0);
    assert_eq!(model.pipeline("[["), r#"{"error":"ERR failed to parse pipeline request"}"#);
    assert_eq!(model.commands(), 5);
}

#[test]
fn commands_are_counted_those_of_scripts_apart() {
    let mut model = Model::new(START);
    eval(&mut model, "redis.call('GET', 'a') redis.pcall('NOPE') return redis.call('GET', 'b')");
    assert_eq!((model.commands(), model.script_commands()), (1, 3));
}

#[test]
fn more_scripts_than_a_thread_remembers_still_run() {
    let mut model = Model::new(START);
    let text = |i: i64| format!("return {i}");
    for i in 0..600 {
        assert_eq!(eval(&mut model, &text(i)), Reply::Integer(i));
    }
    for i in [0, 300, 599] {
        let sha = Sha::of(text(i).as_bytes());
        assert_eq!(model.execute(&["EVALSHA", sha.as_str(), "0"]), Reply::Integer(i));
    }
}
