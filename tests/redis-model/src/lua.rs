//! Lua as Redis has it: one state for each thread, in which each script is compiled once, whichever model runs it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{Function, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value};

use crate::command::{self, Effect};
use crate::reply::Reply;
use crate::sha::Sha;
use crate::store::Store;

/// Scripts that a thread remembers. When there are more it forgets all and compiles anew what is still used.
const MAX_SCRIPTS: usize = 256;
/// How deep a reply of tables may be; Redis gives up when its own stack is full.
const MAX_DEPTH: usize = 64;
const CHUNK: &str = "@user_script";

/// A script that compiles.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) sha: Sha,
    pub(crate) text: Arc<[u8]>,
}

/// What the commands of the running script work on.
#[derive(Debug, Default)]
struct Context {
    store: Store,
    out_of_memory: bool,
    /// The script has given a command that writes: from now on Redis refuses it no memory, so as not to stop in the middle.
    has_written: bool,
    commands: u64,
}

struct Engine {
    lua: Lua,
    run: Function,
    environment: Table,
    context: Rc<RefCell<Context>>,
    compiled: HashMap<Sha, Function>,
    shas: HashMap<Arc<[u8]>, Sha>,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Compiles a text, unless that has been done.
///
/// # Errors
/// Redis' reply to a text that does not compile.
pub(crate) fn script(text: &[u8]) -> Result<Script, Reply> {
    with_engine(|engine| engine.script(text))
}

/// Runs a script against `store`, under the name `sha` (its own, or that of the one in whose place it is), and counts the
/// commands that it gives.
pub(crate) fn run<A: AsRef<[u8]>>(
    (script, sha): (&Script, Sha),
    (keys, args): (&[A], &[A]),
    (store, out_of_memory): (&mut Store, bool),
    commands: &mut u64,
) -> Reply {
    let reply = with_engine(|engine| {
        let function = engine.function(script)?;
        engine.context.replace(Context {
            store: mem::take(store),
            out_of_memory,
            has_written: false,
            commands: *commands,
        });
        let reply = engine.run(&function, sha, keys, args);
        let context = engine.context.take();
        *store = context.store;
        *commands = context.commands;
        reply.map_err(broken)
    });
    reply.unwrap_or_else(|error| error)
}

fn with_engine<T>(work: impl FnOnce(&mut Engine) -> Result<T, Reply>) -> Result<T, Reply> {
    ENGINE.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Engine::new().map_err(broken)?);
        }
        slot.as_mut().map_or_else(|| Err(Reply::error("ERR the model has no Lua")), work)
    })
}

/// A failure of the model, not of the script: no Redis says this.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: mlua::Error) -> Reply {
    Reply::error(format!("ERR the model's Lua failed: {error}"))
}

impl Engine {
    fn new() -> mlua::Result<Self> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let context = Rc::new(RefCell::new(Context::default()));
        let format: Function = lua.globals().get::<Table>("string")?.get("format")?;
        let [call, pcall] = [true, false].map(|raises| {
            let (context, format) = (Rc::clone(&context), format.clone());
            lua.create_function(move |lua, words: MultiValue| {
                let reply = match words_of(&words, &format)? {
                    Ok(words) => context.borrow_mut().command(&words),
                    Err(error) => error,
                };
                match reply {
                    Reply::Error(text) if raises => Err(mlua::Error::external(Raised(text))),
                    reply => into_lua(lua, reply),
                }
            })
        });
        let reason = lua.create_function(|_, error: mlua::Error| Ok(Raised::text(&error)))?;
        let locate = lua.create_function(|lua, ()| Ok(line(lua)))?;
        let sha1hex = lua
            .create_function(|lua, text: LuaString| lua.create_string(Sha::of(&text.as_bytes()).as_str()))?;
        let (run, environment) =
            lua.load(include_str!("prelude.lua")).set_name("@prelude").call::<(Function, Table)>((
                call?,
                pcall?,
                reason,
                locate,
                sha1hex,
                lua.globals(),
            ))?;
        Ok(Self { lua, run, environment, context, compiled: HashMap::new(), shas: HashMap::new() })
    }

    fn script(&mut self, text: &[u8]) -> Result<Script, Reply> {
        if let Some((text, sha)) = self.shas.get_key_value(text) {
            return Ok(Script { sha: *sha, text: Arc::clone(text) });
        }
        let script = Script { sha: Sha::of(text), text: Arc::from(text) };
        self.function(&script)?;
        Ok(script)
    }

    fn function(&mut self, script: &Script) -> Result<Function, Reply> {
        if let Some(function) = self.compiled.get(&script.sha) {
            return Ok(function.clone());
        }
        let chunk = self.lua.load(&*script.text).set_name(CHUNK).set_mode(mlua::chunk::ChunkMode::Text);
        let function =
            chunk.set_environment(self.environment.clone()).into_function().map_err(|error| match error {
                mlua::Error::SyntaxError { message, .. } => {
                    Reply::error(format!("ERR Error compiling script (new function): {message}"))
                }
                other => broken(other),
            })?;
        if self.compiled.len() >= MAX_SCRIPTS {
            self.compiled.clear();
            self.shas.clear();
        }
        self.compiled.insert(script.sha, function.clone());
        self.shas.insert(Arc::clone(&script.text), script.sha);
        Ok(function)
    }

    fn run<A: AsRef<[u8]>>(
        &self,
        function: &Function,
        sha: Sha,
        keys: &[A],
        args: &[A],
    ) -> mlua::Result<Reply> {
        let list = |texts: &[A]| self.lua.create_sequence_from(texts.iter().map(Bytes));
        match self.run.call::<(bool, Value)>((function, list(keys)?, list(args)?))? {
            (true, value) => from_lua(&value, 0),
            (false, Value::Table(failure)) => {
                let what = match failure.raw_get::<Value>("err")? {
                    Value::String(what) => what.to_string_lossy(),
                    // Redis 7.0 crashes on these.
                    _ => String::from("ERR an error without a text"),
                };
                Ok(Reply::error(match failure.raw_get::<Value>("line")? {
                    Value::Integer(line) => format!("{what} script: {sha}, on {CHUNK}:{line}."),
                    _ => what,
                }))
            }
            (false, failure) => Ok(Reply::error(format!("ERR {}", failure.to_string()?))),
        }
    }
}

