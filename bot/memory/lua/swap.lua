-- Change a turn if it is still as it was read; an empty value forgets it.
-- KEYS turns index state   ARGV seq old new turn-id fence once message-id-to-drop...
local turns, index, state = KEYS[1], KEYS[2], KEYS[3]
local held = redis.call('HMGET', state, 'gen', 'fence', 'once', 'folded')
if ARGV[5] ~= '0' and held[2] and tonumber(held[2]) > tonumber(ARGV[5]) then return -1 end
if ARGV[6] ~= '' and held[3] == ARGV[6] then return 1 end
if redis.call('HGET', turns, ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', turns, ARGV[1]) -- `t:` stays: written again, it stays forgotten
else
  redis.call('HSET', turns, ARGV[1], ARGV[3])
  if redis.call('EXISTS', index) == 1 then redis.call('HSET', index, 'e:' .. ARGV[4], '1') end
end
for i = 7, #ARGV do redis.call('HDEL', index, 'm:' .. ARGV[i]) end
if held[1] then
  if ARGV[6] ~= '' then redis.call('HSET', state, 'once', ARGV[6]) end
  -- A summary may hold what was changed, or be about to: it is made anew from the turns that are left.
  redis.call('HINCRBY', state, 'edits', 1)
  if tonumber(ARGV[1]) < tonumber(held[4] or '0') then redis.call('HDEL', state, 'summary', 'folded') end
end
return 1
