//! What hostile bytes are fed to: one function for each thing that the core reads and did not write. For `fuzz/`, behind the
//! feature `fuzz`, so that the parsers stay internal; and for a test that feeds them the kept corpus, so that none is dead.
//!
//! Each takes any bytes, and asserts what holds whatever they are.

#[cfg(test)]
mod mutation;

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::found::{Found, State};
use super::{Adapted, CallbackEnd, Effect, Encoded, Engine, Freshness, ReadCall, RequestId, Waits};
use crate::core::config::CacheConfig;
use crate::core::connection::Connection;
use crate::core::duration;
use crate::core::endpoint::Endpoint;
use crate::core::entry::{Header, ValueKind, stamps};
use crate::core::fence::Fence;
use crate::core::key::{Key, KeyKind};
use crate::core::options::{CallKind, OptionValue, Options, call_option};
use crate::core::ratio::Ratio;
use crate::core::redis::reply::{self, Encoding, Reply};
use crate::core::time::Timestamp;

/// Something to feed bytes to.
pub type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const TARGETS: [(&str, Target); 9] = [
    ("answer", answer),
    ("duration", duration),
    ("endpoint", endpoint),
    ("found", found),
    ("header", header),
    ("key", key),
    ("options", options),
    ("record", record),
    ("reply", reply),
];

/// A reply to a pipeline; the first byte says of how many commands.
pub fn reply(data: &[u8]) {
    let Some((count, body)) = data.split_first() else { return };
    let expected = usize::from(*count % 8);
    let _ = reply::error_of(body);
    if let Ok(replies) = reply::parse_with(body, expected, |_| true) {
        assert_eq!(replies.len(), expected, "one for each command");
        replies.iter().for_each(|reply| look_at(body, reply));
    }
    let Ok(replies) = reply::parse(body, expected) else { return };
    assert_eq!(replies.len(), expected, "one for each command");
    for reply in &replies {
        look_at(body, reply);
    }
}

/// Every text lies within the body, and is read or refused.
fn look_at(body: &[u8], reply: &Reply) {
    match reply {
        Reply::Text(place) => {
            assert!(body.get(place.clone()).is_some_and(|literal| literal.starts_with(b"\"")), "{place:?}");
            for encoding in [Encoding::Plain, Encoding::Base64] {
                let _ = reply::text(body, place, encoding);
            }
            let _ = (reply::is_ok(body, reply), reply::generation(body, reply));
        }
        Reply::Array(items) => items.iter().for_each(|item| look_at(body, item)),
        Reply::Opaque(place) => assert!(body.get(place.clone()).is_some_and(|value| !value.is_empty())),
        Reply::Message(_, place) => {
            assert!(body.get(place.clone()).is_some_and(|literal| literal.starts_with(b"\"")), "{place:?}");
        }
        Reply::Null | Reply::Integer(_) | Reply::Error(_) => {}
    }
}

/// The read script's reply, and replies to plain reads; the first byte says of how many hashes.
pub fn found(data: &[u8]) {
    let Some((count, body)) = data.split_first() else { return };
    let count = usize::from(*count % 4);
    if let Ok(replies) = reply::parse(body, 1)
        && let [reply] = replies.as_slice()
        && let Ok(found) = Found::read(reply, body, count)
    {
        expect_readable(&found, body);
        assert!(found.stamps.is_empty() || found.stamps.len() == count, "one for each hash, or none");
    }
    if let Ok(replies) = reply::parse(body, count + 1)
        && let Ok(found) = Found::judge(&replies, body, &["a"], count.min(1), count / 3)
    {
        expect_readable(&found, body);
    }
}

/// What is to be served can be.
fn expect_readable(found: &Found, body: &[u8]) {
    if matches!(found.state, State::Fresh | State::Stale) {
        assert!(found.header.is_some());
        assert!(found.place.clone().is_some_and(|place| body.get(place).is_some()), "the body is there");
    }
    if found.state == State::Tags {
        assert!(found.header.is_some());
    }
}

/// An entry's header, and the stamps of a reply.
pub fn header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(header) = Header::parse(&text) {
        let all = header.stamps.iter().chain(header.tags.iter().map(|(_, stamp)| stamp));
        for stamp in all {
            let words = [&stamp.version, &stamp.soft];
            assert!(words.iter().all(|word| !word.is_empty() && !word.contains(' ')), "{stamp:?}");
        }
        let own = Key::entry("p", "a", "k");
        for (name, _) in &header.tags {
            let tag = own.sibling_tag(name);
            assert!(tag.redis().starts_with("p:t:a:"), "a tag stays in its namespace");
            let _ = tag.display();
        }
        let _ = (header.age(0), header.age(u64::MAX), header.staleness(0), header.staleness(u64::MAX));
    }
    for count in 0..4 {
        assert!(stamps(&text, count).is_none_or(|all| all.len() == count));
    }
}

