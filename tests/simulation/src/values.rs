//! The values of the simulation: each remembers what it was read for, and when. A stored text is the number of its value.

use leeward::core::{Encoded, ValueKind};

use crate::plan::Micros;

/// A moment: the number of events before it. What happens later has a larger one.
pub type Moment = u64;

/// A value.
#[derive(Clone, Debug)]
pub struct Value {
    /// When its data was read from the source.
    pub read: Moment,
    /// The same as a time.
    pub at: Micros,
    /// The namespace's path and the key.
    pub space: &'static str,
    /// See `space`.
    pub key: &'static str,
    /// The tags that its call and its callback gave it.
    pub tags: Vec<&'static str>,
    /// The build that made it.
    pub build: &'static str,
    /// It is that there is none.
    pub none: bool,
}

/// All values there have been.
#[derive(Debug, Default)]
pub struct Values(Vec<Value>);

impl Values {
    /// A value's number.
    pub fn add(&mut self, value: Value) -> usize {
        self.0.push(value);
        self.0.len() - 1
    }

    /// The value of a number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Value> {
        self.0.get(number)
    }

    /// To set what is known only later.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Value> {
        self.0.get_mut(number)
    }
}

/// How the core is told of a value.
#[must_use]
pub const fn encoded() -> Encoded {
    Encoded { kind: ValueKind::Json, size: 4 }
}
