-- Write a turn: atomic, fenced, idempotent by the turn's id.
-- keys: state turns index
-- args: generation fence id replaces value first_seq calibration proven reported now_s ttl_s conversation edited max_turns message_ids...
-- Returns one of
--   'written'
--   'forgotten': it was removed meanwhile, and stays removed
--   'generation', 'overtaken': a reset or a newer worker came first
--   {'edited', the stored turn}: its text was edited since `edited` was read, and the edit must not be lost
--   {'moved', session, generation}: where it is to be written, and the generation there
local found = redis.call('HMGET', state, 'gen', 'fence', 'next', 'first', 'folded', 'moved', 'as')
local held_generation, held_fence, first, folded = found[1], found[2], tonumber(found[4] or '0'), found[5]
local moved, generation_there = found[6], found[7]
if moved then return {'moved', moved, generation == held_generation and generation_there or generation} end
if not held_generation then
  -- A full server evicted the state, and turns without it have no order. The new turn still counts.
  redis.call('UNLINK', turns, index)
  redis.call('HSET', state, 'gen', generation == '-1' and '0' or generation, 'conv', conversation, 'next', '0', 'first', '0', 'born', now_s)
elseif generation ~= '-1' and held_generation ~= generation then
  return 'generation'
end
if fence ~= '0' and held_fence and tonumber(held_fence) > tonumber(fence) then
  return 'overtaken'
end
local stored_id = id
local seq = redis.call('HGET', index, 't:' .. id)
if not seq and replaces ~= '' then
  stored_id = replaces
  seq = redis.call('HGET', index, 't:' .. replaces)
end
if seq then
  local stored = redis.call('HGET', turns, seq)
  if not stored then return 'forgotten' end
  local is_edited = redis.call('HEXISTS', index, 'e:' .. stored_id) == 1
  if is_edited and stored ~= edited then return {'edited', stored} end
  if stored_id ~= id then
    redis.call('HDEL', index, 't:' .. stored_id, 'e:' .. stored_id)
    if is_edited then redis.call('HSET', index, 'e:' .. id, '1') end
    -- A summary may hold the answer that is replaced, or be about to.
    redis.call('HINCRBY', state, 'edits', 1)
    if tonumber(seq) < tonumber(folded or '0') then redis.call('HDEL', state, 'summary', 'folded') end
    redis.call('HDEL', state, 'extract', 'extracted')
  end
else
  seq = redis.call('HINCRBY', state, 'next', 1) - 1
end
redis.call('HSET', turns, seq, value)
redis.call('HSET', index, 't:' .. id, seq)
for _, message_id in ipairs(message_ids) do redis.call('HSET', index, 'm:' .. message_id, seq) end
redis.call('HSET', state, 'used', now_s)
local new_first = math.max(first, math.min(tonumber(first_seq), tonumber(seq)))
if seq - new_first >= tonumber(max_turns) then new_first = seq - max_turns / 2 + 1 end
if new_first > first then redis.call('HSET', state, 'first', new_first) end
if calibration ~= '0' then redis.call('HSET', state, 'cal', calibration, 'proven', proven, 'reported', reported) end
if generation ~= '-1' then redis.call('HDEL', state, 'left') end
redis.call('EXPIRE', state, ttl_s)
redis.call('EXPIRE', turns, ttl_s)
redis.call('EXPIRE', index, ttl_s)
return 'written'
