//! Batches: the commands that one request sends in one turn, as one HTTP request, and what comes back.

use alloc::string::String;
use alloc::vec::Vec;

use super::batch::{Batch, Slot};
use super::drop::Drop;
use super::drop::DropRole;
use super::lane::Lane;
use super::op::Op;
use super::verdict::verdict;
use super::{BatchId, BodyPart, Effect, Engine, OpId};
use crate::core::connection::StateName;
use crate::core::error::{ErrorKind, Failure};
use crate::core::redis::command::{Command, How};
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::{Dialect, Loaded, Script};
use crate::core::time::{Millis, Timestamp};
use crate::core::window::Pace;

impl Engine {
    /// The batch's body; to be sent at once by POST to the connection's `url`. `None`: there is nothing to send, or not now;
    /// then `Effect::Flush` comes again.
    pub fn seal(&mut self, id: BatchId) -> Option<Vec<BodyPart>> {
        if self.must_wait(id) {
            self.hold(id);
            return None;
        }
        let sent = self.tick();
        let at = self.clock.last();
        let batch = self.batches.get_mut(&id)?;
        if let Some(request) = self.requests.get_mut(&batch.request)
            && request.open == Some(id)
        {
            request.open = None;
        }
        batch.sent = Some((sent, at));
        let mut parts = Vec::new();
        let mut text = String::with_capacity(batch.bytes + batch.commands.len() + 2);
        text.push('[');
        for (index, (command, slot)) in batch.commands.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            if command.is_of_driver() {
                parts.push(BodyPart::Text(core::mem::take(&mut text)));
                parts.push(BodyPart::Command(slot.op()));
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
                Slot::Read { op } | Slot::Plain { op } => Some((*op, false)),
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
        let request = batch.request;
        match verdict(status, body, &batch.commands) {
            Ok(replies) => self.succeeded(id, batch, replies, body, now),
            Err((failure, replies)) => self.failed(id, batch, &failure, &replies, body, now),
        }
        self.send_held(request);
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
        let request = batch.request;
        self.failed(id, batch, &Failure::new(kind, message), &[], &[], now);
        self.send_held(request);
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
        self.enqueue_all(lane, attempt, value, Vec::from([(command, slot)]))
    }

    /// Puts commands into one batch, one after the other.
    pub(super) fn enqueue_all(
        &mut self,
        lane: Lane,
        attempt: Option<u32>,
        value: usize,
        commands: Vec<(Command, Slot)>,
    ) -> BatchId {
        let bytes = commands.iter().map(|(command, _)| command.len()).sum::<usize>() + value;
        let has_room = self.open_batch(lane).is_some_and(|batch| batch.has_room(commands.len(), bytes));
        let open = self.requests.get(&lane.request).and_then(|request| request.open).filter(|_| has_room);
        let id = open.unwrap_or_else(|| {
            self.next_batch = self.next_batch.wrapping_add(1);
            let id = BatchId(self.next_batch);
            self.spent.add(lane.request);
            self.requests.entry(lane.request).or_default().open = Some(id);
            self.push(lane.request, Effect::Flush(id));
            id
        });
        let repeats =
            self.requests.get_mut(&lane.request).is_some_and(|request| core::mem::take(&mut request.repeats));
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
            repeats: false,
            waiting: Vec::new(),
        });
        batch.bytes += bytes;
        batch.repeats |= repeats;
        for (command, slot) in commands {
            if let Some(script) = command.introduces() {
                batch.introduces.insert(script);
            }
            let waits = !matches!(slot, Slot::Drop(Drop { role: DropRole::Cover, .. }));
            let op = slot.op();
            batch.commands.push((command, slot));
            if waits && !batch.waiting.contains(&op) {
                batch.waiting.push(op);
            }
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
        self.open_batch(lane).is_some_and(|batch| batch.attempt.is_some())
    }

    /// The batch that the lane's next command goes into, if it has room.
    pub(super) fn open_batch(&self, lane: Lane) -> Option<&Batch> {
        let open = self.requests.get(&lane.request)?.open?;
        self.batches.get(&open).filter(|batch| batch.connection == lane.connection)
    }

