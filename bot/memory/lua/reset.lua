-- Begin a new generation: turns that still run for the old one write nothing.
-- keys: state turns index archive dropped_archives...
-- args: new_conversation now_s ttl_s keep fence request_id conversation kept_archives
-- Returns the number of turns; -1: overtaken; -2: another reset was faster, and `conversation`, after which the
-- archive is named, is not the present one.
local found = redis.call('HMGET', state, 'gen', 'conv', 'fence', 'part', 'once', 'count')
local generation, held_fence, takes_part, last_request, last_count = found[1], found[3], found[4], found[5], found[6]
local present = found[2] or 'none'
if fence ~= '0' and held_fence and tonumber(held_fence) > tonumber(fence) then return -1 end
if request_id ~= '' and last_request == request_id then return tonumber(last_count or '0') end
if present ~= conversation then return -2 end
local count = redis.call('HLEN', turns)
local archives = kept_archives
if keep == '1' and count > 0 then
  redis.call('RENAME', turns, archive)
  redis.call('EXPIRE', archive, ttl_s)
  archives = present .. (archives ~= '' and (' ' .. archives) or '')
else
  redis.call('UNLINK', turns)
end
redis.call('UNLINK', index)
for _, key in ipairs(dropped_archives) do redis.call('UNLINK', key) end
redis.call('DEL', state)
redis.call('HSET', state, 'gen', tonumber(generation or '0') + 1, 'conv', new_conversation, 'next', '0', 'first', '0', 'born', now_s, 'used', now_s)
if archives ~= '' then redis.call('HSET', state, 'olds', archives) end
if held_fence then redis.call('HSET', state, 'fence', held_fence) end
if fence ~= '0' then redis.call('HSET', state, 'fence', fence) end
if request_id ~= '' then redis.call('HSET', state, 'once', request_id, 'count', count) end
if count > 0 or takes_part then redis.call('HSET', state, 'part', '1') end
redis.call('EXPIRE', state, ttl_s)
return count
