-- fill KEYS: the entry's hash, its namespaces, its tags
-- ARGV: build, stamps (as read), namespaces, what tags' Redis keys begin with, ttl, stale-while-revalidate and
--       stale-if-error (ms), kind and cost, body, nonce ('' for a read's fill)
-- 'OK' (a set: the new generation): stored. 'overtaken': a generation or version is not the one that was read. 'marked': a mutate is running.
-- With a nonce it is a set's: all that was stored ends in the same step, under a new generation, also when it is refused.
-- Marks that read would not heed are none.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local build, namespaces, set = ARGV[1], tonumber(ARGV[3]), ARGV[10] ~= ''
local stamps = {}
for stamp in string.gmatch(ARGV[2], '%S+') do
  stamps[#stamps + 1] = stamp
end

local verdict = 'OK'
for i, key in ipairs(KEYS) do
  -- What holds something else gives an error, and no version.
  local fields = redis.pcall('HMGET', key, i == 1 and 'g' or 'v', 'm')
  if fields[2] and #fields[2] <= 16384 then
    for till in string.gmatch(fields[2], '%S+ (%d+)') do
      local left = tonumber(till) - now
      if left > 0 and left <= 600000 then
        verdict = 'marked'
      end
    end
  end
  if fields[1] ~= stamps[2 * i - 1] then
    verdict = 'overtaken'
    break
  end
end

if set then
  -- All but marks, and the soft half: an expire since the read must leave what is stored now stale.
  local ended = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= 'm' and (field ~= 'x' or verdict ~= 'OK') then
      ended[#ended + 1] = field
    end
  end
  for _, field in ipairs(ended) do
    redis.call('HDEL', KEYS[1], field)
  end
end
if verdict ~= 'OK' then
  return verdict
end

-- At most three builds: the ones that were filled longest ago make room.
local others = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'h:' and field ~= 'h:' .. build then
    local stored = string.match(redis.call('HGET', KEYS[1], field), '^%d+ %S+ %S+ (%d+) ')
    others[#others + 1] = { string.sub(field, 3), tonumber(stored or 0) }
  end
end
table.sort(others, function(a, b) return a[2] > b[2] end)
for i = 3, #others do
  redis.call('HDEL', KEYS[1], 'h:' .. others[i][1], 'b:' .. others[i][1], 'l:' .. others[i][1])
end

local generation = stamps[1]
if set then
  generation = ARGV[10] .. '@' .. time[1] .. '.' .. time[2]
end
local header = { '2', generation, stamps[2], string.format('%.0f', now), ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[3] }
for i = 2, #KEYS do
  header[#header + 1] = i <= 1 + namespaces and '-' or string.sub(KEYS[i], #ARGV[4] + 1)
  header[#header + 1] = stamps[2 * i - 1]
  header[#header + 1] = stamps[2 * i]
end
redis.call('HSET', KEYS[1], 'g', generation, 'h:' .. build, table.concat(header, ' '), 'b:' .. build, ARGV[9])
redis.call('HDEL', KEYS[1], 'l:' .. build)

local life = tonumber(ARGV[5]) + math.max(tonumber(ARGV[6]), tonumber(ARGV[7]))
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < life then
    redis.call('PEXPIRE', key, string.format('%.0f', life))
  end
end
return set and generation or redis.status_reply('OK')
