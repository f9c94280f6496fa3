//! The one connection to an endpoint: who may send, who waits, who goes past.
//!
//! HTTP is connectionless, so "connected" means that the last exchange succeeded. The first operation that needs Redis *is*
//! the attempt, its own batch the handshake; everyone else waits for its verdict. `down` is backoff and circuit breaker in
//! one: the first operation after `until` is the half-open probe. An attempt past its deadline is replaced, whoever made it,
//! since a request that was ended never says so; its late result changes nothing.

use alloc::format;
use alloc::string::String;

use serde::Serialize;

use super::backoff::Backoff;
use super::error::ErrorKind;
use super::random::Random;
use super::redis::script::Loaded;
use super::time::Timestamp;
use super::window::{Pace, Window};

/// So many failures in a row, of a connection that was ready, and it is down. More than one, since a single broken exchange
/// is common and costs one callback; few, since an isolate sees little traffic. What does not fail in a row is for `Window`.
const TRIP: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disabled,
    Idle,
    Connecting { deadline: Timestamp },
    Ready,
    Down { until: Timestamp },
}

/// A state's name, as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "see `State`")]
pub enum StateName {
    Disabled,
    Idle,
    Connecting,
    Ready,
    Down,
}

impl State {
    const fn name(self) -> StateName {
        match self {
            Self::Disabled => StateName::Disabled,
            Self::Idle => StateName::Idle,
            Self::Connecting { .. } => StateName::Connecting,
            Self::Ready => StateName::Ready,
            Self::Down { .. } => StateName::Down,
        }
    }
}

/// What an operation that needs Redis is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Send: the connection is ready.
    Send,
    /// Send: this is the attempt of that number.
    Attempt { attempt: u32, probe: bool },
    /// Wait for the verdict of an attempt, until its deadline at the latest.
    Wait { deadline: Timestamp },
    /// Go past Redis; the next attempt is allowed at `until`.
    Down { until: Timestamp },
    /// Go past Redis for good.
    Disabled,
}

/// A change of state, for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: StateName,
    pub(crate) to: StateName,
    pub(crate) until: Option<Timestamp>,
}

/// The state as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "documented in the published types")]
pub struct Snapshot {
    pub state: StateName,
    pub is_open: bool,
    pub is_ready: bool,
    pub attempts: u32,
    pub reuses: u64,
    pub failures: u64,
    pub last_error: Option<ErrorKind>,
    pub changed_at: Option<u64>,
    pub until: Option<u64>,
}

/// One endpoint with one set of credentials.
#[derive(Debug)]
pub(crate) struct Connection {
    state: State,
    was_ready: bool,
    attempts: u32,
    reuses: u64,
    failures: u64,
    in_a_row: u32,
    window: Window,
    last_error: Option<ErrorKind>,
    changed_at: Option<Timestamp>,
    backoff: Backoff,
    pub(crate) loaded: Loaded,
    /// It has changed since `take_change` was asked.
    changed: bool,
}

