//! The wire format: keys and commands as the golden files of `tests/wire` have them.

use std::fmt::Write as _;
use std::string::String;
use std::vec::Vec;

use super::world::World;
use crate::core::redis::script::{Dialect, Script};
use crate::core::{CacheConfig, Key, Millis, ReadCall, Targets};

const KEYS: &str = include_str!("../../../../tests/wire/v1/keys.txt");
const COMMANDS: &str = include_str!("../../../../tests/wire/v1/commands.txt");

#[test]
fn keys_are_as_ever() {
    let (short, long) = ("k".repeat(512), "k".repeat(513));
    let inner = Key::nest(&Key::nest("", "eu/1"), "ü: %");
    let mut found = String::new();
    for (prefix, space) in [("shop", ""), ("sh:op%", inner.as_str())] {
        for key in ["", "user:7", "a b %3A\u{0}", short.as_str(), long.as_str()] {
            let _ = writeln!(found, "{:?}", Key::entry(prefix, space, key).redis());
        }
        for tag in ["users", "big users, 100%:\n"] {
            let _ = writeln!(found, "{:?}", Key::tag(prefix, space, tag).redis());
        }
        let _ = writeln!(found, "{:?}", Key::namespace(prefix, space).redis());
    }
    assert_eq!(found, KEYS, "in place of what is in the file:\n{found}");
}

/// Nonces by the order in which they come up, and whatever was made of them.
fn named(text: &str, known: &mut Vec<String>) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.' || c == '@';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        out.push_str(before);
        if word.starts_with("1.") && word.matches('.').count() >= 2 {
            let place = known.iter().position(|nonce| nonce == word).unwrap_or(known.len());
            if place == known.len() {
                known.push(String::from(word));
            }
            let _ = write!(out, "<n{}>", place + 1);
        } else {
            out.push_str(word);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What is on the wire, with scripts by their names: their texts may change without the format.
fn sent(world: &World) -> String {
    let mut body = String::new();
    for (_, _, text) in &world.wire {
        body.push_str(text);
        body.push('\n');
    }
    for dialect in [Dialect::Redis, Dialect::Upstash] {
        for (script, name) in [(Script::Read, "read"), (Script::Fill, "fill"), (Script::Drop, "drop")] {
            body = body.replace(script.sha(dialect), name);
        }
    }
    body
}

#[test]
fn commands_are_as_ever() {
    let config = CacheConfig {
        build: String::from("b1"),
        swr: Millis::seconds(5),
        stale_if_error: Millis::seconds(7),
        ..CacheConfig::default()
    };
    let mut world = World::configured(config);
    // All scripts are known: what follows names them by their hashes.
    world.read(1, "first");
    world.answer();
    world.callbacks();
    world.answer();
    world.invalidate(2, &["first"]);
    world.answer();
    let space = Key::nest("", "eu");
    let mut found = String::new();
    let mut nonces = Vec::new();
    let mut note = |world: &World, what: &str| {
        let _ = writeln!(found, "{what}\n{}", named(&sent(world), &mut nonces));
    };
    let read = ReadCall { space: &space, tags: &["t", "u v"], ..world.call(3, "k") };
    world.read_call(read);
    note(&world, "read");
    world.answer();
    world.callbacks();
    note(&world, "fill");
    world.answer();
    world.read_with(4, "k", false);
    note(&world, "look");
    world.answer();
    world.set(5, "k");
    note(&world, "set: renewal");
    world.answer();
    note(&world, "set: fill");
    world.answer();
    world.invalidate(6, &["k"]);
    note(&world, "invalidate");
    world.answer();
    world.mutate(7, Targets { keys: &["k"], tags: &["t"], all: true });
    note(&world, "mutate: marks");
    world.answer();
    world.callbacks();
    note(&world, "mutate: drops");
    world.answer();
    world.assert_idle();
    assert_eq!(found, COMMANDS, "in place of what is in the file:\n{found}");
}
