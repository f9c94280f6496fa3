//! What a sequence does, drawn from a seed: mostly what Leeward does, and what may happen to its keys meanwhile.

use leeward_redis_model::{Permissions, Sha};

pub(crate) const READ: &str = include_str!("../../../../src/core/redis/read.lua");
pub(crate) const FILL: &str = include_str!("../../../../src/core/redis/fill.lua");
pub(crate) const DROP: &str = include_str!("../../../../src/core/redis/drop.lua");

/// All keys that are ever used.
pub(crate) const KEYS: [&str; 8] =
    ["p:k:a", "p:k:b", "p:n:", "p:n:app", "p:t:red", "p:t:green", "p:t:blue", "other"];
const TAG_PREFIX: &str = "p:t:";
const BUILDS: [&str; 5] = ["b1", "b2", "b3", "b4", "b5"];
const FIELDS: [&str; 12] =
    ["g", "x", "v", "m", "h:b1", "b:b1", "l:b1", "h:b2", "b:b2", "h:b3", "none", "h:b4"];
/// Values with which someone else might have overwritten a field.
const DAMAGE: [&str; 12] = [
    "",
    "damage",
    "2",
    "2 g",
    "m 99999999999999",
    "m 99999999999999 n 1",
    "t 99999999999999",
    "2 x y 1 2 3 4 v 5 1 - a b",
    "1790000000000 a b 5 ",
    "2 - - 1 60000 0 0 v",
    "a.b@1.2",
    "a.b@1.2 ",
];
/// Small scripts for what Leeward's own do not do: conversions, errors, the rules on memory.
const SNIPPETS: [&str; 58] = [
    "return {1, 2.9, -2.9, true, false, 'x', {1, {ok='z'}}, {err='q'}, nil, 4}",
    "return {1, redis.call('HGET', KEYS[1], 'x'), redis.pcall('HGET', KEYS[2], 'x')}",
    "return 1/0",
    "return -1/0",
    "return 0/0",
    "return 1e30",
    "return -0.5",
    "return",
    "return nil",
    "return print == nil",
    "return {}",
    "return {false, 1}",
    "return {err='foo'}",
    "return {err='two\\r\\nlines\\n'}",
    "return {ok='fine', err=1}",
    "return {err=1}",
    "return redis.error_reply('foo')",
    "return redis.error_reply('MY foo')",
    "return redis.error_reply('-MY foo')",
    "return redis.error_reply('-MY')",
    "return redis.error_reply()",
    "return redis.status_reply()",
    "return redis.status_reply(1)",
    "return redis.status_reply('a b')",
    "return redis.sha1hex('x')",
    "return (",
    "return 1 +* 2",
    "x = 1",
    "return x",
    "local a = nil; return a.b",
    "\n\nlocal function f()\n  return redis.call('HGET', KEYS[1])\nend\nreturn f()",
    "error('foo')",
    "error({err='My foo'})",
    "error()",
    "error(5)",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('HSET', KEYS[1], true, 1)",
    "return redis.call('NOPE')",
    "return redis.pcall('NOPE')",
    "return redis.call('EVAL', 'return 1', 0)",
    "return redis.pcall('SCRIPT', 'FLUSH')",
    "return redis.call('SCRIPT', 'x')",
    "return redis.call('HSET', KEYS[1], 'a')",
    "return redis.call('HSET', KEYS[1], 'a', 1, 'b')",
    "return redis.call('HSET', KEYS[1], 'n', 12345678901234567890, 'o', 0.1, 'p', 1790000000000123, 'q', 1e15)",
    "return redis.call('HMGET', KEYS[1], 'n', 'o', 'p', 'q')",
    "return redis.call('PEXPIRE', KEYS[1], 1.5)",
    "return {type(redis.call('PING')), redis.call('PING').ok, type(redis.call('HGET', KEYS[1], 'none'))}",
    "return {#KEYS, #ARGV, KEYS[3], ARGV[2]}",
    "return {pcall(redis.call, 'HGET', KEYS[1])}",
    "local ok, e = pcall(redis.call, 'HGET', KEYS[1]); return e",
    "redis.call('DEL', 'none'); return redis.call('HSET', KEYS[1], 'dirty', '1')",
    "redis.pcall('PEXPIRE', 'none', 'x'); return redis.pcall('HSET', KEYS[1], 'dirty', '2')",
    "redis.pcall('HDEL', KEYS[1]); return redis.pcall('HSET', KEYS[1], 'clean', '1')",
    "redis.pcall('HSET', KEYS[1], 'a', '1'); redis.pcall('HSET', KEYS[1], 'b', '1'); return redis.call('HLEN_', 1)",
    "return redis.pcall('SET', KEYS[1])",
    "return tostring(ARGV) == nil or select('#', unpack(ARGV))",
];
/// Commands that are wrong, or whose errors are all that is of interest.
const ODD: [&[&str]; 40] = [
    &["NOPE"],
    &["nope", "a", "b"],
    &["hset", "other"],
    &["HSET", "other", "a", "1", "b"],
    &["HGETALL"],
    &["HMGET", "other"],
    &["HDEL", "other"],
    &["DEL"],
    &["EXISTS"],
    &["PTTL", "other", "x"],
    &["TIME", "x"],
    &["GET"],
    &["SET", "other"],
    &["SET", "other", "x", "y"],
    &["PING"],
    &["PING", "a"],
    &["PING", "a", "b"],
    &["PEXPIRE", "other", "a"],
    &["PEXPIRE", "other", "01"],
    &["PEXPIRE", "other", "9223372036854775807"],
    &["PEXPIRE", "other", "5", "zz"],
    &["PEXPIREAT", "other", "9223372036854775808"],
    &["PEXPIREAT", "other", "-5"],
    &["FLUSHALL", "x"],
    &["SCRIPT"],
    &["SCRIPT", "nope"],
    &["SCRIPT", "LOAD"],
    &["SCRIPT", "LOAD", "a", "b"],
    &["SCRIPT", "LOAD", "return ("],
    &["SCRIPT", "load", "return 1"],
    &["SCRIPT", "FLUSH", "nope"],
    &["SCRIPT", "FLUSH", "sync", "x"],
    &["EVAL", "return 1"],
    &["EVAL", "return 1", "x"],
    &["EVAL", "return 1", "2", "a"],
    &["EVAL", "return 1", "-1"],
    &["EVALSHA", "abc", "0"],
    &["EVALSHA", "abc", "x"],
    &["EVALSHA", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "0"],
    &["EVALSHA", "0000000000000000000000000000000000000000", "0"],
];

