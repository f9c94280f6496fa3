//! The dialogue, step by step.

mod marks;
mod reads;
mod tags;
mod values;
mod wire;
mod world;
mod writes;
