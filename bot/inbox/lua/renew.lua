-- Heartbeat of a worker for its turns of one shard: renews their leases.
-- keys: ready convs...
-- args: worker touch leases...
-- touch: 1 renews, 0 only reads. leases: entry and token of each of `convs`.
-- Returns the turns that need attention: {place, lost|cancel|withdrawn, place, ...}.
local news = {}
for place, conv in ipairs(convs) do
  local entry, token = leases[place * 2 - 1], leases[place * 2]
  local c = redis.call('HMGET', conv, 'token', 'entry', 'cancel', 'upto', 'withdrawn')
  if c[1] ~= token or c[2] ~= entry then
    news[#news + 1] = place
    news[#news + 1] = 'lost'
  else
    -- JUSTID leaves the delivery count alone: a long turn is no failure.
    if touch == '1' then redis.call('XCLAIM', ready, 'w', worker, 0, entry, 'IDLE', 0, 'JUSTID') end
    if c[5] and c[5] == c[4] then -- one of its messages was deleted
      news[#news + 1] = place
      news[#news + 1] = 'withdrawn'
    elseif c[3] and c[3] == c[4] then
      news[#news + 1] = place
      news[#news + 1] = 'cancel'
    end
  end
end
return news
