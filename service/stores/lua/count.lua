-- Counts uses within a window of time.
--
-- KEYS[1]  the counter
-- ARGV[1]  how many to add, 0 for none
-- ARGV[2]  how many are allowed
-- ARGV[3]  the window, milliseconds
-- ARGV[4]  'always' to count over the limit, too
--
-- How long to wait in milliseconds where the limit does not allow it, else 0.
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
local cost, allowed = tonumber(ARGV[1]), tonumber(ARGV[2])
if ARGV[4] ~= 'always' and count + math.max(cost, 1) > allowed then
    return math.max(redis.call('PTTL', KEYS[1]), 1)
end
if cost ~= 0 then
    redis.call('INCRBY', KEYS[1], cost)
    if redis.call('PTTL', KEYS[1]) < 0 then
        redis.call('PEXPIRE', KEYS[1], ARGV[3])
    end
end
return 0
