//! Early refresh: a fresh hit is served, and refreshed behind the answer if chance says so (see `xfetch`) and nobody else does it. The
//! read that gave the hit has taken no lease: that costs a second command, sent only where the dice have fallen.

use super::batch::Slot;
use super::budget::Purpose;
use super::found::{Found, Source, State};
use super::op::{Op, ReadStep};
use super::{Effect, Engine, OpId};
use crate::core::basis::Basis;
use crate::core::entry::Header;
use crate::core::ratio::Ratio;
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};
use crate::core::xfetch;

/// How often an isolate asks for the lease of a key at most: whoever has it keeps it for as long at least.
pub(super) const ASK_AGAIN: Millis = Millis::seconds(1);

impl Engine {
    /// Throws the dice for a fresh hit. Nothing is refreshed where that could not be done behind the answer, or not be stored.
    pub(super) fn is_early(&mut self, id: OpId, header: &Header, found: &Found) -> bool {
        let Some((lane, read)) = self.reading(id) else { return false };
        let beta = read.early_refresh;
        if beta == Ratio::ZERO || !read.load || !lane.anchored || found.source == Source::Plain {
            return false;
        }
        xfetch::is_due(header.left(found.now), header.cost, beta, self.random.next())
    }

    /// The hit is served: asks for the lease, and for what a fill must name now.
    pub(super) fn ask_early(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let (key, token) = (read.key.clone(), read.lease.token.clone());
        let affords = self.affords(lane, Purpose::Any, 0);
        let asks = self.peer_mut(lane.connection).is_some_and(|peer| {
            let asks = affords && peer.connection.is_ready() && !peer.asked.contains(&key, now);
            if asks {
                peer.asked.insert(&key, now);
            }
            asks
        });
        let how = self.how(lane, Script::Read, false);
        let command = if asks { self.read_command(id, how, &token, "none") } else { None };
        let Some(command) = command else { return self.finish(id) };
        self.push(lane.request, Effect::Background(id));
        let batch = self.enqueue(lane, None, 0, command, Slot::Lease { op: id });
        self.set_step(id, ReadStep::Leasing { batch });
        self.set_due(id, Some(self.read_deadline(id, now)));
    }

    /// Who got the lease refreshes; for everybody else it is over.
    pub(super) fn early_replied(&mut self, id: OpId, reply: &Reply, body: &[u8], now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        if !matches!(read.step, ReadStep::Leasing { .. }) {
            return;
        }
        // A server that has just forgotten its scripts: another reader will do.
        if let Reply::Error(error) = reply
            && !matches!(error, CommandError::NoScript | CommandError::ScriptFlag)
        {
            self.report_command(lane, *error, now);
        }
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let stamps = match Found::read(reply, body, read.depends().count()) {
            Ok(found) if found.state == State::Miss && found.lease == Millis::ZERO => found.stamps,
            _ => return self.finish(id),
        };
        // These are not what the request has read: what it has been given is older, and so is what it may `set` by that.
        read.basis = Basis::new(read.depends().cloned().zip(stamps).collect());
        if read.basis.is_empty() {
            return self.finish(id);
        }
        self.run(id, None, now);
    }

    /// The exchange failed.
    pub(super) fn early_failed(&mut self, id: OpId) {
        if self.reading(id).is_some_and(|(_, read)| matches!(read.step, ReadStep::Leasing { .. })) {
            self.finish(id);
        }
    }
}
