//! `mutate`: a callback that changes the source, between two invalidations. While it runs, marks in Redis keep everybody from
//! serving and storing what it covers; should it never end, they run out.

use super::op::{KeyState, Mutate, MutatePhase, Op, WriteStep};
use super::{Effect, Engine, OpId};
use crate::core::journal::Depth;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// What there is to mark is marked, or cannot be: the callback runs.
    pub(super) fn run_mutate(&mut self, id: OpId, marked: bool) {
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        let Some(mutate) = &mut write.mutate else { return };
        mutate.marked = marked;
        mutate.phase = MutatePhase::Ending;
        write.step = WriteStep::Running;
        self.set_due(id, None);
        let Some((lane, _)) = self.writing(id) else { return };
        // From here on the source changes: what was read since the fences were raised, before the marks were there, is held no longer.
        let (begins, keys) = (self.tick(), self.targets_in(id, |_| true));
        if let Some(peer) = self.peer_mut(lane.connection) {
            for key in &keys {
                peer.journal.raised().note(key, begins);
            }
        }
        self.push(lane.request, Effect::Run(id, None));
    }

    /// The callback has ended, well or not: nobody knows what it has changed. Everything is ended again, and the marks go.
    pub(super) fn mutated(&mut self, id: OpId, ok: bool, now: Timestamp) {
        let Some((lane, write)) = self.writing(id) else { return };
        if write.step != WriteStep::Running {
            return;
        }
        let raised = self.tick();
        let deadline = now.after(self.config(lane.cache).map_or(Millis::ZERO, |config| config.write));
        let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) else { return };
        if let Some(mutate) = &mut write.mutate {
            mutate.failed = !ok;
        }
        write.deadline = deadline;
        for target in write.targets.values_mut() {
            target.state = KeyState::Open;
        }
        let keys = self.targets_in(id, |_| true);
        if let Some(peer) = self.peers.get_mut(lane.connection.0 as usize)
            && peer.endpoint.is_some()
        {
            for key in &keys {
                peer.journal.let_go(key);
                peer.journal.raise(key, Depth::Hard, raised, now, deadline);
                peer.hot.remove(key);
                self.flights.void(lane.connection, key);
            }
        }
        self.ask_write(id, false, now);
    }

    pub(super) fn mutating(&self, id: OpId) -> Option<&Mutate> {
        self.writing(id)?.1.mutate.as_ref()
    }
}