impl Connection {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            state: if enabled { State::Idle } else { State::Disabled },
            was_ready: false,
            attempts: 0,
            reuses: 0,
            failures: 0,
            in_a_row: 0,
            window: Window::default(),
            last_error: if enabled { None } else { Some(ErrorKind::Config) },
            changed_at: None,
            backoff: Backoff::default(),
            loaded: Loaded::default(),
            changed: false,
        }
    }

    /// What is to be kept of it, in the host's time, if it has changed: should this instance fail, the next one goes on from
    /// there.
    pub(crate) fn take_change(&mut self, host: impl Fn(Timestamp) -> Timestamp) -> Option<String> {
        if !core::mem::take(&mut self.changed) {
            return None;
        }
        let until = if let State::Down { until } = self.state { host(until).as_ms() } else { 0 };
        let Self { attempts, reuses, failures, in_a_row, .. } = self;
        let (was_ready, backoff, window) =
            (u8::from(self.was_ready), self.backoff.failures(), self.window.bits());
        Some(format!("{until} {was_ready} {attempts} {reuses} {failures} {in_a_row} {backoff} {window}"))
    }

    /// Takes in what an earlier instance has handed out. If it was down, it still is; else the next operation is an attempt.
    pub(crate) fn restore(&mut self, record: &str) -> Option<()> {
        let mut words = record.split(' ').map(str::parse::<u64>);
        let mut word = || words.next()?.ok();
        let (until, was_ready) = (word()?, word()?);
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (attempts, reuses, failures) = (count(word()?), word()?, word()?);
        let (in_a_row, backoff, window) = (count(word()?), count(word()?), count(word()?));
        if self.state == State::Disabled {
            return None;
        }
        if until > 0 {
            self.state = State::Down { until: Timestamp::from_ms(until) };
        }
        self.was_ready = was_ready > 0;
        self.attempts = attempts;
        self.reuses = reuses;
        self.failures = failures;
        self.in_a_row = in_a_row;
        self.backoff = Backoff::after(backoff);
        self.window = Window::of(window);
        Some(())
    }

    /// What an operation is to do. If it is made the attempt, it must send, and is the only one until `deadline`.
    pub(crate) fn admit(&mut self, now: Timestamp, deadline: Timestamp) -> Admission {
        let probe = match self.state {
            State::Disabled => return Admission::Disabled,
            State::Ready => return Admission::Send,
            State::Connecting { deadline } if now < deadline => return Admission::Wait { deadline },
            State::Down { until } if now < until => return Admission::Down { until },
            State::Idle => false,
            State::Connecting { .. } | State::Down { .. } => true,
        };
        self.attempts = self.attempts.saturating_add(1);
        self.changed = true;
        self.state = State::Connecting { deadline };
        self.changed_at = Some(now);
        // The server may be another one since.
        self.loaded.clear();
        Admission::Attempt { attempt: self.attempts, probe }
    }

    /// Whether the next operation that is admitted is an attempt.
    pub(crate) fn awaits_attempt(&self, now: Timestamp) -> bool {
        match self.state {
            State::Disabled | State::Ready => false,
            State::Idle => true,
            State::Connecting { deadline: over } | State::Down { until: over } => now >= over,
        }
    }

    /// An operation waits for the attempt under way: the memo is reused. Gives the attempt's number.
    pub(crate) fn reused(&mut self) -> u32 {
        self.reuses = self.reuses.saturating_add(1);
        self.attempts
    }

    /// An exchange succeeded; `attempt` is its number if it was one. A slow one may be one too many.
    pub(crate) fn succeeded(
        &mut self,
        attempt: Option<u32>,
        pace: Pace,
        now: Timestamp,
        random: &mut Random,
    ) -> Option<Change> {
        // An answer that comes while it is down shows that Redis is there, whoever asked; one that is slow, nothing.
        let shows = matches!(self.state, State::Down { .. }) && pace == Pace::Good;
        if !self.speaks(attempt) && !shows {
            return None;
        }
        self.in_a_row = 0;
        self.backoff.succeeded();
        if self.state == State::Ready {
            return if self.note(pace == Pace::Slow) {
                self.last_error = Some(ErrorKind::Timeout);
                self.go_down(now, random)
            } else {
                None
            };
        }
        // A handshake is slow by nature: it says nothing of what follows.
        self.window.clear();
        self.was_ready = true;
        self.enter(State::Ready, now)
    }

    /// An exchange failed; `attempt` is its number if it was one.
    pub(crate) fn failed(
        &mut self,
        attempt: Option<u32>,
        kind: ErrorKind,
        now: Timestamp,
        random: &mut Random,
    ) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        self.changed = true;
        self.last_error = Some(kind);
        if !self.speaks(attempt) {
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Credentials that are refused once are refused always: no use in trying three times.
        if self.state == State::Ready && !self.note(true) && self.in_a_row < TRIP && kind != ErrorKind::Auth {
            return None;
        }
        self.go_down(now, random)
    }

    /// One more exchange of a connection that is ready; whether it is too many that were slow or failed.
    fn note(&mut self, bad: bool) -> bool {
        let before = self.window;
        let trips = self.window.note(bad);
        self.changed |= self.window != before;
        trips
    }

    fn go_down(&mut self, now: Timestamp, random: &mut Random) -> Option<Change> {
        let until = now.after(self.backoff.failed(random));
        self.enter(State::Down { until }, now)
    }

    /// Whether the result of an exchange says anything about the present state: an attempt's does while it is the attempt,
    /// any other's while the connection is ready.
    fn speaks(&self, attempt: Option<u32>) -> bool {
        match self.state {
            State::Ready => true,
            State::Connecting { .. } => attempt == Some(self.attempts),
            State::Disabled | State::Idle | State::Down { .. } => false,
        }
    }

    fn enter(&mut self, state: State, now: Timestamp) -> Option<Change> {
        let from = self.state.name();
        self.state = state;
        let until = if let State::Down { until } = state { Some(until) } else { None };
        if from == state.name() {
            return None;
        }
        self.changed = true;
        self.changed_at = Some(now);
        Some(Change { from, to: state.name(), until })
    }

    pub(crate) const fn last_error(&self) -> Option<ErrorKind> {
        self.last_error
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// The state as users see it; `host` turns times into what the host's clock shows.
    pub(crate) fn snapshot(&self, host: impl Fn(Timestamp) -> Timestamp) -> Snapshot {
        let is_open = match self.state {
            State::Connecting { .. } | State::Ready => true,
            State::Down { .. } => self.was_ready,
            State::Disabled | State::Idle => false,
        };
        Snapshot {
            state: self.state.name(),
            is_open,
            is_ready: self.is_ready(),
            attempts: self.attempts,
            reuses: self.reuses,
            failures: self.failures,
            last_error: self.last_error,
            changed_at: self.changed_at.map(|t| host(t).as_ms()),
            until: if let State::Down { until } = self.state { Some(host(until).as_ms()) } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn succeed(connection: &mut Connection, attempt: Option<u32>, now: Timestamp) -> Option<Change> {
        connection.succeeded(attempt, Pace::Good, now, &mut random())
    }

    fn random() -> Random {
        Random::new([0, 1])
    }

    #[test]
    fn the_first_operation_is_the_attempt_and_the_others_wait() {
        let mut connection = Connection::new(true);
        assert_eq!(connection.admit(at(0), at(250)), Admission::Attempt { attempt: 1, probe: false });
        for _ in 0..99 {
            assert_eq!(connection.admit(at(1), at(251)), Admission::Wait { deadline: at(250) });
        }
        succeed(&mut connection, Some(1), at(5)).expect("becomes ready");
        assert_eq!(connection.admit(at(6), at(256)), Admission::Send);
        assert_eq!(connection.attempts, 1);
    }

    #[test]
    fn a_failed_attempt_is_not_memoized_for_good() {
        let mut connection = Connection::new(true);
        connection.admit(at(0), at(250));
        let change =
            connection.failed(Some(1), ErrorKind::Transport, at(5), &mut random()).expect("goes down");
        let until = change.until.expect("is down");
        assert_eq!(connection.admit(at(6), at(256)), Admission::Down { until });
        assert_eq!(connection.admit(until, at(99_999)), Admission::Attempt { attempt: 2, probe: true });
    }

    #[test]
    fn an_attempt_whose_owner_died_is_replaced_and_its_late_result_ignored() {
        let mut connection = Connection::new(true);
        connection.admit(at(0), at(250));
        assert_eq!(connection.admit(at(250), at(500)), Admission::Attempt { attempt: 2, probe: true });
        assert_eq!(succeed(&mut connection, Some(1), at(251)), None);
        assert_eq!(connection.failed(Some(1), ErrorKind::Timeout, at(252), &mut random()), None);
        assert_eq!(connection.admit(at(253), at(503)), Admission::Wait { deadline: at(500) });
        assert!(!connection.awaits_attempt(at(499)) && connection.awaits_attempt(at(500)));
        assert!(succeed(&mut connection, Some(2), at(260)).is_some());
    }

    #[test]
    fn a_ready_connection_goes_down_after_three_failures_in_a_row() {
        let mut connection = Connection::new(true);
        let mut random = random();
        connection.admit(at(0), at(250));
        succeed(&mut connection, Some(1), at(1));
        assert_eq!(connection.failed(None, ErrorKind::Transport, at(2), &mut random), None);
        assert_eq!(connection.failed(None, ErrorKind::Timeout, at(3), &mut random), None);
        succeed(&mut connection, None, at(4));
        connection.failed(None, ErrorKind::Timeout, at(5), &mut random);
        connection.failed(None, ErrorKind::Timeout, at(6), &mut random);
        let change = connection.failed(None, ErrorKind::Server, at(7), &mut random).expect("third in a row");
        assert_eq!((change.from, change.to), (StateName::Ready, StateName::Down));
        let snapshot = connection.snapshot(|t| t);
        assert!(snapshot.is_open && !snapshot.is_ready);
        assert_eq!((snapshot.failures, snapshot.last_error), (5, Some(ErrorKind::Server)));
    }

    #[test]
    fn an_answer_that_comes_while_it_is_down_ends_that() {
        let mut connection = Connection::new(true);
        connection.admit(at(0), at(250));
        connection.failed(Some(1), ErrorKind::Timeout, at(250), &mut random());
        assert!(succeed(&mut connection, None, at(251)).is_some_and(|change| change.to == StateName::Ready));
    }

    #[test]
    fn five_slow_answers_of_the_last_eight_take_it_down_and_an_attempt_is_none_of_them() {
        let mut connection = Connection::new(true);
        let mut random = random();
        connection.admit(at(0), at(250));
        assert!(connection.succeeded(Some(1), Pace::Slow, at(240), &mut random).is_some(), "a handshake");
        for n in 0..4 {
            assert_eq!(connection.succeeded(None, Pace::Slow, at(300 + n), &mut random), None);
            assert_eq!(connection.succeeded(None, Pace::Good, at(300 + n), &mut random), None);
        }
        assert_eq!(connection.succeeded(None, Pace::Slow, at(310), &mut random), None, "four of eight");
        let change = connection.succeeded(None, Pace::Slow, at(311), &mut random).expect("five");
        assert_eq!((change.from, change.to), (StateName::Ready, StateName::Down));
        assert_eq!(connection.snapshot(|t| t).last_error, Some(ErrorKind::Timeout));
        // What was under way and is as slow does not bring it back; what is not does.
        assert_eq!(connection.succeeded(None, Pace::Slow, at(312), &mut random), None);
        assert!(connection.succeeded(None, Pace::Good, at(313), &mut random).is_some());
        for n in 0..4 {
            assert_eq!(connection.succeeded(None, Pace::Slow, at(400 + n), &mut random), None, "anew");
        }
    }

    #[test]
    fn failures_that_are_not_in_a_row_add_up() {
        let mut connection = Connection::new(true);
        let mut random = random();
        connection.admit(at(0), at(250));
        succeed(&mut connection, Some(1), at(1));
        for n in 0..2 {
            assert_eq!(connection.failed(None, ErrorKind::Timeout, at(2 + n), &mut random), None);
            assert_eq!(connection.failed(None, ErrorKind::Timeout, at(2 + n), &mut random), None);
            assert_eq!(succeed(&mut connection, None, at(2 + n)), None);
        }
        assert!(connection.failed(None, ErrorKind::Timeout, at(9), &mut random).is_some());
    }

    #[test]
    fn refused_credentials_trip_at_once() {
        let mut connection = Connection::new(true);
        connection.admit(at(0), at(250));
        succeed(&mut connection, Some(1), at(1));
        assert!(connection.failed(None, ErrorKind::Auth, at(2), &mut random()).is_some());
    }

    #[test]
    fn what_is_handed_out_makes_the_same_connection_again() {
        let mut connection = Connection::new(true);
        connection.admit(at(0), at(250));
        connection.reused();
        let change =
            connection.failed(Some(1), ErrorKind::Timeout, at(250), &mut random()).expect("goes down");
        let record = connection.take_change(|time| time).expect("has changed");
        assert_eq!(connection.take_change(|time| time), None);
        let mut next = Connection::new(true);
        next.restore(&record).expect("a record of ours");
        let until = change.until.expect("is down");
        assert_eq!(next.admit(at(251), at(500)), Admission::Down { until });
        let snapshot = next.snapshot(|t| t);
        assert_eq!((snapshot.attempts, snapshot.reuses, snapshot.failures), (1, 1, 1));
        assert_eq!(next.restore("garbage"), None);
        assert_eq!(Connection::new(false).restore(&record), None);
    }

    #[test]
    fn without_configuration_nothing_is_ever_sent() {
        let mut connection = Connection::new(false);
        assert_eq!(connection.admit(at(0), at(250)), Admission::Disabled);
        assert!(!connection.snapshot(|t| t).is_open);
    }
}
