-- Appends events to a stream, and lets its oldest go.
--
-- KEYS[1]  the stream
-- ARGV[1]  how many to keep; somewhat more may stay
-- ARGV[2]  an event, JSON; and so on
--
-- Whatever else lies under the key is taken away. One event twice, when a repeat
-- arrives, is for whoever reads to notice.
local function append(event)
    return redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', event)
end

for at = 2, #ARGV do
    local added = append(ARGV[at])
    if type(added) == 'table' and redis.call('TYPE', KEYS[1]).ok ~= 'stream' then
        redis.call('DEL', KEYS[1])
        added = append(ARGV[at])
    end
    if type(added) == 'table' then
        error(added.err)
    end
end
return #ARGV - 1
