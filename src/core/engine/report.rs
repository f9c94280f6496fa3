//! What is told: events, with keys named as the cache says.

use alloc::format;
use alloc::string::String;

use super::lane::Lane;
use super::{CacheId, ConnectionId, Effect, Engine, RequestId};
use crate::core::connection::Change;
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::{Event, EventKind};
use crate::core::key::{Key, short_hash};
use crate::core::redis::reply::CommandError;
use crate::core::time::Timestamp;

impl Engine {
    pub(super) fn name(&self, cache: CacheId, key: &Key) -> String {
        let debug = self.config(cache).is_some_and(|config| config.debug);
        if debug { key.shown() } else { short_hash(&key.display()) }
    }

    pub(super) fn report(&mut self, request: RequestId, cache: CacheId, now: Timestamp, kind: EventKind) {
        if !matches!(kind, EventKind::Warning { .. })
            && !self.config(cache).is_some_and(|config| config.observed)
        {
            return;
        }
        let at = self.clock.host(now).as_ms();
        self.push(request, Effect::Report(cache, Event { at, request: request.0, kind }));
    }

    pub(super) fn report_failure(
        &mut self,
        request: RequestId,
        cache: CacheId,
        now: Timestamp,
        failure: &Failure,
    ) {
        let kind = EventKind::Failure { error: failure.kind, message: failure.message.clone() };
        self.report(request, cache, now, kind);
    }

    pub(super) fn report_change(
        &mut self,
        request: RequestId,
        cache: CacheId,
        now: Timestamp,
        change: Change,
        failure: Option<&Failure>,
    ) {
        let kind = EventKind::Connection {
            from: change.from,
            to: change.to,
            error: failure.map(|f| f.kind),
            message: failure.map(|f| f.message.clone()),
            until: change.until.map(|until| self.clock.host(until).as_ms()),
        };
        self.report(request, cache, now, kind);
    }

    /// Warns once for each connection that it is disabled.
    pub(super) fn warn_disabled(
        &mut self,
        request: RequestId,
        cache: CacheId,
        connection: ConnectionId,
        now: Timestamp,
    ) {
        let Some(why) = self.peer_mut(connection).and_then(|peer| peer.warning.take()) else { return };
        let message = format!("the cache is disabled, callbacks run and writes are refused: {why}");
        self.report(request, cache, now, EventKind::Warning { code: "disabled", message });
    }

    /// A command failed in an exchange that succeeded.
    pub(super) fn report_command(&mut self, lane: Lane, error: CommandError, now: Timestamp) {
        let message = format!("redis answered: {}", error.name());
        self.report(lane.request, lane.cache, now, EventKind::Failure { error: ErrorKind::Server, message });
    }
}
