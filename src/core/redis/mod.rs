//! Redis as it is spoken here: commands out, replies in, and the scripts.

pub(crate) mod command;
pub mod reply;
pub mod script;