/// Stamps are given by each side itself, so that a fill's are a place to look.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Text(String),
    /// The stamps that the last read in this slot gave.
    Stamps(usize),
}

pub(crate) const SLOTS: usize = 4;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Command {
        words: Vec<Word>,
        /// A read's stamps go here.
        slot: Option<usize>,
        /// At another millisecond than the last one with this: which of two builds was filled first must be clear.
        apart: bool,
    },
    Wait {
        ms: u64,
    },
    OutOfMemory(bool),
    Permissions(Permissions),
}

/// Draws steps.
pub(crate) struct Steps {
    state: u64,
    number: u64,
    /// For each slot the keys and the number of namespaces that were read.
    slots: [Option<(Vec<&'static str>, usize)>; SLOTS],
    /// How short durations are, and how often things go wrong, in this sequence.
    tiny: bool,
    rough: bool,
}

impl Steps {
    pub(crate) fn new(seed: u64) -> Self {
        let mut steps = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            number: 0,
            slots: [const { None }; SLOTS],
            tiny: false,
            rough: false,
        };
        steps.tiny = steps.one_in(3);
        steps.rough = steps.one_in(2);
        steps
    }

    fn draw(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 33) % below as u64).expect("small")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.draw(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.draw(from.len())]
    }

    fn entry(&mut self) -> &'static str {
        if self.one_in(3) { KEYS[1] } else { KEYS[0] }
    }

    fn duration(&mut self) -> String {
        let long = if self.tiny { self.one_in(3) } else { !self.one_in(6) };
        let choices: &[&str] = if long { &["60000", "5000", "3600000"] } else { &["0", "1", "2", "3", "5"] };
        self.pick(choices).to_owned()
    }

    fn name(&mut self, prefix: &str) -> String {
        self.number += 1;
        format!("{prefix}{}", self.number)
    }

    /// The next step or steps.
    pub(crate) fn next(&mut self) -> Vec<Step> {
        match self.draw(100) {
            0..20 => vec![self.read()],
            20..36 => self.cycle(),
            36..54 => vec![self.fill()],
            54..64 => vec![self.drop()],
            64..70 => vec![Step::Wait { ms: 1 + self.draw(5) as u64 }],
            70 if self.one_in(6) => self.many_marks(),
            70..76 => vec![self.snippet()],
            76..79 => {
                let words = self.pick(&ODD);
                vec![plain(words.iter().copied())]
            }
            79..84 if self.rough => vec![self.weather()],
            79..84 => vec![self.read()],
            84 => vec![self.load()],
            _ if !self.rough && self.one_in(2) => vec![self.read()],
            _ => vec![self.meddle()],
        }
    }

    fn script(&mut self, text: &str, keys: &[&str], args: Vec<Word>) -> Vec<Word> {
        let by_hash = !self.one_in(4);
        let sha = Sha::of(text.as_bytes());
        let head = if by_hash { ["EVALSHA", sha.as_str()] } else { ["EVAL", text] };
        let count = keys.len().to_string();
        let words = head.into_iter().chain([count.as_str()]).chain(keys.iter().copied());
        words.map(word).chain(args).collect()
    }

    /// What most callers do: a read that misses, its fill, perhaps something in between, and a read of the same.
    fn cycle(&mut self) -> Vec<Step> {
        let (slot, build, token) = (self.draw(SLOTS), self.pick(&BUILDS), format!("token{}", self.draw(3)));
        let first = self.read_of(slot, false, build, &token);
        let fill = self.fill_of(slot, build);
        let key = self.slots[slot].as_ref().map_or(KEYS[0], |(keys, _)| keys[0]);
        let between = match self.draw(8) {
            0..3 => Some(plain(["HDEL", key, "x"])),
            3 => Some(plain(["HDEL", self.pick(&KEYS[2..7]), "x"])),
            4 => Some(self.drop()),
            5 => Some(Step::Wait { ms: 1 + self.draw(5) as u64 }),
            _ => None,
        };
        let again = self.read_of(slot, true, build, &token);
        [Some(first), Some(fill), between, Some(again)].into_iter().flatten().collect()
    }

    fn read(&mut self) -> Step {
        let (slot, again, build) = (self.draw(SLOTS), self.one_in(2), self.pick(&BUILDS));
        let token = if self.one_in(2) { String::new() } else { format!("token{}", self.draw(3)) };
        self.read_of(slot, again, build, &token)
    }

    fn read_of(&mut self, slot: usize, again: bool, build: &str, token: &str) -> Step {
        let again = again.then(|| self.slots[slot].clone()).flatten();
        let (mut keys, namespaces) = again.unwrap_or_else(|| {
            let namespaces = self.draw(3);
            let mut keys = vec![self.entry()];
            keys.extend(KEYS[2..4].iter().take(namespaces));
            let mut tags = vec![KEYS[4], KEYS[5], KEYS[6]];
            for _ in 0..self.pick(&[0, 0, 1, 1, 2, 3]) {
                let at = self.draw(tags.len());
                keys.push(tags.swap_remove(at));
            }
            (keys, namespaces)
        });
        if self.one_in(8) && keys.len() > 1 + namespaces {
            keys.pop();
        }
        self.slots[slot] = Some((keys.clone(), namespaces));
        let tags = keys.len() - 1 - namespaces;
        let required = if self.one_in(4) { self.draw(tags + 1) } else { tags };
        let args = [
            self.name("r"),
            build.to_owned(),
            self.duration(),
            namespaces.to_string(),
            required.to_string(),
            TAG_PREFIX.to_owned(),
            token.to_owned(),
            self.duration(),
            self.pick(&["fresh", "stale", "stale", "none"]).to_owned(),
        ];
        let words = self.script(READ, &keys, args.into_iter().map(Word::Text).collect());
        Step::Command { words, slot: Some(slot), apart: false }
    }

    fn fill(&mut self) -> Step {
        let (slot, build) = (self.draw(SLOTS), self.pick(&BUILDS));
        self.fill_of(slot, build)
    }

    fn fill_of(&mut self, slot: usize, build: &str) -> Step {
        let Some((keys, namespaces)) = self.slots[slot].clone() else { return self.read() };
        let nonce = if self.one_in(3) { self.name("s") } else { String::new() };
        let stamps = if self.one_in(20) { word("a b - - c d e f g h i j") } else { Word::Stamps(slot) };
        let cost = self.pick(&["v 0", "v 3", "json 1000"]).to_owned();
        let body = "body ".repeat(self.draw(40));
        let late =
            [self.duration(), self.duration()].map(|d| if self.one_in(2) { "0".to_owned() } else { d });
        let [revalidate, error] = late;
        let mut args = vec![word(build), stamps];
        let rest = [
            namespaces.to_string(),
            TAG_PREFIX.to_owned(),
            self.duration(),
            revalidate,
            error,
            cost,
            body,
            nonce,
        ];
        args.extend(rest.into_iter().map(Word::Text));
        let words = self.script(FILL, &keys, args);
        Step::Command { words, slot: None, apart: true }
    }

    fn drop(&mut self) -> Step {
        let key = self.pick(&KEYS[..7]);
        let mut mark = || if self.one_in(2) { String::new() } else { format!("mark{}", self.draw(4)) };
        let (add, remove) = (mark(), mark());
        let life = self.duration();
        self.dropping(key, &add, &life, &remove)
    }

    fn dropping(&mut self, key: &str, add: &str, life: &str, remove: &str) -> Step {
        let words = self.script(DROP, &[key], [add, life, remove].map(word).to_vec());
        Step::Command { words, slot: None, apart: false }
    }

    fn many_marks(&mut self) -> Vec<Step> {
        let key = self.entry();
        (0..66).map(|i| self.dropping(key, &format!("many{i}"), "60000", "")).collect()
    }

    fn snippet(&mut self) -> Step {
        let text = self.pick(&SNIPPETS);
        let words = ["EVAL", text, "2", self.pick(&KEYS), self.pick(&KEYS), "one", "two"];
        plain(words)
    }

    fn weather(&mut self) -> Step {
        match self.draw(6) {
            0 => Step::OutOfMemory(true),
            1 | 2 => Step::OutOfMemory(false),
            3 => Step::Permissions(self.pick(&[Permissions::NoScripts, Permissions::ReadOnly])),
            _ => Step::Permissions(Permissions::All),
        }
    }

    fn load(&mut self) -> Step {
        if self.one_in(3) {
            return plain(["SCRIPT", "FLUSH"]);
        }
        plain(["SCRIPT", "LOAD", self.pick(&[READ, FILL, DROP])])
    }

    /// What others do to the keys.
    fn meddle(&mut self) -> Step {
        let (key, field, value) = (self.pick(&KEYS), self.pick(&FIELDS), self.pick(&DAMAGE));
        let (other, more) = (self.pick(&KEYS), self.pick(&FIELDS));
        let ms = self.pick(&["-1", "0", "1", "3", "5", "60000"]);
        match self.draw(20) {
            0..3 => plain(["HDEL", key, field, more]),
            3 => plain(["HSET", key, field, value]),
            4 => plain(["HSET", key, field, value, more, "text", field, value]),
            5 => plain(["DEL", key, other]),
            6 => plain(["SET", key, value]),
            7 => plain(["PEXPIRE", key, ms]),
            8 => plain(["PEXPIREAT", key, "1790000000000"]),
            9 => plain(["PEXPIREAT", key, "9990000000000"]),
            10 => plain(["EXISTS", key, other, key]),
            11 => plain(["HGET", key, field]),
            12 => plain(["hmget", key, field, more, "none"]),
            13 => plain(["HKEYS", key]),
            14 => plain(["HGETALL", key]),
            15 => plain(["PTTL", key]),
            16 => plain(["GET", key]),
            17 => plain(["TIME"]),
            18 if self.one_in(4) => plain(["FLUSHALL"]),
            _ => plain(["DEL", key]),
        }
    }
}

fn word(text: &str) -> Word {
    Word::Text(text.to_owned())
}

fn plain<'a>(words: impl IntoIterator<Item = &'a str>) -> Step {
    Step::Command { words: words.into_iter().map(word).collect(), slot: None, apart: false }
}
