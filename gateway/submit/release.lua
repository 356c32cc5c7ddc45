-- Give a pending claim back, if it is still this owner's: the outcome of its publish is unknown, and
-- who sends again should not have to wait until it expires. KEYS: claim. ARGV: its value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
