//! The end of a schedule: everybody has been answered, and nothing is left.

use crate::visit::{Kind, Op};
use crate::world::{Verdict, World};

/// Whether its caller has set no bound.
const fn waits_for_ever(op: &Op) -> bool {
    !matches!(op.kind, Kind::Read { hard: Some(_), .. })
}

impl World {
    pub(crate) fn finish(mut self) -> Verdict {
        if self.verdict.violations.is_empty() {
            self.check_the_end();
        }
        let two = self.redis.entries().any(|(_, entry)| match &entry.value {
            leeward_redis_model::Value::Hash(hash) => {
                hash.keys().filter(|field| field.starts_with(b"h:")).count() > 1
            }
            _ => false,
        });
        if two {
            self.verdict.coverage.count("two builds of a key");
        }
        self.verdict.trace = self.trace.lines();
        self.verdict
    }

    /// Everybody has been answered, nothing is left in any table, and every invalidation has been applied.
    pub(crate) fn check_the_end(&mut self) {
        let mut problems = Vec::new();
        for (number, request) in self.requests.iter().enumerate() {
            for op in request
                .ops
                .iter()
                .filter(|op| request.alive && !op.settled && !(op.hangs && waits_for_ever(op)))
            {
                if !matches!(op.kind, Kind::Own) {
                    self.verdict.hung = true;
                    problems.push(format!("r{number} {:?} hangs: {:?}", op.id, op.kind));
                }
            }
        }
        for (index, isolate) in self.isolates.iter().enumerate() {
            let gone = self.requests.iter().filter(|request| request.isolate == index);
            let left: usize =
                gone.map(|r| r.ops.iter().filter(|op| !r.alive || op.hangs || !op.settled).count()).sum();
            let killed = self.requests.iter().any(|request| request.isolate == index && !request.alive);
            let [ops, requests, batches, flights] = isolate.engine.under_way();
            if ops > left || (left == 0 && !killed && requests + batches + flights > 0) {
                problems.push(format!(
                    "i{index} keeps {ops} operations, {requests} requests, {batches} batches, {flights} flights; {left} have a reason"
                ));
            }
            let journal = isolate.engine.stats(isolate.link).map_or(0, |stats| stats.journal);
            if journal > 0 && !isolate.refused {
                problems.push(format!(
                    "P6: i{index} still has {journal} invalidations to send: {:?}",
                    isolate.kept
                ));
            }
        }
        problems.extend(self.raws.problems());
        for problem in problems {
            self.violation(problem);
        }
    }
}
