-- Cancel the running turn, and drop the messages that waited before the word to stop.
-- KEYS ready retry conv box   ARGV lane before-id(or "") channel
-- Returns {running(0|1), dropped}.
local ready, retry, conv, box = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local c = redis.call('HMGET', conv, 'state', 'upto', 'token')
if not c[1] then return {0, 0} end
local running = c[1] == 'running'
local from, to = '-', '+'
if running then from = '(' .. c[2] end
if ARGV[2] ~= '' then to = '(' .. ARGV[2] end
local dropped, of_turn = 0, 0
for _, item in ipairs(redis.call('XRANGE', box, from, to)) do
  if item[2][2] == 'm' then
    redis.call('XDEL', box, item[1])
    dropped = dropped + 1
  end
end
if running then
  redis.call('HSET', conv, 'cancel', c[3])
  redis.call('PUBLISH', ARGV[3], ARGV[1])
else
  redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'solo')
  if redis.call('XLEN', box) == 0 and c[1] ~= 'ready' then
    redis.call('ZREM', retry, ARGV[1])
    redis.call('DEL', conv, box)
  end
end
return {running and 1 or 0, dropped}