    /// Whether what has been sent in vain may be sent again. What follows in the same batch repeats for nothing.
    pub(super) fn may_repeat(&mut self, lane: Lane, now: Timestamp) -> bool {
        if self.open_batch(lane).is_some_and(|batch| batch.repeats) {
            return true;
        }
        let may = self.peer_mut(lane.connection).is_some_and(|peer| peer.retries.take(now));
        if may {
            self.requests.entry(lane.request).or_default().repeats = true;
        }
        may
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

    /// How a script is named: by its hash if the server knows it, or will when the command gets there in this batch.
    pub(super) fn how(&self, lane: Lane, script: Script, resent: bool) -> How {
        let Some(peer) = self.peer(lane.connection) else { return How::Text(Dialect::Redis) };
        // A command that no longer fits goes into a batch of its own; should that arrive first, it is sent again by its text.
        let introduced = self.open_batch(lane).is_some_and(|batch| batch.introduces.has(script));
        if !resent && (peer.connection.loaded.has(script) || introduced) {
            How::Hash(peer.dialect)
        } else {
            How::Text(peer.dialect)
        }
    }

    /// An operation no longer waits for a batch. When nobody does, the exchange is over: it timed out.
    pub(super) fn leave_batch(&mut self, id: BatchId, op: OpId, now: Timestamp) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        batch.waiting.retain(|other| *other != op);
        if batch.sent.is_none() {
            // It may wait for a connection still, and the operation's value is gone by then. What it ends is sent all the same.
            batch.commands.retain(|(_, slot)| matches!(slot, Slot::Drop(_)) || slot.op() != op);
        }
        if !batch.waiting.is_empty() {
            return;
        }
        let Some(batch) = self.batches.remove(&id) else { return };
        if let Some(request) = self.requests.get_mut(&batch.request)
            && request.open == Some(id)
        {
            request.open = None;
        }
        if let Some(request) = self.requests.get_mut(&batch.request) {
            request.held.retain(|held| *held != id);
        }
        let request = batch.request;
        self.push(request, Effect::Abort(id));
        if batch.sent.is_none() {
            self.spent.give_back(request);
        }
        // What has not been sent says nothing of Redis.
        if batch.sent.is_some() || batch.attempt.is_some() {
            let failure = Failure::new(ErrorKind::Timeout, "no answer within the deadline");
            self.failed(id, batch, &failure, &[], &[], now);
        }
        self.send_held(request);
    }

