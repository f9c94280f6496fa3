//! A driver for tests: performs what the core decides, on a clock that only the test moves, against a model of Redis that runs
//! the real scripts.

use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec::Vec;

use leeward_redis_model::Model;

use crate::core::{
    Adapted, BatchId, BodyPart, CacheConfig, CacheId, CallbackEnd, ConnectionId, Effect, Encoded, Endpoint,
    Engine, ErrorKind, Event, EventKind, Freshness, Gone, Header, InvalidationState, Kept, Millis, OpId,
    RawCall, RawError, ReadCall, RequestId, Served, SharedId, Source, Targets, ValueKind, Waits, WriteCall,
    WriteKind,
};

/// The value that every callback gives, encoded.
const VALUE: Encoded = Encoded { kind: ValueKind::Json, size: 3 };

/// When what is stored is decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoding {
    AtOnce,
    /// When the test does it.
    Later,
}

pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: f64,
    pub(super) cache: CacheId,
    pub(super) link: ConnectionId,
    pub(super) anchored: bool,
    pub(super) redis: Model,
    /// Batches that have been sent and not been answered.
    pub(super) wire: Vec<(BatchId, RequestId, String)>,
    pub(super) served: HashMap<OpId, Served>,
    pub(super) running: Vec<OpId>,
    pub(super) thrown: Vec<OpId>,
    pub(super) cancelled: Vec<(OpId, Gone)>,
    /// Those whose callers were told that the callback is late.
    pub(super) timed_out: Vec<OpId>,
    /// How old the stale value was that callbacks were shown.
    pub(super) shown: HashMap<OpId, Millis>,
    /// Those that go on behind an answer.
    pub(super) background: Vec<OpId>,
    /// Those that were answered with the stale value that was kept for them.
    pub(super) stashed: Vec<OpId>,
    /// Those whose callbacks need not wait for versions any more.
    pub(super) tagged: Vec<OpId>,
    pub(super) applied: HashMap<OpId, bool>,
    /// How mutates ended: the invalidation's state, and whether all was marked.
    pub(super) mutated: HashMap<OpId, (InvalidationState, bool)>,
    pub(super) not_applied: HashMap<OpId, (InvalidationState, bool)>,
    pub(super) events: Vec<Event>,
    pub(super) aborted: Vec<BatchId>,
    /// What was offered to L1, and what has become of it.
    pub(super) offered: Vec<(OpId, Kept)>,
    /// What `Encode` is answered with.
    pub(super) encodable: bool,
    /// What raw commands were answered, and why some were not.
    pub(super) replied: HashMap<OpId, String>,
    pub(super) raw_failed: HashMap<OpId, RawError>,
    raw: HashMap<OpId, String>,
    /// The reply that is being handled.
    body: String,
    /// A turn is under way: what is begun is not sent yet.
    turn: bool,
    pub(super) decoding: Decoding,
    /// What the driver is decoding.
    pub(super) undecoded: Vec<(OpId, Source)>,
    /// What it is compressing, and what it stores compressed.
    pub(super) compressing: Vec<OpId>,
    pub(super) replaced: Vec<OpId>,
    /// What outlives the instance.
    kept: HashMap<String, String>,
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
        Self::set_to(endpoint, CacheConfig::default())
    }

    /// A world whose cache is set so.
    pub(super) fn configured(config: CacheConfig) -> Self {
        Self::set_to(Endpoint::new("https://redis.test", "token").map_err(|e| e.to_string()), config)
    }

    fn set_to(endpoint: Result<Endpoint, String>, config: CacheConfig) -> Self {
        let mut engine = Engine::new([1, 2]);
        let cache = engine.cache(CacheConfig { observed: true, ..config }).expect("room");
        let link = engine.open(endpoint).expect("room");
        Self {
            engine,
            now: 1_000_000.0,
            cache,
            link,
            anchored: true,
            redis: Model::new(0),
            wire: Vec::new(),
            served: HashMap::new(),
            running: Vec::new(),
            thrown: Vec::new(),
            cancelled: Vec::new(),
            timed_out: Vec::new(),
            shown: HashMap::new(),
            background: Vec::new(),
            stashed: Vec::new(),
            tagged: Vec::new(),
            applied: HashMap::new(),
            mutated: HashMap::new(),
            not_applied: HashMap::new(),
            events: Vec::new(),
            aborted: Vec::new(),
            offered: Vec::new(),
            encodable: true,
            replied: HashMap::new(),
            raw_failed: HashMap::new(),
            raw: HashMap::new(),
            body: String::new(),
            turn: false,
            decoding: Decoding::AtOnce,
            undecoded: Vec::new(),
            compressing: Vec::new(),
            replaced: Vec::new(),
            kept: HashMap::new(),
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
        self.read_call(ReadCall { load, ..self.call(request, key) })
    }

    pub(super) fn read_tagged(&mut self, request: u32, key: &str, tags: &[&str]) -> OpId {
        self.read_call(ReadCall { tags, ..self.call(request, key) })
    }

    /// A read with nothing but a key.
    pub(super) fn call<'a>(&self, request: u32, key: &'a str) -> ReadCall<'a> {
        ReadCall {
            request: RequestId(request),
            cache: self.cache,
            connection: self.link,
            space: "",
            key,
            tags: &[],
            ttl: None,
            swr: None,
            stale_if_error: None,
            lease_wait: None,
            waits: Waits::default(),
            early_refresh: None,
            jitter: None,
            negative_ttl: None,
            freshness: Freshness::Normal,
            load: true,
            l1: true,
            many: false,
            anchored: self.anchored,
        }
    }

    pub(super) fn read_call(&mut self, call: ReadCall<'_>) -> OpId {
        let op = self.engine.begin_read(call, self.now).expect("room");
        self.owners.insert(op, call.request);
        self.drain(call.request);
        op
    }

    pub(super) fn invalidate(&mut self, request: u32, keys: &[&str]) -> OpId {
        self.write(request, Targets { keys, ..Targets::default() }, WriteKind::Invalidate)
    }

    pub(super) fn invalidate_tags(&mut self, request: u32, tags: &[&str]) -> OpId {
        self.write(request, Targets { tags, ..Targets::default() }, WriteKind::Invalidate)
    }

    pub(super) fn set(&mut self, request: u32, key: &str) -> OpId {
        let (ttl, swr, stale_if_error, jitter) = (None, None, None, None);
        let kind = WriteKind::Set { encoded: VALUE, tags: &[], ttl, swr, stale_if_error, jitter };
        self.write(request, Targets { keys: &[key], ..Targets::default() }, kind)
    }

    pub(super) fn mutate(&mut self, request: u32, targets: Targets<'_>) -> OpId {
        self.write(request, targets, WriteKind::Mutate { deadline: Millis::seconds(10) })
    }

    pub(super) fn write(&mut self, request: u32, targets: Targets<'_>, kind: WriteKind<'_>) -> OpId {
        let request = RequestId(request);
        let (cache, connection, anchored) = (self.cache, self.link, self.anchored);
        self.write_call(WriteCall { request, cache, connection, anchored, space: "", targets, kind })
    }

    pub(super) fn write_call(&mut self, call: WriteCall<'_>) -> OpId {
        let op = self.engine.begin_write(call, self.now).expect("room");
        self.owners.insert(op, call.request);
        self.drain(call.request);
        op
    }

    /// A raw command.
    pub(super) fn raw(&mut self, request: u32, words: &[&str]) -> OpId {
        let command = std::format!("[\"{}\"]", words.join("\",\""));
        let request = RequestId(request);
        let (cache, connection, anchored) = (self.cache, self.link, self.anchored);
        let call = RawCall { request, cache, connection, anchored, size: command.len() };
        let op = self.engine.begin_raw(call, self.now).expect("room");
        self.raw.insert(op, command);
        self.owners.insert(op, request);
        self.drain(request);
        op
    }

    /// What is begun in it by one request is one turn.
    pub(super) fn turn<T>(&mut self, request: u32, begin: impl FnOnce(&mut Self) -> T) -> T {
        self.turn = true;
        let begun = begin(self);
        self.turn = false;
        self.drain(RequestId(request));
        begun
    }

    /// The callbacks of these operations end in one turn; `false`: without a value.
    pub(super) fn callbacks_of(&mut self, request: u32, ops: &[(OpId, bool)]) {
        self.turn(request, |world| {
            for (op, ok) in ops {
                world.running.retain(|running| running != op);
                let some = CallbackEnd::Ok {
                    life: Adapted::default(),
                    skip: false,
                    none: false,
                    not_modified: false,
                    tags: Vec::new(),
                };
                let end = if *ok { some } else { CallbackEnd::Nothing };
                assert!(world.engine.callback(*op, end, world.now), "{op:?} is known");
            }
        });
    }

    /// The callback of an operation awaits the versions of tags.
    pub(super) fn await_tags(&mut self, op: OpId, tags: &[&str]) {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_string()).collect();
        assert!(self.engine.tags(op, &tags, self.now), "{op:?} is known");
        self.drain(self.owners[&op]);
    }

    /// Whether an entry of the key is stored.
    pub(super) fn has(&self, key: &str) -> bool {
        let hash = self.redis.hash(std::format!("leeward:k::{key}").as_bytes());
        hash.is_some_and(|hash| hash.keys().any(|field| field.starts_with(b"h:")))
    }

    /// The header of the entry of a key.
    pub(super) fn header(&self, key: &str) -> Header {
        let hash = self.redis.hash(std::format!("leeward:k::{key}").as_bytes()).expect("stored");
        let text = hash.get(&b"h:"[..]).expect("stored");
        Header::parse(&String::from_utf8(text.clone()).expect("a text")).expect("a header")
    }

    /// The generation of a key.
    pub(super) fn generation(&self, key: &str) -> Option<Vec<u8>> {
        self.redis.hash(std::format!("leeward:k::{key}").as_bytes())?.get(&b"g"[..]).cloned()
    }

    /// The callback of an operation ends.
    pub(super) fn callback(&mut self, op: OpId, ok: bool) {
        self.callback_with(op, ok, &[]);
    }

    /// The callback of an operation ends, and declares these tags.
    pub(super) fn callback_with(&mut self, op: OpId, ok: bool, tags: &[&str]) {
        let tags = tags.iter().map(|tag| (*tag).to_string()).collect();
        let (life, skip, none, not_modified) = (Adapted::default(), false, false, false);
        let end = CallbackEnd::Ok { life, skip, none, not_modified, tags };
        self.callback_end(op, if ok { end } else { CallbackEnd::Err });
    }

    /// The callback of an operation ends so.
    pub(super) fn callback_end(&mut self, op: OpId, end: CallbackEnd) {
        self.running.retain(|running| *running != op);
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

    /// What the core has decided for a request is done.
    pub(super) fn pump(&mut self, request: u32) {
        self.drain(RequestId(request));
    }

    /// Redis answers all that is on the wire.
    pub(super) fn answer(&mut self) {
        for (batch, request, body) in core::mem::take(&mut self.wire) {
            self.body = self.execute(&body);
            self.engine.reply(batch, 200, self.body.as_bytes(), self.now);
            self.drain(request);
        }
    }

    /// The same, until nothing more is sent.
    pub(super) fn answer_all(&mut self) {
        while !self.wire.is_empty() {
            self.answer();
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
            self.body = String::from(body);
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

    /// The instance fails, and another one takes its place.
    pub(super) fn trap(&mut self) {
        let mut engine = Engine::new([3, 4]);
        self.cache = engine.cache(CacheConfig { observed: true, ..CacheConfig::default() }).expect("room");
        self.link = engine
            .open(Endpoint::new("https://redis.test", "token").map_err(|e| e.to_string()))
            .expect("room");
        for (name, record) in &self.kept {
            assert!(engine.restore(self.link, name, record, self.now), "{name} {record}");
        }
        self.engine = engine;
        self.wire.clear();
        self.running.clear();
        self.waits.clear();
        self.owners.clear();
        self.served.clear();
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
        if self.turn {
            return;
        }
        let mut flushes = Vec::new();
        while let Some(effect) = self.engine.poll(request) {
            match effect {
                Effect::Flush(batch) => flushes.push(batch),
                Effect::Abort(batch) => {
                    self.wire.retain(|(sent, ..)| *sent != batch);
                    self.aborted.push(batch);
                }
                Effect::Persist(connection, name, record) => {
                    assert_eq!(connection, self.link);
                    match record {
                        Some(record) => self.kept.insert(name, record),
                        None => self.kept.remove(&name),
                    };
                }
                Effect::Anchor(_) | Effect::Abandon(_) | Effect::Share(..) => {}
                Effect::Background(op) => self.background.push(op),
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
                Effect::Run(op, stale) => {
                    self.running.push(op);
                    self.shown.extend(stale.map(|age| (op, age)));
                }
                Effect::Cancel(op, gone) => self.cancelled.push((op, gone)),
                Effect::TimeOut(op, _) => self.timed_out.push(op),
                Effect::Decode(op, source) | Effect::Stash(op, source) => match self.decoding {
                    Decoding::AtOnce => {
                        self.engine.decoded(op, true, self.now);
                    }
                    Decoding::Later => self.undecoded.push((op, source)),
                },
                Effect::Compress(op) => self.compressing.push(op),
                Effect::UseCompressed(op) => self.replaced.push(op),
                Effect::Tagged(op) => self.tagged.push(op),
                Effect::Encode(op) if self.encodable => {
                    self.engine.encoded(op, VALUE, self.now);
                }
                Effect::Encode(op) => {
                    self.engine.unencodable(op, "$.at", "a Date", self.now);
                }
                Effect::Keep(op, offer) => {
                    let kept = self.engine.keep(*offer, 100);
                    self.offered.push((op, kept));
                }
                Effect::Serve(op, served) => {
                    assert!(self.served.insert(op, served).is_none(), "{op:?} is served once");
                }
                Effect::ServeStash(op, served) => {
                    assert!(self.served.insert(op, served).is_none(), "{op:?} is served once");
                    self.stashed.push(op);
                }
                Effect::Throw(op) => self.thrown.push(op),
                Effect::Replied { op, place, .. } => {
                    let reply = self.body.get(place).expect("lies in the body");
                    self.replied.insert(op, String::from(reply));
                }
                Effect::RawFailed { op, error } => {
                    self.raw_failed.insert(op, error);
                }
                Effect::Mutated { op, state, marked, .. } => {
                    self.mutated.insert(op, (state, marked));
                }
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
                    BodyPart::Command(op) => self.raw[&op].clone(),
                })
                .collect();
            self.requests += 1;
            self.wire.push((batch, request, body));
        }
    }

    pub(super) fn execute(&mut self, body: &str) -> String {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "set by tests")]
        self.redis.set_time(self.now as u64 * 1000);
        let before = self.redis.commands();
        let reply = self.redis.pipeline(body);
        self.commands += self.redis.commands() - before;
        reply
    }
}
