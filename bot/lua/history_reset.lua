-- A new generation: what still runs for the old one writes nothing.
-- KEYS state turns index archive   ARGV new-conversation-id now-s ttl-s keep fence once
local state = KEYS[1]
local held = redis.call('HMGET', state, 'fence', 'once', 'count')
if ARGV[5] ~= '0' and held[1] and tonumber(held[1]) > tonumber(ARGV[5]) then return -1 end
if ARGV[6] ~= '' and held[2] == ARGV[6] then return tonumber(held[3] or '0') end
local n = redis.call('HLEN', KEYS[2])
local gen = tonumber(redis.call('HGET', state, 'gen') or '0') + 1
local old = redis.call('HGET', state, 'conv') or ''
local olds = redis.call('HGET', state, 'olds') or ''
if ARGV[4] == '1' and n > 0 then
  redis.call('RENAME', KEYS[2], KEYS[4])
  redis.call('EXPIRE', KEYS[4], ARGV[3])
  olds = old .. (olds ~= '' and (' ' .. olds) or '')
else
  redis.call('UNLINK', KEYS[2])
end
redis.call('UNLINK', KEYS[3])
local fence = redis.call('HGET', state, 'fence')
local part = redis.call('HGET', state, 'part')
redis.call('DEL', state)
redis.call('HSET', state, 'gen', gen, 'conv', ARGV[1], 'next', '0', 'first', '0', 'born', ARGV[2], 'used', ARGV[2])
if olds ~= '' then redis.call('HSET', state, 'olds', olds:sub(1, 740)) end
if fence then redis.call('HSET', state, 'fence', fence) end
if ARGV[5] ~= '0' then redis.call('HSET', state, 'fence', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', state, 'once', ARGV[6], 'count', n) end
if n > 0 or part then redis.call('HSET', state, 'part', '1') end
redis.call('EXPIRE', state, ARGV[3])
return n
