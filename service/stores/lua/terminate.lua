-- Turns a user's live session into a tombstone for the rest of its life.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the reason: kicked or banned
-- ARGV[3]  when a ban ends by itself, seconds; empty or absent: never
-- ARGV[4]  which call this is; absent: any
--
-- {'ended', now, reason}  it lived, or a repeat of the call arrives
-- {'stored', now, reason} it was a tombstone, which now says that of a ban
-- {'absent', now}         no live session, nor anything that a ban had to change
local current = text_of(KEYS[1])
local readable, record = pcall(cjson.decode, current or '')
if not readable or type(record) ~= 'table' or type(record.k) ~= 'string' then
    return {'absent', now}
end
local call, status, kept = ARGV[4] or '', 'ended', ''
if record['end'] then
    if record['end'] == ARGV[2] and (record.endBy or '') == call then
        return {'ended', now, ARGV[2]}
    end
    -- A ban says more than what was there: to whoever was kicked, and of a former ban, until when.
    local first = string.find(current, ',"end":"', 1, true)
    if ARGV[2] ~= 'banned' or not first then
        return {'absent', now}
    end
    status, kept = 'stored', string.sub(current, 1, first - 1)
else
    -- The keys go: nothing may be decrypted for an ended session.
    local first, last = string.find(current, '"k":"' .. record.k .. '"', 1, true)
    if not first then
        return {'absent', now}
    end
    kept = string.sub(current, 1, first - 1) .. '"k":""' .. string.sub(current, last + 1, -2)
end
local ending = ',"end":"' .. ARGV[2] .. '","endAt":' .. string.format('%d', now)
if call ~= '' then
    ending = ending .. ',"endBy":"' .. call .. '"'
end
if ARGV[3] and ARGV[3] ~= '' then
    ending = ending .. ',"until":' .. ARGV[3]
end
redis.call('SET', KEYS[1], kept .. ending .. '}', 'KEEPTTL')
return {status, now, ARGV[2]}
