//! Raw commands: each is of its own, so that it can be told how often it was sent and executed.

use std::collections::BTreeMap;

use crate::visit::Kind;
use crate::world::World;
use leeward::core::{OpId, RawCall, RawError, RawOutcome};

/// What has become of raw commands, by their names.
#[derive(Debug, Default)]
pub struct Raws {
    begun: u64,
    sent: BTreeMap<String, u64>,
    executed: BTreeMap<String, u64>,
    /// Those of which it was said that they had not been executed.
    not_executed: Vec<String>,
    replied: Vec<String>,
}

/// The names of the raw commands in a body.
fn names(body: &str) -> Vec<String> {
    body.split("\"SET\",\"raw:").skip(1).filter_map(|rest| rest.split('"').next()).map(String::from).collect()
}

impl Raws {
    pub(crate) fn sent(&mut self, body: &str) {
        for name in names(body) {
            *self.sent.entry(name).or_default() += 1;
        }
    }

    pub(crate) fn executed(&mut self, body: &str) {
        for name in names(body) {
            *self.executed.entry(name).or_default() += 1;
        }
    }

    /// What was not as it was said.
    pub(crate) fn problems(&self) -> Vec<String> {
        let twice = self.sent.iter().filter(|(_, count)| **count > 1);
        let twice = twice.map(|(name, count)| format!("raw command {name} was sent {count} times"));
        let executed = self.not_executed.iter().filter(|name| self.executed.contains_key(*name));
        let executed = executed.map(|name| format!("raw command {name} was executed, and told as not"));
        let idle = self.replied.iter().filter(|name| !self.executed.contains_key(*name));
        let idle = idle.map(|name| format!("raw command {name} was answered, and not executed"));
        twice.chain(executed).chain(idle).collect()
    }
}

impl World {
    pub(crate) fn begin_raw(&mut self, number: usize) {
        let Some(request) = self.requests.get(number) else { return };
        let Some(isolate) = self.isolates.get_mut(request.isolate) else { return };
        self.raws.begun += 1;
        let name = format!("{}", self.raws.begun);
        let command = format!("[\"SET\",\"raw:{name}\",\"1\"]");
        let call = RawCall {
            request: request.id,
            cache: isolate.cache,
            connection: isolate.link,
            anchored: request.anchored,
            size: command.len(),
        };
        let host = isolate.host(self.queue.now());
        match isolate.engine.begin_raw(call, host) {
            Some(id) => self.add_op(number, id, Kind::Raw { name, command }),
            None => self.violation(String::from("no room for a raw command")),
        }
    }

    /// The command that an operation puts into a body.
    pub(crate) fn command_of(&mut self, number: usize, op: OpId) -> String {
        match self.kind_mut(number, op) {
            Some(Kind::Raw { command, .. }) => command.clone(),
            _ => {
                self.violation(format!("r{number} {op:?} sends a command that it does not have"));
                String::from("[\"PING\"]")
            }
        }
    }

    pub(crate) fn replied(&mut self, number: usize, op: OpId, reply: Option<String>) {
        let Some(Kind::Raw { name, .. }) = self.kind_mut(number, op) else { return };
        let name = name.clone();
        if reply.as_deref() == Some("\"OK\"") {
            self.raws.replied.push(name);
        } else {
            self.violation(format!("raw command {name} was answered {reply:?}"));
        }
        self.verdict.coverage.count("raw replied");
        self.settle(number, op, "is replied");
    }

    pub(crate) fn raw_failed(&mut self, number: usize, op: OpId, error: &RawError) {
        let Some(Kind::Raw { name, .. }) = self.kind_mut(number, op) else { return };
        let name = name.clone();
        let coverage = &mut self.verdict.coverage;
        match error.outcome {
            RawOutcome::NotExecuted => {
                coverage.count("raw not executed");
                self.raws.not_executed.push(name);
            }
            RawOutcome::Unknown => coverage.count("raw unknown"),
            RawOutcome::Failed | RawOutcome::Unconfigured => coverage.count("raw failed"),
        }
        self.settle(number, op, "fails");
    }
}
