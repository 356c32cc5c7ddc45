-- Claim a message id for one publish, and take its place in the session's rate, in one step.
--
-- KEYS: claim, rate. ARGV: hash of the content, owner, seconds a claim is pending, messages a minute
-- (0: no limit). Gives the verdict and, if limited, the milliseconds to wait.
-- The rate is GCRA: one number, the time at which the allowance is full again.
local held = redis.call('GET', KEYS[1])
if held then
    local state, hash = string.match(held, '^(%a+) (%x+)')
    if hash ~= ARGV[1] then
        return {'reused', 0}
    end
    return {state, 0}
end

local per_minute = tonumber(ARGV[4])
if per_minute > 0 then
    local time = redis.call('TIME')
    local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    local interval_ms = 60000 / per_minute
    local full_ms = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), now_ms)
    local wait_ms = full_ms - now_ms - interval_ms * (per_minute - 1)
    if wait_ms > 0 then
        return {'limited', math.ceil(wait_ms)}
    end
    full_ms = full_ms + interval_ms
    redis.call('SET', KEYS[2], full_ms, 'PX', math.ceil(full_ms - now_ms))
end

redis.call('SET', KEYS[1], 'pending ' .. ARGV[1] .. ' ' .. ARGV[2], 'EX', ARGV[3])
return {'claimed', 0}
