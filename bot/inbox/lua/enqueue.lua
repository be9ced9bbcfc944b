-- Enqueue a message: deduplicate it, append it to its conversation's mailbox, make the conversation ready.
-- keys: ready retry conv box clock seen...
-- args: lane batch_class payload max_waiting hold_ms seen_ttl_ms ttl_ms
-- Returns {admission, id in the mailbox}.
for _, key in ipairs(seen) do
  if redis.call('EXISTS', key) == 1 then return {'duplicate', ''} end
end
if redis.call('XLEN', box) >= tonumber(max_waiting) then return {'full', ''} end
-- The ids of all mailboxes of a shard are in one order, so that a stop can be compared with every message.
local t = redis.call('TIME')
local tick = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', clock) or '0') + 1)
tick = string.format('%.0f', tick)
redis.call('SET', clock, tick, 'PX', ttl_ms)
local id = redis.call('XADD', box, tick .. '-0', 'k', batch_class, 'd', payload)
for _, key in ipairs(seen) do redis.call('SET', key, '1', 'PX', seen_ttl_ms) end -- after XADD, which can fail
redis.call('PEXPIRE', box, ttl_ms)
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = now + tonumber(hold_ms)
local state = redis.call('HGET', conv, 'state')
local hold = tonumber(hold_ms) > 0
if hold then redis.call('HSET', conv, 'hold', due) else redis.call('HDEL', conv, 'hold') end
if not state or state == 'held' then
  if hold then
    redis.call('ZADD', retry, due, lane)
    redis.call('HSET', conv, 'state', 'held')
    redis.call('PEXPIRE', retry, ttl_ms)
  else
    redis.call('ZREM', retry, lane)
    local entry = redis.call('XADD', ready, '*', 's', lane)
    redis.call('HSET', conv, 'state', 'ready', 'entry', entry)
    redis.call('PEXPIRE', ready, ttl_ms)
  end
end
redis.call('PEXPIRE', conv, ttl_ms)
return {state and 'merged' or 'queued', id}
