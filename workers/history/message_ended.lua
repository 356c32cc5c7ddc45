-- Notes that a message of a user has ended, and once what it has cost.
--
-- KEYS[1]  the user's limits (schemas/redis_keys.py), KEYS[2] the note that this message is counted
-- ARGV[1]  the message as the limits name it, ARGV[2] its tokens, ARGV[3] seconds that the note lives,
-- ARGV[4]  seconds that the limits live
--
-- A message may be noted again, by the next worker too. The day is Redis' own, in UTC.
redis.call('HDEL', KEYS[1], 'open:' .. ARGV[1])
if tonumber(ARGV[2]) > 0 and redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[3]) then
  local today = math.floor(redis.call('TIME')[1] / 86400)
  if tonumber(redis.call('HGET', KEYS[1], 'day') or '0') ~= today then
    redis.call('HSET', KEYS[1], 'day', today, 'spent', 0)
  end
  redis.call('HINCRBY', KEYS[1], 'spent', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
return 1
