-- fill KEYS[1]=entry's hash ARGV: generation read, build, ttl (ms), kind and cost, body, nonce ('' for a read's fill)
-- OK: stored. 'overtaken': another generation than the one read, or none. With a nonce (a set) the generation read ends too.
local generation = redis.call('HGET', KEYS[1], 'g')
if generation ~= ARGV[1] then
  return 'overtaken'
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttl = tonumber(ARGV[3])
if ARGV[6] ~= '' then
  redis.call('DEL', KEYS[1])
  generation = ARGV[6] .. '@' .. time[1] .. '.' .. time[2]
end
-- At most three builds: the ones that were filled longest ago make room.
local others = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'h:' and field ~= 'h:' .. ARGV[2] then
    local stored = string.match(redis.call('HGET', KEYS[1], field) or '', '^1 %S+ (%d+) ')
    others[#others + 1] = { string.sub(field, 3), tonumber(stored or 0) }
  end
end
table.sort(others, function(a, b) return a[2] > b[2] end)
for i = 3, #others do
  redis.call('HDEL', KEYS[1], 'h:' .. others[i][1], 'b:' .. others[i][1])
end
local header = '1 ' .. generation .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
redis.call('HSET', KEYS[1], 'g', generation, 'h:' .. ARGV[2], header, 'b:' .. ARGV[2], ARGV[5])
if redis.call('PTTL', KEYS[1]) < ttl then
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return redis.status_reply('OK')
