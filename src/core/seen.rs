//! What a request has read, so that its `set` of the same key can be exact: stored only if nothing has been invalidated since.

use hashbrown::HashMap;

use super::basis::Basis;
use super::engine::RequestId;
use super::key::Key;
use super::time::{Millis, Timestamp};

/// At most so many reads, none older than that. When there are too many, all are forgotten: a `set` then drops and reads first.
const MAX: usize = 1024;
const LIFE: Millis = Millis::seconds(60);

/// Reads of requests.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    reads: HashMap<(RequestId, Key), (Basis, Timestamp)>,
}

impl Seen {
    pub(crate) fn note(&mut self, request: RequestId, basis: &Basis, now: Timestamp) {
        let Some(key) = basis.entry() else { return };
        if self.reads.len() >= MAX {
            self.reads.retain(|_, (_, at)| now.since(*at) < LIFE);
        }
        if self.reads.len() >= MAX {
            self.reads.clear();
        }
        self.reads.insert((request, key.clone()), (basis.clone(), now));
    }

    pub(crate) fn take(&mut self, request: RequestId, key: &Key, now: Timestamp) -> Option<Basis> {
        let (basis, at) = self.reads.remove(&(request, key.clone()))?;
        (now.since(at) < LIFE).then_some(basis)
    }

    /// The request writes: what it has read before says nothing about what it stores from now on.
    pub(crate) fn forget(&mut self, request: RequestId) {
        if !self.reads.is_empty() {
            self.reads.retain(|(of, _), _| *of != request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::Stamp;
    use alloc::string::{String, ToString as _};
    use alloc::vec::Vec;

    fn basis(key: &str) -> Basis {
        let stamp = Stamp { version: String::from("g"), soft: String::from("x") };
        Basis::new(Vec::from([(Key::entry("p", "", key), stamp)]))
    }

    #[test]
    fn a_read_is_taken_once_by_its_own_request_and_not_late() {
        let mut seen = Seen::default();
        let key = Key::entry("p", "", "k");
        let at = Timestamp::from_ms;
        seen.note(RequestId(1), &basis("k"), at(0));
        assert_eq!(seen.take(RequestId(2), &key, at(1)), None);
        assert_eq!(seen.take(RequestId(1), &key, at(1)), Some(basis("k")));
        assert_eq!(seen.take(RequestId(1), &key, at(1)), None);
        seen.note(RequestId(1), &basis("k"), at(0));
        assert_eq!(seen.take(RequestId(1), &key, at(0).after(LIFE)), None);
        seen.note(RequestId(1), &basis("k"), at(0));
        seen.forget(RequestId(1));
        assert_eq!(seen.take(RequestId(1), &key, at(1)), None);
    }

    #[test]
    fn it_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..5000_u32 {
            seen.note(RequestId(n), &basis(&n.to_string()), Timestamp::from_ms(u64::from(n)));
            assert!(seen.reads.len() <= MAX);
        }
    }
}
