//! What will happen, in the order of time; what is due at the same time, in the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use leeward::core::{OpId, SharedId};

use crate::plan::Micros;

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A request comes.
    Arrive(usize),
    /// A request takes its next step.
    Step(usize),
    /// A request's timer fires, if it is still the one of that number.
    Timer(usize, u64),
    /// A promise that an operation waits for has settled.
    Wake(usize, OpId, SharedId),
    /// A promise that an operation waits for is lost.
    Lost(usize, OpId, SharedId),
    /// The callback of a read reads its data.
    ReadSource(usize, OpId),
    /// The callback of a read ends.
    EndCallback(usize, OpId),
    /// It is known of all keys of a call whether they are missing.
    AskMany(usize),
    /// The callback for many keys reads their data.
    LoadMany(usize),
    /// It ends.
    EndMany(usize),
    /// The callback of a mutate changes the source.
    WriteSource(usize, OpId),
    /// The callback of a mutate ends.
    EndMutate(usize, OpId),
    /// Redis executes a message; whether its answer is sent.
    Execute(usize, bool),
    /// The answer to a message arrives.
    Reply(usize),
    /// The connection of a message breaks.
    Break(usize),
    /// Something happens to Redis or to clocks.
    Fault,
    /// All faults end.
    Heal,
}

/// The queue and the time.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    planned: u64,
    now: Micros,
}

impl Queue {
    /// The time.
    #[must_use]
    pub const fn now(&self) -> Micros {
        self.now
    }

    /// It will happen so much later.
    pub fn after(&mut self, wait: Micros, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((self.now + wait, self.planned, event)));
    }

    /// The next thing that happens; time passes until then.
    pub fn pop(&mut self) -> Option<Event> {
        let Reverse((at, _, event)) = self.heap.pop()?;
        self.now = at;
        Some(event)
    }
}
