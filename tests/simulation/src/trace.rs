//! What happened in a schedule, line by line, for a person to read.

use crate::plan::Micros;
use crate::values::Moment;

/// The lines, if somebody wants them.
#[derive(Debug)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that is kept, or not.
    #[must_use]
    pub fn new(kept: bool) -> Self {
        Self { lines: kept.then(Vec::new) }
    }

    /// Something happened; the text is made only if it is kept.
    pub fn say(&mut self, now: Micros, moment: Moment, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9}.{:03} ms #{moment:<5} {}", now / 1000, now % 1000, what()));
        }
    }

    /// All lines.
    #[must_use]
    pub fn lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
