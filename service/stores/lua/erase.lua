-- Deletes whatever is kept under a user's key.
--
-- KEYS[1]  the user's session record
-- ARGV[1]  deadline, milliseconds by this server's clock
--
-- {'late', now}            past the deadline
-- {'ended', now, 'erased'} nothing is there, whoever took it away
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then
    return {'late', now}
end

redis.call('DEL', KEYS[1])
return {'ended', now, 'erased'}
