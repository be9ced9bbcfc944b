-- Find the turn that holds a message. Returns its number and value, or false.
-- keys: turns index
-- args: message_id
local seq = redis.call('HGET', index, 'm:' .. message_id)
if not seq then return false end
return {seq, redis.call('HGET', turns, seq) or ''}
