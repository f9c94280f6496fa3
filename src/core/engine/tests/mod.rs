//! The dialogue, step by step.

mod l1;
mod marks;
mod reads;
mod tags;
mod world;
mod writes;
