-- Write a turn: atomic, fenced, and the same when done twice.
-- KEYS state turns index
-- ARGV gen fence turn-id replaces value first calibration now-s ttl-s conversation-id known-value max-turns message-id...
-- 'edited' comes with the stored turn: its text was edited meanwhile, and the edit must not be lost.
-- 'moved' comes with the session where it is to be written now, and the generation there.
local state, turns, index = KEYS[1], KEYS[2], KEYS[3]
local gen, fence, id, replaces, value, first_wanted, calibration, now_s, ttl_s, conversation, known, max_turns =
  unpack(ARGV, 1, 12)
local FIRST_MESSAGE_ID = 13
local found = redis.call('HMGET', state, 'gen', 'fence', 'next', 'first', 'folded', 'moved', 'as')
if found[6] then return {'moved', found[6], gen == found[1] and found[7] or gen} end
if not found[1] then
  -- A full server evicted the state, and turns without it have no order. What was said now still counts.
  redis.call('UNLINK', turns, index)
  redis.call('HSET', state, 'gen', gen == '-1' and '0' or gen, 'conv', conversation, 'next', '0', 'first', '0', 'born', now_s)
elseif gen ~= '-1' and found[1] ~= gen then
  return 'generation'
end
if fence ~= '0' and found[2] and tonumber(found[2]) > tonumber(fence) then
  return 'overtaken'
end
local was = id
local seq = redis.call('HGET', index, 't:' .. id)
if not seq and replaces ~= '' then
  was = replaces
  seq = redis.call('HGET', index, 't:' .. replaces)
end
if seq then
  local present = redis.call('HGET', turns, seq)
  if not present then return 'forgotten' end
  local edited = redis.call('HEXISTS', index, 'e:' .. was) == 1
  if edited and present ~= known then return {'edited', present} end
  if was ~= id then
    redis.call('HDEL', index, 't:' .. was, 'e:' .. was)
    if edited then redis.call('HSET', index, 'e:' .. id, '1') end
    -- A summary may hold the answer that is replaced, or be about to.
    redis.call('HINCRBY', state, 'edits', 1)
    if tonumber(seq) < tonumber(found[5] or '0') then redis.call('HDEL', state, 'summary', 'folded') end
  end
else
  seq = redis.call('HINCRBY', state, 'next', 1) - 1
end
redis.call('HSET', turns, seq, value)
redis.call('HSET', index, 't:' .. id, seq)
for i = FIRST_MESSAGE_ID, #ARGV do redis.call('HSET', index, 'm:' .. ARGV[i], seq) end
redis.call('HSET', state, 'used', now_s)
local before = tonumber(found[4] or '0')
local first = math.max(before, math.min(tonumber(first_wanted), tonumber(seq)))
if seq - first >= tonumber(max_turns) then first = seq - max_turns / 2 + 1 end
if first > before then redis.call('HSET', state, 'first', first) end
if calibration ~= '0' then redis.call('HSET', state, 'cal', calibration) end
if gen ~= '-1' then redis.call('HDEL', state, 'left') end
redis.call('EXPIRE', state, ttl_s)
redis.call('EXPIRE', turns, ttl_s)
redis.call('EXPIRE', index, ttl_s)
return 'written'
