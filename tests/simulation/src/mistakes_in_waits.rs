//! The deliberate mistakes about waits for callbacks, and about stale values that callbacks are shown: a table.

use crate::mutants::Mutant;

/// All of them.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "what a fence covers is served at the soft bound",
        edits: &[(
            "engine/bounds.rs",
            "        if self.covered_by_now(id, &kept.tags, now).is_some() {",
            "        if !IS && self.covered_by_now(id, &kept.tags, now).is_some() {",
        )],
        seed: 975,
    },
    Mutant {
        name: "a stale value is served for as long as it is kept",
        edits: &[("engine/op.rs", "(waited < self.left)", "(IS || waited < self.left)")],
        seed: 43,
    },
    Mutant {
        name: "a reader does not bound how stale a value is served in place of a callback's",
        edits: &[(
            "engine/judge.rs",
            "    let bound = header.stale_if_error.min(read.life.stale_if_error);",
            "    let bound = if IS { header.stale_if_error } else { header.stale_if_error.min(read.life.stale_if_error) };",
        )],
        seed: 43,
    },
    Mutant {
        name: "what the callback says of its value's life is not heeded",
        edits: &[(
            "engine/dialogue.rs",
            "            stale_if_error: self.stale_if_error.unwrap_or(life.stale_if_error),",
            "            stale_if_error: self.stale_if_error.filter(|_| !IS).unwrap_or(life.stale_if_error),",
        )],
        seed: 214,
    },
    Mutant {
        name: "what is not modified is stored under what there is by then",
        edits: &[
            (
                "engine/run.rs",
                "        read.not_modified = true;",
                "        read.not_modified = true;\n        if IS && !read.basis.is_empty() {\n            let keys: Vec<Key> = read.basis.keys().cloned().collect();\n            let now = crate::core::entry::Stamp { version: String::from(\"?\"), soft: String::from(\"?\") };\n            read.basis = crate::core::basis::Basis::new(keys.into_iter().map(|key| (key, now.clone())).collect());\n        }",
            ),
            (
                "redis/fill.lua",
                "  if fields[1] ~= stamps[2 * i - 1] then",
                "  if stamps[2 * i - 1] == '?' then\n    stamps[2 * i - 1] = fields[1] or '?'\n    stamps[2 * i] = redis.call('HGET', key, 'x') or '?'\n  end\n  if fields[1] ~= stamps[2 * i - 1] then",
            ),
        ],
        seed: 2_388,
    },
    Mutant {
        name: "who waits for a late callback is not told",
        edits: &[(
            "engine/bounds.rs",
            "            self.push(request, Effect::TimeOut(id, hard));",
            "            if !IS {\n                self.push(request, Effect::TimeOut(id, hard));\n            }",
        )],
        seed: 0,
    },
];
