//! L1: which values this isolate holds itself, how long they may be served, and which must go for others.
//!
//! Values stay with the driver. Here is what decides about them: when the read was sent that found one valid, how long it may be
//! served from then on, and what it depends on. The driver names one by its place here (`slot`), and by a number that is given to
//! no other (`id`), since places are used again.
//!
//! Who goes when there is no more room decides `quick_cache`: it withstands scans, and bounds what is held by weight. A weight is
//! bytes of the driver's memory, or the entry's share of this module's memory if that is more. It is told who was asked for when
//! the next one comes in, before it decides: a hit looks nothing up.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};

use quick_cache::unsync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::config::L1Config;
use super::engine::{CacheId, ConnectionId};
use super::fence::Seq;
use super::key::Key;
use super::raised::{Place, Raised};
use super::time::{Millis, Timestamp};

/// What an entry costs the driver besides its value and key: two entries of tables, and what is between them.
const OVERHEAD: u64 = 384;
/// All that is held here for the entries of one cache has room in so many bytes.
const MAX_METADATA: u64 = 4 << 20;
/// What is held here for one entry at least.
const METADATA: u64 = 224;
/// The names of so many that had to go are remembered: who comes back is not taken for one that is asked for once.
const REMEMBERED: usize = 8192;

/// Something that may be held, until the driver says how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub(crate) cache: CacheId,
    pub(crate) connection: ConnectionId,
    pub(crate) name: u64,
    /// The value was read from its source, or found valid, after this.
    pub(crate) since: Seq,
    /// Until when it may be served.
    pub(crate) until: Timestamp,
    /// How old the value is now, and when now is.
    pub(crate) age: Millis,
    pub(crate) at: Timestamp,
    pub(crate) places: Box<[Place]>,
    pub(crate) tags: Box<[Key]>,
}

/// Names something by its key. Two keys may share a name: one of them takes the other's place.
fn name_of(connection: ConnectionId, key: &Key) -> u64 {
    key.hash() ^ u64::from(connection.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Offer {
    /// A value that depends on these, and may be served until then.
    pub(crate) fn new(
        (cache, connection): (CacheId, ConnectionId),
        (key, spaces, tags): (&Key, &[Key], &[Key]),
        since: Seq,
        until: Timestamp,
        age: (Millis, Timestamp),
    ) -> Self {
        let places = core::iter::once(key).chain(spaces).chain(tags).map(Place::of).collect();
        let (age, at) = age;
        Self {
            cache,
            connection,
            name: name_of(connection, key),
            since,
            until,
            age,
            at,
            places,
            tags: tags.into(),
        }
    }

    /// Bytes of this module's memory.
    fn metadata(&self) -> u64 {
        let tags = self.tags.iter().map(|tag| tag.len() + 48).sum::<usize>();
        METADATA + (2 * self.places.len() + tags) as u64
    }
}

/// By which the driver names what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub slot: u32,
    /// 0 is none.
    pub id: u32,
}

/// What has become of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What the driver holds from now on; `None`: it is not to.
    pub ticket: Option<Ticket>,
    /// The numbers of what it holds no longer.
    pub gone: Vec<u32>,
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The value, of this age.
    Serve(Millis),
    /// Not this reader: Redis is asked.
    NotFor,
    /// Nobody any more: the driver holds it no longer.
    Gone,
}

#[derive(Clone, Debug)]
struct Slot {
    /// 0: the driver does not hold it any more. It keeps its place, as what comes back soon.
    id: u32,
    offer: Offer,
    /// No fence that was raised up to this one concerns it.
    checked: Seq,
    /// It has been asked for, which `ranks` does not know of yet.
    asked: bool,
}

/// What the isolate holds for one cache.
pub(crate) struct L1 {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Those that are `asked`, and perhaps some that are gone.
    asked: Vec<u32>,
    /// Who goes when there is no more room; by name.
    ranks: Cache<u64, Rank, Weight, BuildHasherDefault<Name>, Evicted>,
    max_bytes: u64,
}

impl fmt::Debug for L1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1").field("entries", &self.ranks.len()).field("bytes", &self.ranks.weight()).finish()
    }
}

