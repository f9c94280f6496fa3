//! Batches: the commands that one request sends in one turn, as one HTTP request, and what comes back.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::op::Op;
use super::{BatchId, BodyPart, CacheId, ConnectionId, Effect, Engine, OpId, RequestId, SharedId, malformed};
use crate::core::entry::Header;
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::EventKind;
use crate::core::journal::Seq;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Encoding, Reply};
use crate::core::redis::script::{Loaded, MARKER, Script};
use crate::core::time::Timestamp;

/// Limits of one HTTP request; what is over goes into a second one.
const MAX_COMMANDS: usize = 512;
const MAX_BYTES: usize = 4 << 20;

/// What a command of a batch is for.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// The read of an operation.
    Read { op: OpId },
    /// The fill behind a read.
    Fill { op: OpId },
    /// The read behind the drop of a `set`.
    SetRead { op: OpId },
    /// The fill of a `set`.
    SetFill { op: OpId },
    /// A drop. `plain`: by HDEL, scripts being refused. `resent`: with the script's text, its hash being unknown.
    Drop { op: OpId, role: DropRole, key: Key, plain: bool, resent: bool },
}

/// Who waits for a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropRole {
    /// The invalidation itself.
    Write,
    /// A replay.
    Replay,
    /// A read that it precedes; nobody waits for it by itself.
    Cover,
}

impl Slot {
    const fn op(&self) -> OpId {
        match self {
            Self::Read { op }
            | Self::Fill { op }
            | Self::SetRead { op }
            | Self::SetFill { op }
            | Self::Drop { op, .. } => *op,
        }
    }
}

/// One HTTP request to Redis.
#[derive(Debug)]
pub(super) struct Batch {
    request: RequestId,
    cache: CacheId,
    connection: ConnectionId,
    anchored: bool,
    /// Its number, if it is an attempt.
    attempt: Option<u32>,
    /// The promise that carries the attempt's verdict.
    verdict: Option<SharedId>,
    commands: Vec<(Command, Slot)>,
    bytes: usize,
    introduces: Loaded,
    sent: Option<Seq>,
    /// The operations that still wait for it.
    waiting: Vec<OpId>,
}

/// What a read script's reply says.
pub(super) struct Found {
    pub(super) encoding: Encoding,
    pub(super) now: u64,
    /// `None`: Redis could not make one.
    pub(super) generation: Option<String>,
    pub(super) entry: Option<(Header, core::ops::Range<usize>)>,
}

/// What the next exchange of a request belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) request: RequestId,
    pub(super) cache: CacheId,
    pub(super) connection: ConnectionId,
    pub(super) anchored: bool,
}

impl Op {
    pub(super) const fn lane(&self) -> Lane {
        Lane {
            request: self.request,
            cache: self.cache,
            connection: self.connection,
            anchored: self.anchored,
        }
    }
}