    /// A command of an operation is not to be sent: its batch has not been.
    pub(super) fn withdraw(&mut self, id: BatchId, op: OpId) {
        if let Some(batch) = self.batches.get_mut(&id).filter(|batch| !batch.is_sent()) {
            batch.commands.retain(|(_, slot)| slot.op() != op);
        }
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

    fn succeeded(&mut self, id: BatchId, batch: Batch, replies: Vec<Reply>, body: &[u8], now: Timestamp) {
        let wait = self.config(batch.cache).map_or(Millis::ZERO, |config| config.read);
        let (sent, at) = batch.sent.unwrap_or_default();
        let pace = Pace::of(at, now, wait);
        let Self { peers, random, .. } = self;
        let Some(peer) = peers.get_mut(batch.connection.0 as usize) else { return };
        let change = peer.connection.succeeded(batch.attempt, pace, now, random);
        // One that was answered with an error again has been in vain.
        let vain = batch.repeats && replies.iter().any(|reply| matches!(reply, Reply::Error(_)));
        if !vain {
            peer.retries.succeeded(batch.repeats);
        }
        for script in Script::ALL {
            if batch.introduces.has(script) {
                peer.connection.loaded.insert(script);
            }
        }
        if let Some(change) = change {
            let slow = (change.to == StateName::Down)
                .then(|| Failure::new(ErrorKind::Timeout, "most of the last exchanges were slow"));
            self.report_change(batch.request, batch.cache, now, change, slow.as_ref());
        }
        self.settle_attempt(&batch, false);
        let lane = batch.lane();
        let mut commands = batch.commands.into_iter().zip(&replies).enumerate().peekable();
        while let Some((index, ((_, slot), reply))) = commands.next() {
            match reply {
                Reply::Error(CommandError::NoScript) => self.forget_scripts(lane),
                Reply::Error(CommandError::ScriptFlag) => self.use_plain_dialect(lane),
                _ => {}
            }
            // Who has left may wait for another one by now, whose answer is newer. What was ended is ended all the same.
            if !matches!(slot, Slot::Drop(_)) && !batch.waiting.contains(&slot.op()) {
                continue;
            }
            match slot {
                Slot::Read { op } => self.read_replied(op, reply, body, now),
                Slot::Fill { op } => self.fill_replied(op, reply, body, now),
                Slot::Renewal { op } => self.renewed(op, sent, reply, body, now),
                Slot::SetFill { op } => self.set_fill_replied(op, reply, body, now),
                Slot::Versions { op, ticket, tags } => {
                    self.versions_replied(op, ticket, tags, reply, body, now);
                }
                Slot::Plain { op } => {
                    let mut end = index + 1;
                    while let Some((more, _)) = commands.next_if(
                        |(_, ((_, slot), _))| matches!(slot, Slot::PlainMore { op: of } if *of == op),
                    ) {
                        end = more + 1;
                    }
                    self.plain_replied(op, id, replies.get(index..end).unwrap_or_default(), body, now);
                }
                Slot::Release { op } => self.released(op),
                Slot::Raw { op } => self.raw_replied(op, id, reply, body),
                Slot::Lease { op } => self.early_replied(op, reply, body, now),
                Slot::PlainMore { .. } => {}
                Slot::Drop(drop) => self.drop_replied(lane, (id, sent), drop, reply, now),
            }
        }
        self.replay_if_due(lane, now);
    }

    /// An exchange failed; `replies`: as a whole, though it was answered.
    fn failed(
        &mut self,
        id: BatchId,
        batch: Batch,
        failure: &Failure,
        replies: &[Reply],
        body: &[u8],
        now: Timestamp,
    ) {
        let Self { peers, random, .. } = self;
        let Some(peer) = peers.get_mut(batch.connection.0 as usize) else { return };
        // An answer that is too large is an answer all the same.
        let change = if failure.kind == ErrorKind::TooLarge {
            peer.connection.succeeded(batch.attempt, Pace::Good, now, random)
        } else {
            peer.connection.failed(batch.attempt, failure.kind, now, random)
        };
        self.report_failure(batch.request, batch.cache, now, failure);
        if let Some(change) = change {
            self.report_change(batch.request, batch.cache, now, change, Some(failure));
        }
        self.settle_attempt(&batch, failure.kind == ErrorKind::Timeout);
        for (index, (_, slot)) in batch.commands.into_iter().enumerate() {
            if !batch.waiting.contains(&slot.op()) {
                continue;
            }
            match slot {
                Slot::Read { op } | Slot::Plain { op } => self.read_failed(op, failure.kind, now),
                Slot::Release { op } => self.released(op),
                Slot::Lease { op } => self.early_failed(op),
                Slot::PlainMore { .. } => {}
                Slot::Raw { op } => match replies.get(index) {
                    Some(reply) => self.raw_replied(op, id, reply, body),
                    None => self.raw_failed(op, failure.kind),
                },
                Slot::Fill { op } => self.fill_failed(op, failure.kind, now),
                Slot::Renewal { op } | Slot::SetFill { op } => self.set_failed(op, now),
                Slot::Versions { op, ticket, .. } => self.versions_known(op, ticket),
                Slot::Drop(drop) => self.drop_failed(&drop, now),
            }
        }
    }

    /// The server has forgotten its scripts, as at a restart.
    fn forget_scripts(&mut self, lane: Lane) {
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.connection.loaded.clear();
        }
    }

    /// The server does not take the words of its dialect after all.
    fn use_plain_dialect(&mut self, lane: Lane) {
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.dialect = Dialect::Redis;
            peer.connection.loaded.clear();
        }
    }
}
