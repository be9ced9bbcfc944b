-- Change a turn if it is still as it was read; an empty value forgets it.
-- KEYS turns index state   ARGV seq old new turn-id message-id-to-drop...
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
for i = 5, #ARGV do redis.call('HDEL', KEYS[2], 'm:' .. ARGV[i]) end
-- A summary may hold what was changed: it is made anew from the turns that are left.
local folded = tonumber(redis.call('HGET', KEYS[3], 'folded') or '0')
if tonumber(ARGV[1]) < folded then
  redis.call('HDEL', KEYS[3], 'summary')
  redis.call('HSET', KEYS[3], 'folded', '0')
end
return 1
