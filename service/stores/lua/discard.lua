-- Deletes a value only while it is the one that the caller means.
--
-- KEYS[1]  the key
-- ARGV[1]  text that only the meant value contains
--
-- 1 when it was deleted
local current = text_of(KEYS[1])
if current and string.find(current, ARGV[1], 1, true) then
    return redis.call('DEL', KEYS[1])
end
return 0
