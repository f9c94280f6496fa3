//! The dialogue, step by step.

mod bounds;
mod early;
mod lives;
mod marks;
mod reads;
mod tags;
mod values;
mod wire;
mod world;
mod writes;
