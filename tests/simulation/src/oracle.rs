//! What must hold, whatever happens: the promises of DESIGN.md as checks.
//!
//! A value carries the moment at which its data was read. An invalidation that began at a moment and was acknowledged forbids
//! every read that starts later to give what it covers with data read before (P5). In the isolate that asked for it, it
//! forbids that from its beginning on, also to who is answered when it has been acknowledged since (P6), and it forbids to take what
//! was kept for as long as the isolate has not seen it applied. A mutate whose marks were set
//! forbids from then on that what was read before its source changed comes back from Redis.

use leeward::core::{Bypass, Freshness, Life, Outcome, Served};

use crate::plan::{MS, Micros};
use crate::values::{Moment, Value};

/// What an invalidation is about.
#[derive(Clone, Debug, Default)]
pub struct Aim {
    /// The namespace's path.
    pub space: &'static str,
    /// Keys in it.
    pub keys: Vec<&'static str>,
    /// Tags in it.
    pub tags: Vec<&'static str>,
    /// All of it.
    pub all: bool,
}

/// How far an invalidation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Redis has not acknowledged it; its isolate knows.
    Pending,
    /// Acknowledged at this moment.
    Applied(Moment),
}

/// An invalidation as the oracle knows it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it covers.
    pub aim: Aim,
    /// Data read before is old.
    pub begun: Moment,
    /// In this isolate it is in force from its beginning.
    pub isolate: usize,
    /// How far it is.
    pub standing: Standing,
    /// It makes stale, no more.
    pub soft: bool,
    /// It forbids what comes out of Redis, and nothing else.
    pub stored_only: bool,
    /// The value that the same call stored.
    pub except: Option<usize>,
}

/// A read as the oracle knows it.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Where it ran.
    pub isolate: usize,
    /// When it started.
    pub started: Moment,
    /// The same as a time; `None` where the isolate's clock is no measure of it.
    pub at: Option<Micros>,
    /// The namespace's path.
    pub space: &'static str,
    /// The key.
    pub key: &'static str,
    /// The tags that it named.
    pub tags: Vec<&'static str>,
    /// What it would take.
    pub freshness: Freshness,
    /// The build of its isolate.
    pub build: &'static str,
    /// How stale it takes what is stored, and how long what it computes lives.
    pub life: Life,
    /// How long it lives if it is that there is none, where that is set.
    pub negative: Option<Life>,
}

impl Aim {
    fn covers(&self, reader: &Reader, value: &Value) -> bool {
        let inside = reader.space == self.space
            || self.space.is_empty()
            || reader.space.strip_prefix(self.space).is_some_and(|rest| rest.starts_with('/'));
        let same = reader.space == self.space;
        let tagged = self.tags.iter().any(|tag| value.tags.contains(tag) || reader.tags.contains(tag));
        self.all && inside || same && (self.keys.contains(&reader.key) || tagged)
    }
}

/// The rules of a schedule.
#[derive(Debug, Default)]
pub struct Oracle {
    rules: Vec<Rule>,
    /// A flight's deadline.
    flight: Micros,
    /// When each moment began.
    times: Vec<Micros>,
}

impl Oracle {
    /// One that knows of no invalidation yet.
    #[must_use]
    pub const fn new(flight: Micros) -> Self {
        Self { rules: Vec::new(), flight, times: Vec::new() }
    }

    /// The next moment begins.
    pub fn tick(&mut self, now: Micros) {
        self.times.push(now);
    }

    fn time_of(&self, moment: Moment) -> Micros {
        usize::try_from(moment).ok().and_then(|moment| self.times.get(moment)).copied().unwrap_or(0)
    }

    /// A rule's number.
    pub fn add(&mut self, rule: Rule) -> usize {
        self.rules.push(rule);
        self.rules.len() - 1
    }

    /// The rule of a number.
    pub fn rule_mut(&mut self, number: usize) -> Option<&mut Rule> {
        self.rules.get_mut(number)
    }

    /// Redis has acknowledged everything that this isolate had asked for.
    pub fn all_applied(&mut self, isolate: usize, now: Moment) {
        for rule in self.rules.iter_mut().filter(|rule| rule.isolate == isolate) {
            if rule.standing == Standing::Pending && !rule.stored_only {
                rule.standing = Standing::Applied(now);
            }
        }
    }

