-- Change a turn if it is still as it was read; an empty new value removes it.
-- keys: turns index state
-- args: seq old new turn_id fence request_id dropped_message_ids...
-- Returns 1: changed, now or by the same request before; 0: it was changed meanwhile; -1: overtaken.
local held = redis.call('HMGET', state, 'gen', 'fence', 'once', 'folded')
local generation, held_fence, last_request, folded = held[1], held[2], held[3], held[4]
if fence ~= '0' and held_fence and tonumber(held_fence) > tonumber(fence) then return -1 end
if request_id ~= '' and last_request == request_id then return 1 end
if redis.call('HGET', turns, seq) ~= old then return 0 end
if new == '' then
  redis.call('HDEL', turns, seq) -- `t:` stays in the index: written again, it stays removed
else
  redis.call('HSET', turns, seq, new)
  if redis.call('EXISTS', index) == 1 then redis.call('HSET', index, 'e:' .. turn_id, '1') end
end
for _, message_id in ipairs(dropped_message_ids) do redis.call('HDEL', index, 'm:' .. message_id) end
if generation then
  if request_id ~= '' then redis.call('HSET', state, 'once', request_id) end
  -- A summary may hold the old text, or be about to: it is made anew from the turns that are left.
  redis.call('HINCRBY', state, 'edits', 1)
  if tonumber(seq) < tonumber(folded or '0') then redis.call('HDEL', state, 'summary', 'folded') end
  redis.call('HDEL', state, 'extract', 'extracted')
end
return 1
