//! What the JS driver calls: the core's dialogue in numbers and texts, with no logic of its own.
//!
//! `poll` gives an effect's code (see `Code`); what belongs to the effect is asked for afterwards, which costs nanoseconds,
//! where an object for each effect would cost microseconds.

#![allow(clippy::missing_errors_doc, clippy::must_use_candidate, reason = "documented where JS calls them")]

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use crate::core::redis::reply::Encoding;
use crate::core::{
    BatchId, BodyPart, CREDENTIALS, CacheId, CallbackEnd, ConnectionId, Effect, Encoded, Endpoint, Engine,
    ErrorKind, InvalidationState, Millis, OpId, OptionValue, Options, Outcome, ReadCall, RequestId, Served,
    Source, ValueKind, WriteCall, read_option,
};

/// What `poll` gives.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Code {
    Nothing = 0,
    Flush,
    Abort,
    Anchor,
    Settle,
    Abandon,
    Share,
    Await,
    Run,
    Cancel,
    DecodeReply,
    DecodeShared,
    Encode,
    Serve,
    Throw,
    Applied,
    NotApplied,
    Background,
    Finished,
    Report,
}

/// The core, and what belongs to the effect that was polled last.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    engine: Engine,
    options: Options,
    effect: Option<Effect>,
    values: Vec<u32>,
}

#[wasm_bindgen]
impl Core {
    /// An instance; the numbers must be random.
    #[wasm_bindgen(constructor)]
    pub fn new(a: u32, b: u32, c: u32, d: u32) -> Core {
        console_error_panic_hook::set_once();
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        Core {
            engine: Engine::new([wide(a, b), wide(c, d)]),
            options: Options::default(),
            effect: None,
            values: Vec::new(),
        }
    }

    /// The names of the variables that hold URL and token, in pairs, in the order in which they count.
    pub fn credentials() -> Vec<String> {
        CREDENTIALS.iter().flat_map(|(url, token)| [(*url).to_string(), (*token).to_string()]).collect()
    }

    #[wasm_bindgen(js_name = optionNumber)]
    pub fn option_number(&mut self, name: &str, value: f64, text: &str) -> Result<(), String> {
        self.option(name, OptionValue::Number(value, text))
    }

    #[wasm_bindgen(js_name = optionText)]
    pub fn option_text(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.option(name, OptionValue::Text(value))
    }

    #[wasm_bindgen(js_name = optionBool)]
    pub fn option_bool(&mut self, name: &str, value: bool) -> Result<(), String> {
        self.option(name, OptionValue::Bool(value))
    }

    #[wasm_bindgen(js_name = optionOther)]
    pub fn option_other(&mut self, name: &str, kind: &str) -> Result<(), String> {
        self.option(name, OptionValue::Other(kind))
    }

    /// The cache that the options given since the last call amount to.
    pub fn cache(&mut self, observed: bool) -> Option<u32> {
        let mut options = core::mem::take(&mut self.options);
        options.observe(observed);
        self.engine.cache(options.finish()).map(|id| id.0)
    }

    #[wasm_bindgen(js_name = readOptionNumber)]
    pub fn read_option_number(name: &str, value: f64, text: &str) -> Result<f64, String> {
        option_of_read(name, OptionValue::Number(value, text))
    }

    #[wasm_bindgen(js_name = readOptionText)]
    pub fn read_option_text(name: &str, value: &str) -> Result<f64, String> {
        option_of_read(name, OptionValue::Text(value))
    }

    #[wasm_bindgen(js_name = readOptionOther)]
    pub fn read_option_other(name: &str, kind: &str) -> Result<f64, String> {
        option_of_read(name, OptionValue::Other(kind))
    }

    /// A connection; one that is disabled, with a warning that says why, if URL or token are not usable.
    pub fn open(&mut self, url: &str, token: &str) -> Option<u32> {
        let endpoint = Endpoint::new(url, token).map_err(|error| error.to_string());
        self.engine.open(endpoint).map(|id| id.0)
    }

