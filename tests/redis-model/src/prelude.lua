-- What a script finds of Redis, and how it is run. Gets the model's `redis.call` and `redis.pcall`, `reason` (the text of an
-- error that the former raised), `locate` (the script's line that is running), `sha1hex`, and the table of globals.
local call, pcall_command, reason, locate, sha1hex, base = ...
local type, error, tostring, pcall, xpcall, sub, find = type, error, tostring, pcall, xpcall, string.sub, string.find

-- `redis.call` must be a function of C, as in Redis: called last in a script, a function of Lua would take the script's
-- place on the stack, and the line with it. But from there an error comes as an object; scripts must see a table.
local function as_table(failure)
  if type(failure) == 'userdata' then
    return { err = reason(failure) }
  end
  return failure
end

local function field_reply(field, text, more)
  if more ~= nil or type(text) ~= 'string' then
    return { err = 'ERR wrong number or type of arguments' }
  end
  return { [field] = text }
end

base.redis = {
  call = call,
  pcall = pcall_command,
  sha1hex = sha1hex,
  status_reply = function(text, more)
    return field_reply('ok', text, more)
  end,
  -- '-CODE message' or 'message'; what has no code gets one, but a word of the caller's own at the front may be it.
  error_reply = function(text, more)
    local reply = field_reply('err', text, more)
    if type(text) == 'string' and more == nil then
      if sub(text, 1, 1) ~= '-' then
        text = '-' .. text
      end
      text = sub(text, 2)
      reply.err = find(text, ' ', 1, true) and text or 'ERR ' .. text
    end
    return reply
  end,
}

local function handle(failure)
  failure = as_table(failure)
  if type(failure) ~= 'table' then
    failure = { err = 'ERR ' .. tostring(failure) }
  end
  failure.line = locate()
  return failure
end

-- Redis' pcall gives the text of an error, though xpcall gives the table.
local function caught(ok, first, ...)
  if not ok then
    first = as_table(first)
    if type(first) == 'table' and (type(first.err) == 'string' or type(first.err) == 'number') then
      first = first.err
    end
  end
  return ok, first, ...
end
base.pcall = function(...)
  return caught(pcall(...))
end
base.xpcall = function(work, handler)
  return xpcall(work, function(failure)
    return handler(as_table(failure))
  end)
end

for _, name in ipairs({ 'collectgarbage', 'dofile', 'loadfile', 'newproxy', 'print', 'module', 'require', 'package' }) do
  base[name] = nil
end
-- Chance would make a run that cannot be repeated.
base.math.random, base.math.randomseed = nil, nil

setmetatable(base, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
})
-- What scripts have for globals. They cannot write to it, so that one cannot leave anything for the next.
local environment = setmetatable({}, {
  __index = base,
  __newindex = function()
    error('Attempt to modify a readonly table', 2)
  end,
  __metatable = false,
})
base._G = environment

local function run(script, keys, args)
  base.KEYS, base.ARGV = keys, args
  return xpcall(script, handle)
end
return run, environment
