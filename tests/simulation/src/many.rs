//! Calls for many keys: their reads, gathered as the drivers of the package do, and their one callback.

use crate::plan::MS;
use crate::queue::Event;
use crate::values::Value;
use crate::visit::Kind;
use crate::world::World;
use leeward::core::{Adapted, CallbackEnd, Freshness, OpId};

/// One call.
#[derive(Clone, Debug)]
pub struct Group {
    request: usize,
    members: Vec<Member>,
    /// Its callback has been planned.
    asked: bool,
}

#[derive(Clone, Debug)]
struct Member {
    op: OpId,
    /// The core runs its callback.
    missing: bool,
    /// It has been answered.
    answered: bool,
}

impl World {
    pub(crate) fn begin_many(&mut self, request: usize, space: &'static str, tags: &[&'static str]) {
        let group = self.groups.len();
        self.groups.push(Group { request, members: Vec::new(), asked: false });
        for key in crate::visit::KEYS {
            let before = self.requests.get(request).map_or(0, |request| request.ops.len());
            self.begin_read(request, space, key, tags.to_vec(), Freshness::Normal, true, Some(group));
            let begun = self.requests.get(request).and_then(|request| request.ops.get(before));
            let Some(op) = begun.map(|op| op.id) else { continue };
            if let Some(group) = self.groups.get_mut(group) {
                group.members.push(Member { op, missing: false, answered: false });
            }
        }
        self.verdict.coverage.count("many asked for");
    }

    /// The core runs the callback of one of the keys.
    pub(crate) fn member_missing(&mut self, number: usize, op: OpId) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let Some(member) = group.members.iter_mut().find(|member| member.op == op) else { return };
        if group.asked {
            return self.violation(format!("the callback for many is to be asked for {op:?} as well, later"));
        }
        member.missing = true;
        self.gather(number);
    }

    /// One of the keys is answered.
    pub(crate) fn member_answered(&mut self, number: usize, op: OpId) {
        let group = self.groups.get_mut(number);
        if let Some(member) = group.and_then(|group| group.members.iter_mut().find(|member| member.op == op))
        {
            member.answered = true;
        }
        self.gather(number);
    }

    /// When it is known of all whether they are missing, the callback is asked: at the end of the turn.
    fn gather(&mut self, number: usize) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let known = group.members.iter().all(|member| member.missing || member.answered);
        if known && !group.asked && group.members.len() == crate::visit::KEYS.len() {
            self.queue.after(0, Event::AskMany(number));
        }
    }

    pub(crate) fn ask_many(&mut self, number: usize) {
        let wait = self.crowd.below(40 * MS);
        let hangs = self.crowd.percent(self.plan.chance.callback_hangs) && !self.healed;
        let Some(group) = self.groups.get_mut(number) else { return };
        let missing: Vec<OpId> = group.members.iter().filter(|m| m.missing).map(|member| member.op).collect();
        if core::mem::replace(&mut group.asked, true) || missing.is_empty() {
            return;
        }
        let request = group.request;
        if group.members.iter().any(|member| !member.missing) {
            self.verdict.coverage.count("many of which some were missing");
        }
        if hangs {
            for op in missing {
                if let Some(op) = self.requests.get_mut(request).and_then(|request| request.op_mut(op)) {
                    op.hangs = true;
                }
            }
            return;
        }
        self.queue.after(wait, Event::LoadMany(number));
    }

    /// The callback reads the source, for all of them at once.
    pub(crate) fn load_many(&mut self, number: usize) {
        let Some(group) = self.groups.get(number).cloned() else { return };
        if !self.alive(group.request) {
            return;
        }
        for member in group.members.iter().filter(|member| member.missing) {
            let Some(Kind::Read { reader, .. }) = self.kind_mut(group.request, member.op) else { continue };
            let reader = reader.clone();
            let (read, at) = (self.moment, self.queue.now());
            let (space, key, build) = (reader.space, reader.key, reader.build);
            let made = self.values.add(Value {
                read,
                at,
                space,
                key,
                tags: reader.tags,
                build,
                life: reader.life,
                none: false,
            });
            if let Some(Kind::Read { value, .. }) = self.kind_mut(group.request, member.op) {
                *value = Some(made);
            }
        }
        let wait = self.crowd.below(200 * MS);
        self.queue.after(wait, Event::EndMany(number));
    }

    /// The callback ends: with values for most of them, in one turn.
    pub(crate) fn end_many(&mut self, number: usize) {
        let Some(group) = self.groups.get(number).cloned() else { return };
        if !self.alive(group.request) {
            return;
        }
        if !self.healed && self.crowd.percent(self.plan.chance.kill / 2) {
            return self.kill(group.request);
        }
        let fails = self.crowd.percent(self.plan.chance.callback_fails) && !self.healed;
        let Some(index) = self.requests.get(group.request).map(|request| request.isolate) else { return };
        for member in group.members.iter().filter(|member| member.missing) {
            let nothing = self.crowd.percent(20);
            let end = match (fails, nothing) {
                (true, _) => CallbackEnd::Err,
                (_, true) => CallbackEnd::Nothing,
                _ => CallbackEnd::Ok {
                    life: Adapted::default(),
                    skip: false,
                    none: false,
                    not_modified: false,
                    tags: Vec::new(),
                },
            };
            let Some(Kind::Read { value, .. }) = self.kind_mut(group.request, member.op) else { continue };
            if !fails && nothing {
                *value = None;
                self.verdict.coverage.count("many of which one has no value");
            }
            if let Some(isolate) = self.isolates.get_mut(index) {
                let host = isolate.host(self.queue.now());
                if !isolate.engine.callback(member.op, end, host) {
                    self.violation(format!("{:?} of a call for many is not known any more", member.op));
                }
            }
        }
        self.drive(group.request);
    }
}
