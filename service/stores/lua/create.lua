-- Writes a login's session, unless a login of the same moment has just done so.
--
-- KEYS[1]  the user's session record; the handle is its end
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the new record, JSON without "p"
-- ARGV[3]  its digest
-- ARGV[4]  its lifetime, milliseconds
-- ARGV[5]  logins this close share a session, milliseconds; 0: never
-- ARGV[6]  the sealed part of the session to replace, whose key the new record keeps; empty
--          if none is known of, absent for whatever is there
--
-- {'recent', now, record, left} a session this young is there, for so many milliseconds: share it
-- {'live', now, record}         another session than that one is there: write a record that keeps its key
-- {'stored', now, digest}       written; or written before, when a repeat arrives, which
--                               must not take the session from a login that came in between
-- {'stored', now, digest, 'replaced'} the same, in place of a live session
-- {'stored', now, digest, 'unreadable'} the same, in place of what was no record of this user
local AHEAD = 1000 -- milliseconds by which the clocks of two servers may differ

local current, no_text = text_of(KEYS[1])
local parsed, old = pcall(cjson.decode, current or '')
local readable = parsed and type(old) == 'table' and type(old.d) == 'string'
    and old.h == string.match(KEYS[1], '[^:]+$')
local replaces, replaced = '', false
if readable then
    if old.d == ARGV[3] then
        return {'stored', now, ARGV[3]}
    end
    local former, mark = type(old.p) == 'string' and string.sub(old.p, 1, 32) or '', string.sub(ARGV[3], 1, 8)
    for at = 1, #former, 8 do
        if string.sub(former, at, at + 7) == mark then
            return {'stored', now, ARGV[3]}
        end
    end
    local window, issued = tonumber(ARGV[5]), tonumber(old.iat) or 0
    local left = redis.call('PTTL', KEYS[1])
    if window > 0 and not old['end'] and issued + window > now and issued <= now + AHEAD and left > 0 then
        return {'recent', now, current, left}
    end
    -- Of an ended session nothing is kept, nor of one that nobody has given a time to live.
    if ARGV[6] and ARGV[6] ~= old.k and not old['end'] and type(old.k) == 'string' and left > 0 then
        return {'live', now, current}
    end
    replaced = not old['end'] and left > 0
    local marks = string.sub(string.sub(old.d, 1, 8) .. former, 1, 32)
    -- A quotation mark in it would end the record.
    if string.find(marks, '^[%w_-]+$') then
        replaces = ',"p":"' .. marks .. '"'
    end
end
redis.call('SET', KEYS[1], string.sub(ARGV[2], 1, -2) .. replaces .. '}', 'PX', ARGV[4])
if (current or no_text) and not readable then
    return {'stored', now, ARGV[3], 'unreadable'}
elseif replaced then
    return {'stored', now, ARGV[3], 'replaced'}
end
return {'stored', now, ARGV[3]}
