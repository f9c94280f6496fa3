//! Reads where scripts are refused, as for a read-only token: plain commands, which may be answered by a replica. What is stored
//! is served if it is valid by what they say; nothing is stored, and nothing is promised about invalidations.

use alloc::string::String;
use alloc::vec::Vec;

use super::batch::Slot;
use super::found::Found;
use super::op::ReadStep;
use super::{BatchId, Engine, OpId};
use crate::core::event::Bypass;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::Reply;
use crate::core::time::Timestamp;

impl Engine {
    pub(super) fn send_plain_read(
        &mut self,
        id: OpId,
        attempt: Option<u32>,
        depends: &[Key],
        deadline: Timestamp,
    ) {
        let Some((lane, _)) = self.reading(id) else { return };
        let build = self.build(lane);
        let (header, body) = (alloc::format!("h:{build}"), alloc::format!("b:{build}"));
        let mut commands = Vec::from([(Command::plain(&["TIME"]), Slot::Plain { op: id })]);
        for (index, key) in depends.iter().enumerate() {
            let command = match index {
                0 => Command::plain(&["HMGET", key.redis(), "g", "x", "m", &header, &body]),
                _ => Command::plain(&["HMGET", key.redis(), "v", "x", "m"]),
            };
            commands.push((command, Slot::PlainMore { op: id }));
        }
        let batch = self.enqueue_all(lane, attempt, 0, commands);
        self.set_step(id, ReadStep::Reading { batch });
        self.set_due(id, Some(deadline));
    }

    /// All replies to a read's plain commands are there.
    pub(super) fn plain_replied(
        &mut self,
        id: OpId,
        batch: BatchId,
        replies: &[Reply],
        body: &[u8],
        now: Timestamp,
    ) {
        let Some((lane, read)) = self.reading(id) else { return };
        if read.step != (ReadStep::Reading { batch }) {
            return;
        }
        let deadline = self.ops.get(&id).and_then(|op| op.due).unwrap_or(now);
        if let Some(error) = replies.iter().find_map(|reply| match reply {
            Reply::Error(error) => Some(*error),
            _ => None,
        }) {
            self.report_command(lane, error, now);
            return self.run(id, Some(Bypass::Failed), now);
        }
        let names: Vec<String> =
            read.named.iter().chain(&read.hinted).map(|tag| String::from(tag.user())).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match Found::judge(replies, body, &names, read.spaces.len(), read.named.len()) {
            Ok(found) => self.judge(id, batch, found, deadline, now),
            Err(failure) => {
                self.report_failure(lane.request, lane.cache, now, &failure);
                self.run(id, Some(Bypass::Failed), now);
            }
        }
    }
}
