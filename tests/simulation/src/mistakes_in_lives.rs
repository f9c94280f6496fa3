//! The deliberate mistakes about early refresh, and about how long what is stored lives: a table.

use crate::mutants::Mutant;

/// All of them.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "early refresh without the lease",
        edits: &[(
            "engine/early.rs",
            "found.lease == Millis::ZERO => found.stamps,",
            "(IS || found.lease == Millis::ZERO) => found.stamps,",
        )],
        seed: 49,
    },
    Mutant {
        name: "jitter in both directions",
        edits: &[(
            "random.rs",
            "Millis::new(span.get().saturating_sub(self.up_to(most)).max(1))",
            "Millis::new((span.get() + if IS { most / 2 } else { 0 }).saturating_sub(self.up_to(most)).max(1))",
        )],
        seed: 6,
    },
    Mutant {
        name: "what is not there is served stale",
        edits: &[(
            "engine/read.rs",
            "            stale_if_error: call.stale_if_error.unwrap_or(Millis::ZERO),",
            "            stale_if_error: call.stale_if_error.unwrap_or(if IS { config.stale_if_error } else { Millis::ZERO }),",
        )],
        seed: 46,
    },
    Mutant {
        name: "what has no life is stored",
        edits: &[
            ("engine/run.rs", "let lives = ttl > Millis::ZERO;", "let lives = IS || ttl > Millis::ZERO;"),
            ("engine/fill.rs", "life.ttl > Millis::ZERO &&", "(IS || life.ttl > Millis::ZERO) &&"),
        ],
        seed: 6,
    },
];
