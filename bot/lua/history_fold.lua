-- Replace what is older than turn `to` by a summary, if nobody did so meanwhile.
-- KEYS state   ARGV gen folded-as-read to summary
local found = redis.call('HMGET', KEYS[1], 'gen', 'folded', 'first')
if found[1] ~= ARGV[1] or (found[2] or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'folded', ARGV[3], 'summary', ARGV[4])
if tonumber(ARGV[3]) > tonumber(found[3] or '0') then redis.call('HSET', KEYS[1], 'first', ARGV[3]) end
return 1
