-- Ends a session, never a newer one of the same user.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  digest of the session to end
--
-- {'ended', now, digest, user, appid, device} it was there and is gone; "": its record does not say
-- {'absent', now}        it was not there

-- Looked through where nothing is there: the time must not tell who is logged in.
local NOBODYS = '{"h":"----------------------","d":"","app":"wx0123456789abcdef",'
    .. '"openid":"oooooooooooooooooooooooooooo","uid":"uuuuuuuuuuuuuuuuuuuuuuuuuu","iat":0,"life":7200,"k":"'
    .. string.rep('k', 120) .. '"}'

local function text(value)
    return type(value) == 'string' and value or ''
end

local readable, record = pcall(cjson.decode, text_of(KEYS[1]) or NOBODYS)
if readable and type(record) == 'table' and record.d == ARGV[2] and not record['end'] then
    redis.call('DEL', KEYS[1])
    return {'ended', now, ARGV[2], text(record.uid), text(record.app), text(record.dev)}
end
return {'absent', now}
