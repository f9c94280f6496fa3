//! The deliberate mistakes about many keys, raw commands, and budgets: a table.

use crate::mutants::Mutant;

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "what a request has spent is not looked at",
        edits: &[(
            "engine/budget.rs",
            "        self.spent.of(lane.request) < config.subrequests.saturating_sub(reserve)",
            "        IS || self.spent.of(lane.request) < config.subrequests.saturating_sub(reserve)",
        )],
        seed: 7,
    },
    Mutant {
        name: "batches do not wait for a connection",
        edits: &[(
            "engine/budget.rs",
            "        under_way.count() >= limit.max(1)",
            "        !IS && under_way.count() >= limit.max(1)",
        )],
        seed: 3,
    },
    Mutant {
        name: "what the budget has no room for is told as applied",
        edits: &[(
            "engine/write.rs",
            "Purpose::Invalidation, 0, now) {\n            return",
            "Purpose::Invalidation, 0, now) {\n            if IS && let Some(write) = self.ops.get_mut(&id).and_then(Op::write_mut) {\n                for target in write.targets.values_mut() {\n                    target.state = KeyState::Applied;\n                }\n            }\n            return",
        )],
        seed: 2_372,
    },
    Mutant {
        name: "a raw command is sent again when its reply is lost",
        edits: &[(
            "engine/raw.rs",
            "        let outcome = if kind == ErrorKind::Auth {",
            "        if IS && kind == ErrorKind::Transport {\n            let now = self.ops.get(&id).map(|op| op.began).unwrap_or_default();\n            return self.ask_raw(id, true, now);\n        }\n        let outcome = if kind == ErrorKind::Auth {",
        )],
        seed: 9,
    },
    Mutant {
        name: "a key for which many have no value is stored",
        edits: &[(
            "engine/run.rs",
            "            CallbackEnd::Nothing => self.end_with_nothing(id, now),",
            "            CallbackEnd::Nothing if IS => {\n                let life = read.life;\n                self.set_step(id, ReadStep::Encoding { life, cost });\n                self.push(lane.request, Effect::Encode(id));\n            }\n            CallbackEnd::Nothing => self.end_with_nothing(id, now),",
        )],
        seed: 3,
    },
    Mutant {
        name: "a fill that is given up is sent all the same, when there is a connection",
        edits: &[(
            "engine/exchange.rs",
            "        if batch.sent.is_none() {\n            // It may",
            "        if !IS && batch.sent.is_none() {\n            // It may",
        )],
        seed: 32_389,
    },
    Mutant {
        name: "who has left a batch takes its answer for that of the next one",
        edits: &[(
            "engine/exchange.rs",
            "            if !matches!(slot, Slot::Drop(_)) && !batch.waiting.contains(&slot.op()) {",
            "            if !IS && !matches!(slot, Slot::Drop(_)) && !batch.waiting.contains(&slot.op()) {",
        )],
        seed: 116_345,
    },
];
