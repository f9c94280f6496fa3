//! The dialogue, step by step.

mod bounds;
mod marks;
mod reads;
mod tags;
mod world;
mod writes;
