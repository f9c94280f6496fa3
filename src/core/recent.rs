//! Keys remembered for a while: those that were hits lately, and those whose values cannot be stored.

use hashbrown::HashMap;

use super::key::Key;
use super::time::{Millis, Timestamp};

/// A bounded set of keys, each with the time until which it is remembered. Keys are long and hashes are not; two keys with one
/// hash cost a little work, too. When it is full, what has run out is forgotten;
/// if that frees nothing, everything is. Forgetting costs a little work, never a wrong answer.
#[derive(Debug)]
pub(crate) struct Recent {
    until: HashMap<u64, Timestamp>,
    life: Millis,
    max: usize,
}

impl Recent {
    pub(crate) fn new(life: Millis, max: usize) -> Self {
        Self { until: HashMap::new(), life, max }
    }

    pub(crate) fn insert(&mut self, key: &Key, now: Timestamp) {
        let hash = key.hash();
        if self.until.len() >= self.max && !self.until.contains_key(&hash) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= self.max {
                self.until.clear();
            }
        }
        self.until.insert(hash, now.after(self.life));
    }

    pub(crate) fn contains(&self, key: &Key, now: Timestamp) -> bool {
        self.until.get(&key.hash()).is_some_and(|until| *until > now)
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.until.remove(&key.hash());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn keys_are_forgotten_in_time_and_the_table_stays_bounded() {
        let mut recent = Recent::new(Millis::new(10), 4);
        let at = Timestamp::from_ms;
        let key = |n: u64| Key::entry("p", "", &format!("{n}"));
        recent.insert(&key(0), at(0));
        assert!(recent.contains(&key(0), at(9)));
        assert!(!recent.contains(&key(0), at(10)));
        for n in 0..100 {
            recent.insert(&key(n), at(n));
            assert!(recent.until.len() <= 4);
            assert!(recent.contains(&key(n), at(n)));
        }
        recent.remove(&key(99));
        assert!(!recent.contains(&key(99), at(99)));
    }
}
