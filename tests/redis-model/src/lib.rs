//! The part of Redis that Leeward uses, as a deterministic model: the Redis of the simulation and of the core's host tests.
//!
//! Leeward's scripts run here as they are, in a Lua 5.1 like Redis' own; what they call is a small store whose clock,
//! memory, permissions and faults are set from outside. Nothing here waits, draws chance or reads a clock, so that the
//! same calls always give the same replies. `tests/differential.rs` holds it against a real Redis 7.0.
//!
//! A [`Model`] is cheap to make: the Lua state and the compiled scripts belong to the thread and are shared by all models on
//! it.
//!
//! Differs from Redis on purpose:
//! - Only the commands of [`Model::execute`], without most of their options.
//! - The whole of a script sees one time, also where Redis asks its clock anew.
//! - `HKEYS` and `HGETALL` give fields in the order of their names.
//! - Lua has `string`, `table`, `math` (without `random`) and the basic functions; no `cjson`, `bit`, `struct` or `os`. A
//!   script cannot set globals, but one that wrote into `string` itself would spoil it for the thread.
//! - A script that never ends is not stopped.

mod command;
mod lua;
mod model;
pub mod pipeline;
mod reply;
mod sha;
mod store;

pub use model::{Model, Permissions, Snapshot};
pub use reply::Reply;
pub use sha::Sha;
pub use store::{Entry, Hash, Value};
