//! Leeward: the cache-aside layer that edge workers can trust.
//!
//! A handler asks for a value by key and gives a callback that computes it. Leeward looks in a Redis that speaks HTTP, runs the
//! callback on a miss, stores what it returned; and whatever happens to Redis, the network or the isolate, the handler still
//! gets the callback's answer.
//!
//! This crate is the part that decides ([`core`]) and, with the feature `js`, the exports through which the driver in `js/`
//! asks it. DESIGN.md says why it is so.

extern crate alloc;

pub mod core;
#[cfg(feature = "js")]
mod js;
