//! The commands: their names, how many arguments they take, what may refuse them, and what they do to the store.

use crate::reply::Reply;
use crate::store::{Life, Store, WrongType};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Time,
    HMGet,
    HGet,
    HSet,
    HDel,
    HKeys,
    HGetAll,
    Del,
    Exists,
    PTtl,
    PExpire,
    PExpireAt,
    Set,
    Get,
    FlushAll,
    Ping,
    DbSize,
    EvalSha,
    Eval,
    ScriptFlush,
    ScriptLoad,
    /// SCRIPT without a subcommand, which is always an error.
    Script,
}

/// What a command may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Writes,
    /// Writes, and may need memory: refused when there is none.
    Grows,
    /// Of the scripts' own commands, not allowed in a script.
    Scripts,
}

#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    /// Words with the name (for a subcommand: with both names); negative: at least so many.
    arity: isize,
    pub(crate) effect: Effect,
}

impl Spec {
    pub(crate) fn takes(&self, words: usize) -> bool {
        match usize::try_from(self.arity) {
            Ok(exact) => words == exact,
            Err(_) => words >= self.arity.unsigned_abs(),
        }
    }

    pub(crate) fn writes(&self) -> bool {
        matches!(self.effect, Effect::Writes | Effect::Grows)
    }
}

const fn spec(kind: Kind, name: &'static str, arity: isize, effect: Effect) -> Spec {
    Spec { kind, name, arity, effect }
}

/// The ones that scripts call most come first.
static COMMANDS: [Spec; 20] = [
    spec(Kind::HMGet, "hmget", -3, Effect::Reads),
    spec(Kind::PTtl, "pttl", 2, Effect::Reads),
    spec(Kind::Time, "time", 1, Effect::Reads),
    spec(Kind::HSet, "hset", -4, Effect::Grows),
    spec(Kind::HGet, "hget", 3, Effect::Reads),
    spec(Kind::HDel, "hdel", -3, Effect::Writes),
    spec(Kind::HKeys, "hkeys", 2, Effect::Reads),
    spec(Kind::PExpire, "pexpire", -3, Effect::Writes),
    spec(Kind::PExpireAt, "pexpireat", -3, Effect::Writes),
    spec(Kind::Del, "del", -2, Effect::Writes),
    spec(Kind::EvalSha, "evalsha", -3, Effect::Scripts),
    spec(Kind::Eval, "eval", -3, Effect::Scripts),
    spec(Kind::HGetAll, "hgetall", 2, Effect::Reads),
    spec(Kind::Exists, "exists", -2, Effect::Reads),
    spec(Kind::Set, "set", -3, Effect::Grows),
    spec(Kind::Get, "get", 2, Effect::Reads),
    spec(Kind::FlushAll, "flushall", -1, Effect::Writes),
    spec(Kind::Ping, "ping", -1, Effect::Reads),
    spec(Kind::DbSize, "dbsize", 1, Effect::Reads),
    spec(Kind::Script, "script", -2, Effect::Scripts),
];

static SUBCOMMANDS: [Spec; 2] = [
    spec(Kind::ScriptLoad, "script|load", 3, Effect::Scripts),
    spec(Kind::ScriptFlush, "script|flush", -2, Effect::Scripts),
];

/// Why there is no such command.
#[derive(Debug)]
pub(crate) enum Unknown {
    Command,
    Subcommand,
}

pub(crate) fn find(name: &[u8], next: Option<&[u8]>) -> Result<&'static Spec, Unknown> {
    let spec = COMMANDS
        .iter()
        .find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name))
        .ok_or(Unknown::Command)?;
    match (spec.kind, next) {
        (Kind::Script, Some(next)) => SUBCOMMANDS
            .iter()
            .find(|spec| spec.name.split('|').nth(1).is_some_and(|n| n.as_bytes().eq_ignore_ascii_case(next)))
            .ok_or(Unknown::Subcommand),
        _ => Ok(spec),
    }
}

