-- Sets a key, unless it is set already: the right to do what one alone may do.
--
-- KEYS[1]  the key
-- ARGV[1]  the value, which nobody else has
-- ARGV[2]  its lifetime, milliseconds
--
-- The value that stands: the caller's own one means that the right is theirs,
-- also when a repeat arrives.
local value = redis.call('GET', KEYS[1])
if not value then
    value = ARGV[1]
    redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
end
return value
