-- Writes a login's session, unless a login of the same moment has just done so.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the new record, JSON without "p"
-- ARGV[3]  its digest
-- ARGV[4]  its lifetime, milliseconds
-- ARGV[5]  logins this close share a session, milliseconds; 0: never
--
-- {'recent', now, record, left} a session this young is there, for so many milliseconds: share it
-- {'stored', now, digest}       written; or written before, when a repeat arrives, which
--                               must not take the session from a login that came in between
local replaces = ''
local current = redis.call('GET', KEYS[1])
local readable, old = pcall(cjson.decode, current or '')
-- One that is damaged, or of a later version, is replaced like any other.
if readable and type(old) == 'table' and type(old.d) == 'string' then
    if old.d == ARGV[3] then
        return {'stored', now, ARGV[3]}
    end
    local former, mark = tostring(old.p or ''), string.sub(ARGV[3], 1, 8)
    for at = 1, #former, 8 do
        if string.sub(former, at, at + 7) == mark then
            return {'stored', now, ARGV[3]}
        end
    end
    local window = tonumber(ARGV[5])
    if window > 0 and not old['end'] and (tonumber(old.iat) or 0) + window > now then
        return {'recent', now, current, redis.call('PTTL', KEYS[1])}
    end
    local marks = string.sub(old.d, 1, 8) .. former
    replaces = ',"p":"' .. string.sub(marks, 1, 32) .. '"'
end
redis.call('SET', KEYS[1], string.sub(ARGV[2], 1, -2) .. replaces .. '}', 'PX', ARGV[4])
return {'stored', now, ARGV[3]}
