-- State and window of a conversation; begins one where there is none.
-- KEYS state turns index   ARGV new-conversation-id now-s ttl-s fence turn-id
local state, turns, index = KEYS[1], KEYS[2], KEYS[3]
local fence = ARGV[4]
if redis.call('EXISTS', state) == 0 then
  redis.call('UNLINK', turns, index) -- left over when a full server evicted the state: they have no order
  redis.call('HSET', state, 'gen', '0', 'conv', ARGV[1], 'next', '0', 'first', '0', 'born', ARGV[2], 'used', ARGV[2])
  redis.call('EXPIRE', state, ARGV[3])
end
local f = redis.call('HMGET', state, 'gen', 'conv', 'next', 'first', 'summary', 'folded', 'cal', 'edits', 'moved')
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
if ARGV[5] ~= '' then
  local seq = redis.call('HGET', index, 't:' .. ARGV[5])
  if seq then known = redis.call('HGET', turns, seq) or '' end
end
return {'ok', f[1] or '0', f[2] or '', f[3] or '0', f[4] or '0', f[5] or '', f[6] or '0', f[7] or '1', known, window, f[8] or '0'}