/// Does what a command says. Those of the scripts belong to the model; here they are refused.
pub(crate) fn apply<A: AsRef<[u8]>>(store: &mut Store, spec: &Spec, args: &[A]) -> Reply {
    match (spec.kind, args) {
        (Kind::Time, _) => {
            let part = |n: u64| Reply::Bulk(n.to_string().into_bytes());
            Reply::Array(vec![part(store.now_us / 1_000_000), part(store.now_us % 1_000_000)])
        }
        (Kind::HMGet, [key, fields @ ..]) => with_hash(store.hash(key.as_ref()), |hash| {
            let hash = hash.as_deref();
            let value = |field: &A| hash.and_then(|h| h.get(field.as_ref()));
            Reply::Array(fields.iter().map(|f| value(f).cloned().map_or(Reply::Null, Reply::Bulk)).collect())
        }),
        (Kind::HGet, [key, field]) => with_hash(store.hash(key.as_ref()), |hash| {
            hash.and_then(|h| h.get(field.as_ref()).cloned()).map_or(Reply::Null, Reply::Bulk)
        }),
        (Kind::HSet, [key, pairs @ ..]) if pairs.len().is_multiple_of(2) => {
            let Ok(hash) = store.hash_to_fill(key.as_ref()) else { return Reply::wrong_type() };
            let mut added = 0;
            for pair in pairs.chunks_exact(2) {
                let [field, value] = pair else { continue };
                match hash.get_mut(field.as_ref()) {
                    Some(old) => {
                        old.clear();
                        old.extend_from_slice(value.as_ref());
                    }
                    None => {
                        hash.insert(field.as_ref().to_vec(), value.as_ref().to_vec());
                        added += 1;
                    }
                }
            }
            Reply::Integer(added)
        }
        (Kind::HDel, [key, fields @ ..]) => {
            let key = key.as_ref();
            let Ok(hash) = store.hash(key) else { return Reply::wrong_type() };
            let Some(hash) = hash else { return Reply::Integer(0) };
            let removed = fields.iter().filter(|field| hash.remove(field.as_ref()).is_some()).count();
            if hash.is_empty() {
                store.remove(key);
            }
            Reply::count(removed)
        }
        (Kind::HKeys, [key]) => with_hash(store.hash(key.as_ref()), |hash| {
            Reply::Array(hash.into_iter().flat_map(|h| h.keys()).cloned().map(Reply::Bulk).collect())
        }),
        (Kind::HGetAll, [key]) => with_hash(store.hash(key.as_ref()), |hash| {
            let pairs = hash.into_iter().flat_map(|h| h.iter());
            Reply::Array(pairs.flat_map(|(f, v)| [f, v]).cloned().map(Reply::Bulk).collect())
        }),
        (Kind::Del, keys) => Reply::count(keys.iter().filter(|key| store.remove(key.as_ref())).count()),
        (Kind::Exists, keys) => Reply::count(keys.iter().filter(|key| store.exists(key.as_ref())).count()),
        (Kind::PTtl, [key]) => Reply::Integer(match store.life(key.as_ref()) {
            Life::NoKey => -2,
            Life::Endless => -1,
            Life::Ms(ms) => ms,
        }),
        (Kind::PExpire, [key, ms, options @ ..]) => {
            let base = store.now_ms();
            expire(store, spec.name, base, key.as_ref(), ms.as_ref(), options)
        }
        (Kind::PExpireAt, [key, ms, options @ ..]) => {
            expire(store, spec.name, 0, key.as_ref(), ms.as_ref(), options)
        }
        (Kind::Set, [key, value]) => {
            store.set_text(key.as_ref(), value.as_ref());
            Reply::ok()
        }
        (Kind::Get, [key]) => match store.text(key.as_ref()) {
            Ok(text) => text.map_or(Reply::Null, |text| Reply::Bulk(text.to_vec())),
            Err(WrongType) => Reply::wrong_type(),
        },
        (Kind::FlushAll, []) => {
            store.clear();
            Reply::ok()
        }
        (Kind::FlushAll, [how]) if is_sync_or_async(how.as_ref()) => {
            store.clear();
            Reply::ok()
        }
        (Kind::Set | Kind::FlushAll, _) => Reply::error("ERR syntax error"),
        (Kind::Ping, []) => Reply::Status(String::from("PONG")),
        (Kind::Ping, [text]) => Reply::Bulk(text.as_ref().to_vec()),
        (Kind::DbSize, _) => Reply::count(store.entries().count()),
        _ => Reply::arity(spec.name),
    }
}

pub(crate) fn is_sync_or_async(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async")
}

fn with_hash<H>(hash: Result<H, WrongType>, reply: impl FnOnce(H) -> Reply) -> Reply {
    hash.map_or_else(|WrongType| Reply::wrong_type(), reply)
}

/// Redis also knows the options NX, XX, GT and LT; Leeward does not use them.
fn expire<A: AsRef<[u8]>>(
    store: &mut Store,
    name: &str,
    base: i64,
    key: &[u8],
    ms: &[u8],
    options: &[A],
) -> Reply {
    if let [option, ..] = options {
        let option = String::from_utf8_lossy(option.as_ref());
        return Reply::error(format!("ERR Unsupported option {option}"));
    }
    let Some(ms) = integer(ms) else {
        return Reply::error("ERR value is not an integer or out of range");
    };
    let Some(at) = base.checked_add(ms) else {
        return Reply::error(format!("ERR invalid expire time in '{name}' command"));
    };
    Reply::Integer(i64::from(store.expire_at(key, at)))
}

/// An integer as Redis reads it: one way to write each number.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if text.len() == 1 => Some(0),
        [b'1'..=b'9', ..] => core::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_in_one_way_only() {
        for (text, value) in
            [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(integer(text.as_bytes()), Some(value));
        }
        for text in ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "1e3", "9223372036854775808"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_command_is_found_in_any_case() {
        assert!(matches!(find(b"hGeT", None), Ok(Spec { kind: Kind::HGet, .. })));
        assert!(matches!(find(b"Script", Some(b"fLush")), Ok(Spec { kind: Kind::ScriptFlush, .. })));
        assert!(matches!(find(b"script", Some(b"kill")), Err(Unknown::Subcommand)));
        assert!(matches!(find(b"hgetx", None), Err(Unknown::Command)));
    }
}
