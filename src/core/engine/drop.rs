//! Drops: the commands that end something in Redis, or make it stale, and what becomes of them.

use alloc::format;
use alloc::string::String;

use super::batch::Slot;
use super::budget::Purpose;
use super::lane::Lane;
use super::op::KeyState;
use super::write::REFUSED;
use super::{BatchId, Engine, OpId};
use crate::core::journal::{Depth, Seq};
use crate::core::key::{Key, KeyKind};
use crate::core::redis::command::Command;
use crate::core::redis::reply::{CommandError, Reply};
use crate::core::redis::script::Script;
use crate::core::time::{Millis, Timestamp};

/// A command that ends something.
#[derive(Clone, Debug)]
pub(super) struct Drop {
    pub(super) op: OpId,
    pub(super) role: DropRole,
    pub(super) key: Key,
    pub(super) depth: Depth,
    pub(super) mark: Option<Mark>,
    /// By HDEL, scripts being refused, or not being needed.
    pub(super) plain: bool,
    /// With the script's text, its hash being unknown.
    pub(super) resent: bool,
}

/// What a drop does about the mark of a mutate.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// Sets it, for so long.
    Add { token: String, life: Millis },
    /// Takes it away.
    Remove { token: String },
}

/// Who waits for a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropRole {
    /// The invalidation itself.
    Write,
    /// A replay.
    Replay,
    /// A read that it precedes; nobody waits for it by itself.
    Cover,
}

impl Engine {
    #[allow(clippy::too_many_arguments, reason = "all that its slot holds")]
    pub(super) fn enqueue_drop(
        &mut self,
        lane: Lane,
        attempt: Option<u32>,
        op: OpId,
        role: DropRole,
        key: &Key,
        depth: Depth,
        mark: Option<Mark>,
    ) {
        let plain = depth == Depth::Soft;
        let drop = Drop { op, role, key: key.clone(), depth, mark, plain, resent: false };
        self.send_drop(lane, attempt, drop);
    }

    pub(super) fn send_drop(&mut self, lane: Lane, attempt: Option<u32>, drop: Drop) {
        let command = if drop.plain {
            Self::plain_drop(&drop.key, drop.depth, &self.build(lane))
        } else {
            let how = self.how(lane, Script::Drop, drop.resent);
            let (add, life, remove) = match &drop.mark {
                None => ("", String::from("0"), ""),
                Some(Mark::Add { token, life }) => (token.as_str(), format!("{}", life.get()), ""),
                Some(Mark::Remove { token }) => ("", String::from("0"), token.as_str()),
            };
            Command::script(Script::Drop, how, [drop.key.redis()], &[add, &life, remove])
        };
        if let Some(peer) = self.peer_mut(lane.connection) {
            peer.journal.send(&drop.key);
        }
        self.enqueue(lane, attempt, 0, command, Slot::Drop(drop));
    }

    /// What an expiry or an invalidation of this depth is sent as, without a script.
    fn plain_drop(key: &Key, depth: Depth, build: &str) -> Command {
        let lease = alloc::format!("l:{build}");
        match (depth, key.kind()) {
            (Depth::Soft, _) => Command::plain(&["HDEL", key.redis(), "x"]),
            (Depth::Hard, KeyKind::Entry) => Command::plain(&["HDEL", key.redis(), "g", "x", &lease]),
            (Depth::Hard, _) => Command::plain(&["HDEL", key.redis(), "v", "x"]),
        }
    }

    /// A drop was answered: of an invalidation, a replay, or before a read.
    pub(super) fn drop_replied(
        &mut self,
        lane: Lane,
        (batch, sent): (BatchId, Seq),
        mut drop: Drop,
        reply: &Reply,
        now: Timestamp,
    ) {
        let wanted = self.is_wanted(&drop);
        let mut marked = matches!(drop.mark, Some(Mark::Remove { .. }) | None);
        // Where something else lies, nothing of ours does.
        let foreign = drop.plain && *reply == Reply::Error(CommandError::WrongType);
        let state = match reply {
            Reply::Integer(0..) | Reply::Error(CommandError::WrongType)
                if foreign || matches!(reply, Reply::Integer(_)) =>
            {
                marked |= *reply == Reply::Integer(1) && !drop.plain;
                let at = self.tick();
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.journal.acknowledge(&drop.key, drop.depth, sent, at);
                    peer.stats.invalidations_applied += 1;
                }
                KeyState::Applied
            }
            // Nobody waits for this one by itself: what it did not do, it leaves to a replay.
            Reply::Error(_) if !wanted => KeyState::Open,
            Reply::Error(CommandError::NoScript | CommandError::ScriptFlag)
                if !drop.resent && self.affords(lane, Purpose::Invalidation, 0) =>
            {
                drop.resent = true;
                return self.send_drop(lane, None, drop);
            }
            // Scripts are refused, but HDEL may not be: without its generation no entry is valid.
            Reply::Error(CommandError::Refused)
                if !drop.plain && self.affords(lane, Purpose::Invalidation, 0) =>
            {
                drop.plain = true;
                return self.send_drop(lane, None, drop);
            }
            Reply::Error(CommandError::Refused) if drop.plain => {
                if let Some(peer) = self.peer_mut(lane.connection) {
                    peer.journal.refuse(&drop.key, now.after(REFUSED));
                }
                KeyState::Refused
            }
            _ => {
                if let Reply::Error(error) = reply {
                    self.report_command(lane, *error, now);
                }
                KeyState::Open
            }
        };
        match drop.role {
            DropRole::Cover if state == KeyState::Applied => self.cover_applied(drop.op, batch, &drop.key),
            DropRole::Cover => {}
            DropRole::Write => self.target_settled(&drop, state, marked, now),
            DropRole::Replay => self.replayed(drop.op, &drop.key, state, now),
        }
    }

    /// Whether somebody waits for it still, and would for its repetition: not for one before a read, nor for a mark after its
    /// time.
    fn is_wanted(&self, drop: &Drop) -> bool {
        match drop.role {
            DropRole::Cover => false,
            DropRole::Replay => self.ops.contains_key(&drop.op),
            DropRole::Write => {
                self.writing(drop.op).is_some_and(|(_, write)| write.awaits(drop.mark.as_ref()))
            }
        }
    }

    pub(super) fn drop_failed(&mut self, drop: &Drop, now: Timestamp) {
        match drop.role {
            DropRole::Cover => {}
            DropRole::Write => self.target_settled(drop, KeyState::Open, false, now),
            DropRole::Replay => self.replayed(drop.op, &drop.key, KeyState::Open, now),
        }
    }
}
