//! What begins operations, and what tells the core how they go on.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use super::{Core, ratio, span};
use crate::core::{
    Adapted, BatchId, BodyPart, CacheId, CallbackEnd, ConnectionId, Encoded, ErrorKind, Freshness,
    MUTATE_TIMEOUT, OpId, RawCall, ReadCall, Rejection, RequestId, Targets, ValueKind, Waits, WriteCall,
    WriteKind,
};

#[wasm_bindgen]
impl Core {
    /// The operation's number; 0: there is no room. Durations and numbers are NaN for the cache's own. `freshness`: 0 as usual, 1 strict,
    /// 2 forced. `many`: the callback is for many keys.
    #[wasm_bindgen(js_name = beginRead)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_read(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        space: &str,
        key: &str,
        tags: Option<Vec<String>>,
        ttl: f64,
        swr: f64,
        stale_if_error: f64,
        lease_wait: f64,
        read: f64,
        soft: f64,
        hard: f64,
        early_refresh: f64,
        jitter: f64,
        negative_ttl: f64,
        freshness: u32,
        load: bool,
        l1: bool,
        many: bool,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let tags = tags.unwrap_or_default();
        let call = ReadCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            space,
            key,
            tags: &texts(&tags),
            ttl: span(ttl),
            swr: span(swr),
            stale_if_error: span(stale_if_error),
            lease_wait: span(lease_wait),
            waits: Waits { read: span(read), soft: span(soft), hard: span(hard) },
            early_refresh: ratio(early_refresh),
            jitter: ratio(jitter),
            negative_ttl: span(negative_ttl),
            freshness: freshness_of(freshness),
            load,
            l1,
            many,
            anchored,
        };
        self.engine.begin_read(call, now).map_or(0, |op| op.0)
    }

    /// Begins an invalidation, or with `soft` an expiry; gives what `beginRead` gives.
    #[wasm_bindgen(js_name = beginInvalidate)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_invalidate(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        space: &str,
        keys: Vec<String>,
        tags: Vec<String>,
        all: bool,
        soft: bool,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let call = WriteCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            anchored,
            space,
            targets: Targets { keys: &texts(&keys), tags: &texts(&tags), all },
            kind: if soft { WriteKind::Expire } else { WriteKind::Invalidate },
        };
        self.engine.begin_write(call, now).map_or(0, |op| op.0)
    }

    /// As `beginInvalidate`; `timeout` is NaN for the default.
    #[wasm_bindgen(js_name = beginMutate)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_mutate(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        space: &str,
        keys: Vec<String>,
        tags: Vec<String>,
        all: bool,
        timeout: f64,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let call = WriteCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            anchored,
            space,
            targets: Targets { keys: &texts(&keys), tags: &texts(&tags), all },
            kind: WriteKind::Mutate { deadline: span(timeout).unwrap_or(MUTATE_TIMEOUT) },
        };
        self.engine.begin_write(call, now).map_or(0, |op| op.0)
    }

    /// As `beginRead`. `kind` is the letter of the value that is to be stored, `size` the bytes of its text.
    #[wasm_bindgen(js_name = beginSet)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn begin_set(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        space: &str,
        key: &str,
        kind: &str,
        size: u32,
        tags: Option<Vec<String>>,
        ttl: f64,
        swr: f64,
        stale_if_error: f64,
        jitter: f64,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let Some(encoded) = encoded(kind, size) else { return 0 };
        let tags = tags.unwrap_or_default();
        let (ttl, swr, stale_if_error) = (span(ttl), span(swr), span(stale_if_error));
        let call = WriteCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            anchored,
            space,
            targets: Targets { keys: &[key], ..Targets::default() },
            kind: WriteKind::Set {
                encoded,
                tags: &texts(&tags),
                ttl,
                swr,
                stale_if_error,
                jitter: ratio(jitter),
            },
        };
        self.engine.begin_write(call, now).map_or(0, |op| op.0)
    }

    /// Begins a raw command of so many bytes; gives what `beginRead` gives.
    #[wasm_bindgen(js_name = beginRaw)]
    pub fn begin_raw(
        &mut self,
        request: u32,
        cache: u32,
        connection: u32,
        size: u32,
        anchored: bool,
        now: f64,
    ) -> u32 {
        let call = RawCall {
            request: RequestId(request),
            cache: CacheId(cache),
            connection: ConnectionId(connection),
            anchored,
            size: usize::try_from(size).unwrap_or(usize::MAX),
        };
        self.engine.begin_raw(call, now).map_or(0, |op| op.0)
    }

    /// The batch's body. Where it has a NUL, the value or the command of an operation belongs, in the order of `values`: JSON
    /// texts hold none.
    pub fn seal(&mut self, batch: u32) -> Option<String> {
        self.values.clear();
        let parts = self.engine.seal(BatchId(batch))?;
        let mut body = String::new();
        for part in parts {
            match part {
                BodyPart::Text(text) if body.is_empty() => body = text,
                BodyPart::Text(text) => body.push_str(&text),
                BodyPart::Value(op) | BodyPart::Command(op) => {
                    body.push('\0');
                    self.values.push(op.0);
                }
            }
        }
        Some(body)
    }

    /// The operations whose values or commands belong into the body that `seal` gave.
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

    /// The callback has a value, or says that there is `none`; durations are those that it set, else NaN; `tags` are those that it
    /// declared besides the call's.
    #[wasm_bindgen(js_name = callbackOk)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost more than the call")]
    pub fn callback_ok(
        &mut self,
        op: u32,
        ttl: f64,
        swr: f64,
        stale_if_error: f64,
        skip: bool,
        none: bool,
        not_modified: bool,
        tags: Option<Vec<String>>,
        now: f64,
    ) -> bool {
        let tags = tags.unwrap_or_default();
        let life = Adapted { ttl: span(ttl), swr: span(swr), stale_if_error: span(stale_if_error) };
        self.engine.callback(OpId(op), CallbackEnd::Ok { life, skip, none, not_modified, tags }, now)
    }

    /// The callback of a mutate has a value.
    #[wasm_bindgen(js_name = mutateOk)]
    pub fn mutate_ok(&mut self, op: u32, now: f64) -> bool {
        let (life, skip, none, not_modified) = (Adapted::default(), false, false, false);
        let end = CallbackEnd::Ok { life, skip, none, not_modified, tags: Vec::new() };
        self.engine.callback(OpId(op), end, now)
    }

    /// The callback has no value for this key.
    #[wasm_bindgen(js_name = callbackNothing)]
    pub fn callback_nothing(&mut self, op: u32, now: f64) -> bool {
        self.engine.callback(OpId(op), CallbackEnd::Nothing, now)
    }

    /// The callback waits for the versions of these tags.
    pub fn tags(&mut self, op: u32, tags: Vec<String>, now: f64) -> bool {
        self.engine.tags(OpId(op), &tags, now)
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

    /// A stored value will not do for the caller; `failed`: its schema has failed over it.
    pub fn rejected(&mut self, op: u32, path: Option<String>, failed: bool, now: f64) -> bool {
        let reason = if failed { Rejection::SchemaFailed } else { Rejection::Schema };
        self.engine.rejected(OpId(op), path, reason, now)
    }

    /// `size`: bytes of the compressed text; none: it cannot be compressed.
    pub fn compressed(&mut self, op: u32, size: Option<u32>, now: f64) -> bool {
        let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        self.engine.compressed(OpId(op), size, now)
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
}

pub(super) const fn freshness_of(number: u32) -> Freshness {
    match number {
        0 => Freshness::Normal,
        1 => Freshness::Strict,
        _ => Freshness::Forced,
    }
}

pub(super) fn texts(given: &[String]) -> Vec<&str> {
    given.iter().map(String::as_str).collect()
}

fn encoded(kind: &str, size: u32) -> Option<Encoded> {
    let kind = ValueKind::from_letter(kind.chars().next()?)?;
    Some(Encoded { kind, size: usize::try_from(size).unwrap_or(usize::MAX) })
}
