-- Take a message in: deduplicate it, append it to its conversation's mailbox, make the conversation ready.
-- KEYS ready retry conv box clock seen...
-- ARGV lane class payload most-waiting hold-ms seen-ttl-ms ttl-ms
local ready, retry, conv, box = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lane, class, ttl = ARGV[1], ARGV[2], ARGV[7]
for i = 6, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return {'duplicate', ''} end
end
if redis.call('XLEN', box) >= tonumber(ARGV[4]) then return {'full', ''} end
-- Ids of all mailboxes of a shard are in one order: what came before a word to stop is before it.
local t = redis.call('TIME')
local tick = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', KEYS[5]) or '0') + 1)
tick = string.format('%.0f', tick)
redis.call('SET', KEYS[5], tick, 'PX', ttl)
local id = redis.call('XADD', box, tick .. '-0', 'k', class, 'd', ARGV[3])
for i = 6, #KEYS do redis.call('SET', KEYS[i], '1', 'PX', ARGV[6]) end -- after what alone can fail
redis.call('PEXPIRE', box, ttl)
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = now + tonumber(ARGV[5])
local state = redis.call('HGET', conv, 'state')
local hold = tonumber(ARGV[5]) > 0
if hold then redis.call('HSET', conv, 'hold', due) else redis.call('HDEL', conv, 'hold') end
if not state or state == 'held' then
  if hold then
    redis.call('ZADD', retry, due, lane)
    redis.call('HSET', conv, 'state', 'held')
    redis.call('PEXPIRE', retry, ttl)
  else
    redis.call('ZREM', retry, lane)
    local entry = redis.call('XADD', ready, '*', 's', lane)
    redis.call('HSET', conv, 'state', 'ready', 'entry', entry)
    redis.call('PEXPIRE', ready, ttl)
  end
end
redis.call('PEXPIRE', conv, ttl)
return {state and 'merged' or 'queued', id}