/// A Redis key; and, parted by NULs, a prefix, names of namespaces and the user's key.
pub fn key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(key) = Key::parse(&text) {
        assert_eq!(key.redis(), text);
        let _ = (key.user(), key.display(), key.namespaces(), key.tags_begin(), key.hash());
    }
    let parts: Vec<&str> = text.split('\0').collect();
    let [prefix, names @ .., name] = parts.as_slice() else { return };
    let space = names.iter().fold(String::new(), |space, name| Key::nest(&space, name));
    for key in
        [Key::entry(prefix, &space, name), Key::tag(prefix, &space, name), Key::namespace(prefix, &space)]
    {
        assert_eq!(Key::parse(key.redis()).as_ref(), Some(&key));
        if key != Key::namespace(prefix, &space) && (key.kind() == KeyKind::Tag || name.len() <= 512) {
            assert_eq!(key.display(), *name);
        }
        let around = key.namespaces();
        assert!(around.last().is_some_and(|last| *last == Key::namespace(prefix, &space)));
    }
}

/// What an earlier instance has kept of a fence, or of a connection.
pub fn record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_ms(1000);
    if let Some(fence) = Fence::restore(&text, now) {
        let again = fence.record(|time| time);
        let twice = Fence::restore(&again, now).map(|fence| fence.record(|time| time));
        assert_eq!(twice, Some(again), "what is kept comes back");
    }
    let mut connection = Connection::new(true);
    let _ = connection.restore(&text);
    let _ = connection.snapshot(|time| time);
}

/// URL and token, parted by a NUL.
pub fn endpoint(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (url, token) = text.split_once('\0').unwrap_or((&text, "token"));
    let Ok(endpoint) = Endpoint::new(url, token) else { return };
    assert!(token.bytes().all(|b| b.is_ascii_graphic()), "a header cannot be split by it");
    let url = endpoint.pipeline_url();
    let authority = url.split('/').nth(2).unwrap_or("");
    assert!(!authority.is_empty() && !authority.contains(['@', '\\', '?', '#', '%']), "one host: {url}");
    assert!(url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains(['?', '#', '\\']), "{url}");
    assert!(url.ends_with("/pipeline"));
    let _ = endpoint.dialect();
}

/// A duration, as a text and as the eight bytes of a number.
pub fn duration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(span) = duration::from_text(&text) {
        assert_eq!(duration::from_text(&format!("{}ms", span.get())), Some(span), "{text}");
    }
    if let Ok(bytes) = <[u8; 8]>::try_from(data) {
        let number = f64::from_le_bytes(bytes);
        let whole = duration::from_number(number);
        assert!(whole.is_none() || (number >= 0.0 && number.trunc().total_cmp(&number).is_eq()));
    }
}

/// An option's name and its value, parted by a NUL.
pub fn options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (name, value) = text.split_once('\0').unwrap_or((&text, ""));
    let values = [
        OptionValue::Text(value),
        OptionValue::Number(value.parse().unwrap_or(f64::NAN), "7"),
        OptionValue::Bool(value.is_empty()),
        OptionValue::Other("object"),
    ];
    for value in values {
        let mut errors = Vec::from([Options::default().take(name, value).err()]);
        for call in [CallKind::Read, CallKind::Set, CallKind::Mutate] {
            errors.push(call_option(call, name, value).err());
        }
        for error in errors.into_iter().flatten() {
            let message = error.to_string();
            assert!(message.len() < 700 && !message.contains(|c: char| c.is_ascii_control()), "{message}");
        }
    }
}

