//! Counters of one connection since the instance started.

use serde::Serialize;

use super::event::Compression;

/// See the field docs of `Stats` in the published types; the names are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "documented where users read them")]
pub struct Stats {
    pub hits: u64,
    pub stale: u64,
    pub misses: u64,
    pub bypasses: u64,
    pub shared: u64,
    pub callbacks: u64,
    pub fills: u64,
    pub fills_refused: u64,
    pub fills_failed: u64,
    pub unstorable: u64,
    pub rejected: u64,
    pub compressed_from: u64,
    pub compressed_to: u64,
    pub invalidations_applied: u64,
    pub invalidations_pending: u64,
    pub invalidations_refused: u64,
    pub journal: u64,
    pub requests: u64,
    pub commands: u64,
}

impl Stats {
    /// What compression has gained in a fill that is stored.
    pub(crate) fn compressed(&mut self, gain: Option<Compression>) {
        if let Some(Compression { from, to }) = gain {
            self.compressed_from += from as u64;
            self.compressed_to += to as u64;
        }
    }
}
