-- Marks a login code as being exchanged, unless it has been marked before.
--
-- KEYS[1]  the code's marker
-- ARGV[1]  the marker to set
-- ARGV[2]  its lifetime, milliseconds
--
-- The marker that stands: the caller's own one means that the code is theirs,
-- also when a repeat arrives.
local marker = redis.call('GET', KEYS[1])
if not marker then
    marker = ARGV[1]
    redis.call('SET', KEYS[1], marker, 'PX', ARGV[2])
end
return marker
