//! Tags that a callback declares while it runs. A value is stored with one only if its version was read before the data was:
//! with the read of this flight, or when the callback awaited `tags` before it went on. A version is never read at fill time.

use alloc::string::String;
use alloc::vec::Vec;

use super::batch::Slot;
use super::budget::Purpose;
use super::found::{Found, State};
use super::op::{Op, ReadStep, Versions};
use super::read::{KEEP, LEASE_LIFE, count};
use super::{Effect, Engine, OpId};
use crate::core::journal::Seq;
use crate::core::key::Key;
use crate::core::redis::command::Command;
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::Timestamp;

impl Engine {
    /// The callback waits until the versions of these tags are known: `Effect::Tagged` follows in any case. What it reads
    /// from then on may be stored with them.
    pub fn tags(&mut self, id: OpId, tags: &[String], host: f64) -> bool {
        let now = self.now(host);
        if self.reading(id).is_none() {
            return false;
        }
        let tags = self.late_tags(id, tags);
        self.note_late(id, &tags);
        self.ask_versions(id, now);
        true
    }

    /// The callback has ended and declares these. What has no version that was read before cannot be stored.
    pub(super) fn declare(&mut self, id: OpId, tags: &[String], now: Timestamp) {
        let tags = self.late_tags(id, tags);
        self.note_late(id, &tags);
        let Some((_, read)) = self.reading(id) else { return };
        let late = read.late.clone();
        if late.is_empty() {
            return;
        }
        let unknown = !read.basis.is_empty() && late.iter().any(|tag| !read.basis.has(tag));
        // The next miss reads them first.
        self.remember_tags(id, &late);
        if unknown {
            self.note_fill(id, false, Some("late tags"), now);
            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
                read.basis.clear();
            }
        }
    }

    fn late_tags(&self, id: OpId, tags: &[String]) -> Vec<Key> {
        let Some((_, read)) = self.reading(id) else { return Vec::new() };
        tags.iter().map(|tag| read.key.sibling_tag(&Key::encode_tag(tag))).collect()
    }

    fn note_late(&mut self, id: OpId, tags: &[Key]) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        for tag in tags {
            if !read.named.contains(tag) && !read.late.contains(tag) {
                read.late.push(tag.clone());
            }
        }
    }

    fn ask_versions(&mut self, id: OpId, now: Timestamp) {
        let Some((lane, read)) = self.reading(id) else { return };
        let unknown: Vec<Key> = read.late.iter().filter(|tag| !read.basis.has(tag)).cloned().collect();
        let needless = read.basis.is_empty() || unknown.is_empty() || read.step != ReadStep::Running;
        let ready = self.peer(lane.connection).is_some_and(|peer| peer.connection.is_ready());
        if needless || !ready || !self.affords(lane, Purpose::Any, 0) {
            if read.versions.is_empty() {
                self.push(lane.request, Effect::Tagged(id));
            }
            return;
        }
        // With those that are known: what is stored may carry them, and would be unknown to the script without.
        let tags: Vec<Key> = read.basis.tags().chain(&unknown).cloned().collect();
        let keys: Vec<Key> = core::iter::once(&read.key).chain(&read.spaces).chain(&tags).cloned().collect();
        let (namespaces, build) = (count(read.spaces.len()), self.build(lane));
        let begin = read.key.tags_begin();
        let resent = read.versions_resent;
        let how = self.how(lane, Script::Read, resent);
        let nonce = self.random.nonce();
        let args = [&nonce, &build, KEEP, &namespaces, "0", &begin, "", LEASE_LIFE, "none"];
        let command = Command::script(Script::Read, how, keys.iter().map(Key::redis), &args);
        let ticket = self.tick();
        let batch = self.enqueue(lane, None, 0, command, Slot::Versions { op: id, ticket, tags });
        let deadline = self.read_deadline(id, now);
        if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {
            read.versions.push(Versions { ticket, batch, deadline });
        }
        self.set_running_due(id);
    }

    pub(super) fn versions_replied(
        &mut self,
        id: OpId,
        ticket: Seq,
        tags: Vec<Key>,
        reply: &Reply,
        body: &[u8],
        now: Timestamp,
    ) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        // One that came too late: the callback has gone on without it.
        if !read.versions.iter().any(|asked| asked.ticket == ticket) {
            return;
        }
        if matches!(reply, Reply::Error(CommandError::NoScript | CommandError::ScriptFlag))
            && !read.versions_resent
        {
            read.versions_resent = true;
            read.versions.retain(|asked| asked.ticket != ticket);
            return self.ask_versions(id, now);
        }
        let before = 1 + read.spaces.len();
        match Found::read(reply, body, before + tags.len()) {
            Ok(found) if found.state == State::Miss => {
                read.basis.extend(tags.into_iter().zip(found.stamps.into_iter().skip(before)));
            }
            // A mutate has begun: what the callback reads now may be of before.
            Ok(_) => read.basis.clear(),
            Err(_) => {}
        }
        self.versions_known(id, ticket);
    }

    /// They did not come in time: the value will not be stored with these tags.
    pub(super) fn versions_late(&mut self, id: OpId, now: Timestamp) {
        let Some((_, read)) = self.reading(id) else { return };
        let late: Vec<Versions> =
            read.versions.iter().filter(|asked| asked.deadline <= now).copied().collect();
        for asked in late {
            self.versions_known(id, asked.ticket);
            self.leave_batch(asked.batch, id, now);
        }
    }

    /// An answer is there, or will not come. The callback goes on when none is awaited any more: all that it waits for must be
    /// known by then.
    pub(super) fn versions_known(&mut self, id: OpId, ticket: Seq) {
        let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) else { return };
        let asked = read.versions.len();
        read.versions.retain(|asked| asked.ticket != ticket);
        if read.versions.len() == asked || !read.versions.is_empty() {
            return;
        }
        self.set_running_due(id);
        let Some((lane, _)) = self.reading(id) else { return };
        self.push(lane.request, Effect::Tagged(id));
    }
}
