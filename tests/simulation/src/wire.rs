//! The wire: what becomes of HTTP requests on their way to Redis and back.

use crate::lives;
use crate::plan::MS;
use crate::queue::Event;
use crate::rng::Rng;
use crate::values::Moment;
use crate::visit::{Kind, Message};
use crate::world::World;
use leeward::core::redis::script::{Dialect, Script};
use leeward::core::{BatchId, BodyPart, ErrorKind};

impl World {
    pub(crate) fn send(&mut self, number: usize, index: usize, batch: BatchId) {
        let Some(parts) = self.isolates.get_mut(index).and_then(|isolate| isolate.engine.seal(batch)) else {
            self.verdict.coverage.count("batch waited for a connection");
            return;
        };
        self.spend(number, index);
        let mut body = String::new();
        for part in parts {
            match part {
                BodyPart::Text(text) => body.push_str(&text),
                BodyPart::Command(op) => body.push_str(&self.command_of(number, op)),
                BodyPart::Value(op) => match self.value_of(number, op) {
                    Some(value) => body.push_str(&format!("\"{value}\"")),
                    None => {
                        self.violation(format!("r{number} {op:?} stores a value that it does not have"));
                        body.push_str("\"\"");
                    }
                },
            }
        }
        self.raws.sent(&body);
        let message = self.messages.len();
        self.trace.say(self.queue.now(), self.moment, || {
            format!("r{number} sends m{message}: {}", shortened(&body))
        });
        if body.contains("[\"TIME\"]") {
            self.verdict.coverage.count("read plainly");
        }
        self.messages.push(Message {
            request: number,
            batch,
            body,
            answer: None,
            aborted: false,
            over: false,
            executed: false,
        });
        let chance = self.plan.chance.clone();
        let faulty = !self.healed;
        let slow = faulty && self.rng.percent(chance.slow);
        let there = if slow { self.rng.below(400 * MS) } else { self.rng.below(2 * MS) };
        let fate = |rng: &mut Rng, chance: u64| faulty && rng.percent(chance);
        if self.down || fate(&mut self.rng, chance.lose_request) {
            self.verdict.coverage.count("request lost");
            return self.queue.after(there, Event::Break(message));
        }
        if fate(&mut self.rng, chance.hang) {
            self.verdict.coverage.count("exchange hung");
            return;
        }
        if fate(&mut self.rng, chance.late) {
            // The client gives up before.
            let wait = self.rng.between(200, 4_000) * MS;
            self.verdict.coverage.count("executed late");
            return self.queue.after(wait, Event::Execute(message, false));
        }
        if fate(&mut self.rng, chance.twice) {
            self.verdict.coverage.count("executed twice");
            let wait = if self.rng.percent(50) { self.rng.below(5 * MS) } else { self.rng.below(2_000 * MS) };
            // Either of the two may be the one that is answered.
            if self.rng.percent(50) {
                self.queue.after(there.saturating_sub(wait.min(there)), Event::Execute(message, false));
            } else {
                self.queue.after(there + wait, Event::Execute(message, false));
            }
        }
        if fate(&mut self.rng, chance.lose_reply) {
            self.verdict.coverage.count("reply lost");
            self.queue.after(there, Event::Execute(message, false));
            let back = self.rng.below(3 * MS);
            return self.queue.after(there + back, Event::Break(message));
        }
        self.queue.after(there, Event::Execute(message, true));
    }

    pub(crate) fn execute(&mut self, number: usize, answered: bool) {
        let down = self.down;
        let now = self.redis_clock.at(self.queue.now());
        let overtook = self.messages.iter().take(number).any(|message| !message.executed && !message.aborted);
        let Some(message) = self.messages.get_mut(number) else { return };
        if down {
            if answered {
                self.queue.after(0, Event::Break(number));
            }
            return;
        }
        if overtook {
            self.verdict.coverage.count("overtook another");
        }
        self.redis.set_time(now);
        let reply = self.redis.pipeline(&message.body);
        message.executed = true;
        self.raws.executed(&message.body);
        self.marks.executed(&message.body, &self.redis, now / 1000);
        let missing = self
            .marks
            .missing(&self.redis)
            .or_else(|| lives::wrong_life(&self.redis, &self.values, &self.plan.config));
        self.trace.say(self.queue.now(), self.moment, || format!("redis executes m{number}: {reply}"));
        if answered {
            message.answer = Some((self.moment, reply));
            let chance = self.plan.chance.slow;
            let slow = !self.healed && self.rng.percent(chance);
            let back = if slow { self.rng.below(400 * MS) } else { self.rng.below(2 * MS) };
            self.queue.after(back, Event::Reply(number));
        }
        if let Some(missing) = missing {
            self.violation(missing);
        }
    }

