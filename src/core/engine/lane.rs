//! What the next exchange of an operation belongs to.

use super::op::Op;
use super::{CacheId, ConnectionId, RequestId};

/// Request, settings and connection of an operation or a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) request: RequestId,
    pub(super) cache: CacheId,
    pub(super) connection: ConnectionId,
    pub(super) anchored: bool,
}

impl Op {
    pub(super) const fn lane(&self) -> Lane {
        Lane {
            request: self.request,
            cache: self.cache,
            connection: self.connection,
            anchored: self.anchored,
        }
    }
}
