-- Claim turns: of conversations that became ready, or of those whose worker is unresponsive.
-- A turn is the oldest messages of one class; claimed again, it is the same messages.
-- keys: readies...
-- args: mode worker max_turns max_messages max_bytes min_idle_ms ttl_ms max_attempts own...
-- mode: new, or abandoned (entries that no heartbeat renewed for min_idle_ms).
-- own: lane and token of each turn that the worker runs itself: a claim only renews these.
-- Returns {turns, positions (complete only if no turn was claimed)}; a turn is
-- {shard, entry, lane, token, tries, fails, stopped, first, id, payload, id, payload, ...}.
local left, max_size = tonumber(max_turns), tonumber(max_bytes)
local t = redis.call('TIME')
local now_ms = t[1] * 1000 + math.floor(t[2] / 1000)
local turns, positions = {}, {}
local own_token = {}
for i = 1, #own, 2 do own_token[own[i]] = own[i + 1] end

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

-- Put the changed messages in place of those that lua/change.lua changed since they arrived.
local function apply_changes(conv, items)
  for _, item in ipairs(items) do
    local changed = redis.call('HGET', conv, 'new:' .. item[1])
    if changed then item[2][4] = changed end
  end
end

-- The oldest messages of one class, as many as one turn takes.
local function first_batch(box, solo, conv, edited)
  local batch, bytes, class = {}, 0, nil
  local items = redis.call('XRANGE', box, '-', '+', 'COUNT', max_messages)
  if edited then apply_changes(conv, items) end
  for _, item in ipairs(items) do
    local fields = item[2]
    bytes = bytes + #fields[4]
    if class == nil then
      class = fields[2]
    elseif class ~= fields[2] or class == 'c' or bytes > max_size then
      break
    end
    batch[#batch + 1] = item
    if solo and not_after(item[1], solo) then break end
  end
  return batch
end

local function begin_turn(shard, ready, entry, lane)
  local base = string.sub(ready, 1, -6)
  local conv, box = base .. 'conv:' .. lane, base .. 'box:' .. lane
  local c = redis.call('HMGET', conv, 'entry', 'upto', 'hold', 'solo', 'cancel', 'token', 'first', 'edited', 'withdrawn')
  local current, upto, hold, solo, cancel = c[1], c[2], tonumber(c[3] or '0'), c[4], c[5]
  if current ~= entry then return drop(ready, entry) end
  if c[6] and own_token[lane] == c[6] then return end
  if hold > now_ms and not upto then
    drop(ready, entry)
    redis.call('ZADD', base .. 'retry', hold, lane)
    redis.call('PEXPIRE', base .. 'retry', ttl_ms)
    redis.call('HSET', conv, 'state', 'held')
    redis.call('HDEL', conv, 'entry')
    return
  end
  local batch
  if upto then
    batch = redis.call('XRANGE', box, '-', upto)
    if c[8] then apply_changes(conv, batch) end
  else
    batch = first_batch(box, solo, conv, c[8])
  end
  if #batch == 0 then -- its messages were stopped or deleted
    drop(ready, entry)
    if redis.call('XLEN', box) > 0 then
      redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'solo', 'cancel', 'first', 'withdrawn')
      redis.call('HSET', conv, 'state', 'ready', 'entry', redis.call('XADD', ready, '*', 's', lane))
    else
      redis.call('DEL', conv, box)
    end
    return
  end
  -- Tokens grow even if the clock of a new primary is behind.
  local clock = base .. 'clock'
  local token = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', clock) or '0') + 1)
  token = string.format('%.0f', token)
  redis.call('SET', clock, token, 'PX', ttl_ms)
  local tries = redis.call('HINCRBY', conv, 'tries', 1)
  if solo and tries < tonumber(max_attempts) and not_after(batch[#batch][1], solo) then
    tries = tonumber(max_attempts) -- its split turn failed as often as it may: one try alone
    redis.call('HSET', conv, 'tries', tries)
  end
  local first = upto and c[7] or batch[1][1] -- the turn keeps its id when its first message is deleted
  if c[9] then redis.call('HDEL', conv, 'withdrawn') end
  if not upto then upto = batch[#batch][1] end
  redis.call('HSET', conv, 'state', 'running', 'token', token, 'upto', upto, 'first', first)
  local stopped = cancel == upto and 1 or 0 -- stopped before its last worker could read it
  local turn = {shard, entry, lane, token, tries, tonumber(redis.call('HGET', conv, 'fails') or '0'), stopped, first}
  for _, item in ipairs(batch) do
    turn[#turn + 1] = item[1]
    turn[#turn + 1] = item[2][4]
  end
  turns[#turns + 1] = turn
  left = left - 1
end

local function read_group(ready, call)
  return call('XREADGROUP', 'GROUP', 'w', worker, 'COUNT', left, 'STREAMS', ready, '>')
end

-- The reply; nil if the group was lost in a crash of the server, or never created. Raises any other error.
local function reply_of_group(reply)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'NOGROUP') or string.find(reply.err, 'no such key') then return nil end
  error(reply.err)
end

local function read_new(ready)
  local got = reply_of_group(read_group(ready, redis.pcall))
  if got == nil then
    redis.call('XGROUP', 'CREATE', ready, 'w', '0', 'MKSTREAM')
    redis.call('PEXPIRE', ready, ttl_ms)
    got = read_group(ready, redis.call)
  end
  return got and got[1][2] or {}
end

-- Walks the whole list: one XAUTOCLAIM scans ten entries for each that it may claim, and live ones may come first.
local function read_abandoned(ready)
  local entries, cursor = {}, '0'
  repeat
    local count = left - #entries
    local reply = redis.pcall('XAUTOCLAIM', ready, 'w', worker, min_idle_ms, cursor, 'COUNT', count)
    local got = reply_of_group(reply)
    if got == nil then return entries end
    cursor = got[1]
    for _, item in ipairs(got[2]) do entries[#entries + 1] = item end
  until cursor == '0-0' or #entries >= left
  return entries
end

-- Workers have a new name each time they start: names without leases are removed when long idle.
local function remove_old_workers(ready)
  local workers = redis.pcall('XINFO', 'CONSUMERS', ready, 'w')
  for _, pairs_of_worker in ipairs(reply_of_group(workers) or {}) do
    local info = {}
    for i = 1, #pairs_of_worker, 2 do info[pairs_of_worker[i]] = pairs_of_worker[i + 1] end
    if info['pending'] == 0 and info['idle'] > 100 * tonumber(min_idle_ms) then
      redis.call('XGROUP', 'DELCONSUMER', ready, 'w', info['name'])
    end
  end
end

for shard, ready in ipairs(readies) do
  local entries = {}
  if left > 0 and mode == 'abandoned' then
    entries = read_abandoned(ready)
    remove_old_workers(ready)
  elseif left > 0 then
    entries = read_new(ready)
    local groups = redis.call('XINFO', 'GROUPS', ready)[1]
    for i = 1, #groups, 2 do
      if groups[i] == 'last-delivered-id' then positions[shard] = groups[i + 1] end
    end
  end
  for _, item in ipairs(entries) do
    -- Redis before 7 lists deleted entries as nil.
    if item and item[2] then begin_turn(shard, ready, item[1], item[2][2]) end
  end
end
return {turns, positions}
