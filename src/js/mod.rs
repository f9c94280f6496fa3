//! What the JS driver calls: the core's dialogue in numbers and texts, with no logic of its own.
//!
//! This file holds the instance, its caches and connections, and the checks of options; `calls` what begins operations and tells
//! what happened to them; `l1` what is held without one; `effects` what they have to do; `panic` what is told of a failure.

#![allow(clippy::missing_errors_doc, clippy::must_use_candidate, reason = "documented where JS calls them")]

mod calls;
mod effects;
mod l1;
mod panic;
#[cfg(feature = "trap")]
mod trap;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;

use self::calls::texts;
use crate::core::{
    CREDENTIALS, CacheId, CallKind, ConnectionId, Effect, Endpoint, Engine, Key, Millis, OptionValue,
    Options, Ratio, Targets, call_option, refusal,
};

/// Which call an option is given to.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Call {
    Read = 0,
    Many,
    Set,
    Mutate,
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
        panic::install();
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        Core {
            engine: Engine::new([wide(a, b), wide(c, d)]),
            options: Options::default(),
            effect: None,
            values: Vec::new(),
        }
    }

    /// What this instance has panicked with, and where; also when it can be asked for nothing else any more.
    pub fn panicked() -> Option<String> {
        panic::last()
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

    /// What is missing among the options given since the last cache, if anything is.
    #[wasm_bindgen(js_name = checkOptions)]
    pub fn check_options(&mut self) -> Result<(), String> {
        self.options.complete().map_err(|error| error.to_string())
    }

    /// The cache that the options given since the last call amount to.
    pub fn cache(&mut self, observed: bool) -> Option<u32> {
        let mut options = core::mem::take(&mut self.options);
        options.observe(observed);
        self.engine.cache(options.finish()).map(|id| id.0)
    }

    /// One option of a call that is a duration, in milliseconds, or a number; or what is wrong with it.
    #[wasm_bindgen(js_name = callOptionNumber)]
    pub fn call_option_number(call: Call, name: &str, value: f64, text: &str) -> Result<f64, String> {
        option_of_call(call, name, OptionValue::Number(value, text))
    }

    #[wasm_bindgen(js_name = callOptionText)]
    pub fn call_option_text(call: Call, name: &str, value: &str) -> Result<f64, String> {
        option_of_call(call, name, OptionValue::Text(value))
    }

    #[wasm_bindgen(js_name = callOptionOther)]
    pub fn call_option_other(call: Call, name: &str, kind: &str) -> Result<f64, String> {
        option_of_call(call, name, OptionValue::Other(kind))
    }

    /// The path of the namespace `name` in the one whose path is `space`.
    pub fn nest(space: &str, name: &str) -> String {
        Key::nest(space, name)
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

    /// Gives a connection what an earlier instance had kept for it; `false`: it is not of its making.
    pub fn restore(&mut self, connection: u32, name: &str, record: &str, now: f64) -> bool {
        self.engine.restore(ConnectionId(connection), name, record, now)
    }

    /// Under which names the fences of a write will be kept.
    pub fn names(
        &self,
        cache: u32,
        space: &str,
        keys: Vec<String>,
        tags: Vec<String>,
        all: bool,
    ) -> Vec<String> {
        let targets = Targets { keys: &texts(&keys), tags: &texts(&tags), all };
        self.engine.names(CacheId(cache), space, targets)
    }

    /// The record of an invalidation, or with `soft` of an expiry, that is still to be sent.
    pub fn owed(soft: bool) -> String {
        Engine::owed(soft)
    }

    /// Why a command that begins with these words cannot be sent; nothing if it can.
    #[wasm_bindgen(js_name = refusal)]
    pub fn refusal(words: Vec<String>) -> Option<String> {
        refusal(&texts(&words))
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
}

impl Core {
    fn option(&mut self, name: &str, value: OptionValue<'_>) -> Result<(), String> {
        self.options.take(name, value).map_err(|error| error.to_string())
    }
}

fn option_of_call(call: Call, name: &str, value: OptionValue<'_>) -> Result<f64, String> {
    let call = match call {
        Call::Read => CallKind::Read,
        Call::Many => CallKind::Many,
        Call::Set => CallKind::Set,
        Call::Mutate => CallKind::Mutate,
    };
    call_option(call, name, value).map_err(|error| error.to_string())
}

/// NaN: not given.
fn span(ms: f64) -> Option<Millis> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked where it came in")]
    (!ms.is_nan()).then_some(Millis::new(ms as u64))
}

/// NaN: not given.
fn ratio(number: f64) -> Option<Ratio> {
    Ratio::from_number(number)
}

fn to_js<T: serde::Serialize>(value: &T) -> JsValue {
    // Missing values are null, as in the published types; nothing in these structures can fail to convert.
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true);
    value.serialize(&serializer).unwrap_or(JsValue::NULL)
}
