-- Swaps the sealed part of a shared session, if nobody else has meanwhile.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the sealed part as it was read
-- ARGV[3]  the sealed part to put in its place
--
-- {'changed', now}        the record is another one by now: start over
-- {'stored', now, sealed} swapped; or swapped before, when a repeat arrives
local current = text_of(KEYS[1]) or ''
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
