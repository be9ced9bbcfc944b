-- Change or drop messages that are in their mailbox; a turn that runs with a dropped message is withdrawn.
-- keys: ready retry conv box seen...
-- args: lane channel seen_ttl_ms ttl_ms changes...
-- changes: id and new payload of each message; "" drops it. channel: "" publishes nothing.
-- Returns `duplicate`, `absent`, `waits` (their turns had not begun), or `began` (memory may have one, too).
for _, key in ipairs(seen) do
  if redis.call('EXISTS', key) == 1 then return 'duplicate' end
end
local met = 'absent'

local function not_after(a, b)
  local ams, aseq = string.match(a, '(%d+)-(%d+)')
  local bms, bseq = string.match(b, '(%d+)-(%d+)')
  ams, aseq, bms, bseq = tonumber(ams), tonumber(aseq), tonumber(bms), tonumber(bseq)
  return ams < bms or (ams == bms and aseq <= bseq)
end

local function drop(item, state, upto, began)
  redis.call('XDEL', box, item)
  redis.call('HDEL', conv, 'new:' .. item)
  if began and state == 'running' then
    redis.call('HSET', conv, 'withdrawn', upto)
    if channel ~= '' then redis.pcall('PUBLISH', channel, lane) end -- refused, the heartbeat finds the mark
  elseif redis.call('XLEN', box) == 0 and (state == 'retry' or state == 'held') then
    redis.call('ZREM', retry, lane)
    redis.call('DEL', conv, box)
  elseif began and state == 'retry' and #redis.call('XRANGE', box, '-', upto, 'COUNT', 1) == 0 then
    redis.call('ZREM', retry, lane) -- the turn that failed is gone, and with it the delay
    redis.call('HSET', conv, 'state', 'ready', 'entry', redis.call('XADD', ready, '*', 's', lane))
    redis.call('PEXPIRE', ready, ttl_ms)
  end
end

for i = 1, #changes, 2 do
  local item, payload = changes[i], changes[i + 1]
  if #redis.call('XRANGE', box, item, item) == 1 then
    local c = redis.call('HMGET', conv, 'state', 'upto')
    local began = c[2] and not_after(item, c[2])
    if payload ~= '' then
      redis.call('HSET', conv, 'edited', '1', 'new:' .. item, payload)
    else
      drop(item, c[1], c[2], began)
    end
    if began then met = 'began' elseif met == 'absent' then met = 'waits' end
  end
end
if redis.call('EXISTS', conv) == 1 then redis.call('PEXPIRE', conv, ttl_ms) end
if met == 'waits' then
  for _, key in ipairs(seen) do redis.call('SET', key, '1', 'PX', seen_ttl_ms) end
end
return met
