-- Forgets the history of a session, and every turn that ended before a place in the log.
--
-- KEYS[1]  the session's history, KEYS[2] up to where the session was forgotten (schemas/redis_keys.py)
-- ARGV[1]  epoch, ARGV[2] offset of the event that says so, ARGV[3] seconds that this is known
--
-- The place stays: a process that was stalled may still hold a turn of before, and would merge it
-- (redis_history.lua). Said again, it takes nothing of what was said since. Returns how many keys went.
local known = redis.call('GET', KEYS[2])
if known then
  local epoch, offset = string.match(known, '^(%d+)%.(%d+)$')
  epoch, offset = tonumber(epoch or 0), tonumber(offset or 0)
  if epoch > tonumber(ARGV[1]) or (epoch == tonumber(ARGV[1]) and offset >= tonumber(ARGV[2])) then
    return 0
  end
end
redis.call('SET', KEYS[2], ARGV[1] .. '.' .. ARGV[2], 'EX', ARGV[3])
return redis.call('DEL', KEYS[1])
