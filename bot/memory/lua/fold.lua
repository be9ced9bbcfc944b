-- Replace what is older than turn `to` by a summary, if neither that nor any turn was changed meanwhile.
-- KEYS state   ARGV gen folded-as-read edits-as-read to summary
local found = redis.call('HMGET', KEYS[1], 'gen', 'folded', 'edits', 'first')
if found[1] ~= ARGV[1] or (found[2] or '0') ~= ARGV[2] or (found[3] or '0') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'folded', ARGV[4], 'summary', ARGV[5])
if tonumber(ARGV[4]) > tonumber(found[4] or '0') then redis.call('HSET', KEYS[1], 'first', ARGV[4]) end
return 1
