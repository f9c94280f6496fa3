//! What happens to Redis and to clocks, and the end of it.

use crate::plan::MS;
use crate::rng::Rng;
use crate::world::World;
use leeward_redis_model::Permissions;

impl World {
    pub(crate) fn fault(&mut self) {
        if self.healed {
            return;
        }
        let chance = self.plan.chance.clone();
        // Each is tried more often than once in a schedule, or the rare ones would never meet anything.
        let often = |rng: &mut Rng, chance: u64| rng.percent(chance * 6);
        let now = self.queue.now();
        if often(&mut self.rng, chance.flushall) {
            self.redis.execute(&["FLUSHALL"]);
            self.marks.lost(None);
            self.happened("flushall");
        }
        if often(&mut self.rng, chance.evict) {
            let keys: Vec<Vec<u8>> = self.redis.entries().map(|(key, _)| key.to_vec()).collect();
            let picked = usize::try_from(self.rng.below(keys.len() as u64)).unwrap_or(0);
            if let Some(key) = keys.get(picked) {
                self.redis.evict(key);
                self.marks.lost(core::str::from_utf8(key).ok());
                self.happened("evicted");
            }
        }
        if often(&mut self.rng, chance.spoil) {
            // Somebody else's key of that name.
            let of = self.rng.pick(&["p:t::s", "p:t::t", "p:t:n:s", "p:n:", "p:k::k"]).unwrap_or("p:n:");
            self.redis.execute(&["SET", of, "spoiled"]);
            self.marks.lost(Some(of));
            self.happened("spoiled");
        }
        if often(&mut self.rng, chance.trap) {
            self.trap();
        }
        if often(&mut self.rng, chance.script_flush) {
            self.redis.script_flush();
            self.happened("scripts flushed");
        }
        if often(&mut self.rng, chance.restart) {
            self.redis.restart();
            self.marks.lost(None);
            self.happened("restarted");
        }
        if often(&mut self.rng, chance.rollback) {
            // As after a failover to a replica that lags.
            match self.older.take() {
                None => self.older = Some(self.redis.snapshot()),
                Some(older) => {
                    self.redis.restore(&older);
                    self.marks.lost(None);
                    self.rolled_back = true;
                    self.happened("rolled back");
                }
            }
        }
        if often(&mut self.rng, chance.oom) {
            let on = self.rng.percent(60);
            self.redis.set_oom(on);
            self.happened("out of memory");
        }
        if often(&mut self.rng, chance.refuse_scripts) {
            let permissions =
                self.rng.pick(&[Permissions::All, Permissions::NoScripts, Permissions::ReadOnly]);
            self.redis.set_permissions(permissions.unwrap_or_default());
            self.happened("scripts refused");
        }
        if often(&mut self.rng, chance.down) {
            self.down = !self.down;
            self.happened("down");
        }
        if often(&mut self.rng, chance.isolate_clock) {
            let index = usize::try_from(self.rng.below(self.plan.isolates as u64)).unwrap_or(0);
            if let Some(isolate) = self.isolates.get_mut(index) {
                isolate.odd_clock = true;
                if self.rng.percent(40) {
                    isolate.clock.toggle(now);
                    self.happened("isolate clock stood still");
                } else {
                    isolate.clock.jump(jump(&mut self.rng));
                    self.happened("isolate clock jumped");
                }
            }
        }
        if often(&mut self.rng, chance.redis_clock) {
            self.redis_clock.jump(jump(&mut self.rng));
            self.marks.passed(self.redis_clock.at(now) / 1000);
            self.happened("redis clock jumped");
        }
    }

    /// The core of an isolate fails. What its requests had under way goes on without it, and they are not looked at any more.
    fn trap(&mut self) {
        let index = usize::try_from(self.rng.below(self.plan.isolates as u64)).unwrap_or(0);
        self.happened("trapped");
        for request in self.requests.iter_mut().filter(|request| request.isolate == index) {
            // Those that are still to come meet the next instance.
            if !request.ops.is_empty() {
                request.alive = false;
            }
            request.ops.clear();
            request.outlived |= !request.reads.is_empty();
        }
        let now = self.queue.now();
        let Some(isolate) = self.isolates.get_mut(index) else { return };
        if isolate.trap(&mut self.rng, &self.plan, now).is_none() {
            self.violation(format!("i{index} does not take what it had kept"));
        }
    }

    pub(crate) fn happened(&mut self, what: &'static str) {
        self.verdict.coverage.count(what);
        self.trace.say(self.queue.now(), self.moment, || format!("** {what}"));
    }

    pub(crate) fn heal(&mut self) {
        self.trace.say(self.queue.now(), self.moment, || String::from("** all is well again"));
        self.healed = true;
        self.down = false;
        self.redis.set_oom(false);
        self.redis.set_permissions(Permissions::All);
        let now = self.queue.now();
        for isolate in &mut self.isolates {
            if isolate.clock.stands() {
                isolate.clock.toggle(now);
            }
        }
    }
}

/// Some seconds forwards or back.
fn jump(rng: &mut Rng) -> i64 {
    let by = i64::try_from(rng.between(10, 9_000) * MS).unwrap_or(0);
    if rng.percent(50) { -by } else { by }
}
