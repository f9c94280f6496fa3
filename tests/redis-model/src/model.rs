//! The server: its commands, and what a simulation may do to it.

use std::collections::BTreeMap;

use crate::command::{self, Effect, Kind, Spec, Unknown};
use crate::lua::{self, Script};
use crate::pipeline;
use crate::reply::Reply;
use crate::sha::Sha;
use crate::store::{Entry, Hash, Store, Value};

/// What the user that gives the commands is allowed (the server's ACL).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Permissions {
    /// Everything.
    #[default]
    All,
    /// Everything but EVAL, EVALSHA and SCRIPT (`-@scripting`).
    NoScripts,
    /// Neither scripts nor commands that write (`-@scripting -@write`).
    ReadOnly,
}

impl Permissions {
    fn allow(self, spec: &Spec) -> bool {
        match self {
            Self::All => true,
            Self::NoScripts => spec.effect != Effect::Scripts,
            Self::ReadOnly => spec.effect == Effect::Reads,
        }
    }
}

/// What a model held at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<Vec<u8>, Entry>);

/// A Redis.
#[derive(Clone, Debug, Default)]
pub struct Model {
    store: Store,
    /// As in Redis, all that were ever given, until they are flushed. There are few: a list is searched fastest.
    scripts: Vec<Script>,
    mutants: Vec<(Sha, Script)>,
    out_of_memory: bool,
    permissions: Permissions,
    commands: u64,
    script_commands: u64,
}

