//! The words of the dialogue: numbers, calls, and effects.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::raw::RawError;
use crate::core::entry::ValueKind;
use crate::core::event::{Bypass, Event, InvalidationState, Outcome};
use crate::core::l1::Offer;
use crate::core::ratio::Ratio;
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

/// How fresh a read's value must be, besides valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Fresh, or stale within the bounds that entry and reader allow.
    #[default]
    Normal,
    /// Nothing stale, and nothing shared without a verdict.
    Strict,
    /// Nothing stored: the callback runs, or one of the same kind that starts later is shared.
    Forced,
}

/// How long what is stored lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// It is fresh so long.
    pub ttl: Millis,
    /// After that it may be served so long while it is refreshed.
    pub swr: Millis,
    /// After that it may be served so long in place of an error of the callback.
    pub stale_if_error: Millis,
}

/// How long a read waits, where it is not as long as its cache says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For Redis.
    pub read: Option<Millis>,
    /// For a callback, where a stale value may be served in its place.
    pub soft: Option<Millis>,
    /// For a callback at all.
    pub hard: Option<Millis>,
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
    /// The namespace's path, as `Key::nest` makes it; empty for none.
    pub space: &'a str,
    /// At most 1 MiB; the driver has checked it.
    pub key: &'a str,
    /// The tags that the entry must carry, and will.
    pub tags: &'a [&'a str],
    /// In place of the cache's own; `None` where not given.
    pub ttl: Option<Millis>,
    /// As `ttl`.
    pub swr: Option<Millis>,
    /// As `ttl`.
    pub stale_if_error: Option<Millis>,
    /// How long it waits for another isolate that computes the value; `None`: as the cache's.
    pub lease_wait: Option<Millis>,
    /// How long it waits for Redis and for callbacks.
    pub waits: Waits,
    /// How eagerly a fresh entry is refreshed before its time.
    pub early_refresh: Option<Ratio>,
    /// By how much of its time to live, at most, the entry's own is shorter.
    pub jitter: Option<Ratio>,
    /// Time to live where the callback says that there is no value; 0: that is not stored.
    pub negative_ttl: Option<Millis>,
    /// What will do.
    pub freshness: Freshness,
    /// Whether there is a callback.
    pub load: bool,
    /// Whether what it finds, or stores, may be held in L1, where the cache has one.
    pub l1: bool,
    /// The callback is for many keys at a time, and starts when the last of their reads has ended: it waits for nobody else.
    pub many: bool,
    /// Whether the host keeps promises of this request alive (`waitUntil`); without, nothing is shared.
    pub anchored: bool,
}

/// What an invalidation, an expiry or a mutate is about. At least one thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Targets<'a> {
    /// Keys.
    pub keys: &'a [&'a str],
    /// Tags.
    pub tags: &'a [&'a str],
    /// The whole namespace.
    pub all: bool,
}

/// What a write does.
#[derive(Clone, Copy, Debug)]
pub enum WriteKind<'a> {
    /// Ends what is stored.
    Invalidate,
    /// Makes it stale.
    Expire,
    /// Ends what is stored for the one key, and stores this.
    Set {
        /// The value; the driver holds its text.
        encoded: Encoded,
        /// What it is to carry.
        tags: &'a [&'a str],
        /// As in `ReadCall`.
        ttl: Option<Millis>,
        /// As in `ReadCall`.
        swr: Option<Millis>,
        /// As in `ReadCall`.
        stale_if_error: Option<Millis>,
        /// As in `ReadCall`.
        jitter: Option<Ratio>,
    },
    /// Runs a callback that changes the source, and ends what is stored before and after.
    Mutate {
        /// How long the callback may take: so long nothing of what it covers is served or stored, should it never end.
        deadline: Millis,
    },
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
    /// As in `ReadCall`.
    pub space: &'a str,
    /// What it is about.
    pub targets: Targets<'a>,
    /// What it does.
    pub kind: WriteKind<'a>,
}

/// What of a write is not acknowledged, as the user named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Keys, by their places in the call: a long one is not kept.
    pub keys: Vec<usize>,
    /// Tags.
    pub tags: Vec<String>,
    /// The whole namespace.
    pub all: bool,
}

/// A value in the form that is stored. The driver holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// What it is.
    pub kind: ValueKind,
    /// Bytes of the text.
    pub size: usize,
}

