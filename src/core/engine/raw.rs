//! Raw commands: the user's own, in the same batches as everything else.
//!
//! They are not of the cache: their texts do not enter the core, their replies are handed on as they are, and nothing is known
//! of what they do. So none is ever sent twice, and one whose reply is lost has an unknown outcome. What would take the
//! pipeline, or the server's connection behind it, from the others is refused before any work.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use core::ops::Range;

use super::admission::Entry;
use super::batch::Slot;
use super::budget::Purpose;
use super::lane::Lane;
use super::op::{Kind, Op};
use super::{BatchId, CacheId, ConnectionId, Effect, Engine, OpId, RequestId};
use crate::core::error::ErrorKind;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Encoding, Reply};
use crate::core::time::Timestamp;

/// The longest command, as JSON.
pub(super) const MAX_COMMAND: usize = 4 << 20;

/// Words that a command must not begin with: those that change what the connection behind the pipeline is, or wait on it.
const REFUSED: [&str; 40] = [
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "MONITOR",
    "SYNC",
    "PSYNC",
    "REPLCONF",
    "SELECT",
    "AUTH",
    "HELLO",
    "RESET",
    "QUIT",
    "CLIENT",
    "ASKING",
    "READONLY",
    "READWRITE",
    "SHUTDOWN",
    "DEBUG",
    "FAILOVER",
    "REPLICAOF",
    "SLAVEOF",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BLMOVE",
    "BLMPOP",
    "BZPOPMIN",
    "BZPOPMAX",
    "BZMPOP",
    "WAIT",
    "WAITAOF",
    "SCRIPT",
];
/// Commands that wait if they are told to, before their keys.
const MAY_BLOCK: [&str; 2] = ["XREAD", "XREADGROUP"];

/// A raw command that begins.
#[derive(Clone, Copy, Debug)]
pub struct RawCall {
    /// Whose it is.
    pub request: RequestId,
    /// Which settings apply.
    pub cache: CacheId,
    /// Which Redis.
    pub connection: ConnectionId,
    /// As in `ReadCall`.
    pub anchored: bool,
    /// Bytes of the command as JSON; the driver holds it.
    pub size: usize,
}

/// A raw command under way.
#[derive(Debug)]
pub(super) struct Raw {
    deadline: Timestamp,
    size: usize,
    step: RawStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RawStep {
    /// Waiting for the verdict of an attempt.
    Awaiting,
    /// It is in a batch.
    Sent { batch: BatchId },
}

/// What is known of a raw command that has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawOutcome {
    /// Redis answered with an error.
    Failed,
    /// It has not been executed, and will not be.
    NotExecuted,
    /// It may have been executed, or may be yet.
    Unknown,
    /// There is no usable configuration.
    Unconfigured,
}

/// Why a raw command has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawError {
    /// What is known of it.
    pub outcome: RawOutcome,
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// Whether the same command may succeed later, and has not been executed.
    pub retryable: bool,
    /// The word that Redis' message begins with, as WRONGTYPE.
    pub word: Option<String>,
    /// The message; only with `debug`, since it may hold a value.
    pub message: Option<String>,
}

impl RawError {
    fn new(outcome: RawOutcome, kind: ErrorKind) -> Self {
        let lasting = matches!(kind, ErrorKind::Auth | ErrorKind::TooLarge | ErrorKind::Config);
        let retryable = outcome == RawOutcome::NotExecuted && !lasting;
        Self { outcome, kind, retryable, word: None, message: None }
    }

    /// Redis' own error, whose message is at `place`.
    fn of(error: CommandError, body: &[u8], place: &Range<usize>, debug: bool) -> Self {
        let message = reply::text(body, place, Encoding::Plain).unwrap_or_default();
        let message = message.trim_start_matches('-');
        // Redis' own words are of capitals; of anything else no letter is repeated.
        let word = message.split([' ', ':']).next().unwrap_or_default();
        let is_word = (2..=24).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase());
        Self {
            retryable: matches!(error, CommandError::ReadOnly | CommandError::Unavailable),
            word: is_word.then(|| word.to_owned()),
            message: debug.then(|| message.to_string()),
            ..Self::new(RawOutcome::Failed, ErrorKind::Server)
        }
    }
}

/// Why a command cannot be one of a shared pipeline, by its first words. `None`: it can.
#[must_use]
pub fn refusal(words: &[&str]) -> Option<String> {
    let (name, rest) = words.split_first()?;
    let is = |known: &&str| name.eq_ignore_ascii_case(known);
    if let Some(known) = REFUSED.iter().copied().find(is) {
        return Some(alloc::format!(
            "{known} cannot be sent: its effect would reach the other commands of the pipeline"
        ));
    }
    let known = MAY_BLOCK.iter().copied().find(is)?;
    // Keys and ids come after STREAMS.
    let mut options = rest.iter().take_while(|word| !word.eq_ignore_ascii_case("STREAMS"));
    options.any(|word| word.eq_ignore_ascii_case("BLOCK")).then(|| {
        alloc::format!("{known} with BLOCK cannot be sent: the other commands of the pipeline would wait")
    })
}

