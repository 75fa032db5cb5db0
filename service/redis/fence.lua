-- Stands before every fenced script: past the caller's deadline it does nothing.
--
-- ARGV[1]  deadline, milliseconds by this server's clock
--
-- {'late', now}  past it: the caller has been answered that it failed
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then
    return {'late', now}
end

