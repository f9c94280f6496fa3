//! What there is to do. `poll` gives an effect's code; what belongs to the effect is asked for afterwards, which costs
//! nanoseconds, where an object for each effect would cost microseconds.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use super::{Core, to_js};
use crate::core::redis::reply::Encoding;
use crate::core::{
    Effect, Gone, InvalidationState, Named, Origin, Outcome, RawError, RawOutcome, RequestId, Served, Source,
};

/// What `poll` gives.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Code {
    Nothing = 0,
    Persist,
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
    Compress,
    UseCompressed,
    Keep,
    Serve,
    StashReply,
    StashShared,
    ServeStash,
    Tagged,
    Throw,
    TimeOut,
    Applied,
    NotApplied,
    Mutated,
    Replied,
    RawFailed,
    Background,
    Finished,
    Report,
}

#[wasm_bindgen]
impl Core {
    /// The next effect's code; what belongs to it is asked for below, until the next call.
    pub fn poll(&mut self, request: u32) -> Code {
        self.effect = self.engine.poll(RequestId(request));
        match &self.effect {
            None => Code::Nothing,
            Some(Effect::Persist(..)) => Code::Persist,
            Some(Effect::Flush(_)) => Code::Flush,
            Some(Effect::Abort(_)) => Code::Abort,
            Some(Effect::Anchor(_)) => Code::Anchor,
            Some(Effect::Settle(_)) => Code::Settle,
            Some(Effect::Abandon(_)) => Code::Abandon,
            Some(Effect::Share(..)) => Code::Share,
            Some(Effect::Await(..)) => Code::Await,
            Some(Effect::Run(..)) => Code::Run,
            Some(Effect::Cancel(..)) => Code::Cancel,
            Some(Effect::Decode(_, Source::Reply { .. })) => Code::DecodeReply,
            Some(Effect::Decode(_, Source::Shared(..))) => Code::DecodeShared,
            Some(Effect::Encode(_)) => Code::Encode,
            Some(Effect::Compress(_)) => Code::Compress,
            Some(Effect::UseCompressed(_)) => Code::UseCompressed,
            Some(Effect::Keep(..)) => Code::Keep,
            Some(Effect::Serve(..)) => Code::Serve,
            Some(Effect::Stash(_, Source::Reply { .. })) => Code::StashReply,
            Some(Effect::Stash(_, Source::Shared(..))) => Code::StashShared,
            Some(Effect::ServeStash(..)) => Code::ServeStash,
            Some(Effect::Tagged(_)) => Code::Tagged,
            Some(Effect::Throw(_)) => Code::Throw,
            Some(Effect::TimeOut(..)) => Code::TimeOut,
            Some(Effect::Applied { .. }) => Code::Applied,
            Some(Effect::NotApplied { .. }) => Code::NotApplied,
            Some(Effect::Mutated { .. }) => Code::Mutated,
            Some(Effect::Replied { .. }) => Code::Replied,
            Some(Effect::RawFailed { .. }) => Code::RawFailed,
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
                | Effect::Run(op, _)
                | Effect::Cancel(op, _)
                | Effect::Decode(op, _)
                | Effect::Encode(op)
                | Effect::Compress(op)
                | Effect::UseCompressed(op)
                | Effect::Keep(op, _)
                | Effect::Serve(op, _)
                | Effect::Stash(op, _)
                | Effect::ServeStash(op, _)
                | Effect::Tagged(op)
                | Effect::Throw(op)
                | Effect::TimeOut(op, _)
                | Effect::Applied { op, .. }
                | Effect::NotApplied { op, .. }
                | Effect::Mutated { op, .. }
                | Effect::Replied { op, .. }
                | Effect::RawFailed { op, .. }
                | Effect::Background(op)
                | Effect::Finished(op),
            ) => op.0,
            _ => 0,
        }
    }

    /// The connection, batch or promise that the effect is about.
    pub fn target(&self) -> u32 {
        match &self.effect {
            Some(Effect::Persist(connection, ..)) => connection.0,
            Some(Effect::Flush(batch) | Effect::Abort(batch)) => batch.0,
            Some(
                Effect::Anchor(shared)
                | Effect::Settle(shared)
                | Effect::Abandon(shared)
                | Effect::Share(_, shared)
                | Effect::Await(_, shared)
                | Effect::Decode(_, Source::Shared(shared, _))
                | Effect::Stash(_, Source::Shared(shared, _)),
            ) => shared.0,
            Some(
                Effect::Decode(_, Source::Reply { batch, .. })
                | Effect::Stash(_, Source::Reply { batch, .. }),
            ) => batch.0,
            _ => 0,
        }
    }

    /// The name under which something is kept for the next instance.
    pub fn name(&mut self) -> String {
        match &mut self.effect {
            Some(Effect::Persist(_, name, _)) => core::mem::take(name),
            _ => String::new(),
        }
    }

    /// What is kept there; `None`: nothing any more.
    pub fn record(&mut self) -> Option<String> {
        match &mut self.effect {
            Some(Effect::Persist(_, _, record)) => record.take(),
            _ => None,
        }
    }

    /// Where in the reply's body the JSON text literal begins that holds the value, or a raw command's reply.
    pub fn start(&self) -> u32 {
        self.place(|place| place.start)
    }

    /// Where it ends.
    pub fn end(&self) -> u32 {
        self.place(|place| place.end)
    }

    /// Whether the text in it is base64.
    pub fn base64(&self) -> bool {
        matches!(self.source(), Some(Source::Reply { encoding: Encoding::Base64, .. }))
    }

    /// The letter of the value's kind.
    pub fn kind(&self) -> Option<char> {
        if let Some(Source::Reply { kind, .. }) = self.source() { Some(kind.letter()) } else { None }
    }

    /// A text of more bytes will not do.
    pub fn limit(&self) -> u32 {
        match self.source() {
            Some(Source::Reply { limit, .. }) => u32::try_from(*limit).unwrap_or(u32::MAX),
            _ => u32::MAX,
        }
    }

    /// Whether the value was stored, so that it is looked at whether it will do for the caller.
    #[wasm_bindgen(js_name = fromRedis)]
    #[allow(clippy::wrong_self_convention, reason = "it is no conversion")]
    pub fn from_redis(&self) -> bool {
        matches!(self.source(), Some(Source::Reply { .. } | Source::Shared(_, Origin::Redis)))
    }

    /// 0 hit, 1 stale, 2 revalidated, 3 miss, 4 bypass.
    pub fn outcome(&self) -> u32 {
        match self.served().map(|served| served.outcome) {
            Some(Outcome::Hit) => 0,
            Some(Outcome::Stale) => 1,
            Some(Outcome::Revalidated) => 2,
            Some(Outcome::Miss) => 3,
            _ => 4,
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

    /// The age of the stale value that the callback may look at, in milliseconds; none: there is none.
    #[wasm_bindgen(js_name = staleAge)]
    #[allow(clippy::cast_precision_loss, reason = "ages are short")]
    pub fn stale_age(&self) -> Option<f64> {
        if let Some(Effect::Run(_, age)) = &self.effect { age.map(|age| age.get() as f64) } else { None }
    }

    /// How long the callback was waited for; none: nobody lost patience.
    #[allow(clippy::cast_precision_loss, reason = "waits are short")]
    pub fn waited(&self) -> Option<f64> {
        match &self.effect {
            Some(Effect::TimeOut(_, hard) | Effect::Cancel(_, Gone::Late(hard))) => Some(hard.get() as f64),
            _ => None,
        }
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

    /// The keys that are not applied, by their places in the call.
    #[wasm_bindgen(js_name = missingKeys)]
    pub fn missing_keys(&mut self) -> Vec<u32> {
        let keys = self.missing().map(|what| core::mem::take(&mut what.keys)).unwrap_or_default();
        keys.into_iter().filter_map(|place| u32::try_from(place).ok()).collect()
    }

    /// The tags that are not applied.
    #[wasm_bindgen(js_name = missingTags)]
    pub fn missing_tags(&mut self) -> Vec<String> {
        self.missing().map(|what| core::mem::take(&mut what.tags)).unwrap_or_default()
    }

    /// Whether the namespace as a whole is not applied.
    #[wasm_bindgen(js_name = missingAll)]
    pub fn missing_all(&mut self) -> bool {
        self.missing().is_some_and(|what| what.all)
    }

    /// How the invalidation ended: 0 applied, 1 pending, 2 refused.
    pub fn state(&self) -> u32 {
        match &self.effect {
            Some(Effect::NotApplied { state, .. } | Effect::Mutated { state, .. }) => match state {
                InvalidationState::Applied => 0,
                InvalidationState::Pending => 1,
                InvalidationState::Refused => 2,
            },
            _ => 0,
        }
    }

    /// Whether it is refused for want of a configuration.
    pub fn disabled(&self) -> bool {
        matches!(
            &self.effect,
            Some(Effect::NotApplied { disabled: true, .. } | Effect::Mutated { disabled: true, .. })
        )
    }

    /// Whether all that a mutate covers was marked while its callback ran.
    pub fn marked(&self) -> bool {
        matches!(&self.effect, Some(Effect::Mutated { marked: true, .. }))
    }

    /// What is known of a raw command: 0 failed, 1 not executed, 2 unknown, 3 unconfigured.
    #[wasm_bindgen(js_name = rawOutcome)]
    pub fn raw_outcome(&self) -> u32 {
        match self.raw_error().map(|error| error.outcome) {
            Some(RawOutcome::Failed) => 0,
            Some(RawOutcome::NotExecuted) => 1,
            Some(RawOutcome::Unconfigured) => 3,
            _ => 2,
        }
    }

    /// The kind of its failure.
    #[wasm_bindgen(js_name = rawKind)]
    pub fn raw_kind(&self) -> String {
        String::from(self.raw_error().map_or("transport", |error| error.kind.name()))
    }

    /// Whether the same command may succeed later, and has not been executed.
    #[wasm_bindgen(js_name = rawRetryable)]
    pub fn raw_retryable(&self) -> bool {
        self.raw_error().is_some_and(|error| error.retryable)
    }

    /// The word that Redis' message begins with.
    #[wasm_bindgen(js_name = rawWord)]
    pub fn raw_word(&self) -> Option<String> {
        self.raw_error()?.word.clone()
    }

    /// Redis' message, where it may be told.
    #[wasm_bindgen(js_name = rawMessage)]
    pub fn raw_message(&self) -> Option<String> {
        self.raw_error()?.message.clone()
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
    fn raw_error(&self) -> Option<&RawError> {
        if let Some(Effect::RawFailed { error, .. }) = &self.effect { Some(error) } else { None }
    }

    fn source(&self) -> Option<&Source> {
        match &self.effect {
            Some(Effect::Decode(_, source) | Effect::Stash(_, source)) => Some(source),
            _ => None,
        }
    }

    fn place(&self, end: impl Fn(&core::ops::Range<usize>) -> usize) -> u32 {
        match self.source() {
            Some(Source::Reply { place, .. }) => u32::try_from(end(place)).unwrap_or(0),
            _ => match &self.effect {
                Some(Effect::Replied { place, .. }) => u32::try_from(end(place)).unwrap_or(0),
                _ => 0,
            },
        }
    }

    fn served(&self) -> Option<&Served> {
        match &self.effect {
            Some(Effect::Serve(_, served) | Effect::ServeStash(_, served)) => Some(served),
            _ => None,
        }
    }

    fn missing(&mut self) -> Option<&mut Named> {
        match &mut self.effect {
            Some(Effect::NotApplied { what, .. } | Effect::Mutated { what, .. }) => Some(what),
            _ => None,
        }
    }
}
