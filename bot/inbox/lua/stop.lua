-- Cancel the running turn, and drop the messages that waited before the word to stop.
-- KEYS ready retry conv box   ARGV lane before-id(or "") channel ttl-ms
-- Returns {running(0|1), dropped}.
local ready, retry, conv, box = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local c = redis.call('HMGET', conv, 'state', 'upto')
if not c[1] then return {0, 0} end
local running = c[1] == 'running'
local from, to = '-', '+'
if running then from = '(' .. c[2] end
if ARGV[2] ~= '' then to = '(' .. ARGV[2] end
local dropped = 0
for _, item in ipairs(redis.call('XRANGE', box, from, to)) do
  if item[2][2] == 'm' then
    redis.call('XDEL', box, item[1])
    dropped = dropped + 1
  end
end
if running then
  redis.call('HSET', conv, 'cancel', c[2]) -- for these messages, whoever answers them
  redis.call('PUBLISH', ARGV[3], ARGV[1])
else
  redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'solo', 'cancel')
  if redis.call('XLEN', box) == 0 and c[1] ~= 'ready' then
    redis.call('ZREM', retry, ARGV[1])
    redis.call('DEL', conv, box)
  elseif c[1] == 'retry' then -- what is left waits for no failure any more
    redis.call('ZREM', retry, ARGV[1])
    redis.call('HSET', conv, 'state', 'ready', 'entry', redis.call('XADD', ready, '*', 's', ARGV[1]))
    redis.call('PEXPIRE', ready, ARGV[4])
  end
end
return {running and 1 or 0, dropped}
