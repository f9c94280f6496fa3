//! What is refreshed before its time, and how long what is stored lives: the rules that no invalidation has a part in.

use std::collections::BTreeMap;

use leeward::core::redis::reply::{self, Reply};
use leeward::core::redis::script::{Dialect, Script};
use leeward::core::{CacheConfig, Header, Life, Millis, Outcome, Served};
use leeward_redis_model::{Model, pipeline};

use crate::values::{Value, Values};

/// Leases that were asked for by whoever had been served a fresh hit, by request and Redis key: those that were given, less those that
/// were made use of.
#[derive(Debug, Default)]
pub struct Leases(BTreeMap<(usize, String), i64>);

impl Leases {
    /// A request gets this answer to its commands; how many leases it got by it, and how many it did not.
    pub fn answered(&mut self, request: usize, body: &str, answer: &str) -> (u64, u64) {
        let (mut given, mut held) = (0, 0);
        let Ok(commands) = pipeline::parse(body) else { return (0, 0) };
        let Ok(replies) = reply::parse(answer.as_bytes(), commands.len()) else { return (0, 0) };
        for (words, reply) in commands.iter().zip(&replies) {
            let words: Vec<&str> = words.iter().map(AsRef::as_ref).map(as_text).collect();
            let [_, script, _, key, .., token, _, "none"] = words.as_slice() else { continue };
            let reads = *script == Script::Read.sha(Dialect::Redis) || *script == Script::Read.source();
            let Reply::Array(items) = reply else { continue };
            let [_, _, Reply::Text(state), _, Reply::Integer(left)] = items.as_slice() else { continue };
            if !reads || token.is_empty() || answer.get(state.clone()) != Some("\"miss\"") {
                continue;
            }
            if *left == 0 {
                given += 1;
                *self.0.entry((request, String::from(*key))).or_default() += 1;
            } else {
                held += 1;
            }
        }
        (given, held)
    }

    /// A request that has been served a fresh hit runs the callback all the same; `false`: it has no lease for that.
    pub fn used(&mut self, request: usize, key: &str) -> bool {
        let left = self.0.entry((request, String::from(key))).or_default();
        *left -= 1;
        *left >= 0
    }
}

fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The shortest and the longest time to live of a value, and what it may be served for after that.
fn bounds(config: &CacheConfig, value: &Value) -> (Millis, Millis, [Millis; 2]) {
    let Life { ttl, swr, stale_if_error } = value.life;
    let after = [swr, stale_if_error];
    (Millis::new(ttl.get() - config.jitter.of(ttl).get()), ttl, after)
}

/// What Redis holds that it must not: a life that nobody gave.
#[must_use]
pub fn wrong_life(redis: &Model, values: &Values, config: &CacheConfig) -> Option<String> {
    for (key, _) in redis.entries() {
        let Some(hash) = redis.hash(key) else { continue };
        for (field, text) in hash {
            let Some(build) = field.strip_prefix(b"h:") else { continue };
            let Some(header) = Header::parse(as_text(text)) else { continue };
            let body = hash.get(&[&b"b:"[..], build].concat());
            let number = body.and_then(|body| as_text(body).parse().ok());
            let Some(value) = number.and_then(|number| values.get(number)) else { continue };
            let (least, most, after) = bounds(config, value);
            let given = [header.swr, header.stale_if_error];
            if most == Millis::ZERO || !(least..=most).contains(&header.ttl) || given != after {
                let (key, ttl) = (as_text(key), header.ttl);
                return Some(format!(
                    "{key} lives for {ttl} and {given:?}, not {least} to {most} and {after:?}"
                ));
            }
        }
    }
    None
}

/// Whether a value is served as fresh that is older than it may become.
#[must_use]
pub fn too_old(config: &CacheConfig, served: &Served, value: &Value) -> bool {
    served.outcome == Outcome::Hit && served.age >= bounds(config, value).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use leeward::core::Ratio;

    const READ: &str = "EVALSHA";

    fn body(token: &str, want: &str) -> String {
        let sha = Script::Read.sha(Dialect::Redis);
        format!(
            r#"[["{READ}","{sha}","2","p:k::k","p:n:","n","a","1","1","0","p:t::","{token}","1000","{want}"]]"#
        )
    }

    #[test]
    fn a_lease_is_given_once_and_used_once() {
        let mut leases = Leases::default();
        let answer = |left: u64| format!(r#"[{{"result":["lw2",7,"miss","g x n x",{left}]}}]"#);
        assert_eq!(leases.answered(1, &body("t", "none"), &answer(0)), (1, 0));
        assert!(leases.used(1, "p:k::k"));
        assert!(!leases.used(1, "p:k::k"));
        let mut leases = Leases::default();
        assert_eq!(leases.answered(1, &body("t", "none"), &answer(5)), (0, 1));
        assert_eq!(leases.answered(1, &body("", "none"), &answer(0)), (0, 0), "forced");
        assert_eq!(leases.answered(1, &body("t", "stale"), &answer(0)), (0, 0), "not served");
        assert!(!leases.used(1, "p:k::k"));
    }

    #[test]
    fn a_life_that_nobody_gave_is_noticed() {
        let mut values = Values::default();
        let life = Life { ttl: Millis::new(100), swr: Millis::new(7), stale_if_error: Millis::ZERO };
        let tags = Vec::new();
        let value = Value { read: 0, at: 0, space: "", key: "k", tags, build: "a", none: false, life };
        values.add(value.clone());
        let short = Life { ttl: Millis::new(10), swr: Millis::ZERO, ..life };
        values.add(Value { none: true, life: short, ..value.clone() });
        let config = CacheConfig { jitter: Ratio::millionths(100_000), ..CacheConfig::default() };
        let wrong = |number: &str, life: &str| {
            let mut redis = Model::new(0);
            let header = format!("2 g x 0 {life} j 1 0");
            redis.execute(&["HSET", "p:k::k", "h:a", &header, "b:a", number]);
            wrong_life(&redis, &values, &config).is_some()
        };
        assert!(!wrong("0", "100 7 0") && !wrong("0", "90 7 0"));
        assert!(wrong("0", "101 7 0") && wrong("0", "89 7 0") && wrong("0", "95 8 0"));
        assert!(!wrong("1", "10 0 0") && wrong("1", "10 7 0") && wrong("1", "95 7 0"));
        let hit = |ms| {
            let (age, stored) = (Millis::new(ms), Some(true));
            Served { outcome: Outcome::Hit, reason: None, shared: false, age, stored }
        };
        assert!(!too_old(&config, &hit(99), &value) && too_old(&config, &hit(100), &value));
    }
}
