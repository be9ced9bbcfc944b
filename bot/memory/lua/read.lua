-- Read state and window of a conversation; begin one where there is none.
-- keys: state turns index
-- args: new_conversation now_s ttl_s fence turn_id
-- Returns {'moved', session}, {'overtaken'}, or 'ok' and the fields that history.py unpacks.
if redis.call('EXISTS', state) == 0 then
  redis.call('UNLINK', turns, index) -- left over when a full server evicted the state: they have no order
  redis.call('HSET', state, 'gen', '0', 'conv', new_conversation, 'next', '0', 'first', '0', 'born', now_s, 'used', now_s)
  redis.call('EXPIRE', state, ttl_s)
end
local f = redis.call('HMGET', state, 'gen', 'conv', 'next', 'first', 'summary', 'folded', 'cal', 'edits', 'moved',
  'extract', 'extracted', 'failures', 'retry', 'halvings', 'proven', 'reported')
if f[9] then return {'moved', f[9]} end
if fence ~= '0' then
  local held = redis.call('HGET', state, 'fence')
  if held and tonumber(held) > tonumber(fence) then
    return {'overtaken'}
  end
  redis.call('HSET', state, 'fence', fence)
end
local first, last = tonumber(f[4] or '0'), tonumber(f[3] or '0') - 1
local window = {}
for from = first, last, 1000 do
  local names = {}
  for seq = from, math.min(from + 999, last) do names[#names + 1] = seq end
  local found = redis.call('HMGET', turns, unpack(names))
  for i = 1, #names do window[#window + 1] = found[i] or '' end
end
local known = ''
if turn_id ~= '' then
  local seq = redis.call('HGET', index, 't:' .. turn_id)
  if seq then known = redis.call('HGET', turns, seq) or '' end
end
return {'ok', f[1] or '0', f[2] or '', f[3] or '0', f[4] or '0', f[5] or '', f[6] or '0', f[7] or '1', known, window, f[8] or '0',
  f[10] or '', f[11] or '0', f[12] or '0', f[13] or '0', f[14] or '0', f[15] or '0', f[16] or '0'}
