-- Put a conversation that moved here before what is here already. Once.
-- KEYS state turns index
-- ARGV moved-from ttl-s next, then three lists, each after its length: fields of the state, of the turns, of the index
local state, turns, index = KEYS[1], KEYS[2], KEYS[3]
local here, at = {}, 3
local function each(list, from, to, act)
  for i = from, to, 2 do act(list[i], list[i + 1]) end
end
local function given(act)
  local size = tonumber(ARGV[at + 1])
  each(ARGV, at + 2, at + 1 + size, act)
  at = at + 1 + size
end
local held = redis.call('HGETALL', state)
each(held, 1, #held, function(name, value) here[name] = value end)
if here['from'] == ARGV[1] then return 0 end
local shift = tonumber(ARGV[3])
local told, ids = redis.call('HGETALL', turns), redis.call('HGETALL', index)
redis.call('DEL', state, turns, index)
each(told, 1, #told, function(seq, value) redis.call('HSET', turns, seq + shift, value) end)
each(ids, 1, #ids, function(id, seq)
  redis.call('HSET', index, id, id:sub(1, 2) == 'e:' and seq or seq + shift)
end)
given(function(name, value) redis.call('HSET', state, name, value) end)
given(function(seq, value) redis.call('HSET', turns, seq, value) end)
given(function(id, seq) redis.call('HSETNX', index, id, seq) end) -- ids of this place go before
local moved = redis.call('HMGET', state, 'fence', 'used', 'olds')
redis.call('HSET', state, 'from', ARGV[1], 'next', shift + (here['next'] or 0))
if here['gen'] then
  -- What runs here now may still be written.
  redis.call('HSET', state, 'gen', here['gen'], 'used', math.max(moved[2] or 0, here['used'] or 0))
  if here['fence'] then redis.call('HSET', state, 'fence', math.max(moved[1] or 0, here['fence'])) end
  if here['olds'] then redis.call('HSET', state, 'olds', here['olds'] .. (moved[3] and ' ' .. moved[3] or '')) end
end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[2]) end
return 1
