-- Takes away the tombstone that a ban has left, never a session.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
--
-- {'ended', now, 'lifted'} nothing there says that the user is banned, whoever took it away
local readable, record = pcall(cjson.decode, text_of(KEYS[1]) or '')
if readable and type(record) == 'table' and record['end'] == 'banned' then
    redis.call('DEL', KEYS[1])
end
return {'ended', now, 'lifted'}
