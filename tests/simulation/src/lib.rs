//! A deterministic simulation: many isolates with the real core inside, a model of Redis that runs the real scripts, and
//! everything that can go wrong between them. From a seed follows a schedule; an oracle checks what DESIGN.md promises.

mod answers;
pub mod batch;
mod callbacks;
pub mod coverage;
mod driver;
mod ending;
mod faults;
pub mod isolate;
pub mod lives;
pub mod many;
pub mod marks;
mod mistakes;
mod mistakes_in_batches;
mod mistakes_in_l1;
mod mistakes_in_lives;
mod mistakes_in_waits;
pub mod mutants;
pub mod oracle;
mod patience;
pub mod plan;
pub mod queue;
pub mod raw;
mod requests;
pub mod rng;
mod spending;
pub mod trace;
pub mod values;
pub mod visit;
mod wire;
pub mod world;
