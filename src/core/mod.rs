//! The sans-IO core: it decides, a driver performs.
//!
//! Nothing in here does I/O, reads a clock, draws a random number, logs, or waits. Time and randomness come in as
//! arguments, effects go out of [`Engine::poll`]. The same calls in the same order give the same effects, on the host and in
//! wasm, so that a simulation can drive it.
//!
//! Invariants that span modules:
//!
//! 1. The effects of a call belong to that call's request. No call advances an operation of another request; those find
//!    out when their own timer or the anchored promise they wait for wakes them.
//! 2. A batch holds commands of one request.
//! 3. Only a generation from a reply that arrived before the callback started lets its value be stored.
//! 4. A fence is raised and journaled before the first command of its invalidation leaves, and falls only with a positive
//!    reply to a drop sent after it was raised.
//! 5. Every table is bounded where it is declared.

mod backoff;
mod basis;
mod config;
mod connection;
mod duration;
mod endpoint;
mod engine;
mod entry;
mod error;
mod event;
mod fallen;
mod fence;
mod flight;
mod journal;
mod key;
mod l1;
mod options;
mod raised;
mod random;
mod ratio;
mod recent;
pub mod redis;
mod retries;
mod seen;
mod stats;
mod tagged;
mod time;
mod window;
mod xfetch;

pub use config::{CacheConfig, L1Config, L1Values, MAX_TTL, MAX_VALUE};
pub use connection::{Snapshot, StateName};
pub use endpoint::{CREDENTIALS, Endpoint, EndpointError};
#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub use engine::fuzz;
pub use engine::{
    Adapted, BatchId, BodyPart, CacheId, CallbackEnd, ConnectionId, Effect, Encoded, Engine, Freshness, Gone,
    Life, Limits, Named, OpId, Origin, RawCall, RawError, RawOutcome, ReadCall, RequestId, Served, SharedId,
    Source, Targets, Waits, WriteCall, WriteKind, refusal,
};
pub use entry::{Header, Stamp, ValueKind};
pub use error::{ErrorKind, Failure};
pub use event::{
    Bound, Bypass, Compression, Event, EventKind, InvalidationState, LeaseOutcome, Outcome, Rejection,
};
pub use key::{Key, KeyKind, short_hash};
pub use l1::{Held, Kept, Offer, Ticket};
pub use options::{CallKind, MUTATE_TIMEOUT, OptionError, OptionValue, Options, call_option};
pub use ratio::Ratio;
pub use stats::Stats;
pub use time::{Clock, Millis, Timestamp};
