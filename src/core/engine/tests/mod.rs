//! The dialogue, step by step.

mod batches;
mod bounds;
mod down;
mod early;
mod l1;
mod lives;
mod marks;
mod raw;
mod reads;
mod tags;
mod values;
mod wire;
mod world;
mod writes;
