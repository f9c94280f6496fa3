//! L1: what reads find valid is offered to it, and readers are served from it without an operation.

use alloc::boxed::Box;

use super::{CacheId, ConnectionId, Effect, Engine, Freshness, OpId, RequestId};
use crate::core::config::L1Config;
use crate::core::key::{Key, short_hash};
use crate::core::l1::{Held, Kept, L1, Offer, Ticket};
use crate::core::time::{Millis, Timestamp};

/// At most so many caches hold values: their metadata share this module's memory. Those beyond hold none.
const MAX_L1S: usize = 4;

impl Engine {
    /// Makes room for what a cache holds, if it is to hold anything.
    pub(super) fn add_l1(&mut self, config: Option<L1Config>) {
        let there_are = self.l1s.iter().flatten().count();
        self.l1s.push(config.filter(|_| there_are < MAX_L1S).and_then(L1::new));
    }

    /// How a cache holds values; `None`: not at all.
    #[must_use]
    pub fn l1(&self, cache: CacheId) -> Option<L1Config> {
        self.l1s.get(cache.0 as usize)?.as_ref()?;
        self.config(cache)?.l1
    }

    /// What a read found in Redis, or what its fill has stored, may be held. It is fresh for `fresh` from when its read was sent,
    /// and of the given age now.
    pub(super) fn offer(&mut self, id: OpId, tags: &[Key], fresh: Millis, age: Millis, now: Timestamp) {
        let Some(op) = self.ops.get(&id) else { return };
        let (Some(read), Some(l1)) = (op.read(), self.l1(op.cache)) else { return };
        let Some(sent) = read.sent.filter(|_| read.l1) else { return };
        let until = sent.after(fresh.min(l1.ttl));
        let depends: (&Key, &[Key], &[Key]) = (&read.key, &read.spaces, tags);
        let offer = Offer::new((op.cache, op.connection), depends, op.start, until, (age, now));
        let request = op.request;
        if now < until {
            self.push(request, Effect::Keep(id, Box::new(offer)));
        }
    }

    /// The driver can hold what was offered, in so many bytes of its memory.
    pub fn keep(&mut self, offer: Offer, bytes: u64) -> Kept {
        let (cache, connection) = (offer.cache.0 as usize, offer.connection.0 as usize);
        let (Some(Some(l1)), Some(peer)) = (self.l1s.get_mut(cache), self.peers.get_mut(connection)) else {
            return Kept::default();
        };
        // 0 is none.
        self.next_held = self.next_held.wrapping_add(1).max(1);
        l1.keep(offer, bytes, self.next_held, peer.journal.raised())
    }

    /// What a read gets of something that is held, which has no options.
    pub fn held(&mut self, cache: CacheId, connection: ConnectionId, ticket: Ticket, host: f64) -> Held {
        let now = self.now(host);
        let (Some(Some(l1)), Some(peer)) =
            (self.l1s.get_mut(cache.0 as usize), self.peers.get_mut(connection.0 as usize))
        else {
            return Held::Gone;
        };
        let held = l1.get(ticket, now, peer.journal.raised());
        peer.stats.l1_hits += u64::from(matches!(held, Held::Serve(_)));
        held
    }

    /// The same for one that has: it can only tighten what was decided when it was stored.
    #[allow(clippy::too_many_arguments, reason = "they are the read's")]
    pub fn held_for(
        &mut self,
        cache: CacheId,
        connection: ConnectionId,
        ticket: Ticket,
        space: &str,
        tags: &[&str],
        freshness: Freshness,
        host: f64,
    ) -> Held {
        let Some(Some(l1)) = self.l1s.get_mut(cache.0 as usize) else { return Held::Gone };
        match freshness {
            Freshness::Normal => {}
            Freshness::Strict => return Held::NotFor,
            Freshness::Forced => {
                // What it computes is newer, also for those who come later.
                l1.let_go(ticket);
                return Held::Gone;
            }
        }
        let carried = l1.tags(ticket);
        let prefix = self.caches.get(cache.0 as usize).map_or("", |config| &config.prefix);
        if !tags.iter().all(|tag| carried.contains(&Key::tag(prefix, space, tag))) {
            return Held::NotFor;
        }
        self.held(cache, connection, ticket, host)
    }

    /// A request is about to `set` a key whose value it has got from L1: what it stores may follow from that.
    pub fn took(
        &mut self,
        request: RequestId,
        cache: CacheId,
        connection: ConnectionId,
        space: &str,
        key: &str,
    ) {
        let Some(config) = self.config(cache) else { return };
        let key = Key::entry(&config.prefix, space, key);
        if let Some(peer) = self.peer_mut(connection) {
            peer.seen.spoil(request, &key);
        }
    }

    /// How events name a key.
    #[must_use]
    pub fn name_in_events(&self, cache: CacheId, key: &str) -> alloc::string::String {
        if self.config(cache).is_some_and(|config| config.debug) { key.into() } else { short_hash(key) }
    }
}
