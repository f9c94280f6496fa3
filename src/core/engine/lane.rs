//! What the next exchange of an operation belongs to.

use super::op::{Kind, Op};
use super::{CacheId, ConnectionId, RequestId};
use crate::core::journal::Seq;
use crate::core::time::{Millis, Timestamp};

/// Request, settings and connection of an operation or a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) request: RequestId,
    pub(super) cache: CacheId,
    pub(super) connection: ConnectionId,
    pub(super) anchored: bool,
}

impl Lane {
    pub(super) const fn new(
        request: RequestId,
        cache: CacheId,
        connection: ConnectionId,
        anchored: bool,
    ) -> Self {
        Self { request, cache, connection, anchored }
    }
}

impl Op {
    /// One that begins now.
    pub(super) const fn new(lane: Lane, began: Timestamp, start: Seq, kind: Kind) -> Self {
        let Lane { request, cache, connection, anchored } = lane;
        Self {
            request,
            cache,
            connection,
            anchored,
            began,
            start,
            due: None,
            bytes: 0,
            leapt: Millis::ZERO,
            kind,
        }
    }

    pub(super) const fn lane(&self) -> Lane {
        Lane::new(self.request, self.cache, self.connection, self.anchored)
    }
}
