-- read KEYS: the entry's hash, its namespaces, its tags
-- ARGV: nonce, build, keep (ms), namespaces, tags that must be on the entry, what tags' Redis keys begin with,
--       lease ('' to take none), least life of a lease (ms), want ('fresh', 'stale', 'none', or 'renew': the entry ends first,
--       as by drop, so that nothing comes between that and the new generation; or 'release': no value will come, whoever waits
--       for it is freed, and until one does nobody waits for the others; nothing else happens)
-- Gives {marker, now, state, stamps, lease, header, body}. States: 'fresh', 'stale', 'miss'; 'marked': a mutate is running;
-- 'tags': the entry may be valid, but carries tags that are not among KEYS (header, no body).
-- Stamps are what a fill must name, two for each of KEYS; '-' is one that could not be made (out of memory).
-- Lease: how long another one has it (ms); 0: nobody else does.
-- What these scripts would not write is none: stamps of another form or over 128 bytes, headers over 256 KiB or with over 128 tags,
-- lists of marks over 16 KiB, marks more than 10 minutes ahead.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stamp = ARGV[1] .. '@' .. time[1] .. '.' .. time[2]
local build, namespaces, required = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local marked = false

local function ours(id)
  return id and #id <= 128 and string.find(id, '^[%w.]+@%d+%.%d+$') and id
end

if ARGV[9] == 'release' then
  local lease = redis.call('HGET', KEYS[1], 'l:' .. build)
  if lease and string.match(lease, '^%S+') == ARGV[7] then
    redis.call('HSET', KEYS[1], 'l:' .. build, '-')
  end
  return { 'lw2', now, 'miss', '', 0 }
end
if ARGV[9] == 'renew' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field ~= 'm' then
      redis.call('HDEL', KEYS[1], field)
    end
  end
end

local hashes, place = {}, {}
for i, key in ipairs(KEYS) do
  local fields
  if i == 1 then
    fields = redis.call('HMGET', key, 'g', 'x', 'm', 'h:' .. build, 'l:' .. build)
  else
    fields = redis.call('HMGET', key, 'v', 'x', 'm')
    place[key] = i
  end
  hashes[i] = fields
  if fields[3] and #fields[3] <= 16384 then
    for till in string.gmatch(fields[3], '%S+ (%d+)') do
      local left = tonumber(till) - now
      marked = marked or (left > 0 and left <= 600000)
    end
  end
  fields[1], fields[2] = ours(fields[1]), ours(fields[2])
end

-- Whether the entry is valid, and fresh; which tags it carries that were not named.
local header = hashes[1][4]
local words, unnamed = {}, false
if header and #header <= 262144 then
  for word in string.gmatch(header, '%S+') do
    words[#words + 1] = word
  end
end
local tags = (#words - 10) / 3 - namespaces
local whole = tags >= 0 and tags <= 128 and tags % 1 == 0
local valid = whole and words[1] == '2' and words[2] == hashes[1][1] and tonumber(words[10]) == namespaces and not marked
local age = math.abs(now - (tonumber(words[4]) or 0))
local fresh = words[3] == hashes[1][2] and age < (tonumber(words[5]) or 0)
if valid then
  local seen = 0
  for i = 11, #words, 3 do
    local at
    if i < 11 + 3 * namespaces then
      at = 2 + (i - 11) / 3
    else
      at = place[ARGV[6] .. words[i]]
    end
    if not at then
      unnamed = true
    else
      valid = valid and words[i + 1] == hashes[at][1]
      fresh = fresh and words[i + 2] == hashes[at][2]
      if at > 1 + namespaces and at <= 1 + namespaces + required then
        seen = seen + 1
      end
    end
  end
  valid = valid and seen == required
end
if valid and unnamed then
  return { 'lw2', now, 'tags', '', 0, header }
end
local within = age < (tonumber(words[5]) or 0) + math.max(tonumber(words[6]) or 0, tonumber(words[7]) or 0)
local state = 'miss'
if valid and fresh and (ARGV[9] == 'fresh' or ARGV[9] == 'stale') then
  return { 'lw2', now, 'fresh', '', 0, header, redis.call('HGET', KEYS[1], 'b:' .. build) }
elseif valid and within and ARGV[9] == 'stale' then
  state = 'stale'
elseif marked then
  state = 'marked'
end

-- What is missing is made, so that a fill has something to name, and kept until it comes.
local stamps = {}
for i, key in ipairs(KEYS) do
  local id, half = hashes[i][1], hashes[i][2]
  local made
  if not id then
    made = redis.pcall('HSET', key, i == 1 and 'g' or 'v', stamp, 'x', stamp)
    id, half = stamp, stamp
  elseif not half then
    made = redis.pcall('HSET', key, 'x', stamp)
    half = stamp
  end
  if type(made) == 'table' and made.err then
    id = '-'
  elseif redis.call('PTTL', key) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', key, ARGV[3])
  end
  stamps[#stamps + 1] = id
  stamps[#stamps + 1] = half
end

local lease = 0
local released = state == 'miss' and hashes[1][5] == '-'
if ARGV[7] ~= '' and state ~= 'marked' and stamps[1] ~= '-' and not released then
  local life = math.max(tonumber(ARGV[8]), 2 * (tonumber(words[9]) or 0))
  local token, till = string.match(hashes[1][5] or '', '^(%S+) (%d+)$')
  local left = (tonumber(till) or 0) - now
  if token and token ~= ARGV[7] and left > 0 and left <= life then
    lease = left
  else
    redis.pcall('HSET', KEYS[1], 'l:' .. build, ARGV[7] .. ' ' .. string.format('%.0f', now + life))
  end
end
if state == 'stale' then
  return { 'lw2', now, state, table.concat(stamps, ' '), lease, header, redis.call('HGET', KEYS[1], 'b:' .. build) }
end
return { 'lw2', now, state, table.concat(stamps, ' '), lease }
