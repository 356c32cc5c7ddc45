-- Holds one session, user or address to its limits, in one step: all of them are met, or none.
--
-- KEYS[1]  the hash of whom it is about; only its own fields are looked at, so it may lie anywhere on
--          a cluster
-- ARGV[1]  JSON: the checks, in their order
--   {check: 'rate', field, most, per_ms}     GCRA: 'most' at once and 'most' every 'per_ms'
--   {check: 'open', member, most, lives_ms}  so many members at once; one that is in it is no second
--   {check: 'spent', most}                   what was spent today (UTC) has not reached it
--   {check: 'count', gateway, count, most, alive}  the sum over the gateways that live (none: not known)
-- ARGV[2]  seconds to live from now
--
-- Gives {which check is not met (from 1; 0: none), milliseconds to wait (0: nobody knows)}.
local DAY_MS = 86400000
local key = KEYS[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local writes = {}

local function fields_of(prefix)
  local found, all = {}, redis.call('HGETALL', key)
  for index = 1, #all, 2 do
    if string.sub(all[index], 1, #prefix) == prefix then
      found[string.sub(all[index], #prefix + 1)] = tonumber(all[index + 1])
    end
  end
  return found
end

local checks = {}

function checks.rate(c)
  local interval_ms = c.per_ms / c.most
  local full_ms = math.max(tonumber(redis.call('HGET', key, c.field) or '0'), now_ms)
  local wait_ms = full_ms - now_ms - interval_ms * (c.most - 1)
  if wait_ms > 0 then
    return math.ceil(wait_ms)
  end
  writes[#writes + 1] = {'HSET', key, c.field, full_ms + interval_ms}
end

function checks.open(c)
  local members = 0
  for member, until_ms in pairs(fields_of('open:')) do
    if until_ms < now_ms then
      redis.call('HDEL', key, 'open:' .. member)
    elseif member ~= c.member then
      members = members + 1
    end
  end
  if members >= c.most then
    return 0
  end
  writes[#writes + 1] = {'HSET', key, 'open:' .. c.member, now_ms + c.lives_ms}
end

function checks.spent(c)
  local today = math.floor(now_ms / DAY_MS)
  if tonumber(redis.call('HGET', key, 'day') or '0') == today
    and tonumber(redis.call('HGET', key, 'spent') or '0') >= c.most then
    return (today + 1) * DAY_MS - now_ms
  end
end

function checks.count(c)
  local alive, sum = {}, c.count
  for _, gateway in ipairs(c.alive) do
    alive[gateway] = true
  end
  local known = #c.alive > 0
  for gateway, count in pairs(fields_of('at:')) do
    if gateway ~= c.gateway then
      if alive[gateway] or not known then
        sum = sum + count
      else
        redis.call('HDEL', key, 'at:' .. gateway)
      end
    end
  end
  if sum > c.most then
    return 0
  end
  writes[#writes + 1] = {'HSET', key, 'at:' .. c.gateway, c.count}
end

for index, check in ipairs(cjson.decode(ARGV[1])) do
  local wait_ms = checks[check.check](check)
  if wait_ms then
    return {index, wait_ms}
  end
end
for _, write in ipairs(writes) do
  redis.call(unpack(write))
end
if #writes > 0 then
  redis.call('EXPIRE', key, ARGV[2])
end
return {0, 0}
