//! Single-flight: one read and one callback for a key at a time, and who may take what they give.
//!
//! A flight's steps (read sent, callback started, fill sent) and the moments at which others join it have one order in the
//! isolate. From that order follows what a follower may take, so that nobody gets data older than its own start allows:
//!
//! * a hit, if it joined before the read was sent;
//! * a computed value, stored or not, if it joined before the callback started;
//! * one whose callback had started before, once a fill that was sent after it joined is known to be stored: then no
//!   invalidation came in between;
//! * while the connection is down, any computed value: there is no verdict to wait for.
//!
//! What is stored is for those alone whose tags it carries; and nothing is for who began after an invalidation of it had, in this
//! isolate, but what was computed since: see `fallen.rs`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hashbrown::HashMap;

use super::basis::Basis;
use super::engine::{CacheId, ConnectionId, SharedId};
use super::event::{Bypass, Outcome};
use super::journal::Seq;
use super::key::{Key, KeyKind};
use super::time::{Millis, Timestamp};

/// At most so many flights; beyond, operations do their own work.
const MAX_FLIGHTS: usize = 2048;
/// A full table is swept at most this often.
pub(crate) const SWEEP: Millis = Millis::seconds(1);

/// A flight's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlightId(pub(crate) u32);

/// How far a flight is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Looking in Redis.
    Reading,
    /// The callback runs.
    Running,
    /// There is a value, its fill is under way.
    Computed,
    /// Redis had it.
    Hit,
    /// The value is stored.
    Stored,
    /// There is a value, and it was not stored.
    NotStored,
    /// The value cannot be stored, ever.
    Unstorable,
    /// No value: the callback failed, or the leader gave up.
    Failed,
}

/// What a follower is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Take the value, unless a fence covers it, or has until lately.
    Value,
    /// Take the value: its callback started later.
    Fresh,
    /// Wait for this to settle.
    Wait(SharedId),
    /// Read again: nothing in this flight is for it.
    Again,
    /// Run the own callback at once: the value cannot be shared.
    PassThrough,
}

/// Who wants something of a flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joiner<'a> {
    /// When it joined.
    pub(crate) joined: Seq,
    /// The tags that the value must carry, unless its callback started later.
    pub(crate) tags: &'a [Key],
    /// A value that has been stale for less will do.
    pub(crate) swr: Millis,
    /// Nothing without a verdict will do, whatever the connection's state.
    pub(crate) verified: bool,
    /// Only a value whose callback started later will do.
    pub(crate) forced: bool,
}

/// One flight.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) at: (ConnectionId, Key, CacheId),
    pub(crate) stage: Stage,
    /// When its leader began.
    pub(crate) began: Seq,
    pub(crate) read_sent: Option<Seq>,
    pub(crate) callback_started: Option<Seq>,
    /// The same as a time.
    pub(crate) running_since: Option<Timestamp>,
    pub(crate) fill_sent: Option<Seq>,
    /// Past it, followers do their own work and the flight is replaced.
    pub(crate) deadline: Timestamp,
    /// Whether the value can be stored: a generation was read before the callback started.
    pub(crate) storable: bool,
    /// Whether the value may be shared without a verdict.
    pub(crate) unverified: bool,
    /// Its leader looks for nothing stored.
    pub(crate) forced: bool,
    /// The tags that its leader names.
    pub(crate) named: Vec<Key>,
    /// The tags that the value carries, once there is one.
    pub(crate) value_tags: Vec<Key>,
    /// What the value rests on; empty: nothing may be stored that follows from it.
    pub(crate) basis: Basis,
    /// How long it has been stale, if it is a hit and stale.
    pub(crate) staleness: Option<Millis>,
    /// What the value is to those who take it.
    pub(crate) outcome: (Outcome, Option<Bypass>),
    /// Its age, if it is a hit.
    pub(crate) age: Millis,
    /// Settles when there is a value, or none will come.
    pub(crate) value: SharedId,
    /// Settles when the fill's verdict is known.
    pub(crate) verdict: SharedId,
    pub(crate) followers: u32,
}

