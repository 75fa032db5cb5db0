-- Gives a session more time, never another one under the same key.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline; fence.lua, which stands before this, checks it and sets `now`
-- ARGV[2]  digest of the session
-- ARGV[3]  its new lifetime from now, milliseconds
--
-- {'renewed', now, digest} it lives that long again
-- {'absent', now}          it is not there
local readable, record = pcall(cjson.decode, text_of(KEYS[1]) or '')
if readable and type(record) == 'table' and record.d == ARGV[2] and not record['end'] then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {'renewed', now, ARGV[2]}
end
return {'absent', now}
