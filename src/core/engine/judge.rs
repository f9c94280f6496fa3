//! What a read does about what Redis has: serves it, keeps it, asks again, or runs the callback.

use alloc::vec::Vec;

use super::found::{Found, Source as FoundSource, State};
use super::op::{Kept, Op, Read, ReadStep, Refresh};
use super::{Effect, Engine, Freshness, OpId, Served, Source};
use crate::core::basis::Basis;
use crate::core::entry::Header;
use crate::core::error::{ErrorKind, Failure};
use crate::core::event::{Bypass, LeaseOutcome, Outcome};
use crate::core::flight::Stage;
use crate::core::journal::Cover;
use crate::core::key::Key;
use crate::core::time::{Millis, Timestamp};

impl Engine {
    /// What is done about what Redis has.
    pub(super) fn judge(
        &mut self,
        id: OpId,
        batch: super::BatchId,
        found: Found,
        deadline: Timestamp,
        now: Timestamp,
    ) {
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            // What an earlier reply held may have ended since.
            read.stale = None;
            read.bounds.looked();
        }
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        let tags: Vec<Key> = found
            .header
            .iter()
            .flat_map(|header| &header.tags)
            .map(|(name, _)| key.sibling_tag(name))
            .collect();
        if found.state == State::Tags {
            return self.ask_with_tags(id, &tags, deadline, now);
        }
        if found.state == State::Spoiled && !read.spoiled {
            let failure = Failure::new(ErrorKind::Decode, "the stored entry cannot be read");
            self.report_failure(lane.request, lane.cache, now, &failure);
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.spoiled = true;
            }
            return self.ask_read(id, deadline, true, now);
        }
        // Another's drop may have been acknowledged since, which was not before this read.
        let ahead = read.ahead.iter().map(|(_, cover)| *cover).max();
        let cover = self.cover_of(id, &tags, now).max(ahead);
        if matches!(cover, Some(Cover::Pending | Cover::Refused)) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        let marked = found.state == State::Marked;
        self.take_basis(id, &found, &tags);
        if marked {
            // Nobody waits for what is marked.
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.marked = true;
            }
            self.end_own_flight(id, Stage::Unstorable);
            return self.run(id, None, now);
        }
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            let asked = !read.lease.token.is_empty() && read.freshness != Freshness::Forced;
            let fresh = found.header.as_ref().filter(|_| found.state == State::Fresh);
            let promised = fresh.filter(|_| found.source == FoundSource::Script);
            read.fresh = promised.map(|header| header.left(found.now));
            read.lease.taken = asked && found.state != State::Fresh && found.lease == Millis::ZERO;
        }
        let Some((_, read)) = self.reading(id) else { return };
        let waits = read.load && read.lease.wait > Millis::ZERO && read.freshness != Freshness::Forced;
        let waits = waits && found.lease > Millis::ZERO;
        if let (Some(header), Some(place)) = (&found.header, &found.place) {
            let (kind, encoding) = (header.kind, found.encoding);
            let limit = self.max_value(lane);
            let source = Source::Reply { batch, place: place.clone(), encoding, kind, limit };
            match fit(read, header, &found, cover == Some(Cover::Soft), lane.anchored) {
                Fit::Serve { served, refresh } => {
                    self.end_lease_wait(id, LeaseOutcome::Filled, now);
                    let stale = served.outcome == Outcome::Stale;
                    let staleness = stale.then(|| header.staleness(found.now));
                    let refresh = match refresh {
                        true => Refresh::Leased,
                        false if !stale && self.is_early(id, header, &found) => Refresh::Early,
                        false => Refresh::No,
                    };
                    self.set_step(id, ReadStep::Decoding { served, tags, refresh, staleness });
                    self.set_due(id, Some(deadline));
                    return self.push(lane.request, Effect::Decode(id, source));
                }
                // Who is served nothing of it waits for whoever computes, as after a miss.
                Fit::Keep { left, .. } if left == Millis::ZERO && waits => {}
                Fit::Keep { served, left } => {
                    self.set_step(id, ReadStep::Stashing(Kept { served, tags, at: now, left }));
                    self.set_due(id, Some(deadline));
                    return self.push(lane.request, Effect::Stash(id, source));
                }
                Fit::No => {}
            }
        }
        if waits {
            return self.await_lease(id, found.lease, now);
        }
        self.end_lease_wait(id, LeaseOutcome::Taken, now);
        self.run(id, None, now);
    }

    /// The entry carries tags that were not named: their versions are asked for, once.
    pub(super) fn ask_with_tags(&mut self, id: OpId, tags: &[Key], deadline: Timestamp, now: Timestamp) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        if read.retagged {
            return self.run(id, None, now);
        }
        read.retagged = true;
        for tag in tags {
            if !read.named.contains(tag) && !read.hinted.contains(tag) {
                read.hinted.push(tag.clone());
            }
        }
        self.remember_tags(id, tags);
        if self.cover_of(id, &[], now) == Some(Cover::Refused) {
            return self.run(id, Some(Bypass::PendingInvalidation), now);
        }
        self.ask_read(id, deadline, true, now);
    }

    /// Remembers which tags the value carries: also those that this reader names, since the next one may not.
    pub(super) fn remember_tags(&mut self, id: OpId, tags: &[Key]) {
        let Some((lane, read)) = self.reading(id) else { return };
        let key = read.key.clone();
        if let Some(peer) = self.peer_mut(lane.connection)
            && peer.tagged.of(&key) != tags
        {
            peer.tagged.learn(&key, tags.to_vec());
        }
    }

    /// Keeps what a fill must name, and what a `set` of this request can be exact by.
    pub(super) fn take_basis(&mut self, id: OpId, found: &Found, tags: &[Key]) {
        let Some(op) = self.ops.get_mut(&id) else { return };
        let (request, connection) = (op.request, op.connection);
        let Some(read) = op.read_mut() else { return };
        if found.source == FoundSource::Plain || found.state == State::Marked {
            // Nothing can be stored, or must not be.
            return;
        }
        read.entry = found.header.as_ref().map_or_else(Basis::default, |header| {
            let own = core::iter::once(&read.key).chain(&read.spaces).cloned();
            let own = own.zip(header.stamps.iter().cloned());
            let tags = tags.iter().cloned().zip(header.tags.iter().map(|(_, stamp)| stamp.clone()));
            Basis::new(own.chain(tags).collect())
        });
        read.basis = if found.state == State::Fresh {
            read.entry.clone()
        } else {
            Basis::new(read.depends().cloned().zip(found.stamps.iter().cloned()).collect())
        };
        // The callback may be shown it.
        let first = if read.entry.is_empty() { &read.basis } else { &read.entry }.clone();
        if let Some(peer) = self.peers.get_mut(connection.0 as usize)
            && !first.is_empty()
        {
            peer.seen.note_first(request, &first);
        }
    }
}