impl Engine {
    /// Begins a raw command. `None`: there are too many operations; it is not executed.
    pub fn begin_raw(&mut self, call: RawCall, host: f64) -> Option<OpId> {
        let now = self.now(host);
        let deadline = now.after(self.config(call.cache)?.write);
        let start = self.tick();
        let lane = Lane::new(call.request, call.cache, call.connection, call.anchored);
        let id = self.insert(Op::new(
            lane,
            now,
            start,
            Kind::Raw(Raw { deadline, size: call.size, step: RawStep::Awaiting }),
        ))?;
        if call.size > MAX_COMMAND {
            self.fail_raw(id, RawError::new(RawOutcome::NotExecuted, ErrorKind::TooLarge));
        } else {
            self.ask_raw(id, false, now);
        }
        Some(id)
    }

    fn ask_raw(&mut self, id: OpId, waited: bool, now: Timestamp) {
        let Some((op, raw)) = self.ops.get(&id).and_then(|op| Some((op, op.raw()?))) else { return };
        let (lane, deadline, size) = (op.lane(), raw.deadline, raw.size);
        if self.peer(lane.connection).is_none_or(|peer| peer.endpoint.is_none()) {
            self.warn_disabled(lane.request, lane.cache, lane.connection, now);
            return self.fail_raw(id, RawError::new(RawOutcome::Unconfigured, ErrorKind::Config));
        }
        if !self.affords_or_tells(lane, Purpose::Any, size, now) {
            return self.fail_raw(id, RawError::new(RawOutcome::NotExecuted, ErrorKind::Budget));
        }
        match self.admit(lane, waited, now) {
            Entry::Send(attempt) => {
                let batch = self.enqueue(lane, attempt, 0, Command::of_driver(size), Slot::Raw { op: id });
                self.set_raw_step(id, RawStep::Sent { batch });
                self.set_due(id, Some(deadline));
            }
            Entry::Wait { verdict, until } => {
                self.set_due(id, Some(deadline.min(until)));
                if let Some(verdict) = verdict {
                    self.push(lane.request, Effect::Await(id, verdict));
                }
            }
            Entry::Down(_) => {
                let error = self.peer(lane.connection).and_then(|peer| peer.connection.last_error());
                self.fail_raw(
                    id,
                    RawError::new(RawOutcome::NotExecuted, error.unwrap_or(ErrorKind::Transport)),
                );
            }
            Entry::Disabled => self.fail_raw(id, RawError::new(RawOutcome::Unconfigured, ErrorKind::Config)),
        }
    }

    pub(super) fn raw_replied(&mut self, id: OpId, batch: BatchId, reply: &Reply, body: &[u8]) {
        let Some(lane) = self.ops.get(&id).filter(|op| op.raw().is_some()).map(Op::lane) else { return };
        match reply {
            Reply::Opaque(place) => {
                self.push(lane.request, Effect::Replied { op: id, batch, place: place.clone() });
                self.finish(id);
            }
            Reply::Message(error, place) => {
                let debug = self.config(lane.cache).is_some_and(|config| config.debug);
                self.fail_raw(id, RawError::of(*error, body, place, debug));
            }
            _ => self.fail_raw(id, RawError::new(RawOutcome::Unknown, ErrorKind::Protocol)),
        }
    }

    /// The exchange failed: whether the command was executed, nobody knows; but that it was not, where it was not let in.
    pub(super) fn raw_failed(&mut self, id: OpId, kind: ErrorKind) {
        let outcome = if kind == ErrorKind::Auth { RawOutcome::NotExecuted } else { RawOutcome::Unknown };
        self.fail_raw(id, RawError::new(outcome, kind));
    }

    pub(super) fn resume_raw(&mut self, id: OpId, now: Timestamp) {
        let Some(raw) = self.ops.get(&id).and_then(Op::raw) else { return };
        if raw.step != RawStep::Awaiting {
            return;
        }
        if now < raw.deadline && !self.was_in_vain(id, now) {
            self.ask_raw(id, true, now);
        } else {
            self.fail_raw(id, RawError::new(RawOutcome::NotExecuted, ErrorKind::Timeout));
        }
    }

    pub(super) fn expire_raw(&mut self, id: OpId, now: Timestamp) {
        let due = self.ops.get(&id).and_then(|op| op.due);
        let now = now.max(due.unwrap_or(now));
        let Some(raw) = self.ops.get(&id).and_then(Op::raw) else { return };
        let RawStep::Sent { batch } = raw.step else { return self.resume_raw(id, now) };
        // It may wait for its turn still.
        let sent = self.batches.get(&batch).is_none_or(super::batch::Batch::is_sent);
        if !sent {
            self.withdraw(batch, id);
        }
        self.leave_batch(batch, id, now);
        let outcome = if sent { RawOutcome::Unknown } else { RawOutcome::NotExecuted };
        self.fail_raw(id, RawError::new(outcome, ErrorKind::Timeout));
    }

    fn set_raw_step(&mut self, id: OpId, step: RawStep) {
        if let Some(raw) = self.ops.get_mut(&id).and_then(Op::raw_mut) {
            raw.step = step;
        }
    }

    fn fail_raw(&mut self, id: OpId, error: RawError) {
        let Some(lane) = self.ops.get(&id).filter(|op| op.raw().is_some()).map(Op::lane) else { return };
        self.push(lane.request, Effect::RawFailed { op: id, error });
        self.finish(id);
    }
}
