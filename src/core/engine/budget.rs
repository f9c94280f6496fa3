//! What a request of the host may spend: so many HTTP requests to Redis in all, and so many at the same time. Runtimes limit
//! both (Cloudflare Workers: 50 on the free plan, and 6), and what the cache takes the callbacks do not have.
//!
//! A command that fits into a batch that is open costs nothing. At the first limit reads run their callbacks, fills are not sent,
//! and a part is left for invalidations; those beyond it are pending, for the next request to send. At the
//! second one batches stay open until another one has ended: they fill up meanwhile, and the operations' deadlines go on.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;

use super::lane::Lane;
use super::{BatchId, Effect, Engine, RequestId};
use crate::core::event::EventKind;
use crate::core::time::Timestamp;

/// So many requests are remembered. A request that is forgotten may spend anew.
const MAX_REQUESTS: usize = 2048;
/// This part of a request's budget is for invalidations alone, its own and those that wait; one at least.
const RESERVE: u32 = 8;

/// What an HTTP request would be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What can be done without, or later, by somebody else.
    Any,
    /// An invalidation, or what belongs to it.
    Invalidation,
}

/// What requests have spent. They are numbered as they come: the oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct Spent(BTreeMap<RequestId, u32>);

impl Spent {
    fn of(&self, request: RequestId) -> u32 {
        self.0.get(&request).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, request: RequestId) {
        if self.0.len() >= MAX_REQUESTS && !self.0.contains_key(&request) {
            self.0.pop_first();
        }
        let spent = self.0.entry(request).or_insert(0);
        *spent = spent.saturating_add(1);
    }

    /// It was not sent after all.
    pub(super) fn give_back(&mut self, request: RequestId) {
        if let Some(spent) = self.0.get_mut(&request) {
            *spent = spent.saturating_sub(1);
        }
    }
}

impl Engine {
    /// Whether a command of so many bytes can be sent: in the batch that is open, or in one more.
    pub(super) fn affords(&self, lane: Lane, purpose: Purpose, bytes: usize) -> bool {
        let Some(config) = self.config(lane.cache) else { return false };
        let reserve = match purpose {
            Purpose::Any => (config.subrequests / RESERVE).max(1),
            Purpose::Invalidation => 0,
        };
        self.spent.of(lane.request) < config.subrequests.saturating_sub(reserve)
            || self.open_batch(lane).is_some_and(|batch| batch.has_room(1, bytes))
    }

    /// The same; if it cannot, that is told, once for each connection.
    pub(super) fn affords_or_tells(
        &mut self,
        lane: Lane,
        purpose: Purpose,
        bytes: usize,
        now: Timestamp,
    ) -> bool {
        if self.affords(lane, purpose, bytes) {
            return true;
        }
        let limit = self.config(lane.cache).map_or(0, |config| config.subrequests);
        if let Some(peer) = self.peer_mut(lane.connection)
            && !core::mem::replace(&mut peer.budget_told, true)
        {
            let message = format!(
                "a request has used up its budget for redis: from here on its callbacks run uncached and its invalidations are pending (option \"budget.subrequests\" is {limit})"
            );
            self.report(lane.request, lane.cache, now, EventKind::Warning { code: "budget", message });
        }
        false
    }

    /// Whether a batch must wait until another one of its request has ended.
    pub(super) fn must_wait(&self, id: BatchId) -> bool {
        let Some(batch) = self.batches.get(&id) else { return false };
        let limit = self.config(batch.cache).map_or(0, |config| config.connections as usize);
        let under_way = self.batches.values().filter(|other| {
            other.request == batch.request
                && other.is_sent()
                && other.is_awaited(|op| self.ops.contains_key(&op))
        });
        under_way.count() >= limit.max(1)
    }

    /// The batch waits.
    pub(super) fn hold(&mut self, id: BatchId) {
        let Some(request) = self.batches.get(&id).map(|batch| batch.request) else { return };
        if let Some(request) = self.requests.get_mut(&request)
            && !request.held.contains(&id)
        {
            request.held.push_back(id);
        }
    }

    /// A batch of the request has ended: those that wait are sent, as far as they may.
    pub(super) fn send_held(&mut self, request: RequestId) {
        let Some(entry) = self.requests.get_mut(&request) else { return };
        let held: VecDeque<BatchId> = core::mem::take(&mut entry.held);
        for id in held {
            // Those that still have to wait are held again when the driver comes for them.
            self.push(request, Effect::Flush(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_are_forgotten() {
        let mut spent = Spent::default();
        for request in 0..5000 {
            spent.add(RequestId(request));
            spent.add(RequestId(request));
            assert!(spent.0.len() <= MAX_REQUESTS);
        }
        assert_eq!((spent.of(RequestId(0)), spent.of(RequestId(4999))), (0, 2));
        spent.give_back(RequestId(4999));
        assert_eq!(spent.of(RequestId(4999)), 1);
    }
}