/// A life as a callback has it, where it is not as its call says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapted {
    /// As in `Life`.
    pub ttl: Option<Millis>,
    /// As in `Life`.
    pub swr: Option<Millis>,
    /// As in `Life`.
    pub stale_if_error: Option<Millis>,
}

impl Adapted {
    /// What a value lives for that would live for `life`.
    pub(super) fn of(self, life: Life) -> Life {
        Life {
            ttl: self.ttl.unwrap_or(life.ttl),
            swr: self.swr.unwrap_or(life.swr),
            stale_if_error: self.stale_if_error.unwrap_or(life.stale_if_error),
        }
    }
}

/// Why nobody waits for a callback any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its caller has left.
    Aborted,
    /// It took longer than its caller waits.
    Late(Millis),
}

/// How a callback ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackEnd {
    /// With a value.
    Ok {
        /// What the callback set in place of the options.
        life: Adapted,
        /// It asked not to store the value.
        skip: bool,
        /// The value is the stale one that it was shown, which is still good.
        not_modified: bool,
        /// The value is that there is none: `undefined` or `null`.
        none: bool,
        /// Tags that it declared besides those of the call.
        tags: Vec<String>,
    },
    /// Without a value: nothing is stored, and whoever waits for one runs its own.
    Nothing,
    /// With an error, which the driver passes on.
    Err,
}

/// Where the text of a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the body of a reply: the place of a JSON text literal. What has more bytes than `limit` will not do.
    Reply { batch: BatchId, place: Range<usize>, encoding: Encoding, kind: ValueKind, limit: usize },
    /// With the promise of a flight.
    Shared(SharedId, Origin),
}

/// Where the value of a flight comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was stored: each reader looks whether it will do for him.
    Redis,
    /// A callback has just made it, and it is taken like that of one's own.
    Callback,
}

/// A part of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPart {
    /// As it is.
    Text(String),
    /// The encoded value that the driver holds for an operation, as a JSON text.
    Value(OpId),
    /// The command that the driver holds for an operation, as a JSON list of texts.
    Command(OpId),
}

/// What a driver is to do, in the request that is polled.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Keep this under this name for the connection, in place of what was kept under it, or nothing any more: outside of the
    /// instance, so that `restore` can give it to the next one if this fails. Before anything that relies on it.
    Persist(ConnectionId, String, Option<String>),
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
    /// Run the callback, then call `callback`. It may look at the stale value that was decoded last, which is so old.
    Run(OpId, Option<Millis>),
    /// Nobody waits any more: abort the callback's signal.
    Cancel(OpId, Gone),
    /// Decode the value at the source, and look whether a stored one will do for the caller; then call `decoded` or `rejected`, in
    /// this turn or later. What comes after the operation's next `Run` or `Decode` is too late, and of no effect.
    Decode(OpId, Source),
    /// Encode the callback's value (if that is the stale one, it has been), then call `encoded`.
    Encode(OpId),
    /// Compress the text that the driver holds for the operation and keep it beside that, then call `compressed`.
    Compress(OpId),
    /// Store the compressed text in place of the plain one.
    UseCompressed(OpId),
    /// Hold the value that the operation has read or stored, as `Engine::keep` says, which is told how much memory it takes.
    Keep(OpId, Box<Offer>),
    /// Answer the caller with the value that the driver holds for the operation.
    Serve(OpId, Served),
    /// Decode the value at the source and keep it beside the callback's, then call `decoded`.
    Stash(OpId, Source),
    /// Answer the caller with the value that was stashed.
    ServeStash(OpId, Served),
    /// The versions of tags that the callback waits for are known, or will not be.
    Tagged(OpId),
    /// Answer the caller with the callback's error.
    Throw(OpId),
    /// Answer the caller: the callback takes longer than this.
    TimeOut(OpId, Millis),
    /// Answer the caller of a write: applied, and whether the value of a `set` was stored.
    Applied { op: OpId, stored: bool },
    /// Answer the caller of a write: not applied for these.
    NotApplied { op: OpId, state: InvalidationState, disabled: bool, what: Named },
    /// Answer the caller of a mutate with the callback's value, and with what became of the invalidation.
    Mutated { op: OpId, state: InvalidationState, disabled: bool, marked: bool, what: Named },
    /// Answer the caller of a raw command with the JSON value at this place in the batch's reply.
    Replied { op: OpId, batch: BatchId, place: Range<usize> },
    /// Answer the caller of a raw command: there is no reply.
    RawFailed { op: OpId, error: RawError },
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
