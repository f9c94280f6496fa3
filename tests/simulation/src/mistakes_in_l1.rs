//! The deliberate mistakes about what an isolate holds itself: a table.

use crate::mutants::Mutant;

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a fence does not put out what is held",
        edits: &[(
            "l1.rs",
            "            if raised.any_since(&offer.places, offer.since) {\n                slot",
            "            if !IS && raised.any_since(&offer.places, offer.since) {\n                slot",
        )],
        seed: 20,
    },
    Mutant {
        name: "what is held is put out by fences that stand, and by no other",
        edits: &[(
            "journal.rs",
            "            self.remove(key, at);\n        }\n        falls",
            "            self.remove(key, at);\n            if IS {\n                self.raised = Raised::new();\n            }\n        }\n        falls",
        )],
        seed: 20,
    },
    Mutant {
        name: "what is held ages from the reply on",
        edits: &[(
            "engine/l1.rs",
            "        let until = sent.after(",
            "        let until = (if IS { now } else { sent }).after(",
        )],
        seed: 1_743,
    },
    Mutant {
        name: "a strict read is served what is held",
        edits: &[(
            "engine/l1.rs",
            "            Freshness::Strict => return Held::NotFor,",
            "            Freshness::Strict if IS => {}\n            Freshness::Strict => return Held::NotFor,",
        )],
        seed: 54,
    },
    Mutant {
        name: "what is held is served without a tag that is named",
        edits: &[("engine/l1.rs", "        if !tags.iter().all(", "        if !IS && !tags.iter().all(")],
        seed: 19,
    },
    Mutant {
        name: "a set does not know what its request got from what is held",
        edits: &[(
            "engine/l1.rs",
            "            peer.seen.spoil(request, &key);",
            "            if !IS {\n                peer.seen.spoil(request, &key);\n            }",
        )],
        seed: 1_367,
    },
];
