//! The dialogue, step by step.

mod marks;
mod reads;
mod tags;
mod values;
mod world;
mod writes;
