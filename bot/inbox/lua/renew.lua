-- A worker's sign of life for all its turns of a shard. Returns those that need its attention: {place, word, ...}.
-- KEYS ready conv...   ARGV worker touch(0|1) entry token entry token...
local ready = KEYS[1]
local news = {}
for i = 2, #KEYS do
  local entry, token = ARGV[i * 2 - 1], ARGV[i * 2]
  local c = redis.call('HMGET', KEYS[i], 'token', 'entry', 'cancel', 'upto')
  if c[1] ~= token or c[2] ~= entry then
    news[#news + 1] = i - 1
    news[#news + 1] = 'lost'
  else
    -- JUSTID leaves the delivery count alone: a long turn is no failure.
    if ARGV[2] == '1' then redis.call('XCLAIM', ready, 'w', ARGV[1], 0, entry, 'IDLE', 0, 'JUSTID') end
    if c[3] and c[3] == c[4] then
      news[#news + 1] = i - 1
      news[#news + 1] = 'cancel'
    end
  end
end
return news
