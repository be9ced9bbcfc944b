-- Promote conversations whose time has come: from `retry` to `ready`.
-- keys: retries...
-- args: ttl_ms
-- Returns {how many, ms until the next is due or -1}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local count, soonest = 0, -1
for _, retry in ipairs(retries) do
  local base = string.sub(retry, 1, -6)
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', retry, '-inf', now, 'LIMIT', 0, 200)) do
    redis.call('ZREM', retry, lane)
    local conv = base .. 'conv:' .. lane
    local state = redis.call('HGET', conv, 'state')
    if state == 'retry' or state == 'held' then
      local id = redis.call('XADD', base .. 'ready', '*', 's', lane)
      redis.call('PEXPIRE', base .. 'ready', ttl_ms)
      redis.call('HSET', conv, 'state', 'ready', 'entry', id)
      count = count + 1
    end
  end
  local first = redis.call('ZRANGE', retry, 0, 0, 'WITHSCORES')
  if first[2] and (soonest < 0 or tonumber(first[2]) < soonest) then soonest = tonumber(first[2]) end
end
return {count, soonest < 0 and -1 or math.max(0, soonest - now)}