impl Engine {
    /// The batch's body; to be sent at once by POST to the connection's `url`. `None`: there is nothing to send.
    pub fn seal(&mut self, id: BatchId) -> Option<Vec<BodyPart>> {
        let sent = self.tick();
        let batch = self.batches.get_mut(&id)?;
        if let Some(request) = self.requests.get_mut(&batch.request)
            && request.open == Some(id)
        {
            request.open = None;
        }
        batch.sent = Some(sent);
        let mut parts = Vec::new();
        let mut text = String::with_capacity(batch.bytes + batch.commands.len() + 2);
        text.push('[');
        for (index, (command, slot)) in batch.commands.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(command.head());
            if let Some(tail) = command.tail() {
                parts.push(BodyPart::Text(core::mem::take(&mut text)));
                parts.push(BodyPart::Value(slot.op()));
                text.push_str(tail);
            }
        }
        text.push(']');
        parts.push(BodyPart::Text(text));
        let count = batch.commands.len() as u64;
        let connection = batch.connection;
        let steps: Vec<(OpId, bool)> = batch
            .commands
            .iter()
            .filter_map(|(_, slot)| match slot {
                Slot::Read { op } => Some((*op, false)),
                Slot::Fill { op } => Some((*op, true)),
                _ => None,
            })
            .collect();
        for (op, fill) in steps {
            let Some(flight) = self.ops.get(&op).and_then(Op::leads) else { continue };
            let Some(flight) = self.flights.get_mut(flight) else { continue };
            if fill {
                flight.fill_sent = Some(sent);
            } else {
                flight.read_sent = Some(sent);
            }
        }
        if let Some(peer) = self.peer_mut(connection) {
            peer.stats.requests += 1;
            peer.stats.commands += count;
        }
        Some(parts)
    }

    /// Redis, or what stands before it, answered.
    pub fn reply(&mut self, id: BatchId, status: u16, body: &[u8], host: f64) -> bool {
        let now = self.now(host);
        let Some(batch) = self.batches.remove(&id) else { return false };
        match verdict(status, body, batch.commands.len()) {
            Ok(replies) => self.succeeded(batch, replies, body, now),
            Err(failure) => self.failed(batch, &failure, now),
        }
        true
    }

    /// There is no answer: the driver says why.
    pub fn send_failed(&mut self, id: BatchId, kind: ErrorKind, host: f64) -> bool {
        let now = self.now(host);
        let Some(batch) = self.batches.remove(&id) else { return false };
        let message = match kind {
            ErrorKind::TooLarge => "the reply is over the size limit",
            ErrorKind::Timeout => "no answer within the deadline",
            _ => "the connection to redis failed or broke",
        };
        self.failed(batch, &Failure::new(kind, message), now);
        true
    }

    /// Puts a command into the lane's batch of this turn.
    pub(super) fn enqueue(
        &mut self,
        lane: Lane,
        attempt: Option<u32>,
        value: usize,
        command: Command,
        slot: Slot,
    ) -> BatchId {
        let bytes = command.len() + value;
        let open = self.requests.get(&lane.request).and_then(|r| r.open).filter(|id| {
            self.batches.get(id).is_some_and(|b| {
                b.connection == lane.connection
                    && b.commands.len() < MAX_COMMANDS
                    && b.bytes + bytes <= MAX_BYTES
            })
        });
        let id = open.unwrap_or_else(|| {
            self.next_batch = self.next_batch.wrapping_add(1);
            let id = BatchId(self.next_batch);
            self.requests.entry(lane.request).or_default().open = Some(id);
            self.push(lane.request, Effect::Flush(id));
            id
        });
        let waits = !matches!(slot, Slot::Drop { role: DropRole::Cover, .. });
        let op = slot.op();
        let batch = self.batches.entry(id).or_insert_with(|| Batch {
            request: lane.request,
            cache: lane.cache,
            connection: lane.connection,
            anchored: lane.anchored,
            attempt: None,
            verdict: None,
            commands: Vec::new(),
            bytes: 0,
            introduces: Loaded::default(),
            sent: None,
            waiting: Vec::new(),
        });
        batch.bytes += bytes;
        if let Some(script) = command.introduces() {
            batch.introduces.insert(script);
        }
        batch.commands.push((command, slot));
        if waits && !batch.waiting.contains(&op) {
            batch.waiting.push(op);
        }
        if let Some(attempt) = attempt
            && batch.attempt.is_none()
        {
            batch.attempt = Some(attempt);
            self.anchor_attempt(lane, id);
        }
        id
    }

    /// Whether the request's batch of this turn is the attempt under way: then its operations need not wait for it.
    pub(super) fn is_own_attempt(&self, lane: Lane) -> bool {
        let open = self.requests.get(&lane.request).and_then(|r| r.open).and_then(|id| self.batches.get(&id));
        open.is_some_and(|batch| batch.connection == lane.connection && batch.attempt.is_some())
    }

    fn anchor_attempt(&mut self, lane: Lane, batch: BatchId) {
        let verdict = lane.anchored.then(|| self.shared());
        if let Some(batch) = self.batches.get_mut(&batch) {
            batch.verdict = verdict;
        }
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.attempt = verdict;
        }
        if let Some(verdict) = verdict {
            self.push(lane.request, Effect::Anchor(verdict));
        }
    }

    /// Whether a script can go by its hash: the server knows it, or will when the command gets there in this batch.
    pub(super) fn by_hash(&self, lane: Lane, script: Script) -> bool {
        if self.peer(lane.connection).is_some_and(|peer| peer.connection.loaded.has(script)) {
            return true;
        }
        let open = self.requests.get(&lane.request).and_then(|r| r.open).and_then(|id| self.batches.get(&id));
        // A command that no longer fits goes into a batch of its own; should that arrive first, it is sent again by its text.
        open.is_some_and(|batch| batch.connection == lane.connection && batch.introduces.has(script))
    }

    pub(super) fn enqueue_drop(
        &mut self,
        lane: Lane,
        attempt: Option<u32>,
        op: OpId,
        role: DropRole,
        key: &Key,
    ) {
        let by_hash = self.by_hash(lane, Script::Drop);
        let command = Command::script(Script::Drop, by_hash, key.redis(), &[]);
        let slot = Slot::Drop { op, role, key: key.clone(), plain: false, resent: false };
        self.enqueue(lane, attempt, 0, command, slot);
    }

    /// An operation no longer waits for a batch. When nobody does, the exchange is over: it timed out.
    pub(super) fn leave_batch(&mut self, id: BatchId, op: OpId, now: Timestamp) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        batch.waiting.retain(|other| *other != op);
        if !batch.waiting.is_empty() {
            return;
        }
        let Some(batch) = self.batches.remove(&id) else { return };
        if let Some(request) = self.requests.get_mut(&batch.request)
            && request.open == Some(id)
        {
            request.open = None;
        }
        self.push(batch.request, Effect::Abort(id));
        self.failed(batch, &Failure::new(ErrorKind::Timeout, "no answer within the deadline"), now);
    }

    /// An operation no longer waits for any batch.
    pub(super) fn leave_batches(&mut self, op: OpId, now: Timestamp) {
        let mut ids: Vec<BatchId> =
            self.batches.iter().filter(|(_, batch)| batch.waiting.contains(&op)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            self.leave_batch(id, op, now);
        }
    }

    /// Gives those who wait for the attempt its verdict; `late`: their own timers have given it.
    fn settle_attempt(&mut self, batch: &Batch, late: bool) {
        let Some(verdict) = batch.verdict else { return };
        if let Some(peer) = self.peer_mut(batch.connection)
            && peer.attempt == Some(verdict)
        {
            peer.attempt = None;
        }
        self.push(batch.request, if late { Effect::Abandon(verdict) } else { Effect::Settle(verdict) });
    }

    fn succeeded(&mut self, batch: Batch, replies: Vec<Reply>, body: &[u8], now: Timestamp) {
        let Some(peer) = self.peer_mut(batch.connection) else { return };
        let change = peer.connection.succeeded(batch.attempt, now);
        for script in Script::ALL {
            if batch.introduces.has(script) {
                peer.connection.loaded.insert(script);
            }
        }
        if let Some(change) = change {
            self.report_change(batch.request, batch.cache, now, change, None);
        }
        self.settle_attempt(&batch, false);
        let lane = batch.lane();
        let sent = batch.sent.unwrap_or_default();
        for ((_, slot), reply) in batch.commands.into_iter().zip(replies) {
            if reply == Reply::Error(CommandError::NoScript)
                && let Some(peer) = self.peer_mut(lane.connection)
            {
                peer.connection.loaded.clear();
            }
            match slot {
                Slot::Read { op } => self.read_replied(op, &reply, body, now),
                Slot::Fill { op } => self.fill_replied(op, &reply, body, now),
                Slot::SetRead { op } => self.set_read_replied(op, &reply, body, now),
                Slot::SetFill { op } => self.set_fill_replied(op, &reply, body, now),
                Slot::Drop { op, role, key, plain, resent } => {
                    self.drop_replied(lane, sent, op, role, key, (plain, resent), &reply, now);
                }
            }
        }
        self.replay_if_due(lane, now);
    }

    fn failed(&mut self, batch: Batch, failure: &Failure, now: Timestamp) {
        let Self { peers, random, .. } = self;
        let Some(peer) = peers.get_mut(batch.connection.0 as usize) else { return };
        // An answer that is too large is an answer all the same.
        let change = if failure.kind == ErrorKind::TooLarge {
            peer.connection.succeeded(batch.attempt, now)
        } else {
            peer.connection.failed(batch.attempt, failure.kind, now, random)
        };
        self.report_failure(batch.request, batch.cache, now, failure);
        if let Some(change) = change {
            self.report_change(batch.request, batch.cache, now, change, Some(failure));
        }
        self.settle_attempt(&batch, failure.kind == ErrorKind::Timeout);
        for (_, slot) in batch.commands {
            if !batch.waiting.contains(&slot.op()) {
                continue;
            }
            match slot {
                Slot::Read { op } => self.read_failed(op, failure.kind, now),
                Slot::Fill { op } => self.fill_failed(op, failure.kind, now),
                Slot::SetRead { op } | Slot::SetFill { op } => self.set_failed(op, now),
                Slot::Drop { op, role, key, .. } => self.drop_failed(op, role, &key, now),
            }
        }
    }

    /// A command failed in an exchange that succeeded.
    pub(super) fn report_command(&mut self, lane: Lane, error: CommandError, now: Timestamp) {
        let message = format!("redis answered: {}", error.name());
        self.report(lane.request, lane.cache, now, EventKind::Failure { error: ErrorKind::Server, message });
    }
}

