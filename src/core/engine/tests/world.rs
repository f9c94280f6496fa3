//! A driver for tests: performs what the core decides, on a clock that only the test moves, against a model of Redis.

use std::collections::{BTreeMap, HashMap};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use hifijson::token::Lex as _;
use hifijson::value::Value;

use crate::core::redis::script::Script;
use crate::core::{
    BatchId, BodyPart, CacheConfig, CacheId, CallbackEnd, ConnectionId, Effect, Encoded, Endpoint, Engine,
    ErrorKind, Event, EventKind, InvalidationState, OpId, ReadCall, RequestId, Served, SharedId, Source,
    ValueKind, WriteCall,
};

/// A hash in Redis: generation, and the header and body of the one build there is.
type Hash = (String, Option<(String, String)>);

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: f64,
    pub(super) cache: CacheId,
    pub(super) link: ConnectionId,
    pub(super) anchored: bool,
    /// What Redis holds.
    pub(super) redis: BTreeMap<String, Hash>,
    /// Scripts that Redis knows.
    pub(super) known: Vec<String>,
    /// Batches that have been sent and not been answered.
    pub(super) wire: Vec<(BatchId, RequestId, String)>,
    pub(super) served: HashMap<OpId, Served>,
    pub(super) running: Vec<OpId>,
    pub(super) thrown: Vec<OpId>,
    pub(super) cancelled: Vec<OpId>,
    pub(super) applied: HashMap<OpId, bool>,
    pub(super) not_applied: HashMap<OpId, (InvalidationState, bool)>,
    pub(super) events: Vec<Event>,
    pub(super) aborted: Vec<BatchId>,
    /// What `Encode` is answered with.
    pub(super) encodable: bool,
    waits: Vec<(OpId, SharedId)>,
    owners: HashMap<OpId, RequestId>,
    requests: u64,
    commands: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Endpoint::new("https://redis.test", "token").map_err(|e| e.to_string()))
    }

    pub(super) fn with(endpoint: Result<Endpoint, String>) -> Self {
        let mut engine = Engine::new([1, 2]);
        let cache = engine.cache(CacheConfig { observed: true, ..CacheConfig::default() }).expect("room");
        let link = engine.open(endpoint).expect("room");
        Self {
            engine,
            now: 1_000_000.0,
            cache,
            link,
            anchored: true,
            redis: BTreeMap::new(),
            known: Vec::new(),
            wire: Vec::new(),
            served: HashMap::new(),
            running: Vec::new(),
            thrown: Vec::new(),
            cancelled: Vec::new(),
            applied: HashMap::new(),
            not_applied: HashMap::new(),
            events: Vec::new(),
            aborted: Vec::new(),
            encodable: true,
            waits: Vec::new(),
            owners: HashMap::new(),
            requests: 0,
            commands: 0,
        }
    }

    pub(super) fn read(&mut self, request: u32, key: &str) -> OpId {
        self.read_with(request, key, true)
    }

    pub(super) fn read_with(&mut self, request: u32, key: &str, load: bool) -> OpId {
        let request = RequestId(request);
        let (cache, connection, anchored) = (self.cache, self.link, self.anchored);
        let call = ReadCall { request, cache, connection, key, ttl: None, load, anchored };
        let op = self.engine.begin_read(call, self.now).expect("room");
        self.owners.insert(op, request);
        self.drain(request);
        op
    }

    pub(super) fn invalidate(&mut self, request: u32, keys: &[&str]) -> OpId {
        self.write(request, keys, false)
    }

    pub(super) fn set(&mut self, request: u32, key: &str) -> OpId {
        self.write(request, &[key], true)
    }

    fn write(&mut self, request: u32, keys: &[&str], set: bool) -> OpId {
        let request = RequestId(request);
        let (cache, connection, anchored) = (self.cache, self.link, self.anchored);
        let set = set.then_some((Encoded { kind: ValueKind::Json, size: 3 }, None));
        let op = self
            .engine
            .begin_write(WriteCall { request, cache, connection, anchored, keys, set }, self.now)
            .expect("room");
        self.owners.insert(op, request);
        self.drain(request);
        op
    }

    /// The callback of an operation ends.
    pub(super) fn callback(&mut self, op: OpId, ok: bool) {
        self.running.retain(|running| *running != op);
        let end = if ok { CallbackEnd::Ok { ttl: None, skip: false } } else { CallbackEnd::Err };
        assert!(self.engine.callback(op, end, self.now), "{op:?} is known");
        self.drain(self.owners[&op]);
    }

    /// All callbacks that run end well, also those that start meanwhile.
    pub(super) fn callbacks(&mut self) -> usize {
        let mut count = 0;
        while let Some(op) = self.running.first().copied() {
            self.callback(op, true);
            count += 1;
        }
        count
    }

    /// Redis answers all that is on the wire.
    pub(super) fn answer(&mut self) {
        for (batch, request, body) in core::mem::take(&mut self.wire) {
            let reply = self.execute(&body);
            self.engine.reply(batch, 200, reply.as_bytes(), self.now);
            self.drain(request);
        }
    }

    /// Redis executes what is on the wire, and its answers are lost.
    pub(super) fn lose_replies(&mut self) {
        for (batch, request, body) in core::mem::take(&mut self.wire) {
            self.execute(&body);
            self.engine.send_failed(batch, ErrorKind::Transport, self.now);
            self.drain(request);
        }
    }

    /// What is on the wire fails.
    pub(super) fn refuse(&mut self) {
        for (batch, request, _) in core::mem::take(&mut self.wire) {
            self.engine.send_failed(batch, ErrorKind::Transport, self.now);
            self.drain(request);
        }
    }

    /// What is on the wire is answered so.
    pub(super) fn answer_with(&mut self, status: u16, body: &str) {
        for (batch, request, _) in core::mem::take(&mut self.wire) {
            self.engine.reply(batch, status, body.as_bytes(), self.now);
            self.drain(request);
        }
    }

    /// Time passes, and the timers of these requests fire when they are due. A clock that stands still shows no time, but
    /// timers fire all the same.
    pub(super) fn pass(&mut self, ms: f64, requests: core::ops::RangeInclusive<u32>, frozen: bool) {
        let begun = self.now;
        let mut due: Vec<(f64, RequestId)> = Vec::new();
        for request in requests {
            let request = RequestId(request);
            if let Some(wait) = self.engine.wait(request, self.now) {
                due.push((begun + wait.get() as f64, request));
            }
        }
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (at, request) in due {
            if at <= begun + ms {
                self.now = if frozen { begun } else { at };
                self.engine.timer(request, self.now);
                self.drain(request);
            }
        }
        if !frozen {
            self.now = begun + ms;
        }
    }

    /// HTTP requests and commands that were sent so far.
    pub(super) fn sent(&self) -> (u64, u64) {
        (self.requests, self.commands)
    }

    pub(super) fn count(&self, pick: impl Fn(&EventKind) -> bool) -> usize {
        self.events.iter().filter(|event| pick(&event.kind)).count()
    }

    pub(super) fn assert_idle(&mut self) {
        for request in self.owners.values().copied().collect::<Vec<_>>() {
            assert_eq!(self.engine.poll(request), None);
        }
        assert_eq!(self.engine.under_way(), [0, 0, 0, 0], "operations, requests, batches, flights");
    }

    fn drain(&mut self, request: RequestId) {
        let mut flushes = Vec::new();
        while let Some(effect) = self.engine.poll(request) {
            match effect {
                Effect::Flush(batch) => flushes.push(batch),
                Effect::Abort(batch) => {
                    self.wire.retain(|(sent, ..)| *sent != batch);
                    self.aborted.push(batch);
                }
                Effect::Anchor(_) | Effect::Abandon(_) | Effect::Share(..) | Effect::Background(_) => {}
                Effect::Finished(op) => self.waits.retain(|(waiting, _)| *waiting != op),
                Effect::Settle(promise) => {
                    let woken: Vec<OpId> =
                        self.waits.iter().filter(|(_, p)| *p == promise).map(|(op, _)| *op).collect();
                    self.waits.retain(|(_, p)| *p != promise);
                    for op in woken {
                        self.engine.woken(op, self.now);
                        let owner = self.owners[&op];
                        if owner != request {
                            self.drain(owner);
                        }
                    }
                }
                Effect::Await(op, promise) => self.waits.push((op, promise)),
                Effect::Run(op) => self.running.push(op),
                Effect::Cancel(op) => self.cancelled.push(op),
                Effect::Decode(op, Source::Reply { .. } | Source::Shared(_)) => {
                    self.engine.decoded(op, true, self.now);
                }
                Effect::Encode(op) if self.encodable => {
                    self.engine.encoded(op, Encoded { kind: ValueKind::Json, size: 3 }, self.now);
                }
                Effect::Encode(op) => {
                    self.engine.unencodable(op, "$.at", "a Date", self.now);
                }
                Effect::Serve(op, served) => {
                    assert!(self.served.insert(op, served).is_none(), "{op:?} is served once");
                }
                Effect::Throw(op) => self.thrown.push(op),
                Effect::Applied { op, stored } => {
                    self.applied.insert(op, stored);
                }
                Effect::NotApplied { op, state, disabled, .. } => {
                    self.not_applied.insert(op, (state, disabled));
                }
                Effect::Report(_, event) => self.events.push(event),
            }
        }
        for batch in flushes {
            let Some(parts) = self.engine.seal(batch) else { continue };
            let body: String = parts
                .into_iter()
                .map(|part| match part {
                    BodyPart::Text(text) => text,
                    BodyPart::Value(_) => String::from("\"{}\""),
                })
                .collect();
            self.requests += 1;
            self.wire.push((batch, request, body));
        }
    }

    fn execute(&mut self, body: &str) -> String {
        let commands = commands(body);
        self.commands += commands.len() as u64;
        let replies: Vec<String> = commands.iter().map(|command| self.command(command)).collect();
        format!("[{}]", replies.join(","))
    }

    fn command(&mut self, command: &[String]) -> String {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (script, key, args) = match words.as_slice() {
            ["EVALSHA", sha, _, key, args @ ..] => match Script::ALL.into_iter().find(|s| s.sha() == *sha) {
                Some(script) if self.known.contains(&(*sha).to_string()) => (script, *key, args.to_vec()),
                _ => return String::from("{\"error\":\"NOSCRIPT No matching script\"}"),
            },
            ["EVAL", source, _, key, args @ ..] => {
                let script = Script::ALL.into_iter().find(|s| s.source() == *source).expect("one of ours");
                self.known.push(script.sha().to_string());
                (script, *key, args.to_vec())
            }
            ["HDEL", key, "g"] => {
                let gone = self.redis.remove(*key).is_some();
                return format!("{{\"result\":{}}}", u8::from(gone));
            }
            other => panic!("{other:?} is not modelled"),
        };
        match (script, args.as_slice()) {
            (Script::Read, [nonce, ..]) => {
                let hash = self.redis.entry(key.to_string()).or_insert_with(|| ((*nonce).to_string(), None));
                let entry = hash
                    .1
                    .as_ref()
                    .map(|(header, body)| format!(",\"{header}\",\"{body}\""))
                    .unwrap_or_default();
                format!("{{\"result\":[\"lw1\",5000,\"{}\"{entry}]}}", hash.0)
            }
            (Script::Fill, [generation, _, ttl, suffix, body, nonce]) => match self.redis.get_mut(key) {
                Some(hash) if hash.0 == *generation => {
                    if !nonce.is_empty() {
                        hash.0 = (*nonce).to_string();
                    }
                    hash.1 = Some((format!("1 {} 4000 {ttl} {suffix}", hash.0), (*body).to_string()));
                    String::from("{\"result\":\"OK\"}")
                }
                _ => String::from("{\"result\":\"overtaken\"}"),
            },
            (Script::Drop, _) => {
                self.redis.remove(key);
                String::from("{\"result\":1}")
            }
            other => panic!("{other:?} is not modelled"),
        }
    }
}

fn commands(body: &str) -> Vec<Vec<String>> {
    let mut lexer = hifijson::SliceLexer::new(body.as_bytes());
    let value =
        lexer.exactly_one(hifijson::SliceLexer::ws_peek, hifijson::value::parse_unbounded).expect("is JSON");
    let Value::Array(commands) = value else { panic!("not a pipeline: {body}") };
    let words = |command: Value<&str, _>| {
        let Value::Array(words) = command else { panic!("not a command") };
        let text = |word| if let Value::String(text) = word { text } else { panic!("not a text") };
        words.into_iter().map(text).map(|text: std::borrow::Cow<'_, str>| text.into_owned()).collect()
    };
    commands.into_iter().map(words).collect()
}
