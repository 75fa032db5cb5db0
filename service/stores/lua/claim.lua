-- Sets a key, unless it is set already: the right to do what one alone may do.
--
-- KEYS[1]  the key
-- ARGV[1]  the value, which nobody else has
-- ARGV[2]  its lifetime, milliseconds
-- ARGV[3]  'json' where such a value is an object with an "n"
--
-- The value that stands: the caller's own one means that the right is theirs, also
-- when a repeat arrives. One that is none of ours, by its form or because it would
-- stand longer than any of ours, gives way, or it would keep everybody out.
local function stands(value)
    local left = redis.call('PTTL', KEYS[1])
    if left < 0 or left > tonumber(ARGV[2]) then
        return false
    elseif ARGV[3] ~= 'json' then
        return true
    end
    local parsed, found = pcall(cjson.decode, value)
    return parsed and type(found) == 'table' and type(found.n) == 'string'
end

local value = text_of(KEYS[1])
if not value or not stands(value) then
    value = ARGV[1]
    redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
end
return value
