-- Say that a gateway lives, and give all that do.
--
-- KEYS[1]  a hash: gateway -> until when (ms)
-- ARGV     the gateway, milliseconds that it is believed, the name that it has given up ('': none)
--
-- Gives {1 if it was believed to live up to now, the gateways that live ...}.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HDEL', KEYS[1], ARGV[3])
local found, was, all = {}, 0, redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  if tonumber(all[index + 1]) < now_ms then
    redis.call('HDEL', KEYS[1], all[index])
  elseif all[index] == ARGV[1] then
    was = 1
  else
    found[#found + 1] = all[index]
  end
end
redis.call('HSET', KEYS[1], ARGV[1], now_ms + ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {was, ARGV[1], unpack(found)}
