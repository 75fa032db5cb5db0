-- Turns a user's live session into a tombstone for the rest of its life.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the reason: kicked or banned
--
-- {'ended', now, reason} it lived, or a repeat arrives
-- {'absent', now}        no live session
local current = text_of(KEYS[1])
local readable, record = pcall(cjson.decode, current or '')
if not readable or type(record) ~= 'table' or type(record.k) ~= 'string' then
    return {'absent', now}
end
if record['end'] then
    return {record['end'] == ARGV[2] and 'ended' or 'absent', now, ARGV[2]}
end
-- The keys go: nothing may be decrypted for an ended session.
local first, last = string.find(current, '"k":"' .. record.k .. '"', 1, true)
if not first then
    return {'absent', now}
end
local tombstone = string.sub(current, 1, first - 1) .. '"k":""' .. string.sub(current, last + 1, -2)
    .. ',"end":"' .. ARGV[2] .. '","endAt":' .. string.format('%d', now) .. '}'
redis.call('SET', KEYS[1], tombstone, 'KEEPTTL')
return {'ended', now, ARGV[2]}
