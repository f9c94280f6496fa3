//! The dialogue, step by step.

mod batches;
mod down;
mod early;
mod lives;
mod marks;
mod raw;
mod reads;
mod tags;
mod values;
mod wire;
mod world;
mod writes;
