-- Stop a conversation: cancel its running turn, drop the messages that waited before the stop command.
-- keys: ready retry conv box
-- args: lane before channel ttl_ms
-- before: id of the stop command in its mailbox, or "". channel: "" publishes nothing.
-- Returns {running (0 or 1), number dropped}.
local c = redis.call('HMGET', conv, 'state', 'upto')
local state, upto = c[1], c[2]
if not state then return {0, 0} end
local running = state == 'running'
local from, to = '-', '+'
if running then from = '(' .. upto end
if before ~= '' then to = '(' .. before end
local dropped = 0
for _, item in ipairs(redis.call('XRANGE', box, from, to)) do
  if item[2][2] == 'm' then
    redis.call('XDEL', box, item[1])
    redis.call('HDEL', conv, 'new:' .. item[1])
    dropped = dropped + 1
  end
end
if running then
  redis.call('HSET', conv, 'cancel', upto) -- valid for these messages on every worker
  if channel ~= '' then redis.pcall('PUBLISH', channel, lane) end -- refused, the heartbeat finds the mark
else
  redis.call('HDEL', conv, 'upto', 'tries', 'fails', 'solo', 'cancel', 'first', 'withdrawn')
  if redis.call('XLEN', box) == 0 and state ~= 'ready' then
    redis.call('ZREM', retry, lane)
    redis.call('DEL', conv, box)
  elseif state == 'retry' then -- the turn that failed is gone, and with it the delay
    redis.call('ZREM', retry, lane)
    redis.call('HSET', conv, 'state', 'ready', 'entry', redis.call('XADD', ready, '*', 's', lane))
    redis.call('PEXPIRE', ready, ttl_ms)
  end
end
return {running and 1 or 0, dropped}
