-- End a turn, if it is still this worker's.
-- KEYS ready retry conv box dead
-- ARGV lane entry token outcome(done|retry|defer|requeue|split|dead) delay-ms ttl-ms reason most-dead
local ready, retry, conv, box, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local lane, entry, outcome, ttl = ARGV[1], ARGV[2], ARGV[4], ARGV[6]
local c = redis.call('HMGET', conv, 'token', 'upto', 'hold', 'entry', 'tries')
if c[1] ~= ARGV[3] or c[4] ~= entry then return 'lost' end
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
  redis.call('PEXPIRE', ready, ttl)
  redis.call('PEXPIRE', conv, ttl)
end

local function wait(due, state)
  redis.call('ZADD', retry, due, lane)
  redis.call('PEXPIRE', retry, ttl)
  redis.call('HSET', conv, 'state', state)
  redis.call('HDEL', conv, 'entry')
  redis.call('PEXPIRE', conv, ttl)
end

if outcome == 'retry' or outcome == 'defer' then
  if outcome == 'retry' then redis.call('HINCRBY', conv, 'fails', 1) else redis.call('HINCRBY', conv, 'tries', -1) end
  wait(now_ms() + tonumber(ARGV[5]), 'retry')
  return outcome
end
if outcome == 'requeue' then
  redis.call('HINCRBY', conv, 'tries', -1)
  make_ready()
  return outcome
end
if outcome == 'split' then -- each of its messages now has a turn of its own
  redis.call('HSET', conv, 'solo', c[2])
  redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'cancel')
  make_ready()
  return outcome
end
local batch = redis.call('XRANGE', box, '-', c[2])
for _, item in ipairs(batch) do
  if outcome == 'dead' then
    redis.call('XADD', dead, 'MAXLEN', '~', ARGV[8], '*', 's', lane, 'd', item[2][4], 'why', ARGV[7], 'tries', c[5] or '0')
    redis.call('PEXPIRE', dead, ttl)
  end
  redis.call('XDEL', box, item[1])
end
if redis.call('XLEN', box) == 0 then
  redis.call('DEL', conv, box)
  return outcome
end
redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'cancel')
local hold = tonumber(c[3] or '0')
if hold > now_ms() then wait(hold, 'held') else make_ready() end
return outcome
