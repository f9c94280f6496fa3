//! The model against a real Redis: the same commands to both, and the same replies and contents from both.
//!
//! Each command goes to the real server between two TIMEs. When these tell the same millisecond the model, set to it, must
//! agree to the letter, but for the microseconds in stamps and the order of fields. When they do not, it must agree at one
//! or the other, and takes over the moments at which keys expire, which may be one off. A script of a real server can see both
//! (its TIME goes on, but keys expire by the time at which it began): then the model agrees with neither, and takes over all.
//! There must be few of these.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says thus that it failed"
)]

mod resp;
mod server;
mod step;

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;

use leeward_redis_model::{Model, Permissions, Reply, Value};

use resp::Connection;
use server::Server;
use step::{KEYS, SLOTS, Step, Steps, Word};

const SEQUENCES: u64 = 100;
const STEPS: usize = 60;
/// How often the content is asked for until it was given within one millisecond.
const TRIES: usize = 1000;
/// Polls until a moment has passed; each takes microseconds.
const POLLS: usize = 1_000_000;

/// What must have been seen by the end, or the sequences no longer test what they are for.
const EXPECTED: [&str; 22] = [
    "read fresh",
    "read stale",
    "read miss",
    "read marked",
    "read tags",
    "read lease of another",
    "fill OK",
    "fill overtaken",
    "fill marked",
    "set OK",
    "set overtaken",
    "set marked",
    "drop 1",
    "drop 0",
    "stamp that could not be made",
    "error WRONGTYPE",
    "error OOM",
    "error NOPERM",
    "error NOSCRIPT",
    "error ERR",
    "time passed between",
    "another millisecond",
];

#[test]
fn the_model_does_what_a_real_redis_does() {
    let server = Server::start();
    let mut pair = Pair::new(&server);
    let sequences = env::var("LEEWARD_REDIS_MODEL_SEQUENCES").ok().and_then(|n| n.parse().ok());
    for seed in 1..=sequences.unwrap_or(SEQUENCES) {
        pair.start(seed);
        let mut steps = Steps::new(seed);
        for _ in 0..STEPS {
            for step in steps.next() {
                pair.take(step);
            }
        }
        pair.compare_contents();
    }
    let _ = writeln!(
        std::io::stderr(),
        "compared {} commands, but for {} that saw two milliseconds; the model's scripts gave {}; seen: {:?}",
        pair.compared,
        pair.straddled,
        pair.script_commands,
        pair.seen
    );
    assert!(pair.straddled * 100 < pair.compared, "{} of {}", pair.straddled, pair.compared);
    for expected in EXPECTED {
        assert!(pair.seen.contains_key(expected), "not seen: {expected}");
    }
}

/// A real Redis and the model of it.
struct Pair {
    admin: Connection,
    real: Connection,
    model: Model,
    permissions: Permissions,
    real_stamps: [String; SLOTS],
    model_stamps: [String; SLOTS],
    /// When the last command was sent that wants to be apart from others.
    apart_ms: u64,
    out_of_memory: bool,
    compared: usize,
    /// Commands that saw two milliseconds at once.
    straddled: usize,
    script_commands: u64,
    seen: BTreeMap<String, usize>,
    seed: u64,
    history: Vec<String>,
}

impl Pair {
    fn new(server: &Server) -> Self {
        let mut admin = Connection::open(&server.socket()).expect("a connection");
        admin.command(&["ACL", "SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all"]);
        admin.command(&["AUTH", "admin", "any"]);
        let real = Connection::open(&server.socket()).expect("a connection");
        Self {
            admin,
            real,
            model: Model::default(),
            permissions: Permissions::All,
            real_stamps: Default::default(),
            model_stamps: Default::default(),
            apart_ms: 0,
            out_of_memory: false,
            compared: 0,
            straddled: 0,
            script_commands: 0,
            seen: BTreeMap::new(),
            seed: 0,
            history: Vec::new(),
        }
    }

