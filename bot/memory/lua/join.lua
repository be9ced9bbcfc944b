-- Put a conversation that moved here before the one that is here already; once.
-- keys: state turns index
-- args: moved_from ttl_s next_seq lists...
-- lists: the fields of the moved state, turns and index, each list after its length.
local held = {}
local function each(list, from, to, act)
  for i = from, to, 2 do act(list[i], list[i + 1]) end
end
local read_to = 0
local function each_of_next_list(act)
  local size = tonumber(lists[read_to + 1])
  each(lists, read_to + 2, read_to + 1 + size, act)
  read_to = read_to + 1 + size
end
local held_state = redis.call('HGETALL', state)
each(held_state, 1, #held_state, function(name, value) held[name] = value end)
if held['from'] == moved_from then return 0 end
local shift = tonumber(next_seq)
local held_turns, held_index = redis.call('HGETALL', turns), redis.call('HGETALL', index)
redis.call('DEL', state, turns, index)
each(held_turns, 1, #held_turns, function(seq, value) redis.call('HSET', turns, seq + shift, value) end)
each(held_index, 1, #held_index, function(id, seq)
  redis.call('HSET', index, id, id:sub(1, 2) == 'e:' and seq or seq + shift)
end)
each_of_next_list(function(name, value) redis.call('HSET', state, name, value) end)
each_of_next_list(function(seq, value) redis.call('HSET', turns, seq, value) end)
each_of_next_list(function(id, seq) redis.call('HSETNX', index, id, seq) end) -- ids of this place go first
local moved = redis.call('HMGET', state, 'fence', 'used', 'olds')
redis.call('HSET', state, 'from', moved_from, 'next', shift + (held['next'] or 0))
if held['gen'] then
  -- Turns that run here now may still be written.
  redis.call('HSET', state, 'gen', held['gen'], 'used', math.max(moved[2] or 0, held['used'] or 0))
  if held['fence'] then redis.call('HSET', state, 'fence', math.max(moved[1] or 0, held['fence'])) end
  if held['olds'] then redis.call('HSET', state, 'olds', held['olds'] .. (moved[3] and ' ' .. moved[3] or '')) end
end
for _, key in ipairs({state, turns, index}) do redis.call('EXPIRE', key, ttl_s) end
return 1
