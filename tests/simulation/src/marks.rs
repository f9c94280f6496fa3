//! Marks that Redis has acknowledged and must still hold: nothing takes a living one away but its own mutate, or a loss of data.

use leeward::core::redis::script::{Dialect, Script};
use leeward_redis_model::{Model, pipeline};

/// A mark that must be there.
#[derive(Debug)]
struct Mark {
    key: String,
    token: String,
    /// By Redis' clock, ms.
    until: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Marks(Vec<Mark>);

impl Mark {
    fn is_there(&self, redis: &Model) -> bool {
        let marks = redis.hash(self.key.as_bytes()).and_then(|hash| hash.get(&b"m"[..]));
        let marks = marks.map(|marks| String::from_utf8_lossy(marks));
        marks.is_some_and(|marks| marks.split(' ').any(|word| word == self.token))
    }
}

impl Marks {
    /// Redis has executed these commands at that time.
    pub fn executed(&mut self, body: &str, redis: &Model, now: u64) {
        self.passed(now);
        if !body.contains(Script::Drop.sha(Dialect::Redis)) && !body.contains("-- drop") {
            return;
        }
        for command in pipeline::parse(body).unwrap_or_default() {
            let words: Vec<&str> =
                command.iter().map(|word| core::str::from_utf8(word.as_ref()).unwrap_or("")).collect();
            let [_, script, _, key, add, life, remove] = words.as_slice() else { continue };
            if *script != Script::Drop.sha(Dialect::Redis) && !script.starts_with("-- drop") {
                continue;
            }
            self.0.retain(|mark| !(mark.key == *key && (mark.token == *remove || mark.token == *add)));
            let until = now + life.parse().unwrap_or(0);
            let mark = Mark { key: String::from(*key), token: String::from(*add), until };
            // The script may have been refused, or not known.
            if !add.is_empty() && mark.is_there(redis) {
                self.0.push(mark);
            }
        }
    }

    /// Time has passed, or the clock has jumped: what has run out once does not come back.
    pub fn passed(&mut self, now: u64) {
        self.0.retain(|mark| mark.until > now);
    }

    /// Data was lost: of one key, or all.
    pub fn lost(&mut self, key: Option<&str>) {
        self.0.retain(|mark| key.is_some_and(|key| mark.key != key));
    }

    /// One that is not there.
    #[must_use]
    pub fn missing(&self, redis: &Model) -> Option<String> {
        let missing = self.0.iter().find(|mark| !mark.is_there(redis))?;
        Some(format!("the mark {} of {} is gone before its time", missing.token, missing.key))
    }
}
