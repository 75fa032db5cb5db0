-- Swaps the sealed part of a shared session, if nobody else has meanwhile.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline, milliseconds by this server's clock
-- ARGV[2]  the sealed part as it was read
-- ARGV[3]  the sealed part to put in its place
--
-- {'late', now}           past the deadline
-- {'changed', now}        the record is another one by now: start over
-- {'stored', now, sealed} swapped; or swapped before, when a repeat arrives
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then
    return {'late', now}
end

local current = redis.call('GET', KEYS[1]) or ''
if string.find(current, '"k":"' .. ARGV[3] .. '"', 1, true) then
    return {'stored', now, ARGV[3]}
end
local first, last = string.find(current, '"k":"' .. ARGV[2] .. '"', 1, true)
if not first then
    return {'changed', now}
end
local swapped = string.sub(current, 1, first - 1) .. '"k":"' .. ARGV[3] .. '"' .. string.sub(current, last + 1)
redis.call('SET', KEYS[1], swapped, 'KEEPTTL')
return {'stored', now, ARGV[3]}