/// What an entry is good for.
enum Fit {
    /// It is served; and refreshed behind the answer.
    Serve { served: Served, refresh: bool },
    /// It is kept: for the callback to look at, and for so long for the caller, if that fails or is late.
    Keep { served: Served, left: Millis },
    /// Nothing.
    No,
}

/// What a valid entry is good for; `expired`: an expiry of it has not been acknowledged.
fn fit(read: &Read, header: &Header, found: &Found, expired: bool, anchored: bool) -> Fit {
    let served = |outcome| Served {
        outcome,
        reason: None,
        shared: false,
        age: header.age(found.now),
        stored: Some(true),
    };
    if read.freshness == Freshness::Forced {
        return Fit::No;
    }
    if found.state == State::Fresh && !expired {
        return Fit::Serve { served: served(Outcome::Hit), refresh: false };
    }
    if read.freshness != Freshness::Normal || !read.load {
        return Fit::No;
    }
    let staleness = header.staleness(found.now);
    // Who got the lease refreshes, behind its answer, or at once if it cannot behind; the others need not.
    let refresh = found.lease == Millis::ZERO;
    if staleness < header.swr.min(read.life.swr) && (anchored || !refresh) {
        return Fit::Serve { served: served(Outcome::Stale), refresh };
    }
    let bound = header.stale_if_error.min(read.life.stale_if_error);
    let left = Millis::new(bound.get().saturating_sub(staleness.get()));
    Fit::Keep { served: served(Outcome::Stale), left }
}