    fn start(&mut self, seed: u64) {
        self.script_commands += self.model.script_commands();
        self.model = Model::default();
        self.seed = seed;
        self.history.clear();
        self.real_stamps = Default::default();
        self.model_stamps = Default::default();
        self.set_permissions(Permissions::All);
        self.set_out_of_memory(false);
        self.admin.command(&["FLUSHALL"]);
        self.admin.command(&["SCRIPT", "FLUSH"]);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait { ms } => {
                self.history.push(format!("wait {ms} ms"));
                let now = self.now_us() / 1000;
                self.wait_until(now + ms);
                self.see("time passed between");
            }
            Step::OutOfMemory(is) => {
                self.history.push(format!("out of memory: {is}"));
                self.set_out_of_memory(is);
            }
            Step::Permissions(permissions) => {
                self.history.push(format!("{permissions:?}"));
                self.set_permissions(permissions);
            }
            Step::Command { words, slot, apart } => {
                if apart {
                    self.wait_until(self.apart_ms + 1);
                }
                self.command(&words, slot);
                if apart {
                    self.apart_ms = self.now_us() / 1000;
                }
            }
        }
    }

    fn command(&mut self, words: &[Word], slot: Option<usize>) {
        let for_side = |stamps: &[String; SLOTS]| -> Vec<String> {
            let text = |word: &Word| match word {
                Word::Text(text) => text.clone(),
                Word::Stamps(slot) => stamps[*slot].clone(),
            };
            words.iter().map(text).collect()
        };
        let (real_words, model_words) = (for_side(&self.real_stamps), for_side(&self.model_stamps));
        let time = || vec![String::from("TIME")];
        let mut replies = self.real.send(&[time(), real_words.clone(), time()]);
        let (after, real, before) = (us(&replies[2]), replies.remove(1), us(&replies[0]));
        self.history.push(format!("{before} {}", show(&real_words)));

        // One model for each moment at which the server may have been.
        let moments = (before / 1000 + 1..=after / 1000).map(|ms| ms * 1000);
        let mut possible = Vec::new();
        for moment in std::iter::once(before).chain(moments) {
            let mut model = self.model.clone();
            model.set_time(moment);
            let reply = model.execute(&model_words);
            possible.push((model, reply));
        }
        let same_ms = possible.len() == 1;
        let wanted = comparable(&model_words, &real);
        let fits = |(_, reply): &(Model, Reply)| comparable(&model_words, reply) == wanted;
        let model = if same_ms {
            let (model, reply) = possible.remove(0);
            if !fits(&(model.clone(), reply.clone())) {
                self.differ(&show_reply(&real), &show_reply(&reply));
            }
            self.model = model;
            reply
        } else {
            self.see("another millisecond");
            let contents = self.contents();
            let agrees =
                possible.iter().position(|each| fits(each) && contents.difference(&each.0).is_none());
            let (model, reply) = possible.swap_remove(agrees.unwrap_or(0));
            self.model = model;
            if agrees.is_some() {
                self.compare_contents();
                reply
            } else {
                self.straddled += 1;
                contents.fill(&mut self.model, self.permissions);
                self.model.set_oom(self.out_of_memory);
                self.model_stamps.clone_from(&self.real_stamps);
                real.clone()
            }
        };
        self.compared += 1;
        self.note(&model_words, &model);
        if let (Some(slot), Some(real), Some(model)) = (slot, stamps(&real), stamps(&model)) {
            (self.real_stamps[slot], self.model_stamps[slot]) = (real, model);
        }
    }

    /// Counts what came out, so that the end can tell whether all was tried.
    fn note(&mut self, words: &[String], reply: &Reply) {
        let own = [("read", step::READ), ("fill", step::FILL), ("drop", step::DROP)];
        let sha = |text: &str| leeward_redis_model::Sha::of(text.as_bytes());
        let called = words.get(1).map_or("", String::as_str);
        let name = own.into_iter().find(|(_, text)| called == *text || called == sha(text).as_str());
        let what = match (name.map(|(name, _)| name), reply) {
            (_, Reply::Error(text)) => format!("error {}", text.split(' ').next().unwrap_or_default()),
            (Some("read"), Reply::Array(parts)) => {
                if matches!(parts.get(4), Some(Reply::Integer(1..))) {
                    self.see("read lease of another");
                }
                if matches!(parts.get(3), Some(Reply::Bulk(stamps)) if stamps.split(|b| *b == b' ').any(|s| s == b"-"))
                {
                    self.see("stamp that could not be made");
                }
                format!("read {}", text_of(parts.get(2)))
            }
            (Some("fill"), Reply::Bulk(_) | Reply::Status(_)) => {
                let set = words.last().is_some_and(|nonce| !nonce.is_empty());
                {
                    // A set is told the generation that it stored under.
                    let text = text_of(Some(reply));
                    let text = if text.contains('@') { String::from("OK") } else { text };
                    format!("{} {text}", if set { "set" } else { "fill" })
                }
            }
            (Some("drop"), Reply::Integer(n)) => format!("drop {n}"),
            _ => return,
        };
        self.see(&what);
    }

    fn see(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    fn set_out_of_memory(&mut self, is: bool) {
        self.admin.command(&["CONFIG", "SET", "maxmemory", if is { "1" } else { "0" }]);
        self.out_of_memory = is;
        self.model.set_oom(is);
    }

    fn set_permissions(&mut self, permissions: Permissions) {
        let mut rules = vec!["ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "&*", "+@all"];
        match permissions {
            Permissions::All => {}
            Permissions::NoScripts => rules.push("-@scripting"),
            Permissions::ReadOnly => rules.extend(["-@scripting", "-@write"]),
        }
        self.admin.command(&rules);
        self.permissions = permissions;
        self.model.set_permissions(permissions);
    }

    fn now_us(&mut self) -> u64 {
        us(&self.admin.command(&["TIME"]))
    }

    fn wait_until(&mut self, ms: u64) {
        for _ in 0..POLLS {
            if self.now_us() / 1000 >= ms {
                return;
            }
        }
        panic!("the server's time does not pass");
    }

    /// Compares all keys, what they hold and when they expire, and then lets the model take over those moments: they may be
    /// one millisecond off.
    fn compare_contents(&mut self) {
        let contents = self.contents();
        if let Some((real, model)) = contents.difference(&self.model) {
            self.differ(&real, &model);
        }
        self.model.set_permissions(Permissions::All);
        for key in KEYS {
            match contents.keys.get(key) {
                None => _ = self.model.evict(key.as_bytes()),
                Some(Held { expires_ms: ..0, .. }) => {}
                Some(held) => _ = self.model.execute(&["PEXPIREAT", key, &held.expires_ms.to_string()]),
            }
        }
        self.model.set_permissions(self.permissions);
    }

    /// What the real server holds.
    fn contents(&mut self) -> Contents {
        let mut commands = vec![vec!["TIME"], vec!["KEYS", "*"]];
        for key in KEYS {
            commands.extend([vec!["HGETALL", key], vec!["GET", key], vec!["PEXPIRETIME", key]]);
        }
        commands.push(vec!["TIME"]);
        for _ in 0..TRIES {
            let mut replies = self.admin.send(&commands);
            let (at_us, last) = (us(&replies[0]), us(&replies[replies.len() - 1]));
            if at_us / 1000 != last / 1000 {
                continue;
            }
            let mut keys = BTreeMap::new();
            if let Reply::Array(all) = &replies[1] {
                for key in all.iter().map(|key| text_of(Some(key))) {
                    assert!(KEYS.contains(&key.as_str()), "{key} is not one of the keys that are looked at");
                }
            }
            for (key, replies) in KEYS.into_iter().zip(replies[2..].chunks_mut(3)) {
                let [hash, text, Reply::Integer(expires)] = replies else { panic!("three replies") };
                let value = if matches!(hash, Reply::Error(_)) { text } else { hash };
                if *value != Reply::Array(Vec::new()) {
                    keys.insert(key.to_owned(), Held::new(value.clone(), *expires));
                }
            }
            return Contents { at_us, keys };
        }
        panic!("the server never answers within a millisecond");
    }

    fn differ(&self, real: &str, model: &str) -> ! {
        let from = self.history.len().saturating_sub(40);
        let history = self.history[from..].join("\n");
        panic!("sequence {}, after\n{history}\n\nreal:  {real}\nmodel: {model}\n", self.seed)
    }
}

/// What a server holds.
struct Contents {
    at_us: u64,
    keys: BTreeMap<String, Held>,
}

/// What a key holds, as it is and as it is compared, and when it expires (ms, -1: never).
struct Held {
    raw: Reply,
    value: Reply,
    expires_ms: i64,
}

impl Held {
    fn new(raw: Reply, expires_ms: i64) -> Self {
        Self { value: comparable_hash(&raw), raw, expires_ms }
    }
}

impl Contents {
    /// Makes the model hold the same.
    fn fill(&self, model: &mut Model, permissions: Permissions) {
        model.set_permissions(Permissions::All);
        model.set_oom(false);
        model.execute(&["FLUSHALL"]);
        for (key, held) in &self.keys {
            match &held.raw {
                Reply::Array(items) => {
                    let mut words = vec![b"HSET".to_vec(), key.clone().into_bytes()];
                    words.extend(items.iter().map(bytes_of));
                    model.execute(&words);
                }
                text => _ = model.execute(&[b"SET".to_vec(), key.clone().into_bytes(), bytes_of(text)]),
            }
            if held.expires_ms >= 0 {
                model.execute(&["PEXPIREAT", key, &held.expires_ms.to_string()]);
            }
        }
        model.set_permissions(permissions);
    }

    /// The first difference, as the real one's side and the model's. The model's time is still that of the last command; what
    /// it has may have expired since.
    fn difference(&self, model: &Model) -> Option<(String, String)> {
        let now_ms = i64::try_from(self.at_us / 1000).expect("a time");
        let mut keys = BTreeMap::new();
        for (key, entry) in model.entries() {
            let value = match &entry.value {
                Value::Text(text) => Reply::Bulk(text.clone()),
                Value::Hash(hash) => {
                    Reply::Array(hash.iter().flat_map(|(f, v)| [f, v]).cloned().map(Reply::Bulk).collect())
                }
            };
            let key = String::from_utf8_lossy(key).into_owned();
            keys.insert(key, Held::new(value, entry.expires_ms.unwrap_or(-1)));
        }
        let show = |held: Option<&Held>| match held {
            None => String::from("nothing"),
            Some(held) => format!("{}, expires {}", show_reply(&held.value), held.expires_ms),
        };
        KEYS.into_iter().find_map(|key| {
            let (real, model) = (self.keys.get(key), keys.get(key));
            let same = match (real, model) {
                (Some(real), Some(model)) => {
                    let (at, model_at) = (real.expires_ms, model.expires_ms);
                    real.value == model.value && (at < 0) == (model_at < 0) && at.abs_diff(model_at) <= 1
                }
                (None, Some(model)) => (0..=now_ms + 1).contains(&model.expires_ms),
                (real, None) => real.is_none(),
            };
            (!same).then(|| (format!("{key}: {}", show(real)), format!("{key}: {}", show(model))))
        })
    }
}

fn us(time: &Reply) -> u64 {
    let Reply::Array(parts) = time else { panic!("TIME gives two numbers, not {time:?}") };
    let part = |i: usize| text_of(parts.get(i)).parse::<u64>().expect("a number");
    part(0) * 1_000_000 + part(1)
}

fn text_of(reply: Option<&Reply>) -> String {
    match reply {
        Some(Reply::Bulk(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Reply::Status(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn bytes_of(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(bytes) => bytes.clone(),
        other => panic!("{other:?} is not a text"),
    }
}

/// The stamps in the reply to a read.
fn stamps(reply: &Reply) -> Option<String> {
    let Reply::Array(parts) = reply else { return None };
    match parts.get(3) {
        Some(Reply::Bulk(stamps)) if !stamps.is_empty() => Some(text_of(parts.get(3))),
        _ => None,
    }
}

/// A reply without what differs by nature.
fn comparable(words: &[String], reply: &Reply) -> Reply {
    let command = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    match (command.as_str(), reply) {
        ("TIME", Reply::Array(_)) => Reply::Null,
        ("HKEYS", Reply::Array(fields)) => {
            let mut fields: Vec<Reply> = fields.iter().map(without_microseconds).collect();
            fields.sort_by_key(|field| text_of(Some(field)));
            Reply::Array(fields)
        }
        ("HGETALL", _) => comparable_hash(reply),
        _ => without_microseconds(reply),
    }
}

fn comparable_hash(reply: &Reply) -> Reply {
    let Reply::Array(items) = reply else { return without_microseconds(reply) };
    let mut pairs: Vec<Vec<Reply>> =
        items.chunks(2).map(|pair| pair.iter().map(without_microseconds).collect()).collect();
    pairs.sort_by_key(|pair| text_of(pair.first()));
    Reply::Array(pairs.concat())
}

/// `nonce@seconds.microseconds` becomes `nonce@`.
fn without_microseconds(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(items) => Reply::Array(items.iter().map(without_microseconds).collect()),
        Reply::Bulk(bytes) if bytes.contains(&b'@') => {
            let text = String::from_utf8_lossy(bytes);
            let mut parts = text.split('@');
            let mut out = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                out.push('@');
                out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
            }
            Reply::Bulk(out.into_bytes())
        }
        other => other.clone(),
    }
}

fn show_reply(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Reply::Array(items) => format!("[{}]", items.iter().map(show_reply).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}

fn show(words: &[String]) -> String {
    let short = |word: &String| match word.lines().next() {
        Some(first) if word.len() > 200 => format!("<{first}>"),
        _ => format!("{word:?}"),
    };
    words.iter().map(short).collect::<Vec<_>>().join(" ")
}
