//! How an operation gets to Redis: the connection's word, and what follows from it.

use super::lane::Lane;
use super::{Engine, OpId, SharedId};
use crate::core::connection::Admission;
use crate::core::event::EventKind;
use crate::core::time::{Millis, Timestamp};

/// Where nothing carries an attempt's verdict, those who wait look again this often.
const LOOK_AGAIN: Millis = Millis::new(10);

/// How an operation gets to Redis.
pub(super) enum Entry {
    /// At once; as the attempt of that number, if it is one.
    Send(Option<u32>),
    /// After the verdict of an attempt, asking again at `until` at the latest.
    Wait { verdict: Option<SharedId>, until: Timestamp },
    /// Not before that time.
    Down(Timestamp),
    /// Never.
    Disabled,
}

impl Engine {
    /// Whether the attempt that an operation has waited for is late or has failed. Who waited for it goes past Redis: if they
    /// made the next attempt, a hundred that wait for a Redis that hangs would make one after the other.
    pub(super) fn was_in_vain(&self, id: OpId, now: Timestamp) -> bool {
        let peer = self.ops.get(&id).and_then(|op| self.peer(op.connection));
        peer.is_some_and(|peer| peer.connection.awaits_attempt(now))
    }

    /// Asks the connection on behalf of an operation.
    pub(super) fn admit(&mut self, lane: Lane, waited: bool, now: Timestamp) -> Entry {
        let own = self.is_own_attempt(lane);
        // An attempt has as long as a read has, whoever makes it: others wait no longer for a write's, and one that is made with
        // the last milliseconds of its own wait is not replaced before it can have failed.
        let read = self.config(lane.cache).map_or(Millis::ZERO, |config| config.read);
        let Some(peer) = self.peer_mut(lane.connection) else { return Entry::Disabled };
        match peer.connection.admit(now, now.after(read)) {
            Admission::Send => Entry::Send(None),
            Admission::Attempt { attempt, probe } => {
                self.report(lane.request, lane.cache, now, EventKind::Attempt { attempt, probe });
                Entry::Send(Some(attempt))
            }
            Admission::Wait { .. } if own => Entry::Send(None),
            Admission::Wait { deadline: attempt_ends } => {
                let verdict = peer.attempt;
                if !waited {
                    let attempt = peer.connection.reused();
                    self.report(lane.request, lane.cache, now, EventKind::Reuse { attempt });
                }
                let until =
                    if verdict.is_some() { attempt_ends } else { attempt_ends.min(now.after(LOOK_AGAIN)) };
                Entry::Wait { verdict, until }
            }
            Admission::Down { until } => Entry::Down(until),
            Admission::Disabled => Entry::Disabled,
        }
    }
}