    /// A connection that is disabled, for the given reason.
    #[wasm_bindgen(js_name = openDisabled)]
    pub fn open_disabled(&mut self, reason: &str) -> Option<u32> {
        self.engine.open(Err(reason.to_string())).map(|id| id.0)
    }

    pub fn url(&self, connection: u32) -> Option<String> {
        self.engine.url(ConnectionId(connection))
    }

    pub fn snapshot(&self, connection: u32) -> JsValue {
        to_js(&self.engine.snapshot(ConnectionId(connection)))
    }

    pub fn stats(&self, connection: u32) -> JsValue {
        to_js(&self.engine.stats(ConnectionId(connection)))
    }

    /// Operations, requests, batches and flights under way.
    #[wasm_bindgen(js_name = underWay)]
    pub fn under_way(&self) -> Vec<u32> {
        self.engine.under_way().iter().map(|n| u32::try_from(*n).unwrap_or(u32::MAX)).collect()
    }

    /// The operation's number; 0: there is no room. `ttl` is NaN for the cache's own.
    #[wasm_bindgen(js_name = beginRead)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_read(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        key: &str,
        ttl: f64,
        load: bool,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let call = ReadCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            key,
            ttl: span(ttl),
            load,
            anchored,
        };
        self.engine.begin_read(call, now).map_or(0, |op| op.0)
    }

    /// As `beginRead`. `kind` is the letter of the value that is to be stored, "" for none.
    #[wasm_bindgen(js_name = beginWrite)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_write(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        keys: Vec<String>,
        kind: &str,
        size: u32,
        ttl: f64,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let call = WriteCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            anchored,
            keys: &keys,
            set: encoded(kind, size).map(|encoded| (encoded, span(ttl))),
        };
        self.engine.begin_write(call, now).map_or(0, |op| op.0)
    }

    /// The batch's body. Where it has a NUL, the value of an operation belongs, in the order of `values`: JSON texts hold none.
    pub fn seal(&mut self, batch: u32) -> Option<String> {
        self.values.clear();
        let parts = self.engine.seal(BatchId(batch))?;
        let mut body = String::new();
        for part in parts {
            match part {
                BodyPart::Text(text) if body.is_empty() => body = text,
                BodyPart::Text(text) => body.push_str(&text),
                BodyPart::Value(op) => {
                    body.push('\0');
                    self.values.push(op.0);
                }
            }
        }
        Some(body)
    }

    /// The operations whose values belong into the body that `seal` gave.
    pub fn values(&self) -> Vec<u32> {
        self.values.clone()
    }

    pub fn reply(&mut self, batch: u32, status: u16, body: &[u8], now: f64) -> bool {
        self.engine.reply(BatchId(batch), status, body, now)
    }

    /// `kind`: "timeout", "too-large" or anything else for a broken connection.
    #[wasm_bindgen(js_name = sendFailed)]
    pub fn send_failed(&mut self, batch: u32, kind: &str, now: f64) -> bool {
        let kind = match kind {
            "timeout" => ErrorKind::Timeout,
            "too-large" => ErrorKind::TooLarge,
            _ => ErrorKind::Transport,
        };
        self.engine.send_failed(BatchId(batch), kind, now)
    }

    #[wasm_bindgen(js_name = callbackOk)]
    pub fn callback_ok(&mut self, op: u32, ttl: f64, skip: bool, now: f64) -> bool {
        self.engine.callback(OpId(op), CallbackEnd::Ok { ttl: span(ttl), skip }, now)
    }

    #[wasm_bindgen(js_name = callbackErr)]
    pub fn callback_err(&mut self, op: u32, now: f64) -> bool {
        self.engine.callback(OpId(op), CallbackEnd::Err, now)
    }

    pub fn encoded(&mut self, op: u32, kind: &str, size: u32, now: f64) -> bool {
        match encoded(kind, size) {
            Some(encoded) => self.engine.encoded(OpId(op), encoded, now),
            None => self.engine.unencodable(OpId(op), "$", "its kind is not known", now),
        }
    }

    pub fn unencodable(&mut self, op: u32, path: &str, reason: &str, now: f64) -> bool {
        self.engine.unencodable(OpId(op), path, reason, now)
    }

    pub fn decoded(&mut self, op: u32, ok: bool, now: f64) -> bool {
        self.engine.decoded(OpId(op), ok, now)
    }

    pub fn aborted(&mut self, op: u32) -> bool {
        self.engine.aborted(OpId(op))
    }

    pub fn woken(&mut self, op: u32, now: f64) -> bool {
        self.engine.woken(OpId(op), now)
    }

    pub fn lost(&mut self, op: u32, now: f64) -> bool {
        self.engine.lost(OpId(op), now)
    }

    pub fn timer(&mut self, request: u32, now: f64) {
        self.engine.timer(RequestId(request), now);
    }

    /// Milliseconds for which the request's timer is to be set; -1 for none.
    #[allow(clippy::cast_precision_loss, reason = "waits are short")]
    pub fn wait(&mut self, request: u32, now: f64) -> f64 {
        self.engine.wait(RequestId(request), now).map_or(-1.0, |wait| wait.get() as f64)
    }

    /// The next effect's code; what belongs to it is asked for below, until the next call.
    pub fn poll(&mut self, request: u32) -> Code {
        self.effect = self.engine.poll(RequestId(request));
        match &self.effect {
            None => Code::Nothing,
            Some(Effect::Flush(_)) => Code::Flush,
            Some(Effect::Abort(_)) => Code::Abort,
            Some(Effect::Anchor(_)) => Code::Anchor,
            Some(Effect::Settle(_)) => Code::Settle,
            Some(Effect::Abandon(_)) => Code::Abandon,
            Some(Effect::Share(..)) => Code::Share,
            Some(Effect::Await(..)) => Code::Await,
            Some(Effect::Run(_)) => Code::Run,
            Some(Effect::Cancel(_)) => Code::Cancel,
            Some(Effect::Decode(_, Source::Reply { .. })) => Code::DecodeReply,
            Some(Effect::Decode(_, Source::Shared(_))) => Code::DecodeShared,
            Some(Effect::Encode(_)) => Code::Encode,
            Some(Effect::Serve(..)) => Code::Serve,
            Some(Effect::Throw(_)) => Code::Throw,
            Some(Effect::Applied { .. }) => Code::Applied,
            Some(Effect::NotApplied { .. }) => Code::NotApplied,
            Some(Effect::Background(_)) => Code::Background,
            Some(Effect::Finished(_)) => Code::Finished,
            Some(Effect::Report(..)) => Code::Report,
        }
    }

    /// The operation that the effect is about.
    pub fn op(&self) -> u32 {
        match &self.effect {
            Some(
                Effect::Share(op, _)
                | Effect::Await(op, _)
                | Effect::Run(op)
                | Effect::Cancel(op)
                | Effect::Decode(op, _)
                | Effect::Encode(op)
                | Effect::Serve(op, _)
                | Effect::Throw(op)
                | Effect::Applied { op, .. }
                | Effect::NotApplied { op, .. }
                | Effect::Background(op)
                | Effect::Finished(op),
            ) => op.0,
            _ => 0,
        }
    }

    /// The batch or promise that the effect is about.
    pub fn target(&self) -> u32 {
        match &self.effect {
            Some(Effect::Flush(batch) | Effect::Abort(batch)) => batch.0,
            Some(
                Effect::Anchor(shared)
                | Effect::Settle(shared)
                | Effect::Abandon(shared)
                | Effect::Share(_, shared)
                | Effect::Await(_, shared)
                | Effect::Decode(_, Source::Shared(shared)),
            ) => shared.0,
            Some(Effect::Decode(_, Source::Reply { batch, .. })) => batch.0,
            _ => 0,
        }
    }

    /// Where in the reply's body the JSON text literal begins that holds the value.
    pub fn start(&self) -> u32 {
        self.place(|place| place.start)
    }

    /// Where it ends.
    pub fn end(&self) -> u32 {
        self.place(|place| place.end)
    }

    /// Whether the text in it is base64.
    pub fn base64(&self) -> bool {
        matches!(&self.effect, Some(Effect::Decode(_, Source::Reply { encoding: Encoding::Base64, .. })))
    }

    /// The letter of the value's kind.
    pub fn kind(&self) -> Option<char> {
        match &self.effect {
            Some(Effect::Decode(_, Source::Reply { kind, .. })) => Some(kind.letter()),
            _ => None,
        }
    }

    /// 0 hit, 1 miss, 2 bypass.
    pub fn outcome(&self) -> u32 {
        match self.served().map(|served| served.outcome) {
            Some(Outcome::Hit) => 0,
            Some(Outcome::Miss) => 1,
            _ => 2,
        }
    }

    /// Why past Redis.
    pub fn reason(&self) -> JsValue {
        to_js(&self.served().and_then(|served| served.reason))
    }

    /// The age of what is served, in milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "ages are short")]
    pub fn age(&self) -> f64 {
        self.served().map_or(0.0, |served| served.age.get() as f64)
    }

    /// Whether what is served comes from another request's callback.
    pub fn shared(&self) -> bool {
        self.served().is_some_and(|served| served.shared)
    }

    /// Whether it is stored, as far as is known.
    pub fn stored(&self) -> Option<bool> {
        match &self.effect {
            Some(Effect::Applied { stored, .. }) => Some(*stored),
            _ => self.served().and_then(|served| served.stored),
        }
    }

    /// The keys that are not applied.
    pub fn keys(&mut self) -> Vec<String> {
        match &mut self.effect {
            Some(Effect::NotApplied { keys, .. }) => core::mem::take(keys),
            _ => Vec::new(),
        }
    }

    /// Whether they will be sent again.
    pub fn pending(&self) -> bool {
        matches!(&self.effect, Some(Effect::NotApplied { state: InvalidationState::Pending, .. }))
    }

    /// Whether they are not applied for want of a configuration.
    pub fn disabled(&self) -> bool {
        matches!(&self.effect, Some(Effect::NotApplied { disabled: true, .. }))
    }

    /// The event, but for `at` and `request`.
    pub fn event(&self) -> JsValue {
        match &self.effect {
            Some(Effect::Report(_, event)) => to_js(&event.kind),
            _ => JsValue::UNDEFINED,
        }
    }

    /// When it happened, Unix ms.
    #[allow(clippy::cast_precision_loss, reason = "until the year 287396")]
    pub fn at(&self) -> f64 {
        match &self.effect {
            Some(Effect::Report(_, event)) => event.at as f64,
            _ => 0.0,
        }
    }
}