/// A read that gets the same answer whatever it asks: it ends, and asks a bounded number of times. The first byte is the HTTP
/// status's, the second says how the read is made.
pub fn answer(data: &[u8]) {
    let [status, how, body @ ..] = data else { return };
    let status = [200, 200, 200, 200, 302, 400, 401, 429, 500].get(usize::from(*status % 9)).copied();
    let mut engine = Engine::new([1, 2]);
    let config = CacheConfig { observed: true, ..CacheConfig::default() };
    let endpoint = Endpoint::new("https://redis.test", "token").map_err(|error| error.to_string());
    let (Some(cache), Some(connection)) = (engine.cache(config), engine.open(endpoint)) else { return };
    let request = RequestId(1);
    let long = Some(crate::core::time::Millis::seconds(60));
    let call = ReadCall {
        request,
        cache,
        connection,
        space: "a",
        key: "k",
        tags: if how & 1 == 0 { &[] } else { &["a"] },
        ttl: None,
        swr: long,
        stale_if_error: long,
        lease_wait: if how & 2 == 0 { None } else { long },
        waits: if how & 64 == 0 { Waits::default() } else { Waits { read: None, soft: long, hard: long } },
        early_refresh: Some(Ratio::millionths(10_000_000)),
        jitter: Some(Ratio::millionths(500_000)),
        negative_ttl: Some(crate::core::time::Millis::ZERO),
        freshness: if how & 4 == 0 { Freshness::Normal } else { Freshness::Strict },
        load: how & 8 == 0,
        l1: true,
        many: how & 32 == 0,
        anchored: how & 16 == 0,
    };
    let mut now = 1_000_000.0;
    let Some(op) = engine.begin_read(call, now) else { return };
    let mut exchanges = 0;
    let mut answers = 0;
    // More effects than any read has; what does not end trips the assertion below.
    for _ in 0..1000 {
        match engine.poll(request) {
            None => match engine.wait(request, now) {
                Some(_) => {
                    now += 60_000.0;
                    engine.timer(request, now);
                }
                None => break,
            },
            Some(Effect::Flush(batch)) => {
                if engine.seal(batch).is_some() {
                    exchanges += 1;
                    engine.reply(batch, status.unwrap_or(200), body, now);
                }
            }
            Some(Effect::Run(..)) => {
                let tags = Vec::from([String::from("late")]);
                engine.callback(
                    op,
                    CallbackEnd::Ok {
                        life: Adapted::default(),
                        skip: false,
                        none: how & 64 != 0,
                        not_modified: how & 64 != 0,
                        tags,
                    },
                    now,
                );
            }
            Some(Effect::Decode(op, _) | Effect::Stash(op, _)) => {
                engine.decoded(op, how & 32 == 0, now);
            }
            Some(Effect::Encode(op)) => {
                engine.encoded(op, Encoded { kind: ValueKind::Json, size: 3 }, now);
            }
            Some(Effect::Serve(..) | Effect::ServeStash(..) | Effect::Throw(_) | Effect::TimeOut(..)) => {
                answers += 1
            }
            Some(_) => {}
        }
    }
    assert_eq!(answers, 1, "it is answered, once");
    assert!(exchanges <= 40, "{exchanges} requests for one read");
    assert_eq!(engine.under_way(), [0, 0, 0, 0], "operations, requests, batches, flights");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_kept_corpus_is_read_as_it_was_when_it_was_found() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut fed = 0;
        for (name, target) in TARGETS {
            let folder = corpus.join(name);
            let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for file in files {
                target(&fs::read(file.expect("a file").path()).expect("readable"));
                fed += 1;
            }
            let program = corpus.with_file_name("fuzz_targets").join(format!("{name}.rs"));
            assert!(program.is_file(), "{} is fuzzed", program.display());
        }
        assert!(fed >= 3 * TARGETS.len(), "{fed} pieces of hostile input");
    }

    /// A header of so many forged words, for an entry that is otherwise right.
    fn forged(words: &[String]) -> String {
        format!("\u{0}\u{0}[{{\"result\":[\"lw2\",7,\"fresh\",\"\",0,\"{}\",\"1\"]}}]", words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>) {
            for (_, target) in TARGETS {
                target(&data);
            }
        }

        #[test]
        fn nearly_right_texts_are_read_or_refused(
            words in "[hspwr] ?[0-9]{0,21}( [pwr]?[0-9]{0,21}){0,7}",
            url in "(https?|HTTP)://[a-z0-9.@:\\[\\]\\\\%-]{0,20}(/[a-z%?#. ]{0,8})?(\u{0}[ -~\r\n]{0,8})?",
            span in "[0-9]{0,22}(\\.[0-9]{0,4})?(ms|s|m|h|d)",
            option in "(ttl|swr|tags|prefix|token|url|timeout|__proto__|constructor)\u{0}[ -~]{0,9}",
        ) {
            record(words.as_bytes());
            endpoint(url.as_bytes());
            duration(span.as_bytes());
            options(option.as_bytes());
        }

        #[test]
        fn a_read_ends_whatever_it_is_answered(
            how: u8,
            words in prop::collection::vec("2|g|x|-|j|u|b|a|[0-9]{1,21}|-1|nan|inf|0x1|1e9", 0..24),
            state in "fresh|stale|miss|marked|tags|else",
            stamps in "|g x n nx|g x n nx v vx|- - - -|a b c|[a-z -]{0,12}",
            lease in "0|1|-1|9223372036854775807|9223372036854775808",
            count in 0_usize..3,
        ) {
            let words = words.join(" ");
            let rest = [String::new(), format!(",\"{words}\""), format!(",\"{words}\",\"1\"")];
            let rest = rest.get(count).cloned().unwrap_or_default();
            let body = format!("[{{\"result\":[\"lw2\",7,\"{state}\",\"{stamps}\",{lease}{rest}]}}]");
            let mut data = Vec::from([0, how]);
            data.extend(body.bytes());
            answer(&data);
            let mut data = Vec::from([4]);
            data.extend(body.bytes());
            found(&data);
            header(words.as_bytes());
        }

        #[test]
        fn forged_headers_are_read_or_refused(words in prop::collection::vec("[a-z0-9%:-]{0,6}", 0..40)) {
            answer(forged(&words).as_bytes());
        }
    }
}
