//! The dialogue, step by step.

mod bounds;
mod early;
mod l1;
mod lives;
mod marks;
mod reads;
mod tags;
mod values;
mod wire;
mod world;
mod writes;