impl Context {
    /// The checks come in Redis' order.
    fn command(&mut self, words: &[Word]) -> Reply {
        let [name, args @ ..] = words else {
            return Reply::error("ERR Please specify at least one argument for this redis lib call");
        };
        self.commands += 1;
        let Ok(spec) = command::find(name.as_ref(), args.first().map(AsRef::as_ref)) else {
            return Reply::error("ERR Unknown Redis command called from script");
        };
        if !spec.takes(words.len()) {
            return Reply::error("ERR Wrong number of args calling Redis command from script");
        }
        if spec.effect == Effect::Scripts {
            return Reply::error("ERR This Redis command is not allowed from script");
        }
        if self.out_of_memory && !self.has_written && spec.effect == Effect::Grows {
            return Reply::out_of_memory();
        }
        self.has_written |= spec.writes();
        command::apply(&mut self.store, spec, args)
    }
}

/// An error that `redis.call` raises, on its way through mlua, which carries only Rust's errors.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Raised {}

impl Raised {
    fn text(error: &mlua::Error) -> String {
        match error {
            mlua::Error::CallbackError { cause, .. } => Self::text(cause),
            other => {
                other.downcast_ref::<Self>().map_or_else(|| format!("ERR {other}"), |raised| raised.0.clone())
            }
        }
    }
}

/// A word of a command as a script gives it.
enum Word {
    Text(mlua::BorrowedBytes),
    Number(String),
}

impl AsRef<[u8]> for Word {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Number(digits) => digits.as_bytes(),
        }
    }
}

/// Numbers are written as by Redis, with more digits than Lua itself would give.
fn words_of(values: &MultiValue, format: &Function) -> mlua::Result<Result<Vec<Word>, Reply>> {
    const EXACT: std::ops::Range<i64> = -99_999_999_999_999_999..100_000_000_000_000_000;
    let mut words = Vec::with_capacity(values.len());
    for value in values {
        words.push(match value {
            Value::String(text) => Word::Text(text.as_bytes()),
            Value::Integer(n) if EXACT.contains(n) => Word::Number(n.to_string()),
            Value::Integer(_) | Value::Number(_) => Word::Number(format.call(("%.17g", value))?),
            _ => {
                let error = "ERR Lua redis lib command arguments must be strings or integers";
                return Ok(Err(Reply::error(error)));
            }
        });
    }
    Ok(Ok(words))
}

/// The line of the script that is running, seen from a function called by it.
fn line(lua: &Lua) -> Option<usize> {
    for level in 0.. {
        let at = lua.inspect_stack(level, |debug| {
            let ours = debug.source().source.is_some_and(|source| source == CHUNK);
            ours.then(|| debug.current_line())
        });
        match at {
            None => return None,
            Some(Some(line)) => return line,
            Some(None) => {}
        }
    }
    None
}

struct Bytes<A>(A);

impl<A: AsRef<[u8]>> mlua::IntoLua for Bytes<A> {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_string(self.0).map(Value::String)
    }
}

impl mlua::IntoLua for Reply {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        into_lua(lua, self)
    }
}

fn into_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    let named = |name: &str, text: String| lua.create_table_from([(name, text)]).map(Value::Table);
    match reply {
        Reply::Null => Ok(Value::Boolean(false)),
        #[expect(clippy::cast_precision_loss, reason = "Lua's numbers are doubles, in Redis too")]
        Reply::Integer(n) => Ok(Value::Number(n as f64)),
        Reply::Bulk(text) => lua.create_string(text).map(Value::String),
        Reply::Array(items) => lua.create_sequence_from(items).map(Value::Table),
        Reply::Status(text) => named("ok", text),
        Reply::Error(text) => named("err", text),
    }
}

fn from_lua(value: &Value, depth: usize) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(n) => Reply::Integer(*n),
        Value::Number(n) => Reply::Integer(truncated(*n)),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Table(table) => {
            if depth > MAX_DEPTH {
                return Ok(Reply::error("ERR reached lua stack limit"));
            }
            if let Value::String(text) = table.raw_get("err")? {
                return Ok(Reply::error(text.to_string_lossy()));
            }
            if let Value::String(text) = table.raw_get("ok")? {
                return Ok(Reply::Status(text.to_string_lossy()));
            }
            let mut items = Vec::with_capacity(table.raw_len());
            for i in 1.. {
                match table.raw_get(i)? {
                    Value::Nil => break,
                    item => items.push(from_lua(&item, depth + 1)?),
                }
            }
            Reply::Array(items)
        }
        _ => Reply::Null,
    })
}

/// As C on the servers' machines does it: what is out of range becomes the least integer.
#[expect(clippy::cast_possible_truncation, reason = "truncation is what is asked for")]
fn truncated(n: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&n) { n as i64 } else { i64::MIN }
}
