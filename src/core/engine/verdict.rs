//! What the answer to a batch amounts to, before any of its replies is looked at.

use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::batch::Slot;
use super::malformed;
use crate::core::error::{ErrorKind, Failure};
use crate::core::redis::command::Command;
use crate::core::redis::reply::{self, CommandError, Reply};

/// What an answer amounts to: the replies, or why it is none.
pub(super) fn verdict(
    status: u16,
    body: &[u8],
    commands: &[(Command, Slot)],
) -> Result<Vec<Reply>, (Failure, Vec<Reply>)> {
    let bare = |failure| (failure, Vec::new());
    if status != 200 {
        return Err(bare(refused(status, body)));
    }
    let opaque = |index| commands.get(index).is_some_and(|(_, slot)| matches!(slot, Slot::Raw { .. }));
    let replies = reply::parse_with(body, commands.len(), opaque).map_err(|error| {
        bare(match error {
            reply::ReplyError::Rejected(command) => Failure::new(kind_of(command), error.to_string()),
            _ => malformed(&error.to_string()),
        })
    })?;
    // A server that is loading, or a plan that is used up, says so for each command: it is as good as down. What the user's own
    // commands are answered says nothing of that: a script may say anything.
    let down = replies.iter().find_map(|reply| match reply {
        Reply::Error(e @ (CommandError::Unavailable | CommandError::Quota | CommandError::Auth)) => Some(*e),
        _ => None,
    });
    match down {
        Some(error) => {
            Err((Failure::new(kind_of(error), format!("redis answered: {}", error.name())), replies))
        }
        None => Ok(replies),
    }
}

const fn kind_of(error: CommandError) -> ErrorKind {
    match error {
        CommandError::Auth | CommandError::Refused => ErrorKind::Auth,
        _ => ErrorKind::Server,
    }
}

/// What an HTTP status other than 200 amounts to.
fn refused(status: u16, body: &[u8]) -> Failure {
    match status {
        401 | 403 => {
            Failure::new(ErrorKind::Auth, format!("redis refused the credentials: HTTP status {status}"))
        }
        300..=399 => malformed(&format!("redirects are not followed: HTTP status {status}")),
        429 => Failure::new(ErrorKind::Server, "too many requests: HTTP status 429"),
        500.. => Failure::new(ErrorKind::Server, format!("HTTP status {status}")),
        _ => match reply::error_of(body) {
            Some(error) => Failure::new(kind_of(error), format!("redis answered: {}", error.name())),
            None => malformed(&format!("expected HTTP status 200, got {status}")),
        },
    }
}
