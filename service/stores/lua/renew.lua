-- Gives a session more time, never another one under the same key.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline, milliseconds by this server's clock
-- ARGV[2]  digest of the session
-- ARGV[3]  its new lifetime from now, milliseconds
--
-- {'late', now}            past the deadline
-- {'renewed', now, digest} it lives that long again
-- {'absent', now}          it is not there
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then
    return {'late', now}
end

local readable, record = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if readable and type(record) == 'table' and record.d == ARGV[2] and not record['end'] then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
    return {'renewed', now, ARGV[2]}
end
return {'absent', now}
