-- read KEYS[1]=entry's hash ARGV: nonce, build, life of a bare generation (ms)
-- Gives {marker, now, generation} or, for a fresh entry of this build, {marker, now, generation, header, body}.
-- Makes a missing generation; an empty one means that it could not (out of memory).
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local field = redis.call('HMGET', KEYS[1], 'g', 'h:' .. ARGV[2])
local generation, header = field[1], field[2]
local keep = tonumber(ARGV[3])
if not generation then
  generation = ARGV[1] .. '@' .. time[1] .. '.' .. time[2]
  local made = redis.pcall('HSET', KEYS[1], 'g', generation)
  if type(made) == 'table' and made.err then
    return { 'lw1', now, '' }
  end
elseif header then
  local named, stored, ttl = string.match(header, '^1 (%S+) (%d+) (%d+) ')
  if named == generation and math.abs(now - tonumber(stored)) < tonumber(ttl) then
    return { 'lw1', now, generation, header, redis.call('HGET', KEYS[1], 'b:' .. ARGV[2]) }
  end
end
if redis.call('PTTL', KEYS[1]) < keep then
  redis.call('PEXPIRE', KEYS[1], keep)
end
return { 'lw1', now, generation }
