-- Begin turns: of conversations that became ready, or of those whose worker fell silent.
-- A turn is the oldest messages of one class; begun again, it is the same messages.
-- KEYS ready...
-- ARGV mode(new|silent) worker most-turns most-messages most-bytes silent-ms ttl-ms most-tries (lane token)...
-- The pairs are the turns that the worker runs itself: it was starved, not dead, so a claim only renews them.
-- Returns {turns, positions (whole only if no turn was begun)}; a turn is {shard, entry, lane, token, tries, fails, stopped, id, payload, id, payload, ...}.
local mode, worker, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
local most, most_bytes, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[7]
local t = redis.call('TIME')
local now_ms = t[1] * 1000 + math.floor(t[2] / 1000)
local turns, positions = {}, {}
local own = {}
for i = 9, #ARGV, 2 do own[ARGV[i]] = ARGV[i + 1] end

local function not_after(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams < bms or (ams == bms and aseq <= bseq)
end

local function drop(ready, entry)
  redis.call('XACK', ready, 'w', entry)
  redis.call('XDEL', ready, entry)
end

-- The oldest messages of one class, as many as one turn takes.
local function first_batch(box, solo)
  local batch, bytes, class = {}, 0, nil
  for _, item in ipairs(redis.call('XRANGE', box, '-', '+', 'COUNT', most)) do
    local fields = item[2]
    bytes = bytes + #fields[4]
    if class == nil then
      class = fields[2]
    elseif class ~= fields[2] or class == 'c' or bytes > most_bytes then
      break
    end
    batch[#batch + 1] = item
    if solo and not_after(item[1], solo) then break end
  end
  return batch
end

local function begin(shard, ready, entry, lane)
  local base = string.sub(ready, 1, -6)
  local conv, box = base .. 'conv:' .. lane, base .. 'box:' .. lane
  local c = redis.call('HMGET', conv, 'entry', 'upto', 'hold', 'solo', 'cancel', 'token')
  if c[1] ~= entry then return drop(ready, entry) end
  if c[6] and own[lane] == c[6] then return end
  local hold = tonumber(c[3] or '0')
  if hold > now_ms and not c[2] then
    drop(ready, entry)
    redis.call('ZADD', base .. 'retry', hold, lane)
    redis.call('PEXPIRE', base .. 'retry', ttl)
    redis.call('HSET', conv, 'state', 'held')
    redis.call('HDEL', conv, 'entry')
    return
  end
  local batch
  if c[2] then batch = redis.call('XRANGE', box, '-', c[2]) else batch = first_batch(box, c[4]) end
  if #batch == 0 then -- what it was ready for was stopped
    drop(ready, entry)
    if redis.call('XLEN', box) > 0 then
      redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'solo', 'cancel')
      redis.call('HSET', conv, 'state', 'ready', 'entry', redis.call('XADD', ready, '*', 's', lane))
    else
      redis.call('DEL', conv, box)
    end
    return
  end
  -- Never the same twice, even if the clock of a new primary is behind.
  local clock = base .. 'clock'
  local token = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', clock) or '0') + 1)
  token = string.format('%.0f', token)
  redis.call('SET', clock, token, 'PX', ttl)
  local tries = redis.call('HINCRBY', conv, 'tries', 1)
  if c[4] and tries < tonumber(ARGV[8]) and not_after(batch[#batch][1], c[4]) then
    tries = tonumber(ARGV[8]) -- it came out of a turn that failed as often as it may: one try alone
    redis.call('HSET', conv, 'tries', tries)
  end
  redis.call('HSET', conv, 'state', 'running', 'token', token, 'upto', batch[#batch][1])
  local stopped = c[2] and c[5] == c[2] and 1 or 0 -- its last worker did not hear of it
  local turn = {shard, entry, lane, token, tries, tonumber(redis.call('HGET', conv, 'fails') or '0'), stopped}
  for _, item in ipairs(batch) do
    turn[#turn + 1] = item[1]
    turn[#turn + 1] = item[2][4]
  end
  turns[#turns + 1] = turn
  left = left - 1
end

local function read(ready)
  local words = {'XREADGROUP', 'GROUP', 'w', worker, 'COUNT', left, 'STREAMS', ready, '>'}
  local got = redis.pcall(unpack(words))
  if type(got) == 'table' and got.err then -- the group went with a crash of the server, or never was
    redis.call('XGROUP', 'CREATE', ready, 'w', '0', 'MKSTREAM')
    redis.call('PEXPIRE', ready, ttl)
    got = redis.call(unpack(words))
  end
  return got and got[1][2] or {}
end

-- A server that has just started saw no sign of life yet: the living come first.
local function is_fresh()
  local up_s = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  return up_s ~= nil and tonumber(up_s) * 1000 < tonumber(ARGV[6])
end

-- All of the list is looked at: one call sees ten entries for each that it may claim, and the living may be in front.
local function claim(ready)
  local entries, cursor = {}, '0'
  repeat
    local got = redis.pcall('XAUTOCLAIM', ready, 'w', worker, ARGV[6], cursor, 'COUNT', left - #entries)
    if got.err then return entries end
    cursor = got[1]
    for _, item in ipairs(got[2]) do entries[#entries + 1] = item end
  until cursor == '0-0' or #entries >= left
  return entries
end

-- Workers have a new name each time they start; those that left nothing and are long gone need no memory.
local function clear(ready)
  local workers = redis.pcall('XINFO', 'CONSUMERS', ready, 'w')
  for _, one in ipairs(workers.err and {} or workers) do
    local of = {}
    for i = 1, #one, 2 do of[one[i]] = one[i + 1] end
    if of['pending'] == 0 and of['idle'] > 100 * tonumber(ARGV[6]) then
      redis.call('XGROUP', 'DELCONSUMER', ready, 'w', of['name'])
    end
  end
end

if mode == 'silent' and is_fresh() then return {turns, positions} end
for shard, ready in ipairs(KEYS) do
  local entries = {}
  if left > 0 and mode == 'silent' then
    entries = claim(ready)
    clear(ready)
  elseif left > 0 then
    entries = read(ready)
    local groups = redis.call('XINFO', 'GROUPS', ready)[1]
    for i = 1, #groups, 2 do
      if groups[i] == 'last-delivered-id' then positions[shard] = groups[i + 1] end
    end
  end
  for _, item in ipairs(entries) do
    -- Redis before 7 lists entries that are gone as nothing.
    if item and item[2] then begin(shard, ready, item[1], item[2][2]) end
  end
end
return {turns, positions}