impl Model {
    /// An empty server at `now_us` (microseconds of Unix time).
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self { store: Store::at(now_us), ..Self::default() }
    }

    /// Sets the clock, in microseconds of Unix time. It may jump back and forth.
    pub fn set_time(&mut self, now_us: u64) {
        self.store.now_us = now_us;
    }

    /// The clock, in microseconds of Unix time.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.store.now_us
    }

    /// Whether there is no memory: as with `maxmemory` reached and nothing that may be evicted.
    pub fn set_oom(&mut self, out_of_memory: bool) {
        self.out_of_memory = out_of_memory;
    }

    /// What the commands from now on are allowed.
    pub fn set_permissions(&mut self, permissions: Permissions) {
        self.permissions = permissions;
    }

    /// The server comes back empty and without scripts. What it was set to (clock, memory, permissions, mutants) stays.
    pub fn restart(&mut self) {
        self.store.clear();
        self.scripts.clear();
    }

    /// The server forgets its scripts.
    pub fn script_flush(&mut self) {
        self.scripts.clear();
    }

    /// Removes a key as for want of memory; whether there was one.
    pub fn evict(&mut self, key: &[u8]) -> bool {
        self.store.remove(key)
    }

    /// All keys as they are.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.store.contents().clone())
    }

    /// The keys become what they were, as when a replica that lags takes over. The clock and all else stay as they are.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.store.set_contents(snapshot.0.clone());
    }

    /// From now on `mutant` runs wherever the script `original` (its text, or its SHA-1) is asked for, under the name of the
    /// original: a simulation shows thus that it would notice.
    ///
    /// # Errors
    /// What Redis says of a text that does not compile.
    pub fn replace_script(&mut self, original: &str, mutant: &str) -> Result<(), String> {
        let original = Sha::parse(original.as_bytes()).unwrap_or_else(|| Sha::of(original.as_bytes()));
        let script = lua::script(mutant.as_bytes()).map_err(|reply| match reply {
            Reply::Error(text) => text,
            other => format!("{other:?}"),
        })?;
        self.mutants.retain(|(sha, _)| *sha != original);
        self.mutants.push((original, script));
        Ok(())
    }

    /// Commands that were given so far, without those that scripts gave.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Commands that scripts gave so far.
    #[must_use]
    pub fn script_commands(&self) -> u64 {
        self.script_commands
    }

    /// What is stored now, in the order of the keys.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.store.entries()
    }

    /// The hash at a key, if there is one now.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> Option<&Hash> {
        match self.store.entries().find(|(k, _)| *k == key)?.1 {
            Entry { value: Value::Hash(hash), .. } => Some(hash),
            Entry { .. } => None,
        }
    }

    /// Does one command: TIME, HMGET, HGET, HSET, HDEL, HKEYS, HGETALL, DEL, EXISTS, PTTL, PEXPIRE, PEXPIREAT, SET, GET,
    /// FLUSHALL, PING, DBSIZE, EVAL, EVALSHA, SCRIPT LOAD, SCRIPT FLUSH.
    pub fn execute<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Reply {
        self.commands += 1;
        let [name, args @ ..] = words else { return Reply::error("ERR empty command") };
        let spec = match command::find(name.as_ref(), args.first().map(AsRef::as_ref)) {
            Ok(spec) => spec,
            Err(Unknown::Command) => return unknown(name.as_ref(), args),
            Err(Unknown::Subcommand) => {
                let sub = args.first().map_or(&[][..], AsRef::as_ref);
                let sub = String::from_utf8_lossy(sub);
                return Reply::error(format!("ERR unknown subcommand '{sub}'. Try SCRIPT HELP."));
            }
        };
        if !spec.takes(words.len()) {
            return Reply::arity(spec.name);
        }
        if !self.permissions.allow(spec) {
            let name = spec.name;
            return Reply::error(format!("NOPERM this user has no permissions to run the '{name}' command"));
        }
        if self.out_of_memory && spec.effect == Effect::Grows {
            return Reply::out_of_memory();
        }
        match (spec.kind, args) {
            (Kind::Eval | Kind::EvalSha, [script, count, rest @ ..]) => {
                self.eval(spec.kind, script.as_ref(), count.as_ref(), rest)
            }
            (Kind::ScriptLoad, [_, text]) => match lua::script(text.as_ref()) {
                Ok(script) => {
                    let sha = script.sha;
                    self.remember(&script);
                    Reply::Bulk(sha.as_str().as_bytes().to_vec())
                }
                Err(error) => error,
            },
            (Kind::ScriptFlush, [_, how @ ..]) => match how {
                [] => self.flush_scripts(),
                [how] if command::is_sync_or_async(how.as_ref()) => self.flush_scripts(),
                _ => Reply::error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
            },
            _ => command::apply(&mut self.store, spec, args),
        }
    }

    /// Answers the body of a request to `/pipeline`.
    pub fn pipeline(&mut self, body: &str) -> String {
        match pipeline::parse(body) {
            Ok(commands) => {
                let mut replies = pipeline::Replies::default();
                for command in &commands {
                    replies.push(&self.execute(command));
                }
                replies.finish()
            }
            Err(refusal) => pipeline::rejection(refusal),
        }
    }

    fn eval<A: AsRef<[u8]>>(&mut self, kind: Kind, script: &[u8], count: &[u8], rest: &[A]) -> Reply {
        let known = if kind == Kind::EvalSha {
            let sha = Sha::parse(script);
            match self.scripts.iter().find(|known| Some(known.sha) == sha) {
                Some(known) => Some(known.clone()),
                None => return Reply::error("NOSCRIPT No matching script. Please use EVAL."),
            }
        } else {
            None
        };
        let count = match command::integer(count).map(usize::try_from) {
            None => return Reply::error("ERR value is not an integer or out of range"),
            Some(Err(_)) => return Reply::error("ERR Number of keys can't be negative"),
            Some(Ok(count)) => count,
        };
        let Some((keys, args)) = rest.split_at_checked(count) else {
            return Reply::error("ERR Number of keys can't be greater than number of args");
        };
        let script = match known.map_or_else(|| lua::script(script), Ok) {
            Ok(script) => script,
            Err(error) => return error,
        };
        if kind == Kind::Eval {
            self.remember(&script);
        }
        let runs = self.mutants.iter().find(|(sha, _)| *sha == script.sha).map_or(&script, |(_, m)| m);
        let world = (&mut self.store, self.out_of_memory);
        lua::run((runs, script.sha), (keys, args), world, &mut self.script_commands)
    }

    fn remember(&mut self, script: &Script) {
        if !self.scripts.iter().any(|known| known.sha == script.sha) {
            self.scripts.push(script.clone());
        }
    }

    fn flush_scripts(&mut self) -> Reply {
        self.script_flush();
        Reply::ok()
    }
}

/// Redis repeats the first 128 bytes or so of what it was given.
fn unknown<A: AsRef<[u8]>>(name: &[u8], args: &[A]) -> Reply {
    const ROOM: usize = 128;
    let cut =
        |text: &[u8], room: usize| String::from_utf8_lossy(text.get(..room).unwrap_or(text)).into_owned();
    let mut shown = String::new();
    for arg in args {
        if shown.len() >= ROOM {
            break;
        }
        let arg = cut(arg.as_ref(), ROOM - shown.len());
        shown.push_str(&format!("'{arg}' "));
    }
    Reply::error(format!("ERR unknown command '{}', with args beginning with: {shown}", cut(name, ROOM)))
}
