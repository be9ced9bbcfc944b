-- Change a turn if it is still as it was read; an empty value forgets it.
-- KEYS turns index state   ARGV seq old new turn-id fence once message-id-to-drop...
local held = redis.call('HMGET', KEYS[3], 'fence', 'once')
if ARGV[5] ~= '0' and held[1] and tonumber(held[1]) > tonumber(ARGV[5]) then return -1 end
if ARGV[6] ~= '' and held[2] == ARGV[6] then return 1 end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[3], 'once', ARGV[6]) end
for i = 7, #ARGV do redis.call('HDEL', KEYS[2], 'm:' .. ARGV[i]) end
-- A summary may hold what was changed: it is made anew from the turns that are left.
local folded = tonumber(redis.call('HGET', KEYS[3], 'folded') or '0')
if tonumber(ARGV[1]) < folded then
  redis.call('HDEL', KEYS[3], 'summary')
  redis.call('HSET', KEYS[3], 'folded', '0')
end
return 1
