//! What outlives an instance: what it hands out to be kept, and takes in. And what a driver must know of a write before it begins
//! one: should this instance fail before it has handed out the write's fences, the driver can still leave them to the next.

use alloc::string::String;
use alloc::vec::Vec;

use super::write::targets;
use super::{CacheId, ConnectionId, Effect, Engine, Targets};
use crate::core::fence::{Fence, Seq};
use crate::core::journal::Depth;
use crate::core::key::Key;
use crate::core::time::Timestamp;

impl Engine {
    /// Something that must outlive this instance. Whoever polls first keeps it.
    pub(super) fn take_change(&mut self) -> Option<Effect> {
        let Self { peers, clock, .. } = self;
        for (number, peer) in (0..).zip(peers) {
            let connection = ConnectionId(number);
            if let Some((key, record)) = peer.journal.take_change(|time| clock.host(time)) {
                return Some(Effect::Persist(connection, String::from(key.redis()), record));
            }
            if let Some(record) = peer.connection.take_change(|time| clock.host(time)) {
                return Some(Effect::Persist(connection, String::new(), Some(record)));
            }
        }
        None
    }

    /// Takes in what an earlier instance had kept for the same endpoint and credentials. `false`: it is not of its making.
    pub fn restore(&mut self, connection: ConnectionId, name: &str, record: &str, host: f64) -> bool {
        let now = self.now(host);
        let at = self.tick();
        let Some(peer) = self.peer_mut(connection) else { return false };
        if name.is_empty() {
            return peer.connection.restore(record).is_some();
        }
        Key::parse(name).and_then(|key| peer.journal.restore(&key, record, at, now)).is_some()
    }

    /// The names under which fences of a write would be handed out, see `Effect::Persist`.
    #[must_use]
    pub fn names(&self, cache: CacheId, space: &str, given: Targets<'_>) -> Vec<String> {
        let Some(config) = self.config(cache) else { return Vec::new() };
        targets(&config.prefix, space, given).keys().map(|key| String::from(key.redis())).collect()
    }

    /// The record of an invalidation, or of an expiry, that is still to be sent, see `restore`.
    #[must_use]
    pub fn owed(soft: bool) -> String {
        let depth = if soft { Depth::Soft } else { Depth::Hard };
        Fence::pending(depth, Seq::default(), Timestamp::default()).record(|time| time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{CacheConfig, Endpoint};

    #[test]
    fn what_is_owed_is_pending_in_the_instance_that_it_is_given_to() {
        let mut engine = Engine::new([1, 2]);
        let cache = engine.cache(CacheConfig::default()).expect("room");
        let endpoint = Endpoint::new("https://redis.test", "token").map_err(|_| String::new());
        let link = engine.open(endpoint).expect("room");
        let names = engine.names(cache, "a", Targets { keys: &["k", "k"], tags: &["t"], all: true });
        assert_eq!(names, ["leeward:k:a:k", "leeward:n:a", "leeward:t:a:t"]);
        for (name, soft) in names.iter().zip([false, true, false]) {
            assert!(engine.restore(link, name, &Engine::owed(soft), 5.0), "{name}");
        }
        assert_eq!(engine.stats(link).map(|stats| stats.journal), Some(3));
    }
}
