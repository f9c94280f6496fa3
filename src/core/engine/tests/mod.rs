//! The dialogue, step by step.

mod reads;
mod world;
mod writes;
