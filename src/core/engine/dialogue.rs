//! The words of the dialogue: numbers, calls, and effects.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::core::entry::ValueKind;
use crate::core::event::{Bypass, Event, InvalidationState, Outcome};
use crate::core::redis::reply::Encoding;
use crate::core::time::Millis;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);
    };
}
id!(
    /// An operation.
    OpId
);
id!(
    /// A request context of the host, as the driver numbers them.
    RequestId
);
id!(
    /// A cache: one set of settings.
    CacheId
);
id!(
    /// An endpoint with its credentials.
    ConnectionId
);
id!(
    /// One HTTP request to Redis.
    BatchId
);
id!(
    /// A promise that one request makes and anchors, and others may wait for.
    SharedId
);

impl CacheId {
    pub(crate) const MIN: Self = Self(0);
    pub(crate) const MAX: Self = Self(u32::MAX);
}

/// A read that begins.
#[derive(Clone, Copy, Debug)]
pub struct ReadCall<'a> {
    /// Whose it is.
    pub request: RequestId,
    /// Which settings apply.
    pub cache: CacheId,
    /// Which Redis.
    pub connection: ConnectionId,
    /// At most 32,000 bytes; the driver has checked it.
    pub key: &'a str,
    /// Time to live of what is stored; `None`: the cache's.
    pub ttl: Option<Millis>,
    /// Whether there is a callback.
    pub load: bool,
    /// Whether the host keeps promises of this request alive (`waitUntil`); without, nothing is shared.
    pub anchored: bool,
}

/// A write that begins.
#[derive(Clone, Copy, Debug)]
pub struct WriteCall<'a> {
    /// Whose it is.
    pub request: RequestId,
    /// Which settings apply.
    pub cache: CacheId,
    /// Which Redis.
    pub connection: ConnectionId,
    /// As in `ReadCall`.
    pub anchored: bool,
    /// The keys to invalidate; for a `set`, exactly one.
    pub keys: &'a [&'a str],
    /// What to store then.
    pub set: Option<(Encoded, Option<Millis>)>,
}

/// A value in the form that is stored. The driver holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// What it is.
    pub kind: ValueKind,
    /// Bytes of the text.
    pub size: usize,
}

/// How a callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackEnd {
    /// With a value.
    Ok {
        /// What the callback set in place of the option.
        ttl: Option<Millis>,
        /// It asked not to store the value.
        skip: bool,
    },
    /// With an error, which the driver passes on.
    Err,
}

/// Where the text of a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the body of a reply: the place of a JSON text literal.
    Reply { batch: BatchId, place: Range<usize>, encoding: Encoding, kind: ValueKind },
    /// With the promise of a flight.
    Shared(SharedId),
}

/// A part of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPart {
    /// As it is.
    Text(String),
    /// The encoded value that the driver holds for an operation, as a JSON text.
    Value(OpId),
}

/// What a driver is to do, in the request that is polled.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Have `seal` called for the batch at the end of this turn, and send what it gives.
    Flush(BatchId),
    /// Cancel the HTTP request.
    Abort(BatchId),
    /// Make a promise and anchor it, for others to wait for.
    Anchor(SharedId),
    /// Settle the promise of that number, which this request made. What it holds is kept until its waiters are done.
    Settle(SharedId),
    /// Keep the request alive for the promise no longer, and leave it unsettled: the time of those who wait for it is up, too.
    /// Their requests may have ended by now, and runtimes warn of each that is woken then.
    Abandon(SharedId),
    /// Let the value that the operation holds be found under this promise.
    Share(OpId, SharedId),
    /// Call `woken` when the promise settles.
    Await(OpId, SharedId),
    /// Run the callback, then call `callback`.
    Run(OpId),
    /// The caller has gone and nobody else waits: abort the callback's signal.
    Cancel(OpId),
    /// Decode the value at the source, then call `decoded`.
    Decode(OpId, Source),
    /// Encode the callback's value, then call `encoded`.
    Encode(OpId),
    /// Answer the caller with the value that the driver holds for the operation.
    Serve(OpId, Served),
    /// Answer the caller with the callback's error.
    Throw(OpId),
    /// Answer the caller of a write: applied, and whether the value of a `set` was stored.
    Applied { op: OpId, stored: bool },
    /// Answer the caller of a write: not applied for these keys.
    NotApplied { op: OpId, state: InvalidationState, disabled: bool, keys: Vec<String> },
    /// The operation goes on behind the answer, or never had a caller: keep the request alive until `Finished`.
    Background(OpId),
    /// The operation is over; nothing more comes for it.
    Finished(OpId),
    /// Tell the user.
    Report(CacheId, Event),
}

/// How a read is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// How it went.
    pub outcome: Outcome,
    /// Why past Redis.
    pub reason: Option<Bypass>,
    /// From the callback of another request.
    pub shared: bool,
    /// Age of the value.
    pub age: Millis,
    /// Whether an entry stands behind it, as far as is known now.
    pub stored: Option<bool>,
}