impl Flight {
    pub(crate) fn take(&self, joiner: Joiner<'_>) -> Take {
        let before = |step: Option<Seq>| step.is_none_or(|step| joiner.joined < step);
        let carries = joiner.tags.iter().all(|tag| self.value_tags.contains(tag));
        let fresh_enough = self.staleness.is_none_or(|staleness| staleness < joiner.swr);
        match self.stage {
            Stage::Reading | Stage::Running => Take::Wait(self.value),
            Stage::Hit if before(self.read_sent) && carries && fresh_enough && !joiner.forced => Take::Value,
            Stage::Hit | Stage::Failed => Take::Again,
            Stage::Unstorable => Take::PassThrough,
            Stage::Computed | Stage::Stored | Stage::NotStored if before(self.callback_started) => {
                Take::Fresh
            }
            Stage::Computed | Stage::Stored | Stage::NotStored if self.unverified && !joiner.verified => {
                Take::Value
            }
            Stage::Computed if joiner.forced => Take::Again,
            Stage::Computed => Take::Wait(self.verdict),
            Stage::Stored
                if self.fill_sent.is_some_and(|sent| joiner.joined < sent) && carries && !joiner.forced =>
            {
                Take::Value
            }
            Stage::Stored | Stage::NotStored => Take::Again,
        }
    }

    /// Whether an operation that joins now can hope for anything.
    fn joinable(&self, forced: bool, now: Timestamp) -> bool {
        let hope = match self.stage {
            Stage::Reading => self.forced || !forced,
            Stage::Running => (self.storable || self.unverified) && !forced,
            // The fill has been sent or is about to be: who joins now could not take it.
            _ => false,
        };
        hope && now < self.deadline
    }

    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.stage, Stage::Reading | Stage::Running | Stage::Computed)
    }
}

/// All flights of an instance. A flight that is over, voided or late is no longer `current`, and is kept only for those who
/// had joined.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    current: BTreeMap<(ConnectionId, Key, CacheId), FlightId>,
    all: HashMap<FlightId, Flight>,
    next: u32,
    swept: Option<Timestamp>,
}

impl Flights {
    /// The flight to join, if there is one. One that is late is replaced.
    pub(crate) fn joinable(
        &mut self,
        at: &(ConnectionId, Key, CacheId),
        forced: bool,
        now: Timestamp,
    ) -> Option<FlightId> {
        let id = *self.current.get(at)?;
        if self.all.get(&id).is_some_and(|flight| flight.joinable(forced, now)) {
            return Some(id);
        }
        self.current.remove(at);
        None
    }

    /// Starts a flight, forced or not, whose leader began at `began` and names these tags. `None`: there are too many.
    pub(crate) fn start(
        &mut self,
        at: &(ConnectionId, Key, CacheId),
        began: Seq,
        kind: (bool, &[Key]),
        deadline: Timestamp,
        (value, verdict): (SharedId, SharedId),
        now: Timestamp,
    ) -> Option<FlightId> {
        if self.all.len() >= MAX_FLIGHTS {
            // Not at every call of a storm: it looks at the whole table.
            if self.swept.is_none_or(|swept| now.since(swept) > SWEEP) {
                self.swept = Some(now);
                self.sweep(now);
            }
            if self.all.len() >= MAX_FLIGHTS {
                return None;
            }
        }
        self.next = self.next.wrapping_add(1);
        let id = FlightId(self.next);
        let flight = Flight {
            at: at.clone(),
            stage: Stage::Reading,
            began,
            read_sent: None,
            callback_started: None,
            running_since: None,
            fill_sent: None,
            deadline,
            storable: false,
            unverified: false,
            forced: kind.0,
            named: kind.1.to_vec(),
            value_tags: Vec::new(),
            basis: Basis::default(),
            staleness: None,
            outcome: (Outcome::Miss, None),
            age: Millis::ZERO,
            value,
            verdict,
            followers: 0,
        };
        self.all.insert(id, flight);
        self.current.insert(at.clone(), id);
        Some(id)
    }

