-- Replace the turns before `end_seq` by a summary, if neither it nor any turn was changed since it was read.
-- keys: state
-- args: generation folded edits end_seq summary extract extracted failures retry halvings
local found = redis.call('HMGET', state, 'gen', 'folded', 'edits', 'first')
if found[1] ~= generation or (found[2] or '0') ~= folded or (found[3] or '0') ~= edits then return 0 end
redis.call('HSET', state, 'folded', end_seq, 'summary', summary, 'extract', extract, 'extracted', extracted,
  'failures', failures, 'retry', retry, 'halvings', halvings)
if tonumber(end_seq) > tonumber(found[4] or '0') then redis.call('HSET', state, 'first', end_seq) end
return 1