impl L1 {
    pub(crate) fn new(config: L1Config) -> Option<Self> {
        let max_bytes = config.max_bytes;
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes)
            .estimated_items_capacity(REMEMBERED)
            .ghost_allocation(1.0)
            .build()
            .ok()?;
        let ranks = Cache::with_options(options, Weight, BuildHasherDefault::default(), Evicted);
        Some(Self { slots: Vec::new(), free: Vec::new(), asked: Vec::new(), ranks, max_bytes })
    }

    /// How many entries there are, and their weight.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.ranks.len() as u64, self.ranks.weight())
    }

    /// Takes something in that takes so many bytes of the driver's memory, in place of what has its name, unless that is newer.
    pub(crate) fn keep(&mut self, offer: Offer, bytes: u64, id: u32, raised: &mut Raised) -> Kept {
        let name = offer.name;
        let known = self.ranks.peek(&name).map(|rank| rank.slot);
        let mut gone = Vec::new();
        if let Some(slot) = known.and_then(|known| self.slot_mut(known)) {
            if slot.id != 0 && slot.offer.since > offer.since {
                return Kept::default();
            }
            gone.extend(number(core::mem::take(&mut slot.id)));
        }
        let covered = raised.any_since(&offer.places, offer.since);
        let share = offer.metadata().saturating_mul(self.max_bytes) / MAX_METADATA;
        let weight = bytes.saturating_add(OVERHEAD).max(share);
        if covered || weight > self.max_bytes / 8 {
            return Kept { ticket: None, gone };
        }
        self.rank();
        let slot = self.place(Slot { id, checked: offer.since, offer, asked: false });
        let mut evicted = Vec::from_iter(known);
        self.ranks.insert_with_lifecycle(name, Rank { slot, weight }, &mut evicted);
        // It may have been sent away at once.
        let ticket = (!evicted.contains(&slot)).then_some(Ticket { slot, id });
        for slot in evicted {
            gone.extend(self.vacate(slot).filter(|other| *other != id));
        }
        Kept { ticket, gone }
    }

    /// What of it a reader may have.
    pub(crate) fn get(&mut self, ticket: Ticket, now: Timestamp, raised: &mut Raised) -> Held {
        let Some(slot) = held(&mut self.slots, ticket) else { return Held::Gone };
        let offer = &slot.offer;
        if now >= offer.until {
            slot.id = 0;
            return Held::Gone;
        }
        if slot.checked < raised.newest() {
            if raised.any_since(&offer.places, offer.since) {
                slot.id = 0;
                return Held::Gone;
            }
            slot.checked = raised.newest();
        }
        if !slot.asked {
            slot.asked = true;
            self.asked.push(ticket.slot);
        }
        Held::Serve(Millis::new(offer.age.get().saturating_add(now.since(offer.at).get())))
    }

    /// The tags that it carries.
    pub(crate) fn tags(&self, ticket: Ticket) -> &[Key] {
        let slot = self.slots.get(ticket.slot as usize).and_then(Option::as_ref);
        slot.filter(|slot| slot.id == ticket.id).map_or(&[], |slot| &slot.offer.tags)
    }

    /// The driver is to hold it no longer.
    pub(crate) fn let_go(&mut self, ticket: Ticket) {
        if let Some(slot) = held(&mut self.slots, ticket) {
            slot.id = 0;
        }
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    fn place(&mut self, slot: Slot) -> u32 {
        if let Some(free) = self.free.pop()
            && let Some(place) = self.slots.get_mut(free as usize)
        {
            *place = Some(slot);
            return free;
        }
        self.slots.push(Some(slot));
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    /// Gives the number by which the driver held it.
    fn vacate(&mut self, slot: u32) -> Option<u32> {
        let left = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        number(left.id)
    }

    /// Tells `ranks` who has been asked for.
    fn rank(&mut self) {
        for number in self.asked.drain(..) {
            let slot = self.slots.get_mut(number as usize).and_then(Option::as_mut);
            let Some(slot) = slot.filter(|slot| slot.asked) else { continue };
            slot.asked = false;
            self.ranks.get(&slot.offer.name);
        }
    }
}

/// What is held under a ticket.
fn held(slots: &mut [Option<Slot>], Ticket { slot, id }: Ticket) -> Option<&mut Slot> {
    slots.get_mut(slot as usize)?.as_mut().filter(|slot| slot.id == id && id != 0)
}

const fn number(id: u32) -> Option<u32> {
    if id == 0 { None } else { Some(id) }
}

#[derive(Clone, Copy, Debug)]
struct Rank {
    slot: u32,
    weight: u64,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<u64, Rank> for Weight {
    fn weight(&self, _: &u64, rank: &Rank) -> u64 {
        rank.weight
    }
}

/// Collects the slots of what has to go.
#[derive(Clone, Debug)]
struct Evicted;

impl Lifecycle<u64, Rank> for Evicted {
    type RequestState = Vec<u32>;

    fn on_evict(&self, evicted: &mut Vec<u32>, _: u64, rank: Rank) {
        evicted.push(rank.slot);
    }
}

/// A name is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct Name(u64);

impl Hasher for Name {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, name: u64) {
        self.0 = name.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::L1Values;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::format;

    const LATER: Timestamp = Timestamp::from_ms(1_000);

    fn l1(max_bytes: u64) -> L1 {
        let values = L1Values::Frozen;
        L1::new(L1Config { ttl: Millis::seconds(1), max_bytes, values }).expect("sound options")
    }

    fn offer(n: u64, since: u64) -> Offer {
        let key = Key::entry("p", "", &format!("key:{n}"));
        let age = (Millis::ZERO, Timestamp::default());
        Offer::new((CacheId(0), ConnectionId(0)), (&key, &[], &[]), Seq(since), LATER, age)
    }

    /// Keeps one, and reads it, if it is held.
    fn keep(l1: &mut L1, n: u64, bytes: u64, id: u32) -> Kept {
        l1.keep(offer(n, u64::from(id)), bytes, id, &mut Raised::new())
    }

    fn is_held(l1: &mut L1, ticket: Ticket) -> bool {
        matches!(l1.get(ticket, Timestamp::default(), &mut Raised::new()), Held::Serve(_))
    }

    fn ticket(kept: Kept) -> Ticket {
        kept.ticket.expect("there is room")
    }

    #[test]
    fn a_million_of_them_take_no_more_than_there_is_room_for() {
        let mut l1 = l1(1 << 20);
        let (mut held, mut weight) = (BTreeMap::new(), 0);
        for n in 0..1_000_000_u32 {
            let bytes = u64::from(n % 5_000);
            let kept = keep(&mut l1, u64::from(n), bytes, n + 1);
            for id in kept.gone {
                weight -= held.remove(&id).expect("it was held");
            }
            if kept.ticket.is_some() {
                held.insert(n + 1, bytes);
                weight += bytes;
            }
            assert!(l1.size().1 <= 1 << 20 && weight <= 1 << 20, "{n}: {:?} {weight}", l1.size());
        }
        assert!(held.len() > 100 && held.len() as u64 == l1.size().0);
    }

    #[test]
    fn keys_that_are_asked_for_once_do_not_push_out_those_that_are_asked_for() {
        let mut l1 = l1(1 << 20);
        let hot: Vec<Ticket> = (0..100).map(|n| ticket(keep(&mut l1, n.into(), 2_000, 1 + n))).collect();
        for n in 0..20_000_u32 {
            keep(&mut l1, 1_000 + u64::from(n), 2_000, 1_000 + n);
            if n % 200 == 0 {
                for ticket in &hot {
                    is_held(&mut l1, *ticket);
                }
            }
        }
        let left = hot.iter().filter(|ticket| is_held(&mut l1, **ticket)).count();
        assert!(left >= 95, "{left} of {}", hot.len());
    }

    #[test]
    fn what_is_too_large_is_not_held_and_takes_the_old_one_with_it() {
        let mut l1 = l1(1 << 16);
        let old = ticket(keep(&mut l1, 1, 100, 1));
        assert_eq!(keep(&mut l1, 1, 1 << 13, 2), Kept { ticket: None, gone: Vec::from([1]) });
        assert!(!is_held(&mut l1, old));
    }

    #[test]
    fn a_place_that_is_used_again_is_not_taken_for_what_was_there() {
        let mut l1 = l1(1 << 16);
        let old = ticket(keep(&mut l1, 1, 100, 1));
        let new = ticket(keep(&mut l1, 1, 100, 2));
        let other = ticket(keep(&mut l1, 2, 100, 3));
        assert_eq!(other.slot, old.slot);
        assert!(!is_held(&mut l1, old) && is_held(&mut l1, new) && is_held(&mut l1, other));
        l1.let_go(old);
        assert!(is_held(&mut l1, other));
        l1.let_go(other);
        assert!(!is_held(&mut l1, other) && !is_held(&mut l1, Ticket { id: 0, ..other }));
    }

    #[test]
    fn what_the_core_holds_for_them_has_a_limit_of_its_own() {
        let mut l1 = l1(1 << 26);
        for n in 0..100_000 {
            keep(&mut l1, n, 10, 1 + u32::try_from(n).expect("small"));
        }
        assert!(l1.size().0 * METADATA <= MAX_METADATA, "{:?}", l1.size());
    }

    proptest! {
        /// Beside what a naive driver believes, which holds whatever it is told to and drops what it is told to.
        #[test]
        fn the_driver_is_told_of_all_that_goes(calls in proptest::collection::vec((0..40_u64, 0..9_000_u64), 1..200)) {
            let mut l1 = l1(1 << 16);
            let mut held: BTreeMap<u64, (Ticket, u64)> = BTreeMap::new();
            for (id, (n, bytes)) in (1..).zip(calls) {
                let kept = keep(&mut l1, n, bytes, id);
                held.retain(|_, (ticket, _)| !kept.gone.contains(&ticket.id));
                if let Some(ticket) = kept.ticket {
                    prop_assert!(held.insert(n, (ticket, bytes)).is_none(), "the old one was told to be gone");
                }
                prop_assert!(held.values().map(|(_, bytes)| bytes).sum::<u64>() <= 1 << 16);
            }
            for (ticket, _) in held.values() {
                prop_assert!(is_held(&mut l1, *ticket));
            }
            prop_assert!(held.len() as u64 <= l1.size().0, "what is let go of keeps its place");
        }
    }
}