    pub(crate) fn get(&self, id: FlightId) -> Option<&Flight> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.all.get_mut(&id)
    }

    /// The flight has ended so: nobody joins it any more. Its promises are for the caller to settle.
    pub(crate) fn end(&mut self, id: FlightId, stage: Stage) {
        self.detach(id);
        let Some(flight) = self.all.get_mut(&id) else { return };
        flight.stage = stage;
        if flight.followers == 0 {
            self.all.remove(&id);
        }
    }

    /// One follower less.
    pub(crate) fn leave(&mut self, id: FlightId) {
        let Some(flight) = self.all.get_mut(&id) else { return };
        flight.followers = flight.followers.saturating_sub(1);
        if flight.followers == 0 && flight.is_over() {
            self.all.remove(&id);
        }
    }

    /// Takes a flight out of the way, so that the next operation starts another.
    pub(crate) fn detach(&mut self, id: FlightId) {
        let Some(flight) = self.all.get(&id) else { return };
        if self.current.get(&flight.at) == Some(&id) {
            self.current.remove(&flight.at);
        }
    }

    /// Voids the flights that depend on this, whichever cache they belong to: those who start now must not join what began
    /// before. What a flight turns out to depend on later is looked at when its value is taken.
    pub(crate) fn void(&mut self, connection: ConnectionId, target: &Key) {
        let all = &self.all;
        let voids = |at: &(ConnectionId, Key, CacheId), id: &FlightId| match target.kind() {
            KeyKind::Entry => at.1 == *target,
            KeyKind::Tag => all.get(id).is_some_and(|flight| flight.named.contains(target)),
            KeyKind::Namespace => at.1.namespaces().contains(target),
        };
        if target.kind() == KeyKind::Entry {
            let from = (connection, target.clone(), CacheId::MIN);
            let to = (connection, target.clone(), CacheId::MAX);
            let voided: Vec<_> = self.current.range(from..=to).map(|(at, _)| at.clone()).collect();
            for at in voided {
                self.current.remove(&at);
            }
        } else {
            self.current.retain(|at, id| at.0 != connection || !voids(at, id));
        }
    }

    /// Forgets flights long past their deadline: their leaders or followers were ended without a word.
    fn sweep(&mut self, now: Timestamp) {
        let late = |f: &Flight| f.deadline.after(Millis::seconds(60)) < now;
        self.all.retain(|_, flight| !late(flight));
        let all = &self.all;
        self.current.retain(|_, id| all.contains_key(id));
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(0);

    fn flights() -> (Flights, FlightId, (ConnectionId, Key, CacheId)) {
        let mut flights = Flights::default();
        let at = (ConnectionId(0), Key::entry("p", "", "k"), CacheId(0));
        let id = flights
            .start(&at, Seq(1), (false, &[]), Timestamp::from_ms(2000), (SharedId(1), SharedId(2)), NOW)
            .expect("room");
        (flights, id, at)
    }

    fn joiner(joined: u64) -> Joiner<'static> {
        Joiner { joined: Seq(joined), tags: &[], swr: Millis::ZERO, verified: false, forced: false }
    }

    #[test]
    fn a_hit_is_for_those_who_joined_before_the_read_was_sent() {
        let (mut flights, id, _) = flights();
        let flight = flights.get_mut(id).expect("exists");
        flight.read_sent = Some(Seq(5));
        flight.stage = Stage::Hit;
        assert_eq!(flight.take(joiner(4)), Take::Value);
        assert_eq!(flight.take(joiner(6)), Take::Again);
    }

    #[test]
    fn a_computed_value_is_for_those_who_joined_before_the_callback_or_for_all_once_stored() {
        let (mut flights, id, _) = flights();
        let flight = flights.get_mut(id).expect("exists");
        flight.read_sent = Some(Seq(5));
        flight.callback_started = Some(Seq(10));
        flight.stage = Stage::Computed;
        assert_eq!(flight.take(joiner(9)), Take::Fresh);
        assert_eq!(flight.take(joiner(11)), Take::Wait(SharedId(2)));
        flight.fill_sent = Some(Seq(15));
        flight.stage = Stage::Stored;
        assert_eq!(flight.take(joiner(11)), Take::Value);
        assert_eq!(flight.take(joiner(16)), Take::Again, "the verdict of a fill sent before it joined");
        flight.stage = Stage::NotStored;
        assert_eq!(flight.take(joiner(11)), Take::Again);
        assert_eq!(flight.take(joiner(9)), Take::Fresh);
        flight.unverified = true;
        assert_eq!(flight.take(joiner(11)), Take::Value);
    }

    #[test]
    fn what_is_stored_is_for_those_whose_tags_it_carries() {
        let (mut flights, id, _) = flights();
        let tag = |name: &str| Key::tag("p", "", name);
        let flight = flights.get_mut(id).expect("exists");
        flight.value_tags = alloc::vec![tag("a"), tag("b")];
        flight.stage = Stage::Hit;
        flight.read_sent = Some(Seq(5));
        assert_eq!(flight.take(Joiner { tags: &[tag("a")], ..joiner(4) }), Take::Value);
        assert_eq!(flight.take(Joiner { tags: &[tag("c")], ..joiner(4) }), Take::Again);
        flight.callback_started = Some(Seq(10));
        flight.fill_sent = Some(Seq(15));
        flight.stage = Stage::Stored;
        assert_eq!(flight.take(Joiner { tags: &[tag("c")], ..joiner(11) }), Take::Again);
        assert_eq!(flight.take(Joiner { tags: &[tag("c")], ..joiner(9) }), Take::Fresh, "computed for it");
    }

    #[test]
    fn a_stale_value_is_for_those_who_take_one_so_stale() {
        let (mut flights, id, _) = flights();
        let flight = flights.get_mut(id).expect("exists");
        flight.stage = Stage::Hit;
        flight.staleness = Some(Millis::new(10));
        assert_eq!(flight.take(joiner(4)), Take::Again);
        assert_eq!(flight.take(Joiner { swr: Millis::new(11), ..joiner(4) }), Take::Value);
        assert_eq!(flight.take(Joiner { swr: Millis::new(10), ..joiner(4) }), Take::Again);
    }

    #[test]
    fn who_forces_takes_only_what_starts_later_and_the_strict_nothing_unverified() {
        let (mut flights, id, at) = flights();
        assert_eq!(flights.joinable(&at, true, NOW), None, "it looks for what is stored");
        let flight = flights.get_mut(id).expect("exists");
        let forced = |joined| Joiner { forced: true, verified: true, ..joiner(joined) };
        flight.stage = Stage::Hit;
        assert_eq!(flight.take(forced(4)), Take::Again);
        flight.callback_started = Some(Seq(10));
        flight.fill_sent = Some(Seq(15));
        flight.stage = Stage::Stored;
        assert_eq!(flight.take(forced(9)), Take::Fresh);
        assert_eq!(flight.take(forced(11)), Take::Again);
        flight.stage = Stage::NotStored;
        flight.unverified = true;
        assert_eq!(flight.take(Joiner { verified: true, ..joiner(11) }), Take::Again);
        assert_eq!(flight.take(joiner(11)), Take::Value);
    }

    #[test]
    fn an_unstorable_value_frees_everybody_at_once() {
        let (mut flights, id, _) = flights();
        let flight = flights.get_mut(id).expect("exists");
        flight.stage = Stage::Unstorable;
        assert_eq!(flight.take(joiner(1)), Take::PassThrough);
        assert_eq!(flight.take(joiner(99)), Take::PassThrough);
    }

    #[test]
    fn a_late_flight_is_replaced() {
        let (mut flights, id, at) = flights();
        assert_eq!(flights.joinable(&at, false, Timestamp::from_ms(1999)), Some(id));
        assert_eq!(flights.joinable(&at, false, Timestamp::from_ms(2000)), None);
        assert!(
            flights
                .start(&at, Seq(1), (false, &[]), Timestamp::from_ms(4000), (SharedId(3), SharedId(4)), NOW)
                .is_some_and(|new| new != id)
        );
    }

    #[test]
    fn an_invalidation_voids_the_flight_for_those_who_come_after() {
        let (mut flights, id, at) = flights();
        flights.void(at.0, &Key::entry("p", "", "other"));
        assert_eq!(flights.joinable(&at, false, NOW), Some(id));
        flights.void(at.0, &at.1);
        assert_eq!(flights.joinable(&at, false, NOW), None);
        assert!(flights.get(id).is_some(), "its own followers still have it");
    }

    #[test]
    fn a_tag_and_a_namespace_void_what_depends_on_them() {
        let mut flights = Flights::default();
        let space = Key::nest("", "a");
        let at = (ConnectionId(0), Key::entry("p", &space, "k"), CacheId(0));
        let tag = Key::tag("p", &space, "t");
        let shared = (SharedId(1), SharedId(2));
        for target in [&tag, &Key::namespace("p", &space), &Key::namespace("p", "")] {
            flights.start(
                &at,
                Seq(1),
                (false, core::slice::from_ref(&tag)),
                Timestamp::from_ms(9),
                shared,
                NOW,
            );
            flights.void(ConnectionId(0), &Key::tag("p", &space, "other"));
            flights.void(ConnectionId(0), &Key::namespace("p", "b"));
            flights.void(ConnectionId(1), target);
            assert!(flights.joinable(&at, false, NOW).is_some());
            flights.void(ConnectionId(0), target);
            assert!(flights.joinable(&at, false, NOW).is_none());
        }
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let (mut flights, id, _) = flights();
        flights.get_mut(id).expect("exists").followers = 2;
        flights.leave(id);
        flights.end(id, Stage::Stored);
        assert_eq!(flights.len(), 1);
        flights.leave(id);
        assert_eq!(flights.len(), 0);
        assert!(flights.current.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_dead_are_swept() {
        let mut flights = Flights::default();
        let start = |flights: &mut Flights, n: u32, now: Timestamp| {
            let at = (ConnectionId(0), Key::entry("p", "", &alloc::format!("{n}")), CacheId(0));
            flights.start(
                &at,
                Seq(1),
                (false, &[]),
                now.after(Millis::new(10)),
                (SharedId(1), SharedId(2)),
                now,
            )
        };
        for n in 0..MAX_FLIGHTS as u32 {
            assert!(start(&mut flights, n, NOW).is_some());
        }
        assert!(start(&mut flights, 9_999, NOW).is_none());
        assert!(start(&mut flights, 9_999, Timestamp::from_ms(100_000)).is_some());
        assert_eq!(flights.len(), 1);
    }
}
