-- Write a turn: atomic, fenced, and the same when done twice.
-- KEYS state turns index
-- ARGV gen fence turn-id replaces value first calibration now-s ttl-s conversation-id message-id...
local state, turns, index = KEYS[1], KEYS[2], KEYS[3]
local gen, fence, id, replaces = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = redis.call('HMGET', state, 'gen', 'fence', 'next', 'first')
if not found[1] then
  -- The state went with a crash of the server, or expired: what was said still counts.
  redis.call('HSET', state, 'gen', gen == '-1' and '0' or gen, 'conv', ARGV[10], 'next', '0', 'first', '0', 'born', ARGV[8])
  found[4] = '0'
elseif gen ~= '-1' and found[1] ~= gen then
  return 'generation'
end
if fence ~= '0' and found[2] and tonumber(found[2]) > tonumber(fence) then
  return 'overtaken'
end
local seq = redis.call('HGET', index, 't:' .. id)
if not seq and replaces ~= '' then
  seq = redis.call('HGET', index, 't:' .. replaces)
  redis.call('HDEL', index, 't:' .. replaces)
end
local verdict = 'again'
if not seq then
  seq = redis.call('HINCRBY', state, 'next', 1) - 1
  verdict = 'new'
end
redis.call('HSET', turns, seq, ARGV[5])
redis.call('HSET', index, 't:' .. id, seq)
for i = 11, #ARGV do redis.call('HSET', index, 'm:' .. ARGV[i], seq) end
redis.call('HSET', state, 'used', ARGV[8])
if tonumber(ARGV[6]) > tonumber(found[4] or '0') then redis.call('HSET', state, 'first', ARGV[6]) end
if ARGV[7] ~= '0' then redis.call('HSET', state, 'cal', ARGV[7]) end
redis.call('HDEL', state, 'left')
redis.call('EXPIRE', state, ARGV[9])
redis.call('EXPIRE', turns, ARGV[9])
redis.call('EXPIRE', index, ARGV[9])
return verdict
