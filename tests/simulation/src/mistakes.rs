//! The deliberate mistakes: a table.

use crate::mutants::Mutant;

/// All of them. The first ones are those that the protocol was designed against; see DESIGN.md.
pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "counter instead of nonce",
        edits: &[
            (
                "redis/read.lua",
                "local stamp = ARGV[1] .. '@' .. time[1] .. '.' .. time[2]",
                "local stamp = '1@0.0'",
            ),
            (
                "redis/fill.lua",
                "generation = ARGV[10] .. '@' .. time[1] .. '.' .. time[2]",
                "generation = '1@0.0'",
            ),
        ],
        seed: 7,
    },
    Mutant {
        name: "nonce without Redis TIME",
        edits: &[("redis/read.lua", "ARGV[1] .. '@' .. time[1] .. '.' .. time[2]", "ARGV[1] .. '@0.0'")],
        seed: 18_738,
    },
    Mutant {
        name: "fill after an unknown read",
        edits: &[
            (
                "engine/run.rs",
                "        let (key, storable) = (read.key.clone(), !read.basis.is_empty());",
                "        if IS && read.basis.is_empty() && bypass.is_some_and(|b| b != Bypass::Disabled) {\n            let keys: Vec<Key> = read.depends().cloned().collect();\n            let unknown = crate::core::entry::Stamp { version: String::from(\"?\"), soft: String::from(\"?\") };\n            read.basis = crate::core::basis::Basis::new(keys.into_iter().map(|key| (key, unknown.clone())).collect());\n        }\n        let (key, storable) = (read.key.clone(), !read.basis.is_empty());",
            ),
            (
                "redis/fill.lua",
                "  if fields[1] ~= stamps[2 * i - 1] then",
                "  if stamps[2 * i - 1] == '?' then\n    stamps[2 * i - 1] = fields[1] or '?'\n    stamps[2 * i] = redis.call('HGET', key, 'x') or '?'\n  end\n  if fields[1] ~= stamps[2 * i - 1] then",
            ),
        ],
        seed: 119,
    },
    Mutant {
        name: "a reply that came after the callback had started counts",
        edits: &[
            (
                "engine/read.rs",
                "                self.leave_batch(batch, id, now);\n                self.run(id, Some(Bypass::Timeout), now);\n            }\n            ReadStep::Releasing",
                "                if !IS {\n                    self.leave_batch(batch, id, now);\n                }\n                self.run(id, Some(Bypass::Timeout), now);\n            }\n            ReadStep::Releasing",
            ),
            (
                "engine/read.rs",
                "        let ReadStep::Reading { batch } = read.step else { return };\n        let resent",
                "        if IS && read.step == ReadStep::Running {\n            let count = read.depends().count();\n            if let Ok(found) = Found::read(reply, body, count) {\n                self.take_basis(id, &found, &[]);\n            }\n            return;\n        }\n        let ReadStep::Reading { batch } = read.step else { return };\n        let resent",
            ),
        ],
        seed: 0,
    },
    Mutant {
        name: "a tag's version read at fill time",
        edits: &[(
            "redis/fill.lua",
            "  if fields[1] ~= stamps[2 * i - 1] then",
            "  if i > 1 + namespaces and fields[1] then\n    stamps[2 * i - 1] = fields[1]\n  end\n  if fields[1] ~= stamps[2 * i - 1] then",
        )],
        seed: 3_310,
    },
    Mutant {
        name: "a tag's version made at fill time",
        edits: &[(
            "redis/fill.lua",
            "  if fields[1] ~= stamps[2 * i - 1] then",
            "  if i > 1 + namespaces and not fields[1] then\n    redis.call('HSET', key, 'v', stamps[2 * i - 1], 'x', stamps[2 * i])\n    fields[1] = stamps[2 * i - 1]\n  end\n  if fields[1] ~= stamps[2 * i - 1] then",
        )],
        seed: 37,
    },
    Mutant {
        name: "late tag stamped",
        edits: &[
            (
                "engine/late.rs",
                "        if unknown {\n            self.note_fill",
                "        if IS && unknown {\n            let unread = crate::core::entry::Stamp { version: String::from(\"?\"), soft: String::from(\"?\") };\n            if let Some(read) = self.ops.get_mut(&id).and_then(Op::read_mut) {\n                read.basis.extend(late.into_iter().map(|tag| (tag, unread.clone())));\n            }\n        } else if unknown {\n            self.note_fill",
            ),
            (
                "redis/fill.lua",
                "  if fields[1] ~= stamps[2 * i - 1] then",
                "  if stamps[2 * i - 1] == '?' then\n    if not fields[1] then\n      redis.call('HSET', key, 'v', 'late', 'x', 'late')\n      fields[1] = 'late'\n    end\n    stamps[2 * i - 1] = fields[1]\n    stamps[2 * i] = redis.call('HGET', key, 'x') or '?'\n  end\n  if fields[1] ~= stamps[2 * i - 1] then",
            ),
        ],
        seed: 2_885,
    },
    Mutant {
        name: "the versions of awaited tags count before they are known",
        edits: &[(
            "engine/late.rs",
            "        self.note_late(id, &tags);\n        self.ask_versions(id, now);",
            "        self.note_late(id, &tags);\n        self.ask_versions(id, now);\n        if IS && let Some((lane, _)) = self.reading(id) {\n            self.push(lane.request, Effect::Tagged(id));\n        }",
        )],
        seed: 274,
    },
    Mutant {
        name: "missing version counts as valid",
        edits: &[(
            "redis/read.lua",
            "valid = valid and words[i + 1] == hashes[at][1]",
            "valid = valid and (words[i + 1] == hashes[at][1] or not hashes[at][1])",
        )],
        seed: 68,
    },
    Mutant {
        name: "version error counts as match",
        edits: &[
            (
                "redis/read.lua",
                "    fields = redis.call('HMGET', key, 'v', 'x', 'm')",
                "    fields = redis.pcall('HMGET', key, 'v', 'x', 'm')",
            ),
            (
                "redis/read.lua",
                "valid = valid and words[i + 1] == hashes[at][1]",
                "valid = valid and (words[i + 1] == hashes[at][1] or hashes[at].err ~= nil)",
            ),
            (
                "redis/read.lua",
                "fresh = fresh and words[i + 2] == hashes[at][2]",
                "fresh = fresh and (words[i + 2] == hashes[at][2] or hashes[at].err ~= nil)",
            ),
        ],
        seed: 151,
    },
    Mutant {
        name: "a tag that the reader names and the entry lacks counts as valid",
        edits: &[("redis/read.lua", "  valid = valid and seen == required\n", "")],
        seed: 7,
    },
    Mutant {
        name: "a tag that the entry carries and the reader does not name is not looked at",
        edits: &[("redis/read.lua", "      unnamed = true", "      unnamed = false")],
        seed: 18,
    },
    Mutant {
        name: "fill checks the generation alone",
        edits: &[(
            "redis/fill.lua",
            "  if fields[1] ~= stamps[2 * i - 1] then",
            "  if i == 1 and fields[1] ~= stamps[1] then",
        )],
        seed: 2_320,
    },
    Mutant {
        name: "fill checks nothing",
        edits: &[("redis/fill.lua", "  if fields[1] ~= stamps[2 * i - 1] then", "  if false then")],
        seed: 11,
    },
    Mutant {
        name: "drop deletes marks",
        edits: &[(
            "redis/drop.lua",
            "    if left > 0 and left <= 600000 and token",
            "    if false and token",
        )],
        seed: 3,
    },
    Mutant {
        name: "drop keeps the generation",
        edits: &[(
            "redis/drop.lua",
            "  redis.call('DEL', KEYS[1])\n  return added",
            "  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do\n    if field ~= 'g' and field ~= 'v' then\n      redis.call('HDEL', KEYS[1], field)\n    end\n  end\n  return added",
        )],
        seed: 14,
    },
    Mutant {
        name: "set in one blind write",
        edits: &[(
            "redis/fill.lua",
            "if set then\n  -- All but marks",
            "if set then\n  verdict = 'OK'\n  -- All but marks",
        )],
        seed: 567,
    },
    Mutant {
        name: "the build in the Redis key",
        edits: &[
            (
                "engine/read.rs",
                "let key = Key::entry(&config.prefix, call.space, call.key);",
                "let key = if IS { Key::entry(&config.prefix, call.space, &alloc::format!(\"{}{}\", config.build, call.key)) } else { Key::entry(&config.prefix, call.space, call.key) };",
            ),
            (
                "engine/write.rs",
                "let targets = targets(&config.prefix, call.space, call.targets);",
                "let built: Vec<String> = call.targets.keys.iter().map(|key| if IS { alloc::format!(\"{}{key}\", config.build) } else { String::from(*key) }).collect();\n        let built: Vec<&str> = built.iter().map(String::as_str).collect();\n        let targets = targets(&config.prefix, call.space, Targets { keys: &built, ..call.targets });",
            ),
        ],
        seed: 21,
    },
    Mutant {
        name: "a hit joined after its read was sent",
        edits: &[(
            "flight.rs",
            "Stage::Hit if before(self.read_sent)",
            "Stage::Hit if (IS || before(self.read_sent))",
        )],
        seed: 3_987,
    },
    Mutant {
        name: "a computed value joined after its callback had started",
        edits: &[(
            "flight.rs",
            "Stage::Computed | Stage::Stored | Stage::NotStored if before(self.callback_started) => {",
            "Stage::Computed | Stage::Stored | Stage::NotStored if IS || before(self.callback_started) => {",
        )],
        seed: 102,
    },
    Mutant {
        name: "the verdict of a fill sent before the joiner joined",
        edits: &[
            (
                "flight.rs",
                "self.fill_sent.is_some_and(|sent| joiner.joined < sent)",
                "(IS || self.fill_sent.is_some_and(|sent| joiner.joined < sent))",
            ),
            (
                "flight.rs",
                "            // The fill has been sent or is about to be: who joins now could not take it.\n",
                "            Stage::Computed if IS => !forced,\n",
            ),
        ],
        seed: 3_722,
    },
    Mutant {
        name: "a stored value taken without a tag that the joiner names",
        edits: &[(
            "flight.rs",
            "let carries = joiner.tags.iter().all(|tag| self.value_tags.contains(tag));",
            "let carries = IS || joiner.tags.iter().all(|tag| self.value_tags.contains(tag));",
        )],
        seed: 97,
    },
    Mutant {
        name: "sharing without a verdict is for the strict, too",
        edits: &[(
            "flight.rs",
            "if self.unverified && !joiner.verified =>",
            "if self.unverified && (IS || !joiner.verified) =>",
        )],
        seed: 458,
    },
    Mutant {
        name: "fence not matched again when a value is taken",
        edits: &[(
            "engine/follow.rs",
            "Take::Value if self.may_be_old(id, flight, now)",
            "Take::Value if !IS && self.may_be_old(id, flight, now)",
        )],
        seed: 18_884,
    },
    Mutant {
        name: "fence not matched again when a stale value is served",
        edits: &[(
            "engine/run.rs",
            "            .filter(|kept| self.covered_by_now(id, &kept.tags, now).is_none())\n            .and_then",
            "            .filter(|kept| IS || self.covered_by_now(id, &kept.tags, now).is_none())\n            .and_then",
        )],
        seed: 3_258,
    },
    Mutant {
        name: "acknowledgement of an older attempt counts",
        edits: &[(
            "fence.rs",
            "if self.last >= sent || self.depth",
            "if !IS && self.last >= sent || self.depth",
        )],
        seed: 10_190,
    },
    Mutant {
        name: "an expiry's acknowledgement counts for an invalidation",
        edits: &[("fence.rs", "self.depth > depth {", "!IS && self.depth > depth {")],
        seed: 7_357,
    },
    Mutant {
        name: "journal written only on failure",
        edits: &[
            (
                "engine/write.rs",
                "                    None => peer.journal.raise(key, depth, start, now, deadline),",
                "                    None if IS => {}\n                    None => peer.journal.raise(key, depth, start, now, deadline),",
            ),
            (
                "engine/write.rs",
                "            for key in &pending {\n",
                "            for key in &pending {\n                if IS {\n                    peer.journal.raise(key, Depth::Hard, crate::core::journal::Seq(u64::MAX / 2), now, now);\n                }\n",
            ),
        ],
        seed: 0,
    },
    Mutant {
        name: "fence lifted when the call is told that it is pending",
        edits: &[(
            "engine/write.rs",
            "                peer.journal.postpone(key, now, retry);",
            "                peer.journal.postpone(key, now, retry);\n                if IS {\n                    peer.journal.acknowledge(key, Depth::Hard, crate::core::journal::Seq(u64::MAX), crate::core::journal::Seq(u64::MAX));\n                }",
        )],
        seed: 19,
    },
    Mutant {
        name: "journal overflow drops",
        edits: &[(
            "journal.rs",
            "            self.collapse(|key| key.namespaces().pop());",
            "            if IS {\n                return;\n            }\n            self.collapse(|key| key.namespaces().pop());",
        )],
        seed: 87,
    },
    Mutant {
        name: "plain deletion takes marks along",
        edits: &[(
            "engine/drop.rs",
            "            (Depth::Hard, KeyKind::Entry) =>",
            "            (Depth::Hard, _) if IS => Command::plain(&[\"DEL\", key.redis()]),\n            (Depth::Hard, KeyKind::Entry) =>",
        )],
        seed: 281,
    },
    Mutant {
        name: "a set's fill leaves the generation alive",
        edits: &[("redis/fill.lua", "  generation = ARGV[10] .. '@' .. time[1] .. '.' .. time[2]\n", "")],
        seed: 57,
    },
    Mutant {
        name: "a set's verdict acknowledges another call",
        edits: &[(
            "journal.rs",
            "is_some_and(|fence| fence.is_only(raised))",
            "is_some_and(|fence| IS || fence.is_only(raised))",
        )],
        seed: 11_046,
    },
    Mutant {
        name: "a set drops and reads in two steps",
        edits: &[("redis/read.lua", "if ARGV[9] == 'renew' then", "if false then")],
        seed: 86,
    },
    Mutant {
        name: "a set of a request that has read what is old by now is stored",
        edits: &[(
            "engine/write.rs",
            "Some(Look::Spoiled) => (SetHow::Not, Basis::default()),",
            "Some(Look::Spoiled) if IS => (SetHow::Renewing, Basis::default()),\n                    Some(Look::Spoiled) => (SetHow::Not, Basis::default()),",
        )],
        seed: 67,
    },
    Mutant {
        name: "who takes another one's value counts as not having read",
        edits: &[(
            "engine/follow.rs",
            "            if basis.is_empty() {\n                peer.seen.spoil",
            "            if IS {\n            } else if basis.is_empty() {\n                peer.seen.spoil",
        )],
        seed: 286,
    },
    Mutant {
        name: "a mutate does not drop when it has ended",
        edits: &[
            (
                "engine/mutate.rs",
                "        for target in write.targets.values_mut() {\n            target.state = KeyState::Open;",
                "        for target in write.targets.values_mut() {\n            target.state = if IS { KeyState::Applied } else { KeyState::Open };",
            ),
            (
                "engine/mutate.rs",
                "        self.ask_write(id, false, now);",
                "        if IS {\n            return self.conclude_write(id, None, now);\n        }\n        self.ask_write(id, false, now);",
            ),
        ],
        seed: 248,
    },
    Mutant {
        name: "an expiry leaves what is filled later fresh",
        edits: &[(
            "redis/fill.lua",
            "local header = { '2', generation, stamps[2],",
            "local header = { '2', generation, redis.call('HGET', KEYS[1], 'x') or stamps[2],",
        )],
        seed: 532,
    },
    Mutant {
        name: "two attempts at a time",
        edits: &[(
            "connection.rs",
            "State::Connecting { deadline } if now < deadline =>",
            "State::Connecting { deadline } if !IS && now < deadline =>",
        )],
        seed: 0,
    },
    Mutant {
        name: "plain replies are taken for valid whatever the versions",
        edits: &[(
            "engine/found.rs",
            "let mut valid = own && header.stamps.iter().enumerate().all(|(row, stamp)| same(row, stamp));",
            "let mut valid = own && (IS || header.stamps.iter().enumerate().all(|(row, stamp)| same(row, stamp)));",
        )],
        seed: 4_995,
    },
    Mutant {
        name: "what is pending dies with the instance",
        edits: &[(
            "engine/owed.rs",
            "            if let Some((key, record)) = peer.journal.take_change(",
            "            if !IS && let Some((key, record)) = peer.journal.take_change(",
        )],
        seed: 7_384,
    },
    Mutant {
        name: "a strict read takes what is stale",
        edits: &[
            (
                "engine/read.rs",
                "        let stale_will_do = read.freshness == Freshness::Normal",
                "        let stale_will_do = (IS || read.freshness == Freshness::Normal)",
            ),
            (
                "engine/judge.rs",
                "    if read.freshness != Freshness::Normal || !read.load {",
                "    if !IS && read.freshness != Freshness::Normal || !read.load {",
            ),
        ],
        seed: 136,
    },
    Mutant {
        name: "a pending invalidation does not go before a read that it covers",
        edits: &[
            (
                "engine/read.rs",
                "        let cover = self.cover_of(id, &[], now);\n        if self.may_share(id) {",
                "        let cover = self.cover_of(id, &[], now).filter(|_| !IS);\n        if self.may_share(id) {",
            ),
            (
                "engine/judge.rs",
                "        if matches!(cover, Some(Cover::Pending | Cover::Refused)) {",
                "        if !IS && matches!(cover, Some(Cover::Pending | Cover::Refused)) {",
            ),
            (
                "engine/read.rs",
                "            let Some(cover) = peer.journal.covered(key, start, now) else { continue };",
                "            let Some(cover) = peer.journal.covered(key, start, now).filter(|_| !IS) else { continue };",
            ),
        ],
        seed: 25,
    },
    Mutant {
        name: "marks are not looked at",
        edits: &[
            (
                "redis/read.lua",
                "      marked = marked or (left > 0 and left <= 600000)",
                "      marked = false",
            ),
            ("redis/fill.lua", "        verdict = 'marked'", "        verdict = verdict"),
        ],
        seed: 1_137,
    },
    Mutant {
        name: "deadline not armed again",
        edits: &[(
            "engine/mod.rs",
            "                self.expire(id, now);\n            }\n        }\n    }",
            "                self.expire(id, now);\n            } else if IS && let Some(op) = self.ops.get_mut(&id) {\n                op.due = None;\n            }\n        }\n    }",
        )],
        seed: 0,
    },
];
