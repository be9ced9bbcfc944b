-- A new generation: what still runs for the old one writes nothing.
-- KEYS state turns index archive dropped-archive...
-- ARGV new-conversation-id now-s ttl-s keep fence once conversation-id kept-archives
-- -1: overtaken. -2: another reset was faster, and the archive would be named after the wrong conversation.
local state = KEYS[1]
local found = redis.call('HMGET', state, 'gen', 'conv', 'fence', 'part', 'once', 'count')
if ARGV[5] ~= '0' and found[3] and tonumber(found[3]) > tonumber(ARGV[5]) then return -1 end
if ARGV[6] ~= '' and found[5] == ARGV[6] then return tonumber(found[6] or '0') end
local old = found[2] or 'none'
if old ~= ARGV[7] then return -2 end
local n = redis.call('HLEN', KEYS[2])
local olds = ARGV[8]
if ARGV[4] == '1' and n > 0 then
  redis.call('RENAME', KEYS[2], KEYS[4])
  redis.call('EXPIRE', KEYS[4], ARGV[3])
  olds = old .. (olds ~= '' and (' ' .. olds) or '')
else
  redis.call('UNLINK', KEYS[2])
end
redis.call('UNLINK', KEYS[3])
for i = 5, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('DEL', state)
redis.call('HSET', state, 'gen', tonumber(found[1] or '0') + 1, 'conv', ARGV[1], 'next', '0', 'first', '0', 'born', ARGV[2], 'used', ARGV[2])
if olds ~= '' then redis.call('HSET', state, 'olds', olds) end
if found[3] then redis.call('HSET', state, 'fence', found[3]) end
if ARGV[5] ~= '0' then redis.call('HSET', state, 'fence', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', state, 'once', ARGV[6], 'count', n) end
if n > 0 or found[4] then redis.call('HSET', state, 'part', '1') end
redis.call('EXPIRE', state, ARGV[3])
return n