    pub(crate) fn reply(&mut self, number: usize) {
        let Some(message) = self.messages.get_mut(number) else { return };
        let Some((executed, answer)) = message.answer.take() else { return };
        let (request, batch) = (message.request, message.batch);
        message.over = true;
        if message.aborted || !self.alive(request) {
            return;
        }
        let chance = self.plan.chance.kill;
        if !self.healed && self.rng.percent(chance / 3) {
            return self.kill(request);
        }
        self.note_execution(number, request, executed);
        if answer.contains("\"tags\",\"\",0,") {
            self.verdict.coverage.count("tags asked for in a second exchange");
        }
        let Some(index) = self.requests.get(request).map(|request| request.isolate) else { return };
        self.trace.say(self.queue.now(), self.moment, || format!("r{request} gets the answer to m{number}"));
        if let Some(message) = self.messages.get(number) {
            let (given, held) = self.leases.answered(request, &message.body, &answer);
            for (count, what) in
                [(given, "early refresh got the lease"), (held, "early refresh without the lease")]
            {
                (0..count).for_each(|_| self.verdict.coverage.count(what));
            }
        }
        self.body = answer;
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            isolate.engine.reply(batch, 200, self.body.as_bytes(), host);
        }
        self.drive(request);
    }

    /// When what an answer tells was true.
    pub(crate) fn note_execution(&mut self, message: usize, request: usize, executed: Moment) {
        let Some(body) = self.messages.get(message).map(|message| &message.body) else { return };
        let Some(request) = self.requests.get_mut(request) else { return };
        for op in &mut request.ops {
            match &mut op.kind {
                Kind::Set { key, dropped: false, value, .. } if is_fill_of(body, key) => {
                    // Nothing was invalidated between what it follows from and this: it is as good as read now, and so is what
                    // the request stores next.
                    if let Some(value) = self.values.get_mut(*value) {
                        value.read = executed;
                        request.reads.push((value.space, value.key, executed));
                    }
                }
                Kind::Set { key, value, dropped, based, .. } if is_drop_of(body, key) => {
                    *dropped = true;
                    // Answers may come in another order, also to drops of what the request has ended before.
                    if !*based && let Some(value) = self.values.get_mut(*value) {
                        value.read = value.read.max(executed);
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn break_off(&mut self, number: usize) {
        let Some(message) = self.messages.get_mut(number) else { return };
        let (request, batch) = (message.request, message.batch);
        message.over = true;
        if message.aborted || !self.alive(request) {
            return;
        }
        let Some(index) = self.requests.get(request).map(|request| request.isolate) else { return };
        self.trace.say(self.queue.now(), self.moment, || format!("r{request}: m{number} breaks off"));
        if let Some(isolate) = self.isolates.get_mut(index) {
            let host = isolate.host(self.queue.now());
            isolate.engine.send_failed(batch, ErrorKind::Transport, host);
        }
        self.drive(request);
    }
}

fn is_fill_of(body: &str, key: &str) -> bool {
    body.split("],[").any(|command| {
        let fill = command.contains(Script::Fill.sha(Dialect::Redis)) || command.contains("-- fill");
        fill && command.contains(&format!("\"{key}\""))
    })
}

fn is_drop_of(body: &str, key: &str) -> bool {
    body.split("],[").any(|command| {
        let drop = command.contains(Script::Drop.sha(Dialect::Redis)) || command.contains("-- drop");
        let ends = drop || command.contains("\"renew\"") || command.starts_with("\"HDEL\"");
        ends && command.contains(&format!("\"{key}\""))
    })
}

/// A body with the scripts' texts left out.
fn shortened(body: &str) -> String {
    let mut text = String::from(body);
    for (script, name) in [(Script::Read, "READ"), (Script::Fill, "FILL"), (Script::Drop, "DROP")] {
        text = text.replace(script.sha(Dialect::Redis), name);
        let escaped = script.source().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        text = text.replace(&escaped, name);
    }
    text
}
