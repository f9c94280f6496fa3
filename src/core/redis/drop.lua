-- drop KEYS[1]: the hash of an entry, a tag or a namespace
-- ARGV: mark to add ('' for none), its life (ms), mark to remove ('' for none)
-- To invalidate is to delete: the next read makes a new generation or version, so that this can be repeated at will. Marks
-- that live stay, those that read would not heed do not. 1: done. 0: done, but the mark could not be added.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local marks, last = {}, 0
local function keep(token, till)
  marks[#marks + 1] = token .. ' ' .. string.format('%.0f', till)
  last = math.max(last, till)
end
local held = redis.pcall('HGET', KEYS[1], 'm')
if type(held) == 'string' and #held <= 16384 then
  for token, till in string.gmatch(held, '(%S+) (%d+)') do
    local left = tonumber(till) - now
    if left > 0 and left <= 600000 and token ~= ARGV[1] and token ~= ARGV[3] then
      keep(token, tonumber(till))
    end
  end
end
local added = 1
if ARGV[1] ~= '' and #marks < 64 then
  keep(ARGV[1], now + tonumber(ARGV[2]))
elseif ARGV[1] ~= '' then
  added = 0
end
if #marks == 0 then
  redis.call('DEL', KEYS[1])
  return added
end
if type(held) == 'string' then
  -- A write that needs no memory, after which the next is not refused for want of it.
  redis.call('HDEL', KEYS[1], 'x')
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= 'm' then
      redis.call('HDEL', KEYS[1], field)
    end
  end
else
  redis.call('DEL', KEYS[1])
end
local text = table.concat(marks, ' ')
if text ~= held then
  local made = redis.pcall('HSET', KEYS[1], 'm', text)
  if type(made) == 'table' and made.err then
    return 0
  end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return added
