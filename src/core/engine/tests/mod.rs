//! The dialogue, step by step.

mod marks;
mod reads;
mod tags;
mod world;
mod writes;