    /// What is wrong with an answer, if anything is. `value` is `None` for a read without a result; `kept`: it was kept while a
    /// callback ran; `held`: its isolate held it itself, for so long at most.
    #[must_use]
    pub fn judge(
        &self,
        reader: &Reader,
        served: &Served,
        number: Option<usize>,
        value: Option<&Value>,
        kept: bool,
        held: Option<Micros>,
    ) -> Option<String> {
        let stored = matches!(served.outcome, Outcome::Hit | Outcome::Stale);
        let Some(value) = value else {
            return stored.then(|| String::from("served from Redis, and there is no value"));
        };
        if (value.space, value.key) != (reader.space, reader.key) {
            return Some(format!(
                "foreign: {}/{} for {}/{}",
                value.space, value.key, reader.space, reader.key
            ));
        }
        if stored && value.build != reader.build {
            return Some(String::from("the value of another build"));
        }
        if stored && reader.tags.iter().any(|tag| !value.tags.contains(tag)) {
            return Some(format!("a tag is missing: named {:?}, carried {:?}", reader.tags, value.tags));
        }
        if stored && reader.freshness == Freshness::Forced {
            return Some(String::from("forced, and served from Redis"));
        }
        if held.is_some() && reader.freshness != Freshness::Normal {
            return Some(String::from("strict or forced, and served from L1"));
        }
        if served.outcome == Outcome::Stale && reader.freshness == Freshness::Strict {
            return Some(String::from("strict, and served stale"));
        }
        // Sharing without a verdict while the connection is down is bounded by the flight's deadline, and strict reads do not.
        let unverified = served.shared && served.reason == Some(Bypass::Down);
        // Whoever waited for the fill's verdict has one, whatever kept the value's own reader from asking.
        let verdict = served.stored == Some(true);
        if unverified && !verdict && reader.freshness != Freshness::Normal && value.read < reader.started {
            return Some(String::from("strict or forced, and shared without a verdict"));
        }
        if unverified && reader.freshness == Freshness::Normal {
            let late = reader.at.is_some_and(|started| value.at + self.flight < started);
            return late.then(|| String::from("shared while down, and older than a flight's deadline"));
        }
        self.rules.iter().find_map(|rule| {
            let own = rule.except.is_some() && rule.except == number;
            if value.read >= rule.begun || own || !rule.aim.covers(reader, value) {
                return None;
            }
            if rule.soft && served.outcome != Outcome::Hit || rule.stored_only && !stored {
                return None;
            }
            // What another isolate has ended is served for that long, from when it was last found valid, which was before.
            if let (Some(held), Standing::Applied(at)) = (held, rule.standing)
                && rule.isolate != reader.isolate
                && reader.at.is_none_or(|now| now < self.time_of(at) + held + MS)
            {
                return None;
            }
            let promise = match rule.standing {
                Standing::Applied(at) if at < reader.started => "P5: older than an acknowledged invalidation",
                _ if rule.isolate == reader.isolate && rule.begun < reader.started => {
                    "P6: older than an invalidation of its own isolate"
                }
                Standing::Pending if rule.isolate == reader.isolate && kept => {
                    "P6: kept, and covered by an invalidation that is not acknowledged"
                }
                _ => return None,
            };
            Some(format!("{promise}: read at {}, {:?} began at {}", value.read, rule.aim, rule.begun))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leeward::core::Millis;

    const FRESH: Served =
        Served { outcome: Outcome::Hit, reason: None, shared: false, age: Millis::ZERO, stored: Some(true) };

    const LIFE: Life = Life { ttl: Millis::ZERO, swr: Millis::ZERO, stale_if_error: Millis::ZERO };

    fn reader(started: Moment) -> Reader {
        let (isolate, at, space, key) = (0, None, "", "k");
        Reader {
            isolate,
            started,
            at,
            space,
            key,
            tags: Vec::new(),
            freshness: Freshness::Normal,
            build: "a",
            life: LIFE,
            negative: None,
        }
    }

    fn value(read: Moment) -> Value {
        let tags = vec!["t"];
        Value { read, at: 0, space: "", key: "k", tags, build: "a", none: false, life: LIFE }
    }

    fn rule(standing: Standing) -> Rule {
        let aim = Aim { tags: vec!["t"], ..Aim::default() };
        Rule { aim, begun: 10, isolate: 1, standing, soft: false, stored_only: false, except: None }
    }

    fn judge(oracle: &Oracle, reader: &Reader, served: &Served, value: &Value) -> bool {
        oracle.judge(reader, served, Some(7), Some(value), false, None).is_some()
    }

    #[test]
    fn data_older_than_an_acknowledged_invalidation_is_noticed() {
        let mut oracle = Oracle::new(0);
        oracle.add(rule(Standing::Applied(20)));
        assert!(judge(&oracle, &reader(21), &FRESH, &value(9)));
        assert!(!judge(&oracle, &reader(21), &FRESH, &value(10)), "read when it had begun");
        assert!(!judge(&oracle, &reader(20), &FRESH, &value(9)), "started before the acknowledgement");
        let other = Value { tags: Vec::new(), ..value(9) };
        assert!(!judge(&oracle, &reader(21), &FRESH, &other), "without the tag");
    }

    #[test]
    fn a_pending_one_binds_its_own_isolate() {
        let mut oracle = Oracle::new(0);
        oracle.add(rule(Standing::Pending));
        assert!(!judge(&oracle, &reader(21), &FRESH, &value(9)));
        assert!(judge(&oracle, &Reader { isolate: 1, ..reader(21) }, &FRESH, &value(9)));
        assert!(!judge(&oracle, &Reader { isolate: 1, ..reader(9) }, &FRESH, &value(9)));
        let kept = |oracle: &Oracle, isolate| {
            oracle.judge(&Reader { isolate, ..reader(9) }, &FRESH, None, Some(&value(9)), true, None)
        };
        assert!(kept(&oracle, 1).is_some() && kept(&oracle, 0).is_none());
        oracle.all_applied(1, 22);
        assert!(kept(&oracle, 1).is_none());
        assert!(judge(&oracle, &Reader { isolate: 1, ..reader(21) }, &FRESH, &value(9)), "began before that");
        assert!(!judge(&oracle, &reader(21), &FRESH, &value(9)));
    }

    #[test]
    fn what_an_isolate_holds_is_served_within_its_time_and_not_against_its_own() {
        let mut oracle = Oracle::new(0);
        for moment in 0..30 {
            oracle.tick(moment * MS);
        }
        oracle.add(rule(Standing::Applied(20)));
        let held =
            |reader: &Reader| oracle.judge(reader, &FRESH, Some(7), Some(&value(9)), false, Some(5 * MS));
        let at = |ms: Micros| Reader { at: Some(ms * MS), ..reader(21) };
        assert!(held(&at(25)).is_none() && held(&at(26)).is_some());
        assert!(held(&Reader { isolate: 1, ..at(22) }).is_some(), "the one that asked for it");
        assert!(held(&Reader { freshness: Freshness::Strict, ..at(22) }).is_some());
    }

    #[test]
    fn an_expiry_forbids_what_is_fresh_alone() {
        let mut oracle = Oracle::new(0);
        oracle.add(Rule { soft: true, ..rule(Standing::Applied(20)) });
        assert!(judge(&oracle, &reader(21), &FRESH, &value(9)));
        assert!(!judge(&oracle, &reader(21), &Served { outcome: Outcome::Stale, ..FRESH }, &value(9)));
    }

    #[test]
    fn sharing_without_a_verdict_is_bounded_and_not_for_the_strict() {
        let mut oracle = Oracle::new(100);
        oracle.add(rule(Standing::Applied(20)));
        let (outcome, reason) = (Outcome::Bypass, Some(Bypass::Down));
        let shared = Served { outcome, reason, shared: true, stored: None, ..FRESH };
        assert!(!judge(&oracle, &Reader { at: Some(100), ..reader(21) }, &shared, &value(9)));
        assert!(judge(&oracle, &Reader { at: Some(101), ..reader(21) }, &shared, &value(9)));
        assert!(judge(&oracle, &Reader { freshness: Freshness::Strict, ..reader(9) }, &shared, &value(8)));
        assert!(!judge(&oracle, &Reader { freshness: Freshness::Strict, ..reader(9) }, &shared, &value(9)));
        let stored = Served { stored: Some(true), ..shared };
        assert!(!judge(&oracle, &Reader { freshness: Freshness::Strict, ..reader(9) }, &stored, &value(8)));
        assert!(
            judge(&oracle, &Reader { freshness: Freshness::Strict, ..reader(21) }, &stored, &value(9)),
            "P5"
        );
    }

    #[test]
    fn what_is_another_ones_is_noticed() {
        let oracle = Oracle::new(0);
        assert!(judge(&oracle, &reader(1), &FRESH, &Value { key: "l", ..value(9) }), "key");
        assert!(judge(&oracle, &reader(1), &FRESH, &Value { space: "n", ..value(9) }), "namespace");
        assert!(judge(&oracle, &reader(1), &FRESH, &Value { build: "b", ..value(9) }), "build");
        assert!(judge(&oracle, &Reader { tags: vec!["u"], ..reader(1) }, &FRESH, &value(9)), "tag");
        assert!(oracle.judge(&reader(1), &FRESH, None, None, false, None).is_some(), "no value at all");
    }
}
