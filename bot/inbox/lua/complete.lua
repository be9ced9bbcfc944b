-- Complete a turn with its outcome, if the lease is still this worker's.
-- keys: ready retry conv box dead
-- args: lane entry token outcome delay_ms ttl_ms reason max_dead
-- outcome: done retry defer requeue split dead. Returns it, or `lost`.
local c = redis.call('HMGET', conv, 'token', 'upto', 'hold', 'entry', 'tries', 'edited')
local upto = c[2]
if c[1] ~= token or c[4] ~= entry then return 'lost' end
redis.call('XACK', ready, 'w', entry)
redis.call('XDEL', ready, entry)
redis.call('HDEL', conv, 'token')

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function make_ready()
  local id = redis.call('XADD', ready, '*', 's', lane)
  redis.call('HSET', conv, 'state', 'ready', 'entry', id)
  redis.call('PEXPIRE', ready, ttl_ms)
  redis.call('PEXPIRE', conv, ttl_ms)
end

local function make_wait(due, state)
  redis.call('ZADD', retry, due, lane)
  redis.call('PEXPIRE', retry, ttl_ms)
  redis.call('HSET', conv, 'state', state)
  redis.call('HDEL', conv, 'entry')
  redis.call('PEXPIRE', conv, ttl_ms)
end

if outcome == 'retry' or outcome == 'defer' then
  if outcome == 'retry' then redis.call('HINCRBY', conv, 'fails', 1) else redis.call('HINCRBY', conv, 'tries', -1) end
  make_wait(now_ms() + tonumber(delay_ms), 'retry')
  return outcome
end
if outcome == 'requeue' then
  redis.call('HINCRBY', conv, 'tries', -1)
  make_ready()
  return outcome
end
if outcome == 'split' then -- each of its messages becomes a turn of its own
  redis.call('HSET', conv, 'solo', upto)
  redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'cancel', 'first', 'withdrawn')
  make_ready()
  return outcome
end
local batch = redis.call('XRANGE', box, '-', upto)
for _, item in ipairs(batch) do
  local changed = c[6] and redis.call('HGET', conv, 'new:' .. item[1])
  if outcome == 'dead' then
    redis.call('XADD', dead, 'MAXLEN', '~', max_dead, '*',
      's', lane, 'd', changed or item[2][4], 'why', reason, 'tries', c[5] or '0')
    redis.call('PEXPIRE', dead, ttl_ms)
  end
  if changed then redis.call('HDEL', conv, 'new:' .. item[1]) end
  redis.call('XDEL', box, item[1])
end
if redis.call('XLEN', box) == 0 then
  redis.call('DEL', conv, box)
  return outcome
end
redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'cancel', 'first', 'withdrawn')
local hold = tonumber(c[3] or '0')
if hold > now_ms() then make_wait(hold, 'held') else make_ready() end
return outcome
