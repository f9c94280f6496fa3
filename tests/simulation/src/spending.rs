//! What requests may spend: so many messages in all, and so many at the same time.

use crate::world::World;

impl World {
    /// A request sends one more.
    pub(crate) fn spend(&mut self, number: usize, index: usize) {
        // A new instance counts anew.
        if self.isolates.get(index).is_none_or(|isolate| isolate.trapped) {
            return;
        }
        let config = &self.plan.config;
        let (subrequests, connections) = (config.subrequests as usize, config.connections as usize);
        let of = self.messages.iter().filter(|message| message.request == number);
        let (sent, open) = of.fold((0, 0), |(sent, open), message| {
            (sent + 1, open + usize::from(!message.over && !message.aborted))
        });
        if sent >= subrequests {
            self.violation(format!("r{number} sends more than the {subrequests} messages that it may"));
        }
        if open >= connections {
            self.violation(format!("r{number} has more than {connections} messages under way"));
        }
    }
}
