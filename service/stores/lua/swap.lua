-- Puts a text in place of the one that the caller has read, if nobody else has meanwhile.
--
-- KEYS[1]  the key, which has no time to live
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  the text as it was read; empty where there was none
-- ARGV[3]  the text to put; empty to be told the time and what stands there
--
-- {'stored', now, put}     put; or put before, when a repeat arrives
-- {'changed', now, stands} another text stands there; empty if none does
local stands = text_of(KEYS[1]) or ''
if ARGV[3] ~= '' and (stands == ARGV[2] or stands == ARGV[3]) then
    redis.call('SET', KEYS[1], ARGV[3])
    return {'stored', now, ARGV[3]}
end
return {'changed', now, stands}