impl Batch {
    /// Whether any of those who wait for it is known.
    pub(super) fn is_awaited(&self, known: impl Fn(OpId) -> bool) -> bool {
        self.waiting.iter().any(|op| known(*op))
    }

    const fn lane(&self) -> Lane {
        Lane {
            request: self.request,
            cache: self.cache,
            connection: self.connection,
            anchored: self.anchored,
        }
    }
}

/// What an answer amounts to: the replies, or why it is none.
fn verdict(status: u16, body: &[u8], expected: usize) -> Result<Vec<Reply>, Failure> {
    let kind_of = |error: CommandError| match error {
        CommandError::Auth | CommandError::Refused => ErrorKind::Auth,
        _ => ErrorKind::Server,
    };
    match status {
        200 => {
            let replies = reply::parse(body, expected).map_err(|error| match error {
                reply::ReplyError::Rejected(command) => Failure::new(kind_of(command), error.to_string()),
                _ => malformed(&error.to_string()),
            })?;
            // A server that is loading, or a plan that is used up, says so for each command: it is as good as down.
            let down = replies.iter().find_map(|reply| match reply {
                Reply::Error(e @ (CommandError::Unavailable | CommandError::Quota | CommandError::Auth)) => {
                    Some(*e)
                }
                _ => None,
            });
            match down {
                Some(error) => Err(Failure::new(kind_of(error), format!("redis answered: {}", error.name()))),
                None => Ok(replies),
            }
        }
        401 | 403 => {
            Err(Failure::new(ErrorKind::Auth, format!("redis refused the credentials: HTTP status {status}")))
        }
        300..=399 => Err(malformed(&format!("redirects are not followed: HTTP status {status}"))),
        429 => Err(Failure::new(ErrorKind::Server, "too many requests: HTTP status 429")),
        500.. => Err(Failure::new(ErrorKind::Server, format!("HTTP status {status}"))),
        _ => Err(match reply::error_of(body) {
            Some(error) => Failure::new(kind_of(error), format!("redis answered: {}", error.name())),
            None => malformed(&format!("expected HTTP status 200, got {status}")),
        }),
    }
}

/// Reads a reply of the read script. An entry that is not as this version writes it is none.
///
/// # Errors
/// When it is not such a reply.
pub(super) fn found(reply: &Reply, body: &[u8]) -> Result<Found, Failure> {
    let wrong = || malformed("expected the read script's reply, got something else");
    let Reply::Array(items) = reply else { return Err(wrong()) };
    let [marker, Reply::Integer(now), Reply::Text(generation), rest @ ..] = items.as_slice() else {
        return Err(wrong());
    };
    let encoding = reply::says(body, marker, MARKER).ok_or_else(wrong)?;
    let generation = reply::text(body, generation, encoding).ok_or_else(wrong)?;
    let entry = match rest {
        [Reply::Text(header), Reply::Text(place)] => reply::text(body, header, encoding)
            .and_then(|header| Header::parse(&header))
            .filter(|header| header.generation == generation)
            .map(|header| (header, place.clone())),
        _ => None,
    };
    Ok(Found {
        encoding,
        now: u64::try_from(*now).map_err(|_| wrong())?,
        generation: (!generation.is_empty()).then(|| generation.into_owned()),
        entry,
    })
}