impl Core {
    fn option(&mut self, name: &str, value: OptionValue<'_>) -> Result<(), String> {
        self.options.take(name, value).map_err(|error| error.to_string())
    }

    fn place(&self, end: impl Fn(&core::ops::Range<usize>) -> usize) -> u32 {
        match &self.effect {
            Some(Effect::Decode(_, Source::Reply { place, .. })) => u32::try_from(end(place)).unwrap_or(0),
            _ => 0,
        }
    }

    fn served(&self) -> Option<&Served> {
        if let Some(Effect::Serve(_, served)) = &self.effect { Some(served) } else { None }
    }
}

fn option_of_read(name: &str, value: OptionValue<'_>) -> Result<f64, String> {
    #[allow(clippy::cast_precision_loss, reason = "at most 30 days")]
    read_option(name, value).map(|span| span.get() as f64).map_err(|error| error.to_string())
}

fn span(ms: f64) -> Option<Millis> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked where it came in")]
    (!ms.is_nan()).then_some(Millis::new(ms as u64))
}

fn encoded(kind: &str, size: u32) -> Option<Encoded> {
    let kind = ValueKind::from_letter(kind.chars().next()?)?;
    Some(Encoded { kind, size: usize::try_from(size).unwrap_or(usize::MAX) })
}

fn to_js<T: serde::Serialize>(value: &T) -> JsValue {
    // Missing values are null, as in the published types; nothing in these structures can fail to convert.
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true);
    value.serialize(&serializer).unwrap_or(JsValue::NULL)
}
