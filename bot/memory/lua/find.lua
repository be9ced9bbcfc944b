-- The turn that holds a message.   KEYS turns index   ARGV message-id
local seq = redis.call('HGET', KEYS[2], 'm:' .. ARGV[1])
if not seq then return false end
return {seq, redis.call('HGET', KEYS[1], seq) or ''}
